//! Tests of keys: each key verifies only tokens that are signed with the algorithm of the key.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RsaKeyPair, RsaPublicKeyComponents};
use iam_identity::{AuthenticationError, KeyError, KeySet, TokenSigner, TokenVerifier, VerifierOptions};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use pem::Pem;
use secrecy::{ExposeSecret, SecretString};

use crate::support::{NOW, PAIRS, Pair, claims, secret, signed_by, user, verify, with_keys, with_secret};

/// An RSA key of 1024 bits.
const WEAK: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDOjkVvLPZAnod1pbbi+1plsciY
SADWuW256OHRBUAnTcoP4yld8a1tNAgZPmd/hrxvcO41QEmp9K4OwoqmQ65BIi1j
OPVeweIRpCX+SVNHM5yQ/2V+BuXlELDoGIkBiYt+PD5xAJ1FoMhZzTbtIPyLgYFU
nwN7kT5L7wbNM2n+0wIDAQAB
-----END PUBLIC KEY-----
";

fn verifier(keys: KeySet) -> TokenVerifier {
    with_keys(keys, &VerifierOptions::default())
}

fn of_secret(secret: &SecretString) -> TokenVerifier {
    with_secret(secret, &VerifierOptions::default())
}

#[test]
fn a_token_is_accepted_with_its_key_and_rejected_with_every_other() {
    let other_secret = SecretString::from("another secret of thirty-two bytes");
    let mut signers = vec![TokenSigner::hs256(&secret()), TokenSigner::hs256(&other_secret)];
    signers.extend(PAIRS.iter().map(Pair::signer));
    let mut verifiers = vec![of_secret(&secret()), of_secret(&other_secret)];
    verifiers.extend(PAIRS.iter().map(|pair| verifier(pair.keys())));

    let tokens: Vec<String> = signers.iter().map(signed_by).collect();
    for (row, verifier) in verifiers.iter().enumerate() {
        for (column, token) in tokens.iter().enumerate() {
            let expected = if row == column { Ok(user()) } else { Err(AuthenticationError::Untrusted) };
            assert_eq!(verify(verifier, token).map(|verified| verified.user_id), expected, "{verifier:?}, {column}");
        }
    }
}

#[test]
fn each_of_several_keys_is_accepted_and_the_secret_is_not() {
    let pem: String = PAIRS.iter().map(|pair| pair.public.as_str()).collect();
    let verifier = verifier(KeySet::from_pem(&format!("Our keys:\n{pem}\n")).unwrap());
    for pair in &*PAIRS {
        assert!(verify(&verifier, &signed_by(&pair.signer())).is_ok());
    }
    for unknown in [Pair::p256(), Pair::ed25519()] {
        assert_eq!(verify(&verifier, &signed_by(&unknown.signer())), Err(AuthenticationError::Untrusted));
    }
    let hs256 = signed_by(&TokenSigner::hs256(&secret()));
    assert_eq!(verify(&verifier, &hs256), Err(AuthenticationError::Untrusted));
}

#[test]
fn the_algorithm_is_determined_by_the_key_and_not_by_the_token() {
    let claims = claims();
    let signed = |algorithm, key: &EncodingKey| jsonwebtoken::encode(&Header::new(algorithm), &claims, key).unwrap();
    let bytes = secret();
    let hmac = EncodingKey::from_secret(bytes.expose_secret().as_bytes());
    let rsa = EncodingKey::from_rsa_pem(PAIRS[0].private.expose_secret().as_bytes()).unwrap();

    let with_secret = of_secret(&secret());
    assert!(verify(&with_secret, &signed(Algorithm::HS256, &hmac)).is_ok());
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        assert_eq!(verify(&with_secret, &signed(algorithm, &hmac)), Err(AuthenticationError::Untrusted));
    }
    let with_rsa = verifier(PAIRS[0].keys());
    assert!(verify(&with_rsa, &signed(Algorithm::RS256, &rsa)).is_ok());
    for algorithm in [Algorithm::RS384, Algorithm::RS512, Algorithm::PS256] {
        assert_eq!(verify(&with_rsa, &signed(algorithm, &rsa)), Err(AuthenticationError::Untrusted));
    }
}

#[test]
fn a_public_key_is_never_used_as_a_secret() {
    for pair in &*PAIRS {
        let der = pem::parse(&pair.public).unwrap().into_contents();
        for secret in [pair.public.as_bytes(), pair.public.trim().as_bytes(), &der] {
            let claims = claims();
            let key = EncodingKey::from_secret(secret);
            let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap();
            assert_eq!(verify(&verifier(pair.keys()), &token), Err(AuthenticationError::Untrusted));
        }
    }
}

#[test]
fn a_token_without_a_signature_is_never_accepted() {
    let verifiers = PAIRS.iter().map(|pair| verifier(pair.keys())).chain([of_secret(&secret())]);
    // The headers: `{"alg":"none"}`, `{"alg":"None"}`, `{"alg":""}` and `{}`.
    let none = ["eyJhbGciOiJub25lIn0", "eyJhbGciOiJOb25lIn0", "eyJhbGciOiIifQ", "e30"];
    let signed = signed_by(&TokenSigner::hs256(&secret()));
    let parts: Vec<&str> = signed.split('.').collect();
    for verifier in verifiers {
        for header in none {
            let token = format!("{header}.{}", parts[1]);
            assert_eq!(verify(&verifier, &token), Err(AuthenticationError::MalformedToken), "{token}");
            assert_eq!(verify(&verifier, &format!("{token}.")), Err(AuthenticationError::Untrusted), "{token}.");
        }
        let stripped = format!("{}.{}.", parts[0], parts[1]);
        assert_eq!(verify(&verifier, &stripped), Err(AuthenticationError::Untrusted));
    }
}

#[test]
fn the_error_for_an_unusable_key_contains_its_index() {
    let good = &PAIRS[4].public;
    let refused = |pem: &str| KeySet::from_pem(pem).unwrap_err();
    assert_eq!(refused(""), KeyError::Empty);
    assert_eq!(refused("no key"), KeyError::Empty);
    assert_eq!(refused(WEAK), KeyError::Unsupported { block: 1 });
    assert_eq!(refused(&format!("{good}{WEAK}")), KeyError::Unsupported { block: 2 });
    assert_eq!(refused(&format!("{good}{good}{}", Pair::p384().public)), KeyError::Unsupported { block: 3 });
    assert_eq!(refused(&PAIRS[0].public.replace("PUBLIC", "RSA PUBLIC")), {
        KeyError::NotPublic { block: 1, label: "RSA PUBLIC KEY".to_owned() }
    });

    let private = PAIRS[5].private.expose_secret();
    let error = refused(&format!("{good}{private}"));
    assert_eq!(error, KeyError::NotPublic { block: 2, label: "PRIVATE KEY".to_owned() });
    let secret_lines = private.lines().filter(|line| !line.starts_with('-'));
    assert!(secret_lines.clone().count() > 0);
    assert!(secret_lines.clone().all(|line| !format!("{error} {error:?}").contains(line)));

    // The block is truncated at several positions, even just before the end.
    for length in [30, good.len() / 2, good.trim_end().len() - 1] {
        assert_eq!(refused(&format!("{good}{}", &good[..length])), KeyError::Damaged { block: 2 }, "{length}");
        assert_eq!(refused(&format!("{}\n{good}", &good[..length])), KeyError::Damaged { block: 1 }, "{length}");
    }
}

#[test]
fn an_insecure_public_exponent_is_refused() {
    let of_exponent = |e: &[u8]| {
        let n = RsaPublicKeyComponents::<Vec<u8>>::from(RsaKeyPair::generate(KeySize::Rsa2048).unwrap().public_key()).n;
        let der: PublicKeyX509Der<'_> = RsaPublicKeyComponents { n: n.as_slice(), e }.as_der().unwrap();
        KeySet::from_pem(&pem::encode(&Pem::new("PUBLIC KEY", der.as_ref()))).map(drop)
    };
    assert_eq!(of_exponent(&[1, 0, 1]), Ok(()));
    for e in [&[1][..], &[2], &[1, 0, 0]] {
        assert_eq!(of_exponent(e), Err(KeyError::Unsupported { block: 1 }), "{e:?}");
    }
}

#[test]
fn only_private_keys_of_supported_types_sign() {
    for pem in ["", "secret", &PAIRS[0].public, WEAK] {
        assert_eq!(TokenSigner::from_pem(&pem.into()).unwrap_err(), KeyError::NotPrivate);
    }
    let p384 = TokenSigner::from_pem(&Pair::p384().private).unwrap();
    assert!(p384.sign(user(), false, NOW, 60).is_err());
}

#[test]
fn no_formatted_output_contains_a_key() {
    let printed = format!(
        "{:?} {:?} {:?} {:?}",
        of_secret(&secret()),
        TokenSigner::hs256(&secret()),
        PAIRS[0].signer(),
        verifier(PAIRS[0].keys()),
    );
    assert!(printed.contains("HS256") && printed.contains("RS256"), "{printed}");
    assert!(!printed.contains(secret().expose_secret()) && printed.len() < 500, "{printed}");
}
