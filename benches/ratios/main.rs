//! The cost of the paths of a request, each relative to a baseline that is measured with it.
//!
//! ```sh
//! cargo bench --bench ratios
//! cargo bench --bench ratios -- layer policy
//! ```
//!
//! With names, only these parts run.
//!
//! Times are medians of interleaved rounds, so that a busy machine slows path and baseline alike.
//! Nothing is asserted about time; a wrong count or a wrong response ends the run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking, and prints its results"
)]

mod client;
mod requests;
mod rmcp_server;
#[path = "../support/mod.rs"]
mod support;
mod throughput;

const PARTS: [(&str, fn()); 10] = [
    ("verification", requests::verification),
    ("layer", requests::layer),
    ("policy", requests::policy),
    ("matching", requests::matching),
    ("metadata", requests::metadata),
    ("cold_start", requests::cold_start),
    ("threads", requests::threads),
    ("server", throughput::run),
    ("rmcp", rmcp_server::run),
    ("client", client::run),
];

fn main() {
    // `cargo test --benches` runs this without `--bench`, only to check that it builds.
    let names: Vec<String> = std::env::args().skip(1).collect();
    if !names.iter().any(|name| name == "--bench") {
        return;
    }
    let names: Vec<_> = names.into_iter().filter(|name| !name.starts_with("--")).collect();
    if let Some(unknown) = names.iter().find(|name| PARTS.iter().all(|(part, _)| part != name)) {
        panic!("{unknown} is none of the parts {:?}", PARTS.map(|(part, _)| part));
    }
    support::table::print_machine();
    for (part, run) in PARTS {
        if names.is_empty() || names.iter().any(|name| name == part) {
            run();
        }
    }
}
