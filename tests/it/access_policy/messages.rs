//! Invalid, unusual and misleading bodies and headers.

use super::*;

/// The JSON-RPC error for an invalid message.
fn json_rpc(code: i32, id: Option<&str>, message: &str) -> String {
    let id = id.map(|id| format!("\"id\":{id},")).unwrap_or_default();
    format!(r#"{{"jsonrpc":"2.0",{id}"error":{{"code":{code},"message":"{message}"}}}}"#)
}

#[tokio::test]
async fn invalid_messages_are_rejected_even_with_all_scopes() {
    let delete = call("delete_file");
    let parse = || (400, json_rpc(-32700, None, "The request body is not valid JSON"));
    let invalid =
        |id| (400, json_rpc(-32600, id, "The body is not a valid, unambiguous JSON-RPC message"));
    let large = || {
        let text = "The request body is too large";
        (413, format!(r#"{{"error":"content_too_large","error_description":"{text}"}}"#))
    };
    let batch =
        |count: usize| format!("[{}]", vec![r#"{"method":"ping"}"#; count].join(",")).into_bytes();
    let rows: [(&str, Vec<u8>, (u16, String)); 23] = [
        ("an empty body", vec![], parse()),
        ("not JSON", b"{'method':'tools/call'}".into(), parse()),
        ("truncated JSON", delete.as_bytes()[..delete.len() - 1].into(), parse()),
        ("two messages", delete.repeat(2).into(), parse()),
        ("invalid UTF-8", [delete.as_bytes(), b"\xff"].concat(), parse()),
        (
            "invalid UTF-8 in an ignored member",
            delete
                .replace("2.0", "\u{1}")
                .into_bytes()
                .into_iter()
                .map(|b| if b == 1 { 0xff } else { b })
                .collect(),
            parse(),
        ),
        ("a byte order mark", [b"\xef\xbb\xbf", delete.as_bytes()].concat(), parse()),
        ("UTF-16", delete.encode_utf16().flat_map(u16::to_le_bytes).collect(), parse()),
        ("a string", br#""tools/call""#.into(), invalid(None)),
        (
            "a duplicate method",
            delete.replace(r#""id":1"#, r#""method":"ping""#).into(),
            invalid(None),
        ),
        ("duplicate params", delete.replace(r#""id":1"#, r#""params":{}"#).into(), invalid(None)),
        (
            "a duplicate name",
            delete.replace(r#"{"name"#, r#"{"name":"open","name"#).into(),
            invalid(None),
        ),
        (
            "a name in another case",
            delete.replace(r#"{"name"#, r#"{"name":"open","Name"#).into(),
            invalid(Some("1")),
        ),
        ("a method in upper case", delete.replace("method", "METHOD").into(), invalid(None)),
        (
            "a method that is a number",
            br#"{"id":"a\"b","method":7}"#.into(),
            invalid(Some(r#""a\"b""#)),
        ),
        (
            "a method in an array",
            br#"{"id":-7,"method":["tools/call"]}"#.into(),
            invalid(Some("-7")),
        ),
        (
            "a name that is not a string",
            br#"{"id":1.5,"method":"tools/call","params":{"name":{}}}"#.into(),
            invalid(None),
        ),
        (
            "params as an array",
            br#"{"method":"tools/call","params":[null,"delete_file"]}"#.into(),
            invalid(None),
        ),
        (
            "a message as an array",
            br#"["2.0",1,"tools/call",{"name":"delete_file"}]"#.into(),
            invalid(None),
        ),
        ("an empty batch", b"[]".into(), invalid(None)),
        ("a batch of 10,000", batch(10_000), invalid(None)),
        ("a batch of 101", batch(101), invalid(None)),
        ("a body over the limit", vec![b' '; 4 * 1024 * 1024 + 1], large()),
    ];
    for (case, body, (status, expected)) in rows {
        // The caller has all scopes.
        let (response, received) =
            send_to(&layer(), post(&[JSON], body, Some("list files:write prompts"))).await;
        assert_eq!(
            (response.status.as_u16(), response.body.as_str()),
            (status, expected.as_str()),
            "{case}"
        );
        assert_headers(&response, None, case);
        assert!(received.is_empty(), "{case}");
    }
}

#[tokio::test]
async fn large_and_unusual_but_valid_messages_are_checked_as_usual() {
    let long = "x".repeat(1024 * 1024);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let padded = format!("{}{}", " ".repeat(4 * 1024 * 1024 - call("open").len()), call("open"));
    let rows = [
        ("a name of 1 MiB", call(&long), None),
        ("1 MiB before the name", call("delete_file").replace("2.0", &long), Some("files:write")),
        ("deep nesting", call("delete_file").replace(r#""2.0""#, &deep), Some("files:write")),
        ("a body of 4 MiB", padded, None),
        ("a batch of 100", format!("[{}]", vec![call("open"); 100].join(",")), None),
    ];
    for (case, body, needed) in rows {
        let (response, received) =
            send_to(&layer(), post(&[JSON], body.clone(), Some("profile"))).await;
        match needed {
            Some(needed) => {
                assert_insufficient(&response, &format!("profile email {needed}"), case)
            }
            None => assert_eq!(received, [body], "{case}"),
        }
    }
    let body = call("delete_file");
    for content_type in
        [vec![], vec![("content-type", "text/plain")], vec![JSON, ("content-encoding", "Identity")]]
    {
        let (response, _) = send_to(&layer(), post(&content_type, body.clone(), Some(""))).await;
        assert_insufficient(&response, "profile email files:write", &format!("{content_type:?}"));
    }
}

/// rust-mcp-sdk reads a body line by line.
#[tokio::test]
async fn a_line_that_is_a_message_by_itself_is_judged_as_well() {
    let around = |lines: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":7,"method":"ping","params":{{"x":{lines}}}}}"#)
    };
    let open = around(&format!("\n{}\n", call("open")));
    let pretty: serde_json::Value = serde_json::from_str(&call("open")).unwrap();
    let pretty = serde_json::to_string_pretty(&pretty).unwrap();
    let rows = [
        ("a line", around(&format!("\n{}\n", call("delete_file"))), Some("files:write")),
        (
            "with white space",
            around(&format!("\r\n\t {}\r\n", call("delete_file"))),
            Some("files:write"),
        ),
        ("in a list", around(&format!("[\n{}\n]", call("delete_file"))), Some("files:write")),
        ("a batch", around(&format!("\n[{}]\n", call("delete_file"))), Some("files:write")),
        (
            "in a batch",
            format!("[{},\n{}\n]", call("open"), call("delete_file")),
            Some("files:write"),
        ),
        ("not by itself", around(&format!("\n[{}\n]", call("delete_file"))), None),
        ("one that the caller may use", open, None),
        ("JSON over several lines", pretty, None),
    ];
    for (case, body, needed) in rows {
        let (response, received) =
            send_to(&layer(), post(&[JSON], body.clone(), Some("profile"))).await;
        match needed {
            Some(needed) => {
                assert_insufficient(&response, &format!("profile email {needed}"), case);
            }
            None => assert_eq!(received, [body], "{case}"),
        }
    }
    let ambiguous = around("\n{\"method\":\"ping\",\"METHOD\":\"tools/call\"}\n");
    let (response, received) = send_to(&layer(), post(&[JSON], ambiguous, Some("profile"))).await;
    let expected = json_rpc(-32600, None, "The body is not a valid, unambiguous JSON-RPC message");
    assert_eq!((response.status.as_u16(), response.body), (400, expected));
    assert!(received.is_empty());
}

#[tokio::test]
async fn other_content_passes_only_if_no_server_could_read_it_as_a_message() {
    const TEXT: (&str, &str) = ("content-type", "text/plain");
    type Row = (&'static str, &'static [(&'static str, &'static str)], &'static [u8], u16);
    let rows: [Row; 9] = [
        ("plain text", &[TEXT], b"hello \xff", 200),
        ("an empty body with a type", &[TEXT], b"", 200),
        ("text without a type", &[], b"hello", 400),
        ("text with two types", &[TEXT, TEXT], b"hello", 400),
        ("text labelled as JSON", &[("content-type", "application/vnd.x+JSON")], b"hello", 400),
        ("compressed", &[TEXT, ("content-encoding", "gzip")], b"hello", 400),
        ("lenient JSON", &[TEXT], b"{method:'tools/call'}", 400),
        ("text with Mcp-Method", &[TEXT, ("mcp-method", "tools/call")], b"hello", 400),
        ("text with Mcp-Name", &[TEXT, ("mcp-name", "delete_file")], b"hello", 400),
    ];
    for (case, headers, body, status) in rows {
        let (response, received) = send_to(&layer(), post(headers, body.to_vec(), Some(""))).await;
        assert_eq!(response.status.as_u16(), status, "{case}");
        let expected = if status == 200 { vec![Bytes::from_static(body)] } else { vec![] };
        assert_eq!(received, expected, "{case}");
    }
}

/// Some bytes are valid JSON, and another message after decompression.
#[tokio::test]
async fn a_body_with_a_content_encoding_is_rejected() {
    let unreadable = json_rpc(-32700, None, "The request body is not valid JSON");
    let rows: [&[(&str, &str)]; 4] = [
        &[("content-encoding", "deflate")],
        &[("content-encoding", "gzip, identity")],
        &[("content-encoding", "identity"), ("content-encoding", "br")],
        &[("content-encoding", "")],
    ];
    for encodings in rows {
        let (response, received) = send_to(
            &layer(),
            post(&[&[JSON][..], encodings].concat(), call("open"), Some("files:write")),
        )
        .await;
        assert_eq!(
            (response.status.as_u16(), response.body.as_str()),
            (400, unreadable.as_str()),
            "{encodings:?}"
        );
        assert!(received.is_empty(), "{encodings:?}");
    }
}

#[tokio::test]
async fn headers_and_body_must_agree() {
    let (open, greet) = (call("open"), call("greet\u{e4}"));
    let batch = format!("[{open}]");
    const CALL: (&str, &str) = ("mcp-method", "tools/call");
    type Row<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], Option<Option<&'a str>>);
    let rows: [Row<'_>; 20] = [
        ("both headers", &open, &[CALL, ("mcp-name", "open")], None),
        ("only the method", &open, &[CALL], None),
        ("only the name", &open, &[("mcp-name", "open")], None),
        ("an ASCII name in base64", &open, &[CALL, ("mcp-name", "=?base64?b3Blbg==?=")], None),
        (
            "a non-ASCII name in base64",
            &greet,
            &[CALL, ("mcp-name", "=?base64?Z3JlZXTDpA==?=")],
            None,
        ),
        ("a method without a name", r#"{"id":1,"method":"ping"}"#, &[("mcp-method", "ping")], None),
        (
            "a name for an unknown method",
            r#"{"method":"x/y"}"#,
            &[("mcp-method", "x/y"), ("mcp-name", "z")],
            None,
        ),
        ("another method", &open, &[("mcp-method", "tools/list")], Some(Some("1"))),
        ("another name", &open, &[CALL, ("mcp-name", "delete_file")], Some(Some("1"))),
        ("another case", &open, &[CALL, ("mcp-name", "Open")], Some(Some("1"))),
        (
            "a duplicate name",
            &open,
            &[CALL, ("mcp-name", "open"), ("mcp-name", "open")],
            Some(Some("1")),
        ),
        ("a duplicate method", &open, &[CALL, CALL], Some(Some("1"))),
        (
            "base64 of invalid UTF-8",
            &open,
            &[CALL, ("mcp-name", "=?base64?/w==?=")],
            Some(Some("1")),
        ),
        ("invalid base64", &open, &[CALL, ("mcp-name", "=?base64?b3Blbg?=")], Some(Some("1"))),
        (
            "another tool, in base64",
            &open,
            &[("mcp-name", "=?base64?Z3JlZXTDpA==?=")],
            Some(Some("1")),
        ),
        ("an empty method", &open, &[("mcp-method", "")], Some(Some("1"))),
        ("an empty name", &open, &[("mcp-name", "")], Some(Some("1"))),
        (
            "a name in the header only",
            r#"{"id":1,"method":"tools/call"}"#,
            &[CALL, ("mcp-name", "open")],
            Some(Some("1")),
        ),
        ("a response of the client", r#"{"id":"x","result":{}}"#, &[CALL], Some(Some("\"x\""))),
        ("a batch", &batch, &[CALL, ("mcp-name", "open")], Some(None)),
    ];
    for (case, body, headers, mismatch) in rows {
        let headers = [&[JSON][..], headers].concat();
        let (response, received) =
            send_to(&layer(), post(&headers, body.to_owned(), Some("greet"))).await;
        let Some(id) = mismatch else {
            assert_eq!(
                (response.status, received),
                (StatusCode::OK, vec![Bytes::from(body.to_owned())]),
                "{case}"
            );
            continue;
        };
        let message = "The headers Mcp-Method and Mcp-Name contradict the body";
        assert_eq!(
            (response.status.as_u16(), response.body.as_str()),
            (400, json_rpc(-32020, id, message).as_str()),
            "{case}"
        );
        assert_headers(&response, None, case);
        assert!(received.is_empty(), "{case}");
    }
    let mut not_utf8 = post(&[JSON, CALL], open, Some(""));
    not_utf8.headers_mut().insert("mcp-name", HeaderValue::from_bytes(b"open\xff").unwrap());
    assert_eq!(send_to(&layer(), not_utf8).await.0.status, StatusCode::BAD_REQUEST);
}
