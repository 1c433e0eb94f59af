//! `=`: values for variables, or a comparison. Which variables have a value is known when the plan is made.

use super::planner::{PlanError, Planner};
use super::{Arg, Comparison, Gathering, Op};
use crate::eval::compile::walk::{PATTERN, vars_of_term};
use crate::eval::syntax::ast::{Term, TermKind};
use crate::eval::value::Value;

impl Planner<'_> {
    /// Makes two terms equal, or fails.
    pub(super) fn unify(&mut self, a: &Term, b: &Term) -> Result<(), PlanError> {
        // Pairs that wait for a variable of another pair.
        let mut pairs = vec![(a.clone(), b.clone())];
        while !pairs.is_empty() {
            let before = pairs.len();
            let mut waiting = vec![];
            let mut progress = false;
            for (a, b) in std::mem::take(&mut pairs) {
                match self.unify_pair(&a, &b)? {
                    Unified::Done => progress = true,
                    Unified::Parts(parts) => {
                        progress = true;
                        waiting.extend(parts);
                    }
                    Unified::Waits => waiting.push((a, b)),
                }
            }
            if !progress && waiting.len() == before {
                return Err(PlanError::internal(a.location, "an equality whose variables have no value"));
            }
            pairs = waiting;
        }
        Ok(())
    }

    fn unify_pair(&mut self, a: &Term, b: &Term) -> Result<Unified, PlanError> {
        for (var, other) in [(a, b), (b, a)] {
            let Some(var) = var.as_var().filter(|var| !self.is_bound(var)) else { continue };
            if !self.is_ready(other) {
                continue;
            }
            let value = self.term(other)?;
            // A reference may have bound it on its way.
            if self.is_bound(var) {
                let bound = self.variable(var, a)?;
                self.compare(bound, value)?;
            } else {
                self.bind(var, value);
            }
            return Ok(Unified::Done);
        }
        match (&a.kind, &b.kind) {
            (TermKind::Array(x), TermKind::Array(y)) if self.is_pattern(a) || self.is_pattern(b) => {
                if x.len() != y.len() {
                    self.emit(Op::Jump { to: self.fail })?;
                    return self.never(a, b);
                }
                Ok(Unified::Parts(x.iter().cloned().zip(y.iter().cloned()).collect()))
            }
            (TermKind::Object(x), TermKind::Object(y)) if self.is_pattern(a) || self.is_pattern(b) => {
                self.unify_objects(a, b, x, y)
            }
            _ if self.is_pattern(a) && self.is_ready(b) => {
                let value = self.term(b)?;
                self.matches(a, value)?;
                Ok(Unified::Done)
            }
            _ if self.is_pattern(b) && self.is_ready(a) => {
                let value = self.term(a)?;
                self.matches(b, value)?;
                Ok(Unified::Done)
            }
            // References come before comprehensions: one that is undefined leaves the other alone.
            _ if self.is_ready(a) && self.is_ready(b) && b.as_ref().is_some() && a.as_ref().is_none() => {
                let value = self.term(b)?;
                self.matches(a, value)?;
                Ok(Unified::Done)
            }
            _ if self.is_ready(a) && self.is_ready(b) => {
                let value = self.term(a)?;
                self.matches(b, value)?;
                Ok(Unified::Done)
            }
            _ => Ok(Unified::Waits),
        }
    }

    fn unify_objects(
        &mut self,
        a: &Term,
        b: &Term,
        x: &[(Term, Term)],
        y: &[(Term, Term)],
    ) -> Result<Unified, PlanError> {
        let constant = |entries: &[(Term, Term)]| entries.iter().all(|(key, _)| key.to_value().is_some());
        if !constant(x) || !constant(y) {
            for (known, pattern) in [(a, b), (b, a)] {
                if self.is_known(known) {
                    let value = self.term(known)?;
                    self.matches(pattern, value)?;
                    return Ok(Unified::Done);
                }
            }
            let message =
                "two objects with keys that aren't constant can't be unified; compare them after building them";
            return Err(PlanError::unsupported(a.location, message));
        }
        let mut parts = vec![];
        for (key, value) in x {
            match y.iter().find(|(other, _)| other.to_value() == key.to_value()) {
                Some((_, other)) if x.len() == y.len() => parts.push((value.clone(), other.clone())),
                _ => {
                    self.emit(Op::Jump { to: self.fail })?;
                    return self.never(a, b);
                }
            }
        }
        Ok(Unified::Parts(parts))
    }

    /// What comes after a statement that never holds isn't reached; its variables still need a place.
    fn never(&mut self, a: &Term, b: &Term) -> Result<Unified, PlanError> {
        let null = self.constant(Value::Null);
        for var in vars_of_term(a, PATTERN).into_iter().chain(vars_of_term(b, PATTERN)) {
            if !self.is_bound(&var) {
                self.bind(&var, null);
            }
        }
        Ok(Unified::Done)
    }

    /// Matches a term with a value: what has no value gets one, what has is compared.
    pub(super) fn matches(&mut self, pattern: &Term, value: Arg) -> Result<(), PlanError> {
        match &pattern.kind {
            TermKind::Var(var) if !self.is_bound(var) => {
                self.bind(var, value);
                Ok(())
            }
            TermKind::Array(items) if self.is_pattern(pattern) => {
                let len = u32::try_from(items.len()).unwrap_or(u32::MAX);
                self.emit(Op::IsArray { src: value, len, fail: self.fail })?;
                for (i, item) in items.iter().enumerate() {
                    let key = self.constant(Value::from(i));
                    self.matches_part(item, value, key)?;
                }
                Ok(())
            }
            TermKind::Object(entries) if self.is_pattern(pattern) => {
                let len = u32::try_from(entries.len()).unwrap_or(u32::MAX);
                self.emit(Op::IsObject { src: value, len, fail: self.fail })?;
                for (key, item) in entries {
                    let key = self.term(key)?;
                    self.matches_part(item, value, key)?;
                }
                Ok(())
            }
            _ => {
                if let Some(gathering) = gathering(pattern) {
                    self.emit(Op::IsLike { src: value, gathering, fail: self.fail })?;
                }
                let own = self.term(pattern)?;
                self.compare(own, value)
            }
        }
    }

    fn matches_part(&mut self, pattern: &Term, src: Arg, key: Arg) -> Result<(), PlanError> {
        let dst = self.slot()?;
        self.emit(Op::Dot { src, key, dst, fail: self.fail })?;
        self.matches(pattern, Arg::slot(dst))
    }

    pub(super) fn compare(&mut self, a: Arg, b: Arg) -> Result<(), PlanError> {
        self.emit(Op::Compare { how: Comparison::Equal, a, b, fail: self.fail })
    }

    /// Whether the term has variables that a match would give a value to.
    pub(super) fn is_pattern(&self, term: &Term) -> bool {
        matches!(term.kind, TermKind::Array(_) | TermKind::Object(_)) && !self.is_known(term)
    }

    /// Whether all variables in places that a match could bind have a value.
    pub(super) fn is_known(&self, term: &Term) -> bool {
        vars_of_term(term, PATTERN).iter().all(|var| self.is_bound(var))
    }

    /// Whether the term can be evaluated: references may bind what they go through.
    fn is_ready(&self, term: &Term) -> bool {
        match &term.kind {
            TermKind::Ref(_) => true,
            _ => self.is_known(term),
        }
    }
}

/// What kind of comprehension a term is, if it is one.
fn gathering(term: &Term) -> Option<Gathering> {
    match &term.kind {
        TermKind::ArrayComprehension(..) => Some(Gathering::Array),
        TermKind::SetComprehension(..) => Some(Gathering::Set),
        TermKind::ObjectComprehension(..) => Some(Gathering::Object),
        _ => None,
    }
}

enum Unified {
    Done,
    /// It comes down to these.
    Parts(Vec<(Term, Term)>),
    /// Neither side can be evaluated yet.
    Waits,
}
