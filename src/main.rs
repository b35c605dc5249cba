//! `ringkeeper`: the command line, around the library.

use std::process::ExitCode;

use ringkeeper::cli::{Cli, Command};

fn main() -> ExitCode {
    let command = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli.into_command(),
        Err(error) => error.exit(),
    };
    let done = match command {
        Command::Server(args) => ringkeeper::server::run(&args),
        Command::Inspect(args) => ringkeeper::inspect::run(&args),
        Command::Export(args) => ringkeeper::export::run(&args),
        Command::Ensemble(args) => ringkeeper::trial::run(&args),
    };
    done.into()
}
