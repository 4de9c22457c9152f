// SPDX-License-Identifier: GPL-2.0-only
//! Parses, dispatches, maps errors to exit codes.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use xtask::cli::{Cli, Command};
use xtask::error::Error;
use xtask::{cmd, interrupt, manners};

fn main() -> ExitCode {
    let cli = Cli::parse();
    manners::set(cli.everywhere.manners());
    let result = interrupt::install().map_err(|error| Error::Infra(error.into())).and_then(|()| unpanicked(cli));
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// A panic is a fault of ours, and says nothing about a kernel: Rust's own exit code
/// for it would read as `build-failed`.
fn unpanicked(cli: Cli) -> Result<u8, Error> {
    std::panic::catch_unwind(|| run(cli))
        .unwrap_or_else(|_| Err(Error::Infra(anyhow::anyhow!("this is a bug of xtask; the message above says where"))))
}

fn run(cli: Cli) -> Result<u8, Error> {
    let checkout = checkout();
    match cli.command {
        Command::Test(args) => cmd::test::run(&args, &checkout),
        Command::Matrix(args) => cmd::matrix::run(&args, &checkout),
        Command::Nightly(args) => cmd::nightly::run(&args, &checkout),
        Command::Storm(args) => cmd::storm::run(&args, &checkout),
        Command::Series(args) => cmd::series::run(&args, &checkout),
        Command::Review(args) => cmd::review::run(&args, &checkout),
        Command::Bisect(args) => cmd::bisect::run(&args, &checkout),
        Command::Doctor(args) => cmd::doctor::run(&args),
        Command::Bench(args) => cmd::bench::run(&args, &checkout),
        Command::Judge(args) => cmd::judge::run(&args, &checkout),
        Command::Report(args) => cmd::report::run(&args, &checkout),
        Command::Results(args) => cmd::results::run(&args, &checkout),
        Command::Watch(args) => cmd::watch::run(&args, &checkout),
        Command::Shell(args) => cmd::shell::run(&args, &checkout),
        Command::Debug(args) => cmd::debug::run(&args, &checkout),
        Command::Logs(args) => cmd::logs::run(&args, &checkout),
        Command::Open(args) => cmd::open::run(&args, &checkout),
        Command::Du(args) => cmd::du::run(&args, &checkout),
        Command::Clean(args) => cmd::clean::run(&args, &checkout),
        Command::Completions(args) => cmd::completions::run(&args),
        Command::Man(args) => cmd::man::run(&args),
    }
}

/// The checkout that this program belongs to: patches, kconfigs and results lie there,
/// wherever it is called from. Cargo says which one it runs: where several checkouts
/// share a target folder, that can be another than the program was built in.
fn checkout() -> PathBuf {
    let built = || PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(built, PathBuf::from);
    manifest.parent().map(PathBuf::from).unwrap_or(manifest)
}
