//! Taking audit records in: from edges by either front door, and from the control plane's own engines.

use std::sync::Arc;

use bytes::Bytes;
use meshguard_engine::{Engine, Identity};
use meshguard_proto::v1;

use crate::auth::same_tenant;
use crate::failure::Failure;
use crate::ledger::Delivery;
use crate::state::State;
use crate::wire;

/// The agent whose chains the control plane's own decisions are.
pub(crate) const OWN_AGENT: &str = "control-plane";

/// Records of our own taken over in one go, and their bytes.
const OWN_RECORDS: usize = 1024;
const OWN_BYTES: usize = 1024 * 1024;

/// Takes an edge's batch. The acknowledgement is made once it is synced.
pub(crate) async fn ingest(
    state: &Arc<State>,
    identity: &Arc<Identity>,
    batch: v1::AuditBatch,
) -> Result<v1::AuditAck, Failure> {
    same_tenant(identity, &batch.tenant_id)?;
    if batch.events.len() > state.limits.audit_records {
        let text = format!("{} records in a batch; send at most {}", batch.events.len(), state.limits.audit_records);
        return Err(Failure::too_large(text));
    }
    let chain = wire::digest("chain_id", &batch.chain_id)?;
    let identity = Arc::clone(identity);
    let (taken, batch_id, chain_id) = state
        .on_disk(move |state| {
            let delivery = Delivery {
                tenant: identity.tenant(),
                agent: identity.subject(),
                chain,
                first_seq: batch.first_seq,
                records: &batch.events,
            };
            state.ledger.take(&delivery).map(|taken| (taken, batch.batch_id, batch.chain_id))
        })
        .await??;
    state.metrics.audit_records.add(taken.stored);
    state.metrics.audit_duplicates.add(taken.duplicates);
    state.metrics.audit_gaps.add(taken.gap.into());
    state.metrics.audit_lost.add(taken.lost);
    state.metrics.audit_rejects.add(taken.rejects.len() as u64);
    Ok(v1::AuditAck {
        chain_id,
        acked_through: Some(taken.next),
        backoff_ms: 0,
        need_from: taken.gap.then_some(taken.next),
        rejects: taken
            .rejects
            .iter()
            .map(|(seq, code)| v1::AuditReject { seq: *seq, code: (*code).to_owned() })
            .collect(),
        batch_id,
        receipt: None,
    })
}

/// Takes over what the control plane's own engines have recorded. Blocks.
pub(crate) fn take_own(state: &State) {
    for tenant in state.tenants.all() {
        for scope in tenant.all_scopes() {
            // One batch at a time, so that an engine can be opened anew in between.
            while let Some(Ok(true)) = scope.ask(|engine| {
                take_batch(state, &tenant.name, engine).inspect_err(|failure| {
                    tracing::error!(
                        tenant = tenant.name,
                        failure = failure.message(),
                        "own records can't be taken over"
                    );
                })
            }) {}
        }
    }
}

/// Says whether there may be more.
fn take_batch(state: &State, tenant: &str, engine: &Engine) -> Result<bool, Failure> {
    let Some(batch) = engine.journal().next_batch(OWN_RECORDS, OWN_BYTES)? else { return Ok(false) };
    let records: Vec<Bytes> = batch.records.into_iter().map(Bytes::from).collect();
    let delivery =
        Delivery { tenant, agent: OWN_AGENT, chain: batch.chain, first_seq: batch.first_seq, records: &records };
    let taken = state.ledger.take(&delivery)?;
    state.metrics.audit_records.add(taken.stored);
    if taken.gap {
        return Err(Failure::internal(&format!("own chain {} has a gap before {}", batch.chain, batch.first_seq)));
    }
    engine.journal().ack(batch.chain, taken.next)?;
    Ok(true)
}
