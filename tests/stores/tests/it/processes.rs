//! Real processes on one store.

use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use clerk_mcp_tools::client::{PostgresStore, Store};
use clerk_mcp_tools::testing::check_store;
use clerk_mcp_tools_stores::{open, pool};

use crate::{Directory, postgres_settings, redis_url, unique};

const PROCESSES: usize = 3;
const ROUNDS: usize = 100;

fn contender(kind: &str, place: &str, name: &str, rounds: usize) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_contender"));
    command.args([kind, place, name, &rounds.to_string()]).stdout(Stdio::piped());
    command
}

/// Every round is won by one process, however many take part.
pub(crate) fn one_wins_each_round(kind: &str, place: &str) {
    let name = unique("c");
    let processes: Vec<_> =
        (0..PROCESSES).map(|_| contender(kind, place, &name, ROUNDS).spawn().unwrap()).collect();
    let outputs: Vec<Output> =
        processes.into_iter().map(|process| process.wait_with_output().unwrap()).collect();
    let mut won = Vec::new();
    for output in &outputs {
        assert!(output.status.success(), "{output:?}");
        won.extend(std::str::from_utf8(&output.stdout).unwrap().lines());
    }
    let first: BTreeSet<_> = won.iter().filter(|line| line.starts_with("first")).collect();
    let took: BTreeSet<_> = won.iter().filter(|line| line.starts_with("took")).collect();
    assert_eq!(won.len(), first.len() + took.len(), "a round is won twice: {won:?}");
    // A record that is saved behind the last one who takes stays.
    assert_eq!(first.len(), ROUNDS);
    assert!(took.len() > ROUNDS / 2, "{} of {ROUNDS} were taken", took.len());
}

#[test]
fn on_one_sqlite_file() {
    let directory = Directory::new();
    // The file does not exist: all processes create it, and switch it to WAL.
    one_wins_each_round("sqlite", &directory.file("connections"));
}

#[tokio::test]
async fn on_one_postgres() {
    let Some(settings) = postgres_settings() else { return };
    PostgresStore::new(pool(&settings).unwrap()).migrate().await.unwrap();
    one_wins_each_round("postgres", &settings);
}

#[test]
fn on_one_redis() {
    let Some(url) = redis_url() else { return };
    one_wins_each_round("redis", &url);
}

/// What a process has written before it was killed is there, and the file is usable.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_leaves_a_usable_sqlite_file() {
    use std::io::{BufRead, BufReader};
    let directory = Directory::new();
    let file = directory.file("connections");
    for kill in 0..5 {
        let name = unique("k");
        let mut process = contender("sqlite", &file, &name, 1_000_000).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        for _ in 0..=kill * 7 {
            lines.next().unwrap().unwrap();
        }
        process.kill().unwrap();
        process.wait().unwrap();
        let store: Arc<dyn Store> = open("sqlite", &file).await.unwrap();
        for line in lines.map(Result::unwrap).filter(|line| line.starts_with("first")) {
            let Some(round) = line.strip_prefix("first ").and_then(|n| n.parse::<u32>().ok())
            else {
                // The last line may be cut.
                continue;
            };
            let key = format!("lease/login/{name:_<30}{round:013}").parse().unwrap();
            assert!(store.load(&key).await.unwrap().is_some(), "{line}");
        }
    }
    check_store(vec![open("sqlite", &file).await.unwrap()]).await.unwrap();
}
