//! Numbered pages of lists that a page reads as a whole.

use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Number of rows on a page.
const ROWS: usize = 50;

/// The part of a list that one page shows.
pub(crate) struct Part<'a, T> {
    /// The rows of the page.
    pub(crate) rows: &'a [T],
    /// The number of the page, counted from 1.
    number: usize,
    /// The number of all pages.
    pages: usize,
}

impl<'a, T> Part<'a, T> {
    /// Returns the page with this number, counted from 1. Numbers that are too large mean the last page.
    pub(crate) fn of(all: &'a [T], number: usize) -> Self {
        let pages = all.len().div_ceil(ROWS).max(1);
        let number = number.clamp(1, pages);
        let start = (number - 1) * ROWS;
        Self { rows: all.get(start..all.len().min(start + ROWS)).unwrap_or_default(), number, pages }
    }

    /// Returns the links to the previous and the next page. `path` is the path of the list, and `query` the other parameters.
    pub(crate) fn links(&self, path: &str, query: &[(&str, &str)]) -> Markup {
        let mut base = format!("{path}?");
        for (name, value) in query {
            base.push_str(&format!("{name}={}&", utf8_percent_encode(value, NON_ALPHANUMERIC)));
        }
        html! {
            @if self.pages > 1 {
                nav.pager aria-label="Pages" {
                    @if self.number > 1 { a.button href={ (base) "page=" (self.number - 1) } { "Previous page" } }
                    span.muted { "Page " (self.number) " of " (self.pages) }
                    @if self.number < self.pages { a.button href={ (base) "page=" (self.number + 1) } { "Next page" } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_numbered_from_one_to_the_last() {
        let all: Vec<_> = (0..101).collect();
        for (number, first, rows) in [(0, 0, 50), (1, 0, 50), (2, 50, 50), (3, 100, 1), (9, 100, 1)] {
            let part = Part::of(&all, number);
            assert_eq!((part.rows.first(), part.rows.len()), (Some(&first), rows), "{number}");
        }
        let none = Part::of(&all[..0], 1);
        assert!(none.rows.is_empty() && none.links("/list", &[]).into_string().is_empty());
    }

    #[test]
    fn links_keep_the_other_parameters() {
        let all: Vec<_> = (0..101).collect();
        let links = Part::of(&all, 2).links("/list", &[("q", "a&b")]).into_string();
        assert!(links.contains("/list?q=a%26b&amp;page=1") && links.contains("page=3"), "{links}");
    }
}
