//! How a token is written.

use super::*;

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
