//! Statements, and bodies within them.

use super::planner::{Label, PlanError, Planner};
use super::{Arg, Gathering, NOWHERE, Op, Replacement, SlotId, With as Stands};
use crate::eval::compile::tree::scalar;
use crate::eval::syntax::ast::{Body, Every, Expr, ExprKind, Operand, Term, TermKind, Var, With, dotted};
use crate::eval::value::Value;

/// How far a body is searched.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Search {
    /// To the first solution.
    First,
    /// To the end, as OPA does below `not`: what raises an error behind the first solution isn't missed.
    Whole,
}

impl Planner<'_> {
    pub(super) fn body(&mut self, body: &Body) -> Result<(), PlanError> {
        body.iter().try_for_each(|expr| self.statement(expr))
    }

    fn statement(&mut self, expr: &Expr) -> Result<(), PlanError> {
        self.location = expr.location;
        if expr.with.is_empty() {
            return self.negatable(expr);
        }
        let replacement = self.replacement(&expr.with)?;
        let saved = self.slot()?;
        self.emit(Op::With { replacement, saved, fail: self.fail })?;
        self.negatable(expr)?;
        self.emit(Op::Without { saved })
    }

    fn negatable(&mut self, expr: &Expr) -> Result<(), PlanError> {
        if !expr.negated {
            return self.plain(expr);
        }
        let mark = self.exists(|this| this.plain(expr))?;
        self.emit(Op::NotFound { mark, fail: self.fail })
    }

    fn plain(&mut self, expr: &Expr) -> Result<(), PlanError> {
        match &expr.kind {
            ExprKind::Term(term) => {
                let arg = self.term(term)?;
                self.emit(Op::Holds { arg, fail: self.fail })
            }
            ExprKind::Call(terms) => self.call(terms),
            ExprKind::Every(every) => self.every(every),
            ExprKind::Not(operand) => {
                let mark = self.search(Search::Whole, |this| this.body(&operand.body))?;
                self.emit(Op::NotFound { mark, fail: self.fail })
            }
            ExprKind::And(left, right) => {
                for operand in [left, right] {
                    let mark = self.exists_operand(operand)?;
                    self.emit(Op::Found { mark, fail: self.fail })?;
                }
                Ok(())
            }
            ExprKind::Or(left, right) => {
                let a = self.exists_operand(left)?;
                let found = self.label();
                self.emit(Op::FoundElse { mark: a, to: found })?;
                let b = self.exists_operand(right)?;
                self.emit(Op::EitherFound { a, b, fail: self.fail })?;
                self.place(found);
                Ok(())
            }
            // Declarations are gone; one alone says nothing.
            ExprKind::Some(_) => Ok(()),
        }
    }

    fn exists_operand(&mut self, operand: &Operand) -> Result<SlotId, PlanError> {
        self.exists(|this| this.body(&operand.body))
    }

    /// Plans a body of which only the first solution counts; the mark says whether there is one.
    fn exists(&mut self, plan: impl FnOnce(&mut Self) -> Result<(), PlanError>) -> Result<SlotId, PlanError> {
        self.search(Search::First, plan)
    }

    /// Plans a body, and a mark that says whether there is a solution. What it binds is forgotten.
    fn search(
        &mut self,
        search: Search,
        plan: impl FnOnce(&mut Self) -> Result<(), PlanError>,
    ) -> Result<SlotId, PlanError> {
        let location = self.location;
        let mark = self.slot()?;
        self.emit(Op::Begin { mark })?;
        let done = self.label();
        self.within(done, |this| {
            plan(this)?;
            let go_on = this.label();
            this.emit(Op::Hit { mark, done: if search == Search::First { done } else { go_on } })?;
            this.place(go_on);
            this.again(done)
        })?;
        self.place(done);
        self.location = location;
        self.emit(Op::End { mark })?;
        Ok(mark)
    }

    /// Plans with another place to fail to, and forgets what is bound.
    fn within(&mut self, fail: Label, plan: impl FnOnce(&mut Self) -> Result<(), PlanError>) -> Result<(), PlanError> {
        let (outer, bound) = (std::mem::replace(&mut self.fail, fail), self.bound.len());
        let result = plan(self);
        self.fail = outer;
        self.unbind_to(bound);
        result
    }

    /// Holds if there is no element for which the body has no solution.
    fn every(&mut self, every: &Every) -> Result<(), PlanError> {
        let src = self.term(&every.domain)?;
        let iter = self.slot()?;
        // Before the mark: that there is nothing to go through isn't a matter of elements.
        self.emit(Op::Scan { src, iter, fail: self.fail })?;
        let mark = self.slot()?;
        self.emit(Op::Begin { mark })?;
        let (done, next) = (self.label(), self.label());
        self.place(next);
        self.within(next, |this| {
            let (key, value) = (this.slot()?, this.slot()?);
            this.emit(Op::Next { src, iter, key, value, end: done })?;
            if let Some(var) = every.key.as_ref().and_then(Term::as_var) {
                this.bind(var, Arg::slot(key));
            }
            if let Some(var) = every.value.as_var() {
                this.bind(var, Arg::slot(value));
            }
            let body = this.exists(|this| this.body(&every.body))?;
            this.emit(Op::NotFound { mark: body, fail: next })?;
            this.emit(Op::Hit { mark, done })?;
            this.emit(Op::Jump { to: next })
        })?;
        self.place(done);
        self.emit(Op::End { mark })?;
        self.emit(Op::NotFound { mark, fail: self.fail })
    }

    // === Terms ===

    /// The term's value. Its references may loop.
    pub(super) fn term(&mut self, term: &Term) -> Result<Arg, PlanError> {
        if let Some(value) = term.to_value() {
            return Ok(self.constant(value));
        }
        match &term.kind {
            TermKind::Var(var) => self.variable(var, term),
            TermKind::Ref(reference) => self.reference(reference),
            TermKind::Array(items) => {
                let items = self.terms(items)?;
                let (items, dst) = (self.args(&items), self.slot()?);
                self.emit(Op::Array { items, dst })?;
                Ok(Arg::slot(dst))
            }
            TermKind::Set(items) => {
                let items = self.terms(items)?;
                let (items, dst) = (self.args(&items), self.slot()?);
                self.emit(Op::Set { items, dst })?;
                Ok(Arg::slot(dst))
            }
            TermKind::Object(entries) => {
                let mut args = Vec::with_capacity(entries.len() * 2);
                for (key, value) in entries {
                    args.push(self.term(key)?);
                    args.push(self.term(value)?);
                }
                let (entries, dst) = (self.args(&args), self.slot()?);
                self.emit(Op::Object { entries, dst })?;
                Ok(Arg::slot(dst))
            }
            TermKind::ArrayComprehension(value, body) => self.gather(Gathering::Array, None, value, body),
            TermKind::SetComprehension(value, body) => self.gather(Gathering::Set, None, value, body),
            TermKind::ObjectComprehension(key, value, body) => self.gather(Gathering::Object, Some(key), value, body),
            _ => Err(PlanError::internal(term.location, "a term that should have been rewritten")),
        }
    }

    fn terms(&mut self, terms: &[Term]) -> Result<Vec<Arg>, PlanError> {
        terms.iter().map(|term| self.term(term)).collect()
    }

    pub(super) fn variable(&self, var: &Var, term: &Term) -> Result<Arg, PlanError> {
        let arg = self.variables.get(var).copied();
        arg.ok_or_else(|| PlanError::internal(term.location, format!("the variable {var} has no value")))
    }

    fn gather(&mut self, what: Gathering, key: Option<&Term>, value: &Term, body: &Body) -> Result<Arg, PlanError> {
        let location = self.location;
        let (mark, into, dst) = (self.slot()?, self.slot()?, self.slot()?);
        self.emit(Op::Gather { what, mark, into })?;
        let done = self.label();
        self.within(done, |this| {
            this.body(body)?;
            let key = match key {
                Some(key) => this.term(key)?,
                None => Arg::slot(NOWHERE),
            };
            let value = this.term(value)?;
            this.emit(Op::Add { into, key, value })?;
            this.again(done)
        })?;
        self.place(done);
        self.location = location;
        self.emit(Op::Gathered { mark, from: into, dst })?;
        Ok(Arg::slot(dst))
    }

    // === `with` ===

    fn replacement(&mut self, withs: &[With]) -> Result<u32, PlanError> {
        let mut replacement = Replacement { input: vec![], data: vec![], functions: vec![] };
        for with in withs {
            self.location = with.location;
            let Some(target) = with.target.as_ref() else {
                return Err(PlanError::internal(with.location, "a `with` target that should have been refused"));
            };
            let head = target.first().and_then(Term::as_var).map(Var::as_str);
            let function = match head {
                Some("input") => None,
                Some("data") => self.tree.find(target).and_then(|at| match self.places.get(at) {
                    Some(super::planner::Place::Function(group)) => Some(super::Callee::Group(*group)),
                    _ => None,
                }),
                _ => {
                    let name = dotted(target).unwrap_or_default();
                    Some(super::Callee::Builtin(self.builtin(&name)?))
                }
            };
            if let Some(function) = function {
                let stands = self.stand_in(&with.value)?;
                replacement.functions.push((function, stands));
                continue;
            }
            let path: Option<Vec<Value>> = target.iter().skip(1).map(scalar).collect();
            let Some(path) = path else {
                let message = "`with` on a path that isn't constant isn't supported; replace a constant path above it";
                return Err(PlanError::unsupported(with.location, message));
            };
            // OPA takes neither for a value, and leaves the rule alone where it is called like a function.
            if let Some(reference) = with.value.as_ref()
                && self.callee(&dotted(reference).unwrap_or_default(), reference)?.is_some()
            {
                let message = "a rule replaced by a function isn't supported; replace it by a value";
                return Err(PlanError::unsupported(with.value.location, message));
            }
            let value = self.term(&with.value)?;
            match head {
                Some("input") => replacement.input.push((path, value)),
                _ => replacement.data.push((path, value)),
            }
        }
        let id = u32::try_from(self.plan.replacements.len()).unwrap_or(u32::MAX);
        self.plan.replacements.push(replacement);
        Ok(id)
    }

    /// What stands in a function's place: another function, or a value.
    fn stand_in(&mut self, value: &Term) -> Result<Stands, PlanError> {
        if let TermKind::Ref(reference) = &value.kind {
            let name = dotted(reference).unwrap_or_default();
            if let Some(callee) = self.callee(&name, reference)? {
                return Ok(Stands::Callee(callee));
            }
            // OPA calls the rule, which has no parameters.
            if self.tree.find(reference).is_some() {
                let message = "a function replaced by a rule isn't supported; replace it by a function or a value";
                return Err(PlanError::unsupported(value.location, message));
            }
        }
        Ok(Stands::Value(self.term(value)?))
    }
}
