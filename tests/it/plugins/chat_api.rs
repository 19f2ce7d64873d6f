//! The chat API: turns, sessions, questions to the user, and how refusals look in it.

use std::fs;
use std::thread;

use integration_tests::{Frame, Reply, Request, Server, ServerBuilder, fixture::RA, plugin_dir};
use serde_json::{Value, json};

use crate::support::{eventually, kinds};

/// One agent with tools, and this besides.
fn builder(more: &str) -> ServerBuilder {
    let config = RA[0].config(&plugin_dir());
    let builder = ServerBuilder::new(&format!("{more}\n{config}"));
    for (name, content) in RA[0].files {
        fs::write(builder.folder().join(name), content).expect("there is room for a file");
    }
    builder
}

fn open() -> Server {
    builder("").start()
}

fn user(text: &str) -> Value {
    json!({ "role": "user", "content": text })
}

fn assistant(text: &str) -> Value {
    json!({ "role": "assistant", "content": text })
}

fn chat(server: &Server, session: &str, messages: &[Value]) -> Request {
    let body = json!({ "messages": messages, "sessionId": session });
    server.post("/chat").json(&body)
}

fn sync(server: &Server, session: &str, messages: &[Value]) -> Request {
    let body = json!({ "messages": messages, "sessionId": session });
    server.post("/chat/sync").json(&body)
}

#[track_caller]
fn said(server: &Server, session: &str, text: &str) -> String {
    let reply = sync(server, session, &[user(text)]).send().expect(200);
    let reply = reply.json();
    assert_eq!(reply["sessionId"], session);
    reply["response"].as_str().expect("it is a text").to_owned()
}

#[track_caller]
fn streamed(server: &Server, session: &str, text: &str) -> Vec<Value> {
    let stream = chat(server, session, &[user(text)]).open();
    assert_eq!(stream.header("cache-control"), Some("no-cache"));
    let frames = stream.finish();
    assert!(
        frames
            .iter()
            .all(|it| it.id.is_none() && it.event.is_none())
    );
    frames.iter().map(Frame::json).collect()
}

/// The pieces of the events of this type, joined.
fn joined(events: &[Value], kind: &str, key: &str) -> String {
    let pieces = events.iter().filter(|event| event["type"] == kind);
    pieces.filter_map(|event| event[key].as_str()).collect()
}

#[track_caller]
fn assert_refused(reply: &Reply, status: u16, message: &str) {
    let expected = json!({ "error": message });
    assert_eq!((reply.status(), reply.json()), (status, expected));
    assert_eq!(reply.header("content-type"), Some("application/json"));
}

#[test]
fn a_turn_thinks_speaks_and_ends_with_what_it_cost() {
    let server = open();

    let body = json!({ "messages": [user("[think] hello")] });
    let frames = server.post("/chat").json(&body).open().finish();

    let order = ["thinking", "thinking", "text", "text", "done"];
    assert_eq!(kinds(&frames), order);
    let events: Vec<_> = frames.iter().map(Frame::json).collect();
    assert_eq!(joined(&events, "thinking", "delta"), "Let me consider...");
    assert_eq!(joined(&events, "text", "delta"), "Hello there!");
    let session = events[4]["sessionId"]
        .as_str()
        .expect("it names the session");
    assert!(session.starts_with("ses_"), "{session}");
    let usage = json!({ "inputTokens": 150, "outputTokens": 42 });
    assert_eq!(events[4]["usage"], usage);

    // The session goes on, over the other route too, and another one begins anew.
    assert_eq!(said(&server, session, "[count]"), "saw 2 user messages");
    let body = json!({ "messages": [user("[count]")] });
    let other = server
        .post("/chat/sync")
        .json(&body)
        .send()
        .expect(200)
        .json();
    assert_eq!(other["response"], "saw 1 user messages");
    assert_ne!(other["sessionId"], session);
}

#[test]
fn calls_of_tools_are_shown_with_their_arguments_and_usage_is_that_of_all_steps() {
    let server = open();

    let events = streamed(
        &server,
        "tools",
        r#"[tool:Read {"path":"note.txt"}] [tool:Read {"path":"other.txt"}]"#,
    );

    let starts = events.iter().filter(|it| it["type"] == "tool_call_start");
    let ids: Vec<&Value> = starts.map(|it| &it["id"]).collect();
    assert_eq!(ids.len(), 2);
    for (id, path) in ids.iter().zip(["note.txt", "other.txt"]) {
        let own: Vec<_> = events
            .iter()
            .filter(|it| it["id"] == **id)
            .cloned()
            .collect();
        assert_eq!(own.last().expect("it ends")["type"], "tool_call_end");
        let arguments = joined(&own, "tool_call_delta", "argsDelta");
        let arguments: Value = serde_json::from_str(&arguments).expect("they are JSON");
        assert_eq!(arguments, json!({ "path": path }));
    }
    assert_eq!(
        joined(&events, "text", "delta"),
        "Tool said: 1: another file"
    );
    let done = events.last().expect("it ends");
    assert_eq!(
        done["usage"],
        json!({ "inputTokens": 300, "outputTokens": 84 })
    );
}

#[test]
fn a_tool_that_does_not_exist_is_a_mistake_of_the_model_alone() {
    let server = open();
    let answer = said(&server, "nope", "[tool:Nope {}]");
    assert!(answer.starts_with("Tool said: "), "{answer}");
    // The native routes fail such a run, as ever.
    let run = server.run("chat", "[tool:Nope {}]");
    let frames = run.open().finish();
    assert!(
        kinds(&frames).contains(&"RUN_ERROR".to_owned()),
        "{frames:?}"
    );
}

#[test]
fn a_client_may_send_the_new_message_or_all_that_it_has() {
    let server = open();
    assert_eq!(said(&server, "s", "hello"), "Hello there!");
    assert_eq!(said(&server, "s", "[count] 2"), "saw 2 user messages");

    let mut history = vec![
        user("hello"),
        assistant("Hello there!"),
        user("[count] 2"),
        assistant("saw 2 user messages"),
        user("[count] 3"),
    ];
    let reply = sync(&server, "s", &history).send().expect(200).json();
    assert_eq!(reply["response"], "saw 3 user messages");

    // Neither lost nor doubled, whatever is sent next.
    assert_eq!(said(&server, "s", "[count] 4"), "saw 4 user messages");
    history.extend([assistant("saw 3 user messages"), user("[count] 4")]);
    history.extend([assistant("saw 4 user messages"), user("[roles]")]);
    let reply = sync(&server, "s", &history).send().expect(200).json();
    let roles = ["user", "assistant"].repeat(4).join(",");
    assert_eq!(reply["response"], format!("system,{roles},user"));

    // Results of tools are passed over, and what the system said stands once.
    let with_tools = [
        json!({ "role": "system", "content": "Be brief." }),
        user("hi"),
        json!({ "role": "tool", "toolCallId": "tc_1", "content": { "any": "thing" } }),
        user("[roles]"),
    ];
    let _ = sync(&server, "tools", &with_tools[..2]).send().expect(200);
    let reply = sync(&server, "tools", &[with_tools[0].clone(), user("[roles]")]);
    let reply = reply.send().expect(200).json();
    assert_eq!(reply["response"], "system,system,user,assistant,user");
    let reply = sync(&server, "resent", &with_tools)
        .send()
        .expect(200)
        .json();
    assert_eq!(reply["response"], "system,system,user,user");

    let nothing = sync(&server, "s", &[assistant("Hello there!")]).send();
    assert_refused(&nothing, 400, "`messages` holds no new message of the user");
}

#[test]
fn a_question_waits_and_the_next_message_of_the_session_answers_it() {
    let server = open();

    let events = streamed(&server, "asks", "[ask:Which file?]");
    let order: Vec<_> = events.iter().map(|it| it["type"].as_str()).collect();
    assert_eq!(order.first(), Some(&Some("tool_call_start")));
    let asked = json!({
        "type": "AskUserQuestion", "question": "Which file?", "sessionId": "asks",
    });
    assert_eq!(events.last(), Some(&asked));
    assert!(!order.contains(&Some("done")), "{order:?}");

    // Another session is not concerned.
    assert_eq!(said(&server, "other", "hello"), "Hello there!");

    let events = streamed(&server, "asks", "src/index.ts");
    assert_eq!(joined(&events, "text", "delta"), "Tool said: src/index.ts");
    let done = events.last().expect("it ends");
    assert_eq!(
        done["usage"],
        json!({ "inputTokens": 300, "outputTokens": 84 })
    );

    // A second question, without a stream; and the whole history as its answer.
    assert_eq!(said(&server, "asks", "[ask:Sure?]"), "Sure?");
    let history = [
        user("[ask:Which file?]"),
        assistant("Which file?"),
        user("src/index.ts"),
        assistant("Tool said: src/index.ts"),
        user("[ask:Sure?]"),
        assistant("Sure?"),
        user("yes"),
    ];
    let reply = sync(&server, "asks", &history).send().expect(200).json();
    assert_eq!(reply["response"], "Tool said: yes");

    let more = [
        &history[..],
        &[assistant("Tool said: yes"), user("[roles]")],
    ]
    .concat();
    let reply = sync(&server, "asks", &more).send().expect(200).json();
    let roles = "user,tool,assistant";
    assert_eq!(reply["response"], format!("system,{roles},{roles},user"));
}

#[test]
fn a_question_among_other_calls_waits_for_its_turn_and_holds_up_those_behind_it() {
    let server = open();
    let prompt = r#"[tool:Read {"path":"note.txt"}] [tool:AskUserQuestion {"question":"Go on?"}] [tool:Read {"path":"other.txt"}]"#;

    let events = streamed(&server, "between", prompt);
    assert_eq!(events.last().expect("it asks")["question"], "Go on?");
    let more = streamed(&server, "between", "yes");
    assert_eq!(joined(&more, "text", "delta"), "Tool said: 1: another file");

    let starts = |events: &[Value]| {
        let starts = events.iter().filter(|it| it["type"] == "tool_call_start");
        starts.map(|it| it["id"].clone()).collect::<Vec<_>>()
    };
    let mut all = [starts(&events), starts(&more)].concat();
    all.sort_by_key(ToString::to_string);
    all.dedup();
    assert_eq!(all.len(), 3, "each call is shown once: {events:?} {more:?}");
    assert_eq!(starts(&events).len() + starts(&more).len(), 3);
}

#[test]
fn calls_behind_a_question_are_shown_first_when_it_is_answered() {
    let server = open();
    let prompt = r#"[tool:AskUserQuestion {"question":"Go on?"}] [tool:Read {"path":"note.txt"}]"#;
    let events = streamed(&server, "behind", prompt);
    assert_eq!(events.last().expect("it asks")["question"], "Go on?");

    let more = streamed(&server, "behind", "yes");
    let types: Vec<_> = more.iter().filter_map(|it| it["type"].as_str()).collect();
    let call = ["tool_call_start", "tool_call_delta"];
    assert_eq!(types[..2], call, "{events:?} {more:?}");
    assert_eq!(more[0]["name"], "Read");
    let arguments = joined(&more, "tool_call_delta", "argsDelta");
    assert_eq!(arguments, r#"{"path":"note.txt"}"#);
    let text = joined(&more, "text", "delta");
    assert_eq!(text, "Tool said: 1: hello from file");
}

#[test]
fn a_question_that_was_asked_before_a_crash_is_answered_after_it() {
    let server = open();
    let _ = streamed(&server, "crash", "[ask:Still there?]");

    let server = server.crash_and_restart();
    let events = streamed(&server, "crash", "yes");
    assert_eq!(joined(&events, "text", "delta"), "Tool said: yes");
    assert_eq!(events.last().expect("it ends")["type"], "done");

    let server = server.crash_and_restart();
    let roles = said(&server, "crash", "[roles]");
    assert_eq!(roles, "system,user,tool,assistant,user");
}

#[test]
fn a_run_that_began_elsewhere_is_answered_here() {
    let server = open();
    let body = json!({ "input": "[ask:Who?]", "conversationId": "native" });
    let mut stream = server.post("/api/chat/run").json(&body).open();
    let _ = stream.wait_for("TOOL_CALL_END");

    assert_eq!(said(&server, "native", "me"), "Tool said: me");
    let frames = stream.finish();
    assert!(
        kinds(&frames).contains(&"RUN_FINISHED".to_owned()),
        "{frames:?}"
    );
}

#[test]
fn turns_of_one_session_come_one_after_the_other() {
    let server = open();
    let replies: Vec<Reply> = thread::scope(|scope| {
        let turn = || sync(&server, "busy", &[user("[slow] [echo:one two]")]).send();
        let turns: Vec<_> = (0..3).map(|_| scope.spawn(turn)).collect();
        turns
            .into_iter()
            .map(|it| it.join().expect("it is answered"))
            .collect()
    });
    for reply in replies {
        assert_eq!(reply.expect(200).json()["response"], "one two");
    }
    assert_eq!(said(&server, "busy", "[count]"), "saw 4 user messages");
}

#[test]
fn hanging_up_ends_the_turn_and_leaves_the_session_as_it_was() {
    let server = open();
    let prompt = "[slow] [echo:one two three four five six seven eight nine ten]";
    let mut stream = chat(&server, "gone", &[user(prompt)]).open();
    let _ = stream.wait_for("text");
    drop(stream);

    let aborted = || {
        let probe = server.get("/api/probe").send().expect(200).json();
        (probe["aborted"] == 1).then_some(probe)
    };
    let _ = eventually(aborted);
    assert_eq!(said(&server, "gone", "[count]"), "saw 1 user messages");
}

#[test]
fn a_failure_is_told_once_and_the_session_goes_on() {
    let server = open();
    let events = streamed(&server, "fails", "[die]");
    let order: Vec<_> = events.iter().filter_map(|it| it["type"].as_str()).collect();
    assert_eq!(order, ["text", "error"]);
    assert!(events[1]["error"].is_string(), "{events:?}");

    let reply = sync(&server, "fails", &[user("[500]")]).send();
    assert_eq!(reply.status(), 500);
    let body = reply.json();
    assert_eq!(
        body.as_object().map(serde_json::Map::len),
        Some(1),
        "{body}"
    );
    assert!(body["error"].is_string(), "{body}");

    assert_eq!(said(&server, "fails", "[count]"), "saw 1 user messages");
}

#[test]
fn wrong_calls_are_refused_in_the_words_of_this_api() {
    let server = open();
    for path in ["/chat", "/chat/sync"] {
        for body in ["", "null", "not json{{{"] {
            assert_refused(&server.post(path).body(body).send(), 400, "Invalid JSON");
        }
        for (body, named) in [
            (json!({}), "`messages`"),
            (json!({ "messages": [] }), "`messages`"),
            (json!({ "messages": [{ "role": "user" }] }), "`messages[0]`"),
            (
                json!({ "messages": [user("hi"), assistant("x"), 7] }),
                "`messages[2]`",
            ),
            (
                json!({ "messages": [user("hi")], "sessionId": "../../evil" }),
                "`sessionId`",
            ),
            (
                json!({ "messages": [user("hi")], "sessionId": "" }),
                "`sessionId`",
            ),
        ] {
            let reply = server.post(path).json(&body).send().expect(400).json();
            let message = reply["error"].as_str().expect("it says why");
            assert!(message.starts_with(named), "{message}");
        }
    }
    for (method, path) in [
        ("GET", "/chat"),
        ("PUT", "/chat/sync"),
        ("POST", "/sessions"),
        ("POST", "/chat/"),
        ("GET", "/"),
        ("GET", "/nope"),
    ] {
        assert_refused(&server.request(method, path).send(), 404, "Not Found");
    }
    // Refused calls begin no session.
    let sessions = server.get("/sessions").send().expect(200).json();
    assert_eq!(sessions, json!({ "sessions": [] }));
}

#[test]
fn with_a_token_strangers_learn_nothing() {
    let config = RA[1].config(&plugin_dir());
    let server = ServerBuilder::new(&config).start();
    let body = json!({ "messages": [user("hi")] });
    let routes = [
        ("POST", "/chat"),
        ("POST", "/chat/sync"),
        ("GET", "/sessions"),
        ("GET", "/chat"),
        ("GET", "/nope"),
        ("GET", "/sessions?token=secret"),
    ];
    for (method, path) in routes {
        let asks = || server.anonymous(method, path).json(&body);
        for request in [
            asks(),
            asks().bearer("wrong"),
            asks().bearer("secret").bearer("secret"),
            asks().header("authorization", "bearer secret"),
            asks().header("authorization", "Basic secret"),
        ] {
            let reply = request.send();
            assert_refused(&reply, 401, "Unauthorized");
            assert_eq!(reply.header("www-authenticate"), None);
        }
    }
    let known = |method: &str, path: &str| server.anonymous(method, path).bearer("secret");
    let reply = known("POST", "/chat/sync").json(&body).send().expect(200);
    assert_eq!(reply.json()["response"], "Hello there!");
    assert_refused(&known("GET", "/nope").send(), 404, "Not Found");
    assert_refused(&known("GET", "/chat").send(), 404, "Not Found");
}

#[test]
fn refusals_by_the_server_and_by_guards_are_said_in_the_words_of_this_api() {
    let limited = r#"
[server]
body_limit = "1 KiB"
"#;
    let server = builder(limited).start();
    let large = sync(&server, "s", &[user(&"x".repeat(2000))]).send();
    assert_refused(&large, 413, "Request body is too large.");

    let config = RA[0].config(&plugin_dir()).replacen(
        "[[plugins.load]]",
        r#"[[plugins.load]]
name = "rate-limit"
config = { rules = [{ max = 1, window = "1h" }] }

[[plugins.load]]"#,
        1,
    );
    let server = ServerBuilder::new(&config).start();
    let _ = server.get("/sessions").send().expect(200);
    let reply = server.get("/sessions").send();
    assert_eq!(reply.status(), 429);
    let body = reply.json();
    assert!(body["error"].is_string(), "{body}");
    assert_eq!(
        body.as_object().map(serde_json::Map::len),
        Some(1),
        "{body}"
    );
    assert!(reply.header("retry-after").is_some());
}

#[test]
fn sessions_are_listed_with_their_messages_also_after_a_restart() {
    let server = open();
    let _ = said(&server, "first", "hello");
    let _ = streamed(&server, "second", "hello");
    let _ = said(&server, "first", "hello again");

    let list = |server: &Server| {
        let list = server.get("/sessions").send().expect(200).json();
        let list = list["sessions"].as_array().expect("it is a list").clone();
        let counted = list
            .iter()
            .map(|it| (it["id"].clone(), it["messageCount"].clone()));
        for session in &list {
            assert!(session["createdAt"].is_string(), "{list:?}");
            let meta = json!({
                "id": session["id"], "created": session["createdAt"],
                "provider": "scripted", "model": "fake-1", "interface": "http",
            });
            assert_eq!(session["meta"], meta);
        }
        counted.collect::<Vec<_>>()
    };
    let expected = [(json!("second"), json!(2)), (json!("first"), json!(4))];
    assert_eq!(list(&server), expected);
    assert_eq!(list(&server.restart()), expected);
}

#[test]
fn of_several_agents_the_configuration_names_who_answers() {
    let other = "\n[agents.other]\nmodel = \"scripted/fake-1\"\n";
    let config = RA[0].config(&plugin_dir());
    let refused = ServerBuilder::new(&format!("{config}{other}")).fail();
    for part in ["config.agent is not set", "chat, other"] {
        assert!(refused.log.contains(part), "{}", refused.log);
    }

    let named = |name: &str| {
        let with =
            format!("name = \"chat-api\"\nconfig = {{ agent = \"{name}\", prefix = \"/x\" }}");
        let config = config.replacen("name = \"chat-api\"", &with, 1);
        ServerBuilder::new(&format!("{config}{other}"))
    };
    let refused = named("nobody").fail();
    assert!(refused.log.contains("\"nobody\""), "{}", refused.log);

    let server = named("other").start();
    let body = json!({ "messages": [user("[roles]")], "sessionId": 7 });
    let reply = server.post("/x/chat/sync").json(&body).send().expect(200);
    assert_eq!(reply.json()["response"], "user");
}
