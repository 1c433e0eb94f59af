//! Rules that can't stand beside each other, and rules beside data.

use std::collections::BTreeSet;

use super::CompileError;
use super::error::{COMPILE, TYPE};
use super::resolve::import_name;
use super::tree::{Arity, Node, RuleKind, RuleTree, is_ground, kind, scalar};
use super::walk::{chain, terms_of_rule};
use crate::eval::syntax::ast::{Body, Expr, ExprKind, Module, Rule, Term, TermKind, Var, dotted};
use crate::eval::value::Value;

/// Checks imports and names that hide `input` or `data`, in modules where that isn't allowed.
pub(super) fn check_names(modules: &[Module], errors: &mut Vec<CompileError>) {
    for module in modules.iter().filter(|module| module.rego_v1) {
        let mut names = BTreeSet::new();
        for import in &module.imports {
            let Some(name) = import_name(import) else { continue };
            if !names.insert(name.clone()) {
                errors.push(CompileError::compile(import.location, format!("import must not shadow another: {name}")));
            }
        }
        check_roots(module, errors);
    }
}

fn check_roots(module: &Module, errors: &mut Vec<CompileError>) {
    for rule in &module.rules {
        // The name stands behind the package's path.
        let name = rule.head.reference.get(module.package.path.len() + 1).and_then(Term::as_str);
        if let Some(name) = name.filter(|name| matches!(*name, "input" | "data")) {
            let message = format!("rules must not shadow {name} (use a different rule name)");
            errors.push(CompileError::compile(rule.location, message));
        }
        for rule in chain(rule) {
            exprs_of_rule(rule, &mut |expr| {
                let Some((_, [left, ..])) = expr.as_call().filter(|(name, _)| name == "assign") else { return };
                if let Some(root) = root_of(left) {
                    let message = format!("variables must not shadow {root} (use a different variable name)");
                    errors.push(CompileError::compile(expr.location, message));
                }
            });
        }
    }
}

fn root_of(term: &Term) -> Option<&Var> {
    let var = match &term.kind {
        TermKind::Var(var) => var,
        TermKind::Ref(reference) if reference.len() == 1 => reference.first()?.as_var()?,
        _ => return None,
    };
    matches!(var.as_str(), "input" | "data").then_some(var)
}

/// Checks that rules of one path go together, and that none stands in another's place.
pub(super) fn check_rules(modules: &[Module], tree: &RuleTree, errors: &mut Vec<CompileError>) {
    for node in tree.ambiguous() {
        let mut found = None;
        tree.below(*node, true, &mut |id| found = found.or(Some(id)));
        if let Some(rule) = found.and_then(|(module, rule)| modules.get(module)?.rules.get(rule)) {
            let message = "a number in this rule's path is written in another way elsewhere; write it in one way";
            errors.push(CompileError::new(rule.location, "number_in_path", message));
        }
    }
    for node in (0..tree.len()).filter_map(|at| tree.node(at)).filter(|node| !node.rules.is_empty()) {
        if let Some(error) = conflict(modules, tree, node) {
            errors.push(error);
        }
    }
    check_packages(modules, errors);
}

fn conflict(modules: &[Module], tree: &RuleTree, node: &Node) -> Option<CompileError> {
    let get = |(module, rule): (usize, usize)| modules.get(module)?.rules.get(rule);
    let rules: Vec<&Rule> = node.rules.iter().filter_map(|id| get(*id)).collect();
    let first = *rules.first()?;
    let name = path_text(&first.head.reference);
    let mut below: Vec<&Rule> = vec![];
    for child in node.children.values() {
        tree.below(*child, true, &mut |id| below.extend(get(id)));
    }
    let refuse = |message: String| Some(CompileError::new(first.location, TYPE, message));

    if rules.iter().any(|rule| is_ground(&rule.head.reference)) && !below.is_empty() {
        let others: BTreeSet<String> = below.iter().map(|rule| path_text(&rule.head.reference)).collect();
        let others: Vec<String> = others.into_iter().collect();
        return refuse(format!("rule {name} conflicts with {}", others.join(", ")));
    }
    if rules.iter().any(|rule| !is_ground(&rule.head.reference))
        && let Some(function) = below.iter().find(|rule| !rule.head.args.is_empty())
    {
        return refuse(format!("rule {name} conflicts with function {}", path_text(&function.head.reference)));
    }
    let kinds: BTreeSet<RuleKind> = rules.iter().map(|rule| kind(rule)).collect();
    let arities: BTreeSet<usize> = rules.iter().map(|rule| rule.head.args.len()).collect();
    let is_complete = |rule: &&Rule| kind(rule) == RuleKind::Single && is_ground(&rule.head.reference);
    let complete = rules.iter().filter(|rule| is_complete(rule)).count();
    let sets = rules.iter().filter(|rule| kind(rule) == RuleKind::Multi);
    let ground_sets = sets.clone().filter(|rule| is_ground(&rule.head.reference)).count();
    let mixed_sets = ground_sets > 0 && ground_sets < sets.count();
    let mixed = complete > 0 && complete < rules.len();
    if kinds.len() > 1 || arities.len() > 1 || mixed || mixed_sets {
        return refuse(format!("conflicting rules {name} found"));
    }
    if rules.iter().filter(|rule| rule.default).count() > 1 {
        return refuse(format!("multiple default rules {name} found"));
    }
    None
}

/// A package can't have the path of a rule.
fn check_packages(modules: &[Module], errors: &mut Vec<CompileError>) {
    let packages: BTreeSet<Vec<Value>> = modules
        .iter()
        .map(|module| module.package.path.iter().map(|part| Value::String(std::sync::Arc::clone(part))).collect())
        .collect();
    for (module, rule) in modules.iter().flat_map(|module| module.rules.iter().map(move |rule| (module, rule))) {
        let path: Option<Vec<Value>> = rule.head.reference.iter().skip(1).map(scalar).collect();
        if let Some(path) = path.filter(|path| packages.contains(path)) {
            let name = path.iter().map(Value::to_string).collect::<Vec<_>>().join(".");
            let message = format!("package {name} conflicts with rule {} ", path_text(&rule.head.reference));
            errors.push(CompileError::new(module.package.location, TYPE, message.trim_end()));
        }
    }
}

/// Checks that no rule stands where data does.
pub(super) fn check_data(modules: &[Module], tree: &RuleTree, data: &Value, errors: &mut Vec<CompileError>) {
    let mut open: Vec<(usize, &Value)> = vec![(RuleTree::ROOT, data)];
    while let Some((at, value)) = open.pop() {
        let Some(node) = tree.node(at) else { continue };
        for (key, child) in &node.children {
            // Only strings are paths of data.
            let Some(inner) = key.as_str().and_then(|key| value.get_str(key)) else { continue };
            let rule = tree.node(*child).and_then(|node| node.rules.first());
            let below = tree.node(*child).is_some_and(|child| !child.children.is_empty());
            match rule.and_then(|(module, rule)| modules.get(*module)?.rules.get(*rule)) {
                None if below && inner.as_object().is_none() => {
                    let mut first = None;
                    tree.below(*child, true, &mut |id| first = first.or(Some(id)));
                    let rule = first.and_then(|(module, rule)| modules.get(module)?.rules.get(rule));
                    let location = rule.map(|rule| rule.location).unwrap_or_default();
                    let message = format!("data above this rule, at {key}, isn't an object; rename one of them");
                    errors.push(CompileError::new(location, COMPILE, message));
                }
                Some(rule) => {
                    let name = path_text(&rule.head.reference);
                    let message =
                        format!("conflicting rule for data path {name} found; rename the rule or move the data");
                    errors.push(CompileError::new(rule.location, COMPILE, message));
                }
                None => open.push((*child, inner)),
            }
        }
    }
}

/// Checks that what is called exists and gets as many operands as it takes.
pub(super) fn check_functions(modules: &[Module], arity: &Arity<'_>, errors: &mut Vec<CompileError>) {
    for rule in modules.iter().flat_map(|module| &module.rules) {
        for rule in chain(rule) {
            exprs_of_rule(rule, &mut |expr| {
                let ExprKind::Call(terms) = &expr.kind else { return };
                let Some((operator, operands)) = terms.split_first() else { return };
                let Some(operator) = operator.as_ref() else { return };
                let name = path_text(operator);
                let Some(arity) = arity.get(operator) else {
                    let message = format!("undefined function {name}; define it, or correct the name");
                    errors.push(CompileError::new(expr.location, TYPE, message));
                    return;
                };
                let is_equality = dotted(operator).is_some_and(|name| name == "eq");
                let wrong = match expr.generated {
                    true => !is_equality && operands.len() != arity + 1,
                    false => operands.len() != arity && operands.len() != arity + 1,
                };
                if wrong {
                    let got = operands.len() - usize::from(expr.generated);
                    let message = format!("function {name} has arity {arity}, got {got} arguments");
                    errors.push(CompileError::new(expr.location, TYPE, message));
                }
            });
        }
    }
}

/// Every statement of a rule, those of bodies within included.
fn exprs_of_rule<'a>(rule: &'a Rule, f: &mut dyn FnMut(&'a Expr)) {
    let mut bodies: Vec<&'a Body> = vec![&rule.body];
    terms_of_rule(rule, &mut |term| match &term.kind {
        TermKind::ArrayComprehension(_, body)
        | TermKind::SetComprehension(_, body)
        | TermKind::ObjectComprehension(_, _, body) => bodies.push(body),
        _ => {}
    });
    while let Some(body) = bodies.pop() {
        for expr in body {
            f(expr);
            match &expr.kind {
                ExprKind::Every(every) => bodies.push(&every.body),
                ExprKind::Not(operand) => bodies.push(&operand.body),
                ExprKind::And(left, right) | ExprKind::Or(left, right) => bodies.extend([&left.body, &right.body]),
                ExprKind::Call(_) | ExprKind::Term(_) | ExprKind::Some(_) => {}
            }
        }
    }
}

/// Refuses builtins that are deprecated, in modules where they are gone.
pub(super) fn check_deprecated(modules: &[Module], errors: &mut Vec<CompileError>) {
    for rule in modules.iter().filter(|module| module.rego_v1).flat_map(|module| &module.rules) {
        for rule in chain(rule) {
            terms_of_rule(rule, &mut |term| {
                let Some(name) = term.as_ref().and_then(|reference| dotted(reference)) else { return };
                if crate::eval::builtins::table::builtin(&name).is_some_and(|builtin| builtin.deprecated) {
                    let message = format!("deprecated built-in function calls in expression: {name}");
                    errors.push(CompileError::new(term.location, TYPE, message));
                }
            });
        }
    }
}

/// `data.a.b[x]`, for messages.
pub(super) fn path_text(reference: &[Term]) -> String {
    let mut text = String::new();
    for (i, term) in reference.iter().enumerate() {
        match (&term.kind, i) {
            (TermKind::Var(var), 0) => text.push_str(var.as_str()),
            (TermKind::Var(var), _) => text.push_str(&format!("[{var}]")),
            (TermKind::String(part), _) => text.push_str(&format!(".{part}")),
            _ => text
                .push_str(&format!("[{}]", term.to_value().map_or_else(|| "…".to_owned(), |value| value.to_string()))),
        }
    }
    text
}
