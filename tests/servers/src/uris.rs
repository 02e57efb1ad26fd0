//! Templates and URIs: whatever a server matches or resolves to a guarded resource needs its scope.

use std::collections::{BTreeSet, HashMap};

use clerk_mcp_tools::access_policy::{Operation, Requirement};
use clerk_mcp_tools::{AccessPolicy, Scopes};
use pmcp::shared::uri_template::UriTemplate;
use tower_mcp::ResourceTemplateBuilder;
use tower_mcp::protocol::ReadResourceResult;

use crate::requests;
use crate::rng::Rng;
use crate::targets::{self, RESOURCES};

const EXPRESSIONS: [&str; 16] = [
    "{id}", "{id}", "{id}", "{+path}", "{+path}", "{a,b}", "{id*}", "{id:3}", "{?q}", "{?q,r}",
    "{&q}", "{/seg}", "{.ext}", "{;x}", "{#frag}", "{_x1}",
];

fn template(rng: &mut Rng) -> String {
    let prefixes = ["users://", "file:///", "https://h.example/", "urn:a:", "db://main/"];
    let mut template = rng.pick(&prefixes).to_owned();
    for index in 0..1 + rng.below(4) {
        if index > 0 {
            template.push_str(rng.pick(&["/", "/", "-", ".", ""]));
        }
        if rng.once_in(2) {
            template.push_str(rng.pick(&["a", "notes", "x.y", "b@c", "%C3%A4"]));
        } else {
            template.push_str(rng.pick(&EXPRESSIONS));
        }
    }
    template
}

/// Puts something in the place of each expression, and sometimes adds something.
fn expanded(rng: &mut Rng, template: &str) -> String {
    const VALUES: [&str; 24] = [
        "42", "a", "a/b", "a?x", "a#x", "?", "#", "a,b", "%2F", "%61", "\u{e4}", "a b", "..", ".",
        "a=b", "?q=1", "?q=1&r=2", "&q=1", "/s", ".e", ";x=1", "a\nb", "%", "a:b@c",
    ];
    let mut uri = String::new();
    let mut rest = template;
    while let Some((literal, expression)) = rest.split_once('{') {
        let (_, after) = expression.split_once('}').unwrap_or((expression, ""));
        uri.push_str(literal);
        for _ in 0..[0, 1, 1, 1, 2][rng.below(5)] {
            uri.push_str(rng.pick(&VALUES));
        }
        rest = after;
    }
    uri.push_str(rest);
    match rng.below(10) {
        0 => uri.push_str(rng.pick(&["?", "#", "/", "?x=1", "#x", "?q=a&x", "%00"])),
        1 => uri = uri.to_uppercase(),
        2 => uri = uri.replacen("//", "///", 1),
        _ => {}
    }
    uri
}

#[test]
fn a_template_as_a_rule_covers_what_a_server_matches_with_it() {
    let scope = Scopes::parse("guarded").unwrap();
    let mut rng = Rng::new(3);
    let (mut policies, mut matches) = (0, [0, 0]);
    for _ in 0..4_000 {
        let template = template(&mut rng);
        let policy = AccessPolicy::baseline_by_default().resource(template.as_str(), scope.clone());
        // A rule that is not canonical is an error at the start.
        let Ok(policy) = policy.build() else { continue };
        policies += 1;
        let tower_mcp = ResourceTemplateBuilder::new(template.as_str()).name("t").try_handler(
            |uri: String, _: HashMap<String, String>| async move {
                Ok(ReadResourceResult::text(uri, ""))
            },
        );
        let pmcp = UriTemplate::new(template.as_str());
        for _ in 0..50 {
            let uri = expanded(&mut rng, &template);
            let by_server = [
                tower_mcp.as_ref().is_ok_and(|template| template.match_uri(&uri).is_some()),
                // pmcp compiles a pattern for each match.
                rng.once_in(4)
                    && pmcp.as_ref().is_ok_and(|template| template.match_uri(&uri).is_some()),
            ];
            let operation = Operation::new("resources/read").named(uri.as_str());
            let needed = policy.required_by(&operation);
            let is_covered = needed == Requirement::from(scope.clone());
            for (matched, count) in by_server.into_iter().zip(&mut matches) {
                *count += usize::from(matched);
                assert!(!matched || is_covered, "{template} {uri:?}: {needed:?}");
            }
        }
    }
    println!(
        "templates: {policies}; matched by tower-mcp: {}, by pmcp: {}",
        matches[0], matches[1]
    );
    assert!(policies > 2_000 && matches[0] > 20_000 && matches[1] > 5_000);
}

#[test]
fn every_spelling_of_a_guarded_uri_needs_its_scope() {
    let policy = targets::policy(targets::Default::Baseline);
    let mut rng = Rng::new(4);
    let (mut resolved, mut rejected_plain) = (0, 0);
    for _ in 0..200_000 {
        let uri = requests::uri(&mut rng);
        let operation = Operation::new("resources/read").named(uri.as_str());
        let needed: BTreeSet<String> = match policy.required_by(&operation) {
            Requirement::Scopes(scopes) => scopes.iter().map(str::to_owned).collect(),
            _ => continue,
        };
        for index in targets::readings(&uri) {
            resolved += 1;
            assert!(needed.contains(&format!("resource:{index}")), "{uri:?}: {}", RESOURCES[index]);
        }
        rejected_plain += usize::from(needed.len() > 1);
    }
    println!("readings: {resolved}; URIs that may mean any resource: {rejected_plain}");
    assert!(resolved > 150_000);
}
