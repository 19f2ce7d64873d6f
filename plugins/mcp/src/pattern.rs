//! Names of tools with `*` for any characters.

/// A name, or many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(String);

// === impl Pattern ===

impl Pattern {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_exact(&self) -> bool {
        !self.0.contains('*')
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        let Some((first, others)) = self.0.split_once('*') else {
            return self.0 == name;
        };
        let Some(mut rest) = name.strip_prefix(first) else {
            return false;
        };
        let mut others: Vec<&str> = others.split('*').collect();
        let last = others.pop().unwrap_or_default();
        for part in others {
            let Some(found) = rest.find(part) else {
                return false;
            };
            rest = &rest[found + part.len()..];
        }
        rest.ends_with(last)
    }
}

/// Whether one of them is meant.
pub(crate) fn any(patterns: &[Pattern], name: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, name, is_meant) in [
            ("search", "search", true),
            ("search", "searches", false),
            ("*", "", true),
            ("read_*", "read_", true),
            ("read_*", "read_file", true),
            ("read_*", "thread_file", false),
            ("*_file", "read_file", true),
            ("a*a", "a", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("", "a", false),
        ] {
            assert_eq!(
                Pattern::new(pattern).matches(name),
                is_meant,
                "{pattern} {name}"
            );
        }
    }
}
