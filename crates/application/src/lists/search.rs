//! Search texts of lists.

use iam_domain::UserId;
use iam_storage::UserRange;
use uuid::Uuid;

/// Returns the range of the user ids that begin with `text`. Returns `None` if no id begins with it.
pub(crate) fn ids_with_prefix(text: &str) -> Option<UserRange> {
    let with = |fill: char| {
        let mut id = String::with_capacity(Uuid::nil().hyphenated().to_string().len());
        let mut given = text.chars();
        for place in 0..36 {
            let is_dash = matches!(place, 8 | 13 | 18 | 23);
            id.push(match given.next() {
                Some('-') if is_dash => '-',
                Some(digit) if !is_dash && digit.is_ascii_hexdigit() => digit,
                Some(_) => return None,
                None if is_dash => '-',
                None => fill,
            });
        }
        given.next().is_none().then(|| Uuid::try_parse(&id).ok()).flatten().map(UserId::from_uuid)
    };
    Some(UserRange { first: with('0')?, last: with('f')? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_selects_the_ids_that_begin_with_it() {
        let id = UserId::parse("018f3c1e-0000-7000-8000-00000000ab01").unwrap();
        let text = id.to_string();
        for length in 1..=text.len() {
            let UserRange { first, last } = ids_with_prefix(&text[..length]).unwrap();
            assert!(first <= id && id <= last, "{length}");
            assert_eq!(first == last, length == text.len());
            let [first, last] = [first, last].map(|id| id.to_string());
            assert!(first.starts_with(&text[..length]) && last.starts_with(&text[..length]));
        }
        let upper = ids_with_prefix("018F3C1E").unwrap();
        assert_eq!(upper, ids_with_prefix("018f3c1e").unwrap());
        for other in ["x", "018f3c1e0", "018f3c1-", " 0", "0 ", "é", "018f3c1e-0000-7000-8000-00000000ab010"] {
            assert_eq!(ids_with_prefix(other), None, "{other}");
        }
    }
}
