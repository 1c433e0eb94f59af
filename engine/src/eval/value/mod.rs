//! Values: what policies compute with. JSON, and sets.
//!
//! Immutable and shared: a clone is at most one atomic increment. Composites are sorted slices, so that iteration has
//! OPA's order and equal values have one form. Numbers are exact ([`number`]).
//!
//! Every composite knows its depth. Nothing in here refuses a deep value; whoever makes one checks [`Value::depth`]
//! against [`MAX_DEPTH`], because comparing, printing and dropping recurse. So does every composite know how large it is
//! when it is printed, and [`MAX_WEIGHT`] bounds that.

mod compare;
mod composite;
pub(crate) mod float;
pub(crate) mod json;
pub(crate) mod number;
pub(crate) mod text;
pub(crate) mod unicode;

use std::sync::Arc;

pub(crate) use self::composite::{Array, Object, Set};
pub(crate) use self::number::Number;

/// Composites within each other that a value may have. Recursion over a value of this depth fits a 64 KiB stack.
pub(crate) const MAX_DEPTH: u16 = 128;

/// The [`weight`](Value::weight) that a value may have which an evaluation makes. Values that share their parts grow by
/// doubling: 40 rules are enough for one that no machine can print.
pub(crate) const MAX_WEIGHT: u32 = 1 << 21;

/// A value. `Undefined` isn't one: what has no value is `None`.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    String(Arc<str>),
    Array(Array),
    Object(Object),
    Set(Set),
}

impl Value {
    /// The type's name, as in OPA's messages and `type_name`.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
            Self::Set(_) => "set",
        }
    }

    pub(crate) fn array(items: Vec<Self>) -> Self {
        Self::Array(Array::from(items))
    }

    /// A set of `items`, which may be unsorted and repeat.
    pub(crate) fn set(items: Vec<Self>) -> Self {
        Self::Set(Set::from(items))
    }

    /// An object of `entries`, which may be unsorted; of entries with equal keys the last one stays.
    pub(crate) fn object(entries: Vec<(Self, Self)>) -> Self {
        Self::Object(Object::from(entries))
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    pub(crate) fn as_object(&self) -> Option<&Object> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }

    /// Anything but `false` makes a statement hold.
    pub(crate) fn is_truthy(&self) -> bool {
        !matches!(self, Self::Bool(false))
    }

    /// Composites within each other; 0 for what isn't one. Saturates.
    pub(crate) fn depth(&self) -> u16 {
        match self {
            Self::Array(array) => array.depth(),
            Self::Object(object) => object.depth(),
            Self::Set(set) => set.depth(),
            _ => 0,
        }
    }

    /// About how many steps comparing or printing it takes. Saturates.
    pub(crate) fn weight(&self) -> u32 {
        match self {
            Self::Array(array) => array.weight(),
            Self::Object(object) => object.weight(),
            Self::Set(set) => set.weight(),
            Self::String(text) => u32::try_from(text.len() / 64).unwrap_or(u32::MAX).saturating_add(1),
            Self::Null | Self::Bool(_) | Self::Number(_) => 1,
        }
    }

    /// What lies under `key`, as a reference `x[key]` finds it: an array's element by its index, an object's value by its
    /// key, a set's member by itself.
    pub(crate) fn get(&self, key: &Self) -> Option<&Self> {
        match (self, key) {
            (Self::Object(object), key) => object.get(key),
            (Self::Array(array), Self::Number(index)) => array.get(usize::try_from(index.as_i64()?).ok()?),
            (Self::Set(set), key) => set.get(key),
            _ => None,
        }
    }

    /// Like [`get`](Self::get), for a key that is a string.
    pub(crate) fn get_str(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(object) => object.get_str(key),
            Self::Set(set) => set.get_str(key),
            _ => None,
        }
    }

    /// About how many bytes this level takes, shared parts not counted.
    pub(crate) fn shallow_bytes(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) => 0,
            Self::Number(number) => number.heap_bytes(),
            Self::String(text) => text.len() + 16,
            Self::Array(array) => array.len() * size_of::<Self>() + 32,
            Self::Set(set) => set.len() * size_of::<Self>() + 32,
            Self::Object(object) => object.len() * 2 * size_of::<Self>() + 32,
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Number(Number::from(value))
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Number(Number::from(value))
    }
}

impl From<Number> for Value {
    fn from(value: Number) -> Self {
        Self::Number(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(Arc::from(value))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::String(Arc::from(value))
    }
}
