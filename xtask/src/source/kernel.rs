// SPDX-License-Identifier: GPL-2.0-only
//! Is this tree a kernel, and of which version? (Pure.)

/// The version that a kernel's top `Makefile` states, e.g. `6.1.192` or `7.3.0-rc1`;
/// `None` if it is not a kernel's.
pub(crate) fn version(makefile: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(makefile);
    let field = |name: &str| {
        let value = text.lines().take(40).find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix('='))?;
        Some(value.trim().to_owned())
    };
    let number =
        |name| field(name).filter(|value| !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()));
    let (major, minor) = (number("VERSION")?, number("PATCHLEVEL")?);
    let patch = number("SUBLEVEL").unwrap_or_else(|| "0".into());
    Some(format!("{major}.{minor}.{patch}{}", field("EXTRAVERSION").unwrap_or_default()))
}

/// The refusal of a tree that is no kernel.
pub(crate) fn not_a_kernel(what: &str) -> crate::error::Error {
    crate::error::Error::Usage(anyhow::anyhow!(
        "{what} is not a kernel source tree: one has at its top a Makefile with VERSION and PATCHLEVEL, and a file Kbuild"
    ))
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn the_version_is_read_from_the_makefile() {
        let makefile = b"# SPDX-License-Identifier: GPL-2.0\nVERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 192\nEXTRAVERSION =\nNAME = x\n";
        assert_eq!(version(makefile).unwrap(), "6.1.192");
        assert_eq!(version(b"VERSION=7\nPATCHLEVEL=3\nSUBLEVEL = 0\nEXTRAVERSION = -rc1\n").unwrap(), "7.3.0-rc1");
        assert_eq!(version(b"all:\n\techo VERSION = 1\n"), None);
    }
}
