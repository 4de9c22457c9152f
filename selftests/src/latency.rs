// SPDX-License-Identifier: GPL-2.0-only
//! How late the replies of a block device come, as a distribution.
//!
//! Owns: its names on a command line, in a plan and in a message, and the draws. Must
//! not: hold the numbers that look random, or wait.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The longest that a draw may be: a device that takes longer is a dead one, and its
/// guest would be taken for hung.
pub const LONGEST: Duration = Duration::from_secs(2);

/// A distribution of delays.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Latency {
    /// Always the same, in microseconds.
    Fixed(u64),
    /// Log-normal: the median in microseconds, and the standard deviation of the logarithm.
    LogNormal(u64, f64),
    /// Mostly the first, in microseconds; this share of them the second.
    Bimodal(u64, u64, f64),
}

/// The text is no distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLatency(pub String);

impl fmt::Display for BadLatency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = LONGEST.as_secs();
        write!(
            f,
            "{:?} is no latency: fixed:10ms, lognormal:MEDIAN,SIGMA or bimodal:USUAL,RARE,SHARE, with times like 500us, \
             10ms or 1s up to {limit} s, sigma up to 3, and a share between 0 and 1",
            self.0
        )
    }
}

impl std::error::Error for BadLatency {}

impl Latency {
    /// As the numbers of a message.
    #[must_use]
    pub fn to_args(self) -> [u64; 4] {
        match self {
            Self::Fixed(us) => [1, us, 0, 0],
            Self::LogNormal(us, sigma) => [2, us, sigma.to_bits(), 0],
            Self::Bimodal(usual, rare, share) => [3, usual, rare, share.to_bits()],
        }
    }

    /// Back from them.
    #[must_use]
    pub fn from_args(args: [u64; 4]) -> Option<Self> {
        match args {
            [1, us, ..] => Some(Self::Fixed(us)),
            [2, us, sigma, _] => Some(Self::LogNormal(us, f64::from_bits(sigma))),
            [3, usual, rare, share] => Some(Self::Bimodal(usual, rare, f64::from_bits(share))),
            _ => None,
        }
    }

    /// One delay in microseconds, out of numbers between 0 and 1 that `uniform` gives.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "microseconds below an hour"
    )]
    pub fn draw(self, mut uniform: impl FnMut() -> f64) -> u64 {
        let us = match self {
            Self::Fixed(us) => us,
            Self::LogNormal(median, sigma) => {
                // Box and Muller; 0 has no logarithm.
                let (radius, angle) = (uniform().max(1e-12), uniform());
                let normal = (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos();
                (median as f64 * (sigma * normal).exp()) as u64
            }
            Self::Bimodal(usual, rare, share) => {
                if uniform() < share {
                    rare
                } else {
                    usual
                }
            }
        };
        us.min(LONGEST.as_micros() as u64)
    }
}

impl Latency {
    /// Why a device whose delays had this median, in microseconds, is not the one that was
    /// asked for. Replies are never early, but draws scatter; they are later by what the
    /// host takes, which on a busy one is milliseconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "microseconds below an hour")]
    pub fn unlike(self, median: u64) -> Option<String> {
        let asked = match self {
            Self::Fixed(us) | Self::LogNormal(us, _) => us,
            Self::Bimodal(usual, rare, share) => {
                if share < 0.5 {
                    usual
                } else {
                    rare
                }
            }
        };
        let wide = asked * 4 / 5..=2 * asked + 5_000;
        (!wide.contains(&median)).then(|| {
            format!("half of the late replies came up to {} ms late, where {self} was asked for", median as f64 / 1e3)
        })
    }
}

fn micros(text: &str) -> Option<u64> {
    let at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(at);
    let factor = match unit {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        _ => return None,
    };
    let us = number.parse::<u64>().ok()?.checked_mul(factor)?;
    (u128::from(us) <= LONGEST.as_micros()).then_some(us)
}

fn told(us: u64) -> String {
    match us {
        us if us % 1_000 == 0 => format!("{}ms", us / 1_000),
        us => format!("{us}us"),
    }
}

impl FromStr for Latency {
    type Err = BadLatency;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (name, rest) = text.split_once(':')?;
            let words: Vec<&str> = rest.split(',').collect();
            match (name, words.as_slice()) {
                ("fixed", [time]) => Some(Self::Fixed(micros(time)?)),
                ("lognormal", [median, sigma]) => {
                    let sigma = sigma.parse().ok().filter(|sigma| (0.0..=3.0).contains(sigma))?;
                    Some(Self::LogNormal(micros(median)?, sigma))
                }
                ("bimodal", [usual, rare, share]) => {
                    let share = share.parse().ok().filter(|share| (0.0..=1.0).contains(share))?;
                    Some(Self::Bimodal(micros(usual)?, micros(rare)?, share))
                }
                _ => None,
            }
        };
        read().ok_or_else(|| BadLatency(text.to_owned()))
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(us) => write!(f, "fixed:{}", told(*us)),
            Self::LogNormal(us, sigma) => write!(f, "lognormal:{},{sigma}", told(*us)),
            Self::Bimodal(usual, rare, share) => write!(f, "bimodal:{},{},{share}", told(*usual), told(*rare)),
        }
    }
}

impl From<Latency> for String {
    fn from(latency: Latency) -> Self {
        latency.to_string()
    }
}

impl TryFrom<String> for Latency {
    type Error = BadLatency;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 4] = ["fixed:10ms", "fixed:0ms", "lognormal:1500us,0.5", "bimodal:1ms,50ms,0.01"];

    #[test]
    fn each_is_read_back_from_text_and_message() {
        for text in TEXTS {
            let latency: Latency = text.parse().unwrap();
            assert_eq!(latency.to_string(), text);
            assert_eq!(Latency::from_args(latency.to_args()), Some(latency));
        }
        assert_eq!("fixed:1s".parse(), Ok(Latency::Fixed(1_000_000)));
        assert_eq!(Latency::from_args([0, 1, 2, 3]), None);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "fixed",
            "fixed:",
            "fixed:10",
            "fixed:3s",
            "fixed:1ms,2",
            "lognormal:1ms,9",
            "lognormal:1ms,nan",
            "bimodal:1ms,2ms,1.5",
            "fixed:-1ms",
        ] {
            assert!(text.parse::<Latency>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_device_is_known_by_its_median() {
        for text in ["fixed:10ms", "lognormal:10ms,1", "bimodal:10ms,50ms,0.1", "bimodal:1ms,10ms,0.9"] {
            let latency: Latency = text.parse().unwrap();
            assert_eq!(latency.unlike(10_900), None);
            assert!(latency.unlike(7_900).is_some() && latency.unlike(26_000).is_some(), "{text}");
        }
    }

    /// A sequence that covers the unit interval evenly, enough for what follows.
    fn uniform() -> impl FnMut() -> f64 {
        let mut state = 0.0_f64;
        move || {
            state = (state + 0.618_033_988_749_894_9).fract();
            state
        }
    }

    #[test]
    fn draws_have_the_shares_and_the_median_that_are_asked_for() {
        let mut next = uniform();
        let rare = (0..10_000).filter(|_| Latency::Bimodal(1, 2, 0.01).draw(&mut next) == 2).count();
        assert!((90..=110).contains(&rare), "{rare}");
        let mut draws: Vec<u64> = (0..9_999).map(|_| Latency::LogNormal(5_000, 1.0).draw(&mut next)).collect();
        draws.sort_unstable();
        assert!((4_500..5_500).contains(&draws[4_999]), "{}", draws[4_999]);
        let mean = draws.iter().sum::<u64>() / 9_999;
        assert!(mean > 7_000, "the tail is long: {mean}");
        assert!((0..100).all(|_| Latency::LogNormal(1_000_000, 3.0).draw(&mut next) <= 2_000_000));
    }
}
