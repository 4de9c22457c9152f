// SPDX-License-Identifier: GPL-2.0-only
//! How often noise alone makes a regression, and whether a regression is seen in it.

use xtask::diff::Change;
use xtask::outcome::CellState::{Held, Mixed, Released};
use xtask::regress::Night;

use crate::nights::{cell, line, night, told};

/// Numbers that look random and are the same in each run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn chance(&mut self, of: f64) -> bool {
        self.uniform() < of
    }

    /// Of mean 0 and deviation 1: the sum of twelve.
    pub(crate) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

/// The deviation of a logarithm of which ten values range over a factor of 1.7: ten
/// normal values range over 3.08 deviations.
pub(crate) fn measured() -> f64 {
    1.7_f64.ln() / 3.08
}

/// Nights of one place whose median varies like that around `usual`; how many said `new`
/// out of how many.
fn alarms(seed: u64, deviation: f64, usual: f64, nights: usize) -> usize {
    let mut random = Random(seed);
    let mut past: Vec<Night> = Vec::new();
    let mut alarms = 0;
    for number in 0..nights {
        past.push(night(number, vec![cell(Released, usual * (deviation * random.normal()).exp())]));
        past.drain(..past.len().saturating_sub(11));
        alarms += told(&past).lines.len();
    }
    alarms
}

/// 4 × 5 000 nights of waits as they were measured, and four levels: no alarm, that is,
/// with 95 per cent confidence, fewer than one in 6 600 at each level, one in 26 000 in all.
/// A machine three times as restless stays below one in a hundred.
#[test]
fn waits_as_measured_raise_no_false_alarm() {
    for usual in [0.1, 0.3, 1.0, 10.0] {
        assert_eq!(alarms(1, measured(), usual, 5_000), 0, "{usual}");
    }
    let restless = alarms(2, 3.0 * measured(), 10.0, 5_000);
    assert!((1..50).contains(&restless), "{restless} alarms in 5000 nights");
}

/// A wait that is three times what it was is seen in the first night in four of five
/// cases, one of four times in 98 of 100.
#[test]
fn a_wait_that_grew_is_seen_in_noise() {
    for (times, least) in [(3.0, 800), (4.0, 980)] {
        let mut random = Random(3);
        let mut seen = 0;
        for _ in 0..1_000 {
            let mut nights: Vec<Night> = Vec::new();
            for number in 0..7 {
                let usual = if number == 6 { 3.0 * times } else { 3.0 };
                nights.push(night(number, vec![cell(Released, usual * (measured() * random.normal()).exp())]));
            }
            seen += told(&nights).lines.len();
        }
        assert!(seen >= least, "{times} times: {seen} of 1000");
    }
}

/// Of places that do not change nothing is new, whatever the kernels.
#[test]
fn states_that_do_not_change_raise_no_alarm() {
    for state in [Released, Held] {
        let nights: Vec<Night> = (0..11).map(|number| night(number, vec![cell(state, 0.3)])).collect();
        let lines = told(&nights).lines;
        assert!(lines.iter().all(|line| line.change == Change::Persistent), "{lines:?}");
    }
}

/// A cell whose trials disagree in one boot of ten, by chance. Each night with another
/// kernel: one night in 25 says `new`, less than half as often as it happens, and none from
/// the third change in the window on. With the same kernel: it is `new` never, as soon as it was seen well.
#[test]
fn a_flaky_cell_is_soon_called_so() {
    for (fixed_kernel, most) in [(false, 0.05), (true, 0.0)] {
        let mut random = Random(4);
        let (mut new, mut flaky, mut fixed) = (0, 0, 0);
        let mut past: Vec<Night> = vec![night(0, vec![cell(Released, 0.3)])];
        let nights = 5_000;
        for number in 1..=nights {
            let state = if random.chance(0.1) { Mixed } else { Released };
            past.push(night(if fixed_kernel { 0 } else { number }, vec![cell(state, 0.3)]));
            past.drain(..past.len().saturating_sub(11));
            let said = told(&past);
            match line(&said).map(|line| line.change) {
                Some(Change::New) => new += 1,
                Some(Change::Flaky) => flaky += 1,
                Some(Change::Fixed) => fixed += 1,
                _ => {}
            }
        }
        let share = f64::from(new) / f64::from(u32::try_from(nights).unwrap());
        assert!(share <= most && flaky > new && fixed == 0, "{new} new, {flaky} flaky, {fixed} fixed");
    }
}

/// The other way round: a cell that is broken for good among flaky ones is no less seen
/// for them, and one that is broken for good is never `flaky` after its first nights.
#[test]
fn a_regression_for_good_is_new_once_and_then_persistent() {
    let mut said = Vec::new();
    let mut past = Vec::new();
    for number in 0..20 {
        past.push(night(number, vec![cell(if number < 8 { Released } else { Held }, 0.3)]));
        said.push(line(&told(&past)).map(|line| line.change));
    }
    assert!(said[..8].iter().all(Option::is_none));
    assert_eq!(said[8], Some(Change::New));
    assert!(said[9..].iter().all(|word| *word == Some(Change::Persistent)), "{said:?}");
}
