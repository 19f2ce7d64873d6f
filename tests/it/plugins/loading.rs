//! What the loader accepts, and how it says what it does not.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
};

use integration_tests::{Ended, ServerBuilder, plugin_dir};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::support::{SCRIPTED, plain};

/// A folder with the scripted model, and what `spoil` makes of a second library.
fn folder_with(spoil: impl FnOnce(&Path)) -> ServerBuilder {
    in_folder("[[plugins.load]]\nname = \"spoilt\"", spoil)
}

fn in_folder(entry: &str, spoil: impl FnOnce(&Path)) -> ServerBuilder {
    let server = plain(entry);
    let folder = server.folder().join("plugins");
    fs::create_dir(&folder).expect("there is room for a folder");
    copy("libscripted_model.so", &folder.join("libscripted_model.so"));
    spoil(&folder.join("libspoilt.so"));
    let folder = folder.display().to_string();
    server.variable("MORTISE__PLUGINS__DIR", folder)
}

fn copy(library: &str, to: &Path) {
    fs::copy(plugin_dir().join(library), to).expect("there is room for a library");
    fs::set_permissions(to, Permissions::from_mode(0o644)).expect("the file is ours");
}

fn bytes(library: &str) -> Vec<u8> {
    fs::read(plugin_dir().join(library)).expect("the library was built")
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("there is room for a file");
}

/// The server gave up in order, and its log names the file and the cause.
#[track_caller]
fn assert_refused(ended: &Ended, causes: &[&str]) {
    assert_eq!(ended.status.code(), Some(1), "{ended:#?}");
    let log = ended.log.to_lowercase();
    assert!(log.contains("spoilt"), "the log names the plugin: {log}");
    assert!(
        causes.iter().any(|it| log.contains(&it.to_lowercase())),
        "one of {causes:?} in {log}"
    );
    assert!(log.len() < 5_000, "{} bytes are no message", log.len());
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn a_library_in_the_folder_is_loaded() {
    let server = folder_with(|path| copy("libecho_agent.so", path)).start();

    let _ = server.run("echo", "hello").send().expect(200);
}

#[test]
fn a_missing_library_is_refused() {
    let ended = folder_with(|_| {}).fail();

    assert_refused(&ended, &["libspoilt.so"]);
}

#[test]
fn an_empty_file_is_refused() {
    let ended = folder_with(|path| write(path, b"")).fail();

    assert_refused(&ended, &["not a library"]);
}

#[test]
fn a_text_file_is_refused() {
    let ended = folder_with(|path| write(path, b"#!/bin/sh\necho hello\n")).fail();

    assert_refused(&ended, &["not a library"]);
}

#[test]
fn a_truncated_library_is_refused_wherever_it_is_cut() {
    let whole = bytes("libecho_agent.so");

    for part in [16, 64, 4096, whole.len() / 2, whole.len() - 100] {
        let ended = folder_with(|path| write(path, &whole[..part])).fail();
        assert_refused(&ended, &["cut off", "damaged", "not a library"]);
    }
}

#[test]
fn a_library_is_refused_where_one_bit_is_not_as_its_digest_says() {
    let whole = bytes("libecho_agent.so");
    let digest = |bytes: &[u8]| {
        let number = |half: &[u8]| u128::from_be_bytes(half.try_into().expect("16 bytes"));
        let digest = Sha256::digest(bytes);
        format!(
            "{:032X}{:032X}",
            number(&digest[..16]),
            number(&digest[16..])
        )
    };
    let pinned = |found: &[u8]| {
        let entry = format!(
            "[[plugins.load]]\nname = \"spoilt\"\nsha256 = \"{}\"",
            digest(&whole)
        );
        in_folder(&entry, |path| write(path, found))
    };

    let server = pinned(&whole).start();
    let _ = server.run("echo", "hello").send().expect(200);

    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let found = digest(&flipped).to_lowercase();
    assert_refused(&pinned(&flipped).fail(), &[&found]);
}

#[test]
fn a_library_for_another_machine_is_refused() {
    let mut foreign = bytes("libecho_agent.so");
    // e_machine: AArch64.
    foreign[18] = 0xb7;

    let ended = folder_with(|path| write(path, &foreign)).fail();

    assert_refused(&ended, &["built for"]);
}

#[test]
fn a_library_that_is_no_plugin_is_refused() {
    let Some(libm) = ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/libm.so.6"]
        .into_iter()
        .find(|it| Path::new(it).exists())
    else {
        panic!("no library of the system to try");
    };
    let ended = folder_with(|path| {
        write(path, &fs::read(libm).expect("everybody may read it"));
    })
    .fail();

    // A library of the system has thread-locals that no plugin may have, which is seen first.
    assert_refused(&ended, &["not a mortise plugin", "thread-local storage"]);
}

#[test]
fn a_library_that_everybody_may_write_is_refused() {
    let ended = folder_with(|path| {
        copy("libecho_agent.so", path);
        fs::set_permissions(path, Permissions::from_mode(0o666)).expect("the file is ours");
    })
    .fail();

    assert_refused(&ended, &["every user of this machine may change"]);
}

#[test]
fn a_link_that_leads_out_of_the_folder_is_refused() {
    let ended = folder_with(|path| {
        std::os::unix::fs::symlink(plugin_dir().join("libecho_agent.so"), path)
            .expect("the folder is ours");
    })
    .fail();

    assert_refused(&ended, &["leads out"]);
}

#[test]
fn a_plugin_that_is_not_required_may_be_bad() {
    let config = format!("[[plugins.load]]\nname = \"spoilt\"\nrequired = false\n{SCRIPTED}");
    let server = ServerBuilder::new(&config).start();

    let _ = server.run("plain", "hi").send().expect(200);
    assert!(server.log().contains("spoilt"), "{}", server.log());
}

#[test]
fn what_may_guard_is_never_left_out_for_what_is_written_wrong() {
    let wrong = "0".repeat(64);
    for (entry, says) in [
        ("name = \"auth\"\nconfig = { keys = [] }", "keys"),
        ("name = \"auth\"\nconfig = { kees = [] }", "kees"),
        (&format!("name = \"auth\"\nsha256 = \"{wrong}\""), "sha256"),
        ("name = \"spoilt\"\non_error = \"deny\"", "spoilt"),
    ] {
        let ended = plain(&format!("[[plugins.load]]\nrequired = false\n{entry}")).fail();
        assert!(ended.log.contains(says), "{entry}: {}", ended.log);
        assert!(
            !ended.log.contains("required = false` in its"),
            "{}",
            ended.log
        );
    }
}

#[test]
fn the_configuration_of_a_plugin_is_checked_against_its_schema() {
    let ended =
        plain("[[plugins.load]]\nname = \"ops-endpoints\"\nconfig = { prefx = \"/x\" }").fail();

    assert!(ended.log.contains("prefx"), "{}", ended.log);
    assert!(ended.log.contains("ops-endpoints"), "{}", ended.log);
    assert!(matches!(ended.status.code(), Some(1 | 2)), "{ended:#?}");
}

/// The server refuses these entries, naming the setting and what it might be.
#[track_caller]
fn assert_unknown_name(entries: &str, words: &[&str]) {
    let ended = plain(entries).fail();
    assert_eq!(ended.status.code(), Some(2), "{ended:#?}");
    let said = ended.report();
    for word in words {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
}

#[test]
fn settings_name_only_agents_and_instances_that_there_are() {
    let rules =
        "rules = [{ name = \"r\", pattern = \"x\", action = \"block\", agents = [\"plian\"] }]";
    assert_unknown_name(
        &format!("[[plugins.load]]\nname = \"guardrails\"\nconfig = {{ {rules} }}"),
        &[
            "`rules.0.agents.0` of plugin 'guardrails'",
            "must be one of \"plain\"",
            "config.toml:",
        ],
    );
    let key = "{ algorithms = [\"HS256\"], secret = \"0123456789abcdef0123456789abcdef\" }";
    let issuer = format!("issuers = [{{ issuer = \"i\", audience = [\"a\"], keys = [{key}] }}]");
    let rules = "rules = [{ mounts = [\"other\"], scopes = [\"x\"] }]";
    assert_unknown_name(
        &format!("[[plugins.load]]\nname = \"jwt-auth\"\nconfig = {{ {issuer}, {rules} }}"),
        &[
            "`rules.0.mounts.0` of plugin 'jwt-auth'",
            "must be one of \"jwt-auth\"",
        ],
    );
    assert_unknown_name(
        "[[plugins.load]]\nname = \"echo-agent\"\n[[plugins.load]]\nname = \"runs-api\"\n\
         config = { inactive = [\"ecko\"] }",
        &["`inactive.0` of plugin 'runs-api'", "\"echo\", \"plain\""],
    );
    assert_unknown_name(
        "[jobs]\nagents = { plian = 4 }",
        &["`jobs.agents` names 'plian'", "did you mean `plain`?"],
    );
}

#[test]
fn what_an_optional_library_would_have_brought_may_be_named() {
    let server = plain(
        "[[plugins.load]]\nname = \"gone\"\nlibrary = \"not_there\"\nrequired = false\n\
         [[plugins.load]]\nname = \"runs-api\"\nconfig = { inactive = [\"of-gone\"] }",
    )
    .start();
    let log = server.log();
    assert!(log.contains("the server starts without gone"), "{log}");
    assert!(log.contains("inactive.0"), "{log}");
}

#[test]
fn a_library_that_is_never_open_ends_the_start() {
    // What it says it is stands in its file; its code is in C, and runs while it is opened.
    let library = bytes("libecho_agent.so");
    let begin = br#"{"name":"echo-agent""#;
    let at = library.windows(begin.len()).position(|it| it == begin);
    let said = &library[at.expect("it says what it is")..];
    let end = said.iter().position(|&byte| byte == b'}').expect("it ends");
    let said: Vec<String> = said[..=end].iter().map(u8::to_string).collect();
    let code = format!(
        "__attribute__((section(\".mortise\"), used)) const char said[] = {{{}}};\n\
         __attribute__((constructor)) void endless(void) {{ for (;;) __asm__(\"pause\"); }}\n",
        said.join(",")
    );
    let entry = "[[plugins.load]]\nname = \"spoilt\"\nrequired = false";
    let ended = in_folder(entry, |library| {
        let source = library.with_extension("c");
        write(&source, code.as_bytes());
        let mut compiler = Command::new("cc");
        let built = compiler
            .args(["-shared", "-fPIC", "-o"])
            .arg(library)
            .arg(source);
        assert!(built.status().expect("there is a C compiler").success());
    })
    .fail();

    assert!(!ended.status.success(), "{ended:#?}");
    let said = ended.report();
    assert!(said.contains("did not end its loading"), "{said}");
    assert!(said.contains("tell its author"), "{said}");
}

#[test]
fn one_library_may_be_loaded_twice_under_two_names() {
    let server = plain(
        r#"
[[plugins.load]]
name = "inner"
library = "ops_endpoints"
config = { prefix = "/inner" }

[[plugins.load]]
name = "outer"
library = "ops_endpoints"
config = { prefix = "/outer" }
"#,
    )
    .start();

    let _ = server.get("/api/inner/health").send().expect(200);
    let _ = server.get("/api/outer/health").send().expect(200);
}

#[test]
fn two_plugins_that_offer_the_same_route_are_refused() {
    let ended = plain(
        r#"
[[plugins.load]]
name = "one"
library = "ops_endpoints"

[[plugins.load]]
name = "two"
library = "ops_endpoints"
"#,
    )
    .fail();

    assert_eq!(ended.status.code(), Some(1), "{ended:#?}");
    assert!(
        ended.log.contains("one") && ended.log.contains("two"),
        "{}",
        ended.log
    );
    assert!(ended.log.contains("/health"), "{}", ended.log);
}

#[test]
fn a_plugin_whose_routes_cannot_be_is_left_out_where_it_may_be() {
    for (prefix, cause) in [
        ("/a b", "' ' has no place in \\\"a b\\\""),
        ("/{a}.x", "'{' has no place in \\\"{a}.x\\\""),
        ("/:a:b", "\\\"a:b\\\" is not a name of a parameter"),
    ] {
        let entry = |required: bool| {
            plain(&format!(
                "[[plugins.load]]\nname = \"ops\"\nlibrary = \"ops_endpoints\"\n\
                 config = {{ prefix = \"{prefix}\" }}\nrequired = {required}\n"
            ))
        };
        let server = entry(false).start();
        let _ = server.run("plain", "hi").send().expect(200);
        let log = server.log();
        assert!(log.contains(cause), "{log}");
        assert!(log.contains("the server starts without it"), "{log}");

        let ended = entry(true).fail();
        assert_eq!(ended.status.code(), Some(1), "{ended:#?}");
        assert!(
            ended.log.contains("if it comes from the plugin's `config`"),
            "{}",
            ended.log
        );
    }
}

#[test]
fn a_plugin_that_takes_a_route_of_the_server_is_refused() {
    let ended = plain(
        "[[plugins.load]]\nname = \"ops\"\nlibrary = \"ops_endpoints\"\nconfig = { prefix = \"/-\" }\n",
    )
    .fail();

    assert_eq!(ended.status.code(), Some(1), "{ended:#?}");
    for said in [
        "plugin 'ops' takes GET /api/-/health, a route of the server itself",
        "give the mount a prefix of its own",
    ] {
        assert!(ended.log.contains(said), "{}", ended.log);
    }
}

#[test]
fn a_library_that_is_not_named_is_not_loaded_and_the_log_says_how() {
    let server = folder_with(|path| {
        copy("libecho_agent.so", path);
        copy("libecho_agent.so", &path.with_file_name("libunnamed.so"));
    })
    .start();

    let log = server.log();
    assert!(log.contains("libunnamed.so"), "{log}");
}

#[test]
fn an_agent_whose_model_nobody_offers_is_refused() {
    let ended = plain("[agents.lost]\nmodel = \"scripted/no-such-model\"").fail();

    assert!(ended.log.contains("no-such-model"), "{}", ended.log);
    assert!(ended.log.contains("fake-1"), "what there is: {}", ended.log);
}

#[test]
fn a_library_may_be_tried_without_a_line_in_the_configuration() {
    let library = plugin_dir().join("libecho_agent.so");
    let server = ServerBuilder::new(SCRIPTED)
        .argument("--plugin")
        .argument(library.display().to_string())
        .start();

    let _ = server.run("echo", "hello").send().expect(200);
}

#[test]
fn a_library_may_be_tried_without_a_configuration() {
    let library = plugin_dir().join("libtoolbox.so");
    let server = ServerBuilder::new("")
        .without_file()
        .argument("--plugin")
        .argument(library.display().to_string())
        .start();

    let added = server
        .post("/api/tools/add/execute")
        .json(&json!({ "input": { "a": 1, "b": 2 } }))
        .send()
        .expect(200);
    assert_eq!(added.json()["result"], json!({ "sum": 3 }));
    assert!(!server.folder().join("data").exists(), "nothing is kept");
}

#[test]
fn a_setting_from_a_variable_is_not_shown_when_the_plugin_refuses_it() {
    let ended = plain(
        "[[plugins.load]]\nname = \"chat-api\"\nconfig = { answer_timeout = { env = \"HUNTER\" } }",
    )
    .variable("HUNTER", "hunter2-\"secret\"")
    .fail();

    let said = &ended.log;
    assert!(
        said.contains("`answer_timeout` of plugin 'chat-api'"),
        "{said}"
    );
    assert!(said.contains("[redacted]"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn what_a_plugin_makes_no_sense_of_is_shown_where_it_is_written() {
    for (plugin, setting, said) in [
        (
            "auth",
            r#"keys = [{ key = "hunter2", subject = " " }]"#,
            "`keys.0.subject` of plugin 'auth' is blank",
        ),
        (
            "ip-allowlist",
            r#"allow = ["10.0.0.0/8", "home"]"#,
            "`allow.1` of plugin 'ip-allowlist' is \"home\", which is no network",
        ),
        (
            "rate-limit",
            r#"rules = [{ max = 1, window = "0s" }]"#,
            "`rules.0.window` of plugin 'rate-limit' is 0s: it may be from",
        ),
        (
            "jwt-auth",
            r#"issuers = [{ keys = [{ algorithms = ["HS256"], secret = "hunter2" }] }]"#,
            "`issuers.0.keys.0` of plugin 'jwt-auth' cannot be used: HS256",
        ),
    ] {
        let entry = format!("[[plugins.load]]\nname = \"{plugin}\"\n[plugins.load.config]\n");
        let ended = plain(&format!("{entry}{setting}")).fail();
        assert_eq!(ended.status.code(), Some(2), "{}", ended.log);
        for part in [said, "config.toml:4:"] {
            assert!(ended.log.contains(part), "no {part:?} in {}", ended.log);
        }
        assert!(!ended.log.contains("hunter2"), "{}", ended.log);
    }
}
