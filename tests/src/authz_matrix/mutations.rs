//! Ways to write a request so that one reader takes it for another than the next.

/// A change of the path in the request line.
pub(super) struct Mutation {
    pub(super) name: &'static str,
    change: fn(&str) -> String,
}

/// Methods beside those that routes have.
pub(super) const METHODS: [&str; 13] = [
    "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "get", "post", "Get",
    "PROPFIND", "FOO",
];

/// Headers by which some servers take another path, method or origin for the one that was sent.
pub(super) const HEADERS: [&str; 16] = [
    "x-original-url: /livez",
    "x-rewrite-url: /livez",
    "x-original-url: /api/-/agents",
    "x-forwarded-path: /own/open",
    "x-forwarded-prefix: /own",
    "x-forwarded-uri: /livez",
    "x-http-method-override: GET",
    "x-http-method: GET",
    "x-method-override: POST",
    "x-forwarded-for: 127.0.0.1",
    "x-real-ip: 127.0.0.1",
    "forwarded: for=127.0.0.1;host=localhost;proto=https",
    "x-forwarded-host: localhost",
    "x-forwarded-user: ann",
    "x-user-id: ann",
    "x-tenant: acme",
];

/// The changes; the first is none.
pub(super) const MUTATIONS: [Mutation; 66] = [
    Mutation::new("none", str::to_owned),
    // Slashes.
    Mutation::new("trailing slash", |path| format!("{path}/")),
    Mutation::new("two trailing slashes", |path| format!("{path}//")),
    Mutation::new("leading double slash", |path| format!("/{path}")),
    Mutation::new("three leading slashes", |path| format!("//{path}")),
    Mutation::new("every slash double", |path| path.replace('/', "//")),
    Mutation::new("last slash double", |path| at_last_slash(path, "//")),
    Mutation::new("without a leading slash", |path| path[1..].to_owned()),
    // Dot segments.
    Mutation::new("leading dot", |path| format!("/.{path}")),
    Mutation::new("trailing dot segment", |path| format!("{path}/.")),
    Mutation::new("trailing parent", |path| format!("{path}/..")),
    Mutation::new("trailing parent and back", |path| {
        format!("{path}/../{}", last(path))
    }),
    Mutation::new("inner dot", |path| at_last_slash(path, "/./")),
    Mutation::new("inner parent", |path| at_last_slash(path, "/x/../")),
    Mutation::new("out of nowhere", |path| format!("/x/..{path}")),
    Mutation::new("out of a probe", |path| format!("/livez/..{path}")),
    Mutation::new("out of a public route", |path| {
        format!("/own/open/..{path}")
    }),
    Mutation::new("over the root", |path| format!("/../..{path}")),
    Mutation::new("escaped dot", |path| format!("/%2e{path}")),
    Mutation::new("escaped parent", |path| format!("/livez/%2e%2e{path}")),
    Mutation::new("escaped parent, upper case", |path| {
        format!("/livez/%2E%2E{path}")
    }),
    Mutation::new("parent, escaped twice", |path| {
        format!("/livez/%252e%252e{path}")
    }),
    Mutation::new("half escaped parent", |path| format!("/livez/.%2e{path}")),
    Mutation::new("parent with a semicolon", |path| {
        format!("/livez/..;{path}")
    }),
    Mutation::new("inner parent with a semicolon", |path| {
        at_last_slash(path, "/..;/")
    }),
    // Other slashes.
    Mutation::new("escaped last slash", |path| at_last_slash(path, "%2f")),
    Mutation::new("escaped last slash, upper case", |path| {
        at_last_slash(path, "%2F")
    }),
    Mutation::new("last slash, escaped twice", |path| {
        at_last_slash(path, "%252f")
    }),
    Mutation::new("every slash escaped", |path| {
        format!("/{}", path[1..].replace('/', "%2f"))
    }),
    Mutation::new("backslash", |path| at_last_slash(path, "\\")),
    Mutation::new("every slash a backslash", |path| path.replace('/', "\\")),
    Mutation::new("escaped backslash", |path| at_last_slash(path, "%5c")),
    Mutation::new("parent with a backslash", |path| {
        format!("/livez\\..{path}")
    }),
    Mutation::new("slash of full width", |path| {
        at_last_slash(path, "\u{ff0f}")
    }),
    Mutation::new("overlong slash", |path| at_last_slash(path, "%c0%af")),
    Mutation::new("overlong slash of three bytes", |path| {
        at_last_slash(path, "%e0%80%af")
    }),
    Mutation::new("overlong parent", |path| {
        format!("/livez/%c0%ae%c0%ae{path}")
    }),
    // Bytes that end a text for somebody.
    Mutation::new("escaped null", |path| format!("{path}%00")),
    Mutation::new("escaped null and an ending", |path| {
        format!("{path}%00.png")
    }),
    Mutation::new("null", |path| format!("{path}\0")),
    Mutation::new("escaped space", |path| format!("{path}%20")),
    Mutation::new("escaped tab", |path| format!("{path}%09")),
    Mutation::new("escaped line break", |path| format!("{path}%0d%0ax:y")),
    Mutation::new("space", |path| format!("{path} x")),
    Mutation::new("delete character", |path| format!("{path}\u{7f}")),
    Mutation::new("escaped question mark", |path| format!("{path}%3f")),
    Mutation::new("escaped hash", |path| format!("{path}%23")),
    Mutation::new("broken escape", |path| format!("{path}%zz")),
    Mutation::new("cut escape", |path| format!("{path}%")),
    // Letters.
    Mutation::new("escaped letter", |path| {
        let (first, rest) = last(path).split_at(1);
        format!("{}{}{rest}", up_to_last(path), escaped(first))
    }),
    Mutation::new("last segment escaped", |path| {
        format!("{}{}", up_to_last(path), escaped(last(path)))
    }),
    Mutation::new("whole path escaped", |path| {
        let segments: Vec<_> = path[1..].split('/').map(escaped).collect();
        format!("/{}", segments.join("/"))
    }),
    Mutation::new("upper case", str::to_uppercase),
    Mutation::new("last segment in upper case", |path| {
        format!("{}{}", up_to_last(path), last(path).to_uppercase())
    }),
    // Endings and parameters.
    Mutation::new("semicolon", |path| format!("{path};")),
    Mutation::new("path parameter", |path| format!("{path};a=b")),
    Mutation::new("session in the path", |path| {
        at_last_slash(path, ";jsessionid=1/")
    }),
    Mutation::new("public name as a parameter", |path| {
        format!("{path};/livez")
    }),
    Mutation::new("dot at the end", |path| format!("{path}.")),
    Mutation::new("ending", |path| format!("{path}.json")),
    Mutation::new("longer last segment", |path| format!("{path}x")),
    Mutation::new("longer first segment", |path| {
        path.replacen("/api", "/apix", 1)
    }),
    Mutation::new("base path twice", |path| format!("/api{path}")),
    Mutation::new("fragment", |path| format!("{path}#/livez")),
    // Other forms of a request line.
    Mutation::new("absolute form", |path| format!("http://127.0.0.1{path}")),
    Mutation::new("absolute form of another host", |path| {
        format!("http://livez{path}")
    }),
];

// === impl Mutation ===

impl Mutation {
    const fn new(name: &'static str, change: fn(&str) -> String) -> Self {
        Self { name, change }
    }

    /// The target with its path changed, its query as it was.
    pub(super) fn apply(&self, target: &str) -> String {
        match target.split_once('?') {
            Some((path, query)) => format!("{}?{query}", (self.change)(path)),
            None => (self.change)(target),
        }
    }
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

fn up_to_last(path: &str) -> &str {
    &path[..path.len() - last(path).len()]
}

fn at_last_slash(path: &str, instead: &str) -> String {
    format!(
        "{}{instead}{}",
        up_to_last(path).trim_end_matches('/'),
        last(path)
    )
}

fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |escaped, byte| {
        format!("{escaped}%{byte:02x}")
    })
}
