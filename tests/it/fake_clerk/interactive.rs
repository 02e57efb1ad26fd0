//! The consent page of an interactive instance.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clerk_mcp_tools::testing::{FakeClerk, ManualClock};
use http::{HeaderMap, StatusCode};
use serde_json::json;

use super::{
    CHALLENGE, NOW, REDIRECT_URI, RESOURCE, changed, claims, encoded, exchange_code, form, http,
    send,
};

const CLIENT_NAME: &str = "My client";
const USED: &str = "This page has expired or was used before.";

async fn start() -> (FakeClerk, ManualClock, String) {
    let clock = ManualClock::new(NOW);
    let builder = FakeClerk::builder().clock(clock.clone()).interactive();
    let grace = json!({ "id": "user_1", "first_name": "Grace", "last_name": "<Hopper>" });
    let clerk = builder.user(grace).start().await.unwrap();
    let client_id = register(&clerk, CLIENT_NAME).await;
    (clerk, clock, client_id)
}

async fn register(clerk: &FakeClerk, name: &str) -> String {
    let metadata = json!({
        "redirect_uris": [REDIRECT_URI], "token_endpoint_auth_method": "none", "client_name": name,
    });
    let url = format!("{}/oauth/register", clerk.issuer());
    send(http().post(url).body(metadata.to_string())).await.string("client_id")
}

struct Page {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Page {
    async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, body: response.text().await.unwrap() }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    fn id(&self) -> &str {
        let (_, rest) = self.body.split_once("name=\"request\" value=\"").unwrap();
        rest.split('"').next().unwrap()
    }

    fn cookie(&self) -> &str {
        self.header("set-cookie").split(';').next().unwrap()
    }

    /// Asserts that a form was rejected, with an explanation for people and no redirect.
    fn assert_problem(&self, problem: &str) {
        assert_eq!(self.status, 400, "{problem}");
        assert!(self.body.contains(&format!("<p>{problem}</p>")), "{problem}: {}", self.body);
        assert_eq!(self.header("location"), "");
        assert_page_headers(self);
    }
}

/// Opens the page of an authorization request with these changes.
async fn open(
    clerk: &FakeClerk,
    client_id: &str,
    changes: &[(&str, &str)],
    cookie: Option<&str>,
) -> Page {
    let valid = [
        ("response_type", "code"),
        ("client_id", client_id),
        ("redirect_uri", REDIRECT_URI),
        ("scope", "profile email"),
        ("state", "a state&more"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("resource", RESOURCE),
    ];
    let query = encoded(&changed(&valid, changes));
    let request = http().get(format!("{}/oauth/authorize?{query}", clerk.issuer()));
    Page::of(request.header("cookie", cookie.unwrap_or_default())).await
}

/// Sends the form of a page.
async fn decide(clerk: &FakeClerk, cookie: &str, fields: &[(&str, &str)]) -> Page {
    Page::of(form(clerk, "/oauth/consent", fields).header("cookie", cookie)).await
}

/// The style of the page is allowed by its hash, and nothing else is.
fn assert_page_headers(page: &Page) {
    let (_, rest) = page.body.split_once("<style>").unwrap();
    let style = rest.split("</style>").next().unwrap();
    let hash = STANDARD.encode(digest(&SHA256, style.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; frame-ancestors 'none'"
    );
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("content-security-policy", &policy),
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
        ("access-control-allow-origin", ""),
    ] {
        assert_eq!(page.header(name), value, "{name}");
    }
}

#[tokio::test]
async fn the_page_names_client_scopes_servers_and_users() {
    let (clerk, _, client_id) = start().await;
    let page = open(&clerk, &client_id, &[], None).await;
    assert_eq!(page.status, 200);
    assert_page_headers(&page);
    let cookie = page.header("set-cookie").split_once('=').unwrap();
    assert_eq!((cookie.0, cookie.1.len()), ("fake_clerk_browser", 43 + 37));
    assert!(cookie.1.ends_with("; Path=/oauth; HttpOnly; SameSite=Lax"), "{}", cookie.1);

    let (_, body) = page.body.split_once("<body>\n").unwrap();
    let (id, user) = (page.id(), clerk.default_user_id());
    let expected = format!(
        r#"<h1>My client asks for access</h1>
<p>This is a stand-in for Clerk, for tests. Nobody has to sign in.</p>
<p>Client: <code>{client_id}</code></p>
<p>After your decision you are sent to <code>{REDIRECT_URI}</code></p>
<p>Scopes:</p>
<ul><li><code>profile</code></li><li><code>email</code></li></ul>
<p>Servers:</p>
<ul><li><code>{RESOURCE}</code></li></ul>
<form method="post" action="/oauth/consent">
<input type="hidden" name="request" value="{id}">
<fieldset><legend>Sign in as</legend>
<label><input type="radio" name="user" value="{user}" checked> Ada Lovelace (<code>{user}</code>)</label>
<label><input type="radio" name="user" value="user_1"> Grace &lt;Hopper&gt; (<code>user_1</code>)</label>
</fieldset>
<button name="decision" value="allow">Allow</button>
<button name="decision" value="deny">Deny</button>
</form>
</body>
</html>
"#
    );
    assert_eq!(body, expected);
    let without_resource = open(&clerk, &client_id, &[("resource", "")], None).await.body;
    assert!(without_resource.contains("<p>Servers:</p>\n<ul><li>none</li></ul>\n"));
}

#[tokio::test]
async fn a_client_cannot_inject_anything_into_the_page() {
    let (clerk, ..) = start().await;
    let uri = "https://app.example/callback?a='%22%3E%3Cscript%3E";
    for (name, shown) in [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("</title><img src=x onerror='a'>", "&lt;/title&gt;&lt;img src=x onerror=&#39;a&#39;&gt;"),
        ("\" autofocus onfocus=\"a", "&quot; autofocus onfocus=&quot;a"),
        ("&lt;b&gt;", "&amp;lt;b&amp;gt;"),
    ] {
        let client_id = register(&clerk, name).await;
        let body = open(&clerk, &client_id, &[], None).await.body;
        assert!(body.contains(&format!("<title>{shown} asks for access</title>")), "{body}");
        assert!(body.contains(&format!("<h1>{shown} asks for access</h1>")), "{body}");
    }
    // Of a client without a name, and what the request chooses.
    let client_id = clerk.register_client(uri);
    let resource = "https://mcp.example.com/mcp?q=\"><b>'";
    let changes = [("redirect_uri", uri), ("resource", resource)];
    let body = open(&clerk, &client_id, &changes, None).await.body;
    assert!(body.contains(&format!("<h1>{client_id} asks for access</h1>")), "{body}");
    assert!(body.contains("<code>https://app.example/callback?a=&#39;%22%3E%3Cscript%3E</code>"));
    assert!(body.contains("<code>https://mcp.example.com/mcp?q=&quot;&gt;&lt;b&gt;&#39;</code>"));
    assert_eq!(body.matches("<b>").count() + body.matches("<script").count(), 0);
}

#[tokio::test]
async fn the_user_decides() {
    let (clerk, _, client_id) = start().await;
    for (user, subject) in [("", clerk.default_user_id()), ("user_1", "user_1")] {
        let page = open(&clerk, &client_id, &[], None).await;
        let fields = [("request", page.id()), ("decision", "allow"), ("user", user)];
        let allowed = decide(&clerk, page.cookie(), &fields).await;
        assert_eq!((allowed.status, allowed.body.as_str()), (StatusCode::SEE_OTHER, ""));
        let code = allowed.header("location").split("&code=").nth(1).unwrap();
        let (code, rest) = code.split_once('&').unwrap();
        let iss = encoded(&[("iss", clerk.issuer())]);
        assert_eq!(rest, format!("state=a+state%26more&{iss}"));
        let tokens = exchange_code(&clerk, &client_id, code, &[]).await;
        let claims = claims(&tokens.string("access_token"));
        assert_eq!((&claims["sub"], &claims["aud"]), (&json!(subject), &json!(RESOURCE)));
    }

    let page = open(&clerk, &client_id, &[], None).await;
    let fields = [("request", page.id()), ("decision", "deny"), ("user", "user_1")];
    let denied = decide(&clerk, page.cookie(), &fields).await;
    assert_eq!(denied.status, StatusCode::SEE_OTHER);
    assert_eq!(denied.header("cache-control"), "no-store");
    let query = encoded(&[
        ("error", "access_denied"),
        ("error_description", "the user denied the request"),
        ("state", "a state&more"),
        ("iss", clerk.issuer()),
    ]);
    assert_eq!(denied.header("location"), format!("{REDIRECT_URI}&{query}"));
    let again = [("request", page.id()), ("decision", "allow")];
    decide(&clerk, page.cookie(), &again).await.assert_problem(USED);
}

#[tokio::test]
async fn only_the_browser_with_the_page_can_decide_and_only_once() {
    let (clerk, clock, client_id) = start().await;
    let page = open(&clerk, &client_id, &[], None).await;
    let other = open(&clerk, &client_id, &[], None).await;
    let second_tab = open(&clerk, &client_id, &[], Some(page.cookie())).await;
    assert_ne!(page.cookie(), other.cookie());
    assert_eq!(page.cookie(), second_tab.cookie());
    let (id, allow) = (("request", page.id()), ("decision", "allow"));
    let another = "The page was opened in another browser, or cookies are off.";
    let guessed = format!("fake_clerk_browser={}", "A".repeat(43));
    for (cookie, fields, problem) in [
        ("", vec![id, allow], another),
        (other.cookie(), vec![id, allow], another),
        (&guessed, vec![id, allow], another),
        ("fake_clerk_browser=", vec![id, allow], another),
        (&page.cookie().replace('=', "2="), vec![id, allow], another),
        (page.cookie(), vec![id], "The form has no decision."),
        (page.cookie(), vec![id, ("decision", "Allow")], "The form has no decision."),
        (page.cookie(), vec![id, allow, allow], "The form has no decision."),
        (page.cookie(), vec![id, allow, ("user", "user_2")], "There is no such user."),
        (page.cookie(), vec![allow], USED),
        (page.cookie(), vec![id, id, allow], USED),
        (page.cookie(), vec![("request", "unknown"), allow], USED),
    ] {
        decide(&clerk, cookie, &fields).await.assert_problem(problem);
    }
    for site in ["same-site", "cross-site", "none"] {
        let request = form(&clerk, "/oauth/consent", &[id, allow]).header("cookie", page.cookie());
        let page = Page::of(request.header("sec-fetch-site", site)).await;
        page.assert_problem("The form was sent by another page.");
    }

    // None of these used the page up. Another cookie of the host does no harm.
    let cookies = format!("a=b; {}; c=d", page.cookie());
    let request = form(&clerk, "/oauth/consent", &[id, allow]).header("cookie", &cookies);
    let allowed = Page::of(request.header("sec-fetch-site", "same-origin")).await;
    assert_eq!(allowed.status, 303);
    decide(&clerk, page.cookie(), &[id, allow]).await.assert_problem(USED);

    clock.advance(Duration::from_secs(599));
    let fields = [("request", second_tab.id()), allow];
    assert_eq!(decide(&clerk, page.cookie(), &fields).await.status, 303);
    clock.advance(Duration::from_secs(1));
    let fields = [("request", other.id()), allow];
    decide(&clerk, other.cookie(), &fields).await.assert_problem(USED);
}

#[tokio::test]
async fn invalid_requests_are_rejected_before_the_page() {
    let (clerk, _, client_id) = start().await;
    let invalid = open(&clerk, &client_id, &[("scope", "unknown")], None).await;
    assert_eq!(invalid.status, 302);
    assert!(invalid.header("location").contains("error=invalid_scope"));
    let unknown = open(&clerk, "client_unknown", &[], None).await;
    assert_eq!(
        (unknown.status, unknown.header("content-type")),
        (StatusCode::BAD_REQUEST, "application/json")
    );

    let get = Page::of(http().get(format!("{}/oauth/consent", clerk.issuer()))).await;
    assert_eq!((get.status, get.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "POST"));
    let not_interactive = FakeClerk::start().await.unwrap();
    assert_eq!(decide(&not_interactive, "", &[]).await.status, 404);
}

#[tokio::test]
async fn sign_in_allows_the_access() {
    let (clerk, ..) = start().await;
    let token = clerk.sign_in().resource(RESOURCE).access_token().await.unwrap();
    assert_eq!(claims(&token)["sub"], clerk.default_user_id());
}
