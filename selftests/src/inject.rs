// SPDX-License-Identifier: GPL-2.0-only
//! Faults that a test of the tests asks for, to see that they are noticed.
//!
//! Owns: the environment variable `KVM_GUP_IO_INJECT`, `WHAT:CELL` or `WHAT:BEHAVIOUR`, which a
//! kernel's command line passes to PID 1 like any other `NAME=value`. Must not:
//! do anything without it.
//!
//! | `WHAT` | effect in `CELL` |
//! |---|---|
//! | `kill` | the test process kills itself while a read is withheld |
//! | `exit` | it exits with code 7 while a read is withheld |
//! | `hang` | it stops for ever while a read is withheld |
//! | `blind` | the IO is withheld without any fault, as in `control.released` |
//!
//! In place of a cell `stress` may stand, for the stress of guest memory; `pattern` also for a storm:
//!
//! | `WHAT` | effect in the stress |
//! |---|---|
//! | `pattern` | the first vCPU writes what belongs into another page |
//! | `idle` | nothing is done to the memory but reclaim |
//! | `stall` | the second vCPU stops for ever |
//! | `kill` | the test process kills itself |

use std::time::Duration;

use nix::sys::signal::{Signal, raise};
use selftests::cell::{Cell, Control, Situation};

const VARIABLE: &str = "KVM_GUP_IO_INJECT";

/// What is asked for in the cell or behaviour `place`, in the text of the variable.
fn parse<'a>(text: &'a str, place: &str) -> Option<&'a str> {
    let (what, name) = text.split_once(':')?;
    (name == place).then_some(what)
}

fn asked(place: &str) -> Option<String> {
    parse(&std::env::var(VARIABLE).ok()?, place).map(str::to_owned)
}

/// What is measured in `cell`: the cell's own situation, unless it is blinded.
pub(crate) fn situation(cell: Cell) -> Situation {
    match asked(&cell.to_string()).as_deref() {
        Some("blind") => Situation::Control(Control::Released),
        _ => cell.situation,
    }
}

/// Is `what` asked for in the stress?
pub(crate) fn in_stress(what: &str) -> bool {
    std::env::var(VARIABLE).is_ok_and(|text| text.split_once(':') == Some((what, "stress")))
}

/// Ends or stops this process if that is asked for.
pub(crate) fn while_withheld(place: &str) {
    match asked(place).as_deref() {
        Some("kill") => {
            if let Err(error) = raise(Signal::SIGKILL) {
                eprintln!("selftests: raise(SIGKILL): {error}");
            }
        }
        Some("exit") => std::process::exit(7),
        Some("hang") => loop {
            std::thread::sleep(Duration::from_secs(3600));
        },
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_cell_is_meant() {
        let place = "anon.sync.read@1";
        assert_eq!(parse("hang:anon.sync.read@1", place), Some("hang"));
        assert_eq!(parse("hang:anon.sync.read@8", place), None);
        assert_eq!(parse("hang", place), None);
    }
}
