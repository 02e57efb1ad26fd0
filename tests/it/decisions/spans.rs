//! The caller as fields of the application's span.

use tracing::Instrument;
use tracing::field::Empty;

use super::{bearer, builder, call_of, post, token};
use crate::secrets::log_capture::LogCapture;
use crate::support::{Fixture, guarded, send};

/// Sends a call with this token within a span that declares the fields, and returns the fields of
/// the span afterwards.
async fn fields_of_span(fixture: &Fixture, credentials: Option<&str>) -> String {
    let clerk = builder(fixture).optional().build().unwrap();
    let service = guarded(clerk.auth_layer());
    let headers: Vec<_> = credentials.map(|value| ("authorization", value)).into_iter().collect();
    let capture = LogCapture::default();
    let _logging = capture.install();
    let span = tracing::info_span!(
        "request",
        enduser.id = Empty,
        oauth.client_id = Empty,
        oauth.scopes = Empty
    );
    let call = async {
        send(&service, post(&headers, &call_of("read"))).await;
        tracing::info!("after the call");
    };
    call.instrument(span).await;
    // Where the span does not declare them, nothing is recorded.
    send(&service, post(&headers, &call_of("read")))
        .instrument(tracing::info_span!("other", other = 1))
        .await;
    let text = capture.text();
    assert!(text.contains("other{other=1}: "), "{text}");
    let line = text.lines().find(|line| line.ends_with(": after the call")).unwrap();
    let (_, fields) = line.split_once("INFO request").unwrap();
    fields.split_once(": ").unwrap().0.to_owned()
}

#[tokio::test]
async fn the_caller_is_recorded_on_the_current_span() {
    let fixture = Fixture::new().await;
    let user = fixture.clerk.default_user_id();
    for scopes in ["profile email", "profile email openid"] {
        let token = token(&fixture, scopes);
        let expected =
            format!("{{enduser.id=\"{user}\" oauth.scopes={scopes} oauth.client_id=\"client_1\"}}");
        assert_eq!(fields_of_span(&fixture, Some(&bearer(&token))).await, expected);
    }
    // A caller that is rejected for its scopes is known as well; one without a token is not.
    let few = fields_of_span(&fixture, Some(&bearer(&token(&fixture, "profile")))).await;
    assert!(few.starts_with(&format!("{{enduser.id=\"{user}\"")), "{few}");
    assert_eq!(fields_of_span(&fixture, None).await, "");
    assert_eq!(fields_of_span(&fixture, Some("Bearer a b")).await, "");
}

/// The connection to Clerk that the first request opens stays open, and must not keep its span.
#[tokio::test]
async fn the_span_of_a_request_ends_with_the_request() {
    let fixture = Fixture::new().await;
    let service = guarded(builder(&fixture).build().unwrap().auth_layer());
    let credentials = bearer(&token(&fixture, "profile email"));
    let capture = LogCapture::default();
    let _logging = capture.install();
    let request = post(&[("authorization", &credentials)], &call_of("read"));
    assert_eq!(fixture.key_set_calls(), 0);
    send(&service, request).instrument(tracing::info_span!("first")).await;
    assert_eq!(fixture.key_set_calls(), 1);
    let text = capture.text();
    let is_closed = text.lines().any(|line| line.contains(" first: ") && line.contains(": close"));
    assert!(is_closed, "{text}");
}
