//! The gRPC front door.

mod pdp;
mod sync;

use std::sync::Arc;

use meshguard_engine::Identity;
use meshguard_proto::v1::mesh_guard_pdp_server::MeshGuardPdpServer;
use meshguard_proto::v1::mesh_guard_sync_server::MeshGuardSyncServer;
use tonic::Status;
use tonic::metadata::MetadataMap;
use tonic::service::Routes;

use crate::evaluate::Caller;
use crate::failure::Failure;
use crate::state::State;
use crate::tenants::{DEFAULT_SCOPE, check_name};

/// Metadata that names the scope to ask; for edges of another scope than `default`. HTTP has the same as a header.
pub(crate) const SCOPE: &str = "x-meshguard-scope";

/// The services as routes. What isn't registered answers UNIMPLEMENTED.
pub(crate) fn routes(state: &Arc<State>) -> axum::Router {
    let limit = state.limits.message_bytes;
    let pdp = MeshGuardPdpServer::new(pdp::Pdp(Arc::clone(state))).max_decoding_message_size(limit);
    let sync = MeshGuardSyncServer::new(sync::Sync(Arc::clone(state))).max_decoding_message_size(limit);
    Routes::new(pdp).add_service(sync).into_axum_router()
}

fn agent(state: &State, metadata: &MetadataMap) -> Result<Arc<Identity>, Status> {
    if state.is_stopping() {
        // Not judged: the client keeps what it has and comes back.
        return Err(Failure::unavailable("stopping", "the server is stopping").into());
    }
    let checked = said(metadata, "authorization").map_err(Failure::unauthenticated);
    let checked = checked.and_then(|authorization| state.auth.agent(authorization));
    Ok(checked.inspect_err(|_| state.metrics.unauthenticated.add(1))?)
}

fn caller(state: &State, metadata: &MetadataMap) -> Result<Caller, Status> {
    let identity = agent(state, metadata)?;
    let scope = said(metadata, SCOPE).map_err(Failure::bad_input)?.unwrap_or(DEFAULT_SCOPE).to_owned();
    check_name("scope", &scope).map_err(Failure::bad_input)?;
    Ok(Caller { identity, scope })
}

/// See [`crate::http::said`].
fn said<'a>(metadata: &'a MetadataMap, name: &str) -> Result<Option<&'a str>, String> {
    crate::http::said(metadata.as_ref(), name)
}
