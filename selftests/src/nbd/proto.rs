// SPDX-License-Identifier: GPL-2.0-only
//! The NBD transmission protocol, as far as a kernel client without flags uses it.
//!
//! Owns: request and reply headers as bytes. Must not: read or write a socket.

/// Bytes of a request header.
pub(crate) const REQUEST: usize = 28;
/// Bytes of a reply header.
pub(crate) const REPLY: usize = 16;

const REQUEST_MAGIC: u32 = 0x2560_9513;
const REPLY_MAGIC: u32 = 0x6744_6698;

/// `EIO` as the protocol numbers it.
pub(crate) const EIO: u32 = 5;
/// `EINVAL` as the protocol numbers it.
pub(crate) const EINVAL: u32 = 22;

/// What the kernel asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    /// Send the bytes.
    Read,
    /// The bytes follow.
    Write,
    /// The client goes away; no reply.
    Disconnect,
    /// Anything else: never sent to a server that announced no flags.
    Other(u16),
}

/// One request header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request {
    /// What.
    pub(crate) command: Command,
    /// The kernel's name of the request, repeated in the reply.
    pub(crate) handle: u64,
    /// First byte on the device.
    pub(crate) offset: u64,
    /// Bytes.
    pub(crate) length: u32,
}

/// The request in a header; `None` if the bytes are none.
pub(crate) fn request(bytes: &[u8; REQUEST]) -> Option<Request> {
    let (magic, rest) = bytes.split_first_chunk::<4>()?;
    let (_flags, rest) = rest.split_first_chunk::<2>()?;
    let (command, rest) = rest.split_first_chunk::<2>()?;
    let (handle, rest) = rest.split_first_chunk::<8>()?;
    let (offset, rest) = rest.split_first_chunk::<8>()?;
    let (length, _) = rest.split_first_chunk::<4>()?;
    if u32::from_be_bytes(*magic) != REQUEST_MAGIC {
        return None;
    }
    let command = match u16::from_be_bytes(*command) {
        0 => Command::Read,
        1 => Command::Write,
        2 => Command::Disconnect,
        other => Command::Other(other),
    };
    let (handle, offset) = (u64::from_ne_bytes(*handle), u64::from_be_bytes(*offset));
    Some(Request { command, handle, offset, length: u32::from_be_bytes(*length) })
}

/// The reply header to `handle`; `error` 0 is success.
pub(crate) fn reply(handle: u64, error: u32) -> [u8; REPLY] {
    let mut bytes = [0; REPLY];
    bytes[..4].copy_from_slice(&REPLY_MAGIC.to_be_bytes());
    bytes[4..8].copy_from_slice(&error.to_be_bytes());
    bytes[8..].copy_from_slice(&handle.to_ne_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_request_is_read() {
        let mut bytes = [0; REQUEST];
        bytes[..4].copy_from_slice(&[0x25, 0x60, 0x95, 0x13]);
        bytes[8..16].copy_from_slice(b"handle 1");
        bytes[16..24].copy_from_slice(&0x1_2000_u64.to_be_bytes());
        bytes[24..].copy_from_slice(&4096_u32.to_be_bytes());
        let seen = request(&bytes).unwrap();
        assert_eq!((seen.command, seen.offset, seen.length), (Command::Read, 0x1_2000, 4096));
        assert_eq!(&reply(seen.handle, 0)[8..], b"handle 1");
        bytes[7] = 2;
        assert_eq!(request(&bytes).unwrap().command, Command::Disconnect);
    }

    #[test]
    fn another_magic_is_no_request() {
        assert_eq!(request(&[0; REQUEST]), None);
    }

    #[test]
    fn a_reply_carries_its_error() {
        assert_eq!(reply(0, EIO)[..8], [0x67, 0x44, 0x66, 0x98, 0, 0, 0, 5]);
    }
}
