//! One thing that is done to the engine, and what must come of it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};

/// Files of a bundle by path.
pub(crate) type Files = BTreeMap<String, Bytes>;

type Making<T> = Box<dyn Fn() -> T + Send + Sync>;

pub(crate) struct Case {
    pub(crate) name: String,
    /// Made where it is used: some are large.
    pub(crate) files: Making<Files>,
    pub(crate) asked: Making<Vec<Asked>>,
    pub(crate) expected: Expected,
}

/// What is put to the engine.
pub(crate) enum Asked {
    /// Bytes of a request.
    Request(Vec<u8>),
    /// Bytes of an `input` to evaluate `data.meshguard.decision` over.
    Input(String),
    /// Something that no engine may do, done by the child itself.
    Misdeed(Misdeed),
}

/// What the judge must see.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Misdeed {
    /// Works for so many milliseconds.
    AnswersLate(u64),
    /// Takes so many MiB, and gives them back.
    Grows(usize),
    /// Takes more than there is.
    TakesAll,
    Aborts,
    Panics,
    /// Uses more stack than a small host's threads have.
    UsesItsStackUp,
    /// Works until it is ended.
    Hangs,
}

#[derive(Debug, Clone)]
pub(crate) enum Expected {
    /// The bundle is refused with this code, and the refusal says this.
    Refused(&'static str, &'static str),
    /// The bundle is served; each answer allows.
    Allowed,
    /// The bundle is served; each answer denies for this reason, whose message holds this.
    Denied(&'static str, &'static str),
    /// The bundle is served; the evaluation fails with this code.
    Failed(&'static str),
    /// Refused or served, allowed or denied: it is only a matter of what that takes.
    Decided,
}

impl Case {
    /// A policy of these rules, with the default that denies, asked about an action without arguments.
    pub(crate) fn policy(name: &str, rules: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self::files(name, move || vec![("policy.rego".into(), package(&rules()))])
    }

    pub(crate) fn files(name: &str, files: impl Fn() -> Vec<(String, String)> + Send + Sync + 'static) -> Self {
        Self::bytes(name, move || files().into_iter().map(|(path, text)| (path, text.into_bytes())).collect())
    }

    pub(crate) fn bytes(name: &str, files: impl Fn() -> Vec<(String, Vec<u8>)> + Send + Sync + 'static) -> Self {
        Self {
            name: name.to_owned(),
            files: Box::new(move || files().into_iter().map(|(path, bytes)| (path, bytes.into())).collect()),
            asked: Box::new(|| vec![request(&json!({}))]),
            expected: Expected::Allowed,
        }
    }

    /// Asked with this as the request's context.
    pub(crate) fn context(self, context: impl Fn() -> Value + Send + Sync + 'static) -> Self {
        self.asked(move || vec![request(&context())])
    }

    pub(crate) fn asked(mut self, asked: impl Fn() -> Vec<Asked> + Send + Sync + 'static) -> Self {
        self.asked = Box::new(asked);
        self
    }

    pub(crate) fn refused(mut self, code: &'static str, says: &'static str) -> Self {
        self.expected = Expected::Refused(code, says);
        self
    }

    pub(crate) fn denied(mut self, reason: &'static str, says: &'static str) -> Self {
        self.expected = Expected::Denied(reason, says);
        self
    }

    /// Denied because the evaluation took too much, of whatever it was.
    pub(crate) fn out_of_budget(self) -> Self {
        self.denied("budget", "")
    }

    pub(crate) fn decided(mut self) -> Self {
        self.expected = Expected::Decided;
        self
    }

    pub(crate) fn failed(mut self, code: &'static str) -> Self {
        self.expected = Expected::Failed(code);
        self
    }
}

/// A module of the package that is asked.
pub(crate) fn package(rules: &str) -> String {
    format!("package meshguard\n\n{rules}\n")
}

/// A request for the action `x` with this context.
pub(crate) fn request(context: &Value) -> Asked {
    raw(&format!(r#"{{"actor":{{"id":"a"}},"action":"x","context":{context}}}"#))
}

pub(crate) fn raw(request: &str) -> Asked {
    Asked::Request(request.as_bytes().to_vec())
}

/// `one(0)`, `one(1)`, … as lines.
pub(crate) fn lines(n: usize, one: impl Fn(usize) -> String) -> String {
    (0..n).map(one).collect::<Vec<_>>().join("\n")
}

/// `one(0)`, `one(1)`, … with `between` between them.
pub(crate) fn joined(n: usize, between: &str, one: impl Fn(usize) -> String) -> String {
    (0..n).map(one).collect::<Vec<_>>().join(between)
}
