//! Tests of the admin console without a browser.

mod audit;
mod bad_days;
mod fixes;
mod frame;
mod health;
mod levels;
mod matrix;
mod people;
mod platform;
mod protection;
mod provider;
mod requests;
mod review;
mod scene;
mod sessions;
mod sign_in;
mod storage;
mod view_as;
