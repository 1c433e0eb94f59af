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
    let authorization = metadata.get("authorization").and_then(|value| value.to_str().ok());
    Ok(state.auth.agent(authorization).inspect_err(|_| state.metrics.unauthenticated.add(1))?)
}

fn caller(state: &State, metadata: &MetadataMap) -> Result<Caller, Status> {
    let identity = agent(state, metadata)?;
    let scope = match metadata.get(SCOPE) {
        None => DEFAULT_SCOPE.to_owned(),
        Some(value) => value.to_str().map(str::to_owned).map_err(|_| Failure::bad_input("scope: not ASCII"))?,
    };
    check_name("scope", &scope).map_err(Failure::bad_input)?;
    Ok(Caller { identity, scope })
}
