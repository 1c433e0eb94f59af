//! Comparing values, and making them.

use super::{Stepped, is_leaf};
use crate::eval::machine::answer::HaltKind;
use crate::eval::machine::run::Machine;
use crate::eval::machine::slot::{Found, Slot, View};
use crate::eval::plan::{Arg, Args, Comparison, Operand, Pc, SlotId};
use crate::eval::value::Value;

impl<'p> Machine<'p> {
    pub(super) fn compare(&mut self, how: Comparison, a: Arg, b: Arg, fail: Pc) -> Stepped {
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
    pub(super) fn compare_candidates(&mut self, how: Comparison, a: Arg, b: Arg, fail: Pc) -> Stepped {
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
    pub(super) fn candidates(&self, arg: Arg) -> Option<&[Value]> {
        match arg.resolve() {
            Operand::Constant(index) => self.plan.constants.get(index as usize).map(std::slice::from_ref),
            Operand::Slot(slot) => match self.slot(slot)? {
                Slot::Unknown(candidates) => candidates.as_deref(),
                slot => slot.as_known().map(std::slice::from_ref),
            },
        }
    }

    pub(super) fn member(&mut self, member: Arg, of: Arg, fail: Pc) -> Stepped {
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

    /// The operands' values, if all are known.
    pub(super) fn known(&self, args: Args) -> Option<Vec<Value>> {
        self.args(args)
            .iter()
            .map(|arg| match self.view(*arg) {
                View::Known(value) => Some(value.clone()),
                _ => None,
            })
            .collect()
    }

    pub(super) fn make(&mut self, items: Args, dst: SlotId, make: fn(Vec<Value>) -> Value) -> Stepped {
        self.pay_for(items)?;
        let made = self.known(items).map_or_else(Slot::unknown, |items| Slot::Own(make(items)));
        self.charge(&made)?;
        self.set(dst, made);
        Ok(())
    }

    pub(super) fn make_object(&mut self, entries: Args, dst: SlotId) -> Stepped {
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
    pub(super) fn pay_for(&mut self, args: Args) -> Stepped {
        let cost = self.args(args).iter().map(|arg| self.effort(*arg)).sum();
        Ok(self.budget.step(cost)?)
    }

    /// Steps for comparing with an operand, beyond the one that every operation costs.
    pub(super) fn effort(&self, arg: Arg) -> u64 {
        match self.view(arg) {
            View::Known(value) => u64::from(value.weight()) - 1,
            _ => 0,
        }
    }
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
