//! What is known about memberships, for how long, and at the price of how many calls.

use std::time::Duration;

use clerk_mcp_tools::testing::{Fault, Route};
use clerk_mcp_tools::{
    AuthInfo, ClerkErrorKind, ClerkVerifier, Membership, Organization, SecretKey, TokenType,
};
use futures_util::future::join_all;

use super::{EDITOR, WRITE, acme, caller, calls, with_stale};
use crate::support::Fixture;

#[tokio::test]
async fn a_member_has_role_and_permissions_and_others_have_none() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    let acme = acme(&fixture);
    let member = caller(&fixture, &verifier, &acme).await;
    let organization = Organization::new(acme.id()).with_role(EDITOR).with_slug("acme");
    let expected = Membership::Member(organization.with_permissions([WRITE]));
    let membership = verifier.membership(&member).await.unwrap();
    assert_eq!(membership, expected);
    assert_eq!((membership.role(), membership.has_permission(WRITE)), (Some(EDITOR), true));
    let request = fixture.clerk.last_request(Route::OrganizationMemberships).unwrap();
    assert_eq!(
        request.query.as_deref(),
        Some(&*format!("user_id={}&limit=1", fixture.clerk.default_user_id()))
    );

    let other = fixture.clerk.create_organization("Other");
    let stranger = caller(&fixture, &verifier, &other).await;
    let user = || AuthInfo::for_user("user_1", "t".into());
    let session = Organization::new("org_1").with_role("org:admin");
    let rows = [
        (stranger, Membership::NotMember, 1),
        // Of an organization that was deleted.
        (user().org_id("org_gone").build(), Membership::NotMember, 1),
        (user().build(), Membership::NoOrganization, 0),
        (user().token_type(TokenType::ApiKey).build(), Membership::NoOrganization, 0),
        (AuthInfo::for_machine("mch_1", "t".into()).build(), Membership::Machine, 0),
        (AuthInfo::for_organization("org_1", "t".into()).build(), Membership::Organization, 0),
        (
            user().token_type(TokenType::SessionToken).organization(session.clone()).build(),
            Membership::Member(session),
            0,
        ),
        // A session token that does not say the role.
        (user().organization(Organization::new(other.id())).build(), Membership::NotMember, 1),
    ];
    for (caller, expected, further_calls) in rows {
        let before = calls(&fixture);
        assert_eq!(verifier.membership(&caller).await.unwrap(), expected, "{caller:?}");
        assert_eq!(verifier.membership(&caller).await.unwrap(), expected, "{caller:?}");
        assert_eq!(calls(&fixture) - before, further_calls, "{caller:?}");
    }
}

#[tokio::test]
async fn a_change_is_seen_after_the_time_to_the_second() {
    let fixture = Fixture::new().await;
    let acme = acme(&fixture);
    let rows = [
        (fixture.verifier(), 30),
        (
            fixture
                .verifier_builder()
                .membership_cache_ttl(Duration::from_secs(7))
                .build()
                .unwrap(),
            7,
        ),
    ];
    for (verifier, ttl) in rows {
        acme.set_member(fixture.clerk.default_user_id(), EDITOR, [WRITE]);
        let member = caller(&fixture, &verifier, &acme).await;
        let before = calls(&fixture);
        assert_eq!(verifier.membership(&member).await.unwrap().role(), Some(EDITOR));
        assert!(acme.remove_member(fixture.clerk.default_user_id()));
        fixture.advance(ttl - 1);
        assert_eq!(verifier.membership(&member).await.unwrap().role(), Some(EDITOR));
        fixture.advance(1);
        assert_eq!(verifier.membership(&member).await.unwrap(), Membership::NotMember);
        // That somebody is no member is known as long.
        acme.set_member(fixture.clerk.default_user_id(), EDITOR, [WRITE]);
        fixture.advance(ttl - 1);
        assert_eq!(verifier.membership(&member).await.unwrap(), Membership::NotMember);
        assert_eq!(calls(&fixture) - before, 2);
        fixture.advance(1);
        assert_eq!(verifier.membership(&member).await.unwrap().role(), Some(EDITOR));
    }
    // With zero, each request asks.
    let verifier = fixture.verifier_builder().membership_cache_ttl(Duration::ZERO).build().unwrap();
    let member = caller(&fixture, &verifier, &acme).await;
    let before = calls(&fixture);
    for _ in 0..3 {
        verifier.membership(&member).await.unwrap();
    }
    assert_eq!(calls(&fixture) - before, 3);
}

#[tokio::test]
async fn the_time_counts_from_the_question_and_not_from_the_answer() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    let acme = acme(&fixture);
    let member = caller(&fixture, &verifier, &acme).await;
    let (fault, gate) = Fault::hold();
    fixture.clerk.fault(Route::OrganizationMemberships, fault);
    let waiting = tokio::spawn({
        let (verifier, member) = (verifier.clone(), member.clone());
        async move { verifier.membership(&member).await }
    });
    gate.arrived(1).await;
    // Less than the time that a call may take.
    fixture.advance(4);
    gate.open();
    assert_eq!(waiting.await.unwrap().unwrap().role(), Some(EDITOR));
    fixture.clerk.heal_all();
    fixture.advance(25);
    verifier.membership(&member).await.unwrap();
    assert_eq!(calls(&fixture), 1);
    fixture.advance(1);
    verifier.membership(&member).await.unwrap();
    assert_eq!(calls(&fixture), 2);
}

#[tokio::test]
async fn all_who_wait_share_one_call() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    let acme = acme(&fixture);
    let member = caller(&fixture, &verifier, &acme).await;
    let (fault, gate) = Fault::hold();
    fixture.clerk.fault(Route::OrganizationMemberships, fault);
    let all = join_all((0..1000).map(|_| verifier.membership(&member)));
    let open = async {
        gate.arrived(1).await;
        gate.open();
    };
    let (all, ()) = futures_util::future::join(all, open).await;
    assert!(all.into_iter().all(|outcome| outcome.unwrap().role() == Some(EDITOR)));
    assert_eq!(calls(&fixture), 1);
}

#[tokio::test]
async fn what_is_forgotten_is_asked_for_again() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    let (acme, other) = (acme(&fixture), fixture.clerk.create_organization("Other"));
    other.set_member("user_2", EDITOR, [WRITE]);
    let first = caller(&fixture, &verifier, &acme).await;
    let second = AuthInfo::for_user("user_2", "t".into()).org_id(other.id()).build();
    type Forget = fn(&ClerkVerifier, &str);
    let by_user: Forget = ClerkVerifier::forget_user;
    let by_organization: Forget = ClerkVerifier::forget_organization;
    let rows = [
        (by_user, fixture.clerk.default_user_id(), 1, 0),
        (by_user, "user_2", 0, 1),
        (by_organization, acme.id(), 1, 0),
        (by_organization, other.id(), 0, 1),
        (by_user, acme.id(), 0, 0),
        (by_organization, "user_2", 0, 0),
        (by_user, "", 0, 0),
    ];
    for caller in [&first, &second] {
        verifier.membership(caller).await.unwrap();
    }
    for (forget, id, calls_of_first, calls_of_second) in rows {
        let before = calls(&fixture);
        forget(&verifier, id);
        verifier.membership(&first).await.unwrap();
        assert_eq!(calls(&fixture) - before, calls_of_first, "{id}");
        verifier.membership(&second).await.unwrap();
        assert_eq!(calls(&fixture) - before, calls_of_first + calls_of_second, "{id}");
    }
}

/// The answer to a question from before is neither kept nor given to those who come after.
#[tokio::test]
async fn a_call_that_began_before_is_not_the_answer() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    let acme = acme(&fixture);
    let member = caller(&fixture, &verifier, &acme).await;
    let old = r#"{"data":[],"total_count":0}"#;
    let (fault, gate) = Fault::hold();
    fixture.clerk.fault(Route::OrganizationMemberships, fault);
    let spawn = || {
        let (verifier, member) = (verifier.clone(), member.clone());
        tokio::spawn(async move { verifier.membership(&member).await })
    };
    let earlier = spawn();
    gate.arrived(1).await;
    verifier.forget_user(fixture.clerk.default_user_id());
    let later = spawn();
    gate.arrived(2).await;
    // Both are answered; the earlier one with what was true then.
    acme.set_member(fixture.clerk.default_user_id(), "org:admin", [WRITE]);
    gate.open();
    assert!(earlier.await.unwrap().is_ok());
    assert_eq!(later.await.unwrap().unwrap().role(), Some("org:admin"));
    assert_eq!(calls(&fixture), 2);
    fixture.clerk.heal_all();

    let (fault, gate) = Fault::hold();
    fixture.clerk.fault(Route::OrganizationMemberships, fault);
    fixture.advance(30);
    let earlier = spawn();
    gate.arrived(1).await;
    verifier.forget_organization(acme.id());
    fixture.clerk.fault(Route::OrganizationMemberships, crate::support::json_fault(old));
    assert!(earlier.await.unwrap().is_ok());
    fixture.clerk.heal_all();
    assert_eq!(verifier.membership(&member).await.unwrap().role(), Some("org:admin"));
}

#[tokio::test]
async fn an_outage_is_an_error_or_for_a_time_what_was_known() {
    let fixture = Fixture::new().await;
    let acme = acme(&fixture);
    let faults = [
        Fault::Down,
        Fault::Status { status: 429, retry_after: Some(1) },
        Fault::Status { status: 500, retry_after: None },
        Fault::Status { status: 503, retry_after: Some(1) },
    ];
    for fault in faults {
        let off = fixture.verifier();
        let on = with_stale(fixture.verifier_builder()).build().unwrap();
        let member = caller(&fixture, &off, &acme).await;
        for verifier in [&off, &on] {
            verifier.membership(&member).await.unwrap();
        }
        fixture.clerk.fault(Route::OrganizationMemberships, fault.clone());
        fixture.advance(29);
        assert_eq!(off.membership(&member).await.unwrap().role(), Some(EDITOR));
        fixture.advance(1);
        let error = off.membership(&member).await.unwrap_err();
        assert_eq!(error.kind(), ClerkErrorKind::Unavailable, "{fault:?}");
        assert_eq!(on.membership(&member).await.unwrap().role(), Some(EDITOR), "{fault:?}");
        fixture.advance(569);
        assert_eq!(on.membership(&member).await.unwrap().role(), Some(EDITOR));
        fixture.advance(1);
        let error = on.membership(&member).await.unwrap_err();
        assert_eq!(error.kind(), ClerkErrorKind::Unavailable, "{fault:?}");
        fixture.clerk.heal_all();
        fixture.advance(60);
        for verifier in [&off, &on] {
            assert_eq!(verifier.membership(&member).await.unwrap().role(), Some(EDITOR));
        }
    }
}

#[tokio::test]
async fn that_somebody_was_no_member_is_no_answer_in_an_outage() {
    let fixture = Fixture::new().await;
    let verifier = with_stale(fixture.verifier_builder()).build().unwrap();
    let other = fixture.clerk.create_organization("Other");
    let stranger = caller(&fixture, &verifier, &other).await;
    assert_eq!(verifier.membership(&stranger).await.unwrap(), Membership::NotMember);
    fixture.clerk.fault(Route::OrganizationMemberships, Fault::Down);
    fixture.advance(30);
    let error = verifier.membership(&stranger).await.unwrap_err();
    assert_eq!(error.kind(), ClerkErrorKind::Unavailable);
}

#[tokio::test]
async fn what_was_forgotten_is_no_answer_in_an_outage() {
    let fixture = Fixture::new().await;
    let verifier = with_stale(fixture.verifier_builder()).build().unwrap();
    let acme = acme(&fixture);
    let member = caller(&fixture, &verifier, &acme).await;
    verifier.membership(&member).await.unwrap();
    verifier.forget_organization(acme.id());
    fixture.clerk.fault(Route::OrganizationMemberships, Fault::Down);
    assert!(verifier.membership(&member).await.is_err());
}

#[tokio::test]
async fn a_pause_after_a_failure_makes_no_calls() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier();
    let acme = acme(&fixture);
    let member = caller(&fixture, &verifier, &acme).await;
    let fault = Fault::Status { status: 429, retry_after: Some(20) };
    fixture.clerk.fault(Route::OrganizationMemberships, fault);
    for (wait, passed) in [(20, 0), (20, 0), (13, 7)] {
        fixture.advance(passed);
        let error = verifier.membership(&member).await.unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(wait)));
    }
    assert_eq!(calls(&fixture), 1);
    fixture.clerk.heal_all();
    fixture.advance(13);
    assert!(verifier.membership(&member).await.is_ok());
}

#[tokio::test]
async fn the_limit_of_calls_is_that_of_the_opaque_tokens() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier_builder().max_calls_per_ten_seconds(8).build().unwrap();
    let acme = acme(&fixture);
    let members: Vec<_> = (0..5)
        .map(|i| AuthInfo::for_user(format!("user_{i}"), "t".into()).org_id(acme.id()).build())
        .collect();
    for member in &members[..4] {
        verifier.membership(member).await.unwrap();
    }
    let error = verifier.membership(&members[4]).await.unwrap_err();
    assert_eq!(error.kind(), ClerkErrorKind::Unavailable);
    assert_eq!(error.retry_after(), Some(Duration::from_millis(2500)));
    // Nothing is left for opaque tokens either.
    let outcome = clerk_mcp_tools::verify_clerk_token(&verifier, &fixture.opaque()).await;
    assert_eq!(outcome.unwrap_err().kind(), clerk_mcp_tools::VerifyErrorKind::Unavailable);
    let stats = verifier.stats();
    assert_eq!((stats.upstream_calls, stats.upstream_failures, stats.rate_limited), (4, 0, 2));
    // Who is known is not affected.
    assert!(verifier.membership(&members[0]).await.is_ok());
}

#[tokio::test]
async fn what_cannot_be_asked_is_an_error_that_says_why() {
    let fixture = Fixture::new().await;
    let public = fixture.public_verifier_builder().build().unwrap();
    let wrong_key = SecretKey::parse("sk_test_wrong").unwrap();
    let wrong_key = fixture.public_verifier_builder().secret_key(wrong_key).build().unwrap();
    let verifier = fixture.verifier();
    let user = || AuthInfo::for_user("user_1", "t".into());
    let foreign = user().org_id("org_1").issuer("https://other.example").build();
    let machine = AuthInfo::for_machine("mch_1", "t".into()).issuer("https://other.example");
    use ClerkErrorKind::{InvalidRequest, Unauthorized};
    let rows = [
        (&public, user().org_id("org_1").build(), InvalidRequest, "set CLERK_SECRET_KEY"),
        (&wrong_key, user().org_id("org_1").build(), Unauthorized, "set CLERK_SECRET_KEY"),
        (&verifier, foreign, InvalidRequest, "another issuer"),
        (&verifier, machine.build(), InvalidRequest, "another issuer"),
        (&verifier, user().org_id("org_1/../org_2").build(), InvalidRequest, "invalid form"),
        (&verifier, user().org_id("org_1?x").build(), InvalidRequest, "invalid form"),
        (&verifier, user().org_id("user_1").build(), InvalidRequest, "invalid form"),
        (
            &verifier,
            AuthInfo::for_user("-user_1", "t".into()).org_id("org_1").build(),
            InvalidRequest,
            "invalid form",
        ),
        (
            &verifier,
            user().org_id(format!("org_{}", "a".repeat(200))).build(),
            InvalidRequest,
            "form",
        ),
    ];
    for (verifier, caller, kind, expected) in rows {
        let error = verifier.membership(&caller).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{caller:?}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert_eq!(calls(&fixture), 1, "that with the wrong key");
}

#[tokio::test]
async fn memory_is_bounded() {
    let fixture = Fixture::new().await;
    let verifier = fixture.verifier_builder().membership_cache_bytes(64 * 1024).build().unwrap();
    let acme = acme(&fixture);
    let member =
        |i: usize| AuthInfo::for_user(format!("user_{i}"), "t".into()).org_id(acme.id()).build();
    for i in 0..300 {
        verifier.membership(&member(i)).await.unwrap();
    }
    let before = calls(&fixture);
    assert_eq!(before, 300);
    for i in 0..300 {
        verifier.membership(&member(i)).await.unwrap();
    }
    // An entry weighs more than 512 bytes: most have been evicted.
    assert!(calls(&fixture) - before > 150, "{}", calls(&fixture));
}
