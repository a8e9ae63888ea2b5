//! One-shot tasks as pictures, and how often each alphabet's were solved.

use maud::{Markup, html};

use super::{number, page, picture, tables, tiles};
use crate::data::Dataset;
use crate::eval::oneshot::{Answer, Solved, Task, Tasks};

/// How many tasks are shown.
const SHOWN: usize = 12;

/// Widest pictures, in CSS pixels: of the query, and of a support set.
const QUERY: usize = 84;
const SUPPORT: usize = 42;

/// What a page of one-shot tasks tells.
pub struct OneShotPage<'a> {
    pub title: String,
    /// How the tasks were made.
    pub lede: String,
    /// What a reader must know before the figures.
    pub notes: Vec<String>,
    /// What ran where.
    pub facts: Vec<(&'static str, String)>,
    /// Holds the images that tasks number.
    pub dataset: &'a Dataset,
    pub tasks: &'a Tasks,
    pub solved: &'a Solved,
}

/// A page of its own. The same tasks and answers give the same bytes.
#[must_use]
pub fn oneshot_html(told: &OneShotPage) -> String {
    let figures = &told.solved.figures;
    let error = format!("mean, give or take {:.2} (standard error)", figures.standard_error);
    let right = format!("{} of them right", number::percent(figures.accuracy_of_tasks));
    let header = html! {
        p.lede { (told.lede) }
        @for note in &told.notes { p.note { (note) } }
        (tiles([
            ("One-shot accuracy", (number::percent(figures.accuracy), error)),
            ("Tasks", (number::grouped(figures.tasks as u64), right)),
            ("Without an answer", (number::percent(figures.ties), "several at the least distance: wrong".into())),
            ("Guessing", (number::percent(chance(told.tasks)), "would be right so often".into())),
        ]))
    };
    let main = html! {
        (section(told.dataset, told.tasks, told.solved))
        section { h2 { "What ran where" } (tables::list(&told.facts)) }
    };
    page(&told.title, "", header, main)
}

/// Tasks right by chance, in percent.
fn chance(tasks: &Tasks) -> f64 {
    let share = |task: &Task| tasks.shots as f64 / task.support.len().max(1) as f64;
    100.0 * tasks.list.iter().map(share).sum::<f64>() / tasks.list.len().max(1) as f64
}

/// Tasks as pictures, and a table of the alphabets.
pub(super) fn section(dataset: &Dataset, tasks: &Tasks, solved: &Solved) -> Markup {
    let shown = shown(tasks);
    html! {
        section {
            h2 { "One-shot tasks" }
            p {
                (shown.len()) " of " (number::counted(tasks.list.len(), "task")) ". Left the query; right the support "
                "set, " @if tasks.shots == 1 { "a drawing" } @else { "the first of " (tasks.shots) " drawings" }
                " of each character. ✓: the character that is right. ✗: the one that the network chose instead. "
                "Guessing would be right in " (number::percent(chance(tasks))) " of the tasks."
            }
            ul.tasks {
                @for number in shown {
                    @if let (Some(task), Some(answer)) = (tasks.list.get(number), solved.answers.get(number)) {
                        (card(dataset, tasks, task, answer))
                    }
                }
            }
        }
        section {
            h2 { "By alphabet" }
            div.scroll tabindex="0" role="region" aria-label="By alphabet" { table.figures {
                thead { tr {
                    th scope="col" { "Alphabet" }
                    th scope="col" { "Tasks" }
                    th scope="col" { "Right,\u{a0}%" }
                } }
                tbody {
                    @for alphabet in &solved.figures.alphabets {
                        tr {
                            th scope="row" { (alphabet.name) }
                            td { (number::grouped(alphabet.tasks as u64)) }
                            td { (format!("{:.1}", alphabet.accuracy)) }
                        }
                    }
                    tr.best {
                        th scope="row" { "Mean" }
                        td { (number::grouped(solved.figures.tasks as u64)) }
                        td {
                            (format!("{:.2} ± {:.2}", solved.figures.accuracy, solved.figures.standard_error))
                        }
                    }
                }
            } }
        }
    }
}

/// The first task of each alphabet, then the second, and so on; in the order of the list.
fn shown(tasks: &Tasks) -> Vec<usize> {
    let mut met = vec![0usize; tasks.alphabets.len()];
    let mut turns: Vec<(usize, usize)> = tasks
        .list
        .iter()
        .enumerate()
        .map(|(number, task)| {
            let turn = &mut met[task.alphabet as usize];
            *turn += 1;
            (*turn, number)
        })
        .collect();
    turns.sort_unstable();
    let mut shown: Vec<usize> = turns.into_iter().take(SHOWN).map(|(_, number)| number).collect();
    shown.sort_unstable();
    shown
}

fn card(dataset: &Dataset, tasks: &Tasks, task: &Task, answer: &Answer) -> Markup {
    let right = answer.is_right(task);
    let verdict = match answer.choice {
        Some(_) if right => "✓ right",
        Some(_) => "✗ wrong",
        None => "✗ no answer: the least distance is not at one character alone",
    };
    let alphabet = tasks.alphabets.get(task.alphabet as usize).map_or("", String::as_str);
    html! {
        li {
            div.above {
                strong { (alphabet) }
                span.verdict.wrong[!right] { (verdict) }
            }
            div.task {
                (image(dataset, task.query, QUERY, "query"))
                div.support {
                    @for (class, drawings) in (0u32..).zip(task.support.chunks(tasks.shots.max(1))) {
                        @let (is_right, is_chosen) = (class == task.right, answer.choice == Some(class));
                        div.option.right[is_right].chosen[is_chosen && !is_right] {
                            (image(dataset, drawings[0], SUPPORT, match (is_right, is_chosen) {
                                (true, true) => "right, and chosen",
                                (true, false) => "right, but not chosen",
                                (false, true) => "chosen, but wrong",
                                (false, false) => "another character",
                            }))
                            @if is_right { span { "✓" } } @else if is_chosen { span { "✗" } }
                        }
                    }
                }
            }
        }
    }
}

/// A picture of so many pixels on the page, described.
fn image(dataset: &Dataset, index: u32, width: usize, what: &str) -> Markup {
    let shape = dataset.shape;
    html! {
        @match picture::data_uri(dataset, index) {
            Some(uri) => img src=(uri) width=(width) height=(width * shape.height / shape.width.max(1))
                alt=(format!("{what}, image {index}"));
            None => span.missing { "no image " (index) },
        }
    }
}
