//! Invalid JSON, JSON that parsers read differently, and JSON that is expensive to parse (RFC
//! 8259).

use super::entry::{
    Entry, INVALID_CLAIMS_JSON, INVALID_JWS, Reason, TokenParams, accepted, default_caller,
    rejected,
};
use super::jwt_builder::JwtBuilder;

const GRAMMAR: &str = "RFC 8259 section 2";
const UTF8: &str = "RFC 8725 section 3.7";
const STRINGS: &str = "RFC 8259 section 7";
const NUMBERS: &str = "RFC 8259 section 6";
const LIMITS: &str = "RFC 8259 section 9";

type Change = fn(String) -> Vec<u8>;

pub(super) fn table(params: &TokenParams) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (name, rule, change) in INVALID {
        let [header, claims] = both(name, params, change);
        entries.push(invalid(header, rule, INVALID_JWS));
        entries.push(invalid(claims, rule, INVALID_CLAIMS_JSON));
    }
    for (name, rule, change) in VALID {
        for (name, token) in both(name, params, change) {
            entries.push(accepted(name, rule, default_caller(), token));
        }
    }
    entries.extend(large(params));
    entries
}

/// Applies the change to the JSON of the header, and to that of the claims.
fn both(name: &str, params: &TokenParams, change: Change) -> [(String, JwtBuilder); 2] {
    [
        (format!("{name}, in the header"), params.jwt().header("x", 0).map_header_json(change)),
        (format!("{name}, in the claims"), params.jwt().map_claims_json(change)),
    ]
}

fn invalid((name, token): (String, JwtBuilder), rule: &'static str, reason: Reason) -> Entry {
    rejected(name, rule, reason, token)
}

/// Appends a member, given as bytes, to an object.
fn with(mut json: String, member: &[u8]) -> Vec<u8> {
    assert_eq!(json.pop(), Some('}'));
    [json.as_bytes(), b",", member, b"}"].concat()
}

const INVALID: [(&str, &str, Change); 32] = [
    ("only a space", GRAMMAR, |_| b" ".to_vec()),
    ("a list", GRAMMAR, |json| format!("[{json}]").into()),
    ("a string", GRAMMAR, |_| br#""RS256""#.to_vec()),
    ("a number", GRAMMAR, |_| b"256".to_vec()),
    ("null", GRAMMAR, |_| b"null".to_vec()),
    ("an unclosed object", GRAMMAR, |json| json[..json.len() - 1].into()),
    ("a second object after the first", GRAMMAR, |json| format!("{json}{json}").into()),
    ("a letter after the object", GRAMMAR, |json| format!("{json}x").into()),
    ("a NUL after the object", GRAMMAR, |json| format!("{json}\0").into()),
    ("a trailing comma", GRAMMAR, |json| json.replace('}', ",}").into()),
    ("a comment", GRAMMAR, |json| json.replace('{', "{/**/").into()),
    ("single quotes", GRAMMAR, |json| json.replace('"', "'").into()),
    ("a name without quotes", GRAMMAR, |json| with(json, b"y:1")),
    ("a form feed as white space", GRAMMAR, |json| json.replace('{', "{\u{c}").into()),
    ("a byte order mark", "RFC 8259 section 8.1", |json| format!("\u{feff}{json}").into()),
    ("UTF-16", UTF8, |json| json.encode_utf16().flat_map(u16::to_le_bytes).collect()),
    ("a string that is not UTF-8", UTF8, |json| with(json, b"\"y\":\"\xff\xfe\"")),
    ("a name that is not UTF-8", UTF8, |json| with(json, b"\"\x80\":1")),
    ("an overlong slash", UTF8, |json| with(json, b"\"y\":\"\xc0\xaf\"")),
    ("a surrogate in UTF-8", UTF8, |json| with(json, b"\"y\":\"\xed\xa0\x80\"")),
    ("a lone surrogate", "RFC 8259 section 8.2", |json| with(json, br#""y":"\ud800""#)),
    ("a lone surrogate as a name", "RFC 8259 section 8.2", |json| with(json, br#""\udfff":1"#)),
    ("surrogates in reverse order", "RFC 8259 section 8.2", |json| {
        with(json, br#""y":"\udc00\ud800""#)
    }),
    ("a line break in a string", STRINGS, |json| with(json, b"\"y\":\"a\nb\"")),
    ("an escape that JSON does not have", STRINGS, |json| with(json, br#""y":"\x41""#)),
    ("an incomplete escape", STRINGS, |json| with(json, br#""y":"\u00e""#)),
    ("NaN", NUMBERS, |json| with(json, br#""y":NaN"#)),
    ("Infinity", NUMBERS, |json| with(json, br#""y":Infinity"#)),
    ("a number with a leading zero", NUMBERS, |json| with(json, br#""y":01"#)),
    ("a hexadecimal number", NUMBERS, |json| with(json, br#""y":0x1"#)),
    ("a number beyond the range of floats", NUMBERS, |json| with(json, br#""y":1e999"#)),
    ("lists 200 deep", LIMITS, |json| {
        with(json, format!("\"y\":{}{}", "[".repeat(200), "]".repeat(200)).as_bytes())
    }),
];

/// None of these changes the claims of the caller.
const VALID: [(&str, &str, Change); 3] = [
    ("white space wherever it is allowed", GRAMMAR, |json| {
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
    ("every name with escaped characters", STRINGS, |json| {
        let inner = json.trim_matches(['{', '}']);
        let members = inner.split(",\"").map(|member| {
            let (name, value) = member.trim_start_matches('"').split_once("\":").unwrap();
            let name: String = name.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
            format!("\"{name}\":{value}")
        });
        format!("{{{}}}", members.collect::<Vec<_>>().join(",")).into()
    }),
];

fn large(params: &TokenParams) -> Vec<Entry> {
    let t = || params.jwt();
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
        rejected(
            "lists 4,000 deep, never closed",
            LIMITS,
            INVALID_JWS,
            t().map_header_json(unclosed("[", 4000)),
        ),
        rejected(
            "objects 600 deep, never closed",
            LIMITS,
            INVALID_JWS,
            t().map_header_json(unclosed(r#"{"a":"#, 600)),
        ),
        rejected(
            "claims of lists 4,000 deep",
            LIMITS,
            INVALID_CLAIMS_JSON,
            t().map_claims_json(unclosed("[", 4000)),
        ),
        rejected(
            "claims of objects 600 deep",
            LIMITS,
            INVALID_CLAIMS_JSON,
            t().map_claims_json(unclosed(r#"{"a":"#, 600)),
        ),
        rejected(
            "600 members of the same name",
            "RFC 7519 section 4",
            INVALID_CLAIMS_JSON,
            t().map_claims_json(|json| with(json, vec!["\"y\":1"; 600].join(",").as_bytes())),
        ),
        accepted(
            "a header with lists 100 deep",
            LIMITS,
            default_caller(),
            t().header("x", deep(100)),
        ),
        accepted("a header of 400 members", LIMITS, default_caller(), t().header("x", wide(400))),
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
