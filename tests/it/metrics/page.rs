//! Where the page is, who reads it, and that it does not grow.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;

use integration_tests::{MetricsPage, Request, ServerBuilder, workspace};

use super::{ADMIN, Watched};
use crate::support::{SCRIPTED, assert_code, plain};

#[test]
fn the_page_is_at_an_address_of_its_own() {
    let config = format!("[server]\nsecret = \"s3cret\"\n{ADMIN}");
    let watched = Watched::of(plain(&config).start());
    let asked = |method: &str, path: &str| Request::new(watched.admin, method, path).send();

    let page = asked("GET", "/metrics").expect(200);
    assert_eq!(
        page.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    for path in ["/livez", "/readyz"] {
        let _ = asked("GET", path).expect(200);
    }
    for path in [
        "/",
        "/metrics/",
        "/api/metrics",
        "/api/-/agents",
        "/api/-/runs",
        "/openapi.json",
    ] {
        let refused = Request::new(watched.admin, "GET", path).bearer("s3cret");
        assert_code(&refused.send().expect(404).json(), "NOT_FOUND");
    }
    let posted = asked("POST", "/metrics").expect(405);
    assert_eq!(posted.header("allow"), Some("GET"));

    let server = &watched.server;
    for path in ["/metrics", "/api/metrics"] {
        let elsewhere = server.get(path).bearer("s3cret").send().expect(404);
        assert_code(&elsewhere.json(), "NOT_FOUND");
    }
}

#[test]
fn without_the_key_there_is_no_page() {
    let server = plain("").start();
    let _ = server.get("/metrics").send().expect(404);
}

#[test]
fn a_page_that_others_reach_is_warned_about() {
    let open = ADMIN.replace("127.0.0.1", "0.0.0.0");
    let server = plain(&open).start();
    let log = server.wait_for_log("admin.listen");
    assert!(log.contains("asks nobody who they are"), "{log}");
    let _ = server.stop();
    let server = plain(ADMIN).start();
    assert!(!server.log().contains("admin.listen"), "{}", server.log());
}

#[test]
fn an_address_that_cannot_be_ends_the_start() {
    let refused = |listen: &str| plain(&format!("[admin]\nlisten = \"{listen}\"")).fail();
    for (listen, hint) in [
        ("9090", "address"),
        ("localhost", "address"),
        ("127.0.0.1", "address"),
    ] {
        let ended = refused(listen);
        assert_eq!(ended.status.code(), Some(2), "{ended:#?}");
        assert!(ended.log.contains("listen"), "{}", ended.log);
        assert!(ended.log.contains(hint), "{}", ended.log);
    }
    let taken = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = taken.local_addr().expect("it listens");
    let busy = refused(&address.to_string());
    assert_eq!(busy.status.code(), Some(1), "{busy:#?}");
    let port = address.port().to_string();
    assert!(busy.log.contains(&port), "{}", busy.log);
    assert!(busy.log.contains("admin.listen"), "{}", busy.log);

    let same = format!("[server]\nport = {port}\n[admin]\nlisten = \"{address}\"\n{SCRIPTED}");
    let same = ServerBuilder::new(&same).without_port().fail();
    assert_eq!(same.status.code(), Some(2), "{same:#?}");
    assert!(same.log.contains("a port of its own"), "{}", same.log);
}

#[test]
fn what_clients_send_makes_no_series() {
    let config = format!("[server]\nsecret = \"s3cret\"\n{ADMIN}");
    let watched = Watched::of(plain(&config).start());
    let server = &watched.server;
    let methods = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"];
    let paths = |word: &str| {
        [
            format!("/{word}"),
            format!("/api/{word}/run"),
            format!("/api/-/runs/{word}"),
            format!("/api/plain/conversations/{word}?x={word}"),
            format!("/api/{word}/{word}/{word}/{word}/{word}"),
        ]
    };
    let ask = |method: &str, path: &str, word: &str, token: &str| {
        let request = server.anonymous(method, path).bearer(token);
        let _ = request
            .header("user-agent", word)
            .header("x-request-id", word)
            .header("x-forwarded-for", word)
            .send();
    };
    for method in methods {
        for path in paths("first") {
            ask(method, &path, "first", "s3cret");
            ask(method, &path, "first", "wrong");
        }
    }
    let before: BTreeSet<_> = watched.page().series().cloned().collect();
    assert!(before.len() <= 2000, "{}", before.len());

    let mut rng = fastrand::Rng::with_seed(7);
    for number in 0..5000 {
        let word: String = (0..12).map(|_| rng.alphanumeric()).collect();
        let method = if number % 3 == 0 {
            let length = rng.usize(3..9);
            (0..length).map(|_| rng.uppercase()).collect()
        } else {
            methods[number % methods.len()].to_owned()
        };
        let token = if rng.bool() { "s3cret" } else { "wrong" };
        ask(&method, &paths(&word)[number % 5], &word, token);
    }

    let page = MetricsPage::ask(watched.admin).expect(200);
    assert!(!page.text().contains("s3cret"));
    let after: BTreeSet<_> = MetricsPage::read(&page).series().cloned().collect();
    let new: Vec<_> = after.difference(&before).collect();
    assert!(new.is_empty(), "{new:?}");
    let total = watched.page();
    let counted: f64 = total
        .series()
        .filter(|it| it.name == "mortise_http_requests_total")
        .map(|it| {
            let labels: Vec<_> = it.labels.iter().map(|(k, v)| (&**k, &**v)).collect();
            total.get(&it.name, &labels).unwrap_or_default()
        })
        .sum();
    assert!(counted >= 5070.0, "{counted}");
}

#[test]
fn every_number_is_described_and_all_descriptions_are_true() {
    let config = format!(
        "{ADMIN}\n[prices.\"fixture/speaker\"]\ninput = \"1\"\noutput = \"4\"\n\
         [[plugins.load]]\nname = \"fixture\"\nlibrary = \"fixture_plugin\"\n\
         config = {{ speaker = true }}\n\
         [[plugins.load]]\nname = \"rate-limit\"\n\
         config = {{ rules = [{{ max = 2, window = \"1h\" }}] }}\n\
         [agents.speaker]\nmodel = \"fixture/speaker\"\n"
    );
    let watched = Watched::of(plain(&config).start());
    let server = &watched.server;
    let job = serde_json::json!({ "input": "hi" });
    let enqueued = server.post("/api/-/agents/speaker/jobs").json(&job).send();
    let _ = enqueued.expect(202);
    let labels = [("agent", "speaker"), ("state", "success")];
    let _ = watched.wait_for("mortise_jobs_ended_total", &labels, 1.0);
    let _ = server.run("speaker", "hi").send().expect(200);
    let _ = server.run("speaker", "hi").send().expect(429);

    let page = watched.page();
    let mut shown = BTreeSet::new();
    for (name, kind, help) in page.kinds() {
        assert!(["counter", "gauge", "histogram"].contains(&kind), "{name}");
        assert!(!help.is_empty(), "{name}");
        let name = match kind {
            "histogram" => ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|it| name.strip_suffix(it))
                .unwrap_or(name),
            _ => name,
        };
        if !name.starts_with("mortise_plugin_rate_limit_") {
            shown.insert((name.to_owned(), kind.to_owned()));
        }
    }
    let guide = workspace().join("docs/operating.md");
    let guide = fs::read_to_string(guide).expect("the guide is there");
    let rows = guide.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let name = cells.next()?.strip_suffix('`')?;
        let is_number = name.starts_with("mortise_") || name.starts_with("process_");
        Some((name.to_owned(), cells.next()?.to_owned())).filter(|_| is_number)
    });
    assert_eq!(rows.collect::<BTreeSet<_>>(), shown);
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    page.expect("mortise_build_info", &version, 1.0);
    page.expect("mortise_store_failing", &[], 0.0);
}
