//! Tests of the console in Chromium. `make test-browser` runs them.

#![expect(unreachable_pub, reason = "one binary: its public items are used only within it")]

#[cfg(test)]
mod driver;
#[cfg(test)]
mod frame;
#[cfg(test)]
mod keyboard;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod page;
#[cfg(test)]
mod platform;
#[cfg(test)]
mod provider;
#[cfg(test)]
mod replicas;
#[cfg(test)]
mod service;
