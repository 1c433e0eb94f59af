//! Names to absolute references: a package's rules and a module's imports become `data.…` and `input.…`.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::CompileError;
use super::walk::{Skip, VarSet, chain_mut, term_vars};
use crate::eval::syntax::ast::{
    Body, Every, Expr, ExprKind, Import, Module, Operand, Ref, Rule, TemplatePart, Term, TermKind, Var,
};
use crate::eval::syntax::order;

/// Resolves every module's references, and makes every rule head's reference absolute. Gives how many parts longer that made
/// them.
pub(super) fn resolve(modules: &mut [Module], errors: &mut Vec<CompileError>) -> usize {
    let mut longer = 0;
    let mut exports: BTreeMap<Vec<Arc<str>>, VarSet> = BTreeMap::new();
    for module in &*modules {
        let names = module.rules.iter().filter_map(|rule| rule.head.reference.first()?.as_var().cloned());
        exports.entry(module.package.path.clone()).or_default().extend(names);
    }
    for module in modules {
        let globals = Globals::of(module, exports.get(&module.package.path));
        for rule in &mut module.rules {
            chain_mut(rule, &mut |rule| {
                if let Err(error) = globals.rule(rule) {
                    errors.push(error);
                }
            });
        }
        longer += globals.longer.get();
        make_heads_absolute(module);
    }
    longer
}

/// From here on a head's reference is `data.…`, so that rules of all modules can be looked up alike.
fn make_heads_absolute(module: &mut Module) {
    let mut rules = std::mem::take(&mut module.rules);
    for rule in &mut rules {
        chain_mut(rule, &mut |rule| {
            if let Some(name) = rule.head.reference.first().and_then(Term::as_var).cloned() {
                rule.head.reference.splice(..1, absolute(module, &name));
            }
        });
    }
    module.rules = rules;
}

/// The name under which an import is known in its module.
pub(super) fn import_name(import: &Import) -> Option<Var> {
    import.alias.clone().or_else(|| {
        let last = import.path.last()?;
        last.as_var().cloned().or_else(|| last.as_str().map(Var::new))
    })
}

/// Whether an import only switches on language features.
pub(super) fn is_feature(import: &Import) -> bool {
    import.path.first().and_then(Term::as_var).is_some_and(|var| matches!(var.as_str(), "future" | "rego"))
}

/// What names mean in one module.
struct Globals {
    names: BTreeMap<Var, Ref>,
    /// The parts of references that stand for names now.
    longer: Cell<usize>,
}

/// Names that mean something local, innermost last.
#[derive(Default)]
struct Declared(Vec<VarSet>);

impl Declared {
    fn contains(&self, var: &Var) -> bool {
        self.0.iter().any(|vars| vars.contains(var))
    }

    fn within(&mut self, vars: VarSet, f: impl FnOnce(&mut Self)) {
        self.0.push(vars);
        f(self);
        self.0.pop();
    }
}

impl Globals {
    fn of(module: &Module, exports: Option<&VarSet>) -> Self {
        let mut globals = BTreeMap::new();
        for name in exports.into_iter().flatten() {
            globals.insert(name.clone(), absolute(module, name));
        }
        for import in module.imports.iter().filter(|import| !is_feature(import)) {
            if let Some(name) = import_name(import) {
                globals.insert(name, import.path.clone());
            }
        }
        Self { names: globals, longer: Cell::new(0) }
    }

    fn rule(&self, rule: &mut Rule) -> Result<(), CompileError> {
        let mut args = VarSet::new();
        for arg in &rule.head.args {
            parameter_vars(arg, &mut args)?;
        }
        let mut declared = Declared(vec![args, declared_in(&rule.body)]);
        let head = &mut rule.head;
        for term in head.reference.iter_mut().skip(1).chain(&mut head.key).chain(&mut head.value) {
            self.term(&mut declared, term);
        }
        self.body(&mut declared, &mut rule.body);
        Ok(())
    }

    fn body(&self, declared: &mut Declared, body: &mut Body) {
        body.iter_mut().for_each(|expr| self.expr(declared, expr));
    }

    fn expr(&self, declared: &mut Declared, expr: &mut Expr) {
        match &mut expr.kind {
            ExprKind::Term(term) => self.term(declared, term),
            ExprKind::Call(terms) => terms.iter_mut().for_each(|term| self.term(declared, term)),
            ExprKind::Some(terms) => {
                // `some x, y` only declares; `some x in xs` has a domain to resolve.
                if let Some(Term { kind: TermKind::Call(terms), .. }) = terms.first_mut() {
                    terms.iter_mut().for_each(|term| self.term(declared, term));
                }
            }
            ExprKind::Every(every) => {
                let Every { key, value, domain, body } = &mut **every;
                let mut vars = VarSet::new();
                key.iter().chain([&*value]).for_each(|term| term_vars(term, Skip::default(), &mut vars));
                // As in OPA, the domain can't name what the loop declares.
                declared.within(vars, |declared| {
                    self.term(declared, domain);
                    self.body(declared, body);
                });
            }
            ExprKind::Not(Operand { body, .. }) => self.body(declared, body),
            ExprKind::And(left, right) | ExprKind::Or(left, right) => {
                self.body(declared, &mut left.body);
                self.body(declared, &mut right.body);
            }
        }
        for with in &mut expr.with {
            self.term(declared, &mut with.target);
            self.term(declared, &mut with.value);
        }
    }

    fn term(&self, declared: &mut Declared, term: &mut Term) {
        match &mut term.kind {
            TermKind::Var(var) => {
                if let Some(reference) = self.get(declared, var) {
                    term.kind = TermKind::Ref(self.located(reference, term));
                }
            }
            TermKind::Ref(reference) => self.reference(declared, reference),
            TermKind::Array(terms) | TermKind::Call(terms) => {
                terms.iter_mut().for_each(|term| self.term(declared, term));
            }
            // Absolute names have another order, and may be equal.
            TermKind::Set(terms) => {
                terms.iter_mut().for_each(|term| self.term(declared, term));
                *terms = order::set(std::mem::take(terms));
            }
            TermKind::Object(entries) => {
                for (key, value) in entries.iter_mut() {
                    self.term(declared, key);
                    self.term(declared, value);
                }
                *entries = order::object(std::mem::take(entries));
            }
            TermKind::ArrayComprehension(term, body) | TermKind::SetComprehension(term, body) => {
                declared.within(declared_in(body), |declared| {
                    self.term(declared, term);
                    self.body(declared, body);
                });
            }
            TermKind::ObjectComprehension(key, value, body) => {
                declared.within(declared_in(body), |declared| {
                    self.term(declared, key);
                    self.term(declared, value);
                    self.body(declared, body);
                });
            }
            TermKind::Template(parts) => {
                for part in parts {
                    if let TemplatePart::Expr(expr) = part {
                        self.expr(declared, expr);
                    }
                }
            }
            TermKind::Null | TermKind::Bool(_) | TermKind::Number(_) | TermKind::String(_) => {}
        }
    }

    fn reference(&self, declared: &mut Declared, reference: &mut Ref) {
        let head = reference.first().and_then(|head| Some((self.get(declared, head.as_var()?)?.clone(), head.clone())));
        if let Some((global, head)) = head {
            reference.splice(..1, self.located(&global, &head));
            let rest = global.len();
            reference.iter_mut().skip(rest).for_each(|term| self.term(declared, term));
        } else {
            reference.iter_mut().for_each(|term| self.term(declared, term));
        }
    }

    fn get(&self, declared: &Declared, var: &Var) -> Option<&Ref> {
        self.names.get(var).filter(|_| !declared.contains(var))
    }

    fn located(&self, reference: &Ref, at: &Term) -> Ref {
        self.longer.set(self.longer.get() + reference.len());
        reference.iter().map(|term| Term { location: at.location, ..term.clone() }).collect()
    }
}

/// `data.a.b.name`, for a rule of package `a.b`.
pub(super) fn absolute(module: &Module, name: &Var) -> Ref {
    let location = module.package.location;
    let path = module.package.path.iter().map(|part| Term::new(location, TermKind::String(Arc::clone(part))));
    let mut reference = vec![Term::var(location, Var::new("data"))];
    reference.extend(path);
    reference.push(Term::new(location, TermKind::String(Arc::clone(&name.0))));
    reference
}

/// The variables that a parameter's pattern binds.
fn parameter_vars(term: &Term, vars: &mut VarSet) -> Result<(), CompileError> {
    match &term.kind {
        TermKind::Var(var) => {
            vars.insert(var.clone());
        }
        TermKind::Ref(reference) => {
            if let [head] = reference.as_slice()
                && let Some(root) = head.as_var().filter(|var| matches!(var.as_str(), "input" | "data"))
            {
                let message = format!("args must not shadow {root} (use a different variable name)");
                return Err(CompileError::compile(term.location, message));
            }
            reference.iter().try_for_each(|term| parameter_vars(term, vars))?;
        }
        TermKind::Array(terms) => terms.iter().try_for_each(|term| parameter_vars(term, vars))?,
        TermKind::Object(entries) => entries.iter().try_for_each(|(_, value)| parameter_vars(value, vars))?,
        _ => {}
    }
    Ok(())
}

/// What a body declares: with `:=`, with `some`, not within comprehensions.
pub(super) fn declared_in(body: &Body) -> VarSet {
    let mut vars = VarSet::new();
    body.iter().for_each(|expr| declared_in_expr(expr, &mut vars));
    vars
}

pub(super) fn declared_in_expr(expr: &Expr, vars: &mut VarSet) {
    match &expr.kind {
        ExprKind::Some(terms) => {
            for term in terms {
                match &term.kind {
                    TermKind::Var(var) => {
                        vars.insert(var.clone());
                    }
                    TermKind::Call(call) => {
                        // All operands but the last, which is the domain.
                        let patterns = call.iter().skip(1).take(call.len().saturating_sub(2));
                        patterns.for_each(|term| term_vars(term, Skip::default(), vars));
                    }
                    _ => {}
                }
            }
        }
        ExprKind::Every(every) => every.body.iter().for_each(|expr| declared_in_expr(expr, vars)),
        ExprKind::Not(operand) => operand.body.iter().for_each(|expr| declared_in_expr(expr, vars)),
        ExprKind::And(left, right) | ExprKind::Or(left, right) => {
            left.body.iter().chain(&right.body).for_each(|expr| declared_in_expr(expr, vars));
        }
        ExprKind::Call(_) if expr.is_call_of("assign") => {
            if let Some((_, [left, _])) = expr.as_call() {
                term_vars(left, Skip::default(), vars);
            }
        }
        ExprKind::Term(_) | ExprKind::Call(_) => {}
    }
}
