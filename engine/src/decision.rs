//! The answer: an effect, why, and what the host must also do.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::bundle::Revision;

/// What a decision says.
///
/// The numbers are the wire's. There is no `Error` here: an edge gives its host a deny.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Effect {
    /// Go ahead.
    Allow = 1,
    /// Don't.
    Deny = 2,
    /// Not without a person's consent.
    RequireApproval = 3,
}

impl Effect {
    /// The name used in policies and output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::RequireApproval => "require_approval",
        }
    }

    /// The effect a policy means by `text`; anything unknown is `None`, and its reader denies.
    pub fn from_policy(text: &str) -> Option<Self> {
        [Self::Allow, Self::Deny, Self::RequireApproval].into_iter().find(|effect| effect.as_str() == text)
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why, as a stable code. Printed in lower snake case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReasonCode {
    /// The policy said so.
    Policy,
    /// The entrypoint has no value for this input.
    Undefined,
    /// The policy gives two different answers.
    Conflict,
    /// The entrypoint's value isn't a decision.
    InvalidDecision,
    /// No valid bundle is held.
    NoBundle,
    /// The bundle's hard TTL has passed.
    Expired,
    /// The bundle was withdrawn by its publisher.
    Withdrawn,
    /// Not heard from the control plane for longer than this entrypoint allows.
    Stale,
    /// Older than the lowest revision that may still be used.
    BelowFloor,
    /// The caller asked for a newer revision than is held.
    BelowRequested,
    /// The answer depends on data that only the control plane holds.
    RemoteData,
    /// The evaluation raised an error.
    EvalError,
    /// The policy does something for this input that can't be answered here as OPA answers it.
    Unsupported,
    /// The evaluation took more time, steps or memory than it may.
    Budget,
    /// The entrypoint always defers.
    PolicyDefers,
    /// The wall clock is behind times that were signed, and the policy reads the time.
    ClockSuspect,
    /// The request can't be read or isn't for this tenant.
    BadInput,
    /// The credential isn't acceptable.
    BadToken,
    /// The bundle names no such entrypoint.
    UnknownEntrypoint,
    /// The decision carries an obligation that the host didn't register.
    UnknownObligation,
    /// The remote PDP couldn't be reached or didn't answer in time.
    RemoteUnavailable,
    /// The remote PDP answered, but not with a decision.
    RemoteError,
    /// Too many questions wait for the remote PDP.
    RemoteBusy,
    /// The failure mode is fail-open, and it applied.
    FailOpen,
    /// The decision's record couldn't be kept.
    AuditUnavailable,
    /// Asked in a forked child, which may not use what its parent opened.
    Forked,
    /// The evaluator panicked; the next decision works.
    Panic,
}

impl ReasonCode {
    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Undefined => "undefined",
            Self::Conflict => "conflict",
            Self::InvalidDecision => "invalid_decision",
            Self::NoBundle => "no_bundle",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
            Self::Stale => "stale",
            Self::BelowFloor => "below_floor",
            Self::BelowRequested => "below_requested",
            Self::RemoteData => "remote_data",
            Self::EvalError => "eval_error",
            Self::Unsupported => "unsupported",
            Self::Budget => "budget",
            Self::PolicyDefers => "policy_defers",
            Self::ClockSuspect => "clock_suspect",
            Self::BadInput => "bad_input",
            Self::BadToken => "bad_token",
            Self::UnknownEntrypoint => "unknown_entrypoint",
            Self::UnknownObligation => "unknown_obligation",
            Self::RemoteUnavailable => "remote_unavailable",
            Self::RemoteError => "remote_error",
            Self::RemoteBusy => "remote_busy",
            Self::FailOpen => "fail_open",
            Self::AuditUnavailable => "audit_unavailable",
            Self::Forked => "forked",
            Self::Panic => "panic",
        }
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One reason: a code for programs, a text for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// What kind of reason.
    pub code: ReasonCode,
    /// In words; may be empty. For `policy` it is the policy's own text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

impl Reason {
    /// A reason with its words.
    pub fn new(code: ReasonCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl From<ReasonCode> for Reason {
    fn from(code: ReasonCode) -> Self {
        Self { code, message: String::new() }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.is_empty() { write!(f, "{}", self.code) } else { write!(f, "{}: {}", self.code, self.message) }
    }
}

/// What the host must also do when it allows. A host that can't must treat the decision as a deny; one that didn't
/// register the id is given a deny.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Obligation {
    /// Which obligation.
    pub id: String,
    /// Its parameters, as the policy wrote them.
    #[serde(flatten)]
    pub parameters: serde_json::Map<String, serde_json::Value>,
}

/// Whose consent a `require_approval` asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Who may approve.
    #[serde(default)]
    pub approvers: Vec<String>,
    /// For how long an approval would hold, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_s: Option<u64>,
}

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Evaluated here.
    Local,
    /// Answered by the remote PDP.
    Remote,
    /// Nobody could answer; the failure mode did.
    FailureMode,
}

impl Source {
    /// The name used in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
            Self::FailureMode => "failure_mode",
        }
    }
}

/// What an evaluation says, before it is given an id and recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Allow, deny or require approval.
    pub effect: Effect,
    /// Why; never empty.
    pub reasons: Vec<Reason>,
    /// The rule that decided, if the policy names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What the host must also do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub obligations: Vec<Obligation>,
    /// Whose consent is needed; only with `require_approval`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// Severity of an alert that the policy raises: `info`, `warning` or `critical`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<String>,
}

impl Verdict {
    /// A bare verdict with one reason.
    pub fn new(effect: Effect, reason: impl Into<Reason>) -> Self {
        Self { effect, reasons: vec![reason.into()], rule: None, obligations: Vec::new(), approval: None, alert: None }
    }

    /// A deny with one reason.
    pub fn deny(reason: impl Into<Reason>) -> Self {
        Self::new(Effect::Deny, reason)
    }
}

/// The name of one decision, unique across restarts and machines; prints as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DecisionId(pub(crate) u128);

impl DecisionId {
    /// Its 16 bytes, in the order in which they print.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DecisionId({self})")
    }
}

impl Serialize for DecisionId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The answer to one request.
///
/// It has no truth value on purpose: ask [`is_allowed`](Self::is_allowed).
#[derive(Debug, Clone, Serialize)]
#[must_use = "a decision that nobody reads enforces nothing"]
pub struct Decision {
    /// Its name, also in the audit record.
    #[serde(rename = "decision_id")]
    pub id: DecisionId,
    /// Echo of the request's id.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub request_id: String,
    /// What it says.
    #[serde(flatten)]
    pub verdict: Arc<Verdict>,
    /// Whether the answer would be the same whatever the data not held here; a remote answer is certain.
    pub certain: bool,
    /// Where it came from.
    pub source: Source,
    /// The revision that decided; none when no bundle is held.
    pub revision: Option<Revision>,
    /// In mode `audit`, what would have been enforced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub would_be_effect: Option<Effect>,
    /// How long ago the control plane last confirmed this revision, in milliseconds; none if it never did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_age_ms: Option<u64>,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// How long it took, in nanoseconds.
    pub latency_ns: u64,
    /// Whether its record is in the journal's queue. `false` only in a forked child, or when the decision is a deny
    /// because recording failed.
    pub recorded: bool,
}

impl Decision {
    /// The one predicate: whether the action may go ahead.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.verdict.effect == Effect::Allow
    }

    /// What it says.
    pub fn effect(&self) -> Effect {
        self.verdict.effect
    }

    /// Why; never empty.
    pub fn reasons(&self) -> &[Reason] {
        &self.verdict.reasons
    }

    /// Whether `code` is among the reasons.
    #[must_use]
    pub fn has_reason(&self, code: ReasonCode) -> bool {
        self.verdict.reasons.iter().any(|reason| reason.code == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_agree_with_serde() {
        for effect in [Effect::Allow, Effect::Deny, Effect::RequireApproval] {
            assert_eq!(serde_json::to_value(effect).unwrap(), effect.as_str());
            assert_eq!(Effect::from_policy(effect.as_str()), Some(effect));
        }
        for code in [ReasonCode::NoBundle, ReasonCode::RemoteUnavailable, ReasonCode::Panic, ReasonCode::BelowRequested]
        {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
        assert_eq!(serde_json::to_value(Source::FailureMode).unwrap(), Source::FailureMode.as_str());
    }

    #[test]
    fn no_text_but_the_three_is_an_effect() {
        for text in ["", "error", "Allow", "ALLOW", "allow ", "true"] {
            assert_eq!(Effect::from_policy(text), None, "{text:?}");
        }
    }
}
