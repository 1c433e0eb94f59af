//! Going through values and documents.

use super::Stepped;
use super::documents::Source;
use super::is_leaf;
use crate::eval::machine::document::Keys;
use crate::eval::machine::run::Machine;
use crate::eval::machine::slot::{Slot, Turn, View};
use crate::eval::plan::{Arg, DocumentChild, NOWHERE, Pc, SlotId};
use crate::eval::value::Value;

impl<'p> Machine<'p> {
    pub(super) fn scan(&mut self, src: Arg, iter: SlotId, fail: Pc) {
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
    pub(super) fn next(&mut self, src: Arg, iter: SlotId, key: SlotId, value: SlotId, end: Pc) {
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

    pub(super) fn document_scan(&mut self, src: Arg, iter: SlotId, fail: Pc) -> Stepped {
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
    pub(super) fn value_scan(&mut self, value: &Slot<'p>, iter: SlotId, mut turn: Turn, fail: Pc) -> Stepped {
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

    pub(super) fn document_next(&mut self, iter: SlotId, key: SlotId, end: Pc) {
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
