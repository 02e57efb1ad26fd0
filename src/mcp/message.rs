//! The operations in a JSON-RPC body. Only the members that matter are read; the rest is skipped.
//!
//! Whatever the server could take for a call has to be seen here as the same call. Therefore input
//! that JSON parsers read differently is rejected: duplicate members, members whose names differ in
//! case only (Go's `encoding/json` accepts them), and parameters by position (serde fills a struct
//! from an array). Some servers read a body as they read standard input, one message a line, so each
//! line that is a message by itself counts as well.

use serde_json::error::Category;

use super::members::{
    MAX_BATCH_MESSAGES, Maybe, MaybeString, NamedParams, RawBody, RawMessage, RawNotifications,
    RawParams, RawReference,
};
use super::{Operation, OperationTarget, RequestId};

/// Why a body has no known operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InvalidBody {
    /// The body is not JSON in UTF-8.
    NotJson,
    /// The body is JSON but not an MCP message, or one that JSON parsers read differently. Has the
    /// `id` of a single message.
    NotAMessage(Option<RequestId>),
}

/// One message, or the messages of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    /// What the messages ask for, in order. A message with a method has one operation or more, a
    /// client's response none.
    pub(crate) operations: Vec<Operation<'a>>,
    /// The `id` of a single message.
    pub(crate) id: Option<RequestId>,
    pub(crate) is_batch: bool,
}

impl<'a> Message<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, InvalidBody> {
        // serde_json does not validate strings that it skips.
        let text = std::str::from_utf8(body).map_err(|_| InvalidBody::NotJson)?;
        let body =
            serde_json::from_str::<RawBody<'_>>(text).map_err(|error| match error.classify() {
                Category::Data => InvalidBody::NotAMessage(None),
                Category::Syntax | Category::Eof | Category::Io => InvalidBody::NotJson,
            })?;
        let mut message = body.parse()?;
        message.add_lines(text)?;
        Ok(message)
    }

    /// Returns whether this is one message that asks for this method, and for nothing else.
    pub(crate) fn is_single(&self, method: &str) -> bool {
        match self.operations.as_slice() {
            [operation] => !self.is_batch && operation.method() == method,
            _ => false,
        }
    }

    fn parse_batch(batch: Vec<RawMessage<'a>>) -> Result<Self, InvalidBody> {
        let mut operations = Vec::new();
        for message in batch {
            let message = message.parse().map_err(|_| InvalidBody::NotAMessage(None))?;
            operations.extend(message.operations);
        }
        Ok(Self { operations, id: None, is_batch: true })
    }

    /// Adds what the lines of the body ask for that are messages by themselves.
    fn add_lines(&mut self, text: &'a str) -> Result<(), InvalidBody> {
        if !text.trim_ascii().contains('\n') {
            return Ok(());
        }
        let mut messages = 0;
        for line in text.split('\n') {
            let operations =
                operations_of_line(line).map_err(|Ambiguous| InvalidBody::NotAMessage(None))?;
            messages += usize::from(!operations.is_empty());
            if messages > MAX_BATCH_MESSAGES {
                return Err(InvalidBody::NotAMessage(None));
            }
            self.operations.extend(operations);
        }
        Ok(())
    }
}

impl<'a> RawBody<'a> {
    fn parse(self) -> Result<Message<'a>, InvalidBody> {
        match self {
            Self::Single(message) => message.parse(),
            Self::Batch(batch) => Message::parse_batch(batch),
        }
    }
}

impl<'a> RawMessage<'a> {
    fn parse(self) -> Result<Message<'a>, InvalidBody> {
        let id = self.id.filter(|id| *id != RequestId::Other);
        match operations(self.method, self.params) {
            Ok(operations) => Ok(Message { operations, id, is_batch: false }),
            Err(Ambiguous) => Err(InvalidBody::NotAMessage(id)),
        }
    }
}

struct Ambiguous;

/// Returns what a line asks for by itself: nothing if no server can take it for a message, as those
/// of JSON that is written over several lines.
fn operations_of_line(line: &str) -> Result<Vec<Operation<'_>>, Ambiguous> {
    let line = line.trim_ascii();
    if !line.starts_with(['{', '[']) {
        return Ok(Vec::new());
    }
    match serde_json::from_str::<RawBody<'_>>(line) {
        Ok(body) => body.parse().map(|message| message.operations).map_err(|_| Ambiguous),
        Err(error) if error.classify() == Category::Data && may_be_a_message(line) => {
            Err(Ambiguous)
        }
        Err(_) => Ok(Vec::new()),
    }
}

/// Returns whether some parser may take JSON that is not read here for a message. A list of strings or
/// numbers cannot be one.
fn may_be_a_message(line: &str) -> bool {
    let names_a_method = || line.to_ascii_lowercase().contains("method");
    line.contains("2.0") || line.contains("\\u") || (line.contains('{') && names_a_method())
}

fn operations<'a>(
    method: Option<MaybeString<'a>>,
    params: Option<RawParams<'a>>,
) -> Result<Vec<Operation<'a>>, Ambiguous> {
    let Some(method) = method else {
        return Ok(Vec::new());
    };
    let operation = Operation::new(method.value()?);
    let params = match params {
        Some(RawParams::ByName(params)) => params,
        Some(RawParams::None) | None => NamedParams::default(),
    };
    let (name, is_ambiguous) = match operation.target() {
        OperationTarget::Tool | OperationTarget::Prompt => (params.name, params.is_ambiguous),
        OperationTarget::Resource => (params.uri, params.is_ambiguous),
        OperationTarget::Task => (params.task_id, params.is_ambiguous),
        OperationTarget::Reference if params.is_nested_ambiguous => return Err(Ambiguous),
        OperationTarget::Reference => return references(operation, params.reference),
        OperationTarget::Subscriptions if params.is_nested_ambiguous => return Err(Ambiguous),
        OperationTarget::Subscriptions => return subscriptions(operation, params.notifications),
        OperationTarget::None => return Ok(vec![operation]),
    };
    if is_ambiguous {
        return Err(Ambiguous);
    }
    Ok(vec![match name {
        Some(name) => operation.named(name.value()?),
        None => operation,
    }])
}

/// Returns the prompt or the resource that a `completion/complete` refers to, or both if a server
/// could take it for either.
fn references<'a>(
    operation: Operation<'a>,
    reference: Option<Maybe<Box<RawReference<'a>>>>,
) -> Result<Vec<Operation<'a>>, Ambiguous> {
    let Some(reference) = reference else {
        return Ok(vec![operation]);
    };
    let reference = reference.value()?;
    if reference.is_ambiguous {
        return Err(Ambiguous);
    }
    let kind = reference.kind.map(Maybe::value).transpose()?;
    let name = reference.name.map(Maybe::value).transpose()?;
    let uri = reference.uri.map(Maybe::value).transpose()?;
    let unnamed = match (kind.as_deref(), &name, &uri) {
        (Some("ref/prompt"), Some(_), _) | (Some("ref/resource"), _, Some(_)) => None,
        (Some("ref/prompt"), None, _) => Some(OperationTarget::Prompt),
        (Some("ref/resource"), _, None) => Some(OperationTarget::Resource),
        _ => Some(OperationTarget::Reference),
    };
    let prompt = name.map(|name| operation.clone().prompt(name));
    let resource = uri.map(|uri| operation.clone().resource(uri));
    let unnamed = unnamed.map(|target| operation.with_target(target));
    Ok(prompt.into_iter().chain(resource).chain(unnamed).collect())
}

/// Returns one operation for each resource that a `subscriptions/listen` subscribes to.
fn subscriptions<'a>(
    operation: Operation<'a>,
    notifications: Option<Maybe<Box<RawNotifications<'a>>>>,
) -> Result<Vec<Operation<'a>>, Ambiguous> {
    let Some(notifications) = notifications else {
        return Ok(vec![operation.with_target(OperationTarget::Resource)]);
    };
    let notifications = notifications.value()?;
    if notifications.is_ambiguous {
        return Err(Ambiguous);
    }
    let list = notifications.uris.map(Maybe::value).transpose()?.unwrap_or_default();
    if list.has_more {
        return Ok(vec![operation.with_target(OperationTarget::Resource)]);
    }
    if list.uris.is_empty() {
        return Ok(vec![operation]);
    }
    let uris = list.uris.into_iter();
    uris.map(|uri| Ok(operation.clone().resource(uri.value()?))).collect()
}

impl<T> Maybe<T> {
    fn value(self) -> Result<T, Ambiguous> {
        match self {
            Self::Value(value) => Ok(value),
            Self::Other => Err(Ambiguous),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<Message<'_>, InvalidBody> {
        Message::parse(body.as_bytes())
    }

    #[test]
    fn parses_the_operation_of_a_message() {
        let call = |name: &'static str| Operation::new("tools/call").named(name);
        let rows = [
            (r#"{"method":"ping"}"#, Some(Operation::new("ping"))),
            (r#" {"id":1,"result":{"method":"tools/call","params":{"name":"a"}}} "#, None),
            (r#"{"id":1,"error":{"code":1,"message":"m"}}"#, None),
            (r#"{}"#, None),
            (r#"{"method":"tools/call","params":{"name":"a"}}"#, Some(call("a"))),
            (
                r#"{"params":{"arguments":{"name":"x","uri":1},"name":"a"},"method":"tools/call"}"#,
                Some(call("a")),
            ),
            (
                r#"{"\u006dethod":"tools\/call","par\u0061ms":{"n\u0061me":"\u0061"}}"#,
                Some(call("a")),
            ),
            (r#"{"method":"tools/call","params":{"name":""}}"#, Some(call(""))),
            (
                r#"{"method":"tools/call","params":{"name":"a","uri":["u"],"taskId":{}}}"#,
                Some(call("a")),
            ),
            (
                r#"{"method":"prompts/get","params":{"name":"p"}}"#,
                Some(Operation::new("prompts/get").named("p")),
            ),
            (
                r#"{"method":"resources/read","params":{"uri":"u:v"}}"#,
                Some(Operation::new("resources/read").named("u:v")),
            ),
            (
                r#"{"method":"tasks/get","params":{"taskId":"t"}}"#,
                Some(Operation::new("tasks/get").named("t")),
            ),
            (r#"{"method":"tools/call"}"#, Some(Operation::new("tools/call"))),
            (r#"{"method":"tools/call","params":null}"#, Some(Operation::new("tools/call"))),
            (r#"{"method":"tools/call","params":{"uri":"a"}}"#, Some(Operation::new("tools/call"))),
            (
                r#"{"method":"tools/call","params":{"name":"a","ref":[1],"Ref":0,"notifications":0}}"#,
                Some(call("a")),
            ),
            (
                r#"{"method":"resources/directory/read","params":{"uri":"u:v"}}"#,
                Some(Operation::new("resources/directory/read").named("u:v")),
            ),
            (
                r#"{"method":"skills/get","params":{"uri":"u:v"}}"#,
                Some(Operation::new("skills/get").named("u:v")),
            ),
            (
                r#"{"method":"resources/later","params":{"uri":"u:v"}}"#,
                Some(Operation::new("resources/later").named("u:v")),
            ),
            (
                r#"{"method":"resources/list","params":{"uri":1}}"#,
                Some(Operation::new("resources/list")),
            ),
            (
                r#"{"method":"tasks/result","params":{"taskId":"t"}}"#,
                Some(Operation::new("tasks/result").named("t")),
            ),
            (r#"{"method":"x/y","params":{"name":1,"Name":2}}"#, Some(Operation::new("x/y"))),
            (r#"{"method":"x/y","params":null}"#, Some(Operation::new("x/y"))),
        ];
        for (body, expected) in rows {
            let message = parse(body).unwrap();
            assert_eq!(
                (message.operations, message.is_batch),
                (expected.into_iter().collect(), false),
                "{body}"
            );
        }
    }

    #[test]
    fn returns_every_target_that_a_message_names() {
        let complete = || Operation::new("completion/complete");
        let listen = || Operation::new("subscriptions/listen");
        let any_of = |operation: Operation<'static>, target| operation.with_target(target);
        let rows = [
            (complete(), r#""ref":{"type":"ref/prompt","name":"p"}"#, vec![complete().prompt("p")]),
            (
                complete(),
                r#""ref":{"uri":"u:v","type":"ref\/resource","x":1}"#,
                vec![complete().resource("u:v")],
            ),
            (
                complete(),
                r#""ref":{"type":"ref/prompt","name":"p","uri":"u:v"}"#,
                vec![complete().prompt("p"), complete().resource("u:v")],
            ),
            (
                complete(),
                r#""ref":{"type":"ref/prompt","uri":"u:v"}"#,
                vec![complete().resource("u:v"), any_of(complete(), OperationTarget::Prompt)],
            ),
            (
                complete(),
                r#""ref":{"type":"ref/resource"}"#,
                vec![any_of(complete(), OperationTarget::Resource)],
            ),
            (
                complete(),
                r#""ref":{"type":"ref/tool","name":"t"}"#,
                vec![complete().prompt("t"), complete()],
            ),
            (complete(), r#""ref":{}"#, vec![complete()]),
            (complete(), r#""name":"p""#, vec![complete()]),
            (listen(), r#""notifications":{"toolsListChanged":true}"#, vec![listen()]),
            (listen(), r#""notifications":{"resourceSubscriptions":null}"#, vec![listen()]),
            (listen(), r#""notifications":{"resourceSubscriptions":[]}"#, vec![listen()]),
            (
                listen(),
                r#""notifications":{"resourceSubscriptions":["a:b","c:d"]}"#,
                vec![listen().resource("a:b"), listen().resource("c:d")],
            ),
            (listen(), r#""uri":"a""#, vec![any_of(listen(), OperationTarget::Resource)]),
        ];
        for (operation, params, expected) in rows {
            let method = operation.method();
            let first = format!(r#"{{"method":"{method}","params":{{{params}}}}}"#);
            let last = format!(r#"{{"params":{{{params}}},"method":"{method}"}}"#);
            for body in [first, last] {
                assert_eq!(parse(&body).unwrap().operations, expected, "{body}");
            }
        }
    }

    #[test]
    fn a_subscription_to_many_resources_may_mean_any() {
        let listen = || Operation::new("subscriptions/listen");
        for (count, expected) in [(256, 256), (257, 1), (10_000, 1)] {
            let uris = vec![r#""a:b""#; count].join(",");
            let notifications = format!(r#"{{"resourceSubscriptions":[{uris}]}}"#);
            let body = format!(
                r#"{{"method":"subscriptions/listen","params":{{"notifications":{notifications}}}}}"#
            );
            let operations = parse(&body).unwrap().operations;
            assert_eq!(operations.len(), expected, "{count}");
            let is_any = operations == [listen().with_target(OperationTarget::Resource)];
            assert_eq!(is_any, expected == 1, "{count}");
        }
    }

    #[test]
    fn rejects_messages_that_parsers_read_differently() {
        let rows = [
            r#"1"#,
            r#""tools/call""#,
            r#"null"#,
            r#"[]"#,
            r#"[[{"method":"ping"}]]"#,
            r#"["2.0",1,"tools/call",{"name":"a"}]"#,
            r#"{"method":"ping","method":"tools/call"}"#,
            r#"{"method":"ping","m\u0065thod":"ping"}"#,
            r#"{"method":"ping","Method":"tools/call"}"#,
            r#"{"Method":"tools/call"}"#,
            "{\"method\":\"ping\",\"param\u{17f}\":{}}",
            r#"{"params":{},"params":{},"result":{}}"#,
            r#"{"id":1,"id":2,"method":"ping"}"#,
            r#"{"method":"tools/call","params":{"name":"a","name":"b"}}"#,
            r#"{"method":"tools/call","params":{"name":"a","Name":"b"}}"#,
            r#"{"method":"resources/read","params":{"uri":"a","uri":"a"}}"#,
            r#"{"method":"ping","params":{"uri":"a","uri":"a"}}"#,
            r#"{"method":"tools/call","params":[null,"a",{}]}"#,
            r#"{"method":"tools/call","params":"a"}"#,
            r#"{"method":"tools/call","params":{"name":1}}"#,
            r#"{"method":"tools/call","params":{"name":null}}"#,
            r#"{"method":"tools/call","params":{"name":["a"]}}"#,
            r#"{"method":"tools/call","params":{"Name":"a"}}"#,
            r#"{"method":"resources/directory/read","params":{"uri":1}}"#,
            r#"{"method":"resources/later","params":{"uri":"a","URI":"b"}}"#,
            "{\"method\":\"tasks/get\",\"params\":{\"taskId\":\"a\",\"tas\u{212a}Id\":\"b\"}}",
            r#"{"method":"ping","params":{"ref":{},"ref":{}}}"#,
            r#"{"method":"completion/complete","params":{"ref":{"name":"a","name":"a"}}}"#,
            r#"{"method":"completion/complete","params":{"ref":{"name":"a","NAME":"a"}}}"#,
            r#"{"method":"completion/complete","params":{"ref":{"name":"a"},"Ref":{}}}"#,
            r#"{"method":"completion/complete","params":{"ref":{"type":["ref/prompt"]}}}"#,
            r#"{"method":"completion/complete","params":{"ref":{"type":"ref/prompt","uri":1}}}"#,
            r#"{"method":"completion/complete","params":{"ref":["ref/prompt","a"]}}"#,
            r#"{"method":"completion/complete","params":{"ref":"a"}}"#,
            r#"{"method":"completion/complete","params":{"ref":null}}"#,
            r#"{"method":"subscriptions/listen","params":{"notifications":[null]}}"#,
            r#"{"method":"subscriptions/listen","params":{"notifications":null}}"#,
            r#"{"method":"subscriptions/listen","params":{"notifications":{},"Notifications":{}}}"#,
            r#"{"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":"a"}}}"#,
            r#"{"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":["a",1]}}}"#,
            r#"{"method":"subscriptions/listen","params":{"notifications":{"resourcesubscriptions":["a"]}}}"#,
            r#"{"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":[],"resourceSubscriptions":[]}}}"#,
            r#"{"method":["tools/call"]}"#,
            r#"{"method":{"a":[1]}}"#,
            r#"{"method":null}"#,
            r#"{"method":1}"#,
            r#"{"method":1.5}"#,
            r#"{"method":-1}"#,
            r#"{"method":true}"#,
        ];
        for body in rows {
            assert!(
                matches!(parse(body), Err(InvalidBody::NotAMessage(_))),
                "{body}: {:?}",
                parse(body)
            );
        }
    }

    #[test]
    fn returns_what_the_lines_of_a_body_ask_for_by_themselves() {
        let discover = || Operation::new("server/discover");
        let call = |name: &'static str| Operation::new("tools/call").named(name);
        let line = r#"{"method":"tools/call","params":{"name":"a"}}"#;
        let rows = [
            ("", vec![]),
            ("\n{}\n", vec![]),
            ("\n{\"a\":1}\n", vec![]),
            ("\n{\"id\":1,\"result\":{}}\n", vec![]),
            ("\n[1,\"a\"]\n", vec![]),
            ("\n[]\n", vec![]),
            ("\n[\"method\",\"url\"]\n", vec![]),
            ("\n[[1,2],{\"a\":1,\"A\":2}]\n", vec![]),
            ("{\n\"method\":\"tools/call\"}", vec![]),
            ("\n{\"method\":\"x/y\"}", vec![]),
            ("\r\n \t{\"method\":\"x/y\"}\t\r\n", vec![Operation::new("x/y")]),
            ("\n{line}\n", vec![call("a")]),
            ("[\n{line}\n,\n{line}\n]", vec![call("a"), call("a")]),
            ("\n[{line},{\"method\":\"ping\"}]\n", vec![call("a"), Operation::new("ping")]),
        ];
        for (lines, expected) in rows {
            let lines = if lines.is_empty() { "1" } else { lines }.replace("{line}", line);
            let body = format!(r#"{{"id":1,"method":"server/discover","params":{{"x":{lines}}}}}"#);
            let expected: Vec<_> = [discover()].into_iter().chain(expected).collect();
            let message = parse(&body).unwrap();
            assert_eq!((message.operations, message.is_batch), (expected, false), "{body}");
        }
        // One line, and white space around it.
        for body in [format!("{line}\n"), format!("\n\n{line}\r\n\n")] {
            assert_eq!(parse(&body).unwrap().operations, [call("a")], "{body:?}");
        }
    }

    #[test]
    fn rejects_lines_that_parsers_read_differently() {
        let rows = [
            r#"{"method":"ping","method":"tools/call"}"#,
            r#"{"method":"ping","Method":"tools/call"}"#,
            r#"{"METHOD":"tools/call"}"#,
            r#"{"method":1}"#,
            r#"["2.0",1,"tools/call",{"name":"a"}]"#,
            r#"["\u0032.0",1,"tools/call",["a"]]"#,
            r#"{"\u006dethod":"ping","id":1,"id":2}"#,
            r#"{"method":"tools/call","params":["a"]}"#,
        ];
        for line in rows {
            let body = format!("{{\"id\":1,\"method\":\"ping\",\"x\":\n{line}\n}}");
            assert_eq!(parse(&body), Err(InvalidBody::NotAMessage(None)), "{body}");
        }
    }

    #[test]
    fn bounds_the_messages_on_lines() {
        let of = |count: usize| {
            let lines = vec!["\n{\"method\":\"ping\"}\n"; count].join(",");
            format!("{{\"id\":1,\"method\":\"ping\",\"x\":[{lines}]}}")
        };
        assert_eq!(parse(&of(100)).unwrap().operations.len(), 101);
        for count in [101, 10_000] {
            assert_eq!(parse(&of(count)), Err(InvalidBody::NotAMessage(None)), "{count}");
        }
        let harmless = vec!["\n{}\n"; 10_000].join(",");
        let body = format!("{{\"method\":\"ping\",\"x\":[{harmless}]}}");
        assert_eq!(parse(&body).unwrap().operations, [Operation::new("ping")]);
    }

    #[test]
    fn recognizes_bodies_that_are_not_json() {
        let rows: [&[u8]; 10] = [
            b"",
            b"{",
            b"{\"method\":\"ping\"",
            b"{\"method\":\"ping\"}{\"method\":\"tools/call\"}",
            b"{'method':'ping'}",
            b"{\"method\":\"ping\",}",
            b"{\"method\":\"\\ud800\"}",
            b"\xef\xbb\xbf{\"method\":\"ping\"}",
            b"{\"method\":\"ping\",\"x\":\"\xff\"}",
            b"{\0\"\0m\0",
        ];
        for body in rows {
            assert_eq!(Message::parse(body), Err(InvalidBody::NotJson), "{body:?}");
        }
    }

    #[test]
    fn returns_every_operation_of_a_batch_up_to_a_limit() {
        let call = r#"{"method":"tools/call","params":{"name":"a"}}"#;
        let batch = format!(r#"[{{"method":"ping"}},{{"id":1,"result":{{}}}},{call}]"#);
        let message = parse(&batch).unwrap();
        let expected = vec![Operation::new("ping"), Operation::new("tools/call").named("a")];
        assert_eq!((message.operations, message.id, message.is_batch), (expected, None, true));
        let of = |count: usize| format!("[{}]", vec![r#"{"method":"ping"}"#; count].join(","));
        assert_eq!(parse(&of(100)).unwrap().operations.len(), 100);
        for count in [101, 10_000] {
            assert_eq!(parse(&of(count)), Err(InvalidBody::NotAMessage(None)), "{count}");
        }
        assert!(parse(r#"[{"method":"ping"},{"method":1}]"#).is_err());
    }

    #[test]
    fn returns_the_id_for_the_response() {
        use RequestId::{Signed, Unsigned};
        let long = format!("\"{}\"", "x".repeat(257));
        let rows = [
            ("1", Some(Unsigned(1))),
            ("-1", Some(Signed(-1))),
            ("\"a\"", Some(RequestId::String("a".to_owned()))),
            ("1.5", None),
            ("null", None),
            ("true", None),
            ("[1,[2]]", None),
            ("{\"a\":{}}", None),
            (&long, None),
        ];
        for (id, expected) in rows {
            let body = format!("{{\"id\":{id},\"method\":\"ping\"}}");
            assert_eq!(parse(&body).unwrap().id, expected, "{id}");
            let body = format!("{{\"id\":{id},\"method\":1}}");
            assert_eq!(parse(&body), Err(InvalidBody::NotAMessage(expected)), "{id}");
        }
    }

    #[test]
    fn skips_deep_values_without_recursion() {
        let deep =
            format!("{{\"x\":{}{},\"method\":\"ping\"}}", "[".repeat(500_000), "]".repeat(500_000));
        assert_eq!(parse(&deep).unwrap().operations, [Operation::new("ping")]);
        let batches = "[".repeat(500_000);
        assert!(parse(&batches).is_err());
    }
}
