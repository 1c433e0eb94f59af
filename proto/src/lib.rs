//! The words that MeshGuard's enforcement points and decision points speak on the wire, as generated from `proto/meshguard/pdp/v1`.
//!
//! This crate knows nobody: turning messages into an engine's or a server's own types is done in one file of each consumer.
//! It has no behaviour either, except that `Debug` hides the secrets of [`v1::AgentToken`] and [`v1::ExchangeRequest`].
//!
//! What the types can't say:
//!
//! - An enum field is an `i32`. Read it with the getter of its name ([`effect()`](v1::PolicyResponse::effect)), which turns every
//!   number that this build doesn't know into `Unspecified`; and read `Unspecified` as the refusing choice.
//! - Times are Unix milliseconds, 0 for "not said"; digests are 32 raw bytes, empty for "not said".
//! - Contents that may be large are `bytes::Bytes`, so they are shared and not copied; what has a fixed size is a `Vec<u8>`.
//!
//! # Example
//!
//! A request on its way out, and what an answer from a newer server means:
//!
//! ```
//! use meshguard_proto::v1::{Actor, Effect, PolicyRequest, PolicyResponse};
//!
//! let request = PolicyRequest {
//!     tenant_id: "acme".into(),
//!     request_id: "r-1".into(),
//!     actor: Some(Actor { id: "agent_7f3a".into(), ..Default::default() }),
//!     action: "tool:send_mail".into(),
//!     context_json: r#"{"to":"bob@example.com"}"#.into(),
//!     ..Default::default()
//! };
//! assert_eq!(request.entrypoint, ""); // the bundle's default
//!
//! let answer = PolicyResponse { effect: 250, ..Default::default() };
//! let allowed = answer.effect() == Effect::Allow;
//! assert!(!allowed);
//! assert_eq!(answer.effect(), Effect::Unspecified);
//! ```

mod redact;

/// Package `meshguard.pdp.v1`: messages, enums, and for each service a module with its client and one with its server.
#[allow(
    clippy::allow_attributes_without_reason,
    reason = "generated code carries allow attributes of its own, and none has a reason"
)]
pub mod v1 {
    include!("generated/meshguard.pdp.v1.rs");
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost::bytes::{Buf, Bytes};
    use prost::encoding::{DecodeContext, decode_key, skip_field};

    use super::v1::*;

    #[test]
    fn effects_keep_their_numbers() {
        let numbers =
            [Effect::Unspecified, Effect::Allow, Effect::Deny, Effect::RequireApproval, Effect::Error].map(i32::from);
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
        assert_eq!(Effect::RequireApproval.as_str_name(), "EFFECT_REQUIRE_APPROVAL");
    }

    #[test]
    fn an_unknown_number_reads_as_unspecified() {
        for effect in [-1, 5, 100, i32::MAX] {
            let wire = PolicyResponse { effect, ..Default::default() }.encode_to_vec();
            let read = PolicyResponse::decode(wire.as_slice()).unwrap();
            assert_eq!(read.effect(), Effect::Unspecified, "effect {effect}");
            assert_eq!(read.effect, effect, "the number itself is kept");
        }
        assert_eq!(Nack { stage: 99, ..Default::default() }.stage(), nack::Stage::Unspecified);
        assert_eq!(AgentReport { state: 99, ..Default::default() }.state(), SyncState::Unspecified);
    }

    #[test]
    fn an_event_of_a_newer_server_reads_as_none() {
        // Field 99 of a PolicyChangeEvent, an empty message, after event_seq = 7.
        let wire = [0x08, 7, 0x9a, 0x06, 0];
        let read = PolicyChangeEvent::decode(wire.as_slice()).unwrap();
        assert_eq!((read.event_seq, read.event), (7, None));
    }

    #[test]
    fn messages_survive_the_wire() {
        let event = PolicyChangeEvent {
            event_seq: 3,
            scope: "default".into(),
            event: Some(policy_change_event::Event::FileOp(FileOp {
                kind: file_op::Kind::Put.into(),
                path: "policy/main.rego".into(),
                digest: vec![7; 32],
                size: 4,
                codec: Codec::Identity.into(),
                body: Some(file_op::Body::Inline(Bytes::from_static(b"\0\xff{}"))),
            })),
        };
        assert_eq!(PolicyChangeEvent::decode(event.encode_to_vec().as_slice()).unwrap(), event);

        let report = AgentReport {
            outcome: Some(Outcome {
                revision: Some(revision()),
                verdict: Some(outcome::Verdict::Nack(Nack { stage: nack::Stage::Smoke.into(), ..Default::default() })),
                duration_us: 1_500,
            }),
            ..Default::default()
        };
        assert_eq!(AgentReport::decode(report.encode_to_vec().as_slice()).unwrap(), report);
    }

    #[test]
    fn a_context_keeps_its_bytes() {
        let context = Bytes::from_static(b"{ \"n\": 18446744073709551617, \"n2\": 1.0 }\n");
        let wire = Bytes::from(PolicyRequest { context_json: context.clone(), ..Default::default() }.encode_to_vec());
        let read = PolicyRequest::decode(wire.clone()).unwrap();
        assert_eq!(read.context_json, context);
        assert!(wire.as_ptr_range().contains(&read.context_json.as_ptr()), "shared with the message, not copied");
    }

    #[test]
    fn absent_is_not_zero_where_it_matters() {
        let ack = AuditAck { acked_through: Some(0), ..Default::default() };
        assert_eq!(AuditAck::decode(ack.encode_to_vec().as_slice()).unwrap().acked_through, Some(0));
        assert_eq!(AuditAck::default().acked_through, None);
        assert_eq!(PolicyResponse::default().policy_age_ms, None);
        assert_eq!(TrustInfo::default().score, None);
    }

    #[test]
    fn a_request_keeps_its_field_numbers() {
        type P = PolicyRequest;
        let only: [P; 16] = [
            P { tenant_id: "x".into(), ..P::default() },
            P { request_id: "x".into(), ..P::default() },
            P { actor: Some(Actor::default()), ..P::default() },
            P { action: "x".into(), ..P::default() },
            P { resource: "x".into(), ..P::default() },
            P { context_json: "x".into(), ..P::default() },
            P { trace_id: "x".into(), ..P::default() },
            P { timestamp_unix_ms: 1, ..P::default() },
            P { delegation: Some(Delegation::default()), ..P::default() },
            P { approval_id: "x".into(), ..P::default() },
            P { context_hash: vec![1], ..P::default() },
            P { stage: "x".into(), ..P::default() },
            P { mcp_tool: Some(McpTool::default()), ..P::default() },
            P { idempotency_key: "x".into(), ..P::default() },
            P { entrypoint: "x".into(), ..P::default() },
            P { at_least_revision: Some(Revision::default()), ..P::default() },
        ];
        assert_numbered_from(1, &only);
    }

    #[test]
    fn a_response_keeps_its_field_numbers() {
        type P = PolicyResponse;
        let only: [P; 26] = [
            P { request_id: "x".into(), ..P::default() },
            P { effect: 1, ..P::default() },
            P { reason: "x".into(), ..P::default() },
            P { reasons: vec![Reason::default()], ..P::default() },
            P { policy: "x".into(), ..P::default() },
            P { matched_rule: "x".into(), ..P::default() },
            P { policy_version: "x".into(), ..P::default() },
            P { offline: true, ..P::default() },
            P { evaluation_id: "x".into(), ..P::default() },
            P { evaluated_at_unix_ms: 1, ..P::default() },
            P { latency_us: 1, ..P::default() },
            P { mode: 1, ..P::default() },
            P { would_be_effect: 1, ..P::default() },
            P { approval: Some(Approval::default()), ..P::default() },
            P { cache_ttl_ms: 1, ..P::default() },
            P { trust: Some(TrustInfo::default()), ..P::default() },
            P { alert: "x".into(), ..P::default() },
            P { error: Some(ErrorInfo::default()), ..P::default() },
            P { obligations: vec![Obligation::default()], ..P::default() },
            P { failure_mode_applied: 1, ..P::default() },
            P { trace: vec![RuleTrace::default()], ..P::default() },
            P { bundle_digest: vec![1], ..P::default() },
            P { policy_age_ms: Some(1), ..P::default() },
            P { cached: true, ..P::default() },
            P { source: 1, ..P::default() },
            P { revision: Some(Revision::default()), ..P::default() },
        ];
        assert_numbered_from(1, &only);
    }

    #[test]
    fn events_keep_their_field_numbers() {
        use policy_change_event::Event::*;
        let only = [
            Hello(Default::default()),
            Intent(Default::default()),
            Root(Default::default()),
            Head(Default::default()),
            FileOp(Default::default()),
            Commit(Default::default()),
            Heartbeat(Default::default()),
            Withdraw(Default::default()),
            TrustChanged(Default::default()),
            Revocation(Default::default()),
            Resync(Default::default()),
            Goodbye(Default::default()),
            StreamError(Default::default()),
        ]
        .map(|event| PolicyChangeEvent { event: Some(event), ..Default::default() });
        assert_numbered_from(3, &only);
    }

    #[test]
    fn services_keep_their_names() {
        assert_eq!(mesh_guard_pdp_server::SERVICE_NAME, "meshguard.pdp.v1.MeshGuardPDP");
        assert_eq!(mesh_guard_sync_server::SERVICE_NAME, "meshguard.pdp.v1.MeshGuardSync");
        assert_eq!(mesh_guard_identity_server::SERVICE_NAME, "meshguard.pdp.v1.MeshGuardIdentity");
        assert_eq!(mesh_guard_trust_server::SERVICE_NAME, "meshguard.pdp.v1.MeshGuardTrust");
        assert_eq!(mesh_guard_mcp_server::SERVICE_NAME, "meshguard.pdp.v1.MeshGuardMcp");
    }

    fn revision() -> Revision {
        Revision { key_epoch: 1, version: 42, manifest_digest: vec![9; 32] }
    }

    /// Each message has one field set; the numbers on the wire must be `first`, `first + 1`, and so on.
    fn assert_numbered_from<M: Message + std::fmt::Debug>(first: u32, messages: &[M]) {
        for (message, number) in messages.iter().zip(first..) {
            assert_eq!(field_numbers(message), [number], "{message:?}");
        }
    }

    fn field_numbers(message: &impl Message) -> Vec<u32> {
        let wire = message.encode_to_vec();
        let mut rest = wire.as_slice();
        let mut numbers = Vec::new();
        while rest.has_remaining() {
            let (number, wire_type) = decode_key(&mut rest).unwrap();
            skip_field(wire_type, number, &mut rest, DecodeContext::default()).unwrap();
            numbers.push(number);
        }
        numbers
    }
}
