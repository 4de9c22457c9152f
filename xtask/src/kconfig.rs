// SPDX-License-Identifier: GPL-2.0-only
//! Kconfig fragments: merge and verify (pure).
