//! What each operation does.

mod calls;
mod documents;
mod loops;
mod results;
mod values;
mod within;

use super::gather::Gathered;
use super::run::{Machine, Results, Stop};
use super::slot::{Found, Slot, View};
use crate::eval::plan::{Arg, Args, Callee, Gathering, Op, Operand, Pc, SlotId};
use crate::eval::value::Value;

const CONFLICT: &str = "complete rules must not produce multiple outputs";
const KEY_CONFLICT: &str = "object keys must be unique";

type Stepped = Result<(), Stop>;

impl<'p> Machine<'p> {
    #[inline]
    pub(super) fn step(&mut self, op: &'p Op) -> Stepped {
        match *op {
            Op::Input { path, dst, fail } => return self.input(path, dst, fail),
            Op::Data { path, remote, dst, fail } => self.data(path, remote, dst, fail),
            Op::Dot { src, key, dst, fail } => return self.dot(src, key, dst, fail),
            Op::DataDot { src, key, dst, fail } => return self.data_dot(src, key, dst, fail),
            Op::Document { node, dst } => self.document(node, dst),
            Op::DocumentDot { src, key, dst, fail } => return self.document_dot(src, key, dst, fail),
            Op::DocumentValue { src, dst, fail } => return self.document_value(src, dst, fail),

            Op::Scan { src, iter, fail } => self.scan(src, iter, fail),
            Op::Next { src, iter, key, value, end } => self.next(src, iter, key, value, end),
            Op::DocumentScan { src, iter, fail } => return self.document_scan(src, iter, fail),
            Op::DocumentNext { iter, key, end } => self.document_next(iter, key, end),

            Op::Compare { how, a, b, fail } => return self.compare(how, a, b, fail),
            Op::Holds { arg, fail } => match self.view(arg) {
                View::Known(value) => self.holds(value.is_truthy(), fail),
                View::Partly(_) => {}
                View::Unknown => self.maybe = true,
            },
            Op::Member { member, of, fail } => return self.member(member, of, fail),
            Op::IsLike { src, gathering, fail } => {
                let like = match self.view(src) {
                    View::Known(Value::Set(_)) | View::Unknown => true,
                    View::Known(Value::Array(_)) => gathering == Gathering::Array,
                    View::Known(Value::Object(_)) => gathering == Gathering::Object,
                    View::Known(_) => false,
                    View::Partly(partly) => partly.is_set || gathering == Gathering::Object,
                };
                self.holds(like, fail);
            }
            Op::IsArray { src, len, fail } => match self.view(src) {
                View::Known(Value::Array(array)) => self.holds(array.len() == len as usize, fail),
                View::Known(_) | View::Partly(_) => self.pc = fail,
                View::Unknown => self.maybe = true,
            },
            Op::IsObject { src, len, fail } => match self.view(src) {
                View::Known(Value::Object(object)) => self.holds(object.len() == len as usize, fail),
                View::Known(_) => self.pc = fail,
                View::Partly(partly) if partly.is_set => self.pc = fail,
                View::Partly(_) | View::Unknown => self.maybe = true,
            },
            Op::Jump { to } => self.pc = to,

            Op::Array { items, dst } => return self.make(items, dst, Value::array),
            Op::Set { items, dst } => return self.make(items, dst, Value::set),
            Op::Object { entries, dst } => return self.make_object(entries, dst),

            Op::Builtin { builtin, args, dst, replaceable, fail } => {
                if replaceable && self.replaced_call(Callee::Builtin(builtin), args, dst, fail)? {
                    return Ok(());
                }
                return self.builtin(builtin, args, dst, fail);
            }
            Op::Walk { arg, dst, fail } => return self.walk(arg, dst, fail),
            Op::Rule { group, dst, replaceable, fail } => return self.rule(group, dst, replaceable, fail),
            Op::RuleAt { group, key, dst, fail } => return self.rule_at(group, key, dst, fail),
            Op::Function { group, args, dst, replaceable, fail } => {
                if replaceable && self.replaced_call(Callee::Group(group), args, dst, fail)? {
                    return Ok(());
                }
                return self.function(group, args, dst, fail, self.context);
            }

            Op::Begin { mark } => {
                self.begin(mark);
            }
            Op::Hit { mark, done } => self.hit(mark, done),
            Op::End { mark } => self.end(mark),
            Op::Found { mark, fail } => match self.found(mark) {
                Found::Yes => {}
                Found::Maybe => self.maybe = true,
                Found::No => self.pc = fail,
            },
            Op::NotFound { mark, fail } => match self.found(mark) {
                Found::No => {}
                Found::Maybe => self.maybe = true,
                Found::Yes => self.pc = fail,
            },
            Op::FoundElse { mark, to } => match self.found(mark) {
                Found::Yes => self.pc = to,
                Found::Maybe => self.within = true,
                Found::No => {}
            },
            Op::EitherFound { a, b, fail } => {
                // The second was in doubt if the first was.
                self.end(a);
                match self.found(a).max(self.found(b)) {
                    Found::Yes => {}
                    Found::Maybe => self.maybe = true,
                    Found::No => self.pc = fail,
                }
            }
            Op::Gather { what, mark, into } => {
                self.begin(mark);
                self.set(into, Slot::Gathered(Box::new(Gathered::new(what))));
            }
            Op::Add { into, key, value } => return self.add(into, key, value),
            Op::Gathered { mark, from, dst } => return self.gathered(mark, from, dst),

            Op::With { replacement, saved, fail: _ } => return self.with(replacement, saved),
            Op::Without { saved } => {
                if let Some(Slot::Context(context)) = self.slots.get(self.base + saved as usize) {
                    self.context = *context;
                }
            }

            Op::Select { selection, end } => return self.select(selection, end),
            Op::Advance { end } => return self.advance(end),
            Op::Definition => {
                self.fresh();
                if let Some(frame) = self.frames.last_mut() {
                    frame.before = Found::No;
                    frame.walks = false;
                }
            }
            Op::Guard { guard, fail } => match self.admits(guard)? {
                Found::Yes => {}
                Found::Maybe => self.maybe = true,
                Found::No => self.pc = fail,
            },
            Op::Alone { among, value, to } => match self.admits_but(value, among)? {
                Found::Yes => {}
                Found::No if !self.maybe => self.pc = to,
                Found::No | Found::Maybe => self.may_end(),
            },
            Op::Yield { value, only } => return self.give(value, only),
            Op::Else { to } => {
                self.fresh();
                match self.frames.last().map(|frame| frame.before) {
                    Some(Found::Yes) => self.pc = to,
                    Some(Found::Maybe) => self.maybe = true,
                    _ => {}
                }
            }
            Op::Default { to } => {
                self.fresh();
                if let Some(Results::One(one)) = self.frames.last().map(|frame| &frame.results) {
                    if one.is_decided() {
                        self.pc = to;
                    } else if !one.is_empty() {
                        self.within = true;
                    }
                }
            }
            Op::YieldDefault { value } => {
                let value = self.operand(value);
                if let Some(Results::One(one)) = self.frames.last_mut().map(|frame| &mut frame.results) {
                    one.add_default(value);
                }
            }
            Op::YieldAt { path, value, multi } => return self.give_at(path, value, multi),
            Op::Return => return self.finish(),
        }
        Ok(())
    }

    // === Operands ===

    #[inline]
    pub(in crate::eval::machine) fn slot(&self, slot: SlotId) -> Option<&Slot<'p>> {
        self.slots.get(self.base + slot as usize)
    }

    #[inline]
    fn view(&self, arg: Arg) -> View<'_> {
        match arg.resolve() {
            Operand::Constant(index) => self.plan.constants.get(index as usize).map_or(View::Unknown, View::Known),
            Operand::Slot(slot) => self.slot(slot).map_or(View::Unknown, Slot::view),
        }
    }

    /// The operand, to be put elsewhere.
    #[inline]
    pub(super) fn operand(&self, arg: Arg) -> Slot<'p> {
        match arg.resolve() {
            Operand::Constant(index) => self.plan.constants.get(index as usize).map_or(Slot::Empty, Slot::Ref),
            Operand::Slot(slot) => self.slot(slot).map_or(Slot::Empty, Slot::share),
        }
    }

    fn args(&self, args: Args) -> &'p [Arg] {
        let start = args.start as usize;
        self.plan.args.get(start..start + args.len as usize).unwrap_or_default()
    }

    #[inline]
    fn holds(&mut self, holds: bool, fail: Pc) {
        if !holds {
            self.pc = fail;
        }
    }

    /// At the beginning of a definition nothing is in doubt but the call.
    pub(in crate::eval::machine) fn fresh(&mut self) {
        self.maybe = false;
        self.within = false;
        self.many = false;
        if let Some(frame) = self.frames.last() {
            self.within = frame.may_end;
            self.context = frame.context;
        }
    }

    /// What follows in this group is in doubt: it isn't evaluated if what held here certainly holds.
    fn may_end(&mut self) {
        self.within = true;
        if let Some(frame) = self.frames.last_mut() {
            frame.may_end = true;
        }
    }
}

fn is_leaf(value: &Value) -> bool {
    !matches!(value, Value::Array(_) | Value::Object(_) | Value::Set(_))
}
