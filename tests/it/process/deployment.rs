//! Tests that the settings, ports, probes and commands in the files of `deploy` match the programs. The tests read the
//! lines of the files and do not render the manifests.

use std::collections::BTreeMap;
use std::time::Duration;

use iam_composition::Settings;

use crate::support::process::{ServerProcess, run, text_of};

/// The maximum duration of the steps of a shutdown other than the drain delay and the shutdown timeout.
const OTHER_STEPS: Duration = Duration::from_secs(10);

const DEPLOYMENT: &str = include_str!("../../../deploy/base/deployment.yaml");
const JOB: &str = include_str!("../../../deploy/base/migration-job.yaml");
const NETWORK_POLICY: &str = include_str!("../../../deploy/base/network-policy.yaml");
const SERVICE: &str = include_str!("../../../deploy/base/service.yaml");
const BASE: &str = include_str!("../../../deploy/base/kustomization.yaml");
const DEV: &str = include_str!("../../../deploy/overlays/dev/kustomization.yaml");
const COMPOSE: &str = include_str!("../../../deploy/compose.yaml");
const CONTAINERFILE: &str = include_str!("../../../deploy/Containerfile");
const IMAGE_ROOT: &str = include_str!("../../../deploy/image/root.sh");

const SECRET: &str = "Kq3vR8xY2mN5pL7wT9zB4cF6hJ1dG0sA";
/// A database URL with a port on which nothing listens. The service starts even though the database is unreachable.
const URL: &str = "postgres://iam@127.0.0.1:1/iam";

type Environment = BTreeMap<String, String>;

/// Returns the values of all occurrences of a key in a YAML file.
fn values<'a>(yaml: &'a str, key: &str) -> Vec<&'a str> {
    let lines = yaml.lines().map(|line| line.trim().trim_start_matches("- "));
    lines.filter_map(|line| line.strip_prefix(key)?.strip_prefix(": ")).collect()
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// Returns the variables that the literals of a ConfigMap set.
fn literals(kustomization: &str) -> Environment {
    let literals = kustomization.lines().filter_map(|line| line.trim().strip_prefix("- ")?.split_once('='));
    literals.filter(|(name, _)| is_variable(name)).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Returns the variables that the services in the compose file set, with test values for the secret and the database
/// URL.
fn variables_of_compose() -> Environment {
    let lines = COMPOSE.lines().filter(|line| !line.trim().starts_with('#'));
    let variables = lines.filter_map(|line| line.trim().split_once(": ")).filter(|(name, _)| is_variable(name));
    variables
        .filter(|(name, _)| !["POSTGRES_", "BACKUP_", "PG"].iter().any(|prefix| name.starts_with(prefix)))
        .map(|(name, value)| (name.to_owned(), test_value(name).unwrap_or(value).to_owned()))
        .collect()
}

/// Returns the value that replaces the secret or the database URL in the tests. Returns `None` for other variables.
fn test_value(name: &str) -> Option<&'static str> {
    match name {
        "JWT_SECRET" => Some(SECRET),
        "DATABASE_URL" => Some(URL),
        _ => None,
    }
}

/// Returns the server's environment variables in the production overlay, in the development overlay, and in the compose
/// file. In the compose file, the image sets the hosts.
fn environments() -> [(&'static str, Environment); 3] {
    let mut production = literals(BASE);
    for name in values(DEPLOYMENT, "name").into_iter().filter(|name| is_variable(name)) {
        production.insert(name.to_owned(), test_value(name).expect(name).to_owned());
    }
    let mut development = literals(BASE);
    development.extend(literals(DEV));
    let mut compose = variables_of_compose();
    let image = CONTAINERFILE.lines().flat_map(str::split_whitespace).filter_map(|word| word.split_once('='));
    compose.extend(image.filter(|(name, _)| name.starts_with("IAM__")).map(|(n, v)| (n.to_owned(), v.to_owned())));
    [("production", production), ("development", development), ("compose", compose)]
}

#[test]
fn the_server_accepts_the_settings_and_serves_the_probes() {
    let probes = values(DEPLOYMENT, "path");
    assert_eq!(probes, ["/livez", "/readyz", "/livez"]);
    for (name, environment) in environments() {
        let plain = ["DATABASE_URL", "USE_DATABASE", "JWT_SECRET"];
        for variable in environment.keys() {
            assert!(variable.starts_with("IAM__") || plain.contains(&variable.as_str()), "{name}: {variable}");
        }
        // The ports in the files may be in use on this machine, so the operating system selects the ports. All other
        // settings are those of the files.
        let ports = [("PORT", "0"), ("IAM__ADMIN__PORT", "0")];
        let variables = environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(ports);
        let server = ServerProcess::start(&[], &variables.collect::<Vec<_>>());
        for probe in &probes {
            let is_ready = *probe != "/readyz" || name == "development";
            assert_eq!(server.get(probe).status, if is_ready { 200 } else { 503 }, "{name}: {probe}");
        }
    }
}

#[test]
fn ports_timeouts_and_memory_agree_with_the_settings() {
    let number = |text: &str| text.parse::<u16>().unwrap();
    let container: Vec<u16> = values(DEPLOYMENT, "containerPort").into_iter().map(number).collect();
    for (name, environment) in environments() {
        let settings = Settings::load(&environment).unwrap();
        assert_eq!(container, [settings.server.port, settings.admin.port], "{name}");
        assert_eq!([settings.server.host, settings.admin.host], ["0.0.0.0"; 2], "{name}");
        let [grace] = values(DEPLOYMENT, "terminationGracePeriodSeconds")[..] else { panic!("{DEPLOYMENT}") };
        let stop = settings.server.drain_delay + settings.server.shutdown_timeout;
        // The other steps of a shutdown take at most ten seconds (docs/deployment.md).
        assert!(stop + OTHER_STEPS < Duration::from_secs(grace.parse().unwrap()), "{name}: {stop:?}");
        assert!(values(COMPOSE, "stop_grace_period") == [format!("{grace}s")]);
        let cached = settings.cache.max_bytes.get() as u64 + settings.cache.max_body_bytes;
        let held = cached + settings.server.max_bytes_in_flight as u64;
        for memory in values(DEPLOYMENT, "memory") {
            let mebibytes: u64 = memory.strip_suffix("Mi").unwrap().parse().unwrap();
            assert!(mebibytes * 1024 * 1024 > held, "{name}: {memory}");
        }
    }
    let [api, metrics] = container[..] else { panic!("{container:?}") };
    for port in ["http", "metrics"] {
        assert!(values(DEPLOYMENT, "name").contains(&port));
    }
    assert_eq!(values(SERVICE, "targetPort"), ["http"]);
    assert_eq!(values(DEPLOYMENT, "port"), ["metrics"; 3]);
    for port in [api, metrics] {
        assert!(values(NETWORK_POLICY, "port").contains(&port.to_string().as_str()), "{port}");
    }
    assert!(CONTAINERFILE.contains(&format!("EXPOSE {api} {metrics}\n")));
    assert!(COMPOSE.contains(&format!("\"127.0.0.1:${{PORT:-{api}}}:{api}\"")));
}

#[test]
fn the_commands_are_programs_of_the_image() {
    for (file, line) in [
        (CONTAINERFILE, "    deploy/image/root.sh target/release /out\n"),
        (CONTAINERFILE, "COPY --from=build /out/ /\n"),
        (CONTAINERFILE, "ENTRYPOINT [\"/usr/local/bin/iam\"]"),
        (IMAGE_ROOT, "for program in iam migration; do\n"),
        (IMAGE_ROOT, "ln -sfn iam \"$root/usr/local/bin/iam-http\"\n"),
    ] {
        assert!(file.contains(line), "{line}");
    }
    for (yaml, program, arguments) in [(JOB, "command", "args"), (COMPOSE, "entrypoint", "command")] {
        // The services of the backup run programs of another image.
        let programs = values(yaml, program).into_iter().filter(|program| !program.starts_with("[/bin/sh,"));
        assert_eq!(programs.collect::<Vec<_>>(), ["[/usr/local/bin/migration]"; 2], "{yaml}");
        assert_eq!(values(yaml, arguments).len(), 2, "{yaml}");
        for command in values(yaml, arguments) {
            let command = command.trim_matches(['[', ']']);
            let output = run("migration", &[command, "--help"], &[]);
            assert!(output.status.success(), "{command}: {}", text_of(&output));
        }
    }
}
