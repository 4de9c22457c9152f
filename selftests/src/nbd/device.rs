// SPDX-License-Identifier: GPL-2.0-only
//! The kernel's end of the block device, and the conductor's link to the server.
//!
//! Owns: which `/dev/nbdN` is used, its start and its end, what is withheld. The
//! ioctl interface is used because it is the one that 3.17 and 7.3 share. Must
//! not: decide about arm and release.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use anyhow::{Context, bail};
use selftests::latency::Latency;

use crate::clock::{Deadline, nap};
use crate::failure::Failure;
use crate::roles::{Role, Stay};
use crate::swap::PAGE;
use crate::wire::{Channel, Message, Op};

nix::ioctl_write_int_bad!(nbd_set_sock, nix::request_code_none!(0xab, 0));
nix::ioctl_write_int_bad!(nbd_set_blksize, nix::request_code_none!(0xab, 1));
nix::ioctl_none!(nbd_do_it, 0xab, 3);
nix::ioctl_none!(nbd_clear_sock, 0xab, 4);
nix::ioctl_write_int_bad!(nbd_set_size_blocks, nix::request_code_none!(0xab, 7));
nix::ioctl_none!(nbd_disconnect, 0xab, 8);

/// The scheduler that keeps nothing back, where there are others of its kind.
const PLAIN: &str = "noop";

/// The running device. Dropped, it kills its server, which ends all IO; call
/// [`Device::stop`] for an orderly end.
pub(crate) struct Device {
    /// The device node.
    pub(crate) path: PathBuf,
    /// The server process.
    pub(crate) server: Server,
    file: File,
    client: JoinHandle<nix::Result<libc::c_int>>,
}

/// Requests at a device.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    /// Reads.
    pub(crate) reads: u64,
    /// Writes.
    pub(crate) writes: u64,
    /// Those of both that were answered late.
    pub(crate) delayed: u64,
    /// How late, in microseconds: the median, the 99th percentile, the longest.
    pub(crate) late_us: [u64; 3],
}

/// The conductor's view of the server process, or of a thread that answers in its words.
pub(crate) struct Server {
    link: Link,
    /// Requests withheld since the last [`Server::arm`].
    pub(crate) withheld: Vec<Withheld>,
    patience: f64,
}

/// Who serves.
enum Link {
    /// A process of its own: it ends with this.
    Process(Role),
    /// A thread of the probed process.
    Thread(Channel),
}

/// What is to be withheld.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Requests {
    /// Reads; writes pass.
    Reads,
    /// Writes; reads pass.
    Writes,
}

/// A request whose reply is withheld.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Withheld {
    /// First byte on the device.
    pub(crate) offset: u64,
    /// Bytes.
    pub(crate) length: u64,
    /// [`crate::clock::now`] when the server had read the request.
    pub(crate) at: u64,
}

impl Withheld {
    /// Is this page of the device part of it?
    pub(crate) fn covers(&self, slot: u64) -> bool {
        let byte = slot * PAGE as u64;
        self.offset <= byte && byte < self.offset + self.length
    }
}

impl Device {
    /// Starts a server process and connects a free NBD device of so many bytes to it.
    pub(crate) fn start(bytes: usize, patience: f64) -> Result<Self, Failure> {
        let path = free_device(Path::new("/sys/block"))?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|error| Failure::Skip(format!("cannot open {}: {error}", path.display())))?;
        let (ours, theirs) = UnixStream::pair().context("socketpair for NBD")?;
        let role = Role::spawn("nbd", &[Stay::from(OwnedFd::from(theirs))])?;
        let mut server = Server { link: Link::Process(role), withheld: Vec::new(), patience };
        server.order(Message::new(Op::Go, &[bytes as u64]))?;
        let client = connect(&file, ours, bytes)?;
        let device = Self { path, server, file, client };
        device.wait_connected(bytes, patience)?;
        Ok(device)
    }

    /// `pid` appears before the size is set.
    fn wait_connected(&self, bytes: usize, patience: f64) -> anyhow::Result<()> {
        let name = self.path.file_name().context("an NBD device has a name")?;
        let dir = Path::new("/sys/block").join(name);
        let sectors = (bytes / 512).to_string();
        let is_set = || std::fs::read_to_string(dir.join("size")).is_ok_and(|size| size.trim() == sectors);
        let deadline = Deadline::after(5000, patience);
        while !(dir.join("pid").exists() && is_set()) {
            if deadline.passed() || self.client.is_finished() {
                let (path, dir) = (self.path.display(), dir.display());
                bail!("ioctl(NBD_DO_IT) on {path} did not connect: no {dir}/pid, or not {sectors} in {dir}/size");
            }
            nap(500);
        }
        Ok(())
    }

    /// Disconnects; nothing may use the device any more.
    pub(crate) fn stop(self, patience: f64) -> anyhow::Result<()> {
        // SAFETY: `file` is an open NBD device, and the ioctl takes no argument.
        unsafe { nbd_disconnect(self.file.as_raw_fd()) }.context("ioctl(NBD_DISCONNECT)")?;
        let deadline = Deadline::after(5000, patience);
        while !self.client.is_finished() {
            if deadline.passed() {
                bail!("ioctl(NBD_DO_IT) on {} goes on after NBD_DISCONNECT", self.path.display());
            }
            nap(500);
        }
        clear(&self.file)
    }
}

/// Gives the kernel its socket and starts the thread that is the connection.
fn connect(file: &File, socket: UnixStream, bytes: usize) -> anyhow::Result<JoinHandle<nix::Result<libc::c_int>>> {
    let fd = file.as_raw_fd();
    // SAFETY: `fd` is an open NBD device; the arguments are a socket and numbers.
    unsafe {
        nbd_set_sock(fd, socket.as_raw_fd()).context("ioctl(NBD_SET_SOCK)")?;
        nbd_set_blksize(fd, PAGE as libc::c_int).context("ioctl(NBD_SET_BLKSIZE)")?;
        nbd_set_size_blocks(fd, (bytes / PAGE) as libc::c_int).context("ioctl(NBD_SET_SIZE_BLOCKS)")?;
    }
    let file = file.try_clone().context("duplicating the NBD device")?;
    std::thread::Builder::new()
        .name("nbd-do-it".to_owned())
        .spawn(move || {
            // SAFETY: the thread owns an open NBD device, and the ioctl takes no
            // argument. The socket must outlive it: old kernels keep only its number.
            let end = unsafe { nbd_do_it(file.as_raw_fd()) };
            drop(socket);
            end
        })
        .context("starting the NBD client thread")
}

/// Takes the socket from a device; harmless on one that has none.
pub(crate) fn clear(file: &File) -> anyhow::Result<()> {
    // SAFETY: `file` is an open NBD device, and the ioctl takes no argument.
    unsafe { nbd_clear_sock(file.as_raw_fd()) }.context("ioctl(NBD_CLEAR_SOCK)")?;
    Ok(())
}

/// What the kernel reads ahead of a file on the device, in KiB.
pub(crate) fn read_ahead_kb(device: &Path) -> anyhow::Result<u32> {
    let path = read_ahead(device)?;
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    text.trim().parse().with_context(|| format!("{} says {text:?}", path.display()))
}

/// Sets it, for files that are opened from now on.
pub(crate) fn set_read_ahead_kb(device: &Path, value: u32) -> anyhow::Result<()> {
    let path = read_ahead(device)?;
    std::fs::write(&path, value.to_string()).with_context(|| format!("writing {value} to {}", path.display()))
}

/// Has the device's requests go out as they come, where a scheduler may keep writes back as
/// long as a read is not answered (`cfq_may_dispatch()`, before 5.0); gives the name of the
/// scheduler that it had, if it has another one now. No request may be under way.
pub(crate) fn unscheduled(device: &Path) -> anyhow::Result<Option<String>> {
    let path = of_queue(device, "scheduler")?;
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    match scheduler(&text) {
        Some(name) if name != PLAIN && text.split_whitespace().any(|other| other == PLAIN) => {
            set_scheduler(device, PLAIN)?;
            Ok(Some(name.to_owned()))
        }
        _ => Ok(None),
    }
}

/// Gives the device this scheduler.
pub(crate) fn set_scheduler(device: &Path, name: &str) -> anyhow::Result<()> {
    let path = of_queue(device, "scheduler")?;
    std::fs::write(&path, name).with_context(|| format!("writing {name:?} to {}", path.display()))
}

/// The one that is in use, in the text of `queue/scheduler`.
fn scheduler(text: &str) -> Option<&str> {
    Some(text.split_once('[')?.1.split_once(']')?.0)
}

fn read_ahead(device: &Path) -> anyhow::Result<PathBuf> {
    of_queue(device, "read_ahead_kb")
}

fn of_queue(device: &Path, file: &str) -> anyhow::Result<PathBuf> {
    let name = device.file_name().with_context(|| format!("{} names no device", device.display()))?;
    Ok(Path::new("/sys/block").join(name).join("queue").join(file))
}

/// The first NBD device below `block` that nobody uses.
fn free_device(block: &Path) -> Result<PathBuf, Failure> {
    let mut seen = 0;
    for number in 0..1024_u32 {
        let dir = block.join(format!("nbd{number}"));
        if !dir.exists() {
            continue;
        }
        seen += 1;
        let size = std::fs::read_to_string(dir.join("size")).unwrap_or_default();
        if !dir.join("pid").exists() && size.trim() == "0" {
            return Ok(Path::new("/dev").join(format!("nbd{number}")));
        }
    }
    Err(Failure::Skip(if seen == 0 {
        "no network block device: build CONFIG_BLK_DEV_NBD, or load the module with `modprobe nbd`".to_owned()
    } else {
        format!("all {seen} network block devices are in use")
    }))
}

impl Server {
    /// The one behind this channel, a thread of the probed process.
    pub(crate) fn of_thread(orders: Channel, patience: f64) -> Self {
        Self { link: Link::Thread(orders), withheld: Vec::new(), patience }
    }

    fn control(&self) -> &Channel {
        match &self.link {
            Link::Process(role) => &role.control,
            Link::Thread(orders) => orders,
        }
    }

    /// Withholds every such request from now on.
    pub(crate) fn arm(&mut self, requests: Requests) -> anyhow::Result<()> {
        self.withheld.clear();
        self.order(Message::new(Op::Arm, &[u64::from(requests == Requests::Writes)]))
    }

    /// Lets everything go.
    pub(crate) fn release(&mut self) -> anyhow::Result<()> {
        self.order(Message::new(Op::Release, &[]))
    }

    /// Answers everything that is withheld, and withholds what comes after it.
    pub(crate) fn answer(&mut self) -> anyhow::Result<()> {
        self.order(Message::new(Op::Release, &[2]))?;
        // What was reported before the server had done so was among it.
        self.withheld.clear();
        Ok(())
    }

    /// Answers everything that is withheld with an error, and every read from now on, until
    /// [`Server::release`].
    pub(crate) fn refuse(&mut self) -> anyhow::Result<()> {
        self.order(Message::new(Op::Release, &[1]))
    }

    /// Holds replies back for a while from now on, as `seed` decides, and counts anew.
    pub(crate) fn delay(&mut self, seed: u64) -> anyhow::Result<()> {
        self.order(Message::new(Op::Delay, &[seed]))
    }

    /// Delays reads by this distribution from now on, and counts anew.
    pub(crate) fn delay_reads(&mut self, seed: u64, latency: Latency) -> anyhow::Result<()> {
        let [kind, a, b, c] = latency.to_args();
        self.order(Message::new(Op::Delay, &[seed, kind, a, b, c]))
    }

    /// What it did since [`Server::delay`].
    pub(crate) fn counts(&mut self) -> anyhow::Result<Counts> {
        self.control().send(&Message::new(Op::Count, &[]))?;
        let [reads, writes, delayed, late_us @ ..] = self.expect_done("Count")?;
        Ok(Counts { reads, writes, delayed, late_us })
    }

    fn order(&mut self, order: Message) -> anyhow::Result<()> {
        self.control().send(&order)?;
        self.expect_done(&format!("{:?}", order.op)).map(drop)
    }

    /// The numbers of the answer.
    fn expect_done(&mut self, what: &str) -> anyhow::Result<[u64; 6]> {
        let deadline = Deadline::after(10_000, self.patience);
        loop {
            match self.control().next_until(deadline).context("the server")? {
                Some(message) if message.op == Op::Done => return Ok(message.args),
                Some(message) => self.note(&message)?,
                None => bail!("the server did not answer {what}"),
            }
        }
    }

    /// Takes one report that is ready to be read.
    pub(crate) fn take_report(&mut self) -> anyhow::Result<()> {
        let message = self.control().next()?.context("the server is gone")?;
        self.note(&message)
    }

    fn note(&mut self, message: &Message) -> anyhow::Result<()> {
        match message.op {
            Op::Withheld => {
                let [offset, length, at, ..] = message.args;
                self.withheld.push(Withheld { offset, length, at });
                Ok(())
            }
            other => bail!("the server said {other:?}: {}", message.text()),
        }
    }
}

impl AsFd for Server {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.control().as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_covers_its_pages_only() {
        let read = Withheld { offset: 8192, length: 8192, at: 0 };
        let covered: Vec<_> = (0..6).filter(|slot| read.covers(*slot)).collect();
        assert_eq!(covered, [2, 3]);
    }

    #[test]
    fn the_scheduler_in_use_is_the_bracketed_one() {
        assert_eq!(scheduler("noop deadline [cfq] \n"), Some("cfq"));
        assert_eq!(scheduler("[none] mq-deadline kyber\n"), Some("none"));
        assert_eq!(scheduler("none\n"), None);
    }

    #[test]
    fn a_used_device_is_passed_over() {
        let block = std::env::temp_dir().join(format!("kvm-gup-io-block-{}", std::process::id()));
        let device = |number: u32, size: &str, used: bool| {
            let dir = block.join(format!("nbd{number}"));
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(dir.join("size"), size).unwrap();
            if used {
                std::fs::write(dir.join("pid"), "1").unwrap();
            }
        };
        assert!(matches!(free_device(&block), Err(Failure::Skip(reason)) if reason.contains("modprobe")));
        device(0, "0\n", true);
        device(1, "32768\n", false);
        assert!(matches!(free_device(&block), Err(Failure::Skip(reason)) if reason.contains("all 2")));
        device(2, "0\n", false);
        assert_eq!(free_device(&block).unwrap(), Path::new("/dev/nbd2"));
        std::fs::remove_dir_all(&block).unwrap();
    }
}
