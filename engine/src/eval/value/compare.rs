//! The order of values: null < booleans < numbers < strings < arrays < objects < sets, as in OPA (`ast.Compare`).
//!
//! OPA's equality of numbers isn't transitive (see [`Number::cmp`](super::Number)), and sorting wants an order that is: so
//! there is [`total`] for sorting, and `Ord` for everything that a policy can see.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use super::{Number, Value};

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(self, other, Number::cmp)
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::String(a), Self::String(b)) => a == b,
            (Self::Number(Number::Int(a)), Self::Number(Number::Int(b))) => a == b,
            _ => self.cmp(other) == Ordering::Equal,
        }
    }
}

impl Eq for Value {}

impl Value {
    /// How this compares with a string.
    pub(super) fn cmp_str(&self, other: &str) -> Ordering {
        match self {
            Self::String(text) => text.as_bytes().cmp(other.as_bytes()),
            other => rank(other).cmp(&STRING),
        }
    }
}

/// A total order that agrees with `Ord` but for numbers that only differ beyond what OPA compares.
pub(super) fn total(a: &Value, b: &Value) -> Ordering {
    compare(a, b, Number::total_cmp)
}

const STRING: u8 = 3;

fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => STRING,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
        Value::Set(_) => 6,
    }
}

/// Recurses by depth, which is bounded where values are made.
fn compare(a: &Value, b: &Value, numbers: fn(&Number, &Number) -> Ordering) -> Ordering {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Number(a), Value::Number(b)) => numbers(a, b),
        (Value::String(a), Value::String(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Array(a), Value::Array(b)) => slices(a.as_slice(), b.as_slice(), numbers),
        (Value::Set(a), Value::Set(b)) => slices(a.as_slice(), b.as_slice(), numbers),
        (Value::Object(a), Value::Object(b)) if std::ptr::eq(a.entries(), b.entries()) => Ordering::Equal,
        (Value::Object(a), Value::Object(b)) => {
            // OPA compares keys and values pair by pair, in key order, then lengths.
            let mut pairs = a.iter().zip(b.iter());
            let differing = pairs.find_map(|((ka, va), (kb, vb))| {
                let order = compare(ka, kb, numbers).then_with(|| compare(va, vb, numbers));
                order.is_ne().then_some(order)
            });
            differing.unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        _ => rank(a).cmp(&rank(b)),
    }
}

fn slices(a: &[Value], b: &[Value], numbers: fn(&Number, &Number) -> Ordering) -> Ordering {
    // What is shared needn't be looked at: a value may hold another very many times.
    if std::ptr::eq(a, b) {
        return Ordering::Equal;
    }
    let differing = a.iter().zip(b).map(|(a, b)| compare(a, b, numbers)).find(|order| order.is_ne());
    differing.unwrap_or_else(|| a.len().cmp(&b.len()))
}

/// Agrees with equality: numbers that are equal are the same double.
impl Hash for Value {
    /// Recurses by depth, which is bounded.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u8(rank(self));
        match self {
            Self::Null => {}
            Self::Bool(value) => state.write_u8(u8::from(*value)),
            // The sum makes one zero of two.
            Self::Number(number) => state.write_u64((number.to_f64() + 0.0).to_bits()),
            Self::String(text) => text.hash(state),
            Self::Array(array) => array.as_slice().hash(state),
            Self::Set(set) => set.as_slice().hash(state),
            Self::Object(object) => object.entries().hash(state),
        }
    }
}
