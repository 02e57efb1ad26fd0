//! Fuzzes what a client reads in the `WWW-Authenticate` headers of an MCP server, one header per line of
//! input: nothing is made up, and no text inside of a quoted string is read as a challenge.

#![no_main]

use clerk_mcp_tools::fuzzing::challenge;
use clerk_mcp_tools::response::BearerChallenge;
use http::HeaderValue;
use libfuzzer_sys::fuzz_target;

const METADATA: &str = "https://mcp.example.com/.well-known/oauth-protected-resource";

fuzz_target!(|lines: &[u8]| {
    for line in lines.split(|byte| *byte == b'\n') {
        let Ok(header) = HeaderValue::from_bytes(line) else { continue };
        let found = challenge(&header);
        assert_eq!(challenge(&header), found);
        if let Some((metadata, scopes)) = found {
            let text = header.to_str().unwrap();
            assert!(text.len() <= 8192 && text.to_ascii_lowercase().contains("bearer"));
            // The backslashes of a quoted string are left out.
            let plain: String = text.chars().filter(|c| *c != '\\').collect();
            let is_there = |part: &str| {
                let part: String = part.chars().filter(|c| *c != '\\').collect();
                plain.contains(&part)
            };
            assert!(metadata.is_none_or(|metadata| is_there(&metadata)));
            for scope in scopes.iter().flat_map(|scopes| scopes.iter()) {
                assert!(!scope.is_empty() && is_there(scope));
            }
        }

        let Ok(text) = header.to_str() else { continue };
        // A tab is not written.
        if text.len() > 2000 || text.contains('\t') {
            continue;
        }
        // As a parameter of another scheme, before the challenge of a server.
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        let both = format!(
            "Basic realm=\"{quoted}\", Bearer resource_metadata=\"{METADATA}\", scope=\"a\""
        );
        let (metadata, scopes) = challenge(&HeaderValue::from_str(&both).unwrap()).unwrap();
        assert_eq!(metadata.as_deref(), Some(METADATA));
        assert_eq!(scopes.unwrap().to_string(), "a");
        // As this crate writes it.
        let written = BearerChallenge::new(text).to_header_value();
        let (metadata, scopes) = challenge(&written).unwrap();
        assert_eq!((metadata.as_deref(), scopes), (Some(text), None));
    }
});
