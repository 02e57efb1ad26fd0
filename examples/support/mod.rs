//! Shared by the examples: settings, a fake Clerk if no instance is configured, printed commands.

#![allow(dead_code, reason = "not every example uses all of it")]
#![allow(clippy::print_stdout, reason = "the examples print commands to try")]

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;

use clerk_mcp_tools::testing::{FakeClerk, FakeClerkBuilder, FakeMachine};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

/// The variables of which one is enough to use a real Clerk instance.
const CLERK_VARIABLES: [&str; 7] = [
    "CLERK_PUBLISHABLE_KEY",
    "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY",
    "CLERK_FAPI",
    "CLERK_SECRET_KEY",
    "CLERK_JWT_KEY",
    "CLERK_MACHINE_SECRET_KEY",
    "CLERK_MACHINE_ID",
];

/// Logs to stderr, filtered by `RUST_LOG`, which defaults to `info`.
pub(crate) fn init_tracing() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
}

/// Listens on `MCP_BIND`, which defaults to `127.0.0.1:3000`.
pub(crate) async fn listen() -> io::Result<TcpListener> {
    let address = var("MCP_BIND").unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listening = TcpListener::bind(&address).await;
    listening.map_err(|error| io::Error::other(format!("cannot listen on {address}: {error}")))
}

/// Returns a variable of the process that is neither missing nor blank.
pub(crate) fn var(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// Returns the builder of a fake Clerk that real MCP clients can use.
///
/// It is more lenient than by default: Cursor's redirect URI has a scheme without a dot, and the
/// official clients step up to scopes that they did not register.
pub(crate) fn fake_clerk() -> FakeClerkBuilder {
    FakeClerk::builder().allow_redirect_scheme("cursor").registration_limits_scopes(false)
}

/// Returns whether the example was started with this argument.
pub(crate) fn has_argument(name: &str) -> bool {
    std::env::args().skip(1).any(|argument| argument == name)
}

/// The settings of an example: the environment, with a fake Clerk and defaults for what is not set.
pub(crate) struct Environment {
    fake_clerk: Option<FakeClerk>,
    /// The machine that the server is, if a fake Clerk runs.
    machine: Option<FakeMachine>,
    default_resource: String,
}

impl Environment {
    /// Starts a fake Clerk if the environment names no Clerk instance.
    ///
    /// `path` is that of the endpoint if `MCP_RESOURCE_URL` is not set.
    pub(crate) async fn load(address: SocketAddr, path: &str) -> io::Result<Self> {
        Self::with_fake_clerk(address, path, fake_clerk()).await
    }

    /// As [`Environment::load`], with this fake Clerk.
    pub(crate) async fn with_fake_clerk(
        address: SocketAddr,
        path: &str,
        builder: FakeClerkBuilder,
    ) -> io::Result<Self> {
        let has_clerk = CLERK_VARIABLES.into_iter().any(|name| var(name).is_some());
        let fake_clerk = if has_clerk { None } else { Some(builder.start().await?) };
        let machine = fake_clerk.as_ref().map(server_machine);
        if has_clerk && var("CLERK_SECRET_KEY").is_none() {
            tracing::warn!(
                "CLERK_SECRET_KEY is not set: opaque tokens cannot be verified and user data \
                 cannot be fetched; copy it from the API keys page of the Clerk Dashboard"
            );
        }
        Ok(Self { fake_clerk, machine, default_resource: format!("http://{address}{path}") })
    }

    /// Returns the value of a variable, for `env_from` of the builders.
    pub(crate) fn var(&self, name: &str) -> Option<String> {
        let of_fake = self.fake_clerk.as_ref().and_then(|fake| fake.env_var(name));
        of_fake.or_else(|| var(name)).or_else(|| self.default(name))
    }

    /// Returns the fake Clerk, unless a real instance is configured.
    pub(crate) fn fake_clerk(&self) -> Option<&FakeClerk> {
        self.fake_clerk.as_ref()
    }

    /// Returns the machine that the server is for the fake Clerk.
    pub(crate) fn machine(&self) -> Option<&FakeMachine> {
        self.machine.as_ref()
    }

    /// Returns whether the server accepts this type of token.
    pub(crate) fn accepts(&self, token_type: &str) -> bool {
        let accepted = self.var("MCP_ACCEPTS").unwrap_or_default();
        accepted.split_whitespace().any(|one| one == token_type)
    }

    fn default(&self, name: &str) -> Option<String> {
        match name {
            "MCP_RESOURCE_URL" => Some(self.default_resource.clone()),
            "MCP_SCOPES" => Some("profile email".to_owned()),
            _ => None,
        }
    }
}

/// Creates the machine that the server is, and that other machines call.
pub(crate) fn server_machine(fake: &FakeClerk) -> FakeMachine {
    let machine = fake.create_machine("MCP server");
    fake.set_server_machine(&machine);
    machine
}

/// Prints a command to try, under a comment.
pub(crate) fn print_command(comment: &str, command: impl Display) {
    println!("\n# {comment}:\n{command}");
}

/// Returns the `curl` command that calls a tool with the token in the shell variable `TOKEN`.
pub(crate) fn call_tool(url: impl Display, tool: &str) -> String {
    format!(
        "curl -s -w '\\n' '{url}' -H \"Authorization: Bearer $TOKEN\" \
         -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \
         -d '{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\
         \"params\":{{\"name\":\"{tool}\"}}}}'"
    )
}

/// Waits for Ctrl-C.
pub(crate) async fn ctrl_c() {
    // Without a signal handler, run until the process is killed.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
