// SPDX-License-Identifier: GPL-2.0-only
//! The requirements, as data.
//!
//! Owns: each row with its reason. Not in the table, because builds of our
//! configuration have been seen to need none of them: python, cpio, openssl's
//! headers, rsync, kmod, xz, pkg-config; nor perl, of which every Debian has enough.

/// Can one do without?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// No.
    Must,
    /// Yes, with the loss that the row's reason says.
    May,
}

/// How to look for it.
#[derive(Debug, Clone, Copy)]
pub enum Probe {
    /// A program in `PATH`.
    Program(&'static str),
    /// A program in `PATH` whose output for these arguments holds a version of at least this.
    Version(&'static str, &'static [&'static str], (u32, u32)),
    /// A header that the C compiler finds.
    Header(&'static str),
    /// A library that the C compiler's linker finds.
    Library(&'static str),
    /// A static program for the guest can be linked by rustc.
    StaticRust,
    /// GiB free where the cache folder is.
    Space(u64),
    /// GiB of memory.
    Memory(u64),
    /// A usable `/dev/kvm`.
    Kvm,
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub struct Requirement {
    /// What a user calls it.
    pub name: &'static str,
    /// Can one do without?
    pub need: Need,
    /// How to look for it.
    pub probe: Probe,
    /// What it is needed for, or what one loses.
    pub why: &'static str,
    /// Debian package that brings it.
    pub package: Option<&'static str>,
    /// What to do, where installing the package is not the answer.
    pub mend: &'static str,
    /// Does looking take more than a moment?
    pub slow: bool,
}

const fn must(name: &'static str, package: &'static str, probe: Probe, why: &'static str) -> Requirement {
    Requirement { name, need: Need::Must, probe, why, package: Some(package), mend: "", slow: false }
}

const fn may(name: &'static str, package: &'static str, probe: Probe, why: &'static str) -> Requirement {
    Requirement { need: Need::May, ..must(name, package, probe, why) }
}

/// Every row, in the order in which they are shown.
pub const REQUIREMENTS: &[Requirement] = &[
    // 7.x demands gcc 8.1 and make 4.0 (Documentation/process/changes.rst).
    must("gcc", "gcc", Probe::Version("gcc", &["-dumpfullversion"], (8, 1)), "compiles the kernels"),
    must("ld", "binutils", Probe::Program("ld"), "links the kernels"),
    must("make", "make", Probe::Version("make", &["--version"], (4, 0)), "runs kbuild"),
    must("flex", "flex", Probe::Program("flex"), "kbuild generates Kconfig's scanner"),
    must("bison", "bison", Probe::Program("bison"), "kbuild generates Kconfig's parser"),
    must("bc", "bc", Probe::Program("bc"), "kbuild computes time constants"),
    must("gzip", "gzip", Probe::Program("gzip"), "kbuild compresses the bzImage"),
    must("C library headers", "libc6-dev", Probe::Header("stdio.h"), "kbuild compiles its own tools"),
    must("libelf headers", "libelf-dev", Probe::Header("gelf.h"), "objtool, which every x86-64 kernel since 4.14 runs"),
    must("static C library", "libc6-dev", Probe::Library("libc.a"), "the guest's program is static"),
    Requirement {
        name: "static Rust programs",
        need: Need::Must,
        probe: Probe::StaticRust,
        why: "the guest's program is static",
        package: None,
        mend: "rustup target add x86_64-unknown-linux-gnu",
        slow: true,
    },
    must(
        "QEMU",
        "qemu-system-x86",
        // The oldest one whose emulation of nested SVM has been proved with our kernels.
        Probe::Version("qemu-system-x86_64", &["--version"], (7, 2)),
        "boots the kernels",
    ),
    Requirement {
        name: "disk space",
        need: Need::Must,
        probe: Probe::Space(3),
        why: "sources, tree and build of one target take up to 2.2 GiB",
        package: None,
        mend: "make room, or let KVM_GUP_IO_CACHE name a folder elsewhere",
        slow: false,
    },
    Requirement {
        name: "memory",
        need: Need::May,
        probe: Probe::Memory(2),
        why: "compiler jobs, and a guest of 512 MiB",
        package: None,
        mend: "expect the compiler to be killed; fewer CPUs (taskset) need less",
        slow: false,
    },
    may("apt-get", "apt", Probe::Program("apt-get"), "gets the kernel sources; else use --linux"),
    may(
        "ccache",
        "ccache",
        Probe::Program("ccache"),
        "what was compiled before, for another side or step, costs a quarter of the time",
    ),
    Requirement {
        name: "virtme-ng",
        need: Need::May,
        probe: Probe::Version("vng", &["--version"], crate::vng::OLDEST),
        why: "`shell`, and `test --runner vng`",
        package: None,
        mend: crate::vng::MEND,
        slow: true,
    },
    may("gdb", "gdb", Probe::Program("gdb"), "looks at the guest of `debug`"),
    Requirement {
        name: "/dev/kvm",
        need: Need::May,
        probe: Probe::Kvm,
        why: "only a hint: each run probes whether it works and nests; emulation serves as well, slower",
        package: None,
        mend: "join the kvm group, or let the hypervisor below offer nesting",
        slow: false,
    },
];
