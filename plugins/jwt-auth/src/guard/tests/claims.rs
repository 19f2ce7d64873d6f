//! What a token says.

use super::*;

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
