//! What the benchmarks share: a fake Clerk with verifiers and tokens, measuring, an HTTP server,
//! and the printed tables.

#![allow(dead_code, reason = "each benchmark uses a part of it")]

pub(crate) mod fixture;
pub(crate) mod measure;
pub(crate) mod server;
pub(crate) mod table;
