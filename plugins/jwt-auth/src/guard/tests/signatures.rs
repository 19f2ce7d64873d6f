//! Who signed it, and how.

use super::*;

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
