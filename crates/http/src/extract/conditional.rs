//! Reads the conditional headers of a request: `If-Match` for optimistic concurrency control, and `If-None-Match` for
//! the revalidation of cached responses.

use actix_web::http::header::{self, HeaderMap, HeaderName};
use iam_application::{Etag, IfMatch};

/// Returns the entity tags in all occurrences of a header. Weak tags retain their `W/` prefix.
fn tags(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    headers
        .get_all(name)
        .filter_map(|value| value.to_str().ok())
        // The tags of this service contain no commas, so a comma always separates two tags.
        .flat_map(|line| line.split(','))
        .map(|tag| tag.trim().to_owned())
        .filter(|tag| !tag.is_empty())
        .collect()
}

/// Returns the precondition in the `If-Match` header.
pub(crate) fn if_match(headers: &HeaderMap) -> IfMatch {
    if !headers.contains_key(header::IF_MATCH) {
        return IfMatch::Absent;
    }
    let tags = tags(headers, &header::IF_MATCH);
    if tags.iter().any(|tag| tag == "*") { IfMatch::Any } else { IfMatch::OneOf(tags) }
}

/// Returns `true` if `If-None-Match` contains the entity tag or `*`. In this case, the response is 304.
pub(crate) fn matches_if_none_match(headers: &HeaderMap, etag: &Etag) -> bool {
    headers.contains_key(header::IF_NONE_MATCH)
        && tags(headers, &header::IF_NONE_MATCH).iter().any(|tag| tag == "*" || etag.matches_tag(tag))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderValue, IF_MATCH, IF_NONE_MATCH};

    use super::*;

    fn with(name: HeaderName, values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name.clone(), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn if_none_match_compares_weakly_within_and_across_header_lines() {
        let etag = Etag::of_bytes(b"x");
        let own: &'static str = Box::leak(etag.as_str().to_owned().into_boxed_str());
        let weak: &'static str = Box::leak(format!("\"a\", W/{own}").into_boxed_str());
        for values in [&[own][..], &[weak], &["*"], &["\"a\"", own]] {
            assert!(matches_if_none_match(&with(IF_NONE_MATCH, values), &etag), "{values:?}");
        }
        assert!(!matches_if_none_match(&with(IF_NONE_MATCH, &["\"a\""]), &etag));
        assert!(!matches_if_none_match(&HeaderMap::new(), &etag));
    }

    #[test]
    fn if_match_distinguishes_absent_from_empty() {
        assert_eq!(if_match(&HeaderMap::new()), IfMatch::Absent);
        assert_eq!(if_match(&with(IF_MATCH, &[""])), IfMatch::OneOf(Vec::new()));
        assert_eq!(if_match(&with(IF_MATCH, &["*"])), IfMatch::Any);
        assert_eq!(if_match(&with(IF_MATCH, &["\"a\",\"b\""])), IfMatch::OneOf(vec!["\"a\"".into(), "\"b\"".into()]));
    }
}
