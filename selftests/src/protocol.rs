// SPDX-License-Identifier: GPL-2.0-only
//! The frames that a guest sends to the host, and their wire format.
//!
//! Owns: frame types, encoding, a decoder that keeps its state across chunk
//! borders. Must not: judge. Frames travel over a virtio-serial port, never
//! over the console, where printk would cut them to pieces.
//!
//! ```text
//! hello → plan → (start → sample* → result)* → (behaviour-start → behaviour-result)*
//!     → [stress-start → stress-result] → [storm-start → storm-result] → bye
//! ```
//!
//! A note may stand anywhere.
//!
//! On the wire: 4 bytes little-endian length of the JSON that follows, then an
//! [`Envelope`] as JSON. Sequence numbers count from 0; a gap means loss.

use serde::{Deserialize, Serialize};

use crate::behaviour::{Behaviour, BehaviourEnd};
use crate::cell::{Cell, Probe};
use crate::lost::Lost;
use crate::plan::Stress;
use crate::storms::{Storm, StormEnd};
use crate::tally::StressEnd;

/// Raised whenever a frame changes its meaning; both ends compare it in `hello`.
pub const PROTOCOL: u32 = 1;

/// Name of the virtio-serial port that carries the frames.
pub const PORT_NAME: &str = "kvm-gup-io.frames";

/// A frame longer than this is a broken stream, not a frame.
pub const MAX_FRAME: usize = 1 << 20;

/// A frame with its place in the stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// Position in the stream, from 0.
    pub seq: u32,
    /// The frame.
    #[serde(flatten)]
    pub frame: Frame,
}

/// One message from the guest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "frame", rename_all = "kebab-case")]
pub enum Frame {
    /// PID 1 is up and the port is open.
    Hello {
        /// [`PROTOCOL`] of the guest's build.
        protocol: u32,
        /// `uname -r`.
        kernel: String,
        /// CPU extension for virtual machines seen in the guest: `svm`, `vmx` or `none`.
        nested: String,
        /// CLOCK_BOOTTIME at this moment, in milliseconds.
        uptime_ms: u64,
    },
    /// The cells that will run, in order.
    Plan {
        /// As in [`crate::plan::Plan::cells`].
        cells: Vec<Cell>,
    },
    /// A cell begins.
    Start {
        /// Which.
        cell: Cell,
    },
    /// One trial of the cell that has begun.
    Sample {
        /// Which cell.
        cell: Cell,
        /// The trial.
        #[serde(flatten)]
        sample: Sample,
    },
    /// The cell has ended; exactly one for each cell of the plan.
    Result {
        /// Which.
        cell: Cell,
        /// How it ended.
        outcome: CellEnd,
    },
    /// A behaviour is tried; only after all cells.
    BehaviourStart {
        /// Which.
        behaviour: Behaviour,
    },
    /// The behaviour has ended; exactly one for each of the plan.
    BehaviourResult {
        /// Which.
        behaviour: Behaviour,
        /// How it ended.
        outcome: BehaviourEnd,
    },
    /// The stress begins; only if the plan has one, and after all behaviours.
    StressStart {
        /// As in [`crate::plan::Plan::stress`].
        stress: Stress,
    },
    /// The stress has ended; exactly one if the plan has one.
    StressResult {
        /// How it ended.
        outcome: StressEnd,
    },
    /// The storm begins; only if the plan has one, and after everything else.
    StormStart {
        /// As in [`crate::plan::Plan::storm`].
        storm: Storm,
    },
    /// The storm has ended; exactly one if the plan has one.
    StormResult {
        /// How it ended.
        outcome: StormEnd,
    },
    /// A line for whoever reads the record; never evidence.
    Note {
        /// The line.
        text: String,
    },
    /// The last frame.
    Bye {
        /// Frames sent before this one; equals this frame's `seq`.
        frames: u32,
    },
}

/// How a cell ended in the guest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "kebab-case")]
pub enum CellEnd {
    /// All trials of the plan were made and are sound.
    Complete {
        /// Their number.
        trials: u32,
    },
    /// Without an answer.
    #[serde(untagged)]
    Lost(Lost),
}

/// One trial: a page was out, an access made it come in, its IO was withheld.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// From 0.
    pub trial: u32,
    /// From the IO being withheld to its release, in milliseconds.
    pub hold_ms: f64,
    /// Bytes of the requests that were withheld.
    pub withheld_bytes: u64,
    /// `kvm:kvm_try_async_get_page` events since the access; `None` where the
    /// tracepoint cannot be read. 0 in an `apf-halt` cell means that KVM's first,
    /// polite pass waited itself, with the lock held: the guest side lets such a
    /// sample pass only if a probe was blocked, and only after the same vCPU has
    /// shown an async page fault on another page.
    pub async_pf: Option<u32>,
    /// What an `apf-guest` cell's guest did while it waited; absent in others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meanwhile: Option<Meanwhile>,
    /// What each probe of the plan met, in its order.
    pub probes: Vec<ProbeSample>,
    /// Stack of the task that waited for the IO, innermost first, `symbol` only.
    pub waiter: Vec<String>,
}

/// A guest that was told that a page is not present, and did something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meanwhile {
    /// How often it was told, by its own count.
    pub told: u64,
    /// How often KVM told it, by `kvm:kvm_inj_exception`; `None` where that cannot be read.
    /// Before v5.8 "page ready" is such an event, too.
    pub injected: Option<u32>,
    /// Rounds of the guest's other task between "not present" and "page ready".
    pub progress: u64,
}

/// What one probe met in one trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeSample {
    /// Which.
    pub probe: Probe,
    /// Duration of the probe's system calls, in milliseconds.
    pub wait_ms: f64,
    /// Did it return while the IO was still withheld?
    pub returned_during_hold: bool,
    /// Its own stack at the end of the hold if it had not returned: proof that it
    /// waited for a lock, and was not merely late. Empty if it had returned.
    pub blocked_in: Vec<String>,
}

/// One frame in its wire format.
///
/// # Errors
/// Only if the JSON is longer than [`MAX_FRAME`].
pub fn encode(envelope: &Envelope) -> serde_json::Result<Vec<u8>> {
    let json = serde_json::to_vec(envelope)?;
    let length = u32::try_from(json.len()).ok().filter(|&length| length as usize <= MAX_FRAME);
    let Some(length) = length else {
        return Err(serde::ser::Error::custom(format!("a frame of {} bytes is too long", json.len())));
    };
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend(json);
    Ok(bytes)
}

/// Takes bytes as they come and gives whole frames.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
}

/// Why a stream can no longer be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenStream(pub String);

impl std::fmt::Display for BrokenStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the frame stream is broken: {}", self.0)
    }
}

impl std::error::Error for BrokenStream {}

impl Decoder {
    /// Adds bytes as read from the port, at any chunk border.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame; `Ok(None)` if more bytes are needed.
    ///
    /// # Errors
    /// A length that is too large, or bytes that are no frame. The stream is then
    /// of no more use.
    pub fn next_frame(&mut self) -> Result<Option<Envelope>, BrokenStream> {
        let Some((head, rest)) = self.buffer.split_first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_le_bytes(*head) as usize;
        if length > MAX_FRAME {
            return Err(BrokenStream(format!("a frame announces {length} bytes, {MAX_FRAME} are allowed")));
        }
        if rest.len() < length {
            return Ok(None);
        }
        let envelope = serde_json::from_slice(&rest[..length])
            .map_err(|error| BrokenStream(format!("{error} in {:?}", String::from_utf8_lossy(&rest[..length]))))?;
        self.buffer.drain(..4 + length);
        Ok(Some(envelope))
    }

    /// Bytes that are no whole frame yet; not 0 at the end means a cut stream.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::catalogue;

    fn frames() -> Vec<Envelope> {
        let cell = catalogue()[2];
        let sample = Sample {
            trial: 0,
            hold_ms: 100.25,
            withheld_bytes: 4096,
            async_pf: None,
            meanwhile: None,
            probes: vec![ProbeSample {
                probe: Probe::Writer,
                wait_ms: 100.5,
                returned_during_hold: false,
                blocked_in: vec!["rwsem_down_write_slowpath".to_owned()],
            }],
            waiter: vec!["swap_readpage".to_owned()],
        };
        [
            Frame::Plan { cells: vec![cell] },
            Frame::Start { cell },
            Frame::Sample { cell, sample },
            Frame::Result { cell, outcome: CellEnd::Lost(Lost::Signaled { signal: 9 }) },
            Frame::Bye { frames: 4 },
        ]
        .into_iter()
        .zip(0..)
        .map(|(frame, seq)| Envelope { seq, frame })
        .collect()
    }

    #[test]
    fn any_chunking_gives_the_same_frames() {
        let bytes: Vec<u8> = frames().iter().flat_map(|frame| encode(frame).unwrap()).collect();
        for size in [1, 3, 7, bytes.len()] {
            let mut decoder = Decoder::default();
            let mut seen = Vec::new();
            for chunk in bytes.chunks(size) {
                decoder.push(chunk);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    seen.push(frame);
                }
            }
            assert_eq!(seen, frames());
            assert_eq!(decoder.pending(), 0);
        }
    }

    #[test]
    fn noise_is_an_error_and_not_a_frame() {
        let mut decoder = Decoder::default();
        decoder.push(b"[    0.000000] Linux version 6.1");
        assert!(decoder.next_frame().is_err());
        let mut decoder = Decoder::default();
        decoder.push(&[2, 0, 0, 0, b'{', b'x']);
        assert!(decoder.next_frame().is_err());
    }

    #[test]
    fn a_cut_frame_is_pending() {
        let mut decoder = Decoder::default();
        decoder.push(&encode(&frames()[0]).unwrap()[..9]);
        assert_eq!(decoder.next_frame(), Ok(None));
        assert_eq!(decoder.pending(), 9);
    }
}
