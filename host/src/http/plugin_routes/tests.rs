//! Which endpoint a request reaches, and which mounts are refused.

use mortise_plugin_api::{
    Body, Endpoint as Api, GuardVerdict, Mount, Response, Result, RouteError,
};

use super::*;
use crate::plugin::capability::BoxFuture;
use crate::plugin::request::RequestView;

/// A mount that is only looked up, or described.
pub(in crate::http) struct Listed(pub(in crate::http) MountInfo);

impl Listed {
    pub(in crate::http) fn offered(self, instance: &str) -> OfferedMount {
        OfferedMount {
            instance: instance.into(),
            routes: Routes::of(&self.0).unwrap(),
            capability: Arc::new(self),
        }
    }
}

impl MountCapability for Listed {
    fn info(&self) -> &MountInfo {
        &self.0
    }

    fn authenticate(&self, _: &Arc<RequestView>) -> BoxFuture<'static, Result<GuardVerdict>> {
        unreachable!()
    }

    fn render_error(&self, _: &RouteError) -> Result<Response> {
        unreachable!()
    }

    fn handle(
        &self,
        _: usize,
        _: &Arc<RequestView>,
        _: Body,
    ) -> BoxFuture<'static, Result<Response>> {
        unreachable!()
    }
}

fn info(value: serde_json::Value) -> MountInfo {
    serde_json::from_value(value).unwrap()
}

/// A mount: `"BASE|ABS prefix flags…: METHODS path[!]; …"`, `!` for public.
fn mount(instance: &str, spec: &str) -> OfferedMount {
    let (head, endpoints) = spec.split_once(": ").unwrap();
    let mut head = head.split(' ');
    let (kind, prefix) = (head.next().unwrap(), head.next().unwrap());
    let flags: Vec<_> = head.collect();
    let has = |flag: &str| flags.contains(&flag);
    let endpoints: Vec<_> = endpoints
        .split("; ")
        .map(|endpoint| {
            let (methods, path) = endpoint.split_once(' ').unwrap();
            serde_json::json!({
                "methods": methods.split(',').collect::<Vec<_>>(),
                "path": path.trim_end_matches('!'),
                "public": path.ends_with('!'),
            })
        })
        .collect();
    let info = info(serde_json::json!({
        "prefix": if kind == "BASE" { serde_json::json!({"base": prefix}) } else { serde_json::json!({"absolute": prefix}) },
        "access": if has("own") { "own" } else if has("open") { "public" } else { "protected" },
        "slashes": if has("strict") { "strict" } else { "lenient" },
        "methodMismatch": if has("hides") { "404" } else { "405" },
        "rendersErrors": has("renders"),
        "endpoints": endpoints,
    }));
    Listed(info).offered(instance)
}

fn build(mounts: &[(&str, &str)], base: &str) -> RouteTable {
    let mounts = mounts.iter().map(|(instance, spec)| mount(instance, spec));
    RouteTable::build(mounts.collect(), base, &Metrics::default())
}

/// `"instance#endpoint admission name=value …"`, `"instance 405 METHODS"` or `"404"`.
fn found(table: &RouteTable, method: &str, path: &str) -> String {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    match table.lookup(&method, router::cut_base(path, "/api")) {
        Lookup::Reached(reached) => {
            let params = reached.params.iter();
            let params = params.map(|(name, value)| format!(" {name}={value}"));
            format!(
                "{}#{} {:?}{}",
                reached.mount.instance,
                reached.endpoint,
                reached.admission,
                params.collect::<String>()
            )
        }
        Lookup::OtherMethods { mount, methods } => {
            let methods: Vec<_> = methods.iter().map(Method::as_str).collect();
            let status = if mount.hides_paths() { 404 } else { 405 };
            format!("{} {status} {}", mount.instance, methods.join(","))
        }
        Lookup::Unfit { mount } => format!("{} unfit", mount.instance),
        Lookup::Unknown => "404".into(),
    }
}

#[test]
fn a_mount_as_authors_build_it_reads_back() {
    let endpoint = Api::new(&["get", "post"], "/ops/:thing", |_| async {
        Ok(Response::new(204))
    });
    let described = format!("{:?}", Mount::below_base("x").endpoint(endpoint.public()));
    assert!(
        described.contains(r#"methods: ["GET", "POST"]"#),
        "{described}"
    );
}

#[test]
fn paths_and_methods_reach_endpoints() {
    let table = build(
        &[
            (
                "ops",
                "BASE  : GET /health!; GET,POST /ops/:thing; GET /ops/{thing}/{part}",
            ),
            (
                "volt",
                "ABS /volt own strict: GET /agents; POST /agents/:id/text; GET /",
            ),
            ("files", "BASE files open hides: GET /*path"),
        ],
        "/api",
    );
    let cases = [
        ("GET", "/api/health", "ops#0 Public"),
        ("GET", "/health", "ops#0 Public"),
        ("GET", "//health/", "ops#0 Public"),
        ("POST", "/api/health", "ops 405 GET"),
        ("HEAD", "/api/health", "ops 405 GET"),
        ("OPTIONS", "/api/ops/abc", "ops 405 GET,POST"),
        ("POST", "/api/ops/a%2Fb", "ops#1 Protected thing=a%2Fb"),
        ("GET", "/api/ops/a/b/", "ops#2 Protected thing=a part=b"),
        ("GET", "/volt/agents", "volt#0 Own"),
        ("GET", "/volt/agents/", "404"),
        ("GET", "/volt//agents", "404"),
        ("GET", "/volt", "volt#2 Own"),
        ("GET", "/volt/", "404"),
        ("GET", "/api/volt/agents", "404"),
        ("GET", "/voltx/agents", "404"),
        ("POST", "/volt/agents/x/text", "volt#1 Own id=x"),
        ("GET", "/api/files/a/b.js", "files#0 Public path=a/b.js"),
        ("PUT", "/api/files/a", "files 404 GET"),
        ("GET", "/api/nothing", "404"),
    ];
    for (method, path, expected) in cases {
        assert_eq!(found(&table, method, path), expected, "{method} {path}");
    }
}

#[test]
fn a_path_without_the_method_falls_through_to_a_parameter() {
    let table = build(
        &[(
            "one",
            "BASE  : GET /jobs/stats; POST /jobs/:id; GET /jobs/:id/log",
        )],
        "/api",
    );
    assert_eq!(found(&table, "GET", "/api/jobs/stats"), "one#0 Protected");
    assert_eq!(
        found(&table, "POST", "/api/jobs/stats"),
        "one#1 Protected id=stats"
    );
    assert_eq!(
        found(&table, "GET", "/api/jobs/stats/log"),
        "one#2 Protected id=stats"
    );
}

#[test]
fn public_is_exactly_one_method_of_one_path() {
    let table = build(&[("one", "BASE  : GET /x!; POST /x; GET /x/:id")], "/api");
    assert_eq!(found(&table, "GET", "/api/x"), "one#0 Public");
    assert_eq!(found(&table, "POST", "/api/x"), "one#1 Protected");
    assert_eq!(found(&table, "GET", "/api/x/1"), "one#2 Protected id=1");
}

#[test]
fn overlap_is_legal_whatever_the_parameters_are_called() {
    let table = build(
        &[
            ("one", "BASE  : GET /a/:x/b"),
            ("two", "BASE  : GET /a/:y/c; GET /a/*rest; GET /:any/z/b"),
        ],
        "/api",
    );
    assert_eq!(found(&table, "GET", "/api/a/1/b"), "one#0 Protected x=1");
    assert_eq!(found(&table, "GET", "/api/a/1/c"), "two#0 Protected y=1");
    assert_eq!(
        found(&table, "GET", "/api/a/1/d"),
        "two#1 Protected rest=1/d"
    );
    assert_eq!(found(&table, "GET", "/api/q/z/b"), "two#2 Protected any=q");
}

#[test]
fn parameters_that_lead_out_are_refused() {
    let table = build(&[("one", "BASE  : GET /f/:id; GET /g/*rest")], "/api");
    let long = "x".repeat(1025);
    let hostile = [
        "..",
        "%2e%2e",
        "%2E.",
        "..%2Fx",
        "x%2f..%2fy",
        "..%5cx",
        "%00",
        "a%0Ab",
        "a%7F",
        &long,
    ];
    for value in hostile {
        assert_eq!(
            found(&table, "GET", &format!("/api/f/{value}")),
            "one unfit",
            "{value}"
        );
    }
    assert_eq!(found(&table, "GET", "/api/g/a/../b"), "one unfit");
    for value in ["...", "a..b", "%zz", "%25", "caf%C3%A9", "a@b.c", "c%2F4"] {
        assert_eq!(
            found(&table, "GET", &format!("/api/f/{value}")),
            format!("one#0 Protected id={value}")
        );
    }
}

#[test]
fn the_mount_with_the_longest_prefix_renders_what_nobody_has() {
    let table = build(
        &[
            ("root", "ABS  renders: GET /agents"),
            ("volt", "ABS /volt renders: GET /agents"),
            ("deep", "ABS /volt/deep renders: GET /agents"),
            ("silent", "ABS /quiet: GET /agents"),
        ],
        "/api",
    );
    let renderer = |path: &str| {
        let mount = table.renderer("/api", true, router::cut_base(path, "/api"));
        mount.map_or("-", |mount| &*mount.instance).to_owned()
    };
    assert_eq!(renderer("/nothing"), "root");
    assert_eq!(renderer("/volt/nothing"), "volt");
    assert_eq!(renderer("/volt/deep/nothing"), "deep");
    assert_eq!(renderer("/voltx"), "root");
    assert_eq!(renderer("/quiet/x"), "root");
    assert_eq!(renderer("/api/nothing"), "-");
}
