//! The stores of connections in SQLite, PostgreSQL and Redis, on real ones.
//!
//! `tests/stores/databases run cargo test --manifest-path tests/stores/Cargo.toml` starts them.
//! Without them the tests that need one say that they are skipped, and fail where `CI` is set.

mod breakdowns;
mod conformance;
mod connections;
mod debug_output;
mod pgbouncer;
mod postgres;
mod processes;
mod redis;
mod refreshes;
mod sqlite;

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use clerk_mcp_tools::client::{KeyId, Record, RecordKey, SealingKeys, Store};
use clerk_mcp_tools_stores::open;

/// Returns where PostgreSQL is, or `None` if the test is to be skipped.
fn postgres_settings() -> Option<String> {
    variable("STORES_POSTGRES")
}

/// Returns where Redis is, or `None` if the test is to be skipped.
fn redis_url() -> Option<String> {
    variable("STORES_REDIS")
}

fn variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok();
    if value.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{name} is not set; see CONTRIBUTING.md");
        eprintln!("SKIPPED: {name} is not set; run this with tests/stores/databases run");
    }
    value
}

/// A name that nothing else has, in this run or in another one.
fn unique(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{what}{}_{next}", std::process::id())
}

/// A directory that is removed at the end of the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let path = std::env::temp_dir().join(unique("stores-"));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Databases of one test, which it may kill.
struct Databases(PathBuf);

impl Databases {
    fn start(which: &str) -> Self {
        let databases = Self(std::env::temp_dir().join(unique("stores.own-")));
        databases.run("start", which);
        databases
    }

    fn postgres(&self) -> String {
        format!("host={} user=stores dbname=postgres", self.0.display())
    }

    fn redis(&self) -> String {
        format!("redis+unix://{}/redis.sock", self.0.display())
    }

    fn kill(&self, which: &str) {
        self.run("kill", which);
    }

    fn start_again(&self, which: &str) {
        self.run("start", which);
    }

    fn run(&self, command: &str, which: &str) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/databases");
        let directory = self.0.as_os_str();
        let arguments = [command.as_ref(), directory, which.as_ref()];
        // A server keeps the output open for as long as it runs.
        let status =
            Command::new(script).args(arguments).stdout(std::process::Stdio::null()).status();
        assert!(status.unwrap().success(), "{command} {which}");
    }
}

impl Drop for Databases {
    fn drop(&mut self) {
        self.run("stop", "");
    }
}

fn key(letter: char) -> RecordKey {
    RecordKey::parse(&format!("login/{}", letter.to_string().repeat(43))).unwrap()
}

fn connection(owner: char, server: char) -> RecordKey {
    let tag = |letter: char| letter.to_string().repeat(43);
    RecordKey::parse(&format!("connection/{}/{}", tag(owner), tag(server))).unwrap()
}

fn record(key: &RecordKey) -> Record {
    let keys = SealingKeys::new([1; 32], KeyId::parse("k").unwrap(), [2; 32]).unwrap();
    keys.seal(key, b"MarkedToken0123456789").unwrap()
}

/// Two handles of one store, with connections of their own.
async fn two(kind: &str, place: &str) -> Vec<Arc<dyn Store>> {
    vec![open(kind, place).await.unwrap(), open(kind, place).await.unwrap()]
}
