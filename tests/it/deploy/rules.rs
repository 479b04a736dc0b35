//! The rules for rendered manifests. Each rule returns the violations that it finds.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::manifests::{Pods, list, matches, of_kind, pods, text, title};
use super::network::networks_allow_what_the_settings_need;
use super::routing::routes_lead_to_services;
use super::schemas::conform_to_their_schemas;
use crate::arrows::root;

type Rule = fn(&[Value]) -> Vec<String>;

/// The rules, by name.
pub const RULES: [(&str, Rule); 11] = [
    ("schemas", conform_to_their_schemas),
    ("restricted", pods_are_restricted),
    ("probes", probes_have_separate_purposes),
    ("images", images_have_fixed_versions),
    ("resources", containers_have_resources),
    ("network", networks_allow_what_the_settings_need),
    ("references", referenced_objects_exist),
    ("routing", routes_lead_to_services),
    ("rollout", rollouts_keep_the_service_available),
    ("production", production_has_secrets_and_json_logs),
    ("order", migrations_precede_servers),
];

/// Returns the violations of all rules, each with the name of its rule.
pub fn violations(manifests: &[Value]) -> Vec<String> {
    let found = RULES.iter().flat_map(|(name, rule)| rule(manifests).into_iter().map(move |text| (name, text)));
    found.map(|(name, text)| format!("{name}: {text}")).collect()
}

/// Applies a check to each container. The check returns what is wrong.
fn each_container(manifests: &[Value], check: impl Fn(&Pods<'_>, &Value) -> Vec<String>) -> Vec<String> {
    let mut found = vec![];
    for pods in pods(manifests) {
        for container in pods.containers() {
            let at = format!("{}, container {}", pods.title, text(container, "/name"));
            found.extend(check(&pods, container).into_iter().map(|text| format!("{at}: {text}")));
        }
    }
    found
}

/// The *restricted* Pod Security Standard, and a read-only root file system.
fn pods_are_restricted(manifests: &[Value]) -> Vec<String> {
    let expected = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": { "drop": ["ALL"] },
        "readOnlyRootFilesystem": true,
    });
    let mut found = each_container(manifests, |_, container| {
        let has_host_port = list(container, "/ports").iter().any(|port| !port["hostPort"].is_null());
        let is_restricted = container["securityContext"] == expected && !has_host_port;
        if is_restricted { vec![] } else { vec!["the security context is not the restricted one".to_owned()] }
    });
    for Pods { title, spec, .. } in pods(manifests) {
        let empty = serde_json::Map::new();
        let context = spec["securityContext"].as_object().unwrap_or(&empty);
        let is_valid = |name: &str, value: &Value| match name {
            "runAsNonRoot" => *value == true,
            "runAsUser" | "runAsGroup" | "fsGroup" => value.as_u64().is_some_and(|id| id > 0),
            "fsGroupChangePolicy" => true,
            "seccompProfile" => *value == json!({ "type": "RuntimeDefault" }),
            _ => false,
        };
        let has_all = ["runAsNonRoot", "runAsUser", "seccompProfile"].iter().all(|name| context.contains_key(*name));
        if !has_all || !context.iter().all(|(name, value)| is_valid(name, value)) {
            found.push(format!("{title}: the security context is not the restricted one"));
        }
        if ["hostNetwork", "hostPID", "hostIPC"].iter().any(|name| spec[*name] == true) {
            found.push(format!("{title} uses a namespace of the host"));
        }
        if spec["automountServiceAccountToken"] != false {
            found.push(format!("{title} mounts the token of its service account"));
        }
        let kinds = ["name", "configMap", "secret", "emptyDir", "persistentVolumeClaim"];
        let volumes = list(spec, "/volumes").iter().filter_map(Value::as_object).flat_map(|volume| volume.keys());
        found.extend(
            volumes.filter(|kind| !kinds.contains(&kind.as_str())).map(|kind| format!("{title} has a volume {kind}")),
        );
    }
    found
}

/// The startup and liveness probes do not depend on the database; the readiness probe does. A pod is restarted only
/// after half a minute, and receives no requests ten seconds after it reports that it is not ready.
fn probes_have_separate_purposes(manifests: &[Value]) -> Vec<String> {
    let seconds = |probe: &Value| {
        let number = |name: &str, default| probe[name].as_u64().unwrap_or(default);
        number("periodSeconds", 10) * number("failureThreshold", 3)
    };
    each_container(manifests, |_, container| {
        if list(container, "/ports").is_empty() {
            return vec![];
        }
        let mut found = vec![];
        for (name, path) in [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
            let probe = &container[name];
            if probe["httpGet"] != json!({ "path": path, "port": "metrics" }) {
                found.push(format!("{name} is not {path} on the admin port"));
            }
            let is_patient = seconds(probe) >= 30;
            if is_patient != (name != "readinessProbe") || (!is_patient && seconds(probe) > 10) {
                found.push(format!("{name} fails after {} s", seconds(probe)));
            }
        }
        if !list(container, "/ports").iter().any(|port| port["name"] == "metrics") {
            found.push("the admin port of the probes is missing".to_owned());
        }
        found
    })
}

/// An image has a digest, or a tag that begins with a version of at least two numbers. Other tags may move.
fn images_have_fixed_versions(manifests: &[Value]) -> Vec<String> {
    let is_number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    each_container(manifests, |_, container| {
        let image = text(container, "/image");
        let name = image.rsplit('/').next().unwrap_or_default();
        let is_fixed = match (name.split_once("@sha256:"), name.split_once(':')) {
            (Some((_, digest)), _) => digest.len() == 64,
            (None, Some((_, tag))) => {
                let numbers: Vec<_> = tag.split('-').next().unwrap_or_default().split('.').collect();
                numbers.len() >= 2 && numbers.into_iter().all(is_number)
            }
            (None, None) => false,
        };
        if is_fixed { vec![] } else { vec![format!("the image {image} has no fixed version")] }
    })
}

/// The processor time is requested and not limited; the memory is limited to what is requested.
fn containers_have_resources(manifests: &[Value]) -> Vec<String> {
    each_container(manifests, |_, container| {
        let of = |pointer: &str| container.pointer(&format!("/resources{pointer}"));
        let memory = of("/requests/memory");
        if of("/requests/cpu").is_some()
            && memory.is_some()
            && memory == of("/limits/memory")
            && of("/limits/cpu").is_none()
        {
            return vec![];
        }
        vec![format!("the resources are {}", container["resources"])]
    })
}

/// Returns the Secrets and their keys that the deployment guide lists.
fn documented_secrets() -> BTreeSet<(String, String)> {
    let guide = std::fs::read_to_string(root().join("docs/deployment.md")).unwrap();
    let (_, section) = guide.split_once("### Secrets\n").unwrap();
    let rows = section.lines().skip(1).skip_while(|line| line.is_empty()).take_while(|line| line.starts_with('|'));
    let cells = rows.map(|row| row.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect::<Vec<_>>());
    cells.filter(|cells| cells.len() > 2).map(|cells| (cells[1].clone(), cells[2].clone())).collect()
}

/// ConfigMaps, claims and service accounts are in the manifests. Secrets are documented and, if the manifests contain
/// external secrets, one of these provides them. Services lead to ports that exist.
fn referenced_objects_exist(manifests: &[Value]) -> Vec<String> {
    let exists = |kind: &str, name: &str| of_kind(manifests, kind).any(|found| text(found, "/metadata/name") == name);
    let secrets = documented_secrets();
    let provided: Vec<_> = of_kind(manifests, "ExternalSecret").collect();
    let has_secret = |name: &str, key: &str| {
        let provides = |secret: &&Value| {
            text(secret, "/spec/target/name") == name
                && list(secret, "/spec/data").iter().any(|data| data["secretKey"] == key)
        };
        secrets.contains(&(name.to_owned(), key.to_owned())) && (provided.is_empty() || provided.iter().any(provides))
    };
    let mut found = each_container(manifests, |pods, container| {
        let mut missing = vec![];
        for source in list(container, "/envFrom") {
            let name = text(source, "/configMapRef/name");
            if !exists("ConfigMap", name) {
                missing.push(format!("the ConfigMap {name} does not exist"));
            }
        }
        for source in list(container, "/env").iter().filter_map(|variable| variable.pointer("/valueFrom/secretKeyRef"))
        {
            let (name, key) = (text(source, "/name"), text(source, "/key"));
            if !has_secret(name, key) {
                missing.push(format!("no Secret {name} has a key {key}"));
            }
        }
        for mount in list(container, "/volumeMounts") {
            if !list(pods.spec, "/volumes").iter().any(|volume| volume["name"] == mount["name"]) {
                missing.push(format!("the volume {} does not exist", mount["name"]));
            }
        }
        missing
    });
    for Pods { title, spec, .. } in pods(manifests) {
        let account = text(spec, "/serviceAccountName");
        if !exists("ServiceAccount", account) {
            found.push(format!("{title}: the service account {account} does not exist"));
        }
        for volume in list(spec, "/volumes") {
            let sources =
                [("ConfigMap", "/configMap/name"), ("PersistentVolumeClaim", "/persistentVolumeClaim/claimName")];
            for (kind, name) in sources.map(|(kind, pointer)| (kind, text(volume, pointer))) {
                if !name.is_empty() && !exists(kind, name) {
                    found.push(format!("{title}: the {kind} {name} does not exist"));
                }
            }
        }
    }
    for service in of_kind(manifests, "Service") {
        let selected = pods(manifests).into_iter().filter(|pods| matches(&service["spec"]["selector"], pods.labels));
        let names: Vec<_> = selected.flat_map(|pods| pods.containers().flat_map(|c| list(c, "/ports"))).collect();
        for port in list(service, "/spec/ports") {
            if !names.iter().any(|known| known["name"] == port["targetPort"]) {
                found.push(format!("{}: no pod has the port {}", title(service), port["targetPort"]));
            }
        }
    }
    for scaler in of_kind(manifests, "HorizontalPodAutoscaler") {
        let target = text(scaler, "/spec/scaleTargetRef/name");
        if !exists("Deployment", target) {
            found.push(format!("{}: the Deployment {target} does not exist", title(scaler)));
        }
    }
    found
}

/// A new pod is ready before an old pod stops, and evictions stop one pod at a time. Either the Deployment states the
/// number of replicas or an autoscaler does.
fn rollouts_keep_the_service_available(manifests: &[Value]) -> Vec<String> {
    let mut found = vec![];
    for deployment in of_kind(manifests, "Deployment") {
        let title = title(deployment);
        let update = &deployment["spec"]["strategy"]["rollingUpdate"];
        if update["maxUnavailable"] != 0 || update["maxSurge"].as_u64().is_none_or(|surge| surge == 0) {
            found.push(format!("{title}: an update stops pods before new pods are ready"));
        }
        let labels = &deployment["spec"]["template"]["metadata"]["labels"];
        let protects = |budget: &Value| {
            budget["spec"]["maxUnavailable"] == 1 && matches(&budget["spec"]["selector"]["matchLabels"], labels)
        };
        if !of_kind(manifests, "PodDisruptionBudget").any(protects) {
            found.push(format!("{title}: evictions may stop several pods at a time"));
        }
        let name = text(deployment, "/metadata/name");
        let scaled = of_kind(manifests, "HorizontalPodAutoscaler")
            .find(|scaler| text(scaler, "/spec/scaleTargetRef/name") == name);
        let is_scaled_well = |scaler: &Value| scaler["spec"]["minReplicas"].as_u64() >= Some(2);
        if scaled.is_some_and(|scaler| !is_scaled_well(scaler) || !deployment["spec"]["replicas"].is_null()) {
            found
                .push(format!("{title}: the autoscaler may leave fewer than two replicas, or conflicts with replicas"));
        }
    }
    found
}

/// A server in production mode logs JSON, drains connections, and reads secrets only from Secrets.
fn production_has_secrets_and_json_logs(manifests: &[Value]) -> Vec<String> {
    each_container(manifests, |pods, container| {
        let environment = pods.environment(container, manifests);
        let value = |name: &str| environment.get(name).cloned().flatten();
        if value("IAM__SERVER__MODE").as_deref() != Some("production") {
            return vec![];
        }
        let mut found = vec![];
        if value("IAM__LOG__FORMAT").as_deref() != Some("json") {
            found.push("the log format is not json".to_owned());
        }
        if value("IAM__SERVER__DRAIN_DELAY").is_none_or(|delay| delay.starts_with('0')) {
            found.push("connections are not drained".to_owned());
        }
        for secret in ["DATABASE_URL", "JWT_SECRET"] {
            if value(secret).is_some() {
                found.push(format!("{secret} is not read from a Secret"));
            }
        }
        found
    })
}

/// Argo CD applies the waves in ascending order: the Secrets, the migration Job, the server.
fn migrations_precede_servers(manifests: &[Value]) -> Vec<String> {
    let wave = |manifest: &Value| -> i64 {
        let annotation = text(manifest, "/metadata/annotations/argocd.argoproj.io~1sync-wave");
        annotation.parse().unwrap_or_default()
    };
    let waves = |kind: &'static str| of_kind(manifests, kind).map(wave).collect::<Vec<_>>();
    let order = [waves("ExternalSecret"), waves("Job"), waves("Deployment")];
    let mut found = vec![];
    for (earlier, later) in [(&order[0], &order[1]), (&order[0], &order[2]), (&order[1], &order[2])] {
        if earlier.iter().max() >= later.iter().min() && !earlier.is_empty() && !later.is_empty() {
            found.push(format!("the sync waves are not ascending: {order:?}"));
        }
    }
    // An autoscaler without its Deployment, and a volume that no pod uses yet, are not healthy, and would end the sync.
    let server = waves("Deployment").into_iter().max();
    for kind in ["HorizontalPodAutoscaler", "PersistentVolumeClaim"] {
        if waves(kind).into_iter().min().is_some_and(|wave| Some(wave) < server) {
            found.push(format!("the sync wave of {kind} precedes the server"));
        }
    }
    found
}
