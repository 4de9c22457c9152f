// SPDX-License-Identifier: GPL-2.0-only
//! kvm-gup-io's tool: apply, build, boot, measure, compare.
//!
//! ```text
//! Target ─source→ Base ─series→ Sides ─kbuild→ Kernel ─boot→ Transcript ─judge→ Outcome ─store→ run ─report→ text · HTML …
//! ```
//!
//! One noun a file, one function an arrow. The core takes values and returns
//! values (`patch`, `kconfig`, `qemu`, `console`, `judge`, `stats`, `report`);
//! only `source`, `series`, `worktree`, `kbuild`, `accel`, `boot`, `store`,
//! `nightly`, `doctor`, `bench`, `bisect` touch the world, and every process is started by `proc`.

pub mod accel;
pub mod bench;
pub mod bisect;
pub mod boot;
pub mod cache;
pub mod cli;
pub mod cmd;
pub mod console;
pub mod diff;
pub mod doctor;
pub mod dress;
pub mod error;
pub mod file;
pub mod guest;
pub mod house;
pub mod initramfs;
pub mod interrupt;
pub mod jobs;
pub mod judge;
pub mod kbuild;
pub mod kconfig;
pub mod manners;
pub mod matrix;
pub mod measure;
pub mod nightly;
pub mod outcome;
pub mod patch;
pub mod prefix;
pub mod proc;
pub mod progress;
pub mod qemu;
pub mod regress;
pub mod repeat;
pub mod report;
pub mod review;
pub mod series;
pub mod side;
pub mod sizes;
pub mod source;
pub mod stats;
pub mod store;
pub mod storm;
pub mod target;
pub mod text;
pub mod times;
pub mod transcript;
pub mod variant;
pub mod verdict;
pub mod vng;
pub mod watch;
pub mod worktree;
