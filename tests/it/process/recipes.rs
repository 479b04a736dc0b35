//! Tests of `docs/admin-recipes.md`: the commands of the page work when they are pasted into a shell, and the responses
//! are those that the page shows.

use std::process::Command;

use serde_json::Value;

use super::demo::demo;

const PAGE: &str = include_str!("../../../docs/admin-recipes.md");

/// The recipes in the order of the page: the heading, and the status code of each response.
const RECIPES: [(&str, &str); 14] = [
    ("Ids", "200 200"),
    ("Grant a module to a company", "200"),
    ("List the users with their levels", "200"),
    ("Show the matrix", "200"),
    ("Preview a change of one cell", "200"),
    ("Change the cell as previewed", "200"),
    ("Assign a level to 500 users for a week", "200"),
    ("Who can approve risks", "200"),
    ("Which assignments end soon", "200"),
    ("Explain a decision", "200"),
    ("Remove a user", "200"),
    ("Create an API key", "201"),
    ("Create a company with an administrator", "201"),
    ("Suspend a company", "200"),
];

/// Makes `curl` also write the status code of the response to standard error.
const CURL: &str = r#"curl() { command curl -w '%{stderr}%{http_code} ' "$@"; }"#;

/// A recipe of the page: a heading, commands, and the response that the page shows.
struct Recipe {
    heading: &'static str,
    commands: &'static str,
    response: Option<Value>,
}

/// Returns the recipes of the page.
fn recipes() -> Vec<Recipe> {
    let block = |section: &'static str, language: &str| {
        let (_, rest) = section.split_once(&format!("\n```{language}\n"))?;
        Some(rest.split_once("\n```").unwrap().0)
    };
    let recipe = |section: &'static str| Recipe {
        heading: section.lines().next().unwrap(),
        commands: block(section, "sh").unwrap(),
        response: block(section, "json").map(|json| serde_json::from_str(json).unwrap()),
    };
    PAGE.split("\n## ").skip(1).map(recipe).collect()
}

/// Returns the differences between the response that the page shows and the actual response. The page may omit members
/// of objects and elements of arrays, and replaces the end of a string by `…`. An empty array stands for itself.
fn differences(path: &str, shown: &Value, actual: &Value) -> Vec<String> {
    match (shown, actual) {
        (Value::Object(shown), Value::Object(_)) => shown
            .iter()
            .flat_map(|(name, value)| match actual.get(name) {
                Some(member) => differences(&format!("{path}.{name}"), value, member),
                None => vec![format!("{path}.{name} is missing")],
            })
            .collect(),
        (Value::Array(shown), Value::Array(elements)) if shown.is_empty() == elements.is_empty() => shown
            .iter()
            .filter(|value| !elements.iter().any(|element| differences(path, value, element).is_empty()))
            .map(|value| format!("{path} has no element like {value}: {actual}"))
            .collect(),
        (Value::String(shown), Value::String(actual)) => match shown.strip_suffix('…') {
            Some(start) if actual.starts_with(start) => Vec::new(),
            None if shown == actual => Vec::new(),
            _ => vec![format!("{path} is {actual} and not {shown}")],
        },
        _ if shown == actual => Vec::new(),
        _ => vec![format!("{path} is {actual} and not {shown}")],
    }
}

#[test]
fn the_recipes_for_admin_screens_work_when_they_are_pasted_into_a_shell() {
    let (_server, lines) = demo(&[]);
    let recipes = recipes();
    let headings: Vec<_> = recipes.iter().map(|recipe| recipe.heading).collect();
    assert_eq!(headings, RECIPES.map(|(heading, _)| heading));

    // A `#` ends the output of each recipe. In standard output, the exit status precedes it.
    let variables = lines.iter().filter(|line| line.starts_with("export ")).map(String::as_str);
    let commands = recipes.iter().flat_map(|recipe| [recipe.commands, "printf '\n%s#' $?; printf '#' >&2"]);
    let script: Vec<_> = variables.chain([CURL]).chain(commands).collect();
    let output = Command::new("sh").arg("-c").arg(script.join("\n")).output().unwrap();
    let (printed, statuses) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());

    let results: Vec<_> = printed.split('#').zip(statuses.split('#')).collect();
    assert_eq!(results.len(), recipes.len() + 1, "{printed}\n{statuses}");
    for ((recipe, (heading, status)), (printed, actual_status)) in recipes.iter().zip(RECIPES).zip(results) {
        let (response, exit_status) = printed.rsplit_once('\n').unwrap();
        assert_eq!((exit_status, actual_status.trim()), ("0", status), "{heading}: {printed}");
        if let Some(shown) = &recipe.response {
            let actual: Value = serde_json::from_str(response).unwrap();
            assert_eq!(differences("", shown, &actual), Vec::<String>::new(), "{heading}: {response}");
        }
    }
}

#[test]
fn a_response_that_differs_from_the_page_is_detected() {
    let differ = |shown: &str, actual: &str| {
        let [shown, actual] = [shown, actual].map(|json| serde_json::from_str(json).unwrap());
        !differences("", &shown, &actual).is_empty()
    };
    for (shown, actual) in [
        (r#"{"a":1}"#, r#"{"b":1}"#),
        (r#"{"a":[1]}"#, r#"{"a":[2]}"#),
        (r#"{"a":[]}"#, r#"{"a":[1]}"#),
        (r#"{"a":[1]}"#, r#"{"a":[]}"#),
        (r#""iam_…""#, r#""other""#),
        (r#""…""#, "null"),
        ("null", r#""a""#),
    ] {
        assert!(differ(shown, actual), "{shown} {actual}");
    }
    assert!(!differ(r#"{"a":["x…",{"b":null}]}"#, r#"{"a":[1,{"b":null,"c":2},"xyz"],"d":3}"#));
}
