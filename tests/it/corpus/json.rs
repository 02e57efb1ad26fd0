//! JSON that is none, that two parsers read differently, or that is meant to tire a parser out (RFC 8259).

use super::draft::Draft;
use super::entry::{Entry, NO_CLAIMS, NO_JWS, Stage, Why, accepted, refused, usual};

const GRAMMAR: &str = "RFC 8259 section 2";
const UTF8: &str = "RFC 8725 section 3.7";
const STRINGS: &str = "RFC 8259 section 7";
const NUMBERS: &str = "RFC 8259 section 6";
const LIMITS: &str = "RFC 8259 section 9";

type Change = fn(String) -> Vec<u8>;

pub(super) fn table(stage: &Stage) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (name, rule, change) in BROKEN {
        let [header, claims] = both(name, stage, change);
        entries.push(broken(header, rule, NO_JWS));
        entries.push(broken(claims, rule, NO_CLAIMS));
    }
    for (name, rule, change) in FINE {
        for (name, token) in both(name, stage, change) {
            entries.push(accepted(name, rule, usual(), token));
        }
    }
    entries.extend(large(stage));
    entries
}

/// The change to the header's text, and the same to the claims'.
fn both(name: &str, stage: &Stage, change: Change) -> [(String, Draft); 2] {
    [
        (format!("{name}, in the header"), stage.jwt().head("x", 0).head_text(change)),
        (format!("{name}, in the claims"), stage.jwt().claims_text(change)),
    ]
}

fn broken((name, token): (String, Draft), rule: &'static str, why: Why) -> Entry {
    refused(name, rule, why, token)
}

/// These bytes as one more member at the end of an object.
fn with(mut json: String, member: &[u8]) -> Vec<u8> {
    assert_eq!(json.pop(), Some('}'));
    [json.as_bytes(), b",", member, b"}"].concat()
}

const BROKEN: [(&str, &str, Change); 32] = [
    ("nothing but a space", GRAMMAR, |_| b" ".to_vec()),
    ("a list", GRAMMAR, |json| format!("[{json}]").into()),
    ("a text", GRAMMAR, |_| br#""RS256""#.to_vec()),
    ("a number", GRAMMAR, |_| b"256".to_vec()),
    ("null", GRAMMAR, |_| b"null".to_vec()),
    ("an object cut off", GRAMMAR, |json| json[..json.len() - 1].into()),
    ("a second object behind the first", GRAMMAR, |json| format!("{json}{json}").into()),
    ("a letter behind the object", GRAMMAR, |json| format!("{json}x").into()),
    ("a zero behind the object", GRAMMAR, |json| format!("{json}\0").into()),
    ("a comma behind the last member", GRAMMAR, |json| json.replace('}', ",}").into()),
    ("a comment", GRAMMAR, |json| json.replace('{', "{/**/").into()),
    ("single quotes", GRAMMAR, |json| json.replace('"', "'").into()),
    ("a name without quotes", GRAMMAR, |json| with(json, b"y:1")),
    ("a form feed for a space", GRAMMAR, |json| json.replace('{', "{\u{c}").into()),
    ("a byte order mark", "RFC 8259 section 8.1", |json| format!("\u{feff}{json}").into()),
    ("UTF-16", UTF8, |json| json.encode_utf16().flat_map(u16::to_le_bytes).collect()),
    ("bytes that are no UTF-8", UTF8, |json| with(json, b"\"y\":\"\xff\xfe\"")),
    ("a name that is no UTF-8", UTF8, |json| with(json, b"\"\x80\":1")),
    ("an overlong slash", UTF8, |json| with(json, b"\"y\":\"\xc0\xaf\"")),
    ("a surrogate in UTF-8", UTF8, |json| with(json, b"\"y\":\"\xed\xa0\x80\"")),
    ("a surrogate by itself", "RFC 8259 section 8.2", |json| with(json, br#""y":"\ud800""#)),
    ("a surrogate by itself as a name", "RFC 8259 section 8.2", |json| {
        with(json, br#""\udfff":1"#)
    }),
    ("surrogates the wrong way round", "RFC 8259 section 8.2", |json| {
        with(json, br#""y":"\udc00\ud800""#)
    }),
    ("a line end in a text", STRINGS, |json| with(json, b"\"y\":\"a\nb\"")),
    ("an escape of other languages", STRINGS, |json| with(json, br#""y":"\x41""#)),
    ("half an escape", STRINGS, |json| with(json, br#""y":"\u00e""#)),
    ("NaN", NUMBERS, |json| with(json, br#""y":NaN"#)),
    ("Infinity", NUMBERS, |json| with(json, br#""y":Infinity"#)),
    ("a number with a zero before it", NUMBERS, |json| with(json, br#""y":01"#)),
    ("a hexadecimal number", NUMBERS, |json| with(json, br#""y":0x1"#)),
    ("a number past all counting", NUMBERS, |json| with(json, br#""y":1e999"#)),
    ("lists 200 deep", LIMITS, |json| {
        with(json, format!("\"y\":{}{}", "[".repeat(200), "]".repeat(200)).as_bytes())
    }),
];

/// None of these adds a claim that the caller's description would show.
const FINE: [(&str, &str, Change); 3] = [
    ("white space wherever it may be", GRAMMAR, |json| {
        let spaced = json.replace("\":", "\" \t: \r\n").replace(",\"", " ,\n\"");
        format!("\n {spaced}\t\r\n ").into()
    }),
    ("members in another order", "RFC 8259 section 4", |json| {
        let inner = json.trim_matches(['{', '}']);
        let mut members: Vec<&str> =
            inner.split(",\"").map(|member| member.trim_start_matches('"')).collect();
        members.reverse();
        format!("{{\"{}}}", members.join(",\"")).into()
    }),
    ("every name written with escapes", STRINGS, |json| {
        let inner = json.trim_matches(['{', '}']);
        let members = inner.split(",\"").map(|member| {
            let (name, value) = member.trim_start_matches('"').split_once("\":").unwrap();
            let name: String = name.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
            format!("\"{name}\":{value}")
        });
        format!("{{{}}}", members.collect::<Vec<_>>().join(",")).into()
    }),
];

fn large(stage: &Stage) -> Vec<Entry> {
    let t = || stage.jwt();
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let wide = |members: usize| {
        let members: Vec<String> = (0..members).map(|n| format!("\"{n}\":{n}")).collect();
        format!("{{{}}}", members.join(","))
    };
    let unclosed = |open: &str, times: usize| {
        let open = open.repeat(times);
        move |_: String| open
    };
    vec![
        refused(
            "lists 4,000 deep, never closed",
            LIMITS,
            NO_JWS,
            t().head_text(unclosed("[", 4000)),
        ),
        refused(
            "objects 600 deep, never closed",
            LIMITS,
            NO_JWS,
            t().head_text(unclosed(r#"{"a":"#, 600)),
        ),
        refused(
            "claims of lists 4,000 deep",
            LIMITS,
            NO_CLAIMS,
            t().claims_text(unclosed("[", 4000)),
        ),
        refused(
            "claims of objects 600 deep",
            LIMITS,
            NO_CLAIMS,
            t().claims_text(unclosed(r#"{"a":"#, 600)),
        ),
        refused(
            "600 members of one name",
            "RFC 7519 section 4",
            NO_CLAIMS,
            t().claims_text(|json| with(json, vec!["\"y\":1"; 600].join(",").as_bytes())),
        ),
        accepted("a header with lists 100 deep", LIMITS, usual(), t().head("x", deep(100))),
        accepted("a header of 400 members", LIMITS, usual(), t().head("x", wide(400))),
        accepted(
            "claims of 400 members",
            LIMITS,
            serde_json::json!({"extra": {"claims": {
                "x": serde_json::from_str::<serde_json::Value>(&wide(400)).unwrap()
            }}}),
            t().claim("x", wide(400)),
        ),
        accepted(
            "a number of many digits",
            NUMBERS,
            serde_json::json!({"extra": {"claims": {"x": 1e40}}}),
            t().claim("x", format!("1{}", "0".repeat(40))),
        ),
    ]
}
