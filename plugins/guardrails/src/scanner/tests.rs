//! Whatever pieces a text comes in, nothing that a rule finds is shown, and all else is.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::Side;
use crate::rule::{Rules, checked};

fn rules(rules: Value) -> Vec<Arc<Rule>> {
    let rules = Rules::new(serde_json::from_value(rules).unwrap()).unwrap();
    rules.of(Side::Output, "plain").collect()
}

fn every_kind() -> Vec<Arc<Rule>> {
    rules(json!([
        { "name": "mail", "detect": "email", "action": "redact" },
        { "name": "iban", "detect": "iban", "action": "redact" },
        { "name": "card", "detect": "card", "action": "redact" },
        { "name": "ip", "detect": "ip", "action": "redact" },
        { "name": "phone", "detect": "phone", "action": "redact" },
        { "name": "ssn", "detect": "us_ssn", "action": "redact" },
        { "name": "word", "pattern": "(?i)\\bproject +x\\b", "action": "redact" },
        { "name": "line", "pattern": "(?m)^secret:.*$", "action": "redact" },
        { "name": "start", "pattern": "^A", "action": "redact", "replacement": "_" },
        { "name": "end", "pattern": "Z$", "action": "redact", "replacement": "_" },
        { "name": "long", "pattern": "B[a-z]{2,9}E", "action": "redact" },
        { "name": "umlaut", "pattern": "ä+ö", "action": "redact" },
    ]))
}

fn whole(rules: &[Arc<Rule>], text: &str) -> String {
    checked(rules.iter().map(Arc::clone), text, &mut 0).unwrap()
}

/// What is shown of a text that comes in these pieces, piece by piece; the rest at last.
fn shown(rules: &[Arc<Rule>], pieces: &[&str]) -> Vec<String> {
    let mut chain = Chain::new(rules.iter().map(Arc::clone), 0);
    let mut shown: Vec<_> = pieces.iter().map(|it| chain.push(it).unwrap()).collect();
    shown.push(chain.finish().unwrap());
    shown
}

const TEXT: &str = "A mail to ann@example.org, card 4111 1111 1111 1111 or 5555-5555-5555-4444, IBAN \
                    DE89 3704 0044 0532 0130 00; call +49 30 1234567 from 10.0.0.1 or 2001:db8::1. \
                    Project  X and projectx, SSN 078-05-1120.\nsecret: all of this line\nBabcdE \
                    ääöä Z";

#[test]
fn everything_is_found_in_a_whole_text() {
    assert_eq!(
        whole(&every_kind(), TEXT),
        "_ mail to [mail], card [card] or [card], IBAN [iban]; call [phone] from [ip] or [ip]. \
         [word] and projectx, SSN [ssn].\n[line]\n[long] [umlaut]ä _"
    );
}

#[test]
fn a_text_cut_anywhere_into_two_is_shown_the_same() {
    let rules = every_kind();
    let expected = whole(&rules, TEXT);
    for at in (0..=TEXT.len()).filter(|at| TEXT.is_char_boundary(*at)) {
        let (one, other) = TEXT.split_at(at);
        assert_eq!(shown(&rules, &[one, other]).concat(), expected, "{at}");
    }
}

#[test]
fn a_text_of_single_characters_is_shown_the_same() {
    let rules = every_kind();
    let pieces: Vec<_> = TEXT.split_inclusive(|_| true).collect();
    assert_eq!(shown(&rules, &pieces).concat(), whole(&rules, TEXT));
}

#[test]
fn nothing_is_held_back_that_cannot_become_anything() {
    let rules = rules(json!([
        { "name": "mail", "detect": "email", "action": "redact" },
        { "name": "card", "detect": "card", "action": "redact" },
    ]));
    let pieces = ["Hello, wor", "ld! Write", " to ann@exam", "ple.org now"];
    assert_eq!(
        shown(&rules, &pieces),
        ["Hello,", " world!", " Write to", " [mail]", " now"]
    );
}

#[test]
fn a_pattern_that_may_match_anything_holds_everything_back() {
    let rules = rules(json!([{ "name": "all", "pattern": "(?s)BEGIN.*END", "action": "redact" }]));
    assert_eq!(
        shown(&rules, &["a BEG", "IN b EN", "D c"]),
        ["", "", "", "a [all] c"]
    );
}

#[test]
fn a_rule_that_blocks_shows_nothing_of_what_it_blocks() {
    let rules = rules(json!([{ "name": "word", "pattern": "password", "action": "block" }]));
    let mut chain = Chain::new(rules, 0);
    assert_eq!(chain.push("my pass").unwrap(), "my ");
    let blocked = chain.push("word is").unwrap_err();
    assert_eq!(blocked.0.name, "word");
}

#[test]
fn a_text_that_is_too_long_is_blocked_as_it_grows() {
    let rules = rules(json!([{ "name": "size", "max_chars": 5, "action": "block" }]));
    let mut chain = Chain::new(rules, 0);
    assert_eq!(chain.push("äöüäö").unwrap(), "äöüäö");
    assert!(chain.push("x").is_err());
}

#[test]
fn a_long_stream_is_let_go_of() {
    let rules = every_kind();
    let mut chain = Chain::new(rules.iter().map(Arc::clone), 0);
    let mut all = String::new();
    for _ in 0..2000 {
        all.push_str(&chain.push("ann@example.org, and\n").unwrap());
        for scanner in &chain.scanners {
            assert!(scanner.text.len() < 10_000);
        }
    }
    all.push_str(&chain.finish().unwrap());
    assert_eq!(all, "[mail], and\n".repeat(2000));
}

proptest! {
    #[test]
    fn any_cut_shows_the_same(
        text in "([a-eA-FZ0-9@.:+ \\-äö\n]|4111 1111 1111 1111|DE89 3704 0044 0532 0130 00|secret: |Project x|ann@b\\.de|::1|10\\.0\\.0\\.1){0,30}",
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..12),
    ) {
        let rules = every_kind();
        let borders: Vec<_> = (0..=text.len()).filter(|at| text.is_char_boundary(*at)).collect();
        let mut at: Vec<_> = cuts.iter().map(|cut| *cut.get(&borders)).collect();
        at.extend([0, text.len()]);
        at.sort_unstable();
        let pieces: Vec<_> = at.windows(2).map(|it| &text[it[0]..it[1]]).collect();
        prop_assert_eq!(shown(&rules, &pieces).concat(), whole(&rules, &text));
    }
}
