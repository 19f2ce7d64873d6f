//! What models call the tools of a server.
//!
//! Providers take `[a-zA-Z0-9_-]{1,64}`; servers may call their tools anything.

use std::collections::HashSet;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

const LONGEST: usize = 64;
/// As many hexadecimal digits of a digest, after an underscore.
const MARK: usize = 8;

/// The names of one server's tools; each is given once.
#[derive(Debug, Default)]
pub(crate) struct Names(HashSet<String>);

// === impl Names ===

impl Names {
    /// The name of a tool, the same whenever the server lists the same tools.
    pub(crate) fn give(&mut self, prefix: &str, tool: &str) -> String {
        let name = fitting(prefix, tool);
        if self.0.insert(name.clone()) {
            return name;
        }
        let marked = marked(&name, tool);
        self.0.insert(marked.clone());
        marked
    }
}

fn fitting(prefix: &str, tool: &str) -> String {
    let plain = |it: char| match it {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' => it,
        _ => '_',
    };
    let whole: String = prefix.chars().chain(tool.chars().map(plain)).collect();
    let name = whole.trim_start_matches(['_', '-']);
    if name.is_empty() {
        return marked("tool", tool);
    }
    if name.len() > LONGEST {
        return marked(name, tool);
    }
    name.to_owned()
}

/// A name that tells apart tools whose names have become the same.
fn marked(name: &str, tool: &str) -> String {
    let mut marked: String = name.chars().take(LONGEST - MARK - 1).collect();
    marked.push('_');
    for byte in &Sha256::digest(tool.as_bytes())[..MARK / 2] {
        // Writing to a string cannot fail.
        let _ = write!(marked, "{byte:02x}");
    }
    marked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_providers_take() {
        let long = "x".repeat(100);
        let mut names = Names::default();
        for tool in ["get.user", "länge", "a b/c", "", "_", "☃", &long, "😀"] {
            for prefix in ["docs_", ""] {
                let name = names.give(prefix, tool);
                assert!((1..=LONGEST).contains(&name.len()), "{name}");
                assert!(
                    name.starts_with(|it: char| it.is_ascii_alphanumeric()),
                    "{name}"
                );
                let is_plain = |it: char| it.is_ascii_alphanumeric() || it == '_' || it == '-';
                assert!(name.chars().all(is_plain), "{name}");
            }
        }
        assert_eq!(Names::default().give("docs_", "search"), "docs_search");
        assert_eq!(Names::default().give("", "get.user"), "get_user");
    }

    #[test]
    fn two_tools_never_have_one_name() {
        let (first, second) = ("x".repeat(100), format!("{}y", "x".repeat(99)));
        let mut names = Names::default();
        let mut given: Vec<String> = ["a.b", "a/b", "a_b", &first, &second]
            .iter()
            .map(|tool| names.give("docs_", tool))
            .collect();
        given.sort();
        given.dedup();
        assert_eq!(given.len(), 5);
    }
}
