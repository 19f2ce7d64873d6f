//! What `mortise check` says of agents that cannot be.

use integration_tests::ServerBuilder;

use super::PLUGINS;

/// The server does not start with these sections, and says all of this.
#[track_caller]
fn assert_refused(sections: &str, words: &[&str]) {
    let ended = ServerBuilder::new(&format!("{sections}\n{PLUGINS}")).fail();
    assert_eq!(ended.status.code(), Some(2), "{ended:#?}");
    let said = ended.report();
    for word in words {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
}

#[test]
fn agents_that_hand_tasks_in_a_circle_are_refused() {
    assert_refused(
        r#"[agents.a]
model = "scripted/fake-1"
agents = ["b"]
[agents.b]
model = "scripted/fake-1"
agents = ["c"]
[agents.c]
model = "scripted/fake-1"
agents = ["a"]"#,
        &[
            "agents hand tasks to each other in a circle: a → b → c → a",
            "config.toml:9:11",
            "remove 'a' from the `agents` of 'c'",
        ],
    );
    assert_refused(
        "[agents.a]\nmodel = \"scripted/fake-1\"\nagents = [\"a\"]",
        &["in a circle: a → a", "config.toml:3:11"],
    );
}

#[test]
fn an_agent_that_does_not_exist_is_named_with_the_likely_one() {
    assert_refused(
        r#"[agents.boss]
model = "scripted/fake-1"
agents = ["writer", "writter"]
[agents.writer]
model = "scripted/fake-1""#,
        &[
            "the agent 'boss' is to hand tasks to 'writter', which does not exist",
            "config.toml:3:21",
            "did you mean `writer`?",
        ],
    );
    assert_refused(
        "[[plugins.load]]\nname = \"coded\"\nlibrary = \"fixture_plugin\"\n\
         config = { chief = true }",
        &["the agent 'chief' is to hand tasks to 'worker', which does not exist"],
    );
}

#[test]
fn a_row_of_agents_has_a_limit() {
    assert_refused(
        r#"[runs]
max_agent_depth = 2
[agents.a]
model = "scripted/fake-1"
agents = ["b"]
[agents.b]
model = "scripted/fake-1"
agents = ["c"]
[agents.c]
model = "scripted/fake-1""#,
        &[
            "3 agents stand in a row: a → b → c",
            "config.toml:5:11",
            "`runs.max_agent_depth` allows 2",
        ],
    );
}

#[test]
fn a_missing_alias_or_capability_is_named() {
    assert_refused(
        "[models.primary]\nmodel = \"scripted/fake-1\"\n[agents.a]\nmodel = \"primry\"",
        &[
            "there is no alias 'primry' for the agent 'a'",
            "config.toml:4:9",
            "did you mean `primary`?",
        ],
    );
    assert_refused(
        "[agents.a]\nmodel = \"primary\"",
        &[
            "there is no alias 'primary'",
            "declare it: `[models.primary]`",
        ],
    );
    assert_refused(
        "[models.primary]\nmodel = \"scripted/fake-2\"",
        &[
            "there is no model 'scripted/fake-2' for the alias 'primary'",
            "config.toml:2:9",
            "the loaded plugins offer: scripted/fake-1",
        ],
    );
    assert_refused(
        r#"[models.primary]
model = "scripted/fake-1"
capabilities = ["tools", "image"]
[agents.a]
model = "primary""#,
        &[
            "the model 'scripted/fake-1' of the alias 'primary' lacks the capability 'image'",
            "config.toml:3:26",
            "it has: instructions, tools, structured_output",
        ],
    );
    assert_refused(
        "[models.primary]\nmodel = \"scripted/fake-1\"\ncapabilities = [\"tool\"]",
        &["\"tool\" is not known here", "did you mean `tools`?"],
    );
}

#[test]
fn a_rule_that_cannot_hold_or_changes_nothing_is_refused() {
    let agent = "[agents.a]\nmodel = \"scripted/fake-1\"\n[[agents.a.rules]]\n";
    for (rule, words) in [
        (
            "when = {}\ntools = []",
            "a rule of `agents.a` has an empty `when`",
        ),
        (
            "when = { plan = \"pro\" }",
            "a rule of `agents.a` changes nothing",
        ),
        (
            "when = { plan = { a = 1 } }\ntools = []",
            "a rule of `agents.a` cannot compare `plan` with this",
        ),
        (
            "when = { plan = \"pro\" }\nmodel = \"scripted/x\"",
            "there is no model 'scripted/x' for the agent 'a'",
        ),
        (
            "when = { plan = \"pro\" }\ntools = [\"nope\"]",
            "the agent 'a' names a tool 'nope' that does not exist",
        ),
        ("wen = { plan = \"pro\" }", "did you mean `when`?"),
    ] {
        assert_refused(&format!("{agent}{rule}"), &[words, "config.toml:"]);
    }
    let coded = "[[plugins.load]]\nname = \"coded\"\nlibrary = \"fixture_plugin\"\n\
                 config = { chief = true }\n";
    assert_refused(
        &format!(
            "{coded}[agents.chief]\n[[agents.chief.rules]]\nwhen = {{ a = 1 }}\ntools = []\n\
         [agents.worker]\nmodel = \"scripted/fake-1\""
        ),
        &["the agent 'chief' is a library's, which chooses by itself"],
    );
}

#[test]
fn instructions_that_are_no_template_are_refused_with_their_line() {
    assert_refused(
        "[agents.a]\nmodel = \"scripted/fake-1\"\ninstructions = \"\"\"\nOne.\n{{ context.x\n\"\"\"",
        &[
            "the instructions of the agent 'a' are no template",
            "config.toml:3:16",
        ],
    );
}
