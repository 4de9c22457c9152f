// SPDX-License-Identifier: GPL-2.0-only
//! A private apt: lists and downloads of one suite, without a trace on the host.
//!
//! Owns: how apt is called. Each suite has a root of its own below the cache, so
//! that fetching one never drops another's lists. The archive's address is the one
//! that the host's own sources name; who else serves a suite of that name fails
//! apt's signature check against Debian's keyring. Must not: choose a version.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use nix::sys::signal::{Signal, killpg};
use serde::{Deserialize, Serialize};

use super::PackageKind;
use crate::error::Error;
use crate::file;
use crate::interrupt;
use crate::proc::{Child, Cmd, describe, tail};
use crate::progress::Progress;

/// Debian's own keys, whatever else the host trusts.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// apt retries and times out by itself; this ends one that does neither.
const DOWNLOAD_DEADLINE: Duration = Duration::from_secs(2 * 3600);

/// The programs and files of the host that are used; tests give others.
#[derive(Debug, Clone)]
pub struct Tools {
    /// `apt-get`.
    pub apt_get: PathBuf,
    /// `apt-cache`.
    pub apt_cache: PathBuf,
    /// `/etc/os-release`, which names the host's release.
    pub os_release: PathBuf,
}

impl Default for Tools {
    fn default() -> Self {
        Self { apt_get: "apt-get".into(), apt_cache: "apt-cache".into(), os_release: "/etc/os-release".into() }
    }
}

impl Tools {
    /// Can they be run?
    pub(super) fn present(&self) -> bool {
        let found = |program: &Path| {
            let path = std::env::var_os("PATH").unwrap_or_default();
            program.is_file() || std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
        };
        found(&self.apt_get) && found(&self.apt_cache)
    }
}

/// A file of the archive, as apt's signed lists describe it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Offer {
    pub(super) package: String,
    pub(super) version: String,
    pub(super) suite: String,
    pub(super) file: String,
    pub(super) size: u64,
    pub(super) sha256: String,
}

/// A suite, with a root of its own.
pub(super) struct Suite<'a> {
    tools: &'a Tools,
    root: PathBuf,
    name: &'a str,
    kind: PackageKind,
}

impl<'a> Suite<'a> {
    /// The root lies in `sources/apt/`, made if need be.
    pub(super) fn new(tools: &'a Tools, sources: &Path, name: &'a str, kind: PackageKind) -> anyhow::Result<Self> {
        if name.is_empty()
            || name.starts_with(['.', '-'])
            || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        {
            bail!("`{name}` cannot be the name of a suite");
        }
        let kind_name = if kind == PackageKind::Binary { "binary" } else { "source" };
        let root = sources.join("apt").join(format!("{name}.{kind_name}"));
        for part in ["state", "lists/partial", "cache", "archives/partial"] {
            file::make_dir(&root.join(part))?;
        }
        file::write(&root.join("status"), b"")?;
        let suite = Self { tools, root, name, kind };
        file::write(&suite.root.join("apt.conf"), suite.config().as_bytes())?;
        Ok(suite)
    }

    /// A file of the root.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Read after the host's own configuration, so that its proxy counts and its hooks do not.
    fn config(&self) -> String {
        let root = self.root.display();
        format!(
            "#clear APT::Update::Pre-Invoke;\n#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n\
             Dir::Etc::sourcelist \"{root}/sources.list\";\nDir::Etc::sourceparts \"/dev/null\";\n\
             Dir::Etc::preferences \"/dev/null\";\nDir::Etc::preferencesparts \"/dev/null\";\n\
             Dir::State \"{root}/state\";\nDir::State::status \"{root}/status\";\nDir::State::lists \"{root}/lists\";\n\
             Dir::Cache \"{root}/cache\";\nDir::Cache::archives \"{root}/archives\";\n\
             APT::Sandbox::User \"root\";\nAPT::Update::Error-Mode \"any\";\nAcquire::Languages \"none\";\nAcquire::Retries \"3\";\n"
        )
    }

    fn cmd(&self, program: &Path) -> Cmd {
        Cmd::new(program).env("APT_CONFIG", self.root.join("apt.conf")).env("LC_ALL", "C")
    }

    /// Fetches the suite's list from the first address that has it, signed by Debian.
    ///
    /// # Errors
    /// None has; each attempt is told.
    pub(super) fn update(&self) -> Result<(), Error> {
        let uris = self.host_uris()?;
        let bases = bases(&uris, &codename(&self.tools.os_release), self.name);
        if bases.is_empty() {
            return Err(anyhow!("the host's apt sources name no address that could have {}", self.name).into());
        }
        let line_type = if self.kind == PackageKind::Binary { "deb" } else { "deb-src" };
        let target = if self.kind == PackageKind::Binary { "Packages" } else { "Sources" };
        let mut failures = Vec::new();
        for base in bases {
            let line =
                format!("{line_type} [target={target} lang=none signed-by={KEYRING}] {base} {} main\n", self.name);
            file::write(&self.root.join("sources.list"), line.as_bytes())?;
            match self.cmd(&self.tools.apt_get).arg("update").run() {
                Ok(_) => return Ok(()),
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(error) => failures.push(error.to_string()),
            }
        }
        Err(anyhow!("no address has a signed list of {}: {}", self.name, failures.join("\n")).into())
    }

    /// What the host's apt would fetch: that resolves every format of its sources.
    fn host_uris(&self) -> Result<Vec<(String, String)>, Error> {
        let lists = self.root.join("host-lists");
        file::make_dir(&lists.join("partial"))?;
        let option = format!("Dir::State::lists={}", lists.display());
        let cmd = Cmd::new(&self.tools.apt_get).args(["update", "--print-uris", "-o", &option]).env("LC_ALL", "C");
        Ok(parse_uris(&String::from_utf8_lossy(&cmd.run()?.stdout)))
    }

    /// Every version of the package in the list.
    ///
    /// # Errors
    /// apt-cache fails.
    pub(super) fn versions(&self, package: &str) -> Result<Vec<String>, Error> {
        let finished = self.cmd(&self.tools.apt_cache).args(["madison", package]).run()?;
        let suffix = if self.kind == PackageKind::Binary { "Packages" } else { "Sources" };
        Ok(parse_madison(&String::from_utf8_lossy(&finished.stdout), package, suffix))
    }

    /// Name, size and hash of a version's file.
    ///
    /// # Errors
    /// apt does not tell.
    pub(super) fn offer(&self, package: &str, version: &str) -> Result<Offer, Error> {
        let cmd = self.get(package, version).arg("--print-uris");
        let text = cmd.run()?.stdout;
        let found = parse_files(&String::from_utf8_lossy(&text)).into_iter().find(|(file, ..)| match self.kind {
            PackageKind::Binary => file.ends_with(".deb"),
            PackageKind::Source => file.contains(".orig.tar.") && !file.ends_with(".asc"),
        });
        let (file, size, sha256) = found.with_context(|| format!("`{cmd}` names no file with a SHA256 sum"))?;
        Ok(Offer { package: package.into(), version: version.into(), suite: self.name.into(), file, size, sha256 })
    }

    fn get(&self, package: &str, version: &str) -> Cmd {
        let cmd = self.cmd(&self.tools.apt_get).args(["-q", "-q"]);
        let cmd = match self.kind {
            PackageKind::Binary => cmd.arg("download"),
            PackageKind::Source => cmd.args(["source", "--only-source", "--download-only", "--tar-only"]),
        };
        cmd.arg(format!("{package}={version}"))
    }

    /// Downloads the file into `dir`; apt checks it, and continues what a broken-off download left there.
    ///
    /// # Errors
    /// It is gone, the network fails, or we are interrupted.
    pub(super) fn download(&self, offer: &Offer, dir: &Path, progress: &Progress) -> Result<(), Error> {
        let log = self.root.join("download.log");
        file::write(&log, b"")?;
        let cmd = self.get(&offer.package, &offer.version).dir(dir).log(&log);
        let phase = progress.phase(format!("downloading {} {}", offer.package, offer.version));
        phase.length(offer.size);
        let mut child = Child::start(&cmd)?;
        let started = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if interrupt::pending() || started.elapsed() > DOWNLOAD_DEADLINE {
                stop(&mut child)?;
                interrupt::check()?;
                return Err(
                    anyhow!("`{cmd}` had not ended after {} s and was ended", DOWNLOAD_DEADLINE.as_secs()).into()
                );
            }
            phase.position(std::fs::metadata(dir.join(&offer.file)).map_or(0, |data| data.len()));
            std::thread::sleep(Duration::from_millis(50));
        };
        if !status.success() {
            let text = std::fs::read(&log).unwrap_or_default();
            return Err(anyhow!("`{cmd}` {}{}", describe(status), tail(&text)).into());
        }
        phase.done(format!("{:.0} MB", offer.size as f64 / 1e6));
        Ok(())
    }
}

/// Ends apt gently first: it then gives the part that it has the server's time
/// stamp, without which the next run could not continue it.
fn stop(child: &mut Child) -> anyhow::Result<()> {
    // ESRCH, the only failure, means that it has ended already.
    if killpg(child.pid(), Signal::SIGINT).is_ok() {
        let asked = Instant::now();
        while child.try_wait()?.is_none() && asked.elapsed() < Duration::from_secs(2) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    child.kill()?;
    Ok(())
}

/// The host's `VERSION_CODENAME`; empty if it does not say.
fn codename(os_release: &Path) -> String {
    let text = std::fs::read_to_string(os_release).unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    name.unwrap_or_default().trim_matches('"').to_owned()
}

/// Address and suite of every `…/dists/SUITE/InRelease` that apt would fetch.
fn parse_uris(text: &str) -> Vec<(String, String)> {
    let uris = text.lines().filter_map(|line| line.strip_prefix('\'')?.split('\'').next());
    let split = |uri: &str| {
        let (base, suite) = uri.strip_suffix("/InRelease")?.rsplit_once("/dists/")?;
        Some((base.to_owned(), suite.to_owned()))
    };
    uris.filter_map(split).collect()
}

/// The addresses to try for `suite`, the likeliest first: a security suite lies
/// where the host's own does, any other where its main suite does.
fn bases(uris: &[(String, String)], codename: &str, suite: &str) -> Vec<String> {
    let is_security = |suite: &str| suite.ends_with("-security") || suite.ends_with("/updates");
    let own = if is_security(suite) { format!("{codename}-security") } else { codename.to_owned() };
    let mut fitting: Vec<_> = uris.iter().filter(|(_, have)| is_security(have) == is_security(suite)).collect();
    fitting.sort_by_key(|(_, have)| *have != own);
    let mut bases: Vec<String> = Vec::new();
    for (base, _) in fitting {
        if !bases.contains(base) {
            bases.push(base.clone());
        }
    }
    bases
}

/// The versions in `package | version | where` lines that end in `suffix`.
fn parse_madison(text: &str, package: &str, suffix: &str) -> Vec<String> {
    let version = |line: &str| {
        let mut columns = line.split('|').map(str::trim);
        let (name, version, place) = (columns.next()?, columns.next()?, columns.next()?);
        (name == package && place.ends_with(suffix)).then(|| version.to_owned())
    };
    text.lines().filter_map(version).collect()
}

/// File name, size and SHA256 of each `'URI' file size SHA256:…` line.
fn parse_files(text: &str) -> Vec<(String, u64, String)> {
    let file = |line: &str| {
        let (_, rest) = line.strip_prefix('\'')?.split_once("' ")?;
        let mut columns = rest.split_whitespace();
        let (name, size, hash) = (columns.next()?, columns.next()?.parse().ok()?, columns.next()?);
        (!name.contains('/')).then(|| Some((name.to_owned(), size, hash.strip_prefix("SHA256:")?.to_owned())))?
    };
    text.lines().filter_map(file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const URIS: &str = "'http://mirror.invalid/debian/dists/bookworm/InRelease' mirror_InRelease 0 \n\
        'https://packages.invalid/tool/dists/bookworm/InRelease' packages_InRelease 0 \n\
        'http://mirror.invalid/debian/dists/bookworm-updates/InRelease' mirror_updates 0 \n\
        'http://mirror.invalid/sec/dists/bookworm-security/InRelease' mirror_sec 0 \n\
        'http://mirror.invalid/debian/dists/bookworm/main/binary-amd64/Packages.xz' x 0 \n";

    #[test]
    fn a_suite_is_looked_for_where_the_hosts_own_is() {
        let uris = parse_uris(URIS);
        assert_eq!(uris.len(), 4);
        let main = ["http://mirror.invalid/debian", "https://packages.invalid/tool"];
        assert_eq!(bases(&uris, "bookworm", "bookworm"), main);
        assert_eq!(bases(&uris, "bookworm", "trixie-backports"), main);
        assert_eq!(bases(&uris, "bookworm", "bullseye-security"), ["http://mirror.invalid/sec"]);
        assert!(bases(&uris[..1], "bookworm", "bookworm-security").is_empty());
    }

    #[test]
    fn what_apt_prints_is_read() {
        let text = " linux | 7.3.4-1~bpo13+1 | http://m.invalid trixie-backports/main Sources\n linux | 1 | x Packages\n linux-doc | 2 | x Sources\n";
        assert_eq!(parse_madison(text, "linux", "Sources"), ["7.3.4-1~bpo13+1"]);
        let text =
            "NOTICE: x\n'http://m.invalid/l_1_all.deb' l_1_all.deb 139 SHA256:ae95\n'http://m/x' ../x 1 SHA256:00\n";
        assert_eq!(parse_files(text), [("l_1_all.deb".to_owned(), 139, "ae95".to_owned())]);
    }
}
