//! The echo plugin, built against another boundary than the server's: an older or a newer minor
//! version, a breaking change, another major version, another panic strategy.
//!
//! Each variant is a copy of the SDK that is changed as text, below `target/third-party`. Copies
//! stay and are written only where they differ, so that cargo builds them once.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};
use toml::{Table, Value};

use crate::{
    outside::{build_outside, outside_dir},
    workspace,
};

/// What the boundary of a plugin is, seen from the server's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AbiVariant {
    /// A minor version earlier: a method that was appended since is not there, and the SDK does
    /// without it.
    Older,
    /// A minor version later: methods were appended. The plugin calls one that this server does
    /// not have and does not load unless the default body answers.
    Newer,
    /// The same version, but a struct has one field more: what a minor version must not do.
    Breaking,
    /// A major version later.
    Major,
    /// The same boundary, but a panic ends the process.
    Abort,
}

/// The files of a variant by their paths in its folder.
struct Tree {
    files: BTreeMap<PathBuf, String>,
}

const ROOT: &str = "Cargo.toml";
const SDK: &str = "plugin-api";
const ABI: &str = "plugin-api/abi/Cargo.toml";
const NEXT: &str = "\n    fn next(&self, it: u64) -> u64 { it + 1 }\n}\n";
const API_VERSION: &str = "pub const API_VERSION: &str = \"";

// === impl AbiVariant ===

impl AbiVariant {
    /// Builds the library and returns its path.
    ///
    /// # Panics
    /// When it does not build, or when the SDK is no longer what the changes were written for.
    #[track_caller]
    pub fn build(self) -> PathBuf {
        let folder = outside_dir().join(format!("abi-{}", self.name()));
        fs::create_dir_all(&folder).expect("there is room for a folder");
        // Another test may want the same variant at the same time.
        let lock = File::create(folder.join("lock")).expect("there is room for a file");
        flock(&lock, FlockOperation::LockExclusive).expect("a file can be locked");
        self.tree().write(&folder);
        let library = build_outside(&folder.join("plugin")).join(self.library());
        assert!(library.exists(), "{} was not built", library.display());
        library
    }

    /// What its package and its agent are called, behind `echo-agent-` and `echo-`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Older => "older",
            Self::Newer => "newer",
            Self::Breaking => "breaking",
            Self::Major => "major",
            Self::Abort => "abort",
        }
    }

    /// The variants share a folder for what is built, and cargo names libraries without a hash.
    fn library(self) -> String {
        format!("libecho_agent_{}.so", self.name())
    }

    #[track_caller]
    fn tree(self) -> Tree {
        let mut tree = Tree::of_workspace();
        tree.add_plugin(self);
        match self {
            Self::Older => {
                tree.set_version(|major, minor| (major, minor.saturating_sub(1)));
                tree.cut(
                    "plugin-api/abi/src/telemetry.rs",
                    "    /// Whether the callsite is wanted never (0), sometimes",
                    "    }\n",
                );
                tree.replace(
                    "plugin-api/src/ffi/telemetry.rs",
                    "self.host.interest(self.number(metadata))",
                    "u8::from(self.host.is_enabled(self.number(metadata)))",
                );
            }
            Self::Newer => {
                tree.set_version(|major, minor| (major, minor + 1));
                tree.append_next("plugin-api/abi/src/host.rs", "HostServices");
                tree.append_next("plugin-api/abi/src/plugin.rs", "Plugin");
                tree.replace(
                    "plugin-api/src/ffi/plugin.rs",
                    "        telemetry::install(telemetry);\n",
                    "        assert_eq!(host.next(41), 42);\n        telemetry::install(telemetry);\n",
                );
            }
            Self::Breaking => {
                tree.replace(
                    "plugin-api/abi/src/error.rs",
                    "    pub details: RString,\n",
                    "    pub details: RString,\n    pub trace: RString,\n",
                );
                tree.replace(
                    "plugin-api/abi/src/error.rs",
                    "            details: RString::new(),\n",
                    "            details: RString::new(),\n            trace: RString::new(),\n",
                );
                tree.replace(
                    "plugin-api/src/ffi/convert.rs",
                    "        retryable,\n        details,\n    }",
                    "        retryable,\n        details,\n        trace: RString::new(),\n    }",
                );
            }
            Self::Major => tree.set_version(|major, _| (major + 1, 0)),
            Self::Abort => {}
        }
        tree
    }
}

// === impl Tree ===

impl Tree {
    /// The SDK, as a workspace without the rest.
    fn of_workspace() -> Self {
        let mut files = BTreeMap::new();
        let mut folders = vec![workspace().join(SDK)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("the folder can be read") {
                let path = entry.expect("the folder can be read").path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let relative = path
                    .strip_prefix(workspace())
                    .expect("it is below the root");
                files.insert(relative.to_owned(), read(&path));
            }
        }
        let mut tree = Self { files };
        let mut root: Table = parsed(&read(&workspace().join(ROOT)));
        let own = table(&mut root, "workspace");
        own.remove("default-members");
        let members = [SDK, "plugin-api/abi"].map(|it| Value::String(it.to_owned()));
        own.insert("members".to_owned(), members.to_vec().into());
        tree.put(ROOT, root.to_string());
        tree
    }

    /// A plugin author's package beside the SDK. It is a workspace of its own: cargo tells path
    /// dependencies of two variants apart only where they are outside of the workspace.
    fn add_plugin(&mut self, variant: AbiVariant) {
        let name = variant.name();
        let mut manifest = format!(
            r#"[package]
name = "echo-agent-{name}"
version = "1.2.3"
edition = "2024"

[workspace]

[lib]
crate-type = ["cdylib"]

[features]
default = ["dylib"]
dylib = []

[dependencies]
mortise-plugin-api = {{ path = "../{SDK}" }}
schemars = "1"
serde = {{ version = "1", features = ["derive"] }}
"#
        );
        if variant == AbiVariant::Abort {
            manifest.push_str("\n[profile.dev]\npanic = \"abort\"\n");
        }
        let source = read(&workspace().join("plugins/echo-agent/src/lib.rs"));
        self.put("plugin/Cargo.toml", manifest);
        self.put("plugin/src/lib.rs", source);
        // So that one server can have several.
        self.replace(
            "plugin/src/lib.rs",
            "AgentInfo::new(\"echo\",",
            &format!("AgentInfo::new(\"echo-{name}\","),
        );
    }

    /// Changes the version of the boundary in all the places that have it.
    #[track_caller]
    fn set_version(&mut self, change: impl FnOnce(u64, u64) -> (u64, u64)) {
        let file = "plugin-api/src/version.rs";
        let text = self.text(file);
        let version = text
            .split_once(API_VERSION)
            .and_then(|(_, rest)| rest.split_once('"'))
            .map(|(version, _)| version.to_owned());
        let version = version.unwrap_or_else(|| panic!("no {API_VERSION:?} in {file}"));
        let (major, minor) = version
            .split_once('.')
            .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)))
            .unwrap_or_else(|| panic!("{version:?} is not major.minor"));
        let (major, minor) = change(major, minor);
        self.replace(
            file,
            &format!("{API_VERSION}{version}"),
            &format!("{API_VERSION}{major}.{minor}"),
        );
        let whole = Value::String(format!("{major}.{minor}.0"));
        let mut abi = parsed(self.text(ABI));
        table(&mut abi, "package").insert("version".to_owned(), whole.clone());
        self.put(ABI, abi.to_string());
        let mut root = parsed(self.text(ROOT));
        let dependencies = table(table(&mut root, "workspace"), "dependencies");
        table(dependencies, "mortise-plugin-abi").insert("version".to_owned(), whole);
        self.put(ROOT, root.to_string());
    }

    /// Replaces a text that is there exactly once.
    #[track_caller]
    fn replace(&mut self, file: &str, from: &str, to: &str) {
        let text = self.text(file);
        let found = text.matches(from).count();
        assert_eq!(
            found, 1,
            "{file} has changed: {from:?} is there {found} times"
        );
        let text = text.replace(from, to);
        self.put(file, text);
    }

    /// Appends a method with a default body to a trait.
    #[track_caller]
    fn append_next(&mut self, file: &str, name: &str) {
        let text = self.text(file);
        let begin = format!("pub trait {name}:");
        let parts = text.split_once(&begin).and_then(|(before, rest)| {
            let (methods, behind) = rest.split_once("\n}\n")?;
            Some([before, &begin, methods, NEXT, behind].concat())
        });
        let appended = parts.unwrap_or_else(|| panic!("{file} has changed: no {begin:?}"));
        self.put(file, appended);
    }

    /// Removes the text from the first to the next of the second, both included.
    #[track_caller]
    fn cut(&mut self, file: &str, from: &str, to: &str) {
        let text = self.text(file);
        let removed = text
            .split_once(from)
            .and_then(|(_, rest)| rest.split_once(to));
        let Some((between, _)) = removed else {
            panic!("{file} has changed: nothing from {from:?} to {to:?}");
        };
        let removed = [from, between, to].concat();
        self.replace(file, &removed, "");
    }

    #[track_caller]
    fn text(&self, file: &str) -> &str {
        let text = self.files.get(Path::new(file));
        text.unwrap_or_else(|| panic!("{file} is not there"))
    }

    fn put(&mut self, file: &str, text: String) {
        self.files.insert(file.into(), text);
    }

    /// Writes what differs: cargo goes by the time of a file.
    fn write(&self, folder: &Path) {
        remove_others(&folder.join(SDK), folder, &self.files);
        for (file, text) in &self.files {
            let path = folder.join(file);
            if fs::read_to_string(&path).is_ok_and(|there| there == *text) {
                continue;
            }
            let parent = path.parent().expect("a file is in a folder");
            fs::create_dir_all(parent).expect("there is room for a folder");
            fs::write(&path, text).expect("there is room for a file");
        }
    }
}

/// Removes the files of an earlier copy that the SDK no longer has.
fn remove_others(folder: &Path, root: &Path, files: &BTreeMap<PathBuf, String>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return; // Nothing was copied yet.
    };
    for entry in entries {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            remove_others(&path, root, files);
        } else if !path
            .strip_prefix(root)
            .is_ok_and(|it| files.contains_key(it))
        {
            fs::remove_file(&path).expect("the file is ours");
        }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn parsed(text: &str) -> Table {
    text.parse().expect("cargo reads it, so it is TOML")
}

#[track_caller]
fn table<'a>(parent: &'a mut Table, name: &str) -> &'a mut Table {
    parent
        .get_mut(name)
        .and_then(Value::as_table_mut)
        .unwrap_or_else(|| panic!("there is no table {name:?}"))
}
