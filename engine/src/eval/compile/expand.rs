//! Statements made plain: calls out of terms, what needs evaluating out of heads, comprehensions and calls.
//!
//! Each function is one of OPA's stages. The evaluator then only meets calls of constants and variables, and references
//! whose parts are constants and variables.

use super::CompileError;
use super::error::TYPE;
use super::locals::Generator;
use super::walk::{bodies_of_rule_mut, chain_mut, each, terms_of_rule};
use crate::eval::builtins::table::builtin;
use crate::eval::syntax::ast::{Body, Expr, ExprKind, Module, Rule, Term, TermKind, With, dotted};

fn rules(modules: &mut [Module], f: &mut dyn FnMut(&mut Rule)) {
    modules.iter_mut().flat_map(|module| &mut module.rules).for_each(|rule| chain_mut(rule, f));
}

// === Heads ===

/// `p[x.y]` becomes `p[__local0__]` with `__local0__ = x.y` in the body: a path has constants and variables only.
pub(super) fn head_references(modules: &mut [Module], generator: &mut Generator) {
    for rule in modules.iter_mut().flat_map(|module| &mut module.rules) {
        let head = &mut rule.head;
        let last = head.reference.len().saturating_sub(1);
        let mut added = vec![];
        for (i, term) in head.reference.iter_mut().enumerate().skip(1) {
            if is_scalar(term) || term.as_var().is_some() {
                continue;
            }
            let at = term.location;
            added.push(equality_before(term, generator));
            if i == last
                && let Some(key) = &mut head.key
                && key.location == at
            {
                *key = term.clone();
            }
        }
        append(&mut rule.body, added);
    }
}

/// What needs evaluating in a head moves to the body.
pub(super) fn heads(modules: &mut [Module], generator: &mut Generator) {
    rules(modules, &mut |rule| {
        let head = &mut rule.head;
        let mut added = vec![];
        for term in head.key.iter_mut().chain(&mut head.value).chain(&mut head.args) {
            if requires_evaluation(term) {
                added.push(equality_before(term, generator));
            }
        }
        append(&mut rule.body, added);
    });
}

// === Void calls and print ===

/// Refuses calls without a result (`print`) where a value is needed.
pub(super) fn check_void_calls(modules: &mut [Module], errors: &mut Vec<CompileError>) {
    rules(modules, &mut |rule| {
        terms_of_rule(rule, &mut |term| {
            let TermKind::Call(terms) = &term.kind else { return };
            let name = terms.first().and_then(Term::as_ref).and_then(|operator| dotted(operator));
            if let Some(name) = name.filter(|name| builtin(name).is_some_and(|builtin| builtin.result.is_none())) {
                errors.push(CompileError::new(term.location, TYPE, format!("{name} used as value")));
            }
        });
    });
}

/// Removes calls of `print`: nobody would read what it prints.
pub(super) fn erase_print(modules: &mut [Module]) {
    rules(modules, &mut |rule| {
        bodies_of_rule_mut(rule, &mut |body| {
            let Some(location) = body.first().map(|expr| expr.location) else { return };
            body.retain(|expr| !expr.is_call_of("print"));
            if body.is_empty() {
                body.push(Expr::new(location, ExprKind::Term(Term::bool(location, true))));
            }
        });
    });
}

// === Calls out of terms ===

/// `f(g(x)) == 1` becomes `g(x, __local0__); f(__local0__, __local1__); __local1__ == 1`.
pub(super) fn calls(modules: &mut [Module], generator: &mut Generator) {
    rules(modules, &mut |rule| {
        let Rule { head, body, .. } = rule;
        for term in head.args.iter_mut().chain(&mut head.key).chain(&mut head.value) {
            let mut support = vec![];
            term_calls(term, generator, &mut support);
            append(body, support);
        }
        body_calls(body, generator);
    });
}

fn body_calls(body: &mut Body, generator: &mut Generator) {
    let mut result = Vec::with_capacity(body.len());
    for expr in std::mem::take(body) {
        expr_calls(expr, generator, &mut result);
    }
    *body = result;
}

fn expr_calls(mut expr: Expr, generator: &mut Generator, result: &mut Vec<Expr>) {
    for with in &mut expr.with {
        term_calls(&mut with.value, generator, result);
    }
    let mut support = vec![];
    match &mut expr.kind {
        ExprKind::Term(term) => term_calls(term, generator, &mut support),
        ExprKind::Call(terms) => terms.iter_mut().skip(1).for_each(|term| term_calls(term, generator, &mut support)),
        ExprKind::Every(every) => {
            let equality = equality_before(&mut every.domain, generator);
            expr_calls(Expr { with: expr.with.clone(), ..equality }, generator, result);
            body_calls(&mut every.body, generator);
        }
        ExprKind::Not(operand) => body_calls(&mut operand.body, generator),
        ExprKind::And(left, right) | ExprKind::Or(left, right) => {
            body_calls(&mut left.body, generator);
            body_calls(&mut right.body, generator);
        }
        ExprKind::Some(_) => {}
    }
    // What moved out of a statement is evaluated as the statement is.
    if !expr.with.is_empty() {
        support.iter_mut().for_each(|moved| moved.with.clone_from(&expr.with));
    }
    result.append(&mut support);
    result.push(expr);
}

fn term_calls(term: &mut Term, generator: &mut Generator, support: &mut Vec<Expr>) {
    match &mut term.kind {
        TermKind::Call(terms) => {
            terms.iter_mut().skip(1).for_each(|term| term_calls(term, generator, support));
            let var = Term::var(term.location, generator.next());
            let mut call = std::mem::take(terms);
            call.push(var.clone());
            support.push(Expr { generated: true, ..Expr::new(term.location, ExprKind::Call(call)) });
            *term = var;
        }
        TermKind::Ref(terms) => {
            terms.iter_mut().for_each(|term| term_calls(term, generator, support));
            // Only variables can be followed.
            if let Some(head) = terms.first_mut().filter(|head| head.as_var().is_none() && !is_scalar(head)) {
                support.push(equality_before(head, generator));
            }
        }
        TermKind::Array(terms) | TermKind::Set(terms) => {
            terms.iter_mut().for_each(|term| term_calls(term, generator, support));
        }
        TermKind::Object(entries) => {
            for (key, value) in entries {
                term_calls(key, generator, support);
                term_calls(value, generator, support);
            }
        }
        TermKind::ArrayComprehension(term, body) | TermKind::SetComprehension(term, body) => {
            comprehension_calls(&mut [&mut **term], body, generator);
        }
        TermKind::ObjectComprehension(key, value, body) => {
            comprehension_calls(&mut [&mut **key, &mut **value], body, generator);
        }
        _ => {}
    }
}

fn comprehension_calls(terms: &mut [&mut Term], body: &mut Body, generator: &mut Generator) {
    for term in terms {
        let mut support = vec![];
        term_calls(term, generator, &mut support);
        append(body, support);
    }
    body_calls(body, generator);
}

// === Comprehensions ===

/// `[x[0] | …]` becomes `[__local0__ | …; __local0__ = x[0]]`.
pub(super) fn comprehensions(modules: &mut [Module], generator: &mut Generator) {
    rules(modules, &mut |rule| {
        let head = &mut rule.head;
        let terms = head.reference.iter_mut().chain(&mut head.args).chain(&mut head.key).chain(&mut head.value);
        terms.for_each(|term| comprehension_terms(term, generator));
        comprehension_terms_in(&mut rule.body, generator);
    });
}

fn comprehension_terms_in(body: &mut Body, generator: &mut Generator) {
    for expr in body {
        for_terms(expr, &mut |term| comprehension_terms(term, generator));
        for_bodies(expr, &mut |body| comprehension_terms_in(body, generator));
    }
}

fn comprehension_terms(term: &mut Term, generator: &mut Generator) {
    let bind = |terms: &mut [&mut Term], body: &mut Body, generator: &mut Generator| {
        for term in terms {
            comprehension_terms(term, generator);
            if requires_evaluation(term) {
                append(body, vec![equality_before(term, generator)]);
            }
        }
        comprehension_terms_in(body, generator);
    };
    match &mut term.kind {
        TermKind::ArrayComprehension(term, body) | TermKind::SetComprehension(term, body) => {
            bind(&mut [&mut **term], body, generator);
        }
        TermKind::ObjectComprehension(key, value, body) => bind(&mut [&mut **key, &mut **value], body, generator),
        TermKind::Ref(terms) | TermKind::Array(terms) | TermKind::Set(terms) | TermKind::Call(terms) => {
            terms.iter_mut().for_each(|term| comprehension_terms(term, generator));
        }
        TermKind::Object(entries) => {
            for (key, value) in entries {
                comprehension_terms(key, generator);
                comprehension_terms(value, generator);
            }
        }
        _ => {}
    }
}

// === Equality ===

/// `==` becomes `=`: by now every variable has its value from elsewhere.
pub(super) fn equals(modules: &mut [Module]) {
    rules(modules, &mut |rule| {
        bodies_of_rule_mut(rule, &mut |body| {
            for expr in body {
                let is_plain = matches!(expr.as_call(), Some((name, [_, _])) if name == "equal");
                if is_plain
                    && let ExprKind::Call(terms) = &mut expr.kind
                    && let Some(operator) = terms.first_mut()
                {
                    *operator = Term::operator(operator.location, "eq");
                }
            }
        });
    });
}

// === Dynamic terms ===

/// References and comprehensions move before the statement that uses them: `f(data.x)` becomes
/// `__local0__ = data.x; f(__local0__)`.
pub(super) fn dynamics(modules: &mut [Module], generator: &mut Generator) {
    rules(modules, &mut |rule| body_dynamics(&mut rule.body, generator));
}

fn body_dynamics(body: &mut Body, generator: &mut Generator) {
    let mut result = Vec::with_capacity(body.len());
    for mut expr in std::mem::take(body) {
        let is_equality = expr.is_call_of("eq");
        let mut moving = Moving { with: &expr.with, generator, result: &mut result };
        match &mut expr.kind {
            // References of an equality stay: they are what it unifies.
            ExprKind::Call(terms) if is_equality => {
                if terms.len() == 3 {
                    terms.iter_mut().skip(1).for_each(|term| moving.in_term(term));
                }
            }
            ExprKind::Call(terms) => terms.iter_mut().skip(1).for_each(|term| moving.one(term)),
            ExprKind::Every(every) => {
                moving.one(&mut every.domain);
                body_dynamics(&mut every.body, generator);
            }
            ExprKind::Not(operand) => body_dynamics(&mut operand.body, generator),
            ExprKind::And(left, right) | ExprKind::Or(left, right) => {
                body_dynamics(&mut left.body, generator);
                body_dynamics(&mut right.body, generator);
            }
            ExprKind::Term(term) => moving.in_term(term),
            ExprKind::Some(_) => {}
        }
        result.push(expr);
    }
    result.shrink_to_fit();
    *body = result;
}

struct Moving<'a> {
    with: &'a [With],
    generator: &'a mut Generator,
    result: &'a mut Vec<Expr>,
}

impl Moving<'_> {
    /// The term itself may stay; what it holds moves.
    fn in_term(&mut self, term: &mut Term) {
        match &mut term.kind {
            TermKind::Ref(terms) => terms.iter_mut().skip(1).for_each(|term| self.one(term)),
            TermKind::ArrayComprehension(_, body)
            | TermKind::SetComprehension(_, body)
            | TermKind::ObjectComprehension(_, _, body) => body_dynamics(body, self.generator),
            _ => self.one(term),
        }
    }

    fn one(&mut self, term: &mut Term) {
        match &mut term.kind {
            TermKind::Ref(terms) => {
                terms.iter_mut().skip(1).for_each(|term| self.one(term));
                self.moved(term);
            }
            TermKind::Array(terms) | TermKind::Set(terms) => terms.iter_mut().for_each(|term| self.one(term)),
            TermKind::Object(entries) => {
                for (key, value) in entries {
                    self.one(key);
                    self.one(value);
                }
            }
            TermKind::ArrayComprehension(_, body)
            | TermKind::SetComprehension(_, body)
            | TermKind::ObjectComprehension(_, _, body) => {
                body_dynamics(body, self.generator);
                self.moved(term);
            }
            _ => {}
        }
    }

    fn moved(&mut self, term: &mut Term) {
        let equality = equality_before(term, self.generator);
        self.result.push(Expr { with: self.with.to_vec(), ..equality });
    }
}

// === Small things ===

/// Puts a new variable in the place of `term`; the statement that gives it the value.
pub(super) fn equality_before(term: &mut Term, generator: &mut Generator) -> Expr {
    let var = Term::var(term.location, generator.next());
    let value = std::mem::replace(term, var.clone());
    Expr { generated: true, ..Expr::call(value.location, "eq", [var, value]) }
}

/// Whether a term holds references or comprehensions.
pub(super) fn requires_evaluation(term: &Term) -> bool {
    let mut found = false;
    each(term, &mut |term| {
        found |= matches!(
            term.kind,
            TermKind::Ref(_)
                | TermKind::ArrayComprehension(..)
                | TermKind::SetComprehension(..)
                | TermKind::ObjectComprehension(..)
        );
    });
    found
}

/// Adds statements to a body; the `true` that stands for none gives way.
pub(super) fn append(body: &mut Body, added: Vec<Expr>) {
    if !added.is_empty() && is_empty(body) {
        body.clear();
    }
    body.extend(added);
}

fn is_empty(body: &Body) -> bool {
    matches!(body.as_slice(), [Expr { kind: ExprKind::Term(term), .. }] if matches!(term.kind, TermKind::Bool(true)))
}

fn is_scalar(term: &Term) -> bool {
    matches!(term.kind, TermKind::Null | TermKind::Bool(_) | TermKind::Number(_) | TermKind::String(_))
}

/// The terms that stand in an expression itself.
fn for_terms(expr: &mut Expr, f: &mut dyn FnMut(&mut Term)) {
    match &mut expr.kind {
        ExprKind::Term(term) => f(term),
        ExprKind::Call(terms) | ExprKind::Some(terms) => terms.iter_mut().for_each(&mut *f),
        ExprKind::Every(every) => f(&mut every.domain),
        ExprKind::Not(_) | ExprKind::And(..) | ExprKind::Or(..) => {}
    }
    for with in &mut expr.with {
        f(&mut with.target);
        f(&mut with.value);
    }
}

/// The bodies that stand in an expression itself.
fn for_bodies(expr: &mut Expr, f: &mut dyn FnMut(&mut Body)) {
    match &mut expr.kind {
        ExprKind::Every(every) => f(&mut every.body),
        ExprKind::Not(operand) => f(&mut operand.body),
        ExprKind::And(left, right) | ExprKind::Or(left, right) => {
            f(&mut left.body);
            f(&mut right.body);
        }
        ExprKind::Term(_) | ExprKind::Call(_) | ExprKind::Some(_) => {}
    }
}
