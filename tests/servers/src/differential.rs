//! Compares what servers do with generated requests with what the policy saw in them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use clerk_mcp_tools::{
    AccessPolicy, AuthInfo, ClerkMcp, ClerkVerifier, PublishableKey, Rejection, RejectionReason,
    Scopes,
};
use http::HeaderMap;

use crate::readers::Reader;
use crate::requests::Generated;
use crate::rng::Rng;
use crate::targets::{self, Default, Ran};

pub(crate) const RESOURCE: &str = "https://mcp.example.com/mcp";

const KEY: &str = "pk_test_Zm9vLWJhci0xMy5jbGVyay5hY2NvdW50cy5kZXYk";

/// What became of the requests to one server.
#[derive(Clone, Copy, Debug, std::default::Default)]
pub(crate) struct Counts {
    pub(crate) generated: usize,
    /// By the policy.
    pub(crate) rejected: usize,
    pub(crate) passed: usize,
    /// Of all: the server runs something for them without the layers.
    pub(crate) alone: usize,
    /// Of those that passed: the server runs something for them.
    pub(crate) executed: usize,
    /// Of all: the server runs something that the policy did not see.
    /// It is 0, or the run has ended with a panic.
    pub(crate) unseen: usize,
    /// For the messages, that of the server's reader.
    pub(crate) time: Duration,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { generated, rejected, passed, alone, executed, unseen, time } = self;
        let seconds = time.as_secs_f32();
        write!(
            f,
            "{generated} | {rejected} | {passed} | {alone} | {executed} | {unseen} | {seconds:.1} s"
        )
    }
}

pub(crate) const HEADER: &str = "\
| server | generated | rejected | passed | executed without layers | executed behind them | executed unseen | time |\n\
| --- | --- | --- | --- | --- | --- | --- | --- |";

/// What the policy saw in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    /// No server gets it.
    Invalid,
    /// Nobody may do it.
    Denied,
    Needs(BTreeSet<String>),
}

/// A policy, and a caller who has the scopes of half of its targets.
pub(crate) struct Judge {
    clerk: ClerkMcp,
    caller: AuthInfo,
}

impl Judge {
    pub(crate) fn new(policy: AccessPolicy, held: &BTreeSet<String>) -> Self {
        let verifier =
            ClerkVerifier::builder().publishable_key(PublishableKey::parse(KEY).unwrap());
        let clerk = ClerkMcp::builder()
            .resource(RESOURCE.parse().unwrap())
            .verifier(verifier.build().unwrap())
            .scopes(Scopes::none())
            .access_policy(policy)
            .build()
            .unwrap();
        let held = held.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        let caller = AuthInfo::for_user("user_1", "token".into());
        Self { clerk, caller: caller.scopes(Scopes::parse(&held).unwrap()).build() }
    }

    /// Returns what the policy sees: the scopes that it asks of a caller without any.
    pub(crate) fn judged(&self, request: &Generated, headers: &HeaderMap) -> Judged {
        match ready(self.clerk.authorize(&request.method, headers, &request.body, None)) {
            Ok(()) => Judged::Needs(BTreeSet::new()),
            Err(rejection) => match rejection.reason() {
                RejectionReason::MissingToken => Judged::Needs(self.challenged(rejection)),
                RejectionReason::OperationDenied => Judged::Denied,
                _ => Judged::Invalid,
            },
        }
    }

    fn challenged(&self, rejection: Rejection) -> BTreeSet<String> {
        let response = self.clerk.reject(rejection);
        let challenge = response.headers()["www-authenticate"].to_str().unwrap();
        let (_, scopes) = challenge.split_once("scope=\"").unwrap();
        let (scopes, _) = scopes.split_once('"').unwrap();
        scopes.split(' ').map(str::to_owned).collect()
    }

    pub(crate) fn passes(&self, request: &Generated, headers: &HeaderMap) -> bool {
        let caller = Some(&self.caller);
        ready(self.clerk.authorize(&request.method, headers, &request.body, caller)).is_ok()
    }
}

/// Returns the outcome of a future that waits for nothing, since the rules are about scopes only.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("a policy without rules about members waits"),
    }
}

pub(crate) fn header_map(request: &Generated) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        headers.append(name, value.clone());
    }
    headers
}

/// Returns what ran although the policy did not see it.
pub(crate) fn unseen(ran: &BTreeSet<Ran>, judged: &Judged, default: Default) -> Vec<Ran> {
    let Judged::Needs(needed) = judged else {
        return Vec::new();
    };
    let is_unseen = |ran: &&Ran| !targets::required(ran, default).is_subset(needed);
    ran.iter().filter(is_unseen).cloned().collect()
}

/// Reads as many generated bodies with each server's reader.
///
/// # Panics
///
/// Panics on the first request of which a server reads more than the policy saw.
pub(crate) fn read(count: usize, seed: u64) -> BTreeMap<&'static str, Counts> {
    let held = targets::held();
    let judges = Default::ALL.map(|default| (default, Judge::new(targets::policy(default), &held)));
    let mut rng = Rng::new(seed);
    let mut counts: BTreeMap<&'static str, Counts> = BTreeMap::new();
    for index in 0..count {
        let request = Generated::new(&mut rng);
        let headers = header_map(&request);
        let (default, judge) = &judges[index % judges.len()];
        let judged = judge.judged(&request, &headers);
        let passes = judge.passes(&request, &headers);
        let expected = matches!(&judged, Judged::Needs(needed) if needed.is_subset(&held));
        assert_eq!(passes, expected, "{request:?}");
        let mut all = BTreeSet::new();
        for reader in Reader::ALL {
            let start = Instant::now();
            let ran: BTreeSet<Ran> = reader.read(&request.body).into_iter().collect();
            let counts = counts.entry(reader.name()).or_default();
            counts.time += start.elapsed();
            counts.generated += 1;
            counts.rejected += usize::from(!passes);
            counts.passed += usize::from(passes);
            counts.alone += usize::from(!ran.is_empty());
            counts.executed += usize::from(passes && !ran.is_empty());
            all.extend(ran);
        }
        assert_eq!(unseen(&all, &judged, *default), [], "{judged:?}, {request:?}");
    }
    counts
}

#[cfg(test)]
mod tests {
    use clerk_mcp_tools::instance::FrontendApi;
    use clerk_mcp_tools::testing::FakeClerk;
    use http::HeaderValue;
    use tower::Layer;

    use super::*;
    use crate::services::{self, Log, answering, send};

    #[test]
    fn no_reader_sees_more_than_the_policy() {
        let counts = read(100_000, 1);
        println!("{HEADER}");
        for (server, counts) in counts {
            println!("| {server}, messages | {counts} |");
            assert!(counts.executed > counts.generated / 20, "{server}");
            assert!(counts.rejected > counts.generated / 5, "{server}");
        }
    }

    #[tokio::test]
    async fn no_server_runs_more_than_the_policy_saw() {
        println!("{HEADER}");
        for reader in [Reader::Rmcp, Reader::TowerMcp, Reader::Pmcp] {
            let counts = run(reader, 12_000).await;
            println!("| {}, HTTP | {counts} |", reader.name());
            assert!(counts.executed > counts.generated / 40, "{}", reader.name());
        }
    }

    /// Sends generated requests to a server, with and without the layers around it.
    async fn run(reader: Reader, count: usize) -> Counts {
        let clerk = FakeClerk::builder().start().await.unwrap();
        let held = targets::held();
        let token = clerk.mint().audience(RESOURCE).scopes(&held).jwt();
        let credentials = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
        let verifier = ClerkVerifier::builder()
            .frontend_api(FrontendApi::parse(clerk.frontend_api_url()).unwrap())
            .build()
            .unwrap();
        let mut rng = Rng::new(2);
        let mut counts = Counts::default();
        let start = Instant::now();
        // A new server now and then, since some keep a session for each request.
        for chunk in 0..count / 500 {
            let default = Default::ALL[chunk % Default::ALL.len()];
            let judge = Judge::new(targets::policy(default), &held);
            let guard = ClerkMcp::builder()
                .resource(RESOURCE.parse().unwrap())
                .verifier(verifier.clone())
                .scopes(Scopes::none())
                .access_policy(targets::policy(default))
                .build()
                .unwrap();
            let log = Log::default();
            let server = services::stateless(reader, &log);
            let guarded = answering(guard.auth_layer().layer(server.clone()));
            let server = answering(server);
            for _ in 0..500 {
                let request = Generated::new(&mut rng);
                let headers = header_map(&request);
                let judged = judge.judged(&request, &headers);

                send(&server, request.request()).await;
                let alone: BTreeSet<Ran> = log.take().into_iter().collect();
                assert_eq!(unseen(&alone, &judged, default), [], "{judged:?}, {request:?}");

                let mut with_token = request.request();
                with_token.headers_mut().insert("authorization", credentials.clone());
                let answer = send(&guarded, with_token).await;
                let ran: BTreeSet<Ran> = log.take().into_iter().collect();
                counts.alone += usize::from(!alone.is_empty());
                let expected = if answer.rejection.is_some() { BTreeSet::new() } else { alone };
                assert_eq!(ran, expected, "{request:?}");
                for ran in &ran {
                    let required = targets::required(ran, default);
                    assert!(required.is_subset(&held), "{ran:?}, {request:?}");
                }
                counts.generated += 1;
                counts.rejected += usize::from(answer.rejection.is_some());
                counts.passed += usize::from(answer.rejection.is_none());
                counts.executed += usize::from(!ran.is_empty());
            }
        }
        counts.time = start.elapsed();
        counts
    }
}
