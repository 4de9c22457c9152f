// SPDX-License-Identifier: GPL-2.0-only
//! from transcripts to a verdict (pure).
