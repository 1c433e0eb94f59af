//! What lies under `input` and `data`, and one part of it after the other.

use super::{Stepped, is_leaf};
use crate::eval::compile::tree::is_written;
use crate::eval::input::reads::NotRead;
use crate::eval::machine::answer::HaltKind;
use crate::eval::machine::context::{Given, Outcome};
use crate::eval::machine::document::{Document, Remote, child, remote};
use crate::eval::machine::run::{Machine, Stop};
use crate::eval::machine::slot::{Slot, View};
use crate::eval::plan::{Arg, DocumentChild, Operand, Pc, SlotId};
use crate::eval::value::Value;

impl<'p> Machine<'p> {
    pub(super) fn input(&mut self, path: u32, dst: SlotId, fail: Pc) -> Stepped {
        let found = self.input_at(path)?;
        self.maybe |= matches!(found, Some(Slot::Unknown(_)));
        self.put_or(found, dst, fail);
        Ok(())
    }

    /// What lies at one of the plan's paths below `input`.
    pub(in crate::eval::machine) fn input_at(&self, path: u32) -> Result<Option<Slot<'p>>, Stop> {
        let Some(context) = self.contexts.get(self.context as usize) else { return Ok(None) };
        let names = self.plan.inputs.get(path as usize).map_or(&[][..], |path| path);
        let follow = |root| names.iter().try_fold(root, |value: &Value, name| value.get_str(name)).cloned();
        match &context.input {
            Given::Inputs(inputs) => match inputs.value(path) {
                Ok(found) => Ok(found.map(Slot::Ref)),
                Err(NotRead) => Err(self.not_read()),
            },
            Given::Put(Slot::Empty) => Ok(None),
            Given::Put(slot) => match slot.as_known() {
                Some(root) => Ok(follow(root).map(Slot::Own)),
                None => Ok(Some(Slot::unknown())),
            },
        }
    }

    /// An entrypoint reads what its read set doesn't have. Nothing may be concluded from what isn't there.
    pub(in crate::eval::machine) fn not_read(&self) -> Stop {
        Stop::Halt(self.halt(HaltKind::Internal, "an input that isn't in the read set"))
    }

    pub(super) fn data(&mut self, path: u32, may_be_remote: bool, dst: SlotId, fail: Pc) {
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
    pub(in crate::eval::machine) fn is_unknown(&mut self, path: &[Value]) -> bool {
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

    pub(super) fn put_or(&mut self, found: Option<Slot<'p>>, dst: SlotId, fail: Pc) {
        match found {
            Some(value) => self.set(dst, value),
            None => self.pc = fail,
        }
    }

    pub(super) fn dot(&mut self, src: Arg, key: Arg, dst: SlotId, fail: Pc) -> Stepped {
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
    pub(super) fn source(&self, arg: Arg) -> Source<'_, 'p> {
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

    pub(super) fn data_dot(&mut self, src: Arg, key: Arg, dst: SlotId, fail: Pc) -> Stepped {
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

    pub(super) fn document(&mut self, node: u32, dst: SlotId) {
        let path = self.plan.nodes.get(node as usize).map(|node| node.path.to_vec()).unwrap_or_default();
        let base = self.data_at(self.context, &path);
        self.set(dst, Slot::Document(Box::new(Document { node: Some(node), base, path })));
    }

    pub(super) fn document_dot(&mut self, src: Arg, key: Arg, dst: SlotId, fail: Pc) -> Stepped {
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
    pub(super) fn is_unknown_within(&mut self, path: &[Value]) -> bool {
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

    pub(super) fn document_value(&mut self, src: Arg, dst: SlotId, fail: Pc) -> Stepped {
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
}

/// A known operand.
pub(super) enum Source<'m, 'p> {
    /// It outlives the evaluation.
    Lasting(&'p Value),
    /// It lies in a slot.
    Passing(&'m Value),
    /// It lies in a slot, and in `data` for the time being.
    Put(&'m Value),
}
