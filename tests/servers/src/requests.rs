//! Generates requests: JSON-RPC messages as clients send them, and what no client would send but
//! some parser may take for a call.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
#[cfg(test)]
use {http::Request, http_body_util::Full};

use crate::rng::Rng;
use crate::targets::{METHODS, PROMPTS, RESOURCES, TOOLS};

pub(crate) const MODERN: &str = "2026-07-28";

const HOST: &str = "mcp.example.com";

/// Methods without a target that the servers know, and some that they do not.
const OTHER_METHODS: [&str; 18] = [
    "ping",
    "initialize",
    "server/discover",
    "tools/list",
    "resources/list",
    "skills/list",
    "logging/setLevel",
    "tasks/list",
    "tasks/get",
    "tasks/result",
    "tasks/update",
    "tasks/cancel",
    "notifications/initialized",
    "notifications/cancelled",
    "Tools/Call",
    "tools/call ",
    "tool/call",
    "",
];

#[derive(Clone, Debug)]
pub(crate) struct Generated {
    pub(crate) method: Method,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
}

impl Generated {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let mut writer = Writer { rng, version: None, header_method: None, header_name: None };
        let body = writer.body();
        let (version, header_method, header_name) =
            (writer.version, writer.header_method, writer.header_name);
        let headers = headers(rng, version, header_method, header_name);
        let method = match rng.below(40) {
            0 => Method::PUT,
            1 => Method::from_bytes(rng.pick(&["post", "Post", "QUERY"]).as_bytes()).unwrap(),
            2 => [Method::GET, Method::DELETE, Method::PATCH][rng.below(3)].clone(),
            _ => Method::POST,
        };
        Self { method, headers, body: body.into() }
    }

    #[cfg(test)]
    pub(crate) fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = "/".parse().unwrap();
        for (name, value) in &self.headers {
            request.headers_mut().append(name, value.clone());
        }
        request
    }
}

fn headers(
    rng: &mut Rng,
    version: Option<&str>,
    method: Option<String>,
    name: Option<String>,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    let mut add = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.push((HeaderName::from_static(name), value));
        }
    };
    add("host", HOST);
    add("accept", "application/json, text/event-stream");
    match rng.below(30) {
        0 => add("content-type", "text/plain"),
        1 => add("content-type", "application/x-www-form-urlencoded"),
        2 => {}
        3 => add("content-type", "Application/JSON; charset=utf-16"),
        4 => {
            add("content-type", "text/plain");
            add("content-type", "application/json");
        }
        5 => add("content-encoding", rng.pick(&["gzip", "identity", "deflate, identity"])),
        6 => add("content-type", "application/json ; x=\"{\""),
        _ => add("content-type", "application/json"),
    }
    let old = ["2025-03-26", "2025-06-18", "2025-11-25"];
    match version {
        Some(version) if !rng.once_in(20) => add("mcp-protocol-version", version),
        Some(_) => {}
        None if rng.once_in(3) => add("mcp-protocol-version", old[rng.below(3)]),
        None if rng.once_in(30) => add("mcp-protocol-version", rng.pick(&[MODERN, "1999-01-01"])),
        None => {}
    }
    let is_modern = version.is_some();
    if is_modern || rng.once_in(8) {
        let method = method.unwrap_or_default();
        match rng.below(40) {
            0 => add("mcp-method", "tools/list"),
            1 => {
                add("mcp-method", &method);
                add("mcp-method", "tools/call");
            }
            2 => {}
            _ => add("mcp-method", &method),
        }
    }
    if let Some(name) = name.filter(|_| is_modern || rng.once_in(8)) {
        match rng.below(40) {
            0 => add("mcp-name", TOOLS[0]),
            1 => {
                add("mcp-name", &name);
                add("mcp-name", TOOLS[0]);
            }
            2 => add("mcp-name", &format!("=?base64?{}?=", base64(name.as_bytes()))),
            3 => {}
            _ => add("mcp-name", &name),
        }
    }
    headers
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |index| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let index = (bits >> (18 - 6 * digit)) & 63;
            text.push(if digit > chunk.len() { '=' } else { DIGITS[index as usize].into() });
        }
    }
    text
}

/// What a message asks for, before it is written.
struct Operation {
    method: String,
    /// The members of `params` and their values, as JSON.
    params: Vec<(String, String)>,
    name: Option<String>,
}

struct Writer<'a> {
    rng: &'a mut Rng,
    version: Option<&'static str>,
    header_method: Option<String>,
    header_name: Option<String>,
}

impl Writer<'_> {
    fn body(&mut self) -> Vec<u8> {
        let mut text = match self.rng.below(20) {
            0 | 1 => {
                let count = 1 + self.rng.below(4);
                let mut messages: Vec<_> = (0..count).map(|_| self.message()).collect();
                if self.rng.once_in(10) {
                    messages.push(self.rng.pick(&["1", "null", "[]", "\"x\""]).to_owned());
                }
                format!("[{}]", messages.join(","))
            }
            2 if self.rng.once_in(4) => self.message_by_position(),
            _ => self.message(),
        };
        if self.rng.once_in(12) {
            // Over several lines, as some clients write JSON.
            text = text.replace(":{", ":\n{").replace("},", "}\n,").replace("}}", "}\n}");
        }
        let mut bytes = match self.rng.below(120) {
            0 => format!("\u{feff}{text}").into_bytes(),
            1 => format!("{text}{}", self.rng.pick(&["x", "{}", "\0", ",", "]"])).into_bytes(),
            2 => {
                let length = self.rng.below(text.len().max(1));
                let mut bytes = text.into_bytes();
                bytes.truncate(length);
                bytes
            }
            3 => format!(" \n\t{text}\r\n").into_bytes(),
            4 => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            5 => format!("message={text}").into_bytes(),
            _ => text.into_bytes(),
        };
        if self.rng.once_in(100) && !bytes.is_empty() {
            let at = self.rng.below(bytes.len());
            bytes[at] = self.rng.next() as u8;
        }
        bytes
    }

    fn message_by_position(&mut self) -> String {
        let operation = self.operation();
        let (method, params) = (self.string(&operation.method), object(&operation.params));
        format!("[\"2.0\",1,{method},{params}]")
    }

    fn message(&mut self) -> String {
        let mut operation = self.operation();
        self.header_method = Some(operation.method.clone());
        self.header_name.clone_from(&operation.name);
        if self.version == Some(MODERN) || self.rng.once_in(5) {
            self.version = Some(MODERN);
            operation.params.push(("_meta".to_owned(), meta()));
        }
        if self.rng.once_in(4) {
            self.disturb_params(&mut operation.params);
        }
        self.rng.shuffle(&mut operation.params);
        let params: Vec<_> =
            operation.params.iter().map(|(name, value)| (self.key(name), value.clone())).collect();
        let params = match self.rng.below(80) {
            0 => "null".to_owned(),
            1 => format!("[{}]", values(&operation.params)),
            2 => format!("[{}]", write_object(&params)),
            3 => "\"x\"".to_owned(),
            _ => write_object(&params),
        };
        let mut members = vec![
            (self.key("jsonrpc"), "\"2.0\"".to_owned()),
            (self.key("id"), self.id()),
            (self.key("method"), self.string(&operation.method)),
            (self.key("params"), params),
        ];
        if self.rng.once_in(4) {
            self.disturb_message(&mut members);
        }
        if self.rng.once_in(3) {
            self.rng.shuffle(&mut members);
        }
        write_object(&members)
    }

    fn operation(&mut self) -> Operation {
        let named = |method: &str, member: &str, name: String, rng: &mut Writer<'_>| Operation {
            method: method.to_owned(),
            params: vec![(member.to_owned(), rng.string(&name))],
            name: Some(name),
        };
        match self.rng.below(16) {
            0..=4 => {
                let tool = self.name(&TOOLS);
                let mut operation = named("tools/call", "name", tool, self);
                operation.params.push(("arguments".to_owned(), self.arguments()));
                operation
            }
            5 | 6 => {
                let prompt = self.name(&PROMPTS);
                named("prompts/get", "name", prompt, self)
            }
            7..=10 => {
                let methods = [
                    "resources/read",
                    "resources/read",
                    "resources/read",
                    "resources/subscribe",
                    "resources/unsubscribe",
                    "resources/directory/read",
                    "skills/get",
                ];
                let method = self.rng.pick(&methods);
                let uri = uri(self.rng);
                named(method, "uri", uri, self)
            }
            11 => self.completion(),
            12 => self.subscription(),
            13 => Operation {
                method: METHODS[self.rng.below(METHODS.len())].to_owned(),
                params: Vec::new(),
                name: None,
            },
            _ => {
                let task = self.rng.pick(&["t1", "delete_file"]);
                let info = r#"{"name":"c","version":"1"}"#;
                Operation {
                    method: OTHER_METHODS[self.rng.below(OTHER_METHODS.len())].to_owned(),
                    params: vec![
                        ("taskId".to_owned(), self.string(task)),
                        ("level".to_owned(), "\"info\"".to_owned()),
                        ("protocolVersion".to_owned(), "\"2025-06-18\"".to_owned()),
                        ("capabilities".to_owned(), "{}".to_owned()),
                        ("clientInfo".to_owned(), info.to_owned()),
                        ("inputResponses".to_owned(), "{}".to_owned()),
                    ],
                    name: Some(task.to_owned()),
                }
            }
        }
    }

    fn completion(&mut self) -> Operation {
        let (prompt, uri) = (self.name(&PROMPTS), template_or_uri(self.rng));
        let prompt = (self.key("name"), self.string(&prompt));
        let uri = (self.key("uri"), self.string(&uri));
        let kind = |writer: &mut Self, kind: &str| (writer.key("type"), writer.string(kind));
        let mut members = match self.rng.below(8) {
            0..=2 => vec![kind(self, "ref/prompt"), prompt],
            3..=5 => vec![kind(self, "ref/resource"), uri],
            6 => vec![kind(self, "ref/prompt"), prompt, uri],
            _ => vec![kind(self, "ref/resource"), uri.clone(), prompt, uri],
        };
        if self.rng.once_in(10) {
            let (name, value) = members[self.rng.below(members.len())].clone();
            members.push((name.to_uppercase(), value));
        }
        self.rng.shuffle(&mut members);
        let reference = match self.rng.below(40) {
            0 => format!("[{}]", values(&members)),
            1 => "null".to_owned(),
            _ => write_object(&members),
        };
        let argument = r#"{"name":"a","value":"b"}"#.to_owned();
        Operation {
            method: "completion/complete".to_owned(),
            params: vec![("ref".to_owned(), reference), ("argument".to_owned(), argument)],
            name: None,
        }
    }

    fn subscription(&mut self) -> Operation {
        let uris: Vec<_> = (0..self.rng.below(3)).map(|_| uri(self.rng)).collect();
        let uris: Vec<_> = uris.iter().map(|uri| self.string(uri)).collect();
        let list = match self.rng.below(20) {
            0 => "true".to_owned(),
            1 => "null".to_owned(),
            _ => format!("[{}]", uris.join(",")),
        };
        let mut members = vec![
            ("\"toolsListChanged\"".to_owned(), "true".to_owned()),
            (self.key("resourceSubscriptions"), list),
        ];
        if self.rng.once_in(20) {
            members.push(members[1].clone());
        }
        let filter = match self.rng.below(40) {
            0 => format!("[null,null,null,{}]", members[1].1),
            1 => "null".to_owned(),
            _ => write_object(&members),
        };
        self.version = Some(MODERN);
        Operation {
            method: "subscriptions/listen".to_owned(),
            params: vec![("notifications".to_owned(), filter)],
            name: None,
        }
    }

    fn name(&mut self, names: &[&str]) -> String {
        let name = names[self.rng.below(names.len())];
        match self.rng.below(30) {
            0 => name.to_uppercase(),
            1 => format!("{name} "),
            2 => format!("{name}\0"),
            3 => name.replace('e', "\u{435}"),
            4 => "other".to_owned(),
            _ => name.to_owned(),
        }
    }

    fn arguments(&mut self) -> String {
        let call = r#""jsonrpc":"2.0","id":2,"method":"tools/call","params""#;
        let call = format!(r#"{{{call}:{{"name":"delete_file","_meta":{}}}}}"#, meta());
        match self.rng.below(7) {
            0 => r#"{"name":"delete_file","uri":"file:///vault/x","params":{"name":"x"}}"#,
            1 => r#"{"method":"tools/call","params":{"name":"delete_file"}}"#,
            2 => r#"{"a":[{"name":"}]\"name\":\"delete_file\""}],"b":1e400}"#,
            3 => r#"{"\u0000":1,"":{"":[]},"n":-0.0e-9,"m":18446744073709551616}"#,
            4 => return format!("{{\"a\":{}{call}\n}}", self.rng.pick(&["\n", "\r\n \t", "\n["])),
            _ => "{}",
        }
        .to_owned()
    }

    fn disturb_params(&mut self, params: &mut Vec<(String, String)>) {
        let (name, value) = match params.as_slice() {
            [] => ("name".to_owned(), "\"x\"".to_owned()),
            params => params[self.rng.below(params.len())].clone(),
        };
        let tool = TOOLS[self.rng.below(TOOLS.len())];
        let other = self.string(tool);
        let member = match self.rng.below(9) {
            0 => (name, value),
            1 => (name, other),
            2 => (capitalized(&name), other),
            3 => (name.to_uppercase(), value),
            4 => (name.replace('k', "\u{212a}").replace('s', "\u{17f}"), other),
            5 => ("name".to_owned(), other),
            6 => ("uri".to_owned(), "\"file:///open/a\"".to_owned()),
            7 => ("x".to_owned(), self.arguments()),
            _ => {
                params.clear();
                (name, self.rng.pick(&["1", "null", "[\"delete_file\"]", "{}", "true"]).to_owned())
            }
        };
        params.push(member);
    }

    fn disturb_message(&mut self, members: &mut Vec<(String, String)>) {
        let (name, value) = members[self.rng.below(members.len())].clone();
        let plain = name.trim_matches('"').to_owned();
        let tool = TOOLS[self.rng.below(TOOLS.len())];
        let call = write_object(&[("\"name\"".to_owned(), self.string(tool))]);
        match self.rng.below(10) {
            0 => members.push((name, value)),
            1 => members.push((format!("\"{}\"", capitalized(&plain)), value)),
            2 => members.push((name, "\"tools/call\"".to_owned())),
            3 => members.push(("\"params\"".to_owned(), call)),
            4 => members.push(("\"Params\"".to_owned(), call)),
            5 => members.push(("\"result\"".to_owned(), call)),
            6 => members.push(("\"error\"".to_owned(), r#"{"code":1,"message":"m"}"#.to_owned())),
            7 => members.retain(|(kept, _)| *kept != name),
            8 => members.push(("\"request\"".to_owned(), call)),
            _ => members.push((format!("\"{}\"", plain.to_uppercase()), "null".to_owned())),
        }
    }

    fn id(&mut self) -> String {
        match self.rng.below(24) {
            0 => "1.0",
            1 => "1e2",
            2 => "-9223372036854775808",
            3 => "18446744073709551616",
            4 => "null",
            5 => "\"a\\u0000b\"",
            6 => "-0",
            7 => "true",
            _ => "1",
        }
        .to_owned()
    }

    /// The name of a member, as JSON, sometimes with an escape.
    fn key(&mut self, name: &str) -> String {
        self.string(name)
    }

    /// A JSON string that decodes to `text`.
    fn string(&mut self, text: &str) -> String {
        let mut json = String::with_capacity(text.len() + 2);
        let escapes = self.rng.once_in(12);
        json.push('"');
        for character in text.chars() {
            match character {
                '"' | '\\' => json.extend(['\\', character]),
                '/' if escapes => json.push_str("\\/"),
                _ if character < ' ' || (escapes && self.rng.once_in(4)) => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        json.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                _ => json.push(character),
            }
        }
        json.push('"');
        json
    }
}

fn meta() -> String {
    let prefix = "io.modelcontextprotocol";
    format!(
        r#"{{"{prefix}/protocolVersion":"{MODERN}","{prefix}/clientCapabilities":{{}},"{prefix}/clientInfo":{{"name":"c","version":"1"}}}}"#
    )
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().into_iter().flat_map(char::to_uppercase).chain(characters).collect()
}

/// The keys are JSON already.
fn write_object(members: &[(String, String)]) -> String {
    let members: Vec<_> = members.iter().map(|(name, value)| format!("{name}:{value}")).collect();
    format!("{{{}}}", members.join(","))
}

fn object(members: &[(String, String)]) -> String {
    let members: Vec<_> =
        members.iter().map(|(name, value)| (format!("{name:?}"), value.clone())).collect();
    write_object(&members)
}

fn values(members: &[(String, String)]) -> String {
    members.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(",")
}

fn template_or_uri(rng: &mut Rng) -> String {
    if rng.once_in(2) { uri(rng) } else { RESOURCES[rng.below(RESOURCES.len())].to_owned() }
}

/// A URI of one of the resources, in one of the spellings that some parser maps to it.
pub(crate) fn uri(rng: &mut Rng) -> String {
    let template = RESOURCES[rng.below(RESOURCES.len())];
    let plain = template.replace("{+path}", rng.pick(&["a", "a/b", "secret", "%C3%A4"]));
    let mut uri = plain.replace("{id}", rng.pick(&["42", "x.y", "a@b"]));
    for _ in 0..[0, 0, 1, 1, 2][rng.below(5)] {
        uri = respell(rng, &uri);
    }
    uri
}

fn respell(rng: &mut Rng, uri: &str) -> String {
    let (scheme, rest) = uri.split_once(':').unwrap_or(("file", uri));
    let bare = rest.trim_start_matches('/');
    let path = bare.split_once('/').map_or("", |(_, path)| path);
    match rng.below(28) {
        0 => format!("{scheme}://localhost/{bare}"),
        1 => format!("{scheme}:/{bare}"),
        2 => format!("{scheme}:{bare}"),
        3 => format!("{scheme}:///{bare}"),
        4 => format!("{}:{rest}", scheme.to_uppercase()),
        5 => format!("{scheme}:{}", rest.to_uppercase()),
        6 => format!("{uri}?x"),
        7 => format!("{uri}#x"),
        8 => format!("{uri}/"),
        9 => format!("{scheme}://user@{bare}"),
        10 => uri.replacen(".example", ".example:443", 1),
        11 => uri.replacen("vault", "open/../vault", 1),
        12 => uri.replacen("open", "vault/../open", 1),
        13 => uri.replacen('a', "%61", 1),
        14 => uri.replacen('a', "%2561", 1),
        15 => uri.replacen("vault", "open/%2e%2e/vault", 1),
        16 => uri.replace("%C3%A4", "%c3%a4"),
        17 => uri.replace("%C3%A4", "\u{e4}"),
        18 => uri.replacen('v', "\u{ff56}", 1),
        19 => uri.replacen('.', "\u{3002}", 1),
        20 => uri.replace('/', "\\"),
        21 => uri.replacen('/', "/\t", 1),
        22 => format!("{scheme}:{}", rest.replacen('/', "//", 3)),
        23 => format!(" {uri} "),
        24 => format!("{scheme}://{}/./{path}", bare.split('/').next().unwrap_or_default()),
        25 => uri.replacen("vault", "%76ault", 1),
        26 => format!("{uri}%00"),
        _ => uri.replacen("://", "://%2F", 1),
    }
}
