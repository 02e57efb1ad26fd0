//! Each token by `verify_clerk_token` and through the layer, both twice: the second time it may be a known one.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clerk_mcp_tools::bearer_auth::BearerAuthLayer;
use clerk_mcp_tools::testing::{Fault, Route};
use clerk_mcp_tools::{
    AuthInfo, ClerkVerifier, Rejection, RejectionReason, Scopes, VerifyError, VerifyErrorKind,
    verify_clerk_token,
};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::Full;
use serde_json::Value;
use tower::{Layer, service_fn};

use super::draft::base64url;
use super::entry::{Entry, Stage, Token, Verdict, directly};
use super::keys::{KEY_ID, KEY_ID_384, KEY_ID_512, KEY_ID_NO_ALG, ours};
use crate::answers::{PLAIN, assert_invalid, assert_refused, challenge};
use crate::support::{
    Answer, Fixture, NOW, TestService, call, request, resource, send, whole_answers,
};

/// When a token that is good for an hour is over, the leeway included.
const OVER: u64 = NOW + 3600 + 5;

/// A Clerk instance that signs with the keys of the corpus, and a port that nobody may call.
pub(super) struct Theatre {
    pub(super) fixture: Fixture,
    trap: std::net::TcpListener,
}

impl Theatre {
    pub(super) async fn new() -> Self {
        let fixture = Fixture::new().await;
        for (key_id, algorithm) in
            [(KEY_ID, "RS256"), (KEY_ID_384, "RS384"), (KEY_ID_512, "RS512"), (KEY_ID_NO_ALG, "")]
        {
            let algorithm = (!algorithm.is_empty()).then_some(algorithm);
            fixture.clerk.publish_jwk(ours().jwk(key_id, algorithm));
        }
        let trap = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        trap.set_nonblocking(true).unwrap();
        Self { fixture, trap }
    }

    pub(super) fn stage(&self) -> Stage {
        Stage {
            issuer: self.fixture.clerk.issuer().to_owned(),
            other_key_id: self.fixture.clerk.key_id(),
            trap: format!("http://{}", self.trap.local_addr().unwrap()),
        }
    }

    /// Runs all entries, and names those that failed.
    pub(super) async fn play(self, entries: Vec<Entry>, scene: Scene) {
        let (verifier, in_layer) = (self.verifier(scene).await, self.verifier(scene).await);
        if matches!(scene, Scene::OutageFromTheStart | Scene::OutageLater) {
            self.fixture.clerk.fault_all(Fault::Down);
        }
        let layer = BearerAuthLayer::new(in_layer, resource())
            .required_scopes(Scopes::parse("profile email").unwrap());
        let service = whole_answers(layer.layer(service_fn(echo_caller)));
        let runs: Vec<Arc<Run>> = entries
            .into_iter()
            .filter_map(|entry| Run::new(&self.fixture, entry, scene))
            .map(Arc::new)
            .collect();
        let on_time = |run: Arc<Run>| {
            let (verifier, service) = (verifier.clone(), service.clone());
            async move {
                run.directly(&verifier).await;
                run.through(&service).await;
            }
        };
        let mut failed = each(&runs, on_time).await;
        self.fixture.clock.set_unix_time(Duration::from_secs(OVER));
        let too_late = |run: Arc<Run>| {
            let (verifier, service) = (verifier.clone(), service.clone());
            async move { run.once_it_is_over(&verifier, &service).await }
        };
        failed.extend(each(&runs, too_late).await);
        assert_eq!(failed, [""; 0], "the panics above say what is wrong with each");
        self.assert_nobody_was_called_in_vain(scene);
    }

    fn assert_nobody_was_called_in_vain(&self, scene: Scene) {
        // By each of the two verifiers once to begin with, and once for the first token that the keys at hand do not
        // prove; during an outage once more when the keys have grown old.
        let most_calls = match scene {
            Scene::KeySet | Scene::OutageFromTheStart => 4,
            Scene::OutageLater => 6,
            Scene::PemKey => 0,
        };
        assert!(
            self.fixture.clerk.calls(Route::Jwks) <= most_calls,
            "no token makes the keys be fetched at will"
        );
        let called = self.trap.accept().map(|_| "somebody called");
        assert!(called.is_err(), "no header member makes the verifier call anybody");
    }

    /// One that remembers what it knows for longer than any token of the corpus is good.
    async fn verifier(&self, scene: Scene) -> ClerkVerifier {
        let day = Duration::from_secs(24 * 60 * 60);
        let mut builder =
            self.fixture.verifier_builder().jwt_cache_ttl(day).opaque_token_cache_ttl(day);
        if scene == Scene::PemKey {
            builder = builder.jwt_key(ours().pem().parse().unwrap());
        }
        let verifier = builder.build().unwrap();
        if scene == Scene::OutageLater {
            verifier.warm_up().await.unwrap();
        }
        verifier
    }
}

/// Where the verifier has its keys from, and whether Clerk answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scene {
    KeySet,
    PemKey,
    OutageFromTheStart,
    /// Once the keys are known.
    OutageLater,
}

/// Each by itself, so that one that fails hides no other.
async fn each<F: Future<Output = ()> + Send + 'static>(
    runs: &[Arc<Run>],
    play: impl Fn(Arc<Run>) -> F,
) -> Vec<String> {
    let mut failed = Vec::new();
    for run in runs {
        if tokio::spawn(play(Arc::clone(run))).await.is_err() {
            failed.push(run.name.clone());
        }
    }
    failed
}

async fn echo_caller(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let caller = request.extensions().get::<AuthInfo>();
    Ok(Response::new(Full::from(serde_json::to_string(&caller).unwrap())))
}

/// One entry with its token as it is sent.
struct Run {
    name: String,
    text: String,
    token: Token,
    verdict: Verdict,
    is_no_token: bool,
}

impl Run {
    /// `None` for what has nothing to do with this scene.
    fn new(fixture: &Fixture, entry: Entry, scene: Scene) -> Option<Self> {
        let is_opaque = matches!(entry.token, Token::Opaque(_));
        if scene == Scene::PemKey && is_opaque {
            return None;
        }
        let text = entry.token.text(&fixture.clerk);
        let needs_clerk = match scene {
            Scene::KeySet | Scene::PemKey => false,
            Scene::OutageFromTheStart => !entry.verdict.needs_nothing(),
            Scene::OutageLater => is_opaque || entry.verdict.needs_clerk(),
        };
        let verdict = match entry.by_pem {
            _ if needs_clerk => Verdict::Unavailable,
            Some(by_pem) if scene == Scene::PemKey => by_pem,
            _ => entry.verdict,
        };
        Some(Self {
            name: entry.name,
            text,
            token: entry.token,
            verdict,
            is_no_token: entry.is_no_token,
        })
    }

    async fn directly(&self, verifier: &ClerkVerifier) {
        for time in ["first", "second"] {
            let what = format!("{}, {time} time, by verify_clerk_token", self.name);
            let hits = verifier.stats().cache_hits;
            let outcome = verify_clerk_token(verifier, &self.text).await;
            let was_known = verifier.stats().cache_hits > hits;
            match (&self.verdict, outcome) {
                (Verdict::Refused(why), Err(error)) => {
                    let (kind, detail) = directly(*why);
                    assert_eq!(error.kind(), kind, "{what}: {error:?}");
                    assert_detail(&error, detail, &what);
                    assert!(!was_known, "{what}");
                }
                (Verdict::Accepted(differences) | Verdict::Narrow(differences), Ok(caller)) => {
                    let caller = serde_json::to_value(&caller).unwrap();
                    assert_eq!(caller, self.token.caller(&self.text, differences), "{what}");
                    assert_eq!(was_known, time == "second", "{what}");
                }
                (Verdict::Unavailable, Err(error)) => {
                    assert_eq!(error.kind(), VerifyErrorKind::Unavailable, "{what}: {error:?}");
                }
                (_, outcome) => panic!("{what}: {outcome:?}"),
            }
        }
        if matches!(self.verdict, Verdict::Accepted(_) | Verdict::Narrow(_)) {
            for other in look_alikes(&self.text) {
                let outcome = verify_clerk_token(verifier, &other).await;
                assert!(outcome.is_err(), "{}: once it is known, {other} is too", self.name);
            }
        }
    }

    /// A token that was let in is not let in for ever, and whoever lacks scopes is then told to get another one.
    async fn once_it_is_over(&self, verifier: &ClerkVerifier, service: &TestService) {
        let (Verdict::Accepted(differences) | Verdict::Narrow(differences)) = &self.verdict else {
            return;
        };
        let expires_at = self.token.caller(&self.text, differences)["expiresAt"].as_u64();
        if expires_at.is_none_or(|expires_at| expires_at > NOW + 3600) {
            return;
        }
        let what = format!("{}, once it is over", self.name);
        let outcome = verify_clerk_token(verifier, &self.text).await;
        assert_eq!(outcome.map_err(|error| error.kind()), Err(VerifyErrorKind::Expired), "{what}");
        assert_invalid(&call(service, &self.text).await, VerifyErrorKind::Expired, &what);
    }

    async fn through(&self, service: &TestService) {
        for time in ["first", "second"] {
            let what = format!("{}, {time} time, through the layer", self.name);
            let Ok(credentials) = HeaderValue::try_from(format!("Bearer {}", self.text)) else {
                assert!(
                    self.text.bytes().any(|b| b.is_ascii_control()),
                    "{what}: no header can carry it"
                );
                return;
            };
            let mut request = request(Method::POST, "/mcp", &[]);
            request.headers_mut().insert("authorization", credentials);
            self.assert_answer(&send(service, request).await, &what);
        }
    }

    fn assert_answer(&self, answer: &Answer, what: &str) {
        let reason = answer.extensions.get::<Rejection>().map(Rejection::reason);
        match &self.verdict {
            Verdict::Refused(_) if self.is_no_token => {
                let description = "An access token is required";
                assert_refused(answer, 401, "unauthorized", description, Some(PLAIN), what);
                assert_eq!(reason, Some(RejectionReason::MissingToken), "{what}");
            }
            Verdict::Refused((kind, detail)) => {
                assert_invalid(answer, *kind, what);
                let error =
                    answer.extensions.get::<Rejection>().and_then(Rejection::error).unwrap();
                assert_detail(error, detail, what);
            }
            Verdict::Narrow(_) => {
                let description = "The access token lacks a required scope";
                let challenge = challenge("insufficient_scope", description);
                assert_refused(
                    answer,
                    403,
                    "insufficient_scope",
                    description,
                    Some(&challenge),
                    what,
                );
                assert_eq!(reason, Some(RejectionReason::InsufficientScope), "{what}");
            }
            Verdict::Unavailable => {
                let description = VerifyErrorKind::Unavailable.description();
                assert_refused(answer, 503, "temporarily_unavailable", description, None, what);
            }
            Verdict::Accepted(differences) => {
                assert_eq!(answer.status, 200, "{what}: {answer:?}");
                assert_eq!(answer.sorted_headers(), [], "{what}");
                let caller: Value = serde_json::from_str(&answer.body).unwrap();
                assert_eq!(caller, self.token.caller(&self.text, differences), "{what}");
            }
        }
    }
}

/// Another spelling of a token, and another token with the same end, which is its signature.
fn look_alikes(text: &str) -> [String; 2] {
    let other = match text.split('.').collect::<Vec<_>>()[..] {
        [header, _, signature] => {
            format!("{header}.{}.{signature}", base64url(r#"{"sub":"user_admin"}"#))
        }
        _ => text.replacen("oat_", "oat_x", 1),
    };
    [format!("{text}="), other]
}

fn assert_detail(error: &VerifyError, expected: &str, what: &str) {
    let detail = error.detail().unwrap_or_default();
    assert!(detail.contains(expected), "{what}: {detail:?} and not {expected:?}");
}
