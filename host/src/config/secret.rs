//! Secrets: read from a variable or a file, never shown.

use std::{borrow::Cow, fmt, fs, path::Path};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Environment, Problem, Problems, document::Texts};

/// Text that nothing prints. Comparing it in constant time is the caller's task.
///
/// A configuration says it as text, `{ env = "NAME" }` or `{ file = "path" }`; `resolve` has put
/// the text in place of the other two before this is read.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Secret(Box<[u8]>);

/// No key or password is longer; a wrong path is.
const LONGEST: u64 = 64 * 1024;

const HELP: &str = "write { env = \"NAME\" } or { file = \"path\" }";

// === impl Secret ===

impl Secret {
    /// The secret itself.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

impl TryFrom<String> for Secret {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("the secret is empty");
        }
        Ok(Self(text.into_bytes().into()))
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kind": "secret",
            "anyOf": [
                { "type": "string", "minLength": 1 },
                reference_schema("env"),
                reference_schema("file"),
            ],
        })
    }
}

fn reference_schema(key: &str) -> serde_json::Value {
    serde_json::json!({
        "type": "object",
        "properties": { key: { "type": "string" } },
        "required": [key],
        "additionalProperties": false,
    })
}

// === resolving ===

/// Whether the server's secret is written out.
pub(super) fn is_inline(root: &DeTable<'_>) -> bool {
    let secret = root
        .get("server")
        .and_then(|server| server.get_ref().get("secret"));
    secret.is_some_and(|secret| matches!(secret.get_ref(), DeValue::String(_)))
}

/// Puts the text in place of every `{ env = "NAME" }` and `{ file = "path" }`, wherever a secret
/// may stand.
pub(super) fn resolve(
    root: &mut Spanned<DeTable<'_>>,
    texts: &Texts,
    environment: &dyn Environment,
    folder: &Path,
) -> Result<(), Problems> {
    let mut resolver = Resolver {
        texts,
        environment,
        folder,
        problems: Vec::new(),
    };
    let root = root.get_mut();
    if let Some(secret) = entry(root, "server").and_then(|server| server.get_mut("secret")) {
        resolver.resolve_server_secret(secret);
    }
    if let Some(token) = entry(root, "http").and_then(|http| http.get_mut("token")) {
        resolver.resolve_all(token);
    }
    let load = entry(root, "plugins").and_then(|plugins| plugins.get_mut("load"));
    if let Some(DeValue::Array(entries)) = load.map(Spanned::get_mut) {
        for plugin in entries.iter_mut() {
            if let Some(config) = table(plugin).and_then(|plugin| plugin.get_mut("config")) {
                resolver.resolve_all(config);
            }
        }
    }
    for (sections, key) in [("agents", "model_options"), ("models", "defaults")] {
        for (_, section) in entry(root, sections).into_iter().flatten() {
            if let Some(options) = table(section).and_then(|section| section.get_mut(key)) {
                resolver.resolve_all(options);
            }
        }
    }
    Problems::collect(resolver.problems)
}

/// Reads secrets and remembers what went wrong.
struct Resolver<'a> {
    texts: &'a Texts,
    environment: &'a dyn Environment,
    folder: &'a Path,
    problems: Vec<Problem>,
}

/// A table that stands for a secret.
enum Reference {
    Env(String),
    File(String),
}

impl Resolver<'_> {
    fn resolve_server_secret(&mut self, value: &mut Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::String(_) => {}
            it if is_reference(it) => self.resolve_all(value),
            // Left to serde, the error would print the value.
            _ => {
                let message = "`server.secret` is not a secret".to_owned();
                self.report(value, message, Some(HELP));
                *value.get_mut() = DeValue::String("?".into());
            }
        }
    }

    fn resolve_all(&mut self, value: &mut Spanned<DeValue<'_>>) {
        if let DeValue::Table(table) = value.get_ref()
            && let Some(reference) = reference(table)
        {
            match self.read(&reference) {
                Ok(text) => *value.get_mut() = DeValue::String(text.into()),
                Err(message) => self.report(value, message, None),
            }
            return;
        }
        match value.get_mut() {
            DeValue::Table(table) => table.iter_mut().for_each(|(_, it)| self.resolve_all(it)),
            DeValue::Array(items) => items.iter_mut().for_each(|it| self.resolve_all(it)),
            _ => {}
        }
    }

    fn read(&self, reference: &Reference) -> Result<String, String> {
        let (source, text) = match reference {
            Reference::Env(name) => {
                let source = format!("the variable {name}");
                let Some(value) = self.environment.get(name) else {
                    return Err(format!("{source} is not set, and a secret is read from it"));
                };
                let text = value.into_string().ok();
                (source, text)
            }
            Reference::File(path) => {
                let path = self.folder.join(path);
                let source = format!("the file {}", path.display());
                let text = read_file(&path)
                    .map_err(|error| format!("cannot read a secret from {source}: {error}"))?;
                (source, text)
            }
        };
        match text {
            None => Err(format!(
                "{source} is not UTF-8 text, and a secret is read from it"
            )),
            Some(text) if text.is_empty() => {
                Err(format!("{source} is empty, and a secret is read from it"))
            }
            Some(text) => Ok(text),
        }
    }

    fn report(&mut self, value: &Spanned<DeValue<'_>>, message: String, help: Option<&str>) {
        let help = help.map(str::to_owned);
        self.problems
            .push(self.texts.problem(value.span(), message, help));
    }
}

/// The text of a file without its last newline; `None` if it is no text.
fn read_file(path: &Path) -> std::io::Result<Option<String>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    fs::File::open(path)?
        .take(LONGEST + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(std::io::Error::other("it is too large for a secret"));
    }
    if bytes.ends_with(b"\n") {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
    Ok(String::from_utf8(bytes).ok())
}

/// Whether a value says where a secret is, rather than what it is.
pub(super) fn is_reference(value: &DeValue<'_>) -> bool {
    matches!(value, DeValue::Table(table) if reference(table).is_some())
}

fn reference(table: &DeTable<'_>) -> Option<Reference> {
    let (key, value) = table.iter().next().filter(|_| table.len() == 1)?;
    let DeValue::String(text) = value.get_ref() else {
        return None;
    };
    match key.get_ref().as_ref() {
        "env" => Some(Reference::Env(text.to_string())),
        "file" => Some(Reference::File(text.to_string())),
        _ => None,
    }
}

// === masking ===

const SECRET_WORDS: [&str; 7] = [
    "secret",
    "token",
    "password",
    "passphrase",
    "apikey",
    "api_key",
    "private_key",
];

/// The text with stars for every value whose key sounds like a secret, byte for byte, so that
/// places stay where they are. Works on broken text, which is when it is shown.
pub(super) fn masked(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        mask_line(line, &mut masked);
    }
    masked
}

fn mask_line(mut line: &str, masked: &mut String) {
    while let Some(equals) = line.find('=') {
        let (key, rest) = line.split_at(equals + 1);
        masked.push_str(key);
        let key = key[..equals].trim_end().trim_end_matches(['"', '\'']);
        let key = key.to_ascii_lowercase();
        line = rest;
        if !SECRET_WORDS.iter().any(|word| key.ends_with(word)) {
            continue;
        }
        let value = rest.trim_start();
        masked.push_str(&rest[..rest.len() - value.len()]);
        let end = end_of_value(value);
        masked.extend(std::iter::repeat_n('*', end));
        line = &value[end..];
    }
    masked.push_str(line);
}

/// Where a value ends that is text or a bare word; 0 for a table or an array.
fn end_of_value(value: &str) -> usize {
    let line_end = value.trim_end().len();
    match value.chars().next() {
        Some('{' | '[') => 0,
        Some(quote @ ('"' | '\'')) => value[1..]
            .match_indices(quote)
            .map(|(index, _)| index + 1)
            .find(|&index| !value[..index].ends_with('\\'))
            // Three quotes open text that goes on: everything on this line belongs to it.
            .filter(|&index| index > 1)
            .map_or(line_end, |index| index + 1),
        _ => value[..line_end].find([',', '}', '#']).unwrap_or(line_end),
    }
}

// === walking ===

fn table<'a, 'i>(value: &'a mut Spanned<DeValue<'i>>) -> Option<&'a mut DeTable<'i>> {
    match value.get_mut() {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

/// The table at a key of a table, for a path that may be anything else in a wrong file.
fn entry<'a, 'i>(parent: &'a mut DeTable<'i>, key: &str) -> Option<&'a mut DeTable<'i>> {
    parent.get_mut(key).and_then(table)
}
