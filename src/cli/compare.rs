//! `gpu-siamese compare`: whether two pictures show the same.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::trained::{self, Trained};
use super::{Failure, block_on, print_json, print_line, say};
use crate::data::{Album, Pair, Shape};
use crate::eval;

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    network: trained::Arguments,
    /// Picture of any common format and size; see the README for what is done to it
    a: PathBuf,
    /// What to compare it with
    b: PathBuf,
    #[command(flatten)]
    pictures: trained::Pictures,
    /// End with 1 where they are different, with 0 where they are the same
    #[arg(long)]
    exit_code: bool,
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
    let preparation = trained.preparation(&arguments.pictures);
    let Shape { channels, height, width } = trained.description.input;
    let mut album = Album::prepared(trained.description.input, preparation);
    let (a, b) = (album.add_picture(&arguments.a)?, album.add_picture(&arguments.b)?);
    for warning in &album.warnings {
        say(format_args!("warning: {warning}"));
    }
    let mut executor = trained.executor(&album, 1)?;
    let scores = block_on(eval::score(executor.as_mut(), &[Pair { a, b, same: false }]))?;
    let score = scores[0];
    let same = f64::from(score.similarity) > trained.threshold;
    if arguments.json {
        print_json(&json!({
            "a": arguments.a.display().to_string(),
            "b": arguments.b.display().to_string(),
            "distance": score.distance,
            "similarity": score.similarity,
            "threshold": trained.threshold,
            "same": same,
            "preparation": {
                "channels": channels,
                "height": height,
                "width": width,
                "fit": preparation.fit,
                "filter": preparation.filter,
                "polarity": preparation.polarity,
                "standardize": trained.description.standardize,
                "training_images": preparation.seen,
            },
            "warnings": album.warnings,
        }))?;
    } else {
        print_line(&format!("distance {:.6}", score.distance))?;
        print_line(&format!("similarity {:.6} (threshold {:.4})", score.similarity, trained.threshold))?;
        print_line(if same { "same" } else { "different" })?;
    }
    Ok(if arguments.exit_code && !same { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
