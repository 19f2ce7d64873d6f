//! Secrets: read from a variable or a file. `mask.rs` keeps them out of what is shown.

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
            return Err("it is empty");
        }
        if text.trim().is_empty() {
            return Err("it is blank");
        }
        if text.contains(char::is_control) {
            return Err(
                "it has a control character in it, such as a line end, which no header carries",
            );
        }
        if text.trim() != text || text.starts_with('\u{feff}') {
            return Err(
                "it begins or ends with a space or a byte order mark, which no header carries",
            );
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

/// Whether a secret of the server's own is written out.
pub(super) fn is_inline(root: &DeTable<'_>, section: &str, key: &str) -> bool {
    let secret = root
        .get(section)
        .and_then(|section| section.get_ref().get(key));
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
        resolver.refuse_placeholder(token);
        resolver.resolve_all(token);
    }
    let load = entry(root, "plugins").and_then(|plugins| plugins.get_mut("load"));
    if let Some(DeValue::Array(entries)) = load.map(Spanned::get_mut) {
        for plugin in entries.iter_mut() {
            if let Some(config) = table(plugin).and_then(|plugin| plugin.get_mut("config")) {
                resolver.resolve_values(config);
            }
        }
    }
    for (sections, key) in [("agents", "model_options"), ("models", "defaults")] {
        for (_, section) in entry(root, sections).into_iter().flatten() {
            if let Some(options) = table(section).and_then(|section| section.get_mut(key)) {
                resolver.resolve_values(options);
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
            DeValue::String(_) => self.refuse_placeholder(value),
            it if is_reference(it) => self.resolve_all(value),
            // Left to serde, the error would print the value.
            _ => {
                let message = "`server.secret` is not a secret".to_owned();
                self.report(value, message, Some(HELP));
                *value.get_mut() = DeValue::String("?".into());
            }
        }
    }

    /// Other servers put a variable in place of `${NAME}`: here it would be the secret itself. In a
    /// variable it is text like any other.
    fn refuse_placeholder(&mut self, value: &Spanned<DeValue<'_>>) {
        let is_placeholder =
            matches!(value.get_ref(), DeValue::String(text) if text.contains("${"));
        if is_placeholder && self.texts.is_of_file(&value.span()) {
            let message = "nothing is put in place of `${…}`: this would be the secret itself";
            self.report(value, message.to_owned(), Some(HELP));
        }
    }

    /// Of a table that is no secret itself, whatever its keys are.
    fn resolve_values(&mut self, value: &mut Spanned<DeValue<'_>>) {
        for (_, value) in table(value).into_iter().flatten() {
            self.resolve_all(value);
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
                (source, text.map(without_line_end))
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

/// The text of a file; `None` if it is no text.
fn read_file(path: &Path) -> std::io::Result<Option<String>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    fs::File::open(path)?
        .take(LONGEST + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(std::io::Error::other("it is too large for a secret"));
    }
    Ok(String::from_utf8(bytes).ok().map(without_line_end))
}

/// The text without the one line end that editors and shells put behind it.
pub(super) fn without_line_end(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
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
