//! The results of an experiment: the paper's figures beside ours, as a page, as Markdown and as text.
//!
//! | module | holds |
//! | --- | --- |
//! | [`metric`] | what tables compare |
//! | [`figures`] | drawings: curves, sensitivity, pairs |

pub mod figures;
mod metric;
#[cfg(test)]
mod tests;

use std::fmt::Write;

use maud::{Markup, html as markup};

pub use metric::Metric;

use super::{number, page};

/// What came of an experiment.
#[derive(Clone, Debug)]
pub struct Results {
    pub title: String,
    pub about: String,
    /// What a reader must know before the figures.
    pub notes: Vec<String>,
    pub tables: Vec<Table>,
    pub drawings: Vec<Drawing>,
    pub runs: Vec<RunLine>,
}

/// A table of the paper, with our figures.
#[derive(Clone, Debug)]
pub struct Table {
    pub title: String,
    pub metrics: Vec<Metric>,
    pub rows: Vec<Row>,
}

#[derive(Clone, Debug)]
pub struct Row {
    pub label: String,
    pub epochs: Cell,
    /// One for each of the table's metrics.
    pub cells: Vec<Cell>,
    /// Runs of the row that are not finished.
    pub awaited: usize,
}

/// The paper's figure and ours, one for each seed.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    pub paper: Option<f64>,
    pub ours: Vec<f64>,
}

/// A figure, and the name of its file without `.svg`.
#[derive(Clone, Debug)]
pub struct Drawing {
    pub file: String,
    pub title: String,
    pub picture: figures::Picture,
}

/// A run, for the list of them.
#[derive(Clone, Debug)]
pub struct RunLine {
    pub folder: String,
    /// `None` where the run is not finished.
    pub epochs: Option<f64>,
    pub whole_epochs: u64,
    pub best_epoch: Option<f64>,
    pub seconds: Option<f64>,
    pub test_accuracy: Option<f64>,
}

/// Mean and spread of figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub mean: f64,
    pub low: f64,
    pub high: f64,
    /// Standard deviation of the population that seeds are a sample of (n - 1); `None` of one alone.
    pub deviation: Option<f64>,
}

impl Spread {
    /// `None` of nothing.
    pub fn of(values: &[f64]) -> Option<Self> {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        (!values.is_empty()).then(|| Spread {
            mean,
            low: values.iter().copied().fold(f64::INFINITY, f64::min),
            high: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            deviation: (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt()),
        })
    }
}

impl Cell {
    fn paper(&self, metric: Metric) -> String {
        self.paper.map_or(String::new(), |value| metric.text(value))
    }

    /// Mean, and where there are several seeds, what they spread over.
    fn ours(&self, metric: Metric) -> (String, Option<String>) {
        let Some(spread) = Spread::of(&self.ours) else { return (String::new(), None) };
        let text = |value| metric.text(value);
        let range = spread.deviation.filter(|_| spread.low < spread.high).map(|deviation| {
            format!(
                "{} to {}, sd {}, n = {}",
                text(spread.low),
                text(spread.high),
                text(deviation),
                self.ours.len()
            )
        });
        (text(spread.mean), range)
    }
}

/// A metric of a table; the paper's figures have a column only where there are any.
struct Column {
    metric: Metric,
    /// Its place among the table's metrics; none for the epochs, which always stand first.
    at: Option<usize>,
    paper: bool,
}

impl Column {
    fn cell<'a>(&self, row: &'a Row) -> &'a Cell {
        self.at.map_or(&row.epochs, |at| &row.cells[at])
    }
}

impl Table {
    fn columns(&self) -> Vec<Column> {
        let own = self.metrics.iter().enumerate().map(|(at, &metric)| (metric, Some(at)));
        let column = |(metric, at)| {
            let column = Column { metric, at, paper: true };
            let paper = self.rows.iter().any(|row| column.cell(row).paper.is_some());
            Column { paper, ..column }
        };
        std::iter::once((Metric::Epochs, None)).chain(own).map(column).collect()
    }
}

/// The page of an experiment: one file, which needs no other and runs no script.
#[must_use]
pub fn html(results: &Results) -> String {
    let header = markup! {
        @if !results.about.is_empty() { p.lede { (results.about) } }
        @for note in &results.notes { p.note { (note) } }
    };
    let main = markup! {
        @for table in &results.tables {
            section { h2 { (table.title) } (html_table(table)) }
        }
        @for drawing in &results.drawings {
            section { h2 { (drawing.title) } figure { (drawing.picture.inline()) } }
        }
        @if !results.runs.is_empty() { section { h2 { "Runs" } (html_runs(&results.runs)) } }
    };
    page(&results.title, figures::STYLE, header, main)
}

fn html_table(table: &Table) -> Markup {
    let columns = table.columns();
    let span = |column: &Column| if column.paper { "2" } else { "1" };
    markup! {
        div.scroll tabindex="0" role="region" aria-label=(table.title) { table.figures.compared {
            thead {
                tr {
                    td {}
                    @for column in &columns {
                        th.group colspan=(span(column)) scope="colgroup" { (column.metric.heading()) }
                    }
                }
                tr {
                    td {}
                    @for column in &columns {
                        @if column.paper { th scope="col" { "paper" } }
                        th scope="col" { "ours" }
                    }
                }
            }
            tbody {
                @for row in &table.rows {
                    tr {
                        th scope="row" {
                            (row.label)
                            @if row.awaited > 0 { span.range { (number::counted(row.awaited, "run")) " to come" } }
                        }
                        @for column in &columns { (html_cells(column, row)) }
                    }
                }
            }
        } }
    }
}

fn html_cells(column: &Column, row: &Row) -> Markup {
    let cell = column.cell(row);
    let (mean, range) = cell.ours(column.metric);
    markup! {
        @if column.paper { td.paper { (cell.paper(column.metric)) } }
        td.ours { (mean) @if let Some(range) = range { span.range { (range) } } }
    }
}

fn html_runs(runs: &[RunLine]) -> Markup {
    let whole = |value: Option<f64>| value.map_or("not finished".to_string(), |value| format!("{value:.0}"));
    markup! {
        div.scroll tabindex="0" role="region" aria-label="Runs" { table.figures {
            thead { tr {
                th scope="col" { "Folder" }
                th scope="col" { "Epochs" }
                th scope="col" { "Best epoch" }
                th scope="col" { "Training time" }
                th scope="col" { "Test pairs,\u{a0}%" }
            } }
            tbody {
                @for run in runs {
                    tr {
                        th scope="row" { (run.folder) }
                        td { (whole(run.epochs)) " of " (run.whole_epochs) }
                        td { (run.best_epoch.map_or(String::new(), |epoch| format!("{epoch:.0}"))) }
                        td { (run.seconds.map_or(String::new(), number::seconds)) }
                        td { (run.test_accuracy.map_or(String::new(), |value| format!("{value:.2}"))) }
                    }
                }
            }
        } }
    }
}

/// The tables as rows of texts: a heading, then a line for each row.
fn rows(table: &Table) -> Vec<Vec<String>> {
    let columns = table.columns();
    let mut head = vec![String::new()];
    for Column { metric, paper, .. } in &columns {
        let heading = |whose: &str| format!("{}: {whose}", metric.heading());
        head.extend(paper.then(|| heading("paper")));
        head.push(heading("ours"));
    }
    let mut rows = vec![head];
    for row in &table.rows {
        let awaited = match row.awaited {
            0 => String::new(),
            runs => format!(" ({runs} runs to come)"),
        };
        let mut line = vec![format!("{}{awaited}", row.label)];
        for column in &columns {
            let cell = column.cell(row);
            let (mean, range) = cell.ours(column.metric);
            line.extend(column.paper.then(|| cell.paper(column.metric)));
            line.push(range.map_or(mean.clone(), |range| format!("{mean} ({range})")));
        }
        rows.push(line);
    }
    rows
}

/// The results as Markdown, with figures by their files.
#[must_use]
pub fn markdown(results: &Results) -> String {
    let cell = |text: &String| text.replace('|', "\\|").replace('\n', " ");
    // Writing to a string cannot fail.
    let mut text = format!("# {}\n", results.title);
    if !results.about.is_empty() {
        let _ = write!(text, "\n{}\n", results.about.trim());
    }
    if !results.notes.is_empty() {
        text.push('\n');
    }
    for note in &results.notes {
        let _ = writeln!(text, "- {note}");
    }
    for table in &results.tables {
        let _ = write!(text, "\n## {}\n\n", table.title);
        for (number, row) in rows(table).iter().enumerate() {
            let _ = writeln!(text, "| {} |", row.iter().map(cell).collect::<Vec<_>>().join(" | "));
            if number == 0 {
                let _ = writeln!(text, "| --- |{}", " ---: |".repeat(row.len() - 1));
            }
        }
    }
    for Drawing { file, title, .. } in &results.drawings {
        let _ = write!(text, "\n## {title}\n\n![{title}]({file}.svg)\n");
    }
    if !results.runs.is_empty() {
        text.push_str("\n## Runs\n\n| folder | epochs | best epoch | training seconds | test pairs, % |\n");
        text.push_str("| --- | ---: | ---: | ---: | ---: |\n");
    }
    for run in &results.runs {
        let figure =
            |value: Option<f64>, decimals: usize| value.map_or(String::new(), |v| format!("{v:.decimals$}"));
        let epochs = run.epochs.map_or("not finished".into(), |epochs| format!("{epochs:.0}"));
        let _ = writeln!(
            text,
            "| {} | {epochs} of {} | {} | {} | {} |",
            run.folder,
            run.whole_epochs,
            figure(run.best_epoch, 0),
            figure(run.seconds, 1),
            figure(run.test_accuracy, 2)
        );
    }
    text
}

/// The tables as lines for a terminal: one for each figure that either side has.
#[must_use]
pub fn text(results: &Results) -> String {
    let mut text = String::new();
    for note in &results.notes {
        let _ = writeln!(text, "note: {note}");
    }
    for table in &results.tables {
        let _ = writeln!(text, "{}", table.title);
        for row in &table.rows {
            let columns = table.columns();
            let cells = columns.iter().map(|column| (column.metric, column.cell(row)));
            for (metric, cell) in cells.filter(|(_, cell)| cell.paper.is_some() || !cell.ours.is_empty()) {
                let (mean, range) = cell.ours(metric);
                let none = |text: String| if text.is_empty() { "none".to_string() } else { text };
                let _ = writeln!(
                    text,
                    "  {:<28} {:<44} paper {:>8}   ours {:>8}{}",
                    row.label,
                    metric.heading(),
                    none(cell.paper(metric)),
                    none(mean),
                    range.map_or(String::new(), |range| format!("   ({range})"))
                );
            }
        }
    }
    text.trim_end().to_string()
}
