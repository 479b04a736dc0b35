//! The rule for routes and scrapes: they lead to Services and listeners that exist.

use serde_json::Value;

use super::manifests::{list, matches, of_kind, text, title};

/// Returns the routes and monitors that lead nowhere, and the routes without TLS.
pub fn routes_lead_to_services(manifests: &[Value]) -> Vec<String> {
    let mut found = vec![];
    for monitor in of_kind(manifests, "ServiceMonitor") {
        for endpoint in list(monitor, "/spec/endpoints") {
            let selects = |service: &Value| {
                matches(&monitor["spec"]["selector"]["matchLabels"], &service["metadata"]["labels"])
                    && list(service, "/spec/ports").iter().any(|port| port["name"] == endpoint["port"])
            };
            if !of_kind(manifests, "Service").any(selects) {
                found.push(format!("{}: no Service has the port {}", title(monitor), endpoint["port"]));
            }
        }
    }
    for route in of_kind(manifests, "HTTPRoute") {
        let title = title(route);
        let mut protocols = vec![];
        for parent in list(route, "/spec/parentRefs") {
            let gateways =
                of_kind(manifests, "Gateway").filter(|gateway| gateway["metadata"]["name"] == parent["name"]);
            let listeners = gateways.flat_map(|gateway| list(gateway, "/spec/listeners"));
            let named: Vec<_> = listeners.filter(|listener| listener["name"] == parent["sectionName"]).collect();
            let is_covered = |host: &Value| named.iter().any(|listener| listener["hostname"] == *host);
            if named.is_empty() || !list(route, "/spec/hostnames").iter().all(is_covered) {
                found.push(format!("{title}: no Gateway has the listener {} for its host", parent["sectionName"]));
            }
            protocols.extend(named.into_iter().map(|listener| text(listener, "/protocol")));
        }
        for rule in list(route, "/spec/rules") {
            for backend in list(rule, "/backendRefs") {
                let is_backend = |service: &Value| {
                    service["metadata"]["name"] == backend["name"]
                        && list(service, "/spec/ports").iter().any(|port| port["port"] == backend["port"])
                };
                if !of_kind(manifests, "Service").any(is_backend) {
                    found.push(format!("{title}: the Service {} does not exist", backend["name"]));
                }
                if protocols.iter().any(|protocol| *protocol != "HTTPS") {
                    found.push(format!("{title} routes requests without TLS"));
                }
            }
            let paths = list(rule, "/matches").iter().map(|matched| text(matched, "/path/value"));
            let is_api = paths.clone().count() > 0 && paths.clone().all(|path| path == "/api/iam");
            if !list(rule, "/backendRefs").is_empty() && !is_api {
                found.push(format!("{title} exposes more than the API"));
            }
        }
    }
    for gateway in of_kind(manifests, "Gateway") {
        for listener in list(gateway, "/spec/listeners") {
            if (listener["protocol"] == "HTTPS") != listener["tls"].is_object() {
                found.push(format!("{}: the listener {} has no certificate", title(gateway), listener["name"]));
            }
        }
    }
    found
}
