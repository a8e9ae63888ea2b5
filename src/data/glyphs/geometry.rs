//! Points, strokes and distances, in pixels from the middle of the image.

/// A position in pixels, relative to the middle of the image; x to the right, y down.
pub(super) type Point = [f32; 2];

#[derive(Clone, Debug)]
pub(super) struct Stroke {
    pub(super) points: Vec<Point>,
    /// Whether the last point leads back to the first.
    pub(super) closed: bool,
}

/// Straight pieces that make up the strokes.
pub(super) fn segments(strokes: &[Stroke]) -> Vec<[Point; 2]> {
    const PIECES: usize = 6;
    let mut segments = Vec::new();
    for Stroke { points, closed } in strokes {
        let (n, last) = (points.len(), points.len().saturating_sub(1));
        if let ([a, b], false) = (&points[..], closed) {
            segments.push([*a, *b]);
            continue;
        }
        let curves = if *closed { 0..n } else { 1..last };
        for i in curves {
            let control = points[i];
            let before = points[(i + n - 1) % n];
            let after = points[(i + 1) % n];
            let start = if !closed && i == 1 { before } else { between(before, control, 0.5) };
            let end = if !closed && i + 1 == last { after } else { between(control, after, 0.5) };
            let mut from = start;
            for piece in 1..=PIECES {
                let t = piece as f32 / PIECES as f32;
                let to = between(between(start, control, t), between(control, end, t), t);
                segments.push([from, to]);
                from = to;
            }
        }
    }
    segments
}

/// Points along the strokes, a pixel apart; at least one.
pub(super) fn trace(strokes: &[Stroke]) -> Vec<Point> {
    let mut points = Vec::new();
    let mut next = 0.0;
    for [a, b] in segments(strokes) {
        let [x, y] = minus(b, a);
        let length = (x * x + y * y).sqrt();
        while next <= length {
            points.push(if length > 0.0 { between(a, b, next / length) } else { a });
            next += 1.0;
        }
        next -= length;
    }
    points
}

/// The square of the distance from `point` to the nearest point of a segment.
pub(super) fn square_distance(point: Point, [a, b]: [Point; 2]) -> f32 {
    let [along_x, along_y] = minus(b, a);
    let [x, y] = minus(point, a);
    let length = along_x * along_x + along_y * along_y;
    let t = if length > 0.0 { ((x * along_x + y * along_y) / length).clamp(0.0, 1.0) } else { 0.0 };
    let [x, y] = [x - t * along_x, y - t * along_y];
    x * x + y * y
}

/// (cosine, sine) of the angle whose half has the tangent `t`.
pub(super) fn rotation(t: f32) -> [f32; 2] {
    [(1.0 - t * t) / (1.0 + t * t), 2.0 * t / (1.0 + t * t)]
}

pub(super) fn turned([cos, sin]: [f32; 2], [x, y]: Point) -> Point {
    [cos * x - sin * y, sin * x + cos * y]
}

pub(super) fn plus(a: Point, b: Point) -> Point {
    [a[0] + b[0], a[1] + b[1]]
}

pub(super) fn minus(a: Point, b: Point) -> Point {
    [a[0] - b[0], a[1] - b[1]]
}

pub(super) fn between(a: Point, b: Point, t: f32) -> Point {
    [a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])]
}
