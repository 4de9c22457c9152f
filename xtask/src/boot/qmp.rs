// SPDX-License-Identifier: GPL-2.0-only
//! Asking a machine that is silent where it is.
//!
//! Owns: the few words of QMP that this takes. Everything here is best effort: a
//! machine that does not answer is killed all the same. Must not: wait long.

use std::fs::File;
use std::io::{BufRead, BufReader, Error, ErrorKind, Result, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::record::REGISTERS;
use crate::qemu;

/// QEMU answers at once, unless it hangs itself.
const ANSWER: Duration = Duration::from_secs(1);

/// Writes all CPUs' registers to `registers.txt`, and sends an NMI, to which the
/// kernel (unknown_nmi_panic) answers with a trace on its console.
///
/// # Errors
/// QEMU does not answer.
pub(super) fn backtrace(dir: &Path) -> Result<()> {
    let mut session = Session::open(dir)?;
    session.execute("qmp_capabilities", &json!({}))?;
    let registers = session.execute("human-monitor-command", &json!({"command-line": "info registers -a"}))?;
    let text = registers.as_str().unwrap_or_default().replace('\r', "");
    std::fs::write(dir.join(REGISTERS), text.trim_start())?;
    session.execute("inject-nmi", &json!({}))?;
    Ok(())
}

struct Session {
    reader: BufReader<UnixStream>,
}

impl Session {
    /// Connects by way of the folder's descriptor, since the path of a socket has
    /// 107 bytes at most and that of a record may be longer.
    fn open(dir: &Path) -> Result<Self> {
        let folder = File::open(dir)?;
        let stream = UnixStream::connect(format!("/proc/self/fd/{}/{}", folder.as_raw_fd(), qemu::QMP))?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.set_write_timeout(Some(ANSWER))?;
        let mut session = Self { reader: BufReader::new(stream) };
        session.next("QMP")?;
        Ok(session)
    }

    fn execute(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        let request = json!({"execute": command, "arguments": arguments});
        self.reader.get_mut().write_all(format!("{request}\n").as_bytes())?;
        self.next("return")
    }

    /// The value of the next message that has this key; events are passed over.
    fn next(&mut self, key: &str) -> Result<Value> {
        for _ in 0..100 {
            let mut line = String::new();
            if self.reader.read_line(&mut line)? == 0 {
                break;
            }
            let mut message: Value = serde_json::from_str(&line)?;
            if let Some(value) = message.get_mut(key) {
                return Ok(value.take());
            }
            if message.get("error").is_some() {
                break;
            }
        }
        Err(Error::new(ErrorKind::InvalidData, format!("QMP gave no {key:?}")))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// Answers like QEMU, with an event between two answers; gives the commands.
    fn qemu(listener: &UnixListener) -> Vec<String> {
        let (stream, _) = listener.accept().unwrap();
        let mut writer = stream.try_clone().unwrap();
        writer.write_all(b"{\"QMP\": {\"version\": {}}}\r\n").unwrap();
        let mut commands = Vec::new();
        for line in BufReader::new(stream).lines() {
            let request: Value = serde_json::from_str(&line.unwrap()).unwrap();
            let command = request["execute"].as_str().unwrap().to_owned();
            let answer = if command == "human-monitor-command" { "\"\\r\\nCPU#0\\r\\nRIP=1\"" } else { "{}" };
            writer.write_all(format!("{{\"event\": \"X\"}}\r\n{{\"return\": {answer}}}\r\n").as_bytes()).unwrap();
            commands.push(command);
        }
        commands
    }

    #[test]
    fn registers_are_kept_and_the_nmi_is_sent_from_any_depth() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(200));
        std::fs::create_dir(&deep).unwrap();
        let folder = File::open(&deep).unwrap();
        let listener = UnixListener::bind(format!("/proc/self/fd/{}/{}", folder.as_raw_fd(), qemu::QMP)).unwrap();
        let server = std::thread::spawn(move || qemu(&listener));
        backtrace(&deep).unwrap();
        assert_eq!(server.join().unwrap(), ["qmp_capabilities", "human-monitor-command", "inject-nmi"]);
        assert_eq!(std::fs::read_to_string(deep.join(REGISTERS)).unwrap(), "CPU#0\nRIP=1");
    }

    #[test]
    fn no_socket_is_an_error() {
        assert!(backtrace(tempfile::tempdir().unwrap().path()).is_err());
    }
}
