//! From the entrypoint's value to an effect: the contract's section 3, to the letter.
//!
//! `true` and `{"effect": "allow", …}` allow. Everything else that isn't a well-formed deny or require_approval is a deny
//! too, with the reason; an unknown key is not ignored, because it may be a condition.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::program::{Evaluated, Evaluation};
use super::value::Value;
use crate::bundle::BuiltinErrors;
use crate::decision::{Approval, Effect, Obligation, Reason, ReasonCode, Verdict};

/// What an evaluation means for a decision.
#[derive(Debug, Clone)]
pub(crate) struct Judged {
    pub(crate) verdict: Arc<Verdict>,
    /// Whether the verdict is the same whatever isn't held here.
    pub(crate) certain: bool,
    /// The allow that it may be, where it isn't certain, is nothing else but this allow or a deny.
    pub(crate) possible_allow: Option<Arc<Verdict>>,
}

/// The verdicts on constants that a thread has met, of one program. Each thread has its own: a count of references that
/// threads share is memory that they write in turn.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    program: u64,
    of_constants: HashMap<u32, Judged, FixedState>,
}

/// More constants than this are as quickly judged as found.
const MAX_REMEMBERED: usize = 1_024;

impl Verdicts {
    /// The verdict on a constant of a program; `judge` is asked the first time.
    pub(crate) fn of(&mut self, program: u64, constant: u32, judge: impl FnOnce() -> Judged) -> Judged {
        if self.program != program || self.of_constants.len() >= MAX_REMEMBERED {
            self.program = program;
            self.of_constants.clear();
        }
        self.of_constants.entry(constant).or_insert_with(judge).clone()
    }
}

/// Judges an evaluation: a verdict is certain if all that the evaluation may come to have one effect, with the same
/// obligations and approval.
pub(crate) fn judge(evaluation: Evaluation, errors: BuiltinErrors) -> Judged {
    #[cfg(test)]
    super::fault::point();
    let Evaluation { value, swallowed, may_swallow, may_halt } = evaluation;
    // The remote PDP may know, or have the time.
    let elsewhere = matches!(value, Evaluated::Budget(_) | Evaluated::Unsupported(_));
    let (root, mut verdicts) = match value {
        Evaluated::Unknown { root, candidates: Some(candidates), undefined } => {
            let mut verdicts: Vec<Verdict> =
                candidates.into_iter().map(|value| verdict(Evaluated::Value(value))).collect();
            if undefined {
                verdicts.push(verdict(Evaluated::Undefined));
            }
            (root, verdicts)
        }
        Evaluated::Unknown { root, candidates: None, .. } => {
            return Judged {
                verdict: Verdict::deny(Reason::new(ReasonCode::RemoteData, root)).into(),
                certain: false,
                possible_allow: None,
            };
        }
        value => (String::new(), vec![verdict(value)]),
    };
    if may_halt {
        verdicts.push(Verdict::deny(ReasonCode::Conflict));
    }
    // Whoever wonders why nothing was said finds the error beside it.
    if let Some(swallowed) = &swallowed {
        let unsaid = |verdict: &&mut Verdict| verdict.reasons.iter().any(|reason| reason.code == ReasonCode::Undefined);
        for verdict in verdicts.iter_mut().filter(unsaid) {
            verdict.reasons.push(Reason::new(ReasonCode::EvalError, swallowed.to_string()));
        }
    }
    // An allow doesn't stand on an error that was taken for undefined.
    if errors == BuiltinErrors::Deny && verdicts.iter().any(|verdict| verdict.effect == Effect::Allow) {
        let error = |detail: &str| Verdict::deny(Reason::new(ReasonCode::EvalError, detail));
        match swallowed {
            Some(swallowed) => {
                let detail = swallowed.to_string();
                for verdict in verdicts.iter_mut().filter(|verdict| verdict.effect == Effect::Allow) {
                    *verdict = error(&detail);
                }
            }
            None if may_swallow => verdicts.push(error("an error that depends on data that isn't held")),
            None => {}
        }
    }
    let mut verdicts = verdicts.into_iter();
    let Some(first) = verdicts.next() else {
        return Judged { verdict: Verdict::deny(ReasonCode::Undefined).into(), certain: true, possible_allow: None };
    };
    let others: Vec<Verdict> = verdicts.filter(|other| !binds_alike(&first, other)).collect();
    if others.is_empty() {
        return Judged { verdict: first.into(), certain: !elsewhere, possible_allow: None };
    }
    let mut allows: Vec<Verdict> = vec![];
    let mut else_deny = true;
    for verdict in std::iter::once(first).chain(others) {
        match verdict.effect {
            Effect::Allow if !allows.iter().any(|allow| binds_alike(allow, &verdict)) => allows.push(verdict),
            Effect::Allow | Effect::Deny => {}
            Effect::RequireApproval => else_deny = false,
        }
    }
    let possible_allow = if allows.len() == 1 && else_deny { allows.pop().map(Arc::new) } else { None };
    let verdict = Verdict::deny(Reason::new(ReasonCode::RemoteData, root)).into();
    Judged { verdict, certain: false, possible_allow }
}

/// Whether two verdicts let the host do the same.
fn binds_alike(a: &Verdict, b: &Verdict) -> bool {
    a.effect == b.effect && (a.effect == Effect::Deny || a.obligations == b.obligations && a.approval == b.approval)
}

/// The verdict that one outcome of an evaluation comes to.
fn verdict(evaluated: Evaluated) -> Verdict {
    match evaluated {
        Evaluated::Value(value) => from_value(&value).unwrap_or_else(|what| invalid(&what)),
        Evaluated::Undefined => Verdict::deny(ReasonCode::Undefined),
        Evaluated::Unknown { root, .. } => Verdict::deny(Reason::new(ReasonCode::RemoteData, root)),
        Evaluated::Conflict(detail) => Verdict::deny(Reason::new(ReasonCode::Conflict, detail)),
        Evaluated::Unsupported(detail) => Verdict::deny(Reason::new(ReasonCode::Unsupported, detail)),
        Evaluated::Budget(detail) => Verdict::deny(Reason::new(ReasonCode::Budget, detail)),
        Evaluated::Panic => Verdict::deny(ReasonCode::Panic),
    }
}

fn from_value(value: &Value) -> Result<Verdict, String> {
    match value {
        Value::Bool(true) => Ok(Verdict::new(Effect::Allow, ReasonCode::Policy)),
        Value::Bool(false) => Ok(Verdict::deny(ReasonCode::Policy)),
        Value::String(text) => Ok(Verdict::new(effect(text)?, ReasonCode::Policy)),
        Value::Object(fields) => {
            let mut found = None;
            let mut verdict = Verdict::deny(ReasonCode::Policy);
            let mut reason = Reason::from(ReasonCode::Policy);
            for (key, value) in fields.iter() {
                match key {
                    Value::String(key) => match &**key {
                        "effect" => found = Some(effect(&string("effect", value)?)?),
                        "reason" => reason.message = string("reason", value)?,
                        "rule" => verdict.rule = Some(string("rule", value)?),
                        "alert" => verdict.alert = Some(string("alert", value)?),
                        "approval" => verdict.approval = Some(typed::<Approval>("approval", value)?),
                        "obligations" => verdict.obligations = obligations(value)?,
                        other => return Err(format!("unknown key `{}`", other.escape_debug())),
                    },
                    _ => return Err("a key that is no string".into()),
                }
            }
            verdict.effect = found.ok_or("no `effect`")?;
            verdict.reasons = vec![reason];
            Ok(verdict)
        }
        _ => Err("neither true or false, nor an effect, nor an object".into()),
    }
}

fn effect(text: &str) -> Result<Effect, String> {
    Effect::from_policy(text).ok_or_else(|| format!("`{}` is no effect", text.escape_debug()))
}

fn string(key: &str, value: &Value) -> Result<String, String> {
    value.as_str().map(str::to_owned).ok_or_else(|| format!("`{key}` is no string"))
}

/// A list or a set of objects with an `id`; a bare string is an id without parameters.
fn obligations(value: &Value) -> Result<Vec<Obligation>, String> {
    let items: Vec<serde_json::Value> = typed("obligations", value)?;
    items
        .into_iter()
        .map(|item| match item {
            serde_json::Value::String(id) => Ok(Obligation { id, parameters: serde_json::Map::new() }),
            item => serde_json::from_value(item).map_err(|e| format!("`obligations`: {e}")),
        })
        .collect()
}

fn typed<T: serde::de::DeserializeOwned>(key: &str, value: &Value) -> Result<T, String> {
    serde_json::from_str(&value.to_json()).map_err(|e| format!("`{key}`: {e}"))
}

fn invalid(what: &str) -> Verdict {
    Verdict::deny(Reason::new(ReasonCode::InvalidDecision, what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::machine::Swallowed;
    use crate::eval::value::json;

    fn of(json: &str) -> Verdict {
        verdict(Evaluated::Value(json::read(json, json::STRICT).unwrap()))
    }

    #[test]
    fn the_three_shapes() {
        for (json, effect) in [
            ("true", Effect::Allow),
            ("false", Effect::Deny),
            (r#""allow""#, Effect::Allow),
            (r#""require_approval""#, Effect::RequireApproval),
            (r#"{"effect":"allow","reason":"r","rule":"x","alert":"info"}"#, Effect::Allow),
            (r#"{"effect":"require_approval","approval":{"approvers":["cfo"],"ttl_s":60}}"#, Effect::RequireApproval),
            (r#"{"effect":"allow","obligations":[{"id":"redact","fields":["ssn"]},"log"]}"#, Effect::Allow),
        ] {
            let verdict = of(json);
            assert_eq!(verdict.effect, effect, "{json}");
            assert_eq!(verdict.reasons[0].code, ReasonCode::Policy, "{json}");
        }
    }

    #[test]
    fn nothing_else_allows() {
        for json in [
            "1",
            "null",
            "[]",
            "{}",
            r#""true""#,
            r#""Allow""#,
            r#""error""#,
            r#""""#,
            r#"["allow"]"#,
            r#"{"allow":true}"#,
            r#"{"effect":true}"#,
            r#"{"effect":"allow","unless":"x"}"#,
            r#"{"effect":"allow","reason":1}"#,
            r#"{"effect":"allow","obligations":{"id":"x"}}"#,
            r#"{"effect":"allow","obligations":[1]}"#,
            r#"{"effect":"allow","obligations":[{"ID":"x"}]}"#,
            r#"{"effect":"require_approval","approval":{"approver":["x"]}}"#,
        ] {
            let verdict = of(json);
            assert_eq!(verdict.effect, Effect::Deny, "{json}");
            assert_eq!(verdict.reasons[0].code, ReasonCode::InvalidDecision, "{json}");
        }
    }

    #[test]
    fn no_value_is_a_deny_that_says_why() {
        for (evaluated, code) in [
            (Evaluated::Undefined, ReasonCode::Undefined),
            (unknown(None), ReasonCode::RemoteData),
            (Evaluated::Conflict("x".into()), ReasonCode::Conflict),
            (Evaluated::Unsupported("x".into()), ReasonCode::Unsupported),
            (Evaluated::Budget("x".into()), ReasonCode::Budget),
            (Evaluated::Panic, ReasonCode::Panic),
        ] {
            let verdict = verdict(evaluated);
            assert_eq!((verdict.effect, verdict.reasons[0].code), (Effect::Deny, code));
        }
    }

    fn unknown(candidates: Option<&[&str]>) -> Evaluated {
        let read = |texts: &[&str]| texts.iter().map(|text| json::read(text, json::STRICT).unwrap()).collect();
        Evaluated::Unknown { root: "data.x".into(), candidates: candidates.map(read), undefined: false }
    }

    fn an_error() -> Swallowed {
        Swallowed { location: Default::default(), code: "eval_builtin_error", message: "to_number: x".into() }
    }

    fn judged(value: Evaluated, swallowed: bool, may_swallow: bool, may_halt: bool) -> Judged {
        let swallowed = swallowed.then(an_error);
        judge(Evaluation { value, swallowed, may_swallow, may_halt }, BuiltinErrors::Deny)
    }

    #[test]
    fn certain_is_what_binds_alike() {
        for (candidates, effect) in [
            (&["true", r#"{"effect":"allow","reason":"other"}"#][..], Effect::Allow),
            (&["false", r#"{"effect":"deny","reason":"x"}"#, "7"], Effect::Deny),
            (&[r#""require_approval""#], Effect::RequireApproval),
        ] {
            let judged = judged(unknown(Some(candidates)), false, false, false);
            assert_eq!((judged.certain, judged.verdict.effect), (true, effect), "{candidates:?}");
        }
        for candidates in [&["true", "false"][..], &["true", r#"{"effect":"allow","obligations":["log"]}"#]] {
            let judged = judged(unknown(Some(candidates)), false, false, false);
            assert_eq!((judged.certain, judged.verdict.effect), (false, Effect::Deny), "{candidates:?}");
        }
        assert!(!judged(unknown(None), false, false, false).certain);
    }

    #[test]
    fn an_allow_is_possible_only_beside_denies() {
        let possible = |candidates: &[&str]| judged(unknown(Some(candidates)), false, false, false).possible_allow;
        assert!(possible(&["true", "false"]).is_some());
        assert!(possible(&["true", r#""require_approval""#]).is_none());
        assert!(possible(&["true", r#"{"effect":"allow","obligations":["log"]}"#, "false"]).is_none());
    }

    #[test]
    fn no_allow_past_a_swallowed_error() {
        let of = |json: &str| Evaluated::Value(json::read(json, json::STRICT).unwrap());
        let denied = judged(of("true"), true, false, false);
        assert_eq!((denied.certain, denied.verdict.reasons[0].code), (true, ReasonCode::EvalError));
        let kept = judged(of("false"), true, false, false);
        assert_eq!((kept.certain, kept.verdict.reasons[0].code), (true, ReasonCode::Policy));
        assert!(!judged(of("true"), false, true, false).certain);
        assert!(!judged(of("true"), false, false, true).certain);
        assert!(judged(of("false"), false, true, true).certain);
        let opa = Evaluation { value: of("true"), swallowed: Some(an_error()), may_swallow: false, may_halt: false };
        assert_eq!(judge(opa, BuiltinErrors::Opa).verdict.effect, Effect::Allow);
    }
}
