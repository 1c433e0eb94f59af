//! The input document, built from a request.
//!
//! Strictly: the whole of it is checked before anything is decided upon, and what two readers could read differently is
//! refused: a key twice, a number that can't be held, half a surrogate pair, too much depth. Nothing is repaired, and no
//! empty document is put in its place.

#[cfg(any(test, feature = "internals"))]
pub(crate) mod agree;
pub(crate) mod built;
pub(crate) mod fields;
pub(crate) mod parts;
pub(crate) mod reads;
pub(crate) mod request;
pub(crate) mod scan;
pub(crate) mod scratch;

use super::value::{Value, json};
use crate::context::Held;
use crate::identity::Identity;
use crate::request::{BadInput, MAX_REQUEST_BYTES, Request};

/// The largest document read, in bytes. A request in JSON is smaller; a host may pass a context by itself.
const MAX_DOCUMENT_BYTES: usize = 16 * MAX_REQUEST_BYTES;

/// The one Rego `input` that edge and control plane both build from a request.
///
/// A field that the caller left empty is absent, so that a policy's `input.approval` is undefined and not `""`.
pub(crate) fn document(request: &Request, tenant: &str, identity: Option<&Identity>) -> Result<Value, BadInput> {
    #[cfg(test)]
    super::fault::point();
    request.check()?;
    let mut input = Fields::default();
    input.text("tenant_id", tenant);
    input.set("actor", actor(&request.actor.id, identity)?);
    input.text("action", &request.action);
    input.text("resource", &request.resource);
    input.set("context", context(request)?);
    input.text("stage", &request.stage);
    input.text("delegation", &request.delegation);
    if let Some(approval) = approval(&request.approval_id) {
        input.set("approval", approval);
    }
    input.text("mcp_tool", &request.mcp_tool);
    input.text("request_id", &request.request_id);
    Ok(input.into())
}

fn context(request: &Request) -> Result<Value, BadInput> {
    match request.context.held() {
        Held::Text(text) => read_strict(text).map_err(|e| BadInput(format!("context: {}", e.0))),
        Held::Built(value) => built::tree(value).ok_or_else(|| BadInput("context: a number that can't be held".into())),
    }
}

/// Who acts: verified claims win, and a hint alone has the lowest tier and no score.
fn actor(id: &str, identity: Option<&Identity>) -> Result<Value, BadInput> {
    let mut actor = Fields::default();
    match identity {
        Some(identity) => {
            actor.text("id", &identity.subject);
            actor.text("spiffe_id", identity.spiffe_id.as_deref().unwrap_or_default());
            actor.text("tier", identity.tier.as_str());
            actor.set("score", score(identity.score));
            actor.set("tags", Value::array(identity.tags.iter().map(|tag| Value::from(tag.as_str())).collect()));
            actor.set("claims", read_strict(&identity.claims_json).map_err(|e| BadInput(format!("claims: {}", e.0)))?);
        }
        None => {
            // Hints of labels or a SPIFFE id are left out: in a policy they would look like verified ones.
            actor.text("id", id);
            actor.text("tier", crate::trust::Tier::Unverified.as_str());
            actor.set("score", Value::from(0_i64));
            actor.set("tags", Value::array(vec![]));
        }
    }
    Ok(actor.into())
}

/// The approval that the caller claims to hold, if any.
fn approval(id: &str) -> Option<Value> {
    let mut approval = Fields::default();
    approval.text("id", id);
    (!id.is_empty()).then(|| approval.into())
}

/// A score as a number; one that is none is the lowest.
fn score(score: f64) -> Value {
    score.to_string().parse().map_or_else(|_| Value::from(0_i64), Value::Number)
}

/// Reads one JSON document, strictly.
pub(crate) fn read_strict(text: &str) -> Result<Value, BadInput> {
    #[cfg(test)]
    super::fault::point();
    if text.len() > MAX_DOCUMENT_BYTES {
        return Err(BadInput(format!("{} bytes; the limit is {MAX_DOCUMENT_BYTES}", text.len())));
    }
    json::read(text, json::STRICT).map_err(|e| BadInput(e.to_string()))
}

// === impl Fields ===

#[derive(Default)]
struct Fields(Vec<(Value, Value)>);

impl Fields {
    fn set(&mut self, name: &str, value: Value) {
        self.0.push((Value::from(name), value));
    }

    fn text(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.set(name, Value::from(text));
        }
    }
}

impl From<Fields> for Value {
    fn from(fields: Fields) -> Self {
        Self::object(fields.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::Tier;

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
        serde_json::from_str(&value.to_json()).unwrap()
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
