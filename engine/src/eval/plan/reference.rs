//! References: paths through documents, rules and values.

use std::sync::Arc;

use super::planner::{Place, PlanError, Planner};
use super::{Arg, GroupId, GroupKind, NOWHERE, Op, Plan};
use crate::eval::compile::tree::{RuleTree, scalar};
use crate::eval::syntax::ast::{Term, TermKind, Var};
use crate::eval::value::Value;

/// What a reference has led to so far.
#[derive(Clone, Copy)]
enum At {
    /// A value.
    Value(Arg),
    /// A value in a document of `data`, where keys are compared as texts.
    Data(Arg),
    /// A document of which it isn't known whether rules or data make it.
    Document(Arg),
}

impl Planner<'_> {
    /// The value that a reference leads to. Parts without a value are gone through, and get one.
    pub(super) fn reference(&mut self, reference: &[Term]) -> Result<Arg, PlanError> {
        let Some((head, rest)) = reference.split_first() else {
            return Err(PlanError::internal(self.location, "an empty reference"));
        };
        match head.as_var().map(Var::as_str) {
            Some("input") if !self.is_bound(&Var::new("input")) => self.input(rest),
            Some("data") if !self.is_bound(&Var::new("data")) => self.data(rest),
            _ => {
                let start = self.term(head)?;
                self.follow(At::Value(start), rest)
            }
        }
    }

    fn input(&mut self, rest: &[Term]) -> Result<Arg, PlanError> {
        let (names, rest) = names(rest);
        let (path, dst) = (self.input_path(&names), self.slot()?);
        self.emit(Op::Input { path, dst, fail: self.fail })?;
        self.follow(At::Value(Arg::slot(dst)), rest)
    }

    /// Goes down the rule tree as far as constants lead.
    fn data(&mut self, parts: &[Term]) -> Result<Arg, PlanError> {
        let mut at = RuleTree::ROOT;
        for (i, part) in parts.iter().enumerate() {
            let Some(key) = scalar(part) else {
                return self.document(at, parts.get(i..).unwrap_or_default());
            };
            let Some(child) = self.tree.child(at, &key) else {
                // No rules from here on.
                return self.base(parts);
            };
            let rest = parts.get(i + 1..).unwrap_or_default();
            match self.places.get(child).copied() {
                Some(Place::Rules(group)) => {
                    if let Some((key, rest)) = rest.split_first()
                        && self.is_looked_up(group, key)
                    {
                        self.looked_up.insert((group, child));
                        let key = self.term(key)?;
                        let dst = self.slot()?;
                        self.emit(Op::RuleAt { group, key, dst, fail: self.fail })?;
                        return self.follow(At::Value(Arg::slot(dst)), rest);
                    }
                    let dst = self.slot()?;
                    let path: Vec<Value> = parts.iter().take(i + 1).filter_map(scalar).collect();
                    let replaceable = self.is_replaceable(&path);
                    self.emit(Op::Rule { group, dst, replaceable, fail: self.fail })?;
                    return self.follow(At::Value(Arg::slot(dst)), rest);
                }
                Some(Place::Function(_)) => return self.base(parts),
                _ => at = child,
            }
        }
        self.document(at, &[])
    }

    /// Whether a partial document is asked for one key: then the rest of it isn't made, and what is wrong with it doesn't
    /// matter, as in OPA.
    fn is_looked_up(&self, group: GroupId, key: &Term) -> bool {
        let kind = self.plan.groups.get(group as usize).map(|group| group.kind);
        matches!(kind, Some(GroupKind::Set | GroupKind::Object)) && self.is_key(key)
    }

    /// A path through data alone.
    fn base(&mut self, parts: &[Term]) -> Result<Arg, PlanError> {
        let (names, rest) = names(parts);
        // Elsewhere in the path a number may stand, which is compared as a text.
        let remote = self.may_be_remote(&names);
        let (path, dst) = (self.path(&names), self.slot()?);
        self.emit(Op::Data { path, remote, dst, fail: self.fail })?;
        self.follow(At::Data(Arg::slot(dst)), rest)
    }

    /// Whether a path leads to, into or past what may not be held.
    fn may_be_remote(&self, names: &[Arc<str>]) -> bool {
        self.plan.remote.iter().any(|root| root.iter().zip(names).all(|(part, name)| part.as_str() == Some(name)))
    }

    /// From a node of the rule tree on, by keys that aren't constant, or the whole of it.
    fn document(&mut self, at: usize, rest: &[Term]) -> Result<Arg, PlanError> {
        let node = match self.places.get(at) {
            Some(Place::Node(node)) => *node,
            _ => Plan::ROOT,
        };
        let dst = self.slot()?;
        self.emit(Op::Document { node, dst })?;
        self.follow(At::Document(Arg::slot(dst)), rest)
    }

    fn follow(&mut self, start: At, rest: &[Term]) -> Result<Arg, PlanError> {
        let end = rest.iter().try_fold(start, |at, part| self.step(at, part))?;
        match end {
            At::Value(arg) | At::Data(arg) => Ok(arg),
            At::Document(src) => {
                let dst = self.slot()?;
                self.emit(Op::DocumentValue { src, dst, fail: self.fail })?;
                Ok(Arg::slot(dst))
            }
        }
    }

    fn step(&mut self, at: At, part: &Term) -> Result<At, PlanError> {
        if self.is_key(part) {
            let key = self.term(part)?;
            return self.dot(at, key);
        }
        let key = match part.as_var().is_some_and(Var::is_wildcard) {
            true if !matches!(at, At::Document(_)) => NOWHERE,
            _ => self.slot()?,
        };
        let at = self.scan(at, key)?;
        if key != NOWHERE {
            self.matches(part, Arg::slot(key))?;
        }
        // A document's children are looked up after the key is known to match.
        match at {
            At::Document(src) => self.dot(At::Document(src), Arg::slot(key)),
            at => Ok(at),
        }
    }

    /// Whether a part of a reference has a value.
    fn is_key(&self, part: &Term) -> bool {
        match &part.kind {
            TermKind::Var(var) => self.is_bound(var),
            TermKind::Array(_) | TermKind::Object(_) => self.is_known(part),
            _ => true,
        }
    }

    fn dot(&mut self, at: At, key: Arg) -> Result<At, PlanError> {
        let (dst, fail) = (self.slot()?, self.fail);
        let (op, at) = match at {
            At::Value(src) => (Op::Dot { src, key, dst, fail }, At::Value(Arg::slot(dst))),
            At::Data(src) => (Op::DataDot { src, key, dst, fail }, At::Data(Arg::slot(dst))),
            At::Document(src) => (Op::DocumentDot { src, key, dst, fail }, At::Document(Arg::slot(dst))),
        };
        self.emit(op)?;
        Ok(at)
    }

    /// Begins a loop; from here on, failing is going to its next turn.
    fn scan(&mut self, at: At, key: u32) -> Result<At, PlanError> {
        let iter = self.slot()?;
        let next = self.label();
        match at {
            At::Value(src) | At::Data(src) => {
                let value = self.slot()?;
                self.emit(Op::Scan { src, iter, fail: self.fail })?;
                self.place(next);
                self.emit(Op::Next { src, iter, key, value, end: self.fail })?;
                self.fail = next;
                Ok(if matches!(at, At::Data(_)) { At::Data(Arg::slot(value)) } else { At::Value(Arg::slot(value)) })
            }
            At::Document(src) => {
                self.emit(Op::DocumentScan { src, iter, fail: self.fail })?;
                self.place(next);
                self.emit(Op::DocumentNext { iter, key, end: self.fail })?;
                self.fail = next;
                Ok(At::Document(src))
            }
        }
    }
}

/// The names that a path begins with, and the rest.
fn names(parts: &[Term]) -> (Vec<Arc<str>>, &[Term]) {
    let name = |part: &Term| match &part.kind {
        TermKind::String(name) => Some(Arc::clone(name)),
        _ => None,
    };
    let names: Vec<_> = parts.iter().map_while(name).collect();
    let rest = parts.get(names.len()..).unwrap_or_default();
    (names, rest)
}
