//! The page for a person who opens the endpoint in a browser.

use bytes::Bytes;
use http::header::{
    ACCEPT, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, Method, Response};

use crate::oauth::ResourceUrl;
use crate::response::ResponseBody;

/// The page has no script, no style and no form, and loads nothing.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Returns whether a request is that of a browser for a page: a `GET` or `HEAD` that prefers HTML to
/// what MCP clients accept (RFC 9110 section 12.5.1).
pub(crate) fn asks_for_page(method: &Method, headers: &HeaderMap) -> bool {
    if ![Method::GET, Method::HEAD].contains(method) {
        return false;
    }
    let html = quality(headers, "text/html");
    let by_client = ["application/json", "text/event-stream"].map(|media_type| {
        let whole_type = media_type.split('/').next().map(|kind| format!("{kind}/*"));
        let ranges = [Some(media_type), whole_type.as_deref(), Some("*/*")];
        let qualities = ranges.into_iter().flatten().map(|range| quality(headers, range));
        qualities.flatten().next().unwrap_or(0)
    });
    html.is_some_and(|html| by_client.into_iter().all(|other| html > other))
}

/// Returns the weight of a media range in thousandths, if the request names it.
fn quality(headers: &HeaderMap, wanted: &str) -> Option<u16> {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).find_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_wanted = parts.next()?.eq_ignore_ascii_case(wanted);
        is_wanted.then(|| parts.find_map(weight).unwrap_or(1000))
    })
}

/// Parses `q=0.8` (RFC 9110 section 12.4.2). A malformed weight counts as 0.
fn weight(parameter: &str) -> Option<u16> {
    let value = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="))?;
    let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|b| b.is_ascii_digit()) {
        return Some(0);
    }
    let thousandths = format!("{decimals:0<3}").parse().unwrap_or(0);
    match whole {
        "1" => Some(1000),
        "0" => Some(thousandths),
        _ => Some(0),
    }
}

/// Puts the page in the place of the body of a rejection. All other headers stay.
pub(crate) fn with_page<B>(
    response: Response<ResponseBody<B>>,
    page: Bytes,
) -> Response<ResponseBody<B>> {
    let mut response = response.map(|_| ResponseBody::from_bytes(page));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Returns the page of a resource.
pub(crate) fn browser_page(resource: &ResourceUrl) -> Bytes {
    let url = escape(resource.as_str());
    format!(
        "<!DOCTYPE html>\n\
         <html lang=\"en\">\n\
         <head><meta charset=\"utf-8\"><title>MCP server</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"></head>\n\
         <body>\n\
         <h1>MCP server</h1>\n\
         <p>This is an endpoint of the Model Context Protocol, for AI applications. A browser cannot \
         use it.</p>\n\
         <p>To connect, add this URL to an MCP client, which then asks you to sign in:</p>\n\
         <pre>{url}</pre>\n\
         <p>In Claude: Settings, Connectors, Add custom connector. In Claude Code:</p>\n\
         <pre>claude mcp add --transport http NAME {url}</pre>\n\
         </body>\n\
         </html>\n"
    )
    .into()
}

/// Escapes text for the content of an element (HTML standard, section "Escaping a string").
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_browsers_ask_for_a_page() {
        const FIREFOX: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        const CHROME: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,\
             image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7";
        let rows: [(&[&'static str], bool); 20] = [
            (&[FIREFOX], true),
            (&[CHROME], true),
            (&["text/html"], true),
            (&["TEXT/HTML"], true),
            (&["text/html;q=0.5, application/json;q=0.4"], true),
            (&["application/json;q=0.4", "text/html; charset=utf-8; q=0.5"], true),
            (&["text/html;q=0.001"], true),
            (&[], false),
            (&["*/*"], false),
            (&["text/*"], false),
            (&["text/event-stream"], false),
            (&["application/json, text/event-stream"], false),
            (&["text/html, */*"], false),
            (&["text/html, application/json"], false),
            (&["text/html, text/event-stream"], false),
            (&["text/html;q=0.5, text/*"], false),
            (&["text/html;q=0.5, application/json"], false),
            (&["text/html;q=0"], false),
            (&["text/html;q=x"], false),
            (&["text/html;q=2, */*;q=0.1"], false),
        ];
        for (accepted, expected) in rows {
            let mut headers = HeaderMap::new();
            for value in accepted {
                headers.append(ACCEPT, HeaderValue::from_static(value));
            }
            for method in [Method::GET, Method::HEAD] {
                assert_eq!(asks_for_page(&method, &headers), expected, "{accepted:?}");
            }
            for method in [Method::POST, Method::DELETE, Method::OPTIONS] {
                assert!(!asks_for_page(&method, &headers), "{accepted:?}");
            }
        }
    }

    #[test]
    fn the_page_shows_the_url_and_escapes_it() {
        let resource = ResourceUrl::parse("https://h.example/mcp?a='1'&b=2").unwrap();
        let page = String::from_utf8(browser_page(&resource).to_vec()).unwrap();
        assert!(page.contains("<pre>https://h.example/mcp?a=&#39;1&#39;&amp;b=2</pre>"), "{page}");
        assert_eq!(escape("<b>\"x\"</b>"), "&lt;b&gt;&quot;x&quot;&lt;/b&gt;");
        for forbidden in ["<script", "<style", "<form", "style=", "href", "src="] {
            assert!(!page.contains(forbidden), "{page}");
        }
    }
}
