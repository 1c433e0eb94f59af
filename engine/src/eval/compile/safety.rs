//! Statements in an order in which every variable has a value before it is needed, or an error (`reorderBodyForSafety`).

use std::collections::BTreeMap;

use super::CompileError;
use super::error::UNSAFE;
use super::locals::Generator;
use super::tree::{Arity, reserved};
use super::unify::{is_ref_safe, unify};
use super::walk::{
    Closure, PATTERN, SAFETY, Skip, VarSet, body_vars, chain_mut, closures_of_expr, each, expr_vars, term_vars,
    vars_of_body, vars_of_head, vars_of_terms,
};
use crate::eval::syntax::ast::{Body, Expr, ExprKind, Location, Module, Operand, Term, TermKind, Var};

/// Looks at a statement while its body is put in order. One needs about the square of its length, so a body that takes
/// more than this is refused.
const MAX_LOOKS: usize = 1_000_000;

/// Checks that every variable of a head has a value when the body held.
pub(super) fn check_heads(modules: &mut [Module], generator: &Generator, errors: &mut Vec<CompileError>) {
    for rule in modules.iter_mut().flat_map(|module| &mut module.rules) {
        chain_mut(rule, &mut |rule| {
            let mut safe = vars_of_body(&rule.body, SAFETY);
            rule.head.args.iter().for_each(|arg| term_vars(arg, Skip::default(), &mut safe));
            for var in vars_of_head(&rule.head).difference(&safe) {
                // What the compiler made up is bound by the statement that it made with it.
                if let Some(name) = generator.name_of(var).filter(|name| !matches!(name.as_str(), "data" | "input")) {
                    errors.push(CompileError::new(rule.head.location, UNSAFE, format!("var {name} is unsafe")));
                }
            }
        });
    }
}

/// Puts every body in order.
pub(super) fn order_bodies(
    modules: &mut [Module],
    arity: &Arity<'_>,
    generator: &Generator,
    errors: &mut Vec<CompileError>,
) {
    let mut looks = 0;
    for rule in modules.iter_mut().flat_map(|module| &mut module.rules) {
        chain_mut(rule, &mut |rule| {
            let mut globals = reserved();
            rule.head.args.iter().for_each(|arg| term_vars(arg, Skip::default(), &mut globals));
            let mut ordering = Ordering { arity, unsafe_vars: BTreeMap::new(), looks: &mut looks };
            ordering.body(&globals, &mut rule.body);
            let over = *ordering.looks > MAX_LOOKS;
            let found = std::mem::take(&mut ordering.unsafe_vars);
            if over {
                let message = "so many statements depend on each other that putting them in order takes too long; \
                               split the rule into smaller ones";
                errors.push(CompileError::new(rule.location, "size", message));
            } else {
                let name = |var: &Var| generator.name_of(var).map(|name| format!("var {name} is unsafe"));
                let is_named = found.keys().any(|var| name(var).is_some());
                // Variables of the compiler's say something only where no others do.
                let told = found.iter().filter(|(var, _)| !is_named || name(var).is_some());
                errors.extend(told.map(|(var, location)| {
                    let message = name(var).unwrap_or_else(|| "expression is unsafe".to_owned());
                    CompileError::new(*location, UNSAFE, message)
                }));
            }
        });
    }
}

struct Ordering<'a> {
    arity: &'a Arity<'a>,
    /// Where each of them first lacks a value.
    unsafe_vars: BTreeMap<Var, Location>,
    looks: &'a mut usize,
}

impl Ordering<'_> {
    /// Orders a body and those within it. Those in `globals` have values from outside.
    fn body(&mut self, globals: &VarSet, body: &mut Body) {
        let found_before = self.unsafe_vars.len();
        let mut order = self.order(globals, body);
        if self.unsafe_vars.len() > found_before {
            // As it was: there is an error to report.
            order = (0..body.len()).collect();
        }
        let mut statements: Vec<Option<Expr>> = std::mem::take(body).into_iter().map(Some).collect();
        body.extend(order.into_iter().filter_map(|i| statements.get_mut(i).and_then(Option::take)));
        body.extend(statements.into_iter().flatten());

        let mut safe = globals.clone();
        for expr in body.iter_mut() {
            self.closures_of_expr(&mut safe, expr);
            self.visible_vars(expr, &mut safe);
        }
    }

    /// The statements' places in the order found; unsafe ones are left out and noted.
    fn order(&mut self, globals: &VarSet, body: &Body) -> Vec<usize> {
        let mut body_vars = VarSet::new();
        body.iter().for_each(|expr| self.visible_vars(expr, &mut body_vars));
        let mut safe: VarSet = body_vars.intersection(globals).cloned().collect();
        let mut statements: Vec<Statement> = body
            .iter()
            .map(|expr| {
                let mut vars = VarSet::new();
                self.visible_vars(expr, &mut vars);
                let closed = vars_in_closures(expr);
                let closed = closed.intersection(&body_vars).filter(|var| !globals.contains(var)).cloned().collect();
                Statement { missing: vars.difference(&safe).cloned().collect(), closed, done: false }
            })
            .collect();

        let mut order = vec![];
        loop {
            let before = order.len();
            for (i, expr) in body.iter().enumerate() {
                *self.looks += 1;
                if *self.looks > MAX_LOOKS {
                    return order;
                }
                let Some(statement) = statements.get_mut(i).filter(|statement| !statement.done) else { continue };
                let outputs = outputs_of_expr(expr, self.arity, &safe);
                if !statement.closed.is_empty() {
                    let bound = self.outputs_of_ordered(body, &order, &safe);
                    let open: VarSet = statement.closed.difference(&bound).cloned().collect();
                    if !open.is_empty() {
                        if open == outputs {
                            continue;
                        }
                        statement.missing = open;
                    }
                }
                statement.missing.retain(|var| !outputs.contains(var) && !safe.contains(var));
                if statement.missing.is_empty() {
                    statement.done = true;
                    order.push(i);
                    safe.extend(outputs);
                }
            }
            if order.len() == before {
                break;
            }
        }
        for (statement, expr) in statements.iter().zip(body).filter(|(statement, _)| !statement.done) {
            for var in &statement.missing {
                self.note(var, expr);
            }
        }
        order
    }

    fn note(&mut self, var: &Var, expr: &Expr) {
        let location = self.unsafe_vars.entry(var.clone()).or_insert(expr.location);
        *location = (*location).min(expr.location);
    }

    /// What the statements ordered so far give values to, beyond `safe`.
    fn outputs_of_ordered(&mut self, body: &Body, order: &[usize], safe: &VarSet) -> VarSet {
        let mut known = safe.clone();
        for expr in order.iter().filter_map(|i| body.get(*i)) {
            *self.looks += 1;
            let outputs = outputs_of_expr(expr, self.arity, &known);
            known.extend(outputs);
        }
        known.retain(|var| !safe.contains(var));
        known
    }

    /// The variables of an expression, with those that operands without braces need from outside.
    fn visible_vars(&self, expr: &Expr, vars: &mut VarSet) {
        expr_vars(expr, SAFETY, vars);
        let mut promote = |operand: &Operand| {
            if !operand.explicit {
                vars.extend(needed_from_outside(&operand.body, self.arity));
            }
        };
        match &expr.kind {
            ExprKind::Not(operand) => promote(operand),
            ExprKind::And(left, right) | ExprKind::Or(left, right) => {
                promote(left);
                promote(right);
            }
            _ => {}
        }
    }

    // === Bodies within ===

    fn closures_of_expr(&mut self, safe: &mut VarSet, expr: &mut Expr) {
        let at = Expr::new(expr.location, ExprKind::Some(vec![]));
        match &mut expr.kind {
            ExprKind::Term(term) => self.closures_of_term(safe, term, &at),
            ExprKind::Call(terms) | ExprKind::Some(terms) => {
                terms.iter_mut().for_each(|term| self.closures_of_term(safe, term, &at));
            }
            ExprKind::Every(every) => {
                // As in OPA, key and value stay known to the statements that follow; their names are unique.
                every.key.iter().chain([&every.value]).for_each(|term| term_vars(term, Skip::default(), safe));
                self.body(safe, &mut every.body);
                return;
            }
            ExprKind::Not(operand) => {
                self.body(safe, &mut operand.body);
                return;
            }
            ExprKind::And(left, right) | ExprKind::Or(left, right) => {
                self.body(safe, &mut left.body);
                self.body(safe, &mut right.body);
                return;
            }
        }
        for with in &mut expr.with {
            self.closures_of_term(safe, &mut with.value, &at);
        }
    }

    fn closures_of_term(&mut self, safe: &VarSet, term: &mut Term, at: &Expr) {
        match &mut term.kind {
            TermKind::Ref(terms) | TermKind::Array(terms) | TermKind::Set(terms) | TermKind::Call(terms) => {
                terms.iter_mut().for_each(|term| self.closures_of_term(safe, term, at));
            }
            TermKind::Object(entries) => {
                for (key, value) in entries {
                    self.closures_of_term(safe, key, at);
                    self.closures_of_term(safe, value, at);
                }
            }
            TermKind::ArrayComprehension(term, body) | TermKind::SetComprehension(term, body) => {
                let vars = vars_of_terms([&**term], Skip::default());
                self.comprehension(safe, vars, body, at);
            }
            TermKind::ObjectComprehension(key, value, body) => {
                let vars = vars_of_terms([&**key, &**value], Skip::default());
                self.comprehension(safe, vars, body, at);
            }
            _ => {}
        }
    }

    fn comprehension(&mut self, safe: &VarSet, term_vars: VarSet, body: &mut Body, at: &Expr) {
        let mut known = safe.clone();
        body.iter().for_each(|expr| self.visible_vars(expr, &mut known));
        for var in term_vars.difference(&known) {
            self.note(var, at);
        }
        self.body(safe, body);
    }
}

struct Statement {
    /// Variables that still need a value.
    missing: VarSet,
    /// Variables of the body that bodies within use.
    closed: VarSet,
    done: bool,
}

fn vars_in_closures(expr: &Expr) -> VarSet {
    let mut vars = VarSet::new();
    closures_of_expr(expr, &mut |closure| match closure {
        Closure::Comprehension { terms, body } => {
            terms.into_iter().for_each(|term| term_vars(term, Skip::default(), &mut vars));
            body_vars(body, Skip::default(), &mut vars);
        }
        Closure::Every(every) => body_vars(&every.body, Skip::default(), &mut vars),
        Closure::Body(body) => body_vars(body, Skip::default(), &mut vars),
    });
    vars
}

/// What the expression gives values to, where those in `safe` have one.
pub(super) fn outputs_of_expr(expr: &Expr, arity: &Arity<'_>, safe: &VarSet) -> VarSet {
    // Negation gives no values.
    if expr.negated || matches!(expr.kind, ExprKind::Not(_)) {
        return VarSet::new();
    }
    for with in &expr.with {
        let mut vars = VarSet::new();
        super::walk::with_vars(with, SAFETY, &mut vars);
        if !vars.is_subset(safe) {
            return VarSet::new();
        }
    }
    match &expr.kind {
        ExprKind::Call(_) if expr.is_call_of("eq") => outputs_of_equality(expr, safe),
        ExprKind::Call(terms) => outputs_of_call(expr, terms, arity, safe),
        ExprKind::Every(every) => {
            let mut outputs = VarSet::new();
            outputs_of_term(&every.domain, safe, &mut outputs);
            outputs
        }
        ExprKind::Term(_) | ExprKind::Some(_) => outputs_of_refs(expr, safe),
        ExprKind::Not(_) | ExprKind::And(..) | ExprKind::Or(..) => VarSet::new(),
    }
}

/// What a body gives values to beyond `safe`.
pub(super) fn outputs_of_body(body: &Body, arity: &Arity<'_>, safe: &VarSet) -> VarSet {
    let mut known = safe.clone();
    for expr in body {
        let outputs = outputs_of_expr(expr, arity, &known);
        known.extend(outputs);
    }
    known.retain(|var| !safe.contains(var));
    known
}

pub(super) fn outputs_of_equality(expr: &Expr, safe: &VarSet) -> VarSet {
    let Some((_, [left, right])) = expr.as_call() else { return VarSet::new() };
    // Only these can be asked for; a long body has many more.
    let mut known = vars_of_terms([left, right], Skip::default());
    known.retain(|var| safe.contains(var));
    known.extend(outputs_of_refs(expr, safe));
    if expr.from_assignment {
        // What `:=` declares has no value before, so the right side can't get one from it.
        each(left, &mut |term| {
            if let Some(var) = term.as_var() {
                known.remove(var);
            }
        });
    }
    let unified = unify(&known, left, right);
    known.extend(unified);
    known.retain(|var| !safe.contains(var));
    known
}

fn outputs_of_call(expr: &Expr, terms: &[Term], arity: &Arity<'_>, safe: &VarSet) -> VarSet {
    let operator = terms.first().and_then(Term::as_ref);
    let Some(arity) = operator.and_then(|operator| arity.get(operator)) else { return VarSet::new() };
    let mut outputs = outputs_of_refs(expr, safe);
    if arity + 1 >= terms.len() {
        return outputs;
    }
    let skip = Skip { sets: true, ..PATTERN };
    let (inputs, results) = terms.split_at(arity + 1);
    let needed = vars_of_terms(inputs, skip);
    if needed.iter().any(|var| !outputs.contains(var) && !safe.contains(var)) {
        return VarSet::new();
    }
    outputs.extend(vars_of_terms(results, skip));
    outputs
}

/// Variables that references enumerate: all in a reference whose start has a value.
fn outputs_of_refs(expr: &Expr, safe: &VarSet) -> VarSet {
    let mut outputs = VarSet::new();
    match &expr.kind {
        ExprKind::Term(term) => outputs_of_term(term, safe, &mut outputs),
        ExprKind::Call(terms) | ExprKind::Some(terms) => {
            terms.iter().for_each(|term| outputs_of_term(term, safe, &mut outputs));
        }
        _ => {}
    }
    for with in &expr.with {
        outputs_of_term(&with.target, safe, &mut outputs);
        outputs_of_term(&with.value, safe, &mut outputs);
    }
    outputs
}

fn outputs_of_term(term: &Term, safe: &VarSet, outputs: &mut VarSet) {
    match &term.kind {
        TermKind::Ref(reference) => {
            if !is_ref_safe(reference, safe) {
                return;
            }
            if reference.iter().skip(1).any(|term| term.to_value().is_none()) {
                // Whatever stands in it, references and closures within included, as OPA's visitor has it.
                let skip = Skip { ref_head: true, ..Skip::default() };
                reference.iter().skip(1).for_each(|term| term_vars(term, skip, outputs));
            }
            reference.iter().for_each(|term| outputs_of_term(term, safe, outputs));
        }
        TermKind::Array(terms) | TermKind::Set(terms) | TermKind::Call(terms) => {
            terms.iter().for_each(|term| outputs_of_term(term, safe, outputs));
        }
        TermKind::Object(entries) => {
            for (key, value) in entries {
                outputs_of_term(key, safe, outputs);
                outputs_of_term(value, safe, outputs);
            }
        }
        _ => {}
    }
}

/// Variables of an operand without braces that nothing in it both binds and uses (`unsafeImplicitBodyVars`).
fn needed_from_outside(body: &Body, arity: &Arity<'_>) -> VarSet {
    let mut occurrences: BTreeMap<Var, usize> = BTreeMap::new();
    for expr in body {
        let mut vars = VarSet::new();
        expr_vars(expr, SAFETY, &mut vars);
        vars.into_iter().for_each(|var| *occurrences.entry(var).or_default() += 1);
    }
    if body.len() == 1 {
        return occurrences.into_keys().collect();
    }
    let equalities = || body.iter().filter(|expr| expr.is_call_of("eq"));
    let mut safe = reserved();
    safe.extend(occurrences.keys().cloned());
    for (_, operands) in equalities().filter_map(Expr::as_call) {
        operands.iter().take(2).filter_map(Term::as_var).for_each(|var| {
            safe.remove(var);
        });
    }
    let mut bound = VarSet::new();
    loop {
        let before = bound.len();
        for expr in equalities() {
            let outputs = outputs_of_equality(expr, &safe);
            safe.extend(outputs.iter().cloned());
            bound.extend(outputs);
        }
        if bound.len() == before {
            break;
        }
    }
    for expr in body.iter().filter(|expr| !expr.is_call_of("eq")) {
        let ExprKind::Call(terms) = &expr.kind else { continue };
        let operator = terms.first().and_then(Term::as_ref);
        let Some(arity) = operator.and_then(|operator| arity.get(operator)) else { continue };
        bound.extend(vars_of_terms(terms.iter().skip(arity + 1), Skip { sets: true, ..PATTERN }));
    }
    occurrences.into_iter().filter(|(var, count)| !bound.contains(var) || *count == 1).map(|(var, _)| var).collect()
}
