//! Audit records over HTTP, where gRPC is blocked: the same messages, the same rules.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use meshguard_proto::v1::AuditBatch;
use prost::Message;

use super::{Agent, Shared, Whole};
use crate::failure::Failure;
use crate::ingest::ingest;

/// `POST /api/v1/audit/batch`: a protobuf `AuditBatch` in, a protobuf `AuditAck` out.
pub(super) async fn batch(State(state): State<Shared>, Agent(caller): Agent, body: Whole) -> Result<Response, Failure> {
    let batch = AuditBatch::decode(body.0).map_err(|e| Failure::bad_input(format!("no AuditBatch: {e}")))?;
    let ack = ingest(&state, &caller.identity, batch).await?;
    Ok(([(header::CONTENT_TYPE, "application/x-protobuf")], ack.encode_to_vec()).into_response())
}
