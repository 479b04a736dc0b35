//! Tests of the scripts that render manifests and name the migration Job.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::manifests::{RENDERINGS, deploy, kustomization, of_kind, parse, render, text};
use crate::support::process::text_of;

fn run(script: &Path, arguments: &[&str]) -> Output {
    Command::new(script).args(arguments).output().unwrap()
}

fn job_name(image: &str) -> String {
    let output = run(&deploy().join("job-name.sh"), &[image]);
    assert!(output.status.success(), "{}", text_of(&output));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Returns the output of `render.sh` for the production overlay with these components and this patch.
fn rendered(components: &[&str], more: &str, max_connections: &str) -> Output {
    let components: Vec<_> = components.iter().map(|name| (*name).to_owned()).collect();
    let folder = kustomization("prod", &components, more);
    let output = run(&deploy().join("render.sh"), &[folder.to_str().unwrap(), max_connections]);
    std::fs::remove_dir_all(folder).unwrap();
    output
}

/// Returns the names and the images of the Jobs.
fn jobs(manifests: &[Value]) -> Vec<(String, String)> {
    let image = |job| text(job, "/spec/template/spec/containers/0/image").to_owned();
    of_kind(manifests, "Job").map(|job| (text(job, "/metadata/name").to_owned(), image(job))).collect()
}

#[test]
fn the_migration_job_is_named_after_its_image_and_the_migrations() {
    for rendering in RENDERINGS.iter() {
        for (name, image) in jobs(&rendering.manifests) {
            assert_eq!(name, job_name(&image), "run `make job-name`: {}", rendering.name());
        }
    }
    assert_ne!(job_name("iam-http:0.1.0"), job_name("iam-http:0.1.1"));

    // With another migration, the name is another one.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("job-name-{}", std::process::id()));
    let migrations = folder.join("migration/src");
    std::fs::create_dir_all(&migrations).unwrap();
    std::fs::create_dir_all(folder.join("deploy/base")).unwrap();
    let job = folder.join("deploy/base/migration-job.yaml");
    let of_job = |name: &str, memory: &str| format!("metadata:\n  name: {name}\nspec:\n  memory: {memory}\n");
    std::fs::write(&job, of_job("iam-migration-0123456789", "64Mi")).unwrap();
    let script = folder.join("deploy/job-name.sh");
    std::fs::copy(deploy().join("job-name.sh"), &script).unwrap();
    let mut names = vec![];
    for file in ["m20261122_000001_create.rs", "main.rs", "m20261123_000002_more.rs"] {
        std::fs::write(migrations.join(file), "").unwrap();
        let output = run(&script, &["iam-http:0.1.0"]);
        names.push(String::from_utf8(output.stdout).unwrap());
    }
    // The name does not depend on itself, but on the rest of the Job.
    for (name, memory) in [("iam-migration-9876543210", "64Mi"), ("iam-migration-9876543210", "128Mi")] {
        std::fs::write(&job, of_job(name, memory)).unwrap();
        let output = run(&script, &["iam-http:0.1.0"]);
        names.push(String::from_utf8(output.stdout).unwrap());
    }
    std::fs::remove_dir_all(folder).unwrap();
    assert!(names[0] == names[1] && names[1] != names[2] && names[2] == names[3] && names[3] != names[4], "{names:?}");
}

#[test]
fn manifests_are_rendered_only_if_the_connections_suffice() {
    let seven = "patches:\n  - target: {kind: HorizontalPodAutoscaler}\n    patch: |\n      - op: replace\n        \
        path: /spec/maxReplicas\n        value: 7\n";
    let large = "configMapGenerator:\n  - name: iam\n    behavior: merge\n    literals: \
        [IAM__DATABASE__MAX_CONNECTIONS=9]\n";
    let own = "patches:\n  - target: {kind: Deployment}\n    patch: |\n      - op: add\n        \
        path: /spec/template/spec/containers/0/env/-\n        value: {name: IAM__DATABASE__MAX_CONNECTIONS, value: \"12\"}\n";
    // (replicas + 2) × (pool + 3), three for the migration Job, one for the dump, and three for superusers.
    let limits: [(&[&str], &str, u32); 6] = [
        (&[], "", 8 * 11 + 3 + 3),
        (&["backup"], "", 8 * 11 + 4 + 3),
        (&["monitoring", "gateway"], "", 8 * 11 + 3 + 3),
        (&[], seven, 9 * 11 + 3 + 3),
        (&[], large, 8 * 12 + 3 + 3),
        (&[], own, 8 * 15 + 3 + 3),
    ];
    for (components, more, limit) in limits {
        let sufficient = rendered(components, more, &limit.to_string());
        assert!(sufficient.status.success(), "{components:?} {more} {limit}: {}", text_of(&sufficient));
        let insufficient = rendered(components, more, &(limit - 1).to_string());
        assert_eq!(insufficient.status.code(), Some(1), "{components:?} {more} {limit}");
        assert!(insufficient.stdout.is_empty(), "{components:?} {more} {limit}");
        let said = String::from_utf8(insufficient.stderr).unwrap();
        assert!(said.contains(&format!("need {} connections", limit - 3)), "{said}");
    }
}

#[test]
fn the_overlay_in_memory_needs_no_connections() {
    let output = run(&deploy().join("render.sh"), &[deploy().join("overlays/dev").to_str().unwrap(), "3"]);
    assert!(output.status.success(), "{}", text_of(&output));
}

#[test]
fn the_rendered_manifests_are_those_of_kustomize_with_the_name_of_the_job() {
    let image = "images:\n  - name: iam-http\n    newName: images.example.com:5000/iam-http\n    newTag: 0.2.0\n";
    let affixes = "namePrefix: eu-\nnameSuffix: -west\n";
    for (more, affixes, is_renamed) in [
        (String::new(), ["", ""], false),
        (image.to_owned(), ["", ""], true),
        (format!("{image}{affixes}"), ["eu-", "-west"], true),
    ] {
        let more = more.as_str();
        let output = rendered(&["backup"], more, "100");
        assert!(output.status.success(), "{}", text_of(&output));
        let manifests = parse(&String::from_utf8(output.stdout).unwrap());
        let plain = render(&kustomization("prod", &["backup".to_owned()], more));
        assert_eq!(manifests.len(), plain.len());
        let [(name, of)] = &jobs(&manifests)[..] else { panic!("{:?}", jobs(&manifests)) };
        assert_eq!(*name, format!("{}{}{}", affixes[0], job_name(of), affixes[1]));
        let differing: Vec<_> = manifests.iter().zip(&plain).filter(|(a, b)| a != b).collect();
        assert_eq!(differing.len(), usize::from(is_renamed), "{differing:?}");
    }
}
