//! `gpu-siamese adapters`: what this machine has.

use std::process::ExitCode;

use clap::Args;

use super::{Failure, block_on, print_json, print_line};
use crate::gpu::adapters;

#[derive(Args)]
pub struct Arguments {
    /// Print JSON to stdout
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let candidates = block_on(adapters::all());
    if arguments.json {
        let listings: Vec<_> = candidates.iter().map(|candidate| candidate.listing()).collect();
        print_json(&listings)?;
    } else {
        for candidate in &candidates {
            print_line(&candidate.line())?;
        }
        print_line("cpu: always there (--adapter cpu)")?;
    }
    Ok(ExitCode::SUCCESS)
}
