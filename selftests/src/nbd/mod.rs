// SPDX-License-Identifier: GPL-2.0-only
//! A network block device whose reads the test itself can withhold.
//!
//! ```text
//! kernel ──NBD over a UNIX socket──▶ server process ──Withheld──▶ conductor
//!                                       ▲ own mm, mlocked           │
//!                                       └──────Arm, Release─────────┘
//! ```

mod delay;
pub(crate) mod device;
pub(crate) mod proto;
pub(crate) mod server;
