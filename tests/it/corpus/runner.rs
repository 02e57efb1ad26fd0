//! Verifies each entry with `verify_clerk_token` and through the layer, twice: the second time the
//! result may be cached.

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clerk_mcp_tools::bearer_auth::BearerAuthLayer;
use clerk_mcp_tools::testing::{Fault, Route};
use clerk_mcp_tools::{
    AuthInfo, ClerkVerifier, ClerkVerifierBuilder, Rejection, RejectionReason, Scopes, VerifyError,
    VerifyErrorKind, verify_clerk_token,
};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::Full;
use serde_json::Value;
use tower::{Layer, service_fn};

use super::entry::{Entry, Token, TokenParams, Verdict, reason_from_verifier};
use super::jwt_builder::base64url;
use super::keys::{KEY_ID, KEY_ID_384, KEY_ID_512, KEY_ID_NO_ALG, instance_key};
use crate::responses::{PLAIN_CHALLENGE, assert_invalid_token, assert_rejection, challenge};
use crate::support::{
    Fixture, NOW, TestResponse, TestService, call, collect_responses, request, resource, send,
};

/// When a token that is valid for an hour has expired, including the leeway.
const AFTER_EXPIRY: u64 = NOW + 3600 + 5;

/// Where the verifier gets its keys from, and whether Clerk is reachable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    KeySet,
    PemKey,
    OutageAtStart,
    /// The outage begins after the keys have been fetched.
    OutageAfterWarmUp,
}

/// A Clerk instance with the keys of the corpus, and an origin that must not be called.
pub(super) struct Runner {
    fixture: Fixture,
    forbidden_origin: TcpListener,
}

impl Runner {
    pub(super) async fn new() -> Self {
        let fixture = Fixture::new().await;
        for (key_id, algorithm) in
            [(KEY_ID, "RS256"), (KEY_ID_384, "RS384"), (KEY_ID_512, "RS512"), (KEY_ID_NO_ALG, "")]
        {
            let algorithm = (!algorithm.is_empty()).then_some(algorithm);
            fixture.clerk.publish_jwk(instance_key().jwk(key_id, algorithm));
        }
        let forbidden_origin = TcpListener::bind("127.0.0.1:0").unwrap();
        forbidden_origin.set_nonblocking(true).unwrap();
        Self { fixture, forbidden_origin }
    }

    pub(super) fn params(&self) -> TokenParams {
        TokenParams {
            issuer: self.fixture.clerk.issuer().to_owned(),
            other_key_id: self.fixture.clerk.key_id(),
            forbidden_origin: format!("http://{}", self.forbidden_origin.local_addr().unwrap()),
        }
    }

    pub(super) fn verifier_builder(&self) -> ClerkVerifierBuilder {
        self.fixture.verifier_builder()
    }

    /// Runs all entries, and reports the names of those that failed.
    pub(super) async fn run(self, entries: Vec<Entry>, mode: Mode) {
        let (verifier, in_layer) = (self.verifier(mode).await, self.verifier(mode).await);
        if matches!(mode, Mode::OutageAtStart | Mode::OutageAfterWarmUp) {
            self.fixture.clerk.fault_all(Fault::Down);
        }
        let layer = BearerAuthLayer::new(in_layer, resource())
            .required_scopes(Scopes::parse("profile email").unwrap());
        let service = collect_responses(layer.layer(service_fn(echo_caller)));
        let cases: Vec<Arc<Case>> = entries
            .into_iter()
            .filter_map(|entry| Case::new(&self.fixture, entry, mode))
            .map(Arc::new)
            .collect();
        let before_expiry = |case: Arc<Case>| {
            let (verifier, service) = (verifier.clone(), service.clone());
            async move {
                case.check_verifier(&verifier).await;
                case.check_layer(&service).await;
            }
        };
        let mut failed = run_each(&cases, before_expiry).await;
        self.fixture.clock.set_unix_time(Duration::from_secs(AFTER_EXPIRY));
        let after_expiry = |case: Arc<Case>| {
            let (verifier, service) = (verifier.clone(), service.clone());
            async move { case.check_expiry(&verifier, &service).await }
        };
        failed.extend(run_each(&cases, after_expiry).await);
        assert!(failed.is_empty(), "these failed, as the panics above explain: {failed:?}");
        self.assert_no_unnecessary_calls(mode);
    }

    fn assert_no_unnecessary_calls(&self, mode: Mode) {
        // Each of the two verifiers fetches the keys once at the start, and once for the first
        // token that the cached keys do not verify; once more for stale keys, unless there are none.
        let max_calls = match mode {
            Mode::OutageAtStart => 4,
            Mode::KeySet | Mode::OutageAfterWarmUp => 6,
            Mode::PemKey => 0,
        };
        let calls = self.fixture.clerk.calls(Route::Jwks);
        assert!(calls <= max_calls, "the tokens caused {calls} fetches of the key set");
        let called = self.forbidden_origin.accept().map(|_| "called");
        assert!(called.is_err(), "a header member made the verifier call another origin");
    }

    /// A verifier whose cache outlives every token of the corpus.
    async fn verifier(&self, mode: Mode) -> ClerkVerifier {
        let day = Duration::from_secs(24 * 60 * 60);
        let mut builder =
            self.fixture.verifier_builder().jwt_cache_ttl(day).opaque_token_cache_ttl(day);
        if mode == Mode::PemKey {
            builder = builder.jwt_key(instance_key().pem().parse().unwrap());
        }
        let verifier = builder.build().unwrap();
        if mode == Mode::OutageAfterWarmUp {
            verifier.warm_up().await.unwrap();
        }
        verifier
    }
}

/// Runs each case as a task of its own, so that one failure does not hide another.
async fn run_each<F: Future<Output = ()> + Send + 'static>(
    cases: &[Arc<Case>],
    run: impl Fn(Arc<Case>) -> F,
) -> Vec<String> {
    let mut failed = Vec::new();
    for case in cases {
        if tokio::spawn(run(Arc::clone(case))).await.is_err() {
            failed.push(case.name.clone());
        }
    }
    failed
}

async fn echo_caller(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let caller = request.extensions().get::<AuthInfo>();
    Ok(Response::new(Full::from(
        serde_json::to_string(&caller.map(AuthInfo::serde_form_with_token)).unwrap(),
    )))
}

/// An entry with its token as it is sent, and the verdict that this mode leads to.
struct Case {
    name: String,
    sent: String,
    token: Token,
    verdict: Verdict,
    counts_as_missing: bool,
}

impl Case {
    /// Returns `None` if the entry does not apply in this mode.
    fn new(fixture: &Fixture, entry: Entry, mode: Mode) -> Option<Self> {
        let is_opaque = matches!(entry.token, Token::Opaque(_));
        if mode == Mode::PemKey && is_opaque {
            return None;
        }
        let sent = entry.token.serialize(&fixture.clerk);
        let needs_clerk = match mode {
            Mode::KeySet | Mode::PemKey => false,
            Mode::OutageAtStart => !entry.verdict.needs_no_key(),
            Mode::OutageAfterWarmUp => is_opaque || entry.verdict.needs_clerk(),
        };
        let verdict = match entry.with_pem_key {
            _ if needs_clerk => Verdict::Unavailable,
            Some(verdict) if mode == Mode::PemKey => verdict,
            _ => entry.verdict,
        };
        Some(Self {
            name: entry.name,
            sent,
            token: entry.token,
            verdict,
            counts_as_missing: entry.counts_as_missing,
        })
    }

    async fn check_verifier(&self, verifier: &ClerkVerifier) {
        for time in ["first", "second"] {
            let case = format!("{}, {time} time, verify_clerk_token", self.name);
            let hits = verifier.stats().cache_hits;
            let outcome = verify_clerk_token(verifier, &self.sent).await;
            let was_cached = verifier.stats().cache_hits > hits;
            match (&self.verdict, outcome) {
                (Verdict::Rejected(reason), Err(error)) => {
                    let (kind, detail) = reason_from_verifier(*reason);
                    assert_eq!(error.kind(), kind, "{case}: {error:?}");
                    assert_detail(&error, detail, &case);
                    assert!(!was_cached, "{case}");
                }
                (
                    Verdict::Accepted(differences) | Verdict::InsufficientScope(differences),
                    Ok(caller),
                ) => {
                    let caller = serde_json::to_value(caller.serde_form_with_token()).unwrap();
                    assert_eq!(
                        without_issuer(caller),
                        self.token.caller(&self.sent, differences),
                        "{case}"
                    );
                    assert_eq!(was_cached, time == "second", "{case}");
                }
                (Verdict::Unavailable, Err(error)) => {
                    assert_eq!(error.kind(), VerifyErrorKind::Unavailable, "{case}: {error:?}");
                }
                (_, outcome) => panic!("{case}: {outcome:?}"),
            }
        }
        if matches!(self.verdict, Verdict::Accepted(_) | Verdict::InsufficientScope(_)) {
            for other in lookalikes(&self.sent) {
                let outcome = verify_clerk_token(verifier, &other).await;
                assert!(outcome.is_err(), "{}: caching it made {other} valid", self.name);
            }
        }
    }

    async fn check_layer(&self, service: &TestService) {
        for time in ["first", "second"] {
            let case = format!("{}, {time} time, through the layer", self.name);
            let Ok(credentials) = HeaderValue::try_from(format!("Bearer {}", self.sent)) else {
                let has_control = self.sent.bytes().any(|b| b.is_ascii_control());
                assert!(has_control, "{case}: not a valid header value");
                return;
            };
            let mut request = request(Method::POST, "/mcp", &[]);
            request.headers_mut().insert("authorization", credentials);
            self.assert_response(&send(service, request).await, &case);
        }
    }

    /// Checks that a cached token is rejected after its expiry, even if it also lacks scopes.
    async fn check_expiry(&self, verifier: &ClerkVerifier, service: &TestService) {
        let (Verdict::Accepted(differences) | Verdict::InsufficientScope(differences)) =
            &self.verdict
        else {
            return;
        };
        let expires_at = self.token.caller(&self.sent, differences)["expiresAt"].as_u64();
        if expires_at.is_none_or(|expires_at| expires_at > NOW + 3600) {
            return;
        }
        let case = format!("{}, after its expiry", self.name);
        let outcome = verify_clerk_token(verifier, &self.sent).await;
        assert_eq!(outcome.map_err(|error| error.kind()), Err(VerifyErrorKind::Expired), "{case}");
        assert_invalid_token(&call(service, &self.sent).await, VerifyErrorKind::Expired, &case);
    }

    fn assert_response(&self, response: &TestResponse, case: &str) {
        let reason = response.extensions.get::<Rejection>().map(Rejection::reason);
        match &self.verdict {
            Verdict::Rejected(_) if self.counts_as_missing => {
                let description = "An access token is required";
                let challenge = Some(PLAIN_CHALLENGE);
                assert_rejection(response, 401, "unauthorized", description, challenge, case);
                assert_eq!(reason, Some(RejectionReason::MissingToken), "{case}");
            }
            Verdict::Rejected((kind, detail)) => {
                assert_invalid_token(response, *kind, case);
                let error =
                    response.extensions.get::<Rejection>().and_then(Rejection::error).unwrap();
                assert_detail(error, detail, case);
            }
            Verdict::InsufficientScope(_) => {
                let code = "insufficient_scope";
                let description = "The access token lacks a required scope";
                let challenge = challenge(code, description);
                assert_rejection(response, 403, code, description, Some(&challenge), case);
                assert_eq!(reason, Some(RejectionReason::InsufficientScope), "{case}");
            }
            Verdict::Unavailable => {
                let code = "temporarily_unavailable";
                let description = VerifyErrorKind::Unavailable.description();
                assert_rejection(response, 503, code, description, None, case);
            }
            Verdict::Accepted(differences) => {
                assert_eq!(response.status, 200, "{case}: {response:?}");
                assert_eq!(response.sorted_headers(), [], "{case}");
                let caller: Value = serde_json::from_str(&response.body).unwrap();
                assert_eq!(
                    without_issuer(caller),
                    self.token.caller(&self.sent, differences),
                    "{case}"
                );
            }
        }
    }
}

/// The token with padding, and another token with the same last bytes, which are the signature.
fn lookalikes(token: &str) -> [String; 2] {
    let other = match token.split('.').collect::<Vec<_>>()[..] {
        [header, _, signature] => {
            format!("{header}.{}.{signature}", base64url(r#"{"sub":"user_admin"}"#))
        }
        _ => token.replacen("oat_", "oat_x", 1),
    };
    [format!("{token}="), other]
}

fn assert_detail(error: &VerifyError, expected: &str, case: &str) {
    let detail = error.detail().unwrap_or_default();
    assert!(detail.contains(expected), "{case}: {detail:?} does not contain {expected:?}");
}

/// Removes the issuer, which differs from run to run, from the JSON form of a caller.
fn without_issuer(mut caller: Value) -> Value {
    let issuer = caller["extra"].as_object_mut().and_then(|extra| extra.remove("issuer"));
    assert!(issuer.is_some_and(|issuer| issuer.as_str().unwrap().starts_with("http://127.0.0.1:")));
    caller
}
