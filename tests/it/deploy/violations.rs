//! Tests that each rule detects manifests with defects.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::manifests::{text, with_all_components};
use super::rules::{RULES, violations};

/// The kind of a manifest, the path of a member, its new value (`None` removes it), and the rule that must detect it.
type Defect = (&'static str, &'static str, Option<Value>, &'static str);

/// The container of the server, and the path of its pods.
const SERVER: &str = "/spec/template/spec/containers/0";
const PODS: &str = "/spec/template/spec";

fn deployment(member: &str, value: Option<Value>, rule: &'static str) -> Defect {
    let pointer = if member.starts_with("/spec/") { member.to_owned() } else { format!("{SERVER}{member}") };
    ("Deployment", String::leak(pointer), value, rule)
}

fn defects() -> Vec<Defect> {
    let pod = |member: &str| format!("{PODS}{member}");
    let probe = |path: &str| json!({ "path": path, "port": "metrics" });
    vec![
        // Unknown members, wrong types, unknown kinds and missing members.
        deployment("/spec/replica", Some(json!(2)), "schemas"),
        deployment("/livenessprobe", Some(json!({})), "schemas"),
        deployment("/ports/0/containerPort", Some(json!("3001")), "schemas"),
        deployment("/name", None, "schemas"),
        deployment("/spec/template", None, "schemas"),
        deployment("/env/0/value", Some(Value::Null), "schemas"),
        ("Service", "/apiVersion", Some(json!("v2")), "schemas"),
        ("NetworkPolicy", "/spec/egress/0/port", Some(json!(53)), "schemas"),
        ("HorizontalPodAutoscaler", "/spec/maxReplicas", None, "schemas"),
        ("Job", "/metadata", None, "schemas"),
        ("CronJob", "/spec/concurrency", Some(json!("Forbid")), "schemas"),
        ("PrometheusRule", "/spec/groups/0/rules/0/annotations/runbook", None, "schemas"),
        // The restricted profile.
        deployment("/securityContext", None, "restricted"),
        deployment("/securityContext/privileged", Some(json!(true)), "restricted"),
        deployment("/securityContext/capabilities/add", Some(json!(["NET_ADMIN"])), "restricted"),
        deployment("/securityContext/readOnlyRootFilesystem", Some(json!(false)), "restricted"),
        deployment("/ports/0/hostPort", Some(json!(80)), "restricted"),
        deployment(&pod("/securityContext/runAsNonRoot"), None, "restricted"),
        deployment(&pod("/securityContext/runAsUser"), Some(json!(0)), "restricted"),
        deployment(&pod("/securityContext/seccompProfile/type"), Some(json!("Unconfined")), "restricted"),
        deployment(&pod("/hostNetwork"), Some(json!(true)), "restricted"),
        deployment(&pod("/automountServiceAccountToken"), None, "restricted"),
        deployment(&pod("/volumes"), Some(json!([{ "name": "a", "hostPath": { "path": "/" } }])), "restricted"),
        ("Job", "/spec/template/spec/initContainers/0/securityContext", None, "restricted"),
        ("CronJob", "/spec/jobTemplate/spec/template/spec/securityContext/fsGroup", Some(json!(0)), "restricted"),
        // The probes.
        deployment("/startupProbe/httpGet", Some(probe("/readyz")), "probes"),
        deployment("/livenessProbe/httpGet", Some(probe("/readyz")), "probes"),
        deployment("/readinessProbe/httpGet", Some(probe("/livez")), "probes"),
        deployment("/livenessProbe/httpGet/port", Some(json!("http")), "probes"),
        deployment("/livenessProbe/failureThreshold", Some(json!(1)), "probes"),
        deployment("/readinessProbe/failureThreshold", Some(json!(20)), "probes"),
        deployment("/startupProbe", None, "probes"),
        // Tags that move.
        deployment("/image", Some(json!("iam-http")), "images"),
        deployment("/image", Some(json!("iam-http:latest")), "images"),
        deployment("/image", Some(json!("images.example.com:5000/iam-http")), "images"),
        deployment("/image", Some(json!("iam-http:1")), "images"),
        deployment("/image", Some(json!("iam-http@sha256:12")), "images"),
        // Resources.
        deployment("/resources", None, "resources"),
        deployment("/resources/limits/memory", Some(json!("1Gi")), "resources"),
        deployment("/resources/limits/cpu", Some(json!("1")), "resources"),
        ("Job", "/spec/template/spec/containers/0/resources/requests/cpu", None, "resources"),
        // Network policies that allow too little or too much.
        ("NetworkPolicy", "/spec/egress/0/ports", Some(json!([{ "port": 53, "protocol": "TCP" }])), "network"),
        ("NetworkPolicy", "/spec/egress/1/ports/0/port", Some(json!(5433)), "network"),
        ("NetworkPolicy", "/spec/egress/1/ports/0/endPort", Some(json!(6000)), "network"),
        ("NetworkPolicy", "/spec/egress/2/ports/0/port", Some(json!(4317)), "network"),
        ("NetworkPolicy", "/spec/egress/-", Some(json!({})), "network"),
        ("NetworkPolicy", "/spec/egress/-", Some(json!({ "ports": [{ "port": 443 }] })), "network"),
        ("NetworkPolicy", "/spec/ingress/-", Some(json!({})), "network"),
        ("NetworkPolicy", "/spec/ingress/0/ports/-", Some(json!({ "port": 9464 })), "network"),
        ("NetworkPolicy", "/spec/ingress/1/ports/0/port", Some(json!(9465)), "network"),
        ("NetworkPolicy", "/spec/ingress/0/from/1", None, "network"),
        ("NetworkPolicy", "/spec/policyTypes", Some(json!(["Ingress"])), "network"),
        ("NetworkPolicy", "/spec/podSelector/matchLabels", Some(json!({ "app": "other" })), "network"),
        // References to objects that do not exist.
        deployment("/envFrom/0/configMapRef/name", Some(json!("other")), "references"),
        deployment("/env/0/valueFrom/secretKeyRef/name", Some(json!("other")), "references"),
        deployment("/env/0/valueFrom/secretKeyRef/key", Some(json!("URL")), "references"),
        deployment("/volumeMounts", Some(json!([{ "name": "a", "mountPath": "/a" }])), "references"),
        deployment(&pod("/serviceAccountName"), Some(json!("other")), "references"),
        deployment(&pod("/volumes"), Some(json!([{ "name": "a", "configMap": { "name": "a" } }])), "references"),
        ("Service", "/spec/selector", Some(json!({ "app": "other" })), "references"),
        ("Service", "/spec/ports/0/targetPort", Some(json!("other")), "references"),
        ("HorizontalPodAutoscaler", "/spec/scaleTargetRef/name", Some(json!("other")), "references"),
        // Secrets that no external secret provides.
        ("ExternalSecret", "/spec/data", Some(json!([])), "references"),
        ("ExternalSecret", "/spec/target/name", Some(json!("other")), "references"),
        // Routes and scrapes that lead nowhere, and routes without TLS.
        ("ServiceMonitor", "/spec/endpoints/0/port", Some(json!("http")), "routing"),
        ("ServiceMonitor", "/spec/selector/matchLabels", Some(json!({ "app": "other" })), "routing"),
        ("HTTPRoute", "/spec/rules/0/backendRefs", Some(json!([{ "name": "other", "port": 80 }])), "routing"),
        ("HTTPRoute", "/spec/rules/0/backendRefs", Some(json!([{ "name": "iam", "port": 3001 }])), "routing"),
        ("HTTPRoute", "/spec/rules/0/matches", Some(json!([{ "path": { "value": "/" } }])), "routing"),
        ("HTTPRoute", "/spec/parentRefs/0/sectionName", Some(json!("http")), "routing"),
        ("HTTPRoute", "/spec/parentRefs/0/name", Some(json!("other")), "routing"),
        ("HTTPRoute", "/spec/hostnames/0", Some(json!("other.example.com")), "routing"),
        ("Gateway", "/spec/listeners/1/tls", None, "routing"),
        // Updates and evictions that interrupt the service.
        deployment("/spec/strategy/rollingUpdate/maxUnavailable", Some(json!(1)), "rollout"),
        deployment("/spec/strategy", None, "rollout"),
        deployment("/spec/replicas", Some(json!(2)), "rollout"),
        ("PodDisruptionBudget", "/spec/selector/matchLabels", Some(json!({ "app": "other" })), "rollout"),
        ("PodDisruptionBudget", "/spec/maxUnavailable", Some(json!(2)), "rollout"),
        ("HorizontalPodAutoscaler", "/spec/minReplicas", Some(json!(1)), "rollout"),
        // Settings of production.
        ("ConfigMap", "/data/IAM__LOG__FORMAT", None, "production"),
        ("ConfigMap", "/data/IAM__LOG__FORMAT", Some(json!("text")), "production"),
        ("ConfigMap", "/data/IAM__SERVER__DRAIN_DELAY", Some(json!("0s")), "production"),
        deployment("/env/1", Some(json!({ "name": "JWT_SECRET", "value": "a" })), "production"),
        // The order of Argo CD.
        ("Deployment", "/metadata/annotations", None, "order"),
        ("Job", "/metadata/annotations/argocd.argoproj.io~1sync-wave", Some(json!("1")), "order"),
        ("ExternalSecret", "/metadata/annotations", None, "order"),
        ("HorizontalPodAutoscaler", "/metadata/annotations", None, "order"),
        ("PersistentVolumeClaim", "/metadata/annotations", None, "order"),
    ]
}

/// Sets or removes the member with this path in each manifest of the kind. The last part of the path may be `-`, which
/// appends to a list.
fn broken((kind, pointer, value, _): &Defect) -> Vec<Value> {
    let mut manifests = with_all_components("prod");
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    let member = member.replace("~1", "/");
    let mut changed = 0;
    for manifest in manifests.iter_mut().filter(|manifest| manifest["kind"] == *kind) {
        match (manifest.pointer_mut(parent), value) {
            (Some(Value::Object(members)), Some(value)) => drop(members.insert(member.clone(), value.clone())),
            (Some(Value::Object(members)), None) => {
                if members.remove(&member).is_none() {
                    continue;
                }
            }
            (Some(Value::Array(items)), Some(value)) => match member.parse::<usize>() {
                Ok(index) => items[index] = value.clone(),
                Err(_) => items.push(value.clone()),
            },
            (Some(Value::Array(items)), None) => drop(items.remove(member.parse().unwrap())),
            _ => panic!("{} has no {pointer}", text(manifest, "/metadata/name")),
        }
        changed += 1;
    }
    assert!(changed > 0, "there is no {kind} with {pointer}");
    manifests
}

#[test]
fn each_rule_detects_defects() {
    assert_eq!(violations(&with_all_components("prod")), Vec::<String>::new());
    for defect in defects() {
        let found = violations(&broken(&defect));
        let (kind, pointer, value, rule) = defect;
        let is_detected = found.iter().any(|text| text.starts_with(&format!("{rule}: ")));
        assert!(is_detected, "{kind} {pointer} {value:?} is not detected by {rule}: {found:?}");
    }
}

#[test]
fn each_rule_has_defects() {
    let tested: BTreeSet<_> = defects().into_iter().map(|(.., rule)| rule).collect();
    assert_eq!(tested, RULES.iter().map(|(name, _)| *name).collect());
}
