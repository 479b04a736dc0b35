//! Tokens through the crate's public door.

// `cfg(test)` always holds here; it tells clippy that these modules are tests, which may unwrap.
#[cfg(test)]
mod claims;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod kit;
#[cfg(test)]
mod remembering;
