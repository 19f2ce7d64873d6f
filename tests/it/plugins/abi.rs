//! Plugins that were built against another boundary: which of them load, and what is said of
//! those that do not.

use std::fs;

use integration_tests::{AbiVariant, Ended, Server, ServerBuilder, plugin_dir};

use crate::support::SCRIPTED;

/// The `[[plugins.load]]` entry of a variant.
fn entry(variant: AbiVariant) -> String {
    format!("[[plugins.load]]\nname = \"{}\"\n", variant.name())
}

/// A server with these sections whose folder has these variants, and the scripted model.
#[track_caller]
fn with(variants: &[AbiVariant], sections: &[&str]) -> ServerBuilder {
    let server = ServerBuilder::new(&sections.join("\n"));
    let folder = server.folder().join("plugins");
    fs::create_dir(&folder).expect("there is room for a folder");
    let scripted = "libscripted_model.so";
    fs::copy(plugin_dir().join(scripted), folder.join(scripted)).expect("the library was built");
    for variant in variants {
        let to = folder.join(format!("lib{}.so", variant.name()));
        fs::copy(variant.build(), to).expect("the library was built");
    }
    let folder = folder.display().to_string();
    server.variable("MORTISE__PLUGINS__DIR", folder)
}

#[track_caller]
fn assert_answers(server: &Server, variant: AbiVariant) {
    let agent = format!("echo-{}", variant.name());
    let told = server.run(&agent, "across versions").send().expect(200);
    assert!(told.text().contains("across versions"), "{}", told.text());
}

/// The server gave up in order, and in a few lines: the plugin, all of these causes, the remedy.
#[track_caller]
fn assert_refused(variant: AbiVariant, causes: &[&str], remedy: &str) {
    let ended: Ended = with(&[variant], &[SCRIPTED, &entry(variant)]).fail();

    assert_eq!(ended.status.code(), Some(1), "{ended:#?}");
    assert!(ended.log.len() < 2048, "{} bytes", ended.log.len());
    // A report is wrapped to the width of a terminal, between words and behind a margin.
    let words: Vec<&str> = ended
        .log
        .split_whitespace()
        .filter(|it| *it != "│")
        .collect();
    let log = words.join(" ");
    for part in [variant.name(), remedy].iter().chain(causes) {
        assert!(log.contains(part), "{part:?} in {}", ended.log);
    }
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn a_plugin_for_an_older_minor_version_answers() {
    let variant = AbiVariant::Older;
    let server = with(&[variant], &[SCRIPTED, &entry(variant)]).start();

    assert_answers(&server, variant);
}

#[test]
fn a_plugin_for_a_newer_minor_version_answers() {
    let variant = AbiVariant::Newer;
    let server = with(&[variant], &[SCRIPTED, &entry(variant)]).start();

    assert_answers(&server, variant);
}

#[test]
fn plugins_of_different_minor_versions_answer_in_any_order() {
    let (older, newer) = (AbiVariant::Older, AbiVariant::Newer);
    let (first, last) = (entry(older), entry(newer));

    // The check of one library must not depend on what was loaded before it.
    for sections in [
        [&first, SCRIPTED, &last],
        [&first, &last, SCRIPTED],
        [&last, &first, SCRIPTED],
    ] {
        let server = with(&[older, newer], &sections).start();
        assert_answers(&server, older);
        assert_answers(&server, newer);
        let _ = server.run("plain", "hi").send().expect(200);
    }
}

#[test]
fn a_plugin_for_a_changed_boundary_is_refused_with_what_differs() {
    assert_refused(
        AbiVariant::Breaking,
        &["AbiError: size "],
        "rebuild it with the mortise-plugin-api of this server",
    );
}

#[test]
fn a_plugin_for_another_major_version_is_refused_with_both_versions() {
    assert_refused(
        AbiVariant::Major,
        &["it speaks plugin API 2.0, this host speaks 1.0"],
        "rebuild it with a mortise-plugin-api of this server's major API version",
    );
}

#[test]
fn a_plugin_whose_panics_abort_is_refused() {
    assert_refused(
        AbiVariant::Abort,
        &["panic = \"abort\""],
        "build it with panic = \"unwind\"",
    );
}
