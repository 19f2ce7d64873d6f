//! The commands of README.md, run as they stand there.
//!
//! A fenced block ```` ```console ```` holds commands, each behind `$ ` (a command goes on where a
//! line ends with a backslash), and what they print. All of them are run by one shell, against a
//! server with the repository's `config.toml`; only the origin and the token are replaced. In what
//! is printed, ids and times may be any; `…` stands for any text.

use std::{fs, process::Command};

use integration_tests::{Server, ServerBuilder, workspace};

use crate::support::SECRET;

const ORIGIN: &str = "http://127.0.0.1:3141";

/// Stands between the outputs of two commands.
const END: &str = "--- end of the command ---";

/// A command and what it prints.
#[derive(Debug, Default, PartialEq)]
struct Example {
    command: String,
    output: String,
}

#[test]
fn the_commands_of_the_readme_print_what_it_shows() {
    let readme = fs::read_to_string(workspace().join("README.md")).expect("README.md is there");
    let config = fs::read_to_string(workspace().join("config.toml")).expect("it is there");
    let server = ServerBuilder::new(&config)
        .variable("MORTISE_SECRET", SECRET)
        .start();
    assert!(assert_prints(&readme, &server) >= 10);
}

/// Runs the commands of a page against a server, and returns how many there are.
#[track_caller]
pub(crate) fn assert_prints(page: &str, server: &Server) -> usize {
    let examples = examples(page);
    let origin = format!("http://{}", server.address());
    // One shell for all, so that functions, variables and jobs last from one to the next.
    let commands: Vec<_> = examples
        .iter()
        .map(|it| it.command.replace(ORIGIN, &origin))
        .collect();
    let script = commands.join(&format!(
        "
echo '{END}'
"
    ));

    let ran = Command::new("bash")
        .args(["-c", &script])
        .current_dir(server.folder())
        .env("MORTISE_SECRET", SECRET)
        .output()
        .expect("bash can be run");

    let printed = String::from_utf8_lossy(&ran.stdout).into_owned();
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    let outputs: Vec<_> = printed.split(END).collect();
    assert_eq!(outputs.len(), examples.len(), "{printed}\n{said}");
    for (example, output) in examples.iter().zip(outputs) {
        assert!(
            matches(&masked(&example.output), &masked(output)),
            "{}\nprints\n{output}\nwhere the page shows\n{}\n{said}",
            example.command,
            example.output,
        );
    }
    examples.len()
}

fn examples(text: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut is_inside = false;
    let mut goes_on = false;
    for line in text.lines() {
        if line.starts_with("```") {
            is_inside = line == "```console";
            goes_on = false;
            continue;
        }
        if !is_inside {
            continue;
        }
        let command = line.strip_prefix("$ ");
        if let Some(command) = command {
            examples.push(Example {
                command: command.to_owned(),
                output: String::new(),
            });
        } else if let Some(example) = examples.last_mut() {
            let part = if goes_on {
                &mut example.command
            } else {
                &mut example.output
            };
            if !part.is_empty() {
                part.push('\n');
            }
            part.push_str(line);
        }
        goes_on = line.ends_with('\\') && (goes_on || command.is_some());
    }
    examples
}

/// The text with `ID` for every id and `TIME` for every time.
fn masked(text: &str) -> String {
    let mut masked = String::new();
    let mut rest = text.trim();
    while let Some(at) = rest.find(|it: char| it.is_ascii_alphanumeric()) {
        let (before, from) = rest.split_at(at);
        masked.push_str(before);
        let end = from
            .find(|it: char| !(it.is_ascii_alphanumeric() || it == '_'))
            .unwrap_or(from.len());
        let (word, after) = from.split_at(end);
        let is_id = ["run_", "msg_", "job_"]
            .iter()
            .any(|it| word.starts_with(it));
        let is_time = word.len() == 13 && word.bytes().all(|it| it.is_ascii_digit());
        masked.push_str(match (is_id, is_time) {
            (true, _) => "ID",
            (_, true) => "TIME",
            _ => word,
        });
        rest = after;
    }
    masked.push_str(rest);
    masked
}

/// Whether a text is the pattern, in which `…` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('…').map(str::trim);
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.trim().is_empty();
    };
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.trim_end().ends_with(last)
}

#[test]
fn a_block_is_read_as_commands_and_what_they_print() {
    let text = "```console\n$ one \\\n    --more\nprinted\nand more\n$ two\n```\n$ no\n";

    let read = examples(text);

    assert_eq!(
        read,
        [
            Example {
                command: "one \\\n    --more".into(),
                output: "printed\nand more".into()
            },
            Example {
                command: "two".into(),
                output: String::new()
            }
        ]
    );
}

#[test]
fn ids_and_times_are_any_and_the_rest_is_not() {
    assert_eq!(
        masked(r#"{"runId":"run_a_b_c","timestamp":1746518400000,"a":1}"#),
        r#"{"runId":"ID","timestamp":TIME,"a":1}"#
    );
    assert!(matches("a … c", "a b c"));
    assert!(!matches("a … d", "a b c"));
}
