//! What clients present: everything that is right, and everything that is nearly so.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::Mode;
use crate::tokens::{Signer, TOKEN_SECRET, raw_token, token};

/// The secret of the servers.
pub(super) const SECRET: &str = "s3cret-of-the-matrix";
/// The scope that the servers ask every token for.
pub(super) const SCOPE: &str = "mortise:use";
pub(super) const ISSUER: &str = "https://id.example";
pub(super) const AUDIENCE: &str = "mortise";

/// Who a credential is of, as the server must see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    /// Nothing, or nothing that is right: 401.
    Nobody,
    /// Known, and without the scope that is asked for: 403.
    Scopeless,
    /// Known, and not the one to whom conversations and runs belong.
    Stranger,
    /// The one to whom they belong.
    Owner,
}

/// Something to present.
#[derive(Debug, Clone)]
pub(super) struct Credential {
    pub(super) name: String,
    /// Whole header lines.
    pub(super) headers: Vec<String>,
    pub(super) holder: Holder,
    /// Whether it is a token that is not believed: no two of them may be told apart.
    pub(super) is_bad_token: bool,
    /// Whether it names somebody to the mount that lets clients in by itself.
    pub(super) names_own: bool,
}

/// A token and what is to become of it.
struct Sample {
    name: &'static str,
    token: String,
    holder: Holder,
}

/// Claims that are right, of this tenant and subject.
fn claims(tenant: &str, subject: &str) -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": subject, "org": tenant,
        "scope": SCOPE, "exp": now() + 3600,
    })
}

fn now() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the server's clock is the real one"
    )]
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("it is later than 1970").as_secs()
}

fn with(mut claims: Value, name: &str, value: impl Into<Value>) -> Value {
    claims[name] = value.into();
    claims
}

fn signed(claims: &Value) -> String {
    token(Signer::Secret(TOKEN_SECRET.as_bytes()), claims)
}

/// The token of the owner.
pub(super) fn owner_token() -> String {
    signed(&claims("acme", "ann"))
}

fn samples() -> Vec<Sample> {
    let owner = || claims("acme", "ann");
    let unsigned = |algorithm: &str| {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!(
            "{}.{}.",
            encode(&json!({ "alg": algorithm })),
            encode(&owner())
        )
    };
    let right = owner_token();
    let (message, signature) = right.rsplit_once('.').expect("a token has three parts");
    let other_signature: String = signature.chars().rev().collect();
    let nobody = |name, token| Sample {
        name,
        token,
        holder: Holder::Nobody,
    };
    vec![
        nobody("malformed", "not.a.token".to_owned()),
        nobody("no token at all", "nonsense".to_owned()),
        nobody("of another key", {
            token(Signer::Secret("x".repeat(64).as_bytes()), &owner())
        }),
        nobody(
            "of another signature",
            format!("{message}.{other_signature}"),
        ),
        nobody("without a signature", unsigned("HS256")),
        nobody("alg none", unsigned("none")),
        nobody("two subjects", {
            let doubled = owner().to_string().replacen('{', "{\"sub\":\"eve\",", 1);
            raw_token(
                Signer::Secret(TOKEN_SECRET.as_bytes()),
                "{\"alg\":\"HS256\"}",
                &doubled,
            )
        }),
        nobody("expired", signed(&with(owner(), "exp", now() - 3600))),
        nobody("not valid yet", signed(&with(owner(), "nbf", now() + 3600))),
        nobody(
            "of another audience",
            signed(&with(owner(), "aud", "other")),
        ),
        nobody(
            "of another issuer",
            signed(&with(owner(), "iss", "https://id.example.evil")),
        ),
        Sample {
            name: "without the scope",
            token: signed(&with(owner(), "scope", "mortise:user")),
            holder: Holder::Scopeless,
        },
        Sample {
            name: "of another tenant",
            token: signed(&claims("other", "ann")),
            holder: Holder::Stranger,
        },
        Sample {
            name: "of another subject",
            token: signed(&claims("acme", "bob")),
            holder: Holder::Stranger,
        },
        Sample {
            name: "right",
            token: right,
            holder: Holder::Owner,
        },
    ]
}

/// What is presented to a server of this mode.
pub(super) fn credentials(mode: Mode) -> Vec<Credential> {
    let secret = format!("authorization: Bearer {SECRET}");
    let right = owner_token();
    let mut all = vec![
        nobody("none", &[]),
        nobody("the secret as a key", &[&format!("x-api-key: {SECRET}")]),
        nobody(
            "a right token in a cookie",
            &[&format!("cookie: token={right}")],
        ),
        nobody("half a secret", &["authorization: Bearer s3cret"]),
        nobody("a longer secret", &[&format!("{secret}x")]),
        nobody("the bare secret", &[&format!("authorization: {SECRET}")]),
        nobody(
            "another scheme",
            &[&format!("authorization: Basic {SECRET}")],
        ),
        nobody("a scheme alone", &["authorization: Bearer"]),
        nobody("an empty header", &["authorization:"]),
        nobody("the secret twice", &[&secret, &secret]),
        Credential {
            names_own: true,
            ..nobody("a name for the mount", &["x-own: zoe"])
        },
    ];
    let (token_header, beside): (&str, &[&str]) = match mode {
        Mode::Any => ("authorization: Bearer ", &[]),
        Mode::All => ("x-token: ", &[&secret]),
    };
    for Sample {
        name,
        token,
        holder,
    } in samples()
    {
        let header = format!("{token_header}{token}");
        let headers: Vec<_> = beside.iter().copied().chain([header.as_str()]).collect();
        all.push(Credential {
            holder,
            is_bad_token: holder == Holder::Nobody,
            ..nobody(&format!("a token {name}"), &headers)
        });
    }
    let token = format!("{token_header}{right}");
    match mode {
        Mode::Any => all.extend([
            Credential {
                holder: Holder::Stranger,
                ..nobody("the secret", &[&secret])
            },
            nobody("the secret and a right token", &[&secret, &token]),
            nobody(
                "a right token and a wrong one",
                &[&token, &format!("{token}x")],
            ),
        ]),
        Mode::All => all.extend([
            nobody("the secret alone", &[&secret]),
            nobody("a right token alone", &[&token]),
            nobody(
                "a right token and half a secret",
                &["authorization: Bearer s3cret", &token],
            ),
            nobody("the secret and two tokens", &[&secret, &token, &token]),
        ]),
    }
    all
}

fn nobody(name: &str, headers: &[&str]) -> Credential {
    Credential {
        name: name.to_owned(),
        headers: headers.iter().map(|&it| it.to_owned()).collect(),
        holder: Holder::Nobody,
        is_bad_token: false,
        names_own: false,
    }
}
