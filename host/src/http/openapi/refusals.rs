//! What the server may refuse any request with.

use serde_json::{Map, Value, json};

/// How a refusal looks on the wire.
pub(super) enum Form {
    /// The native body.
    Native,
    /// As a mount renders it: this reference, or nobody has said how.
    Rendered(Option<String>),
}

/// The status, the name and the meaning of a refusal.
type Refusal = (u16, &'static str, &'static str);

const REFUSALS: [Refusal; 16] = [
    (
        400,
        "BAD_REQUEST",
        "The request cannot be read, or asks for what cannot be.",
    ),
    (401, "UNAUTHORIZED", "The credential is missing or wrong."),
    (
        404,
        "NOT_FOUND",
        "There is no such thing, or it is not for whoever asks.",
    ),
    (408, "REQUEST_TIMEOUT", "The body did not arrive in time."),
    (409, "CONFLICT", "Something else has happened in between."),
    (413, "PAYLOAD_TOO_LARGE", "The body is too large."),
    (414, "URI_TOO_LONG", "The path with its query is too long."),
    (
        415,
        "UNSUPPORTED_MEDIA_TYPE",
        "The body is no JSON by its content type.",
    ),
    (
        422,
        "VALIDATION_FAILED",
        "The body or a parameter is not what it should be.",
    ),
    (429, "RATE_LIMITED", "A quota is used up."),
    (431, "HEADERS_TOO_LARGE", "The headers are too large."),
    (499, "ABORTED", "The run was aborted."),
    (500, "INTERNAL", "The server, a plugin or a tool failed."),
    (502, "UPSTREAM_FAILED", "A provider of models failed."),
    (503, "UNAVAILABLE", "The server cannot answer at present."),
    (504, "TIMEOUT", "It took too long."),
];

/// Whatever is asked.
pub(super) const ALWAYS: [u16; 7] = [400, 408, 413, 414, 431, 500, 503];

/// Each refusal as a component, in the native form.
pub(super) fn responses() -> Map<String, Value> {
    let response = |(_, name, meaning): Refusal| {
        let response = json!({
            "description": meaning,
            "content": {
                "application/json": { "schema": { "$ref": "#/components/schemas/Error" } },
            },
        });
        (name.to_owned(), response)
    };
    REFUSALS.into_iter().map(response).collect()
}

/// Adds these to the responses of an operation that does not speak of them itself.
pub(super) fn add(responses: &mut Map<String, Value>, statuses: &[u16], form: &Form) {
    if responses.contains_key("default") {
        return;
    }
    let refusals = REFUSALS.iter().filter(|it| statuses.contains(&it.0));
    for (status, name, meaning) in refusals {
        let key = status.to_string();
        if responses.contains_key(&key) || responses.contains_key(&format!("{}XX", &key[..1])) {
            continue;
        }
        let response = match form {
            Form::Native => json!({ "$ref": format!("#/components/responses/{name}") }),
            Form::Rendered(Some(reference)) => json!({ "$ref": reference }),
            Form::Rendered(None) => json!({ "description": meaning }),
        };
        responses.insert(key, response);
    }
    responses.sort_keys();
}

/// Says that guards of plugins answer what they like.
pub(super) fn add_guards(responses: &mut Map<String, Value>) {
    responses
        .entry("default")
        .or_insert_with(|| json!({ "description": "What a guard of a plugin answers." }));
}
