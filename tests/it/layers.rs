//! The written rules about layers, read from the source.
//!
//! ARCHITECTURE.md says why they are there.

use std::{fs, path::Path};

use integration_tests::workspace;

use crate::support::sources;

/// The layers of the host, from the top. A module uses what stands behind it, never what stands
/// before it; modules of one group do not know each other.
const LAYERS: [&[&str]; 9] = [
    &["cli"],
    &["app"],
    &["http"],
    &["jobs"],
    &["runtime"],
    &["pipeline"],
    &["plugin", "store"],
    &["config", "ledger"],
    &["clock", "ids", "shutdown", "problem", "schema", "metrics"],
];

/// The crate and the module that a library name may be written in.
const CONFINED: [(&str, &[&str]); 4] = [
    ("mortise_plugin_abi", &["host/src/plugin/", "plugin-api/"]),
    ("abi_stable", &["host/src/plugin/", "plugin-api/"]),
    ("axum", &["host/src/http/", "host/examples/", "bench/"]),
    ("prometheus", &["host/src/metrics/"]),
];

const MAY_BE_UNSAFE: [&str; 4] = [
    "plugin-api/abi/",
    "plugin-api/src/ffi/",
    "plugin-api/src/export.rs",
    "host/src/plugin/",
];

#[test]
fn plugins_depend_on_the_sdk_alone() {
    for folder in ["plugins/auth", "plugins/toolbox", "tests/misbehaving"] {
        assert!(workspace().join(folder).exists(), "{folder}");
    }
    let mut seen = 0;
    let plugins = fs::read_dir(workspace().join("plugins")).expect("the folder is there");
    let folders = plugins
        .map(|it| it.expect("the folder can be read").path())
        .chain([
            workspace().join("tests/fixture-plugin"),
            workspace().join("tests/misbehaving"),
        ]);
    for folder in folders.filter(|it| it.is_dir()) {
        let ours = our_dependencies(&folder);
        assert_eq!(ours, ["mortise-plugin-api"], "{}", folder.display());
        seen += 1;
    }
    assert!(seen >= 8, "{seen} plugins");
}

#[test]
fn the_sdk_depends_on_what_crosses_and_that_on_nothing_of_ours() {
    let sdk = workspace().join("plugin-api");

    assert_eq!(our_dependencies(&sdk), ["mortise-plugin-abi"]);
    assert!(our_dependencies(&sdk.join("abi")).is_empty());
}

/// The crates of this workspace that a manifest names as dependencies of a build.
fn our_dependencies(folder: &Path) -> Vec<String> {
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).expect("a crate has a manifest");
    let manifest: toml::Table = manifest.parse().expect("the manifest is TOML");
    let dependencies = manifest.get("dependencies").and_then(|it| it.as_table());
    let mut ours: Vec<String> = dependencies
        .into_iter()
        .flat_map(|it| it.keys())
        .filter(|name| name.starts_with("mortise") || *name == "integration-tests")
        .cloned()
        .collect();
    ours.sort();
    ours
}

#[test]
fn unsafe_code_stays_at_the_boundary() {
    for (path, text) in sources() {
        if MAY_BE_UNSAFE.iter().any(|it| path.starts_with(it)) {
            continue;
        }
        for (number, line) in code_lines(&text) {
            let words = line.split(|it: char| !(it.is_alphanumeric() || it == '_'));
            assert!(
                !words.into_iter().any(|word| word == "unsafe"),
                "{path}:{number} is unsafe: {line}"
            );
        }
    }
}

#[test]
fn libraries_stay_behind_the_module_that_hides_them() {
    for (path, text) in sources() {
        for (library, places) in CONFINED {
            if path.starts_with("tests/") || places.iter().any(|it| path.starts_with(it)) {
                continue;
            }
            for (number, line) in code_lines(&text) {
                assert!(
                    !line.contains(&format!("{library}::")),
                    "{path}:{number} knows {library}: {line}"
                );
            }
        }
    }
}

#[test]
fn the_modules_of_the_host_use_only_what_is_below_them() {
    let mut seen = 0;
    for (path, text) in sources() {
        let Some(module) = path.strip_prefix("host/src/") else {
            continue;
        };
        let module = module.split(['/', '.']).next().unwrap_or_default();
        let Some(own) = layer_of(module) else {
            assert!(
                ["main", "lib"].contains(&module),
                "{path}: {module} stands in no layer; add it to LAYERS"
            );
            continue;
        };
        let lines: Vec<_> = code_lines(&text).map(|(_, line)| line).collect();
        let code = lines.join(" ");
        for used in used_modules(&code) {
            let Some(other) = layer_of(used) else {
                continue;
            };
            seen += 1;
            // The leaves are one group whose members may lean on each other.
            let is_leaf = other == LAYERS.len() - 1;
            let is_below = other > own || is_leaf && own == other;
            assert!(
                used == module || is_below,
                "{path}: {module} must not know {used}"
            );
        }
    }
    assert!(seen > 0, "no module uses another");
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// The modules that follow `crate::`, those in the braces of a `use crate::{a, b}` included.
fn used_modules(code: &str) -> Vec<&str> {
    let mut used = Vec::new();
    for (at, start) in code.match_indices("crate::") {
        // `$crate::` and names that end in `crate` are others.
        if code[..at].ends_with(|it: char| it.is_alphanumeric() || it == '_' || it == '$') {
            continue;
        }
        let rest = &code[at + start.len()..];
        match rest.strip_prefix('{') {
            Some(list) => used.extend(top_level_names(list)),
            None => used.push(first_word(rest)),
        }
    }
    used
}

/// The names that a list in braces begins its parts with, up to the brace that closes it.
fn top_level_names(list: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut depth = 1;
    let mut is_start = true;
    for (at, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => is_start = true,
            _ if is_start && !character.is_whitespace() => {
                names.push(first_word(&list[at..]));
                is_start = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

fn first_word(text: &str) -> &str {
    let end = text.find(|it: char| !(it.is_alphanumeric() || it == '_'));
    &text[..end.unwrap_or(text.len())]
}

/// The lines with their numbers, without comments and strings of one line.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.split("//").next().unwrap_or_default()))
        .filter(|(_, line)| !line.trim().is_empty() && !line.contains('"'))
}

#[test]
fn the_reader_of_use_lines_knows_braces() {
    assert_eq!(used_modules("use crate::runtime::Reader;"), ["runtime"]);
    assert_eq!(
        used_modules("use crate::{http::{a, b}, config::Config};"),
        ["http", "config"]
    );
    assert_eq!(used_modules("$crate::plugin::x"), [""; 0]);
}
