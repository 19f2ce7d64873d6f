//! Rows of what stands before a server that others may reach: tokens, limits, addresses, a log.

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use integration_tests::{
    Server,
    tokens::{Signer, TOKEN_SECRET, test_key, token_with},
};
use jsonwebtoken::Algorithm;
use serde_json::json;

use crate::{
    load::Kind,
    plan::Options,
    subjects::{Subject, builder},
    table::Table,
};

const ISSUER: &str = "https://id.example";

pub(crate) fn measure(options: Options, table: &mut Table) -> Result<(), String> {
    let open = builder("memory:", "").start();
    let guarded = guarded("warn")?;
    let logging = self::guarded("info")?;
    let by_secret = bearer(Signer::Secret(TOKEN_SECRET.as_bytes()), "secret");
    let pem = test_key("es256-a.pem");
    let by_key = bearer(Signer::Pem(Algorithm::ES256, &pem), "key");
    let [open_there, guarded_there, logging_there] =
        [&open, &guarded, &logging].map(|it| Subject::at(it.address()));
    let secret_there = guarded_there.clone().header(&by_secret);
    let key_there = guarded_there.header(&by_key);
    let logging_there = logging_there.header(&by_secret);

    let [none, secret, key, logged] = options.compare(
        Kind::Json,
        [&open_there, &secret_there, &key_there, &logging_there],
    )?;
    let target = "at least 0.75";
    table.rate("gatekeepers with HS256, JSON run", &none, &secret, target);
    table.rate("gatekeepers with ES256, JSON run", &none, &key, target);
    table.rate("with HS256, log entries written", &none, &logged, "");
    Ok(())
}

/// A server with every gatekeeper; at `warn` the log's entries are filtered out.
fn guarded(level: &str) -> Result<Server, String> {
    let server = builder(
        "memory:",
        r#"
[[plugins.load]]
name = "ip-allowlist"
config = { allow = ["127.0.0.0/8", "10.0.0.0/8", "2001:db8::/32"] }

[[plugins.load]]
name = "jwt-auth"

[[plugins.load.config.issuers]]
issuer = "https://id.example"
audience = ["mortise"]
keys = [
    { id = "secret", algorithms = ["HS256"], secret = { env = "TOKEN_SECRET" } },
    { id = "key", algorithms = ["ES256"], key = { file = "es256.pem" } },
]

[[plugins.load]]
name = "rate-limit"
config = { rules = [{ max = 1_000_000_000, window = "1h", key = ["principal"] }] }

[[plugins.load]]
name = "request-log"
"#,
    )
    .variable("TOKEN_SECRET", TOKEN_SECRET)
    .variable("MORTISE__LOG__LEVEL", level);
    let key = test_key("es256-a.pub.pem");
    fs::write(server.folder().join("es256.pem"), key)
        .map_err(|error| format!("cannot keep a key: {error}"))?;
    Ok(server.start())
}

/// A header with a token that is good for an hour.
fn bearer(signer: Signer<'_>, key_id: &str) -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "the server's clock is the real one"
    )]
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let expires = now.map_or(0, |now| now.as_secs()) + 60 * 60;
    let claims = json!({ "iss": ISSUER, "aud": "mortise", "sub": "ann", "exp": expires });
    let token = token_with(signer, &json!({ "kid": key_id }), &claims);
    format!("authorization: Bearer {token}")
}
