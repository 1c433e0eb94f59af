//! Whether a definition has to be evaluated.

use super::run::{Machine, Stop};
use super::slot::{Found, Slot};
use crate::eval::plan::{Check, Guard, Membership, Subject, Test, split};
use crate::eval::value::Value;

/// What lies where a condition looks.
enum Seen<'p> {
    Absent,
    Unknown,
    Value(Slot<'p>),
}

impl<'p> Machine<'p> {
    /// Whether a guard lets its definition be evaluated, as far as is known.
    pub(super) fn admits(&mut self, guard: u32) -> Result<Found, Stop> {
        let Some(guard) = self.plan.guards.get(guard as usize) else { return Ok(Found::Yes) };
        let Guard { required, ways, memberships } = guard;
        let mut found = Found::Yes;
        for subject in required {
            self.budget.step(1)?;
            found = found.min(match self.seen(subject)? {
                Seen::Absent => Found::No,
                Seen::Unknown => Found::Maybe,
                Seen::Value(_) => Found::Yes,
            });
        }
        for membership in memberships {
            if found != Found::No {
                found = found.min(self.has_member(membership)?);
            }
        }
        if found == Found::No || ways.is_empty() {
            return Ok(found);
        }
        let mut best = Found::No;
        for way in ways {
            let mut holds = Found::Yes;
            for check in way {
                if holds != Found::No {
                    holds = holds.min(self.passes(check)?);
                }
            }
            best = best.max(holds);
        }
        Ok(found.min(best))
    }

    /// Whether any of a document's definitions has to be evaluated but those that give a value.
    pub(super) fn admits_but(&mut self, value: u32, among: u32) -> Result<Found, Stop> {
        let definitions = self.plan.definitions.get(among as usize).map_or(&[][..], |definitions| definitions);
        let mut found = Found::No;
        for definition in definitions {
            self.budget.step(1)?;
            if definition.value != Some(value) && found != Found::Yes {
                found = found.max(self.admits(definition.guard)?);
            }
        }
        Ok(found)
    }

    fn passes(&mut self, check: &Check) -> Result<Found, Stop> {
        self.budget.step(check.any.len() as u64)?;
        let slot = match self.seen(&check.subject)? {
            Seen::Absent => return Ok(Found::No),
            Seen::Unknown => return Ok(Found::Maybe),
            Seen::Value(slot) => slot,
        };
        let Some(value) = slot.as_known() else { return Ok(Found::Maybe) };
        for test in &check.any {
            if matches!(test, Test::Member(_) | Test::Prefix(_) | Test::Suffix(_) | Test::Parts(..)) {
                self.budget.step(u64::from(value.weight()))?;
            }
            if holds(test, value) {
                return Ok(Found::Yes);
            }
        }
        Ok(Found::No)
    }

    fn has_member(&mut self, membership: &Membership) -> Result<Found, Stop> {
        let (key, collection) = match (self.seen(&membership.key)?, self.seen(&membership.collection)?) {
            (Seen::Absent, _) | (_, Seen::Absent) => return Ok(Found::No),
            (Seen::Value(key), Seen::Value(collection)) => (key, collection),
            _ => return Ok(Found::Maybe),
        };
        let (Some(key), Some(collection)) = (key.as_known(), collection.as_known()) else { return Ok(Found::Maybe) };
        self.budget.step(4 * u64::from(key.weight()))?;
        let is_there = match collection {
            Value::Object(object) => object.get(key).is_some(),
            Value::Set(set) => set.contains(key),
            _ => true,
        };
        Ok(if is_there { Found::Yes } else { Found::No })
    }

    fn seen(&mut self, subject: &Subject) -> Result<Seen<'p>, Stop> {
        let slot = match subject {
            Subject::Argument(slot) => self.slot(*slot).map_or(Slot::Empty, Slot::share),
            Subject::Data(path) => {
                if self.is_unknown(path) {
                    return Ok(Seen::Unknown);
                }
                self.data_at(self.context, path)
            }
            Subject::Input { path, rest } => match self.input_at(*path)? {
                Some(Slot::Ref(value)) => {
                    let found = rest.iter().try_fold(value, |value, key| value.get(key));
                    found.map_or(Slot::Empty, Slot::Ref)
                }
                Some(slot) => match slot.as_known() {
                    Some(value) => {
                        let found = rest.iter().try_fold(value, |value, key| value.get(key));
                        found.map_or(Slot::Empty, |value| Slot::Own(value.clone()))
                    }
                    None => slot,
                },
                None => Slot::Empty,
            },
        };
        Ok(match slot {
            Slot::Empty => Seen::Absent,
            slot if slot.as_known().is_some() => Seen::Value(slot),
            _ => Seen::Unknown,
        })
    }
}

fn holds(test: &Test, value: &Value) -> bool {
    match test {
        Test::Defined => true,
        Test::Equal(wanted) => value == wanted,
        Test::Array(items) => is_array_of(value, items),
        Test::Parts(items, delimiters) => match value {
            Value::String(text) => {
                let parts = split(text, delimiters);
                parts.len() == items.len()
                    && items
                        .iter()
                        .zip(&parts)
                        .all(|(item, part)| item.as_ref().is_none_or(|item| item.as_str() == Some(part.as_str())))
            }
            value => is_array_of(value, items),
        },
        Test::Prefix(base) => some_text(value, &|text| text.starts_with(&**base)),
        Test::Suffix(base) => some_text(value, &|text| text.ends_with(&**base)),
        Test::Member(wanted) => match value {
            Value::Array(items) => items.iter().any(|item| item == wanted),
            Value::Set(items) => items.contains(wanted),
            Value::Object(object) => object.values().any(|item| item == wanted),
            _ => false,
        },
    }
}

fn is_array_of(value: &Value, items: &[Option<Value>]) -> bool {
    let Value::Array(array) = value else { return false };
    array.len() == items.len()
        && array.iter().zip(items).all(|(value, item)| item.as_ref().is_none_or(|item| item == value))
}

fn some_text(value: &Value, holds: &dyn Fn(&str) -> bool) -> bool {
    let has = |value: &Value| value.as_str().is_some_and(holds);
    match value {
        Value::Array(items) => items.iter().any(has),
        Value::Set(items) => items.iter().any(has),
        Value::Object(object) => object.values().any(has),
        value => has(value),
    }
}
