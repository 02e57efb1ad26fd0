//! User objects of the Backend API.

use serde_json::{Map, Value, json};

use super::ids::Ids;

/// Returns a user object with the members of `given`, and those of an example user for the rest.
pub(crate) fn user(ids: &Ids, id: &str, given: Map<String, Value>, now_ms: u64) -> Value {
    let email_id = ids.id("idn_");
    let mut user = example_user(id, &email_id, now_ms);
    if let Value::Object(members) = &mut user {
        members.insert("email_addresses".into(), json!([email_address(&email_id, now_ms)]));
        members.extend(given);
    }
    user
}

fn example_user(id: &str, email_id: &str, now_ms: u64) -> Value {
    json!({
        "id": id,
        "object": "user",
        "username": "ada",
        "first_name": "Ada",
        "last_name": "Lovelace",
        "locale": null,
        "image_url": "https://img.clerk.com/preview.png",
        "has_image": false,
        "primary_email_address_id": email_id,
        "primary_phone_number_id": null,
        "primary_web3_wallet_id": null,
        "password_enabled": true,
        "two_factor_enabled": false,
        "totp_enabled": false,
        "backup_code_enabled": false,
        "phone_numbers": [],
        "web3_wallets": [],
        "passkeys": [],
        "external_accounts": [],
        "enterprise_accounts": [],
        "public_metadata": {},
        "private_metadata": {},
        "unsafe_metadata": {},
        "external_id": null,
        "banned": false,
        "locked": false,
        "delete_self_enabled": true,
        "create_organization_enabled": true,
        "last_sign_in_at": now_ms,
        "last_active_at": now_ms,
        "legal_accepted_at": null,
        "created_at": now_ms,
        "updated_at": now_ms,
    })
}

fn email_address(id: &str, now_ms: u64) -> Value {
    json!({
        "id": id,
        "object": "email_address",
        "email_address": "ada@example.com",
        "reserved": false,
        "verification": {
            "object": "verification_admin",
            "status": "verified",
            "strategy": "admin",
            "attempts": null,
            "expire_at": null,
        },
        "linked_to": [],
        "matches_sso_connection": false,
        "created_at": now_ms,
        "updated_at": now_ms,
    })
}
