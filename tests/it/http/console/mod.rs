//! Tests of the admin console without a browser.

mod levels;
mod matrix;
mod review;
mod scene;
