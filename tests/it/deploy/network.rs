//! The rule for network policies: pods can reach what their settings need, and nothing else.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::manifests::{Pods, list, matches, of_kind, pods, text, title};

/// The port of PostgreSQL. Secrets contain the URLs, so the manifests do not state another port.
const POSTGRES: u64 = 5432;

/// A port with its protocol. Policies omit the protocol TCP.
type Port = (u64, String);

fn tcp(port: u64) -> Port {
    (port, "TCP".to_owned())
}

/// Returns the ports of a rule. A rule without ports allows every port, which `None` represents.
fn ports(rule: &Value) -> Vec<Option<Port>> {
    let protocol = |port: &Value| port["protocol"].as_str().unwrap_or("TCP").to_owned();
    let of_port = |port: &Value| Some((port["port"].as_u64().filter(|_| port["endPort"].is_null())?, protocol(port)));
    match list(rule, "/ports") {
        [] => vec![None],
        ports => ports.iter().map(of_port).collect(),
    }
}

/// Returns the port of an HTTP URL.
fn port_of(url: &str) -> u64 {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let host = rest.split('/').next().unwrap_or_default();
    let port = host.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    port.unwrap_or(if scheme == "http" { 80 } else { 443 })
}

/// Returns the ports to which the pods must connect, each with the setting that is the reason.
fn needs(pods: &Pods<'_>, manifests: &[Value]) -> BTreeSet<(Port, &'static str)> {
    let mut needs: BTreeSet<_> =
        ["TCP", "UDP"].into_iter().map(|protocol| ((53, protocol.to_owned()), "DNS")).collect();
    for container in pods.containers() {
        let environment = pods.environment(container, manifests);
        if environment.contains_key("DATABASE_URL") {
            needs.insert((tcp(POSTGRES), "DATABASE_URL"));
        }
        let issuers = environment.get("IAM__AUTH__ISSUERS").cloned().flatten().unwrap_or_else(|| "[]".to_owned());
        let issuers: Vec<Value> = serde_json::from_str(&issuers).unwrap();
        let key_sets = issuers.iter().filter_map(|issuer| issuer["jwks_url"].as_str());
        needs.extend(key_sets.map(|url| (tcp(port_of(url)), "IAM__AUTH__ISSUERS")));
        let collector = environment.get("IAM__TRACING__ENDPOINT").cloned().flatten();
        needs.extend(collector.map(|url| (tcp(port_of(&url)), "IAM__TRACING__ENDPOINT")));
    }
    needs
}

/// Returns the pods whose network policies allow too little or too much.
pub fn networks_allow_what_the_settings_need(manifests: &[Value]) -> Vec<String> {
    let pods = pods(manifests);
    let mut found: Vec<_> = pods.iter().flat_map(|pods| of_pods(pods, manifests)).collect();
    let needed: BTreeSet<Port> =
        pods.iter().flat_map(|pods| needs(pods, manifests)).map(|(port, _)| port).chain([tcp(POSTGRES)]).collect();
    for policy in of_kind(manifests, "NetworkPolicy") {
        for port in list(policy, "/spec/egress").iter().flat_map(ports) {
            if port.as_ref().is_none_or(|port| !needed.contains(port)) {
                found.push(format!("{} allows egress to {port:?}, which no setting needs", title(policy)));
            }
        }
        for rule in list(policy, "/spec/ingress") {
            let sources = list(rule, "/from");
            let is_open = |source: &Value| source["namespaceSelector"] == json!({}) || source["ipBlock"].is_object();
            if sources.is_empty() || sources.iter().any(is_open) || ports(rule).contains(&None) {
                found.push(format!("{} admits connections from everywhere or to every port", title(policy)));
            }
        }
    }
    found
}

fn of_pods(pods: &Pods<'_>, manifests: &[Value]) -> Vec<String> {
    let title = &pods.title;
    let policies: Vec<_> = of_kind(manifests, "NetworkPolicy")
        .filter(|policy| matches(&policy["spec"]["podSelector"]["matchLabels"], pods.labels))
        .collect();
    let is_default_deny = |policy: &&Value| policy["spec"]["policyTypes"] == json!(["Ingress", "Egress"]);
    if !policies.iter().any(is_default_deny) {
        return vec![format!("no network policy restricts both directions of {title}")];
    }
    let rules = |direction: &'static str| policies.iter().flat_map(move |policy| list(policy, direction));
    let allowed: Vec<_> = rules("/spec/egress").flat_map(ports).collect();
    let needs = needs(pods, manifests).into_iter().filter(|(port, _)| !allowed.contains(&Some(port.clone())));
    let mut found: Vec<_> = needs
        .map(|((port, protocol), reason)| format!("{title} needs egress to {port}/{protocol} ({reason})"))
        .collect();

    let admits = |port: u64, source: Value| {
        rules("/spec/ingress")
            .any(|rule| ports(rule).contains(&Some(tcp(port))) && list(rule, "/from").contains(&source))
    };
    let client = json!({ "namespaceSelector": { "matchLabels": { "iam-client": "true" } } });
    let monitoring = json!({ "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "monitoring" } } });
    for port in pods.containers().flat_map(|container| list(container, "/ports")) {
        let number = port["containerPort"].as_u64().unwrap_or_default();
        let (name, expected) = match text(port, "/name") {
            "http" => ("clients", &client),
            "metrics" => ("Prometheus", &monitoring),
            name => {
                found.push(format!("the purpose of port {name} of {title} is unknown"));
                continue;
            }
        };
        if !admits(number, expected.clone()) {
            found.push(format!("no network policy admits {name} to port {number} of {title}"));
        }
        let clients = [json!({ "podSelector": {} }), client.clone()];
        if name == "Prometheus" && clients.into_iter().any(|source| admits(number, source)) {
            found.push(format!("a network policy admits clients to the admin port of {title}"));
        }
    }
    found
}
