//! What is asked, before it has a form.

use meshguard_benches::Ask;
use meshguard_engine::{Effect, Request};
use serde_json::{Map, Value, json};

/// One request's fields, as far as policies here read them.
#[derive(Debug, Clone)]
pub struct Question {
    /// Makes its request and trace ids unique.
    pub number: usize,
    /// `input.action`.
    pub action: String,
    /// `input.resource`.
    pub resource: String,
    /// `input.context.agent.role`.
    pub role: String,
    /// `input.context.agent.trust`.
    pub trust: i64,
    /// What only some policies read.
    pub more: Option<More>,
}

/// What the mixed policies read besides, all below `input.context`.
#[derive(Debug, Clone)]
pub struct More {
    /// Whose team the agent is in.
    pub team: String,
    /// To whom the resource belongs.
    pub owner: String,
    /// For whom the agent acts.
    pub user: String,
    /// Bytes to be written.
    pub size: i64,
    /// Bytes written before.
    pub used: i64,
    /// Bytes that may be written.
    pub quota: i64,
}

impl Question {
    /// A question that only its action and its role make interesting.
    pub fn new(number: usize, action: String, role: String) -> Self {
        Self { number, action, resource: "file:/srv/reports/2026.csv".into(), role, trust: 950, more: None }
    }

    /// As a host sends it, with the answer that is right.
    ///
    /// # Errors
    /// It is no request: a mistake in this file.
    pub fn ask(&self, effect: Effect) -> anyhow::Result<Ask> {
        let mut context = json!({ "agent": { "role": self.role, "trust": self.trust }, "session": "s-19" });
        if let (Some(context), Some(more)) = (context.as_object_mut(), &self.more) {
            context.extend(more.fields());
        }
        let mut request = json!({
            "request_id": format!("req-{:06}", self.number),
            "actor": { "id": "agent-7" },
            "action": self.action,
            "resource": self.resource,
            "context": context,
        });
        if let (Some(request), true) = (request.as_object_mut(), self.more.is_some()) {
            request.insert("trace_id".into(), format!("{:032x}", self.number + 1).into());
        }
        ask(&request, effect)
    }

    /// The same without nesting, for peers that know no paths.
    pub fn flat(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("action".into(), self.action.as_str().into());
        fields.insert("resource".into(), self.resource.as_str().into());
        fields.insert("role".into(), self.role.as_str().into());
        fields.insert("trust".into(), self.trust.into());
        fields.extend(self.more.iter().flat_map(More::fields));
        fields
    }
}

impl More {
    fn fields(&self) -> Map<String, Value> {
        let texts = [("team", &self.team), ("owner", &self.owner), ("user", &self.user)];
        let numbers = [("size", self.size), ("used", self.used), ("quota", self.quota)];
        let texts = texts.into_iter().map(|(name, text)| (name.to_owned(), Value::from(text.as_str())));
        texts.chain(numbers.into_iter().map(|(name, number)| (name.to_owned(), number.into()))).collect()
    }
}

/// `request` in both its forms.
///
/// # Errors
/// It is no request.
pub fn ask(request: &Value, effect: Effect) -> anyhow::Result<Ask> {
    let json = serde_json::to_vec(request)?;
    Ok(Ask { request: Request::from_json(&json)?, json, effect })
}
