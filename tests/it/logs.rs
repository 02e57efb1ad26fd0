//! The log at the levels `warn` and `error`: what it says, and that a stranger cannot flood it.

use clerk_mcp_tools::bearer_auth::BearerAuthLayer;
use clerk_mcp_tools::instance::FrontendApi;
use clerk_mcp_tools::testing::Fault;
use clerk_mcp_tools::{ClerkMcp, ClerkVerifier, ConfigError, VerifyErrorKind as Kind};
use tower::Layer;

use crate::secrets::log_capture::LogCapture;
use crate::support::{EchoUser, Fixture, RESOURCE, call, collect_responses, error_kind, guarded};

const TARGET: &str = "clerk_mcp_tools::clerk::failure_log";
const OTHER: &str = "https://other.example/mcp";

/// The lines of the verifier at this level, without their level and target.
fn lines(capture: &LogCapture, level: &str) -> Vec<String> {
    let start = format!("{level} {TARGET}: ");
    let text = capture.text();
    text.lines()
        .filter_map(|line| line.trim_start().strip_prefix(&start))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn a_wrong_audience_is_logged_with_both_strings_and_the_likeliest_cause() {
    let capture = LogCapture::default();
    let _logging = capture.install();
    let fixture = Fixture::new().await;
    let audiences = [vec![], vec![OTHER], vec![OTHER, "https://mcp.example.com/mcp/"]];
    for audiences in audiences {
        let token = fixture.clerk.mint().audiences(audiences);
        for token in [token.clone().jwt(), token.opaque()] {
            // Each verifier has a limit of its own.
            let kind = error_kind(&fixture.verifier(), &token).await;
            assert_eq!(kind, Some(Kind::InvalidAudience));
        }
    }
    let line = |detail: &str, audience: &str| {
        format!(
            "rejected an access token kind=InvalidAudience detail=\"{detail}\" \
             audience={audience} resource=\"{RESOURCE}\""
        )
    };
    let none = "the token names no audience: the URL of this server is not registered with Clerk \
                (Dashboard, Agents, MCP servers, Add MCP server), which also turns the audience \
                claim on; or its user signed in before that, and has to sign in again; or the \
                client did not send the `resource` parameter (RFC 8707): update it, or accept such \
                tokens with `Audience::IfPresent` (MCP_AUDIENCE=if-present), which is weaker";
    let other = "the token was issued for another resource: the URL that is registered with Clerk, \
                 the URL that the client uses, and the resource URL of this server \
                 (MCP_RESOURCE_URL) must be the same, byte for byte";
    let expected = [
        line(none, "[]"),
        line(other, &format!("[\"{OTHER}\"]")),
        line(other, &format!("[\"{OTHER}\", \"https://mcp.example.com/mcp/\"]")),
    ];
    let twice: Vec<String> = expected.into_iter().flat_map(|line| [line.clone(), line]).collect();
    assert_eq!(lines(&capture, "WARN"), twice);
}

#[tokio::test]
async fn each_kind_is_logged_once_in_ten_seconds_with_the_number_of_those_left_out() {
    let capture = LogCapture::default();
    let _logging = capture.install();
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    let other = || fixture.clerk.mint().audience(OTHER).jwt();
    let foreign = || fixture.clerk.mint().claim("iss", "https://clerk.other.example").jwt();
    let seconds: [(u64, usize); 4] = [(0, 3), (9, 2), (1, 1), (10, 1)];
    for (seconds, tokens) in seconds {
        fixture.advance(seconds);
        for _ in 0..tokens {
            assert_eq!(error_kind(&verifier, &other()).await, Some(Kind::InvalidAudience));
        }
        assert_eq!(error_kind(&verifier, &foreign()).await, Some(Kind::InvalidIssuer));
    }
    let end = |line: &str| line.rsplit(' ').next().unwrap().to_owned();
    let of = |kind: &str, level: &str| -> Vec<String> {
        let kind = format!("kind={kind} ");
        lines(&capture, level).iter().filter(|line| line.contains(&kind)).map(|l| end(l)).collect()
    };
    let resource = format!("resource=\"{RESOURCE}\"");
    assert_eq!(of("InvalidAudience", "WARN"), [resource.as_str(), "omitted=4", &resource]);
    assert_eq!(of("InvalidAudience", "DEBUG").len(), 4);
    assert_eq!(of("InvalidIssuer", "WARN"), ["instance\"", "omitted=1", "instance\""]);
    assert_eq!(of("InvalidIssuer", "DEBUG").len(), 1);
}

#[tokio::test]
async fn strangers_cannot_flood_the_log() {
    let capture = LogCapture::default();
    let _logging = capture.install();
    let fixture = Fixture::new().await;
    let without_key = fixture.public_verifier_builder().build().unwrap();
    let layer = BearerAuthLayer::new(without_key, RESOURCE.parse().unwrap());
    let service = guarded(layer);
    for n in 0..50 {
        assert_eq!(call(&service, &format!("oat_{n}")).await.status, 500);
    }
    fixture.clerk.fault_all(Fault::Down);
    let service = guarded(fixture.layer());
    for n in 0..50 {
        assert_eq!(call(&service, &format!("oat_{n}")).await.status, 503);
    }
    for (level, kind) in [("ERROR", "Misconfigured"), ("WARN", "Unavailable")] {
        let lines = lines(&capture, level);
        let start = format!("failed to verify an access token kind={kind} cause=VerifyError");
        assert!(lines.len() == 1 && lines[0].starts_with(&start), "{lines:?}");
    }
    assert_eq!(lines(&capture, "DEBUG").len(), 98);
    fixture.advance(10);
    call(&service, "oat_0").await;
    let warnings = lines(&capture, "WARN");
    assert!(warnings[1].ends_with(" omitted=49"), "{warnings:?}");
}

#[test]
fn a_missing_secret_key_is_reported_when_a_verifier_is_built_from_the_environment() {
    type Var = fn(&str) -> Option<String>;
    let without = |name: &str| match name {
        "CLERK_FAPI" => Some("https://clerk.example.com".to_owned()),
        "MCP_RESOURCE_URL" => Some(RESOURCE.to_owned()),
        _ => None,
    };
    let with = |name: &str| match name {
        "CLERK_FAPI" => Some("https://clerk.example.com".to_owned()),
        "CLERK_SECRET_KEY" => Some("sk_test_abc".to_owned()),
        _ => None,
    };
    type Build = fn(Var) -> Result<(), ConfigError>;
    let verifier: Build = |var| ClerkVerifier::builder().env_from(var).build().map(drop);
    let endpoint: Build = |var| ClerkMcp::builder().env_from(var).build().map(drop);
    let typed: Build = |_| {
        let issuer = FrontendApi::parse("https://clerk.example.com")?;
        ClerkVerifier::builder().frontend_api(issuer).build().map(drop)
    };
    let cases = [
        ("verifier without it", verifier, without as Var, 1),
        ("endpoint without it", endpoint, without, 1),
        ("verifier with it", verifier, with, 0),
        ("typed settings without it", typed, without, 0),
    ];
    for (case, build, var, expected) in cases {
        let capture = LogCapture::default();
        let logging = capture.install();
        build(var).unwrap();
        drop(logging);
        let text = capture.text();
        let lines: Vec<&str> = text.lines().filter(|line| line.contains("WARN")).collect();
        assert_eq!(lines.len(), expected, "{case}: {lines:?}");
        let start = " WARN clerk_mcp_tools::clerk::builder: CLERK_SECRET_KEY is not set: opaque";
        assert!(lines.iter().all(|line| line.starts_with(start)), "{case}: {lines:?}");
    }
}

#[tokio::test]
async fn a_well_known_layer_that_no_client_can_reach_is_warned_of_once() {
    let fixture = Fixture::new().await;
    let clerk = fixture.clerk_mcp_builder().build().unwrap();
    let (around, inside) = (clerk.well_known_layer(), clerk.well_known_layer());
    let services = [
        (0, collect_responses(around.layer(fixture.layer().layer(EchoUser)))),
        (1, collect_responses(fixture.layer().layer(inside.layer(EchoUser)))),
    ];
    for (expected, service) in services {
        let capture = LogCapture::default();
        let logging = capture.install();
        for _ in 0..2 {
            assert_eq!(call(&service, &fixture.jwt()).await.status, 200);
        }
        drop(logging);
        let warnings =
            capture.text().matches("the well-known layer is inside the bearer layer").count();
        assert_eq!(warnings, expected);
    }
}
