//! What each operation does.

use super::answer::{HaltKind, Swallowed};
use super::context::{Context, Outcome, Stand, copied, put};
use super::document::{Document, Keys, Remote, child, remote};
use super::gather::Gathered;
use super::run::{Machine, Results, Stop};
use super::slot::{Found, Mark, Slot, Turn, View};
use crate::eval::builtins::{Failure, walk};
use crate::eval::compile::tree::is_written;
use crate::eval::plan::{
    Arg, Args, Callee, Comparison, DocumentChild, Gathering, GroupId, NOWHERE, Op, Operand, Pc, SlotId, With as Stands,
};
use crate::eval::value::{MAX_DEPTH, Value};

const CONFLICT: &str = "complete rules must not produce multiple outputs";
const KEY_CONFLICT: &str = "object keys must be unique";

type Stepped = Result<(), Stop>;

impl<'p> Machine<'p> {
    #[inline]
    pub(super) fn step(&mut self, op: &'p Op) -> Stepped {
        match *op {
            Op::Input { path, dst, fail } => self.input(path, dst, fail),
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
    pub(super) fn slot(&self, slot: SlotId) -> Option<&Slot<'p>> {
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
    fn fresh(&mut self) {
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

    // === Documents ===

    fn input(&mut self, path: u32, dst: SlotId, fail: Pc) {
        let names = self.plan.paths.get(path as usize).map_or(&[][..], |path| path);
        let Some(context) = self.contexts.get(self.context as usize) else { return };
        let found = match &context.input {
            Slot::Ref(root) => names.iter().try_fold(*root, |value, name| value.get_str(name)).map(Slot::Ref),
            Slot::Own(root) => {
                names.iter().try_fold(root, |value, name| value.get_str(name)).map(|value| Slot::Own(value.clone()))
            }
            Slot::Empty => None,
            _ => {
                self.maybe = true;
                Some(Slot::unknown())
            }
        };
        self.put_or(found, dst, fail);
    }

    fn data(&mut self, path: u32, may_be_remote: bool, dst: SlotId, fail: Pc) {
        let names = self.plan.paths.get(path as usize).map_or(&[][..], |path| path);
        let replaced = self.contexts.get(self.context as usize).and_then(|context| context.data.as_ref());
        if may_be_remote || replaced.is_some() {
            let path: Vec<Value> = names.iter().map(|name| Value::String(std::sync::Arc::clone(name))).collect();
            if self.is_unknown(&path) {
                self.maybe = true;
                return self.set(dst, Slot::unknown());
            }
            let found = match self.data_at(self.context, &path) {
                Slot::Empty => None,
                value => Some(value),
            };
            return self.put_or(found, dst, fail);
        }
        let found = names.iter().try_fold(self.data, |value, name| match value {
            Value::Object(object) => object.get_str(name),
            value => child(value, &Value::String(std::sync::Arc::clone(name))),
        });
        self.put_or(found.map(Slot::Ref), dst, fail);
    }

    /// Whether what lies at a path below `data` isn't held, or not all of it.
    pub(super) fn is_unknown(&mut self, path: &[Value]) -> bool {
        if let Some(context) = self.contexts.get(self.context as usize) {
            if context.unknown.iter().any(|unknown| unknown.starts_with(path) || path.starts_with(unknown)) {
                return true;
            }
            if context.is_replaced(path) {
                return false;
            }
        }
        match remote(self.plan, path) {
            Remote::Beside => false,
            Remote::Above(root) | Remote::Within(root) => {
                self.findings.remote.get_or_insert(root);
                true
            }
        }
    }

    fn put_or(&mut self, found: Option<Slot<'p>>, dst: SlotId, fail: Pc) {
        match found {
            Some(value) => self.set(dst, value),
            None => self.pc = fail,
        }
    }

    fn dot(&mut self, src: Arg, key: Arg, dst: SlotId, fail: Pc) -> Stepped {
        if let (View::Partly(partly), View::Known(key)) = (self.view(src), self.view(key)) {
            let cost = partly.items.len() as u64 * u64::from(key.weight());
            self.budget.step(cost)?;
        } else {
            self.budget.step(4 * self.effort(key))?;
        }
        let found = match (self.view(src), self.view(key)) {
            // A member of a set is found in the form in which it is asked for: `{1.0}[1]` is 1.
            (View::Known(Value::Set(set)), View::Known(member)) => set.contains(member).then(|| self.operand(key)),
            (View::Known(_), View::Known(key)) => match self.source(src) {
                Source::Lasting(value) => value.get(key).map(Slot::Ref),
                Source::Passing(value) | Source::Put(value) => value.get(key).map(|value| Slot::Own(value.clone())),
            },
            (View::Known(value), _) if is_leaf(value) => None,
            (View::Partly(partly), View::Known(key)) => {
                let Outcome { value, maybe } = partly.get(key);
                self.maybe |= maybe;
                value
            }
            _ => {
                self.maybe = true;
                Some(Slot::unknown())
            }
        };
        self.put_or(found, dst, fail);
        Ok(())
    }

    /// An operand that is known, and whether it outlives the evaluation.
    fn source(&self, arg: Arg) -> Source<'_, 'p> {
        match arg.resolve() {
            Operand::Constant(index) => {
                Source::Lasting(self.plan.constants.get(index as usize).unwrap_or(&Value::Null))
            }
            Operand::Slot(slot) => match self.slot(slot) {
                Some(Slot::Ref(value)) => Source::Lasting(value),
                Some(Slot::Own(value)) => Source::Passing(value),
                Some(Slot::Put(value)) => Source::Put(value),
                _ => Source::Lasting(&Value::Null),
            },
        }
    }

    fn data_dot(&mut self, src: Arg, key: Arg, dst: SlotId, fail: Pc) -> Stepped {
        self.budget.step(4 * self.effort(key))?;
        let found = match (self.view(src), self.view(key)) {
            (View::Known(_), View::Known(key)) => match self.source(src) {
                Source::Lasting(value) => child(value, key).map(Slot::Ref),
                Source::Passing(value) => child(value, key).map(|value| Slot::Own(value.clone())),
                Source::Put(value) => value.get(key).map(|value| Slot::Put(value.clone())),
            },
            (View::Known(value), _) if is_leaf(value) => None,
            _ => {
                self.maybe = true;
                Some(Slot::unknown())
            }
        };
        self.put_or(found, dst, fail);
        Ok(())
    }

    fn document(&mut self, node: u32, dst: SlotId) {
        let path = self.plan.nodes.get(node as usize).map(|node| node.path.to_vec()).unwrap_or_default();
        let base = self.data_at(self.context, &path);
        self.set(dst, Slot::Document(Box::new(Document { node: Some(node), base, path })));
    }

    fn document_dot(&mut self, src: Arg, key: Arg, dst: SlotId, fail: Pc) -> Stepped {
        self.budget.step(4 * self.effort(key))?;
        let document = match src.resolve() {
            Operand::Slot(slot) => match self.slot(slot) {
                Some(Slot::Document(document)) => document.share(),
                _ => {
                    self.dot(src, key, dst, fail)?;
                    return Ok(());
                }
            },
            Operand::Constant(_) => {
                self.dot(src, key, dst, fail)?;
                return Ok(());
            }
        };
        let View::Known(key) = self.view(key) else {
            self.any_of_a_document(dst);
            return Ok(());
        };
        let key = key.clone();
        let mut path = document.path;
        path.push(key.clone());
        self.budget.alloc(path.len() * size_of::<Value>())?;
        let is_replaced = self.contexts.get(self.context as usize).is_some_and(|context| context.is_replaced(&path));
        let node = document.node.and_then(|node| self.plan.nodes.get(node as usize)).filter(|_| !is_replaced);
        let child_at = node.and_then(|node| {
            let at = node.children.binary_search_by(|(child, _)| child.cmp(&key)).ok()?;
            node.children.get(at).filter(|(child, _)| is_written(child, &key)).map(|(_, child)| *child)
        });
        match child_at {
            Some(DocumentChild::Rules(group)) => return self.rule(group, dst, true, fail),
            Some(DocumentChild::Function) => {
                self.pc = fail;
                return Ok(());
            }
            _ => {}
        }
        if self.is_unknown_within(&path) {
            self.maybe = true;
            self.set(dst, Slot::unknown());
            return Ok(());
        }
        let base = match &document.base {
            Slot::Ref(base) => child(base, &key).map_or(Slot::Empty, Slot::Ref),
            Slot::Own(base) => child(base, &key).map_or(Slot::Empty, |value| Slot::Own(value.clone())),
            Slot::Put(base) => base.get(&key).map_or(Slot::Empty, |value| Slot::Put(value.clone())),
            _ => Slot::Empty,
        };
        // What stands at a path that was replaced is all put there.
        let base = match base {
            Slot::Own(base) if is_replaced => Slot::Put(base),
            base => base,
        };
        let node = match child_at {
            Some(DocumentChild::Node(node)) => Some(node),
            _ => None,
        };
        let leads_to_remote = !matches!(remote(self.plan, &path), Remote::Beside);
        if node.is_none() && matches!(base, Slot::Empty) && !leads_to_remote {
            self.pc = fail;
            return Ok(());
        }
        self.set(dst, Slot::Document(Box::new(Document { node, base, path })));
        Ok(())
    }

    /// Whether nothing of what lies at a path is held.
    fn is_unknown_within(&mut self, path: &[Value]) -> bool {
        if let Some(context) = self.contexts.get(self.context as usize) {
            if context.unknown.iter().any(|unknown| path.starts_with(unknown)) {
                return true;
            }
            if context.is_replaced(path) {
                return false;
            }
        }
        match remote(self.plan, path) {
            Remote::Within(root) => {
                self.findings.remote.get_or_insert(root);
                true
            }
            _ => false,
        }
    }

    fn document_value(&mut self, src: Arg, dst: SlotId, fail: Pc) -> Stepped {
        let value = self.operand(src);
        let Slot::Document(document) = value else {
            self.set(dst, value);
            return Ok(());
        };
        if let Some(whole) = document.node.and_then(|node| self.plan.nodes.get(node as usize)?.whole) {
            return self.rule(whole, dst, true, fail);
        }
        if self.is_unknown(&document.path) {
            self.maybe = true;
            self.set(dst, Slot::unknown());
            return Ok(());
        }
        let found = match document.base {
            Slot::Empty => None,
            base => Some(base),
        };
        self.put_or(found, dst, fail);
        Ok(())
    }

    // === Loops ===

    fn scan(&mut self, src: Arg, iter: SlotId, fail: Pc) {
        match self.view(src) {
            View::Known(Value::Array(_) | Value::Object(_) | Value::Set(_)) | View::Partly(_) => {}
            View::Known(_) => {
                self.pc = fail;
                return;
            }
            // It may be nothing to go through.
            View::Unknown => self.maybe = true,
        }
        self.set(iter, Slot::Loop(Turn { next: 0, maybe: self.maybe, many: self.many, context: self.context }));
    }

    #[inline]
    fn next(&mut self, src: Arg, iter: SlotId, key: SlotId, value: SlotId, end: Pc) {
        let Some(Slot::Loop(turn)) = self.slots.get_mut(self.base + iter as usize) else {
            self.pc = end;
            return;
        };
        let Turn { next, maybe, many, context } = *turn;
        turn.next += 1;
        self.maybe = maybe;
        self.many = many;
        self.context = context;
        let at = next as usize;
        // One turn stands for all those of which nothing is known.
        let any = || (Slot::unknown(), Slot::unknown(), true);
        let found = match self.view(src) {
            View::Known(_) => match self.source(src) {
                Source::Lasting(composite) => entry(composite, at).map(|(key, value)| {
                    let key = match key {
                        Key::Value(key) => Slot::Ref(key),
                        Key::Index => Slot::Own(Value::from(at)),
                    };
                    (key, Slot::Ref(value), false)
                }),
                Source::Passing(composite) => passing(composite, at, Slot::Own),
                Source::Put(composite) => passing(composite, at, Slot::Put),
            },
            View::Partly(partly) => match partly.items.get(at) {
                Some(item) => {
                    let value = item.value.clone().map_or_else(Slot::unknown, Slot::Own);
                    Some((Slot::Own(item.key.clone()), value, item.maybe))
                }
                None => (at == partly.items.len() && partly.open).then(any),
            },
            View::Unknown => (at == 0).then(any),
        };
        let Some((found_key, found_value, in_doubt)) = found else {
            self.pc = end;
            return;
        };
        self.maybe |= in_doubt;
        self.many |= in_doubt && found_key.as_known().is_none();
        if key != NOWHERE {
            self.set(key, found_key);
        }
        if value != NOWHERE {
            self.set(value, found_value);
        }
    }

    fn document_scan(&mut self, src: Arg, iter: SlotId, fail: Pc) -> Stepped {
        let turn = Turn { next: 0, maybe: self.maybe, many: self.many, context: self.context };
        let document = match self.operand(src) {
            Slot::Document(document) => document,
            value => return self.value_scan(&value, iter, turn, fail),
        };
        let mut keys: Vec<Value> = vec![];
        if let Some(node) = document.node.and_then(|node| self.plan.nodes.get(node as usize)) {
            let visible = node.children.iter().filter(|(_, child)| match child {
                DocumentChild::Node(child) => self.plan.nodes.get(*child as usize).is_none_or(|child| !child.hidden),
                _ => true,
            });
            keys.extend(visible.map(|(key, _)| key.clone()));
        }
        let mut is_composite = document.node.is_some();
        if let Some(base) = document.base.as_known() {
            match base {
                Value::Object(object) => keys.extend(object.keys().cloned()),
                Value::Array(array) => keys.extend((0..array.len()).map(Value::from)),
                _ => {}
            }
            is_composite |= !is_leaf(base);
        }
        for root in &self.plan.remote {
            if root.starts_with(&document.path) {
                keys.extend(root.get(document.path.len()).cloned());
                is_composite = true;
            }
        }
        if !is_composite {
            self.pc = fail;
            return Ok(());
        }
        self.budget.alloc(keys.len() * size_of::<Value>())?;
        let keys = match Value::set(keys) {
            Value::Set(keys) => keys.as_slice().to_vec(),
            _ => vec![],
        };
        self.set(iter, Slot::Keys(Box::new(Keys { keys, open: false, turn })));
        Ok(())
    }

    /// The keys of a value that a document led to.
    fn value_scan(&mut self, value: &Slot<'p>, iter: SlotId, mut turn: Turn, fail: Pc) -> Stepped {
        let (keys, open) = match value.view() {
            View::Known(Value::Array(array)) => ((0..array.len()).map(Value::from).collect(), false),
            View::Known(Value::Object(object)) => (object.keys().cloned().collect(), false),
            View::Known(Value::Set(set)) => (set.as_slice().to_vec(), false),
            View::Known(_) => {
                self.pc = fail;
                return Ok(());
            }
            View::Partly(partly) => (partly.items.iter().map(|item| item.key.clone()).collect(), partly.open),
            View::Unknown => {
                self.maybe = true;
                turn.maybe = true;
                (vec![], true)
            }
        };
        self.budget.alloc(keys.len() * size_of::<Value>())?;
        self.set(iter, Slot::Keys(Box::new(Keys { keys, open, turn })));
        Ok(())
    }

    fn document_next(&mut self, iter: SlotId, key: SlotId, end: Pc) {
        let Some(Slot::Keys(keys)) = self.slots.get_mut(self.base + iter as usize) else {
            self.pc = end;
            return;
        };
        let at = keys.turn.next as usize;
        keys.turn.next += 1;
        let (maybe, context) = (keys.turn.maybe, keys.turn.context);
        let found = match keys.keys.get(at) {
            Some(key) => Some(Slot::Own(key.clone())),
            None => (keys.open && at == keys.keys.len()).then(Slot::unknown),
        };
        self.maybe = maybe;
        self.context = context;
        match found {
            Some(found) => {
                self.maybe |= matches!(found, Slot::Unknown(_));
                self.set(key, found);
            }
            None => self.pc = end,
        }
    }

    // === Statements ===

    fn compare(&mut self, how: Comparison, a: Arg, b: Arg, fail: Pc) -> Stepped {
        let (View::Known(x), View::Known(y)) = (self.view(a), self.view(b)) else {
            return self.compare_candidates(how, a, b, fail);
        };
        // The operation itself has been paid for.
        let cost = u64::from(x.weight().min(y.weight()) - 1);
        let holds = holds(how, x, y);
        self.holds(holds, fail);
        Ok(self.budget.step(cost)?)
    }

    /// Compares what may be one of a few values: whichever they are, the comparison may come out the same.
    fn compare_candidates(&mut self, how: Comparison, a: Arg, b: Arg, fail: Pc) -> Stepped {
        let (Some(xs), Some(ys)) = (self.candidates(a), self.candidates(b)) else {
            self.maybe = true;
            return Ok(());
        };
        let pairs = || xs.iter().flat_map(|x| ys.iter().map(move |y| (x, y)));
        let cost = pairs().map(|(x, y)| u64::from(x.weight().min(y.weight()))).sum();
        let (some, all) = (pairs().any(|(x, y)| holds(how, x, y)), pairs().all(|(x, y)| holds(how, x, y)));
        if some && !all {
            self.maybe = true;
        } else {
            self.holds(all, fail);
        }
        Ok(self.budget.step(cost)?)
    }

    /// What an operand may be, if that is known.
    fn candidates(&self, arg: Arg) -> Option<&[Value]> {
        match arg.resolve() {
            Operand::Constant(index) => self.plan.constants.get(index as usize).map(std::slice::from_ref),
            Operand::Slot(slot) => match self.slot(slot)? {
                Slot::Unknown(candidates) => candidates.as_deref(),
                slot => slot.as_known().map(std::slice::from_ref),
            },
        }
    }

    fn member(&mut self, member: Arg, of: Arg, fail: Pc) -> Stepped {
        let found = match (self.view(member), self.view(of)) {
            (View::Known(member), View::Known(of)) => {
                let cost = search_cost(member, of);
                let found = if is_member(member, of) { Found::Yes } else { Found::No };
                self.budget.step(cost)?;
                found
            }
            (_, View::Known(of)) if is_leaf(of) => Found::No,
            (View::Known(member), View::Partly(partly)) => {
                let mut found = if partly.open { Found::Maybe } else { Found::No };
                for item in &partly.items {
                    found = found.max(match &item.value {
                        None => Found::Maybe,
                        Some(value) if value == member && item.maybe => Found::Maybe,
                        Some(value) if value == member => Found::Yes,
                        Some(_) => Found::No,
                    });
                }
                found
            }
            _ => Found::Maybe,
        };
        match found {
            Found::Yes => {}
            Found::Maybe => self.maybe = true,
            Found::No => self.pc = fail,
        }
        Ok(())
    }

    // === Values ===

    /// The operands' values, if all are known.
    fn known(&self, args: Args) -> Option<Vec<Value>> {
        self.args(args)
            .iter()
            .map(|arg| match self.view(*arg) {
                View::Known(value) => Some(value.clone()),
                _ => None,
            })
            .collect()
    }

    fn make(&mut self, items: Args, dst: SlotId, make: fn(Vec<Value>) -> Value) -> Stepped {
        self.pay_for(items)?;
        let made = self.known(items).map_or_else(Slot::unknown, |items| Slot::Own(make(items)));
        self.charge(&made)?;
        self.set(dst, made);
        Ok(())
    }

    fn make_object(&mut self, entries: Args, dst: SlotId) -> Stepped {
        self.pay_for(entries)?;
        let Some(parts) = self.known(entries) else {
            self.set(dst, Slot::unknown());
            return Ok(());
        };
        let mut pairs = Vec::with_capacity(parts.len() / 2);
        let mut parts = parts.into_iter();
        while let (Some(key), Some(value)) = (parts.next(), parts.next()) {
            pairs.push((key, value));
        }
        match crate::eval::value::Object::distinct(pairs) {
            Ok(object) => {
                let made = Slot::Own(Value::Object(object));
                self.charge(&made)?;
                self.set(dst, made);
            }
            Err(conflict) => {
                // OPA keeps one of the two, by an order of its own making.
                let message = format!("an object has the key {} twice; give each key one value", conflict.key);
                let halt = self.halt(HaltKind::Unsupported, &message);
                self.raise(halt);
            }
        }
        Ok(())
    }

    /// Pays for comparing operands with each other.
    fn pay_for(&mut self, args: Args) -> Stepped {
        let cost = self.args(args).iter().map(|arg| self.effort(*arg)).sum();
        Ok(self.budget.step(cost)?)
    }

    /// Steps for comparing with an operand, beyond the one that every operation costs.
    fn effort(&self, arg: Arg) -> u64 {
        match self.view(arg) {
            View::Known(value) => u64::from(value.weight()) - 1,
            _ => 0,
        }
    }

    // === Calls ===

    fn builtin(&mut self, builtin: u32, args: Args, dst: SlotId, fail: Pc) -> Stepped {
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
    fn failed(&mut self, name: &str, failure: Failure, fail: Pc) -> Stepped {
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

    fn walk(&mut self, arg: Arg, dst: SlotId, fail: Pc) -> Stepped {
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

    fn rule(&mut self, group: GroupId, dst: SlotId, replaceable: bool, fail: Pc) -> Stepped {
        let Some(context) = self.contexts.get(self.context as usize) else { return Ok(()) };
        if replaceable && !context.replaced.is_empty() {
            let path = self.plan.groups.get(group as usize).map_or(&[][..], |group| &group.path);
            if context.is_replaced(path) {
                let path = path.to_vec();
                if self.is_unknown(&path) {
                    self.maybe = true;
                    self.set(dst, Slot::unknown());
                    return Ok(());
                }
                let found = match self.data_at(self.context, &path) {
                    Slot::Empty => None,
                    value => Some(value),
                };
                self.put_or(found, dst, fail);
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

    fn rule_at(&mut self, group: GroupId, key: Arg, dst: SlotId, fail: Pc) -> Stepped {
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
            if self.is_unknown(&path) {
                self.maybe = true;
                self.set(dst, Slot::unknown());
                return Ok(());
            }
            let found = match self.data_at(self.context, &path) {
                Slot::Empty => None,
                value => Some(value),
            };
            self.put_or(found, dst, fail);
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

    /// What a document that rules make has under a key that isn't known. Which definitions that reaches isn't either, nor
    /// what errors there are.
    fn any_of_a_document(&mut self, dst: SlotId) {
        self.maybe = true;
        self.findings.may_swallow = true;
        self.findings.may_halt = true;
        self.set(dst, Slot::unknown());
    }

    fn function(&mut self, group: GroupId, args: Args, dst: SlotId, fail: Pc, context: u32) -> Stepped {
        let operands: Vec<Slot<'p>> = self.args(args).iter().map(|arg| self.operand(*arg)).collect();
        self.call(group, dst, fail, context)?;
        for (slot, operand) in (0..).zip(operands) {
            self.set(slot, operand);
        }
        Ok(())
    }

    /// Calls what `with` put in the place of a function; false if it put nothing there.
    fn replaced_call(&mut self, callee: Callee, args: Args, dst: SlotId, fail: Pc) -> Result<bool, Stop> {
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

    // === Bodies within ===

    fn begin(&mut self, mark: SlotId) {
        let Self { maybe, within, many, context, .. } = *self;
        let saved = Mark { maybe, within, many, context, found: Found::No };
        self.within |= self.maybe;
        self.maybe = false;
        self.many = false;
        self.set(mark, Slot::Mark(saved));
    }

    fn hit(&mut self, mark: SlotId, done: Pc) {
        let found = if self.maybe { Found::Maybe } else { Found::Yes };
        if let Some(Slot::Mark(mark)) = self.slots.get_mut(self.base + mark as usize) {
            mark.found = mark.found.max(found);
        }
        match found {
            Found::Yes => self.pc = done,
            // The search goes on, but wouldn't if this certainly held.
            _ => self.within |= done != self.pc,
        }
    }

    fn end(&mut self, mark: SlotId) {
        if let Some(Slot::Mark(mark)) = self.slot(mark) {
            let Mark { maybe, within, many, context, .. } = *mark;
            self.maybe = maybe;
            self.within = within;
            self.many = many;
            self.context = context;
        }
    }

    fn found(&self, mark: SlotId) -> Found {
        match self.slot(mark) {
            Some(Slot::Mark(mark)) => mark.found,
            _ => Found::No,
        }
    }

    fn add(&mut self, into: SlotId, key: Arg, value: Arg) -> Stepped {
        self.budget.alloc(2 * size_of::<Value>())?;
        // It will be compared with the others.
        self.budget.step(self.effort(key) + self.effort(value))?;
        let (value, maybe) = (self.operand(value), self.maybe);
        let key = (key != Arg::slot(NOWHERE)).then(|| self.operand(key));
        // Turns of one key with values that may differ.
        self.findings.may_halt |= self.many && key.is_some() && value.as_known().is_none();
        let added = match self.slots.get_mut(self.base + into as usize) {
            Some(Slot::Gathered(gathered)) => gathered.add(key, value, maybe),
            _ => return Ok(()),
        };
        self.added(added, KEY_CONFLICT);
        Ok(())
    }

    fn gathered(&mut self, mark: SlotId, from: SlotId, dst: SlotId) -> Stepped {
        self.end(mark);
        let gathered = self.slots.get_mut(self.base + from as usize).map(std::mem::take);
        let Some(Slot::Gathered(gathered)) = gathered else { return Ok(()) };
        match gathered.finish() {
            Ok(value) => {
                self.charge(&value)?;
                self.set(dst, value);
            }
            Err(_) => {
                let halt = self.halt(HaltKind::Conflict, KEY_CONFLICT);
                self.raise(halt);
            }
        }
        Ok(())
    }

    // === `with` ===

    fn with(&mut self, replacement: u32, saved: SlotId) -> Stepped {
        let Some(described) = self.plan.replacements.get(replacement as usize) else { return Ok(()) };
        let Some(current) = self.contexts.get(self.context as usize) else { return Ok(()) };
        let mut context = current.child();
        for (path, value) in &described.input {
            let value = self.operand(*value);
            self.budget.alloc(copied(context.input.as_known(), path))?;
            context.input = match value.into_known() {
                Some(value) => Slot::Own(put(context.input.as_known(), path, value)),
                None => Slot::unknown(),
            };
        }
        for (path, value) in &described.data {
            let value = self.operand(*value);
            context.replaced.push(path.clone());
            self.budget.alloc(copied(context.data.as_ref().or(Some(self.data)), path))?;
            match value.into_known() {
                Some(value) => {
                    context.unknown.retain(|unknown| !unknown.starts_with(path));
                    context.data = Some(put(context.data.as_ref().or(Some(self.data)), path, value));
                }
                None => context.unknown.push(path.clone()),
            }
        }
        for (callee, stands) in &described.functions {
            let stand = match stands {
                Stands::Callee(callee) => Stand::Callee(*callee),
                Stands::Value(value) => Stand::Value(self.operand(*value)),
            };
            context.functions.push((*callee, stand));
        }
        let outer = self.context;
        self.context = self.push_context(context)?;
        self.set(saved, Slot::Context(outer));
        Ok(())
    }

    fn push_context(&mut self, context: Context<'p>) -> Result<u32, Stop> {
        self.budget.alloc(size_of::<Context<'_>>() + 256)?;
        let id = u32::try_from(self.contexts.len()).unwrap_or(u32::MAX);
        self.contexts.push(context);
        Ok(id)
    }

    // === Results ===

    fn give(&mut self, value: Arg, only: Pc) -> Stepped {
        let effort = self.effort(value);
        let (value, maybe) = (self.operand(value), self.maybe);
        let Some(frame) = self.frames.last_mut() else { return Ok(()) };
        if matches!(&frame.results, Results::One(one) if !one.is_empty()) {
            self.budget.step(effort)?;
        }
        let is_again = frame.walks && frame.before != Found::No;
        frame.before = frame.before.max(if maybe { Found::Maybe } else { Found::Yes });
        let added = match &mut frame.results {
            Results::One(one) => one.add(value, maybe),
            _ => return Ok(()),
        };
        if is_again && added.is_err() {
            let halt =
                self.halt(HaltKind::Unsupported, "a rule that finds different values by `walk`; give it one value");
            self.raise(halt);
            return Ok(());
        }
        match only {
            Pc::MAX => {}
            _ if maybe => self.may_end(),
            end => self.pc = end,
        }
        self.added(added, CONFLICT);
        Ok(())
    }

    fn give_at(&mut self, path: Args, value: Arg, multi: bool) -> Stepped {
        self.budget.alloc(2 * size_of::<Value>())?;
        self.pay_for(path)?;
        self.budget.step(self.effort(value))?;
        let (value, maybe) = (self.operand(value), self.maybe);
        self.findings.may_halt |= self.many && !multi && value.as_known().is_none();
        let path: Vec<Slot<'p>> = self.args(path).iter().map(|arg| self.operand(*arg)).collect();
        let Some(frame) = self.frames.last_mut() else { return Ok(()) };
        frame.before = frame.before.max(if maybe { Found::Maybe } else { Found::Yes });
        let added = match &mut frame.results {
            Results::Set(members) => {
                members.add(value, maybe);
                return Ok(());
            }
            Results::Object(branch) => branch.add(&path, value, multi, maybe),
            Results::One(_) => return Ok(()),
        };
        self.added(added, KEY_CONFLICT);
        Ok(())
    }
}

/// A known operand.
enum Source<'m, 'p> {
    /// It outlives the evaluation.
    Lasting(&'p Value),
    /// It lies in a slot.
    Passing(&'m Value),
    /// It lies in a slot, and in `data` for the time being.
    Put(&'m Value),
}

fn holds(how: Comparison, x: &Value, y: &Value) -> bool {
    match how {
        Comparison::Equal => x == y,
        Comparison::NotEqual => x != y,
        Comparison::Less => x < y,
        Comparison::LessOrEqual => x <= y,
        Comparison::Greater => x > y,
        Comparison::GreaterOrEqual => x >= y,
    }
}

fn is_leaf(value: &Value) -> bool {
    !matches!(value, Value::Array(_) | Value::Object(_) | Value::Set(_))
}

enum Key<'v> {
    Value(&'v Value),
    Index,
}

#[inline]
fn entry(composite: &Value, at: usize) -> Option<(Key<'_>, &Value)> {
    match composite {
        Value::Array(array) => array.get(at).map(|value| (Key::Index, value)),
        Value::Set(set) => set.as_slice().get(at).map(|member| (Key::Value(member), member)),
        Value::Object(object) => object.entries().get(at).map(|(key, value)| (Key::Value(key), value)),
        _ => None,
    }
}

/// The entry of a value that doesn't outlive the evaluation.
fn passing<'p>(composite: &Value, at: usize, slot: fn(Value) -> Slot<'p>) -> Option<(Slot<'p>, Slot<'p>, bool)> {
    let (key, value) = entry(composite, at)?;
    let key = match key {
        Key::Value(key) => key.clone(),
        Key::Index => Value::from(at),
    };
    Some((Slot::Own(key), slot(value.clone()), false))
}

fn is_member(member: &Value, of: &Value) -> bool {
    match of {
        Value::Array(array) => array.iter().any(|item| item == member),
        Value::Set(set) => set.contains(member),
        Value::Object(object) => object.values().any(|value| value == member),
        _ => false,
    }
}

/// Steps for looking for a value in another.
fn search_cost(member: &Value, of: &Value) -> u64 {
    let compared = match of {
        Value::Array(array) => array.len(),
        Value::Object(object) => object.len(),
        Value::Set(_) => 4,
        _ => 0,
    };
    // No more than all of it is looked at.
    (compared as u64 * u64::from(member.weight())).min(u64::from(of.weight()))
}
