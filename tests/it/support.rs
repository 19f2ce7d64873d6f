//! What many tests start from.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{fs, thread, time::Duration};

use integration_tests::{Frame, Server, ServerBuilder, fixture::Target, plugin_dir, workspace};
use serde_json::Value;

/// The secret of the targets that have one.
pub(crate) const SECRET: &str = "s3cret";

/// Longer than anything here takes, shorter than patience.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// A target of the recorded exchanges, with its secret on every request.
#[track_caller]
pub(crate) fn target(name: &str) -> Server {
    let config = Target::named(name).config(&plugin_dir());
    ServerBuilder::new(&config).start().with_token(SECRET)
}

/// A server with the scripted model alone: one agent, `plain`, below `/api`.
pub(crate) fn plain(more: &str) -> ServerBuilder {
    ServerBuilder::new(&format!("{more}\n{SCRIPTED}"))
}

/// The scripted model and an agent, to stand behind the sections of a test.
pub(crate) const SCRIPTED: &str = r#"
[[plugins.load]]
name = "scripted"
library = "scripted_model"

[agents.plain]
model = "scripted/fake-1"
"#;

/// Looks again and again until there is something to see.
#[track_caller]
pub(crate) fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..3000 {
        if let Some(seen) = look() {
            return seen;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("it did not come");
}

/// The kinds of frames, in order.
pub(crate) fn kinds(frames: &[Frame]) -> Vec<String> {
    frames.iter().map(Frame::kind).collect()
}

/// All the text that was shown.
pub(crate) fn text_of(frames: &[Frame]) -> String {
    frames
        .iter()
        .filter(|it| it.kind() == "TEXT_MESSAGE_CONTENT")
        .map(|it| it.json()["delta"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// The only event of this type.
#[track_caller]
pub(crate) fn only(frames: &[Frame], kind: &str) -> Value {
    let found: Vec<_> = frames.iter().filter(|it| it.kind() == kind).collect();
    assert_eq!(found.len(), 1, "{kind} in {:?}", kinds(frames));
    found[0].json()
}

/// The body of an error.
#[track_caller]
pub(crate) fn assert_code(body: &Value, code: &str) {
    assert_eq!(body["code"], code, "{body}");
}

/// The database of a server that keeps it where it does by default.
pub(crate) fn database(server: &Server) -> PathBuf {
    server.folder().join("data/mortise.db")
}

/// Another program that holds the database until it is told to let go.
pub(crate) struct Holder(Child);

impl Holder {
    #[track_caller]
    pub(crate) fn lock(database: &Path) -> Self {
        Self::writing(database, "select 1")
    }

    /// What it writes is there once it lets go.
    #[track_caller]
    pub(crate) fn writing(database: &Path, sql: &str) -> Self {
        let script = "import sqlite3, sys\n\
                      held = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
                      held.execute('begin immediate')\n\
                      held.execute(sys.argv[2])\n\
                      print('held', flush=True)\n\
                      sys.stdin.readline()\n\
                      held.execute('commit')\n";
        let mut child = Command::new("python3")
            .args(["-c", script])
            .arg(database)
            .arg(sql)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python is installed");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it is piped"))
            .read_line(&mut line)
            .expect("it says that it holds");
        assert_eq!(line.trim(), "held");
        Self(child)
    }

    #[track_caller]
    pub(crate) fn let_go(mut self) {
        let _ = self.0.stdin.take().expect("it is piped").write_all(b"\n");
        assert!(self.0.wait().is_ok_and(|it| it.success()));
    }
}

/// Every Rust file of the workspace: its path from the root, and its text.
pub(crate) fn sources() -> Vec<(String, String)> {
    let sources = files(&["rs"]);
    assert!(sources.len() > 50, "{} files", sources.len());
    sources
}

/// Every document and every configuration file of the workspace.
pub(crate) fn documents() -> Vec<(String, String)> {
    files(&["md", "toml", "yml"])
}

fn files(kinds: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![workspace().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder can be read") {
            let path = entry.expect("the folder can be read").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() {
                // Hidden folders are other programs'; `target` and `data` are what was made.
                if !(name.starts_with('.') || name == "target" || name == "data") {
                    folders.push(path);
                }
                continue;
            }
            let relative = path.strip_prefix(workspace()).unwrap_or(&path);
            let relative = relative.to_string_lossy().into_owned();
            let kind = path.extension().unwrap_or_default();
            if kinds.iter().any(|it| kind == *it) {
                let text = fs::read_to_string(&path).expect("the file is text");
                found.push((relative, text));
            }
        }
    }
    found.sort();
    found
}
