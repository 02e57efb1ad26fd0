//! One RS256 access token, verified by whatever a Rust server would verify it with.

mod contestants;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use clerk_mcp_tools::testing::FakeClerk;
use tokio::runtime::Builder;

const RESOURCE: &str = "https://mcp.example.com/mcp";
const IN_A_ROUND: usize = 32;
const ROUNDS: usize = 256;
/// Each is verified once by each contestant.
const TOKENS: usize = IN_A_ROUND * ROUNDS;

/// Something that verifies tokens, and what has to be said about it.
struct Contestant {
    /// As it stands in `Cargo.lock`.
    package: &'static str,
    call: &'static str,
    note: &'static str,
    /// Whether it is the token at hand that it verifies.
    reads_the_token: bool,
    /// Verifies the token with this number, which is also its text.
    verify: Verify,
}

type Verify = Box<dyn FnMut(usize, &str)>;

fn main() {
    // The stand-in for Clerk has a thread of its own; everything else happens on this one.
    let elsewhere = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let clerk = elsewhere.block_on(FakeClerk::start()).unwrap();
    let tokens: Vec<String> = (0..TOKENS).map(|_| clerk.mint().audience(RESOURCE).jwt()).collect();
    let _runtime = elsewhere.enter();
    let (mut contestants, unmeasured) = contestants::all(&clerk, &tokens, &elsewhere);
    contestants.iter_mut().for_each(|contestant| check_refusal(contestant, &tokens));

    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); contestants.len()];
    for round in 0..ROUNDS {
        // Each is the first of a round as often as any other.
        for turn in 0..contestants.len() {
            let number = (round + turn) % contestants.len();
            let verify = &mut contestants[number].verify;
            let started = Instant::now();
            for (number, token) in tokens.iter().enumerate().skip(round * IN_A_ROUND).take(IN_A_ROUND) {
                verify(number, token);
            }
            times[number].push(started.elapsed() / IN_A_ROUND as u32);
        }
    }

    println!("| crate | version | by way of | time | x floor | |\n| --- | --- | --- | --- | --- | --- |");
    let floors = &times[0];
    for (contestant, times) in contestants.iter().zip(&times) {
        let ratios = times.iter().zip(floors).map(|(time, floor)| time.as_secs_f64() / floor.as_secs_f64());
        println!(
            "| {} | {} | {} | {:.2} us | {:.2} | {} |",
            contestant.package,
            version(contestant.package),
            contestant.call,
            middle(times.iter().map(|time| time.as_secs_f64() * 1e6).collect()),
            middle(ratios.collect()),
            contestant.note,
        );
    }
    for (package, why) in unmeasured {
        println!("\nNot measured: {package} {}: {why}", version(package));
    }
    let bytes = tokens[0].len();
    println!(
        "\nTokens of {bytes} bytes, {TOKENS} distinct ones; the middle of {ROUNDS} rounds, taken by turns."
    );
}

/// Whoever takes a token with the signature of another one is not verifying.
fn check_refusal(contestant: &mut Contestant, tokens: &[String]) {
    let (message, _) = tokens[0].rsplit_once('.').unwrap();
    let (_, signature) = tokens[1].rsplit_once('.').unwrap();
    let forged = format!("{message}.{signature}");
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let verify = &mut contestant.verify;
    let refused = catch_unwind(AssertUnwindSafe(|| verify(0, &forged))).is_err();
    std::panic::set_hook(hook);
    assert_eq!(refused, contestant.reads_the_token, "{} and a forgery", contestant.package);
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The newest version of a package in the lock file, or the one that its name here says.
fn version(package: &str) -> String {
    let (name, wanted) = package.split_once(' ').unwrap_or((package, ""));
    let lines: Vec<&str> = include_str!("../Cargo.lock").lines().collect();
    let versions = lines.windows(2).filter(|pair| pair[0] == format!("name = \"{name}\""));
    let mut versions =
        versions.filter_map(|pair| pair[1].strip_prefix("version = ")).map(|text| text.trim_matches('"'));
    versions.rfind(|version| version.starts_with(wanted)).unwrap_or("?").to_owned()
}
