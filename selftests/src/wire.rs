// SPDX-License-Identifier: GPL-2.0-only
//! The fixed-size messages between the processes of a measurement.
//!
//! Owns: their encoding and the channel that carries them. Must not: allocate
//! on the way of a message, since a thread of the probed process that allocates
//! may map memory and so wait for the very lock that is measured.
//!
//! A channel is a SOCK_SEQPACKET pair: one message is one packet, and the end
//! of the peer is an end of file.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use anyhow::{Context, bail};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};

use crate::clock::Deadline;

/// Bytes of a message on the wire.
const SIZE: usize = 256;
/// Numbers in a message.
const ARGS: usize = 6;
/// Where the text begins.
const TEXT_AT: usize = 8 + ARGS * 8;
/// Longest text; a longer one is cut.
const TEXT: usize = SIZE - TEXT_AT;

/// What a message says; `args` are given with each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Op {
    /// Do it. Arguments are the receiver's.
    Go = 1,
    /// It is done. Arguments are the sender's.
    Done = 2,
    /// It failed; the text says how.
    Fail = 3,
    /// Server: withhold every read from now on, or with 1 every reply to a write.
    Arm = 4,
    /// From the server: a request is withheld; offset, bytes, [`crate::clock::now`].
    Withheld = 5,
    /// Server: answer everything that is withheld, withhold no more; with 1 by errors, and so
    /// every read until the next of these; with 2 go on to withhold what comes.
    Release = 6,
    /// Subject: fresh guest memory; backing, seed.
    Map = 7,
    /// Subject: start to get the guest memory out of memory; was that possible?
    PageOut = 8,
    /// Subject: how many pages of the guest memory are in memory?
    Resident = 9,
    /// Subject: compare the guest memory; seed, written page, written byte.
    Verify = 10,
    /// The situation cannot be made here; the text says why.
    Skip = 11,
    /// Accessor: lower the limit that the text names to nothing and lift it again,
    /// however long that takes.
    Reclaim = 12,
    /// Server: from now on hold replies back for a while, as this seed decides; reads alone
    /// where a [`selftests::latency::Latency`] follows it.
    Delay = 13,
    /// Server: say how many reads, writes and delayed replies there were.
    Count = 14,
    /// Accessor: read the first byte of a page of another process with one call, or write
    /// it; its process id, the address, 1 to write, the byte.
    Transfer = 15,
}

impl Op {
    /// All of them, for decoding.
    const ALL: [Self; 15] = [
        Self::Go,
        Self::Done,
        Self::Fail,
        Self::Arm,
        Self::Withheld,
        Self::Release,
        Self::Map,
        Self::PageOut,
        Self::Resident,
        Self::Verify,
        Self::Skip,
        Self::Reclaim,
        Self::Delay,
        Self::Count,
        Self::Transfer,
    ];
}

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Message {
    /// What it says.
    pub(crate) op: Op,
    /// Its numbers.
    pub(crate) args: [u64; ARGS],
    text: [u8; TEXT],
    text_len: usize,
}

impl Message {
    /// A message with up to six numbers, the rest 0.
    pub(crate) fn new(op: Op, numbers: &[u64]) -> Self {
        let mut args = [0; ARGS];
        for (arg, number) in args.iter_mut().zip(numbers) {
            *arg = *number;
        }
        Self { op, args, text: [0; TEXT], text_len: 0 }
    }

    /// A message with a text, cut to what fits.
    pub(crate) fn with_text(op: Op, text: &str) -> Self {
        let mut message = Self::new(op, &[]);
        message.text_len = text.len().min(TEXT);
        message.text[..message.text_len].copy_from_slice(&text.as_bytes()[..message.text_len]);
        message
    }

    /// The text, as far as it is one.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.text[..self.text_len]).into_owned()
    }

    fn encode(&self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        bytes[..4].copy_from_slice(&(self.op as u32).to_le_bytes());
        bytes[4] = u8::try_from(self.text_len).unwrap_or(0);
        for (chunk, arg) in bytes[8..TEXT_AT].chunks_exact_mut(8).zip(self.args) {
            chunk.copy_from_slice(&arg.to_le_bytes());
        }
        bytes[TEXT_AT..].copy_from_slice(&self.text);
        bytes
    }

    fn decode(bytes: &[u8; SIZE]) -> Option<Self> {
        let number = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let op = Op::ALL.into_iter().find(|op| *op as u32 == number)?;
        let mut args = [0; ARGS];
        for (arg, chunk) in args.iter_mut().zip(bytes[8..TEXT_AT].chunks_exact(8)) {
            *arg = u64::from_le_bytes(chunk.try_into().ok()?);
        }
        let text_len = usize::from(bytes[4]).min(TEXT);
        Some(Self { op, args, text: bytes[TEXT_AT..].try_into().ok()?, text_len })
    }
}

/// One end of a message channel.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

impl Channel {
    /// The same end once more.
    pub(crate) fn try_clone(&self) -> anyhow::Result<Self> {
        self.0.try_clone().map(Self).context("duplicating a channel")
    }

    /// Both ends of a new channel, closed on exec.
    pub(crate) fn pair() -> anyhow::Result<(Self, Self)> {
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
            .context("socketpair(AF_UNIX, SOCK_SEQPACKET)")?;
        Ok((Self(ours), Self(theirs)))
    }

    /// Sends one message.
    pub(crate) fn send(&self, message: &Message) -> anyhow::Result<()> {
        loop {
            match send(self.0.as_raw_fd(), &message.encode(), MsgFlags::MSG_NOSIGNAL) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error).with_context(|| format!("sending {:?}", message.op)),
            }
        }
    }

    /// The next message, however long it takes; `None` when the peer is gone.
    pub(crate) fn next(&self) -> anyhow::Result<Option<Message>> {
        let mut bytes = [0; SIZE];
        loop {
            match recv(self.0.as_raw_fd(), &mut bytes, MsgFlags::empty()) {
                Ok(0) | Err(Errno::ECONNRESET) => return Ok(None),
                Ok(SIZE) => {
                    return Message::decode(&bytes).map(Some).context("a message of an unknown kind arrived");
                }
                Ok(count) => bail!("a message has {count} bytes instead of {SIZE}"),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error).context("receiving a message"),
            }
        }
    }

    /// The next message until `deadline`; `None` when none came in time.
    ///
    /// # Errors
    /// The peer is gone, or the channel is broken.
    pub(crate) fn next_until(&self, deadline: Deadline) -> anyhow::Result<Option<Message>> {
        loop {
            let ready = wait_any(&[self.as_fd()], deadline)?;
            if ready[0] {
                return self.next()?.context("the peer process is gone").map(Some);
            }
            if deadline.passed() {
                return Ok(None);
            }
        }
    }
}

impl From<OwnedFd> for Channel {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> Self {
        channel.0
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits until one of `fds` can be read, at the latest until `deadline`, or
/// until a signal arrives; says which can.
pub(crate) fn wait_any(fds: &[BorrowedFd<'_>], deadline: Deadline) -> anyhow::Result<Vec<bool>> {
    let mut polled: Vec<_> = fds.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
    match ppoll(&mut polled, Some(deadline.left().into()), None) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(error) => return Err(error).context("ppoll"),
    }
    Ok(polled.iter().map(|fd| fd.revents().is_some_and(|events| !events.is_empty())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_decodes_back() {
        for op in Op::ALL {
            let mut message = Message::with_text(op, "madvise(MADV_PAGEOUT): EINVAL");
            message.args = [1, u64::MAX, 3, 4, 5, 6];
            let back = Message::decode(&message.encode()).unwrap();
            assert_eq!(back, message);
            assert_eq!(back.text(), "madvise(MADV_PAGEOUT): EINVAL");
        }
    }

    #[test]
    fn an_unknown_kind_is_refused() {
        assert_eq!(Message::decode(&[0; SIZE]), None);
        assert_eq!(Message::decode(&[255; SIZE]), None);
    }

    #[test]
    fn a_long_text_is_cut() {
        let text = "x".repeat(1000);
        assert_eq!(Message::with_text(Op::Fail, &text).text(), "x".repeat(TEXT));
    }

    #[test]
    fn a_channel_has_deadlines_and_an_end() {
        let (ours, theirs) = Channel::pair().unwrap();
        assert_eq!(ours.next_until(Deadline::after(1, 1.0)).unwrap(), None);
        theirs.send(&Message::new(Op::Done, &[7])).unwrap();
        assert_eq!(ours.next_until(Deadline::after(1000, 1.0)).unwrap().unwrap().args[0], 7);
        drop(theirs);
        assert!(ours.next_until(Deadline::after(1000, 1.0)).is_err());
    }
}
