//! Distances between the two embeddings of each pair: functions that build graphs, found by name.

mod cosine;
mod euclidean;
mod l1;

use std::fmt;
use std::str::FromStr;

use crate::graph::{Graph, ValueId};

/// A distance by its name: from embeddings `[images, features]` to `[entries]`, 0 where both are the same.
#[derive(Clone, Copy)]
pub struct PairDistance {
    pub name: &'static str,
    pub build: fn(&mut Graph, ValueId) -> ValueId,
}

/// All distances, by the names that `--distance` takes.
pub static DISTANCES: &[PairDistance] = &[PairDistance::EUCLIDEAN, PairDistance::L1, PairDistance::COSINE];

impl PairDistance {
    pub const EUCLIDEAN: PairDistance = PairDistance { name: "euclidean", build: euclidean::build };
    pub const L1: PairDistance = PairDistance { name: "l1", build: l1::build };
    pub const COSINE: PairDistance = PairDistance { name: "cosine", build: cosine::build };

    pub fn build(self, graph: &mut Graph, embedding: ValueId) -> ValueId {
        (self.build)(graph, embedding)
    }
}

impl PartialEq for PairDistance {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for PairDistance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Display for PairDistance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl FromStr for PairDistance {
    type Err = String;

    /// # Errors
    /// Names those there are.
    fn from_str(text: &str) -> Result<Self, String> {
        DISTANCES.iter().copied().find(|distance| distance.name == text).ok_or_else(|| {
            let names: Vec<&str> = DISTANCES.iter().map(|distance| distance.name).collect();
            format!("must be one of: {}", names.join(", "))
        })
    }
}

/// By its name.
impl serde::Serialize for PairDistance {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

impl<'de> serde::Deserialize<'de> for PairDistance {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(|error| serde::de::Error::custom(format!("distance {name}: {error}")))
    }
}
