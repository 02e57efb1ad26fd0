//! Tokens that no key at hand verifies: 401 if that is known, 503 if newer keys could exist.
//!
//! Each rule holds whether a new key keeps the key id, as Clerk's do, or gets another one.

use std::time::Duration;

use clerk_mcp_tools::bearer_auth::BearerAuthLayer;
use clerk_mcp_tools::testing::{Fault, Route, TokenBuilder};
use clerk_mcp_tools::{ClerkVerifier, Scopes, VerifyErrorKind as Kind, verify_clerk_token};
use http::StatusCode;

use crate::responses::assert_invalid_token;
use crate::support::{
    Fixture, NOW, RESOURCE, TestService, call, error_kind, guarded, json_fault, resource,
};

const MINUTE: u64 = 60;
/// How long before the fetch of the key set a token was issued that cannot have a newer key.
const MARGIN: u64 = 10 * MINUTE;

/// A fake Clerk whose key changes, and a server that has fetched the first key set.
struct Changing {
    fixture: Fixture,
    verifier: ClerkVerifier,
    service: TestService,
    /// The id that every key gets, if the keys keep their id.
    kept_id: Option<String>,
}

impl Changing {
    async fn new(keeps_id: bool) -> Self {
        let fixture = Fixture::new().await;
        let (verifier, service) = start(&fixture).await;
        let kept_id = keeps_id.then(|| fixture.clerk.key_id());
        Self { fixture, verifier, service, kept_id }
    }

    async fn restart_server(&mut self) {
        (self.verifier, self.service) = start(&self.fixture).await;
    }

    fn change_key(&self) {
        self.fixture.clerk.rotate_keys().unwrap();
        self.end_outage();
    }

    fn begin_outage(&self, fault: Fault) {
        self.fixture.clerk.fault(Route::Jwks, fault);
    }

    /// Serves the current key set.
    fn end_outage(&self) {
        let mut keys = self.fixture.clerk.jwks();
        if let Some(id) = &self.kept_id {
            keys["keys"][0]["kid"] = id.as_str().into();
        }
        self.fixture.clerk.fault(Route::Jwks, json_fault(keys.to_string()));
    }

    fn mint(&self) -> TokenBuilder {
        let id = self.kept_id.clone().unwrap_or_else(|| self.fixture.clerk.key_id());
        self.fixture.clerk.mint().audience(RESOURCE).header("kid", id)
    }

    /// A valid token, issued now and signed with the current key.
    fn token(&self) -> String {
        self.mint().jwt()
    }

    /// A token with the id of the current key that another one signed.
    fn forged(&self) -> TokenBuilder {
        self.mint().foreign_key()
    }

    async fn assert_accepts(&self, token: &str, case: &str) {
        assert_eq!(error_kind(&self.verifier, token).await, None, "{case}");
        assert_eq!(call(&self.service, token).await.status, StatusCode::OK, "{case}");
    }

    async fn assert_invalid(&self, token: &str, case: &str) {
        let kind = error_kind(&self.verifier, token).await.unwrap();
        assert!(matches!(kind, Kind::InvalidSignature | Kind::UnknownKey), "{case}: {kind:?}");
        assert_invalid_token(&call(&self.service, token).await, kind, case);
    }

    /// The first invalid token causes a fetch, and so the verdict is known.
    async fn assert_invalid_once(&self, token: &str, case: &str) {
        let kind = error_kind(&self.verifier, token).await;
        assert!(
            matches!(kind, Some(Kind::InvalidSignature | Kind::UnknownKey)),
            "{case}: {kind:?}"
        );
    }

    async fn assert_unavailable(&self, token: &str, seconds: u64, case: &str) {
        let error = verify_clerk_token(&self.verifier, token).await.unwrap_err();
        let retry_after = Some(Duration::from_secs(seconds));
        assert_eq!((error.kind(), error.retry_after()), (Kind::Unavailable, retry_after), "{case}");
        let response = call(&self.service, token).await;
        assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE, "{case}");
        assert_eq!(response.header("retry-after"), Some(&*seconds.to_string()), "{case}");
        assert_eq!(response.header("www-authenticate"), None, "{case}");
    }

    fn calls(&self) -> usize {
        self.fixture.clerk.calls(Route::Jwks)
    }
}

async fn start(fixture: &Fixture) -> (ClerkVerifier, TestService) {
    let verifier = fixture.warm_verifier().await;
    let layer = BearerAuthLayer::new(verifier.clone(), resource())
        .required_scopes(Scopes::parse("profile email").unwrap());
    (verifier, guarded(layer))
}

#[tokio::test]
async fn a_token_of_a_new_key_is_unavailable_while_the_key_set_cannot_be_fetched() {
    let html =
        || Fault::Body { status: 200, content_type: "text/html".into(), body: "<html>".into() };
    for keeps_id in [true, false] {
        let clerk = Changing::new(keeps_id).await;
        for (fault, wait) in [
            (Fault::Down, 1),
            (Fault::Status { status: 503, retry_after: None }, 1),
            (Fault::Status { status: 503, retry_after: Some(7) }, 7),
            (Fault::Status { status: 429, retry_after: Some(300) }, 300),
            (html(), 1),
        ] {
            let case = format!("keeps its id: {keeps_id}, {fault:?}");
            let calls = clerk.verifier.stats().upstream_calls;
            let (cached, retired) = (clerk.token(), clerk.token());
            let foreign = clerk.forged().issued_at(NOW - MARGIN - 1).jwt();
            clerk.assert_accepts(&cached, &case).await;
            clerk.change_key();
            clerk.begin_outage(fault);
            let new = clerk.token();
            clerk.assert_unavailable(&new, wait, &case).await;
            clerk.assert_unavailable(&clerk.token(), wait, &case).await;
            clerk.assert_invalid(&foreign, &case).await;
            clerk.assert_accepts(&retired, &case).await;
            assert_eq!(clerk.verifier.stats().upstream_calls, calls + 1, "{case}");
            if wait > 1 {
                clerk.fixture.advance(wait - 1);
                clerk.assert_unavailable(&new, 1, &case).await;
                clerk.fixture.advance(1);
            } else {
                clerk.fixture.advance(wait);
            }
            clerk.end_outage();
            clerk.assert_accepts(&new, &case).await;
            assert_eq!(clerk.verifier.stats().upstream_calls, calls + 2, "{case}");
            clerk.fixture.advance(30);
        }
    }
}

#[tokio::test]
async fn a_token_of_a_new_key_is_unavailable_until_a_refresh_may_be_forced_again() {
    for keeps_id in [true, false] {
        let clerk = Changing::new(keeps_id).await;
        for knows_id in [true, false] {
            for passed in [0, 1, 10, 29] {
                let case = format!("keeps its id: {keeps_id}, {knows_id}, after {passed} s");
                let calls = clerk.calls();
                let forged = clerk.forged();
                let forged = if knows_id { forged } else { forged.header("kid", "ins_other") };
                clerk.assert_invalid_once(&forged.jwt(), &case).await;
                clerk.change_key();
                clerk.fixture.advance(passed);
                let new = clerk.token();
                clerk.assert_unavailable(&new, 30 - passed, &case).await;
                assert_eq!(clerk.calls(), calls + 1, "{case}");
                clerk.fixture.advance(30 - passed);
                clerk.assert_accepts(&new, &case).await;
                assert_eq!(clerk.calls(), calls + 2, "{case}");
                clerk.fixture.advance(30);
            }
        }
    }
}

#[tokio::test]
async fn a_second_change_soon_after_the_first_is_unavailable_and_not_invalid() {
    for keeps_id in [true, false] {
        let case = format!("keeps its id: {keeps_id}");
        let clerk = Changing::new(keeps_id).await;
        clerk.change_key();
        clerk.assert_accepts(&clerk.token(), &case).await;
        clerk.fixture.advance(10);
        clerk.change_key();
        let new = clerk.token();
        clerk.assert_unavailable(&new, 20, &case).await;
        clerk.fixture.advance(20);
        clerk.assert_accepts(&new, &case).await;
    }
}

/// The time of issue chooses between the two rejections, and nothing else.
#[tokio::test]
async fn a_token_that_was_issued_long_before_the_fetch_is_invalid_at_once() {
    type Change = fn(TokenBuilder) -> TokenBuilder;
    let rows: [(&str, Change, bool); 11] = [
        ("a day before", |token| token.issued_at(NOW - 24 * 60 * MINUTE), true),
        ("just before the margin", |token| token.issued_at(NOW - MARGIN - 1), true),
        ("with a fraction", |token| token.claim("iat", NOW as f64 - MARGIN as f64 - 1.5), true),
        ("at the margin", |token| token.issued_at(NOW - MARGIN), false),
        ("when the set was fetched", |token| token.issued_at(NOW), false),
        ("in the future", |token| token.issued_at(NOW + 60 * MINUTE), false),
        ("at no time", |token| token.claim("iat", u64::MAX), true),
        ("at an unknown time", |token| token.without_claim("iat"), false),
        ("null", |token| token.claim("iat", serde_json::Value::Null), false),
        ("before 1970", |token| token.claim("iat", -5), true),
        ("a string", |token| token.claim("iat", NOW.to_string()), true),
    ];
    for id in ["known", "unknown"] {
        let clerk = Changing::new(true).await;
        let forged = || match id {
            "known" => clerk.forged(),
            _ => clerk.forged().header("kid", "ins_other"),
        };
        clerk.assert_invalid_once(&forged().jwt(), id).await;
        for (name, change, is_known) in rows {
            let token = change(forged()).jwt();
            if is_known {
                clerk.assert_invalid(&token, name).await;
            } else {
                clerk.assert_unavailable(&token, 30, name).await;
            }
        }
        assert_eq!(clerk.calls(), 2, "{id}");
        // Once a refresh may be forced again, each of them gets a verdict.
        for (name, change, _) in rows {
            clerk.fixture.advance(30);
            clerk.assert_invalid_once(&change(forged()).jwt(), name).await;
        }
    }
}

#[tokio::test]
async fn malformed_claims_are_invalid_whatever_key_signed_them() {
    let clerk = Changing::new(true).await;
    clerk.assert_invalid_once(&clerk.forged().jwt(), "first").await;
    for claims in ["", "[]", "not JSON", r#"{"iat":1,"iat":1}"#] {
        let token = clerk.forged().raw_claims(claims).jwt();
        clerk.assert_invalid(&token, claims).await;
    }
}

/// The key set was fetched while the wall clock was fast.
#[tokio::test]
async fn a_correction_of_the_wall_clock_makes_no_token_older_than_the_key_set() {
    for corrected_by in [2 * 60 * MINUTE, MARGIN + 1] {
        let case = format!("{corrected_by} s");
        let mut clerk = Changing::new(true).await;
        clerk.fixture.clock.set_unix_time(Duration::from_secs(NOW + corrected_by));
        clerk.restart_server().await;
        clerk.assert_invalid_once(&clerk.forged().jwt(), &case).await;
        clerk.fixture.clock.set_unix_time(Duration::from_secs(NOW));
        clerk.change_key();
        clerk.fixture.advance(1);
        clerk.assert_unavailable(&clerk.token(), 29, &case).await;
    }
}

/// A stream of forged tokens neither causes many fetches nor delays anything that is known.
#[tokio::test]
async fn a_flood_of_forged_tokens_costs_other_callers_nothing_but_a_wait_for_new_keys() {
    for keeps_id in [true, false] {
        let clerk = Changing::new(keeps_id).await;
        let mut changed_at = 0;
        for second in 0..5 * MINUTE {
            let case = format!("keeps its id: {keeps_id}, second {second}");
            let forged = [clerk.forged().jwt(), clerk.forged().header("kid", "ins_x").jwt()];
            for token in &forged {
                let kind = error_kind(&clerk.verifier, token).await.unwrap();
                assert_ne!(kind, Kind::Misconfigured, "{case}");
            }
            match error_kind(&clerk.verifier, &clerk.token()).await {
                None => {}
                Some(Kind::Unavailable) if second < changed_at + 30 => {}
                other => panic!("{case}: {other:?}, changed at {changed_at}"),
            }
            if second % 97 == 96 {
                clerk.change_key();
                changed_at = second + 1;
            }
            clerk.fixture.advance(1);
        }
        // One every 30 seconds, and the first; the set is never old enough for others.
        assert_eq!(clerk.calls(), 1 + 10);
    }
}

/// Until then it may be signed with a newer key, for all that is known.
#[tokio::test]
async fn a_token_of_a_retired_key_is_invalid_once_the_key_set_is_newer_by_the_margin() {
    let clerk = Changing::new(true).await;
    let retired = clerk.token();
    clerk.change_key();
    clerk.assert_accepts(&clerk.token(), "the new key").await;
    clerk.assert_unavailable(&retired, 30, "just issued").await;
    clerk.fixture.advance(MARGIN + 1);
    clerk.assert_invalid_once(&clerk.forged().jwt(), "refreshes the set").await;
    clerk.assert_invalid(&retired, "issued before").await;
}
