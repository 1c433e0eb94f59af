//! The engine's answers in C's words.

use std::ffi::c_char;

use meshguard_engine::{Decision, Effect, Evaluation, ReasonCode, Source};
use meshguard_sync::Error;
use serde::Serialize;

use crate::guard::Failure;
use crate::pointers::NOTHING;
use crate::types::{MG_REASON_BYTES, mg_decision, mg_effect, mg_flag, mg_result, mg_source};

/// A decision without what has no fixed size.
pub(crate) fn decision(decision: &Decision) -> mg_decision {
    let revision = decision.revision;
    mg_decision {
        effect: effect(decision.effect()),
        flags: flags(decision),
        source: source(decision.source),
        would_be_effect: decision.would_be_effect.map_or(0, effect),
        obligations: u32::try_from(decision.verdict.obligations.len()).unwrap_or(u32::MAX),
        latency_ns: decision.latency_ns,
        at_ms: decision.at_ms,
        policy_age_ms: decision.policy_age_ms.unwrap_or(0),
        key_epoch: revision.map_or(0, |r| r.key_epoch),
        version: revision.map_or(0, |r| r.version),
        manifest: revision.map_or([0; 32], |r| *r.manifest.as_bytes()),
        decision_id: decision.id.to_bytes(),
        reason: reason(decision.reasons().first().map_or("", |r| r.code.as_str())),
        ..NOTHING
    }
}

/// An evaluation as JSON that tells an undefined value from `null`.
pub(crate) fn evaluation(evaluation: &Evaluation) -> Result<Vec<u8>, Failure> {
    #[derive(Serialize)]
    struct Answer<'a> {
        defined: bool,
        #[serde(flatten)]
        evaluation: &'a Evaluation,
    }
    json(&Answer { defined: evaluation.value.is_some(), evaluation })
}

pub(crate) fn json(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value)
        .map_err(|e| Failure::new(mg_result::MG_INTERNAL, format!("can't be written as JSON: {e}")))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        use meshguard_engine::Error as Engine;
        let code = match &error {
            Error::Config(_) | Error::Engine(Engine::Config(_)) => mg_result::MG_BAD_CONFIG,
            Error::Engine(Engine::Refused(_)) => mg_result::MG_BUNDLE_REFUSED,
            Error::Engine(Engine::Token(_)) => mg_result::MG_BAD_TOKEN,
            Error::Engine(Engine::Evaluation { .. }) => mg_result::MG_EVALUATION,
            Error::Engine(Engine::Store(_)) => mg_result::MG_STORE,
            Error::Engine(Engine::Io { .. }) => mg_result::MG_IO,
            Error::Threads(_) => mg_result::MG_THREADS,
            _ => mg_result::MG_INTERNAL,
        };
        Self::new(code, error.to_string())
    }
}

fn effect(effect: Effect) -> u32 {
    let effect = match effect {
        Effect::Allow => mg_effect::MG_EFFECT_ALLOW,
        Effect::Deny => mg_effect::MG_EFFECT_DENY,
        Effect::RequireApproval => mg_effect::MG_EFFECT_REQUIRE_APPROVAL,
    };
    effect as u32
}

fn source(source: Source) -> u32 {
    let source = match source {
        Source::Local => mg_source::MG_SOURCE_LOCAL,
        Source::Remote => mg_source::MG_SOURCE_REMOTE,
        Source::FailureMode => mg_source::MG_SOURCE_FAILURE_MODE,
    };
    source as u32
}

fn flags(decision: &Decision) -> u32 {
    let flags = [
        (mg_flag::MG_FLAG_CERTAIN, decision.certain),
        (mg_flag::MG_FLAG_RECORDED, decision.recorded),
        (mg_flag::MG_FLAG_OFFLINE, decision.source != Source::Remote),
        (mg_flag::MG_FLAG_DEFERRED, decision.source != Source::Local),
        (mg_flag::MG_FLAG_UNDEFINED, decision.has_reason(ReasonCode::Undefined)),
        (mg_flag::MG_FLAG_REVISION, decision.revision.is_some()),
        (mg_flag::MG_FLAG_CONFIRMED, decision.policy_age_ms.is_some()),
        (mg_flag::MG_FLAG_AUDIT_MODE, decision.would_be_effect.is_some()),
        (mg_flag::MG_FLAG_ALERT, decision.verdict.alert.is_some()),
    ];
    let set = flags.into_iter().filter(|(_, set)| *set);
    set.fold(0, |bits, (flag, _)| bits | flag as u32)
}

fn reason(code: &str) -> [c_char; MG_REASON_BYTES] {
    let mut text = [0; MG_REASON_BYTES];
    // The last byte stays NUL.
    for (to, from) in text.iter_mut().take(MG_REASON_BYTES - 1).zip(code.bytes()) {
        *to = from as c_char;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effects_are_the_wires_numbers() {
        for e in [Effect::Allow, Effect::Deny, Effect::RequireApproval] {
            assert_eq!(effect(e), u32::from(e as u8));
        }
    }

    #[test]
    fn a_long_reason_is_cut_and_ends() {
        assert_eq!(reason(&"x".repeat(40)).last(), Some(&0));
        assert_eq!(reason("ab").get(..3), Some(&[b'a' as c_char, b'b' as c_char, 0][..]));
    }

    #[test]
    fn undefined_is_not_null() {
        let told = |value: Option<&str>| {
            let evaluation = Evaluation {
                value: value.map(|json| serde_json::value::RawValue::from_string(json.to_owned()).unwrap()),
                verdict: meshguard_engine::Verdict::deny(ReasonCode::Undefined),
                verdict_certain: true,
                certain: true,
                revision: None,
                ns: 1,
            };
            serde_json::from_slice::<serde_json::Value>(&super::evaluation(&evaluation).unwrap()).unwrap()
        };
        assert_eq!(told(None)["defined"], false);
        assert_eq!(told(Some("null"))["defined"], true);
        assert_eq!(told(Some("7"))["value"], 7);
    }
}
