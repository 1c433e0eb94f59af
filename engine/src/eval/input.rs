//! The input document, and the strict reading of JSON.
//!
//! Strict means: the whole document is checked before anything is decided upon, and what two readers could read
//! differently is refused: a key twice, a number that can't be held exactly, too much depth. Nothing is repaired, and no
//! empty document is put in its place.

use std::collections::BTreeMap;
use std::fmt;

use regorus::Value;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::identity::Identity;
use crate::request::{BadInput, MAX_REQUEST_BYTES, Request};

/// Objects and arrays within each other.
const MAX_DEPTH: usize = 32;

/// Significant digits that every decimal keeps through an IEEE 754 double.
const EXACT_DIGITS: usize = 15;

/// The one Rego `input` that edge and control plane both build from a request.
///
/// A field that the caller left empty is absent, so that a policy's `input.approval` is undefined and not `""`.
pub(crate) fn document(request: &Request, tenant: &str, identity: Option<&Identity>) -> Result<Value, BadInput> {
    request.check()?;
    let mut input = Fields::new();
    input.text("tenant_id", tenant);
    input.set("actor", actor(request, identity)?);
    input.text("action", &request.action);
    input.text("resource", &request.resource);
    input.set("context", read_strict(request.context.as_json()).map_err(|e| BadInput(format!("context: {}", e.0)))?);
    input.text("stage", &request.stage);
    input.text("delegation", &request.delegation);
    if !request.approval_id.is_empty() {
        let mut approval = Fields::new();
        approval.text("id", &request.approval_id);
        input.set("approval", approval.into());
    }
    input.text("mcp_tool", &request.mcp_tool);
    input.text("request_id", &request.request_id);
    Ok(input.into())
}

/// Who acts: verified claims win, and a hint alone has the lowest tier and no score.
fn actor(request: &Request, identity: Option<&Identity>) -> Result<Value, BadInput> {
    let mut actor = Fields::new();
    match identity {
        Some(identity) => {
            actor.text("id", &identity.subject);
            actor.text("spiffe_id", identity.spiffe_id.as_deref().unwrap_or_default());
            actor.text("tier", identity.tier.as_str());
            actor.set("score", Value::from(identity.score));
            actor.set("tags", identity.tags.iter().map(|tag| Value::from(tag.as_str())).collect::<Vec<_>>().into());
            actor.set("claims", read_strict(&identity.claims_json).map_err(|e| BadInput(format!("claims: {}", e.0)))?);
        }
        None => {
            // Hints of labels or a SPIFFE id are left out: in a policy they would look like verified ones.
            actor.text("id", &request.actor.id);
            actor.text("tier", crate::trust::Tier::Unverified.as_str());
            actor.set("score", Value::from(0_u64));
            actor.set("tags", Value::new_array());
        }
    }
    Ok(actor.into())
}

/// Reads one JSON document, strictly.
pub(crate) fn read_strict(json: &str) -> Result<Value, BadInput> {
    scan(json)?;
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let value = Strict.deserialize(&mut deserializer).map_err(|e| BadInput(e.to_string()))?;
    deserializer.end().map_err(|e| BadInput(e.to_string()))?;
    Ok(value)
}

// === impl Fields ===

struct Fields(BTreeMap<Value, Value>);

impl Fields {
    fn new() -> Self {
        Self(BTreeMap::new())
    }

    fn set(&mut self, name: &str, value: Value) {
        self.0.insert(Value::from(name), value);
    }

    fn text(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.set(name, Value::from(text));
        }
    }
}

impl From<Fields> for Value {
    fn from(fields: Fields) -> Self {
        Self::from(fields.0)
    }
}

/// What serde's reader doesn't tell: depth, and whether a number can be held as it is written.
fn scan(json: &str) -> Result<(), BadInput> {
    // Data files are limited as files; this limit is for requests, and generous for both.
    if json.len() > 16 * MAX_REQUEST_BYTES {
        return Err(BadInput(format!("{} bytes; the limit is {}", json.len(), 16 * MAX_REQUEST_BYTES)));
    }
    let mut depth = 0_usize;
    let mut rest = json.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'"' => rest = after_string(rest),
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(BadInput(format!("nested deeper than {MAX_DEPTH}")));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'-' | b'0'..=b'9' => {
                let end = rest.iter().position(|b| !matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
                let (number, tail) = rest.split_at(end.unwrap_or(rest.len()));
                check_number(*byte, number)?;
                rest = tail;
            }
            _ => {}
        }
    }
    Ok(())
}

fn after_string(mut rest: &[u8]) -> &[u8] {
    while let Some((byte, tail)) = rest.split_first() {
        rest = match byte {
            b'"' => return tail,
            b'\\' => tail.split_first().map_or(tail, |(_, tail)| tail),
            _ => tail,
        };
    }
    rest
}

fn check_number(first: u8, rest: &[u8]) -> Result<(), BadInput> {
    let digits = || std::iter::once(&first).chain(rest);
    let inexact = || {
        let text: String = digits().take(40).map(|b| char::from(*b)).collect();
        BadInput(format!("the number {text} can't be held exactly; pass it as a string"))
    };
    let text: String = digits().map(|b| char::from(*b)).collect();
    if !rest.iter().any(|b| matches!(b, b'.' | b'e' | b'E')) {
        let held = if first == b'-' { text.parse::<i64>().is_ok() } else { text.parse::<u64>().is_ok() };
        return if held { Ok(()) } else { Err(inexact()) };
    }
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let significant = mantissa.trim_start_matches(['-', '0', '.']).bytes().filter(u8::is_ascii_digit).count();
    match text.parse::<f64>() {
        Ok(number) if significant <= EXACT_DIGITS && number.is_finite() && (number != 0.0 || significant == 0) => {
            Ok(())
        }
        _ => Err(inexact()),
    }
}

/// Builds a value, refusing doubled keys.
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        if value.is_finite() { Ok(Value::from(value)) } else { Err(E::custom("a number that isn't finite")) }
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(Self)? {
            array.push(item);
        }
        Ok(Value::from(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = BTreeMap::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(Self)?;
            if object.insert(Value::from(key.as_str()), value).is_some() {
                return Err(A::Error::custom(format_args!("the key `{}` stands twice", key.escape_debug())));
            }
        }
        Ok(Value::from(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::Tier;
    use proptest::prelude::*;

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for json in [
            r#"{"a":1,"a":2}"#,
            r#"{"x":{"b":1,"\u0062":2}}"#,
            "18446744073709551616",
            "-9223372036854775809",
            "100000000000000000000000000000001",
            "1e400",
            "-1e400",
            "1e-400",
            "0.12345678901234567",
            "9007199254740993.0",
            "NaN",
            "Infinity",
            r#""\ud800""#,
            "\"\u{0}\"",
            "[1,]",
            "1 2",
            "",
            "{",
            &"[".repeat(33),
        ] {
            assert!(read_strict(json).is_err(), "{json}");
        }
    }

    #[test]
    fn ordinary_documents_pass() {
        for json in [
            "null",
            "-9223372036854775808",
            "18446744073709551615",
            "0.1",
            "1.0",
            "0.0",
            "-0",
            "12345.678",
            "1e3",
            r#"{"a":[{"b":{}}],"":"[[[[[","n":"18446744073709551616"}"#,
            r#""\"1e999""#,
        ] {
            assert!(read_strict(json).is_ok(), "{json}: {:?}", read_strict(json));
        }
    }

    proptest! {
        #[test]
        fn agrees_with_serde_on_what_it_accepts(json in "[\\[\\]{}:,\"a\\\\0-9.eE+ -]{0,40}") {
            if let Ok(value) = read_strict(&json) {
                let plain: serde_json::Value = serde_json::from_str(&json).unwrap();
                prop_assert_eq!(value, Value::from(plain));
            }
        }
    }

    fn identity() -> Identity {
        Identity {
            tenant: "acme".into(),
            subject: "agent-7".into(),
            tier: Tier::Trusted,
            score: 0.7,
            tags: vec!["ci".into()],
            spiffe_id: None,
            claims_json: r#"{"sub":"agent-7"}"#.into(),
            expires_at_ms: 10,
        }
    }

    fn text(value: &Value) -> serde_json::Value {
        serde_json::from_str(&value.to_json_str().unwrap()).unwrap()
    }

    #[test]
    fn a_hint_never_raises_trust() {
        let mut request = Request::new("agent-8", "shell.exec");
        request.actor.trust_tier = "privileged".into();
        request.actor.trust_score = Some(1.0);
        request.actor.tags = vec!["deployer".into()];
        request.actor.spiffe_id = "spiffe://acme/root".into();
        let input = text(&document(&request, "acme", None).unwrap());
        assert_eq!(input["actor"], serde_json::json!({"id": "agent-8", "tier": "unverified", "score": 0, "tags": []}));
    }

    #[test]
    fn verified_claims_win() {
        let request = Request::new("agent-7", "shell.exec");
        let input = text(&document(&request, "acme", Some(&identity())).unwrap());
        assert_eq!(input["actor"]["tier"], "trusted");
        assert_eq!(input["actor"]["claims"]["sub"], "agent-7");
    }

    #[test]
    fn empty_fields_are_absent() {
        let input = text(&document(&Request::new("a", "b"), "acme", None).unwrap());
        let names: Vec<_> = input.as_object().unwrap().keys().collect();
        assert_eq!(names, ["action", "actor", "context", "tenant_id"]);
    }
}
