//! Servers that others have made: old and new protocol, over stdio and HTTP.

use serde_json::json;

use super::{
    OverHttp, called, everything, names_of, notes, refused, remote, tools_of, with_servers,
};
use crate::support::eventually;

#[test]
fn a_server_from_npm_speaks_the_old_protocol() {
    let server = with_servers(&everything("")).start();
    server.wait_for_log("2025-11-25");
    assert_eq!(
        called(&server, r#"all_echo {"message":"hi"}"#),
        json!("Echo: hi")
    );
    assert_eq!(
        called(&server, r#"all_get-sum {"a":1,"b":2}"#),
        json!("The sum of 1 and 2 is 3.")
    );
    let weather = called(
        &server,
        r#"all_get-structured-content {"location":"Chicago"}"#,
    );
    assert!(weather["temperature"].is_number(), "{weather}");
    let image = called(&server, "all_get-tiny-image {}");
    assert_eq!(image[1]["type"], "image");
    assert_eq!(image[1]["mimeType"], "image/png");
    let links = called(&server, r#"all_get-resource-links {"count":2}"#);
    assert_eq!(links[1]["type"], "resource_link");
    assert!(links[1]["uri"].is_string(), "{links}");
    // Its schema is the host's to check.
    let message = refused(&server, r#"all_get-sum {"a":"one","b":2}"#);
    assert!(message.contains("schema validation"), "{message}");
    let tools = tools_of(&server, "plain");
    let sum = tools
        .iter()
        .find(|it| it["name"] == "all_get-sum")
        .expect("it is listed");
    assert_eq!(sum["schema"]["required"], json!(["a", "b"]));
    let _ = server.stop();
}

#[test]
fn a_server_from_pypi_speaks_the_new_protocol() {
    let server = with_servers(&notes("env = { MOOD = \"fine\" }")).start();
    server.wait_for_log("2026-07-28");
    let added = called(&server, r#"notes_add_note {"title":"a","text":"b"}"#);
    assert_eq!(added, json!({ "notes": 2 }));
    let message = refused(&server, r#"notes_fail {"reason":"no"}"#);
    assert!(message.contains("fail"), "{message}");
    // Nothing of the server's own environment; Python sets one of these itself.
    let variables = called(&server, "notes_environment {}");
    assert_eq!(variables, json!({ "result": ["LC_CTYPE", "MOOD", "PATH"] }));
    let _ = server.stop();
}

#[test]
fn both_protocols_are_spoken_over_http() {
    let old = OverHttp::everything(OverHttp::address());
    let new = OverHttp::notes(OverHttp::address());
    let tables = remote("old", old.address, "") + &remote("new", new.address, "");
    let server = with_servers(&tables).start();
    assert_eq!(
        called(&server, r#"old_echo {"message":"hi"}"#),
        json!("Echo: hi")
    );
    assert_eq!(
        called(&server, r#"new_add_note {"title":"a","text":"b"}"#),
        json!({ "notes": 2 })
    );
    let log = server.log();
    assert!(
        log.contains("2025-11-25") && log.contains("2026-07-28"),
        "{log}"
    );
    let _ = server.stop();
}

#[test]
fn a_server_behind_tls_is_spoken_to_where_its_certificate_is_trusted() {
    let address = OverHttp::address();
    let trusting = |ca: &str| {
        let table = remote("safe", address, ca).replace("http://", "https://");
        with_servers(&table)
    };
    let builder = trusting("ca = { file = \"cert.pem\" }");
    let _https = OverHttp::notes_with_tls(address, builder.folder());
    let server = builder.start();
    let added = called(&server, r#"safe_add_note {"title":"a","text":"b"}"#);
    assert_eq!(added, json!({ "notes": 2 }));
    let _ = server.stop();

    let ended = trusting("").fail();
    assert!(ended.log.contains("certificate"), "{}", ended.log);
}

#[test]
fn resources_and_prompts_are_tools_where_they_are_asked_for() {
    let tables = everything("resources = true\nprompts = true") + &notes("resources = true");
    let server = with_servers(&tables).start();
    let tools = tools_of(&server, "plain");
    let names = names_of(&tools);
    for name in [
        "all_list_resources",
        "all_read_resource",
        "all_list_prompts",
        "all_get_prompt",
    ] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert!(!names.contains(&"notes_get_prompt"), "{names:?}");

    let listed = called(&server, "notes_list_resources {}");
    assert_eq!(listed["resources"][0]["uri"], "notes://all");
    assert_eq!(listed["templates"][0]["uriTemplate"], "note://{title}");
    assert_eq!(
        called(&server, r#"notes_read_resource {"uri":"note://first"}"#),
        json!("The first note.")
    );
    let missing = refused(&server, r#"notes_read_resource {"uri":"note://none"}"#);
    assert!(
        missing.contains("The MCP server 'notes' failed"),
        "{missing}"
    );

    let prompts = called(&server, "all_list_prompts {}");
    assert_eq!(prompts["prompts"][0]["name"], "simple-prompt");
    let prompt = called(
        &server,
        r#"all_get_prompt {"name":"args-prompt","arguments":{"city":"Rome"}}"#,
    );
    assert_eq!(prompt["messages"][0]["role"], "user");
    let text = prompt["messages"][0]["content"]
        .as_str()
        .unwrap_or_default();
    assert!(text.contains("Rome"), "{prompt}");
    let _ = server.stop();
}

#[test]
fn tools_that_a_server_learns_are_there_for_the_next_run() {
    let http = OverHttp::notes(OverHttp::address());
    let tables = notes("") + &remote("web", http.address, "");
    let server = with_servers(&tables).start();
    for name in ["notes", "web"] {
        assert_eq!(
            called(&server, &format!(r#"{name}_learn {{"name":"later"}}"#)),
            json!({ "result": "learnt" })
        );
        let learnt = format!("{name}_later");
        eventually(|| {
            names_of(&tools_of(&server, "plain"))
                .contains(&learnt.as_str())
                .then_some(())
        });
        assert_eq!(
            called(&server, &format!("{learnt} {{}}")),
            json!({ "result": "I am later." })
        );
    }
    let _ = server.stop();
}

#[test]
fn a_server_over_http_that_was_gone_is_found_again() {
    type Runs = fn(std::net::SocketAddr) -> OverHttp;
    let both: [(Runs, &str); 2] = [
        (OverHttp::everything, r#"far_echo {"message":"hi"}"#),
        (OverHttp::notes, r#"far_add_note {"title":"a","text":"b"}"#),
    ];
    for (run, call) in both {
        let http = run(OverHttp::address());
        let address = http.address;
        // A server that knows nothing of the session may leave a request without an answer.
        let hasty = r#"connect_timeout = "3s""#;
        let server = with_servers(&remote("far", address, hasty)).start();
        let before = called(&server, call);
        drop(http);
        let message = refused(&server, call);
        assert!(message.contains("The MCP server 'far'"), "{message}");
        assert!(!message.contains("127.0.0.1"), "{message}");
        let _http = run(address);
        let after =
            eventually(|| Some(called(&server, call)).filter(|it| it["type"] != "tool_error"));
        assert_eq!(after, before);
        let _ = server.stop();
    }
}
