// SPDX-License-Identifier: GPL-2.0-only
//! which accelerator: measured, never assumed.
