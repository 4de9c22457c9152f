// SPDX-License-Identifier: GPL-2.0-only
//! The archive, played by a script: what is asked, what is kept, what happens offline.

#![expect(clippy::unwrap_used, reason = "a test may panic; clippy knows that only of functions marked as tests")]

mod source_support;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sha2::{Digest, Sha256};
use source_support::{Place, deb, kernel, tar, xz};
use xtask::error::Error;
use xtask::progress::Progress;
use xtask::source::{Base, DebianSource, PackageKind, Tools, obtain_with};

/// An archive with two versions in one suite. `log` has every call; a file
/// `offline` makes every fetch fail, `gone-VERSION` the download of a version.
const APT: &str = r#"#!/bin/sh
state=STATE
echo "$@" >> $state/log
case "$*" in
*--print-uris*update*|update*--print-uris*)
    echo "'http://mirror.invalid/debian/dists/bookworm/InRelease' x 0 "
    echo "'http://other.invalid/tool/dists/bookworm/InRelease' x 0 " ;;
update*)
    [ -e $state/offline ] && { echo "E: no network" >&2; exit 100; }
    cp "$(dirname $APT_CONFIG)/sources.list" $state/asked
    grep -q "other.invalid" $state/asked && { echo "E: not signed" >&2; exit 100; }
    exit 0 ;;
madison*)
    echo "linux-source-6.1 | 6.1.9-1 | http://mirror.invalid bookworm/main amd64 Packages"
    echo "linux-source-6.1 | 6.1.10-1 | http://mirror.invalid bookworm/main amd64 Packages"
    echo "linux-source-6.1 | 6.12.1-1 | http://mirror.invalid bookworm/main amd64 Packages" ;;
*download*)
    for last; do :; done
    version=$last
    [ "$version" = --print-uris ] && version=$(echo "$*" | sed 's/.*=\([^ ]*\) .*/\1/') || version=${version#*=}
    file=linux-source-6.1_${version}_all.deb
    case "$*" in *--print-uris*) echo "'http://mirror.invalid/$file' $file SIZE SHA256:SUM"; exit 0 ;; esac
    [ -e $state/offline ] || [ -e $state/gone-$version ] && { echo "E: 404 Not Found" >&2; exit 100; }
    cp $state/package $file ;;
esac
"#;

struct Archive {
    place: Place,
    tools: Tools,
}

impl Archive {
    fn new() -> Self {
        let place = Place::new();
        let state = place.path("archive");
        fs::create_dir(&state).unwrap();
        let tree = place.path("tree");
        kernel(&tree);
        let package = deb(&xz(&tar(&tree, "linux-source-6.1")));
        let sum = Sha256::digest(&package).iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        });
        fs::write(state.join("package"), &package).unwrap();
        let size = package.len().to_string();
        let script = APT.replace("STATE", state.to_str().unwrap()).replace("SIZE", &size).replace("SUM", &sum);
        let apt = state.join("apt");
        fs::write(&apt, script).unwrap();
        fs::set_permissions(&apt, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(state.join("os-release"), "VERSION_CODENAME=bookworm\n").unwrap();
        let tools = Tools { apt_get: apt.clone(), apt_cache: apt, os_release: state.join("os-release") };
        Self { place, tools }
    }

    fn obtain(&self) -> Result<Base, Error> {
        self.obtain_of("6.1")
    }

    fn obtain_of(&self, series: &str) -> Result<Base, Error> {
        self.obtain_version(series, None)
    }

    fn obtain_version(&self, series: &str, version: Option<&str>) -> Result<Base, Error> {
        let source = DebianSource {
            version: version.map(str::to_owned),
            package: "linux-source-6.1".into(),
            series: series.into(),
            suites: vec!["bookworm".into()],
            kind: PackageKind::Binary,
        };
        obtain_with(&self.place.work, &self.place.cache, &source, &self.tools, &Progress::silent())
    }

    fn set(&self, name: &str) {
        fs::write(self.place.path("archive").join(name), "").unwrap();
    }

    fn calls(&self) -> usize {
        fs::read_to_string(self.place.path("archive/log")).unwrap().lines().count()
    }

    fn cache(&self, path: &str) -> std::path::PathBuf {
        self.place.path("cache/sources").join(path)
    }

    /// As if the lists had been fetched a day ago.
    fn age_lists(&self) {
        let list = self.cache("apt/bookworm.binary/linux-source-6.1.6.1.json");
        let day = std::time::SystemTime::now() - std::time::Duration::from_secs(24 * 3600);
        fs::File::options().write(true).open(list).unwrap().set_modified(day).unwrap();
    }

    fn forget(&self, path: &Path) {
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn the_newest_of_the_series_is_taken_and_recorded() {
    let archive = Archive::new();
    let base = archive.obtain().unwrap();
    assert_eq!((base.version.as_str(), base.origin.as_str()), ("6.1.192", "linux-source-6.1 6.1.10-1 (bookworm)"));
    let asked = fs::read_to_string(archive.place.path("archive/asked")).unwrap();
    assert!(asked.contains("signed-by=/usr/share/keyrings/debian-archive-keyring.gpg"), "{asked}");
    assert!(asked.ends_with("http://mirror.invalid/debian bookworm main\n"), "{asked}");
}

#[test]
fn a_second_run_asks_nobody() {
    let archive = Archive::new();
    let base = archive.obtain().unwrap();
    let calls = archive.calls();
    archive.set("offline");
    assert_eq!(archive.obtain().unwrap(), base);
    assert_eq!(archive.calls(), calls);
}

#[test]
fn who_wants_to_know_what_there_is_now_asks_once() {
    let mut archive = Archive::new();
    archive.obtain().unwrap();
    let calls = archive.calls();
    archive.place.cache.asked_since = Some(std::time::SystemTime::now());
    archive.obtain().unwrap();
    let asked = archive.calls();
    assert!(asked > calls, "{asked}");
    archive.obtain().unwrap();
    assert_eq!(archive.calls(), asked);
}

#[test]
fn an_exact_version_is_taken_if_there_is_one_and_kept() {
    let archive = Archive::new();
    let wanted = |version| archive.obtain_version("6.1", Some(version)).unwrap().origin;
    assert_eq!(wanted("6.1.9-1"), "linux-source-6.1 6.1.9-1 (bookworm)");
    assert_eq!(wanted("6.1.1-1"), "linux-source-6.1 6.1.10-1 (bookworm)");
    // Gone from the archive's list, and in the cache.
    let list = archive.cache("apt/bookworm.binary/linux-source-6.1.6.1.json");
    fs::write(list, "{\"offers\": []}").unwrap();
    assert_eq!(wanted("6.1.9-1"), "linux-source-6.1 6.1.9-1 (bookworm)");
}

#[test]
fn offline_the_old_list_and_the_cached_package_do() {
    let archive = Archive::new();
    let base = archive.obtain().unwrap();
    archive.set("offline");
    archive.age_lists();
    assert_eq!(archive.obtain().unwrap(), base);
    // No list at all, and nothing imported: the package itself is enough.
    archive.forget(&archive.cache("apt/bookworm.binary/linux-source-6.1.6.1.json"));
    archive.forget(&archive.place.work.dir.join("source.json"));
    assert_eq!(archive.obtain().unwrap(), base);
}

#[test]
fn a_version_that_is_gone_gives_way_to_the_next() {
    let archive = Archive::new();
    archive.set("gone-6.1.10-1");
    assert_eq!(archive.obtain().unwrap().origin, "linux-source-6.1 6.1.9-1 (bookworm)");
}

#[test]
fn a_damaged_download_is_an_error_and_does_not_stay() {
    let archive = Archive::new();
    fs::write(archive.place.path("archive/package"), "damaged").unwrap();
    let error = archive.obtain().unwrap_err();
    assert!(matches!(error, Error::Infra(_)) && error.to_string().contains("it was damaged and is removed"), "{error}");
    assert_eq!(fs::read_dir(archive.cache("partial")).unwrap().count(), 0);
}

#[test]
fn without_a_network_or_apt_the_error_says_what_to_do() {
    let archive = Archive::new();
    archive.set("offline");
    let error = archive.obtain().unwrap_err().to_string();
    assert!(error.contains("cannot get linux-source-6.1 6.1") && error.contains("E: no network"), "{error}");
    assert!(
        error.contains("git clone --branch linux-6.1.y --depth 1 https://git.kernel.org/") && error.contains("--linux"),
        "{error}"
    );
    let mut archive = Archive::new();
    archive.tools.apt_get = "/nowhere/apt-get".into();
    let error = archive.obtain().unwrap_err();
    assert!(matches!(error, Error::Infra(_)), "{error}");
    assert!(error.to_string().contains("this host has no apt-get and apt-cache"), "{error}");
}

#[test]
fn a_series_that_no_suite_has_is_named() {
    let error = Archive::new().obtain_of("5.4").unwrap_err().to_string();
    assert!(error.contains("cannot get linux-source-6.1 5.4: none of bookworm has a version of it"), "{error}");
}
