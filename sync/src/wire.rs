//! Messages into the engine's types and back. The only place that does; whatever a message leaves open, or says with a
//! number that this version doesn't know, is read as the refusing choice.

use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use meshguard_engine::audit::AuditBatch;
use meshguard_engine::bundle::{FileEntry, Signature};
use meshguard_engine::{
    Approval, AtLeast, Digest, Effect, Envelope, Manifest, Obligation, Reason, ReasonCode, Refusal, Request, Revision,
    Stage, State, Status, Verdict,
};
use meshguard_proto::v1;
use serde_json::{Map, Value};

use crate::status::{AppliedOutcome, Deferred};

/// The version of the protocol spoken.
pub(crate) const PROTOCOL: u32 = 1;

/// The largest body asked for inside an event, in bytes; larger ones are fetched.
pub(crate) const INLINE_MAX_BYTES: u64 = 1024 * 1024;

/// Reasons kept of a remote answer, and the bytes kept of each one's words.
const MAX_REASONS: usize = 16;
const MAX_WORDS: usize = 1024;

// === questions and answers ===

/// A request on its way to the gateway, asking for an answer at least as new as what is held here.
pub(crate) fn request(request: &Request, tenant: &str, held: Option<AtLeast>) -> v1::PolicyRequest {
    let at_least = request.at_least_revision.max(held);
    // Without an actor the request is about whoever is bound to it, and not about whose token carries the question.
    let bound = request.bound_identity().filter(|_| request.actor.id.is_empty());
    let actor_id = bound.map_or_else(|| request.actor.id.clone(), |identity| identity.subject().to_owned());
    v1::PolicyRequest {
        tenant_id: tenant.to_owned(),
        request_id: request.request_id.clone(),
        actor: Some(v1::Actor {
            id: actor_id,
            spiffe_id: request.actor.spiffe_id.clone(),
            name: request.actor.name.clone(),
            trust_tier: request.actor.trust_tier.clone(),
            trust_score: request.actor.trust_score,
            tags: request.actor.tags.clone(),
            org_id: request.actor.org_id.clone(),
        }),
        action: request.action.clone(),
        resource: request.resource.clone(),
        context_json: Bytes::copy_from_slice(request.context.as_json().as_bytes()),
        trace_id: request.trace_id.clone(),
        // The host's own text; the wire wants milliseconds, and nobody trusts it anyway.
        timestamp_unix_ms: request.timestamp.parse().unwrap_or(0),
        delegation: (!request.delegation.is_empty())
            .then(|| v1::Delegation { delegation_id: request.delegation.clone(), ..v1::Delegation::default() }),
        approval_id: request.approval_id.clone(),
        // The host's hash is of its own making, for its own use; the wire's is BLAKE3 and would be compared.
        context_hash: Vec::new(),
        stage: request.stage.clone(),
        mcp_tool: mcp_tool(&request.mcp_tool),
        idempotency_key: request.idempotency_key.clone(),
        entrypoint: request.entrypoint.clone(),
        at_least_revision: at_least.map(|at| v1::Revision {
            key_epoch: at.key_epoch,
            version: at.version,
            manifest_digest: Vec::new(),
        }),
    }
}

/// `server/tool`, or just a tool. Without a server's name nothing is split off: the other side puts a slash only behind one,
/// and must read what was said here.
fn mcp_tool(text: &str) -> Option<v1::McpTool> {
    let (server, name) = text.split_once('/').filter(|(server, _)| !server.is_empty()).unwrap_or(("", text));
    (!text.is_empty()).then(|| v1::McpTool {
        server_name: server.to_owned(),
        name: name.to_owned(),
        ..v1::McpTool::default()
    })
}

/// What the remote PDP decided, and under which revision.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) verdict: Verdict,
    pub(crate) revision: Option<Revision>,
}

/// Reads a decision out of an answer.
///
/// # Errors
/// It isn't one: an error, an unknown effect, a failure mode's stand-in, or something that contradicts itself. In words.
pub(crate) fn answer(asked: &v1::PolicyRequest, response: v1::PolicyResponse) -> Result<Answer, String> {
    if response.request_id != asked.request_id {
        return Err("it answered another question".into());
    }
    if let Some(error) = &response.error {
        return Err(format!("{}: {}", cut(&error.code), cut(&error.message)));
    }
    let effect = bound_effect(&response)?;
    if effect != Effect::Deny && response.failure_mode_applied != v1::FailureMode::Unspecified as i32 {
        return Err("its failure mode answered, and not its policy".into());
    }
    let revision = response.revision.as_ref().map(|r| revision(r).ok_or("its revision has no digest")).transpose()?;
    match revision {
        None if effect != Effect::Deny => return Err("it names no bundle".into()),
        Some(revision) if !names(&response.bundle_digest, revision) => {
            return Err("it names two bundles at once".into());
        }
        _ => {}
    }
    let approval = (effect == Effect::RequireApproval).then(|| approval(&response));
    Ok(Answer {
        revision,
        verdict: Verdict {
            effect,
            reasons: reasons(&response),
            rule: (!response.matched_rule.is_empty()).then(|| cut(&response.matched_rule)),
            obligations: response.obligations.iter().map(obligation).collect::<Result<_, _>>()?,
            approval,
            alert: (!response.alert.is_empty()).then(|| cut(&response.alert)),
        },
    })
}

/// Whether a bundle's digest, if it is said, is this revision's.
fn names(digest: &[u8], revision: Revision) -> bool {
    digest.is_empty() || digest == revision.manifest.as_bytes()
}

/// The effect that the policy gave. Mode `audit` lets a host go ahead in spite of the policy; that is for the bundle held
/// here to say, and never for an answer.
fn bound_effect(response: &v1::PolicyResponse) -> Result<Effect, String> {
    let effect = match response.mode() {
        v1::Mode::Audit => response.would_be_effect(),
        v1::Mode::Enforce | v1::Mode::Unspecified => response.effect(),
    };
    match effect {
        v1::Effect::Allow => Ok(Effect::Allow),
        v1::Effect::Deny => Ok(Effect::Deny),
        v1::Effect::RequireApproval => Ok(Effect::RequireApproval),
        v1::Effect::Error => Err("it couldn't judge, and didn't say why".into()),
        v1::Effect::Unspecified => Err("it has no effect that this version knows".into()),
    }
}

fn reasons(response: &v1::PolicyResponse) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = response.reasons.iter().take(MAX_REASONS).map(reason).collect();
    if reasons.is_empty() {
        reasons.push(Reason::new(ReasonCode::Policy, cut(&response.reason)));
    }
    reasons
}

/// A code that this version doesn't know is shown, and not acted on.
fn reason(reason: &v1::Reason) -> Reason {
    match serde_json::from_value::<ReasonCode>(Value::String(reason.code.clone())) {
        Ok(code) => Reason::new(code, cut(&reason.detail)),
        Err(_) => Reason::new(ReasonCode::Policy, format!("{}: {}", cut(&reason.code), cut(&reason.detail))),
    }
}

/// Parameters that can't be read mean an obligation that can't be met.
fn obligation(obligation: &v1::Obligation) -> Result<Obligation, String> {
    let parameters = if obligation.params_json.is_empty() {
        Map::new()
    } else {
        serde_json::from_slice(&obligation.params_json)
            .map_err(|_| format!("the parameters of its obligation `{}` are no JSON object", cut(&obligation.name)))?
    };
    Ok(Obligation { id: obligation.name.clone(), parameters })
}

fn approval(response: &v1::PolicyResponse) -> Approval {
    let Some(approval) = &response.approval else { return Approval::default() };
    let left_ms = approval.expires_at_unix_ms.saturating_sub(response.evaluated_at_unix_ms);
    let ttl_s = (approval.expires_at_unix_ms > 0).then(|| u64::try_from(left_ms / 1000).unwrap_or(0));
    Approval { approvers: approval.approvers.clone(), ttl_s }
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_WORDS).collect()
}

// === revisions, envelopes, files ===

/// A revision, if its digest is one.
pub(crate) fn revision(revision: &v1::Revision) -> Option<Revision> {
    Some(Revision {
        key_epoch: revision.key_epoch,
        version: revision.version,
        manifest: Digest::from_slice(&revision.manifest_digest)?,
    })
}

pub(crate) fn to_revision(revision: Revision) -> v1::Revision {
    v1::Revision {
        key_epoch: revision.key_epoch,
        version: revision.version,
        manifest_digest: revision.manifest.as_bytes().to_vec(),
    }
}

pub(crate) fn envelope(envelope: v1::Envelope) -> Envelope {
    Envelope {
        payload_type: envelope.payload_type,
        payload: envelope.payload,
        signatures: envelope
            .signatures
            .into_iter()
            .map(|signature| Signature { key_id: signature.key_id, sig: signature.sig.into() })
            .collect(),
    }
}

/// Which revision an envelope claims to be. Nobody vouches for it; for reports and logs.
pub(crate) fn claimed_revision(envelope: &Envelope) -> Option<Revision> {
    let manifest = Manifest::parse(&envelope.payload).ok()?;
    Some(manifest.revision(Digest::of(&envelope.payload)))
}

/// A file's body as it came inside an event.
pub(crate) enum Body {
    Inline(Bytes),
    ByReference,
}

/// What an event says about one file.
///
/// # Errors
/// The stable code of what this version can't act on; the update it belongs to is void.
pub(crate) fn file_op(op: v1::FileOp) -> Result<(FileEntry, Body), &'static str> {
    if op.kind() != v1::file_op::Kind::Put {
        return Err("unknown_operation");
    }
    let codec = op.codec();
    let body = match op.body {
        Some(v1::file_op::Body::Inline(bytes)) if codec == v1::Codec::Identity => Body::Inline(bytes),
        Some(v1::file_op::Body::Inline(_)) => return Err("unknown_codec"),
        Some(v1::file_op::Body::ByReference(true)) => Body::ByReference,
        Some(v1::file_op::Body::ByReference(false)) | None => return Err("no_body"),
    };
    let digest = Digest::from_slice(&op.digest).ok_or("no_digest")?;
    Ok((FileEntry { path: op.path, size: op.size, digest }, body))
}

// === what an agent says ===

/// Opens a stream.
pub(crate) fn subscription(
    status: &Status,
    who: &Who,
    wants_snapshot: bool,
    last_outcome: Option<&AppliedOutcome>,
) -> v1::PolicySubscription {
    let held = status.revision.filter(|_| !wants_snapshot);
    v1::PolicySubscription {
        protocol: PROTOCOL,
        tenant_id: status.tenant.clone(),
        agent_id: who.agent_id.clone(),
        instance_id: who.instance_id.clone(),
        scopes: vec![status.scope.clone()],
        have: held
            .map(|revision| v1::Have {
                scope: status.scope.clone(),
                revision: Some(to_revision(revision)),
                last_event_unix_ms: 0,
            })
            .into_iter()
            .collect(),
        root_version: 0,
        capabilities: Some(v1::Capabilities {
            inline_max_bytes: INLINE_MAX_BYTES,
            codecs: vec![v1::Codec::Identity.into()],
            engine_version: status.engine_version.to_owned(),
            spec_version: "rego.v1".to_owned(),
            ..v1::Capabilities::default()
        }),
        last_outcome: last_outcome.map(outcome),
        state: state(status.state).into(),
        bodies_by_reference: false,
    }
}

/// Whose streams and reports these are.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    pub(crate) agent_id: String,
    /// A UUID of this opening.
    pub(crate) instance_id: String,
}

/// Says where the agent stands.
pub(crate) fn report(
    status: &Status,
    who: &Who,
    session_id: Option<String>,
    head: Option<AtLeast>,
    last_outcome: Option<&AppliedOutcome>,
    deferred: Deferred,
) -> v1::AgentReport {
    let served = status.revision.map(|revision| revision.order());
    v1::AgentReport {
        instance_id: who.instance_id.clone(),
        agent_id: who.agent_id.clone(),
        session_id: session_id.unwrap_or_default(),
        scope: status.scope.clone(),
        outcome: last_outcome.map(outcome),
        active: status.revision.map(to_revision),
        state: state(status.state).into(),
        behind: status.behind.is_some() || head > served,
        audit: Some(v1::AuditProgress {
            chain_id: chain(status.audit.chain),
            next_seq: status.audit.next_seq,
            acked_seq: status.audit.acked_seq,
            pending: status.audit.pending,
            dropped: 0,
        }),
        engine_version: status.engine_version.to_owned(),
        decisions: Some(v1::DecisionCounters {
            allow: status.decisions.allow,
            deny: status.decisions.deny,
            require_approval: status.decisions.require_approval,
            error: 0,
            deferred: deferred.asked,
            cached: 0,
            fail_closed: (deferred.unavailable + deferred.errors + deferred.busy).saturating_sub(deferred.failed_open),
            fail_open: deferred.failed_open,
        }),
        tenant_id: status.tenant.clone(),
    }
}

pub(crate) fn state(state: State) -> v1::SyncState {
    match state {
        State::Empty => v1::SyncState::Empty,
        State::Cached => v1::SyncState::Cached,
        State::Live => v1::SyncState::Live,
        State::Stale => v1::SyncState::Stale,
        State::Expired => v1::SyncState::Expired,
        State::Withdrawn => v1::SyncState::Withdrawn,
    }
}

pub(crate) fn outcome(outcome: &AppliedOutcome) -> v1::Outcome {
    let verdict = match &outcome.refusal {
        None => v1::outcome::Verdict::Ack(v1::Ack {}),
        Some(refusal) => v1::outcome::Verdict::Nack(v1::Nack {
            stage: stage(refusal.stage).into(),
            code: refusal.code.clone(),
            path: refusal.path.clone().unwrap_or_default(),
            detail: cut(&refusal.detail),
        }),
    };
    v1::Outcome {
        revision: outcome.revision.map(to_revision),
        verdict: Some(verdict),
        duration_us: outcome.duration_us,
    }
}

fn stage(stage: Stage) -> v1::nack::Stage {
    match stage {
        Stage::Signature => v1::nack::Stage::Signature,
        Stage::Tenant => v1::nack::Stage::Tenant,
        Stage::Version => v1::nack::Stage::Version,
        Stage::Expired => v1::nack::Stage::Expired,
        Stage::Digest => v1::nack::Stage::Digest,
        Stage::Limit => v1::nack::Stage::Limit,
        Stage::Parse => v1::nack::Stage::Parse,
        Stage::Compile => v1::nack::Stage::Compile,
        Stage::Smoke => v1::nack::Stage::Smoke,
        Stage::Store => v1::nack::Stage::Store,
    }
}

// === audit ===

pub(crate) fn chain(chain: Digest) -> Vec<u8> {
    chain.as_bytes().to_vec()
}

pub(crate) fn audit_batch(batch: AuditBatch, tenant: &str, batch_id: String) -> v1::AuditBatch {
    v1::AuditBatch {
        batch_id,
        tenant_id: tenant.to_owned(),
        chain_id: chain(batch.chain),
        first_seq: batch.first_seq,
        events: batch.records.into_iter().map(Bytes::from).collect(),
        prev_hash: Vec::new(),
        end_hash: Vec::new(),
    }
}

// === failures ===

/// A refusal found on this side of the engine.
pub(crate) fn refusal(stage: Stage, code: &str, path: Option<&str>, detail: impl Into<String>) -> Refusal {
    Refusal { stage, code: code.to_owned(), path: path.map(str::to_owned), detail: detail.into() }
}

/// What a failed call to the gateway means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It wasn't reached, isn't ready, or didn't answer in time.
    Transport,
    /// It judged the credential, and said no.
    Judged,
    /// It has too much to do.
    Busy,
    /// It doesn't have this call.
    Unimplemented,
    /// Anything else: it answered, but not with an answer.
    Other,
}

/// Reads a call's failure.
pub(crate) fn failure(status: &tonic::Status) -> Failure {
    use tonic::Code;
    // A failure with a cause was found on this side: no connection, a broken one, a full pipe.
    let is_ours = std::error::Error::source(status).is_some() || status.message().starts_with("h2 protocol error");
    // A proxy's 401 or 403 has no gRPC status, and nobody who may judge a credential sent it.
    let is_proxys = status.message().starts_with("grpc-status header missing");
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => Failure::Transport,
        Code::Unknown | Code::Internal | Code::Aborted if is_ours => Failure::Transport,
        Code::Unauthenticated | Code::PermissionDenied if is_ours || is_proxys => Failure::Other,
        Code::Unauthenticated | Code::PermissionDenied => Failure::Judged,
        Code::ResourceExhausted => Failure::Busy,
        Code::Unimplemented => Failure::Unimplemented,
        _ => Failure::Other,
    }
}

/// A status for people: its code and its words, cut short. Metadata and details stay out.
pub(crate) fn words(status: &tonic::Status) -> String {
    let mut text = format!("{:?}: {}", status.code(), cut(status.message()));
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        add(&mut text, error);
        cause = error.source();
    }
    text
}

fn add(text: &mut String, error: &dyn Display) {
    let error = error.to_string();
    if text.len() < MAX_WORDS && !text.contains(&error) {
        text.push_str(": ");
        text.push_str(&cut(&error));
    }
}

/// A time that the other side named, within what is reasonable here.
pub(crate) fn told(milliseconds: u64, most: Duration) -> Duration {
    Duration::from_millis(milliseconds).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> v1::PolicyRequest {
        request(&Request::new("agent-7", "files.read"), "acme", None)
    }

    fn revision_of(text: &str) -> Revision {
        Revision { key_epoch: 1, version: 3, manifest: Digest::of(text.as_bytes()) }
    }

    fn allow() -> v1::PolicyResponse {
        v1::PolicyResponse {
            effect: v1::Effect::Allow.into(),
            revision: Some(to_revision(revision_of("m"))),
            ..v1::PolicyResponse::default()
        }
    }

    fn effect(response: v1::PolicyResponse) -> Option<Effect> {
        answer(&asked(), response).ok().map(|answer| answer.verdict.effect)
    }

    #[test]
    fn a_plain_allow_is_one() {
        let read = answer(&asked(), allow()).unwrap();
        assert_eq!(read.verdict.effect, Effect::Allow);
        assert_eq!(read.revision, Some(revision_of("m")));
        assert!(!read.verdict.reasons.is_empty());
    }

    #[test]
    fn unknown_effects_are_no_answer() {
        for number in [0, 5, 99, -1, i32::MAX, v1::Effect::Error as i32] {
            assert_eq!(effect(v1::PolicyResponse { effect: number, ..allow() }), None, "effect {number}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_no_answer() {
        let error = Some(v1::ErrorInfo { code: "x".into(), ..v1::ErrorInfo::default() });
        let short = Some(v1::Revision { manifest_digest: vec![1; 31], ..v1::Revision::default() });
        let unreadable = vec![v1::Obligation { name: "redact".into(), params_json: Bytes::from_static(b"[1]") }];
        let cases = [
            v1::PolicyResponse { request_id: "other".into(), ..allow() },
            v1::PolicyResponse { error, ..allow() },
            v1::PolicyResponse { revision: None, ..allow() },
            v1::PolicyResponse { revision: short, ..allow() },
            v1::PolicyResponse { bundle_digest: vec![1; 32], ..allow() },
            v1::PolicyResponse { obligations: unreadable, ..allow() },
            v1::PolicyResponse { failure_mode_applied: v1::FailureMode::FailOpen.into(), ..allow() },
            v1::PolicyResponse { failure_mode_applied: 77, ..allow() },
        ];
        for (at, response) in cases.into_iter().enumerate() {
            assert_eq!(effect(response), None, "case {at}");
        }
    }

    #[test]
    fn a_remote_mode_audit_is_not_obeyed() {
        let audit = |would_be: v1::Effect| v1::PolicyResponse {
            mode: v1::Mode::Audit.into(),
            would_be_effect: would_be.into(),
            ..allow()
        };
        assert_eq!(effect(audit(v1::Effect::Deny)), Some(Effect::Deny));
        assert_eq!(effect(audit(v1::Effect::Unspecified)), None);
        // A mode that isn't known binds.
        let unknown = v1::PolicyResponse { mode: 9, would_be_effect: v1::Effect::Deny.into(), ..allow() };
        assert_eq!(effect(unknown), Some(Effect::Allow));
    }

    #[test]
    fn reasons_and_parts_come_through() {
        let response = v1::PolicyResponse {
            effect: v1::Effect::RequireApproval.into(),
            reasons: vec![
                v1::Reason { code: "remote_data".into(), detail: "approvals".into() },
                v1::Reason { code: "from_the_future".into(), detail: "x".into() },
            ],
            approval: Some(v1::Approval { id: "a".into(), approvers: vec!["ops".into()], expires_at_unix_ms: 61_000 }),
            evaluated_at_unix_ms: 1_000,
            obligations: vec![v1::Obligation { name: "redact".into(), params_json: Bytes::from_static(b"{\"n\":1}") }],
            matched_rule: "limit".into(),
            ..allow()
        };
        let verdict = answer(&asked(), response).unwrap().verdict;
        assert_eq!(verdict.reasons[0], Reason::new(ReasonCode::RemoteData, "approvals"));
        assert_eq!(verdict.reasons[1], Reason::new(ReasonCode::Policy, "from_the_future: x"));
        assert_eq!(verdict.approval, Some(Approval { approvers: vec!["ops".into()], ttl_s: Some(60) }));
        assert_eq!(verdict.obligations[0].parameters["n"], 1);
        assert_eq!(verdict.rule.as_deref(), Some("limit"));
    }

    #[test]
    fn a_question_keeps_its_bytes_and_asks_for_what_is_newest() {
        let mut asked = Request::new("a", "b").context(r#"{"n": 1.0}"#).unwrap();
        asked.mcp_tool = "github/create_issue".into();
        asked.delegation = "d-1".into();
        let held = AtLeast { key_epoch: 1, version: 4 };
        let sent = request(&asked, "acme", Some(held));
        assert_eq!(sent.context_json, r#"{"n": 1.0}"#);
        assert_eq!(sent.tenant_id, "acme");
        assert_eq!(sent.delegation.unwrap().delegation_id, "d-1");
        assert_eq!(sent.mcp_tool.map(|t| (t.server_name, t.name)), Some(("github".into(), "create_issue".into())));
        assert_eq!(sent.at_least_revision.unwrap().version, 4);
        asked.at_least_revision = Some(AtLeast { key_epoch: 1, version: 9 });
        assert_eq!(request(&asked, "acme", Some(held)).at_least_revision.unwrap().version, 9);
        assert_eq!(request(&Request::new("a", "b"), "acme", None).at_least_revision, None);
    }

    #[test]
    fn a_tool_is_read_as_it_was_said() {
        // As the control plane reads it.
        let read = |tool: Option<v1::McpTool>| match tool {
            None => String::new(),
            Some(tool) if tool.server_name.is_empty() => tool.name,
            Some(tool) => format!("{}/{}", tool.server_name, tool.name),
        };
        let mut random = fastrand::Rng::with_seed(5);
        let odd = ["/github/x", "a//b", "a", "", "a/b/c", "/", "//", "a/", "/a"].map(str::to_owned);
        let mut text = || (0..random.usize(..8)).map(|_| ['/', 'a', 'é', ' '][random.usize(..4)]).collect::<String>();
        let more: Vec<String> = (0..2000).map(|_| text()).collect();
        for text in odd.into_iter().chain(more) {
            assert_eq!(read(mcp_tool(&text)), text);
        }
    }

    #[test]
    fn a_question_without_an_actor_is_about_who_is_bound_to_it() {
        use meshguard_engine::token::{Claims, KeySet};
        use meshguard_engine::{SigningKey, Tier};
        let (key, now_ms) = (SigningKey::generate().unwrap(), 1_800_000_000_000);
        let token = Claims::new("acme", "worker-3", Tier::Trusted, now_ms, 60).sign(&key).unwrap();
        let identity = KeySet::new(vec![key.public().unwrap()]).verify(&token, now_ms).unwrap();
        let identity = std::sync::Arc::new(identity);
        let id = |asked: &Request| request(asked, "acme", None).actor.unwrap().id;
        assert_eq!(id(&Request::new("", "x")), "");
        assert_eq!(id(&Request::new("", "x").with_identity(identity.clone())), "worker-3");
        assert_eq!(id(&Request::new("agent-7", "x").with_identity(identity)), "agent-7");
    }

    #[test]
    fn files_that_cannot_be_acted_on_are_refused() {
        let good = v1::FileOp {
            kind: v1::file_op::Kind::Put.into(),
            path: "a.rego".into(),
            digest: vec![1; 32],
            size: 1,
            codec: v1::Codec::Identity.into(),
            body: Some(v1::file_op::Body::Inline(Bytes::from_static(b"x"))),
        };
        assert!(file_op(good.clone()).is_ok());
        let code = |op: v1::FileOp| file_op(op).err();
        assert_eq!(code(v1::FileOp { kind: 0, ..good.clone() }), Some("unknown_operation"));
        assert_eq!(code(v1::FileOp { kind: 7, ..good.clone() }), Some("unknown_operation"));
        assert_eq!(code(v1::FileOp { codec: 0, ..good.clone() }), Some("unknown_codec"));
        assert_eq!(code(v1::FileOp { codec: v1::Codec::Zstd.into(), ..good.clone() }), Some("unknown_codec"));
        assert_eq!(code(v1::FileOp { body: None, ..good.clone() }), Some("no_body"));
        assert_eq!(code(v1::FileOp { digest: vec![1; 5], ..good }), Some("no_digest"));
    }

    #[test]
    fn only_a_judge_judges() {
        use tonic::{Code, Status};
        assert_eq!(failure(&Status::new(Code::PermissionDenied, "not yours")), Failure::Judged);
        assert_eq!(failure(&Status::new(Code::Unauthenticated, "expired")), Failure::Judged);
        let proxys = "grpc-status header missing, mapped from HTTP status code 403";
        assert_eq!(failure(&Status::new(Code::PermissionDenied, proxys)), Failure::Other);
        let ours = Status::from_error(Box::new(std::io::Error::other("connection reset")));
        assert_eq!(failure(&ours), Failure::Transport);
        assert_eq!(failure(&Status::new(Code::Unknown, "connection reset")), Failure::Other);
        assert_eq!(failure(&Status::new(Code::Unavailable, "starting")), Failure::Transport);
        assert_eq!(failure(&Status::new(Code::ResourceExhausted, "slow down")), Failure::Busy);
        assert_eq!(failure(&Status::new(Code::Unimplemented, "")), Failure::Unimplemented);
        assert_eq!(failure(&Status::new(Code::InvalidArgument, "")), Failure::Other);
    }
}
