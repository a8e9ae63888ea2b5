//! Functions of one or two tensors, element by element, on strided operands: broadcasts, slices, concatenations and
//! transposes are the same op with other strides and offsets.

use super::{Cost, Step, View, attributes, kinds, step};

kinds! {
    /// What becomes of an element `a` of the first operand and `b` of the second. NaN operands give NaN.
    pub enum Function {
        Identity = 0 as "identity",
        /// `a * scalar`
        Scale = 1 as "scale",
        /// `a + scalar`
        Shift = 2 as "shift",
        Abs = 3 as "abs",
        Square = 4 as "square",
        Sqrt = 5 as "sqrt",
        Exp = 6 as "exp",
        Log = 7 as "log",
        Reciprocal = 8 as "reciprocal",
        /// 0 of 0.
        Sign = 9 as "sign",
        /// 1 where `a > scalar`, else 0.
        Step = 10 as "step",
        /// `max(a, scalar)`
        AtLeast = 11 as "at-least",
        Sigmoid = 12 as "sigmoid",
        /// `ln(1 + exp(a))`
        Softplus = 13 as "softplus",
        Tanh = 14 as "tanh",
        Add = 15 as "add",
        Subtract = 16 as "subtract",
        Multiply = 17 as "multiply",
        Divide = 18 as "divide",
        Maximum = 19 as "maximum",
        Minimum = 20 as "minimum",
        /// 1 where `a > b`, else 0.
        Greater = 21 as "greater",
        /// 1 where `a == b`, else 0.
        Equal = 22 as "equal",
        /// The scalar itself.
        Fill = 23 as "fill",
    }
}

impl Function {
    /// Operands that it reads.
    pub fn arity(self) -> usize {
        match self {
            Function::Fill => 0,
            function if (function as u32) < Function::Add as u32 => 1,
            _ => 2,
        }
    }
}

attributes! {
    /// `y[y_offset + sum_d i_d y_d] = f(a[a_offset + sum_d i_d a_d], b[b_offset + sum_d i_d b_d])` for each index `i` of
    /// the four sizes. Elements of `y` that no index meets stay as they are; no two indices may meet the same one.
    pub struct Elementwise {
        pub function: Function,
        pub scalar: f32,
        /// Of the result, the last one fastest.
        pub size0: u32,
        pub size1: u32,
        pub size2: u32,
        pub size3: u32,
        pub y_offset: u32,
        pub y0: u32,
        pub y1: u32,
        pub y2: u32,
        pub y3: u32,
        /// A stride of 0 repeats what it reads.
        pub a_offset: u32,
        pub a0: u32,
        pub a1: u32,
        pub a2: u32,
        pub a3: u32,
        pub b_offset: u32,
        pub b0: u32,
        pub b1: u32,
        pub b2: u32,
        pub b3: u32,
        /// Add to what `y` holds instead of overwriting it.
        pub accumulate: bool,
    }
}

/// Where an operand's elements lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strided {
    pub offset: u32,
    pub strides: [u32; 4],
}

impl Strided {
    /// One value for every index.
    pub const ONE: Strided = Strided { offset: 0, strides: [0; 4] };

    /// One element behind the other.
    pub fn dense([_, size1, size2, size3]: [u32; 4]) -> Self {
        Strided { offset: 0, strides: [size1 * size2 * size3, size2 * size3, size3, 1] }
    }
}

impl Elementwise {
    /// Overwrites; `a` and `b` are ignored where the function does not read them.
    pub fn new(function: Function, scalar: f32, sizes: [u32; 4], [y, a, b]: [Strided; 3]) -> Self {
        let [size0, size1, size2, size3] = sizes;
        let ([y0, y1, y2, y3], [a0, a1, a2, a3], [b0, b1, b2, b3]) = (y.strides, a.strides, b.strides);
        let (y_offset, a_offset, b_offset, accumulate) = (y.offset, a.offset, b.offset, false);
        Elementwise {
            function,
            scalar,
            size0,
            size1,
            size2,
            size3,
            y_offset,
            y0,
            y1,
            y2,
            y3,
            a_offset,
            a0,
            a1,
            a2,
            a3,
            b_offset,
            b0,
            b1,
            b2,
            b3,
            accumulate,
        }
    }

    /// Of `count` elements, all operands alike.
    pub fn flat(function: Function, scalar: f32, count: u32) -> Self {
        let sizes = [1, 1, 1, count];
        Elementwise::new(function, scalar, sizes, [Strided::dense(sizes); 3])
    }

    pub fn sizes(&self) -> [u32; 4] {
        [self.size0, self.size1, self.size2, self.size3]
    }

    pub fn y(&self) -> Strided {
        Strided { offset: self.y_offset, strides: [self.y0, self.y1, self.y2, self.y3] }
    }

    pub fn a(&self) -> Strided {
        Strided { offset: self.a_offset, strides: [self.a0, self.a1, self.a2, self.a3] }
    }

    pub fn b(&self) -> Strided {
        Strided { offset: self.b_offset, strides: [self.b0, self.b1, self.b2, self.b3] }
    }

    fn step(&self, entry: &'static str, arity: usize, reads: &[(&'static str, View)], y: View) -> Step {
        debug_assert_eq!(self.function.arity(), arity, "{}", self.function);
        let count = self.sizes().iter().map(|&size| size as usize).product();
        // Terms of the logarithm's series.
        let cost = Cost::each(count, 6, count);
        step(("elementwise", entry), self.constants(), reads, &[("y", y)], cost)
    }

    /// Writes the scalar to `y`.
    pub fn fill(&self, y: View) -> Step {
        self.step("fill", 0, &[], y)
    }

    /// `a` -> `y`.
    pub fn unary(&self, a: View, y: View) -> Step {
        self.step("unary", 1, &[("a", a)], y)
    }

    /// `a`, `b` -> `y`.
    pub fn binary(&self, a: View, b: View, y: View) -> Step {
        self.step("binary", 2, &[("a", a), ("b", b)], y)
    }
}
