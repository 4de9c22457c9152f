// SPDX-License-Identifier: GPL-2.0-only
//! Text from strangers, made fit for a line of ours.
//!
//! Owns: which characters are never shown: those that steer a terminal, and those
//! that turn the direction of a line, so that it reads as something else. Must not:
//! escape for a format; each renderer does.

/// One line of it: without what steers, blanks folded.
#[must_use]
pub fn plain(text: &str) -> String {
    let shown: String = text.chars().map(|char| if steers(char) { ' ' } else { char }).collect();
    shown.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Several lines of it: without what steers, but with its line ends and tabs.
#[must_use]
pub fn shown(text: &str) -> String {
    text.chars().map(|char| if steers(char) && !matches!(char, '\n' | '\t') { '\u{fffd}' } else { char }).collect()
}

/// Does the character do something to a terminal, or to the reading of a line?
#[must_use]
pub fn steers(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_a_terminal() {
        assert_eq!(plain("mm:\u{1b}[31m red\r\n line\t\u{202e}cod \u{f6}"), "mm: [31m red line cod \u{f6}");
        assert_eq!(shown("a\n\tb\u{1b}[2J"), "a\n\tb\u{fffd}[2J");
    }
}
