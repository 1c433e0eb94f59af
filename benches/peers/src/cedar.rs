//! cedar-policy, with requests and entities built before.

use anyhow::{Context as _, bail};
use cedar_policy::{Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request, Response};
use meshguard_engine::Effect;
use serde_json::{Map, Value};

use crate::contestant::Numbered;
use crate::row::Row;

/// The policies, and all that is asked.
pub struct Cedar {
    authorizer: Authorizer,
    policies: PolicySet,
    entities: Entities,
    requests: Vec<Request>,
}

impl Cedar {
    /// Builds all of it.
    ///
    /// # Errors
    /// The row can't be said in Cedar, or not as it is.
    pub fn open(row: &Row) -> anyhow::Result<Self> {
        let policies = row.cedar.as_ref().map_err(|why| anyhow::anyhow!("{why}"))?;
        Ok(Self {
            authorizer: Authorizer::new(),
            policies: policies.parse()?,
            entities: Entities::from_json_value(row.entities.clone(), None)?,
            requests: row.flat.iter().map(request).collect::<anyhow::Result<_>>()?,
        })
    }
}

/// The action names the request's; all fields are the context.
fn request(fields: &Map<String, Value>) -> anyhow::Result<Request> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).with_context(|| format!("no {name}"));
    let entity = |kind: &str, id: &str| -> anyhow::Result<EntityUid> { Ok(format!("{kind}::{id:?}").parse()?) };
    let context = Context::from_json_value(Value::Object(fields.clone()), None)?;
    let (action, resource) = (entity("Action", text("action")?)?, entity("Resource", text("resource")?)?);
    Ok(Request::new(entity("Agent", "agent-7")?, action, resource, context, None)?)
}

impl Numbered for Cedar {
    type Answer = Option<Response>;

    fn requests(&self) -> usize {
        self.requests.len()
    }

    fn ask(&mut self, number: usize) -> Self::Answer {
        let request = self.requests.get(number)?;
        Some(self.authorizer.is_authorized(request, &self.policies, &self.entities))
    }

    fn effect(answer: Self::Answer) -> anyhow::Result<Effect> {
        let response = answer.context("no such request")?;
        if let Some(error) = response.diagnostics().errors().next() {
            bail!("{error}");
        }
        Ok(match response.decision() {
            Decision::Allow => Effect::Allow,
            Decision::Deny => Effect::Deny,
        })
    }
}
