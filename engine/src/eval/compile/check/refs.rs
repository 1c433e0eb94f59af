//! Whether references lead anywhere: to properties that types have, through keys that they can have.

use super::Checker;
use super::env::{Env, Found};
use super::infer::is_document;
use super::terms::{constant, is_scalar};
use crate::eval::compile::error::CompileError;
use crate::eval::compile::types::Type;
use crate::eval::syntax::ast::{Expr, ExprKind, TemplatePart, Term, TermKind};
use crate::eval::value::Value;

type Errors = Vec<CompileError>;

// === Walking ===

impl Checker<'_> {
    /// Checks all references of a statement, but those within comprehensions. What follows `with` isn't looked at where
    /// the statement is a term, a call or a plain `not`.
    pub(super) fn refs_of_expr(&self, env: &Env<'_>, expr: &Expr, errors: &mut Errors) {
        match &expr.kind {
            ExprKind::Term(term) => return self.refs_of_term(env, term, errors),
            ExprKind::Call(terms) => {
                return terms.iter().skip(1).for_each(|term| self.refs_of_term(env, term, errors));
            }
            ExprKind::Not(operand) => return operand.body.iter().for_each(|expr| self.refs_of_expr(env, expr, errors)),
            ExprKind::Some(terms) => terms.iter().for_each(|term| self.refs_of_term(env, term, errors)),
            ExprKind::Every(every) => {
                let terms = every.key.iter().chain([&every.value, &every.domain]);
                terms.for_each(|term| self.refs_of_term(env, term, errors));
                every.body.iter().for_each(|expr| self.refs_of_expr(env, expr, errors));
            }
            ExprKind::And(left, right) | ExprKind::Or(left, right) => {
                left.body.iter().chain(&right.body).for_each(|expr| self.refs_of_expr(env, expr, errors));
            }
        }
        for with in &expr.with {
            self.refs_of_term(env, &with.target, errors);
            self.refs_of_term(env, &with.value, errors);
        }
    }

    fn refs_of_term(&self, env: &Env<'_>, term: &Term, errors: &mut Errors) {
        match &term.kind {
            TermKind::Ref(reference) => {
                let kind = self.type_of_ref(env, reference);
                if matches!(kind, Type::Function(_)) {
                    return errors.push(self.no_collection(reference, &kind));
                }
                errors.extend(self.reference(env, reference).err());
                reference.iter().for_each(|term| self.refs_of_term(env, term, errors));
            }
            TermKind::Array(terms) | TermKind::Set(terms) | TermKind::Call(terms) => {
                terms.iter().for_each(|term| self.refs_of_term(env, term, errors));
            }
            TermKind::Object(entries) => {
                for (key, value) in entries {
                    self.refs_of_term(env, key, errors);
                    self.refs_of_term(env, value, errors);
                }
            }
            TermKind::Template(parts) => {
                for part in parts {
                    if let TemplatePart::Expr(expr) = part {
                        self.refs_of_expr(env, expr, errors);
                    }
                }
            }
            _ => {}
        }
    }

    /// Checks the bodies of all comprehensions of a statement. As in OPA, those within others are checked as if they
    /// stood in the statement as well, and of several that fail the last one's errors are given.
    pub(super) fn closures_of_expr(&self, env: &Env<'_>, expr: &Expr, errors: &mut Errors) {
        match &expr.kind {
            ExprKind::Term(term) => self.closures_of_term(env, term, errors),
            ExprKind::Call(terms) | ExprKind::Some(terms) => {
                terms.iter().for_each(|term| self.closures_of_term(env, term, errors));
            }
            ExprKind::Every(every) => {
                let terms = every.key.iter().chain([&every.value, &every.domain]);
                terms.for_each(|term| self.closures_of_term(env, term, errors));
                every.body.iter().for_each(|expr| self.closures_of_expr(env, expr, errors));
            }
            ExprKind::Not(operand) => operand.body.iter().for_each(|expr| self.closures_of_expr(env, expr, errors)),
            ExprKind::And(left, right) | ExprKind::Or(left, right) => {
                left.body.iter().chain(&right.body).for_each(|expr| self.closures_of_expr(env, expr, errors));
            }
        }
        for with in &expr.with {
            self.closures_of_term(env, &with.target, errors);
            self.closures_of_term(env, &with.value, errors);
        }
    }

    fn closures_of_term(&self, env: &Env<'_>, term: &Term, errors: &mut Errors) {
        let (terms, body) = match &term.kind {
            TermKind::ArrayComprehension(term, body) | TermKind::SetComprehension(term, body) => {
                ([Some(term), None], body)
            }
            TermKind::ObjectComprehension(key, value, body) => ([Some(key), Some(value)], body),
            TermKind::Ref(terms) | TermKind::Array(terms) | TermKind::Set(terms) | TermKind::Call(terms) => {
                return terms.iter().for_each(|term| self.closures_of_term(env, term, errors));
            }
            TermKind::Object(entries) => {
                return entries.iter().for_each(|(key, value)| {
                    self.closures_of_term(env, key, errors);
                    self.closures_of_term(env, value, errors);
                });
            }
            TermKind::Template(parts) => {
                return parts.iter().for_each(|part| {
                    if let TemplatePart::Expr(expr) = part {
                        self.closures_of_expr(env, expr, errors);
                    }
                });
            }
            _ => return,
        };
        if self.types.is_spent() {
            return;
        }
        let (_, found) = self.body(env, body);
        if !found.is_empty() {
            *errors = found;
            return;
        }
        terms.into_iter().flatten().for_each(|term| self.closures_of_term(env, term, errors));
        body.iter().for_each(|expr| self.closures_of_expr(env, expr, errors));
    }
}

// === References ===

impl Checker<'_> {
    /// Follows a reference through what is known of rules, as far as that goes, then through the type found there. Each
    /// place that knows its beginning but not its end has its say on the way.
    fn reference(&self, env: &Env<'_>, reference: &[Term]) -> Result<(), CompileError> {
        if let Some(root) = reference.first().and_then(Term::as_var) {
            for level in env.levels() {
                self.types.count(1);
                if let Some(found) = level.find(root)
                    && let Some((kind, at)) = self.documents(env, found, reference)?
                {
                    return self.parts(env, kind, reference, at);
                }
            }
        }
        self.parts(env, Type::Any, reference, usize::from(is_document(reference)))
    }

    /// Where a type is found, and which term of the reference comes next; none if nothing is known of the path.
    fn documents(
        &self,
        env: &Env<'_>,
        found: Found<'_>,
        reference: &[Term],
    ) -> Result<Option<(Type, usize)>, CompileError> {
        let mut found = found;
        for (at, term) in reference.iter().enumerate().skip(1) {
            self.types.count(1);
            let kind = found.kind(&self.types);
            if !kind.is_unknown() {
                return Ok(Some((kind, at)));
            }
            // A rule's package and name are strings.
            if at <= 2 && !matches!(term.kind, TermKind::Var(_) | TermKind::String(_)) {
                let have = self.type_of(env, term);
                return Err(self.no_such_key(reference, at, &have, &Type::String, &found.keys()));
            }
            if let TermKind::Var(var) = &term.kind {
                let keys = self.types.keys(&found.document(&self.types));
                let have = self.type_of_var(env, var);
                if have.is_unknown() {
                    env.put(var, keys);
                } else if !self.types.unifies(&keys, &have) {
                    return Err(self.no_such_key(reference, at, &have, &keys, &found.keys()));
                }
            }
            let Some(child) = constant(term).and_then(|key| found.child(&key)) else { return Ok(None) };
            found = child;
        }
        // All of it is known; there is nothing left to check.
        Ok(Some((Type::Any, reference.len())))
    }

    /// Checks the terms from `at` on against the type of what is before them.
    fn parts(&self, env: &Env<'_>, kind: Type, reference: &[Term], at: usize) -> Result<(), CompileError> {
        let mut kind = kind;
        for (at, term) in reference.iter().enumerate().skip(at) {
            self.types.count(1);
            if kind.is_empty_collection() {
                return self.part_of_nothing(env, &kind, reference, at, term);
            }
            let keys = self.types.keys(&kind);
            if keys.is_unknown() {
                return Err(self.no_collection(reference, &kind));
            }
            let wrong = |have: &Type| Err(self.no_such_key(reference, at, have, &keys, &constant_keys(&kind)));
            match &term.kind {
                TermKind::Var(var) => {
                    let have = self.type_of_var(env, var);
                    if have.is_unknown() {
                        env.put(var, keys);
                    } else if !self.types.unifies(&have, &keys) {
                        return wrong(&have);
                    }
                }
                TermKind::Ref(inner) => {
                    let have = self.type_of_ref(env, inner);
                    if !have.is_unknown() && !self.types.unifies(&have, &keys) {
                        return wrong(&have);
                    }
                }
                TermKind::Array(_) | TermKind::Object(_) | TermKind::Set(_) => {
                    if !self.infer(env, term, &keys, false) {
                        return Err(self.no_such_key(reference, at, &self.type_of(env, term), &keys, &[]));
                    }
                }
                _ => match self.select_constant(&kind, term) {
                    Type::Unknown => return wrong(&Type::Unknown),
                    selected => {
                        kind = selected;
                        continue;
                    }
                },
            }
            kind = self.types.values(&kind);
        }
        Ok(())
    }

    /// A collection that holds nothing may be iterated over, but has no constant key.
    fn part_of_nothing(
        &self,
        env: &Env<'_>,
        kind: &Type,
        reference: &[Term],
        at: usize,
        term: &Term,
    ) -> Result<(), CompileError> {
        if is_scalar(term) {
            return Err(self.no_such_key(reference, at, &Type::Unknown, &Type::Unknown, &[]));
        }
        if let TermKind::Var(var) = &term.kind {
            let have = self.type_of_var(env, var);
            let keys = self.types.keys(kind);
            if have.is_unknown() {
                env.put(var, Type::Any);
            } else if !keys.is_unknown() && !self.types.unifies(&have, &keys) {
                return Err(self.no_such_key(reference, at, &have, &keys, &[]));
            }
        }
        Ok(())
    }
}

/// The constant keys of a type, for messages.
fn constant_keys(kind: &Type) -> Vec<Value> {
    match kind {
        Type::Object(object) => object.properties.iter().map(|(key, _)| key.clone()).collect(),
        Type::OneOf(union) => union.types.iter().flat_map(constant_keys).collect(),
        _ => vec![],
    }
}
