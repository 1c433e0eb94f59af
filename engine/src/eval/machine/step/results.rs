//! What a definition gives.

use super::{CONFLICT, KEY_CONFLICT, Stepped};
use crate::eval::machine::answer::HaltKind;
use crate::eval::machine::run::{Machine, Results};
use crate::eval::machine::slot::{Found, Slot};
use crate::eval::plan::{Arg, Args, Pc};
use crate::eval::value::Value;

impl<'p> Machine<'p> {
    pub(super) fn give(&mut self, value: Arg, only: Pc) -> Stepped {
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

    pub(super) fn give_at(&mut self, path: Args, value: Arg, multi: bool) -> Stepped {
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
