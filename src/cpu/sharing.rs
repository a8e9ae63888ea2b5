//! How an op's work is shared out: what its CPU twin says of itself, and the schedule goes by.

/// Weight rows, and elements of what has no rows, that one task works on.
const ROWS: usize = 48;
const ELEMENTS: usize = 1 << 13;

/// What may be done with a step. An op whose threads share its work says so in a method `sharing` of its own, beside its
/// `fast` functions; without one it is [`Sharing::WHOLE`].
#[derive(Clone, Copy, Debug)]
pub struct Sharing {
    pub split: Split,
    /// Whether nothing remains of what its results held before, unless it accumulates.
    pub overwrites: bool,
    /// Whether its results, if only they are activations, get a buffer of their own although it is not split.
    pub moves: bool,
    pub relu: Relu,
}

/// How a step can be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// One thread runs all of it.
    Whole,
    /// By groups of 16 images, where its images are interleaved.
    Groups,
    /// The same; what it writes is a small sum over all images: each group's own, then the sum of these.
    Sums,
    /// By rows.
    Rows(Rows),
}

/// Rows of what a step writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    pub count: usize,
    /// Rows of a portion.
    pub stride: usize,
    /// Elements of a row.
    pub width: usize,
    /// Whether what it reads has the same rows; otherwise each portion reads all of it.
    pub reads: bool,
}

/// What a ReLU has to do with a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relu {
    None,
    /// The step is one.
    Is,
    /// A ReLU on what the step writes can be part of it, which spares a pass over the values.
    Joins,
}

impl Sharing {
    pub const WHOLE: Sharing =
        Sharing { split: Split::Whole, overwrites: true, moves: false, relu: Relu::None };
    pub const GROUPS: Sharing = Sharing { split: Split::Groups, ..Sharing::WHOLE };
    pub const SUMS: Sharing = Sharing { split: Split::Sums, ..Sharing::WHOLE };

    /// By rows of a matrix of weights, `width` elements each.
    pub fn rows(count: u32, width: u32) -> Self {
        let rows = Rows { count: count as usize, stride: ROWS, width: width as usize, reads: false };
        Sharing { split: Split::Rows(rows), ..Sharing::WHOLE }
    }

    /// By elements; with `reads` every operand has them.
    pub fn elements(count: u32, reads: bool) -> Self {
        let rows = Rows { count: count as usize, stride: ELEMENTS, width: 1, reads };
        let split = if count as usize > ELEMENTS || reads { Split::Rows(rows) } else { Split::Whole };
        Sharing { split, ..Sharing::WHOLE }
    }

    pub fn overwriting(self, overwrites: bool) -> Self {
        Sharing { overwrites, ..self }
    }

    pub fn relu(self, relu: Relu) -> Self {
        Sharing { relu, ..self }
    }
}

/// The method `sharing` of ops that have none of their own.
pub trait Unshared {
    fn sharing(&self, _entry: &str) -> Sharing {
        Sharing::WHOLE
    }
}

impl<T> Unshared for T {}
