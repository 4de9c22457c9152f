// SPDX-License-Identifier: GPL-2.0-only
//! a target: what `patches/<target>/target.toml` says.
