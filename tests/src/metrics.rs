//! The metrics page as others read it: with the parser of Prometheus' own client, from `PyPI`, which
//! `cargo xtask test` installs.

use std::{
    collections::BTreeMap,
    fmt,
    io::Write as _,
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{Reply, Request, target_dir, workspace};

/// A page that was read.
#[derive(Debug)]
pub struct MetricsPage {
    /// The kind and the meaning of each name; a histogram has three names.
    kinds: BTreeMap<String, (String, String)>,
    samples: BTreeMap<Series, f64>,
}

/// A name with its labels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// The name.
    pub name: String,
    /// What tells it from others of the name.
    pub labels: BTreeMap<String, String>,
}

/// Where the parser is installed.
pub fn folder() -> PathBuf {
    target_dir().join("metrics")
}

/// Which version is installed, and how it is used.
pub fn sources() -> PathBuf {
    workspace().join("tests/metrics")
}

// === impl MetricsPage ===

impl MetricsPage {
    /// The page as it is now.
    ///
    /// # Panics
    /// When there is none, or it is not what Prometheus reads.
    #[track_caller]
    pub fn of(address: SocketAddr) -> Self {
        Self::read(&Self::ask(address).expect(200))
    }

    /// Asks for the page.
    #[track_caller]
    pub fn ask(address: SocketAddr) -> Reply {
        Request::new(address, "GET", "/metrics").send()
    }

    /// Reads a page.
    ///
    /// # Panics
    /// When it is not what Prometheus reads, or a series is there twice.
    #[track_caller]
    pub fn read(page: &Reply) -> Self {
        let python = folder().join("python/bin/python");
        assert!(
            python.exists(),
            "{} is not there; `cargo xtask test` installs it",
            python.display()
        );
        let mut parser = Command::new(python)
            .arg(sources().join("read.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python can be run");
        let mut stdin = parser.stdin.take().expect("standard input is a pipe");
        stdin
            .write_all(page.text().as_bytes())
            .expect("the parser reads");
        drop(stdin);
        let output = parser.wait_with_output().expect("the parser ends");
        assert!(output.status.success(), "unreadable:\n{}", page.text());
        let families: Vec<Value> =
            serde_json::from_slice(&output.stdout).expect("the parser writes JSON");
        let mut read = Self {
            kinds: BTreeMap::new(),
            samples: BTreeMap::new(),
        };
        for family in &families {
            read.add(family);
        }
        read
    }

    #[track_caller]
    fn add(&mut self, family: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        for sample in family["samples"].as_array().into_iter().flatten() {
            let labels = sample["labels"].as_object().into_iter().flatten();
            let series = Series {
                name: text(&sample["name"]),
                labels: labels
                    .map(|(key, value)| (key.clone(), text(value)))
                    .collect(),
            };
            let kind = (text(&family["kind"]), text(&family["help"]));
            self.kinds.insert(series.name.clone(), kind);
            let value = sample["value"].as_f64().expect("a value is a number");
            let before = self.samples.insert(series.clone(), value);
            assert_eq!(before, None, "{series} is there twice");
        }
    }

    /// The number of a series; none where there is no such series.
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter();
        let series = Series {
            name: name.to_owned(),
            labels: labels
                .map(|&(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
        };
        self.samples.get(&series).copied()
    }

    /// Asserts what number a series has.
    ///
    /// # Panics
    /// When it has another, or none.
    #[track_caller]
    pub fn expect(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        let found = self.get(name, labels);
        let is_same = found.is_some_and(|it| (it - value).abs() < 1e-9);
        assert!(
            is_same,
            "{name} {labels:?} is {found:?} and not {value} in\n{self}"
        );
    }

    /// All series, in the order of their names.
    pub fn series(&self) -> impl Iterator<Item = &Series> {
        self.samples.keys()
    }

    /// Each name with its kind and its meaning.
    pub fn kinds(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let kinds = self.kinds.iter();
        kinds.map(|(name, (kind, help))| (name.as_str(), kind.as_str(), help.as_str()))
    }
}

impl fmt::Display for MetricsPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (series, value) in &self.samples {
            writeln!(f, "{series} {value}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.name, self.labels)
    }
}
