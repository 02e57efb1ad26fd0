//! The operations in a JSON-RPC body. Only the members that matter are read; the rest is skipped.
//!
//! Whatever the server could take for a call has to be seen here as the same call. Therefore input
//! that JSON parsers read differently is rejected: duplicate members, members whose names differ in
//! case only (Go's `encoding/json` accepts them), and parameters by position (serde fills a struct
//! from an array).

use serde_json::error::Category;

use super::members::{MaybeString, NamedParams, RawBody, RawMessage, RawParams};
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
    /// One for each message with a method. A client's response has none.
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
        match body {
            RawBody::Single(message) => message.parse(),
            RawBody::Batch(batch) => Self::parse_batch(batch),
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
}

impl<'a> RawMessage<'a> {
    fn parse(self) -> Result<Message<'a>, InvalidBody> {
        let id = self.id.filter(|id| *id != RequestId::Other);
        match operation(self.method, self.params) {
            Ok(operation) => {
                Ok(Message { operations: operation.into_iter().collect(), id, is_batch: false })
            }
            Err(Ambiguous) => Err(InvalidBody::NotAMessage(id)),
        }
    }
}

struct Ambiguous;

fn operation<'a>(
    method: Option<MaybeString<'a>>,
    params: Option<RawParams<'a>>,
) -> Result<Option<Operation<'a>>, Ambiguous> {
    let method = match method {
        Some(MaybeString::String(method)) => method,
        Some(MaybeString::Other) => return Err(Ambiguous),
        None => return Ok(None),
    };
    let operation = Operation::new(method);
    let names = match params {
        Some(RawParams::ByName(names)) => names,
        Some(RawParams::None) | None => NamedParams::default(),
    };
    let is_ambiguous = names.is_ambiguous;
    let name = match operation.target() {
        OperationTarget::Tool | OperationTarget::Prompt => names.name,
        OperationTarget::Resource => names.uri,
        OperationTarget::Task => names.task_id,
        OperationTarget::None => return Ok(Some(operation)),
    };
    match name {
        Some(MaybeString::String(name)) if !is_ambiguous => Ok(Some(operation.named(name))),
        _ => Err(Ambiguous),
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
            r#"{"method":"tools/call","params":{"uri":"a"}}"#,
            r#"{"method":"tools/call","params":null}"#,
            r#"{"method":"tools/call"}"#,
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
