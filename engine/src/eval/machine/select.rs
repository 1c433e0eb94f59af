//! Going through the definitions that an index left, instead of all.

use super::context::Given;
use super::run::{Frame, Machine, Stop};
use super::slot::{Found, Slot, View};
use crate::eval::index::{Cell, Index, Verified};
use crate::eval::input::reads::Seen;
use crate::eval::plan::{Pc, Subject};

/// How far a frame is with the definitions that an index left.
#[derive(Debug, Clone, Copy)]
pub(super) struct Selected<'p> {
    index: &'p Index,
    /// Where the frame's candidates begin.
    pub(super) from: usize,
    next: usize,
    /// The definition whose branch was run last.
    chain: Option<u32>,
}

impl<'p> Machine<'p> {
    /// Begins to go through a group's definitions; all of them are run where there is no index.
    pub(super) fn select(&mut self, selection: u32, end: Pc) -> Result<(), Stop> {
        let Some(Some(index)) = self.indexes.get(selection as usize) else { return Ok(()) };
        let from = self.candidates.len();
        let mut candidates = std::mem::take(&mut self.candidates);
        let mut scratch = std::mem::take(&mut self.scratch);
        let cost = index.select(&mut |subject| self.cell(subject), &mut scratch, &mut candidates);
        self.candidates = candidates;
        self.scratch = scratch;
        self.budget.step(cost)?;
        if let Some(frame) = self.frames.last_mut() {
            frame.selected = Some(Selected { index, from, next: from, chain: None });
        }
        self.advance(end)
    }

    /// Goes to the next definition that has to be run, or to `end`.
    pub(super) fn advance(&mut self, end: Pc) -> Result<(), Stop> {
        let Some(Selected { index, from, mut next, mut chain }) = self.frames.last().and_then(|frame| frame.selected)
        else {
            return Ok(());
        };
        self.pc = end;
        while let Some(id) = self.candidates.get(next) {
            next += 1;
            let Some(unit) = index.unit(*id) else { continue };
            let before = match &self.frames.last() {
                Some(frame) if chain == Some(unit.chain) => frame.before,
                _ => Found::No,
            };
            if before == Found::Yes {
                continue;
            }
            let mut cost = 1;
            let verified = index.verify(unit, &mut |subject| self.cell(subject), &mut |more| cost += u64::from(more));
            self.budget.step(cost)?;
            let pc = match verified {
                Verified::No => continue,
                Verified::Run => unit.start,
                Verified::Sure(pc) => pc,
            };
            // As a definition or an `else` begins.
            self.fresh();
            self.maybe = before == Found::Maybe;
            if chain != Some(unit.chain)
                && let Some(frame) = self.frames.last_mut()
            {
                frame.before = Found::No;
                frame.walks = false;
                chain = Some(unit.chain);
            }
            self.pc = pc;
            break;
        }
        if let Some(Frame { selected, .. }) = self.frames.last_mut() {
            *selected = Some(Selected { index, from, next, chain });
        }
        Ok(())
    }

    fn cell(&self, subject: &Subject) -> Cell<'_> {
        match subject {
            Subject::Input { path, rest } => {
                match self.contexts.get(self.context as usize).map(|context| &context.input) {
                    Some(Given::Inputs(inputs)) => inputs.seen(*path, rest).map_or(Cell::Unknown, Cell::Known),
                    Some(Given::Put(Slot::Empty)) => Cell::Known(Seen::Absent),
                    Some(Given::Put(slot)) => match slot.as_known() {
                        Some(root) => {
                            let names = self.plan.inputs.get(*path as usize).map_or(&[][..], |path| path);
                            let found = names.iter().try_fold(root, |value, name| value.get_str(name));
                            let found = rest.iter().fold(found, |found, key| found?.get(key));
                            Cell::Known(found.map_or(Seen::Absent, Seen::of))
                        }
                        None => Cell::Unknown,
                    },
                    None => Cell::Unknown,
                }
            }
            Subject::Argument(slot) => match self.slot(*slot).map(Slot::view) {
                Some(View::Known(value)) => Cell::Known(Seen::of(value)),
                _ => Cell::Unknown,
            },
            Subject::Data(_) => Cell::Unknown,
        }
    }
}
