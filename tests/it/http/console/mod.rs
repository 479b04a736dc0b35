//! Tests of the admin console without a browser.

mod bad_days;
mod frame;
mod health;
mod levels;
mod matrix;
mod people;
mod protection;
mod provider;
mod requests;
mod review;
mod scene;
mod sessions;
mod sign_in;
mod storage;
