//! The fields of an input that come from a request's own members, and from who asks.

use std::borrow::Cow;

use super::fields::{Field, NodeId, Wanted};
use super::reads::{Path, ReadSet};
use super::{actor, approval};
use crate::eval::value::Value;
use crate::identity::Identity;
use crate::request::BadInput;
use crate::trust::Tier;

/// What a request says beside its context. An empty text is absent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Parts<'i> {
    pub(crate) actor: &'i str,
    pub(crate) action: &'i str,
    pub(crate) resource: &'i str,
    pub(crate) stage: &'i str,
    pub(crate) delegation: &'i str,
    pub(crate) approval: &'i str,
    pub(crate) mcp_tool: &'i str,
    pub(crate) request_id: &'i str,
}

/// Where each field of a read set comes from.
#[derive(Debug)]
pub(crate) struct Sources {
    sources: Box<[Source]>,
    /// Where the context is among what is wanted.
    context: Option<NodeId>,
}

#[derive(Debug, Clone)]
enum Source {
    Tenant,
    Action,
    Resource,
    Stage,
    Delegation,
    McpTool,
    RequestId,
    Approval,
    ApprovalId,
    ActorId,
    ActorTier,
    /// Something else of the actor: what lies at this path of the whole.
    Actor(Path),
    /// Filled from the context.
    Context,
    /// No request has it.
    Nowhere,
}

impl Sources {
    /// Where the fields of `reads` come from; none if all of the input is wanted as one document.
    pub(crate) fn of(reads: &ReadSet) -> Option<Self> {
        let sources = reads.fields().iter().map(Source::of).collect::<Option<_>>()?;
        Some(Self { sources, context: reads.wanted().child(Wanted::ROOT, "context") })
    }

    /// Where the context is among what is wanted; none if nothing of it is.
    pub(crate) fn context(&self) -> Option<NodeId> {
        self.context
    }

    /// Fills all fields but those of the context.
    ///
    /// # Errors
    /// The identity's claims aren't strict JSON.
    pub(crate) fn fill<'i>(
        &self,
        parts: &Parts<'i>,
        tenant: &'i str,
        identity: Option<&'i Identity>,
        fields: &mut [Field<'i>],
    ) -> Result<(), BadInput> {
        for (source, field) in self.sources.iter().zip(fields) {
            *field = match source {
                Source::Tenant => text(tenant),
                Source::Action => text(parts.action),
                Source::Resource => text(parts.resource),
                Source::Stage => text(parts.stage),
                Source::Delegation => text(parts.delegation),
                Source::McpTool => text(parts.mcp_tool),
                Source::RequestId => text(parts.request_id),
                Source::Approval => approval(parts.approval).map_or(Field::Absent, Field::Tree),
                Source::ApprovalId => text(parts.approval),
                Source::ActorId => text(identity.map_or(parts.actor, Identity::subject)),
                Source::ActorTier => text(identity.map_or(Tier::Unverified, |identity| identity.tier).as_str()),
                Source::Actor(path) => within(actor(parts.actor, identity)?, path),
                Source::Context => continue,
                Source::Nowhere => Field::Absent,
            };
        }
        Ok(())
    }
}

impl Source {
    /// None for the whole input.
    fn of(path: &Path) -> Option<Self> {
        let (first, rest) = path.split_first()?;
        let only = |source| if rest.is_empty() { source } else { Self::Nowhere };
        Some(match (&**first, rest) {
            ("context", _) => Self::Context,
            ("tenant_id", _) => only(Self::Tenant),
            ("action", _) => only(Self::Action),
            ("resource", _) => only(Self::Resource),
            ("stage", _) => only(Self::Stage),
            ("delegation", _) => only(Self::Delegation),
            ("mcp_tool", _) => only(Self::McpTool),
            ("request_id", _) => only(Self::RequestId),
            ("approval", []) => Self::Approval,
            ("approval", [id]) if &**id == "id" => Self::ApprovalId,
            ("actor", [id]) if &**id == "id" => Self::ActorId,
            ("actor", [tier]) if &**tier == "tier" => Self::ActorTier,
            ("actor", rest) => Self::Actor(rest.into()),
            _ => Self::Nowhere,
        })
    }
}

fn text(text: &str) -> Field<'_> {
    if text.is_empty() { Field::Absent } else { Field::Text(Cow::Borrowed(text)) }
}

fn within<'i>(value: Value, path: &Path) -> Field<'i> {
    let found = path.iter().try_fold(&value, |value, name| value.get_str(name)).cloned();
    match found {
        None => Field::Absent,
        Some(Value::Null) => Field::Null,
        Some(Value::Bool(value)) => Field::Bool(value),
        Some(Value::Number(number)) => Field::Number(number),
        Some(Value::String(text)) => Field::Text(Cow::Owned((*text).to_owned())),
        Some(tree) => Field::Tree(tree),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;
    use crate::eval::input::document;
    use crate::request::Request;

    fn identity() -> Identity {
        Identity {
            tenant: "acme".into(),
            subject: "agent-7".into(),
            tier: Tier::Trusted,
            score: 0.7,
            tags: vec!["ci".into()],
            spiffe_id: Some("spiffe://acme/agent-7".into()),
            claims_json: r#"{"sub":"agent-7"}"#.into(),
            expires_at_ms: 10,
        }
    }

    /// Every field is what the whole document has at its path.
    #[test]
    fn as_the_document_has_them() {
        let paths: Vec<Path> = [
            "tenant_id",
            "action",
            "action.x",
            "resource",
            "stage",
            "delegation",
            "mcp_tool",
            "request_id",
            "approval",
            "approval.id",
            "approval.id.x",
            "approval.other",
            "actor",
            "actor.id",
            "actor.tier",
            "actor.tier.x",
            "actor.score",
            "actor.tags",
            "actor.spiffe_id",
            "actor.claims.sub",
            "actor.name",
            "nothing",
        ]
        .iter()
        .map(|dotted| dotted.split('.').map(Arc::from).collect())
        .collect();
        let mut full = Request::new("agent-7", "shell.exec").resource("host:a");
        full.stage = "pre_tool".into();
        full.delegation = "d-1".into();
        full.mcp_tool = "files/read".into();
        full.request_id = "r-1".into();
        full.approval_id = "a-1".into();
        let identity = identity();
        for (request, identity) in [
            (&full, Some(&identity)),
            (&full, None),
            (&Request::default(), None),
            (&Request::default(), Some(&identity)),
        ] {
            let whole = document(request, "acme", identity).unwrap();
            for (number, path) in (0..).zip(&paths) {
                let reads = ReadSet::of(&paths, &BTreeSet::from([number]));
                let mut fields = vec![Field::Absent; 1];
                let sources = Sources::of(&reads).unwrap();
                sources.fill(&request.parts(), "acme", identity, &mut fields).unwrap();
                let expected = path.iter().try_fold(&whole, |value, name| value.get_str(name));
                assert_eq!(fields[0], expected.map_or(Field::Absent, Field::of), "{path:?}");
            }
        }
    }
}
