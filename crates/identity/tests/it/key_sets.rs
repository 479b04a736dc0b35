//! Tests of JSON Web Key Sets: the entries that are imported as keys, and the entries that are ignored.

use iam_identity::{Algorithm, AuthenticationError, JwksUrl, KeyError, KeySet, KeySource, MAX_KEYS, TrustedIssuer};
use iam_identity::{TokenVerifier, VerifierOptions};
use serde_json::{Value, json};

use crate::support::{ISSUER, PAIRS, Pair, issuer, signed_as, signed_by, trusting, verify, with_keys};

fn parse(keys: &[Value]) -> KeySet {
    KeySet::from_jwks(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

fn verifier(keys: &[Value]) -> TokenVerifier {
    with_keys(parse(keys), &VerifierOptions::default())
}

#[test]
fn the_token_is_verified_with_the_key_of_its_key_id() {
    for pairs in PAIRS.chunks(2) {
        let verifier = verifier(&[pairs[0].jwk("a"), pairs[1].jwk("b")]);
        for (pair, id, is_good) in [(0, "a", true), (1, "b", true), (0, "b", false), (1, "a", false), (0, "c", false)] {
            let token = signed_by(&pairs[pair].signer().with_key_id(id));
            assert_eq!(verify(&verifier, &token).is_ok(), is_good, "{pair}, {id}");
        }
    }
}

#[test]
fn without_a_key_id_every_key_is_tried() {
    let [first, second] = [&PAIRS[2], &PAIRS[3]];
    let with_ids = verifier(&[first.jwk("a"), second.jwk("b")]);
    let without = verifier(&[first.jwk_with(&json!({})), second.jwk_with(&json!({}))]);
    for pair in [first, second] {
        assert!(verify(&with_ids, &signed_by(&pair.signer())).is_ok());
        assert!(verify(&without, &signed_by(&pair.signer())).is_ok());
        assert!(verify(&without, &signed_by(&pair.signer().with_key_id("c"))).is_ok());
    }
    assert_eq!(verify(&with_ids, &signed_by(&Pair::p256().signer())), Err(AuthenticationError::Untrusted));
}

#[test]
fn the_number_of_keys_that_are_tried_is_bounded() {
    let others: Vec<Value> = (0..8).map(|_| Pair::ed25519().jwk("other")).collect();
    let place_of_ours = |place: usize| {
        let mut keys = others.clone();
        keys.insert(place, PAIRS[4].jwk("ours"));
        verify(&verifier(&keys), &signed_by(&PAIRS[4].signer())).is_ok()
    };
    assert!(place_of_ours(7));
    assert!(!place_of_ours(8));
}

#[test]
fn only_public_signature_keys_are_imported() {
    let good = PAIRS[4].jwk("good");
    let pairs = &*PAIRS;
    for odd in [
        json!({ "kty": "oct", "k": "c2VjcmV0" }),
        json!({ "kty": "oct", "k": "c2VjcmV0", "alg": "HS256" }),
        pairs[0].jwk_with(&json!({ "use": "enc" })),
        pairs[0].jwk_with(&json!({ "key_ops": ["encrypt"] })),
        pairs[0].jwk_with(&json!({ "key_ops": [] })),
        pairs[0].jwk_with(&json!({ "alg": "RS512" })),
        pairs[0].jwk_with(&json!({ "alg": "PS256" })),
        pairs[0].jwk_with(&json!({ "alg": "HS256" })),
        pairs[0].jwk_with(&json!({ "alg": "none" })),
        pairs[0].jwk_with(&json!({ "d": "AQAB" })),
        pairs[0].jwk_with(&json!({ "e": "AQ" })),
        pairs[0].jwk_with(&json!({ "e": "" })),
        pairs[0].jwk_with(&json!({ "kid": 1 })),
        // RSA keys that are too short or too long.
        pairs[0].jwk_with(&json!({ "n": "_".repeat(170) })),
        pairs[0].jwk_with(&json!({ "n": "_".repeat(1500) })),
        pairs[2].jwk_with(&json!({ "d": "AQAB" })),
        pairs[2].jwk_with(&json!({ "crv": "P-384" })),
        pairs[2].jwk_with(&json!({ "alg": "RS256" })),
        // A point that is not on the curve.
        pairs[2].jwk_with(&json!({ "x": pairs[4].jwk("")["x"] })),
        Pair::p384().jwk_with(&json!({ "crv": "P-384" })),
        pairs[5].jwk_with(&json!({ "crv": "X25519" })),
        pairs[5].jwk_with(&json!({ "x": "AAAA" })),
        pairs[5].jwk_with(&json!({ "kty": "EC" })),
        json!({ "kty": "RSA" }),
        json!({}),
        json!([]),
        json!(null),
        json!("key"),
    ] {
        assert_eq!(format!("{:?}", parse(&[odd.clone(), good.clone()])), "[EdDSA]", "{odd}");
        assert_eq!(format!("{:?}", parse(std::slice::from_ref(&odd))), "[]", "{odd}");
    }
    for fine in [
        pairs[0].jwk_with(&json!({ "alg": "RS256", "key_ops": ["verify"], "x5t": "abc" })),
        pairs[0].jwk_with(&json!({ "kid": null, "d": null })),
    ] {
        assert_eq!(format!("{:?}", parse(std::slice::from_ref(&fine))), "[RS256]", "{fine}");
    }
}

#[test]
fn integers_of_keys_may_have_leading_zeros() {
    // Prepends three zero bytes, which are `AAAA` in base64url.
    let padded = |name: &str| json!({ name: format!("AAAA{}", PAIRS[0].jwk("")[name].as_str().unwrap()) });
    for name in ["n", "e"] {
        let verifier = verifier(&[PAIRS[0].jwk_with(&padded(name))]);
        assert!(verify(&verifier, &signed_by(&PAIRS[0].signer())).is_ok(), "{name}");
    }
}

/// Some issuers write Base64 with padding, with the standard alphabet (`+` and `/`), or with both.
#[test]
fn base64_fields_may_be_padded_and_use_either_alphabet() {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
    for (pair, names) in [(0, ["n", "e"].as_slice()), (2, &["x", "y"]), (4, &["x"])] {
        let jwk = PAIRS[pair].jwk("a");
        for engine in [&URL_SAFE, &STANDARD, &STANDARD_NO_PAD] {
            let rewritten = |name: &&str| {
                let bytes = URL_SAFE_NO_PAD.decode(jwk[*name].as_str().unwrap()).unwrap();
                ((*name).to_owned(), Value::from(engine.encode(bytes)))
            };
            let fields = Value::Object(names.iter().map(rewritten).collect());
            let verifier = verifier(&[PAIRS[pair].jwk_with(&fields)]);
            assert!(verify(&verifier, &signed_by(&PAIRS[pair].signer())).is_ok(), "{fields}");
        }
    }
    for wrong in ["====", "A", "AQAB=", "AQ A", "AQAB\n", "AQ==AQ=="] {
        assert_eq!(format!("{:?}", parse(&[PAIRS[0].jwk_with(&json!({ "e": wrong }))])), "[]", "{wrong:?}");
    }
}

#[test]
fn the_algorithm_name_of_rfc_9864_is_accepted() {
    let token = signed_as("Ed25519", &PAIRS[4]);
    for alg in [json!("Ed25519"), json!("EdDSA"), json!(null)] {
        let verifier = verifier(&[PAIRS[4].jwk_with(&json!({ "alg": alg }))]);
        assert!(verify(&verifier, &token).is_ok(), "{alg}");
        assert!(verify(&verifier, &signed_by(&PAIRS[4].signer())).is_ok(), "{alg}");
        assert!(verify(&verifier, &signed_as("Ed25519", &PAIRS[5])).is_err(), "{alg}");
    }
    for (pair, wrong) in [(0, "Ed25519"), (2, "Ed25519"), (4, "Ed448"), (4, "ed25519"), (4, "ES256")] {
        assert_eq!(format!("{:?}", parse(&[PAIRS[pair].jwk_with(&json!({ "alg": wrong }))])), "[]", "{wrong}");
    }
    assert!(verify(&verifier(&[PAIRS[4].jwk("a")]), &signed_as("Ed448", &PAIRS[4])).is_err());
    assert_eq!(Algorithm::parse("Ed25519"), Some(Algorithm::EdDsa));
}

#[test]
fn a_byte_order_mark_before_a_key_set_is_ignored() {
    let set = format!("\u{feff}{}", json!({ "keys": [PAIRS[4].jwk("a")] }));
    assert_eq!(format!("{:?}", KeySet::from_jwks(set.as_bytes()).unwrap()), "[EdDSA]");
}

#[test]
fn a_document_that_is_not_a_key_set_is_rejected() {
    for text in
        ["", "<html>", "[]", "{}", "null", r#"{"keys":{}}"#, r#"{"keys":null}"#, r#"{"keys":[]"#, "{\"keys\":[]}x"]
    {
        assert_eq!(KeySet::from_jwks(text.as_bytes()).unwrap_err(), KeyError::NotKeySet, "{text}");
    }
    let so_many = |count: usize| KeySet::from_jwks(json!({ "keys": vec![json!({}); count] }).to_string().as_bytes());
    assert!(so_many(MAX_KEYS).is_ok());
    assert_eq!(so_many(MAX_KEYS + 1).unwrap_err(), KeyError::TooMany);
    let pem = PAIRS[4].public.repeat(MAX_KEYS + 1);
    assert_eq!(KeySet::from_pem(&pem).unwrap_err(), KeyError::TooMany);
}

#[test]
fn an_issuer_can_be_restricted_to_some_algorithms() {
    let keys = parse(&[PAIRS[0].jwk("rsa"), PAIRS[2].jwk("p256")]);
    let of = |algorithms: &[Algorithm], pair: &Pair| {
        let issuer = TrustedIssuer {
            algorithms: algorithms.to_vec(),
            is_native: true,
            ..issuer(ISSUER, KeySource::Keys(keys.clone()))
        };
        verify(&trusting(None, vec![issuer], &VerifierOptions::default()), &signed_by(&pair.signer())).is_ok()
    };
    assert!(of(&[], &PAIRS[0]) && of(&[], &PAIRS[2]));
    assert!(of(&[Algorithm::Es256], &PAIRS[2]) && !of(&[Algorithm::Es256], &PAIRS[0]));
    assert!(of(&[Algorithm::Rs256, Algorithm::Es256], &PAIRS[0]));
}

#[test]
fn key_sets_are_fetched_only_over_secure_connections() {
    for url in [
        "https://issuer.example/.well-known/jwks.json",
        "https://issuer.example:8443/a?b=c",
        "http://localhost:8080/jwks",
        "http://127.0.0.1/jwks",
        "http://[::1]:1/jwks",
    ] {
        assert!(JwksUrl::parse(url).is_ok(), "{url}");
    }
    for url in [
        "",
        "jwks.json",
        "http://issuer.example/jwks",
        "http://localhost.issuer.example/jwks",
        "http://10.0.0.1/jwks",
        "ftp://localhost/jwks",
        "file:///etc/jwks.json",
        "https://user:hunter2@issuer.example/jwks",
        "https://user@issuer.example/jwks",
    ] {
        let error = JwksUrl::parse(url).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{url}");
    }
    let url = JwksUrl::parse("https://issuer.example/jwks?key=hunter2").unwrap();
    assert!(!format!("{url:?}").contains("hunter2"));
}
