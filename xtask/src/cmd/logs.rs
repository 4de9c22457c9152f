// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask logs`: what the boots of a run wrote.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use super::write_out;
use crate::cli::LogsArgs;
use crate::error::Error;
use crate::store;

/// In this order; what is empty is left out.
const FILES: [&str; 3] = ["console.raw", "qemu.stderr", "registers.txt"];

/// Prints them, each below its path.
///
/// # Errors
/// There is no such run, or no such boot in it.
pub fn run(args: &LogsArgs, checkout: &Path) -> Result<u8, Error> {
    let dir = store::find(checkout, args.run.as_deref())?;
    let mut boots = boots(&dir)?;
    let names: Vec<String> = boots.iter().map(|boot| name(boot)).collect();
    if let Some(wanted) = args.boot.iter().find(|wanted| !names.contains(wanted)) {
        let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(Error::NothingSelected(anyhow!("{} has no boot {wanted:?}; it has {there}", dir.display())));
    }
    boots.retain(|boot| args.boot.is_empty() || args.boot.contains(&name(boot)));
    let logs = boots.iter().flat_map(|boot| FILES.map(|file| boot.join(file)));
    for log in logs.filter(|log| log.metadata().is_ok_and(|data| data.len() > 0)) {
        let text = if args.paths { format!("{}\n", log.display()) } else { section(&log)? };
        write_out(text.as_bytes())?;
    }
    if args.boot.is_empty() {
        for target in store::read_info(&dir)?.targets {
            let Some(stopped) = target.stopped else { continue };
            write_out(
                format!("==> {} ended early: {} <==\n{}\n", target.target, stopped.verdict, stopped.message).as_bytes(),
            )?;
        }
    }
    Ok(0)
}

/// The folders of the boots, by name.
fn boots(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    let mut boots: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    boots.retain(|path| path.join("argv.json").is_file());
    boots.sort();
    Ok(boots)
}

fn name(boot: &Path) -> String {
    boot.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A log with its path above it, and nothing in it that a terminal would obey.
fn section(log: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::read(log).with_context(|| format!("cannot read {}", log.display()))?;
    let text = String::from_utf8_lossy(&bytes);
    let text = console::strip_ansi_codes(&text);
    let plain: String = text.chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control()).collect();
    let end = if plain.ends_with('\n') { "" } else { "\n" };
    Ok(format!("==> {} <==\n{plain}{end}", log.display()))
}
