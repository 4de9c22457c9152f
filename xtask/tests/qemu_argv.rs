// SPDX-License-Identifier: GPL-2.0-only
//! QEMU's command lines, word for word: a change of the machine is a change of
//! what was measured, and must be seen in a diff.

use std::path::Path;

use xtask::accel::{Accel, Kind};
use xtask::qemu::{argv, canary_args, parameters};

fn accel(kind: Kind, slowdown: f64) -> Accel {
    Accel { kind, slowdown, why: String::new() }
}

fn line(accel: &Accel, extra: &[String]) -> String {
    let argv = argv(accel, Path::new("/cache/bzImage"), Path::new("/cache/initramfs"), extra).unwrap();
    argv.join("\n")
}

#[test]
fn tcg() {
    insta::assert_snapshot!(line(&accel(Kind::Tcg, 9.3), &[]));
}

#[test]
fn kvm() {
    insta::assert_snapshot!(line(&accel(Kind::Kvm, 1.1), &[]));
}

#[test]
fn the_canary_runs_on_the_machine_of_the_boot() {
    let args: Vec<_> =
        canary_args(Kind::Tcg, Path::new("/tmp/rom")).into_iter().map(|arg| arg.into_string().unwrap()).collect();
    insta::assert_snapshot!(args.join(" "));
}

#[test]
fn extra_parameters_come_last() {
    assert!(line(&accel(Kind::Tcg, 9.3), &["oops=continue".to_owned()]).contains("watchdog_thresh=30 oops=continue\n"));
}

#[test]
fn every_parameter_says_why() {
    assert!(parameters(&accel(Kind::Tcg, 9.3)).iter().all(|parameter| !parameter.why.is_empty()));
}

#[test]
fn the_kernels_limits_grow_with_the_slowdown_and_stay_legal() {
    for slowdown in [0.0, 1.0, 2.5, 9.3, 1e9, f64::INFINITY, f64::NAN] {
        let parameters = parameters(&accel(Kind::Tcg, slowdown));
        let value = |name: &str| -> u32 {
            parameters.iter().find_map(|p| p.text.strip_prefix(name)?.strip_prefix('=')).unwrap().parse().unwrap()
        };
        // The kernel refuses more than 60 and 300.
        assert!((5..=60).contains(&value("watchdog_thresh")), "{slowdown}");
        assert!((10..=300).contains(&value("rcupdate.rcu_cpu_stall_timeout")), "{slowdown}");
    }
}

#[test]
fn a_path_that_cannot_be_recorded_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let path = Path::new(std::ffi::OsStr::from_bytes(b"/cache/\xff"));
    assert!(argv(&accel(Kind::Tcg, 1.0), path, Path::new("/i"), &[]).is_err());
}
