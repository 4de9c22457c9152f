// SPDX-License-Identifier: GPL-2.0-only
//! Parses and dispatches; what runs is in the modules.
//!
//! ```text
//! PID 1 or user ─supervise─▶ conductor ─┬─▶ nbd       serves the swap device, withholds reads
//!      │ frames                         ├─▶ subject   the probed VMM: vCPU and writer threads
//!      ▼                                ├─▶ reader    reads /proc/SUBJECT/maps
//! virtio-serial or KTAP                 ├─▶ accessor  the controls
//!                                       ├─▶ stress    a VMM whose memory is stressed
//!                                       └─▶ storm     a VMM with too little memory
//! ```

mod behave;
mod cgroup;
mod cli;
mod clock;
mod conductor;
mod cpus;
mod evict;
mod failure;
mod hold;
mod init;
mod inject;
mod ktap;
mod leftovers;
mod mounts;
mod nbd;
mod probes;
mod rig;
mod rng;
mod roles;
mod shared;
mod storm;
mod stress;
mod subject;
mod supervise;
mod swap;
mod tasks;
mod trace;
mod trial;
mod wire;
mod zram;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    if std::process::id() == 1 {
        init::main();
    }
    match cli::Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("selftests: {error:#}");
            ExitCode::FAILURE
        }
    }
}
