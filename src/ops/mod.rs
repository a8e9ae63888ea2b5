//! What each op is: attributes, shapes, cost, and the kernels it launches. Knows no device.
//!
//! An op has one stem. `ops::conv2d` describes it, `shaders/conv2d.wgsl` holds its kernels,
//! `cpu::conv2d` its twins and `parity::conv2d` the cases on which they must agree.

pub mod activated_pool;
pub mod activation;
pub mod adam;
pub mod add;
pub mod batch_norm;
pub mod binary_cross_entropy;
pub mod channel_conv;
pub mod collect;
pub mod contrastive;
pub mod conv2d;
pub mod conv2d_blocked;
pub mod dense;
pub mod dense_blocked;
pub mod distance;
pub mod dropout;
pub mod elementwise;
pub mod episode;
pub mod gather;
pub mod head;
pub mod layer_norm;
pub mod mask;
pub mod matmul;
pub mod normalize;
pub mod objective;
pub mod pairwise;
pub mod pool2d;
pub mod record;
pub mod reduce;
pub mod reduction;
pub mod rows;
pub mod scale;
pub mod sgd;
pub mod softmax_cross_entropy;
pub mod standardize;
pub mod take;
pub mod trunk;
pub mod warp;
pub mod weighted_sum;

/// Invocations in a workgroup of a kernel (`WORKGROUP` in `shaders/common.wgsl`).
pub const WORKGROUP: usize = 64;

/// The same of kernels that give a workgroup a whole image or batch (`LANES` in their shaders): all that WebGPU
/// grants, for what a workgroup does is one long wait.
pub const FUSED_WORKGROUP: usize = 256;

/// Tensors start at multiples of this many elements (256 bytes): every adapter's alignment.
pub const TENSOR_ALIGN: usize = 64;

/// Most loop iterations one invocation may run. llvmpipe, as Vulkan and as GL, silently stops an
/// invocation after 65,535 iterations in total, so longer reductions are split over threads.
pub const ITERATION_BUDGET: u64 = 65_535;

/// Every op's stem, its WGSL text (without `common.wgsl`) and its attribute names.
pub struct Stem {
    pub name: &'static str,
    pub wgsl: &'static str,
    pub attributes: fn() -> Vec<&'static str>,
}

macro_rules! stems {
    ($($name:ident :: $attributes:ident),* $(,)?) => {
        /// The table of all ops.
        pub const STEMS: &[Stem] = &[$(Stem {
            name: stringify!($name),
            wgsl: include_str!(concat!("../../shaders/", stringify!($name), ".wgsl")),
            attributes: $name::$attributes::names,
        }),*];
    };
}

stems! {
    activated_pool::ActivatedPool,
    activation::Activation,
    adam::Adam,
    add::Add,
    batch_norm::BatchNorm,
    binary_cross_entropy::BinaryCrossEntropy,
    channel_conv::ChannelConv,
    collect::Collect,
    contrastive::Contrastive,
    conv2d::Conv2d,
    conv2d_blocked::Conv2dBlocked,
    dense::Dense,
    dense_blocked::DenseBlocked,
    distance::Distance,
    episode::Episode,
    dropout::Dropout,
    elementwise::Elementwise,
    gather::Gather,
    head::Head,
    layer_norm::LayerNorm,
    mask::Mask,
    matmul::Matmul,
    normalize::Normalize,
    objective::Objective,
    pairwise::Pairwise,
    pool2d::Pool2d,
    record::Record,
    reduce::Reduce,
    reduction::AxisReduction,
    rows::Rows,
    scale::Scale,
    sgd::Sgd,
    softmax_cross_entropy::SoftmaxCrossEntropy,
    standardize::Standardize,
    take::Take,
    trunk::Trunk,
    warp::Warp,
    weighted_sum::WeightedSum,
}

/// Stem of the shared declarations that stand before every op's WGSL.
pub const COMMON: &str = "common";

/// The text of [`COMMON`].
pub const COMMON_WGSL: &str = include_str!("../../shaders/common.wgsl");

/// A buffer of a plan, by position in [`crate::plan::Plan::buffers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub usize);

/// How the values of a per-image tensor lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One image behind the other (and everything that is not per image).
    Plain,
    /// Groups of [`INTERLEAVE`] images, value by value: [groups, values, 16]. The last group is
    /// padded. A SIMD lane then works on an image of its own.
    Interleaved,
}

/// Images that stand side by side in [`Layout::Interleaved`].
pub const INTERLEAVE: usize = 16;

impl Layout {
    /// Where value `value` of the `values` of image `image` lies.
    pub fn place(self, image: usize, value: usize, values: usize) -> usize {
        match self {
            Layout::Plain => image * values + value,
            Layout::Interleaved => (image / INTERLEAVE * values + value) * INTERLEAVE + image % INTERLEAVE,
        }
    }

    /// Elements that `images` images of `values` values take.
    pub fn len(self, images: usize, values: usize) -> usize {
        match self {
            Layout::Plain => images * values,
            Layout::Interleaved => images.next_multiple_of(INTERLEAVE) * values,
        }
    }
}

/// A range of a buffer, in elements of four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    pub buffer: BufferId,
    pub offset: usize,
    pub len: usize,
    pub layout: Layout,
}

impl View {
    pub fn plain(buffer: BufferId, offset: usize, len: usize) -> View {
        View { buffer, offset, len, layout: Layout::Plain }
    }

    /// The part of a plain view that starts `offset` elements in.
    pub fn part(&self, offset: usize, len: usize) -> View {
        debug_assert!(self.layout == Layout::Plain && offset + len <= self.len);
        View { offset: self.offset + offset, len, ..*self }
    }

    pub fn range(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.len
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    /// Every element is overwritten, or updated in place (`var<storage, read_write>`).
    Write,
}

/// One named argument of a kernel. The name is the WGSL variable's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operand {
    pub name: &'static str,
    pub access: Access,
    pub view: View,
}

/// The value of one WGSL `override`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Constant {
    U32(u32),
    F32(f32),
    Bool(bool),
}

impl Constant {
    /// As pipeline creation wants it; exact for all three kinds.
    pub fn as_f64(self) -> f64 {
        match self {
            Constant::U32(value) => f64::from(value),
            Constant::F32(value) => f64::from(value),
            Constant::Bool(value) => f64::from(u8::from(value)),
        }
    }
}

/// One launch of one kernel: plain data that any executor can run.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub op: &'static str,
    pub entry: &'static str,
    /// The layer it belongs to, for people.
    pub layer: String,
    /// Values of the kernel's overrides: the op's attributes.
    pub constants: Vec<(&'static str, Constant)>,
    pub operands: Vec<Operand>,
    /// Workgroups in all; the executor folds them over the grid's dimensions.
    pub workgroups: usize,
    /// Loop iterations of the busiest invocation.
    pub iterations: u64,
    /// Floating-point operations, a multiply-add counted as two.
    pub flops: u64,
}

impl Step {
    /// Bytes moved if every operand is touched once.
    pub fn bytes(&self) -> u64 {
        self.operands.iter().map(|operand| 4 * operand.view.len as u64).sum()
    }

    pub fn operand(&self, name: &str) -> Option<&Operand> {
        self.operands.iter().find(|operand| operand.name == name)
    }
}

/// Work of a kernel beyond its operands.
pub(crate) struct Cost {
    pub workgroups: usize,
    pub iterations: u64,
    pub flops: u64,
}

impl Cost {
    /// One invocation for each of `count` results.
    pub fn each(count: usize, iterations: usize, flops: usize) -> Cost {
        Cost {
            workgroups: count.div_ceil(WORKGROUP).max(1),
            iterations: iterations as u64,
            flops: flops as u64,
        }
    }

    /// One workgroup for each of `count` results.
    pub fn groups(count: usize, iterations: usize, flops: usize) -> Cost {
        Cost { workgroups: count, iterations: iterations as u64, flops: flops as u64 }
    }
}

/// A value that can be an attribute of an op, and so an override of its kernels.
pub trait Attribute: Sized {
    fn constant(self) -> Constant;
    /// `None` where the constant is of another kind or not a value of this type.
    fn from_constant(constant: Constant) -> Option<Self>;
}

macro_rules! plain_attribute {
    ($($ty:ty => $kind:ident),*) => {$(
        impl Attribute for $ty {
            fn constant(self) -> Constant {
                Constant::$kind(self)
            }
            fn from_constant(constant: Constant) -> Option<Self> {
                match constant {
                    Constant::$kind(value) => Some(value),
                    _ => None,
                }
            }
        }
    )*};
}
plain_attribute!(u32 => U32, f32 => F32, bool => Bool);

/// Declares an op's attributes once: the struct that Rust uses and the overrides that its WGSL
/// declares under the same names (a test reads them from the WGSL).
macro_rules! attributes {
    ($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$field_meta:meta])* pub $field:ident: $ty:ty),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $ty,)*
        }

        impl $name {
            /// Attribute names, in order.
            pub fn names() -> Vec<&'static str> {
                vec![$(stringify!($field)),*]
            }

            pub fn constants(&self) -> Vec<(&'static str, $crate::ops::Constant)> {
                vec![$((stringify!($field), $crate::ops::Attribute::constant(self.$field))),*]
            }

            /// The attributes a step was made with.
            ///
            /// # Panics
            /// If the step is of another op: steps come from these very functions.
            pub fn of(step: &$crate::ops::Step) -> Self {
                let mut constants = step.constants.iter();
                $name {
                    $($field: constants
                        .next()
                        .filter(|(name, _)| *name == stringify!($field))
                        .and_then(|(_, value)| $crate::ops::Attribute::from_constant(*value))
                        .unwrap_or_else(|| panic!(
                            "{}.{} lacks the attribute {}",
                            step.op, step.entry, stringify!($field)
                        )),)*
                }
            }
        }
    };
}
pub(crate) use attributes;

/// Declares an attribute that is one of a few named kinds, numbered from 0 as in the WGSL.
macro_rules! kinds {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$m:meta])* $kind:ident = $number:literal as $text:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
        pub enum $name {
            $($(#[$m])* #[serde(rename = $text)] #[cfg_attr(feature = "cli", value(name = $text))] $kind = $number),*
        }

        impl $crate::ops::Attribute for $name {
            fn constant(self) -> $crate::ops::Constant {
                $crate::ops::Constant::U32(self as u32)
            }
            fn from_constant(constant: $crate::ops::Constant) -> Option<Self> {
                match constant {
                    $($crate::ops::Constant::U32($number) => Some($name::$kind),)*
                    _ => None,
                }
            }
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [$name] = &[$($name::$kind),*];
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $($name::$kind => $text),* })
            }
        }
    };
}
pub(crate) use kinds;

/// Makes a step; the arguments stand as in the WGSL, reads before writes.
pub(crate) fn step(
    (op, entry): (&'static str, &'static str),
    constants: Vec<(&'static str, Constant)>,
    reads: &[(&'static str, View)],
    writes: &[(&'static str, View)],
    cost: Cost,
) -> Step {
    let operand = |access| move |&(name, view): &(&'static str, View)| Operand { name, access, view };
    Step {
        op,
        entry,
        layer: String::new(),
        constants,
        operands: reads
            .iter()
            .map(operand(Access::Read))
            .chain(writes.iter().map(operand(Access::Write)))
            .collect(),
        workgroups: cost.workgroups,
        iterations: cost.iterations,
        flops: cost.flops,
    }
}
