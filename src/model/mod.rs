//! Networks as functions that build graphs: one file per system of the papers, and the registry by name.

pub mod conv4;
pub mod koch;
pub mod lenet5;
pub mod resnet;
pub mod sircnn;
pub mod sn_lenet5;

use crate::graph::{Graph, GraphError, Initialization, ValueId};
use crate::loss::{Comparison, PairDistance};
use crate::ops::activation::ActivationKind;
use crate::ops::pool2d::PoolKind;
use crate::tensor::Shape;
use crate::text;

/// A siamese network: one backbone for both images, then a comparison; or a backbone alone that classifies.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Network {
    pub name: String,
    pub input: Shape,
    pub graph: Graph,
    /// `[images, channels, height, width]`
    pub images: ValueId,
    /// `[images, features]`, or of classifiers `[images, classes]`.
    pub embedding: ValueId,
    /// What compares two embeddings; nothing of a classifier's.
    pub comparison: Option<Comparison>,
    /// `[entries]`, of a comparison.
    pub distance: Option<ValueId>,
    pub similarity: Option<ValueId>,
}

impl Network {
    /// A backbone, as `build` makes it from the images, and a comparison behind it.
    ///
    /// # Errors
    /// The first layer that does not fit its input, or that nobody takes anything from.
    pub fn new(
        name: &str,
        input: Shape,
        initialization: Initialization,
        comparison: Option<Comparison>,
        build: impl FnOnce(&mut Graph, ValueId) -> ValueId,
    ) -> Result<Network, GraphError> {
        let mut graph = Graph::default();
        graph.initialization = initialization;
        let images = graph.images(input);
        let embedding = build(&mut graph, images);
        let embedding = graph.flat(embedding);
        graph.check_used(&[embedding])?;
        let compared = comparison.map(|comparison| comparison.build(&mut graph, embedding));
        graph.check()?;
        Ok(Network {
            name: name.into(),
            input,
            graph,
            images,
            embedding,
            comparison,
            distance: compared.map(|compared| compared.distance),
            similarity: compared.and_then(|compared| compared.similarity),
        })
    }

    /// Values of an embedding.
    pub fn features(&self) -> usize {
        crate::graph::of_image(self.graph.shape(self.embedding)).len()
    }
}

/// Choices that a user may make about a network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelOptions {
    pub activation: ActivationKind,
    pub pool: PoolKind,
    pub comparison: Comparison,
    /// Of a classifier.
    pub classes: usize,
}

impl Default for ModelOptions {
    /// The SN-LeNet-5 paper's: ReLU, maximum pooling, Euclidean distance, a learned head.
    fn default() -> Self {
        ModelOptions {
            activation: ActivationKind::Relu,
            pool: PoolKind::Max,
            comparison: Comparison::Distance { kind: PairDistance::EUCLIDEAN, head: true },
            classes: 10,
        }
    }
}

/// Why there is no such network.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("there is no model \"{name}\"; {}the models are: {}", meant(name), names().join(", "))]
    Unknown { name: String },
    #[error(
        "model \"{model}\" takes images of 28x28 or 32x32, but these are {}x{}",
        shape.height,
        shape.width
    )]
    Shape { model: String, shape: Shape },
    #[error("model \"{model}\" does not take images of {}x{}: {why}", shape.height, shape.width)]
    Unsuited { model: String, shape: Shape, why: &'static str },
    #[error(transparent)]
    Graph(#[from] GraphError),
}

/// A network by name.
pub struct Model {
    pub name: &'static str,
    pub network: fn(Shape, &ModelOptions) -> Result<Network, ModelError>,
    /// Of a classifier, the network that compares, of whose backbone it is made.
    pub classifies: Option<&'static str>,
    /// Whether it was made to give the probability that a pair is the same.
    pub gives_probability: bool,
}

impl Model {
    const fn new(
        name: &'static str,
        network: fn(Shape, &ModelOptions) -> Result<Network, ModelError>,
    ) -> Self {
        Model { name, network, classifies: None, gives_probability: false }
    }

    const fn classifying(self, backbone: &'static str) -> Self {
        Model { classifies: Some(backbone), ..self }
    }

    const fn of_probability(self) -> Self {
        Model { gives_probability: true, ..self }
    }
}

fn meant(name: &str) -> String {
    text::closest(name, &names()).map_or(String::new(), |meant| format!("did you mean {meant}? "))
}

/// All models, by the names that `--model` takes.
pub static MODELS: &[Model] = &[
    Model::new("sn-lenet5", sn_lenet5::network),
    Model::new("resnet-small", resnet::small),
    Model::new("resnet18", resnet::resnet18),
    Model::new("conv4", conv4::network),
    Model::new("koch", koch::network).of_probability(),
    Model::new("sircnn", sircnn::network).of_probability(),
    Model::new("sircnn-eca", sircnn::with_eca).of_probability(),
    Model::new("lenet5", lenet5::network).classifying("sn-lenet5"),
    Model::new("resnet-small-classifier", resnet::small_classifier).classifying("resnet-small"),
];

fn find(name: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.name == name)
}

/// Every model's name.
pub fn names() -> Vec<&'static str> {
    MODELS.iter().map(|model| model.name).collect()
}

/// The network of this name for images of this shape.
///
/// # Errors
/// There is no such model, or it does not take such images.
pub fn network(name: &str, input: Shape, options: &ModelOptions) -> Result<Network, ModelError> {
    let model = find(name).ok_or_else(|| ModelError::Unknown { name: name.to_string() })?;
    (model.network)(input, options)
}

/// The images that a model was made for, where nothing else is told.
pub fn usual_input(name: &str) -> Shape {
    // Omniglot's drawings, or MNIST's digits.
    let size = if gives_probability(name) { 105 } else { 28 };
    Shape { channels: 1, height: size, width: size }
}

/// Whether a model gives each image a logit for each class instead of comparing two.
pub fn is_classifier(name: &str) -> bool {
    backbone_of(name).is_some()
}

/// Whether a model was made to give the probability that a pair is the same.
pub fn gives_probability(name: &str) -> bool {
    find(name).is_some_and(|model| model.gives_probability)
}

/// The network that compares, of whose backbone a classifier is made.
pub fn backbone_of(classifier: &str) -> Option<&'static str> {
    find(classifier)?.classifies
}
