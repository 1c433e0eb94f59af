//! What administrators do. Every call here takes the admin token, which no agent holds.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use meshguard_engine::{PublicKey, Refusal, Revision, Stage};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Admin, Params, Shared, Whole};
use crate::error::Error;
use crate::failure::Failure;
use crate::locks::read;
use crate::publish::PublishError;

/// Audit records in one page, unless asked for fewer.
const PAGE: usize = 1000;

/// Keys that a tenant's publishers may have.
const MAX_KEYS: usize = 64;

/// Which tenant a call is about; all, if it may be and none is named.
#[derive(Deserialize)]
pub(super) struct Tenant {
    tenant: Option<String>,
}

/// Which page of the audit records.
#[derive(Deserialize)]
pub(super) struct Page {
    tenant: String,
    after: Option<String>,
    newest: Option<u64>,
    limit: Option<usize>,
}

#[derive(Serialize)]
struct Policy {
    tenant: String,
    scope: String,
    revision: Revision,
    issued_at_ms: i64,
    expires_at_ms: i64,
    published_at_ms: i64,
    files: usize,
    active: bool,
}

/// `POST /api/v1/admin/policies`: publishes a signed bundle's archive.
pub(super) async fn publish(_: Admin, State(state): State<Shared>, body: Whole) -> Result<Response, Failure> {
    match state.on_disk(move |state| state.tenants.publish(&body.0)).await? {
        Ok(version) => {
            state.metrics.published.add(1);
            let body = json!({
                "tenant": version.manifest.tenant, "scope": version.manifest.scope, "revision": version.revision,
                "files": version.manifest.files.len(),
            });
            Ok((StatusCode::CREATED, Json(body)).into_response())
        }
        Err(PublishError::Refused(refusal)) => {
            state.metrics.refused.add(1);
            Ok(refused(&refusal))
        }
        Err(PublishError::Failed(error)) => Err(Failure::internal(&error)),
    }
}

/// `GET /api/v1/admin/policies?tenant=`: every version kept.
pub(super) async fn list_policies(
    _: Admin,
    State(state): State<Shared>,
    Params(query): Params<Tenant>,
) -> Result<Response, Failure> {
    let list = state
        .on_disk(move |state| {
            let mut list = vec![];
            for tenant in state.tenants.all() {
                if query.tenant.as_ref().is_some_and(|named| *named != tenant.name) {
                    continue;
                }
                for scope in tenant.all_scopes() {
                    let served = scope.served().map(|version| version.revision);
                    list.extend(read(&scope.history).values().map(|version| Policy {
                        tenant: tenant.name.clone(),
                        scope: scope.name.clone(),
                        revision: version.revision,
                        issued_at_ms: version.manifest.issued_at_ms,
                        expires_at_ms: version.manifest.expires_at_ms,
                        published_at_ms: version.published_at_ms,
                        files: version.manifest.files.len(),
                        active: served == Some(version.revision),
                    }));
                }
            }
            list
        })
        .await?;
    Ok(Json(list).into_response())
}

/// `GET /api/v1/admin/policies/{tenant}/{scope}`: the manifest that is served, as it was signed.
pub(super) async fn policy(
    _: Admin,
    State(state): State<Shared>,
    Path((tenant, scope)): Path<(String, String)>,
) -> Result<Response, Failure> {
    let served =
        state.on_disk(move |state| state.tenants.scope(&tenant, &scope).and_then(|scope| scope.served())).await?;
    let version = served.ok_or_else(|| Failure::not_found("nothing is served for this tenant and scope"))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], version.envelope.payload.clone()).into_response())
}

/// `PUT /api/v1/admin/tenants/{tenant}/publishers`: exactly these keys may publish from now on.
pub(super) async fn set_publishers(
    _: Admin,
    State(state): State<Shared>,
    Path(tenant): Path<String>,
    body: Whole,
) -> Result<Response, Failure> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Publishers {
        keys: Vec<String>,
    }
    let publishers: Publishers = from_json(&body)?;
    if publishers.keys.len() > MAX_KEYS {
        return Err(Failure::bad_input(format!("at most {MAX_KEYS} keys")));
    }
    let mut seen = BTreeSet::new();
    let mut keys = vec![];
    for pem in &publishers.keys {
        let key = PublicKey::from_pem(pem).map_err(|e| Failure::bad_input(e.to_string()))?;
        if seen.insert(key.id()) {
            keys.push(key);
        }
    }
    let named = tenant.clone();
    state.on_disk(move |state| state.tenants.set_publishers(&named, keys)).await?.map_err(failed)?;
    Ok(Json(json!({"tenant": tenant, "keys": seen})).into_response())
}

/// `PUT /api/v1/admin/tenants/{tenant}/data`: what is held under the tenant's remote roots, all of it.
pub(super) async fn set_data(
    _: Admin,
    State(state): State<Shared>,
    Path(tenant): Path<String>,
    body: Whole,
) -> Result<Response, Failure> {
    let data: Value = from_json(&body)?;
    if !data.is_object() {
        return Err(Failure::bad_input("the data is a JSON object: what lies under `data`"));
    }
    let named = tenant.clone();
    match state.on_disk(move |state| state.tenants.set_data(&named, data)).await? {
        Ok(true) => Ok(Json(json!({"tenant": tenant})).into_response()),
        Ok(false) => Err(Failure::not_found("no such tenant; register its publishers first")),
        Err(Error::Engine(meshguard_engine::Error::Refused(refusal))) => Ok(refused(&refusal)),
        Err(error) => Err(failed(error)),
    }
}

/// `GET /api/v1/admin/edges?tenant=`: every edge heard of lately.
pub(super) async fn edges(
    _: Admin,
    State(state): State<Shared>,
    Params(query): Params<Tenant>,
) -> Result<Response, Failure> {
    Ok(Json(state.fleet.list(query.tenant.as_deref())).into_response())
}

/// `GET /api/v1/admin/audit?tenant=&after=&newest=&limit=`: records in the order of their arrival, after a cursor or as
/// many as `newest` says before the end; `next` is the cursor to go on from, also when nothing has come since.
pub(super) async fn audit(
    _: Admin,
    State(state): State<Shared>,
    Params(page): Params<Page>,
) -> Result<Response, Failure> {
    #[derive(Serialize)]
    struct Records {
        records: Vec<crate::ledger::Entry>,
        next: String,
    }
    let after = match page.after.as_deref().unwrap_or_default() {
        "" => 0,
        cursor => {
            cursor.parse().map_err(|_| Failure::bad_input("`after` is no cursor; use `next` of an earlier page"))?
        }
    };
    let limit = page.limit.unwrap_or(PAGE).min(PAGE);
    let read = move |state: &crate::state::State| {
        let after = match page.newest {
            Some(newest) => after.max(state.ledger.end(&page.tenant)?.saturating_sub(newest)),
            None => after,
        };
        state.ledger.read(&page.tenant, after, limit)
    };
    let (records, next) = state.on_disk(read).await??;
    Ok(Json(Records { records, next: next.to_string() }).into_response())
}

/// `GET /api/v1/admin/audit/chains?tenant=`: how far each chain is kept.
pub(super) async fn chains(
    _: Admin,
    State(state): State<Shared>,
    Params(query): Params<Tenant>,
) -> Result<Response, Failure> {
    let tenant = query.tenant.ok_or_else(|| Failure::bad_input("name the tenant: `?tenant=`"))?;
    let chains = state.on_disk(move |state| state.ledger.chains(&tenant)).await??;
    let chains = chains.iter().map(|chain| {
        json!({
            "chain_id": chain.chain_id, "agent_id": chain.agent_id, "next_seq": chain.next_seq,
            "records": chain.next_seq.saturating_sub(chain.lost), "lost": chain.lost, "last_ms": chain.last_ms,
        })
    });
    Ok(Json(chains.collect::<Vec<_>>()).into_response())
}

/// What is older than, or other than, what was accepted is a conflict; everything else is the bundle's own fault.
fn refused(refusal: &Refusal) -> Response {
    let status = match refusal.stage {
        Stage::Version => StatusCode::CONFLICT,
        Stage::Store => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    (status, Json(refusal)).into_response()
}

fn failed(error: Error) -> Failure {
    match error {
        Error::Config(text) => Failure::bad_input(text),
        other => Failure::internal(&other),
    }
}

fn from_json<'a, T: Deserialize<'a>>(body: &'a Whole) -> Result<T, Failure> {
    serde_json::from_slice(&body.0).map_err(|e| Failure::bad_input(format!("body: {e}")))
}
