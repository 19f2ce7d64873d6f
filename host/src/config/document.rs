//! The text of a configuration and where in it every value stands.
//!
//! The file and the variables laid over it are kept in one string, one part after the other, so
//! that a span says both which text it is from and where.

use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Path, PathBuf},
};

use serde::Deserialize as _;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Config, ConfigError, Environment, Problem, mask, overlay, secret, source::Read, translate,
};
use crate::schema::{escaped, unescaped};

/// A configuration as it was written. Never holds a resolved secret.
#[derive(Default)]
pub(super) struct Document {
    texts: Texts,
    places: Places,
    folder: PathBuf,
    inline_secrets: Vec<String>,
    is_world_readable: bool,
}

/// The file and the variables, one after the other.
#[derive(Default)]
pub(super) struct Texts {
    whole: String,
    parts: Vec<Part>,
}

/// One text among `Texts`.
struct Part {
    /// What errors call the text.
    name: String,
    range: Range<usize>,
    /// The variable, if the text is `NAME=value`.
    variable: Option<Variable>,
}

struct Variable {
    name: String,
    /// What errors call it.
    source: String,
}

/// Where every key and value stands, by JSON pointer.
#[derive(Default)]
pub(super) struct Places(BTreeMap<String, Place>);

struct Place {
    key: Range<usize>,
    value: Range<usize>,
    /// Whether it says where a secret is read from.
    is_reference: bool,
}

/// Understands a text, its overlay and its secrets.
pub(super) fn parse(
    read: Read,
    environment: &dyn Environment,
) -> Result<(Config, Document), ConfigError> {
    let mut texts = Texts::default();
    texts.push_file(read.name, &read.text);
    for (name, value) in overlay::variables(environment)? {
        let source = environment.source(&name);
        texts.push_variable(Variable { name, source }, &value);
    }

    let file = texts.parts[0].range.clone();
    let (mut tree, errors) = DeTable::parse_recoverable(&texts.whole[file]);
    if let Some(error) = errors.first() {
        return Err(translate::syntax_error(error, &texts).into());
    }
    overlay::apply(&mut tree, &texts)?;
    let places = Places::of(tree.get_ref());
    let mut inline_secrets = Vec::new();
    for (section, key) in [("server", "secret"), ("http", "token")] {
        let place = places.get(&format!("/{section}/{key}"));
        if place.is_some_and(|place| texts.is_of_file(&place.value))
            && secret::is_inline(tree.get_ref(), section, key)
        {
            inline_secrets.push(format!("{section}.{key}"));
        }
    }
    secret::resolve(&mut tree, &texts, environment, &read.folder)?;

    let deserializer = toml::de::Deserializer::from(tree);
    let config = Config::deserialize(deserializer)
        .map_err(|error| translate::value_error(&error, &texts, &places))?;
    let document = Document {
        texts,
        places,
        folder: read.folder,
        inline_secrets,
        is_world_readable: read.world_readable,
    };
    Ok((config, document))
}

// === impl Document ===

impl Document {
    /// What errors call the file.
    pub(super) fn name(&self) -> &str {
        self.texts.parts.first().map_or("", |file| &file.name)
    }

    /// Where relative paths start.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The secrets of the server's own that are written out.
    pub(super) fn inline_secrets(&self) -> &[String] {
        &self.inline_secrets
    }

    pub(super) fn is_world_readable(&self) -> bool {
        self.is_world_readable
    }

    /// Whether a value was written down, rather than left to its default.
    pub(super) fn has(&self, pointer: &str) -> bool {
        self.places.get(pointer).is_some()
    }

    /// The places below `pointer` whose text is read from a variable or a file.
    pub(super) fn references_below(&self, pointer: &str) -> impl Iterator<Item = &str> {
        let below = format!("{pointer}/");
        let places = self.places.0.iter();
        places
            .filter(move |(place, it)| it.is_reference && place.starts_with(&below))
            .map(|(place, _)| place.as_str())
    }

    /// A mistake in the value at `pointer`, or in the nearest table above it.
    pub(super) fn problem_at(
        &self,
        pointer: &str,
        message: String,
        help: Option<String>,
    ) -> Problem {
        match self.places.nearest(pointer) {
            Some(place) => self.texts.problem(place.value.clone(), message, help),
            None => Problem::new(message, help),
        }
    }
}

impl std::fmt::Debug for Document {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

// === impl Texts ===

impl Texts {
    fn push_file(&mut self, name: String, text: &str) {
        self.push(name, text, None);
    }

    fn push_variable(&mut self, variable: Variable, value: &str) {
        let text = format!("{}={value}", variable.name);
        self.push("environment".to_owned(), &text, Some(variable));
    }

    fn push(&mut self, name: String, text: &str, variable: Option<Variable>) {
        let start = self.whole.len();
        self.whole.push_str(text);
        self.parts.push(Part {
            name,
            range: start..self.whole.len(),
            variable,
        });
        // Keeps the end of one part apart from the start of the next.
        self.whole.push('\n');
    }

    /// Whether a place is in the file, rather than in a variable.
    pub(super) fn is_of_file(&self, span: &Range<usize>) -> bool {
        let file = self.parts.first();
        file.is_some_and(|file| file.range.contains(&span.start))
    }

    /// The variables: name, where the text `NAME=value` begins, and the value.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&str, usize, &str)> {
        self.parts.iter().filter_map(|part| {
            let name = &*part.variable.as_ref()?.name;
            let value = &self.whole[part.range.clone()][name.len() + 1..];
            Some((name, part.range.start, value))
        })
    }

    /// A mistake at `span`, shown in the text that the span is from.
    pub(super) fn problem(
        &self,
        span: Range<usize>,
        message: String,
        help: Option<String>,
    ) -> Problem {
        let Some(part) = self.parts.iter().find(|part| span.start <= part.range.end) else {
            return Problem::new(message, help);
        };
        let message = match &part.variable {
            Some(variable) => format!("{message} (from {})", variable.source),
            None => message,
        };
        let start = span.start - part.range.start;
        let end = span.end.clamp(span.start, part.range.end) - part.range.start;
        let text = &self.whole[part.range.clone()];
        let text = match &part.variable {
            Some(_) => mask::masked_variable(text),
            None => mask::masked(text),
        };
        Problem::new(message, help).at(&part.name, &text, start..end)
    }
}

// === impl Places ===

impl Places {
    fn of(table: &DeTable<'_>) -> Self {
        let mut places = Self::default();
        places.add_entries("", table);
        places
    }

    fn add_entries(&mut self, pointer: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let name = escaped(key.get_ref());
            self.add(format!("{pointer}/{name}"), key.span(), value);
        }
    }

    fn add(&mut self, pointer: String, key: Range<usize>, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(table) => self.add_entries(&pointer, table),
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.add(format!("{pointer}/{index}"), item.span(), item);
                }
            }
            _ => {}
        }
        let place = Place {
            key,
            value: value.span(),
            is_reference: secret::is_reference(value.get_ref()),
        };
        self.0.insert(pointer, place);
    }

    fn get(&self, pointer: &str) -> Option<&Place> {
        self.0.get(pointer)
    }

    fn nearest(&self, mut pointer: &str) -> Option<&Place> {
        loop {
            if let Some(place) = self.get(pointer) {
                return Some(place);
            }
            pointer = &pointer[..pointer.rfind('/')?];
        }
    }

    /// The dotted path of the innermost key or value that covers exactly this span.
    pub(super) fn path_of(&self, span: &Range<usize>) -> Option<String> {
        let (pointer, _) = self
            .0
            .iter()
            .rev()
            .find(|(_, place)| place.value == *span || place.key == *span)?;
        Some(dotted(pointer))
    }
}

/// `/plugins/load/0/name` as an operator writes it: `plugins.load[0].name`.
fn dotted(pointer: &str) -> String {
    let mut path = String::new();
    for segment in pointer.split('/').skip(1) {
        let segment = unescaped(segment);
        if segment.parse::<usize>().is_ok() {
            path.extend(["[", &segment, "]"]);
            continue;
        }
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(&segment);
    }
    path
}
