//! `with`: what it may replace, and values that need evaluating moved before it.

use super::CompileError;
use super::error::TYPE;
use super::expand::{equality_before, requires_evaluation};
use super::locals::Generator;
use super::tree::RuleTree;
use super::walk::{bodies_of_rule_mut, chain_mut};
use crate::eval::builtins::table::builtin;
use crate::eval::syntax::ast::{Body, Expr, Location, Module, Ref, Term, TermKind, Var, With, dotted};

/// Checks and rewrites the modifiers of all rules.
pub(super) fn rewrite(
    modules: &mut [Module],
    tree: &RuleTree,
    generator: &mut Generator,
    errors: &mut Vec<CompileError>,
) {
    let functions = Functions::new(modules, tree);
    for rule in modules.iter_mut().flat_map(|module| &mut module.rules) {
        chain_mut(rule, &mut |rule| {
            bodies_of_rule_mut(rule, &mut |body| rewrite_body(body, &functions, generator, errors));
        });
    }
}

fn rewrite_body(body: &mut Body, functions: &Functions<'_>, generator: &mut Generator, errors: &mut Vec<CompileError>) {
    if body.iter().all(|expr| expr.with.is_empty()) {
        return;
    }
    let mut result = Vec::with_capacity(body.len());
    for mut expr in std::mem::take(body) {
        for with in &mut expr.with {
            match functions.check(with) {
                Ok(true) => result.push(hoisted(with, generator)),
                Ok(false) => {}
                Err(error) => errors.push(error),
            }
        }
        result.push(expr);
    }
    *body = result;
}

fn hoisted(with: &mut With, generator: &mut Generator) -> Expr {
    equality_before(&mut with.value, generator)
}

/// What is known of rules where `with` is checked.
struct Functions<'a> {
    tree: &'a RuleTree,
    /// The nodes whose rules are functions.
    functions: Vec<bool>,
}

impl<'a> Functions<'a> {
    fn new(modules: &[Module], tree: &'a RuleTree) -> Self {
        let is_function = |at: usize| {
            let rules = tree.node(at).map_or(&[][..], |node| node.rules.as_slice());
            rules.iter().any(|(module, rule)| {
                let rule = modules.get(*module).and_then(|module| module.rules.get(*rule));
                rule.is_some_and(|rule| !rule.head.args.is_empty())
            })
        };
        Self { tree, functions: (0..tree.len()).map(is_function).collect() }
    }

    fn is_function(&self, reference: &[Term]) -> bool {
        self.tree.find(reference).is_some_and(|at| self.functions.get(at).copied().unwrap_or_default())
    }

    /// Whether the value must be evaluated before.
    fn check(&self, with: &mut With) -> Result<bool, CompileError> {
        for term in [&mut with.target, &mut with.value] {
            // A builtin's name alone is a variable to the parser.
            if let Some(var) = term.as_var().filter(|var| builtin(var.as_str()).is_some()) {
                term.kind = TermKind::Ref(vec![Term::var(term.location, var.clone())]);
            }
        }
        let location = with.target.location;
        let target = match &with.target.kind {
            TermKind::Ref(target) => target,
            _ => return Err(not_replaceable(location)),
        };
        match target.first().and_then(Term::as_var).map(Var::as_str) {
            Some("data") => {
                self.check_data(target, location)?;
                if self.is_function(target) && self.is_function_value(&with.value) {
                    return Ok(false);
                }
                if with.value.as_ref().is_some_and(|value| self.is_function(value)) {
                    return Ok(false);
                }
            }
            Some("input") => {}
            _ => {
                check_builtin(target, location)?;
                if self.is_function_value(&with.value) {
                    return Ok(false);
                }
            }
        }
        Ok(requires_evaluation(&with.value))
    }

    fn check_data(&self, target: &Ref, location: Location) -> Result<(), CompileError> {
        let mut at = RuleTree::ROOT;
        for term in target.iter().skip(1).take(target.len().saturating_sub(2)) {
            let Some(child) = term.to_value().and_then(|key| self.tree.child(at, &key)) else { break };
            if self.tree.node(child).is_some_and(|node| !node.rules.is_empty()) {
                let message = "with keyword cannot partially replace virtual document(s)";
                return Err(CompileError::compile(location, message));
            }
            at = child;
        }
        Ok(())
    }

    /// Whether a value names something that can stand for a function: any rule or package, or a builtin.
    fn is_function_value(&self, value: &Term) -> bool {
        let Some(reference) = value.as_ref() else { return false };
        self.tree.find(reference).is_some() || dotted(reference).is_some_and(|name| builtin(&name).is_some())
    }
}

fn check_builtin(target: &Ref, location: Location) -> Result<(), CompileError> {
    let name = dotted(target).ok_or_else(|| not_replaceable(location))?;
    let builtin = builtin(&name).ok_or_else(|| not_replaceable(location))?;
    let refuse =
        |what: &str| Err(CompileError::compile(location, format!("with keyword replacing built-in function: {what}")));
    match name.as_str() {
        "eq" | "rego.metadata.chain" | "rego.metadata.rule" => refuse(&format!("replacement of `{name}` invalid")),
        _ if name.starts_with("internal.") => refuse(&format!("replacement of internal function `{name}` invalid")),
        _ if builtin.relation => refuse("target must not be a relation"),
        _ if builtin.result.is_none() => refuse("target must not be a void function"),
        _ => Ok(()),
    }
}

fn not_replaceable(location: Location) -> CompileError {
    CompileError::new(location, TYPE, "with keyword target must reference existing input, data, or a function")
}
