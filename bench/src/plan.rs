//! What is measured, in which turns.

use std::process::Command;

use crate::{
    complain, floor, gatekeepers, idle, load::Kind, provider, resume, sample::Sample, say, store,
    subjects::Subject, table::Table,
};

/// How long and how often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    pub(crate) rounds: u32,
    pub(crate) seconds: u32,
    pub(crate) connections: u32,
    /// The only part that is measured.
    only: Option<&'static str>,
}

/// Measures some rows of the table.
type Part = fn(Options, &mut Table) -> Result<(), String>;

const PARTS: [(&str, Part); 6] = [
    ("floor", floor::measure),
    ("gatekeepers", gatekeepers::measure),
    ("store", store::measure),
    ("resume", resume::measure),
    ("idle", idle::measure),
    ("provider", provider::measure),
];

pub(crate) fn run(arguments: &[&str]) -> Result<(), String> {
    let options = Options::parse(arguments)?;
    let mut table = Table::default();
    for (name, measure) in PARTS {
        if options.only.is_none_or(|only| only == name) {
            complain(&format!("{name}: starting what is measured"));
            measure(options, &mut table)?;
        }
    }
    say(&table.to_string());
    Ok(())
}

// === impl Options ===

impl Options {
    fn parse(arguments: &[&str]) -> Result<Self, String> {
        let mut options = Self {
            rounds: 5,
            seconds: 1,
            connections: 16,
            only: None,
        };
        for pair in arguments.chunks(2) {
            let [name, value] = pair else {
                return Err(format!("{} needs a value", pair[0]));
            };
            let place = match *name {
                "--rounds" => &mut options.rounds,
                "--seconds" => &mut options.seconds,
                "--connections" => &mut options.connections,
                "--only" => {
                    options.only = Some(part(value)?);
                    continue;
                }
                other => return Err(format!("there is no option {other}")),
            };
            *place = value
                .parse()
                .ok()
                .filter(|it| *it > 0)
                .ok_or_else(|| format!("{value:?} is not a number for {name}"))?;
        }
        Ok(options)
    }

    /// Measures each subject once in each round, so that what disturbs the machine disturbs all.
    pub(crate) fn compare<const N: usize>(
        self,
        kind: Kind,
        subjects: [&Subject; N],
    ) -> Result<[Vec<Sample>; N], String> {
        let mut samples = subjects.map(|_| Vec::new());
        for subject in subjects {
            // The first requests fill caches and pools.
            self.measure(kind, subject, 1)?;
        }
        for round in 1..=self.rounds {
            complain(&format!(
                "{}: round {round} of {}",
                kind.name(),
                self.rounds
            ));
            for (subject, samples) in subjects.iter().zip(&mut samples) {
                samples.push(self.measure(kind, subject, self.seconds)?);
            }
        }
        Ok(samples)
    }

    fn measure(self, kind: Kind, subject: &Subject, seconds: u32) -> Result<Sample, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let ran = Command::new(program)
            .args(subject.arguments(kind, self.connections, seconds))
            .output()
            .map_err(|error| format!("the load cannot be run: {error}"))?;
        if !ran.status.success() {
            return Err(String::from_utf8_lossy(&ran.stderr).into_owned());
        }
        String::from_utf8_lossy(&ran.stdout).parse()
    }
}

fn part(wanted: &str) -> Result<&'static str, String> {
    let names = PARTS.map(|(name, _)| name);
    let found = names.into_iter().find(|name| *name == wanted);
    found.ok_or_else(|| {
        let names = names.join(", ");
        format!("there is no part {wanted:?}: there are {names}")
    })
}
