//! Sets of scopes, and scope hierarchies.

use std::collections::BTreeSet;

use clerk_mcp_tools::{AuthInfo, ScopeHierarchy, Scopes};
use proptest::prelude::*;

use super::{config, scope_token, some_scopes};

fn set(scopes: &Scopes) -> BTreeSet<&str> {
    scopes.iter().collect()
}

/// Implications among the names of `some_scopes`.
fn implications() -> impl Strategy<Value = Vec<(String, Scopes)>> {
    proptest::collection::vec(("[a-e]", some_scopes()), 0..6)
}

fn hierarchy(implications: &[(String, Scopes)]) -> ScopeHierarchy {
    let add = |hierarchy: ScopeHierarchy, (broad, narrow): &(String, Scopes)| {
        hierarchy.implies(broad, narrow.iter()).unwrap()
    };
    implications.iter().fold(ScopeHierarchy::new(), add)
}

/// The granted scopes with all implied ones, by applying the implications repeatedly.
fn reach(granted: &Scopes, implications: &[(String, Scopes)]) -> BTreeSet<String> {
    let mut reached: BTreeSet<String> = granted.iter().map(str::to_owned).collect();
    for _ in 0..=implications.len() {
        for (_, narrow) in implications
            .iter()
            .filter(|(broad, _)| reached.contains(broad))
            .cloned()
            .collect::<Vec<_>>()
        {
            reached.extend(narrow.iter().map(str::to_owned));
        }
    }
    reached
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_list_round_trips(tokens in proptest::collection::vec(scope_token(), 0..6)) {
        let scopes = Scopes::new(&tokens).unwrap();
        prop_assert_eq!(set(&scopes), tokens.iter().map(String::as_str).collect());
        prop_assert_eq!(scopes.len(), set(&scopes).len());
        prop_assert_eq!(&Scopes::parse(&scopes.to_string()).unwrap(), &scopes);
        let json = serde_json::to_string(&scopes).unwrap();
        prop_assert_eq!(serde_json::from_str::<Scopes>(&json).unwrap(), scopes);
    }

    #[test]
    fn only_scope_tokens_are_accepted(text in ".{0,6}") {
        let is_scope_char = |c| matches!(c, '!' | '#'..='[' | ']'..='~');
        let is_token = !text.is_empty() && text.chars().all(is_scope_char);
        prop_assert_eq!(Scopes::new([&text]).is_ok(), is_token);
    }

    #[test]
    fn a_union_has_the_scopes_of_both(a in some_scopes(), b in some_scopes(), c in some_scopes()) {
        let both = a.union(&b);
        prop_assert_eq!(set(&both), set(&a).union(&set(&b)).copied().collect());
        prop_assert_eq!(a.union(&b).union(&c), a.union(&b.union(&c)));
        prop_assert_eq!(&a.union(&a), &a);
        prop_assert_eq!(&a.union(&Scopes::none()), &a);
    }

    #[test]
    fn implications_are_transitive(
        implications in implications(),
        granted in some_scopes(),
        more in some_scopes(),
        required in some_scopes(),
    ) {
        let hierarchy = hierarchy(&implications);
        let reached = reach(&granted, &implications);
        let expected = required.iter().all(|scope| reached.contains(scope));
        prop_assert_eq!(hierarchy.grants_all(&granted, &required), expected);
        // Granting more scopes never revokes a permission.
        prop_assert!(!expected || hierarchy.grants_all(&granted.union(&more), &required));

        let caller = AuthInfo::for_user("user_1", "token".into()).client_id("client_1");
        let caller = caller.scopes(granted).build();
        prop_assert_eq!(caller.require_scopes(&required, &hierarchy).is_ok(), expected);
        for scope in required.iter() {
            prop_assert_eq!(caller.has_scope(scope, &hierarchy), reached.contains(scope));
        }
    }
}
