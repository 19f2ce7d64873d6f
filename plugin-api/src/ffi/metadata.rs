//! What a library says of itself without any of its code being run: JSON text in the ELF section
//! `.mortise`, put together by the compiler.

use serde::{Deserialize, Serialize};

use crate::plugin::Plugin;

/// The section's text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Manifest {
    pub name: String,
    pub version: String,
    /// `major.minor` of the boundary.
    pub api: String,
    pub sdk: String,
    pub rustc: String,
    pub target: String,
    /// `unwind` or `abort`.
    pub panic: String,
    #[serde(default)]
    pub grants: Vec<String>,
}

impl Manifest {
    /// The manifest of a plugin that is linked in.
    ///
    /// # Panics
    /// Never: what the compiler put together is JSON.
    pub fn of<P: Plugin>() -> Self {
        let grants: Vec<String> = P::GRANTS.iter().map(|&grant| grant.into()).collect();
        Self {
            name: P::NAME.into(),
            version: P::VERSION.into(),
            api: crate::API_VERSION.into(),
            sdk: crate::SDK_VERSION.into(),
            rustc: env!("MORTISE_RUSTC").into(),
            target: env!("MORTISE_TARGET").into(),
            panic: PANIC.into(),
            grants,
        }
    }
}

const PANIC: &str = if cfg!(panic = "unwind") {
    "unwind"
} else {
    "abort"
};

const BEFORE_NAME: &str = r#"{"name":""#;
const BEFORE_VERSION: &str = r#"","version":""#;
const BEFORE_GRANTS: &str = concat!(
    r#"","sdk":""#,
    env!("CARGO_PKG_VERSION"),
    r#"","rustc":""#,
    env!("MORTISE_RUSTC"),
    r#"","target":""#,
    env!("MORTISE_TARGET"),
    r#"","grants":["#,
);
const BEFORE_API: &str = r#"],"api":""#;
const BEFORE_PANIC: &str = r#"","panic":""#;
const END: &str = r#""}"#;

/// How many bytes [`text`] has.
pub const fn length(name: &str, version: &str, grants: &[&str]) -> usize {
    let mut length = BEFORE_NAME.len()
        + name.len()
        + BEFORE_VERSION.len()
        + version.len()
        + BEFORE_GRANTS.len()
        + BEFORE_API.len()
        + crate::API_VERSION.len()
        + BEFORE_PANIC.len()
        + PANIC.len()
        + END.len();
    let mut index = 0;
    while index < grants.len() {
        length += grants[index].len() + 2 + if index > 0 { 1 } else { 0 };
        index += 1;
    }
    length
}

/// The section's text; a name that would need escaping does not compile.
pub const fn text<const LENGTH: usize>(name: &str, version: &str, grants: &[&str]) -> [u8; LENGTH] {
    let mut text = [0; LENGTH];
    let mut at = put(&mut text, 0, BEFORE_NAME);
    at = put_name(&mut text, at, name);
    at = put(&mut text, at, BEFORE_VERSION);
    at = put_name(&mut text, at, version);
    at = put(&mut text, at, BEFORE_GRANTS);
    let mut index = 0;
    while index < grants.len() {
        at = put(&mut text, at, if index > 0 { r#",""# } else { r#"""# });
        at = put_name(&mut text, at, grants[index]);
        at = put(&mut text, at, r#"""#);
        index += 1;
    }
    at = put(&mut text, at, BEFORE_API);
    at = put(&mut text, at, crate::API_VERSION);
    at = put(&mut text, at, BEFORE_PANIC);
    at = put(&mut text, at, PANIC);
    put(&mut text, at, END);
    text
}

const fn put(text: &mut [u8], at: usize, part: &str) -> usize {
    let part = part.as_bytes();
    let mut index = 0;
    while index < part.len() {
        text[at + index] = part[index];
        index += 1;
    }
    at + part.len()
}

const fn put_name(text: &mut [u8], at: usize, name: &str) -> usize {
    let bytes = name.as_bytes();
    let mut index = 0;
    while index < bytes.len() {
        let byte = bytes[index];
        assert!(
            byte.is_ascii_graphic() && byte != b'"' && byte != b'\\',
            "names, versions and grants of a plugin are visible ASCII without quotes"
        );
        index += 1;
    }
    put(text, at, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_json_with_every_field() {
        const GRANTS: &[&str] = &["state", "agents"];
        const LENGTH: usize = length("dice", "1.2.3", GRANTS);
        let text = text::<LENGTH>("dice", "1.2.3", GRANTS);
        let manifest: Manifest = serde_json::from_slice(&text).unwrap();
        assert_eq!(manifest.name, "dice");
        assert_eq!(manifest.version, "1.2.3");
        assert_eq!(manifest.api, crate::API_VERSION);
        assert_eq!(manifest.panic, "unwind");
        assert_eq!(manifest.grants, GRANTS);
    }
}
