//! From the entrypoint's value to an effect: the contract's section 3, to the letter.
//!
//! `true` and `{"effect": "allow", …}` allow. Everything else that isn't a well-formed deny or require_approval is a deny
//! too, with the reason; an unknown key is not ignored, because it may be a condition.

use regorus::Value;

use super::Evaluated;
use crate::decision::{Approval, Effect, Obligation, Reason, ReasonCode, Verdict};

/// The verdict that an evaluation comes to.
pub(crate) fn verdict(evaluated: Evaluated) -> Verdict {
    match evaluated {
        Evaluated::Value(value) => from_value(&value).unwrap_or_else(|what| invalid(&what)),
        Evaluated::Undefined => Verdict::deny(ReasonCode::Undefined),
        Evaluated::Unknown { root } => Verdict::deny(Reason::new(ReasonCode::RemoteData, root)),
        Evaluated::Conflict(detail) => Verdict::deny(Reason::new(ReasonCode::Conflict, first_line(&detail))),
        Evaluated::Error(detail) => Verdict::deny(Reason::new(ReasonCode::EvalError, first_line(&detail))),
        Evaluated::Budget => Verdict::deny(ReasonCode::Budget),
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
                    Value::String(key) => match key.as_ref() {
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
    value.as_string().map(|text| text.to_string()).map_err(|_| format!("`{key}` is no string"))
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
    let json = value.to_json_str().map_err(|e| format!("`{key}`: {e}"))?;
    serde_json::from_str(&json).map_err(|e| format!("`{key}`: {e}"))
}

fn invalid(what: &str) -> Verdict {
    Verdict::deny(Reason::new(ReasonCode::InvalidDecision, what))
}

/// The evaluator's messages quote the source over several lines; the last one says what happened.
fn first_line(text: &str) -> String {
    text.lines()
        .map(str::trim)
        .find(|line| line.starts_with("error:"))
        .or_else(|| text.lines().last())
        .unwrap_or(text)
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Verdict {
        verdict(Evaluated::Value(Value::from_json_str(json).unwrap()))
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
            (Evaluated::Unknown { root: "data.x".into() }, ReasonCode::RemoteData),
            (Evaluated::Conflict("x".into()), ReasonCode::Conflict),
            (Evaluated::Error("x".into()), ReasonCode::EvalError),
            (Evaluated::Budget, ReasonCode::Budget),
            (Evaluated::Panic, ReasonCode::Panic),
        ] {
            let verdict = verdict(evaluated);
            assert_eq!((verdict.effect, verdict.reasons[0].code), (Effect::Deny, code));
        }
    }
}
