use super::*;
use crate::ops::elementwise::Function;
use crate::ops::mask::MaskKind;
use crate::ops::reduction::Reduction;

const IMAGE: Shape = Shape { channels: 1, height: 4, width: 4 };

/// Each way of a value into a loss is a share of its gradient; what leads nowhere has none.
#[test]
fn shares_of_a_gradient_meet_in_one_value() {
    let mut graph = Graph::default();
    let images = graph.images(IMAGE);
    let x = graph.dense("fc", images, 3);
    let square = graph.unary(Function::Square, 0.0, x);
    let sum = graph.add(square, x);
    let loss = graph.reduce_all(Reduction::Sum, sum);
    graph.dense("unused", x, 2);
    let zero = graph.number(0.0);
    graph.apply("record", Op::Record, &[loss, zero]);
    let forward = graph.nodes.len();
    graph.differentiate().unwrap();
    let named = |name: &str| graph.parameters.iter().position(|parameter| parameter.name == name).unwrap();
    assert!(
        graph.gradients[named("fc.weight")].is_some() && graph.gradients[named("unused.weight")].is_none()
    );
    // Both shares of x write where the backward pass of the dense layer reads.
    let backward = &graph.nodes[forward..];
    let dense = backward.iter().find(|node| node.op == Op::Gradient { of: 0 }).unwrap();
    let writers = backward.iter().filter(|node| node.outputs.contains(&Some(dense.inputs[0]))).count();
    assert_eq!(writers, 2, "{backward:#?}");
    // Nobody asks for the gradient of the images.
    assert_eq!(dense.outputs[0], None);
}

#[test]
fn shapes_that_do_not_broadcast_are_refused_where_they_meet() {
    let mut graph = Graph::default();
    let images = graph.images(IMAGE);
    let [a, b] = [("a", 3), ("b", 2)].map(|(name, outputs)| graph.dense(name, images, outputs));
    let positives = graph.mask(MaskKind::Positives);
    assert_eq!(graph.shape(positives), [Dim::Images, Dim::Images]);
    let column = graph.reduce(Reduction::Max, 1, a);
    let wide = graph.add(a, column);
    assert_eq!(graph.shape(wide), [Dim::Images, Dim::Size(3)]);
    assert!(graph.check().is_ok());
    graph.add(a, b);
    graph.multiply(positives, a);
    let error = graph.check().unwrap_err().to_string();
    assert_eq!(
        error,
        "layer add does not fit its input of [images, 3]: [images, 3] does not broadcast with [images, 2]"
    );
}

/// A graph is saved as text and is the same when it is read again.
#[test]
fn a_graph_goes_into_a_file_and_comes_back() {
    let options = crate::model::ModelOptions::default();
    let network =
        crate::model::network("sircnn", Shape { channels: 1, height: 32, width: 32 }, &options).unwrap();
    let text = serde_json::to_string(&network.graph).unwrap();
    assert_eq!(serde_json::from_str::<Graph>(&text).unwrap(), network.graph);
}
