//! What can be wrong with a configuration, and where in which text it is shown.

use std::{fmt, io, path::PathBuf, sync::Arc};

use miette::{Diagnostic, LabeledSpan, MietteError, MietteSpanContents, SourceSpan, SpanContents};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[non_exhaustive]
pub enum ConfigError {
    /// None of the usual places holds a file.
    #[error("there is no configuration file; looked at {}", list(.places))]
    #[diagnostic(help("write one, or name it with --config or MORTISE_CONFIG"))]
    NotFound {
        /// Where it was looked for, in order.
        places: Vec<PathBuf>,
    },

    /// The file is there but cannot be read, or was named and is not there.
    #[error("cannot read the configuration file {}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// The file is larger than any configuration can be.
    #[error("{} is larger than {limit} bytes, which no configuration should be", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// How many bytes are accepted.
        limit: u64,
    },

    /// The text has mistakes.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Invalid(#[from] Problems),
}

/// The mistakes of one text: one that keeps it from being understood, or all contradictions.
#[derive(Debug)]
pub struct Problems {
    first: Problem,
    rest: Vec<Problem>,
}

/// One mistake, with the place where it was made.
#[derive(Debug, Clone)]
pub struct Problem {
    message: String,
    help: Option<String>,
    place: Option<Box<Place>>,
}

/// Where a mistake begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

/// A stretch of a text that has a name.
#[derive(Debug, Clone)]
struct Place {
    excerpt: Excerpt,
    span: SourceSpan,
}

/// A text that shows only the lines a mistake is on: the line above may hold a secret.
#[derive(Debug, Clone)]
struct Excerpt {
    name: String,
    text: Arc<str>,
}

fn list(places: &[PathBuf]) -> String {
    let places: Vec<_> = places.iter().map(|it| it.display().to_string()).collect();
    places.join(", ")
}

// === impl ConfigError ===

impl ConfigError {
    /// The mistakes in the text; none where there is no text.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        match self {
            Self::Invalid(problems) => Some(problems.iter()),
            _ => None,
        }
        .into_iter()
        .flatten()
    }
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self::Invalid(Problems::from(problem))
    }
}

// === impl Problems ===

impl Problems {
    /// The given mistakes, or nothing if there are none.
    pub(crate) fn collect(problems: impl IntoIterator<Item = Problem>) -> Result<(), Self> {
        let mut problems = problems.into_iter();
        match problems.next() {
            None => Ok(()),
            Some(first) => Err(Self {
                first,
                rest: problems.collect(),
            }),
        }
    }

    /// Every mistake, in the order of the checks.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        std::iter::once(&self.first).chain(&self.rest)
    }
}

impl From<Problem> for Problems {
    fn from(first: Problem) -> Self {
        Self {
            first,
            rest: Vec::new(),
        }
    }
}

impl std::error::Error for Problems {}

/// The first mistake in a sentence; a report shows the others too.
impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.fmt(formatter)
    }
}

impl Diagnostic for Problems {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.first.help()
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.first.source_code()
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.first.labels()
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        if self.rest.is_empty() {
            return None;
        }
        Some(Box::new(self.rest.iter().map(|it| it as &dyn Diagnostic)))
    }
}

// === impl Problem ===

impl Problem {
    /// A mistake that is nowhere in particular.
    pub(crate) fn new(message: impl Into<String>, help: Option<String>) -> Self {
        Self {
            message: message.into(),
            help,
            place: None,
        }
    }

    /// The same mistake, made in `text`.
    pub(crate) fn at(mut self, name: &str, text: &str, span: std::ops::Range<usize>) -> Self {
        self.place = Some(Box::new(Place {
            excerpt: Excerpt {
                name: name.to_owned(),
                text: Arc::from(text),
            },
            span: span.into(),
        }));
        self
    }

    /// What is wrong, in one sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to write instead.
    pub fn remedy(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// Where it was written; none if it is nowhere in the text.
    pub fn position(&self) -> Option<Position> {
        let place = self.place.as_deref()?;
        let before = place.excerpt.text.get(..place.span.offset())?;
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Some(Position {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        })
    }
}

impl std::error::Error for Problem {}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl Diagnostic for Problem {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help
            .as_ref()
            .map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.place
            .as_deref()
            .map(|place| &place.excerpt as &dyn miette::SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let place = self.place.as_deref()?;
        let label = LabeledSpan::new_with_span(Some("here".to_owned()), place.span);
        Some(Box::new(std::iter::once(label)))
    }
}

// === impl Excerpt ===

impl miette::SourceCode for Excerpt {
    /// The report asks without lines around it for the position, with them for what to show.
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let span = if lines_before == 0 && lines_after == 0 {
            *span
        } else {
            self.lines_of(*span)
        };
        let contents = self.text.read_span(&span, 0, 0)?;
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            contents.data(),
            *contents.span(),
            contents.line(),
            contents.column(),
            contents.line_count(),
        )))
    }
}

impl Excerpt {
    /// The whole lines that a span is on.
    fn lines_of(&self, span: SourceSpan) -> SourceSpan {
        let end = span.offset() + span.len();
        let before = self.text.get(..span.offset()).unwrap_or_default();
        let after = self.text.get(end..).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = end + after.find('\n').unwrap_or(after.len());
        (line_start..line_end).into()
    }
}
