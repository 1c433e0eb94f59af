//! Arrays, objects and sets: shared, immutable, sorted where order isn't the content.

use std::sync::Arc;

use super::Value;
use super::compare::total;

/// A slice that knows how deep and how large it is.
#[derive(Debug)]
struct Node<T> {
    depth: u16,
    /// What comparing or printing it takes, in steps; saturates.
    weight: u32,
    items: Box<[T]>,
}

impl<T> Node<T> {
    /// `measure` adds up the parts of an item.
    fn new(items: Vec<T>, measure: impl Fn(&T, &mut Measure)) -> Self {
        let mut all = Measure { depth: 0, weight: 1 };
        items.iter().for_each(|item| measure(item, &mut all));
        Self { depth: all.depth.saturating_add(1), weight: all.weight, items: items.into() }
    }
}

struct Measure {
    depth: u16,
    weight: u32,
}

impl Measure {
    fn add(&mut self, part: &Value) {
        self.depth = self.depth.max(part.depth());
        self.weight = self.weight.saturating_add(part.weight());
    }
}

/// Values in an order of their own.
#[derive(Clone, Debug)]
pub(crate) struct Array(Arc<Node<Value>>);

/// Distinct values, in the order of values.
#[derive(Clone, Debug)]
pub(crate) struct Set(Arc<Node<Value>>);

/// Values by distinct keys, in the order of the keys.
#[derive(Clone, Debug)]
pub(crate) struct Object(Arc<Node<(Value, Value)>>);

/// One key with two values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conflict {
    pub(crate) key: Value,
}

// === Array ===

impl Array {
    pub(crate) fn depth(&self) -> u16 {
        self.0.depth
    }

    pub(crate) fn weight(&self) -> u32 {
        self.0.weight
    }

    pub(crate) fn as_slice(&self) -> &[Value] {
        &self.0.items
    }

    pub(crate) fn len(&self) -> usize {
        self.0.items.len()
    }

    pub(crate) fn get(&self, index: usize) -> Option<&Value> {
        self.0.items.get(index)
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Value> {
        self.0.items.iter()
    }
}

impl From<Vec<Value>> for Array {
    fn from(items: Vec<Value>) -> Self {
        Self(Arc::new(Node::new(items, |item, all| all.add(item))))
    }
}

// === Set ===

impl Set {
    pub(crate) fn depth(&self) -> u16 {
        self.0.depth
    }

    pub(crate) fn weight(&self) -> u32 {
        self.0.weight
    }

    /// The members, in the order of values.
    pub(crate) fn as_slice(&self) -> &[Value] {
        &self.0.items
    }

    pub(crate) fn len(&self) -> usize {
        self.0.items.len()
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Value> {
        self.0.items.iter()
    }

    pub(crate) fn contains(&self, member: &Value) -> bool {
        self.get(member).is_some()
    }

    /// The member that equals `member`.
    pub(crate) fn get(&self, member: &Value) -> Option<&Value> {
        let found = self.0.items.binary_search_by(|item| item.cmp(member)).ok()?;
        self.0.items.get(found)
    }

    pub(crate) fn get_str(&self, member: &str) -> Option<&Value> {
        let found = self.0.items.binary_search_by(|item| item.cmp_str(member)).ok()?;
        self.0.items.get(found)
    }
}

/// The items may be unsorted; of equal ones the first stays.
impl From<Vec<Value>> for Set {
    fn from(mut items: Vec<Value>) -> Self {
        if !items.is_sorted_by(|a, b| a < b) {
            items.sort_by(total);
            items.dedup_by(|later, kept| later == kept);
        }
        Self(Arc::new(Node::new(items, |item, all| all.add(item))))
    }
}

// === Object ===

impl Object {
    pub(crate) fn depth(&self) -> u16 {
        self.0.depth
    }

    pub(crate) fn weight(&self) -> u32 {
        self.0.weight
    }

    /// The entries, in the order of the keys.
    pub(crate) fn entries(&self) -> &[(Value, Value)] {
        &self.0.items
    }

    pub(crate) fn len(&self) -> usize {
        self.0.items.len()
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (&Value, &Value)> + DoubleEndedIterator + Clone {
        self.0.items.iter().map(|(key, value)| (key, value))
    }

    pub(crate) fn keys(&self) -> impl ExactSizeIterator<Item = &Value> {
        self.0.items.iter().map(|(key, _)| key)
    }

    pub(crate) fn values(&self) -> impl ExactSizeIterator<Item = &Value> {
        self.0.items.iter().map(|(_, value)| value)
    }

    pub(crate) fn get(&self, key: &Value) -> Option<&Value> {
        if let Value::String(key) = key {
            return self.get_str(key);
        }
        let found = self.0.items.binary_search_by(|(item, _)| item.cmp(key)).ok()?;
        self.0.items.get(found).map(|(_, value)| value)
    }

    pub(crate) fn get_str(&self, key: &str) -> Option<&Value> {
        // A request's objects have a handful of keys: comparing for equality beats ordering.
        if self.0.items.len() <= 8 {
            return self.0.items.iter().find(|(item, _)| item.as_str() == Some(key)).map(|(_, value)| value);
        }
        let found = self.0.items.binary_search_by(|(item, _)| item.cmp_str(key)).ok()?;
        self.0.items.get(found).map(|(_, value)| value)
    }

    /// An object of `entries`, which may be unsorted and may repeat an entry: of equal values the last one's form stays,
    /// under the first one's key.
    ///
    /// # Errors
    /// Two entries have equal keys and different values.
    pub(crate) fn distinct(mut entries: Vec<(Value, Value)>) -> Result<Self, Conflict> {
        if !is_sorted(&entries) {
            entries.sort_by(|(a, _), (b, _)| total(a, b));
            let mut conflict = None;
            entries.dedup_by(|(later, value), (kept, kept_value)| {
                let same = later == kept;
                if same && value != kept_value && conflict.is_none() {
                    conflict = Some(Conflict { key: kept.clone() });
                }
                if same {
                    std::mem::swap(value, kept_value);
                }
                same
            });
            if let Some(conflict) = conflict {
                return Err(conflict);
            }
        }
        Ok(Self::sorted(entries))
    }

    fn sorted(entries: Vec<(Value, Value)>) -> Self {
        Self(Arc::new(Node::new(entries, |(key, value), all| {
            all.add(key);
            all.add(value);
        })))
    }
}

fn is_sorted(entries: &[(Value, Value)]) -> bool {
    entries.is_sorted_by(|(a, _), (b, _)| a < b)
}

/// The entries may be unsorted; of those with equal keys the last one's value stays, under the first one's key.
impl From<Vec<(Value, Value)>> for Object {
    fn from(mut entries: Vec<(Value, Value)>) -> Self {
        if !is_sorted(&entries) {
            entries.sort_by(|(a, _), (b, _)| total(a, b));
            entries.dedup_by(|(later, value), (kept, kept_value)| {
                let same = later == kept;
                if same {
                    std::mem::swap(value, kept_value);
                }
                same
            });
        }
        Self::sorted(entries)
    }
}
