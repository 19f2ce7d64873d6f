//! Where a token stands in a request.

use super::*;

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
