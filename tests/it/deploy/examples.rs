//! Tests of the examples for Argo CD and Flux.

use super::manifests::{deploy, list, of_kind, parse, text};
use super::schemas::conform_to_their_schemas;

#[test]
fn the_examples_conform_to_their_schemas_and_name_existing_folders() {
    let file = |name: &str| std::fs::read_to_string(deploy().join("examples").join(name)).unwrap();
    let examples = ["argo-cd.yaml", "flux.yaml"].map(|name| parse(&file(name))).concat();
    assert_eq!(conform_to_their_schemas(&examples), Vec::<String>::new());
    let paths: Vec<_> = examples
        .iter()
        .flat_map(|example| [text(example, "/spec/path"), text(example, "/spec/source/path")])
        .filter(|path| !path.is_empty())
        .collect();
    assert_eq!(paths.len(), 3);
    for path in paths {
        let folder = deploy().parent().unwrap().join(path);
        assert!(folder.join("kustomization.yaml").exists(), "{path}");
    }
}

/// In Flux, the service depends on its Secrets.
#[test]
fn dependencies_in_flux_exist() {
    let flux = parse(&std::fs::read_to_string(deploy().join("examples/flux.yaml")).unwrap());
    let name = |example| text(example, "/metadata/name");
    let names: Vec<_> = of_kind(&flux, "Kustomization").map(name).collect();
    let dependencies = of_kind(&flux, "Kustomization").flat_map(|one| list(one, "/spec/dependsOn"));
    let dependencies: Vec<_> = dependencies.map(|dependency| text(dependency, "/name")).collect();
    assert_eq!(dependencies, ["iam-secrets"]);
    assert!(dependencies.iter().all(|name| names.contains(name)), "{names:?}");
    let sources: Vec<_> = of_kind(&flux, "GitRepository").map(name).collect();
    for kustomization in of_kind(&flux, "Kustomization") {
        assert!(sources.contains(&text(kustomization, "/spec/sourceRef/name")), "{sources:?}");
    }
}
