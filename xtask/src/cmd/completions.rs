// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask completions`: for bash, zsh and fish.
//!
//! Owns: the few lines that hand `cargo xtask …` over to what clap generates, which
//! completes a program of its own. Cargo's completions go on to work.

use anyhow::anyhow;
use clap::CommandFactory;
use clap_complete::Shell;

use super::write_out;
use crate::cli::{Cli, CompletionsArgs};
use crate::error::Error;

/// The program that clap's part completes.
const NAME: &str = "xtask";

/// Behind `cargo`, bash asks one function; what it was before is asked for all else.
const BASH: &str = r#"
__cargo_xtask_now="$(complete -p cargo 2>/dev/null | sed -n 's/.* -F \([^ ]*\) .*/\1/p')"
[ "$__cargo_xtask_now" = _cargo_xtask ] || __cargo_xtask_before="$__cargo_xtask_now"
_cargo_xtask() {
    if [ "${COMP_WORDS[1]}" = xtask ] && [ "$COMP_CWORD" -gt 1 ]; then
        COMP_WORDS=("${COMP_WORDS[@]:1}")
        COMP_CWORD=$((COMP_CWORD - 1))
        _xtask xtask "$2" "$3"
    elif [ -n "$__cargo_xtask_before" ]; then
        "$__cargo_xtask_before" "$@"
    else
        COMPREPLY=($(compgen -W xtask -- "$2"))
    fi
}
complete -F _cargo_xtask -o bashdefault -o default cargo
"#;

/// Cargo's own zsh completion calls a function of this name for a subcommand that it
/// does not know. Where it is not installed, `cargo` has none that could.
const ZSH: &str = r#"
_cargo-xtask() { _xtask "$@" }
_cargo_xtask() {
    if [[ $words[2] == xtask ]] && (( CURRENT > 2 )); then
        shift words
        (( CURRENT-- ))
        _xtask "$@"
    else
        compadd xtask
    fi
}
(( $+_comps[cargo] )) || compdef _cargo_xtask cargo
"#;

const FISH: &str = r#"
complete -c cargo -n '__fish_seen_subcommand_from xtask' -f -a '(complete -C (string replace -r "^.*?cargo\s+xtask" xtask -- (commandline -cp)))'
"#;

/// Writes them.
///
/// # Errors
/// [`Error::Usage`] for a shell that is none of the three.
pub fn run(args: &CompletionsArgs) -> Result<u8, Error> {
    let hand_over = match args.shell {
        Shell::Bash => BASH,
        Shell::Zsh => ZSH,
        Shell::Fish => FISH,
        other => return Err(Error::Usage(anyhow!("there are completions for bash, zsh and fish, not for {other}"))),
    };
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command().name(NAME).bin_name(NAME), NAME, &mut text);
    text.extend(hand_over.as_bytes());
    write_out(&text)?;
    Ok(0)
}
