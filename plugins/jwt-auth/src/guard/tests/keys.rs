//! Which key a token is checked with.

use super::*;

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
