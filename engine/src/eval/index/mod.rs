//! Which definitions of a document have to be run for an input, found without looking at the others.
//!
//! ```text
//! operations ── conditions: what each definition asks ──▶ columns: what all ask of one part of the input
//! value ── column: look up ──▶ units that it doesn't rule out ── and the other columns ──▶ candidates, verified one by one
//! ```
//!
//! A definition is left out only if it certainly fails before it can have any effect ([`conditions`]), so that what is
//! skipped can't be told from what was run. A candidate whose conditions are all there is to it isn't run either: it goes
//! on where it gives its value. The lookups never say more than the plan would; what they can't tell, it does.
//!
//! The idea of asking by subject what OPA's index asks by definition is that of bitmap indexes (O'Neil and Quass, "Improved
//! query performance with variant indexes", SIGMOD 1997).

mod column;
mod conditions;
mod decide;
mod test;
mod units;

use std::collections::HashMap;

use smallvec::SmallVec;

use self::column::{Builder, Column};
pub(crate) use self::conditions::Left;
use self::conditions::{Asked, Definition, read};
pub(crate) use self::decide::Decided;
use self::test::Passed;
use self::units::{Hit, UnitId, words};
use crate::eval::input::reads::Seen;
use crate::eval::plan::{GroupKind, Op, Pc, Plan, PlannedUnit, Selection, Subject};
use crate::eval::value::Value;

/// So few candidates are verified one by one, without asking the other columns.
const FEW: usize = 32;

/// Parts of an input by which definitions are looked up. Each holds all definitions that don't ask about it: as many parts as
/// definitions would take memory by the square of these.
const MAX_LOOKED_UP: usize = 16;

/// The index of one group of definitions.
#[derive(Debug)]
pub(crate) struct Index {
    units: Box<[Unit]>,
    /// The one that rules out most comes first. Those behind the first [`looked_up`](Self::looked_up) are for verifying only.
    columns: Box<[Column]>,
    looked_up: usize,
    /// The columns about which an error may be raised.
    wary: Box<[u32]>,
    conditions: Box<[Condition]>,
    otherwise: Otherwise,
    /// Whether all definitions give one constant, so that the first that holds decides.
    agrees: bool,
}

/// What a document is if none of its definitions holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Otherwise {
    Undefined,
    Constant(u32),
    /// Whatever the plan says.
    Other,
}

/// A definition, or one of its `else` branches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unit {
    /// Its first operation.
    pub(crate) start: Pc,
    /// Where it gives its value, if its conditions are all there is to it.
    sure: Option<Pc>,
    /// The number of that value, where the document has one.
    value: Option<u32>,
    /// The definition that it is a branch of.
    pub(crate) chain: u32,
    conditions: (u32, u32),
}

/// A condition, in the order in which the definition asks.
#[derive(Debug, Clone, Copy)]
enum Condition {
    Is {
        column: u32,
        test: u32,
    },
    /// Not all of the next so many hold.
    Not(u32),
}

/// What lies where a column looks.
#[derive(Clone, Copy)]
pub(crate) enum Cell<'a> {
    Known(Seen<'a>),
    /// It depends on what isn't held.
    Unknown,
}

/// What verifying a candidate came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verified {
    /// It fails, and would have no effect.
    No,
    /// It has to be run.
    Run,
    /// It holds: its value is given at this place.
    Sure(Pc),
}

/// Reusable memory of lookups.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    words: Vec<u64>,
    column: Vec<u64>,
    candidates: Vec<UnitId>,
}

/// Most lookups come to few sets.
type Hits<'i> = SmallVec<[Hit<'i>; 6]>;

impl Index {
    /// The index of a group's definitions; none if it would rule out nothing.
    pub(crate) fn new(plan: &Plan, selection: &Selection) -> Option<Self> {
        let mut builders: Vec<Builder> = vec![];
        let mut numbers: HashMap<Subject, u32> = HashMap::new();
        let mut conditions = vec![];
        let mut units = vec![];
        for (id, planned) in (0..).zip(&selection.units) {
            let Definition { conditions: asked, sure, .. } = read(plan, planned.start, selection.parameters);
            let value = sure.and_then(|sure| given(plan, sure));
            let start = u32::try_from(conditions.len()).ok()?;
            for asked in &asked {
                let mut add =
                    Add { builders: &mut builders, numbers: &mut numbers, conditions: &mut conditions, unit: id };
                add.condition(asked, true)?;
            }
            let len = u32::try_from(conditions.len()).ok()? - start;
            units.push(Unit { start: planned.start, sure, value, chain: planned.chain, conditions: (start, len) });
        }
        let count = units.len();
        let mut by_use: Vec<(usize, Builder)> = builders.into_iter().enumerate().collect();
        by_use.sort_by_key(|(_, builder)| std::cmp::Reverse(builder.asking()));
        let looked_up = by_use.len().min(MAX_LOOKED_UP);
        let mut order: Vec<(usize, Column)> =
            (0..).zip(by_use).map(|(at, (was, builder))| (was, builder.finish(count, at < looked_up))).collect();
        if let Some(looked_up) = order.get_mut(..looked_up) {
            looked_up.sort_by_key(|(_, column)| column.expected());
        }
        let mut places = vec![0; order.len()];
        for (place, (was, _)) in (0..).zip(&order) {
            if let Some(slot) = places.get_mut(*was) {
                *slot = place;
            }
        }
        for condition in &mut conditions {
            if let Condition::Is { column, .. } = condition {
                *column = places.get(*column as usize).copied()?;
            }
        }
        let columns: Box<[Column]> = order.into_iter().map(|(_, column)| column).collect();
        let useful = columns.first().is_some_and(|column| column.expected() < count)
            || units.iter().any(|unit: &Unit| unit.sure.is_some());
        let wary = (0..).zip(&columns).filter(|(_, column)| column.textual().len() > 0).map(|(at, _)| at).collect();
        let otherwise = Otherwise::of(plan, selection);
        let conditions = conditions.into();
        let agrees = selection.agrees;
        useful.then(|| Self { units: units.into(), columns, looked_up, wary, conditions, otherwise, agrees })
    }

    /// Appends to `found` the units that the cells don't rule out, in order. Tells about how many steps that took.
    pub(crate) fn select<'a>(
        &self,
        cell: &mut impl FnMut(&Subject) -> Cell<'a>,
        scratch: &mut Scratch,
        found: &mut Vec<UnitId>,
    ) -> u64 {
        let start = found.len();
        let mut cost = self.look_up(cell, scratch, found);
        let mut is_sorted = true;
        // An error is raised whatever else the definition asks: what asked for it before tells whether it comes to that.
        for column in self.wary.iter().filter_map(|column| self.columns.get(*column as usize)) {
            match cell(&column.subject) {
                Cell::Known(Seen::Text(_) | Seen::Absent) => {}
                Cell::Known(_) | Cell::Unknown => {
                    found.extend_from_slice(column.textual().hit().ids);
                    is_sorted = false;
                }
            }
        }
        if !is_sorted {
            sort_from(found, start);
        }
        cost += self.wary.len() as u64;
        cost + (found.len() - start) as u64 / 4
    }

    fn look_up<'a>(
        &self,
        cell: &mut impl FnMut(&Subject) -> Cell<'a>,
        scratch: &mut Scratch,
        found: &mut Vec<UnitId>,
    ) -> u64 {
        let columns = self.columns.get(..self.looked_up).unwrap_or_default();
        let mut hits = Hits::new();
        let mut cost = 0;
        for column in columns {
            let Cell::Known(seen) = cell(&column.subject) else { continue };
            cost += 1 + column.cost(seen);
            hits.clear();
            column.look_up(seen, &mut hits);
            let count: usize = hits.iter().map(|hit| hit.ids.len()).sum();
            if count <= FEW {
                let start = found.len();
                hits.iter().for_each(|hit| found.extend_from_slice(hit.ids));
                // Of limits they come in the order of these.
                if found.len() - start > 1 {
                    sort_from(found, start);
                }
                return cost;
            }
        }
        // What none of the columns can narrow down by itself, all of them do together.
        let Scratch { words: all, column: own, .. } = scratch;
        all.clear();
        all.resize(words(self.units.len()), u64::MAX);
        for column in columns {
            cost += all.len() as u64 / 4;
            let Cell::Known(seen) = cell(&column.subject) else { continue };
            hits.clear();
            column.look_up(seen, &mut hits);
            let count: usize = hits.iter().map(|hit| hit.ids.len()).sum();
            if count >= self.units.len() {
                continue;
            }
            own.clear();
            own.resize(all.len(), 0);
            hits.iter().for_each(|hit| hit.add_to(own));
            all.iter_mut().zip(own.iter()).for_each(|(word, own)| *word &= own);
        }
        for (at, word) in (0..).zip(all.iter()) {
            let mut word = *word;
            while word != 0 {
                let id = at * 64 + word.trailing_zeros();
                if id as usize >= self.units.len() {
                    break;
                }
                found.push(id);
                word &= word - 1;
            }
        }
        // Values are looked up twice on this way.
        2 * cost
    }

    /// Whether a candidate holds, as far as its conditions tell. `spend` is told of what takes longer than a comparison.
    pub(crate) fn verify<'a>(
        &self,
        unit: &Unit,
        cell: &mut impl FnMut(&Subject) -> Cell<'a>,
        spend: &mut impl FnMut(u32),
    ) -> Verified {
        let (start, len) = unit.conditions;
        let mut rest = self.conditions.get(start as usize..(start + len) as usize).unwrap_or_default();
        while let Some((condition, after)) = rest.split_first() {
            let passed = match condition {
                Condition::Is { column, test } => {
                    rest = after;
                    self.passes(*column, *test, cell, spend)
                }
                Condition::Not(len) => {
                    let (inner, after) = after.split_at_checked(*len as usize).unwrap_or((after, &[]));
                    rest = after;
                    self.negated(inner, cell, spend)
                }
            };
            match passed {
                Passed::Yes => {}
                Passed::No => return Verified::No,
                Passed::Perhaps => return Verified::Run,
            }
        }
        unit.sure.map_or(Verified::Run, Verified::Sure)
    }

    pub(crate) fn unit(&self, id: UnitId) -> Option<&Unit> {
        self.units.get(id as usize)
    }

    fn negated<'a>(
        &self,
        inner: &[Condition],
        cell: &mut impl FnMut(&Subject) -> Cell<'a>,
        spend: &mut impl FnMut(u32),
    ) -> Passed {
        for condition in inner {
            // A negation within one is read as something that isn't understood.
            let Condition::Is { column, test } = condition else { return Passed::Perhaps };
            match self.passes(*column, *test, cell, spend) {
                Passed::Yes => {}
                Passed::No => return Passed::Yes,
                Passed::Perhaps => return Passed::Perhaps,
            }
        }
        Passed::No
    }

    fn passes<'a>(
        &self,
        column: u32,
        test: u32,
        cell: &mut impl FnMut(&Subject) -> Cell<'a>,
        spend: &mut impl FnMut(u32),
    ) -> Passed {
        let Some(column) = self.columns.get(column as usize) else { return Passed::Perhaps };
        let (Some(test), Cell::Known(seen)) = (column.tests.get(test as usize), cell(&column.subject)) else {
            return Passed::Perhaps;
        };
        if let Seen::Tree(tree) = seen {
            spend(tree.weight());
        }
        test.passes(seen)
    }

    /// About how many bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.units)
            + size_of_val(&*self.conditions)
            + self.columns.iter().map(Column::bytes).sum::<usize>()
    }
}

/// What an index makes of each definition of a selection: whether it has conditions that can be looked up, and what is left
/// beside them.
pub(crate) fn describe(plan: &Plan, selection: &Selection) -> Vec<(Pc, bool, Option<Left>)> {
    let of = |unit: &PlannedUnit| {
        let Definition { conditions, left, .. } = read(plan, unit.start, selection.parameters);
        let looked_up = conditions.iter().any(|asked| matches!(asked, Asked::Is(..)));
        (unit.start, looked_up, left)
    };
    selection.units.iter().map(of).collect()
}

fn sort_from(found: &mut Vec<UnitId>, start: usize) {
    let Some(added) = found.get_mut(start..) else { return };
    added.sort_unstable();
    let mut kept = start;
    for at in start..found.len() {
        let (Some(id), last) = (found.get(at).copied(), kept.checked_sub(1).filter(|last| *last >= start)) else {
            return;
        };
        if last.and_then(|last| found.get(last)) != Some(&id) {
            if let Some(place) = found.get_mut(kept) {
                *place = id;
            }
            kept += 1;
        }
    }
    found.truncate(kept);
}

/// The constant that is given there, if the document has one value.
fn given(plan: &Plan, at: Pc) -> Option<u32> {
    match plan.ops.get(at as usize)? {
        Op::Yield { value, .. } => value.as_constant(),
        _ => None,
    }
}

impl Otherwise {
    fn of(plan: &Plan, selection: &Selection) -> Self {
        let kind = plan.groups.get(selection.group as usize).map(|group| group.kind);
        if kind != Some(GroupKind::Complete) {
            return Self::Other;
        }
        // A default's body is `true`.
        let says_nothing = |op: &&Op| match op {
            Op::Holds { arg, .. } => {
                arg.as_constant().and_then(|at| plan.constants.get(at as usize)).is_some_and(Value::is_truthy)
            }
            _ => false,
        };
        let mut ops = plan.ops.get(selection.end as usize..).unwrap_or_default().iter().filter(|op| !says_nothing(op));
        match (ops.next(), ops.next(), ops.next()) {
            (Some(Op::Return), ..) => Self::Undefined,
            (Some(Op::Default { .. }), Some(Op::YieldDefault { value }), Some(Op::Return)) => {
                value.as_constant().map_or(Self::Other, Self::Constant)
            }
            _ => Self::Other,
        }
    }
}

/// Adds a unit's conditions to columns.
struct Add<'b> {
    builders: &'b mut Vec<Builder>,
    numbers: &'b mut HashMap<Subject, u32>,
    conditions: &'b mut Vec<Condition>,
    unit: UnitId,
}

impl Add<'_> {
    /// None if there are more than can be numbered.
    fn condition(&mut self, asked: &Asked, required: bool) -> Option<()> {
        match asked {
            Asked::Is(subject, test) => {
                let column = match self.numbers.get(subject) {
                    Some(column) => *column,
                    None => {
                        let column = u32::try_from(self.builders.len()).ok()?;
                        self.builders.push(Builder::new(subject.clone()));
                        self.numbers.insert(subject.clone(), column);
                        column
                    }
                };
                let builder = self.builders.get_mut(column as usize)?;
                let test = match required {
                    true => builder.require(self.unit, test.clone()),
                    false => builder.mention(self.unit, test.clone()),
                };
                self.conditions.push(Condition::Is { column, test });
            }
            Asked::Not(inner) => {
                let at = self.conditions.len();
                self.conditions.push(Condition::Not(0));
                inner.iter().try_for_each(|asked| self.condition(asked, false))?;
                let len = u32::try_from(self.conditions.len() - at - 1).ok()?;
                if let Some(place) = self.conditions.get_mut(at) {
                    *place = Condition::Not(len);
                }
            }
        }
        Some(())
    }
}
