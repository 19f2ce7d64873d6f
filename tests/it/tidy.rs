//! The written rules about files that a program can check.

use std::{fs, path::Path, process::Command};

use integration_tests::{binary, workspace};

use crate::support::{documents, sources};

/// What is promised instead of done, put together so that this file does not hold it.
fn promises() -> [String; 5] {
    [
        ["TO", "DO"].concat(),
        ["FIX", "ME"].concat(),
        ["unimplement", "ed!("].concat(),
        ["to", "do!("].concat(),
        ["#[ig", "nore"].concat(),
    ]
}

/// Past this, a file has probably got a second subject. Listed, never failed.
const LONG: usize = 400;

#[test]
fn every_file_begins_with_what_it_is_for() {
    for (path, text) in sources() {
        assert!(text.starts_with("//! "), "{path} does not begin with `//!`");
    }
}

#[test]
fn lines_end_where_they_end_and_are_indented_with_spaces() {
    for (path, text) in sources().into_iter().chain(documents()) {
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            assert!(!line.ends_with(' '), "{path}:{number} ends with a space");
            assert!(!line.contains('\t'), "{path}:{number} holds a tab");
            assert!(!line.ends_with('\r'), "{path}:{number} ends like Windows");
        }
        assert!(
            text.ends_with('\n'),
            "{path} does not end with a line break"
        );
        assert!(!text.ends_with("\n\n"), "{path} ends with an empty line");
    }
}

#[test]
fn nothing_is_promised_instead_of_done() {
    for (path, text) in sources() {
        for (index, line) in text.lines().enumerate() {
            for promise in promises() {
                let number = index + 1;
                assert!(!line.contains(&promise), "{path}:{number}: {line}");
            }
        }
    }
}

#[test]
fn long_files_are_listed() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        if lines > LONG {
            println!("{lines:5} {path}");
        }
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    for (path, text) in documents() {
        if Path::new(&path).extension().is_none_or(|it| it != "md") {
            continue;
        }
        let folder = workspace().join(&path);
        let folder = folder.parent().expect("a file is in a folder");
        for link in links(&text) {
            let file = link.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            assert!(folder.join(file).exists(), "{path} links to {link}");
        }
    }
}

/// The targets of `[text](target)`.
fn links(text: &str) -> Vec<&str> {
    text.match_indices("](")
        .filter_map(|(at, it)| text[at + it.len()..].split(')').next())
        .collect()
}

#[test]
fn the_page_of_the_configuration_is_what_the_server_prints() {
    let page =
        fs::read_to_string(workspace().join("docs/configuration.md")).expect("the page is there");
    let printed = Command::new(binary())
        .args(["config", "reference"])
        .output()
        .expect("the server can be run");
    let printed = String::from_utf8(printed.stdout).expect("it is text");

    assert!(
        page.trim() == printed.trim(),
        "docs/configuration.md is out of date; run \
         `target/debug/mortise config reference > docs/configuration.md`"
    );
}
