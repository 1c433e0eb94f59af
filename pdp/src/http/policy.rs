//! Policies over HTTP: for edges where gRPC is blocked, and for plain OPA.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use meshguard_engine::Digest;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::{Agent, Params, Shared, header_text, json};
use crate::failure::Failure;
use crate::tenants::{DEFAULT_SCOPE, check_name};
use crate::versions::{self, Version};
use crate::wire;

/// The longest that a call for the head waits, whatever it asks for.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Which scope a call is about.
#[derive(Deserialize)]
pub(super) struct Scope {
    scope: Option<String>,
}

/// `GET /api/v1/pdp/policy/head?scope=`: the signed manifest that is served. With `If-None-Match` and `Prefer: wait=N`
/// it waits up to N seconds for another one; 304 if there is none.
pub(super) async fn head(
    State(state): State<Shared>,
    Agent(caller): Agent,
    Params(query): Params<Scope>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let scope = query.scope.unwrap_or_else(|| DEFAULT_SCOPE.to_owned());
    check_name("scope", &scope).map_err(Failure::bad_input)?;
    let tenant = caller.identity.tenant();
    let wait = wait(&headers);
    // Who waits holds a place, as a stream does.
    let _open = if wait.is_zero() { None } else { Some(state.streams.open(tenant)?) };
    let mut heads = state.tenants.heads.watch(tenant, &scope);
    let known = header_text(&headers, header::IF_NONE_MATCH.as_str()).unwrap_or_default().to_owned();
    let is_news = |head: &crate::heads::Head| head.as_ref().is_some_and(|version| !matches(&known, version));
    tokio::select! {
        _ = heads.wait_for(is_news) => {}
        () = tokio::time::sleep(wait) => {}
        () = state.stopped() => {}
    }
    let Some(version) = heads.borrow().clone() else {
        return Err(Failure::not_found("nothing is published for this scope"));
    };
    let etag = [(header::ETAG, etag(&version))];
    if matches(&known, &version) {
        return Ok((StatusCode::NOT_MODIFIED, etag).into_response());
    }
    let envelope = String::from_utf8(version.envelope.to_json()).ok().and_then(|text| RawValue::from_string(text).ok());
    let body = json!({
        "scope": scope,
        "revision": json::revision(&wire::to_revision(&version.revision)),
        "manifest": envelope,
    });
    Ok((etag, [(header::CACHE_CONTROL, "no-cache")], Json(body)).into_response())
}

/// `GET /api/v1/pdp/blob/{digest}`: a file of the tenant's, by the digest of its content.
pub(super) async fn blob(
    State(state): State<Shared>,
    Agent(caller): Agent,
    Path(digest): Path<String>,
) -> Result<Response, Failure> {
    let digest: Digest = digest.parse().map_err(|e| Failure::bad_input(format!("digest: {e}")))?;
    let tenant = caller.identity.tenant().to_owned();
    let body = state.on_disk(move |state| versions::body(state.store.as_ref(), &tenant, &digest)).await??;
    let body = body.ok_or_else(|| Failure::not_found("no such body for this tenant"))?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        // Private: the digest is no credential, and the tenant's cache is the tenant's.
        (header::CACHE_CONTROL, "private, max-age=31536000, immutable".to_owned()),
        (header::ETAG, format!("\"{digest}\"")),
    ];
    Ok((headers, body).into_response())
}

/// `GET /v1/bundles/{scope}.tar.gz`: what is served, as plain OPA reads it.
pub(super) async fn bundle(
    State(state): State<Shared>,
    Agent(caller): Agent,
    Path(file): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let nothing = || Failure::not_found("no such bundle; ask for `<scope>.tar.gz`");
    let scope = file.strip_suffix(".tar.gz").ok_or_else(nothing)?;
    let head = state.tenants.heads.watch(caller.identity.tenant(), scope).borrow().clone();
    let version = head.ok_or_else(nothing)?;
    let etag = [(header::ETAG, etag(&version))];
    if header_text(&headers, header::IF_NONE_MATCH.as_str()).is_some_and(|known| matches(known, &version)) {
        return Ok((StatusCode::NOT_MODIFIED, etag).into_response());
    }
    let archive = state
        .on_disk(move |state| version.signed_bundle(state.store.as_ref()).map(|signed| signed.to_tar_gz()))
        .await???;
    Ok((etag, [(header::CONTENT_TYPE, "application/gzip")], archive).into_response())
}

fn etag(version: &Version) -> String {
    format!("\"{}\"", version.revision.manifest)
}

/// `If-None-Match` against a version (RFC 9110, section 13.1.2): a list, where weak tags count as well.
fn matches(known: &str, version: &Version) -> bool {
    let own = etag(version);
    known.split(',').map(|tag| tag.trim().trim_start_matches("W/")).any(|tag| tag == own || tag == "*")
}

/// `Prefer: wait=N` (RFC 7240, section 4.3).
fn wait(headers: &HeaderMap) -> Duration {
    let preferences = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    preferences
        .flat_map(|value| value.split([',', ';']))
        .find_map(|preference| preference.trim().strip_prefix("wait=")?.trim_matches('"').parse().ok())
        .map_or(Duration::ZERO, |seconds| Duration::from_secs(seconds).min(MAX_WAIT))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn preferences() {
        let of = |value: &'static str| {
            wait(&HeaderMap::from_iter([(header::HeaderName::from_static("prefer"), HeaderValue::from_static(value))]))
        };
        assert_eq!(of("wait=30"), Duration::from_secs(30));
        assert_eq!(of("modes=snapshot,delta;wait=10"), Duration::from_secs(10));
        assert_eq!(of("respond-async, wait=99999"), MAX_WAIT);
        assert_eq!(of("wait=soon"), Duration::ZERO);
        assert_eq!(wait(&HeaderMap::new()), Duration::ZERO);
    }
}
