// SPDX-License-Identifier: GPL-2.0-only
//! What a storm showed of the kernel itself.
//!
//! Owns: what its end means. A page that is not as it must be, or a task that never ends,
//! is the kernel's doing: `crashed`. What could not be made, or in which not everything has
//! happened, proves nothing: `invalid`. Must not: compare waits.

use selftests::lost::Lost;
use selftests::storms::{Storm, StormEnd, StormTally};

use super::Reason;
use crate::outcome::StormOutcome;
use crate::side::Side;
use crate::storm::seen::Seen;
use crate::storm::side_of;
use crate::verdict::Verdict;

/// The outcome, and what is wrong with it.
pub(super) fn judge(side: &str, asked: Storm, end: &StormEnd) -> (StormOutcome, Option<Reason>) {
    let (seen, wrong) = read(side, &asked, end);
    let reason = wrong.as_ref().map(|(_, why)| why.clone());
    let told = wrong.map(|(verdict, why)| Reason::new(verdict, format!("storm with seed {}: {why}", asked.seed)));
    (StormOutcome { asked, seen, reason }, told)
}

fn read(side: &str, asked: &Storm, end: &StormEnd) -> (Option<Seen>, Option<(Verdict, String)>) {
    let (verdict, why) = match end {
        StormEnd::Complete { tally } => match (Seen::of(tally), gaps(side, asked, tally)) {
            (Ok((seen, _)), gaps) if gaps.is_empty() => return (Some(seen), None),
            (Ok((seen, _)), gaps) => {
                return (Some(seen), Some((Verdict::Invalid, format!("it proves nothing: {}", gaps.join(", ")))));
            }
            (Err(error), _) => (Verdict::Invalid, format!("{error:#}")),
        },
        StormEnd::Corrupt { reason } => (Verdict::Crashed, format!("the guest's memory was corrupted: {reason}")),
        StormEnd::Lost(lost @ Lost::Hung { .. }) => (Verdict::Crashed, lost.to_string()),
        StormEnd::Lost(Lost::Skipped { reason }) => (Verdict::Invalid, format!("it could not be made: {reason}")),
        StormEnd::Lost(lost) => (Verdict::Invalid, lost.to_string()),
    };
    (None, Some((verdict, why)))
}

/// A baseline may wait in the polite pass, where no async page fault is taken; the series is
/// there to end that.
fn gaps(side: &str, asked: &Storm, tally: &StormTally) -> Vec<String> {
    let mut gaps = tally.gaps(asked);
    if side_of(side) == Side::Patched.name() && tally.async_pf == Some(0) {
        gaps.push("no async page fault was taken".to_owned());
    }
    gaps
}

#[cfg(test)]
mod tests {
    use selftests::storms::{PROBES, Series};

    use super::*;

    const ASKED: Storm = Storm::usual(1);

    fn tally() -> StormTally {
        let shots: Vec<[u64; 2]> =
            (0..u64::from(ASKED.shots())).map(|place| [place * 20_000, place * 20_000 + 300]).collect();
        let series = |probe| Series { probe, interval_us: ASKED.interval_us(), shots: shots.clone() };
        StormTally {
            elapsed_ms: 1000.0,
            accesses: 9,
            stores: 2,
            swap_reads: 3,
            swap_writes: 4,
            delayed: 3,
            late_us: [1100, 50_100, 50_100],
            async_pf: Some(7),
            verified: 2048,
            series: PROBES.map(series).to_vec(),
        }
    }

    fn verdict(side: &str, tally: StormTally) -> Option<Verdict> {
        judge(side, ASKED, &StormEnd::Complete { tally }).1.map(|reason| reason.verdict)
    }

    #[test]
    fn only_a_baseline_may_take_no_async_page_fault() {
        let none = || StormTally { async_pf: Some(0), ..tally() };
        assert_eq!(verdict("patched", tally()), None);
        for (side, judged) in [
            ("baseline", None),
            ("baseline.2", None),
            ("patched", Some(Verdict::Invalid)),
            ("patched.1", Some(Verdict::Invalid)),
        ] {
            assert_eq!(verdict(side, none()), judged, "{side}");
        }
        assert_eq!(verdict("baseline", StormTally { async_pf: None, ..tally() }), Some(Verdict::Invalid));
    }

    #[test]
    fn what_is_wrong_is_told_with_what_was_seen() {
        let (outcome, reason) =
            judge("patched", ASKED, &StormEnd::Complete { tally: StormTally { delayed: 0, ..tally() } });
        assert!(reason.unwrap().text.contains("no read of the swap device came late"));
        assert!(outcome.reason.is_some() && outcome.seen.is_some());
        let corrupt = StormEnd::Corrupt { reason: "page 7".to_owned() };
        assert_eq!(judge("patched", ASKED, &corrupt).1.map(|reason| reason.verdict), Some(Verdict::Crashed));
        let early = Series { probe: PROBES[0], interval_us: 20_000, shots: vec![[0, 1], [0, 1]] };
        assert_eq!(verdict("patched", StormTally { series: vec![early], ..tally() }), Some(Verdict::Invalid));
    }
}
