//! Bodies within a body, and what `with` changes for them.

use super::{KEY_CONFLICT, Stepped};
use crate::eval::machine::answer::HaltKind;
use crate::eval::machine::context::{Context, Given, Stand, copied, put};
use crate::eval::machine::run::{Machine, Stop};
use crate::eval::machine::slot::{Found, Mark, Slot};
use crate::eval::plan::{Arg, NOWHERE, Pc, SlotId, With as Stands};
use crate::eval::value::Value;

impl<'p> Machine<'p> {
    pub(super) fn begin(&mut self, mark: SlotId) {
        let Self { maybe, within, many, context, .. } = *self;
        let saved = Mark { maybe, within, many, context, found: Found::No };
        self.within |= self.maybe;
        self.maybe = false;
        self.many = false;
        self.set(mark, Slot::Mark(saved));
    }

    pub(super) fn hit(&mut self, mark: SlotId, done: Pc) {
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

    pub(super) fn end(&mut self, mark: SlotId) {
        if let Some(Slot::Mark(mark)) = self.slot(mark) {
            let Mark { maybe, within, many, context, .. } = *mark;
            self.maybe = maybe;
            self.within = within;
            self.many = many;
            self.context = context;
        }
    }

    pub(super) fn found(&self, mark: SlotId) -> Found {
        match self.slot(mark) {
            Some(Slot::Mark(mark)) => mark.found,
            _ => Found::No,
        }
    }

    pub(super) fn add(&mut self, into: SlotId, key: Arg, value: Arg) -> Stepped {
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

    pub(super) fn gathered(&mut self, mark: SlotId, from: SlotId, dst: SlotId) -> Stepped {
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

    pub(super) fn with(&mut self, replacement: u32, saved: SlotId) -> Stepped {
        let Some(described) = self.plan.replacements.get(replacement as usize) else { return Ok(()) };
        let Some(current) = self.contexts.get(self.context as usize) else { return Ok(()) };
        let mut context = current.child();
        for (path, value) in &described.input {
            let value = self.operand(*value);
            // What is replaced as a whole needn't have been read.
            let root = if path.is_empty() { Ok(None) } else { context.input.root() };
            let Ok(root) = root else { return Err(self.not_read()) };
            self.budget.alloc(copied(root, path))?;
            context.input = Given::Put(match value.into_known() {
                Some(value) => Slot::Own(put(root, path, value)),
                None => Slot::unknown(),
            });
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

    pub(super) fn push_context(&mut self, context: Context<'p>) -> Result<u32, Stop> {
        self.budget.alloc(size_of::<Context<'_>>() + 256)?;
        let id = u32::try_from(self.contexts.len()).unwrap_or(u32::MAX);
        self.contexts.push(context);
        Ok(id)
    }
}
