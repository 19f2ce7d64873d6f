//! Personal data: what it looks like, and the checks that tell it from other numbers.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

/// Addresses of e-mail, in any script.
pub(crate) const EMAIL: &str = r"[\p{L}\p{N}._%+\-]+@[\p{L}\p{N}\-]+(?:\.[\p{L}\p{N}\-]+)+";

/// `+49 30 1234567`, `0049 (30) 12345-67`, `(212) 555-0123`, `212-555-0123`.
pub(crate) const PHONE: &str = r"(?:\+|\b00)[1-9](?:[ ().\-/]{0,2}[0-9]){6,14}\b|\(?\b[2-9][0-9]{2}\)?[ .\-]{1,2}[2-9][0-9]{2}[ .\-][0-9]{4}\b";

pub(crate) const US_SSN: &str = r"\b[0-8][0-9]{2}-[0-9]{2}-[0-9]{4}\b";

/// 19 digits, with something between any two of them.
pub(crate) const CARD_REACH: usize = 37;
/// 34 characters, with a space between any two of them.
pub(crate) const IBAN_REACH: usize = 67;
/// The longest IPv6 address, and a colon or a dot behind it.
pub(crate) const IP_REACH: usize = 46;

const CARD_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;

/// How long the IBANs of each country are.
const IBAN_LENGTHS: [(&[u8; 2], usize); 89] = [
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HN", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SO", 23),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
    (b"YE", 30),
];

/// The first number of a payment card: groups of digits with at most one space or dash between
/// them.
pub(crate) fn card(text: &str, from: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut start = from;
    while start < bytes.len() {
        let begins = is_digit(start) && (start == 0 || !is_digit(start - 1));
        if let Some(end) = begins.then(|| card_end(bytes, start)).flatten() {
            return Some(start..end);
        }
        start += 1;
    }
    None
}

/// Where the card ends that begins here: the longest one that there can be.
fn card_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut digits = Vec::with_capacity(*CARD_DIGITS.end());
    let mut found = None;
    let mut at = start;
    while let Some(&byte) = bytes.get(at) {
        if byte.is_ascii_digit() {
            digits.push(byte - b'0');
            if digits.len() > *CARD_DIGITS.end() {
                break;
            }
        } else if !matches!(byte, b' ' | b'-') || !bytes[at - 1].is_ascii_digit() {
            break;
        }
        at += 1;
        let is_group = byte.is_ascii_digit() && !bytes.get(at).is_some_and(u8::is_ascii_digit);
        if is_group && CARD_DIGITS.contains(&digits.len()) && is_card(&digits) {
            found = Some(at);
        }
    }
    found
}

fn is_card(digits: &[u8]) -> bool {
    let prefix = digits
        .iter()
        .take(6)
        .fold(0, |number, digit| number * 10 + u32::from(*digit));
    let lengths: &[usize] = match prefix {
        // American Express, Diners Club, Visa
        340_000..=349_999 | 370_000..=379_999 => &[15],
        300_000..=305_999 | 360_000..=369_999 | 380_000..=399_999 => &[14, 16, 17, 18, 19],
        400_000..=499_999 => &[13, 16, 19],
        // Mastercard
        510_000..=559_999 | 222_100..=272_099 => &[16],
        // JCB, Mir
        352_800..=358_999 | 220_000..=220_499 => &[16, 17, 18, 19],
        // Maestro, Discover, UnionPay, RuPay
        500_000..=509_999 | 560_000..=699_999 | 810_000..=829_999 => &[13, 14, 15, 16, 17, 18, 19],
        _ => &[],
    };
    lengths.contains(&digits.len()) && has_check_digit(digits)
}

/// Luhn's check.
fn has_check_digit(digits: &[u8]) -> bool {
    let weighted = digits.iter().rev().enumerate().map(|(place, digit)| {
        let value = u32::from(*digit) << (place % 2);
        if value > 9 { value - 9 } else { value }
    });
    weighted.sum::<u32>() % 10 == 0
}

/// The first IBAN, with or without spaces.
pub(crate) fn iban(text: &str, from: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    (from..bytes.len()).find_map(|start| {
        let begins = start == 0 || !bytes[start - 1].is_ascii_alphanumeric();
        let end = begins.then(|| iban_end(bytes, start)).flatten()?;
        Some(start..end)
    })
}

fn iban_end(bytes: &[u8], start: usize) -> Option<usize> {
    let country = bytes.get(start..start + 2)?.to_ascii_uppercase();
    let (_, length) = IBAN_LENGTHS
        .iter()
        .find(|(known, _)| known[..] == country[..])?;
    let mut characters = Vec::with_capacity(*length);
    let mut at = start;
    while characters.len() < *length {
        let byte = *bytes.get(at)?;
        if byte.is_ascii_alphanumeric() {
            characters.push(byte.to_ascii_uppercase());
        } else if byte != b' ' || bytes[at - 1] == b' ' {
            return None;
        }
        at += 1;
    }
    let goes_on = bytes.get(at).is_some_and(u8::is_ascii_alphanumeric);
    let is_valid = characters[2..4].iter().all(u8::is_ascii_digit) && has_checksum(&characters);
    (is_valid && !goes_on).then_some(at)
}

/// The number is 1 modulo 97, with its first four characters behind the others.
fn has_checksum(characters: &[u8]) -> bool {
    let (first, rest) = characters.split_at(4);
    let remainder = rest.iter().chain(first).fold(0u32, |remainder, byte| {
        if byte.is_ascii_digit() {
            (remainder * 10 + u32::from(byte - b'0')) % 97
        } else {
            (remainder * 100 + u32::from(byte - b'A') + 10) % 97
        }
    });
    remainder == 1
}

/// The first address of IPv4 or IPv6.
pub(crate) fn ip(text: &str, from: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    (from..bytes.len()).find_map(|start| {
        let begins = bytes[start].is_ascii_hexdigit() || bytes[start] == b':';
        let follows = start > 0 && continues_address(bytes[start - 1]);
        let end = (begins && !follows)
            .then(|| ip_end(text, start))
            .flatten()?;
        Some(start..end)
    })
}

fn ip_end(text: &str, start: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let length = bytes[start..]
        .iter()
        .take(IP_REACH + 1)
        .take_while(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'))
        .count();
    let token = &text[start..start + length];
    let is_word = bytes
        .get(start + length)
        .is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    if length <= IP_REACH && !is_word {
        let trimmed = match token.strip_suffix(['.', ':']) {
            Some(shorter) if !token.ends_with("::") => shorter,
            _ => token,
        };
        let is_v6 = trimmed.bytes().filter(|byte| *byte == b':').count() >= 2
            && trimmed.bytes().any(|byte| byte.is_ascii_digit())
            && trimmed.parse::<Ipv6Addr>().is_ok();
        if is_v6 || trimmed.parse::<Ipv4Addr>().is_ok() {
            return Some(start + trimmed.len());
        }
    }
    // With a port.
    let (address, _) = token.split_once(':')?;
    address.parse::<Ipv4Addr>().ok()?;
    Some(start + address.len())
}

fn continues_address(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'_')
}

#[cfg(test)]
mod tests {
    use crate::config::Detect;
    use crate::finder::Finder;

    /// Everything that is found.
    fn found(detect: Detect, text: &str) -> Vec<&str> {
        let finder = Finder::of(detect);
        let (mut all, mut from) = (Vec::new(), 0);
        while let Some(found) = finder.find(text, from) {
            from = found.end;
            all.push(&text[found]);
        }
        all
    }

    #[test]
    fn cards_have_an_issuer_a_length_and_a_check_digit() {
        for (text, expected) in [
            ("4111111111111111", &["4111111111111111"][..]),
            ("pay 4111 1111 1111 1111.", &["4111 1111 1111 1111"]),
            ("5555-5555-5555-4444", &["5555-5555-5555-4444"]),
            ("amex 3782 822463 10005", &["3782 822463 10005"]),
            ("4111 1111 1111 1111 12", &["4111 1111 1111 1111"]),
            ("12 4111 1111 1111 1111", &["4111 1111 1111 1111"]),
            (
                "4111111111111111 5555555555554444",
                &["4111111111111111", "5555555555554444"],
            ),
            ("x4111111111111111x", &["4111111111111111"]),
            ("4111111111111112", &[]),
            ("1234567890123456", &[]),
            ("0000000000000000", &[]),
            ("4111  1111 1111 1111", &[]),
            ("94111111111111111119999", &[]),
            ("1700000000000", &[]),
        ] {
            assert_eq!(found(Detect::Card, text), expected, "{text}");
        }
    }

    #[test]
    fn ibans_have_a_country_its_length_and_a_checksum() {
        for (text, expected) in [
            (
                "IBAN: DE89 3704 0044 0532 0130 00, please",
                &["DE89 3704 0044 0532 0130 00"][..],
            ),
            ("GB29NWBK60161331926819", &["GB29NWBK60161331926819"]),
            (
                "gb29 nwbk 6016 1331 9268 19",
                &["gb29 nwbk 6016 1331 9268 19"],
            ),
            (
                "NO9386011117947 and FR1420041010050500013M02606",
                &["NO9386011117947", "FR1420041010050500013M02606"],
            ),
            (
                "DE89 3704 0044 0532 0130 00 and more",
                &["DE89 3704 0044 0532 0130 00"],
            ),
            ("DE89 3704 0044 0532 0130 01", &[]),
            ("XX89 3704 0044 0532 0130 00", &[]),
            ("DE89370400440532013000X", &[]),
            ("XDE89370400440532013000", &[]),
        ] {
            assert_eq!(found(Detect::Iban, text), expected, "{text}");
        }
    }

    #[test]
    fn addresses_of_both_families_are_found_and_versions_of_code_are_not() {
        for (text, expected) in [
            ("at 10.0.0.1.", &["10.0.0.1"][..]),
            ("http://192.168.1.20:8080/x", &["192.168.1.20"]),
            (
                "::1 or 2001:db8::ff00:42:8329!",
                &["::1", "2001:db8::ff00:42:8329"],
            ),
            ("[fe80::1]", &["fe80::1"]),
            ("::ffff:192.0.2.128", &["::ffff:192.0.2.128"]),
            ("1.2.3", &[]),
            ("256.1.1.1", &[]),
            ("std::dec::add", &[]),
            ("12:30:45", &[]),
            ("1.2.3.4.5", &[]),
        ] {
            assert_eq!(found(Detect::Ip, text), expected, "{text}");
        }
    }

    #[test]
    fn mail_phones_and_social_security_numbers_are_found() {
        for (detect, text, expected) in [
            (
                Detect::Email,
                "ann.b+c@mail.example.org, jörg@müller.de.",
                &["ann.b+c@mail.example.org", "jörg@müller.de"][..],
            ),
            (Detect::Email, "a@b and @home and x@", &[]),
            (
                Detect::Phone,
                "+49 30 1234567 or 0049 (30) 12345-67",
                &["+49 30 1234567", "0049 (30) 12345-67"],
            ),
            (
                Detect::Phone,
                "(212) 555-0123, 212-555-0123",
                &["(212) 555-0123", "212-555-0123"],
            ),
            (Detect::Phone, "2026-11-21 and 12345678", &[]),
            (Detect::UsSsn, "078-05-1120 078-05-11200", &["078-05-1120"]),
        ] {
            assert_eq!(found(detect, text), expected, "{text}");
        }
    }
}
