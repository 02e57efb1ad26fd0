//! The HTTP calls of the client side: to hosts that the [`Egress`] allows, bounded in time and
//! size, never redirected.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Method};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;

use super::egress::{Egress, ForbiddenAddress};
use super::failure::{Failure, FailureKind};
use super::form;
use crate::clock::{Clock, http_client, retry_after, timeout};
use crate::error::ConfigError;

/// The whole call, from the first byte sent to the last one received.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Metadata documents and token responses have a few kilobytes.
const MAX_BODY_BYTES: usize = 256 * 1024;
pub(super) const MAX_URL_BYTES: usize = 2048;
const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// Sends requests. Its methods have to run on the background thread, which has timers and I/O.
#[derive(Debug)]
pub(super) struct Http {
    client: Client,
    egress: Egress,
    clock: Arc<dyn Clock>,
}

/// A response whose body was read to the end.
pub(super) struct FullResponse {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    pub(super) retry_after: Option<Duration>,
}

/// The head of a response whose body was not read.
pub(super) struct ResponseHead {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
}

impl Http {
    pub(super) fn new(egress: Egress, clock: Arc<dyn Clock>) -> Result<Self, ConfigError> {
        let client = client(&egress).map_err(|_| {
            ConfigError::invalid(
                "TLS",
                "cannot be set up: the machine's root certificates could not be loaded",
            )
        })?;
        Ok(Self { client, egress, clock })
    }

    /// Checks that a URL may be called, without calling it.
    pub(super) fn check(&self, url: &str) -> Result<Url, Failure> {
        let url = (url.len() <= MAX_URL_BYTES).then(|| Url::parse(url).ok()).flatten();
        let url = url.ok_or_else(|| Failure::new(FailureKind::Forbidden, "it is not a URL"))?;
        match self.egress.check_url(&url) {
            Ok(()) => Ok(url),
            Err(why) => Err(Failure::new(FailureKind::Forbidden, why)),
        }
    }

    pub(super) async fn get_json(&self, url: &str) -> Result<FullResponse, Failure> {
        let request = self.client.get(self.check(url)?).header(ACCEPT, JSON);
        self.send(request).await
    }

    pub(super) async fn post_json(&self, url: &str, body: String) -> Result<FullResponse, Failure> {
        let request = self.client.post(self.check(url)?).header(ACCEPT, JSON);
        self.send(request.header(CONTENT_TYPE, JSON).body(body)).await
    }

    /// Posts a form, with the value of an `Authorization` header if there is one.
    pub(super) async fn post_form(
        &self,
        url: &str,
        pairs: &[(&str, &str)],
        authorization: Option<http::HeaderValue>,
    ) -> Result<FullResponse, Failure> {
        let request = self.client.post(self.check(url)?).header(ACCEPT, JSON);
        let request = request.header(CONTENT_TYPE, FORM).body(form::encode(pairs.iter().copied()));
        let request = match authorization {
            Some(value) => request.header(AUTHORIZATION, value),
            None => request,
        };
        self.send(request).await
    }

    /// Posts JSON and returns the head of the response. The body may be an event stream, which has
    /// no end; it is not read.
    pub(super) async fn post_json_for_head(
        &self,
        url: &str,
        accept: &str,
        body: String,
    ) -> Result<ResponseHead, Failure> {
        let request = self.client.post(self.check(url)?).header(ACCEPT, accept);
        let request = request.header(CONTENT_TYPE, JSON).body(body);
        let head = async {
            let response = request.send().await.map_err(call_failure)?;
            Ok(ResponseHead { status: response.status(), headers: response.headers().clone() })
        };
        self.limited(CALL_TIMEOUT, head).await
    }

    /// Sends a request and returns the response when its head has arrived within the limit. Its body
    /// is not bounded.
    pub(super) async fn send_for_body(
        &self,
        url: &str,
        method: Method,
        headers: HeaderMap,
        body: Bytes,
        limit: Duration,
    ) -> Result<Response, Failure> {
        let request = self.client.request(method, self.check(url)?).headers(headers).body(body);
        self.limited(limit, async { request.send().await.map_err(call_failure) }).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<FullResponse, Failure> {
        let exchange = async {
            let response = request.send().await.map_err(call_failure)?;
            let status = response.status();
            let retry_after = retry_after(response.headers(), self.clock.unix_time());
            let body = read_body(response).await?;
            Ok(FullResponse { status, body, retry_after })
        };
        self.limited(CALL_TIMEOUT, exchange).await
    }

    async fn limited<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let too_long = || Failure::new(FailureKind::Unavailable, "the call took too long");
        timeout(&*self.clock, limit, call).await.unwrap_or_else(|| Err(too_long()))
    }
}

impl FullResponse {
    /// Parses the body of a 200 or 201.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        if !matches!(self.status, StatusCode::OK | StatusCode::CREATED) {
            return Err(self.failure());
        }
        // The error of `serde_json` may quote the body.
        serde_json::from_slice(&self.body).map_err(|_| {
            Failure::new(FailureKind::Invalid, "the response is not the JSON object it has to be")
        })
    }

    /// Returns the failure that a status other than 200 means.
    pub(super) fn failure(&self) -> Failure {
        let kind = match self.status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => FailureKind::Unavailable,
            status if status.is_server_error() => FailureKind::Unavailable,
            _ => FailureKind::Invalid,
        };
        let detail = format!("the response has the status {}", self.status.as_u16());
        Failure::new(kind, detail).with_retry_after(self.retry_after)
    }
}

async fn read_body(mut response: Response) -> Result<Bytes, Failure> {
    let too_large = || Failure::new(FailureKind::Invalid, "the response is too large");
    if response.content_length().is_some_and(|length| length > MAX_BODY_BYTES as u64) {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(call_failure)? {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

pub(super) fn call_failure(error: reqwest::Error) -> Failure {
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.is::<ForbiddenAddress>() {
            return Failure::new(FailureKind::Forbidden, "its address is not public");
        }
        source = cause.source();
    }
    // The query of a URL may hold what a user typed.
    Failure::new(FailureKind::Unavailable, "the call failed").with_source(error.without_url())
}

fn client(egress: &Egress) -> Result<Client, reqwest::Error> {
    let builder = http_client()
        // A request that redeems a code or a refresh token must not meet a connection that the
        // server has just closed: it may not be sent twice, so the tokens would be lost.
        .pool_max_idle_per_host(0)
        .https_only(!egress.allows_http());
    let builder = if egress.uses_proxy() {
        builder
    } else {
        builder.no_proxy().dns_resolver(egress.resolver())
    };
    builder.build()
}
