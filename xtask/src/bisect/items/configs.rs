// SPDX-License-Identifier: GPL-2.0-only
//! The Kconfig symbols in which two configurations differ, as items.
//!
//! Owns: what a configuration between two others is: the first one, with the first
//! symbols of the second one's order taken from there. Pure. Must not: run kconfig; a
//! symbol that does not survive it makes an item that cannot be judged.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::bisect::items::{Item, Items, Kind};

/// Symbols and their values, in the order of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values {
    order: Vec<String>,
    of: BTreeMap<String, String>,
}

impl Values {
    /// Of a `.config`, or of a fragment; other lines are passed over.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut values = Self::default();
        for line in text.lines() {
            let unset = line.strip_prefix("# ").and_then(|line| line.strip_suffix(" is not set"));
            let (symbol, value) = match (unset, line.split_once('=')) {
                (Some(symbol), _) => (symbol.trim(), "n"),
                (None, Some((symbol, rest))) => (symbol.trim(), value(rest)),
                _ => continue,
            };
            if symbol.starts_with("CONFIG_") && values.of.insert(symbol.to_owned(), value.to_owned()).is_none() {
                values.order.push(symbol.to_owned());
            }
        }
        values
    }

    /// A symbol that is not named is not set.
    fn get(&self, symbol: &str) -> &str {
        self.of.get(symbol).map_or("n", String::as_str)
    }
}

/// Without the comment behind it.
fn value(rest: &str) -> &str {
    let rest = rest.trim();
    let Some(quoted) = rest.strip_prefix('"') else { return rest.split('#').next().unwrap_or(rest).trim() };
    // Kconfig escapes quotes and backslashes.
    let mut escaped = false;
    let end = quoted.find(|char| {
        let is_end = char == '"' && !escaped;
        escaped = char == '\\' && !escaped;
        is_end
    });
    end.map_or(rest, |end| &rest[..end + 2])
}

/// A row from one configuration to another.
#[derive(Debug, Clone)]
pub struct Between {
    /// Item 0 is the old one, the last the new one; each is named after the symbol that it changes.
    pub items: Items,
    /// A fragment for each item.
    pub fragments: Vec<String>,
    /// By item: the new one with this item's symbol as it was.
    pub without: Vec<String>,
}

/// What lies between `old` and `new`. `own` is what a measurement needs; where these
/// two name a symbol of it, they count. `None` if they are the same.
#[must_use]
pub fn between(old: &Values, new: &Values, own: &Values) -> Option<Between> {
    let mut named: Vec<&String> = new.order.iter().collect();
    named.extend(old.order.iter().filter(|symbol| !new.of.contains_key(*symbol)));
    let differing: Vec<&String> = named.iter().copied().filter(|symbol| old.get(symbol) != new.get(symbol)).collect();
    if differing.is_empty() {
        return None;
    }
    let fragment = |from_new: &dyn Fn(&String) -> bool| {
        let mut text = String::new();
        for symbol in own.order.iter().filter(|symbol| !named.contains(symbol)) {
            text += &format!("{symbol}={} # needed to measure\n", own.get(symbol));
        }
        for symbol in &named {
            let (value, whose) = if from_new(symbol) { (new.get(symbol), "new") } else { (old.get(symbol), "old") };
            text += &format!("{symbol}={value} # as in the {whose} one\n");
        }
        text
    };
    let place = |symbol: &String| differing.iter().position(|other| *other == symbol);
    let prefix = |count: usize| fragment(&|symbol| place(symbol).is_some_and(|at| at < count));
    let fragments: Vec<String> = (0..=differing.len()).map(prefix).collect();
    let without = (0..=differing.len()).map(|item| fragment(&|symbol| place(symbol).is_some_and(|at| at + 1 != item)));
    let without = without.collect();
    let mut list = vec![Item { id: digest(&fragments[0]), name: "the old configuration".to_owned() }];
    for (symbol, fragment) in differing.iter().zip(&fragments[1..]) {
        let name = format!("{symbol}: {} → {}", old.get(symbol), new.get(symbol));
        list.push(Item { id: digest(fragment), name });
    }
    Some(Between { items: Items::row(Kind::Symbols, list), fragments, without })
}

fn digest(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..20])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_ends_where_kconfig_ends_it() {
        let text =
            "# a comment\nCONFIG_A=y # why\n# CONFIG_B is not set\nCONFIG_C=\"x # \\\" y\" # why\nCONFIG_D=0x10\n";
        let values = Values::parse(text);
        let all: Vec<(&str, &str)> = values.order.iter().map(|symbol| (symbol.as_str(), values.get(symbol))).collect();
        let wanted = [("CONFIG_A", "y"), ("CONFIG_B", "n"), ("CONFIG_C", "\"x # \\\" y\""), ("CONFIG_D", "0x10")];
        assert_eq!(all, wanted);
    }

    #[test]
    fn each_item_takes_one_more_symbol_from_the_new_one() {
        let old = Values::parse("CONFIG_A=y\nCONFIG_B=y\nCONFIG_C=1\n");
        let new = Values::parse("CONFIG_C=2\nCONFIG_B=y\nCONFIG_Z=y\n");
        let own = Values::parse("CONFIG_KVM=y\nCONFIG_B=n\n");
        let all = between(&old, &new, &own).unwrap();
        let names: Vec<&str> = all.items.list.iter().map(|item| item.name.as_str()).collect();
        assert_eq!(names, ["the old configuration", "CONFIG_C: 1 → 2", "CONFIG_Z: n → y", "CONFIG_A: y → n"]);
        let value = |text: &str, symbol: &str| Values::parse(text).get(symbol).to_owned();
        let of = |symbol| all.fragments.iter().map(|text| value(text, symbol)).collect::<Vec<_>>();
        assert_eq!(of("CONFIG_C"), ["1", "2", "2", "2"]);
        assert_eq!(of("CONFIG_Z"), ["n", "n", "y", "y"]);
        assert_eq!(of("CONFIG_A"), ["y", "y", "y", "n"]);
        assert_eq!((of("CONFIG_KVM")[0].as_str(), of("CONFIG_B")[0].as_str()), ("y", "y"));
        let without_z = &all.without[2];
        assert_eq!((value(without_z, "CONFIG_C"), value(without_z, "CONFIG_Z")), ("2".to_owned(), "n".to_owned()));
        assert!(between(&old, &old, &own).is_none());
    }
}
