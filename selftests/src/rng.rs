// SPDX-License-Identifier: GPL-2.0-only
//! Numbers that look random and repeat with their seed.
//!
//! Owns: xorshift64*. Must not: be used where an attacker guesses.

/// A stream of numbers.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    /// The stream of `seed` for task number `task`; streams of two tasks differ.
    pub(crate) fn new(seed: u64, task: u64) -> Self {
        let mixed =
            (seed ^ task.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        // The state 0 would stay 0.
        Self((mixed ^ mixed >> 31) | 1)
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number between 0 and 1, never 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        // The low bits are the weak ones.
        (self.next() >> 16) % end.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_and_differ() {
        let stream = |seed, task| {
            let mut rng = Rng::new(seed, task);
            (0..8).map(|_| rng.next()).collect::<Vec<_>>()
        };
        assert_eq!(stream(1, 0), stream(1, 0));
        assert_ne!(stream(1, 0), stream(1, 1));
        assert_ne!(stream(1, 0), stream(2, 0));
    }

    #[test]
    fn all_values_come() {
        let mut rng = Rng::new(0, 0);
        let mut seen = [false; 16];
        for _ in 0..400 {
            seen[usize::try_from(rng.below(16)).unwrap()] = true;
        }
        assert!(seen.iter().all(|seen| *seen));
        assert_eq!(rng.below(0), 0);
    }
}
