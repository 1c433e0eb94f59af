//! The server from outside: real sockets, real RocksDB, a folder of its own for each test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that can't go on has failed"
)]

mod audit;
mod auth;
mod common;
mod connections;
mod evaluate;
mod publish;
mod restart;
mod subscribe;
mod tls;
