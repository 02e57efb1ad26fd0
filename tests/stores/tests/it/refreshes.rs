//! Real processes that refresh one connection, and are killed in the middle of it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clerk_mcp_tools::client::{
    Begun, Callback, ConnectionState, Connections, Expect, LoginOptions, LoginReason,
    PostgresStore, Saved, ServerUrl, Store,
};
use clerk_mcp_tools::testing::{FakeClerk, Fault, Gate, ManualClock, Route};
use clerk_mcp_tools_stores::{open, owner, pool};

use crate::connections::{browse, process, start_server};
use crate::{Databases, Directory, postgres_settings, redis_url};

const TOKEN_LIFETIME: Duration = Duration::from_secs(3600);
const PROCESSES: usize = 10;
const TASKS: usize = 10;

/// A connection whose access token expired an hour ago.
struct Scene {
    kind: &'static str,
    place: String,
    store: Arc<dyn Store>,
    clerk: FakeClerk,
    server: ServerUrl,
    connections: Connections,
    expired: String,
}

impl Scene {
    async fn new(kind: &'static str, place: &str) -> Self {
        let clerk = FakeClerk::builder().token_lifetime(TOKEN_LIFETIME).start().await.unwrap();
        let server = start_server(clerk.issuer()).await;
        let store = open(kind, place).await.unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let clock = ManualClock::new(now - 2 * TOKEN_LIFETIME.as_secs());
        let connections = process(Arc::clone(&store), &clock);
        let begun = connections.begin(&owner(), &server, LoginOptions::new()).await.unwrap();
        let Begun::Redirect(login) = begun else { panic!("no redirect but {begun:?}") };
        let callback = Callback::from_query(&browse(login.url()).await).unwrap();
        let connection = connections.complete(&owner(), callback).await.unwrap().connection;
        let expired = connection.access_token().await.unwrap().expose().to_owned();
        clerk.reset_calls();
        let place = place.to_owned();
        Self { kind, place, store, clerk, server, connections, expired }
    }

    fn start(&self, tasks: usize) -> Refresher {
        Refresher::start(&[self.kind, &self.place, self.server.as_str(), &tasks.to_string()])
    }

    /// Starts a process that stops where it has new tokens and has not saved them.
    fn start_and_stop_at_new_tokens(&self) -> Refresher {
        Refresher::start(&[self.kind, &self.place, self.server.as_str(), "1", "stop"])
    }

    /// Lets the time of all leases pass: thirty seconds if nobody helps.
    async fn end_lease(&self) {
        let page = self.store.scan(None, 1000).await.unwrap();
        let is_lease = |key: &str| key.starts_with("lease/connection/");
        let leases: Vec<_> =
            page.records().iter().filter(|(key, _)| is_lease(key.as_str())).collect();
        assert_eq!(leases.len(), 1);
        for (key, record) in leases {
            let expect = Expect::Revision(record.revision());
            let lifetime = Some(Duration::from_millis(1));
            assert_eq!(self.store.save(key, record, expect, lifetime).await.unwrap(), Saved::Yes);
        }
    }

    async fn state(&self) -> ConnectionState {
        let infos = self.connections.list(&owner()).await.unwrap();
        let mut infos = infos.iter().filter(|info| info.server == self.server.as_str());
        infos.next().unwrap().state
    }
}

/// A process of the program `refresher`, which is killed when it is dropped.
struct Refresher {
    process: Child,
    lines: mpsc::Receiver<String>,
}

impl Refresher {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_refresher"));
        let pipes = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = pipes.spawn().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let refresher = Self { process, lines };
        assert_eq!(refresher.line(), "ready");
        refresher
    }

    fn go(&mut self) {
        self.process.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    /// What it prints next, or `None` if it has ended.
    fn next(&self) -> Option<String> {
        match self.lines.recv_timeout(Duration::from_secs(60)) {
            Err(RecvTimeoutError::Timeout) => panic!("the process has been silent for a minute"),
            line => line.ok(),
        }
    }

    fn line(&self) -> String {
        self.next().expect("the process has ended")
    }

    fn wait_for(&self, line: &str) {
        while self.line() != line {}
    }

    /// Waits until it has tried to get the lease in vain.
    fn wait_until_it_waits(&self) {
        self.wait_for("Save lease");
        self.wait_for("Save lease");
    }

    /// What its tasks got, until it ends.
    fn outcomes(&self) -> Vec<String> {
        let lines = std::iter::from_fn(|| self.next());
        lines.filter(|line| line.starts_with("token ") || line.starts_with("error ")).collect()
    }

    /// Kills it with SIGKILL.
    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Refresher {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits until the authorization server has noticed that the client of its request is gone.
async fn abandoned(gate: &Gate) {
    while gate.waiting() > 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Two processes are killed while the authorization server has their request and has not processed
/// it. Each time the next one waits for the lease to end, and the third gets a token.
async fn killed_before_the_token_is_rotated(kind: &'static str, place: &str) {
    let scene = Scene::new(kind, place).await;
    let (fault, gate) = Fault::hold();
    scene.clerk.fault(Route::Token, fault);
    let mut first = scene.start(1);
    first.go();
    gate.arrived(1).await;
    first.kill();
    abandoned(&gate).await;

    let mut second = scene.start(1);
    second.go();
    second.wait_until_it_waits();
    assert_eq!(scene.clerk.calls(Route::Token), 1, "nobody asks while there is a lease");
    scene.end_lease().await;
    gate.arrived(1).await;
    second.kill();
    abandoned(&gate).await;
    gate.open();

    let mut third = scene.start(1);
    third.go();
    third.wait_until_it_waits();
    assert_eq!(scene.clerk.calls(Route::Token), 2);
    scene.end_lease().await;
    let outcomes = third.outcomes();
    assert!(matches!(&outcomes[..], [one] if one.starts_with("token ")), "{outcomes:?}");
    assert_ne!(outcomes, [format!("token {}", scene.expired)]);
    assert_eq!(scene.clerk.calls(Route::Token), 3);
    assert_eq!(scene.state().await, ConnectionState::Active);
}

/// A process is killed between the response with new tokens and the store. The old refresh token is
/// tried once; the authorization server takes it for a copy, and the user has to sign in again.
async fn killed_after_the_token_was_rotated(kind: &'static str, place: &str) {
    let scene = Scene::new(kind, place).await;
    let mut first = scene.start_and_stop_at_new_tokens();
    first.go();
    first.wait_for("Save connection");
    first.wait_for("Save connection");
    first.kill();
    assert_eq!(scene.clerk.calls(Route::Token), 1);
    assert_eq!(scene.state().await, ConnectionState::Active);

    let mut second = scene.start(1);
    second.go();
    second.wait_until_it_waits();
    scene.end_lease().await;
    let ended = ["error NeedsLogin(Interrupted)"];
    assert_eq!(second.outcomes(), ended);
    assert_eq!(scene.clerk.calls(Route::Token), 2);
    assert_eq!(scene.state().await, ConnectionState::NeedsLogin(LoginReason::Interrupted));

    let mut third = scene.start(1);
    third.go();
    assert_eq!(third.outcomes(), ended);
    assert_eq!(scene.clerk.calls(Route::Token), 2, "an ended grant is not asked for again");
}

/// The same, at an authorization server that repeats its response for some time. Two processes are
/// killed there, and the third gets a token.
async fn killed_within_the_grace_time(kind: &'static str, place: &str) {
    let scene = Scene::new(kind, place).await;
    let mut first = scene.start_and_stop_at_new_tokens();
    first.go();
    first.wait_for("Save connection");
    first.wait_for("Save connection");
    first.kill();

    let repeated = r#"{"access_token":"repeated","token_type":"Bearer","expires_in":3600,
        "refresh_token":"next"}"#;
    let fault = Fault::Body {
        status: 200,
        content_type: "application/json".to_owned(),
        body: repeated.into(),
    };
    scene.clerk.fault(Route::Token, fault);
    let mut second = scene.start_and_stop_at_new_tokens();
    second.go();
    second.wait_until_it_waits();
    scene.end_lease().await;
    second.wait_for("Save connection");
    second.wait_for("Save connection");
    second.kill();

    let mut third = scene.start(1);
    third.go();
    third.wait_until_it_waits();
    scene.end_lease().await;
    assert_eq!(third.outcomes(), ["token repeated"]);
    assert_eq!(scene.clerk.calls(Route::Token), 3);
    assert_eq!(scene.state().await, ConnectionState::Active);
}

/// A hundred tasks in ten processes want the same token at its expiry.
async fn many_processes_refresh_once(kind: &'static str, place: &str) {
    let scene = Scene::new(kind, place).await;
    let (fault, gate) = Fault::hold();
    scene.clerk.fault(Route::Token, fault);
    let mut processes: Vec<_> = (0..PROCESSES).map(|_| scene.start(TASKS)).collect();
    processes.iter_mut().for_each(Refresher::go);
    let mut holders = 0;
    for process in &processes {
        let mut tries = 0;
        while tries < 2 {
            match process.line().as_str() {
                "Save lease" => tries += 1,
                "Save connection" => {
                    holders += 1;
                    break;
                }
                _ => {}
            }
        }
    }
    assert_eq!(holders, 1);
    gate.arrived(1).await;
    gate.open();
    let outcomes: Vec<_> = processes.iter().flat_map(Refresher::outcomes).collect();
    assert_eq!(outcomes.len(), PROCESSES * TASKS);
    assert!(outcomes[0].starts_with("token "), "{outcomes:?}");
    assert_ne!(outcomes[0], format!("token {}", scene.expired));
    assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]), "{outcomes:?}");
    assert_eq!(scene.clerk.calls(Route::Token), 1, "one refresh for all");
}

async fn check(kind: &'static str, place: &str) {
    killed_before_the_token_is_rotated(kind, place).await;
    killed_after_the_token_was_rotated(kind, place).await;
    killed_within_the_grace_time(kind, place).await;
    many_processes_refresh_once(kind, place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite() {
    let directory = Directory::new();
    check("sqlite", &directory.file("connections")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgres() {
    if postgres_settings().is_none() {
        return;
    }
    let databases = Databases::start("postgres");
    PostgresStore::new(pool(&databases.postgres()).unwrap()).migrate().await.unwrap();
    check("postgres", &databases.postgres()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_redis() {
    if redis_url().is_none() {
        return;
    }
    let databases = Databases::start("redis");
    check("redis", &databases.redis()).await;
}
