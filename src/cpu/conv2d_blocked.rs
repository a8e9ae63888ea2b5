//! Convolution on operands that were laid out for another device. The products take them apart again and
//! leave the rest to the convolution and the activation: nobody computes with these on a CPU for speed.

use super::{Io, Real, activation};
use crate::ops::Layout;
use crate::ops::conv2d::Conv2d;
use crate::ops::conv2d_blocked::{Conv2dBlocked, block_at};

/// Images that a per-image tensor has room for.
fn stored_images(conv: &Conv2dBlocked, layout: Layout) -> usize {
    layout.len(conv.images as usize, 1)
}

/// Every place (channel, row, column) of planes.
fn places(channels: u32, height: usize, width: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..channels as usize * height * width)
        .map(move |at| (at / (height * width), at / width % height, at % width))
}

fn input_places(conv: &Conv2dBlocked) -> impl Iterator<Item = (usize, usize, usize)> {
    places(conv.in_channels, conv.in_height as usize, conv.in_width as usize)
}

/// Where each element of an image's input stands, spread.
fn spread_map(conv: &Conv2dBlocked) -> Vec<Option<usize>> {
    input_places(conv).map(|place| Some(conv.spread_at(place))).collect()
}

/// Where each element of an image's output gradient stands, by eight channels.
fn block_map(conv: &Conv2dBlocked) -> Vec<Option<usize>> {
    by_eight(conv.out_channels as usize, conv.conv().out_height() * conv.conv().out_width())
}

/// Where the values of planes stand, by eight channels.
pub(super) fn by_eight(channels: usize, places: usize) -> Vec<Option<usize>> {
    (0..channels * places).map(|at| Some(block_at(at / places, at % places, places))).collect()
}

/// Where each element of the weight stands.
fn weight_map(conv: &Conv2dBlocked, at: impl Fn([usize; 4]) -> usize) -> Vec<Option<usize>> {
    let (kernel, channels) = (conv.kernel as usize, conv.in_channels as usize);
    let place = |w: usize| {
        [w / (channels * kernel * kernel), w / (kernel * kernel) % channels, w / kernel % kernel, w % kernel]
    };
    (0..conv.conv().weight_len()).map(|w| Some(at(place(w)))).collect()
}

/// Copies values of `images` images to where `map` says; the rest becomes 0.
pub(super) fn lay_out<T: Real>(
    from: &[T],
    to: &mut [T],
    map: &[Option<usize>],
    images: usize,
    layout: Layout,
) {
    let values = to.len() / images;
    to.fill(T::of(0.0));
    for image in 0..images {
        for (value, place) in map.iter().enumerate() {
            if let Some(place) = *place {
                to[layout.place(image, place, values)] = from[layout.place(image, value, map.len())];
            }
        }
    }
}

/// The inverse of [`lay_out`]; what was left out is 0.
fn take_apart<T: Real>(from: &[T], map: &[Option<usize>], images: usize, layout: Layout) -> Vec<T> {
    let values = from.len() / images;
    let mut to = vec![T::of(0.0); images * map.len()];
    for image in 0..images {
        for (value, place) in map.iter().enumerate() {
            if let Some(place) = *place {
                to[layout.place(image, value, map.len())] = from[layout.place(image, place, values)];
            }
        }
    }
    to
}

/// The copies, in either layout, and the products with the convolution in that layout.
macro_rules! functions {
    ($layout:expr, $conv2d:ident, $real:ident $(, $generic:ident)?) => {
        pub fn spread_input$(<$generic: Real>)?(conv: &Conv2dBlocked, io: &mut Io<'_, $real>) {
            let (x, to) = (io.read("x"), io.write("laid_out"));
            lay_out(x, to, &spread_map(conv), stored_images(conv, $layout), $layout);
        }

        pub fn block_gradient$(<$generic: Real>)?(conv: &Conv2dBlocked, io: &mut Io<'_, $real>) {
            let (dz, to) = (io.read("dz"), io.write("laid_out"));
            lay_out(dz, to, &block_map(conv), stored_images(conv, $layout), $layout);
        }

        pub fn pack$(<$generic: Real>)?(conv: &Conv2dBlocked, io: &mut Io<'_, $real>) {
            let (weight, to) = (io.read("weight"), io.write("laid_out"));
            lay_out(weight, to, &weight_map(conv, |at| conv.packed_at(at)), 1, Layout::Plain);
        }

        pub fn pack_turned$(<$generic: Real>)?(conv: &Conv2dBlocked, io: &mut Io<'_, $real>) {
            let (weight, to) = (io.read("weight"), io.write("laid_out"));
            lay_out(weight, to, &weight_map(conv, |at| conv.turned_at(at)), 1, Layout::Plain);
        }

        pub fn forward$(<$generic: Real>)?(conv: &Conv2dBlocked, io: &mut Io<'_, $real>) {
            let x = take_apart(io.read("spread"), &spread_map(conv), stored_images(conv, $layout), $layout);
            let map = weight_map(conv, |at| conv.packed_at(at));
            let weight = take_apart(io.read("filters"), &map, 1, Layout::Plain);
            let (bias, y) = (io.read("bias"), io.write("y"));
            let reads = [("x", &x[..]), ("weight", &weight), ("bias", bias)];
            $conv2d::forward(&conv.conv(), &mut Io::of(io.slot, reads, [("y", &mut *y)]));
            if conv.activated {
                for y in y {
                    *y = activation::value(conv.activation, *y);
                }
            }
        }

        pub fn backward_input$(<$generic: Real>)?(conv: &Conv2dBlocked, io: &mut Io<'_, $real>) {
            let images = stored_images(conv, $layout);
            let dy = take_apart(io.read("blocked"), &block_map(conv), images, $layout);
            let map = weight_map(conv, |at| conv.turned_at(at));
            let weight = take_apart(io.read("filters"), &map, 1, Layout::Plain);
            let reads = [("dy", &dy[..]), ("weight", &weight)];
            let writes = [("dx", io.write("dx"))];
            $conv2d::backward_input(&conv.conv(), &mut Io::of(io.slot, reads, writes));
        }

        pub fn backward_weight$(<$generic: Real>)?(conv: &Conv2dBlocked, io: &mut Io<'_, $real>) {
            let images = stored_images(conv, $layout);
            let x = take_apart(io.read("spread"), &spread_map(conv), images, $layout);
            let dy = take_apart(io.read("blocks"), &block_map(conv), images, $layout);
            let reads = [("x", &x[..]), ("dy", &dy)];
            let writes = [("parts", io.write("parts"))];
            $conv2d::backward_weight(&conv.conv(), &mut Io::of(io.slot, reads, writes));
            let of_a_part = conv.images_per_part as usize * conv.conv().out_len();
            let bias_parts = io.write("bias_parts").chunks_exact_mut(conv.out_channels as usize);
            for (dy, dbias) in dy.chunks(of_a_part).zip(bias_parts) {
                let images = (dy.len() / conv.conv().out_len()) as u32;
                let part = Conv2d { images, ..conv.conv() };
                $conv2d::backward_bias(&part, &mut Io::of(io.slot, [("dy", dy)], [("dbias", dbias)]));
            }
        }
    };
}

/// Images one behind the other.
pub mod reference {
    use super::*;
    use crate::cpu::conv2d::reference as conv2d;

    functions!(Layout::Plain, conv2d, T, T);
}

/// Images interleaved.
pub mod fast {
    use super::*;
    use crate::cpu::conv2d::fast as conv2d;

    functions!(Layout::Interleaved, conv2d, f32);
}
