// SPDX-License-Identifier: GPL-2.0-only
//! QEMU's command lines, word for word: a change of the machine is a change of
//! what was measured, and must be seen in a diff.

#![expect(clippy::unwrap_used, reason = "what a helper cannot do ends its test")]

use std::path::Path;

use xtask::accel::{Accel, Kind};
use xtask::qemu::{Boot, argv, canary_args, kernel_version, parameters};

fn accel(kind: Kind, slowdown: f64) -> Accel {
    Accel { kind, slowdown, why: String::new() }
}

fn boot<'a>(accel: &'a Accel, version: Option<(u32, u32)>, extra: &'a [String]) -> Boot<'a> {
    let (kernel, initramfs) = (Path::new("/cache/bzImage"), Path::new("/cache/initramfs"));
    Boot {
        accel,
        kernel,
        version,
        tsc_khz: Some(2_596_148),
        memory_mib: 512,
        stress: false,
        patience: accel.patience(),
        initramfs,
        extra,
    }
}

fn line(accel: &Accel, version: Option<(u32, u32)>, extra: &[String]) -> String {
    argv(&boot(accel, version, extra)).unwrap().join("\n")
}

#[test]
fn tcg() {
    insta::assert_snapshot!(line(&accel(Kind::Tcg, 9.3), Some((6, 1)), &[]));
}

#[test]
fn kvm() {
    insta::assert_snapshot!(line(&accel(Kind::Kvm, 1.1), Some((6, 1)), &[]));
}

#[test]
fn a_stress_has_a_cpu_for_each_of_its_vcpus_beside_the_first() {
    let tcg = accel(Kind::Tcg, 9.3);
    for (stress, cpus) in [(false, "2"), (true, "3")] {
        let argv = argv(&Boot { stress, ..boot(&tcg, Some((6, 1)), &[]) }).unwrap();
        assert!(argv.windows(2).any(|pair| pair == ["-smp", cpus]), "{argv:?}");
    }
}

#[test]
fn a_guest_is_never_told_to_trust_a_clock_whose_frequency_it_is_not_told() {
    let tcg = accel(Kind::Tcg, 9.3);
    for (version, trusts) in [(Some((6, 1)), true), (Some((5, 8)), true), (Some((5, 7)), false), (None, false)] {
        let line = line(&tcg, version, &[]);
        assert_eq!(line.contains("tsc=reliable tsc_early_khz=2596148"), trusts, "{version:?}");
        assert_eq!(line.contains("tsc"), trusts, "{version:?}");
    }
    let unfit = Boot { tsc_khz: None, ..boot(&tcg, Some((6, 1)), &[]) };
    assert!(!argv(&unfit).unwrap().join(" ").contains("tsc"));
}

#[test]
fn a_bzimage_tells_its_version() {
    let mut image = vec![0; 0x4000];
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x20e..0x210].copy_from_slice(&0x3000_u16.to_le_bytes());
    image[0x3200..0x3218].copy_from_slice(b"6.1.192 (builder) #1 SMP");
    assert_eq!(kernel_version(&image), Some((6, 1)));
    image[0x3200..0x3218].copy_from_slice(b"3.17.0-rc1+ (b) #1 SMP x");
    assert_eq!(kernel_version(&image), Some((3, 17)));
    image[0x3200] = b'x';
    assert_eq!(kernel_version(&image), None);
    assert_eq!(kernel_version(&image[..0x3000]), None, "cut before the string");
    assert_eq!(kernel_version(b"\x7fELF"), None);
    let vmlinux = b"\x7fELF\x02 %s version %s\0 Linux version 7.3.4 (b) #1 SMP\0";
    assert_eq!(kernel_version(vmlinux), Some((7, 3)));
    assert_eq!(kernel_version(&vmlinux[4..]), None, "no ELF file");
}

#[test]
fn the_canary_runs_on_the_machine_of_the_boot() {
    let args: Vec<_> =
        canary_args(Kind::Tcg, Path::new("/tmp/rom")).into_iter().map(|arg| arg.into_string().unwrap()).collect();
    insta::assert_snapshot!(args.join(" "));
}

#[test]
fn extra_parameters_come_last() {
    assert!(
        line(&accel(Kind::Tcg, 9.3), None, &["oops=continue".to_owned()])
            .contains("watchdog_thresh=40 oops=continue\n")
    );
}

#[test]
fn every_parameter_says_why() {
    assert!(
        parameters(&boot(&accel(Kind::Tcg, 9.3), Some((6, 1)), &[])).iter().all(|parameter| !parameter.why.is_empty())
    );
}

#[test]
fn the_kernels_limits_grow_with_the_slowdown_and_stay_legal() {
    for slowdown in [0.0, 1.0, 2.5, 9.3, 1e9, f64::INFINITY, f64::NAN] {
        let parameters = parameters(&boot(&accel(Kind::Tcg, slowdown), None, &[]));
        let value = |name: &str| -> u32 {
            parameters.iter().find_map(|p| p.text.strip_prefix(name)?.strip_prefix('=')).unwrap().parse().unwrap()
        };
        // The kernel refuses more than 60 and 300.
        assert!((10..=60).contains(&value("watchdog_thresh")), "{slowdown}");
        assert!((20..=300).contains(&value("rcupdate.rcu_cpu_stall_timeout")), "{slowdown}");
    }
}

#[test]
fn a_path_that_cannot_be_recorded_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let path = Path::new(std::ffi::OsStr::from_bytes(b"/cache/\xff"));
    assert!(argv(&Boot { kernel: path, ..boot(&accel(Kind::Tcg, 1.0), None, &[]) }).is_err());
}
