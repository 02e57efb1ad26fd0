//! Compares the time that Rust crates take to verify an RS256 access token.

mod candidates;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use clerk_mcp_tools::testing::FakeClerk;
use tokio::runtime::Builder;

const RESOURCE: &str = "https://mcp.example.com/mcp";
const TOKENS_PER_ROUND: usize = 32;
const ROUNDS: usize = 256;
/// Each candidate verifies each token once.
const TOKENS: usize = TOKENS_PER_ROUND * ROUNDS;

/// A way to verify tokens, and its row of the table.
struct Candidate {
    /// The name of the package in `Cargo.lock`.
    package: &'static str,
    call: &'static str,
    note: &'static str,
    /// Whether it verifies the given token, and not one of its own.
    verifies_the_token: bool,
    /// Verifies a token, given its number and the token itself.
    verify: Verify,
}

type Verify = Box<dyn FnMut(usize, &str)>;

fn main() {
    // The fake Clerk has its own thread; everything else runs on this one.
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let clerk = runtime.block_on(FakeClerk::start()).unwrap();
    let tokens: Vec<String> = (0..TOKENS).map(|_| clerk.mint().audience(RESOURCE).jwt()).collect();
    let _entered = runtime.enter();
    let (mut candidates, not_measured) = candidates::all(&clerk, &tokens, &runtime);
    candidates.iter_mut().for_each(|candidate| check_rejection(candidate, &tokens));

    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); candidates.len()];
    for round in 0..ROUNDS {
        // Each candidate is the first of a round equally often.
        for turn in 0..candidates.len() {
            let number = (round + turn) % candidates.len();
            let verify = &mut candidates[number].verify;
            let started = Instant::now();
            for (number, token) in
                tokens.iter().enumerate().skip(round * TOKENS_PER_ROUND).take(TOKENS_PER_ROUND)
            {
                verify(number, token);
            }
            times[number].push(started.elapsed() / TOKENS_PER_ROUND as u32);
        }
    }

    println!(
        "| crate | version | call | time | x baseline | |\n| --- | --- | --- | --- | --- | --- |"
    );
    let baseline_times = &times[0];
    for (candidate, times) in candidates.iter().zip(&times) {
        let ratios = times
            .iter()
            .zip(baseline_times)
            .map(|(time, baseline)| time.as_secs_f64() / baseline.as_secs_f64());
        println!(
            "| {} | {} | {} | {:.2} us | {:.2} | {} |",
            candidate.package,
            version(candidate.package),
            candidate.call,
            median(times.iter().map(|time| time.as_secs_f64() * 1e6).collect()),
            median(ratios.collect()),
            candidate.note,
        );
    }
    for (package, why) in not_measured {
        println!("\nNot measured: {package} {}: {why}", version(package));
    }
    let bytes = tokens[0].len();
    println!(
        "\nTokens of {bytes} bytes, {TOKENS} distinct ones; medians of {ROUNDS} interleaved rounds."
    );
}

/// Asserts that a token with the signature of another one is rejected.
fn check_rejection(candidate: &mut Candidate, tokens: &[String]) {
    let (message, _) = tokens[0].rsplit_once('.').unwrap();
    let (_, signature) = tokens[1].rsplit_once('.').unwrap();
    let forged = format!("{message}.{signature}");
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let verify = &mut candidate.verify;
    let rejected = catch_unwind(AssertUnwindSafe(|| verify(0, &forged))).is_err();
    std::panic::set_hook(hook);
    assert_eq!(rejected, candidate.verifies_the_token, "{}: a forged signature", candidate.package);
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Returns the latest version of a package in the lock file, or the version in its name here.
fn version(package: &str) -> String {
    let (name, wanted) = package.split_once(' ').unwrap_or((package, ""));
    let lines: Vec<&str> = include_str!("../Cargo.lock").lines().collect();
    let versions = lines.windows(2).filter(|pair| pair[0] == format!("name = \"{name}\""));
    let mut versions = versions
        .filter_map(|pair| pair[1].strip_prefix("version = "))
        .map(|text| text.trim_matches('"'));
    versions.rfind(|version| version.starts_with(wanted)).unwrap_or("?").to_owned()
}
