//! Makes an instance from the settings of its builder.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use serde_json::{Map, Value};

use super::builder::FakeClerkBuilder;
use super::faults::Faults;
use super::request_log::RequestLog;
use super::state::client::Client;
use super::state::ids::Ids;
use super::state::organization::{Membership, Organization};
use super::state::records::Records;
use super::state::resources::Resources;
use super::state::signing_keys::SigningKey;
use super::state::user::user;
use super::state::{DefaultIds, FakeInstance, InstanceConfig};
use crate::instance::{BackendApi, FrontendApi, InstanceType, PublishableKey};

impl FakeClerkBuilder {
    pub(super) fn into_instance(self, address: SocketAddr) -> io::Result<FakeInstance> {
        let origin = self.origin.clone().unwrap_or_else(|| format!("http://{address}"));
        let frontend_api = FrontendApi::parse(&origin).map_err(io::Error::other)?;
        let host = frontend_api.issuer().split_once("://").map(|(_, host)| host);
        let ids = Ids::new()?;
        let key = SigningKey::generate(ids.id("ins_"))?;
        let defaults = DefaultIds {
            user_id: ids.id("user_"),
            client_id: ids.id("client_"),
            organization_id: ids.id("org_"),
        };
        let records = initial_records(&ids, key, &defaults, &self)?;
        Ok(FakeInstance {
            address,
            publishable_key: PublishableKey::for_host(
                InstanceType::Development,
                host.unwrap_or_default(),
            )
            .map_err(io::Error::other)?,
            backend_api: BackendApi::parse(frontend_api.issuer()).map_err(io::Error::other)?,
            frontend_api,
            config: InstanceConfig {
                clock: self.clock,
                secret_key: self.secret_key.unwrap_or_else(|| format!("sk_test_{}", ids.secret())),
                token_lifetime: self.token_lifetime,
                grantable_scopes: self
                    .grantable_scopes
                    .unwrap_or_else(|| self.scopes_supported.clone()),
                scopes_supported: self.scopes_supported,
                dynamic_registration: self.dynamic_registration,
                registration_limits_scopes: self.registration_limits_scopes,
                redirect_schemes: self.redirect_schemes,
                require_offline_access: self.require_offline_access,
                refresh_token_lifetime: self.refresh_token_lifetime,
                revoke_on_refresh_token_reuse: self.revoke_on_refresh_token_reuse,
                interactive: self.interactive,
                api_keys: self.api_keys,
                machine_tokens: self.machine_tokens,
            },
            ids,
            defaults,
            http: http_client()?,
            log: RequestLog::default(),
            faults: Faults::default(),
            records: Mutex::new(records),
            foreign_key: OnceLock::new(),
        })
    }
}

/// Returns the records with the default client, user and organization, and the users of the builder.
fn initial_records(
    ids: &Ids,
    key: SigningKey,
    defaults: &DefaultIds,
    builder: &FakeClerkBuilder,
) -> io::Result<Records> {
    let now_ms = builder.clock.unix_time().as_secs().saturating_mul(1000);
    let resources = Resources::new(builder.resources.clone(), builder.include_audience);
    let mut records = Records::new(builder.token_format, resources, key);
    let redirect_uri = "http://127.0.0.1/callback".to_owned();
    records.add_client(Client::public(defaults.client_id.clone(), redirect_uri));
    let default_user = user(ids, &defaults.user_id, Map::new(), now_ms);
    records.users.insert(defaults.user_id.clone(), default_user);
    add_default_organization(ids, &mut records, defaults, builder.clock.unix_time());
    for given in &builder.users {
        let (id, members) = id_and_members(given)?;
        let user = user(ids, id, members.clone(), now_ms);
        records.users.insert(id.to_owned(), user);
    }
    Ok(records)
}

fn add_default_organization(
    ids: &Ids,
    records: &mut Records,
    defaults: &DefaultIds,
    now: Duration,
) {
    let id = defaults.organization_id.clone();
    let mut organization = Organization::new(id.clone(), "Default".to_owned(), now);
    let admin = Membership::admin(ids.id("orgmem_"), defaults.user_id.clone(), now);
    organization.set_member(admin);
    records.organizations.insert(id.clone(), organization);
    records.chosen_organization = Some(id);
}

fn id_and_members(user: &Value) -> io::Result<(&str, &Map<String, Value>)> {
    let id = user.get("id").and_then(Value::as_str);
    id.zip(user.as_object()).ok_or_else(|| {
        let problem = "a user must be a JSON object with an id";
        io::Error::new(io::ErrorKind::InvalidInput, problem)
    })
}

/// Without redirects: a sign-in reads them, and a client metadata document must not redirect the
/// server to another host. Without a proxy: most requests go to this machine.
fn http_client() -> io::Result<reqwest::Client> {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .map_err(io::Error::other)
}
