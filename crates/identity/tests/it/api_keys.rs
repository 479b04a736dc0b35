//! Tests of the format and the verification of API keys.

use std::collections::BTreeSet;

use iam_domain::ApiKeyDigest;
use iam_identity::{AuthenticationError, Credential, NewApiKey, PresentedKey};
use secrecy::ExposeSecret;

#[test]
fn a_key_is_found_by_its_prefix_and_verified_by_its_digest() {
    let (key, other) = (NewApiKey::generate().unwrap(), NewApiKey::generate().unwrap());
    let text = key.secret.expose_secret();
    let Ok(Credential::ApiKey(presented)) = Credential::of(Some(&format!("Bearer {text}"))) else {
        panic!("the credential must be parsed as an API key")
    };
    assert_eq!(presented.prefix(), &key.prefix);
    assert!(presented.matches(&key.digest));
    assert!(!presented.matches(&other.digest));
    assert!(!presented.matches(&ApiKeyDigest([0; 32])));
}

#[test]
fn keys_are_long_random_and_unique() {
    let texts: BTreeSet<String> =
        (0..100).map(|_| NewApiKey::generate().unwrap().secret.expose_secret().to_owned()).collect();
    assert_eq!(texts.len(), 100);
    for text in &texts {
        assert_eq!(text.len(), "iam_".len() + 12 + "_".len() + 43);
        assert!(text.starts_with("iam_") && text.as_bytes()[16] == b'_');
    }
    let prefixes: BTreeSet<&str> = texts.iter().map(|text| &text[4..16]).collect();
    assert_eq!(prefixes.len(), 100);
}

#[test]
fn changing_any_character_yields_a_different_key() {
    let key = NewApiKey::generate().unwrap();
    let text = key.secret.expose_secret();
    for place in 17..text.len() {
        let other = if &text[place..=place] == "A" { "B" } else { "A" };
        let changed = format!("{}{other}{}", &text[..place], &text[place + 1..]);
        assert!(!PresentedKey::parse(&changed).unwrap().matches(&key.digest), "{place}");
    }
}

#[test]
fn a_string_with_only_the_prefix_of_a_key_is_invalid() {
    let key = NewApiKey::generate().unwrap();
    let text = key.secret.expose_secret();
    let cut = &text[..text.len() - 1];
    for wrong in
        ["iam_", "iam_x_y", cut, &format!("{text}A"), &format!("{cut}="), &format!("{cut} "), &format!("{cut}ä")]
    {
        assert!(PresentedKey::parse(wrong).is_none(), "{wrong}");
        let outcome = Credential::of(Some(&format!("Bearer {wrong}"))).map(drop);
        assert_eq!(outcome, Err(AuthenticationError::MalformedToken), "{wrong}");
    }
    assert!(PresentedKey::parse(&text.replace("iam_", "key_")).is_none());
}

#[test]
fn no_formatted_output_contains_a_key() {
    let key = NewApiKey::generate().unwrap();
    let text = key.secret.expose_secret();
    let printed = format!("{key:?} {:?}", PresentedKey::parse(text).unwrap());
    assert!(printed.contains(key.prefix.as_str()) && !printed.contains(&text[17..]), "{printed}");
}
