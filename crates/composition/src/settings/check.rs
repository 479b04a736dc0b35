//! Loads the settings, and collects every problem instead of only the first one.

use std::collections::BTreeMap;

use config::{Value, ValueKind};
use serde_path_to_error::{Path, Segment};

use super::names::named;
use super::{FILE, ISSUERS, Settings, SettingsError};

/// The settings, and the problems of single keys.
pub(crate) struct Collected {
    /// The settings, in which keys with problems have their defaults. `None` if a source of settings cannot be read.
    pub(crate) settings: Option<Settings>,
    /// The problems, in the order in which they were found.
    pub(crate) problems: Vec<SettingsError>,
}

impl Settings {
    /// Loads the settings as [`load`](Self::load) does, but omits each variable or key that is invalid, and continues.
    pub(crate) fn collect(environment: &BTreeMap<String, String>) -> Collected {
        let mut problems = Vec::new();
        let mut accepted = environment.clone();
        let mut is_complete = true;
        let mut config = loop {
            let error = match Self::read(&accepted) {
                Ok(config) => break config,
                Err(error) => error,
            };
            let variable = match &error {
                SettingsError::File { .. } | SettingsError::Syntax { .. } => FILE,
                SettingsError::NotUnicode(name) | SettingsError::Variable(name) => name,
                SettingsError::Invalid { .. } => ISSUERS,
            };
            is_complete &= matches!(error, SettingsError::Variable(_) | SettingsError::Invalid { .. });
            let is_omitted = accepted.remove(variable).is_some();
            problems.push(error);
            if !is_omitted {
                return Collected { settings: None, problems };
            }
        };
        loop {
            match serde_path_to_error::deserialize(config.clone()) {
                Ok(settings) => return Collected { settings: Some(settings).filter(|_| is_complete), problems },
                Err(error) => {
                    let is_omitted = remove(&mut config.cache, error.path());
                    let key = named(&error.path().to_string(), &accepted);
                    problems.push(SettingsError::invalid(key, error.into_inner()));
                    if !is_omitted {
                        return Collected { settings: None, problems };
                    }
                }
            }
        }
    }
}

/// Removes the value at this path. If it is an item of an array, removes all items, because the indices in later error
/// messages would otherwise be wrong. Returns `false` if there is no such value.
fn remove(root: &mut Value, path: &Path) -> bool {
    let segments: Vec<_> = path.iter().collect();
    let Some((last, parents)) = segments.split_last() else { return false };
    let mut current = root;
    for parent in parents {
        let child = match (parent, &mut current.kind) {
            (Segment::Map { key }, ValueKind::Table(table)) => table.get_mut(key),
            (Segment::Seq { index }, ValueKind::Array(items)) => items.get_mut(*index),
            _ => None,
        };
        let Some(child) = child else { return false };
        current = child;
    }
    match (last, &mut current.kind) {
        (Segment::Map { key }, ValueKind::Table(table)) => table.remove(key).is_some(),
        (Segment::Seq { .. }, ValueKind::Array(items)) => !std::mem::take(items).is_empty(),
        _ => false,
    }
}
