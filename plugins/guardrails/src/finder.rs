//! What finds something in a text, and what it needs to know of a text that is still growing.

use std::fmt;
use std::ops::Range;

use regex::Regex;
use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind};

use crate::config::Detect;
use crate::personal;

/// Finds something in a text.
#[derive(Debug)]
pub(crate) enum Finder {
    Pattern(Pattern),
    Card,
    Iban,
    Ip,
}

/// A regular expression, and which texts it can match at all.
pub(crate) struct Pattern {
    regex: Regex,
    /// Every character that a match may hold.
    alphabet: ClassUnicode,
    /// How many bytes a match has at most.
    reach: Option<usize>,
}

/// Why a pattern is refused.
#[derive(Debug)]
pub(crate) enum BadPattern {
    /// It is none, or too large.
    Unreadable(String),
    /// It also matches the empty text.
    MatchesNothing,
}

/// Beyond this, only the alphabet says how much is held back.
const LONGEST_REACH: usize = 4096;

// === impl Finder ===

impl Finder {
    pub(crate) fn of(detect: Detect) -> Self {
        let pattern = match detect {
            Detect::Card => return Self::Card,
            Detect::Iban => return Self::Iban,
            Detect::Ip => return Self::Ip,
            Detect::Email => personal::EMAIL,
            Detect::Phone => personal::PHONE,
            Detect::UsSsn => personal::US_SSN,
        };
        Self::Pattern(Pattern::new(pattern).expect("the patterns of this crate are patterns"))
    }

    pub(crate) fn pattern(text: &str) -> Result<Self, BadPattern> {
        Pattern::new(text).map(Self::Pattern)
    }

    /// The first thing that begins at or after `from`, which is on the border of a character.
    pub(crate) fn find(&self, text: &str, from: usize) -> Option<Range<usize>> {
        match self {
            Self::Pattern(pattern) => {
                let found = pattern.regex.find_at(text, from);
                found.map(|found| found.range())
            }
            Self::Card => personal::card(text, from),
            Self::Iban => personal::iban(text, from),
            Self::Ip => personal::ip(text, from),
        }
    }

    /// Whether what is found may hold this character.
    pub(crate) fn may_hold(&self, character: char) -> bool {
        match self {
            Self::Pattern(pattern) => pattern.may_hold(character),
            Self::Card => character.is_ascii_digit() || matches!(character, ' ' | '-'),
            Self::Iban => character.is_ascii_alphanumeric() || character == ' ',
            Self::Ip => character.is_ascii_hexdigit() || matches!(character, ':' | '.'),
        }
    }

    /// How many bytes are found at most, where that is known.
    pub(crate) fn reach(&self) -> Option<usize> {
        match self {
            Self::Pattern(pattern) => pattern.reach,
            Self::Card => Some(personal::CARD_REACH),
            Self::Iban => Some(personal::IBAN_REACH),
            Self::Ip => Some(personal::IP_REACH),
        }
    }
}

// === impl Pattern ===

impl Pattern {
    fn new(text: &str) -> Result<Self, BadPattern> {
        let unreadable = |error: String| BadPattern::Unreadable(last_line(&error));
        let regex = Regex::new(text).map_err(|error| unreadable(error.to_string()))?;
        let hir = regex_syntax::parse(text).map_err(|error| unreadable(error.to_string()))?;
        let properties = hir.properties();
        if properties.minimum_len().unwrap_or_default() == 0 {
            return Err(BadPattern::MatchesNothing);
        }
        let mut alphabet = ClassUnicode::empty();
        collect(&hir, &mut alphabet);
        Ok(Self {
            regex,
            alphabet,
            reach: properties
                .maximum_len()
                .filter(|reach| *reach <= LONGEST_REACH),
        })
    }

    fn may_hold(&self, character: char) -> bool {
        let ranges = self.alphabet.ranges();
        let after = ranges.partition_point(|range| range.end() < character);
        ranges
            .get(after)
            .is_some_and(|range| range.start() <= character)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("Pattern")
            .field(&self.regex.as_str())
            .finish()
    }
}

/// Collects every character that a match may hold.
fn collect(hir: &Hir, alphabet: &mut ClassUnicode) {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
            Ok(text) => {
                let characters = text.chars().map(|it| ClassUnicodeRange::new(it, it));
                alphabet.union(&ClassUnicode::new(characters));
            }
            // Half a character: a part of any.
            Err(_) => alphabet.push(ClassUnicodeRange::new('\0', char::MAX)),
        },
        HirKind::Class(Class::Unicode(class)) => alphabet.union(class),
        HirKind::Class(Class::Bytes(class)) => match class.to_unicode_class() {
            Some(class) => alphabet.union(&class),
            None => alphabet.push(ClassUnicodeRange::new('\0', char::MAX)),
        },
        HirKind::Repetition(repetition) => collect(&repetition.sub, alphabet),
        HirKind::Capture(capture) => collect(&capture.sub, alphabet),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            for part in parts {
                collect(part, alphabet);
            }
        }
    }
}

/// The errors of `regex` draw the pattern first, and say what is wrong in their last line.
fn last_line(error: &str) -> String {
    let line = error.lines().last().unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}
