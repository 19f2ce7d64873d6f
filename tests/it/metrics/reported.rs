//! The numbers that plugins report.

use serde_json::{Value, json};

use super::{ADMIN, Watched};
use crate::support::plain;

/// Two instances of one library, of which the first reports what it is sent.
fn metered() -> Watched {
    let config = format!(
        "{ADMIN}\n[[plugins.load]]\nname = \"fixture\"\nlibrary = \"fixture_plugin\"\n\
         config = {{ meter = true }}\n"
    );
    Watched::of(plain(&config).start())
}

fn report(watched: &Watched, numbers: &Value) {
    let _ = watched
        .server
        .post("/api/meter")
        .json(numbers)
        .send()
        .expect(204);
}

#[test]
fn they_stand_under_the_names_of_library_and_instance() {
    let watched = metered();
    report(
        &watched,
        &json!([
            { "kind": "count", "name": "books_total", "value": 1.5, "labels": [["kind", "new"]] },
            { "kind": "count", "name": "books_total", "value": 2, "labels": [["kind", "new"]] },
            { "kind": "count", "name": "books_total", "value": 1, "labels": [["kind", "a,b=\"c\"\\\n"]] },
            { "kind": "gauge", "name": "open", "value": 3 },
            { "kind": "gauge", "name": "open", "value": -1 },
            { "kind": "record", "name": "wait_seconds", "value": 0.2 },
            { "kind": "record", "name": "wait_seconds", "value": 4000 },
        ]),
    );
    let page = watched.page();
    let plugin = ("plugin", "fixture");
    let books = "mortise_plugin_fixture_plugin_books_total";
    page.expect(books, &[plugin, ("kind", "new")], 3.5);
    page.expect(books, &[plugin, ("kind", "a,b=\"c\"\\\n")], 1.0);
    page.expect("mortise_plugin_fixture_plugin_open", &[plugin], -1.0);
    let wait = "mortise_plugin_fixture_plugin_wait_seconds";
    page.expect(&format!("{wait}_sum"), &[plugin], 4000.2);
    page.expect(&format!("{wait}_bucket"), &[plugin, ("le", "0.25")], 1.0);
    page.expect(&format!("{wait}_bucket"), &[plugin, ("le", "1800")], 1.0);
    page.expect(&format!("{wait}_bucket"), &[plugin, ("le", "+Inf")], 2.0);
    page.expect("mortise_plugin_series_dropped_total", &[plugin], 0.0);
}

#[test]
fn what_does_not_fit_is_dropped_and_logged_once_for_each_name() {
    let watched = metered();
    let shrinking = json!([{ "kind": "count", "name": "a_total", "value": -1 }]);
    for numbers in [
        &json!([{ "kind": "count", "name": "a_total", "value": 1 }]),
        &shrinking,
        &shrinking,
        &json!([{ "kind": "gauge", "name": "a_total", "value": 1 }]),
        &json!([{ "kind": "count", "name": "a_total", "value": 1, "labels": [["k", "v"]] }]),
        &json!([{ "kind": "gauge", "name": "b", "value": 1, "labels": [["plugin", "other"]] }]),
        &json!([{ "kind": "gauge", "name": "b{}", "value": 1 }]),
    ] {
        report(&watched, numbers);
    }
    let page = watched.page();
    let plugin = [("plugin", "fixture")];
    page.expect("mortise_plugin_fixture_plugin_a_total", &plugin, 1.0);
    page.expect("mortise_plugin_series_dropped_total", &plugin, 6.0);
    let log = watched.server.wait_for_log("b{}");
    assert_eq!(log.matches("a number is dropped").count(), 3, "{log}");
}

#[test]
fn an_instance_cannot_fill_the_page() {
    let watched = metered();
    let number = |number: usize| {
        let labels = [["k", &format!("v{number}")]];
        json!({ "kind": "count", "name": "flood_total", "value": 1, "labels": labels })
    };
    let numbers: Vec<_> = (0..1200).map(number).collect();
    report(&watched, &json!(numbers));
    report(&watched, &json!(numbers));
    let page = watched.page();
    let flood = page.series().filter(|it| it.name.ends_with("flood_total"));
    assert_eq!(flood.count(), 1000);
    let plugin = ("plugin", "fixture");
    page.expect("mortise_plugin_series_dropped_total", &[plugin], 400.0);
    let labels = [plugin, ("k", "v999")];
    page.expect("mortise_plugin_fixture_plugin_flood_total", &labels, 2.0);
    let log = watched.server.log();
    assert_eq!(log.matches("a number is dropped").count(), 1, "{log}");
}

#[test]
fn a_shipped_plugin_reports_its_own() {
    let config = format!(
        "{ADMIN}\n[[plugins.load]]\nname = \"limits\"\nlibrary = \"rate_limit\"\n\
         config = {{ rules = [{{ max = 1, window = \"1h\" }}] }}\n"
    );
    let watched = Watched::of(plain(&config).start());
    let _ = watched.server.run("plain", "hi").send().expect(200);
    let _ = watched.server.run("plain", "hi").send().expect(429);
    let _ = watched.server.run("plain", "hi").send().expect(429);
    let page = watched.page();
    let labels = [("plugin", "limits"), ("rule", "0")];
    page.expect("mortise_plugin_rate_limit_refused_total", &labels, 2.0);
    let limited = [("method", "POST"), ("route", "/api/{name}/run")];
    page.expect("mortise_http_limited_total", &limited, 2.0);
}

#[test]
fn without_a_page_plugins_report_to_nobody() {
    let config = "[[plugins.load]]\nname = \"fixture\"\nlibrary = \"fixture_plugin\"\n\
                  config = { meter = true }\n";
    let server = plain(config).start();
    let number = json!([{ "kind": "count", "name": "a b", "value": -1 }]);
    let _ = server.post("/api/meter").json(&number).send().expect(204);
    assert!(!server.log().contains("a number"), "{}", server.log());
}
