//! proto3 JSON of an answer: lowerCamelCase, defaults left out, 64-bit numbers as strings, bytes in base64. Two things
//! are more than that: `decision`, the effect in lower case, and `params` of an obligation as plain JSON, as the policy
//! gave it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use meshguard_proto::v1;
use serde_json::{Map, Value, json};

/// An answer as JSON.
pub(super) fn response(answer: &v1::PolicyResponse) -> Value {
    let mut out = Fields::default();
    out.text("requestId", &answer.request_id);
    out.set("effect", answer.effect().as_str_name().into());
    out.set("decision", decision(answer.effect()).into());
    out.text("reason", &answer.reason);
    out.list("reasons", answer.reasons.iter().map(reason));
    out.text("policy", &answer.policy);
    out.text("matchedRule", &answer.matched_rule);
    out.text("policyVersion", &answer.policy_version);
    out.flag("offline", answer.offline);
    out.text("evaluationId", &answer.evaluation_id);
    out.signed("evaluatedAtUnixMs", answer.evaluated_at_unix_ms);
    out.unsigned("latencyUs", answer.latency_us);
    if answer.mode() != v1::Mode::Unspecified {
        out.set("mode", answer.mode().as_str_name().into());
    }
    if answer.would_be_effect() != v1::Effect::Unspecified {
        out.set("wouldBeEffect", answer.would_be_effect().as_str_name().into());
    }
    if let Some(approval) = &answer.approval {
        let mut fields = Fields::default();
        fields.text("id", &approval.id);
        fields.list("approvers", approval.approvers.iter().map(|who| who.as_str().into()));
        fields.signed("expiresAtUnixMs", approval.expires_at_unix_ms);
        out.set("approval", fields.into());
    }
    out.unsigned("cacheTtlMs", answer.cache_ttl_ms);
    out.text("alert", &answer.alert);
    if let Some(error) = &answer.error {
        let mut fields = Fields::default();
        fields.text("code", &error.code);
        fields.text("message", &error.message);
        fields.flag("retryable", error.retryable);
        fields.unsigned("retryAfterMs", error.retry_after_ms);
        out.set("error", fields.into());
    }
    out.list("obligations", answer.obligations.iter().map(obligation));
    out.bytes("bundleDigest", &answer.bundle_digest);
    if let Some(age) = answer.policy_age_ms {
        out.set("policyAgeMs", age.to_string().into());
    }
    out.flag("cached", answer.cached);
    if answer.source() != v1::Source::Unspecified {
        out.set("source", answer.source().as_str_name().into());
    }
    if let Some(revision) = &answer.revision {
        out.set("revision", self::revision(revision));
    }
    out.into()
}

/// A revision as JSON.
pub(super) fn revision(revision: &v1::Revision) -> Value {
    let mut fields = Fields::default();
    fields.unsigned("keyEpoch", revision.key_epoch);
    fields.unsigned("version", revision.version);
    fields.bytes("manifestDigest", &revision.manifest_digest);
    fields.into()
}

/// An effect as people write it. What can't be read is an error, and so never an allow.
pub(super) fn decision(effect: v1::Effect) -> &'static str {
    match effect {
        v1::Effect::Allow => "allow",
        v1::Effect::Deny => "deny",
        v1::Effect::RequireApproval => "require_approval",
        v1::Effect::Error | v1::Effect::Unspecified => "error",
    }
}

fn reason(reason: &v1::Reason) -> Value {
    let mut fields = Fields::default();
    fields.text("code", &reason.code);
    fields.text("detail", &reason.detail);
    fields.into()
}

fn obligation(obligation: &v1::Obligation) -> Value {
    let mut fields = Fields::default();
    fields.text("name", &obligation.name);
    if !obligation.params_json.is_empty() {
        let params = serde_json::from_slice(&obligation.params_json);
        fields.set("params", params.unwrap_or_else(|_| json!({})));
    }
    fields.into()
}

// === impl Fields ===

/// An object whose defaults are left out.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn set(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    fn text(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.set(name, value.into());
        }
    }

    fn flag(&mut self, name: &str, value: bool) {
        if value {
            self.set(name, true.into());
        }
    }

    fn signed(&mut self, name: &str, value: i64) {
        if value != 0 {
            self.set(name, value.to_string().into());
        }
    }

    fn unsigned(&mut self, name: &str, value: u64) {
        if value != 0 {
            self.set(name, value.to_string().into());
        }
    }

    fn bytes(&mut self, name: &str, value: &[u8]) {
        if !value.is_empty() {
            self.set(name, STANDARD.encode(value).into());
        }
    }

    fn list(&mut self, name: &str, values: impl Iterator<Item = Value>) {
        let values: Vec<Value> = values.collect();
        if !values.is_empty() {
            self.set(name, values.into());
        }
    }
}

impl From<Fields> for Value {
    fn from(fields: Fields) -> Self {
        Self::Object(fields.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_proto3_says() {
        let answer = v1::PolicyResponse {
            request_id: "r".into(),
            effect: v1::Effect::RequireApproval.into(),
            evaluated_at_unix_ms: 1_800_000_000_000,
            policy_age_ms: Some(0),
            approval: Some(v1::Approval { id: "a".into(), ..Default::default() }),
            obligations: vec![v1::Obligation { name: "redact".into(), params_json: r#"{"fields":["x"]}"#.into() }],
            bundle_digest: vec![0xff],
            ..Default::default()
        };
        assert_eq!(
            response(&answer),
            json!({
                "requestId": "r", "effect": "EFFECT_REQUIRE_APPROVAL", "decision": "require_approval",
                "evaluatedAtUnixMs": "1800000000000", "policyAgeMs": "0", "approval": {"id": "a"},
                "obligations": [{"name": "redact", "params": {"fields": ["x"]}}], "bundleDigest": "/w==",
            })
        );
    }

    #[test]
    fn an_unknown_effect_is_no_allow() {
        let answer = v1::PolicyResponse { effect: 77, ..Default::default() };
        assert_eq!(response(&answer)["decision"], "error");
    }
}
