//! An experiment's file: what to run, and which tables and figures to make of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

use crate::cli::{Config, Failure};
use crate::report::results::Metric;

/// A file as it is written. `docs/experiments.md` explains the keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Experiment {
    pub title: String,
    #[serde(default)]
    pub about: String,
    /// Seeds of every run that names none.
    #[serde(default = "one_seed")]
    seeds: Vec<u64>,
    /// Settings that all runs share.
    #[serde(default)]
    base: toml::Table,
    runs: Vec<toml::Table>,
    #[serde(default)]
    pub tables: Vec<Table>,
    #[serde(default)]
    pub figures: Vec<Figure>,
}

fn one_seed() -> Vec<u64> {
    vec![0]
}

/// A table of the paper.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Table {
    pub title: String,
    pub metrics: Vec<Metric>,
    pub rows: Vec<Row>,
}

/// A line of a table: a run of ours, figures of the paper, or both.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Row {
    pub run: Option<String>,
    /// What the line is called; a run's own label if left out.
    pub label: Option<String>,
    /// The paper's figures, by the names of metrics.
    #[serde(default)]
    pub paper: BTreeMap<Metric, f64>,
}

/// A figure of the paper.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Figure {
    pub kind: FigureKind,
    /// Name of its file, without `.svg`.
    pub file: String,
    pub title: String,
    pub runs: Vec<String>,
    /// What `sensitivity` shows.
    pub metric: Option<Metric>,
    /// The paper's figures that `sensitivity` shows, by run.
    #[serde(default)]
    pub paper: BTreeMap<String, f64>,
}

/// What a figure shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FigureKind {
    /// Loss and accuracy by epoch, training and validation.
    Curves,
    /// Training pairs labelled POS and NEG.
    LabelledPairs,
    /// Test pairs with their similarity above.
    ScoredPairs,
    /// A metric by run, each seed a point.
    Sensitivity,
}

/// One training run: settings, which name its seed, and its folder's name.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub name: String,
    pub label: Option<String>,
    pub config: Config,
    /// Epochs that the file asks for; the settings' are those that the budget leaves.
    pub whole_epochs: u64,
    pub folder: String,
    /// Folder of the run whose best weights this one begins with.
    pub init_run: Option<String>,
}

impl Experiment {
    /// Reads a file.
    ///
    /// # Errors
    /// Names the file, the line and the key.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        Self::parse(&crate::cli::read_text(path)?, path)
    }

    /// The experiment in the text of a file; `path` is for messages.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, Failure> {
        let wrong = |message: String| Failure::Usage(format!("{}: {message}", path.display()));
        let experiment: Experiment = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        let runs = experiment.runs(1.0).map_err(wrong)?;
        experiment.check(&runs).map_err(wrong)?;
        Ok(experiment)
    }

    /// Every run, in order: each of the file's for each of its seeds, with the epochs that a share
    /// `budget` of the work leaves, at least one.
    ///
    /// # Errors
    /// What is wrong with a run, in words.
    pub fn runs(&self, budget: f64) -> Result<Vec<Run>, String> {
        let mut runs = Vec::new();
        for (number, table) in self.runs.iter().enumerate() {
            let mut settings = self.base.clone();
            settings.extend(table.clone());
            let mut text = |key: &str| match settings.remove(key) {
                None => Ok(None),
                Some(toml::Value::String(text)) => Ok(Some(text)),
                Some(value) => Err(format!("run {}: {key} is {value}, but must be text", number + 1)),
            };
            let (name, label, init_run) = (text("name")?, text("label")?, text("init-run")?);
            let name =
                name.ok_or(format!("run {} has no name; give it one, as in name = \"mnist\"", number + 1))?;
            check_name("run", &name)?;
            let seeds = match settings.remove("seeds") {
                None => self.seeds.clone(),
                Some(seeds) => seeds.try_into().map_err(|error| format!("run {name}: seeds: {error}"))?,
            };
            if seeds.is_empty() || seeds.iter().collect::<BTreeSet<_>>().len() < seeds.len() {
                return Err(format!("run {name}: seeds must be one or several different numbers"));
            }
            if settings.contains_key("seed") {
                return Err(format!("run {name}: write seeds = [0, 1] instead of seed"));
            }
            if let Some(init) = &init_run
                && !seeds
                    .iter()
                    .all(|&seed| runs.iter().any(|run: &Run| run.name == *init && run.config.seed == seed))
            {
                return Err(format!(
                    "run {name}: init-run \"{init}\" is no run before it with the same seeds"
                ));
            }
            let config: Config = settings.try_into().map_err(|error| format!("run {name}: {error}"))?;
            for seed in seeds {
                let epochs = ((config.epochs as f64 * budget).round() as u64).max(1);
                let config = Config { seed, epochs, ..config.clone() };
                config.check().map_err(|failure| format!("run {name}: {failure}"))?;
                runs.push(Run {
                    label: label.clone(),
                    whole_epochs: config_epochs(&self.base, table, epochs),
                    folder: format!("{name}-seed{seed}"),
                    init_run: init_run.as_ref().map(|init| format!("{init}-seed{seed}")),
                    name: name.clone(),
                    config,
                });
            }
        }
        Ok(runs)
    }

    /// Whether tables and figures are of runs that there are.
    fn check(&self, runs: &[Run]) -> Result<(), String> {
        let names: BTreeSet<&str> = runs.iter().map(|run| run.name.as_str()).collect();
        if names.len() < self.runs.len() {
            return Err("two runs have the same name".into());
        }
        let known = |place: &str, name: &str| match names.contains(name) {
            true => Ok(()),
            false => {
                let names: Vec<&str> = names.iter().copied().collect();
                Err(format!("{place}: there is no run \"{name}\"; the runs are: {}", names.join(", ")))
            }
        };
        for table in &self.tables {
            for row in &table.rows {
                match (&row.run, &row.label) {
                    (Some(run), _) => known(&table.title, run)?,
                    (None, Some(_)) => {}
                    (None, None) => return Err(format!("{}: a row needs a run or a label", table.title)),
                }
            }
        }
        let mut files = BTreeSet::new();
        for figure in &self.figures {
            check_name("figure file", &figure.file)?;
            if !files.insert(&figure.file) {
                return Err(format!("{}: two figures have the file {}", figure.title, figure.file));
            }
            figure.runs.iter().chain(figure.paper.keys()).try_for_each(|run| known(&figure.title, run))?;
            let wants_metric = figure.kind == FigureKind::Sensitivity;
            if figure.runs.is_empty() || figure.metric.is_some() != wants_metric {
                return Err(format!(
                    "{}: a figure needs runs, and one of sensitivity (no other) a metric",
                    figure.title
                ));
            }
        }
        Ok(())
    }

    /// Whether tables or figures need this run trained; pairs that training would draw are had without.
    pub fn trains(&self, name: &str) -> bool {
        let of_table =
            self.tables.iter().flat_map(|table| &table.rows).any(|row| row.run.as_deref() == Some(name));
        let figures = self.figures.iter().filter(|figure| figure.kind != FigureKind::LabelledPairs);
        let drawn = self.figures.iter().any(|figure| figure.runs.iter().any(|run| run == name));
        // A run that nothing is made of is run for its own sake.
        of_table || !drawn || figures.flat_map(|figure| &figure.runs).any(|run| run == name)
    }
}

/// The epochs that the file asks for.
fn config_epochs(base: &toml::Table, run: &toml::Table, otherwise: u64) -> u64 {
    let epochs = run.get("epochs").or(base.get("epochs")).and_then(toml::Value::as_integer);
    epochs.map_or(otherwise, |epochs| epochs as u64)
}

/// Names become names of files.
fn check_name(what: &str, name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !name.is_empty() && name.chars().all(plain) && !name.starts_with('.') {
        return Ok(());
    }
    Err(format!("{what} \"{name}\": a name has letters, digits, -, _ and . only"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        title = "Two rates"
        seeds = [0, 1]
        [base]
        epochs = 8
        lr = 0.5
        [[runs]]
        name = "slow"
        lr = 0.25
        [[runs]]
        name = "fast"
        seeds = [7]
        label = "Fast"
        [[runs]]
        name = "never"
        [[tables]]
        title = "A table"
        metrics = ["test_accuracy"]
        rows = [{ run = "slow", paper = { test_accuracy = 99.0, epochs = 50 } }, { label = "Theirs" }]
        [[figures]]
        kind = "labelled-pairs"
        file = "figure2"
        title = "Pairs"
        runs = ["never"]
        [[figures]]
        kind = "sensitivity"
        file = "rates"
        title = "Rates"
        metric = "test_accuracy"
        runs = ["slow", "fast"]
        paper = { slow = 99.0 }
    "#;

    fn parse(text: &str) -> Result<Experiment, Failure> {
        Experiment::parse(text, Path::new("file.toml"))
    }

    #[test]
    fn every_run_is_made_for_every_seed() {
        let experiment = parse(FILE).unwrap();
        let runs = experiment.runs(1.0).unwrap();
        let told: Vec<_> =
            runs.iter().map(|r| (r.folder.as_str(), r.config.lr, r.config.seed, r.config.epochs)).collect();
        assert_eq!(
            told,
            [
                ("slow-seed0", 0.25, 0, 8),
                ("slow-seed1", 0.25, 1, 8),
                ("fast-seed7", 0.5, 7, 8),
                ("never-seed0", 0.5, 0, 8),
                ("never-seed1", 0.5, 1, 8)
            ]
        );
        assert_eq!(runs[2].label.as_deref(), Some("Fast"));
        assert!(experiment.trains("slow") && experiment.trains("fast") && !experiment.trains("never"));
    }

    #[test]
    fn a_run_begins_with_the_weights_of_one_of_its_seed() {
        let text = FILE.replacen("name = \"never\"", "name = \"never\"\ninit-run = \"slow\"", 1);
        let runs = parse(&text).unwrap().runs(1.0).unwrap();
        let init: Vec<_> = runs.iter().map(|run| run.init_run.as_deref()).collect();
        assert_eq!(init, [None, None, None, Some("slow-seed0"), Some("slow-seed1")]);
    }

    #[test]
    fn a_budget_leaves_whole_epochs() {
        let experiment = parse(FILE).unwrap();
        for (budget, epochs) in [(1.0, 8), (0.5, 4), (0.3, 2), (0.01, 1)] {
            for run in experiment.runs(budget).unwrap() {
                assert_eq!((run.config.epochs, run.whole_epochs), (epochs, 8), "{budget}");
            }
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (from, to, words) in [
            ("lr = 0.25", "learning-rate = 0.25", "run slow: unknown field `learning-rate`"),
            ("lr = 0.25", "lr = -0.25", "run slow: --lr -0.25"),
            ("lr = 0.25", "seed = 3", "run slow: write seeds"),
            ("seeds = [7]", "seeds = [7, 7]", "run fast: seeds"),
            ("seeds = [7]", "seeds = 7", "run fast: seeds"),
            ("lr = 0.25", "init-run = \"fast\"", "run slow: init-run \"fast\" is no run before it"),
            ("name = \"never\"", "name = \"never\"\ninit-run = \"fast\"", "run never: init-run \"fast\""),
            ("name = \"slow\"", "", "run 1 has no name"),
            ("name = \"slow\"", "name = 3", "must be text"),
            ("name = \"slow\"", "name = \"a/b\"", "letters, digits"),
            ("name = \"slow\"", "name = \"fast\"", "two runs have the same name"),
            (
                "run = \"slow\"",
                "run = \"slew\"",
                "A table: there is no run \"slew\"; the runs are: fast, never, slow",
            ),
            ("label = \"Theirs\"", "", "a row needs a run or a label"),
            ("[\"test_accuracy\"]", "[\"tset_accuracy\"]", "tset_accuracy"),
            ("metric = \"test_accuracy\"", "", "Rates: a figure needs runs"),
            ("file = \"rates\"", "file = \"figure2\"", "two figures have the file"),
            ("kind = \"sensitivity\"", "kind = \"pie\"", "pie"),
            ("title = \"Two rates\"", "titel = \"Two rates\"", "titel"),
        ] {
            let message = parse(&FILE.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(message.contains("file.toml") && message.contains(words), "{to}: {message}");
        }
    }
}
