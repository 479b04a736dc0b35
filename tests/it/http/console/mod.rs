//! Tests of the admin console without a browser.

mod frame;
mod people;
mod protection;
mod provider;
mod sessions;
mod sign_in;
