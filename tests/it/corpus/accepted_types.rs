//! JWTs of machines and of sessions, at a verifier that accepts them and no OAuth access tokens.
//!
//! The tables beside this one hold what a verifier with the default setting makes of them.

use clerk_mcp_tools::clerk::{MachineTokens, SessionTokens};
use clerk_mcp_tools::instance::MachineId;
use clerk_mcp_tools::{ClerkVerifier, Scopes, VerifyErrorKind as Kind, verify_clerk_token};
use serde_json::json;

use super::entry::{
    CRITICAL_EXTENSION, EXPIRED, INVALID_CLAIMS_JSON, INVALID_SIGNATURE, ISSUED_IN_FUTURE,
    KEY_ALGORITHM_MISMATCH, MISSING_EXP, MISSING_KID, NESTED_TOKEN, NOT_YET_VALID, Reason,
    SENDER_CONSTRAINED, TokenParams, UNKNOWN_KID, UNSUPPORTED_ALGORITHM, WRONG_ISS,
};
use super::jwt_builder::JwtBuilder;
use super::keys::attacker_key;
use super::runner::Runner;
use crate::support::NOW;

const MACHINE: &str = "mch_server";
const CALLER: &str = "mch_caller";
const ORIGIN: &str = "https://app.example.com";

/// The header's `cat`, as Clerk's SDKs compare it.
const SESSION_CAT: &str = r#""cl_B7d4PD111AAA""#;
const TEMPLATE_CAT: &str = r#""cl_B7d4PD222AAA""#;
const MACHINE_CAT: &str = r#""cl_B7d4PD333AAA""#;

const WRONG_TYPE: Reason = (Kind::WrongTokenType, "the claims are neither those of");
const WRONG_HEADER: Reason = (Kind::WrongTokenType, "`typ` is not at+jwt, and with its `cat`");
const OTHER_CAT: Reason = (Kind::WrongTokenType, "`cat` is that of another class");
const OAUTH_TOKEN: Reason = (Kind::WrongTokenType, "set up to reject OAuth access tokens");
const OTHER_MACHINE: Reason = (Kind::InvalidAudience, "does not name the machine of this server");
const INVALID_MACHINES: Reason = (Kind::InvalidClaim, "`scopes` or `aud` is neither a string");
const OTHER_PARTY: Reason = (Kind::InvalidClaim, "`azp`");
const PENDING: Reason = (Kind::InvalidClaim, "`sts`");
const VERSION: Reason = (Kind::InvalidClaim, "`v`");
const ORGANIZATION: Reason = (Kind::InvalidClaim, "`o` or `fea` is not");

const CATEGORIES: &str = "Clerk: `cat` is cl_B7d4PD111AAA of sessions, cl_B7d4PD222AAA of JWT \
                          templates and cl_B7d4PD333AAA of machine tokens";
const SUBJECTS: &str = "Clerk: a machine is mch_ and a user user_";
const MACHINES: &str = "Clerk: `scopes` of a machine token are the machines it may call";
const PARTIES: &str = "Clerk: `azp` is the origin that a session token was issued to";
const SESSIONS: &str = "Clerk: session token claims, version 2";
const CONFUSION: &str = "RFC 8725 section 3.12";
const TIMES: &str = "RFC 7519 section 4.1";
const DUPLICATES: &str = "RFC 7519 section 4";

struct Row {
    name: &'static str,
    rule: &'static str,
    token: JwtBuilder,
    /// The id of the caller, or why the token is rejected.
    verdict: Result<&'static str, Reason>,
}

fn row(
    name: &'static str,
    rule: &'static str,
    token: JwtBuilder,
    verdict: Result<&'static str, Reason>,
) -> Row {
    Row { name, rule, token, verdict }
}

fn machine(params: &TokenParams) -> JwtBuilder {
    let token = params.jwt().header("typ", r#""JWT""#).header("cat", MACHINE_CAT);
    let token = token.without_claim("client_id").without_claim("scope").without_claim("aud");
    token.claim("sub", json!(CALLER)).claim("scopes", json!(MACHINE))
}

fn session(params: &TokenParams) -> JwtBuilder {
    let token = params.jwt().header("typ", r#""JWT""#).header("cat", SESSION_CAT);
    let token = token.without_claim("client_id").without_claim("scope").without_claim("aud");
    let token = token.claim("v", 2).claim("sid", r#""sess_1""#).claim("sts", r#""active""#);
    token.claim("azp", json!(ORIGIN))
}

/// What holds for both types alike.
fn of_any_type(token: impl Fn() -> JwtBuilder, caller: &'static str) -> Vec<Row> {
    vec![
        row("a valid one", CATEGORIES, token(), Ok(caller)),
        row("without cat", CONFUSION, token().without_header("cat"), Ok(caller)),
        row("typ at+jwt and cat", CONFUSION, token().header("typ", r#""at+jwt""#), Err(OTHER_CAT)),
        row(
            "typ at+jwt without cat",
            "RFC 9068 section 4",
            token().header("typ", r#""at+jwt""#).without_header("cat"),
            Err(OAUTH_TOKEN),
        ),
        row("typ in lower case", CATEGORIES, token().header("typ", r#""jwt""#), Err(WRONG_HEADER)),
        row(
            "the cat of templates",
            CATEGORIES,
            token().header("cat", TEMPLATE_CAT),
            Err(WRONG_HEADER),
        ),
        row("an unknown cat", CATEGORIES, token().header("cat", r#""cl_x""#), Err(WRONG_HEADER)),
        row("a cat that is null", "RFC 7515 section 4", token().header("cat", "null"), Ok(caller)),
        row(
            "alg none",
            "RFC 8725 section 3.2",
            token().header("alg", r#""none""#),
            Err(UNSUPPORTED_ALGORITHM),
        ),
        row(
            "alg RS384",
            "RFC 8725 section 3.1",
            token().header("alg", r#""RS384""#),
            Err(KEY_ALGORITHM_MISMATCH),
        ),
        row(
            "without kid",
            "RFC 7515 section 4.1.4",
            token().without_header("kid"),
            Err(MISSING_KID),
        ),
        row(
            "an unknown kid",
            "RFC 7515 section 4.1.4",
            token().header("kid", r#""other""#),
            Err(UNKNOWN_KID),
        ),
        row(
            "a critical extension",
            "RFC 7515 section 4.1.11",
            token().header("crit", r#"["exp"]"#),
            Err(CRITICAL_EXTENSION),
        ),
        row(
            "a nested token",
            "RFC 7519 section 5.2",
            token().header("cty", r#""JWT""#),
            Err(NESTED_TOKEN),
        ),
        row(
            "another key",
            "RFC 7515 section 5.2",
            token().sign_with(|input| attacker_key().rs256(input)),
            Err(INVALID_SIGNATURE),
        ),
        row(
            "no signature",
            "RFC 7515 section 5.2",
            token().without_signature(),
            Err(INVALID_SIGNATURE),
        ),
        row(
            "another issuer",
            TIMES,
            token().claim("iss", r#""https://clerk.example""#),
            Err(WRONG_ISS),
        ),
        row("an expired one", TIMES, token().claim("exp", NOW - 6), Err(EXPIRED)),
        row("without exp", TIMES, token().without_claim("exp"), Err(MISSING_EXP)),
        row("not yet valid", TIMES, token().claim("nbf", NOW + 6), Err(NOT_YET_VALID)),
        row("issued later", TIMES, token().claim("iat", NOW + 6), Err(ISSUED_IN_FUTURE)),
        row(
            "bound to a key",
            "RFC 7800 section 3.1",
            token().claim("cnf", r#"{"jkt":"a"}"#),
            Err(SENDER_CONSTRAINED),
        ),
        row(
            "two subjects",
            DUPLICATES,
            token().append_claim("sub", json!(caller)),
            Err(INVALID_CLAIMS_JSON),
        ),
        row("a subject of no class", SUBJECTS, token().claim("sub", r#""org_1""#), Err(WRONG_TYPE)),
        row("without a subject", SUBJECTS, token().without_claim("sub"), Err(WRONG_TYPE)),
    ]
}

fn machines(params: &TokenParams) -> Vec<Row> {
    let token = || machine(params);
    let by_aud = || token().without_claim("scopes");
    vec![
        row("without typ", CATEGORIES, token().without_header("typ"), Ok(CALLER)),
        row(
            "a list of machines",
            MACHINES,
            token().claim("scopes", json!(["mch_x", MACHINE])),
            Ok(CALLER),
        ),
        row(
            "machines with spaces",
            MACHINES,
            token().claim("scopes", json!(format!("mch_x {MACHINE} mch_y"))),
            Ok(CALLER),
        ),
        row("by aud", MACHINES, by_aud().claim("aud", json!(MACHINE)), Ok(CALLER)),
        row("by a list in aud", MACHINES, by_aud().claim("aud", json!(["x", MACHINE])), Ok(CALLER)),
        row(
            "by aud beside other scopes",
            MACHINES,
            token().claim("scopes", json!("mch_x")).claim("aud", json!(MACHINE)),
            Ok(CALLER),
        ),
        row(
            "for another machine",
            MACHINES,
            token().claim("scopes", json!("mch_x")),
            Err(OTHER_MACHINE),
        ),
        row("for no machine", MACHINES, by_aud(), Err(OTHER_MACHINE)),
        row("for an empty list", MACHINES, token().claim("scopes", "[]"), Err(OTHER_MACHINE)),
        row(
            "for a longer id",
            MACHINES,
            token().claim("scopes", json!("mch_serverx")),
            Err(OTHER_MACHINE),
        ),
        row(
            "for an id in upper case",
            MACHINES,
            token().claim("scopes", json!("MCH_SERVER")),
            Err(OTHER_MACHINE),
        ),
        row(
            "machines with a comma",
            MACHINES,
            token().claim("scopes", json!("mch_x,mch_server")),
            Err(OTHER_MACHINE),
        ),
        row(
            "machines with a tab",
            MACHINES,
            token().claim("scopes", json!("mch_x\tmch_server")),
            Err(OTHER_MACHINE),
        ),
        row(
            "scopes of numbers",
            MACHINES,
            token().claim("scopes", json!([1, MACHINE])),
            Err(INVALID_MACHINES),
        ),
        row(
            "scopes as an object",
            MACHINES,
            token().claim("scopes", json!({MACHINE: true})),
            Err(INVALID_MACHINES),
        ),
        row("scopes that are null", MACHINES, token().claim("scopes", "null"), Err(OTHER_MACHINE)),
        row(
            "an aud of numbers beside good scopes",
            MACHINES,
            token().claim("aud", json!([1])),
            Err(INVALID_MACHINES),
        ),
        row("the cat of sessions", CATEGORIES, token().header("cat", SESSION_CAT), Err(WRONG_TYPE)),
        row("a user", SUBJECTS, token().claim("sub", r#""user_1""#), Err(WRONG_TYPE)),
        row("only the prefix", SUBJECTS, token().claim("sub", r#""mch_""#), Err(WRONG_TYPE)),
        row("another case", SUBJECTS, token().claim("sub", r#""MCH_caller""#), Err(WRONG_TYPE)),
        row("a path", SUBJECTS, token().claim("sub", r#""mch_a/b""#), Err(WRONG_TYPE)),
        row(
            "a list as subject",
            SUBJECTS,
            token().claim("sub", r#"["mch_caller"]"#),
            Err(WRONG_TYPE),
        ),
    ]
}

fn sessions(params: &TokenParams) -> Vec<Row> {
    const USER: &str = "user_corpus";
    let token = || session(params);
    let organization = |json: &str| token().claim("o", json);
    vec![
        row("version 1", SESSIONS, token().without_claim("v"), Ok(USER)),
        row("without sts", SESSIONS, token().without_claim("sts"), Ok(USER)),
        row("an organization", SESSIONS, organization(r#"{"id":"org_1","rol":"admin"}"#), Ok(USER)),
        row(
            "another origin",
            PARTIES,
            token().claim("azp", r#""https://evil.example""#),
            Err(OTHER_PARTY),
        ),
        row(
            "an origin with a slash",
            PARTIES,
            token().claim("azp", json!(format!("{ORIGIN}/"))),
            Err(OTHER_PARTY),
        ),
        row(
            "an origin with a port",
            PARTIES,
            token().claim("azp", json!(format!("{ORIGIN}:8443"))),
            Err(OTHER_PARTY),
        ),
        row(
            "a longer host",
            PARTIES,
            token().claim("azp", json!(format!("{ORIGIN}.evil.example"))),
            Err(OTHER_PARTY),
        ),
        row(
            "an origin in upper case",
            PARTIES,
            token().claim("azp", json!(ORIGIN.to_uppercase())),
            Err(OTHER_PARTY),
        ),
        row("without azp", PARTIES, token().without_claim("azp"), Err(OTHER_PARTY)),
        row("a list in azp", PARTIES, token().claim("azp", json!([ORIGIN])), Err(OTHER_PARTY)),
        row("a pending one", SESSIONS, token().claim("sts", r#""pending""#), Err(PENDING)),
        row("a status of no type", SESSIONS, token().claim("sts", 1), Err(PENDING)),
        row("version 3", SESSIONS, token().claim("v", 3), Err(VERSION)),
        row("a version as a string", SESSIONS, token().claim("v", r#""2""#), Err(VERSION)),
        row(
            "an organization's id of a user",
            SESSIONS,
            organization(r#"{"id":"user_1"}"#),
            Err(ORGANIZATION),
        ),
        row("an organization without an id", SESSIONS, organization("{}"), Err(ORGANIZATION)),
        row("without typ", CATEGORIES, token().without_header("typ"), Err(WRONG_HEADER)),
        row("the cat of machines", CATEGORIES, token().header("cat", MACHINE_CAT), Err(WRONG_TYPE)),
        row("without sid", SESSIONS, token().without_claim("sid"), Err(WRONG_TYPE)),
        row("an empty sid", SESSIONS, token().claim("sid", r#""""#), Err(WRONG_TYPE)),
        row("a machine", SUBJECTS, token().claim("sub", json!(CALLER)), Err(WRONG_TYPE)),
        row("only the prefix", SUBJECTS, token().claim("sub", r#""user_""#), Err(WRONG_TYPE)),
    ]
}

fn verifier(runner: &Runner) -> ClerkVerifier {
    let granted = Scopes::parse("mcp").unwrap();
    let machine_id = MachineId::parse(MACHINE).unwrap();
    let machines = MachineTokens::for_machine(machine_id).granting(granted.clone());
    let sessions = SessionTokens::from_authorized_parties([ORIGIN]).unwrap().granting(granted);
    let builder = runner.verifier_builder().reject_oauth_tokens();
    builder.accept_machine_tokens(machines).accept_session_tokens(sessions).build().unwrap()
}

#[tokio::test]
async fn tokens_of_machines_and_of_sessions_get_their_verdict_where_they_are_accepted() {
    let runner = Runner::new().await;
    let params = runner.params();
    let verifier = verifier(&runner);
    let tables = [
        ("machine", of_any_type(|| machine(&params), CALLER)),
        ("machine", machines(&params)),
        ("session", of_any_type(|| session(&params), "user_corpus")),
        ("session", sessions(&params)),
    ];
    let mut accepted = 0;
    let mut failed = Vec::new();
    let rows = tables.into_iter();
    for (table, row) in rows.flat_map(|(name, rows)| rows.into_iter().map(move |row| (name, row))) {
        let token = row.token.finish();
        for time in ["first", "second"] {
            let outcome = verify_clerk_token(&verifier, &token).await;
            let is_right = match (&row.verdict, &outcome) {
                (Ok(id), Ok(caller)) => {
                    accepted += 1;
                    caller.principal().id() == *id
                        && caller.scopes().to_string() == "mcp"
                        && caller.user_id().is_some() == (table == "session")
                }
                (Err((kind, detail)), Err(error)) => {
                    error.kind() == *kind && error.detail().unwrap_or_default().contains(detail)
                }
                _ => false,
            };
            if !is_right {
                let case = format!("{table}: {} ({}), {time} time", row.name, row.rule);
                failed.push(format!("{case}: {outcome:?}"));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert_eq!(accepted, 2 * 15, "each valid token twice");
}
