// SPDX-License-Identifier: GPL-2.0-only
//! The server process: the device's content in locked memory, the hold, the delays.
//!
//! Owns: which request is withheld and until when. Must not: page-fault on the
//! device that it serves (everything is locked before the first request), nor
//! decide about the release, which is the conductor's.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;

use anyhow::{Context, bail};
use selftests::latency::Latency;

use super::delay::Delays;
use super::proto::{Command, EINVAL, EIO, REQUEST, Request, reply, request};
use crate::clock::{self, Deadline};
use crate::roles;
use crate::swap;
use crate::wire::{Channel, Message, Op, wait_any};

/// What `role nbd` runs until the kernel or the conductor goes away. The first
/// order says how many bytes the device has; it is formatted for swap.
pub(crate) fn serve(control: &Channel, kernel: File) -> anyhow::Result<()> {
    let Some(order) = control.next()? else { return Ok(()) };
    let bytes = usize::try_from(order.args[0]).context("the size of the device")?;
    let mut store = vec![0; bytes];
    let header = swap::header(bytes / swap::PAGE);
    store[..header.len()].copy_from_slice(&header);
    roles::lock_memory_forever()?;
    let (withheld, answer) = (Vec::with_capacity(256), Vec::new());
    let (delays, counts) = (None, Counts::default());
    let mut server = Server { store, kernel, withheld, answer, armed: None, refusing: false, delays, counts };
    control.send(&Message::new(Op::Done, &[]))?;
    loop {
        let due = server.delays.as_ref().and_then(Delays::next);
        let deadline = due.unwrap_or_else(|| Deadline::after(60_000, 1.0));
        let ready = wait_any(&[server.kernel.as_fd(), control.as_fd()], deadline)?;
        server.answer_due()?;
        // Control first: a request that arrives after `Arm` was sent must be withheld.
        if ready[1] && !server.control(control)? {
            return Ok(());
        }
        if ready[0] && !server.kernel(control)? {
            return Ok(());
        }
    }
}

struct Server {
    store: Vec<u8>,
    kernel: File,
    withheld: Vec<Request>,
    answer: Vec<u8>,
    armed: Option<Command>,
    /// Every read is answered with an error.
    refusing: bool,
    /// Replies that wait, if they may.
    delays: Option<Delays>,
    counts: Counts,
}

/// Requests since the last [`Op::Delay`].
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    reads: u64,
    writes: u64,
    delayed: u64,
}

impl Server {
    /// One order of the conductor; false when it is gone.
    fn control(&mut self, control: &Channel) -> anyhow::Result<bool> {
        let Some(order) = control.next()? else { return Ok(false) };
        match order.op {
            Op::Arm => self.armed = Some(if order.args[0] == 0 { Command::Read } else { Command::Write }),
            Op::Release => {
                if order.args[0] != 2 {
                    self.armed = None;
                }
                self.refusing = order.args[0] == 1;
                for request in std::mem::take(&mut self.withheld) {
                    self.answer(request)?;
                }
            }
            Op::Delay => {
                let [seed, kind, a, b, c, ..] = order.args;
                let latency = Latency::from_args([kind, a, b, c]);
                self.delays = Some(match self.delays.take() {
                    Some(delays) => delays.turn(seed, latency),
                    None => Delays::new(seed, latency),
                });
                self.counts = Counts::default();
            }
            Op::Count => {
                let Counts { reads, writes, delayed } = self.counts;
                let [median, rare, longest] = self.delays.as_mut().map(Delays::served).unwrap_or_default();
                control.send(&Message::new(Op::Done, &[reads, writes, delayed, median, rare, longest]))?;
                return Ok(true);
            }
            other => bail!("the server got the order {other:?}"),
        }
        control.send(&Message::new(Op::Done, &[]))?;
        Ok(true)
    }

    /// One request of the kernel; false when it disconnected.
    fn kernel(&mut self, control: &Channel) -> anyhow::Result<bool> {
        let mut header = [0; REQUEST];
        match self.kernel.read_exact(&mut header) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(error).context("reading a request header"),
        }
        let Some(request) = request(&header) else { bail!("the kernel sent no NBD request: {header:02x?}") };
        match request.command {
            Command::Disconnect => return Ok(false),
            Command::Write => {
                self.take_bytes(request)?;
                self.counts.writes += 1;
            }
            Command::Read => self.counts.reads += 1,
            Command::Other(_) => {}
        }
        if self.armed == Some(request.command) {
            self.withheld.push(request);
            control.send(&Message::new(Op::Withheld, &[request.offset, request.length.into(), clock::now()]))?;
        } else {
            self.answer_in_time(request)?;
        }
        Ok(true)
    }

    /// Answers now or, if replies may wait, perhaps later.
    fn answer_in_time(&mut self, request: Request) -> anyhow::Result<()> {
        let prompt = match &mut self.delays {
            Some(delays) => delays.keep(clock::now(), request),
            None => Some(request),
        };
        self.counts.delayed += u64::from(prompt.is_none());
        prompt.map_or(Ok(()), |request| self.answer(request))
    }

    fn answer_due(&mut self) -> anyhow::Result<()> {
        while let Some(request) = self.delays.as_mut().and_then(|delays| delays.due(clock::now())) {
            self.answer(request)?;
        }
        Ok(())
    }

    fn answer(&mut self, request: Request) -> anyhow::Result<()> {
        match request.command {
            Command::Read => self.answer_read(request),
            Command::Write => self.send(&reply(request.handle, 0)),
            Command::Disconnect | Command::Other(_) => self.send(&reply(request.handle, EINVAL)),
        }
    }

    fn range(&self, request: &Request) -> Option<std::ops::Range<usize>> {
        let start = usize::try_from(request.offset).ok()?;
        let end = start.checked_add(request.length as usize)?;
        (end <= self.store.len()).then_some(start..end)
    }

    fn answer_read(&mut self, request: Request) -> anyhow::Result<()> {
        let Some(range) = self.range(&request).filter(|_| !self.refusing) else {
            return self.send(&reply(request.handle, EIO));
        };
        // Header and bytes in one call wake the kernel's receiver once.
        self.answer.clear();
        self.answer.extend_from_slice(&reply(request.handle, 0));
        self.answer.extend_from_slice(&self.store[range]);
        self.kernel.write_all(&self.answer).context("sending the bytes of a read")
    }

    /// The bytes of a write follow its header, whenever it is answered.
    fn take_bytes(&mut self, request: Request) -> anyhow::Result<()> {
        let Some(range) = self.range(&request) else { bail!("a write beyond the device: {request:?}") };
        self.kernel.read_exact(&mut self.store[range]).context("reading the bytes of a write")
    }

    fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.kernel.write_all(bytes).context("sending a reply")
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn ask(command: u16, handle: u8, offset: u64, length: u32) -> [u8; REQUEST] {
        let mut bytes = [handle; REQUEST];
        bytes[..4].copy_from_slice(&0x2560_9513_u32.to_be_bytes());
        bytes[4..6].fill(0);
        bytes[6..8].copy_from_slice(&command.to_be_bytes());
        bytes[16..24].copy_from_slice(&offset.to_be_bytes());
        bytes[24..].copy_from_slice(&length.to_be_bytes());
        bytes
    }

    fn serving(socket: UnixStream) -> Server {
        Server {
            store: vec![0; 8192],
            kernel: File::from(OwnedFd::from(socket)),
            withheld: Vec::new(),
            answer: Vec::new(),
            armed: None,
            refusing: false,
            delays: None,
            counts: Counts::default(),
        }
    }

    #[test]
    fn reads_are_withheld_between_arm_and_release_and_writes_pass() {
        let (ours, theirs) = Channel::pair().unwrap();
        let (mut kernel, socket) = UnixStream::pair().unwrap();
        let mut server = serving(socket);
        ours.send(&Message::new(Op::Arm, &[])).unwrap();
        assert!(server.control(&theirs).unwrap());
        assert_eq!(ours.next().unwrap().unwrap().op, Op::Done);
        kernel.write_all(&ask(0, 7, 4096, 4)).unwrap();
        assert!(server.kernel(&theirs).unwrap());
        assert_eq!(ours.next().unwrap().unwrap().args[..2], [4096, 4]);
        kernel.write_all(&ask(1, 8, 4096, 4)).unwrap();
        kernel.write_all(b"data").unwrap();
        assert!(server.kernel(&theirs).unwrap());
        let mut answer = [0; 16];
        kernel.read_exact(&mut answer).unwrap();
        assert_eq!(answer[8..], [8; 8], "the write is answered, the read is not");
        ours.send(&Message::new(Op::Release, &[])).unwrap();
        assert!(server.control(&theirs).unwrap());
        let mut answer = [0; 20];
        kernel.read_exact(&mut answer).unwrap();
        assert_eq!(answer[8..16], [7; 8]);
        assert_eq!(&answer[16..], b"data");
        kernel.write_all(&ask(0, 9, 8192, 4)).unwrap();
        assert!(server.kernel(&theirs).unwrap());
        let mut answer = [0; 16];
        kernel.read_exact(&mut answer).unwrap();
        assert_eq!(answer[7], 5, "a read beyond the end is an IO error");
        drop(kernel);
        assert!(!server.kernel(&theirs).unwrap());
    }

    #[test]
    fn a_withheld_read_may_be_refused_until_the_next_release() {
        let (ours, theirs) = Channel::pair().unwrap();
        let (mut kernel, socket) = UnixStream::pair().unwrap();
        let mut server = serving(socket);
        let mut answers = |order: &[u64], bytes: usize| {
            ours.send(&Message::new(Op::Release, order)).unwrap();
            assert!(server.control(&theirs).unwrap());
            assert_eq!(ours.next().unwrap().unwrap().op, Op::Done);
            kernel.write_all(&ask(0, 7, 4096, 4)).unwrap();
            assert!(server.kernel(&theirs).unwrap());
            let mut answer = vec![0; bytes];
            kernel.read_exact(&mut answer).unwrap();
            answer[7]
        };
        assert_eq!(answers(&[1], 16), 5, "EIO, and no bytes");
        assert_eq!(answers(&[], 20), 0);
    }

    #[test]
    fn what_comes_after_an_answer_may_be_withheld_again() {
        let (ours, theirs) = Channel::pair().unwrap();
        let (mut kernel, socket) = UnixStream::pair().unwrap();
        let mut server = serving(socket);
        for (op, arg) in [(Op::Arm, 0), (Op::Release, 2)] {
            ours.send(&Message::new(op, &[arg])).unwrap();
            assert!(server.control(&theirs).unwrap());
            assert_eq!(ours.next().unwrap().unwrap().op, Op::Done);
            kernel.write_all(&ask(0, 7, 4096, 4)).unwrap();
            assert!(server.kernel(&theirs).unwrap());
            assert_eq!(ours.next().unwrap().unwrap().op, Op::Withheld);
        }
        let mut answer = [0; 20];
        kernel.read_exact(&mut answer).unwrap();
        kernel.set_nonblocking(true).unwrap();
        assert_eq!(kernel.read(&mut answer).unwrap_err().kind(), ErrorKind::WouldBlock, "the second is withheld");
    }

    #[test]
    fn the_reply_to_a_write_is_withheld_and_its_bytes_are_taken() {
        let (ours, theirs) = Channel::pair().unwrap();
        let (mut kernel, socket) = UnixStream::pair().unwrap();
        let mut server = serving(socket);
        ours.send(&Message::new(Op::Arm, &[1])).unwrap();
        assert!(server.control(&theirs).unwrap());
        assert_eq!(ours.next().unwrap().unwrap().op, Op::Done);
        kernel.write_all(&ask(1, 8, 4096, 4)).unwrap();
        kernel.write_all(b"data").unwrap();
        assert!(server.kernel(&theirs).unwrap());
        assert_eq!(ours.next().unwrap().unwrap().args[..2], [4096, 4]);
        kernel.write_all(&ask(0, 7, 4096, 4)).unwrap();
        assert!(server.kernel(&theirs).unwrap());
        let mut answer = [0; 20];
        kernel.read_exact(&mut answer).unwrap();
        assert_eq!((&answer[8..16], &answer[16..]), (&[7; 8][..], &b"data"[..]), "a read passes");
        ours.send(&Message::new(Op::Release, &[])).unwrap();
        assert!(server.control(&theirs).unwrap());
        let mut answer = [0; 16];
        kernel.read_exact(&mut answer).unwrap();
        assert_eq!(answer[8..], [8; 8]);
    }
}
