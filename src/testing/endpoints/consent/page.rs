//! The pages, as plain HTML without scripts.

use std::collections::HashMap;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::Value;

use crate::testing::response::{self, FakeResponse};
use crate::testing::state::client::Client;
use crate::testing::state::grant::AuthorizationCode;

const STYLE: &str = "body{font:16px/1.5 sans-serif;max-width:32em;margin:3em auto;padding:0 1em}\
                     label{display:block}button{font:inherit;padding:.4em 1.5em;margin:1em 1em 0 0}\
                     code{overflow-wrap:anywhere}";

/// What the consent page shows.
pub(super) struct Consent<'a> {
    pub(super) id: &'a str,
    pub(super) client: &'a Client,
    pub(super) record: &'a AuthorizationCode,
    pub(super) users: &'a HashMap<String, Value>,
    pub(super) default_user_id: &'a str,
}

/// Returns the body of the consent page. What clients and tests chose is escaped.
pub(super) fn consent(consent: &Consent<'_>) -> String {
    let client = consent.client;
    let name = escape(client.name.as_deref().unwrap_or(&client.id));
    let grant = &consent.record.grant;
    let form = format!(
        "<form method=\"post\" action=\"/oauth/consent\">\n\
         <input type=\"hidden\" name=\"request\" value=\"{}\">\n\
         <fieldset><legend>Sign in as</legend>\n{}</fieldset>\n\
         <button name=\"decision\" value=\"allow\">Allow</button>\n\
         <button name=\"decision\" value=\"deny\">Deny</button>\n\
         </form>\n",
        escape(consent.id),
        users(consent),
    );
    let content = format!(
        "<h1>{name} asks for access</h1>\n\
         <p>This is a stand-in for Clerk, for tests. Nobody has to sign in.</p>\n\
         <p>Client: <code>{}</code></p>\n\
         <p>After your decision you are sent to <code>{}</code></p>\n\
         <p>Scopes:</p>\n{}<p>Servers:</p>\n{}{form}",
        escape(&client.id),
        escape(&consent.record.redirect_uri),
        list(&grant.scopes),
        list(&grant.resources),
    );
    document(&format!("{name} asks for access"), &content)
}

/// Returns the body of a page that says why a form was rejected.
pub(super) fn problem(problem: &str) -> String {
    let content = format!(
        "<h1>Not possible</h1>\n<p>{}</p>\n\
         <p>Go back to the application and start the sign-in again.</p>\n",
        escape(problem),
    );
    document("Not possible", &content)
}

/// Returns a page that runs no script, loads nothing, and cannot be framed.
///
/// The policy has no `form-action`: Chromium applies it to the redirects after a form as well, and
/// these lead to the client and wherever the client redirects.
pub(super) fn response(status: StatusCode, body: String) -> FakeResponse {
    let style = STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; frame-ancestors 'none'"
    );
    let mut response = response::no_store(response::whole(status, Bytes::from(body)));
    let headers: [(HeaderName, &str); 5] = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, &policy),
        (X_FRAME_OPTIONS, "DENY"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn document(title: &str, content: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n{content}</body>\n</html>\n"
    )
}

fn list(values: &[String]) -> String {
    if values.is_empty() {
        return "<ul><li>none</li></ul>\n".to_owned();
    }
    let items = values.iter().map(|value| format!("<li><code>{}</code></li>", escape(value)));
    format!("<ul>{}</ul>\n", items.collect::<String>())
}

/// Returns one radio button for each user, the default user first.
fn users(consent: &Consent<'_>) -> String {
    let mut users: Vec<(&String, &Value)> = consent.users.iter().collect();
    users.sort_by_key(|(id, _)| (*id != consent.default_user_id, *id));
    let button = |(id, user): (&String, &Value)| {
        let checked = if id == consent.default_user_id { " checked" } else { "" };
        let (id, name) = (escape(id), escape(&full_name(user)));
        format!(
            "<label><input type=\"radio\" name=\"user\" value=\"{id}\"{checked}> {name} \
             (<code>{id}</code>)</label>\n"
        )
    };
    users.into_iter().map(button).collect()
}

fn full_name(user: &Value) -> String {
    let names = ["first_name", "last_name"].map(|name| user.get(name).and_then(Value::as_str));
    names.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Escapes what could end a text or an attribute in double quotes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
