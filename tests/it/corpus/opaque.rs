//! Opaque tokens, which Clerk verifies (Backend API, access_tokens/verify).

use clerk_mcp_tools::VerifyErrorKind as Kind;
use clerk_mcp_tools::testing::TokenBuilder;
use serde_json::{Value, json};

use super::entry::{
    Entry, MISSING_AUDIENCE, NOT_A_USER, Reason, Token, TokenParams, WRONG_AUDIENCE, accepted,
    default_caller, insufficient_scope, rejected,
};
use crate::support::{NOW, RESOURCE};

const UNKNOWN: Reason = (Kind::UnknownToken, "Clerk does not know the token");
const INACTIVE: Reason = (Kind::UnknownToken, "the token is not active");
const REVOKED: Reason = (Kind::Revoked, "the token was revoked");
const EXPIRED: Reason = (Kind::Expired, "the token has expired");
const SENDER_CONSTRAINED: Reason = (Kind::InvalidClaim, "only bearer tokens are accepted");

const NO_PROOF: &str = "Clerk: a 200 can carry revoked, expired, or active false";
const LEEWAY: &str = "Clerk: 5 seconds of clock skew are tolerated";
const EXPIRATION: &str = "Clerk: expiration is null, seconds, or milliseconds above 1e11";

const USERS: &str = "Clerk: users have a sub that starts with user_";

type Change = fn(TokenBuilder) -> TokenBuilder;

pub(super) fn table(_: &TokenParams) -> Vec<Entry> {
    [rejected_tokens(), accepted_tokens()].into_iter().flatten().collect()
}

fn issued(change: Change) -> Token {
    Token::Opaque(change)
}

fn rejected_tokens() -> Vec<Entry> {
    let entry = |name: &str, rule, reason: Reason, change: Change| {
        rejected(name, rule, reason, issued(change))
    };
    let not_found = "Clerk: 404 means that the token is unknown";
    vec![
        rejected("opaque, unknown to Clerk", not_found, UNKNOWN, "oat_0123456789abcdef"),
        rejected(
            "opaque, of 512 characters",
            not_found,
            UNKNOWN,
            format!("oat_{}", "a".repeat(508)),
        ),
        entry("opaque, revoked", NO_PROOF, REVOKED, |t| t.revoked(true)),
        entry("opaque, expired", NO_PROOF, EXPIRED, |t| t.expired(true)),
        entry("opaque, not active", NO_PROOF, INACTIVE, |t| t.record_member("active", false)),
        entry("opaque, revoked and expired", NO_PROOF, REVOKED, |t| t.revoked(true).expired(true)),
        entry("opaque, expired and without scopes", "RFC 6750 section 3.1", EXPIRED, |t| {
            t.expired(true).scopes([""; 0])
        }),
        entry("opaque, expiration at the end of the leeway", LEEWAY, EXPIRED, |t| {
            t.expiration(NOW - 5)
        }),
        entry("opaque, expiration a millisecond before that", LEEWAY, EXPIRED, |t| {
            t.expiration((NOW - 4) * 1000 - 1)
        }),
        entry("opaque, expired although its expiration is later", NO_PROOF, EXPIRED, |t| {
            t.expired(true).expiration(NOW + 3600)
        }),
        entry("opaque, expiration zero", EXPIRATION, EXPIRED, |t| t.expiration(0)),
        entry("opaque, of a machine", USERS, NOT_A_USER, |t| t.subject("mch_1")),
        entry("opaque, of an organization", USERS, NOT_A_USER, |t| t.subject("org_1")),
        entry("opaque, of a user with a line feed", USERS, NOT_A_USER, |t| t.subject("user_1\n")),
        entry("opaque, bound to a key", "RFC 9449 section 6.2", SENDER_CONSTRAINED, |t| {
            t.record_member("cnf", json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}))
        }),
        entry("opaque, without an audience", "RFC 8707 section 2", MISSING_AUDIENCE, |t| {
            t.without_record_member("aud")
        }),
        entry("opaque, audience null", "RFC 8707 section 2", MISSING_AUDIENCE, |t| {
            t.record_member("aud", Value::Null)
        }),
        entry("opaque, with another audience", "RFC 8725 section 3.9", WRONG_AUDIENCE, |t| {
            t.audience("https://other.example.com/mcp")
        }),
        entry(
            "opaque, with a prefix of the audience",
            "RFC 8725 section 3.9",
            WRONG_AUDIENCE,
            |t| t.audience("https://mcp.example.com"),
        ),
    ]
}

fn accepted_tokens() -> Vec<Entry> {
    const ANSWER: &str = "Clerk: the answer names subject, client_id, scopes, aud and expiration";
    let entry = |name: &str, rule, differences: Value, change: Change| {
        accepted(name, rule, differences, issued(change))
    };
    let other = "https://other.example.com/mcp";
    vec![
        entry("opaque, valid", ANSWER, default_caller(), |t| t),
        entry(
            "opaque, expiration in milliseconds",
            EXPIRATION,
            json!({"expiresAt": NOW + 1}),
            |t| t.expiration((NOW + 1) * 1000 + 999),
        ),
        entry("opaque, expiration in one second", EXPIRATION, json!({"expiresAt": NOW + 1}), |t| {
            t.expiration(NOW + 1)
        }),
        entry("opaque, without expiration", EXPIRATION, json!({"expiresAt": null}), |t| {
            t.expiration(Value::Null)
        }),
        entry(
            "opaque, with two audiences",
            ANSWER,
            json!({"extra": {"aud": [other, RESOURCE]}}),
            |t| t.audiences(["https://other.example.com/mcp", RESOURCE]),
        ),
        entry(
            "opaque, with act and org_id",
            ANSWER,
            json!({"extra": {"orgId": "org_1", "act": {"sub": "agent"}}}),
            |t| t.actor(json!({"sub": "agent"})).record_member("org_id", "org_1"),
        ),
        entry(
            "opaque, with an unknown member",
            ANSWER,
            json!({"extra": {"claims": {"x": 1}}}),
            |t| t.record_member("x", 1),
        ),
        insufficient_scope(
            "opaque, without scopes",
            "RFC 6750 section 3.1",
            json!({"scopes": []}),
            issued(|t| t.scopes([""; 0])),
        ),
        insufficient_scope(
            "opaque, with two scopes in one string",
            "RFC 6749 section 3.3",
            json!({"scopes": []}),
            issued(|t| t.record_member("scopes", json!(["profile email"]))),
        ),
    ]
}
