//! Mutants that no case can tell from the shader, and why.

use crate::mutate::Mutant;

/// In function `place`, `from` becomes `to`.
pub struct Equivalent {
    place: &'static str,
    from: &'static str,
    to: &'static str,
    why: &'static str,
}

const CLAMP: &str = "what it reads is not used";
const LANES: &str = "every lane holds the same sum, and writes it to the same place";
const TWICE: &str = "the workgroup too many repeats the last one's result";
const ANEW: &str = "the next group of filters writes it anew, and behind the last one it is guarded";
const ZERO: &str = "a row of zeros more is added";
const AGAIN: &str = "the store is guarded again";
const TOGETHER: &str =
    "the first part then holds all images' sum and the others none: the sum over the parts stays";
const RELOADED: &str = "values of a column of four taps are then loaded again rather than moved on";
const MEET: &str = "both sides agree where they meet";
const BELOW: &str = "the term is smaller than a rounding of the result";
const NOBODY: &str = "the grid ends there";
const RACE: &str = "a race that this adapter always decides well: it runs the lanes in order";

const fn entry(place: &'static str, from: &'static str, to: &'static str, why: &'static str) -> Equivalent {
    Equivalent { place, from, to, why }
}

pub const EQUIVALENT: &[Equivalent] = &[
    entry("common.workgroup_sum", "lane < width", "lane <= width", RACE),
    entry("common.safe_tanh", "15.0 - square * (17", "15.0 + square * (17", BELOW),
    entry("common.safe_tanh", "size < 0.1", "size <= 0.1", MEET),
    entry("common.sigmoid", "value >= 0.0", "value > 0.0", MEET),
    entry("batch_norm.moments", "n < images", "n <= images", NOBODY),
    entry("batch_norm.moments", "lane == 0u", "lane != 0u", LANES),
    entry("batch_norm.backward_weight", "n < images", "n <= images", NOBODY),
    entry("batch_norm.backward_weight", "lane == 0u", "lane != 0u", LANES),
    entry("binary_cross_entropy.softplus", "v <= 0.0", "v < 0.0", MEET),
    entry("binary_cross_entropy.exponent", "e <= floor", "e < floor", MEET),
    entry("binary_cross_entropy.rest", "e >= 0.5", "e > 0.5", MEET),
    entry("binary_cross_entropy.forward", "lane == 0u", "lane != 0u", LANES),
    entry("channel_conv.backward_weight", "(t < kernel)", "(t <= kernel)", NOBODY),
    entry("channel_conv.backward_weight", "&& t < kernel", "&& t <= kernel", NOBODY),
    entry("contrastive.shortfall", "value >= margin", "value > margin", MEET),
    entry("contrastive.forward", "lane == 0u", "lane != 0u", LANES),
    entry("conv2d.input", "in_height * in_width - 1u", "in_height * in_width + 1u", CLAMP),
    entry("conv2d.input", "column, in_width - 1u", "column, in_width + 1u", CLAMP),
    entry("conv2d.channels", "end - 1u", "end + 1u", CLAMP),
    entry("conv2d.gradient", "width - 1u", "width + 1u", CLAMP),
    entry("conv2d.backward_weight", "in_height - 1u", "in_height + 1u", CLAMP),
    entry("conv2d.backward_weight", "in_width - 1u", "in_width + 1u", CLAMP),
    entry("conv2d.backward_bias", "(o < out_channels)", "(o <= out_channels)", AGAIN),
    entry("conv2d_blocked.backward_input", "height - 1u));", "height + 1u));", ZERO),
    entry("conv2d_blocked.element_start", "kernel_rows() - 1u", "kernel_rows() + 1u", CLAMP),
    entry("conv2d_blocked.put_part", "p < 4u", "p <= 4u", AGAIN),
    entry(
        "conv2d_blocked.backward_weight",
        "first_image + images_per_part",
        "first_image - images_per_part",
        TOGETHER,
    ),
    entry("conv2d_blocked.backward_weight", "places() < 4u", "places() <= 4u", RELOADED),
    entry("dense.neighbours", "length - 1u", "length + 1u", CLAMP),
    entry("dense.forward", "n0 >= images", "n0 > images", AGAIN),
    entry("dense.backward_input", "n0 >= images", "n0 > images", AGAIN),
    entry("dense.backward_weight", "o0 >= rows", "o0 > rows", AGAIN),
    entry("dense_blocked.backward_weight", "o >= rows", "o > rows", AGAIN),
    entry("distance.forward", "pairs - 1u", "pairs + 1u", CLAMP),
    entry("distance.forward", "lane == 0u", "lane != 0u", LANES),
    entry("distance.forward", "&&", "||", LANES),
    entry("distance.forward", "number < pairs", "number <= pairs", TWICE),
    entry("distance.forward", "sum <= squared_floor", "sum < squared_floor", MEET),
    entry("head.forward", "z >= 0.0", "z > 0.0", MEET),
    entry("head.backward_weight", "lane == 0u", "lane != 0u", LANES),
    entry("trunk.conv_backward", "j < c.out_width", "j <= c.out_width", ZERO),
    entry("trunk.conv_backward", "e < tasks * sums_len", "e <= tasks * sums_len", ANEW),
    entry("trunk.dense_backward", "o < d.outputs", "o <= d.outputs", ZERO),
    entry("trunk.scalar_gradient", "at < 64u", "at <= 64u", NOBODY),
    entry("objective.measure", "first < pairs", "first <= pairs", AGAIN),
    entry("objective.measure", "pairs - 1u", "pairs + 1u", CLAMP),
    entry("objective.measure", "sum <= squared_floor", "sum < squared_floor", MEET),
    entry("objective.without_head", "lane == 0u", "lane != 0u", LANES),
    entry("weighted_sum.forward", "pairs - 1u", "pairs + 1u", CLAMP),
    entry("weighted_sum.forward", "lane == 0u", "lane != 0u", LANES),
    entry("weighted_sum.forward", "&&", "||", LANES),
    entry("weighted_sum.forward", "number < pairs", "number <= pairs", TWICE),
];

impl std::fmt::Display for Equivalent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Equivalent { place, from, to, why } = self;
        write!(f, "{place}: `{from}` to `{to}`, listed as equivalent: {why}")
    }
}

impl Equivalent {
    pub fn is(&self, mutant: &Mutant) -> bool {
        self.place == mutant.place() && mutant.line.replacen(self.from, self.to, 1) == mutant.becomes
    }
}
