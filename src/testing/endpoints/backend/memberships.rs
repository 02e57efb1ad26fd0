//! The memberships of organizations and of users.

use http::StatusCode;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{authenticate, not_found};
use crate::testing::request_log::RecordedRequest;
use crate::testing::response::{self, BackendApiError, FakeResponse};
use crate::testing::route;
use crate::testing::state::FakeInstance;

const DEFAULT_LIMIT: usize = 10;
const MAX_LIMIT: usize = 500;

/// `GET /v1/organizations/{organization_id}/memberships`.
pub(in crate::testing::endpoints) fn of_organization(
    instance: &FakeInstance,
    request: &RecordedRequest,
) -> Result<FakeResponse, BackendApiError> {
    authenticate(instance, request)?;
    let query = Query::of(request);
    let page = query.page()?;
    let records = instance.records();
    let id = route::organization_id(&request.path).ok_or(not_found())?;
    let organization = records.organizations.get(id).ok_or(not_found())?;
    let members = organization.members.iter().filter(|member| query.selects(&member.user_id));
    let members =
        members.map(|member| member.to_json(organization, records.users.get(&member.user_id)));
    Ok(page.response(members.collect()))
}

/// `GET /v1/users/{user_id}/organization_memberships`, sorted by the id of the organization.
pub(in crate::testing::endpoints) fn of_user(
    instance: &FakeInstance,
    request: &RecordedRequest,
) -> Result<FakeResponse, BackendApiError> {
    authenticate(instance, request)?;
    let page = Query::of(request).page()?;
    let records = instance.records();
    let id = route::member_id(&request.path).ok_or(not_found())?;
    let user = records.users.get(id).ok_or(not_found())?;
    let of_user = records.organizations.values().filter_map(|organization| {
        Some(organization.member(id)?.to_json(organization, Some(user)))
    });
    Ok(page.response(of_user.collect()))
}

struct Query(Vec<(String, String)>);

impl Query {
    fn of(request: &RecordedRequest) -> Self {
        let query = request.query.as_deref().unwrap_or_default();
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// Returns whether the parameters `user_id` select this user: each one includes a user, with a
    /// leading `-` it excludes one. A leading `+`, which is a space where it is not percent-encoded,
    /// changes nothing.
    fn selects(&self, user_id: &str) -> bool {
        let named = self.0.iter().filter(|(name, _)| name == "user_id" || name == "user_id[]");
        let (excluded, included): (Vec<_>, Vec<_>) =
            named.map(|(_, value)| value.as_str()).partition(|value| value.starts_with('-'));
        let is_excluded = excluded.iter().any(|value| value.strip_prefix('-') == Some(user_id));
        let is_included = |value: &&str| value.strip_prefix(['+', ' ']).unwrap_or(value) == user_id;
        !is_excluded && (included.is_empty() || included.iter().any(is_included))
    }

    fn page(&self) -> Result<Page, BackendApiError> {
        let limit = self.number("limit")?.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(invalid_number());
        }
        Ok(Page { limit, offset: self.number("offset")?.unwrap_or(0) })
    }

    fn number(&self, name: &str) -> Result<Option<usize>, BackendApiError> {
        let value = self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.parse());
        value.transpose().map_err(|_| invalid_number())
    }
}

struct Page {
    limit: usize,
    offset: usize,
}

impl Page {
    fn response(&self, all: Vec<Value>) -> FakeResponse {
        let total = all.len();
        let data: Vec<Value> = all.into_iter().skip(self.offset).take(self.limit).collect();
        response::json(StatusCode::OK, &json!({ "data": data, "total_count": total }))
    }
}

fn invalid_number() -> BackendApiError {
    BackendApiError {
        status: StatusCode::UNPROCESSABLE_ENTITY,
        code: "form_param_format_invalid",
        message: "limit must be between 1 and 500, and offset must not be negative.",
    }
}
