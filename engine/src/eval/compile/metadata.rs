//! `rego.metadata.rule()` and `rego.metadata.chain()` are constants: what the policy's own annotations say.

use std::collections::BTreeMap;

use super::CompileError;
use super::error::TYPE;
use super::expand::{append, equality_before};
use super::locals::Generator;
use super::tree::ground_prefix;
use super::walk::{bodies_of_rule_mut, chain_mut};
use crate::eval::syntax::ast::{Annotation, Body, Expr, ExprKind, Location, Module, Rule, Term, TermKind, Var};
use crate::eval::value::Value;

const CHAIN: &str = "rego.metadata.chain";
const RULE: &str = "rego.metadata.rule";

/// Puts the annotations in the place of calls that ask for them.
pub(super) fn rewrite(modules: &mut [Module], generator: &mut Generator, errors: &mut Vec<CompileError>) {
    let annotations = Annotations::new(modules, errors);
    for (m, module) in modules.iter_mut().enumerate() {
        let package: Vec<Value> = module.package.path.iter().map(|part| Value::from(&**part)).collect();
        for (r, rule) in module.rules.iter_mut().enumerate() {
            let mut is_else = false;
            chain_mut(rule, &mut |rule| {
                // Annotations stand before a rule, never before an `else`.
                let own = if is_else { &[][..] } else { annotations.of_rule(m, r) };
                is_else = true;
                rewrite_rule(rule, generator, own, &package, &annotations);
            });
        }
    }
}

fn rewrite_rule(
    rule: &mut Rule,
    generator: &mut Generator,
    own: &[Annotation],
    package: &[Value],
    annotations: &Annotations,
) {
    let (mut chain_at, mut rule_at) = (None, None);
    bodies_of_rule_mut(rule, &mut |body| {
        for expr in &*body {
            if expr.is_call_of(CHAIN) {
                chain_at.get_or_insert(expr.location);
            } else if expr.is_call_of(RULE) {
                rule_at.get_or_insert(expr.location);
            }
        }
    });
    if chain_at.is_none() && rule_at.is_none() {
        return;
    }
    let path = ground_prefix(&rule.head.reference);
    let mut added = vec![];
    let mut bind = |at: Option<Location>, value: &dyn Fn() -> Value| {
        let at = at?;
        let mut term = term_of(&value(), at);
        added.push(equality_before(&mut term, generator));
        term.as_var().cloned()
    };
    let chain_var = bind(chain_at, &|| annotations.chain(own, &path, package));
    let rule_var = bind(rule_at, &|| {
        // Of several blocks before one rule, the first.
        own.first().map_or_else(|| Value::object(vec![]), |annotation| annotation.value.clone())
    });
    let body = std::mem::take(&mut rule.body);
    rule.body = added;
    append(&mut rule.body, body);
    bodies_of_rule_mut(rule, &mut |body| replace_calls(body, chain_var.as_ref(), rule_var.as_ref()));
}

fn replace_calls(body: &mut Body, chain: Option<&Var>, rule: Option<&Var>) {
    for expr in body {
        let var = match expr.as_call() {
            Some((name, _)) if name == CHAIN => chain,
            Some((name, _)) if name == RULE => rule,
            _ => continue,
        };
        let Some(var) = var else { continue };
        let location = expr.location;
        let value = Term::var(location, var.clone());
        let output = expr.as_call().and_then(|(_, operands)| operands.first().cloned());
        let replaced = match output {
            Some(output) => Expr::call(location, "eq", [output, value]),
            None => Expr::new(location, ExprKind::Term(value)),
        };
        *expr = Expr { generated: true, negated: expr.negated, with: std::mem::take(&mut expr.with), ..replaced };
    }
}

/// A module set's annotations, by what they are for.
struct Annotations {
    rules: BTreeMap<(usize, usize), Vec<Annotation>>,
    documents: BTreeMap<Vec<Value>, Annotation>,
    packages: BTreeMap<Vec<Value>, Annotation>,
    subpackages: BTreeMap<Vec<Value>, Annotation>,
}

impl Annotations {
    fn new(modules: &[Module], errors: &mut Vec<CompileError>) -> Self {
        let mut all = Self {
            rules: BTreeMap::new(),
            documents: BTreeMap::new(),
            packages: BTreeMap::new(),
            subpackages: BTreeMap::new(),
        };
        for (m, module) in modules.iter().enumerate() {
            let package: Vec<Value> = module.package.path.iter().map(|part| Value::from(&**part)).collect();
            for annotation in &module.annotations {
                let rule = rule_below(module, annotation.location.row);
                let document =
                    || rule.and_then(|r| module.rules.get(r)).map(|rule| ground_prefix(&rule.head.reference));
                let (map, path) = match &*annotation.scope {
                    "rule" => {
                        if let Some(r) = rule {
                            all.rules.entry((m, r)).or_default().push(annotation.clone());
                        }
                        continue;
                    }
                    "document" => match document() {
                        Some(path) => (&mut all.documents, path),
                        None => continue,
                    },
                    "package" => (&mut all.packages, package.clone()),
                    "subpackages" => (&mut all.subpackages, package.clone()),
                    _ => continue,
                };
                if map.insert(path, annotation.clone()).is_some() {
                    let message = format!("{} annotation redeclared", annotation.scope);
                    errors.push(CompileError::new(annotation.location, TYPE, message));
                }
            }
        }
        all
    }

    fn of_rule(&self, module: usize, rule: usize) -> &[Annotation] {
        self.rules.get(&(module, rule)).map_or(&[], Vec::as_slice)
    }

    /// From the rule outward: its own, its document's, its package's, the packages' above.
    fn chain(&self, own: &[Annotation], path: &[Value], package: &[Value]) -> Value {
        let link = |path: &[Value], annotation: Option<&Annotation>| {
            let mut entries = vec![(Value::from("path"), Value::array(path.to_vec()))];
            entries.extend(annotation.map(|annotation| (Value::from("annotations"), annotation.value.clone())));
            Value::object(entries)
        };
        let mut links = vec![];
        // Closest to the rule first.
        links.extend(own.iter().rev().map(|annotation| link(path, Some(annotation))));
        if own.is_empty() {
            links.push(link(path, None));
        }
        links.extend(self.documents.get(path).map(|annotation| link(path, Some(annotation))));
        links.extend(self.packages.get(package).map(|annotation| link(package, Some(annotation))));
        for depth in (0..=package.len()).rev() {
            let above = package.get(..depth).unwrap_or_default();
            links.extend(self.subpackages.get(above).map(|annotation| link(above, Some(annotation))));
        }
        Value::array(links)
    }
}

/// The rule that a block at `row` stands before, if the next statement is one.
fn rule_below(module: &Module, row: u32) -> Option<usize> {
    let others = module.imports.iter().map(|import| import.location.row).chain([module.package.location.row]);
    let other = others.filter(|other| *other > row).min().unwrap_or(u32::MAX);
    let rules = module.rules.iter().enumerate().map(|(r, rule)| (rule.location.row, r));
    rules.filter(|(rule, _)| *rule > row && *rule < other).min().map(|(_, r)| r)
}

fn term_of(value: &Value, at: Location) -> Term {
    let kind = match value {
        Value::Null => TermKind::Null,
        Value::Bool(value) => TermKind::Bool(*value),
        Value::Number(number) => TermKind::Number(number.clone()),
        Value::String(text) => TermKind::String(std::sync::Arc::clone(text)),
        Value::Array(items) => TermKind::Array(items.iter().map(|item| term_of(item, at)).collect()),
        Value::Set(items) => TermKind::Set(items.iter().map(|item| term_of(item, at)).collect()),
        Value::Object(object) => {
            TermKind::Object(object.iter().map(|(key, value)| (term_of(key, at), term_of(value, at))).collect())
        }
    };
    Term::new(at, kind)
}
