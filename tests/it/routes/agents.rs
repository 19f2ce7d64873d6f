//! Our own additions below `{base}/-/`, and the routes that say how the server is.

use crate::support::{SCRIPTED, plain, target};

#[test]
fn agents_are_listed_by_name_with_their_tools() {
    let server = target("a");

    let body = server.get("/api/-/agents").send().expect(200).json();

    let agents = body["agents"].as_array().cloned().unwrap_or_default();
    let names: Vec<_> = agents.iter().map(|it| it["name"].as_str()).collect();
    assert_eq!(
        names,
        [
            "assistant",
            "ctx",
            "extractor",
            "interactive",
            "looper",
            "plain"
        ]
        .map(Some)
    );
    assert_eq!(agents[0]["tools"][0]["name"], "add", "{}", agents[0]);
}

#[test]
fn the_list_of_agents_needs_the_secret() {
    let server = target("a");

    let _ = server.anonymous("GET", "/api/-/agents").send().expect(401);
}

#[test]
fn an_agent_that_is_not_exposed_is_as_good_as_absent() {
    let server = plain("[agents.hidden]\nmodel = \"scripted/fake-1\"\nexposed = false").start();

    let hidden = server
        .run("hidden", "hi")
        .send()
        .expect(404)
        .text()
        .to_owned();
    let absent = server
        .run("absent", "hi")
        .send()
        .expect(404)
        .text()
        .to_owned();
    let listed = server.get("/api/-/agents").send().expect(200);

    assert_eq!(hidden.replace("hidden", "absent"), absent);
    assert!(!listed.text().contains("hidden"), "{}", listed.text());
}

#[test]
fn health_is_told_to_everybody() {
    let server = target("a");

    for path in ["/livez", "/readyz"] {
        let _ = server.anonymous("GET", path).send().expect(200);
    }
}

#[test]
fn the_shipped_agent_of_a_library_runs_under_its_own_name() {
    let server = plain("[[plugins.load]]\nname = \"echo-agent\"").start();
    assert!(SCRIPTED.contains("scripted"));

    let reply = server.run("echo", "say it again").send().expect(200);

    assert!(reply.text().contains("say it again"), "{}", reply.text());
}
