//! Variables that a body declares (`:=`, `some`, `every`, parameters) get names of their own, and the declarations go.
//!
//! `x := 1; p[x]` becomes `__local0__ = 1; p[__local0__]`. Using a variable before its declaration, declaring it twice and
//! declaring it for nothing are errors.

use std::collections::BTreeMap;

use super::CompileError;
use super::resolve::declared_in;
use super::safety::outputs_of_equality;
use super::walk::{PATTERN, SAFETY, Skip, VarSet, body_vars, chain_mut, term_vars, vars_of_body, vars_of_term};
use crate::eval::builtins::table::builtin;
use crate::eval::syntax::ast::{
    Body, Expr, ExprKind, Location, Module, Operand, Rule, TemplatePart, Term, TermKind, Var, With,
};

const IN_NEGATED: &str = "cannot assign vars inside negated expression";
const IN_AND: &str = "cannot assign vars inside implicit and operand";
const IN_OR: &str = "cannot assign vars inside implicit or operand";

/// Makes variables that no policy has.
#[derive(Debug, Default)]
pub(crate) struct Generator {
    next: usize,
    /// Names that policies do have, of those that look like ours.
    taken: VarSet,
    /// The policy's name for each variable that has one.
    original: BTreeMap<Var, Var>,
}

impl Generator {
    pub(crate) fn new(modules: &[Module]) -> Self {
        let mut taken = VarSet::new();
        for rule in modules.iter().flat_map(|module| &module.rules) {
            for rule in super::walk::chain(rule) {
                super::walk::terms_of_rule(rule, &mut |term| {
                    taken.extend(term.as_var().filter(|var| var.is_generated()).cloned());
                });
            }
        }
        Self { taken, ..Self::default() }
    }

    /// How many variables it has made up.
    pub(crate) fn made(&self) -> usize {
        self.next
    }

    /// The policy's name for `var`; none if the compiler made it up.
    pub(crate) fn name_of<'a>(&'a self, var: &'a Var) -> Option<&'a Var> {
        self.original.get(var).or(Some(var).filter(|var| !var.is_generated()))
    }

    /// A variable in the place of the policy's `var`.
    fn next_for(&mut self, var: &Var) -> Var {
        let name = self.next();
        self.original.insert(name.clone(), var.clone());
        name
    }

    pub(crate) fn next(&mut self) -> Var {
        loop {
            let var = Var::new(&format!("__local{}__", self.next));
            self.next += 1;
            if !self.taken.contains(&var) {
                return var;
            }
        }
    }
}

/// What is wrong with declarations. That one is `unused` keeps no later stage from running.
#[derive(Debug, Default)]
pub(super) struct Misdeclared {
    pub(super) errors: Vec<CompileError>,
    pub(super) unused: Vec<CompileError>,
}

/// Rewrites the variables of all rules.
pub(super) fn rewrite(modules: &mut [Module], generator: &mut Generator) -> Misdeclared {
    let mut found = Misdeclared::default();
    for rule in modules.iter_mut().flat_map(|module| &mut module.rules) {
        let mut arguments = Rewriter::new(generator);
        rule.head.args.iter_mut().for_each(|arg| arguments.parameter(arg));
        found.take(arguments.found);
        let scopes = arguments.scopes;
        chain_mut(rule, &mut |rule| rewrite_rule(rule, &scopes, generator, &mut found));
    }
    found
}

impl Misdeclared {
    fn take(&mut self, more: Self) {
        self.errors.extend(more.errors);
        self.unused.extend(more.unused);
    }
}

fn rewrite_rule(rule: &mut Rule, arguments: &[Scope], generator: &mut Generator, found: &mut Misdeclared) {
    let head = &mut rule.head;
    let mut used = VarSet::new();
    for term in head.args.iter_mut().chain(&mut head.key).chain(&mut head.value) {
        nested_in_head(term, generator, found);
    }
    let seen = head.reference.iter().skip(1).chain(&head.key).chain(&head.value);
    seen.for_each(|term| term_vars(term, Skip::default(), &mut used));

    let mut rewriter = Rewriter { scopes: arguments.to_vec(), ..Rewriter::new(generator) };
    rewriter.rename_shadowed_builtins(rule);
    rewriter.body(&mut rule.body, &used);
    let Rewriter { scopes, found: more, .. } = rewriter;
    found.take(more);

    if let Some(scope) = scopes.last() {
        let head = &mut rule.head;
        let terms = head.args.iter_mut().chain(head.reference.iter_mut().skip(1)).chain(&mut head.key);
        terms.chain(&mut head.value).for_each(|term| rename(term, &scope.names));
    }
}

/// Comprehensions in a head declare before the body does, in scopes of their own.
fn nested_in_head(term: &mut Term, generator: &mut Generator, found: &mut Misdeclared) {
    match &mut term.kind {
        TermKind::Ref(terms) | TermKind::Array(terms) | TermKind::Set(terms) | TermKind::Call(terms) => {
            terms.iter_mut().for_each(|term| nested_in_head(term, generator, found));
        }
        TermKind::Object(entries) => {
            for (key, value) in entries {
                nested_in_head(key, generator, found);
                nested_in_head(value, generator, found);
            }
        }
        TermKind::ArrayComprehension(..)
        | TermKind::SetComprehension(..)
        | TermKind::ObjectComprehension(..)
        | TermKind::Template(_) => {
            let mut rewriter = Rewriter::new(generator);
            rewriter.term(term);
            found.take(rewriter.found);
        }
        _ => {}
    }
}

/// How a variable came into a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Occurrence {
    Argument,
    Seen,
    Assigned,
    Declared,
}

#[derive(Debug, Clone, Default)]
struct Scope {
    /// The name that each variable has from here on.
    names: BTreeMap<Var, Var>,
    occurrences: BTreeMap<Var, Occurrence>,
    declared_at: BTreeMap<Var, Location>,
}

struct Rewriter<'a> {
    generator: &'a mut Generator,
    /// Innermost last; never empty.
    scopes: Vec<Scope>,
    found: Misdeclared,
}

impl<'a> Rewriter<'a> {
    fn new(generator: &'a mut Generator) -> Self {
        Self { generator, scopes: vec![Scope::default()], found: Misdeclared::default() }
    }

    // === Scopes ===

    fn within(&mut self, f: impl FnOnce(&mut Self)) {
        self.scopes.push(Scope::default());
        f(self);
        self.scopes.pop();
    }

    fn insert(&mut self, var: Var, name: Var, occurrence: Occurrence) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.names.insert(var.clone(), name);
            scope.occurrences.insert(var, occurrence);
        }
    }

    fn name(&self, var: &Var) -> Option<&Var> {
        self.scopes.iter().rev().find_map(|scope| scope.names.get(var))
    }

    fn occurrence(&self, var: &Var) -> Option<Occurrence> {
        self.scopes.last()?.occurrences.get(var).copied()
    }

    fn declare(&mut self, var: &Var, occurrence: Occurrence, location: Location) -> Result<Var, String> {
        match self.occurrence(var) {
            Some(Occurrence::Seen) => return Err(format!("var {var} referenced above")),
            Some(Occurrence::Assigned) => return Err(format!("var {var} assigned above")),
            Some(Occurrence::Declared) => return Err(format!("var {var} declared above")),
            Some(Occurrence::Argument) => return Err(format!("arg {var} redeclared")),
            None => {}
        }
        let name = self.generator.next_for(var);
        self.insert(var.clone(), name.clone(), occurrence);
        if let Some(scope) = self.scopes.last_mut() {
            scope.declared_at.insert(var.clone(), location);
        }
        Ok(name)
    }

    fn error(&mut self, location: Location, message: impl Into<String>) {
        self.found.errors.push(CompileError::compile(location, message));
    }

    // === Parameters ===

    fn parameter(&mut self, term: &mut Term) {
        match &mut term.kind {
            TermKind::Var(var) => {
                let name = match self.name(var) {
                    Some(name) => name.clone(),
                    None => {
                        let name = self.generator.next_for(var);
                        self.insert(var.clone(), name.clone(), Occurrence::Argument);
                        name
                    }
                };
                *var = name;
            }
            TermKind::Object(entries) => entries.iter_mut().for_each(|(_, value)| self.parameter(value)),
            TermKind::Array(terms) | TermKind::Ref(terms) => terms.iter_mut().for_each(|term| self.parameter(term)),
            TermKind::Call(_) => self.error(term.location, "rule arguments cannot contain calls"),
            _ => {}
        }
    }

    /// A variable with a builtin's name, bound in the body without being declared, would be taken for the builtin later.
    fn rename_shadowed_builtins(&mut self, rule: &Rule) {
        let vars = vars_of_body(&rule.body, SAFETY);
        if !vars.iter().any(|var| builtin(var.as_str()).is_some()) {
            return;
        }
        let declared = declared_in(&rule.body);
        let mut in_with = VarSet::new();
        let skip = Skip { call_head: true, ..Skip::default() };
        withs_of_body(&rule.body, &mut |with| super::walk::with_vars(with, skip, &mut in_with));
        for var in vars {
            let shadows = builtin(var.as_str()).is_some();
            if shadows && !declared.contains(&var) && !in_with.contains(&var) && self.name(&var).is_none() {
                let name = self.generator.next_for(&var);
                self.insert(var, name, Occurrence::Seen);
            }
        }
    }

    // === Bodies ===

    fn body(&mut self, body: &mut Body, used: &VarSet) {
        let location = body.first().map(|expr| expr.location).unwrap_or_default();
        let errors_before = self.found.errors.len();
        let statements = std::mem::take(body);
        body.extend(statements.into_iter().filter_map(|expr| self.statement(expr)));
        if body.is_empty() {
            // There was nothing but declarations.
            body.push(Expr::new(location, ExprKind::Term(Term::bool(location, true))));
        }
        if self.found.errors.len() == errors_before {
            self.check_unused(location, body, used);
        }
    }

    fn statement(&mut self, mut expr: Expr) -> Option<Expr> {
        if expr.is_call_of("assign") {
            self.assignment(&mut expr);
            return Some(expr);
        }
        match &mut expr.kind {
            ExprKind::Some(_) => return self.some(expr),
            ExprKind::Every(_) => self.every(&mut expr),
            ExprKind::Not(_) | ExprKind::And(..) | ExprKind::Or(..) => self.logical(&mut expr),
            ExprKind::Term(_) | ExprKind::Call(_) => self.expr(&mut expr),
        }
        Some(expr)
    }

    /// `x := 1` becomes `__local0__ = 1`.
    fn assignment(&mut self, expr: &mut Expr) {
        let location = expr.location;
        if expr.negated {
            return self.error(location, IN_NEGATED);
        }
        let ExprKind::Call(terms) = &mut expr.kind else { return };
        let [operator, left, right] = terms.as_mut_slice() else { return };
        let errors_before = self.found.errors.len();
        // The right side can't see what the left one declares.
        self.term(right);
        for with in &mut expr.with {
            self.term(&mut with.value);
        }
        self.assigned(left);
        if self.found.errors.len() == errors_before {
            *operator = Term::operator(operator.location, "eq");
            expr.from_assignment = true;
        }
    }

    fn assigned(&mut self, term: &mut Term) {
        let location = term.location;
        let root = match &term.kind {
            TermKind::Ref(reference) if reference.len() == 1 => reference.first().and_then(Term::as_var).cloned(),
            _ => None,
        };
        match (&mut term.kind, root) {
            (TermKind::Var(var), _) => match self.declare(&var.clone(), Occurrence::Assigned, location) {
                Ok(name) => *var = name,
                Err(message) => self.error(location, message),
            },
            (TermKind::Array(terms), _) => terms.iter_mut().for_each(|term| self.assigned(term)),
            (TermKind::Object(entries), _) => entries.iter_mut().for_each(|(_, value)| self.assigned(value)),
            (kind, Some(root)) if is_root(&root) => match self.declare(&root, Occurrence::Assigned, location) {
                Ok(name) => *kind = TermKind::Var(name),
                Err(message) => self.error(location, message),
            },
            (kind, _) => {
                let message = format!("cannot assign to {}", kind_name(kind));
                self.error(location, message);
            }
        }
    }

    /// `some x in xs` becomes `x = xs[__local0__]`; `some x` goes.
    fn some(&mut self, mut expr: Expr) -> Option<Expr> {
        let ExprKind::Some(symbols) = &mut expr.kind else { return Some(expr) };
        let location = expr.location;
        for symbol in std::mem::take(symbols) {
            match symbol.kind {
                TermKind::Var(var) => {
                    if let Err(message) = self.declare(&var, Occurrence::Declared, location) {
                        self.error(location, message);
                        return None;
                    }
                }
                TermKind::Call(call) => {
                    let equality = self.membership(location, call)?;
                    expr.kind = equality;
                    self.expr(&mut expr);
                    return Some(expr);
                }
                _ => {}
            }
        }
        None
    }

    fn membership(&mut self, location: Location, call: Vec<Term>) -> Option<ExprKind> {
        let mut operands = call.into_iter().skip(1);
        let (key, value, domain) = match (operands.next(), operands.next(), operands.next()) {
            (Some(key), Some(value), Some(domain)) => (key, value, domain),
            (Some(value), Some(domain), None) => (Term::var(location, self.generator.next()), value, domain),
            _ => return None,
        };
        let mut bound = VarSet::new();
        term_vars(&key, PATTERN, &mut bound);
        term_vars(&value, PATTERN, &mut bound);
        let in_domain = vars_of_term(&domain, Skip { closures: true, ..Skip::default() });
        let errors_before = self.found.errors.len();
        for var in bound.intersection(&in_domain).filter(|var| !var.is_wildcard()) {
            self.found.errors.push(CompileError::compile(location, format!("var {var} assigned before")));
        }
        if self.found.errors.len() > errors_before {
            return None;
        }
        let safe = vars_of_term(&domain, Skip::default());
        let at = domain.location;
        let reference = match domain.kind {
            TermKind::Ref(mut reference) => {
                reference.push(key);
                reference
            }
            kind => vec![Term::new(at, kind), key],
        };
        let reference = Term::new(at, TermKind::Ref(reference));
        let equality = Expr::call(location, "eq", [value, reference]);
        for var in outputs_of_equality(&equality, &safe) {
            if let Err(message) = self.declare(&var, Occurrence::Declared, location) {
                self.error(location, message);
                return None;
            }
        }
        Some(equality.kind)
    }

    fn every(&mut self, expr: &mut Expr) {
        let location = expr.location;
        if let ExprKind::Every(every) = &mut expr.kind {
            self.term(&mut every.domain);
        }
        self.within(|this| {
            if let ExprKind::Every(every) = &mut expr.kind {
                let key = every.key.get_or_insert_with(|| Term::var(location, this.generator.next()));
                // A key that was just made is declared as well, which does no harm.
                for term in [key, &mut every.value] {
                    let Some(var) = term.as_var().filter(|var| !var.is_wildcard() && !var.is_generated()).cloned()
                    else {
                        continue;
                    };
                    match this.declare(&var, Occurrence::Declared, location) {
                        Ok(name) => term.kind = TermKind::Var(name),
                        Err(message) => return this.error(location, message),
                    }
                }
                this.body(&mut every.body, &VarSet::new());
            }
            this.expr(expr);
        });
    }

    fn logical(&mut self, expr: &mut Expr) {
        let location = expr.location;
        let errors_before = self.found.errors.len();
        let mut explicit_not = false;
        match &mut expr.kind {
            ExprKind::Not(operand) if operand.explicit => {
                explicit_not = true;
                self.scopes.push(Scope::default());
                self.body(&mut operand.body, &VarSet::new());
            }
            ExprKind::Not(operand) => self.implicit(&mut operand.body, IN_NEGATED),
            ExprKind::And(left, right) => {
                self.operand(left, IN_AND);
                self.operand(right, IN_AND);
            }
            ExprKind::Or(left, right) => {
                self.operand(left, IN_OR);
                self.operand(right, IN_OR);
            }
            _ => self.error(location, "not a logical expression"),
        }
        if explicit_not || self.found.errors.len() == errors_before {
            self.expr(expr);
        }
        if explicit_not {
            self.scopes.pop();
        }
    }

    fn operand(&mut self, operand: &mut Operand, message: &str) {
        if operand.explicit {
            self.within(|this| this.body(&mut operand.body, &VarSet::new()));
        } else {
            self.implicit(&mut operand.body, message);
        }
    }

    /// An operand without braces can't declare: nothing could use what it declares.
    fn implicit(&mut self, body: &mut Body, message: &str) {
        for expr in body {
            if expr.is_call_of("assign") {
                self.error(expr.location, message);
            } else if matches!(expr.kind, ExprKind::Not(_) | ExprKind::And(..) | ExprKind::Or(..)) {
                self.logical(expr);
            }
        }
    }

    // === Expressions and terms ===

    /// Renames the variables of an expression and notes that they were seen.
    fn expr(&mut self, expr: &mut Expr) {
        match &mut expr.kind {
            ExprKind::Term(term) => self.term(term),
            ExprKind::Call(terms) | ExprKind::Some(terms) => terms.iter_mut().for_each(|term| self.term(term)),
            ExprKind::Every(every) => {
                every.key.iter_mut().chain([&mut every.value, &mut every.domain]).for_each(|term| self.term(term));
                every.body.iter_mut().for_each(|expr| self.expr(expr));
            }
            ExprKind::Not(operand) => operand.body.iter_mut().for_each(|expr| self.expr(expr)),
            ExprKind::And(left, right) | ExprKind::Or(left, right) => {
                left.body.iter_mut().chain(&mut right.body).for_each(|expr| self.expr(expr));
            }
        }
        expr.with.iter_mut().for_each(|with| self.with(with));
    }

    /// What `input` names in a target is the document, also where a variable has that name.
    fn with(&mut self, with: &mut With) {
        self.term(&mut with.target);
        if let Some(shadow) = self.name(&Var::new("input")).cloned() {
            let head = match &mut with.target.kind {
                TermKind::Ref(reference) => reference.first_mut(),
                TermKind::Var(_) => Some(&mut with.target),
                _ => None,
            };
            if let Some(head) = head.filter(|head| head.as_var() == Some(&shadow)) {
                let root = Term::var(head.location, Var::new("input"));
                let is_whole = !matches!(with.target.kind, TermKind::Ref(_));
                if is_whole {
                    with.target.kind = TermKind::Ref(vec![root]);
                } else if let TermKind::Ref(reference) = &mut with.target.kind
                    && let Some(head) = reference.first_mut()
                {
                    *head = root;
                }
            }
        }
        self.term(&mut with.value);
    }

    fn term(&mut self, term: &mut Term) {
        let location = term.location;
        match &mut term.kind {
            TermKind::Var(var) => match self.name(var) {
                Some(name) => *var = name.clone(),
                None => {
                    if self.occurrence(var).is_none() {
                        self.insert(var.clone(), var.clone(), Occurrence::Seen);
                    }
                }
            },
            TermKind::Ref(reference) => {
                if let [head] = reference.as_slice()
                    && let Some(root) = head.as_var().filter(|var| is_root(var)).cloned()
                {
                    let declared = self.scopes.iter().rev().find_map(|scope| scope.occurrences.get(&root));
                    if declared.is_some_and(|occurrence| *occurrence != Occurrence::Seen)
                        && let Some(name) = self.name(&root)
                    {
                        term.kind = TermKind::Var(name.clone());
                    }
                    return;
                }
                reference.iter_mut().for_each(|term| self.term(term));
            }
            TermKind::Call(terms) => {
                let mut vars = VarSet::new();
                terms.iter().take(1).for_each(|term| term_vars(term, Skip::default(), &mut vars));
                if vars.iter().any(|var| self.name(var).is_some_and(|name| name != var)) {
                    self.error(location, "called function is shadowed by a variable; rename the variable");
                }
                terms.iter_mut().for_each(|term| self.term(term));
            }
            TermKind::Array(terms) | TermKind::Set(terms) => terms.iter_mut().for_each(|term| self.term(term)),
            TermKind::Object(entries) => {
                for (key, value) in entries {
                    self.term(key);
                    self.term(value);
                }
            }
            TermKind::ArrayComprehension(term, body) | TermKind::SetComprehension(term, body) => {
                self.comprehension(&mut [&mut **term], body);
            }
            TermKind::ObjectComprehension(key, value, body) => {
                self.comprehension(&mut [&mut **key, &mut **value], body);
            }
            TermKind::Template(parts) => {
                for part in parts {
                    if let TemplatePart::Expr(expr) = part {
                        self.expr(expr);
                    }
                }
            }
            TermKind::Null | TermKind::Bool(_) | TermKind::Number(_) | TermKind::String(_) => {}
        }
    }

    fn comprehension(&mut self, terms: &mut [&mut Term], body: &mut Body) {
        let mut used = VarSet::new();
        terms.iter().for_each(|term| term_vars(term, Skip::default(), &mut used));
        self.within(|this| {
            this.body(body, &used);
            terms.iter_mut().for_each(|term| this.term(term));
        });
    }

    // === Unused declarations ===

    fn check_unused(&mut self, location: Location, body: &Body, used: &VarSet) {
        let Some(scope) = self.scopes.last() else { return };
        let declared: Vec<(&Var, &Var)> =
            scope.names.iter().filter(|(var, _)| scope.occurrences.get(var) == Some(&Occurrence::Declared)).collect();
        if declared.is_empty() {
            return;
        }
        let mut seen = VarSet::new();
        body_vars(body, Skip::default(), &mut seen);
        seen.extend(used.iter().map(|var| self.name(var).unwrap_or(var).clone()));
        let unused = declared
            .into_iter()
            .filter(|(var, name)| !seen.contains(name) && !used.contains(*name) && !var.is_generated());
        let mut unused: Vec<_> = unused
            .map(|(var, _)| {
                let location = scope.declared_at.get(var).copied().unwrap_or(location);
                CompileError::compile(location, format!("declared var {var} unused"))
            })
            .collect();
        self.found.unused.append(&mut unused);
    }
}

fn is_root(var: &Var) -> bool {
    matches!(var.as_str(), "input" | "data")
}

fn withs_of_body(body: &Body, f: &mut dyn FnMut(&With)) {
    for expr in body {
        expr.with.iter().for_each(&mut *f);
        match &expr.kind {
            ExprKind::Every(every) => withs_of_body(&every.body, f),
            ExprKind::Not(operand) => withs_of_body(&operand.body, f),
            ExprKind::And(left, right) | ExprKind::Or(left, right) => {
                withs_of_body(&left.body, f);
                withs_of_body(&right.body, f);
            }
            _ => {}
        }
        let mut inner = vec![];
        super::walk::closures_of_expr(expr, &mut |closure| {
            if let super::walk::Closure::Comprehension { body, .. } = closure {
                inner.push(body);
            }
        });
        inner.into_iter().for_each(|body| withs_of_body(body, f));
    }
}

/// Renames variables wherever they stand in `term`, closures included.
fn rename(term: &mut Term, names: &BTreeMap<Var, Var>) {
    match &mut term.kind {
        TermKind::Var(var) => {
            if let Some(name) = names.get(var) {
                *var = name.clone();
            }
        }
        TermKind::Ref(terms) | TermKind::Array(terms) | TermKind::Set(terms) | TermKind::Call(terms) => {
            terms.iter_mut().for_each(|term| rename(term, names));
        }
        TermKind::Object(entries) => {
            for (key, value) in entries {
                rename(key, names);
                rename(value, names);
            }
        }
        TermKind::ArrayComprehension(term, body) | TermKind::SetComprehension(term, body) => {
            rename(term, names);
            body.iter_mut().for_each(|expr| rename_in_expr(expr, names));
        }
        TermKind::ObjectComprehension(key, value, body) => {
            rename(key, names);
            rename(value, names);
            body.iter_mut().for_each(|expr| rename_in_expr(expr, names));
        }
        TermKind::Template(parts) => {
            for part in parts {
                if let TemplatePart::Expr(expr) = part {
                    rename_in_expr(expr, names);
                }
            }
        }
        TermKind::Null | TermKind::Bool(_) | TermKind::Number(_) | TermKind::String(_) => {}
    }
}

fn rename_in_expr(expr: &mut Expr, names: &BTreeMap<Var, Var>) {
    match &mut expr.kind {
        ExprKind::Term(term) => rename(term, names),
        ExprKind::Call(terms) | ExprKind::Some(terms) => terms.iter_mut().for_each(|term| rename(term, names)),
        ExprKind::Every(every) => {
            every.key.iter_mut().chain([&mut every.value, &mut every.domain]).for_each(|term| rename(term, names));
            every.body.iter_mut().for_each(|expr| rename_in_expr(expr, names));
        }
        ExprKind::Not(operand) => operand.body.iter_mut().for_each(|expr| rename_in_expr(expr, names)),
        ExprKind::And(left, right) | ExprKind::Or(left, right) => {
            left.body.iter_mut().chain(&mut right.body).for_each(|expr| rename_in_expr(expr, names));
        }
    }
    for with in &mut expr.with {
        rename(&mut with.target, names);
        rename(&mut with.value, names);
    }
}

/// What OPA calls a term in messages.
fn kind_name(kind: &TermKind) -> &'static str {
    match kind {
        TermKind::Null => "null",
        TermKind::Bool(_) => "boolean",
        TermKind::Number(_) => "number",
        TermKind::String(_) => "string",
        TermKind::Template(_) => "templatestring",
        TermKind::Var(_) => "var",
        TermKind::Ref(_) => "ref",
        TermKind::Array(_) => "array",
        TermKind::Object(_) => "object",
        TermKind::Set(_) => "set",
        TermKind::ArrayComprehension(..) => "arraycomprehension",
        TermKind::SetComprehension(..) => "setcomprehension",
        TermKind::ObjectComprehension(..) => "objectcomprehension",
        TermKind::Call(_) => "call",
    }
}
