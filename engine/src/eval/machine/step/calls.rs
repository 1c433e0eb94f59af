//! Builtins, functions and rules.

use super::Stepped;
use crate::eval::builtins::Failure;
use crate::eval::builtins::walk;
use crate::eval::machine::answer::{HaltKind, Swallowed};
use crate::eval::machine::context::Stand;
use crate::eval::machine::run::{Machine, Stop};
use crate::eval::machine::slot::{Slot, View};
use crate::eval::plan::{Arg, Args, Callee, GroupId, Operand, Pc, SlotId};
use crate::eval::value::{MAX_DEPTH, Value};

impl<'p> Machine<'p> {
    pub(super) fn builtin(&mut self, builtin: u32, args: Args, dst: SlotId, fail: Pc) -> Stepped {
        let Some(described) = self.plan.builtins.get(builtin as usize) else { return Ok(()) };
        let args = self.args(args);
        let mut known: [&Value; 8] = [&Value::Null; 8];
        let operands: Option<&mut [&Value]> = known.get_mut(..args.len());
        let Some(operands) = operands else {
            let halt = self.halt(HaltKind::Internal, "a builtin with more operands than there are");
            self.raise(halt);
            return Ok(());
        };
        // Borrowed field by field, so that the budget can be spent meanwhile.
        let (slots, base, constants) = (&self.slots, self.base, &self.plan.constants);
        for (operand, arg) in operands.iter_mut().zip(args) {
            let value = match arg.resolve() {
                Operand::Constant(index) => constants.get(index as usize),
                Operand::Slot(slot) => slots.get(base + slot as usize).and_then(Slot::as_known),
            };
            match value {
                Some(value) => *operand = value,
                None => {
                    if described.name == "count"
                        && let Operand::Slot(slot) = arg.resolve()
                        && let Some(Slot::Partly(partly)) = slots.get(base + slot as usize)
                        && let Some(count) = partly.count()
                    {
                        self.set(dst, count);
                        return Ok(());
                    }
                    // What it would say of what isn't known: anything, or an error.
                    self.maybe = true;
                    self.findings.may_swallow = true;
                    self.set(dst, Slot::unknown());
                    return Ok(());
                }
            }
        }
        let mut context = crate::eval::builtins::Context {
            budget: &mut self.budget,
            now_ns: self.now_ns,
            memo: &mut self.memo,
            patterns: &self.plan.patterns,
        };
        match (described.function)(&mut context, operands) {
            Ok(value) => {
                let value = Slot::Own(value);
                self.charge(&value)?;
                self.set(dst, value);
                Ok(())
            }
            Err(failure) => self.failed(described.name, failure, fail),
        }
    }

    /// A builtin without a value: its statement doesn't hold.
    pub(super) fn failed(&mut self, name: &str, failure: Failure, fail: Pc) -> Stepped {
        let (code, message) = match failure {
            Failure::Undefined => {
                self.pc = fail;
                return Ok(());
            }
            Failure::Unsupported(message) => {
                let halt = self.halt(HaltKind::Unsupported, &format!("{name}: {message}"));
                self.raise(halt);
                return Ok(());
            }
            Failure::Limit(limit) => return Err(Stop::Limit(limit)),
            Failure::Operand(message) => ("eval_type_error", message),
            Failure::Error(message) => ("eval_builtin_error", message),
        };
        if self.in_doubt() {
            self.findings.may_swallow = true;
        } else if self.findings.swallowed.is_none() {
            let location = self.halt(HaltKind::Internal, "").location;
            self.findings.swallowed = Some(Swallowed { location, code, message: format!("{name}: {message}") });
        }
        self.pc = fail;
        Ok(())
    }

    pub(super) fn walk(&mut self, arg: Arg, dst: SlotId, fail: Pc) -> Stepped {
        if let Some(frame) = self.frames.last_mut() {
            frame.walks = true;
        }
        let View::Known(value) = self.view(arg) else {
            self.set(dst, Slot::unknown());
            return Ok(());
        };
        let value = value.clone();
        let mut context = crate::eval::builtins::Context {
            budget: &mut self.budget,
            now_ns: self.now_ns,
            memo: &mut self.memo,
            patterns: &self.plan.patterns,
        };
        match walk(&mut context, &value) {
            Ok(pairs) => {
                let all = Slot::Own(Value::array(pairs));
                // Each pair holds a part of the value: one level more is no harm.
                if let Slot::Own(value) = &all
                    && value.depth() > MAX_DEPTH + 2
                {
                    return Err(Stop::Limit(crate::eval::builtins::Limit::Size));
                }
                self.set(dst, all);
                Ok(())
            }
            Err(failure) => self.failed("walk", failure, fail),
        }
    }

    pub(super) fn rule(&mut self, group: GroupId, dst: SlotId, replaceable: bool, fail: Pc) -> Stepped {
        let Some(context) = self.contexts.get(self.context as usize) else { return Ok(()) };
        if replaceable && !context.replaced.is_empty() {
            let path = self.plan.groups.get(group as usize).map_or(&[][..], |group| &group.path);
            if context.is_replaced(path) {
                let path = path.to_vec();
                self.replaced_data(&path, dst, fail);
                return Ok(());
            }
        }
        match context.rules.get(&group) {
            Some(Ok(outcome)) => {
                let outcome = outcome.share();
                self.take(outcome, dst, fail);
            }
            Some(Err(halt)) => {
                let halt = halt.clone();
                self.raise(halt);
            }
            None => return self.call(group, dst, fail, self.context),
        }
        Ok(())
    }

    pub(super) fn rule_at(&mut self, group: GroupId, key: Arg, dst: SlotId, fail: Pc) -> Stepped {
        // To look among the keys that were asked for before.
        self.budget.step(2 * self.effort(key))?;
        let View::Known(key) = self.view(key) else {
            self.any_of_a_document(dst);
            return Ok(());
        };
        let key = key.clone();
        let Some(context) = self.contexts.get(self.context as usize) else { return Ok(()) };
        let path = self.plan.groups.get(group as usize).map_or(&[][..], |group| &group.path);
        if context.is_replaced(path) {
            let path: Vec<Value> = path.iter().cloned().chain([key]).collect();
            self.replaced_data(&path, dst, fail);
            return Ok(());
        }
        if let Some(Ok(whole)) = context.rules.get(&group) {
            let outcome = whole.share().under(&key);
            self.take(outcome, dst, fail);
            return Ok(());
        }
        match context.rules_at.get(&(group, key.clone())) {
            Some(Ok(outcome)) => {
                let outcome = outcome.share();
                self.take(outcome, dst, fail);
            }
            Some(Err(halt)) => {
                let halt = halt.clone();
                self.raise(halt);
            }
            None => {
                self.call_at(group, key.clone(), dst, fail)?;
                self.set(0, Slot::Own(key));
            }
        }
        Ok(())
    }

    /// What `with` put where a rule's document would be.
    fn replaced_data(&mut self, path: &[Value], dst: SlotId, fail: Pc) {
        if self.is_unknown(path) {
            self.maybe = true;
            self.set(dst, Slot::unknown());
            return;
        }
        let found = match self.data_at(self.context, path) {
            Slot::Empty => None,
            value => Some(value),
        };
        self.put_or(found, dst, fail);
    }

    /// What a document that rules make has under a key that isn't known. Which definitions that reaches isn't either, nor
    /// what errors there are.
    pub(super) fn any_of_a_document(&mut self, dst: SlotId) {
        self.maybe = true;
        self.findings.may_swallow = true;
        self.findings.may_halt = true;
        self.set(dst, Slot::unknown());
    }

    pub(super) fn function(&mut self, group: GroupId, args: Args, dst: SlotId, fail: Pc, context: u32) -> Stepped {
        let operands: Vec<Slot<'p>> = self.args(args).iter().map(|arg| self.operand(*arg)).collect();
        self.call(group, dst, fail, context)?;
        for (slot, operand) in (0..).zip(operands) {
            self.set(slot, operand);
        }
        Ok(())
    }

    /// Calls what `with` put in the place of a function; false if it put nothing there.
    pub(super) fn replaced_call(&mut self, callee: Callee, args: Args, dst: SlotId, fail: Pc) -> Result<bool, Stop> {
        let Some(context) = self.contexts.get(self.context as usize) else { return Ok(false) };
        let Some((_, stand)) = context.functions.iter().rev().find(|(replaced, _)| *replaced == callee) else {
            return Ok(false);
        };
        match stand {
            Stand::Value(value) => {
                let value = value.share();
                self.set(dst, value);
            }
            Stand::Callee(Callee::Builtin(builtin)) => {
                let builtin = *builtin;
                self.builtin(builtin, args, dst, fail)?;
            }
            Stand::Callee(Callee::Group(group)) => {
                let group = *group;
                // What stands in may call what it stands for.
                let mut plain = context.child();
                plain.functions.clear();
                let plain = self.push_context(plain)?;
                let parameters = self.plan.groups.get(group as usize).map_or(0, |group| group.parameters);
                if parameters == 0 {
                    self.rule(group, dst, true, fail)?;
                } else {
                    self.function(group, args, dst, fail, plain)?;
                }
            }
        }
        Ok(true)
    }
}
