//! Calls of builtins and functions.

use super::planner::{Label, Place, PlanError, Planner};
use super::{Arg, Comparison, NOWHERE, Op};
use crate::eval::builtins::table::builtin;
use crate::eval::syntax::ast::{Term, Var, dotted};
use crate::eval::value::Value;

impl Planner<'_> {
    /// A call as a statement. With one operand more than the function takes, that one is matched with the result;
    /// without it, the result must not be `false`.
    pub(super) fn call(&mut self, terms: &[Term]) -> Result<(), PlanError> {
        let Some((operator, operands)) = terms.split_first() else {
            return Err(PlanError::internal(self.location, "an empty call"));
        };
        let Some(reference) = operator.as_ref() else {
            return Err(PlanError::internal(operator.location, "a call of what has no name"));
        };
        let name = dotted(reference).unwrap_or_default();
        let is_local = reference.first().and_then(Term::as_var).is_some_and(|var| self.is_bound(var));
        if !is_local && let Some(described) = builtin(&name) {
            return self.builtin_call(described.name, operands, described.arity());
        }
        match self.tree.find(reference).and_then(|at| self.places.get(at)).copied() {
            Some(Place::Function(group)) => {
                let parameters = self.plan.groups.get(group as usize).map_or(0, |group| group.parameters as usize);
                let (operands, output) = operands.split_at(parameters.min(operands.len()));
                let args = operands.iter().map(|term| self.term(term)).collect::<Result<Vec<_>, _>>()?;
                let (args, dst, fail) = (self.args(&args), self.slot()?, self.fail);
                let path: Vec<Value> = reference.iter().skip(1).filter_map(Term::to_value).collect();
                let replaceable = self.replaced.data.contains(&path);
                self.emit(Op::Function { group, args, dst, replaceable, fail })?;
                self.result(output.first(), Arg::slot(dst))
            }
            Some(Place::Rules(group)) => {
                // A function without parameters is a rule.
                let (dst, fail) = (self.slot()?, self.fail);
                let path: Vec<Value> = reference.iter().skip(1).filter_map(Term::to_value).collect();
                let replaceable = self.is_replaceable(&path);
                self.emit(Op::Rule { group, dst, replaceable, fail })?;
                self.result(operands.first(), Arg::slot(dst))
            }
            _ => Err(PlanError::internal(operator.location, format!("a call of `{name}`, which is no function"))),
        }
    }

    fn builtin_call(&mut self, name: &'static str, operands: &[Term], arity: usize) -> Result<(), PlanError> {
        match (name, operands) {
            ("eq", [a, b]) => return self.unify(a, b),
            ("walk", [value, output @ ..]) => return self.walk(value, output.first()),
            _ => {}
        }
        let replaceable = self.replaced.builtins.contains(name);
        let (inputs, output) = operands.split_at(arity.min(operands.len()));
        let args = inputs.iter().map(|term| self.term(term)).collect::<Result<Vec<_>, _>>()?;
        if output.is_empty()
            && !replaceable
            && let [a, b] = *args.as_slice()
            && let Some(op) = statement(name, a, b, self.fail)
        {
            return self.emit(op);
        }
        let builtin = self.builtin(name)?;
        let (args, dst, fail) = (self.args(&args), self.slot()?, self.fail);
        self.emit(Op::Builtin { builtin, args, dst, replaceable, fail })?;
        self.result(output.first(), Arg::slot(dst))
    }

    fn result(&mut self, output: Option<&Term>, result: Arg) -> Result<(), PlanError> {
        match output {
            Some(output) => self.matches(output, result),
            None => self.emit(Op::Holds { arg: result, fail: self.fail }),
        }
    }

    /// `walk` has a result for each part of a value.
    fn walk(&mut self, value: &Term, output: Option<&Term>) -> Result<(), PlanError> {
        let arg = self.term(value)?;
        let (all, iter, pair) = (self.slot()?, self.slot()?, self.slot()?);
        self.emit(Op::Walk { arg, dst: all, fail: self.fail })?;
        let src = Arg::slot(all);
        self.emit(Op::Scan { src, iter, fail: self.fail })?;
        let next = self.label();
        self.place(next);
        self.emit(Op::Next { src, iter, key: NOWHERE, value: pair, end: self.fail })?;
        self.fail = next;
        match output {
            Some(output) if output.as_var().is_none_or(|var| !Var::is_wildcard(var)) => {
                self.matches(output, Arg::slot(pair))
            }
            _ => Ok(()),
        }
    }
}

/// Builtins that are operations of their own where only their truth counts.
fn statement(name: &str, a: Arg, b: Arg, fail: Label) -> Option<Op> {
    let how = match name {
        "equal" => Comparison::Equal,
        "neq" => Comparison::NotEqual,
        "lt" => Comparison::Less,
        "lte" => Comparison::LessOrEqual,
        "gt" => Comparison::Greater,
        "gte" => Comparison::GreaterOrEqual,
        "internal.member_2" => return Some(Op::Member { member: a, of: b, fail }),
        _ => return None,
    };
    Some(Op::Compare { how, a, b, fail })
}
