//! Tests that every overlay, with every combination of components, keeps the rules.

use std::process::Command;

use serde_json::{Value, json};

use super::manifests::{RENDERINGS, kustomization, list, parse, pods, render};
use super::rules::violations;
use crate::arrows::root;
use crate::support::process::{ServerProcess, text_of};

#[test]
fn every_overlay_with_every_combination_of_components_keeps_the_rules() {
    assert!(RENDERINGS.iter().any(|rendering| rendering.overlay == "prod"));
    for rendering in RENDERINGS.iter() {
        assert!(!rendering.manifests.is_empty(), "{}", rendering.name());
        assert_eq!(violations(&rendering.manifests), Vec::<String>::new(), "{}", rendering.name());
    }
}

/// Returns the code block in this language that follows the text in the deployment guide.
fn documented(before: &str, language: &str) -> String {
    let guide = std::fs::read_to_string(root().join("docs/deployment.md")).unwrap();
    let (_, after) = guide.split_once(before).expect(before);
    let (_, block) = after.split_once(&format!("```{language}\n")).unwrap();
    block.split_once("```").unwrap().0.to_owned()
}

/// The documented settings of an issuer need the documented patch of the network policy.
#[test]
fn the_network_policy_allows_the_key_sets_of_documented_issuers() {
    let issuers = documented("### Issuers\n", "yaml");
    let patch = documented("Fetching keys from a `jwks_url` needs egress", "yaml");
    let rendered = render(&kustomization("prod", &[], &issuers));
    let found = violations(&rendered);
    assert!(found.iter().any(|text| text.contains("443") && text.contains("IAM__AUTH__ISSUERS")), "{found:?}");
    let rendered = render(&kustomization("prod", &[], &format!("{issuers}{patch}")));
    assert_eq!(violations(&rendered), Vec::<String>::new());
}

/// The documented settings of traces take effect, and the documented patch allows egress to the collector.
#[test]
fn the_documented_settings_of_traces_keep_the_rules() {
    let patch = documented("**`tracing`.**", "yaml");
    let rendered = render(&kustomization("prod", &["tracing".to_owned()], &patch));
    assert_eq!(violations(&rendered), Vec::<String>::new());
    let rendered = Value::from(rendered).to_string();
    for expected in ["http://collector.telemetry:4318", r#""kubernetes.io/metadata.name":"telemetry""#] {
        assert!(rendered.contains(expected), "{rendered}");
    }
    assert!(!rendered.contains("observability"), "{rendered}");
    let other_port = patch.replace("telemetry:4318", "telemetry:4319");
    let found = violations(&render(&kustomization("prod", &["tracing".to_owned()], &other_port)));
    assert!(found.iter().any(|text| text.contains("4319") && text.contains("IAM__TRACING__ENDPOINT")), "{found:?}");
}

/// The documented patch sets the host name in all places.
#[test]
fn the_documented_patch_of_the_gateway_sets_the_host_name() {
    let patch = documented("**`gateway`.**", "yaml");
    let rendered = render(&kustomization("prod", &["gateway".to_owned()], &patch));
    assert_eq!(violations(&rendered), Vec::<String>::new());
    let rendered = Value::from(rendered).to_string();
    assert!(rendered.contains("iam.example.org") && !rendered.contains("iam.example.com"), "{rendered}");
}

/// The rules apply to what is parsed: a parser that dropped documents or members would hide defects.
#[test]
fn parsing_keeps_unknown_members_and_all_documents() {
    let document = |kind: &str| format!("---\napiVersion: v1\nkind: {kind}\nmetadata: {{name: a}}\nx: 1\n");
    let parsed = parse(&["A", "B"].map(document).concat());
    assert_eq!((parsed.len(), parsed[0]["x"].as_i64(), parsed[1]["kind"].as_str()), (2, Some(1), Some("B")));
}

/// The documented commands for the development overlay end in a decision. Instead of a cluster, a process with the
/// arguments and variables of the pod serves the requests.
#[test]
fn the_development_overlay_ends_in_a_decision() {
    let manifests = render(&kustomization("dev", &[], ""));
    let pods = pods(&manifests);
    let [server] = pods.as_slice() else { panic!("{}", pods.len()) };
    let container = server.containers().next().unwrap();
    let arguments: Vec<_> = list(container, "/args").iter().map(|argument| argument.as_str().unwrap()).collect();
    let variables = server.environment(container, &manifests);
    let variables = variables.iter().map(|(name, value)| (name.as_str(), value.as_deref().expect("no Secret exists")));
    let ports = [("PORT", "0"), ("IAM__ADMIN__PORT", "0"), ("IAM__SERVER__HOST", "127.0.0.1")];
    let variables: Vec<_> = variables.chain(ports).collect();
    let mut process = ServerProcess::start(&arguments, &variables);
    process.wait_for_line("export TOKEN=");

    let commands = documented("### A decision in the development overlay\n", "sh");
    assert!(commands.contains("http://127.0.0.1:3001/"), "{commands}");
    let commands = commands.replace("127.0.0.1:3001", &process.address.to_string());
    let kubectl = "kubectl() { if [ \"$1\" = exec ]; then shift 3; \"$@\"; fi; }";
    let programs = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned();
    let script = format!("set -e\nPATH='{}':$PATH\n{kubectl}\n{commands}", programs.display());
    let output = Command::new("sh").arg("-c").arg(script).envs(variables).output().unwrap();
    assert!(output.status.success(), "{}", text_of(&output));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&answer["data"]["allowed"], &answer["data"]["reasonCode"]), (&json!(true), &json!("explicit_allow")));
    process.stop();
}
