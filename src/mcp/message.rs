//! What a JSON-RPC body asks for. Only the members that tell are looked at; the rest is skipped, not built.
//!
//! Whatever the server behind could take for a call has to be seen here as that very call. So what two JSON readers
//! may understand differently is refused and not interpreted: a member that stands there twice, one whose name differs
//! in case only (Go's `encoding/json` takes it), parameters by position (serde fills a struct from an array).

use serde_json::error::Category;

use super::members::{Body, MaybeString, Names, Params, RawMessage};
use super::{Operation, OperationTarget, RequestId};

/// Why it cannot be said what a body asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It is no JSON text in UTF-8.
    NotJson,
    /// It is JSON and no message of JSON-RPC as MCP has it, or one that can be understood in two ways.
    NotAMessage(Option<RequestId>),
}

/// A body: one message, or the several of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    /// Of a message with a method; answers of a client have none.
    pub(crate) operations: Vec<Operation<'a>>,
    /// The `id` of a single message.
    pub(crate) id: Option<RequestId>,
    pub(crate) is_batch: bool,
}

impl<'a> Message<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, Unreadable> {
        // serde_json does not look into the text that it skips.
        let text = std::str::from_utf8(body).map_err(|_| Unreadable::NotJson)?;
        let members =
            serde_json::from_str::<Body<'_>>(text).map_err(|error| match error.classify() {
                Category::Data => Unreadable::NotAMessage(None),
                Category::Syntax | Category::Eof | Category::Io => Unreadable::NotJson,
            })?;
        match members {
            Body::One(members) => members.message(),
            Body::Batch(batch) => Self::batch(batch),
        }
    }

    fn batch(batch: Vec<RawMessage<'a>>) -> Result<Self, Unreadable> {
        let mut operations = Vec::new();
        for members in batch {
            let message = members.message().map_err(|_| Unreadable::NotAMessage(None))?;
            operations.extend(message.operations);
        }
        Ok(Self { operations, id: None, is_batch: true })
    }
}

impl<'a> RawMessage<'a> {
    fn message(self) -> Result<Message<'a>, Unreadable> {
        let id = self.id.filter(|id| *id != RequestId::Other);
        match operation(self.method, self.params) {
            Ok(operation) => {
                Ok(Message { operations: operation.into_iter().collect(), id, is_batch: false })
            }
            Err(Ambiguous) => Err(Unreadable::NotAMessage(id)),
        }
    }
}

struct Ambiguous;

fn operation<'a>(
    method: Option<MaybeString<'a>>,
    params: Option<Params<'a>>,
) -> Result<Option<Operation<'a>>, Ambiguous> {
    let method = match method {
        Some(MaybeString::String(method)) => method,
        Some(MaybeString::Other) => return Err(Ambiguous),
        None => return Ok(None),
    };
    let operation = Operation::new(method);
    let names = match params {
        Some(Params::ByName(names)) => names,
        Some(Params::None) | None => Names::default(),
    };
    let lookalike = names.lookalike;
    let name = match operation.target() {
        OperationTarget::Tool | OperationTarget::Prompt => names.name,
        OperationTarget::Resource => names.uri,
        OperationTarget::Task => names.task_id,
        OperationTarget::None => return Ok(Some(operation)),
    };
    match name {
        Some(MaybeString::String(name)) if !lookalike => Ok(Some(operation.named(name))),
        _ => Err(Ambiguous),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Message<'_>, Unreadable> {
        Message::read(body.as_bytes())
    }

    #[test]
    fn reads_the_operation_of_a_message() {
        let call = |name: &'static str| Operation::new("tools/call").named(name);
        let rows = [
            (r#"{"method":"ping"}"#, Some(Operation::new("ping"))),
            (
                r#" {"jsonrpc":"2.0","id":1,"result":{"method":"tools/call","params":{"name":"a"}}} "#,
                None,
            ),
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
            let message = read(body).unwrap();
            assert_eq!(
                (message.operations, message.is_batch),
                (expected.into_iter().collect(), false),
                "{body}"
            );
        }
    }

    #[test]
    fn refuses_what_can_be_understood_in_two_ways() {
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
                matches!(read(body), Err(Unreadable::NotAMessage(_))),
                "{body}: {:?}",
                read(body)
            );
        }
    }

    #[test]
    fn tells_what_is_no_json() {
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
            assert_eq!(Message::read(body), Err(Unreadable::NotJson), "{body:?}");
        }
    }

    #[test]
    fn every_operation_of_a_batch_counts_up_to_a_bound() {
        let batch = r#"[{"method":"ping"},{"id":1,"result":{}},{"method":"tools/call","params":{"name":"a"}}]"#;
        let message = read(batch).unwrap();
        let expected = vec![Operation::new("ping"), Operation::new("tools/call").named("a")];
        assert_eq!((message.operations, message.id, message.is_batch), (expected, None, true));
        let of = |count: usize| format!("[{}]", vec![r#"{"method":"ping"}"#; count].join(","));
        assert_eq!(read(&of(100)).unwrap().operations.len(), 100);
        for count in [101, 10_000] {
            assert_eq!(read(&of(count)), Err(Unreadable::NotAMessage(None)), "{count}");
        }
        assert!(read(r#"[{"method":"ping"},{"method":1}]"#).is_err());
    }

    #[test]
    fn knows_the_id_that_an_answer_repeats() {
        use RequestId::{Signed, Text, Unsigned};
        let long = format!("\"{}\"", "x".repeat(257));
        let rows = [
            ("1", Some(Unsigned(1))),
            ("-1", Some(Signed(-1))),
            ("\"a\"", Some(Text("a".to_owned()))),
            ("1.5", None),
            ("null", None),
            ("true", None),
            ("[1,[2]]", None),
            ("{\"a\":{}}", None),
            (&long, None),
        ];
        for (id, expected) in rows {
            let body = format!("{{\"id\":{id},\"method\":\"ping\"}}");
            assert_eq!(read(&body).unwrap().id, expected, "{id}");
            let body = format!("{{\"id\":{id},\"method\":1}}");
            assert_eq!(read(&body), Err(Unreadable::NotAMessage(expected)), "{id}");
        }
    }

    #[test]
    fn skips_what_is_deep_without_recursion() {
        let deep =
            format!("{{\"x\":{}{},\"method\":\"ping\"}}", "[".repeat(500_000), "]".repeat(500_000));
        assert_eq!(read(&deep).unwrap().operations, [Operation::new("ping")]);
        let batches = "[".repeat(500_000);
        assert!(read(&batches).is_err());
    }
}
