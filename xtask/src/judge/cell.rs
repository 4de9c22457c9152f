// SPDX-License-Identifier: GPL-2.0-only
//! What one cell showed to each probe.
//!
//! Owns: which trials count, and the state that follows. One trial that does not
//! count makes the cell `broken`: dropping it would be choosing the evidence.
//! Must not: know what a kernel is expected to show.

use std::collections::HashMap;

use selftests::cell::{Path, Probe, Situation};
use selftests::lockwait::shows_lock_wait;
use selftests::lost::Lost;
use selftests::plan::Plan;
use selftests::protocol::{CellEnd, Meanwhile, ProbeSample, Sample};

use super::compare::HELD_SHARE;

use super::sequence::Record;
use crate::outcome::{CellOutcome, CellState, WaitMs};
use crate::stats;

/// Symbols in the stack of a vCPU thread that is inside KVM_RUN.
const VCPU: &[&str] = &["kvm_arch_vcpu_ioctl_run", "kvm_vcpu_ioctl"];

/// Two clocks are read for one moment; they may disagree by this much.
const CLOCK_SLACK_MS: f64 = 1.0;

/// One outcome a probe.
pub(super) fn judge(record: &Record<'_>, plan: &Plan) -> Vec<CellOutcome> {
    plan.probes.iter().map(|&probe| one(record, plan, probe)).collect()
}

fn one(record: &Record<'_>, plan: &Plan, probe: Probe) -> CellOutcome {
    let (state, reason) = match ended(record.end) {
        Some((state, reason)) => (state, Some(reason)),
        None => match state(record, plan, probe) {
            Ok(state) => (state, None),
            Err(reason) => (CellState::Broken, Some(reason)),
        },
    };
    let counted = matches!(state, CellState::Held | CellState::Released | CellState::Mixed);
    let trials: &[&Sample] = if counted { &record.samples } else { &[] };
    let waits: Vec<f64> = trials.iter().filter_map(|sample| met(sample, probe)).map(|met| met.wait_ms).collect();
    let holds: Vec<f64> = trials.iter().map(|sample| sample.hold_ms).collect();
    CellOutcome {
        cell: record.cell.name(),
        window: record.cell.window,
        probe: probe.to_string(),
        state,
        n: u32::try_from(waits.len()).unwrap_or(u32::MAX),
        hold_ms: stats::thousandths(stats::max(&holds).unwrap_or_default()),
        wait_ms: stats::waits(&waits).unwrap_or(WaitMs { median: 0.0, p99: 0.0, max: 0.0 }),
        holder: holder(trials, probe, state),
        guest_progress: trials.iter().filter_map(|sample| progress(sample)).min(),
        reason,
    }
}

/// The state of a cell that did not end as complete.
fn ended(end: &CellEnd) -> Option<(CellState, String)> {
    match end {
        CellEnd::Complete { .. } => None,
        CellEnd::Lost(Lost::Skipped { reason }) => Some((CellState::Skipped, reason.clone())),
        CellEnd::Lost(lost) => Some((CellState::Broken, lost.to_string())),
    }
}

fn state(record: &Record<'_>, plan: &Plan, probe: Probe) -> Result<CellState, String> {
    let mut held = 0_usize;
    for sample in &record.samples {
        let trial = |why: String| format!("trial {} does not count: {why}", sample.trial);
        sound(sample).map_err(trial)?;
        let met = met(sample, probe).ok_or_else(|| trial(format!("the {probe} is missing")))?;
        let was_held = held_in(sample, met, plan).map_err(trial)?;
        on_its_path(record.cell.situation, sample).map_err(trial)?;
        held += usize::from(was_held);
    }
    match held {
        _ if record.samples.is_empty() => Err("no trial was made".to_owned()),
        0 => Ok(CellState::Released),
        held if held == record.samples.len() => Ok(CellState::Held),
        _ => Ok(CellState::Mixed),
    }
}

/// Was there a withheld IO that somebody waited for?
fn sound(sample: &Sample) -> Result<(), String> {
    if sample.withheld_bytes == 0 {
        return Err("no request was withheld".to_owned());
    }
    if sample.waiter.is_empty() {
        return Err("nobody was seen waiting for the IO".to_owned());
    }
    let mut probes: Vec<Probe> = sample.probes.iter().map(|met| met.probe).collect();
    probes.sort();
    probes.dedup();
    if probes.len() != sample.probes.len() {
        return Err("a probe is reported twice".to_owned());
    }
    let times = sample.probes.iter().map(|met| met.wait_ms).chain([sample.hold_ms]);
    if times.into_iter().all(|time| time.is_finite() && time >= 0.0) {
        Ok(())
    } else {
        Err("a time is negative".to_owned())
    }
}

fn met(sample: &Sample, probe: Probe) -> Option<&ProbeSample> {
    sample.probes.iter().find(|met| met.probe == probe)
}

/// Did this probe wait for a lock until the IO was let go?
fn held_in(sample: &Sample, met: &ProbeSample, plan: &Plan) -> Result<bool, String> {
    let (probe, hold, wait) = (met.probe, sample.hold_ms, met.wait_ms);
    if met.returned_during_hold {
        if wait > hold + CLOCK_SLACK_MS {
            return Err(format!("the {probe} waited {wait:.1} ms and yet returned within a hold of {hold:.1} ms"));
        }
        return Ok(false);
    }
    if !shows_lock_wait(&met.blocked_in) {
        let stack = if met.blocked_in.is_empty() { "none".to_owned() } else { met.blocked_in.join(" < ") };
        return Err(format!("the {probe} had not returned, but its stack shows no wait for a lock: {stack}"));
    }
    if hold < HELD_SHARE * f64::from(plan.hold_ms) {
        let nominal = plan.hold_ms;
        return Err(format!("the IO was let go after {hold:.1} of {nominal} ms although the {probe} had not returned"));
    }
    Ok(true)
}

/// Did the guest access take the path that the cell is named after?
///
/// `apf-halt` is proved by the tracepoint of the async attempt. Where the first,
/// no-wait pass itself waits (that is the defect in its worst form), the page is
/// there when the pass ends, and KVM has no reason left to try: then the vCPU's
/// own stack, which waits inside KVM_RUN, is the proof. That a guest which may
/// not take async page faults cannot slip through is seen on the released side,
/// where nothing but the tracepoint counts. `apf-guest` is proved by what follows, too.
fn on_its_path(situation: Situation, sample: &Sample) -> Result<(), String> {
    let Situation::Fault(_, path, _) = situation else { return Ok(()) };
    // One blocked probe is enough: a reader that needs no mmap lock returns from
    // the very trial that holds a writer.
    let was_held = sample.probes.iter().any(|met| !met.returned_during_hold);
    let vcpu_waits = sample.waiter.iter().any(|symbol| VCPU.contains(&symbol.as_str()));
    match (path, sample.async_pf) {
        (Path::Sync, Some(0) | None) => Ok(()),
        (Path::Sync, Some(n)) => Err(format!("{n} async page faults were tried on the synchronous path")),
        (Path::ApfHalt | Path::ApfGuest, None) => {
            Err("the tracepoint kvm:kvm_try_async_get_page cannot be read".to_owned())
        }
        (Path::ApfHalt | Path::ApfGuest, Some(0)) if was_held && vcpu_waits => Ok(()),
        (Path::ApfHalt | Path::ApfGuest, Some(0)) => Err("no async page fault was tried".to_owned()),
        (Path::ApfHalt, Some(_)) => Ok(()),
        (Path::ApfGuest, Some(_)) => went_on(sample),
        (Path::User | Path::ProcessVm | Path::Odirect, _) => below_its_call(path, &sample.waiter),
    }
}

/// Was the guest told of its page, by its own word and by KVM's, and did its other task go on
/// until the page was ready?
fn went_on(sample: &Sample) -> Result<(), String> {
    match sample.meanwhile {
        None => Err("nothing is known of the guest's other task".to_owned()),
        Some(Meanwhile { injected: None, .. }) => Err("the tracepoint kvm:kvm_inj_exception cannot be read".to_owned()),
        Some(Meanwhile { told, injected: Some(injected), .. }) if told == 0 || injected == 0 => {
            Err(format!("the guest counts {told} pages that are not present, KVM {injected} page faults for it"))
        }
        Some(Meanwhile { progress: 0, .. }) => Err("the guest's other task made no progress".to_owned()),
        Some(_) => Ok(()),
    }
}

/// Is the call that the path is named after in the stack of who waited? Of several
/// spellings each kernel has its own.
fn below_its_call(path: Path, waiter: &[String]) -> Result<(), String> {
    let calls: &[&str] = match path {
        Path::Sync | Path::ApfHalt | Path::ApfGuest => VCPU,
        Path::User => &["asm_exc_page_fault", "exc_page_fault", "async_page_fault", "page_fault", "do_page_fault"],
        Path::ProcessVm => &["process_vm_rw", "process_vm_rw_core", "SyS_process_vm_readv", "SyS_process_vm_writev"],
        Path::Odirect => {
            &["get_user_pages_fast", "pin_user_pages_fast", "gup_fast_fallback", "internal_get_user_pages_fast"]
        }
    };
    // A compiler's clone is the same function.
    let bare = |symbol: &'_ str| symbol.split('.').next().unwrap_or_default().to_owned();
    if waiter.iter().any(|symbol| calls.contains(&bare(symbol).as_str())) {
        return Ok(());
    }
    Err(format!("who waited is not below {}: {}", calls[0], waiter.join(" < ")))
}

/// Of a guest that was told of its page and so was free.
fn progress(sample: &Sample) -> Option<u64> {
    sample.meanwhile.filter(|met| met.told > 0).map(|met| met.progress)
}

/// The most frequent stack of who waited for the IO; of equally frequent ones the
/// first. Where trials disagree, only those in which the probe was blocked speak.
fn holder(trials: &[&Sample], probe: Probe, state: CellState) -> Vec<String> {
    let speaks = |sample: &&&Sample| {
        state != CellState::Mixed || met(sample, probe).is_some_and(|met| !met.returned_during_hold)
    };
    let mut counts: HashMap<&[String], usize> = HashMap::new();
    let mut best: (&[String], usize) = (&[], 0);
    for stack in trials.iter().filter(speaks).map(|sample| sample.waiter.as_slice()) {
        *counts.entry(stack).or_default() += 1;
    }
    for stack in trials.iter().filter(speaks).map(|sample| sample.waiter.as_slice()) {
        let count = counts.get(stack).copied().unwrap_or_default();
        if count > best.1 {
            best = (stack, count);
        }
    }
    best.0.to_vec()
}
