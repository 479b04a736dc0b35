//! Test fixtures: databases, servers, proxies, replicas, and the in-process API with either storage adapter.

pub mod answer;
pub mod api;
pub mod bouncer;
pub mod client;
pub mod clock;
pub mod collector;
pub mod console;
pub mod contract;
pub mod database;
pub mod engines;
pub mod haproxy;
pub mod options;
pub mod process;
pub mod proxy;
pub mod replica;
pub mod server;
pub mod stub;
pub mod unread;
