//! The command line: what it prints, and how it ends.

use std::{
    fs,
    process::{Command, Output},
};

use integration_tests::{
    binary,
    fixture::{BETTER_AGENT, OPERATIVUS},
    plugin_dir,
};

use crate::support::SCRIPTED;

fn mortise(arguments: &[&str]) -> Output {
    Command::new(binary())
        .args(arguments)
        .env("NO_COLOR", "1")
        .env_remove("MORTISE_CONFIG")
        .output()
        .expect("the server can be run")
}

fn check(config: &str) -> Output {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let file = folder.path().join("config.toml");
    let config = config.replace("PLUGIN_DIR", &plugin_dir().display().to_string());
    fs::write(&file, config).expect("there is room for a file");
    mortise(&["check", "--config", &file.display().to_string()])
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn assert_invalid(output: &Output, words: &[&str]) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
    assert_eq!(text(&output.stdout), "", "mistakes go to standard error");
}

#[test]
fn the_version_and_the_help_are_printed() {
    let version = mortise(&["--version"]);
    assert_eq!(version.status.code(), Some(0));
    assert_eq!(
        text(&version.stdout).split_whitespace().next(),
        Some("mortise")
    );

    let help = mortise(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    for word in ["serve", "check", "config"] {
        assert!(text(&help.stdout).contains(word), "{}", text(&help.stdout));
    }
    // Without a command it is shown too; no terminal is told anything.
    let shown = mortise(&[]);
    assert_eq!(shown.status.code(), Some(0));
    assert_eq!(text(&shown.stdout), text(&help.stdout));
}

#[test]
fn what_cannot_be_printed_changes_nothing_of_how_a_command_ends() {
    let full = || {
        let file = fs::File::options().write(true).open("/dev/full");
        file.expect("it is there")
    };
    for (arguments, code) in [
        (&["--help"][..], 0),
        (&["--version"], 0),
        (&[], 0),
        (&["config", "reference"], 0),
        (&["sevre"], 2),
        (&["check", "--config", "/nowhere/mortise.toml"], 2),
    ] {
        let status = Command::new(binary())
            .args(arguments)
            .stdout(full())
            .stderr(full())
            .status()
            .expect("the server can be run");
        assert_eq!(status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn an_unknown_command_is_a_mistake_of_the_caller() {
    assert_eq!(mortise(&["sevre"]).status.code(), Some(2));
    assert_eq!(mortise(&["serve", "--no-such-flag"]).status.code(), Some(2));
}

#[test]
fn a_good_configuration_is_accepted_without_serving() {
    let output = check(&format!("[plugins]\ndir = \"PLUGIN_DIR\"\n{SCRIPTED}"));

    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn the_configurations_of_the_conformance_targets_are_accepted() {
    for target in BETTER_AGENT.into_iter().chain(OPERATIVUS) {
        let output = check(&target.config(&plugin_dir()));

        assert_eq!(
            output.status.code(),
            Some(0),
            "{}: {}",
            target.name,
            text(&output.stderr)
        );
    }
}

#[test]
fn a_misspelt_key_is_shown_where_it_stands_with_the_likely_one() {
    let output = check("[server]\nhost = \"127.0.0.1\"\nprot = 8080\n");

    assert_invalid(&output, &["prot", "config.toml", "3:1", "port"]);
}

#[test]
fn broken_toml_is_shown_where_it_breaks() {
    let output = check("[server]\nport = = 1\n");

    assert_invalid(&output, &["config.toml", "2:"]);
}

#[test]
fn all_contradictions_are_shown_at_once() {
    let output = check(
        "[runs]\non_request_disconnect = \"continue\"\nsse_heartbeat = \"0s\"\n\
         [store]\nurl = \"none\"\n",
    );

    assert_invalid(&output, &["on_request_disconnect", "sse_heartbeat"]);
}

#[test]
fn a_secret_that_is_not_there_is_named() {
    let output = check("[server]\nsecret = { env = \"MORTISE_TEST_IS_NOT_SET\" }\n");

    assert_invalid(&output, &["MORTISE_TEST_IS_NOT_SET"]);
}

#[test]
fn a_server_that_others_reach_needs_a_secret_or_a_plugin_that_authenticates() {
    let check = |section: &str, plugins: &str| {
        check(&format!(
            "[server]\nhost = \"0.0.0.0\"\nauth = \"any\"\n{section}\n\
             [plugins]\ndir = \"PLUGIN_DIR\"\n{plugins}"
        ))
    };
    let keys = r#"
[[plugins.load]]
name = "auth"
config = { keys = [{ key = "k", subject = "ann" }] }
"#;
    assert_invalid(&check("", SCRIPTED), &["server.host", "a plugin that"]);
    let further = "listen = [{ address = \"0.0.0.0:0\" }]";
    assert_invalid(&check(further, SCRIPTED), &["server.host", "server.listen"]);

    for (section, plugins) in [("secret = \"s\"", ""), ("", keys), ("insecure = true", "")] {
        let output = check(section, plugins);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert_eq!(
            said.contains("everybody may come in"),
            section.contains("insecure"),
            "{said}"
        );
    }
}

#[test]
fn instructions_with_a_filter_that_does_not_exist_are_a_mistake() {
    let plugins = "[plugins]\ndir = \"PLUGIN_DIR\"\n";
    let instructions = "instructions = \"{{ context.x | nofilter }}\"\n";
    assert_invalid(
        &check(&format!("{plugins}{SCRIPTED}{instructions}")),
        &["unknown filter", "nofilter", "'plain'"],
    );
}

#[test]
fn a_mistake_in_an_argument_names_the_argument() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let file = folder.path().join("config.toml");
    fs::write(&file, "").expect("there is room for a file");
    let file = file.display().to_string();
    for (argument, value, said) in [
        ("--http-token-file", "/nowhere/token", "/nowhere/token"),
        ("--http-token", "", "it is empty"),
    ] {
        let output = mortise(&["serve", "--config", &file, "--http", argument, value]);
        assert_invalid(&output, &[said, &format!("the argument {argument})")]);
    }
}

#[test]
fn two_tools_of_one_name_are_named_with_their_instances() {
    let tools = |name: &str| {
        format!(
            "[[plugins.load]]\nname = \"{name}\"\nlibrary = \"fixture_plugin\"\n\
             config = {{ tools = true }}\n"
        )
    };
    let (one, other) = (tools("one"), tools("other"));
    let config =
        format!("[plugins]\ndir = \"PLUGIN_DIR\"\n{one}{other}{SCRIPTED}tools = [\"slow_tool\"]\n");
    assert_invalid(
        &check(&config),
        &["two tools 'slow_tool'", "one.slow_tool", "other.slow_tool"],
    );
}

#[test]
fn two_addresses_that_are_one_are_a_mistake() {
    let server = "[server]\nport = 3999\n";
    assert_invalid(
        &check(&format!("{server}[http]\nport = 3999\n")),
        &[
            "`http.port` is 127.0.0.1:3999",
            "server.port",
            "config.toml:4",
        ],
    );
    let listen = "listen = [{ address = \"127.0.0.1:3999\" }]\n";
    assert_invalid(
        &check(&format!("{server}{listen}")),
        &["`server.listen` is 127.0.0.1:3999", "config.toml:3"],
    );
    let elsewhere = "listen = [{ address = \"127.0.0.2:3999\" }]\n";
    let output = check(&format!(
        "{server}{elsewhere}[plugins]\ndir = \"PLUGIN_DIR\"\n"
    ));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn a_file_that_is_no_database_is_named() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let file = folder.path().join("runs.db");
    let config = format!(
        "[store]\nurl = \"sqlite:{}\"\n[plugins]\ndir = \"PLUGIN_DIR\"\n",
        file.display()
    );
    let output = check(&config);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(!file.exists(), "a check makes nothing");

    fs::write(&file, "a text, and no database").expect("there is room for a file");
    let output = check(&config);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for word in ["runs.db", "not a database", "integrity_check"] {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
}

#[test]
fn a_filter_of_the_log_that_is_none_is_named() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let file = folder.path().join("config.toml");
    fs::write(&file, "").expect("there is room for a file");
    for (filter, cause) in [
        ("info,=", "invalid"),
        ("warning", "\"warning\" is no level"),
    ] {
        let output = Command::new(binary())
            .args(["check", "--config"])
            .arg(&file)
            .env("MORTISE_LOG", filter)
            .output()
            .expect("the server can be run");
        assert_invalid(
            &output,
            &[
                "the variable MORTISE_LOG",
                cause,
                "mortise_host::runtime=debug",
            ],
        );
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let output = mortise(&["check", "--config", "/nowhere/mortise.toml"]);

    assert_invalid(&output, &["/nowhere/mortise.toml"]);
}

#[test]
fn the_schema_is_json_and_the_reference_is_a_table() {
    let schema = mortise(&["config", "schema"]);
    assert_eq!(schema.status.code(), Some(0));
    let schema: serde_json::Value = serde_json::from_slice(&schema.stdout).expect("it is JSON");
    assert!(schema["properties"]["server"].is_object(), "{schema}");

    let reference = mortise(&["config", "reference"]);
    assert_eq!(reference.status.code(), Some(0));
    assert!(text(&reference.stdout).contains("`server.port`"));
}
