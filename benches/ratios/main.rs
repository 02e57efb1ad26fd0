//! The cost of the paths of a request, each relative to a baseline that is measured with it.
//!
//! ```sh
//! cargo bench --bench ratios
//! ```
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

mod requests;
#[path = "../support/mod.rs"]
mod support;
mod throughput;

fn main() {
    // `cargo test --benches` runs this without `--bench`, only to check that it builds.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    support::table::print_machine();
    requests::run();
    throughput::run();
}
