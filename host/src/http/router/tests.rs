//! Paths and methods against the built-in routes.

use super::*;
use crate::http::handlers::is_reserved;

/// `"Handler name=value …"`, `"405 METHODS"` or `"404"`.
fn reached(method: &str, path: &str, base: &str) -> String {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    match destination(&method, cut_base(path, base), true) {
        Destination::Probe => "Probe".into(),
        Destination::BuiltIn(handler, params) => {
            let params = params
                .iter()
                .map(|(name, value)| format!(" {name}={value}"));
            format!("{handler:?}{}", params.collect::<String>())
        }
        Destination::OtherMethods(methods) => {
            format!("405 {}", allow(&methods).to_str().unwrap())
        }
        Destination::Unknown => "404".into(),
    }
}

#[test]
fn every_route_by_its_method() {
    let routes = [
        ("POST", "/plain/run", "Run name=plain"),
        (
            "GET",
            "/plain/conversations/c",
            "LoadConversation name=plain id=c",
        ),
        (
            "GET",
            "/plain/stream-events/resume",
            "ResumeStream name=plain",
        ),
        (
            "GET",
            "/plain/conversations/c/resume",
            "ResumeConversation name=plain id=c",
        ),
        ("POST", "/plain/runs/r/abort", "AbortRun name=plain runId=r"),
        ("POST", "/plain/run/tool-result", "ToolResult name=plain"),
        (
            "POST",
            "/plain/run/tool-approval",
            "ToolApproval name=plain",
        ),
        ("GET", "/-/agents", "ListAgents"),
        ("GET", "/-/usage", "ShowUsage"),
        ("POST", "/tools/add/execute", "ExecuteTool tool=add"),
    ];
    for (own, path, expected) in routes {
        for base in ["", "/api", "/a/b"] {
            assert_eq!(reached(own, &format!("{base}{path}"), base), expected);
            assert_eq!(reached(own, path, base), expected, "also outside of {base}");
        }
        for method in [
            "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "FOO",
        ] {
            if method != own {
                assert_eq!(
                    reached(method, path, ""),
                    format!("405 {own}"),
                    "{method} {path}"
                );
            }
        }
    }
}

#[test]
fn the_document_is_at_the_root_alone() {
    assert_eq!(reached("GET", "/openapi.json", "/api"), "ShowDocument");
    assert_eq!(reached("POST", "/openapi.json", "/api"), "405 GET");
    assert_eq!(reached("GET", "/api/openapi.json", "/api"), "404");
}

#[test]
fn a_tool_has_no_path_where_none_is_open() {
    for method in [Method::POST, Method::GET] {
        let path = cut_base("/api/tools/add/execute", "/api");
        let destination = destination(&method, path, false);
        assert!(matches!(destination, Destination::Unknown));
    }
}

#[test]
fn paths_are_taken_as_they_come() {
    let cases = [
        ("/api/plain/run/", "Run name=plain"),
        ("/api//plain//run", "Run name=plain"),
        ("/apix/plain/run", "404"),
        ("/api/pl%61in/run", "Run name=pl%61in"),
        ("/api/plain/r%75n", "404"),
        ("/API/plain/run", "404"),
        ("/api/plain/Run", "404"),
        ("/api/plain/run;x=1", "404"),
        ("/api/plain/run%20", "404"),
        ("/api/./plain/run", "404"),
        ("/api/x/../plain/run", "404"),
        ("//api/plain/run", "404"),
        ("/api", "404"),
        ("/api/", "404"),
        ("/", "404"),
        ("", "404"),
        ("*", "404"),
        ("/api/a/b/c/d/e", "404"),
        ("/api/plain/conversations/c%2F4%20x", "405 GET"),
        ("/api/pl%00ain/run", "404"),
        ("/api/plain/runs/r%0a/abort", "404"),
        ("/api/../run", "Run name=.."),
    ];
    for (path, expected) in cases {
        assert_eq!(reached("POST", path, "/api"), expected, "{path}");
    }
}

#[test]
fn probes_are_at_the_root_only() {
    assert_eq!(reached("GET", "/livez", "/api"), "Probe");
    assert_eq!(reached("GET", "/readyz", ""), "Probe");
    assert_eq!(reached("HEAD", "/livez", ""), "405 GET");
    assert_eq!(reached("GET", "/api/livez", "/api"), "404");
    assert_eq!(reached("GET", "/livez/", ""), "404");
}

#[test]
fn what_the_server_answers_itself_is_reserved() {
    let cases = [
        ("POST", "/api/{}/run", true),
        ("POST", "/{}/run", true),
        ("POST", "/api//{}/run/", true),
        ("GET", "/{}/run", false),
        ("POST", "/api/name/run", false),
        ("GET", "/api/{}/{}", false),
        ("PUT", "/api/-/anything", true),
        ("GET", "/-/runs/{}", true),
        ("PUT", "/-/anything", false),
        ("POST", "/api/tools/{}/execute", false),
        ("GET", "/livez", true),
        ("HEAD", "/readyz", true),
        ("POST", "/livez", false),
        ("GET", "/api/livez", false),
        ("GET", "/openapi.json", true),
        ("GET", "/", false),
    ];
    for (method, path, expected) in cases {
        let own = Method::from_bytes(method.as_bytes()).unwrap();
        assert_eq!(is_reserved(&own, path, "/api"), expected, "{method} {path}");
    }
    assert!(is_reserved(&Method::GET, "/-/anything", ""));
}
