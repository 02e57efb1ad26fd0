//! Rules about the members of many organizations, with a clock that is set: how many calls to Clerk
//! the requests of their users cost, what users notice of ten minutes in which Clerk limits the
//! calls, and when a role that was taken away is gone.
//!
//! A test runs a smaller one.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use clerk_mcp_tools::access_policy::{AccessPolicyLayer, RequestBody, Requirement};
use clerk_mcp_tools::instance::FrontendApi;
use clerk_mcp_tools::testing::{FakeClerk, FakeOrganization, Fault, ManualClock, Route};
use clerk_mcp_tools::{AccessPolicy, AuthInfo, ClerkVerifier, SecretKey};
use futures_util::future::join_all;
use http::{Method, Request, Response};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};

const PERMISSION: &str = "org:files:write";
const CALL: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"write_file"}}"#;
/// How long a membership is known.
const TTL: u64 = 30;
const OUTAGE: u64 = 600;
/// Requests at the same time, of different users.
const AT_ONCE: usize = 500;

/// How many take part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) users: usize,
    pub(crate) organizations: usize,
    pub(crate) requests: usize,
}

/// What became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) requests: usize,
    pub(crate) calls: usize,
    /// One for each user, organization and 30 seconds.
    pub(crate) max_calls: usize,
    /// Requests whose answer was not that of the server.
    pub(crate) rejected: usize,
    pub(crate) outage_requests: usize,
    pub(crate) outage_calls: usize,
    pub(crate) outage_rejected: usize,
    /// How many seconds a role was of use after it was taken away, for those with the most.
    pub(crate) revoked_after: u64,
}

struct Simulation {
    clerk: FakeClerk,
    clock: ManualClock,
    layer: AccessPolicyLayer,
    organizations: Vec<FakeOrganization>,
    callers: Vec<AuthInfo>,
}

/// Sends the requests, then those of an outage, and then takes roles away.
pub(crate) async fn run(size: Size) -> Outcome {
    let simulation = Simulation::start(size).await;
    let mut outcome = Outcome::default();
    simulation.ordinary(size.requests, &mut outcome).await;
    simulation.outage(&mut outcome).await;
    simulation.revocation(&mut outcome).await;
    outcome
}

impl Simulation {
    async fn start(size: Size) -> Self {
        let clock = ManualClock::new(1_800_000_000);
        let clerk = FakeClerk::builder().clock(clock.clone()).start().await.unwrap();
        let names = (0..size.organizations).map(|index| format!("Organization {index}"));
        let organizations: Vec<_> = names.map(|name| clerk.create_organization(name)).collect();
        let users = (0..size.users).zip(organizations.iter().cycle());
        let callers = users.map(|(index, organization)| {
            let user = format!("user_{index}");
            organization.set_member(&*user, "org:editor", [PERMISSION]);
            AuthInfo::for_user(user, "token".into()).org_id(organization.id()).build()
        });
        let callers = callers.collect();
        let verifier = ClerkVerifier::builder()
            .frontend_api(FrontendApi::parse(clerk.frontend_api_url()).unwrap())
            .backend_api(clerk.backend_api_url().parse().unwrap())
            .secret_key(SecretKey::parse(clerk.secret_key()).unwrap())
            .membership_stale_ttl(Duration::from_secs(OUTAGE + 10 * TTL))
            .max_calls_per_ten_seconds(1_000_000)
            .clock(clock.clone())
            .build()
            .unwrap();
        let policy = AccessPolicy::deny_by_default()
            .tool("write_file", Requirement::permission(PERMISSION))
            .build()
            .unwrap();
        let layer = AccessPolicyLayer::new(policy, "https://mcp.example.com/mcp".parse().unwrap())
            .look_up_memberships(verifier);
        Self { clerk, clock, layer, organizations, callers }
    }

    /// Every user sends a request every third second.
    async fn ordinary(&self, requests: usize, outcome: &mut Outcome) {
        let rounds = requests.div_ceil(self.callers.len());
        for _ in 0..rounds {
            outcome.rejected += self.round().await;
            self.advance(3);
        }
        outcome.requests = rounds * self.callers.len();
        outcome.calls = self.calls();
        let seconds = u64::try_from(3 * rounds).unwrap();
        outcome.max_calls = self.callers.len() * usize::try_from(seconds.div_ceil(TTL)).unwrap();
    }

    async fn outage(&self, outcome: &mut Outcome) {
        let before = self.calls();
        let limited = Fault::Status { status: 429, retry_after: Some(60) };
        self.clerk.fault(Route::OrganizationMemberships, limited);
        for _ in 0..OUTAGE / TTL {
            self.advance(TTL);
            outcome.outage_rejected += self.round().await;
            outcome.outage_requests += self.callers.len();
        }
        outcome.outage_calls = self.calls() - before;
        self.clerk.heal_all();
        // The pause that Clerk asked for ends.
        for _ in 0..3 {
            self.advance(TTL);
            outcome.outage_rejected += self.round().await;
        }
    }

    /// Takes the roles of one organization away, just after its members were looked up.
    async fn revocation(&self, outcome: &mut Outcome) {
        self.advance(TTL);
        assert_eq!(self.round().await, 0, "after the outage");
        let (Some(organization), Some(caller)) = (self.organizations.first(), self.callers.first())
        else {
            return;
        };
        organization.set_member(caller.user_id().unwrap(), "org:guest", [""; 0]);
        while self.passes(caller).await {
            self.advance(1);
            outcome.revoked_after += 1;
        }
    }

    /// Sends one request of every user, and returns how many were rejected.
    async fn round(&self) -> usize {
        let mut rejected = 0;
        for callers in self.callers.chunks(AT_ONCE) {
            let passed = join_all(callers.iter().map(|caller| self.passes(caller))).await;
            rejected += passed.into_iter().filter(|passed| !passed).count();
        }
        rejected
    }

    async fn passes(&self, caller: &AuthInfo) -> bool {
        let service = service_fn(|_: Request<RequestBody<Full<Bytes>>>| async {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        });
        let mut request = Request::new(Full::from(CALL));
        *request.method_mut() = Method::POST;
        request.extensions_mut().insert(caller.clone());
        let response = self.layer.layer(service).oneshot(request).await.unwrap();
        response.status().is_success()
    }

    fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    fn calls(&self) -> usize {
        self.clerk.calls(Route::OrganizationMemberships)
    }
}
