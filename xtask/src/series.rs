// SPDX-License-Identifier: GPL-2.0-only
//! a series: patches applied with git2 as commits.
