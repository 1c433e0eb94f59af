//! The question: may this actor do this?

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::bundle::AtLeast;
pub use crate::context::Context;
use crate::eval::Parts;
use crate::identity::Identity;

/// The largest request read, in bytes.
pub const MAX_REQUEST_BYTES: usize = 1024 * 1024;

/// The longest name or id in a request, in bytes: each is recorded, and a record must stay small.
pub const MAX_NAME_BYTES: usize = 4 * 1024;

/// A request's names and ids, as they are called in its JSON.
const NAMES: [&str; 18] = [
    "tenant_id",
    "request_id",
    "actor.id",
    "actor.spiffe_id",
    "actor.name",
    "actor.trust_tier",
    "actor.org_id",
    "action",
    "resource",
    "trace_id",
    "timestamp",
    "delegation",
    "approval_id",
    "context_hash",
    "stage",
    "mcp_tool",
    "idempotency_key",
    "entrypoint",
];

/// The most labels of an actor.
pub(crate) const MAX_TAGS: usize = 64;

/// One question to the PDP.
///
/// As JSON it is the contract's `PolicyRequest` (snake or camel case, not both for one field); an unknown field is
/// refused, because it may be a constraint that this version doesn't know how to honour.
///
/// ```
/// use meshguard_engine::Request;
///
/// let built = Request::new("agent-7", "shell.exec").resource("host:build-1").context(r#"{"command":"ls"}"#).unwrap();
/// let read = Request::from_json(
///     br#"{"actor":{"id":"agent-7"},"action":"shell.exec","resource":"host:build-1","context":{"command":"ls"}}"#,
/// )
/// .unwrap();
/// assert_eq!(built, read);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// A cross-check only: the tenant comes from the engine or the credential. Empty means "not said".
    #[serde(alias = "tenantId", skip_serializing_if = "String::is_empty")]
    pub tenant_id: String,
    /// The caller's name for this question, echoed in the decision and the record.
    #[serde(alias = "requestId", skip_serializing_if = "String::is_empty")]
    pub request_id: String,
    /// Who wants to act.
    #[serde(deserialize_with = "field_object")]
    pub actor: Actor,
    /// What it wants to do, e.g. `shell.exec`.
    pub action: String,
    /// To what, e.g. `file:/srv/app/config.toml`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource: String,
    /// The action's arguments and circumstances.
    pub context: Context,
    /// W3C trace id, for correlation only.
    #[serde(alias = "traceId", skip_serializing_if = "String::is_empty")]
    pub trace_id: String,
    /// When the host asked. Never used to decide whether something expired.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub timestamp: String,
    /// Who delegated to the actor.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub delegation: String,
    /// An approval that the caller claims to hold; `input.approval.id` in a policy.
    #[serde(alias = "approvalId", skip_serializing_if = "String::is_empty")]
    pub approval_id: String,
    /// The caller's hash of the context, for its own correlation.
    #[serde(alias = "contextHash", skip_serializing_if = "String::is_empty")]
    pub context_hash: String,
    /// At which of the host's intervention points this is asked.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stage: String,
    /// The MCP tool concerned, as `server/tool`.
    #[serde(alias = "mcpTool", skip_serializing_if = "String::is_empty")]
    pub mcp_tool: String,
    /// Names a retry of the same question.
    #[serde(alias = "idempotencyKey", skip_serializing_if = "String::is_empty")]
    pub idempotency_key: String,
    /// The rule asked; empty means `data.meshguard.decision`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub entrypoint: String,
    /// The answer must come from this revision or a newer one.
    #[serde(alias = "atLeastRevision", skip_serializing_if = "Option::is_none", deserialize_with = "field_object")]
    pub at_least_revision: Option<AtLeast>,
    /// Who the credential says is asking. Never read from JSON.
    #[serde(skip)]
    pub(crate) identity: Option<Arc<Identity>>,
}

impl Request {
    /// The question whether `actor` may do `action`.
    pub fn new(actor: impl Into<String>, action: impl Into<String>) -> Self {
        Self { actor: Actor { id: actor.into(), ..Actor::default() }, action: action.into(), ..Self::default() }
    }

    /// Reads a request from JSON.
    ///
    /// # Errors
    /// The text is too large, no JSON, holds an unknown or doubled field, or a field of the wrong type. The message says
    /// which. Ask nothing else instead: a request that can't be read is denied.
    pub fn from_json(json: &[u8]) -> Result<Self, BadInput> {
        #[cfg(test)]
        crate::eval::fault::point();
        if json.len() > MAX_REQUEST_BYTES {
            return Err(BadInput(format!("request of {} bytes; the limit is {MAX_REQUEST_BYTES}", json.len())));
        }
        let text: &RawValue = serde_json::from_slice(json).map_err(|e| BadInput(format!("request: {e}")))?;
        let request: Self = object(text).map_err(|e| BadInput(format!("request: {e}")))?;
        request.check()?;
        Ok(request)
    }

    /// Whether its names are short enough to be recorded.
    pub(crate) fn check(&self) -> Result<(), BadInput> {
        let actor = &self.actor;
        let tags = actor.tags.iter().map(|tag| ("actor.tags", tag));
        let names = NAMES.into_iter().zip(self.names());
        if let Some((name, _)) = names.chain(tags).find(|(_, text)| text.len() > MAX_NAME_BYTES) {
            return Err(BadInput(format!(
                "`{name}` is longer than {MAX_NAME_BYTES} bytes; arguments go into the context"
            )));
        }
        if actor.tags.len() > MAX_TAGS {
            return Err(BadInput(format!("more than {MAX_TAGS} tags")));
        }
        Ok(())
    }

    /// Its names and ids, in the order of [`NAMES`]: all texts but tags and context.
    pub(crate) fn names(&self) -> [&String; NAMES.len()] {
        let actor = &self.actor;
        [
            &self.tenant_id,
            &self.request_id,
            &actor.id,
            &actor.spiffe_id,
            &actor.name,
            &actor.trust_tier,
            &actor.org_id,
            &self.action,
            &self.resource,
            &self.trace_id,
            &self.timestamp,
            &self.delegation,
            &self.approval_id,
            &self.context_hash,
            &self.stage,
            &self.mcp_tool,
            &self.idempotency_key,
            &self.entrypoint,
        ]
    }

    /// The places of [`names`](Self::names), in the same order.
    pub(crate) fn names_mut(&mut self) -> [&mut String; NAMES.len()] {
        let actor = &mut self.actor;
        [
            &mut self.tenant_id,
            &mut self.request_id,
            &mut actor.id,
            &mut actor.spiffe_id,
            &mut actor.name,
            &mut actor.trust_tier,
            &mut actor.org_id,
            &mut self.action,
            &mut self.resource,
            &mut self.trace_id,
            &mut self.timestamp,
            &mut self.delegation,
            &mut self.approval_id,
            &mut self.context_hash,
            &mut self.stage,
            &mut self.mcp_tool,
            &mut self.idempotency_key,
            &mut self.entrypoint,
        ]
    }

    /// What it says beside its context.
    pub(crate) fn parts(&self) -> Parts<'_> {
        Parts {
            actor: &self.actor.id,
            action: &self.action,
            resource: &self.resource,
            stage: &self.stage,
            delegation: &self.delegation,
            approval: &self.approval_id,
            mcp_tool: &self.mcp_tool,
            request_id: &self.request_id,
        }
    }

    /// What is acted upon.
    #[must_use]
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.resource = resource.into();
        self
    }

    /// The action's arguments, as JSON text.
    ///
    /// # Errors
    /// The text isn't one JSON document.
    pub fn context(mut self, json: &str) -> Result<Self, BadInput> {
        self.context = Context::from_json(json)?;
        Ok(self)
    }

    /// The action's arguments, as a value that the host has anyway: no text is written or read.
    ///
    /// # Errors
    /// It is nested too deep or holds too much; see [`Context::from_value`].
    pub fn context_value(mut self, value: serde_json::Value) -> Result<Self, BadInput> {
        self.context = Context::from_value(value)?;
        Ok(self)
    }

    /// The rule to ask, instead of `data.meshguard.decision`.
    #[must_use]
    pub fn entrypoint(mut self, path: impl Into<String>) -> Self {
        self.entrypoint = path.into();
        self
    }

    /// The verified identity bound to it, if any.
    pub fn bound_identity(&self) -> Option<&Identity> {
        self.identity.as_deref()
    }

    /// Binds the verified identity of whoever asks.
    #[must_use]
    pub fn with_identity(mut self, identity: Arc<Identity>) -> Self {
        self.identity = Some(identity);
        self
    }
}

/// Who wants to act: hints from the host. Verified claims win; a hint alone never raises trust.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Actor {
    /// The actor's id; empty means "whoever the credential names".
    pub id: String,
    /// SPIFFE id, if the host knows one.
    #[serde(alias = "spiffeId", skip_serializing_if = "String::is_empty")]
    pub spiffe_id: String,
    /// A name for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// A hint, and never more.
    #[serde(alias = "trustTier", skip_serializing_if = "String::is_empty")]
    pub trust_tier: String,
    /// A hint, and never more; 0.0 to 1.0.
    #[serde(alias = "trustScore", skip_serializing_if = "Option::is_none")]
    pub trust_score: Option<f64>,
    /// Labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Organisation within the tenant.
    #[serde(alias = "orgId", skip_serializing_if = "String::is_empty")]
    pub org_id: String,
}

/// serde's derived readers also take an array for a struct, field by field; the contract has objects only.
fn object<T: serde::de::DeserializeOwned>(json: &RawValue) -> Result<T, serde_json::Error> {
    let text = json.get();
    if !(text.starts_with('{') || text == "null") {
        return Err(serde::de::Error::custom("an object is due"));
    }
    serde_json::from_str(text)
}

fn field_object<'de, D: Deserializer<'de>, T: serde::de::DeserializeOwned>(deserializer: D) -> Result<T, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    object(&raw).map_err(serde::de::Error::custom)
}

/// Input that can't be decided upon, and why. It becomes a deny with the reason `bad_input`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bad input: {0}")]
pub struct BadInput(pub(crate) String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_case_but_not_both() {
        let camel = Request::from_json(br#"{"tenantId":"a","actor":{"id":"x","trustTier":"t"},"action":"y"}"#).unwrap();
        let snake =
            Request::from_json(br#"{"tenant_id":"a","actor":{"id":"x","trust_tier":"t"},"action":"y"}"#).unwrap();
        assert_eq!(camel, snake);
        let both = Request::from_json(br#"{"tenantId":"a","tenant_id":"a","action":"y"}"#).unwrap_err();
        assert!(both.to_string().contains("duplicate field"), "{both}");
    }

    #[test]
    fn unknown_fields_are_refused() {
        let error = Request::from_json(br#"{"action":"y","only_if_monday":true}"#).unwrap_err();
        assert!(error.to_string().contains("only_if_monday"), "{error}");
    }

    #[test]
    fn only_objects_are_objects() {
        for json in
            ["[]", "null", "7", r#"{"actor":["x"],"action":"y"}"#, r#"{"at_least_revision":[1,2],"action":"y"}"#]
        {
            assert!(Request::from_json(json.as_bytes()).is_err(), "{json}");
        }
    }

    #[test]
    fn names_are_short() {
        let long = "x".repeat(MAX_NAME_BYTES + 1);
        for json in [format!(r#"{{"action":"{long}"}}"#), format!(r#"{{"action":"y","actor":{{"tags":["{long}"]}}}}"#)]
        {
            assert!(Request::from_json(json.as_bytes()).unwrap_err().to_string().contains("longer than"), "{json:.80}");
        }
        assert!(Request::new("a", "b").resource(long).check().is_err());
    }

    #[test]
    fn each_name_has_its_place() {
        let mut request = Request::default();
        for (name, place) in NAMES.into_iter().zip(request.names_mut()) {
            *place = name.to_owned();
        }
        assert_eq!(request.names().map(String::as_str), NAMES);
        let json = serde_json::to_value(&request).unwrap();
        for name in NAMES {
            assert_eq!(json.pointer(&format!("/{}", name.replace('.', "/"))).unwrap(), name);
        }
    }

    #[test]
    fn context_bytes_are_kept() {
        let request = Request::from_json(br#"{"action":"y","context":{"n": 1.0, "a":[1,2]}}"#).unwrap();
        assert_eq!(request.context.as_json(), r#"{"n": 1.0, "a":[1,2]}"#);
    }

    #[test]
    fn identity_is_never_read_from_json() {
        assert!(Request::from_json(br#"{"action":"y","identity":{"subject":"root"}}"#).is_err());
    }

    #[test]
    fn debug_shows_no_arguments() {
        let request = Request::new("a", "b").context(r#"{"password":"hunter2"}"#).unwrap();
        assert!(!format!("{request:?}").contains("hunter2"));
    }
}
