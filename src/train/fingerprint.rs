//! What a run is told by, so that no other run's pieces are taken for its own.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::data::{Dataset, Split};

/// Settings, data and first weights: what shapes all that follows. Part of every weights file of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Settings that a resumed run keeps, by flag.
    pub settings: Map<String, Value>,
    /// Of images, classes and their split.
    pub data: String,
    /// Of the weights before the first step.
    pub start: String,
}

impl Fingerprint {
    /// What differs from another run, in words.
    pub fn differences(&self, other: &Self) -> String {
        let show = |value: Option<&Value>| value.map_or("not set".into(), Value::to_string);
        let mut keys: Vec<&String> = self.settings.keys().chain(other.settings.keys()).collect();
        keys.sort();
        keys.dedup();
        let settings =
            keys.into_iter().filter(|key| self.settings.get(*key) != other.settings.get(*key)).map(|key| {
                format!("--{key} is {}, not {}", show(self.settings.get(key)), show(other.settings.get(key)))
            });
        let digests = [("data", &self.data, &other.data), ("first weights", &self.start, &other.start)];
        let others = digests.iter().filter(|(_, own, other)| own != other);
        settings
            .chain(others.map(|(what, ..)| format!("its {what} are others")))
            .collect::<Vec<_>>()
            .join("; ")
    }
}

/// A digest of much data in little time; it is proof against mistakes, not against forgery.
#[derive(Clone, Copy)]
struct Digest([u64; LANES]);

/// Sums that do not wait for each other.
const LANES: usize = 4;

impl Digest {
    fn new() -> Self {
        Digest([0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f, 0x1656_67b1_9e37_79f9, 0x27d4_eb2f_1656_67c5])
    }

    /// Takes bytes in, and how many there are.
    fn add(&mut self, bytes: &[u8]) {
        let (whole, rest) = bytes.as_chunks::<{ 8 * LANES }>();
        let mut last = [0; 8 * LANES];
        last[..rest.len()].copy_from_slice(rest);
        let mut length = [0; 8 * LANES];
        length[..8].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        for block in whole.iter().chain([&last, &length]) {
            for (sum, word) in self.0.iter_mut().zip(block.as_chunks::<8>().0) {
                *sum = (*sum ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
            }
        }
    }

    fn text(self) -> String {
        let mixed = self.0.iter().fold(0u128, |sum, &lane| {
            (sum ^ u128::from(lane)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b).rotate_left(47)
        });
        format!("{mixed:032x}")
    }
}

/// The digest of a data set as it is used.
pub fn of_data(dataset: &Dataset, split: &Split) -> String {
    let mut digest = Digest::new();
    digest.add(dataset.shape.to_string().as_bytes());
    digest.add(&dataset.images);
    for list in [&dataset.labels, &dataset.alphabet_of, &split.train, &split.validation, &split.test] {
        digest.add(bytemuck::cast_slice(list));
    }
    digest.text()
}

/// The digest of weights by name.
pub fn of_weights(weights: &[(String, Vec<f32>)]) -> String {
    let mut digest = Digest::new();
    for (name, values) in weights {
        digest.add(name.as_bytes());
        digest.add(bytemuck::cast_slice(values));
    }
    digest.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever differs, be it a bit, a length or an order.
    #[test]
    fn digests_differ() {
        let lists: Vec<Vec<u8>> = vec![
            vec![],
            vec![0],
            vec![0; 31],
            vec![0; 32],
            vec![0; 33],
            vec![1; 33],
            (0..100).collect(),
            (0..100).rev().collect(),
            (0..100).map(|at| at ^ u8::from(at == 99)).collect(),
        ];
        let of = |parts: &[&[u8]]| {
            let mut digest = Digest::new();
            parts.iter().for_each(|part| digest.add(part));
            digest.text()
        };
        let mut found: Vec<String> = lists.iter().map(|list| of(&[list])).collect();
        found.push(of(&[&[0; 16], &[0; 16]]));
        assert_eq!(of(&[&lists[6]]), found[6]);
        found.sort();
        found.dedup();
        assert_eq!(found.len(), lists.len() + 1);
    }
}
