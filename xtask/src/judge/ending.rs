// SPDX-License-Identifier: GPL-2.0-only
//! How the boot ended, and what the kernel said on its console.
//!
//! Owns: telling a crashed kernel from a failed harness. Must not: read frames.

use super::{Reason, own_reasons};
use crate::outcome::SideOutcome;
use crate::target::{Target, Tolerate};
use crate::transcript::{Ending, Finding, Transcript};
use crate::variant::Variant;
use crate::verdict::Verdict;

/// The phase in which a missed deadline says nothing about the kernel: QEMU itself
/// did not come up.
const QEMU_START: &str = "qemu-start";

/// What is wrong; empty if the virtual machine ended by itself and the console has
/// no fatal finding that counts. A frame stream that broke because QEMU was killed
/// is only reported as the kill.
pub(super) fn judge(transcript: &Transcript, tolerate: &[Tolerate]) -> Vec<Reason> {
    let counts = |finding: &&Finding| finding.fatal && !tolerate.iter().any(|row| row.covers(finding));
    let found = transcript.findings.iter().find(counts);
    let mut reasons = Vec::new();
    if let Some(finding) = found {
        reasons
            .push(Reason::new(Verdict::Crashed, format!("the console reports a {}: {}", finding.class, finding.line)));
    }
    // A kernel that crashed has crashed, whoever ended QEMU afterwards.
    let ending = ending(&transcript.ending).filter(|reason| found.is_none() || reason.verdict == Verdict::Crashed);
    let qemu_to_blame = ending.as_ref().is_some_and(|reason| reason.verdict == Verdict::Infra);
    reasons.extend(ending);
    if let Some(error) = transcript.stream_error.as_ref().filter(|_| !qemu_to_blame) {
        reasons.push(Reason::new(Verdict::Crashed, error.clone()));
    }
    reasons
}

/// What is wrong with a side that is there to die in this variant; empty if it did
/// as its row says.
pub(super) fn as_declared(target: &Target, side: &SideOutcome, variant: Variant) -> Vec<Reason> {
    let Some(death) = target.death(&side.side, variant) else { return Vec::new() };
    let said = side.reasons.iter().any(|reason| death.pattern.is_match(reason));
    match side.verdict {
        Verdict::Crashed if said => Vec::new(),
        Verdict::Pass => {
            let text = format!("{} is there to crash with {}, and did not", side.side, death.pattern);
            vec![Reason::new(Verdict::Invalid, text)]
        }
        _ => own_reasons(side),
    }
}

fn ending(ending: &Ending) -> Option<Reason> {
    let reason = match ending {
        Ending::Exited { .. } => return None,
        Ending::Failed { code, stderr } => {
            Reason::new(Verdict::Infra, format!("QEMU gave up with status {code}{}", said(stderr)))
        }
        Ending::Signaled { signal, stderr } => {
            Reason::new(Verdict::Infra, format!("QEMU was killed by signal {signal}, and not by us{}", said(stderr)))
        }
        Ending::FailedToStart { stderr } => Reason::new(Verdict::Infra, format!("QEMU did not start{}", said(stderr))),
        Ending::TimedOut { phase, deadline_ms } if phase == QEMU_START => {
            Reason::new(Verdict::Infra, format!("QEMU had not come up after {deadline_ms} ms and was killed"))
        }
        Ending::TimedOut { phase, deadline_ms } => Reason::new(
            Verdict::Crashed,
            format!("nothing came for {deadline_ms} ms in phase {phase}: the kernel hangs"),
        ),
        Ending::KilledAfterCrash => Reason::new(Verdict::Crashed, "the boot was ended after a crash on the console"),
    };
    Some(reason)
}

fn said(stderr: &str) -> String {
    let stderr = stderr.trim();
    if stderr.is_empty() { String::new() } else { format!(": {stderr}") }
}
