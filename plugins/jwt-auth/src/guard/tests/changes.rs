//! Keys that change while the server runs.

use super::*;

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
