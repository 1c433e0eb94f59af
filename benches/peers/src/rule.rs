//! A rule that can be written in every peer's language, and that says itself when it holds.

use std::fmt::Write;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::question::{More, Question};

/// Allows what meets all of its conditions.
#[derive(Debug, Clone)]
pub struct Rule(pub Vec<Condition>);

/// What a question must be like.
#[derive(Debug, Clone)]
pub enum Condition {
    /// The field is this text.
    Is(Field, String),
    /// The field is one of these texts.
    OneOf(Field, Vec<String>),
    /// The field begins like this.
    Prefix(Field, String),
    /// The field has this first and last part, and one between them; parts are separated by dots.
    Glob(Field, String, String),
    /// The field is at least this.
    AtLeast(Field, i64),
    /// The field is less than this.
    Below(Field, i64),
    /// Both fields are the same: nothing that an index over constants could take.
    Same(Field, Field),
    /// What was used and what is asked for fit in the quota; that neither.
    Fits,
    /// The opposite.
    Not(Box<Condition>),
}

/// What a condition looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// Text: what is to be done.
    Action,
    /// Text: to what.
    Resource,
    /// Text: the agent's role.
    Role,
    /// Number: the agent's trust.
    Trust,
    /// Text: the agent's team.
    Team,
    /// Text: the resource's owner.
    Owner,
    /// Text: the agent's user.
    User,
    /// Number: bytes to be written.
    Size,
}

// === Meaning ===

impl Rule {
    /// Whether it allows what is asked.
    pub fn holds(&self, question: &Question) -> bool {
        self.0.iter().all(|condition| condition.holds(question))
    }

    /// Changes a question so that the rule allows it.
    pub fn satisfy(&self, question: &mut Question) {
        self.0.iter().for_each(|condition| condition.satisfy(question));
    }

    /// Changes a question so that the condition with this number, counted around, isn't met.
    pub fn violate(&self, number: usize, question: &mut Question) {
        if let Some(condition) = self.0.get(number % self.0.len().max(1)) {
            condition.violate(question);
        }
    }
}

impl Condition {
    fn holds(&self, question: &Question) -> bool {
        match self {
            Self::Is(field, text) => field.text(question) == text,
            Self::OneOf(field, texts) => texts.iter().any(|text| field.text(question) == text),
            Self::Prefix(field, prefix) => field.text(question).starts_with(prefix),
            Self::Glob(field, first, last) => {
                let parts: Vec<&str> = field.text(question).split('.').collect();
                matches!(parts.as_slice(), [a, _, b] if a == first && b == last)
            }
            Self::AtLeast(field, least) => field.number(question) >= *least,
            Self::Below(field, bound) => field.number(question) < *bound,
            Self::Same(a, b) => a.text(question) == b.text(question),
            Self::Fits => question.more.as_ref().is_some_and(|more| more.size + more.used <= more.quota),
            Self::Not(condition) => !condition.holds(question),
        }
    }

    fn satisfy(&self, question: &mut Question) {
        match self {
            _ if self.holds(question) => {}
            Self::Is(field, text) => field.set_text(question, text.clone()),
            Self::OneOf(field, texts) => field.set_text(question, texts.first().cloned().unwrap_or_default()),
            Self::Prefix(field, prefix) => field.set_text(question, format!("{prefix}report.csv")),
            Self::Glob(field, first, last) => field.set_text(question, format!("{first}.mail.{last}")),
            Self::AtLeast(field, least) => field.set_number(question, *least),
            Self::Below(field, bound) => field.set_number(question, bound - 1),
            Self::Same(a, b) => a.set_text(question, b.text(question).to_owned()),
            Self::Fits => set_more(question, |more| more.quota = more.size + more.used),
            Self::Not(condition) => condition.violate(question),
        }
    }

    fn violate(&self, question: &mut Question) {
        match self {
            Self::Is(field, _) | Self::OneOf(field, _) | Self::Prefix(field, _) | Self::Glob(field, ..) => {
                field.set_text(question, format!("other-{}", question.number));
            }
            Self::AtLeast(field, least) => field.set_number(question, least - 1),
            Self::Below(field, bound) => field.set_number(question, *bound),
            Self::Same(a, b) => a.set_text(question, format!("not-{}", b.text(question))),
            Self::Fits => set_more(question, |more| more.quota = more.size + more.used - 1),
            Self::Not(condition) => condition.satisfy(question),
        }
    }
}

impl Field {
    fn text(self, question: &Question) -> &str {
        let more = |get: fn(&More) -> &String| question.more.as_ref().map_or("", |more| get(more).as_str());
        match self {
            Self::Action => &question.action,
            Self::Resource => &question.resource,
            Self::Role => &question.role,
            Self::Team => more(|more| &more.team),
            Self::Owner => more(|more| &more.owner),
            Self::User => more(|more| &more.user),
            Self::Trust | Self::Size => "",
        }
    }

    fn number(self, question: &Question) -> i64 {
        match self {
            Self::Size => question.more.as_ref().map_or(0, |more| more.size),
            _ => question.trust,
        }
    }

    fn set_text(self, question: &mut Question, text: String) {
        match self {
            Self::Action => question.action = text,
            Self::Resource => question.resource = text,
            Self::Role => question.role = text,
            Self::Team => set_more(question, |more| more.team = text),
            Self::Owner => set_more(question, |more| more.owner = text),
            Self::User => set_more(question, |more| more.user = text),
            Self::Trust | Self::Size => {}
        }
    }

    fn set_number(self, question: &mut Question, number: i64) {
        match self {
            Self::Size => set_more(question, |more| more.size = number),
            _ => question.trust = number,
        }
    }
}

fn set_more(question: &mut Question, set: impl FnOnce(&mut More)) {
    if let Some(more) = &mut question.more {
        set(more);
    }
}

// === Rego ===

impl Rule {
    /// The rule's body, a condition a line.
    pub fn rego(&self) -> String {
        self.0.iter().fold(String::new(), |mut body, condition| {
            // Writing to a string can't fail.
            let _ = writeln!(body, "\t{}", condition.rego());
            body
        })
    }
}

impl Condition {
    fn rego(&self) -> String {
        match self {
            Self::Is(field, text) => format!("{} == {text:?}", field.rego()),
            Self::OneOf(field, texts) => format!("{} in {{{}}}", field.rego(), quoted(texts)),
            Self::Prefix(field, prefix) => format!("startswith({}, {prefix:?})", field.rego()),
            Self::Glob(field, first, last) => {
                format!("glob.match(\"{first}.*.{last}\", [\".\"], {})", field.rego())
            }
            Self::AtLeast(field, least) => format!("{} >= {least}", field.rego()),
            Self::Below(field, bound) => format!("{} < {bound}", field.rego()),
            Self::Same(a, b) => format!("{} == {}", a.rego(), b.rego()),
            Self::Fits => "input.context.size + input.context.used <= input.context.quota".to_owned(),
            Self::Not(condition) => format!("not {}", condition.rego()),
        }
    }
}

impl Field {
    fn rego(self) -> &'static str {
        match self {
            Self::Action => "input.action",
            Self::Resource => "input.resource",
            Self::Role => "input.context.agent.role",
            Self::Trust => "input.context.agent.trust",
            Self::Team => "input.context.team",
            Self::Owner => "input.context.owner",
            Self::User => "input.context.user",
            Self::Size => "input.context.size",
        }
    }

    /// Its name where there is no nesting.
    fn flat(self) -> &'static str {
        self.rego().rsplit('.').next().unwrap_or_default()
    }
}

fn quoted(texts: &[String]) -> String {
    texts.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(", ")
}

// === Cedar ===

impl Rule {
    /// As a Cedar policy. A required action goes into the scope, where Cedar's authors put it.
    pub fn cedar(&self) -> String {
        let action = self.0.iter().find_map(|condition| match condition {
            Condition::Is(Field::Action, action) => Some(format!("action == Action::{action:?}")),
            _ => None,
        });
        let rest = self.0.iter().filter(|condition| !matches!(condition, Condition::Is(Field::Action, _)));
        let rest: Vec<String> = rest.map(Condition::cedar).collect();
        let when = if rest.is_empty() { String::new() } else { format!(" when {{ {} }}", rest.join(" && ")) };
        format!("permit(principal, {}, resource){when};\n", action.as_deref().unwrap_or("action"))
    }
}

impl Condition {
    fn cedar(&self) -> String {
        let context = |field: &Field| format!("context.{}", field.flat());
        match self {
            Self::Is(field, text) => format!("{} == {text:?}", context(field)),
            Self::OneOf(field, texts) => format!("[{}].contains({})", quoted(texts), context(field)),
            Self::Prefix(field, prefix) => format!("{} like \"{prefix}*\"", context(field)),
            Self::Glob(field, first, last) => format!("{} like \"{first}.*.{last}\"", context(field)),
            Self::AtLeast(field, least) => format!("{} >= {least}", context(field)),
            Self::Below(field, bound) => format!("{} < {bound}", context(field)),
            Self::Same(a, b) => format!("{} == {}", context(a), context(b)),
            Self::Fits => "context.size + context.used <= context.quota".to_owned(),
            Self::Not(condition) => format!("!({})", condition.cedar()),
        }
    }
}

// === AGT ===

impl Rule {
    /// As a rule of AGT's Python evaluator.
    ///
    /// # Errors
    /// It has more than one condition, or one that AGT doesn't know.
    pub fn agt(&self, number: usize) -> anyhow::Result<Value> {
        let (field, operator, value) = match self.0.as_slice() {
            [Condition::Is(field, text)] => (field, "eq", json!(text)),
            [Condition::OneOf(field, texts)] => (field, "in", json!(texts)),
            [Condition::AtLeast(field, least)] => (field, "gte", json!(least)),
            [Condition::Below(field, bound)] => (field, "lt", json!(bound)),
            _ => bail!("one condition a rule"),
        };
        let condition = json!({ "field": field.flat(), "operator": operator, "value": value });
        Ok(json!({ "name": format!("rule-{number}"), "condition": condition, "action": "allow" }))
    }

    /// As a rule of AGT's Rust crate.
    ///
    /// # Errors
    /// It asks for more than an action.
    pub fn agentmesh(&self, number: usize) -> anyhow::Result<Value> {
        let action = match self.0.as_slice() {
            [Condition::Is(Field::Action, action)] => Some(action),
            _ => None,
        };
        let action = action.context("only an action can be asked for here")?;
        Ok(json!({ "name": format!("rule-{number}"), "type": "capability", "allowed_actions": [action] }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows;

    #[test]
    fn what_satisfies_holds_and_what_violates_does_not() {
        for (number, rule) in rows::mixed_rules(200).iter().enumerate() {
            let mut question = rows::mixed_question(number);
            rule.satisfy(&mut question);
            assert!(rule.holds(&question), "{rule:?}: {question:?}");
            for condition in 0..rule.0.len() {
                let mut broken = question.clone();
                rule.violate(condition, &mut broken);
                assert!(!rule.holds(&broken), "{rule:?}: {broken:?}");
            }
        }
    }

    #[test]
    fn languages() {
        let rule = Rule(vec![
            Condition::Is(Field::Action, "act:1".into()),
            Condition::Not(Box::new(Condition::Prefix(Field::Resource, "file:/etc/".into()))),
        ]);
        assert_eq!(rule.rego(), "\tinput.action == \"act:1\"\n\tnot startswith(input.resource, \"file:/etc/\")\n");
        let cedar = r#"permit(principal, action == Action::"act:1", resource) when { !(context.resource like "file:/etc/*") };"#;
        assert_eq!(rule.cedar().trim_end(), cedar);
        assert!(rule.agt(0).is_err() && rule.agentmesh(0).is_err());
    }
}
