//! The names of the environment variables that set keys.

use std::collections::BTreeMap;

/// The prefix of environment variables that set a key: `IAM__SECTION__KEY`.
pub(super) const PREFIX: &str = "IAM__";
/// The environment variables without the prefix `IAM__`, each with the key that it sets. They take precedence over the
/// equivalent variables with the prefix.
pub(super) const PLAIN_NAMES: [(&str, &str); 4] = [
    ("PORT", "server.port"),
    ("DATABASE_URL", "database.url"),
    ("USE_DATABASE", "database.use_database"),
    ("JWT_SECRET", "auth.jwt_secret"),
];

/// Returns `true` if the name of a variable has the form `IAM_SECTION__KEY`, with one underscore instead of two. Variables
/// such as `IAM_SERVICE_HOST`, which Kubernetes sets, have another form.
pub(super) fn is_misspelled(name: &str) -> bool {
    name.strip_prefix("IAM_").is_some_and(|rest| rest.contains("__"))
}

/// Returns the name of a key for messages. If an environment variable sets the key, its name is added in parentheses.
pub(super) fn named(key: &str, environment: &BTreeMap<String, String>) -> String {
    let is_set = |name: &str| environment.get(name).is_some_and(|value| !value.is_empty());
    let plain = PLAIN_NAMES.iter().find(|(name, plain)| *plain == key && is_set(name)).map(|(name, _)| *name);
    // The key of an issuer has the form `auth.issuers[0].issuer`. One environment variable sets all issuers.
    let setting = key.split('[').next().unwrap_or(key);
    let prefixed = || Some(format!("{PREFIX}{}", setting.to_ascii_uppercase().replace('.', "__")));
    match plain.map(str::to_owned).or_else(|| prefixed().filter(|name| is_set(name))) {
        Some(variable) => format!("{key} ({variable})"),
        None => key.to_owned(),
    }
}
