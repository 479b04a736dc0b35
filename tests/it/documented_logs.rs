//! Tests that docs/observability.md lists every span and every event of the log.

use std::collections::{BTreeMap, BTreeSet};

use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{LitStr, Token};

use crate::arrows::{root, shipped_lines};

/// The macros that write an event.
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// Returns the shipped source of each file.
fn sources() -> BTreeMap<String, String> {
    let mut files = BTreeMap::<String, String>::new();
    for (file, line) in shipped_lines() {
        let source = files.entry(file).or_default();
        source.push_str(&line);
        source.push('\n');
    }
    files
}

/// Returns the rows of the tables of docs/observability.md that have this heading, as cells without backticks.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let page = std::fs::read_to_string(root().join("docs/observability.md")).expect("the page must be readable");
    let lines = page.lines().skip_while(|line| *line != heading).skip(2).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    let rows: Vec<_> = lines.map(cells).collect();
    assert!(!rows.is_empty(), "{heading}");
    rows
}

/// Returns the texts in backticks.
fn quoted(text: &str) -> impl Iterator<Item = String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned)
}

/// An argument of a macro that writes an event: its text if it is a string, and nothing otherwise.
struct Argument(Option<String>);

impl Parse for Argument {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let text: Option<LitStr> = if input.peek(LitStr) { Some(input.parse()?) } else { None };
        let is_alone = input.is_empty() || input.peek(Token![,]);
        while !input.is_empty() && !input.peek(Token![,]) {
            input.step(|cursor| {
                let (_, rest) = cursor.token_tree().expect("the input is not empty");
                Ok(((), rest))
            })?;
        }
        Ok(Self(text.filter(|_| is_alone).map(|text| text.value())))
    }
}

/// Returns the message of an event. `rest` begins with the arguments of its macro.
fn message(rest: &str) -> String {
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    let end = rest.find(|character| {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = is_text,
            '"' => is_text = !is_text,
            '(' if !is_text => depth += 1,
            ')' if !is_text && depth == 0 => return true,
            ')' if !is_text => depth -= 1,
            _ => {}
        }
        false
    });
    let arguments = &rest[..end.expect("the arguments must end")];
    let arguments = Punctuated::<Argument, Token![,]>::parse_terminated.parse_str(arguments);
    let mut messages = arguments.expect("the arguments must be readable").into_iter().filter_map(|argument| argument.0);
    pattern(&messages.next().unwrap_or_else(|| panic!("an event must have a message: {rest:.200}")))
}

/// Returns a message in which `…` stands for each value.
fn pattern(message: &str) -> String {
    let mut parts = message.split('{');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| format!("{text}…{}", part.split_once('}').map_or("", |(_, rest)| rest)))
}

/// Returns the events that the source can write.
fn written() -> BTreeSet<(String, String)> {
    let mut written = BTreeSet::new();
    for (source, level) in sources().values().flat_map(|source| LEVELS.map(|level| (source, level))) {
        let macro_start = format!("tracing::{level}!(");
        let events = source.split(&macro_start).skip(1);
        written.extend(events.map(|rest| (level.to_owned(), message(rest))));
    }
    written
}

#[test]
fn every_event_of_the_log_is_documented() {
    let mut listed = BTreeSet::new();
    for row in rows("| message | level | meaning |") {
        let [message, levels, meaning] = row.as_slice() else { panic!("{row:?}") };
        assert_ne!(meaning, "", "{row:?}");
        for level in levels.split(", ") {
            assert!(listed.insert((level.to_owned(), message.clone())), "{row:?}");
        }
    }
    let written = written();
    assert!(written.len() > 50, "{written:?}");
    assert_eq!(listed, written);
}

/// Returns the string literals that follow one of these texts in the source.
fn literals_after(starts: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for source in sources().into_values() {
        let source = source.replace('\n', "");
        for start in starts {
            let uses = source.split(start).skip(1).filter_map(|rest| rest.strip_prefix('"')?.split_once('"'));
            found.extend(uses.map(|(literal, _)| literal.to_owned()));
        }
    }
    found
}

#[test]
fn every_span_is_documented() {
    let listed: BTreeSet<_> = rows("| span | kind | meaning |").iter().flat_map(|row| quoted(&row[0])).collect();
    let mut expected = literals_after(&["child(", "child_or_root(", "in_time(", "within_span("]);
    // Requests, storage operations and statements have names that the source does not state as one literal.
    expected.extend(["<method> <route>", "<trait>.<method>", "<verb>"].map(str::to_owned));
    assert_eq!(listed, expected);
}

#[test]
fn every_attribute_of_a_span_is_documented() {
    let rows = rows("| attribute | spans | meaning |");
    let listed: BTreeSet<_> = rows.iter().flat_map(|row| quoted(&row[0])).collect();
    let expected = literals_after(&["KeyValue::new("]);
    assert!(expected.len() > 10, "{expected:?}");
    let resource = BTreeSet::from(["service.name".to_owned()]);
    assert_eq!(listed, expected.union(&resource).cloned().collect());
}
