//! Renders kustomizations, and reads the rendered manifests.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

/// An overlay of `deploy/overlays` with components of `deploy/components`.
pub struct Rendering {
    pub overlay: String,
    pub components: Vec<String>,
    pub manifests: Vec<Value>,
}

impl Rendering {
    pub fn name(&self) -> String {
        [std::slice::from_ref(&self.overlay), &self.components[..]].concat().join(" + ")
    }
}

/// Each overlay with each combination of components.
pub static RENDERINGS: LazyLock<Vec<Rendering>> = LazyLock::new(|| {
    let components = folders("components");
    let mut combinations = vec![vec![]];
    for component in &components {
        let with = combinations.iter().map(|chosen| [&chosen[..], std::slice::from_ref(component)].concat());
        combinations.extend(with.collect::<Vec<_>>());
    }
    let overlays = folders("overlays").into_iter();
    let all = overlays.flat_map(|overlay| combinations.iter().map(move |chosen| (overlay.clone(), chosen.clone())));
    all.map(|(overlay, components)| {
        let manifests = render(&kustomization(&overlay, &components, ""));
        Rendering { overlay, components, manifests }
    })
    .collect()
});

/// Returns the rendering of this overlay with all components.
pub fn with_all_components(overlay: &str) -> Vec<Value> {
    let of_overlay = RENDERINGS.iter().filter(|rendering| rendering.overlay == overlay);
    of_overlay.max_by_key(|rendering| rendering.components.len()).unwrap().manifests.clone()
}

pub fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("deploy").canonicalize().unwrap()
}

/// Returns the names of the folders in a folder of `deploy`. Returns an empty list if the folder does not exist.
fn folders(of: &str) -> Vec<String> {
    let entries = std::fs::read_dir(deploy().join(of)).into_iter().flatten();
    let folders = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let mut names: Vec<_> = folders.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort_unstable();
    names
}

/// Writes a kustomization as an operator would: it uses the overlay and the components, and contains `more`. Returns
/// its folder.
pub fn kustomization(overlay: &str, components: &[String], more: &str) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR")).canonicalize().unwrap();
    let folder = temporary.join(format!("deploy-{}-{count}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    // Kustomizations accept only relative paths.
    let up = "../".repeat(folder.components().count() - 1);
    let deploy = format!("{up}{}", deploy().strip_prefix("/").unwrap().display());
    let list: String = components.iter().map(|name| format!("  - {deploy}/components/{name}\n")).collect();
    let list = if list.is_empty() { list } else { format!("components:\n{list}") };
    let kind = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization";
    let content = format!("{kind}\nresources:\n  - {deploy}/overlays/{overlay}\n{list}{more}");
    std::fs::write(folder.join("kustomization.yaml"), content).unwrap();
    folder
}

/// Renders a kustomization as `kubectl apply -k` does, and removes the folder if it is temporary.
pub fn render(folder: &Path) -> Vec<Value> {
    let yaml = kubectl(&["kustomize", &folder.display().to_string()], "");
    if !folder.starts_with(deploy()) {
        std::fs::remove_dir_all(folder).unwrap();
    }
    parse(&yaml)
}

/// Converts YAML documents to JSON. `kubectl annotate` does so when it works locally; it removes the annotation `none`.
pub fn parse(yaml: &str) -> Vec<Value> {
    let json = kubectl(&["annotate", "--local", "--filename=-", "none-", "--output=json"], yaml);
    serde_json::Deserializer::from_str(&json).into_iter().map(Result::unwrap).collect()
}

/// Runs `kubectl`, which needs no cluster for these commands, and returns its output.
fn kubectl(arguments: &[&str], input: &str) -> String {
    let mut command = Command::new("kubectl");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("these tests need kubectl, version 1.27 or later");
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let written = writer.join().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    written.unwrap();
    String::from_utf8(output.stdout).unwrap()
}

pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Returns the kind and the name of a manifest, for messages.
pub fn title(manifest: &Value) -> String {
    format!("{} {}", text(manifest, "/kind"), text(manifest, "/metadata/name"))
}

pub fn of_kind<'a>(manifests: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    manifests.iter().filter(move |manifest| manifest["kind"] == kind)
}

/// Returns `true` if each label of the selector has the same value in the labels.
pub fn matches(selector: &Value, labels: &Value) -> bool {
    selector.as_object().is_some_and(|selector| selector.iter().all(|(name, value)| labels[name] == *value))
}

/// The pods that a workload creates.
pub struct Pods<'a> {
    pub title: String,
    pub labels: &'a Value,
    pub spec: &'a Value,
}

impl<'a> Pods<'a> {
    /// Returns the containers, including those that run before the others.
    pub fn containers(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        ["/initContainers", "/containers"].into_iter().flat_map(|containers| list(self.spec, containers))
    }

    /// Returns the environment variables of the container, without the values from Secrets.
    pub fn environment(&self, container: &Value, manifests: &[Value]) -> BTreeMap<String, Option<String>> {
        let mut variables = BTreeMap::new();
        for source in list(container, "/envFrom") {
            let name = text(source, "/configMapRef/name");
            let maps = of_kind(manifests, "ConfigMap").filter(|map| text(map, "/metadata/name") == name);
            let data = maps.filter_map(|map| map["data"].as_object()).flatten();
            variables.extend(data.map(|(name, value)| (name.clone(), value.as_str().map(str::to_owned))));
        }
        for variable in list(container, "/env") {
            let value = variable["value"].as_str().map(str::to_owned);
            variables.insert(text(variable, "/name").to_owned(), value);
        }
        variables
    }
}

/// Returns the pods of all workloads.
pub fn pods(manifests: &[Value]) -> Vec<Pods<'_>> {
    let template = |manifest: &Value| match text(manifest, "/kind") {
        "Deployment" | "Job" => Some("/spec/template"),
        "CronJob" => Some("/spec/jobTemplate/spec/template"),
        _ => None,
    };
    let templates = manifests.iter().filter_map(|manifest| Some((manifest, manifest.pointer(template(manifest)?)?)));
    templates
        .map(|(manifest, template)| Pods {
            title: title(manifest),
            labels: &template["metadata"]["labels"],
            spec: &template["spec"],
        })
        .collect()
}
