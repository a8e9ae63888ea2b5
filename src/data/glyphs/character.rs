//! Inventing the characters of an alphabet, no two of them alike.

use super::Glyphs;
use super::geometry::{Point, Stroke, minus, plus, rotation, segments, square_distance, trace, turned};
use crate::data::{Random, Stream};

#[derive(Clone, Debug)]
pub(super) struct Character {
    pub(super) strokes: Vec<Stroke>,
    /// Usual width of a line, in pixels.
    pub(super) width: f32,
}

/// What the characters of an alphabet have in common.
pub(super) struct Style {
    least_strokes: u32,
    most_strokes: u32,
    /// Share of strokes that are curved.
    curved: f32,
    /// Share of strokes that are rings.
    rings: f32,
    /// Share of strokes that begin where an earlier one begins or ends.
    joined: f32,
    /// Points that strokes may begin or end at are on a grid of this many columns and rows.
    columns: u32,
    rows: u32,
    width: f32,
}

impl Style {
    pub(super) fn of(alphabet: usize, seed: u64) -> Self {
        let mut random = Random::new(seed, Stream::GlyphStyles, alphabet as u64, 0);
        let least_strokes = 2 + random.below(2);
        Self {
            least_strokes,
            most_strokes: (least_strokes + 1 + random.below(2)).min(4),
            curved: random.between(0.25, 0.75),
            rings: random.between(0.05, 0.25),
            joined: random.between(0.4, 0.9),
            columns: 3 + random.below(2),
            rows: 3 + random.below(2),
            width: random.between(2.0, 2.8),
        }
    }

    /// A point of the grid, which is 16 pixels high and wide.
    fn anchor(&self, random: &mut Random) -> Point {
        let mut place = |n: u32| 16.0 * (random.below(n) as f32 / (n - 1) as f32) - 8.0;
        [place(self.columns), place(self.rows)]
    }

    /// A proposal for a character; not all are good ones.
    pub(super) fn propose(&self, random: &mut Random) -> Character {
        let count = self.least_strokes + random.below(self.most_strokes - self.least_strokes + 1);
        let mut strokes: Vec<Stroke> = Vec::new();
        let mut ends: Vec<Point> = Vec::new();
        for _ in 0..count {
            if random.uniform() < self.rings {
                let centre = self.anchor(random);
                let (x, y) = (random.between(2.5, 5.0), random.between(2.5, 5.0));
                let corners = [[-x, -y], [x, -y], [x, y], [-x, y]];
                let points = corners.map(|corner| plus(centre, corner)).to_vec();
                strokes.push(Stroke { points, closed: true });
                continue;
            }
            let join = random.uniform() < self.joined && !ends.is_empty();
            let start =
                if join { ends[random.below(ends.len() as u32) as usize] } else { self.anchor(random) };
            let mut end = self.anchor(random);
            while end == start {
                end = self.anchor(random);
            }
            let mut points = vec![start];
            if random.uniform() < self.curved {
                let [x, y] = minus(end, start);
                let side = if random.below(2) == 0 { 1.0 } else { -1.0 };
                let bulge = side * random.between(0.4, 0.9);
                if random.below(4) == 0 {
                    // An S: first to one side, then to the other.
                    points.push(plus(start, [x / 3.0 - bulge * y, y / 3.0 + bulge * x]));
                    points.push(plus(end, [-x / 3.0 + bulge * y, -y / 3.0 - bulge * x]));
                } else {
                    points.push(plus(start, [x / 2.0 - bulge * y, y / 2.0 + bulge * x]));
                }
            }
            points.push(end);
            ends.extend([start, end]);
            strokes.push(Stroke { points, closed: false });
        }
        Character { strokes, width: self.width }
    }
}

/// The characters of all alphabets, alphabet by alphabet.
pub(super) fn alphabets(glyphs: &Glyphs, seed: u64) -> Vec<Character> {
    let mut characters = Vec::new();
    let mut outlines: Vec<Outline> = Vec::new();
    for alphabet in 0..glyphs.alphabets {
        let style = Style::of(alphabet, seed);
        for _ in 0..glyphs.classes_per_alphabet {
            let (character, outline) = invent(&style, &outlines, characters.len(), seed);
            characters.push(character);
            outlines.push(outline);
        }
    }
    characters
}

/// Least distance between two characters, in pixels: see [`Outline::near`].
pub(super) const DISTINCT: f32 = 1.5;

/// Proposals that are held to `DISTINCT`; each later one is held to 2 % less, so that an end is
/// certain even where hundreds of classes leave little room.
const STRICT: u64 = 50;

/// Proposals that have to be readable, a limit that no style comes near.
const READABLE: u64 = 10_000;

/// The first readable proposal that is unlike all earlier characters.
pub(super) fn invent(style: &Style, earlier: &[Outline], class: usize, seed: u64) -> (Character, Outline) {
    let mut distinct = DISTINCT;
    let mut attempt = 0;
    loop {
        let mut random = Random::new(seed, Stream::Glyphs, class as u64, attempt);
        let mut character = style.propose(&mut random);
        attempt += 1;
        if fit(&mut character) && !crowded(&character) || attempt > READABLE {
            let outline = Outline::of(&character);
            if !earlier.iter().any(|other| outline.near(other, distinct)) {
                return (character, outline);
            }
        }
        if attempt > STRICT {
            distinct *= 0.98;
        }
    }
}

/// Puts a character into the middle and makes it 17 pixels high or wide, as digits are in MNIST.
/// Says whether it is also wide and high enough to be more than a line.
pub(super) fn fit(character: &mut Character) -> bool {
    let (mut low, mut high) = ([f32::INFINITY; 2], [f32::NEG_INFINITY; 2]);
    for [a, b] in segments(&character.strokes) {
        for axis in 0..2 {
            low[axis] = low[axis].min(a[axis]).min(b[axis]);
            high[axis] = high[axis].max(a[axis]).max(b[axis]);
        }
    }
    let [width, height] = minus(high, low);
    let scale = 17.0 / width.max(height).max(1.0);
    for point in character.strokes.iter_mut().flat_map(|stroke| &mut stroke.points) {
        for axis in 0..2 {
            point[axis] = scale * (point[axis] - (low[axis] + high[axis]) / 2.0);
        }
    }
    scale * width >= 8.0 && scale * height >= 11.0
}

/// Whether a stroke is too short to be seen, or lies mostly on the rest of the character.
pub(super) fn crowded(character: &Character) -> bool {
    character.strokes.iter().enumerate().any(|(i, stroke)| {
        let own = trace(std::slice::from_ref(stroke));
        let others: Vec<Stroke> = character
            .strokes
            .iter()
            .enumerate()
            .filter(|&(j, _)| j != i)
            .map(|(_, other)| other.clone())
            .collect();
        let others = segments(&others);
        let far = own
            .iter()
            .filter(|&&point| others.iter().all(|&segment| square_distance(point, segment) > 2.5 * 2.5))
            .count();
        // Points are a pixel apart.
        far < 4
    })
}

/// A character as points a pixel apart, for comparison.
pub(super) struct Outline {
    points: Vec<Point>,
    /// Distance to the nearest point, for each pixel of a field of `FIELD` x `FIELD` around the middle.
    field: Vec<f32>,
}

const FIELD: usize = 32;

impl Outline {
    pub(super) fn of(character: &Character) -> Self {
        let mut points = trace(&character.strokes);
        let count = points.len() as f32;
        let sum = points.iter().fold([0.0; 2], |sum, &point| plus(sum, point));
        let middle = [sum[0] / count, sum[1] / count];
        points.iter_mut().for_each(|point| *point = minus(*point, middle));
        let at = |i: usize| i as f32 - (FIELD / 2) as f32;
        let mut field = vec![f32::INFINITY; FIELD * FIELD];
        for &[x, y] in &points {
            for (row, distances) in field.chunks_exact_mut(FIELD).enumerate() {
                let dy = at(row) - y;
                for (column, square) in distances.iter_mut().enumerate() {
                    let dx = at(column) - x;
                    *square = square.min(dx * dx + dy * dy);
                }
            }
        }
        field.iter_mut().for_each(|square| *square = square.sqrt());
        Self { points, field }
    }

    /// Whether two characters are less than `distinct` pixels apart: the mean distance from a point
    /// of the one to the nearest of the other, the larger of both directions, in the closest of some
    /// rotations that images undergo.
    pub(super) fn near(&self, other: &Self, distinct: f32) -> bool {
        [0.0, -0.085, 0.085, -0.17, 0.17]
            .into_iter()
            .any(|t| self.mean_to(other, t) < distinct && other.mean_to(self, -t) < distinct)
    }

    fn mean_to(&self, other: &Self, t: f32) -> f32 {
        let turn = rotation(t);
        let place = |x: f32| ((x + (FIELD / 2) as f32 + 0.5).max(0.0) as usize).min(FIELD - 1);
        let sum: f32 = self
            .points
            .iter()
            .map(|&point| {
                let [x, y] = turned(turn, point);
                other.field[place(y) * FIELD + place(x)]
            })
            .sum();
        sum / self.points.len() as f32
    }
}
