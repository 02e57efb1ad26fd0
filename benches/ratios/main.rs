//! What the paths of a request cost, each as a ratio to a floor that is measured beside it.
//!
//! ```sh
//! cargo bench --bench ratios
//! ```
//!
//! Times are medians of interleaved rounds, so that a busy machine slows path and floor alike. Nothing is asserted
//! about time; a wrong count or a wrong answer ends the run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark that cannot go on has failed, and what it finds it prints"
)]

mod loopback;
mod paths;
mod server;
mod setup;
mod table;

fn main() {
    // `cargo test --benches` and the like only want to know that it builds.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    table::print_machine();
    paths::run();
    server::run();
}
