//! Which tools are offered, by what names, to whom, and how they are changed.

use serde_json::json;

use super::{everything, names_of, notes, tools_of, with_servers};
use crate::support::{plain, text_of};

#[test]
fn the_operator_chooses_tools_and_their_names() {
    let server = with_servers(&everything(
        r#"
        allow = ["echo", "get-*", "misspelt"]
        deny = ["get-env", "get-tiny-*"]
        approve = ["get-sum"]
        prefix = "e-"
        "#,
    ))
    .start();
    let tools = tools_of(&server, "plain");
    let names = names_of(&tools);
    assert!(
        names.contains(&"e-echo") && names.contains(&"e-get-sum"),
        "{names:?}"
    );
    assert!(names.iter().all(|it| it.starts_with("e-")), "{names:?}");
    for absent in [
        "e-get-env",
        "e-get-tiny-image",
        "e-trigger-long-running-operation",
    ] {
        assert!(!names.contains(&absent), "{names:?}");
    }
    for tool in &tools {
        assert_eq!(
            tool["approval"],
            json!(tool["name"] == "e-get-sum"),
            "{tool}"
        );
    }
    server.wait_for_log("has no tool");
    // An agent with a tool that must be approved is for streams.
    let frames = server
        .stream("plain", r#"call e-echo {"message":"hi"}"#)
        .finish();
    assert!(text_of(&frames).contains("Echo: hi"), "{frames:?}");
    let mut stream = server.stream("plain", r#"call e-get-sum {"a":1,"b":2}"#);
    let asked = stream.wait_for("TOOL_APPROVAL_REQUIRED");
    assert_eq!(asked["toolCallName"], "e-get-sum");
    let _ = server.stop();
}

#[test]
fn agents_name_tools_by_instance_server_and_tool() {
    let server = plain(&format!(
        r#"
        [agents.one]
        model = "scripted/fake-1"
        tools = ["mcp.notes.process", "mcp.notes.misspelt"]

        [agents.some]
        model = "scripted/fake-1"
        tools = ["mcp.notes.*note"]

        [tools."mcp.notes.fail"]
        description = "Never call this."
        error_mode = "throw"

        [agents.throws]
        model = "scripted/fake-1"
        tools = ["notes_fail*"]

        [[plugins.load]]
        name = "mcp"
        {}"#,
        notes("")
    ))
    .start();
    assert_eq!(names_of(&tools_of(&server, "one")), ["notes_process"]);
    assert_eq!(names_of(&tools_of(&server, "some")), ["notes_add_note"]);
    assert!(tools_of(&server, "plain").is_empty());
    let throws = tools_of(&server, "throws");
    assert_eq!(throws[0]["description"], "Never call this.");
    let failed = server
        .run("throws", r#"call notes_fail {"reason":"no"}"#)
        .send();
    assert_ne!(failed.status(), 200, "{}", failed.text());
    let log = server.log();
    assert!(log.contains("mcp.notes.misspelt"), "{log}");
    let _ = server.stop();
}

#[test]
fn two_tools_of_one_name_for_one_agent_stop_the_start() {
    let more = "[[plugins.load]]\nname = \"more\"\nlibrary = \"mcp\"\n";
    let servers = notes("") + more + &notes("");
    // An agent that has those of one instance has no trouble.
    let _ = with_servers(&servers).start().stop();

    let agent = "[agents.both]\nmodel = \"scripted/fake-1\"\ntools = [\"more.notes.*\"]\n";
    let ended = with_servers(&(servers + agent)).fail();
    assert!(ended.log.contains("two tools"), "{}", ended.log);
}

#[test]
fn a_name_of_another_instance_must_be_there_from_the_start() {
    let agent = "[agents.other]\nmodel = \"scripted/fake-1\"\ntools = [\"nobody.search\"]\n";
    let ended = with_servers(&(notes("") + agent)).fail();
    assert!(ended.log.contains("does not exist"), "{}", ended.log);
}
