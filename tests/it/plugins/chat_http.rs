//! `serve --http`: the chat API on a port of its own, and the commands of its README.

use std::{fs, process::Command};

use integration_tests::{Request, ServerBuilder, fixture::RA, plugin_dir, workspace};
use serde_json::json;

const TOKEN: &str = "a-token-for-tests";

/// An agent, and no word of the chat API.
fn builder(more: &str) -> ServerBuilder {
    let config = RA[0].config(&plugin_dir());
    let without = config.replacen("[[plugins.load]]\nname = \"chat-api\"\n", "", 1);
    assert_ne!(config, without);
    ServerBuilder::new(&format!("{more}\n{without}"))
}

#[test]
fn the_command_line_alone_serves_the_chat_on_a_port_of_its_own() {
    let arguments = ["--http", "--http-port", "0", "--http-token", TOKEN];
    let server = arguments
        .into_iter()
        .fold(builder(""), ServerBuilder::argument);
    let server = server.start();
    let address = server.next_address();
    let asks = |method: &str, path: &str| Request::new(address, method, path);

    let body = json!({ "messages": [{ "role": "user", "content": "hello" }] });
    let _ = asks("POST", "/chat/sync").json(&body).send().expect(401);
    let reply = asks("POST", "/chat/sync").json(&body).bearer(TOKEN).send();
    assert_eq!(reply.expect(200).json()["response"], "Hello there!");
    // Nothing else is served there, and strangers do not learn that.
    let _ = asks("GET", "/api/-/agents").send().expect(401);
    let native = asks("GET", "/api/-/agents")
        .bearer(TOKEN)
        .send()
        .expect(404);
    assert_eq!(native.json(), json!({ "error": "Not Found" }));

    let log = server.wait_for_log("--http-token-file");
    assert!(!log.contains(TOKEN), "{log}");
}

#[test]
fn without_a_token_pages_of_others_may_not_chat() {
    let server = builder("")
        .argument("--http")
        .argument("--http-port")
        .argument("0")
        .start();
    let address = server.next_address();
    let chat = |host: &str, origin: &str| {
        Request::new(address, "POST", "/chat/sync")
            .header("host", host)
            .header("origin", origin)
            .header("content-type", "text/plain")
            .body(r#"{"messages":[{"role":"user","content":"hello"}]}"#)
            .send()
            .status()
    };
    let own = address.to_string();
    assert_eq!(chat(&own, &format!("http://{own}")), 200);
    assert_eq!(chat(&own, "http://evil.example"), 403);
    assert_eq!(chat("evil.example", "http://evil.example"), 403);
}

#[test]
fn the_token_comes_from_a_file_or_a_variable_and_the_arguments_win() {
    let file = "[http]\nport = 0\ntoken = \"of-the-file\"\n";
    let works = |builder: ServerBuilder, token: &str| {
        let server = builder.start();
        let request = Request::new(server.next_address(), "GET", "/sessions");
        let _ = request.clone().bearer("another").send().expect(401);
        let _ = request.bearer(token).send().expect(200);
    };
    works(builder(file), "of-the-file");
    let by_variable = || builder(file).variable("MORTISE_HTTP_TOKEN", "of-the-variable");
    works(by_variable(), "of-the-variable");
    let by_argument = by_variable();
    let path = by_argument.folder().join("token.txt");
    fs::write(&path, format!("{TOKEN}\n")).expect("there is room for a file");
    let arguments = ["--http", "--http-token-file", "token.txt"];
    works(
        arguments
            .into_iter()
            .fold(by_argument, ServerBuilder::argument),
        TOKEN,
    );
}

#[test]
fn the_commands_of_the_readme_work_as_they_stand_there() {
    let path = workspace().join("plugins/chat-api/README.md");
    let readme = fs::read_to_string(path).expect("it is there");
    let (_, rest) = readme.split_once("```bash\n").expect("it has commands");
    let (commands, _) = rest.split_once("```").expect("they end");
    let server = ServerBuilder::new(&RA[1].config(&plugin_dir())).start();
    let origin = format!("http://{}", server.address());
    let commands = commands.replace("http://localhost:3141", &origin);

    let ran = Command::new("bash").args(["-c", &commands]).output();
    let printed = ran.expect("bash can be run").stdout;
    let printed = String::from_utf8_lossy(&printed);

    let (frames, last) = printed.rsplit_once("\n\n").expect("two answers");
    let frames: Vec<_> = frames.split("\n\n").collect();
    assert_eq!(frames[0], r#"data: {"type":"text","delta":"Hello "}"#);
    assert_eq!(frames[1], r#"data: {"type":"text","delta":"there!"}"#);
    assert!(
        frames[2].starts_with(r#"data: {"type":"done","usage":{"inputTokens":150,"#),
        "{frames:?}"
    );
    assert!(
        last.starts_with(r#"{"response":"Hello there!","sessionId":"ses_"#),
        "{last}"
    );
}
