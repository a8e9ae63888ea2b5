//! Cross-entropy of the softmax of logits, on the CPU.

use super::{Io, Real};
use crate::ops::Layout;
use crate::ops::softmax_cross_entropy::SoftmaxCrossEntropy;

/// An image's logits, and the first of the largest.
struct Logits<T> {
    values: Vec<T>,
    best: usize,
}

impl<T: Real> Logits<T> {
    fn of(loss: &SoftmaxCrossEntropy, x: &[T], image: usize, layout: Layout) -> Self {
        let classes = loss.classes as usize;
        let values: Vec<T> = (0..classes).map(|c| x[layout.place(image, c, classes)]).collect();
        let best = (1..classes).fold(0, |best, c| if values[c] > values[best] { c } else { best });
        Logits { values, best }
    }

    fn exp(&self, class: usize) -> T {
        (self.values[class] - self.values[self.best]).exp()
    }

    fn sum_of_exp(&self) -> T {
        let mut sum = T::of(0.0);
        for class in 0..self.values.len() {
            sum += self.exp(class);
        }
        sum
    }
}

fn forward<T: Real>(loss: &SoftmaxCrossEntropy, io: &mut Io<'_, T>, layout: Layout) {
    let (x, label, history) = (io.read("x"), io.words("label"), io.write("history"));
    let label = &label[(io.slot.first + loss.first) as usize..];
    let (mut sum, mut hits) = (T::of(0.0), 0);
    for (image, &wanted) in label.iter().enumerate().take(loss.count(io.slot.count)) {
        let logits = Logits::of(loss, x, image, layout);
        sum += logits.sum_of_exp().ln() + (logits.values[logits.best] - logits.values[wanted as usize]);
        hits += u32::from(logits.best == wanted as usize);
    }
    let row = 2 * io.slot.index as usize;
    let found = [sum / T::of(io.slot.count as f32), T::of(hits as f32)];
    super::put(&mut history[row..row + 2], &found, loss.accumulate);
}

fn backward<T: Real>(loss: &SoftmaxCrossEntropy, io: &mut Io<'_, T>, layout: Layout) {
    let (x, label, dx) = (io.read("x"), io.words("label"), io.write("dx"));
    let label = &label[(io.slot.first + loss.first) as usize..];
    let classes = loss.classes as usize;
    let filled = loss.count(io.slot.count);
    for image in 0..loss.images as usize {
        let logits = Logits::of(loss, x, image, layout);
        let sum = logits.sum_of_exp();
        for class in 0..classes {
            let gradient = if image < filled {
                let wanted = T::of(if label[image] as usize == class { 1.0 } else { 0.0 });
                (logits.exp(class) / sum - wanted) / T::of(io.slot.count as f32)
            } else {
                T::of(0.0)
            };
            dx[layout.place(image, class, classes)] = gradient;
        }
    }
}

/// Plain loops, one image behind the other.
pub mod reference {
    use super::{Io, Layout, Real, SoftmaxCrossEntropy};

    pub fn forward<T: Real>(loss: &SoftmaxCrossEntropy, io: &mut Io<'_, T>) {
        super::forward(loss, io, Layout::Plain);
    }

    pub fn backward<T: Real>(loss: &SoftmaxCrossEntropy, io: &mut Io<'_, T>) {
        super::backward(loss, io, Layout::Plain);
    }
}

/// The same on interleaved images: a few numbers an image are not worth more.
pub mod fast {
    use super::{Io, Layout, SoftmaxCrossEntropy};

    pub fn forward(loss: &SoftmaxCrossEntropy, io: &mut Io<'_, f32>) {
        super::forward(loss, io, Layout::Interleaved);
    }

    /// Images that only pad the last group get no gradient, so they count in no sum.
    pub fn backward(loss: &SoftmaxCrossEntropy, io: &mut Io<'_, f32>) {
        io.pad("dx", 0.0, loss.images as usize, loss.classes as usize);
        super::backward(loss, io, Layout::Interleaved);
    }
}
