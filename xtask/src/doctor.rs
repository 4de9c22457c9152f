// SPDX-License-Identifier: GPL-2.0-only
//! what a host needs, and how to mend it.
