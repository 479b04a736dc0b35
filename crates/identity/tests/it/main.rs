//! Tests of the crate's public API.

// `cfg(test)` is always true here. It marks these modules as tests for clippy, so that they may unwrap.
#[cfg(test)]
mod api_keys;
#[cfg(test)]
mod caching;
#[cfg(test)]
mod claims;
#[cfg(test)]
mod issuer_states;
#[cfg(test)]
mod issuers;
#[cfg(test)]
mod jwks_server;
#[cfg(test)]
mod key_sets;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod refresh_telemetry;
#[cfg(test)]
mod refreshing;
#[cfg(test)]
mod support;
