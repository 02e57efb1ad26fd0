//! What the application says about its settings, and where it keeps connections.
//!
//! `tests/stores/databases run cargo test --manifest-path examples/chat_app/Cargo.toml` starts the
//! databases.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

const SERVER: &str = "http://127.0.0.1:9/mcp";
const PASSWORD: &str = "MarkedPassword0123456789";
const KEYS: &str = "lookup:bG9va3VwIGtleSBmb3IgdGhlIGV4YW1wbGUgb25seS4=,\
                    1:Y3VycmVudCBrZXkgZm9yIHRoZSBleGFtcGxlIG9ubHk=";

/// A working directory, which is removed at the end of the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("chat_app.{name}.{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn chat_app(directory: &Directory, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clerk-mcp-tools-chat-app"));
    command.current_dir(&directory.0).env_clear();
    command.envs([("MCP_BIND", "127.0.0.1:0"), ("MCP_SERVER_URL", SERVER)]);
    command.envs(settings.iter().copied());
    command
}

/// Starts it until it listens, and returns where it says that the connections are.
fn starts(directory: &Directory, settings: &[(&str, &str)]) -> String {
    let mut command = chat_app(directory, settings);
    let process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut process = Killed(process);
    let mut lines = BufReader::new(process.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let kept = lines.next().expect("it has ended");
    assert!(lines.next().expect("it has ended").starts_with("listening on http://127.0.0.1:"));
    kept.strip_prefix("connections are kept in ").unwrap().to_owned()
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Starts it with settings that cannot work, and returns what it says.
fn fails(directory: &Directory, settings: &[(&str, &str)]) -> String {
    let output = chat_app(directory, settings).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn by_default_connections_are_in_a_file_with_keys_of_its_own() {
    let directory = Directory::new("default");
    let expected = "the SQLite file chat_app.db, sealed with the keys in chat_app.db.keys";
    assert_eq!(starts(&directory, &[]), expected);
    let keys = directory.0.join("chat_app.db.keys");
    let made = fs::read(&keys).unwrap();
    for name in ["chat_app.db", "chat_app.db.keys"] {
        let mode = fs::metadata(directory.0.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(starts(&directory, &[("DATABASE_URL", ""), ("REDIS_URL", " ")]), expected);
    assert_eq!(fs::read(&keys).unwrap(), made, "the keys outlive the application");

    let other = [("MCP_CHAT_DB", "other.db"), ("MCP_CLIENT_KEYS", KEYS)];
    let expected = "the SQLite file other.db, sealed with the keys in MCP_CLIENT_KEYS";
    assert_eq!(starts(&directory, &other), expected);
    assert!(!directory.0.join("other.db.keys").exists());

    fs::write(&keys, "lookup:c2hvcnQ=\n").unwrap();
    assert_eq!(
        fails(&directory, &[]),
        "error: chat_app.db.keys: invalid sealing keys: a key is not 32 bytes in base64 with \
         padding; `openssl rand -base64 32` makes one\n",
    );
}

#[test]
fn settings_that_cannot_work_are_explained_without_a_password() {
    let directory = Directory::new("wrong");
    let url = |form: &str| form.replace("PASSWORD", PASSWORD);
    let one = url("postgres://user:PASSWORD@127.0.0.1:1/name");
    let not_of_postgres = url("mysql://user:PASSWORD@127.0.0.1/name");
    let not_of_redis = url("user:PASSWORD@127.0.0.1");
    let unreachable = url("redis://:PASSWORD@127.0.0.1:1");
    let missing = directory.0.join("missing/chat.db");
    for (settings, expected) in [
        (
            vec![("DATABASE_URL", &*one), ("REDIS_URL", &*unreachable)],
            "error: DATABASE_URL and REDIS_URL are both set; unset one\n",
        ),
        (
            vec![("DATABASE_URL", &*not_of_postgres)],
            "error: DATABASE_URL: not a URL of PostgreSQL, such as \
             postgres://user:password@localhost/name\n",
        ),
        (
            vec![("REDIS_URL", &*not_of_redis)],
            "error: REDIS_URL: not a URL of Redis, such as redis://:password@localhost:6379\n",
        ),
        (
            vec![("DATABASE_URL", &*one)],
            "error: DATABASE_URL: the store of connections is unavailable: PostgreSQL cannot be \
             reached, or gave up: error connecting to server: Connection refused (os error 111)\n",
        ),
        (vec![("REDIS_URL", &*unreachable)], "error: REDIS_URL: "),
        (vec![("MCP_CHAT_DB", missing.to_str().unwrap())], "error: "),
        (
            vec![("MCP_CLIENT_KEYS", "lookup:c2hvcnQ=")],
            "error: invalid sealing keys in MCP_CLIENT_KEYS: ",
        ),
    ] {
        let said = fails(&directory, &settings);
        assert!(said.starts_with(expected), "{said}");
        assert!(!said.contains(PASSWORD), "{said}");
    }
}

#[test]
fn connections_are_in_a_database_that_processes_share_if_they_have_the_same_keys() {
    for (setting, variable, name) in
        [("DATABASE_URL", "STORES_POSTGRES", "PostgreSQL"), ("REDIS_URL", "STORES_REDIS", "Redis")]
    {
        let Ok(place) = std::env::var(variable) else {
            assert!(std::env::var_os("CI").is_none(), "{variable} is not set");
            eprintln!("SKIPPED: {variable} is not set; run this with tests/stores/databases run");
            continue;
        };
        let directory = Directory::new(name);
        let said = fails(&directory, &[(setting, &place)]);
        assert!(
            said.starts_with("error: MCP_CLIENT_KEYS is not set; set it to lookup:<key>,"),
            "{said}"
        );
        let kept = starts(&directory, &[(setting, &place), ("MCP_CLIENT_KEYS", KEYS)]);
        assert_eq!(kept, format!("{name}, sealed with the keys in MCP_CLIENT_KEYS"));
        assert_eq!(fs::read_dir(&directory.0).unwrap().count(), 0, "no file is made");
    }
}
