//! What has to hold for a definition to be evaluated at all: what OPA's rule index (`ast/index.go`, 1.22) asks before it
//! evaluates any of them.
//!
//! It is more than a matter of speed. A definition that the index leaves out raises no error, and where all that are left
//! have one value, the first that holds is the last one evaluated. Here the questions are conditions of each definition.

mod asked;
mod entries;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use self::asked::Asked;
use self::entries::{Alternated, Entry, Wanted};
use super::planner::PlanError;
use super::{Check, Guard, SlotId};
use crate::eval::compile::tree::{RuleTree, scalar};
use crate::eval::compile::walk::chain;
use crate::eval::syntax::ast::{Rule, Term};
use crate::eval::value::Value;

/// Conditions that a policy's definitions may have in all their ways, where there are several.
pub(super) const MAX_CONDITIONS: usize = 100_000;

/// What a condition is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum About {
    /// What lies at a path below `input`.
    Input(Box<[Value]>),
    /// What lies at a path below `data`, where no rules are.
    Data(Box<[Value]>),
    /// A function's argument.
    Argument(SlotId),
}

/// What the index says of a definition.
pub(super) struct Indexed {
    pub(super) guard: Guard<About>,
    /// Whether anything is asked that the statements before the first which may raise an error don't.
    pub(super) asks_ahead: bool,
    /// Whether some statement may raise an error.
    pub(super) may_raise: bool,
}

/// What the index says of a document's definitions: of each of `rules`, and of each of its `else` rules.
///
/// `room` is how many of [`MAX_CONDITIONS`] are left.
///
/// # Errors
/// There are too many ways in which the definitions may be reached.
pub(super) fn index(rules: &[&Rule], tree: &RuleTree, room: &mut usize) -> Result<Vec<Vec<Indexed>>, PlanError> {
    let mut all = All { tree, room, subjects: vec![], ids: HashMap::new(), counts: vec![], alternated: vec![] };
    let mut asked = vec![];
    for rule in rules {
        let by = |rule| Asked::by(rule, &mut all).ok_or_else(|| too_many_ways(rule));
        asked.push(chain(rule).map(by).collect::<Result<Vec<_>, _>>()?);
    }
    let levels = all.levels(asked.iter().flatten());
    // Collections are consulted only where all definitions are evaluated.
    let consults = !agree(rules.iter().flat_map(|rule| chain(rule)));
    let mut indexed = |rule: &Rule, asked: Asked| {
        let ways = asked.ways(all.room).ok_or_else(|| too_many_ways(rule))?;
        let mut checked: Vec<Vec<Check<About>>> = ways.iter().map(|way| checks(way, &levels, &all.subjects)).collect();
        // A way that asks nothing is always open.
        if checked.iter().any(Vec::is_empty) {
            checked.clear();
        }
        let required = required(&ways, &levels).into_iter();
        let guard = Guard {
            required: required.filter_map(|subject| all.subjects.get(subject).cloned()).collect(),
            ways: checked,
            memberships: if consults { asked.memberships } else { vec![] },
        };
        Ok(Indexed { guard, asks_ahead: asked.asks_ahead, may_raise: asked.may_raise })
    };
    let zipped = rules.iter().zip(asked);
    zipped.map(|(rule, asked)| chain(rule).zip(asked).map(|(rule, asked)| indexed(rule, asked)).collect()).collect()
}

fn too_many_ways(rule: &Rule) -> PlanError {
    let message = "too many ways to fulfil the rules up to here; move alternatives (`or`) to rules of their own";
    PlanError { location: rule.location, code: "size", message: message.into() }
}

/// Whether all are complete documents of one constant value, so that the first that holds decides.
pub(super) fn agree<'a>(mut rules: impl Iterator<Item = &'a Rule>) -> bool {
    let mut value = None;
    rules.all(|rule| match value_of(rule) {
        None => false,
        Some(own) => value.get_or_insert_with(|| own.clone()) == &own,
    })
}

/// The constant that a complete document's definition gives.
pub(super) fn value_of(rule: &Rule) -> Option<Value> {
    let is_complete = rule.head.key.is_none() && rule.head.reference.iter().skip(1).all(|part| scalar(part).is_some());
    match &rule.head.value {
        _ if !is_complete => None,
        Some(term) => term.to_value(),
        None => Some(Value::Bool(true)),
    }
}

// === What is asked ===

/// What the definitions of a document are asked about, all of them together.
struct All<'a> {
    tree: &'a RuleTree,
    /// How many conditions of several ways there may still be.
    room: &'a mut usize,
    subjects: Vec<About>,
    ids: HashMap<About, usize>,
    /// How many ask about each subject.
    counts: Vec<usize>,
    alternated: Vec<Alternated>,
}

fn is_scalar(value: &Value) -> bool {
    !matches!(value, Value::Array(_) | Value::Object(_) | Value::Set(_))
}

fn scalar_value(term: &Term) -> Option<Value> {
    term.to_value().filter(is_scalar)
}

type Way = Vec<Entry>;

/// A subject's place in the order in which OPA asks for values; none where it only asks whether there is one.
type Levels = Vec<Option<usize>>;

impl All<'_> {
    fn intern(&mut self, subject: About) -> usize {
        if let Some(known) = self.ids.get(&subject) {
            return *known;
        }
        self.ids.insert(subject.clone(), self.subjects.len());
        self.subjects.push(subject);
        self.counts.push(0);
        self.alternated.push(Alternated::No);
        self.subjects.len() - 1
    }

    fn count(&mut self, subject: usize, more: usize) {
        if let Some(count) = self.counts.get_mut(subject) {
            *count += more;
        }
    }

    fn alternate(&mut self, subject: usize, how: Alternated) {
        if let Some(known) = self.alternated.get_mut(subject) {
            *known = how.max(*known);
        }
    }

    fn levels<'f>(&self, asked: impl Iterator<Item = &'f Asked>) -> Levels {
        let mut valued = vec![false; self.subjects.len()];
        for entry in asked.flat_map(|asked| asked.entries.iter().chain(asked.branches.iter().flatten().flatten())) {
            if let Some(valued) = valued.get_mut(entry.subject).filter(|_| !entry.wanted.is_var()) {
                *valued = true;
            }
        }
        let count = |subject: usize| self.counts.get(subject).copied().unwrap_or(0);
        let is_valued = |subject: &usize| valued.get(*subject).copied().unwrap_or(false) && count(*subject) > 0;
        let mut sorted: Vec<usize> = (0..self.subjects.len()).filter(is_valued).collect();
        sorted.sort_by_key(|subject| (self.alternated.get(*subject).copied(), usize::MAX - count(*subject)));
        let mut levels = vec![None; self.subjects.len()];
        for (level, subject) in sorted.into_iter().enumerate() {
            if let Some(place) = levels.get_mut(subject) {
                *place = Some(level);
            }
        }
        levels
    }
}

/// The conditions of one way, as far as OPA's trie has them.
fn checks(way: &[Entry], levels: &Levels, subjects: &[About]) -> Vec<Check<About>> {
    let mut remaining = way.len();
    let mut checks = vec![];
    let mut by_level: BTreeMap<usize, Vec<&Entry>> = BTreeMap::new();
    for entry in way {
        if let Some(level) = levels.get(entry.subject).copied().flatten() {
            by_level.entry(level).or_default().push(entry);
        }
    }
    for mut entries in by_level.into_values() {
        remaining -= entries.len();
        // A value says more than that there is one.
        if entries.len() > 1 && entries.iter().any(|entry| !entry.wanted.is_var()) {
            entries.retain(|entry| !entry.wanted.is_var());
        }
        let Some(subject) = entries.first().and_then(|entry| subjects.get(entry.subject)).cloned() else {
            continue;
        };
        let ends_here = entries.len() > 1
            && !entries.iter().any(|entry| entry.wanted.is_var())
            && (remaining == 0 || entries.iter().any(|entry| entry.wanted.is_end() || entry.wanted.is_composite()));
        if ends_here {
            entries = one_end(entries);
        }
        if !entries.is_empty() {
            checks.push(Check { subject, any: entries.iter().map(|entry| entry.wanted.test()).collect() });
        }
        if ends_here {
            break;
        }
    }
    checks
}

/// What only has to be there, on every way.
fn required(ways: &[Way], levels: &Levels) -> BTreeSet<usize> {
    let is_required = |subject: &usize| levels.get(*subject).copied().flatten().is_none();
    let of = |way: &Way| -> BTreeSet<usize> { way.iter().map(|entry| entry.subject).filter(is_required).collect() };
    let Some((first, others)) = ways.split_first() else { return BTreeSet::new() };
    others.iter().fold(of(first), |known, way| &known & &of(way))
}

/// Of prefixes and suffixes those of one kind, and all that is neither.
fn one_end(entries: Vec<&Entry>) -> Vec<&Entry> {
    let shortest = |of: fn(&Wanted) -> Option<&Arc<str>>| {
        entries.iter().filter_map(|entry| of(&entry.wanted)).map(|text| text.len()).min()
    };
    let prefix = |wanted: &Wanted| matches!(wanted, Wanted::Prefix(_));
    let prefixes = shortest(|wanted| if let Wanted::Prefix(text) = wanted { Some(text) } else { None });
    let suffixes = shortest(|wanted| if let Wanted::Suffix(text) = wanted { Some(text) } else { None });
    let (Some(prefixes), Some(suffixes)) = (prefixes, suffixes) else { return entries };
    let drops_prefixes = suffixes > prefixes;
    entries.into_iter().filter(|entry| !entry.wanted.is_end() || prefix(&entry.wanted) != drops_prefixes).collect()
}

/// A text in parts between delimiters that aren't escaped.
pub(crate) fn split(text: &str, delimiters: &str) -> Vec<String> {
    let mut parts = vec![];
    let mut part = String::new();
    let mut escaped = false;
    for char in text.chars() {
        if char == '\\' || escaped {
            escaped = !escaped;
            part.push(char);
        } else if delimiters.contains(char) {
            parts.push(std::mem::take(&mut part));
        } else {
            part.push(char);
        }
    }
    parts.push(part);
    parts
}
