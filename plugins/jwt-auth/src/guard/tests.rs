//! Whole tokens against whole configurations.

use jsonwebtoken::Algorithm;
use mortise_plugin_api::testing::{FakeHost, FakeRequest, LoadedHook};

use super::*;
use crate::JwtAuth;
use crate::testing::{NOW, SECRET, by_secret, encode, jwk, raw, signed, test_key, with, without};

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// Tenant and subject.
    Known(String, String),
    NoCredentials,
    /// The status.
    Refused(u16),
}

const INVALID: Answer = Answer::Refused(401);

fn ann() -> Answer {
    Answer::Known("default".into(), "ann".into())
}

fn claims() -> Value {
    json!({ "sub": "ann", "exp": NOW + 600 })
}

/// The guard of this configuration, and its host.
fn load(config: Value) -> (LoadedHook, FakeHost) {
    let host = FakeHost::new("jwt-auth");
    let hook = host.load::<JwtAuth>(config).unwrap().hook("jwt");
    (hook, host)
}

/// One issuer with these keys, and more of it.
fn issuer(keys: &Value, more: &Value) -> Value {
    let mut issuer = json!({ "keys": keys, "leeway": "0s" });
    for (name, value) in more.as_object().unwrap() {
        issuer[name] = value.clone();
    }
    json!({ "issuers": [issuer] })
}

fn secret_key() -> Value {
    json!({ "algorithms": ["HS256"], "secret": SECRET })
}

/// A guard that trusts the secret.
fn trusting(more: &Value) -> LoadedHook {
    load(issuer(&json!([secret_key()]), more)).0
}

async fn answer(hook: &LoadedHook, request: FakeRequest) -> Answer {
    match hook.guard(request).await.unwrap() {
        GuardVerdict::Authenticated(principal) => {
            Answer::Known(principal.tenant, principal.subject)
        }
        GuardVerdict::NoCredentials => Answer::NoCredentials,
        GuardVerdict::Respond(response) => Answer::Refused(response.status()),
        GuardVerdict::Pass => panic!("it authenticates, so it never passes"),
    }
}

fn bearing(token: impl AsRef<[u8]>) -> FakeRequest {
    FakeRequest::run("plain").with_header("authorization", [b"Bearer ", token.as_ref()].concat())
}

async fn of_token(hook: &LoadedHook, token: impl AsRef<[u8]>) -> Answer {
    answer(hook, bearing(token)).await
}

async fn of_claims(hook: &LoadedHook, claims: &Value) -> Answer {
    of_token(hook, by_secret(claims)).await
}

async fn principal(hook: &LoadedHook, claims: &Value) -> Principal {
    match hook.guard(bearing(by_secret(claims))).await.unwrap() {
        GuardVerdict::Authenticated(principal) => principal,
        other => panic!("{other:?}"),
    }
}

// === how it is signed ===

#[tokio::test]
async fn every_algorithm_is_verified_with_its_key() {
    let secret = |algorithm: Algorithm| (algorithm, SECRET, json!({ "secret": SECRET }));
    let rsa = |algorithm: Algorithm| {
        (
            algorithm,
            test_key!("rsa"),
            json!({ "key": test_key!("rsa.pub") }),
        )
    };
    for (algorithm, private, mut key) in [
        secret(Algorithm::HS256),
        secret(Algorithm::HS384),
        secret(Algorithm::HS512),
        rsa(Algorithm::RS256),
        rsa(Algorithm::RS384),
        rsa(Algorithm::RS512),
        rsa(Algorithm::PS256),
        rsa(Algorithm::PS384),
        rsa(Algorithm::PS512),
        (
            Algorithm::RS256,
            test_key!("rsa"),
            json!({ "key": test_key!("rsa.pkcs1.pub") }),
        ),
        (
            Algorithm::ES256,
            test_key!("es256-a"),
            json!({ "key": test_key!("es256-a.pub") }),
        ),
        (
            Algorithm::ES384,
            test_key!("es384"),
            json!({ "key": test_key!("es384.pub") }),
        ),
        (
            Algorithm::EdDSA,
            test_key!("ed25519"),
            json!({ "key": test_key!("ed25519.pub") }),
        ),
    ] {
        key["algorithms"] = json!([format!("{algorithm:?}")]);
        let (hook, _) = load(issuer(&json!([key]), &json!({})));
        let token = signed(algorithm, private, None, &claims());
        assert_eq!(of_token(&hook, &token).await, ann(), "{algorithm:?}");

        let other = signed(algorithm, private, None, &with(&claims(), "sub", "bob"));
        let (message, _) = other.rsplit_once('.').unwrap();
        let (_, signature) = token.rsplit_once('.').unwrap();
        let mixed = format!("{message}.{signature}");
        assert_eq!(of_token(&hook, mixed).await, INVALID, "{algorithm:?}");
    }
}

#[tokio::test]
async fn a_token_without_a_signature_is_refused_however_it_is_spelt() {
    let hook = trusting(&json!({}));
    for name in ["none", "None", "NONE", "nOnE", "", "HS257", "hs256"] {
        let header = json!({ "alg": name }).to_string();
        let message = format!("{}.{}", encode(header), encode(claims().to_string()));
        for token in [format!("{message}."), format!("{message}.AA")] {
            assert_eq!(of_token(&hook, token).await, INVALID, "{name}");
        }
        let properly = raw(
            Algorithm::HS256,
            SECRET,
            &json!({ "alg": name }).to_string(),
            &claims().to_string(),
        );
        assert_eq!(of_token(&hook, properly).await, INVALID, "{name}");
    }
    let token = by_secret(&claims());
    let (message, _) = token.rsplit_once('.').unwrap();
    assert_eq!(of_token(&hook, format!("{message}.")).await, INVALID);
    assert_eq!(of_token(&hook, message).await, INVALID);
}

#[tokio::test]
async fn a_public_key_is_never_taken_for_a_secret() {
    let public = test_key!("rsa.pub");
    let keys = json!([{ "algorithms": ["RS256"], "key": public }, secret_key()]);
    let (hook, _) = load(issuer(&keys, &json!({})));
    let jwk = jsonwebtoken::jwk::Jwk::from_decoding_key(
        &jsonwebtoken::DecodingKey::from_rsa_pem(public.as_bytes()).unwrap(),
        None,
    );
    let jwk = serde_json::to_string(&jwk.unwrap()).unwrap();
    let one_line = public.lines().skip(1).collect::<String>();
    for secret in [
        public,
        public.trim_end(),
        &format!("{public}\n"),
        &jwk,
        &one_line,
    ] {
        let token = signed(Algorithm::HS256, secret, None, &claims());
        assert_eq!(of_token(&hook, token).await, INVALID, "{secret:.30}");
    }
}

#[tokio::test]
async fn a_key_verifies_with_its_own_algorithms_alone() {
    let keys = json!([
        { "id": "r", "algorithms": ["RS256"], "key": test_key!("rsa.pub") },
        { "id": "e", "algorithms": ["ES256"], "key": test_key!("es256-a.pub") },
    ]);
    let (hook, _) = load(issuer(&keys, &json!({})));
    let rsa = test_key!("rsa");
    let token = |algorithm, kid| signed(algorithm, rsa, Some(kid), &claims());

    assert_eq!(of_token(&hook, token(Algorithm::RS256, "r")).await, ann());
    for algorithm in [Algorithm::RS512, Algorithm::PS256] {
        assert_eq!(of_token(&hook, token(algorithm, "r")).await, INVALID);
    }
    // The header says another algorithm than the signature is of.
    let lying = raw(
        Algorithm::RS256,
        rsa,
        r#"{"alg":"ES256","kid":"e"}"#,
        &claims().to_string(),
    );
    assert_eq!(of_token(&hook, lying).await, INVALID);
}

#[tokio::test]
async fn signatures_of_an_elliptic_curve_have_one_form() {
    let keys = json!([{ "algorithms": ["ES256"], "key": test_key!("es256-a.pub") }]);
    let (hook, _) = load(issuer(&keys, &json!({})));
    let token = signed(Algorithm::ES256, test_key!("es256-a"), None, &claims());
    let (message, signature) = token.rsplit_once('.').unwrap();
    let signature =
        base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, signature)
            .unwrap();
    assert_eq!(of_token(&hook, &token).await, ann());

    let der = |part: &[u8]| [&[0x02, 33, 0], part].concat();
    let (r, s) = signature.split_at(32);
    let order = [
        0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63,
        0x25, 0x51,
    ];
    for wrong in [
        vec![0; 64],
        [r, &[0; 32]].concat(),
        [&[0; 32], s].concat(),
        [order.as_slice(), s].concat(),
        [r, order.as_slice()].concat(),
        [order, order].concat(),
        [signature.as_slice(), &[0]].concat(),
        [&[0], signature.as_slice()].concat(),
        signature[..63].to_vec(),
        Vec::new(),
        [&[0x30, 70], der(r).as_slice(), der(s).as_slice()].concat(),
    ] {
        let token = format!("{message}.{}", encode(&wrong));
        assert_eq!(of_token(&hook, token).await, INVALID, "{wrong:?}");
    }
}

#[tokio::test]
async fn a_changed_signature_of_rsa_is_refused_at_every_byte() {
    for algorithm in [Algorithm::RS256, Algorithm::PS256] {
        let name = format!("{algorithm:?}");
        let keys = json!([{ "algorithms": [name], "key": test_key!("rsa.pub") }]);
        let (hook, _) = load(issuer(&keys, &json!({})));
        let token = signed(algorithm, test_key!("rsa"), None, &claims());
        let (message, signature) = token.rsplit_once('.').unwrap();
        let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let signature = base64::Engine::decode(&engine, signature).unwrap();
        for place in (0..signature.len()).step_by(5) {
            let mut wrong = signature.clone();
            wrong[place] ^= 1;
            let token = format!("{message}.{}", encode(wrong));
            assert_eq!(of_token(&hook, token).await, INVALID, "{name} at {place}");
        }
    }
}

// === which key ===

#[tokio::test]
async fn a_kid_chooses_the_key_and_is_compared_alone() {
    let keys = json!([
        { "id": "a", "algorithms": ["ES256"], "key": test_key!("es256-a.pub") },
        { "id": "b", "algorithms": ["ES256"], "key": test_key!("es256-b.pub") },
    ]);
    let (hook, _) = load(issuer(&keys, &json!({})));
    let (a, b) = (test_key!("es256-a"), test_key!("es256-b"));
    let token = |key, kid| signed(Algorithm::ES256, key, kid, &claims());

    assert_eq!(of_token(&hook, token(a, Some("a"))).await, ann());
    assert_eq!(of_token(&hook, token(b, Some("b"))).await, ann());
    assert_eq!(of_token(&hook, token(a, Some("b"))).await, INVALID);
    assert_eq!(of_token(&hook, token(a, None)).await, INVALID);
    let long = "k".repeat(4000);
    for kid in [
        "",
        "A",
        "a\0",
        "../../../../dev/null",
        "/etc/passwd",
        "a' OR '1'='1",
        "$(id)",
        "file:///etc/passwd",
        &long,
    ] {
        assert_eq!(of_token(&hook, token(a, Some(kid))).await, INVALID, "{kid}");
    }
    for kid in ["1", "null", "[\"a\"]", "{\"a\":1}", "true"] {
        let header = format!(r#"{{"alg":"ES256","kid":{kid}}}"#);
        let token = raw(Algorithm::ES256, a, &header, &claims().to_string());
        assert_eq!(of_token(&hook, token).await, INVALID, "{kid}");
    }
}

#[tokio::test]
async fn a_key_may_be_a_jwk_with_a_kid_of_its_own() {
    let load_key = |algorithm: &str, jwk: &Value| {
        let keys = json!([{ "algorithms": [algorithm], "key": jwk.to_string() }]);
        FakeHost::new("jwt-auth").load::<JwtAuth>(issuer(&keys, &json!({})))
    };
    let a = jwk("a", test_key!("es256-a.pub"));
    let hook = load_key("ES256", &a).unwrap().hook("jwt");
    let by_a = |kid| signed(Algorithm::ES256, test_key!("es256-a"), kid, &claims());
    assert_eq!(of_token(&hook, by_a(Some("a"))).await, ann());
    assert_eq!(of_token(&hook, by_a(None)).await, INVALID);

    let secret = json!({ "kty": "oct", "k": encode(SECRET) });
    let hook = load_key("HS256", &secret).unwrap().hook("jwt");
    assert_eq!(of_claims(&hook, &claims()).await, ann());

    for (algorithm, wrong, reason) in [
        ("ES256", with(&a, "use", "enc"), "not for verifying"),
        (
            "ES256",
            with(&a, "key_ops", json!(["sign"])),
            "not for verifying",
        ),
        ("ES256", with(&a, "d", "AAAA"), "private key"),
        (
            "ES256",
            with(&a, "alg", "ES384"),
            "no algorithm that it fits",
        ),
        (
            "ES256",
            with(&a, "crv", "P-384"),
            "no algorithm that it fits",
        ),
        (
            "ES256",
            with(&a, "x", a["y"].clone()),
            "neither a public key",
        ),
        ("ES256", with(&a, "x", "AAAA"), "neither a public key"),
        ("ES256", secret.clone(), "which `ES256` does not work with"),
        ("HS256", with(&secret, "k", "AAAA"), "at least 32 bytes"),
        ("HS256", a.clone(), "which `HS256` does not work with"),
        (
            "EdDSA",
            json!({ "kty": "OKP", "crv": "Ed25519", "x": "AAAA" }),
            "neither a public key",
        ),
        (
            "RS256",
            json!({ "kty": "RSA", "n": "AAAA", "e": "AQAB" }),
            "2048 to 4096 bits",
        ),
        (
            "RS256",
            json!({ "kty": "AKP" }),
            "of a kind that is not supported",
        ),
    ] {
        let error = load_key(algorithm, &wrong).unwrap_err();
        assert!(error.message().contains(reason), "{error}: {reason}");
    }
    for exponent in ["AQ", "AA", "Ag", ""] {
        let modulus = encode([&[0xff; 255][..], &[1]].concat());
        let rsa = json!({ "kty": "RSA", "n": modulus, "e": exponent });
        let error = load_key("RS256", &rsa).unwrap_err();
        assert!(error.message().contains("neither a public key"), "{error}");
    }
}

#[tokio::test]
async fn keys_that_a_token_brings_along_are_not_looked_at() {
    let keys = json!([{ "algorithms": ["ES256"], "key": test_key!("es256-a.pub") }]);
    let (hook, _) = load(issuer(&keys, &json!({})));
    let jwk = jsonwebtoken::jwk::Jwk::from_decoding_key(
        &jsonwebtoken::DecodingKey::from_ec_pem(test_key!("es256-b.pub").as_bytes()).unwrap(),
        None,
    )
    .unwrap();
    let header = json!({
        "alg": "ES256", "jwk": jwk, "jku": "http://127.0.0.1:1/jwks", "x5u": "http://127.0.0.1:1/c",
        "x5c": ["MIIB"],
    })
    .to_string();
    let of = |key| raw(Algorithm::ES256, key, &header, &claims().to_string());

    assert_eq!(of_token(&hook, of(test_key!("es256-b"))).await, INVALID);
    // They do not harm either, if the token is signed by whom we know.
    assert_eq!(of_token(&hook, of(test_key!("es256-a"))).await, ann());
}

#[tokio::test]
async fn several_issuers_have_keys_and_subjects_of_their_own() {
    let one = |issuer: &str, prefix: &str, key: &str| {
        json!({
            "issuer": issuer, "subject_prefix": prefix,
            "keys": [{ "algorithms": ["ES256"], "key": key }],
        })
    };
    let (hook, _) = load(json!({ "issuers": [
        one("https://a", "a:", test_key!("es256-a.pub")),
        one("https://b", "b:", test_key!("es256-b.pub")),
    ] }));
    let token =
        |key, issuer: &str| signed(Algorithm::ES256, key, None, &with(&claims(), "iss", issuer));
    let (a, b) = (test_key!("es256-a"), test_key!("es256-b"));
    let known = |subject: &str| Answer::Known("default".into(), subject.into());

    assert_eq!(of_token(&hook, token(a, "https://a")).await, known("a:ann"));
    assert_eq!(of_token(&hook, token(b, "https://b")).await, known("b:ann"));
    assert_eq!(of_token(&hook, token(a, "https://b")).await, INVALID);
    assert_eq!(of_token(&hook, token(a, "https://c")).await, INVALID);
    let nameless = signed(Algorithm::ES256, a, None, &claims());
    assert_eq!(of_token(&hook, nameless).await, INVALID);
}

// === how it is written ===

#[tokio::test]
async fn what_is_no_compact_token_is_refused() {
    let hook = trusting(&json!({}));
    let token = by_secret(&claims());
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    let standard = token.replace('-', "+").replace('_', "/");
    let mut wrong: Vec<Vec<u8>> = vec![
        b"x".to_vec(),
        b"..".to_vec(),
        b"a.b.c".to_vec(),
        format!(".{payload}.{signature}").into(),
        format!("{header}..{signature}").into(),
        format!("{token}.").into(),
        format!("{token}.{token}").into(),
        format!("{header}.{payload}.{signature}.{signature}.{signature}").into(),
        format!("{header}=.{payload}.{signature}").into(),
        format!("{token}=").into(),
        format!("{token} ").into(),
        format!(" {token}").into(),
        format!("\t{token}").into(),
        format!("{header}. {payload}.{signature}").into(),
        format!("{token},{token}").into(),
        format!("{token}\u{e9}").into(),
        [token.as_bytes(), b"\xff\xfe"].concat(),
        json!({ "payload": payload, "protected": header, "signature": signature })
            .to_string()
            .into(),
    ];
    if standard != token {
        wrong.push(standard.into());
    }
    for token in wrong {
        let shown = String::from_utf8_lossy(&token).into_owned();
        assert_eq!(of_token(&hook, token).await, INVALID, "{shown}");
    }
    assert_eq!(of_token(&hook, token).await, ann());
}

#[tokio::test]
async fn base64_has_one_spelling() {
    let hook = trusting(&json!({}));
    let token = by_secret(&claims());
    // 32 bytes leave two bits of the last letter unused: another letter, the same bytes.
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = token.chars().last().unwrap();
    let at = alphabet.find(last).unwrap();
    let other = alphabet.as_bytes()[at + 1] as char;
    let respelt = format!("{}{other}", &token[..token.len() - 1]);
    assert_eq!(of_token(&hook, respelt).await, INVALID);
}

#[tokio::test]
async fn headers_and_claims_say_each_thing_once_and_are_objects() {
    let hook = trusting(&json!({}));
    let good = claims().to_string();
    let exp = NOW + 600;
    let deep = format!(
        r#"{{"sub":"ann","exp":{exp},"a":{}{}}}"#,
        "[".repeat(2000),
        "]".repeat(2000)
    );
    for (header, claims) in [
        (r#"{"alg":"none","alg":"HS256"}"#, good.as_str()),
        (r#"{"alg":"HS256","alg":"HS256"}"#, &good),
        (r#"{"alg":"HS256","kid":"a","kid":"b"}"#, &good),
        (r#"["HS256"]"#, &good),
        (r#"{"alg":["HS256"]}"#, &good),
        (r#"{"alg":null}"#, &good),
        ("{}", &good),
        ("", &good),
        (r#"{"alg":"HS256"} x"#, &good),
        ("{\"alg\":\"HS256\"}\0", &good),
        (
            r#"{"alg":"HS256"}"#,
            &format!(r#"{{"sub":"eve","sub":"ann","exp":{exp}}}"#),
        ),
        (
            r#"{"alg":"HS256"}"#,
            &format!(r#"{{"sub":"ann","exp":1,"exp":{exp}}}"#),
        ),
        (r#"{"alg":"HS256"}"#, "[]"),
        (r#"{"alg":"HS256"}"#, "\"ann\""),
        (r#"{"alg":"HS256"}"#, "null"),
        (r#"{"alg":"HS256"}"#, ""),
        (r#"{"alg":"HS256"}"#, &deep),
        // A token in a token.
        (r#"{"alg":"HS256","cty":"JWT"}"#, &by_secret(&claims())),
    ] {
        let token = raw(Algorithm::HS256, SECRET, header, claims);
        assert_eq!(
            of_token(&hook, token).await,
            INVALID,
            "{header:.40} {claims:.60}"
        );
    }
}

#[tokio::test]
async fn extensions_that_must_be_understood_are_not() {
    let hook = trusting(&json!({}));
    for header in [
        r#"{"alg":"HS256","crit":["exp"],"exp":1}"#,
        r#"{"alg":"HS256","crit":["http://example.com/UNDEFINED"],"http://example.com/UNDEFINED":true}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256","crit":null}"#,
        r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#,
        r#"{"alg":"HS256","b64":false}"#,
    ] {
        let token = raw(Algorithm::HS256, SECRET, header, &claims().to_string());
        assert_eq!(of_token(&hook, token).await, INVALID, "{header}");
    }
}

#[tokio::test]
async fn a_long_token_is_refused_unread() {
    let hook = trusting(&json!({}));
    let padded = |length: usize| {
        let bare = by_secret(&with(&claims(), "pad", "")).len();
        by_secret(&with(&claims(), "pad", "x".repeat((length - bare) * 3 / 4)))
    };
    let fits = padded(8 * 1024 - 8);
    assert!(fits.len() <= 8 * 1024);
    assert_eq!(of_token(&hook, fits).await, ann());
    for length in [8 * 1024 + 8, 64 * 1024, 1024 * 1024] {
        let token = padded(length);
        assert!(token.len() > 8 * 1024);
        assert_eq!(of_token(&hook, token).await, INVALID, "{length}");
    }
}

// === what it says ===

#[tokio::test]
async fn a_token_is_good_from_nbf_until_before_exp() {
    for (leeway, late) in [("0s", 0), ("30s", 30)] {
        let (hook, host) = load(issuer(
            &json!([secret_key()]),
            &json!({ "leeway": leeway, "required": ["nbf", "iat"] }),
        ));
        let claims = json!({ "sub": "ann", "nbf": NOW + 100, "exp": NOW + 200, "iat": NOW });
        for (seconds, expected) in [
            (NOW + 99 - late, INVALID),
            (NOW + 100 - late, ann()),
            (NOW + 199 + late, ann()),
            (NOW + 200 + late, INVALID),
            (NOW + 201 + late, INVALID),
        ] {
            // Twice: the second answer may come from memory.
            for _ in 0..2 {
                let _ = host.clone().at(seconds * 1000);
                assert_eq!(of_claims(&hook, &claims).await, expected, "{seconds}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_remembered_still_expires() {
    let (hook, host) = load(issuer(&json!([secret_key()]), &json!({})));
    let token = by_secret(&claims());
    assert_eq!(of_token(&hook, &token).await, ann());
    let _ = host.clone().at((NOW + 600) * 1000);
    assert_eq!(of_token(&hook, &token).await, INVALID);
    // The clock was set back: then it is good again, and verified again.
    let _ = host.clone().at((NOW + 599) * 1000);
    assert_eq!(of_token(&hook, &token).await, ann());
    let (message, signature) = token.rsplit_once('.').unwrap();
    let forged = format!("{message}.{}A", &signature[..signature.len() - 1]);
    assert_eq!(of_token(&hook, forged).await, INVALID);
}

#[tokio::test]
async fn times_are_numbers_of_seconds() {
    let hook = trusting(&json!({}));
    let of = |name: &str, text: &str| {
        let mut claims = vec![r#""sub":"ann""#.to_owned(), format!(r#""{name}":{text}"#)];
        if name != "exp" {
            claims.push(format!(r#""exp":{}"#, NOW + 600));
        }
        let claims = format!("{{{}}}", claims.join(","));
        raw(Algorithm::HS256, SECRET, r#"{"alg":"HS256"}"#, &claims)
    };
    let later = NOW + 600;
    for text in [
        "null",
        "true",
        "[]",
        "{}",
        "\"\"",
        &format!("\"{later}\""),
        "1e308",
        "-1",
        "-1e308",
        "-9223372036854775808",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        // Milliseconds, by mistake.
        &format!("{later}000"),
        "253402300800",
    ] {
        for name in ["exp", "nbf", "iat"] {
            let answer = of_token(&hook, of(name, text)).await;
            assert_eq!(answer, INVALID, "{name} {text}");
        }
    }
    for text in ["0", "0.5", "-0"] {
        assert_eq!(of_token(&hook, of("exp", text)).await, INVALID, "{text}");
    }
    for text in [
        &format!("{later}"),
        &format!("{later}.25"),
        "1.8e9",
        "253402300799",
    ] {
        assert_eq!(of_token(&hook, of("exp", text)).await, ann(), "{text}");
    }
    for (name, text) in [("nbf", later), ("iat", later)] {
        let answer = of_token(&hook, of(name, &text.to_string())).await;
        assert_eq!(answer, INVALID, "{name} in the future");
    }
    assert_eq!(of_claims(&hook, &without(&claims(), "exp")).await, INVALID);
}

#[tokio::test]
async fn issuer_and_audience_are_compared_exactly() {
    let hook = trusting(&json!({ "issuer": "https://id.example", "audience": ["m", "n"] }));
    let good = with(&with(&claims(), "iss", "https://id.example"), "aud", "m");
    assert_eq!(of_claims(&hook, &good).await, ann());
    for audience in [json!("n"), json!(["m"]), json!(["x", "n"])] {
        assert_eq!(of_claims(&hook, &with(&good, "aud", audience)).await, ann());
    }
    for audience in [
        json!("x"),
        json!("M"),
        json!("m "),
        json!("m n"),
        json!(""),
        json!([]),
        json!(["x"]),
        json!([["m"]]),
        json!(["m", 1]),
        json!({ "m": 1 }),
        json!(null),
        json!(1),
    ] {
        let claims = with(&good, "aud", audience);
        assert_eq!(of_claims(&hook, &claims).await, INVALID, "{claims}");
    }
    for issuer in [
        json!("https://id.example/"),
        json!("https://ID.example"),
        json!("http://id.example"),
        json!(""),
        json!(null),
        json!(["https://id.example"]),
    ] {
        let claims = with(&good, "iss", issuer);
        assert_eq!(of_claims(&hook, &claims).await, INVALID, "{claims}");
    }
    for name in ["iss", "aud"] {
        assert_eq!(of_claims(&hook, &without(&good, name)).await, INVALID);
    }
}

#[tokio::test]
async fn a_token_for_others_is_refused_where_no_audience_is_ours() {
    let hook = trusting(&json!({}));
    assert_eq!(of_claims(&hook, &claims()).await, ann());
    assert_eq!(
        of_claims(&hook, &with(&claims(), "aud", "x")).await,
        INVALID
    );
    assert_eq!(
        of_claims(&hook, &with(&claims(), "aud", json!([]))).await,
        INVALID
    );
}

#[tokio::test]
async fn a_type_is_asked_for_where_it_is_configured() {
    let hook = trusting(&json!({ "types": ["at+jwt"] }));
    let of = |header: Value| {
        raw(
            Algorithm::HS256,
            SECRET,
            &header.to_string(),
            &claims().to_string(),
        )
    };
    for kind in ["at+jwt", "AT+JWT", "application/at+jwt"] {
        let token = of(json!({ "alg": "HS256", "typ": kind }));
        assert_eq!(of_token(&hook, token).await, ann(), "{kind}");
    }
    for header in [
        json!({ "alg": "HS256", "typ": "JWT" }),
        json!({ "alg": "HS256", "typ": "" }),
        json!({ "alg": "HS256", "typ": 1 }),
        json!({ "alg": "HS256" }),
    ] {
        assert_eq!(
            of_token(&hook, of(header.clone())).await,
            INVALID,
            "{header}"
        );
    }
}

#[tokio::test]
async fn the_principal_is_what_the_claims_say() {
    let hook = trusting(&json!({
        "subject_claim": "/user/name", "tenant_claim": "https://example/org",
        "scopes_claim": "/realm/roles", "subject_prefix": "id:", "claims": ["email", "/user/age"],
        "required": ["email"],
    }));
    let good = json!({
        "exp": NOW + 600, "user": { "name": "ann", "age": 30 }, "https://example/org": "acme",
        "realm": { "roles": ["runs:approve", "x"] }, "email": "ann@example", "secret": "no",
    });
    let known = principal(&hook, &good).await;
    assert_eq!(
        (known.tenant.as_str(), known.subject.as_str()),
        ("acme", "id:ann")
    );
    assert_eq!(known.scopes, ["runs:approve", "x"]);
    assert_eq!(
        Value::Object(known.claims),
        json!({ "email": "ann@example", "/user/age": 30 })
    );

    for wrong in [
        with(&good, "user", json!({ "name": "" })),
        with(&good, "user", json!({ "name": " " })),
        with(&good, "user", json!({ "name": 7 })),
        with(&good, "user", json!({ "name": "a\nb" })),
        with(&good, "user", json!({ "name": "a".repeat(257) })),
        with(&good, "user", "ann"),
        without(&good, "user"),
        without(&good, "https://example/org"),
        with(&good, "https://example/org", ""),
        with(&good, "https://example/org", json!(["acme"])),
        with(&good, "realm", json!({ "roles": [1] })),
        with(&good, "realm", json!({ "roles": 1 })),
        without(&good, "email"),
        with(&good, "email", Value::Null),
    ] {
        assert_eq!(of_claims(&hook, &wrong).await, INVALID, "{wrong}");
    }
    let without_scopes = principal(&hook, &without(&good, "realm")).await;
    assert!(without_scopes.scopes.is_empty());
}

#[tokio::test]
async fn scopes_may_be_one_text() {
    let hook = trusting(&json!({}));
    let known = principal(&hook, &with(&claims(), "scope", " a  b:c ")).await;
    assert_eq!(known.scopes, ["a", "b:c"]);
}

#[tokio::test]
async fn no_token_makes_somebody_the_operator_or_nobody() {
    let hook = trusting(&json!({}));
    for subject in ["operator", "anonymous"] {
        let claims = with(&claims(), "sub", subject);
        assert_eq!(of_claims(&hook, &claims).await, INVALID, "{subject}");
    }
    let hook = trusting(&json!({ "tenant": "acme" }));
    let of_acme = with(&claims(), "sub", "operator");
    let expected = Answer::Known("acme".into(), "operator".into());
    assert_eq!(of_claims(&hook, &of_acme).await, expected);
}

// === where it stands ===

#[tokio::test]
async fn a_token_stands_in_one_header_behind_its_scheme() {
    let hook = trusting(&json!({}));
    let token = by_secret(&claims());
    let plain = || FakeRequest::run("plain");
    let of = |value: String| answer(&hook, plain().with_header("authorization", value));

    for scheme in ["Bearer", "bearer", "BEARER"] {
        assert_eq!(of(format!("{scheme} {token}")).await, ann());
    }
    for value in [
        format!("Bearer  {token}"),
        format!("Bearer\t{token}"),
        format!("Bearer {token} "),
        format!("Bearer {token} x"),
        format!("Bearer {token}, Bearer {token}"),
        format!("Bearer \"{token}\""),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        "bearer x".to_owned(),
    ] {
        assert_eq!(of(value.clone()).await, INVALID, "{value}");
    }
    for value in [
        "Basic YW5uOmFubg==".to_owned(),
        "Bearers x".to_owned(),
        token.clone(),
        String::new(),
    ] {
        assert_eq!(of(value.clone()).await, Answer::NoCredentials, "{value}");
    }
    assert_eq!(answer(&hook, plain()).await, Answer::NoCredentials);

    let other = plain().with_header("x-token", format!("Bearer {token}"));
    assert_eq!(answer(&hook, other).await, Answer::NoCredentials);
    for second in [
        format!("Bearer {token}"),
        "Basic x".to_owned(),
        String::new(),
    ] {
        let twice = bearing(&token).with_header("Authorization", second.clone());
        assert_eq!(answer(&hook, twice).await, INVALID, "{second}");
        let twice = plain()
            .with_header("authorization", second)
            .with_header("authorization", format!("Bearer {token}"));
        assert_eq!(answer(&hook, twice).await, INVALID);
    }
    let elsewhere = FakeRequest::get(&format!("/x?access_token={token}"))
        .with_header("cookie", format!("access_token={token}"));
    assert_eq!(answer(&hook, elsewhere).await, Answer::NoCredentials);
}

#[tokio::test]
async fn the_header_and_the_scheme_may_be_others() {
    let mut config = issuer(&json!([secret_key()]), &json!({}));
    config["header"] = "X-Token".into();
    config["scheme"] = "".into();
    let (hook, _) = load(config);
    let token = by_secret(&claims());
    let of = |value: String| answer(&hook, FakeRequest::get("/x").with_header("x-token", value));

    assert_eq!(of(token.clone()).await, ann());
    assert_eq!(of(format!("Bearer {token}")).await, INVALID);
    assert_eq!(of(String::new()).await, Answer::NoCredentials);
    assert_eq!(of_token(&hook, token).await, Answer::NoCredentials);
}

// === what it may do ===

#[tokio::test]
async fn all_rules_that_fit_a_request_must_be_met() {
    let mut config = issuer(&json!([secret_key()]), &json!({}));
    config["rules"] = json!([
        { "kinds": ["tool_approval"], "scopes": ["runs:approve"] },
        { "agents": ["secret"], "scopes": ["secret:use"] },
        { "kinds": ["run"], "agents": ["secret"], "scopes": ["secret:run", "secret:use"] },
        { "mounts": ["ops"], "methods": ["post"], "scopes": ["ops:write"] },
    ]);
    let (hook, _) = load(config);
    let of = |request: FakeRequest, scopes: &str| {
        let token = by_secret(&with(&claims(), "scope", scopes));
        answer(
            &hook,
            request.with_header("authorization", format!("Bearer {token}")),
        )
    };
    let run = FakeRequest::run;
    let refused = Answer::Refused(403);

    assert_eq!(of(run("plain"), "").await, ann());
    let approval = || run("plain").with_kind(RequestKind::ToolApproval);
    assert_eq!(of(approval(), "runs:approver").await, refused);
    assert_eq!(of(approval(), "runs:approve").await, ann());
    for kind in [RequestKind::Run, RequestKind::Stream] {
        let run = || run("secret").with_kind(kind);
        assert_eq!(of(run(), "secret:use").await, refused);
        assert_eq!(of(run(), "secret:run").await, refused);
        assert_eq!(of(run(), "secret:run secret:use").await, ann());
    }
    let abort = run("secret").with_kind(RequestKind::AbortRun);
    assert_eq!(of(abort, "secret:use").await, ann());
    let ops = |method: &str| FakeRequest::new(method, "/x").with_mount("ops");
    assert_eq!(of(ops("GET"), "").await, ann());
    assert_eq!(of(ops("POST"), "").await, refused);
    assert_eq!(of(ops("POST"), "ops:write").await, ann());

    let token = by_secret(&with(&claims(), "scope", "secret:run"));
    let request = run("secret").with_header("authorization", format!("Bearer {token}"));
    let GuardVerdict::Respond(response) = hook.guard(request).await.unwrap() else {
        panic!("a scope is missing");
    };
    assert_eq!(
        response.header("www-authenticate"),
        Some("Bearer error=\"insufficient_scope\", scope=\"secret:use\"")
    );
}

// === keys that change ===

#[tokio::test(start_paused = true)]
async fn a_key_set_brings_new_keys_and_takes_old_ones() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    let publish = |keys: Value| {
        std::fs::write(&path, json!({ "keys": keys }).to_string()).unwrap();
    };
    let a = || jwk("a", test_key!("es256-a.pub"));
    let b = || jwk("b", test_key!("es256-b.pub"));
    let by_a = signed(Algorithm::ES256, test_key!("es256-a"), Some("a"), &claims());
    let by_b = signed(Algorithm::ES256, test_key!("es256-b"), Some("b"), &claims());
    publish(json!([a()]));
    let host = FakeHost::new("jwt-auth");
    let url = format!("file://{}", path.display());
    let jwks = json!({ "url": url, "algorithms": ["ES256"], "refresh": "10m", "cooldown": "30s" });
    let loaded = host.load::<JwtAuth>(json!({ "issuers": [{ "jwks": jwks }] }));
    let loaded = loaded.unwrap();
    let hook = loaded.hook("jwt");
    loaded.start().await.unwrap();

    assert_eq!(of_token(&hook, &by_a).await, ann());
    // Read a moment ago: the new key is not looked for again so soon.
    publish(json!([a(), b()]));
    assert_eq!(of_token(&hook, &by_b).await, INVALID);
    tokio::time::advance(std::time::Duration::from_secs(30)).await;
    assert_eq!(of_token(&hook, &by_b).await, ann());
    assert_eq!(of_token(&hook, &by_a).await, ann());

    // What cannot be used changes nothing.
    publish(json!([]));
    tokio::time::sleep(std::time::Duration::from_secs(601)).await;
    assert_eq!(of_token(&hook, &by_a).await, ann());

    // The next reading finds that a key was taken back, and what it signed is not remembered.
    publish(json!([b()]));
    tokio::time::sleep(std::time::Duration::from_secs(601)).await;
    assert_eq!(of_token(&hook, &by_a).await, INVALID);
    assert_eq!(of_token(&hook, &by_b).await, ann());
    loaded.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_guard_answers_at_once_where_no_key_is_waited_for() {
    assert!(trusting(&json!({})).info().at_once);
    let jwks = json!({ "url": "https://id.example/jwks", "algorithms": ["ES256"] });
    let (hook, _) = load(json!({ "issuers": [{ "jwks": jwks }] }));
    assert!(!hook.info().at_once && hook.info().authenticates);
}

// === how it is configured ===

#[test]
fn configurations_that_would_be_unsafe_are_refused_by_place() {
    let refused = |config: Value| {
        let host = FakeHost::new("jwt-auth");
        host.load::<JwtAuth>(config)
            .unwrap_err()
            .message()
            .to_owned()
    };
    let of_key = |key: Value| refused(issuer(&json!([key]), &json!({})));
    let of_issuer = |more: Value| refused(issuer(&json!([secret_key()]), &more));
    let jwks = |more: &Value| {
        let mut jwks = json!({ "url": "https://x/jwks", "algorithms": ["RS256"] });
        for (name, value) in more.as_object().unwrap() {
            jwks[name] = value.clone();
        }
        refused(json!({ "issuers": [{ "jwks": jwks }] }))
    };
    let private = test_key!("es256-a");
    for (message, reason) in [
        (refused(json!({})), "config.issuers is empty"),
        (
            refused(json!({ "issuers": [{}] })),
            "neither `keys` nor `jwks`",
        ),
        (
            refused(json!({ "header": "x y", "issuers": [{}] })),
            "no name of a header",
        ),
        (
            refused(json!({ "scheme": "B r", "issuers": [{}] })),
            "no scheme",
        ),
        (
            refused(json!({ "remembered_tokens": 2_000_000 })),
            "more than 1000000",
        ),
        (
            of_issuer(json!({ "leeway": "6m" })),
            "longer than five minutes",
        ),
        (of_issuer(json!({ "tenant": " " })), "tenant is blank"),
        (
            of_issuer(json!({ "subject_claim": "" })),
            "subject_claim is blank",
        ),
        (
            of_key(json!({ "algorithms": [], "secret": SECRET })),
            "algorithms is empty",
        ),
        (
            of_key(json!({ "algorithms": ["HS256"] })),
            "one of `secret` and `key`",
        ),
        (
            of_key(json!({ "algorithms": ["HS256"], "secret": SECRET, "key": "x" })),
            "one of `secret` and `key`",
        ),
        (
            of_key(json!({ "algorithms": ["HS256"], "secret": "" })),
            "at least 32 bytes",
        ),
        (
            of_key(json!({ "algorithms": ["HS256"], "secret": "x".repeat(31) })),
            "at least 32 bytes",
        ),
        (
            of_key(json!({ "algorithms": ["HS512"], "secret": "x".repeat(63) })),
            "at least 64 bytes",
        ),
        (
            of_key(json!({ "algorithms": ["HS256", "RS256"], "secret": SECRET })),
            "`RS256` needs an RSA key",
        ),
        (
            of_key(json!({ "algorithms": ["RS256", "HS256"], "key": test_key!("rsa.pub") })),
            "it is an RSA key, which `HS256` does not work with",
        ),
        (
            of_key(json!({ "algorithms": ["ES384"], "key": test_key!("es256-a.pub") })),
            "no algorithm that it fits",
        ),
        (
            of_key(json!({ "algorithms": ["HS256"], "secret": test_key!("rsa.pub") })),
            "no secret; write it as `key`",
        ),
        (
            of_key(json!({ "algorithms": ["ES256"], "key": private })),
            "private key",
        ),
        (
            of_key(json!({ "algorithms": ["ES256"], "key": test_key!("es256-a.crt") })),
            "certificate",
        ),
        (
            of_key(json!({ "algorithms": ["RS256"], "key": test_key!("rsa-1024.pub") })),
            "this one 1024",
        ),
        (
            of_key(json!({ "algorithms": ["RS256"], "key": "x" })),
            "neither a public key",
        ),
        (
            jwks(&json!({ "url": "http://id.example/jwks" })),
            "not encrypted",
        ),
        (
            jwks(&json!({ "url": "http://127.0.0.1.example/jwks" })),
            "not encrypted",
        ),
        (
            jwks(&json!({ "url": "https://a:b@id.example/jwks" })),
            "a name or a password",
        ),
        (
            jwks(&json!({ "url": "file://jwks.json" })),
            "no https:// or file:///",
        ),
        (
            jwks(&json!({ "url": "ftp://x/y" })),
            "no https:// or file:///",
        ),
        (jwks(&json!({ "url": "" })), "no https:// or file:///"),
        (jwks(&json!({ "algorithms": [] })), "algorithms is empty"),
        (
            jwks(&json!({ "algorithms": ["RS256", "HS256"] })),
            "has HS256",
        ),
        (
            jwks(&json!({ "cooldown": "0s" })),
            "cooldown is not from 1s",
        ),
        (jwks(&json!({ "refresh": "1s" })), "refresh is not from 10s"),
        (
            jwks(&json!({ "timeout": "10s" })),
            "timeout is not from 1s to 9s",
        ),
    ] {
        assert!(message.contains(reason), "{message:?} has no {reason:?}");
        assert!(
            !message.contains("xxx") && !message.contains("BEGIN"),
            "{message}"
        );
    }
}

#[test]
fn issuers_that_cannot_be_told_apart_are_refused() {
    let refused = |issuers: Value| {
        let host = FakeHost::new("jwt-auth");
        let loaded = host.load::<JwtAuth>(json!({ "issuers": issuers }));
        loaded.unwrap_err().message().to_owned()
    };
    let one = |issuer: &str, prefix: &str| json!({ "issuer": issuer, "subject_prefix": prefix, "keys": [secret_key()] });
    let nameless = refused(json!([one("a", "a:"), one("", "b:")]));
    assert!(
        nameless.contains("issuers[1].issuer is empty"),
        "{nameless}"
    );
    let same = refused(json!([one("a", "a:"), one("a", "b:")]));
    assert!(same.contains("the same as"), "{same}");
    for (first, second) in [("", ""), ("a:", ""), ("a", "ab"), ("ab", "a")] {
        let alike = refused(json!([one("a", first), one("b", second)]));
        assert!(alike.contains("begin alike"), "{alike}");
    }
    let keys = json!([
        { "id": "k", "algorithms": ["HS256"], "secret": SECRET },
        { "id": "k", "algorithms": ["HS384"], "secret": SECRET },
    ]);
    let ids = refused(json!([{ "keys": keys }]));
    assert!(
        ids.contains("keys[1].id is the same as that of keys[0]"),
        "{ids}"
    );
}

#[test]
fn rules_that_would_not_do_what_they_say_are_refused() {
    let refused = |rule: Value| {
        let mut config = issuer(&json!([secret_key()]), &json!({}));
        config["rules"] = json!([rule]);
        let host = FakeHost::new("jwt-auth");
        host.load::<JwtAuth>(config)
            .unwrap_err()
            .message()
            .to_owned()
    };
    assert!(
        refused(json!({ "kinds": ["run"] })).contains("asks for nothing")
            || refused(json!({ "kinds": ["run"] })).contains("ask for nothing")
    );
    let stream = refused(json!({ "kinds": ["stream"], "scopes": ["x"] }));
    assert!(stream.contains("\"run\" means both"), "{stream}");
    let unknown = refused(json!({ "kinds": ["runs"], "scopes": ["x"] }));
    assert!(unknown.contains("no kind of request"), "{unknown}");
    for scope in ["", "a b", "a\"b", "ä", "a\r\nb"] {
        let message = refused(json!({ "scopes": [scope] }));
        assert!(message.contains("no scope"), "{message}");
    }
}

#[test]
fn nothing_shows_a_key() {
    let config: Config =
        serde_json::from_value(issuer(&json!([secret_key()]), &json!({}))).unwrap();
    assert!(!format!("{config:?}").contains(SECRET));
    let host = FakeHost::new("jwt-auth");
    let loaded = host
        .load::<JwtAuth>(issuer(&json!([secret_key()]), &json!({})))
        .unwrap();
    let guard = TokenGuard::new(config, loaded.host().clone()).unwrap();
    assert!(!format!("{guard:?}").contains(SECRET));
}
