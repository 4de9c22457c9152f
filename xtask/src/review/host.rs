// SPDX-License-Identifier: GPL-2.0-only
//! What a patch can do to the machine that builds it, and whether it can do anything
//! to the kernel.
//!
//! Owns: two questions about a path. A kernel build runs make's rules, scripts and
//! programs that are compiled from the tree: whoever changes one of these runs code
//! on this machine, as whoever started the build. Compiled kernel code does not: it
//! runs in a virtual machine. In doubt the answer is that it runs here. Must not: look
//! into a patch: who wants to hide a command finds a way.

/// Folders whose programs a build runs, or whose headers those include.
const FOLDERS: &[&str] = &[
    "scripts/",
    "tools/",
    "usr/",
    "certs/",
    "rust/",
    "samples/",
    "include/uapi/",
    "include/linux/atomic/",
    "include/linux/device-id/",
    "security/selinux/include/",
    "lib/raid6/",
    "lib/crc/",
    "arch/x86/boot/",
    "arch/x86/entry/vdso/",
    "arch/x86/vdso/",
    "arch/x86/entry/syscalls/",
    "drivers/accessibility/speakup/",
    "drivers/scsi/aic7xxx/aicasm/",
    "drivers/video/logo/",
    "fs/unicode/",
];

/// Single files of the kind: compiled for the host, or included by what is.
const FILES: &[&str] = &[
    "include/linux/license.h",
    "include/linux/mod_devicetable.h",
    "include/linux/module_symbol.h",
    "include/linux/asn1.h",
    "include/linux/asn1_ber_bytecode.h",
    "include/linux/crc32poly.h",
    "include/linux/export.h",
    "include/linux/raid/pq.h",
    "include/linux/hdreg.h",
    "include/crypto/aes.h",
    "arch/x86/include/asm/cpufeature.h",
    "arch/x86/include/asm/cpufeatures.h",
    "arch/x86/include/asm/disabled-features.h",
    "arch/x86/include/asm/required-features.h",
    "arch/x86/include/asm/vmxfeatures.h",
    "arch/x86/include/asm/orc_types.h",
    "arch/x86/include/asm/emulate_prefix.h",
    "arch/x86/include/asm/inat.h",
    "arch/x86/include/asm/inat_types.h",
    "arch/x86/include/asm/insn.h",
    "arch/x86/lib/inat.c",
    "arch/x86/lib/insn.c",
    "arch/x86/lib/x86-opcode-map.txt",
    "drivers/tty/vt/conmakehash.c",
    "drivers/gpu/drm/radeon/mkregtable.c",
    "drivers/zorro/gen-devlist.c",
    "lib/build_OID_registry",
    "lib/crc32defs.h",
    "kernel/gen_kheaders.sh",
    "init/version-timestamp.c",
];

/// What a build compiles for the kernel alone, or does not read.
const HARMLESS: [&str; 8] = ["c", "h", "S", "rst", "txt", "dts", "dtsi", "yaml"];

/// May a build run what is in this file on the machine that builds?
#[must_use]
pub fn runs_here(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let program = name.contains("gen_") || name.starts_with("gen-") || name.starts_with("mk");
    if is_text(path) {
        return false;
    }
    // A blank parts the words of a command.
    path.contains(' ')
        || FOLDERS.iter().any(|folder| path.starts_with(folder))
        || path.split('/').any(|part| part == "tools")
        || path.starts_with("arch/") && path.contains("/include/uapi/")
        || FILES.contains(&path)
        || (program && name.ends_with(".c"))
        || !name.rsplit_once('.').is_some_and(|(_, kind)| HARMLESS.contains(&kind))
}

/// Can no kernel be different for a change of this file, whatever its configuration?
#[must_use]
pub fn is_text(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_rule = name.starts_with("Makefile") || name.starts_with("Kbuild") || name.starts_with("Kconfig");
    if is_rule {
        return false;
    }
    let (_, kind) = name.rsplit_once('.').unwrap_or((name, ""));
    path == "MAINTAINERS"
        || path == "CREDITS"
        || path == ".mailmap"
        || (path.starts_with("Documentation/") && ["rst", "txt", "yaml", "svg"].contains(&kind))
        || kind == "rst"
        || (path.starts_with("LICENSES/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_build_runs_is_told_from_what_a_guest_runs() {
        for path in [
            "Makefile",
            "mm/Makefile",
            "mm/Kconfig",
            "scripts/checkpatch.pl",
            "scripts/mod/modpost.c",
            "Kbuild",
            "tools/objtool/check.c",
            "usr/gen_init_cpio.c",
            "arch/x86/tools/relocs.c",
            "arch/x86/boot/mkcpustr.c",
            "lib/gen_crc32table.c",
            "include/uapi/linux/kvm.h",
            "arch/x86/include/uapi/asm/kvm.h",
            "mm/x.sh",
            "kernel/x",
            "mm/x.lds",
            "include/linux/license.h",
            "Documentation/Makefile",
            "mm/x.py",
            "Documentation/conf.py",
            "mm/a b.c",
            "include/linux/device-id/pci.h",
            "arch/x86/include/asm/cpufeatures.h",
            "drivers/gpu/drm/xe/xe_gen_wa_oob.c",
        ] {
            assert!(runs_here(path), "{path}");
        }
        for path in [
            "mm/gup.c",
            "include/linux/mm.h",
            "virt/kvm/kvm_main.c",
            "Documentation/mm/x.rst",
            "MAINTAINERS",
            "arch/x86/kvm/mmu/mmu.c",
            "arch/x86/lib/copy_user_64.S",
            "arch/x86/include/asm/kvm_host.h",
        ] {
            assert!(!runs_here(path), "{path}");
        }
    }

    #[test]
    fn text_is_no_code() {
        for path in ["Documentation/mm/x.rst", "MAINTAINERS", "Documentation/x.txt", "mm/notes.rst"] {
            assert!(is_text(path), "{path}");
        }
        for path in ["mm/gup.c", "Documentation/Makefile", "Documentation/Kconfig", "Documentation/x.c", "Kconfig.txt"]
        {
            assert!(!is_text(path), "{path}");
        }
    }
}
