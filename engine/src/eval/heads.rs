//! Denies that would vanish: definitions whose value may be undefined.
//!
//! `decision := {"effect": "deny", "reason": input.why} if input.bad` is OPA's Rego, and doesn't hold where `input.why` is
//! missing. What is left may be an allow, so a bundle that says so is refused.

use std::sync::Arc;

use super::compile::CompileError;
use super::compile::walk::{Skip, chain, vars_of_body, vars_of_terms};
use super::syntax::ast::{Location, Module, Rule, Term, TermKind, dotted};
use super::value::Value;

/// The names that rules have whose members deny, by custom.
const DENIES: [&str; 2] = ["deny", "violation"];

/// Finds what may be undefined in the heads of decisions, which stand at `entrypoints` (paths below `data`), and of denies.
pub(super) fn check(modules: &[Module], entrypoints: &[Vec<Value>]) -> Vec<CompileError> {
    let mut errors = vec![];
    for module in modules {
        for rule in &module.rules {
            let path = path_of(module, rule);
            let is_decision = entrypoints.contains(&path);
            let is_deny = rule.head.contains && path.last().and_then(Value::as_str).is_some_and(is_deny);
            for rule in chain(rule).filter(|rule| !rule.default && (is_decision || is_deny)) {
                let parts: Vec<&Term> = match (&rule.head.key, &rule.head.value) {
                    (Some(key), _) if is_deny => vec![key],
                    (_, Some(value)) if is_decision => fields_of_a_deny(value),
                    _ => vec![],
                };
                errors.extend(parts.iter().find_map(|part| doubtful(part, rule)).map(|found| error(&found)));
            }
        }
    }
    errors
}

fn is_deny(name: &str) -> bool {
    DENIES.contains(&name)
}

/// Where a rule stands, as far as its reference is constant.
fn path_of(module: &Module, rule: &Rule) -> Vec<Value> {
    let package = module.package.path.iter().map(|part| Value::String(Arc::clone(part)));
    let name = |(at, term): (usize, &Term)| match term.as_var() {
        Some(var) if at == 0 => Some(Value::from(var.as_str())),
        _ => term.to_value(),
    };
    package.chain(rule.head.reference.iter().enumerate().map_while(name)).collect()
}

/// The fields of an object with an `effect`, unless that is sure to be an allow, which may well vanish.
fn fields_of_a_deny(value: &Term) -> Vec<&Term> {
    let TermKind::Object(entries) = &value.kind else { return vec![] };
    let effect = entries.iter().find(|(key, _)| key.as_str() == Some("effect"));
    match effect.map(|(_, effect)| effect.as_str()) {
        None | Some(Some("allow")) => vec![],
        Some(_) => entries.iter().map(|(_, field)| field).collect(),
    }
}

struct Doubtful {
    location: Location,
    text: String,
    /// A name for it.
    name: String,
}

/// The first part that may be undefined: a reference, or a name that stands for a rule.
fn doubtful(term: &Term, rule: &Rule) -> Option<Doubtful> {
    match &term.kind {
        // The whole `input` is always there.
        TermKind::Ref(reference) if reference.len() == 1 => None,
        TermKind::Ref(reference) => {
            let text = dotted(reference).unwrap_or_else(|| "a reference".to_owned());
            let name = reference.last().and_then(Term::as_str).filter(|name| is_name(name)).unwrap_or("value");
            Some(Doubtful { location: term.location, name: name.to_owned(), text })
        }
        TermKind::Var(var) => {
            let mut bound = vars_of_body(&rule.body, Skip::default());
            bound.extend(vars_of_terms(&rule.head.args, Skip::default()));
            let text = var.as_str().to_owned();
            (!bound.contains(var)).then(|| Doubtful { location: term.location, name: text.clone(), text })
        }
        TermKind::Array(items) | TermKind::Set(items) => items.iter().find_map(|item| doubtful(item, rule)),
        TermKind::Call(terms) => terms.iter().skip(1).find_map(|operand| doubtful(operand, rule)),
        TermKind::Object(entries) => {
            entries.iter().find_map(|(key, value)| doubtful(key, rule).or_else(|| doubtful(value, rule)))
        }
        _ => None,
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn error(found: &Doubtful) -> CompileError {
    let Doubtful { location, text, name } = found;
    let message = format!(
        "`{text}` may be undefined, and then this doesn't deny; interpolate it (`$\"{{{text}}}\"`), give it a default with \
         `object.get`, or write `{name}_known := {text}` into the body if it shall not"
    );
    CompileError::new(*location, "undefined_head", message)
}
