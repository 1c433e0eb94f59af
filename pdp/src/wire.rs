//! Between the wire's messages and the engine's types. Everything that comes in is checked here, once.

use bytes::Bytes;
use meshguard_engine::{
    AtLeast, Context, Decision, Digest, Effect, Envelope, ReasonCode, Refusal, Request, Revision, Stage, State,
};
use meshguard_proto::v1;

use crate::failure::Failure;

/// How long an approval may be waited for when the policy doesn't say, in milliseconds.
const APPROVAL_LIFE_MS: i64 = 60 * 60 * 1000;

// === in ===

/// A request as the engine reads it.
pub(crate) fn request(message: v1::PolicyRequest) -> Result<Request, Failure> {
    let bad = |text: String| Failure::bad_input(text);
    let actor = message.actor.unwrap_or_default();
    let mut request = Request::new(actor.id, message.action).resource(message.resource).entrypoint(message.entrypoint);
    request.actor.spiffe_id = actor.spiffe_id;
    request.actor.name = actor.name;
    request.actor.trust_tier = actor.trust_tier;
    request.actor.trust_score = actor.trust_score;
    request.actor.tags = actor.tags;
    request.actor.org_id = actor.org_id;
    if !message.context_json.is_empty() {
        let text = std::str::from_utf8(&message.context_json).map_err(|_| bad("context: not UTF-8".into()))?;
        request.context = Context::from_json(text).map_err(|e| bad(e.to_string()))?;
    }
    if !message.context_hash.is_empty() {
        // Of the bytes that came, so that nobody has to agree on what an absent context is.
        if Digest::from_slice(&message.context_hash) != Some(Digest::of(&message.context_json)) {
            return Err(bad("context_hash isn't the digest of context_json".into()));
        }
        request.context_hash = Digest::of(&message.context_json).to_string();
    }
    if let Some(at_least) = message.at_least_revision {
        request.at_least_revision = Some(AtLeast { key_epoch: at_least.key_epoch, version: at_least.version });
    }
    if let Some(tool) = message.mcp_tool {
        let named = !tool.server_name.is_empty();
        request.mcp_tool = if named { format!("{}/{}", tool.server_name, tool.name) } else { tool.name };
    }
    request.tenant_id = message.tenant_id;
    request.request_id = message.request_id;
    request.trace_id = message.trace_id;
    request.timestamp =
        if message.timestamp_unix_ms == 0 { String::new() } else { message.timestamp_unix_ms.to_string() };
    request.delegation = message.delegation.map(|delegation| delegation.delegation_id).unwrap_or_default();
    request.approval_id = message.approval_id;
    request.stage = message.stage;
    request.idempotency_key = message.idempotency_key;
    Ok(request)
}

/// A digest of 32 raw bytes.
pub(crate) fn digest(what: &str, bytes: &[u8]) -> Result<Digest, Failure> {
    Digest::from_slice(bytes).ok_or_else(|| Failure::bad_input(format!("{what}: a digest has 32 bytes")))
}

/// A revision with its digest; none if the message says none.
pub(crate) fn revision(message: Option<&v1::Revision>) -> Result<Option<Revision>, Failure> {
    let Some(message) = message else { return Ok(None) };
    let (key_epoch, version) = (message.key_epoch, message.version);
    Ok(Some(Revision { key_epoch, version, manifest: digest("revision", &message.manifest_digest)? }))
}

/// The name that admin output uses for an agent's state.
pub(crate) fn state(state: v1::SyncState) -> State {
    match state {
        v1::SyncState::Unspecified | v1::SyncState::Empty => State::Empty,
        v1::SyncState::Cached => State::Cached,
        v1::SyncState::Live => State::Live,
        v1::SyncState::Stale => State::Stale,
        v1::SyncState::Expired => State::Expired,
        v1::SyncState::Withdrawn => State::Withdrawn,
    }
}

/// Why an agent refused a revision.
pub(crate) fn refusal(nack: &v1::Nack) -> Refusal {
    use v1::nack::Stage as Wire;
    let stage = match nack.stage() {
        // Not said: as if the first check had refused.
        Wire::Unspecified | Wire::Signature => Stage::Signature,
        Wire::Tenant => Stage::Tenant,
        Wire::Version => Stage::Version,
        Wire::Expired => Stage::Expired,
        Wire::Digest => Stage::Digest,
        Wire::Limit => Stage::Limit,
        Wire::Parse => Stage::Parse,
        Wire::Compile => Stage::Compile,
        Wire::Smoke => Stage::Smoke,
        Wire::Store => Stage::Store,
    };
    let path = Some(clip(&nack.path, 255)).filter(|path| !path.is_empty());
    Refusal { stage, code: clip(&nack.code, 64), path, detail: clip(&nack.detail, 1024) }
}

/// At most `bytes` of a text from outside, whole characters only.
pub(crate) fn clip(text: &str, bytes: usize) -> String {
    text.char_indices().take_while(|(at, c)| at + c.len_utf8() <= bytes).map(|(_, c)| c).collect()
}

// === out ===

/// The answer that a decision is.
pub(crate) fn response(decision: &Decision) -> v1::PolicyResponse {
    let verdict = &decision.verdict;
    let reason = verdict.reasons.iter().find(|reason| !reason.message.is_empty());
    let approval = (verdict.effect == Effect::RequireApproval).then(|| {
        let asked = verdict.approval.clone().unwrap_or_default();
        let life = asked.ttl_s.map_or(APPROVAL_LIFE_MS, |s| i64::try_from(s).unwrap_or(i64::MAX).saturating_mul(1000));
        v1::Approval {
            id: decision.id.to_string(),
            approvers: asked.approvers,
            expires_at_unix_ms: decision.at_ms.saturating_add(life),
        }
    });
    let mode = if decision.would_be_effect.is_some() { v1::Mode::Audit } else { v1::Mode::Enforce };
    v1::PolicyResponse {
        request_id: decision.request_id.clone(),
        effect: effect(verdict.effect).into(),
        reason: reason.map(|reason| reason.message.clone()).unwrap_or_default(),
        reasons: verdict
            .reasons
            .iter()
            .map(|reason| v1::Reason { code: reason.code.to_string(), detail: reason.message.clone() })
            .collect(),
        matched_rule: verdict.rule.clone().unwrap_or_default(),
        policy_version: decision.revision.map(|revision| revision.order().to_string()).unwrap_or_default(),
        evaluation_id: decision.id.to_string(),
        evaluated_at_unix_ms: decision.at_ms,
        latency_us: decision.latency_ns / 1000,
        mode: mode.into(),
        would_be_effect: decision.would_be_effect.map_or(v1::Effect::Unspecified, effect).into(),
        approval,
        alert: verdict.alert.clone().unwrap_or_default(),
        obligations: verdict
            .obligations
            .iter()
            .map(|obligation| v1::Obligation {
                name: obligation.id.clone(),
                params_json: match obligation.parameters.is_empty() {
                    true => Bytes::new(),
                    false => serde_json::to_vec(&obligation.parameters).unwrap_or_default().into(),
                },
            })
            .collect(),
        bundle_digest: decision.revision.map(|revision| revision.manifest.as_bytes().to_vec()).unwrap_or_default(),
        policy_age_ms: decision.policy_age_ms,
        source: v1::Source::Remote.into(),
        revision: decision.revision.as_ref().map(to_revision),
        ..v1::PolicyResponse::default()
    }
}

/// The answer to a request that couldn't be judged. Never an allow, whatever a reader makes of it.
pub(crate) fn error(request_id: String, code: &str, message: String, retryable: bool) -> v1::PolicyResponse {
    v1::PolicyResponse {
        request_id,
        effect: v1::Effect::Error.into(),
        reason: message.clone(),
        reasons: vec![v1::Reason { code: code.to_owned(), detail: message.clone() }],
        mode: v1::Mode::Enforce.into(),
        error: Some(v1::ErrorInfo { code: code.to_owned(), message, retryable, retry_after_ms: 0 }),
        source: v1::Source::Remote.into(),
        ..v1::PolicyResponse::default()
    }
}

/// Whether the same request may be decided later, unchanged.
pub(crate) fn may_pass(code: ReasonCode) -> bool {
    use ReasonCode as R;
    matches!(
        code,
        R::NoBundle | R::Expired | R::BelowRequested | R::BelowFloor | R::Stale | R::ClockSuspect | R::AuditUnavailable
    )
}

pub(crate) fn effect(effect: Effect) -> v1::Effect {
    match effect {
        Effect::Allow => v1::Effect::Allow,
        Effect::Deny => v1::Effect::Deny,
        Effect::RequireApproval => v1::Effect::RequireApproval,
    }
}

pub(crate) fn to_revision(revision: &Revision) -> v1::Revision {
    v1::Revision {
        key_epoch: revision.key_epoch,
        version: revision.version,
        manifest_digest: revision.manifest.as_bytes().to_vec(),
    }
}

pub(crate) fn to_envelope(envelope: &Envelope) -> v1::Envelope {
    v1::Envelope {
        payload_type: envelope.payload_type.clone(),
        payload: envelope.payload.clone(),
        signatures: envelope
            .signatures
            .iter()
            .map(|signature| v1::Signature { key_id: signature.key_id.clone(), sig: signature.sig.to_vec() })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_keeps_what_it_says() {
        let message = v1::PolicyRequest {
            request_id: "r".into(),
            actor: Some(v1::Actor { id: "agent-7".into(), tags: vec!["t".into()], ..Default::default() }),
            action: "files.read".into(),
            context_json: Bytes::from_static(b"{ \"n\": 1.0 }"),
            context_hash: Digest::of(b"{ \"n\": 1.0 }").as_bytes().to_vec(),
            mcp_tool: Some(v1::McpTool { server_name: "git".into(), name: "push".into(), ..Default::default() }),
            delegation: Some(v1::Delegation { delegation_id: "d-1".into(), ..Default::default() }),
            at_least_revision: Some(v1::Revision { key_epoch: 1, version: 7, ..Default::default() }),
            ..Default::default()
        };
        let read = request(message.clone()).unwrap();
        assert_eq!(
            (read.actor.id.as_str(), read.mcp_tool.as_str(), read.delegation.as_str()),
            ("agent-7", "git/push", "d-1")
        );
        assert_eq!(read.context.as_json(), "{ \"n\": 1.0 }");
        assert_eq!(read.at_least_revision, Some(AtLeast { key_epoch: 1, version: 7 }));

        let other_hash = v1::PolicyRequest { context_hash: vec![0; 32], ..message.clone() };
        assert_eq!(request(other_hash).unwrap_err().code(), "bad_input");
        for context in [&b"{"[..], b"\xff", b"{} {}"] {
            let message = v1::PolicyRequest { context_json: context.into(), context_hash: vec![], ..message.clone() };
            assert_eq!(request(message).unwrap_err().code(), "bad_input");
        }
    }

    #[test]
    fn an_error_never_reads_as_an_allow() {
        let answer = error("r".into(), "no_bundle", "none".into(), true);
        assert_eq!(answer.effect(), v1::Effect::Error);
        assert!(answer.error.unwrap().retryable);
    }

    #[test]
    fn clipping_keeps_whole_characters() {
        assert_eq!(clip("aé", 2), "a");
        assert_eq!(clip("aé", 3), "aé");
    }
}
