//! What the server counts of requests, runs, models, jobs and plugins.

use integration_tests::ServerBuilder;
use serde_json::json;

use super::{ADMIN, Watched};
use crate::support::{SCRIPTED, kinds, plain};

const RUN: [(&str, &str); 2] = [("method", "POST"), ("route", "/api/{name}/run")];

fn with<'l>(labels: [(&'l str, &'l str); 2], more: (&'l str, &'l str)) -> [(&'l str, &'l str); 3] {
    [labels[0], labels[1], more]
}

/// The agent `speaker`, whose answers read 100 tokens and write 20, and have a price.
fn speaker() -> Watched {
    let config = format!(
        r#"
{ADMIN}
[prices."fixture/speaker"]
input = "1"
output = "4"

[[plugins.load]]
name = "fixture"
library = "fixture_plugin"
config = {{ tools = true, speaker = true, gate = true }}

[agents.speaker]
model = "fixture/speaker"
tools = ["add"]

[agents.interactive]
model = "scripted/fake-1"
tools = ["confirm"]
{SCRIPTED}"#
    );
    Watched::of(ServerBuilder::new(&config).start())
}

#[test]
fn requests_are_counted_by_the_template_of_their_route() {
    let watched = speaker();
    let server = &watched.server;
    let _ = server.run("speaker", "hi").send().expect(200);
    let _ = server.run("ghost", "hi").send().expect(404);
    let below_root = server.post("/speaker/run").json(&json!({ "input": "hi" }));
    let _ = below_root.send().expect(200);
    let _ = server.get("/api/heard").send().expect(200);
    let _ = server.get("/livez").send().expect(200);
    let _ = server.get("/nowhere").send().expect(404);
    let _ = server.request("BREW", "/nowhere").send().expect(404);
    let _ = server.get("/api/speaker/run").send().expect(405);
    let gated = server.run("speaker", "hi").header("x-gate", "refuse");
    let _ = gated.send().expect(403);

    let page = watched.page();
    let total = "mortise_http_requests_total";
    page.expect(total, &with(RUN, ("status", "2xx")), 2.0);
    page.expect(total, &with(RUN, ("status", "4xx")), 2.0);
    let get = |route| [("method", "GET"), ("route", route)];
    page.expect(total, &with(get("/api/heard"), ("status", "2xx")), 1.0);
    page.expect(total, &with(get("/livez"), ("status", "2xx")), 1.0);
    page.expect(total, &with(get("unmatched"), ("status", "4xx")), 2.0);
    let other = [("method", "other"), ("route", "unmatched")];
    page.expect(total, &with(other, ("status", "4xx")), 1.0);
    page.expect("mortise_http_request_duration_seconds_count", &RUN, 4.0);
    page.expect("mortise_http_requests_in_progress", &[], 0.0);
    page.expect(
        "mortise_guard_refusals_total",
        &[("plugin", "fixture")],
        1.0,
    );
    // Whoever reads the page is not on it.
    let scrapes = page
        .series()
        .any(|it| it.labels.values().any(|it| it == "/metrics"));
    assert!(!scrapes, "{page}");
}

#[test]
fn an_event_stream_is_open_until_it_ends_and_its_run_too() {
    let watched = speaker();
    let mut run = watched
        .server
        .stream("interactive", r#"call confirm {"q":"sure?"}"#);
    run.wait_for("TOOL_CALL_END");
    let interactive = [("agent", "interactive")];

    let page = watched.page();
    page.expect("mortise_http_event_streams_open", &[], 1.0);
    page.expect("mortise_runs_running", &interactive, 1.0);
    page.expect("mortise_runs_waiting", &interactive, 1.0);
    page.expect("mortise_runs_running", &[("agent", "speaker")], 0.0);

    let answer = json!({
        "runId": run.run_id(), "toolCallId": "call_1", "status": "error", "error": "no",
    });
    let answer = watched
        .server
        .post("/api/interactive/run/tool-result")
        .json(&answer);
    let _ = answer.send().expect(204);
    run.finish();
    let page = watched.wait_for("mortise_http_event_streams_open", &[], 0.0);
    page.expect("mortise_runs_running", &interactive, 0.0);
    page.expect("mortise_runs_waiting", &interactive, 0.0);
    let error = [("agent", "interactive"), ("outcome", "error")];
    page.expect("mortise_tool_calls_total", &error, 1.0);
}

#[test]
fn a_client_that_goes_before_its_answer_has_no_status() {
    let watched = Watched::of(plain(ADMIN).start());
    let client = watched.server.run("plain", "slow").hold();
    let _ = watched.wait_for("mortise_runs_started_total", &[("agent", "plain")], 1.0);
    drop(client);
    let labels = with(RUN, ("status", "none"));
    let page = watched.wait_for("mortise_http_requests_total", &labels, 1.0);
    page.expect("mortise_http_requests_in_progress", &[], 0.0);
    let aborted = [("agent", "plain"), ("end", "aborted")];
    let _ = watched.wait_for("mortise_runs_ended_total", &aborted, 1.0);
}

#[test]
fn runs_are_counted_with_what_they_used() {
    let watched = speaker();
    let server = &watched.server;
    let _ = server
        .run("speaker", r#"{"say":["hi"],"calls":1}"#)
        .send()
        .expect(200);
    server.stream("speaker", r#"{"say":["hi"]}"#).finish();
    let _ = server.run("plain", "crash").send().expect(500);
    let mut slow = server.stream("plain", "slow");
    slow.wait_for("TEXT_MESSAGE_CONTENT");
    let abort = format!("/api/plain/runs/{}/abort", slow.run_id());
    let _ = server.post(&abort).send().expect(204);
    slow.finish();

    let page = watched.page();
    let speaker = ("agent", "speaker");
    page.expect("mortise_runs_started_total", &[speaker], 2.0);
    page.expect(
        "mortise_runs_ended_total",
        &[speaker, ("end", "finished")],
        2.0,
    );
    page.expect("mortise_run_duration_seconds_count", &[speaker], 2.0);
    let plain = ("agent", "plain");
    page.expect("mortise_runs_started_total", &[plain], 2.0);
    page.expect("mortise_runs_ended_total", &[plain, ("end", "failed")], 1.0);
    page.expect(
        "mortise_runs_ended_total",
        &[plain, ("end", "aborted")],
        1.0,
    );
    page.expect(
        "mortise_runs_ended_total",
        &[plain, ("end", "finished")],
        0.0,
    );

    page.expect(
        "mortise_tool_calls_total",
        &[speaker, ("outcome", "ok")],
        1.0,
    );
    let model = ("model", "fixture/speaker");
    page.expect("mortise_model_requests_total", &[speaker, model], 3.0);
    let tokens = |kind| [speaker, model, ("kind", kind)];
    page.expect("mortise_tokens_total", &tokens("input"), 300.0);
    page.expect("mortise_tokens_total", &tokens("output"), 60.0);
    page.expect("mortise_tokens_total", &tokens("reasoning"), 0.0);
    page.expect("mortise_cost_total", &[speaker, model], 0.000_54);
}

#[test]
fn a_restart_begins_anew() {
    let watched = Watched::of(plain(ADMIN).start());
    let _ = watched.server.run("plain", "hi").send().expect(200);
    let plain = [("agent", "plain")];
    watched
        .page()
        .expect("mortise_runs_started_total", &plain, 1.0);
    let watched = Watched::of(watched.server.restart());
    watched
        .page()
        .expect("mortise_runs_started_total", &plain, 0.0);
}

#[test]
fn jobs_are_counted_by_how_they_end() {
    let watched = Watched::of(plain(ADMIN).start());
    let server = &watched.server;
    let enqueue = |input: &str| {
        let job = json!({ "input": input });
        let accepted = server.post("/api/-/agents/plain/jobs").json(&job).send();
        accepted.expect(202).json()["id"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    enqueue("hi");
    let ended = "mortise_jobs_ended_total";
    let plain = ("agent", "plain");
    let _ = watched.wait_for(ended, &[plain, ("state", "success")], 1.0);
    let slow = enqueue("slow");
    let _ = watched.wait_for("mortise_jobs_running", &[], 1.0);
    let cancel = server.request("DELETE", &format!("/api/-/jobs/{slow}"));
    let _ = cancel.send().expect(204);
    let page = watched.wait_for(ended, &[plain, ("state", "cancelled")], 1.0);
    page.expect("mortise_jobs_enqueued_total", &[plain], 2.0);
    let _ = watched.wait_for("mortise_jobs_running", &[], 0.0);
}

#[test]
fn panics_of_a_plugin_are_counted_until_its_hooks_are_off() {
    let config = format!(
        "{ADMIN}\n[[plugins.load]]\nname = \"bad\"\nlibrary = \"misbehaving\"\n\
         config = {{ panic_in = \"guard\" }}\n"
    );
    let watched = Watched::of(plain(&config).start());
    for _ in 0..7 {
        let _ = watched.server.run("plain", "hi").send().expect(500);
    }
    let page = watched.page();
    let bad = [("plugin", "bad")];
    page.expect("mortise_plugin_panics_total", &bad, 5.0);
    page.expect("mortise_plugin_switched_off_total", &bad, 1.0);
    page.expect("mortise_hook_failures_total", &bad, 7.0);
    page.expect("mortise_guard_refusals_total", &bad, 7.0);
    page.expect(
        "mortise_http_requests_total",
        &with(RUN, ("status", "5xx")),
        7.0,
    );
}

#[test]
fn events_after_the_end_of_a_run_are_refused_and_counted() {
    let config = format!("{ADMIN}\n[[plugins.load]]\nname = \"bad\"\nlibrary = \"misbehaving\"\n");
    let watched = Watched::of(plain(&config).start());
    // Many, since an event may come at the very moment of the end.
    for _ in 0..30 {
        let frames = watched.server.stream("late", "hi").finish();
        let last = kinds(&frames).pop();
        assert_eq!(last.as_deref(), Some("RUN_FINISHED"));
    }
    let late = [("agent", "late")];
    let page = watched.wait_for("mortise_late_events_total", &late, 30.0);
    let finished = [("agent", "late"), ("end", "finished")];
    page.expect("mortise_runs_ended_total", &finished, 30.0);
}
