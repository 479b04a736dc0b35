//! The secret that proves that a form belongs to a session.

use serde::{Deserialize, Serialize};

/// Number of bytes of a secret.
const BYTES: usize = 16;

/// The secret of the forms of a session. Pages never contain the secret itself, but tokens: a random mask, and the secret
/// combined with this mask. Compressed pages therefore reveal nothing about the secret by their size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Secret([u8; BYTES]);

impl Secret {
    /// Generates a secret.
    pub(super) fn generate() -> Self {
        Self(rand::random())
    }

    /// Returns a token that belongs to the secret.
    pub(super) fn token(&self) -> String {
        let mask: [u8; BYTES] = rand::random();
        let masked = self.0.iter().zip(mask).map(|(byte, mask)| byte ^ mask);
        mask.iter().copied().chain(masked).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Returns `true` if the token belongs to the secret. The time of the comparison does not depend on the token.
    pub(super) fn accepts(&self, token: &str) -> bool {
        let Some(bytes) = decode(token) else { return false };
        let (mask, masked) = bytes.split_at(BYTES);
        let differences = self.0.iter().zip(mask).zip(masked).map(|((byte, mask), masked)| byte ^ mask ^ masked);
        differences.fold(0, |all, difference| std::hint::black_box(all | difference)) == 0
    }
}

/// Decodes the hexadecimal digits of a token.
fn decode(token: &str) -> Option<[u8; 2 * BYTES]> {
    let mut bytes = [0; 2 * BYTES];
    if token.len() != 2 * bytes.len() || !token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(token.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_belong_to_one_secret() {
        let (secret, other) = (Secret::generate(), Secret::generate());
        let (first, second) = (secret.token(), secret.token());
        assert_ne!(first, second);
        assert!(secret.accepts(&first) && secret.accepts(&second));
        assert!(!other.accepts(&first));
    }

    #[test]
    fn a_token_with_any_change_is_rejected() {
        let secret = Secret::generate();
        let token = secret.token();
        for place in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[place] = if changed[place] == b'0' { b'1' } else { b'0' };
            assert!(!secret.accepts(std::str::from_utf8(&changed).unwrap()), "{place}");
        }
        for wrong in ["", "00", &token[1..], &format!("{token}0"), &"é".repeat(32), &"+1".repeat(32)] {
            assert!(!secret.accepts(wrong), "{wrong}");
        }
    }
}
