// SPDX-License-Identifier: GPL-2.0-only
//! QEMU's command lines, as functions of values.
//!
//! Owns: the machine that a kernel boots on, the kernel's parameters, and the
//! names of the files that QEMU writes into its working folder. Paths of those
//! are relative: the folder may have any name, and a socket's path has 107 bytes
//! at most. Must not: start anything, or look at the host.

use std::path::Path;

use anyhow::Context;
use selftests::protocol::PORT_NAME;

use crate::accel::{Accel, Kind};

/// The program.
pub const QEMU: &str = "qemu-system-x86_64";

/// What the guest's serial console said, byte for byte.
pub const CONSOLE: &str = "console.raw";
/// What came through the virtio-serial port: the frames in their wire format.
pub const FRAMES: &str = "frames.bin";
/// QEMU's control socket; it is there as long as QEMU.
pub const QMP: &str = "qmp.sock";

/// A probe that waits must be released from another CPU, and more than two are
/// more than the smallest host has.
const CPUS: u32 = 2;
/// The selftests run no guest on the first CPU, and a stress has two vCPUs, which are to
/// meet each other.
const CPUS_OF_A_STRESS: u32 = 3;
/// As of an ordinary boot; a canary touches none of it.
const CANARY_MIB: u32 = 512;
/// With this model every kernel from v3.17 on runs KVM guests under emulation.
/// `max` makes KVM_RUN of v5.10 hang, and changes with QEMU's version.
const TCG_CPU: &str = "EPYC,+svm";
/// Nested KVM wants the host's own features.
const KVM_CPU: &str = "host";

/// One kernel parameter with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// As on the command line.
    pub text: String,
    /// Why.
    pub why: &'static str,
}

/// Parameters that do not depend on the accelerator.
const PARAMETERS: [(&str, &str); 12] = [
    ("console=ttyS0,115200", "the raw console; no verdict ever travels on it"),
    ("earlyprintk=serial,ttyS0,115200", "a kernel that dies before its console is up still says so"),
    ("loglevel=7", "everything but debug, whatever the configuration says"),
    ("printk.time=1", "the time stamp tells a kernel's banner from its quotation"),
    ("panic=-1", "a panic reboots at once, and -no-reboot makes that QEMU's end"),
    ("oops=panic", "what a kernel shows after an oops does not count"),
    ("hung_task_panic=1", "a task that never wakes ends the boot with its stack"),
    ("unknown_nmi_panic", "our NMI into a machine that is silent gives a trace"),
    ("nokaslr", "addresses in a trace are those of System.map"),
    ("nbd.nbds_max=3", "three devices are used, and 16 cost 0.1 s under emulation"),
    ("pty.legacy_count=0", "nobody logs in, and 256 old terminals cost 0.1 s under emulation"),
    ("i8042.noaux i8042.nokbd", "probing a mouse delays power-off by 0.3 s"),
];

/// Parameters for an emulated CPU.
const TCG_PARAMETERS: [(&str, &str); 2] = [
    (
        "lpj=10000000",
        "calibrating the second CPU takes 0.3 s and fails when the host is busy; with a TSC this is the unit of short \
         delays only, right for 2.5 GHz at 250 Hz, and emulated hardware needs none of them exact",
    ),
    ("no_timer_check", "the check counts ticks in a short time, and a busy host fails it: a panic without a defect"),
];

/// The clock of an emulated CPU: `tsc_early_khz` makes `tsc=reliable` safe, and
/// they come together or not at all.
///
/// QEMU's virtual CPUs read the host's TSC, one clock for all, but the kernel takes
/// it for unsynchronised and falls back to the HPET, whose every read leaves the
/// emulated CPU under QEMU's big lock. Told that it is reliable, the kernel
/// calibrates it against the PIT, and on a busy host that went wrong by a factor of
/// 20, unnoticed: a hold of 100 ms lasted 5. So it is told the frequency too.
const TSC: (&str, &str) = (
    "tsc=reliable tsc_early_khz",
    "the guest's clock is the host's TSC, with the frequency that was measured on the host",
);

/// Not where guest memory is stressed: there, the time between the last user and the end
/// of an object is what a use after free needs.
const EXPEDITED: (&str, &str) = (
    "rcupdate.rcu_expedited=1",
    "to move a task to a cgroup and to make and end a VM waits for RCU, 0.05 s for each probed process; no lock that \
     is measured is held or let go because of it",
);

/// `tsc_early_khz` came with v5.8; an older kernel keeps the HPET, slow and right.
const TSC_SINCE: (u32, u32) = (5, 8);

/// Limits in seconds that the kernel sets on itself, at hardware speed, and the most
/// that it takes. All end
/// before boot gives a silent guest up: the kernel's own report names the culprit,
/// ours only the silence. khungtaskd looks once a period, so it takes up to twice
/// its limit; the soft lockup detector reports at twice its threshold.
const LIMITS: [(&str, f64, f64, &str); 3] = [
    ("sysctl.kernel.hung_task_timeout_secs", 10.0, 3600.0, "the default of 120 s is longer than we wait"),
    (
        "rcupdate.rcu_cpu_stall_timeout",
        20.0,
        300.0,
        "the default is too short for a virtual CPU that the host does not run",
    ),
    ("watchdog_thresh", 10.0, 60.0, "the same"),
];

/// What the machine is made for.
#[derive(Debug, Clone, Copy)]
pub struct Boot<'a> {
    /// What runs it, and how slowly.
    pub accel: &'a Accel,
    /// A `vmlinux` with a PVH entry, or a bzImage.
    pub kernel: &'a Path,
    /// Its version, if known, from [`kernel_version`].
    pub version: Option<(u32, u32)>,
    /// Frequency of the host's TSC in kHz, if it is fit to be a guest's clock.
    pub tsc_khz: Option<u32>,
    /// The machine's memory, in MiB.
    pub memory_mib: u32,
    /// Guest memory is stressed, or there is a storm: two vCPUs and who waits for them.
    pub stress: bool,
    /// Factor on the limits that the kernel sets on itself.
    pub patience: f64,
    /// The archive with PID 1.
    pub initramfs: &'a Path,
    /// Kernel parameters that come last and so win.
    pub extra: &'a [String],
}

/// All kernel parameters that we give, in order.
#[must_use]
pub fn parameters(boot: &Boot<'_>) -> Vec<Parameter> {
    let accel = boot.accel;
    let tcg = if accel.kind == Kind::Tcg { &TCG_PARAMETERS[..] } else { &[] };
    let knows_tsc = accel.kind == Kind::Tcg && boot.version.is_some_and(|version| version >= TSC_SINCE);
    let tsc = boot.tsc_khz.filter(|_| knows_tsc).map(|khz| Parameter { text: format!("{}={khz}", TSC.0), why: TSC.1 });
    let expedited = (!boot.stress).then_some(&EXPEDITED);
    let fixed = PARAMETERS.iter().chain(tcg).chain(expedited);
    let fixed = fixed.map(|&(text, why)| Parameter { text: text.to_owned(), why }).chain(tsc);
    let limits = LIMITS.iter().map(|&(name, seconds, most, why)| Parameter {
        text: format!("{name}={}", (seconds * boot.patience).ceil().min(most)),
        why,
    });
    fixed.chain(limits).collect()
}

/// Program and arguments that boot a kernel. To be run in the folder that takes
/// [`CONSOLE`], [`FRAMES`] and [`QMP`].
///
/// # Errors
/// A path is not UTF-8, and could not be recorded.
pub fn argv(boot: &Boot<'_>) -> anyhow::Result<Vec<String>> {
    let text = |path: &Path| -> anyhow::Result<String> {
        let text = path.to_str().with_context(|| format!("the path {} is not UTF-8", path.display()))?;
        Ok(text.to_owned())
    };
    let append = parameters(boot).into_iter().map(|parameter| parameter.text).chain(boot.extra.iter().cloned());
    let mut argv = vec![QEMU.to_owned()];
    let cpus = if boot.stress { CPUS_OF_A_STRESS } else { CPUS };
    argv.extend(machine(boot.accel.kind, boot.memory_mib, cpus));
    let pairs = [
        ("-kernel", text(boot.kernel)?),
        ("-initrd", text(boot.initramfs)?),
        ("-append", append.collect::<Vec<_>>().join(" ")),
        ("-chardev", format!("file,id=console,path={CONSOLE}")),
        ("-serial", "chardev:console".to_owned()),
        ("-device", "virtio-serial-pci".to_owned()),
        ("-chardev", format!("file,id=frames,path={FRAMES}")),
        ("-device", format!("virtserialport,chardev=frames,name={PORT_NAME}")),
        ("-qmp", format!("unix:{QMP},server=on,wait=off")),
    ];
    argv.extend(pairs.into_iter().flat_map(|(option, value)| [option.to_owned(), value]));
    Ok(argv)
}

/// Arguments, without the program, that run a canary's ROM image on the machine
/// that a boot gets; it ends QEMU through port 0xf4.
#[must_use]
pub fn canary_args(kind: Kind, rom: &Path) -> Vec<std::ffi::OsString> {
    let mut args: Vec<_> = machine(kind, CANARY_MIB, CPUS).into_iter().map(Into::into).collect();
    args.extend(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-bios"].map(Into::into));
    args.push(rom.into());
    args
}

/// The machine without anything on it. `-no-reboot`: a guest that resets is at
/// its end; nothing may hide a crash by starting over.
fn machine(kind: Kind, memory_mib: u32, cpus: u32) -> Vec<String> {
    let args = ["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-M", "q35"];
    let (memory, cpus) = (memory_mib.to_string(), cpus.to_string());
    let more = ["-smp", &cpus, "-m", &memory];
    args.into_iter().chain(cpu_and_accel(kind)).chain(more).map(str::to_owned).collect()
}

/// The options that choose accelerator and CPU model.
#[must_use]
pub(crate) fn cpu_and_accel(kind: Kind) -> [&'static str; 4] {
    let (accel, cpu) = match kind {
        Kind::Tcg => ("tcg,thread=multi", TCG_CPU),
        Kind::Kvm => ("kvm", KVM_CPU),
    };
    ["-accel", accel, "-cpu", cpu]
}

/// Bytes of a bzImage in which its version is.
pub(crate) const HEAD: u64 = 64 << 10;

/// Is this a `vmlinux` rather than a bzImage?
pub(crate) fn is_elf(image: &[u8]) -> bool {
    image.starts_with(b"\x7fELF")
}

/// Major and minor version of a kernel, from the first 64 KiB of a bzImage or the whole
/// of a `vmlinux`; `None` if it is neither.
///
/// The x86 boot protocol has `HdrS` at 0x202 and at 0x20e a pointer, less 0x200, to
/// a string like `6.1.192 (builder) #1 SMP`. The uncompressed kernel has its banner,
/// `linux_banner` of init/version.c: `Linux version 6.1.192 (builder) …`.
#[must_use]
pub fn kernel_version(image: &[u8]) -> Option<(u32, u32)> {
    if is_elf(image) {
        let banner = regex::bytes::Regex::new(r"Linux version (\d+)\.(\d+)").ok()?.captures(image)?;
        let number = |index| std::str::from_utf8(banner.get(index)?.as_bytes()).ok()?.parse().ok();
        return Some((number(1)?, number(2)?));
    }
    if image.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let pointer = image.get(0x20e..0x210)?;
    let at = 0x200 + usize::from(u16::from_le_bytes([pointer[0], pointer[1]]));
    let text = image.get(at..)?.iter().take(64).take_while(|&&byte| byte != 0).copied().collect();
    let text = String::from_utf8(text).ok()?;
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}
