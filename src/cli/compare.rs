//! `gpu-siamese compare`: whether two pictures show the same.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::trained::{self, Trained};
use super::{Failure, block_on, print_json, print_line};
use crate::data::Album;
use crate::data::pair_list::{ListedPair, Member};
use crate::eval;

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    network: trained::Arguments,
    /// Picture of any common format and size; see the README for what is done to it
    a: PathBuf,
    /// What to compare it with
    b: PathBuf,
    /// Dark ink on light paper: invert both pictures
    #[arg(long)]
    invert: bool,
    /// Print JSON to stdout
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let trained = Trained::read(&arguments.network)?;
    if trained.is_classifier() {
        let model = &trained.description.model;
        return Err(Failure::Usage(format!(
            "{model} classifies images and compares none; name another network"
        )));
    }
    let [a, b] = [&arguments.a, &arguments.b].map(PathBuf::clone);
    let names = [&a, &b].map(|path| path.display().to_string());
    let pair = ListedPair { a: Member::File(a), b: Member::File(b), names, same: None, line: 1 };
    let mut album = Album::new(trained.description.input);
    let pairs = album.add_list(std::slice::from_ref(&pair), None, arguments.invert)?;
    let mut executor = trained.executor(&album, 1)?;
    let scores = block_on(eval::score(executor.as_mut(), &pairs))?;
    let score = scores[0];
    let same = f64::from(score.similarity) > trained.threshold;
    if arguments.json {
        print_json(&json!({
            "a": pair.names[0],
            "b": pair.names[1],
            "distance": score.distance,
            "similarity": score.similarity,
            "threshold": trained.threshold,
            "same": same,
        }))?;
    } else {
        print_line(&format!("distance {:.6}", score.distance))?;
        print_line(&format!("similarity {:.6} (threshold {:.4})", score.similarity, trained.threshold))?;
        print_line(if same { "same" } else { "different" })?;
    }
    Ok(ExitCode::SUCCESS)
}
