//! Walking the tree: which variables stand where, and every term in place.
//!
//! What is skipped, and in which order that is decided, follows OPA's `VarVisitor` (`ast/visit.go`): safety depends on it.

use std::collections::BTreeSet;

use crate::eval::syntax::ast::{Body, Every, Expr, ExprKind, Head, Rule, TemplatePart, Term, TermKind, Var, With};

pub(crate) type VarSet = BTreeSet<Var>;

/// What a walk for variables leaves out.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Skip {
    /// The first term of a reference.
    pub(crate) ref_head: bool,
    /// The first term of an operator's name, and of a reference in `with`.
    pub(crate) call_head: bool,
    pub(crate) object_keys: bool,
    /// Bodies within the expression: comprehensions, `every`, plain `not`, `and`, `or`; and template strings.
    pub(crate) closures: bool,
    pub(crate) sets: bool,
}

/// For safety: what must have a value before an expression is evaluated.
pub(crate) const SAFETY: Skip =
    Skip { call_head: true, closures: true, ref_head: false, object_keys: false, sets: false };

/// For what a pattern gives values to.
pub(crate) const PATTERN: Skip =
    Skip { ref_head: true, object_keys: true, closures: true, call_head: false, sets: false };

pub(crate) fn vars_of_term(term: &Term, skip: Skip) -> VarSet {
    let mut vars = VarSet::new();
    term_vars(term, skip, &mut vars);
    vars
}

pub(crate) fn vars_of_body(body: &Body, skip: Skip) -> VarSet {
    let mut vars = VarSet::new();
    body_vars(body, skip, &mut vars);
    vars
}

pub(crate) fn vars_of_terms<'a>(terms: impl IntoIterator<Item = &'a Term>, skip: Skip) -> VarSet {
    let mut vars = VarSet::new();
    terms.into_iter().for_each(|term| term_vars(term, skip, &mut vars));
    vars
}

/// All variables of a head: parameters, key, value, and what its reference holds behind the name.
pub(crate) fn vars_of_head(head: &Head) -> VarSet {
    let parts = head.args.iter().chain(&head.key).chain(&head.value).chain(head.reference.iter().skip(1));
    vars_of_terms(parts, Skip::default())
}

pub(crate) fn body_vars(body: &Body, skip: Skip, vars: &mut VarSet) {
    body.iter().for_each(|expr| expr_vars(expr, skip, vars));
}

pub(crate) fn expr_vars(expr: &Expr, skip: Skip, vars: &mut VarSet) {
    match &expr.kind {
        ExprKind::Term(term) => term_vars(term, skip, vars),
        ExprKind::Call(terms) => call_vars(terms, skip, vars),
        ExprKind::Some(terms) => terms.iter().for_each(|term| term_vars(term, skip, vars)),
        ExprKind::Every(every) if skip.closures => {
            // As in OPA, nothing else of the expression is looked at, not even its `with`.
            return term_vars(&every.domain, skip, vars);
        }
        ExprKind::Every(every) => every_vars(every, skip, vars),
        ExprKind::Not(_) | ExprKind::And(..) | ExprKind::Or(..) if skip.closures => {}
        ExprKind::Not(operand) => body_vars(&operand.body, skip, vars),
        ExprKind::And(left, right) | ExprKind::Or(left, right) => {
            body_vars(&left.body, skip, vars);
            body_vars(&right.body, skip, vars);
        }
    }
    expr.with.iter().for_each(|with| with_vars(with, skip, vars));
}

pub(crate) fn with_vars(with: &With, skip: Skip, vars: &mut VarSet) {
    for (term, is_value) in [(&with.target, false), (&with.value, true)] {
        match &term.kind {
            TermKind::Ref(reference) if skip.call_head => {
                reference.iter().skip(1).for_each(|term| term_vars(term, skip, vars));
            }
            _ if skip.call_head && !is_value => {}
            _ => term_vars(term, skip, vars),
        }
    }
}

fn every_vars(every: &Every, skip: Skip, vars: &mut VarSet) {
    every.key.iter().chain([&every.value, &every.domain]).for_each(|term| term_vars(term, skip, vars));
    body_vars(&every.body, skip, vars);
}

fn call_vars(terms: &[Term], skip: Skip, vars: &mut VarSet) {
    let mut terms = terms.iter();
    if skip.call_head
        && let Some(operator) = terms.next()
        && let TermKind::Ref(operator) = &operator.kind
    {
        operator.iter().skip(1).for_each(|term| term_vars(term, skip, vars));
    }
    terms.for_each(|term| term_vars(term, skip, vars));
}

pub(crate) fn term_vars(term: &Term, skip: Skip, vars: &mut VarSet) {
    match &term.kind {
        TermKind::Null | TermKind::Bool(_) | TermKind::Number(_) | TermKind::String(_) => {}
        TermKind::Var(var) => {
            vars.insert(var.clone());
        }
        TermKind::Ref(reference) => {
            reference.iter().skip(usize::from(skip.ref_head)).for_each(|term| term_vars(term, skip, vars));
        }
        TermKind::Array(items) => items.iter().for_each(|term| term_vars(term, skip, vars)),
        TermKind::Set(_) if skip.sets => {}
        TermKind::Set(items) => items.iter().for_each(|term| term_vars(term, skip, vars)),
        TermKind::Object(entries) => {
            for (key, value) in entries {
                if !skip.object_keys {
                    term_vars(key, skip, vars);
                }
                term_vars(value, skip, vars);
            }
        }
        TermKind::Call(terms) => call_vars(terms, skip, vars),
        TermKind::ArrayComprehension(..)
        | TermKind::SetComprehension(..)
        | TermKind::ObjectComprehension(..)
        | TermKind::Template(_)
            if skip.closures => {}
        TermKind::ArrayComprehension(term, body) | TermKind::SetComprehension(term, body) => {
            term_vars(term, skip, vars);
            body_vars(body, skip, vars);
        }
        TermKind::ObjectComprehension(key, value, body) => {
            term_vars(key, skip, vars);
            term_vars(value, skip, vars);
            body_vars(body, skip, vars);
        }
        TermKind::Template(parts) => {
            for part in parts {
                if let TemplatePart::Expr(expr) = part {
                    expr_vars(expr, skip, vars);
                }
            }
        }
    }
}

// === Closures ===

/// A body within an expression, with what surrounds it.
pub(crate) enum Closure<'a> {
    Comprehension { terms: Vec<&'a Term>, body: &'a Body },
    Every(&'a Every),
    Body(&'a Body),
}

/// The outermost closures of an expression.
pub(crate) fn closures_of_expr<'a>(expr: &'a Expr, f: &mut dyn FnMut(Closure<'a>)) {
    match &expr.kind {
        ExprKind::Term(term) => closures_of_term(term, f),
        ExprKind::Call(terms) | ExprKind::Some(terms) => terms.iter().for_each(|term| closures_of_term(term, f)),
        ExprKind::Every(every) => f(Closure::Every(every)),
        ExprKind::Not(operand) => f(Closure::Body(&operand.body)),
        ExprKind::And(left, right) | ExprKind::Or(left, right) => {
            f(Closure::Body(&left.body));
            f(Closure::Body(&right.body));
        }
    }
    for with in &expr.with {
        closures_of_term(&with.target, f);
        closures_of_term(&with.value, f);
    }
}

pub(crate) fn closures_of_term<'a>(term: &'a Term, f: &mut dyn FnMut(Closure<'a>)) {
    match &term.kind {
        TermKind::Ref(terms) | TermKind::Array(terms) | TermKind::Set(terms) | TermKind::Call(terms) => {
            terms.iter().for_each(|term| closures_of_term(term, f));
        }
        TermKind::Object(entries) => {
            for (key, value) in entries {
                closures_of_term(key, f);
                closures_of_term(value, f);
            }
        }
        TermKind::ArrayComprehension(term, body) | TermKind::SetComprehension(term, body) => {
            f(Closure::Comprehension { terms: vec![term], body });
        }
        TermKind::ObjectComprehension(key, value, body) => {
            f(Closure::Comprehension { terms: vec![key, value], body });
        }
        TermKind::Template(parts) => {
            for part in parts {
                if let TemplatePart::Expr(expr) = part {
                    closures_of_expr(expr, f);
                }
            }
        }
        _ => {}
    }
}

// === Everything ===

/// Calls `f` on every term of a rule, its `else` not included: outer terms first.
pub(crate) fn terms_of_rule<'a>(rule: &'a Rule, f: &mut dyn FnMut(&'a Term)) {
    let head = &rule.head;
    head.reference.iter().skip(1).chain(&head.args).chain(&head.key).chain(&head.value).for_each(|term| each(term, f));
    terms_of_body(&rule.body, f);
}

pub(crate) fn terms_of_body<'a>(body: &'a Body, f: &mut dyn FnMut(&'a Term)) {
    body.iter().for_each(|expr| terms_of_expr(expr, f));
}

pub(crate) fn terms_of_expr<'a>(expr: &'a Expr, f: &mut dyn FnMut(&'a Term)) {
    match &expr.kind {
        ExprKind::Term(term) => each(term, f),
        ExprKind::Call(terms) | ExprKind::Some(terms) => terms.iter().for_each(|term| each(term, f)),
        ExprKind::Every(every) => {
            every.key.iter().chain([&every.value, &every.domain]).for_each(|term| each(term, f));
            terms_of_body(&every.body, f);
        }
        ExprKind::Not(operand) => terms_of_body(&operand.body, f),
        ExprKind::And(left, right) | ExprKind::Or(left, right) => {
            terms_of_body(&left.body, f);
            terms_of_body(&right.body, f);
        }
    }
    for with in &expr.with {
        each(&with.target, f);
        each(&with.value, f);
    }
}

pub(crate) fn each<'a>(term: &'a Term, f: &mut dyn FnMut(&'a Term)) {
    f(term);
    match &term.kind {
        TermKind::Ref(terms) | TermKind::Array(terms) | TermKind::Set(terms) | TermKind::Call(terms) => {
            terms.iter().for_each(|term| each(term, f));
        }
        TermKind::Object(entries) => {
            for (key, value) in entries {
                each(key, f);
                each(value, f);
            }
        }
        TermKind::ArrayComprehension(term, body) | TermKind::SetComprehension(term, body) => {
            each(term, f);
            terms_of_body(body, f);
        }
        TermKind::ObjectComprehension(key, value, body) => {
            each(key, f);
            each(value, f);
            terms_of_body(body, f);
        }
        TermKind::Template(parts) => {
            for part in parts {
                if let TemplatePart::Expr(expr) = part {
                    terms_of_expr(expr, f);
                }
            }
        }
        _ => {}
    }
}

/// Calls `f` on every body of a rule, inner ones included, its `else` not.
pub(crate) fn bodies_of_rule<'a>(rule: &'a Rule, f: &mut dyn FnMut(&'a Body)) {
    let mut open: Vec<&'a Body> = vec![&rule.body];
    let mut within = |term: &'a Term| {
        if let TermKind::ArrayComprehension(_, body)
        | TermKind::SetComprehension(_, body)
        | TermKind::ObjectComprehension(_, _, body) = &term.kind
        {
            f(body);
            open.push(body);
        }
    };
    terms_of_rule(rule, &mut within);
    // Those of the statements themselves.
    let mut seen = vec![];
    while let Some(body) = open.pop() {
        for expr in body {
            match &expr.kind {
                ExprKind::Every(every) => seen.push(&every.body),
                ExprKind::Not(operand) => seen.push(&operand.body),
                ExprKind::And(left, right) | ExprKind::Or(left, right) => seen.extend([&left.body, &right.body]),
                ExprKind::Term(_) | ExprKind::Call(_) | ExprKind::Some(_) => {}
            }
        }
        open.extend(seen.iter().copied());
        seen.drain(..).for_each(&mut *f);
    }
    f(&rule.body);
}

/// Calls `f` on every body of a rule, inner ones included, its `else` not. Templates must have become calls.
pub(crate) fn bodies_of_rule_mut(rule: &mut Rule, f: &mut dyn FnMut(&mut Body)) {
    let head = &mut rule.head;
    let terms = head.reference.iter_mut().chain(&mut head.args).chain(&mut head.key).chain(&mut head.value);
    terms.for_each(|term| bodies_of_term_mut(term, f));
    bodies_of_body_mut(&mut rule.body, f);
}

/// Calls `f` on `body` after it was called on all bodies within.
pub(crate) fn bodies_of_body_mut(body: &mut Body, f: &mut dyn FnMut(&mut Body)) {
    for expr in body.iter_mut() {
        match &mut expr.kind {
            ExprKind::Term(term) => bodies_of_term_mut(term, f),
            ExprKind::Call(terms) | ExprKind::Some(terms) => {
                terms.iter_mut().for_each(|term| bodies_of_term_mut(term, f));
            }
            ExprKind::Every(every) => {
                bodies_of_term_mut(&mut every.domain, f);
                bodies_of_body_mut(&mut every.body, f);
            }
            ExprKind::Not(operand) => bodies_of_body_mut(&mut operand.body, f),
            ExprKind::And(left, right) | ExprKind::Or(left, right) => {
                bodies_of_body_mut(&mut left.body, f);
                bodies_of_body_mut(&mut right.body, f);
            }
        }
        for with in &mut expr.with {
            bodies_of_term_mut(&mut with.target, f);
            bodies_of_term_mut(&mut with.value, f);
        }
    }
    f(body);
}

pub(crate) fn bodies_of_term_mut(term: &mut Term, f: &mut dyn FnMut(&mut Body)) {
    match &mut term.kind {
        TermKind::Ref(terms) | TermKind::Array(terms) | TermKind::Set(terms) | TermKind::Call(terms) => {
            terms.iter_mut().for_each(|term| bodies_of_term_mut(term, f));
        }
        TermKind::Object(entries) => {
            for (key, value) in entries {
                bodies_of_term_mut(key, f);
                bodies_of_term_mut(value, f);
            }
        }
        TermKind::ArrayComprehension(term, body) | TermKind::SetComprehension(term, body) => {
            bodies_of_term_mut(term, f);
            bodies_of_body_mut(body, f);
        }
        TermKind::ObjectComprehension(key, value, body) => {
            bodies_of_term_mut(key, f);
            bodies_of_term_mut(value, f);
            bodies_of_body_mut(body, f);
        }
        _ => {}
    }
}

/// A rule and its `else` rules, first to last.
pub(crate) fn chain(rule: &Rule) -> impl Iterator<Item = &Rule> {
    std::iter::successors(Some(rule), |rule| rule.otherwise.as_deref())
}

/// Calls `f` on a rule and its `else` rules, first to last.
pub(crate) fn chain_mut(rule: &mut Rule, f: &mut dyn FnMut(&mut Rule)) {
    let mut next = Some(rule);
    while let Some(rule) = next {
        f(rule);
        next = rule.otherwise.as_deref_mut();
    }
}
