// SPDX-License-Identifier: GPL-2.0-only
//! QEMU's command line (pure).
