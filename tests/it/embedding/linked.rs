//! One plugin type, linked in and loaded as a library: it does the same.

use mortise_host::{App, AppBuilder, BuiltApp, Decision, Event, Item, RunOptions, RunStream};
use serde_json::{Value, json};

use super::{answer, app, get, post};

/// How the plugin comes into the app.
#[derive(Debug, Clone, Copy)]
enum Way {
    Linked,
    Loaded,
}

/// Every test in both ways.
macro_rules! both_ways {
    ($($test:ident),* $(,)?) => {
        mod linked {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::Way::Linked).await;
            })*
        }

        mod loaded {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::Way::Loaded).await;
            })*
        }
    };
}

both_ways!(
    a_tool_is_called_with_checked_arguments,
    a_failing_tool_is_told_to_the_model_or_ends_the_run,
    a_tool_shows_what_it_does,
    a_client_tool_waits_for_its_answer,
    an_approval_is_asked_for_with_what_the_tool_says,
    hooks_change_what_they_may,
    a_guard_that_fails_lets_nobody_in,
    guards_are_told_of_requests,
    endpoints_answer_and_fail,
    a_wrong_setting_ends_the_start,
);

const SECTIONS: &str = r#"
[agents.all]
model = "scripted/fake-1"
instructions = "Be brief."
tools = ["add", "boom", "boom_throw", "emitter", "confirm", "wipe", "maybe"]

[agents.plain]
model = "scripted/fake-1"
instructions = "Be brief."
tools = ["add", "boom"]
"#;

async fn build(way: Way, settings: Value) -> Result<BuiltApp, String> {
    let built = match way {
        Way::Linked => app(SECTIONS).plugin::<fixture_plugin::Fixture>("fixture", settings),
        Way::Loaded => {
            let settings = settings.as_object().expect("settings are a table");
            let lines = settings
                .iter()
                .map(|(key, value)| format!("{key} = {value}"));
            with_library(&lines.collect::<Vec<_>>().join(
                "
",
            ))
        }
    };
    built.build().await.map_err(|error| error.to_string())
}

/// The entry stands before that of the model, as a linked plugin does.
fn with_library(table: &str) -> AppBuilder {
    app(&format!(
        "{SECTIONS}\n[[plugins.load]]\nname = \"fixture\"\nlibrary = \"fixture_plugin\"\n\
         [plugins.load.config]\n{table}"
    ))
}

async fn with(way: Way, settings: Value) -> App {
    let built = build(way, settings).await.expect("it can be built");
    built.start().await.expect("it starts")
}

/// What a run said last.
async fn said(app: &App, agent: &str, prompt: &str) -> String {
    let stream = app.stream(agent, prompt).await.expect("it starts");
    let result = stream.result.await.expect("it ends well");
    result.response.text_content()
}

async fn a_tool_is_called_with_checked_arguments(way: Way) {
    let app = with(way, json!({ "tools": true })).await;
    assert_eq!(
        said(&app, "all", r#"call add {"a":1,"b":2}"#).await,
        r#"Tool said: {"sum":3}"#
    );
    let unfit = said(&app, "all", r#"call add {"a":1}"#).await;
    assert!(unfit.contains(r#""errorKind":"validation""#), "{unfit}");
    app.stop().await;
}

async fn a_failing_tool_is_told_to_the_model_or_ends_the_run(way: Way) {
    let app = with(way, json!({ "tools": true })).await;
    let told = said(&app, "all", "call boom {}").await;
    assert!(told.contains("tool exploded"), "{told}");
    let stream = app.stream("all", "call boom_throw {}").await;
    let error = stream
        .expect("it starts")
        .result
        .await
        .expect_err("it fails");
    assert!(
        !error.message().contains("exploded"),
        "it is masked: {error}"
    );
    app.stop().await;
}

async fn a_tool_shows_what_it_does(way: Way) {
    let app = with(way, json!({ "tools": true })).await;
    let mut stream = app
        .stream("all", "call emitter {}")
        .await
        .expect("it starts");
    let mut shown = Vec::new();
    while let Some(event) = stream.events.next().await {
        if let Event::DataPart { id, data, .. } = event.expect("events can be read").event {
            shown.push((id, data));
        }
    }
    assert_eq!(shown, [(Some("p1".to_owned()), json!({ "progress": 50 }))]);
    app.stop().await;
}

async fn a_client_tool_waits_for_its_answer(way: Way) {
    let app = with(way, json!({ "tools": true })).await;
    let RunStream {
        run_id,
        mut events,
        result,
        ..
    } = app
        .stream("all", r#"call confirm {"q":"sure?"}"#)
        .await
        .expect("it starts");
    while let Some(event) = events.next().await {
        if let Event::ToolCallEnd { call, .. } = event.expect("events can be read").event {
            let refused = Err("nobody is there".to_owned());
            let was_pending = app.submit_tool_result(&run_id, &call.tool_call_id, refused);
            assert_eq!(was_pending.await, Ok(true));
        }
    }
    let response = result.await.expect("it ends well").response;
    assert!(response.text_content().contains("nobody is there"));
    app.stop().await;
}

async fn an_approval_is_asked_for_with_what_the_tool_says(way: Way) {
    let app = with(way, json!({ "tools": true })).await;
    assert_eq!(
        said(&app, "all", r#"call maybe {"amount":5}"#).await,
        r#"Tool said: {"paid":5}"#
    );
    let RunStream {
        run_id,
        mut events,
        result,
        ..
    } = app
        .stream("all", r#"call maybe {"amount":500}"#)
        .await
        .expect("it starts");
    let mut asked = Vec::new();
    while let Some(event) = events.next().await {
        let event = event.expect("events can be read").event;
        if let Event::ToolApprovalRequired { call, approval, .. } = event {
            asked.push(approval.meta);
            let approved = Decision::approved();
            let was_pending = app.submit_tool_approval(&run_id, &call.tool_call_id, approved);
            assert_eq!(was_pending.await, Ok(true));
        }
    }
    assert_eq!(asked, [Some(json!({ "amount": 500 }))]);
    let response = result.await.expect("it ends well").response;
    assert_eq!(response.text_content(), r#"Tool said: {"paid":500}"#);
    app.stop().await;
}

async fn hooks_change_what_they_may(way: Way) {
    let app = with(way, json!({ "tools": true, "editor": true })).await;
    assert_eq!(
        said(&app, "plain", r#"call add {"a":99,"b":1}"#).await,
        r#"Tool said: {"skipped":true}"#
    );
    let replaced = said(&app, "plain", "call boom {}").await;
    assert!(replaced.contains(r#""replaced":true"#), "{replaced}");

    let options = RunOptions::new("a secret").with_conversation("c");
    let mut stream = app.stream("plain", options).await.expect("it starts");
    let (mut kinds, mut texts) = (Vec::new(), String::new());
    while let Some(event) = stream.events.next().await {
        let event = event.expect("events can be read").event;
        kinds.push(event.kind().to_owned());
        if let Event::TextMessageContent { delta, .. } = event {
            texts.push_str(&delta);
        }
    }
    assert_eq!(texts, "HELLO WORLD");
    assert!(!kinds.contains(&"STEP_START".to_owned()), "{kinds:?}");
    let kept = app.load_conversation("plain", "c").await;
    let kept = kept.expect("the store answers").expect("it is stored");
    let kept: Vec<_> = kept.items.iter().map(Item::text).collect();
    assert_eq!(kept, ["Hello world"]);
    app.stop().await;
}

async fn a_guard_that_fails_lets_nobody_in(way: Way) {
    let app = with(way, json!({ "tools": true, "bad_guard": true })).await;
    let run = |context: Value| post("/plain/run", &json!({ "input": "hi", "context": context }));
    assert_eq!(answer(&app, run(json!({}))).await.0, 200);
    let (status, body) = answer(&app, run(json!({ "explode": true }))).await;
    assert_eq!((status, &body["code"]), (500, &json!("INTERNAL")));
    app.stop().await;
}

async fn guards_are_told_of_requests(way: Way) {
    let app = with(way, json!({ "tools": true, "spy": true })).await;
    let body = json!({ "input": "hi" });
    assert_eq!(answer(&app, post("/plain/run", &body)).await.0, 200);
    let (_, seen) = answer(&app, get("/spy")).await;
    assert_eq!(
        seen,
        json!([{ "mode": "run", "agentName": "plain", "input": { "input": "hi" } }])
    );
    app.stop().await;
}

async fn endpoints_answer_and_fail(way: Way) {
    let app = with(way, json!({ "tools": true, "endpoints": true })).await;
    assert_eq!(
        answer(&app, get("/health")).await,
        (200, json!({ "ok": true }))
    );
    assert_eq!(answer(&app, get("/ops/7")).await.1["thing"], "7");
    let (status, body) = answer(&app, get("/ops-throw")).await;
    assert_eq!((status, &body["code"]), (500, &json!("INTERNAL")));
    let (status, body) = answer(&app, get("/ops-conflict")).await;
    assert_eq!((status, &body["code"]), (409, &json!("CONFLICT")));
    app.stop().await;
}

async fn a_wrong_setting_ends_the_start(way: Way) {
    let error = build(way, json!({ "tols": true }))
        .await
        .expect_err("it is wrong");
    assert!(error.contains("`tols`"), "{way:?}: {error}");
}
