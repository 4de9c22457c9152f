// SPDX-License-Identifier: GPL-2.0-only
//! the record of a run.
