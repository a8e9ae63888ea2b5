//! Arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    gpu_siamese::cli::main()
}
