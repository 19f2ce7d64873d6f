//! `/openapi.json` as others read it: programs from `PyPI`, which `cargo xtask test` installs.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::{Server, ServerBuilder, target_dir, workspace};

/// What calls that were generated from the document have found.
#[derive(Debug, Default)]
pub struct Fuzzed {
    /// How many there were.
    pub calls: usize,
    /// What schemathesis says of those that found the document or the server wrong.
    pub failures: Vec<String>,
}

/// Besides the plugins of `config.toml`: the dialects, and an agent with schemas of its own.
const MORE: &str = r##"
[[plugins.load]]
name = "chat-api"
config = { agent = "assistant", token = { env = "MORTISE_SECRET" } }

[[plugins.load]]
name = "runs-api"
grants = ["agents", "conversations", "runs"]

[[plugins.load]]
name = "expose"
grants = ["agents", "jobs", "runs"]

[[plugins.load.config.endpoints]]
agent = "assistant"
name = "triageTicket"
path = "tickets/triage"
input = 'json {"priority":"high","reason":"it burns"}'

[plugins.load.config.endpoints.payload]
type = "object"
properties = { text = { type = "string", minLength = 3 } }
required = ["text"]

[plugins.load.config.endpoints.output]
type = "object"
properties = { priority = { enum = ["low", "normal", "high"] }, reason = { type = "string" } }
required = ["priority", "reason"]

[[plugins.load.config.endpoints]]
agent = "assistant"
name = "supportAgent"
path = "tickets/support"
mode = "stream"
input = "hi"

[[plugins.load.config.endpoints]]
agent = "assistant"
name = "longAgent"
path = "tickets/long"
mode = "accepted"
input = "hi"

[agents.triage]
model = "scripted/fake-1"

[agents.triage.context_schema]
type = "object"
required = ["ticket"]
properties = { ticket = { "$ref" = "#/$defs/ticket" } }

[agents.triage.context_schema."$defs".ticket]
type = "object"
required = ["subject"]
properties = { subject = { type = "string" }, parent = { "$ref" = "#/$defs/ticket" } }

[agents.triage.output_schema]
type = "object"
required = ["priority"]
properties = { priority = { enum = ["low", "high"] } }
"##;

const SECRET: &str = "a-secret-for-generated-calls";

/// Where the programs are installed.
pub fn folder() -> PathBuf {
    target_dir().join("openapi")
}

/// Which versions are installed, and how they are used.
pub fn sources() -> PathBuf {
    workspace().join("tests/openapi")
}

/// A server with the configuration of the repository, all tools that clients may call, and all
/// dialects.
///
/// # Panics
/// When it does not start.
#[track_caller]
pub fn server() -> Server {
    let config = fs::read_to_string(workspace().join("config.toml")).expect("config.toml is there");
    let opened = config.replace("\nendpoints = []", "\nendpoints = [\"add\", \"clock\"]");
    assert_ne!(opened, config, "config.toml has tools.endpoints");
    ServerBuilder::new(&format!("{opened}\n{MORE}"))
        .variable("MORTISE_SECRET", SECRET)
        .variable("MORTISE__STORE__URL", "memory:")
        .variable("MORTISE_LOG", "warn")
        .start()
        .with_token(SECRET)
}

/// What the official grammar of OpenAPI says against a document; empty where it says nothing.
///
/// # Panics
/// When the program is not installed.
#[track_caller]
pub fn objections(document: &str) -> String {
    let folder = temporary();
    let file = folder.path().join("openapi.json");
    fs::write(&file, document).expect("there is room for a file");
    let output = run(Command::new(installed("openapi-spec-validator")).arg(&file));
    if output.status.success() {
        String::new()
    } else {
        said(&output)
    }
}

/// At least so many calls that schemathesis generates from the document of a server.
///
/// # Panics
/// When schemathesis is not installed, or does not run to its end.
#[track_caller]
pub fn fuzz(calls: usize) -> Fuzzed {
    let program = installed("schemathesis");
    let folder = temporary();
    for name in ["schemathesis.toml", "exceptions.py"] {
        fs::copy(sources().join(name), folder.path().join(name)).expect("there is room for a file");
    }
    let mut server = server();
    let document = format!("http://{}/openapi.json", server.address());
    // There are some fifty operations, and those that try every bound come on top.
    let examples = (calls / 50).max(10).to_string();
    let mut fuzzed = Fuzzed::default();
    for seed in 1.. {
        let output = run(Command::new(&program)
            .args(["--config-file", "schemathesis.toml", "run", &document])
            .args(["--no-color", "--max-examples", &examples])
            .args(["--seed", &format!("{seed}")])
            .env("FUZZ_TOKEN", SECRET)
            .current_dir(folder.path()));
        let said = said(&output);
        let count = generated(&said);
        assert!(count > 0, "schemathesis made no calls:\n{said}");
        fuzzed.calls += count;
        if !output.status.success() {
            fuzzed.failures.push(said);
        }
        server.assert_alive();
        if fuzzed.calls >= calls {
            break;
        }
    }
    fuzzed
}

/// The number in the summary: `1234 generated, …`.
fn generated(said: &str) -> usize {
    let mut counts = said
        .lines()
        .rev()
        .filter_map(|line| line.split_once(" generated"))
        .filter_map(|(count, _)| count.trim().parse::<usize>().ok());
    counts.next().unwrap_or_default()
}

#[track_caller]
fn installed(program: &str) -> PathBuf {
    let path = folder().join("python/bin").join(program);
    assert!(
        Path::new(&path).exists(),
        "{} is not there; `cargo xtask test` installs it",
        path.display()
    );
    path
}

fn temporary() -> TempDir {
    TempDir::new().expect("there is room for a folder")
}

#[track_caller]
fn run(command: &mut Command) -> Output {
    command.output().expect("the program can be run")
}

fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!(
        "{}{}",
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(err)
    )
}

// === impl Fuzzed ===

impl fmt::Display for Fuzzed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for said in &self.failures {
            writeln!(f, "{said}")?;
        }
        let failed = self.failures.len();
        write!(
            f,
            "{} generated calls; {failed} runs with failures",
            self.calls
        )
    }
}
