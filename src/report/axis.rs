//! Where values lie on a chart, which of them are written at its edge, and how its edges are drawn.

use maud::{Markup, html};

/// A length or position in a drawing, in its units.
pub fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_string).unwrap_or(text)
}

/// What lies between the axes of a drawing, in its units.
#[derive(Clone, Copy, Debug)]
pub struct Area {
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
}

impl Area {
    /// A line across for each tick, given its height, with its text at the left; and the edge below.
    pub fn rows(&self, ticks: impl Iterator<Item = (f64, String)>) -> Markup {
        html! {
            @for (y, text) in ticks {
                line.grid x1=(px(self.left)) x2=(px(self.right)) y1=(px(y)) y2=(px(y)) {}
                text.tick x=(px(self.left - 7.0)) y=(px(y + 4.0)) text-anchor="end" { (text) }
            }
            line.edge x1=(px(self.left)) x2=(px(self.right)) y1=(px(self.bottom)) y2=(px(self.bottom)) {}
        }
    }

    /// The rows of an axis.
    pub fn values(&self, axis: &Axis) -> Markup {
        self.rows(axis.ticks.iter().map(|&tick| (self.y(axis, tick), axis.text(tick))))
    }

    /// Height of a value.
    pub fn y(&self, axis: &Axis, value: f64) -> f64 {
        axis.place(value, self.bottom, self.top)
    }

    /// A mark below the edge for each tick, given its place, with its text; and what they count.
    pub fn columns(&self, ticks: impl Iterator<Item = (f64, String)>, name: &str) -> Markup {
        html! {
            @for (x, text) in ticks {
                line.edge x1=(px(x)) x2=(px(x)) y1=(px(self.bottom)) y2=(px(self.bottom + 4.0)) {}
                text.tick x=(px(x)) y=(px(self.bottom + 18.0)) text-anchor="middle" { (text) }
            }
            text.name x=(px((self.left + self.right) / 2.0)) y=(px(self.bottom + 38.0)) text-anchor="middle" { (name) }
        }
    }
}

/// An axis from `low` to `high`.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    pub low: f64,
    pub high: f64,
    pub ticks: Vec<f64>,
    /// Decimals that the ticks need.
    pub decimals: usize,
}

impl Axis {
    /// From a round number at or below `min` to one at or above `max`, with about five round steps.
    pub fn around(min: f64, max: f64) -> Self {
        let min = if min < max { min } else { max - 1.0 };
        let step = round_step((max - min) / 5.0);
        // A last bit of rounding must not cost a whole step.
        let first = (min / step + 1e-9).floor();
        let last = (max / step - 1e-9).ceil();
        let ticks: Vec<f64> = (0..=(last - first) as usize).map(|i| (first + i as f64) * step).collect();
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        Self { low: first * step, high: last * step, ticks, decimals }
    }

    /// From the first epoch to the last: whole numbers at round steps, the first one among them.
    pub fn epochs(first: u64, last: u64) -> Self {
        if first >= last {
            let only = first as f64;
            return Self { low: only - 0.5, high: only + 0.5, ticks: vec![only], decimals: 0 };
        }
        let step = (round_step((last - first) as f64 / 8.0) as u64).max(1);
        // None so near the first one that their texts would touch.
        let rest = (first + 1..=last).filter(|epoch| epoch % step == 0 && epoch - first > step / 2);
        let ticks = std::iter::once(first).chain(rest).map(|epoch| epoch as f64).collect();
        Self { low: first as f64, high: last as f64, ticks, decimals: 0 }
    }

    /// Position of a value, between those of `low` and `high`.
    pub fn place(&self, value: f64, at_low: f64, at_high: f64) -> f64 {
        at_low + (value - self.low) / (self.high - self.low) * (at_high - at_low)
    }

    pub fn text(&self, value: f64) -> String {
        format!("{value:.*}", self.decimals)
    }
}

/// The smallest of 1, 2, 5, 10, ... (and their parts by tens) that is at least `least`.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powi(least.log10().floor() as i32);
    [1.0, 2.0, 5.0].into_iter().map(|digit| digit * power).find(|&step| step >= least).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(axis: &Axis) -> Vec<String> {
        axis.ticks.iter().map(|&tick| axis.text(tick)).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(texts(&Axis::around(0.0, 0.0944)), ["0.00", "0.02", "0.04", "0.06", "0.08", "0.10"]);
        assert_eq!(texts(&Axis::around(91.2, 100.0)), ["90", "92", "94", "96", "98", "100"]);
        assert_eq!(texts(&Axis::around(100.0, 100.0)), ["99.0", "99.2", "99.4", "99.6", "99.8", "100.0"]);
    }

    #[test]
    fn epochs_are_whole() {
        assert_eq!(texts(&Axis::epochs(1, 1)), ["1"]);
        assert_eq!(texts(&Axis::epochs(1, 3)), ["1", "2", "3"]);
        assert_eq!(texts(&Axis::epochs(1, 100)), ["1", "20", "40", "60", "80", "100"]);
        assert_eq!(texts(&Axis::epochs(1, 1500)), ["1", "200", "400", "600", "800", "1000", "1200", "1400"]);
    }

    #[test]
    fn the_ends_are_placed_at_the_ends() {
        let axis = Axis::around(0.0, 1.0);
        assert_eq!((axis.place(0.0, 240.0, 40.0), axis.place(1.0, 240.0, 40.0)), (240.0, 40.0));
        assert_eq!(Axis::epochs(1, 1).place(1.0, 0.0, 10.0), 5.0);
    }

    proptest! {
        #[test]
        fn everything_lies_on_the_axis(min in -1e3..1e3f64, size in 1e-6..1e6f64) {
            let axis = Axis::around(min, min + size);
            let slack = 1e-6 * size;
            prop_assert!(axis.low <= min + slack && min + size <= axis.high + slack, "{axis:?}");
            prop_assert!((2..=8).contains(&axis.ticks.len()), "{axis:?}");
        }

        #[test]
        fn accuracies_never_go_beyond_all(min in 0.0..100.0f64, size in 0.0..100.0f64) {
            let axis = Axis::around(min, (min + size).min(100.0));
            prop_assert!(axis.high <= 100.0, "{axis:?}");
        }
    }
}
