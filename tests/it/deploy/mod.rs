//! Tests of the rendered Kubernetes manifests: schemas, rules, and manifests with defects.

pub(crate) mod backup;
mod examples;
pub(crate) mod manifests;
mod monitoring;
mod network;
mod renderings;
mod routing;
mod rules;
mod schemas;
mod scripts;
mod violations;
