// SPDX-License-Identifier: GPL-2.0-only
//! the initramfs: PID 1 and the plan.
