//! Weights as other programs leave them: in files that may be none, in other kinds of numbers, and under the names of
//! what wrapped the network.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};

use safetensors::Dtype;
use serde::Deserialize;

/// Most bytes of a file's header: some hundred thousand tensors.
const HEADER_LIMIT: u64 = 16 << 20;

/// Where a header says that a tensor lies.
#[derive(Deserialize)]
struct Extent {
    /// Absent from metadata.
    #[serde(default)]
    data_offsets: (u64, u64),
}

/// The bytes of a safetensors file, or as many as show that it is none: a file may have no end. `None` where its
/// tensors have more than `limit` bytes.
///
/// # Errors
/// What the system reports.
pub fn bytes(mut content: impl Read, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut file = Vec::new();
    let mut read_to = |file: &mut Vec<u8>, end: u64| {
        content.by_ref().take(end.saturating_sub(file.len() as u64)).read_to_end(file)
    };
    read_to(&mut file, 8)?;
    let header = file.first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight));
    if header <= HEADER_LIMIT {
        read_to(&mut file, 8 + header)?;
        let tensors: HashMap<String, Extent> =
            file.get(8..).and_then(|json| serde_json::from_slice(json).ok()).unwrap_or_default();
        let end = tensors.values().map(|tensor| tensor.data_offsets.1).max().unwrap_or(0);
        if end > limit {
            return Ok(None);
        }
        // A byte too many tells that it goes on.
        read_to(&mut file, 8 + header + end + 1)?;
    }
    Ok(Some(file))
}

/// What wrappers put before names: PyTorch's `DataParallel`, `torch.compile`, and classes with one member.
const WRAPPERS: [&str; 4] = ["module.", "_orig_mod.", "model.", "network."];

/// Why a tensor's bytes are no weights.
#[derive(Debug, PartialEq)]
pub enum Unfit {
    /// It is of no kind of floating-point number that is read.
    Kind,
    /// A value is infinite or no number, or is so in float32.
    NotFinite { position: usize, value: f64 },
}

/// A tensor's little-endian numbers as float32.
///
/// # Errors
/// As [`Unfit`] has it.
pub fn values(kind: Dtype, bytes: &[u8]) -> Result<Vec<f32>, Unfit> {
    fn each<const N: usize>(bytes: &[u8], number: fn([u8; N]) -> f64) -> Result<Vec<f32>, Unfit> {
        let finite = |(position, of_one): (usize, &[u8; N])| {
            let value = number(*of_one);
            if (value as f32).is_finite() {
                Ok(value as f32)
            } else {
                Err(Unfit::NotFinite { position, value })
            }
        };
        bytes.as_chunks().0.iter().enumerate().map(finite).collect()
    }
    match kind {
        Dtype::F64 => each(bytes, f64::from_le_bytes),
        Dtype::F32 => each(bytes, |four| f32::from_le_bytes(four).into()),
        Dtype::F16 => each(bytes, |two| of_half(u16::from_le_bytes(two))),
        // The upper half of a float32.
        Dtype::BF16 => each(bytes, |[low, high]| f32::from_le_bytes([0, 0, low, high]).into()),
        _ => Err(Unfit::Kind),
    }
}

/// IEEE 754's binary16: a sign, 5 bits of exponent, 10 of fraction.
fn of_half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023) / 1024.0);
    let size = match exponent {
        0 => fraction * 2f64.powi(-14),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction) * 2f64.powi(exponent - 15),
    };
    if bits >> 15 == 0 { size } else { -size }
}

/// Takes wrappers' prefixes off names, and tells which, and of how many; none where two names would become one.
pub fn unwrap(names: &mut [&mut String]) -> Vec<(&'static str, usize)> {
    let mut taken = Vec::new();
    loop {
        let Some((prefix, count)) = WRAPPERS.into_iter().find_map(|prefix| {
            let count = names.iter().filter(|name| name.starts_with(prefix)).count();
            let bare = |name: &&mut String| name.strip_prefix(prefix).unwrap_or(name).to_owned();
            let distinct = names.iter().map(bare).collect::<HashSet<_>>().len() == names.len();
            (count > 0 && distinct).then_some((prefix, count))
        }) else {
            return taken;
        };
        for name in names.iter_mut() {
            if let Some(bare) = name.strip_prefix(prefix) {
                **name = bare.to_owned();
            }
        }
        taken.push((prefix, count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_read_than_a_header_gives_reason_to() {
        let of_header = |json: &str| [&(json.len() as u64).to_le_bytes()[..], json.as_bytes()].concat();
        let one =
            of_header(r#"{"__metadata__":{"a":"b"},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#);
        for (start, read) in [(vec![], 8 + 1), (vec![255; 8], 8), (one.clone(), one.len() + 8 + 1)] {
            let endless = start.chain(io::repeat(0));
            assert_eq!(bytes(endless, 1 << 40).unwrap().unwrap().len(), read, "{start:?}");
        }
        assert_eq!(bytes(&one[..], 7).unwrap(), None);
        assert_eq!(bytes(&one[..], 8).unwrap().unwrap(), one);
    }

    #[test]
    fn numbers_of_every_kind_become_the_same_ones() {
        let half: Vec<u8> = [0x3c00u16, 0xc000, 0x3555, 0x0001, 0x8000, 0x7bff]
            .iter()
            .flat_map(|h| h.to_le_bytes())
            .collect();
        let expected = [1.0, -2.0, 0.333_251_95, 5.960_464_5e-8, 0.0, 65504.0];
        assert_eq!(values(Dtype::F16, &half), Ok(expected.to_vec()));
        let bytes = |value: f64| (value.to_le_bytes(), (value as f32).to_le_bytes());
        for value in [0.1f64, -3.5e-20, 1.0] {
            let (double, single) = bytes(value);
            assert_eq!(values(Dtype::F64, &double), Ok(vec![value as f32]));
            assert_eq!(values(Dtype::F32, &single), Ok(vec![value as f32]));
            let brain = values(Dtype::BF16, &single[2..]).unwrap()[0];
            assert!((brain - value as f32).abs() <= (value as f32).abs() / 128.0, "{brain}");
        }
        assert_eq!(values(Dtype::I8, &[1]), Err(Unfit::Kind));
        // Beyond float32, and not finite to begin with.
        let large = Unfit::NotFinite { position: 0, value: 1e300 };
        assert_eq!(values(Dtype::F64, &bytes(1e300).0), Err(large));
        assert!(values(Dtype::F16, &[0, 0x7c]).is_err() && values(Dtype::F16, &[1, 0x7c]).is_err());
        assert!(values(Dtype::BF16, &[0x80, 0x7f]).is_err());
    }

    #[test]
    fn prefixes_come_off_unless_names_would_clash() {
        let bare = |names: &[&str]| {
            let mut owned: Vec<String> = names.iter().map(|name| name.to_string()).collect();
            let mut lent: Vec<&mut String> = owned.iter_mut().collect();
            let taken = unwrap(&mut lent);
            (owned.join(" "), taken)
        };
        assert_eq!(
            bare(&["module.a.weight", "head.bias"]),
            ("a.weight head.bias".into(), vec![("module.", 1)])
        );
        let twice = bare(&["module._orig_mod.a", "module._orig_mod.b"]);
        assert_eq!(twice, ("a b".into(), vec![("module.", 2), ("_orig_mod.", 2)]));
        assert_eq!(bare(&["module.a", "a"]), ("module.a a".into(), vec![]));
        assert_eq!(bare(&["fc1.weight", "modules.a"]), ("fc1.weight modules.a".into(), vec![]));
    }
}
