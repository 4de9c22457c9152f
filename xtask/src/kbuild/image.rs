// SPDX-License-Identifier: GPL-2.0-only
//! Which of kbuild's images is booted: `vmlinux` itself, or the compressed bzImage.
//!
//! Owns: the choice, which the finished `.config` makes, and the image's names. A kernel
//! with `CONFIG_PVH` (5.0 and later, `PVH_ENTRY` in arch/x86/platform/pvh/head.S) says in
//! an ELF note where it can be entered, and QEMU loads its `vmlinux`: nothing has to be
//! compressed, linked once more, and unpacked by an emulated CPU. virtme-ng and older
//! kernels get the bzImage.

use std::path::{Path, PathBuf};

/// An image that QEMU boots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Image {
    /// The linked kernel, an ELF file.
    Vmlinux,
    /// The same compressed, behind code that unpacks it.
    BzImage,
}

impl Image {
    /// Both.
    pub(super) const ALL: [Self; 2] = [Self::Vmlinux, Self::BzImage];

    /// The one that a kernel of this `.config` boots from.
    pub(super) fn of(config: &str) -> Self {
        if config.lines().any(|line| line == "CONFIG_PVH=y") { Self::Vmlinux } else { Self::BzImage }
    }

    /// make's target, and the file's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Vmlinux => "vmlinux",
            Self::BzImage => "bzImage",
        }
    }

    /// Where make leaves it.
    pub(super) fn path(self, build: &Path) -> PathBuf {
        match self {
            Self::Vmlinux => build.join("vmlinux"),
            Self::BzImage => build.join("arch/x86/boot/bzImage"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_kernel_with_an_entry_for_it_boots_uncompressed() {
        assert_eq!(Image::of("CONFIG_KVM=y\nCONFIG_PVH=y\n"), Image::Vmlinux);
        assert_eq!(Image::of("CONFIG_KVM=y\n# CONFIG_PVH is not set\nCONFIG_XEN_PVH=y\n"), Image::BzImage);
    }
}
