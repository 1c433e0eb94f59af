//! `MeshGuardSync`: what edges fetch, report and deliver.

use std::sync::Arc;

use meshguard_proto::v1;
use meshguard_proto::v1::mesh_guard_sync_server::MeshGuardSync;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::agent;
use crate::auth::same_tenant;
use crate::failure::Failure;
use crate::fleet::{Key, Reported};
use crate::ingest::ingest;
use crate::state::State;
use crate::tenants::check_name;
use crate::{versions, wire};

/// Bytes in one piece of a body.
const CHUNK: usize = 64 * 1024;

pub(super) struct Sync(pub(super) Arc<State>);

#[async_trait]
impl MeshGuardSync for Sync {
    type FetchStream = ReceiverStream<Result<v1::Chunk, Status>>;

    async fn fetch(&self, request: Request<v1::FetchRequest>) -> Result<Response<Self::FetchStream>, Status> {
        let identity = agent(&self.0, request.metadata())?;
        let request = request.into_inner();
        same_tenant(&identity, &request.tenant_id)?;
        let digest = wire::digest("digest", &request.digest)?;
        let open = self.0.streams.open(identity.tenant())?;
        let tenant = identity.tenant().to_owned();
        let body = self.0.on_disk(move |state| versions::body(state.store.as_ref(), &tenant, &digest)).await?;
        let body = body.map_err(Failure::from)?.ok_or_else(|| Failure::not_found("no such body for this tenant"))?;
        let total = body.len();
        let mut at = usize::try_from(request.offset).unwrap_or(usize::MAX);
        if at > total {
            return Err(Status::out_of_range(format!("the body has {total} bytes")));
        }
        let (chunks, receiver) = mpsc::channel(4);
        tokio::spawn(async move {
            let _open = open;
            // At least one, so that an empty body is an answer too.
            loop {
                let end = (at + CHUNK).min(total);
                let chunk = v1::Chunk {
                    digest: request.digest.clone(),
                    offset: at as u64,
                    total_size: total as u64,
                    data: body.slice(at..end),
                };
                at = end;
                if chunks.send(Ok(chunk)).await.is_err() || at == total {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn report(&self, request: Request<v1::AgentReport>) -> Result<Response<v1::ReportDirective>, Status> {
        let identity = agent(&self.0, request.metadata())?;
        let report = request.into_inner();
        same_tenant(&identity, &report.tenant_id)?;
        check_name("instance", &report.instance_id).map_err(Failure::bad_input)?;
        check_name("scope", &report.scope).map_err(Failure::bad_input)?;
        let key = Key {
            tenant: identity.tenant().to_owned(),
            agent: identity.subject().to_owned(),
            instance: report.instance_id.clone(),
            scope: report.scope.clone(),
        };
        match self.0.on_disk(move |state| state.fleet.report(&key, &report)).await?? {
            Reported::Acked => self.0.metrics.acks.add(1),
            Reported::Refused => self.0.metrics.nacks.add(1),
            Reported::Nothing => {}
        }
        let directive = v1::ReportDirective { kind: v1::report_directive::Kind::Ok.into(), after_ms: 0 };
        Ok(Response::new(directive))
    }

    type IngestAuditStream = ReceiverStream<Result<v1::AuditAck, Status>>;

    async fn ingest_audit(
        &self,
        request: Request<Streaming<v1::AuditBatch>>,
    ) -> Result<Response<Self::IngestAuditStream>, Status> {
        let identity = agent(&self.0, request.metadata())?;
        let open = self.0.streams.open(identity.tenant())?;
        let (acks, receiver) = mpsc::channel(4);
        let state = Arc::clone(&self.0);
        let mut batches = request.into_inner();
        tokio::spawn(async move {
            let _open = open;
            // One after the other: an ack says that everything before it is kept.
            loop {
                let message = tokio::select! {
                    message = batches.message() => message,
                    () = acks.closed() => return,
                    () = state.stopped() => Err(Failure::unavailable("stopping", "the server is stopping").into()),
                };
                let ack = match message {
                    Ok(None) => return,
                    Ok(Some(batch)) => match state.auth.still(&identity) {
                        Ok(()) => ingest(&state, &identity, batch).await.map_err(Status::from),
                        Err(expired) => Err(expired.into()),
                    },
                    Err(status) => Err(status),
                };
                let last = ack.is_err();
                if acks.send(ack).await.is_err() || last {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}
