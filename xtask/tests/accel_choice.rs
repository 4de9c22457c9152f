// SPDX-License-Identifier: GPL-2.0-only
//! The choice of an accelerator, as a function of what was found.

use xtask::accel::canary::{Canary, expected, rom, steps};
use xtask::accel::{Accel, AccelChoice, Kind, decide};
use xtask::error::Error;

fn ran(slowdown: f64) -> Canary {
    Canary::Ran { slowdown }
}

fn failed() -> Canary {
    Canary::Failed { reason: "the canary did not finish in 3 s".to_owned() }
}

fn no_nesting() -> Result<(), String> {
    Err("no nesting (KVM_CAP_NESTED_STATE is 0)".to_owned())
}

/// Decides with these canaries; `None` must not be asked for.
fn with(
    want: AccelChoice,
    nesting: Result<(), String>,
    kvm: Option<Canary>,
    tcg: Option<Canary>,
) -> Result<Accel, Error> {
    decide(want, nesting, |kind| {
        let canary = if kind == Kind::Kvm { &kvm } else { &tcg };
        Ok(canary.clone().unwrap_or_else(|| panic!("{kind} was measured for nothing")))
    })
}

#[test]
fn kvm_that_is_fast_and_nests_is_taken() {
    let accel = with(AccelChoice::Auto, Ok(()), Some(ran(1.1)), None).unwrap();
    assert_eq!(accel.why, "kvm, 1.1x slower than the host, with nesting");
    assert_eq!((accel.kind, accel.patience()), (Kind::Kvm, 1.1));
}

#[test]
fn kvm_without_nesting_is_not_even_timed() {
    let accel = with(AccelChoice::Auto, no_nesting(), None, Some(ran(9.3))).unwrap();
    assert_eq!(accel.why, "tcg, 9.3x slower than the host (kvm: no nesting (KVM_CAP_NESTED_STATE is 0))");
    assert_eq!((accel.kind, accel.patience()), (Kind::Tcg, 4.0));
}

#[test]
fn kvm_that_hangs_or_crawls_gives_way_to_tcg() {
    let accel = with(AccelChoice::Auto, Ok(()), Some(failed()), Some(ran(9.3))).unwrap();
    assert_eq!(accel.why, "tcg, 9.3x slower than the host (kvm: the canary did not finish in 3 s)");
    let accel = with(AccelChoice::Auto, Ok(()), Some(ran(45.0)), Some(ran(9.3))).unwrap();
    assert_eq!(accel.kind, Kind::Tcg);
    assert!(accel.why.contains("kvm: 45.0x slower"), "{}", accel.why);
}

#[test]
fn tcg_on_demand_asks_nothing_of_kvm() {
    let accel = with(AccelChoice::Tcg, no_nesting(), None, Some(ran(9.3))).unwrap();
    assert_eq!(accel.why, "tcg, 9.3x slower than the host (asked for)");
}

#[test]
fn kvm_on_demand_that_cannot_be_had_says_what_came_back() {
    let error = with(AccelChoice::Kvm, Ok(()), Some(failed()), None).unwrap_err().to_string();
    assert!(error.contains("did not finish in 3 s") && error.contains("--accel kvm"), "{error}");
    let error = with(AccelChoice::Kvm, no_nesting(), None, None).unwrap_err().to_string();
    assert!(error.contains("no nesting"), "{error}");
}

#[test]
fn kvm_on_demand_may_be_slow() {
    assert_eq!(with(AccelChoice::Kvm, Ok(()), Some(ran(45.0)), None).unwrap().patience(), 4.0);
}

#[test]
fn a_host_on_which_nothing_runs_is_an_error() {
    let error = with(AccelChoice::Auto, no_nesting(), None, Some(failed())).unwrap_err();
    assert_eq!(error.exit_code(), 110);
}

#[test]
fn the_native_twin_and_the_jump_agree() {
    for count in [0, 1, 2, 3, 1000, 65_537] {
        assert_eq!(steps(count), expected(count), "{count} steps");
    }
}

#[test]
fn the_rom_begins_with_a_jump_to_its_program() {
    let rom = rom(30_000_000);
    assert_eq!(rom.len(), 0x10000);
    // At reset the CPU is 16 bytes below the end; `jmp` by 0x000d from the byte
    // after it wraps to offset 0 in 16 bits.
    assert_eq!(rom[0xfff0..0xfff3], [0xe9, 0x0d, 0x00]);
    assert_eq!((0xfff3_u16).wrapping_add(0x0d), 0);
    assert_eq!(rom[0x26], 0xb9, "mov ecx");
    assert_eq!(rom[0x27..0x2b], 30_000_000_u32.to_le_bytes());
    assert_eq!(rom[0x35], 0x3d, "cmp eax");
    assert_eq!(rom[0x36..0x3a], expected(30_000_000).to_le_bytes());
}
