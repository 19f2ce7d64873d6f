//! What a request must be answered with, from the documents of the HTTP API alone.
//!
//! Nothing here is shared with the server: two readings of one page that differ are a finding.

use super::credentials::Holder;

/// The base path of the servers.
pub(super) const BASE: &str = "/api";

/// What must come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    Status(u16),
    /// Status 200, the same to everybody.
    Open,
    /// There is no such route or method, or it is no request: refused, whoever asks.
    Nowhere,
}

/// What belongs to the owner.
#[derive(Debug, Clone)]
pub(super) struct Owned {
    pub(super) conversation: String,
    /// A streamed run that has ended.
    pub(super) run: String,
    /// A job that has ended.
    pub(super) job: String,
}

/// Who may call a route.
enum Access {
    Everybody,
    /// Whoever names themselves in `x-own`.
    Own,
    /// Whoever the server lets in; the answer to strangers, and to the owner.
    Protected {
        stranger: u16,
        owner: u16,
    },
}

/// What the server answers to this request line.
pub(super) fn expected(
    method: &str,
    target: &str,
    holder: Holder,
    names_own: bool,
    owned: &Owned,
) -> Expected {
    let Some(access) = access(method, target, owned) else {
        return Expected::Nowhere;
    };
    Expected::Status(match (access, holder) {
        (Access::Everybody, _) => return Expected::Open,
        (Access::Own, _) if names_own => 200,
        (Access::Own, _) | (Access::Protected { .. }, Holder::Nobody) => 401,
        (Access::Protected { .. }, Holder::Scopeless) => 403,
        (Access::Protected { stranger, .. }, Holder::Stranger) => stranger,
        (Access::Protected { owner, .. }, Holder::Owner) => owner,
    })
}

fn access(method: &str, target: &str, owned: &Owned) -> Option<Access> {
    let target = target
        .strip_prefix("http://")
        .map_or(target, |rest| &rest[rest.find('/').unwrap_or(rest.len())..]);
    let is_text = !target.bytes().any(|byte| byte <= b' ');
    if !is_text || !target.starts_with('/') {
        return None;
    }
    let sent = target.split('#').next()?;
    let (path, query) = sent.split_once('?').unwrap_or((sent, ""));
    // The servers are in development.
    if ["/livez", "/readyz", "/openapi.json"].contains(&path) {
        return (method == "GET").then_some(Access::Everybody);
    }
    let below = match path.strip_prefix(BASE) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
        _ => path,
    };
    let native = native(method, &segments(below), query, owned);
    native
        .or_else(|| plugin(method, &segments(below)))
        .or_else(|| own(method, &segments(path)))
}

/// The routes of the server itself.
fn native(method: &str, path: &[&str], query: &str, owned: &Owned) -> Option<Access> {
    let alike = |status| Access::Protected {
        stranger: status,
        owner: status,
    };
    let names: &[&str] = match path {
        ["-", "conversations", name, id]
        | [name, "conversations", id]
        | [name, "conversations", id, "resume"]
        | [name, "runs", id, "abort"]
        | [name @ "-", "runs" | "jobs", id]
        | [name @ "-", "agents", id, "jobs"]
        | [name @ "tools", id, "execute"] => &[name, id],
        [name, ..] => &[name],
        [] => return None,
    };
    if names.iter().any(|name| has_control(&decoded(name))) {
        return None;
    }
    let is_known = ["plain", "interactive"].contains(&names[0]);
    Some(match (method, path) {
        ("POST", [_, "run"]) => alike(if is_known { 200 } else { 404 }),
        ("GET", [_, "conversations", _] | [_, "conversations", _, "resume"]) if !is_known => {
            alike(404)
        }
        ("GET", [_, "conversations", id]) => Access::Protected {
            stranger: if is_blank(id) { 422 } else { 204 },
            owner: match decoded(id).trim() {
                "" => 422,
                _ if decoded(id) == owned.conversation && names[0] == "plain" => 200,
                _ => 204,
            },
        },
        ("GET", [_, "conversations", id, "resume"]) => alike(if is_blank(id) { 422 } else { 204 }),
        ("GET", [_, "stream-events", "resume"]) => {
            let has_id = query.split('&').any(|it| {
                it.strip_prefix("streamId=")
                    .is_some_and(|id| !id.is_empty())
            });
            alike(if has_id { 200 } else { 422 })
        }
        ("POST", [_, "runs", _, "abort"]) => alike(204),
        // Nobody waits for the calls that are named here.
        ("POST", [_, "run", "tool-result" | "tool-approval"]) => alike(404),
        ("GET", ["-", "agents" | "runs" | "approvals" | "usage" | "jobs"]) => alike(200),
        ("POST", ["-", "agents", name, "jobs"]) => {
            let is_known = ["plain", "interactive"].contains(name);
            alike(if is_known { 202 } else { 404 })
        }
        ("GET" | "DELETE", ["-", "jobs", id]) => Access::Protected {
            stranger: 404,
            owner: match (*id == owned.job, method) {
                (false, _) => 404,
                (true, "GET") => 200,
                // It has ended.
                (true, _) => 409,
            },
        },
        ("POST", ["tools", name, "execute"]) => alike(if *name == "add" { 200 } else { 404 }),
        ("GET", ["-", "runs", id]) => Access::Protected {
            stranger: 404,
            owner: if *id == owned.run { 200 } else { 404 },
        },
        // Nothing is stored under these names.
        ("DELETE", ["-", "conversations", _, id]) => alike(if is_blank(id) { 422 } else { 404 }),
        _ => return None,
    })
}

/// Routes of plugins below the base path.
fn plugin(method: &str, path: &[&str]) -> Option<Access> {
    let protected = Access::Protected {
        stranger: 200,
        owner: 200,
    };
    match (method, path) {
        ("GET", ["health"]) => Some(Access::Everybody),
        ("GET" | "POST", ["ops", thing]) if is_harmless(thing) => Some(protected),
        _ => None,
    }
}

/// The routes of a plugin that lets clients in by itself, beside the base path.
fn own(method: &str, path: &[&str]) -> Option<Access> {
    match (method, path) {
        ("GET", ["own", "open"]) => Some(Access::Everybody),
        ("GET", ["own", "who"]) | ("POST", ["own", "json"]) => Some(Access::Own),
        _ => None,
    }
}

/// Double and trailing slashes do not count.
fn segments(path: &str) -> Vec<&str> {
    path.split('/').filter(|it| !it.is_empty()).collect()
}

fn is_blank(id: &str) -> bool {
    decoded(id).trim().is_empty()
}

fn is_harmless(thing: &str) -> bool {
    let decoded = decoded(thing);
    let leads_out = decoded.split(['/', '\\']).any(|it| it == "..");
    !has_control(&decoded) && !leads_out
}

fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

/// The text without its escapes; as it is where one of them is broken or makes no text.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('%') {
        bytes.extend(before.bytes());
        let Some(Ok(byte)) = behind.get(..2).map(|it| u8::from_str_radix(it, 16)) else {
            return text.to_owned();
        };
        bytes.push(byte);
        rest = &behind[2..];
    }
    bytes.extend(rest.bytes());
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}
