//! What all units ask of one part of an input: from a value to the units that it doesn't rule out.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::Hits;
use super::test::{Test, is_composite, order};
use super::units::{Hit, Ranked, UnitId, Units};
use crate::eval::input::reads::Seen;
use crate::eval::plan::{Comparison, Subject};
use crate::eval::value::{Number, Value};

/// Everything that is asked of one part of an input.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) subject: Subject,
    /// The tests that units refer to.
    pub(super) tests: Vec<Test>,
    /// Units that ask nothing of it, or nothing that can be looked up.
    free: Units,
    /// Units for which it is enough, as far as can be looked up, that something is there.
    present: Units,
    /// Units that raise an error if it is no text.
    textual: Units,
    scalars: Scalars,
    elements: Scalars,
    prefixes: Ends,
    suffixes: Ends,
    limits: Vec<Limits>,
}

/// Units by a scalar.
#[derive(Debug, Default)]
struct Scalars {
    texts: HashMap<Arc<str>, Units, FixedState>,
    integers: HashMap<i64, Units, FixedState>,
    others: HashMap<Value, Units>,
}

/// Units by the beginning, or the end, of a text.
#[derive(Debug, Default)]
struct Ends {
    by_text: HashMap<Box<[u8]>, Units, FixedState>,
    /// How long these are, each length once.
    lengths: Box<[usize]>,
}

/// Units by what a value has to reach.
#[derive(Debug)]
struct Limits {
    how: Comparison,
    /// In the order in which values reach them.
    limits: Box<[Value]>,
    units: Ranked,
}

/// A column while units are added to it.
pub(super) struct Builder {
    subject: Subject,
    tests: Vec<Test>,
    numbers: HashMap<Test, u32>,
    /// Each unit and the tests that it has to pass.
    asked: BTreeMap<UnitId, Vec<u32>>,
    textual: Vec<UnitId>,
}

impl Builder {
    pub(super) fn new(subject: Subject) -> Self {
        Self { subject, tests: vec![], numbers: HashMap::new(), asked: BTreeMap::new(), textual: vec![] }
    }

    /// The number of a test that `unit` makes, if only below a negation.
    pub(super) fn mention(&mut self, unit: UnitId, test: Test) -> u32 {
        if test.wants_text() {
            self.textual.push(unit);
        }
        if let Some(number) = self.numbers.get(&test) {
            return *number;
        }
        let number = u32::try_from(self.tests.len()).unwrap_or(u32::MAX);
        self.tests.push(test.clone());
        self.numbers.insert(test, number);
        number
    }

    /// The number of a test that `unit` has to pass.
    pub(super) fn require(&mut self, unit: UnitId, test: Test) -> u32 {
        let number = self.mention(unit, test);
        self.asked.entry(unit).or_default().push(number);
        number
    }

    /// How many units ask about it.
    pub(super) fn asking(&self) -> usize {
        self.asked.len()
    }

    /// With tables if it is `looked_up`, and not only for verifying.
    pub(super) fn finish(self, units: usize, looked_up: bool) -> Column {
        let mut tables = Tables::default();
        if !looked_up {
            return tables.finish(self, Units::default(), units);
        }
        for (unit, tests) in &self.asked {
            let tests = tests.iter().filter_map(|number| self.tests.get(*number as usize));
            // The one that rules out most.
            if let Some(best) = tests.max_by_key(|test| selectivity(test)) {
                tables.add(*unit, best);
            }
        }
        let free = (0..).take(units).filter(|unit| !self.asked.contains_key(unit)).collect();
        tables.finish(self, Units::new(free, units), units)
    }
}

/// How good a test is for looking up.
fn selectivity(test: &Test) -> u8 {
    match test {
        Test::Compare(Comparison::Equal, value) if is_key(value) => 9,
        Test::OneOf(values) if values.iter().all(is_key) => 8,
        Test::Has(value) if is_key(value) => 7,
        Test::Prefix(_) | Test::Suffix(_) => 6,
        Test::Pattern { prefix } if !prefix.is_empty() => 5,
        Test::Any(tests) => tests.iter().map(selectivity).min().unwrap_or(0),
        Test::Compare(how, value) if is_limit(*how, value) => 2,
        _ => 0,
    }
}

/// Whether a table can hold a value. Equality of long fractions isn't transitive.
fn is_key(value: &Value) -> bool {
    match value {
        Value::Number(Number::Text(_)) => false,
        value => !is_composite(value),
    }
}

fn is_limit(how: Comparison, value: &Value) -> bool {
    is_key(value) && !matches!(how, Comparison::Equal | Comparison::NotEqual)
}

#[derive(Default)]
struct Tables {
    present: Vec<UnitId>,
    scalars: HashMap<Value, Vec<UnitId>>,
    elements: HashMap<Value, Vec<UnitId>>,
    prefixes: HashMap<Arc<str>, Vec<UnitId>>,
    suffixes: HashMap<Arc<str>, Vec<UnitId>>,
    limits: [Vec<(Value, UnitId)>; 4],
}

/// The comparisons that have limits.
const LIMITS: [Comparison; 4] =
    [Comparison::Less, Comparison::LessOrEqual, Comparison::Greater, Comparison::GreaterOrEqual];

impl Tables {
    fn add(&mut self, unit: UnitId, test: &Test) {
        match test {
            _ if selectivity(test) == 0 => self.present.push(unit),
            Test::Compare(Comparison::Equal, value) => self.scalars.entry(value.clone()).or_default().push(unit),
            Test::OneOf(values) => {
                values.iter().for_each(|value| self.scalars.entry(value.clone()).or_default().push(unit));
            }
            Test::Has(value) => self.elements.entry(value.clone()).or_default().push(unit),
            Test::Prefix(text) | Test::Pattern { prefix: text } => {
                self.prefixes.entry(Arc::clone(text)).or_default().push(unit);
            }
            Test::Suffix(text) => self.suffixes.entry(Arc::clone(text)).or_default().push(unit),
            Test::Any(tests) => tests.iter().for_each(|test| self.add(unit, test)),
            Test::Compare(how, value) => match LIMITS.iter().zip(&mut self.limits).find(|(other, _)| *other == how) {
                Some((_, limits)) => limits.push((value.clone(), unit)),
                None => self.present.push(unit),
            },
            _ => self.present.push(unit),
        }
    }

    fn finish(self, builder: Builder, free: Units, count: usize) -> Column {
        let limits = LIMITS.into_iter().zip(self.limits).filter(|(_, limits)| !limits.is_empty());
        Column {
            subject: builder.subject,
            tests: builder.tests,
            free,
            present: Units::new(self.present, count),
            textual: Units::new(builder.textual, count),
            scalars: Scalars::new(self.scalars, count),
            elements: Scalars::new(self.elements, count),
            prefixes: Ends::new(self.prefixes, count),
            suffixes: Ends::new(self.suffixes, count),
            limits: limits.map(|(how, limits)| Limits::new(how, limits, count)).collect(),
        }
    }
}

impl Column {
    /// The units that what was `seen` doesn't rule out.
    pub(super) fn look_up<'i>(&'i self, seen: Seen<'_>, hits: &mut Hits<'i>) {
        let mut add = |units: &'i Units| {
            if units.len() > 0 {
                hits.push(units.hit());
            }
        };
        add(&self.free);
        if matches!(seen, Seen::Absent) {
            return;
        }
        add(&self.present);
        match seen {
            Seen::Text(text) => {
                self.prefixes.look_up(text.as_bytes(), |text, len| text.get(..len), &mut add);
                self.suffixes.look_up(text.as_bytes(), |text, len| text.get(text.len().checked_sub(len)?..), &mut add);
            }
            _ => add(&self.textual),
        }
        if let Some(units) = self.scalars.get(seen) {
            add(units);
        }
        if let Seen::Tree(tree) = seen
            && !self.elements.is_empty()
        {
            let mut add_element = |element| {
                if let Some(units) = self.elements.get(Seen::of(element)) {
                    add(units);
                }
            };
            match tree {
                Value::Array(items) => items.iter().for_each(&mut add_element),
                Value::Set(items) => items.iter().for_each(&mut add_element),
                Value::Object(object) => object.values().for_each(&mut add_element),
                _ => {}
            }
        }
        for limits in &self.limits {
            let hit = limits.reached(seen);
            if !hit.ids.is_empty() {
                hits.push(hit);
            }
        }
    }

    /// About how many steps looking a value up takes, beyond a few: each element of a collection is looked up.
    pub(super) fn cost(&self, seen: Seen<'_>) -> u64 {
        match seen {
            Seen::Tree(tree) if !self.elements.is_empty() => u64::from(tree.weight()),
            Seen::Text(_) => (self.prefixes.lengths.len() + self.suffixes.lengths.len()) as u64,
            _ => 0,
        }
    }

    /// The units that raise an error if what lies there is no text.
    pub(super) fn textual(&self) -> &Units {
        &self.textual
    }

    /// About how many units a value leaves.
    pub(super) fn expected(&self) -> usize {
        let most = |scalars: &Scalars| scalars.units().map(Units::len).max().unwrap_or(0);
        let ends = |ends: &Ends| ends.by_text.values().map(Units::len).max().unwrap_or(0);
        let limits: usize = self.limits.iter().map(|limits| limits.units.len()).sum();
        self.free.len()
            + self.present.len()
            + most(&self.scalars)
            + most(&self.elements)
            + ends(&self.prefixes)
            + ends(&self.suffixes)
            + limits / 2
    }

    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        let ends =
            |ends: &Ends| ends.by_text.iter().map(|(text, units)| text.len() + 48 + units.bytes()).sum::<usize>();
        self.tests.len() * 2 * size_of::<Test>()
            + self.free.bytes()
            + self.present.bytes()
            + self.textual.bytes()
            + self.scalars.bytes()
            + self.elements.bytes()
            + ends(&self.prefixes)
            + ends(&self.suffixes)
            + self.limits.iter().map(|l| l.units.bytes() + l.limits.len() * size_of::<Value>()).sum::<usize>()
    }
}

impl Scalars {
    fn new(units: HashMap<Value, Vec<UnitId>>, count: usize) -> Self {
        let mut scalars = Self::default();
        for (value, units) in units {
            let units = Units::new(units, count);
            match value {
                Value::String(text) => _ = scalars.texts.insert(text, units),
                Value::Number(Number::Int(number)) => _ = scalars.integers.insert(number, units),
                other => _ = scalars.others.insert(other, units),
            }
        }
        scalars
    }

    fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.integers.is_empty() && self.others.is_empty()
    }

    fn get(&self, seen: Seen<'_>) -> Option<&Units> {
        match seen {
            Seen::Text(text) => self.texts.get(text),
            Seen::Number(Number::Int(number)) => self.integers.get(number),
            // `2.0` and `2e0` are 2.
            Seen::Number(number) => self.integers.get(&i64::try_from(number.to_bigint()?).ok()?),
            Seen::Null => self.others.get(&Value::Null),
            Seen::Bool(value) => self.others.get(&Value::Bool(value)),
            Seen::Absent | Seen::Tree(_) => None,
        }
    }

    fn units(&self) -> impl Iterator<Item = &Units> {
        self.texts.values().chain(self.integers.values()).chain(self.others.values())
    }

    fn bytes(&self) -> usize {
        self.units().map(|units| units.bytes() + 64).sum()
    }
}

impl Ends {
    fn new(units: HashMap<Arc<str>, Vec<UnitId>>, count: usize) -> Self {
        let mut lengths: Vec<usize> = units.keys().map(|text| text.len()).collect();
        lengths.sort_unstable();
        lengths.dedup();
        let by_text = units.into_iter().map(|(text, units)| (text.as_bytes().into(), Units::new(units, count)));
        Self { by_text: by_text.collect(), lengths: lengths.into() }
    }

    fn look_up<'i>(
        &'i self,
        text: &[u8],
        end: impl Fn(&[u8], usize) -> Option<&[u8]>,
        add: &mut impl FnMut(&'i Units),
    ) {
        for len in &self.lengths {
            let Some(end) = end(text, *len) else { return };
            if let Some(units) = self.by_text.get(end) {
                add(units);
            }
        }
    }
}

impl Limits {
    fn new(how: Comparison, mut limits: Vec<(Value, UnitId)>, count: usize) -> Self {
        let falling = matches!(how, Comparison::Less | Comparison::LessOrEqual);
        limits.sort_by(|(a, _), (b, _)| if falling { b.cmp(a) } else { a.cmp(b) });
        let (limits, units) = limits.into_iter().unzip();
        Self { how, limits: Vec::into_boxed_slice(limits), units: Ranked::new(units, count) }
    }

    fn reached(&self, seen: Seen<'_>) -> Hit<'_> {
        let is_reached = |limit: &Value| {
            // Only composites are too large to compare, and no limit is one.
            order(seen, limit).is_none_or(|order| match self.how {
                Comparison::Less => order.is_lt(),
                Comparison::LessOrEqual => order.is_le(),
                Comparison::Greater => order.is_gt(),
                _ => order.is_ge(),
            })
        };
        self.units.first(self.limits.partition_point(is_reached))
    }
}
