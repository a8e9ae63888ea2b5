//! Tasks, answers and figures by hand, and what networks without skill get.

use pollster::block_on;
use proptest::prelude::*;

use super::*;
use crate::cpu::Cpu;
use crate::data::{DataError, Dataset, Random, Shape, Stream};
use crate::loss::Loss;
use crate::model::{ModelOptions, network};
use crate::ops::Layout;
use crate::plan::{BatchLayout, Capacity, Mode, OptimizerOptions, PlanKind, PlanOptions, build};
use crate::train::setup;

const SIDE: usize = 28;

/// A set with so many drawings of each character of each alphabet; its images come character by character in turn.
fn dataset(alphabets: &[usize], drawings: usize) -> Dataset {
    let characters: usize = alphabets.iter().sum();
    let alphabet_of = (0..).zip(alphabets).flat_map(|(number, &count)| vec![number; count]).collect();
    let count = characters * drawings;
    let mut random = Random::new(0, Stream::Parity, 0, 0);
    Dataset {
        name: "made-up".into(),
        title: "Made up".into(),
        shape: Shape { channels: 1, height: SIDE, width: SIDE },
        images: (0..count * SIDE * SIDE).map(|_| random.word() as u8).collect(),
        labels: (0..count).map(|image| (image % characters) as u32).collect(),
        classes: (0..characters).map(|class| format!("character{class}")).collect(),
        alphabets: (0..alphabets.len()).map(|number| format!("alphabet{number}")).collect(),
        alphabet_of,
        train_images: count,
        warnings: Vec::new(),
    }
}

fn all(dataset: &Dataset) -> Vec<u32> {
    (0..dataset.len() as u32).collect()
}

fn drawn(dataset: &Dataset, members: &[u32], protocol: Protocol, seed: u64) -> Tasks {
    draw(dataset, members, protocol, seed, Stream::TestTasks).unwrap()
}

proptest! {
    #[test]
    fn a_task_asks_for_one_of_several_classes_of_an_alphabet(
        alphabets in prop::collection::vec(2usize..9, 1..4),
        (way, shots, spare) in (2usize..8, 1usize..4, 1usize..3),
        seed: u64,
    ) {
        let set = dataset(&alphabets, shots + spare);
        let protocol = Protocol { way, shots, tasks: 5 };
        let tasks = drawn(&set, &all(&set), protocol, seed);
        prop_assert_eq!(tasks.list.len(), 5 * alphabets.len());
        for (number, task) in tasks.list.iter().enumerate() {
            prop_assert_eq!(task.alphabet as usize, number / 5);
            let class = |image: &u32| set.labels[*image as usize];
            let alphabet = |image: &u32| set.alphabet_of[class(image) as usize];
            prop_assert!(task.support.iter().chain([&task.query]).all(|i| alphabet(i) == task.alphabet));
            let classes: Vec<u32> = task.support.chunks(shots).map(|class_of| class(&class_of[0])).collect();
            prop_assert_eq!(classes.len(), way.min(alphabets[number / 5]));
            for (drawings, expected) in task.support.chunks(shots).zip(&classes) {
                prop_assert!(drawings.iter().all(|image| class(image) == *expected));
            }
            prop_assert_eq!(classes.iter().collect::<HashSet<_>>().len(), classes.len());
            prop_assert_eq!(class(&task.query), classes[task.right as usize]);
            let images: HashSet<_> = task.support.iter().chain([&task.query]).collect();
            prop_assert_eq!(images.len(), task.support.len() + 1, "a drawing is there twice");
        }
    }

    #[test]
    fn tasks_follow_from_the_seed_and_the_images_alone(seed: u64) {
        let set = dataset(&[5, 4], 3);
        let protocol = Protocol { way: 4, ..Protocol::default() };
        let mut members = all(&set);
        let tasks = drawn(&set, &members, protocol, seed);
        members.reverse();
        prop_assert_eq!(&tasks, &drawn(&set, &members, protocol, seed));
        prop_assert!(tasks != drawn(&set, &members, protocol, seed ^ 1));
        prop_assert!(tasks != draw(&set, &members, protocol, seed, Stream::ValidationTasks).unwrap());
        // An alphabet's tasks do not depend on the others.
        members.retain(|&image| set.alphabet_of[set.labels[image as usize] as usize] == 1);
        let alone = drawn(&set, &members, protocol, seed);
        prop_assert_eq!(&alone.alphabets, &["alphabet1"]);
        let images = |tasks: &[Task]| -> Vec<(u32, Vec<u32>)> {
            tasks.iter().map(|task| (task.query, task.support.clone())).collect()
        };
        prop_assert_eq!(images(&alone.list), images(&tasks.list[40..]));
    }
}

#[test]
fn every_class_every_drawing_and_every_place_has_its_turn() {
    let set = dataset(&[4], 3);
    let tasks = drawn(&set, &all(&set), Protocol { way: 3, shots: 1, tasks: 6000 }, 1);
    let (mut places, mut queries) = ([0u32; 3], [0u32; 12]);
    for task in &tasks.list {
        places[task.right as usize] += 1;
        queries[task.query as usize] += 1;
    }
    // Six standard deviations of a binomial count.
    assert!(places.iter().all(|&count| count.abs_diff(2000) < 220), "{places:?}");
    assert!(queries.iter().all(|&count| count.abs_diff(500) < 129), "{queries:?}");
}

#[test]
fn what_cannot_be_told_is_not_asked() {
    let mut set = dataset(&[3, 1, 3], 2);
    let protocol = Protocol::default();
    assert_eq!(drawn(&set, &all(&set), protocol, 0).alphabets, ["alphabet0", "alphabet2"]);
    // Character 0 has a single drawing left.
    let fewer: Vec<u32> = all(&set).into_iter().filter(|&image| image != 0).collect();
    assert!(drawn(&set, &fewer, protocol, 0).list[..40].iter().all(|task| task.support.len() == 2));
    let none = draw(&set, &all(&set), Protocol { shots: 2, ..protocol }, 0, Stream::TestTasks);
    assert!(matches!(none, Err(DataError::NoTasks { images: 14, drawings: 3 })), "{none:?}");
    assert!(matches!(draw(&set, &[99], protocol, 0, Stream::TestTasks), Err(DataError::NoSuchImage { .. })));
    // Classes of a set without alphabets are all of one.
    (set.alphabets, set.alphabet_of) = (Vec::new(), Vec::new());
    let tasks = drawn(&set, &all(&set), protocol, 0);
    assert_eq!((tasks.alphabets.len(), tasks.list.len(), tasks.way()), (1, 40, 7));
}

#[test]
fn the_least_distance_answers_and_a_shared_one_does_not() {
    let choice = |distances: &[f32], shots| Answer::of(distances, shots).choice;
    assert_eq!(choice(&[3.0, 1.0, 2.0], 1), Some(1));
    assert_eq!(choice(&[-3.0, 1.0, -2.0], 1), Some(0));
    assert_eq!(choice(&[3.0, 1.0, 1.0], 1), None);
    assert_eq!(choice(&[0.0, 0.0, 0.0], 1), None);
    assert_eq!(choice(&[3.0, f32::NAN, 1.0], 1), None);
    assert_eq!(choice(&[f32::INFINITY, 2.0], 1), Some(1));
    assert_eq!(choice(&[f32::INFINITY, f32::INFINITY], 1), None);
    // The mean decides, not the nearest drawing.
    let answer = Answer::of(&[0.0, 9.0, 4.0, 4.0], 2);
    assert_eq!((answer.choice, answer.distances), (Some(1), vec![4.5, 4.0]));
}

/// Tasks of which only the right class matters, so many an alphabet.
fn tasks(rights: &[&[u32]], way: usize) -> Tasks {
    let task = |(alphabet, &right): (u32, &u32)| Task {
        query: 0,
        support: (1..=way as u32).collect(),
        right,
        alphabet,
    };
    Tasks {
        list: (0..).zip(rights).flat_map(|(a, r)| r.iter().map(move |right| task((a, right)))).collect(),
        shots: 1,
        alphabets: (0..rights.len()).map(|number| number.to_string()).collect(),
    }
}

fn figures(tasks: &Tasks, distances: &[&[f32]]) -> OneShot {
    let answers: Vec<Answer> = distances.iter().map(|distances| Answer::of(distances, 1)).collect();
    OneShot::of(tasks, &answers, 64)
}

#[test]
fn figures_by_hand() {
    // Of the first alphabet 1 of 4 right, of the second both.
    let tasks = tasks(&[&[0, 0, 1, 1], &[1, 0]], 2);
    let distances: [&[f32]; 6] =
        [&[1.0, 2.0], &[2.0, 1.0], &[2.0, 2.0], &[1.0, 2.0], &[3.0, 1.0], &[0.0, 1.0]];
    let found = figures(&tasks, &distances);
    assert_eq!((found.tasks, found.accuracy, found.accuracy_of_tasks), (6, 62.5, 50.0));
    let of_alphabets: Vec<_> =
        found.alphabets.iter().map(|a| (a.name.as_str(), a.tasks, a.accuracy)).collect();
    assert_eq!(of_alphabets, [("0", 4, 25.0), ("1", 2, 100.0)]);
    // sqrt(((25 - 62.5)^2 + (100 - 62.5)^2) / 1 / 2)
    assert!((found.standard_error - 37.5).abs() < 1e-12, "{}", found.standard_error);
    assert!((found.ties - 100.0 / 6.0).abs() < 1e-12 && !found.collapsed);
    // -ln of the right class's share; with two classes, ln(1 + e^(right - other)).
    let losses = [-1.0f64, 1.0, 0.0, 1.0, -2.0, -1.0].map(|apart| apart.exp().ln_1p());
    assert!((found.loss - losses.iter().sum::<f64>() / 6.0).abs() < 1e-12, "{}", found.loss);
}

#[test]
fn one_alphabet_errs_by_its_number_of_tasks() {
    let tasks = tasks(&[&[0, 0, 1, 1]], 2);
    let found = figures(&tasks, &[&[1.0, 2.0], &[1.0, 2.0], &[1.0, 2.0], &[1.0, 2.0]]);
    assert_eq!((found.accuracy, found.standard_error), (50.0, 25.0));
}

#[test]
fn huge_distances_have_a_loss() {
    let tasks = tasks(&[&[0]], 2);
    for (distances, loss) in [
        ([1e30f32, 2e30], 0.0),
        ([2e30, 1e30], 1e30),
        ([-1e30, 1e30], 0.0),
        ([15_500.0, 15_500.0], 2f64.ln()),
        ([0.0, f32::MAX], 0.0),
    ] {
        let found = figures(&tasks, &[&distances]).loss;
        assert!((found - loss).abs() <= 1e-6 * loss, "{distances:?}: {found}");
    }
    assert!(figures(&tasks, &[&[f32::NAN, 1.0]]).loss.is_nan(), "a diverged network shows");
}

/// Distances that only rounding keeps apart, as sums of the same terms in other orders do, are all equal.
#[test]
fn rounding_tells_nothing() {
    let features = 25_088;
    let mut random = Random::new(3, Stream::Parity, 0, 0);
    let terms: Vec<f32> = (0..features).map(|_| random.uniform()).collect();
    let mut orders: Vec<f32> = vec![terms.iter().sum(), terms.iter().rev().sum()];
    orders.extend([16, 64, 256].map(|lanes| terms.chunks(lanes).map(|c| c.iter().sum::<f32>()).sum::<f32>()));
    let way = orders.len();
    assert!(orders.iter().any(|sum| *sum != orders[0]), "the sums agree, so that nothing is tried");
    let tasks = tasks(&[&[0]], way);
    let collapsed = |distances: &[f32]| OneShot::of(&tasks, &[Answer::of(distances, 1)], features).collapsed;
    assert!(collapsed(&orders));
    orders[0] *= 1.01;
    assert!(!collapsed(&orders));
    assert!(collapsed(&vec![0.0; way]) && collapsed(&vec![f32::NAN; way]));
}

#[test]
fn a_network_has_collapsed_where_most_tasks_are_tied() {
    let tasks = tasks(&[&[0, 0, 0, 0]], 2);
    let (tied, apart): (&[f32], &[f32]) = (&[1.0, 1.0], &[1.0, 2.0]);
    assert!(!figures(&tasks, &[tied, tied, apart, apart]).collapsed, "half of the tasks");
    assert!(figures(&tasks, &[tied, tied, tied, apart]).collapsed);
}

/// SN-LeNet-5 on the images of a set, with its initial weights, or all of them 0.
fn session(dataset: &Dataset, room: (usize, usize), zero: bool) -> Cpu {
    let network = network("sn-lenet5", dataset.shape, &ModelOptions::default()).unwrap();
    let options = PlanOptions {
        standardize: false,
        mode: Mode::Training,
        kind: PlanKind::Unfused,
        batch: BatchLayout::Pairs,
        batch_size: 2,
        loss: Loss::default(),
        optimizer: OptimizerOptions::default(),
        augment: false,
        capacity: Capacity { images: dataset.len(), pairs: 2, embeddings: room.0, scores: room.1 },
        max_binding: usize::MAX / 8,
        layout: Layout::Interleaved,
    };
    let mut cpu = Cpu::new(build(&network, &options).unwrap(), 0).unwrap();
    setup::upload_images(&mut cpu, dataset).unwrap();
    let mut weights = setup::initial_values(cpu.plan(), 0);
    if zero {
        weights.iter_mut().for_each(|(_, values)| values.fill(0.0));
    }
    setup::write_all(&mut cpu, &weights).unwrap();
    cpu
}

#[test]
fn every_image_is_embedded_once() {
    let set = dataset(&[30, 3], 4);
    let tasks = drawn(&set, &all(&set), Protocol { way: 20, shots: 2, tasks: 50 }, 0);
    let mut cpu = session(&set, tasks.room(), false);
    let (plan, before) = (cpu.plan().clone(), cpu.launches());
    let found = block_on(answers(&mut cpu, &tasks, &mut |_| true)).unwrap().unwrap();
    assert_eq!(found.len(), 100);
    let expected: usize = [0..50, 50..100]
        .map(|part| {
            let part = &tasks.list[part];
            let pairs: usize = part.iter().map(|task| task.support.len()).sum();
            let embedded = images(part).len().div_ceil(plan.embed_batch) * plan.embed.len();
            embedded + pairs.div_ceil(plan.score_batch) * plan.score.len()
        })
        .iter()
        .sum();
    assert_eq!(cpu.launches() - before, expected as u64);
    // With less room it takes longer and says the same.
    let mut small = session(&set, (50, 60), false);
    assert_eq!(block_on(answers(&mut small, &tasks, &mut |_| true)).unwrap().unwrap(), found);
    assert_eq!(block_on(answers(&mut cpu, &tasks, &mut |_| false)).unwrap(), None);
}

#[test]
fn a_constant_embedding_is_never_right_and_has_collapsed() {
    let set = dataset(&[20], 2);
    let tasks = drawn(&set, &all(&set), Protocol::default(), 0);
    let mut cpu = session(&set, tasks.room(), true);
    let found = block_on(answers(&mut cpu, &tasks, &mut |_| true)).unwrap().unwrap();
    let found = OneShot::of(&tasks, &found, cpu.plan().features);
    assert_eq!((found.accuracy, found.ties, found.collapsed), (0.0, 100.0, true));
    assert!((found.loss - 20f64.ln()).abs() < 1e-9, "{}", found.loss);
}

/// The images are noise, so that an embedding of them is one that was shuffled.
#[test]
fn an_embedding_without_sense_guesses() {
    let set = dataset(&[20], 20);
    let tasks = drawn(&set, &all(&set), Protocol { tasks: 2000, ..Protocol::default() }, 0);
    let mut cpu = session(&set, tasks.room(), false);
    let found = block_on(answers(&mut cpu, &tasks, &mut |_| true)).unwrap().unwrap();
    let found = OneShot::of(&tasks, &found, cpu.plan().features);
    // One in twenty, give or take six standard errors of 2000 guesses.
    assert!((found.accuracy - 5.0).abs() < 6.0 * (5.0f64 * 95.0 / 2000.0).sqrt(), "{found:?}");
    assert!(!found.collapsed);
}
