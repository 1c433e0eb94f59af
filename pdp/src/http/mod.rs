//! The HTTP front door.

mod admin;
mod audit;
mod evaluate;
mod json;
mod ops;
mod policy;
mod proxy;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Query, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use meshguard_engine::Identity;
use tonic::Status;

use crate::evaluate::Caller;
use crate::failure::Failure;
use crate::grpc;
use crate::state::State;
use crate::tenants::{DEFAULT_SCOPE, check_name};

type Shared = Arc<State>;

/// Both doors in one router: gRPC services lie under their names, HTTP under paths.
pub(crate) fn router(state: &Shared) -> Router {
    let limits = &state.limits;
    let http = Router::new()
        .route("/api/v1/pdp/evaluate", post(evaluate::one))
        .route("/api/v1/pdp/evaluate/batch", post(evaluate::batch))
        .route("/api/v1/pdp/policy/head", get(policy::head))
        .route("/api/v1/pdp/blob/{digest}", get(policy::blob))
        .route("/api/v1/audit/batch", post(audit::batch))
        .route("/v1/bundles/{file}", get(policy::bundle))
        .route("/proxy/check", get(proxy::check))
        .route("/health", get(ops::health))
        .route("/ready", get(ops::ready))
        .route("/metrics", get(ops::metrics))
        .route("/api/v1/admin/policies", get(admin::list_policies))
        .route("/api/v1/admin/policies/{tenant}/{scope}", get(admin::policy))
        .route("/api/v1/admin/tenants/{tenant}/publishers", put(admin::set_publishers))
        .route("/api/v1/admin/tenants/{tenant}/data", put(admin::set_data))
        .route("/api/v1/admin/edges", get(admin::edges))
        .route("/api/v1/admin/audit", get(admin::audit))
        .route("/api/v1/admin/audit/chains", get(admin::chains))
        .layer(DefaultBodyLimit::max(limits.message_bytes))
        .merge(
            Router::new()
                .route("/api/v1/admin/policies", post(admin::publish))
                .layer(DefaultBodyLimit::max(limits.bundle_bytes)),
        )
        .with_state(Arc::clone(state));
    grpc::routes(state).merge(http).fallback(nothing_here).method_not_allowed_fallback(not_this_way)
}

async fn nothing_here(request: Request) -> Response {
    let is_grpc = header_text(request.headers(), header::CONTENT_TYPE.as_str())
        .is_some_and(|kind| kind.starts_with("application/grpc"));
    if is_grpc {
        return Status::unimplemented("no such call here").into_http::<Body>();
    }
    Failure::not_found("no such path; see the contract").into_response()
}

async fn not_this_way() -> Response {
    let mut response = Failure::not_found("the path is called with another method").into_response();
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
}

// === impl Agent ===

/// A call by an agent: whose token, and which of the tenant's scopes.
struct Agent(Caller);

impl FromRequestParts<Shared> for Agent {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &Shared) -> Result<Self, Failure> {
        let identity = agent(state, &parts.headers)?;
        let scope = said(&parts.headers, grpc::SCOPE).map_err(Failure::bad_input)?.unwrap_or(DEFAULT_SCOPE).to_owned();
        check_name("scope", &scope).map_err(Failure::bad_input)?;
        Ok(Self(Caller { identity, scope }))
    }
}

fn agent(state: &State, headers: &HeaderMap) -> Result<Arc<Identity>, Failure> {
    let checked = authorization(headers).and_then(|authorization| state.auth.agent(authorization));
    checked.inspect_err(|_| state.metrics.unauthenticated.add(1))
}

fn authorization(headers: &HeaderMap) -> Result<Option<&str>, Failure> {
    said(headers, header::AUTHORIZATION.as_str()).map_err(Failure::unauthenticated)
}

// === impl Admin ===

/// A call by an administrator.
struct Admin;

impl FromRequestParts<Shared> for Admin {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &Shared) -> Result<Self, Failure> {
        let checked = authorization(&parts.headers).and_then(|authorization| state.auth.admin(authorization));
        checked.inspect_err(|_| state.metrics.unauthenticated.add(1))?;
        Ok(Self)
    }
}

// === impl Params ===

/// What follows the path's `?`; what can't be read is bad input, told like all else.
struct Params<T>(T);

impl<T: serde::de::DeserializeOwned> FromRequestParts<Shared> for Params<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Failure> {
        Query::try_from_uri(&parts.uri)
            .map(|Query(params)| Self(params))
            .map_err(|rejection| Failure::bad_input(rejection.body_text()))
    }
}

// === impl Whole ===

/// A body that came whole, in time, and within the path's limit.
struct Whole(Bytes);

impl FromRequest<Shared> for Whole {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &Shared) -> Result<Self, Failure> {
        let patience = state.limits.patience;
        match tokio::time::timeout(patience, Bytes::from_request(request, state)).await {
            Ok(Ok(bytes)) => Ok(Self(bytes)),
            Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(Failure::too_large("the body is larger than this path accepts"))
            }
            Ok(Err(_)) => Err(Failure::bad_input("the body broke off")),
            Err(_) => Err(Failure::bad_input(format!("the body took longer than {patience:?}"))),
        }
    }
}

/// What a header says on which the answer depends.
///
/// # Errors
/// It can't be read, or there are two: neither is as if there were none. Which header; nothing of what it holds.
pub(crate) fn said<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, String> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| format!("`{name}` must be visible ASCII")),
        (Some(_), Some(_)) => Err(format!("`{name}` came more than once; send it once")),
    }
}

/// What a header says of which nothing but convenience depends.
fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
