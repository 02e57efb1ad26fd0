//! Real MCP servers behind the layers: no reading of a request gets past the access policy.
//!
//! `cargo test --release` runs all of it; `cargo run --release -- 10000000 [seed]` reads as many
//! generated messages with each server's own reader.

mod differential;
mod readers;
mod requests;
mod rng;
#[cfg(test)]
mod services;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod smuggling;
#[cfg(test)]
mod step_up;
#[cfg(test)]
mod table;
mod targets;
#[cfg(test)]
mod uris;

fn main() {
    let mut arguments =
        std::env::args().skip(1).map(|argument| argument.parse().expect("a number"));
    let count = arguments.next().unwrap_or(100_000);
    let seed = arguments.next().unwrap_or(1);
    let counts = differential::read(count, seed as u64);
    println!("{}", differential::HEADER);
    for (server, counts) in counts {
        println!("| {server} | {counts} |");
    }
}
