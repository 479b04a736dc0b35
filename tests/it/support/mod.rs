//! The fixtures of the tests: databases of their own, the API in-process over either adapter.

pub mod api;
pub mod bouncer;
pub mod clock;
pub mod database;
pub mod keep_alive;
pub mod process;
pub mod proxy;
pub mod replica;
pub mod server;
