//! What `with` changes: the documents and functions that an evaluation sees.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::answer::Halt;
use super::slot::Slot;
use crate::eval::input::reads::{Inputs, NotRead};
use crate::eval::plan::{Callee, GroupId};
use crate::eval::value::Value;

/// The documents and functions in force, and the rules evaluated under them.
#[derive(Default)]
pub(super) struct Context<'p> {
    pub(super) input: Given<'p>,
    /// `data` with what was replaced in it; none if nothing was.
    pub(super) data: Option<Value>,
    /// Paths below `data` that were replaced, for rules and for what isn't held.
    pub(super) replaced: Vec<Vec<Value>>,
    /// Of those, the ones whose new value isn't known.
    pub(super) unknown: Vec<Vec<Value>>,
    pub(super) functions: Vec<(Callee, Stand<'p>)>,
    pub(super) rules: HashMap<GroupId, Result<Outcome<'p>, Halt>, BuildHasherDefault<GroupHasher>>,
    /// What partial documents have under single keys.
    pub(super) rules_at: HashMap<(GroupId, Value), Result<Outcome<'p>, Halt>>,
}

/// The input of an evaluation, or what `with` put in its place.
pub(super) enum Given<'p> {
    Inputs(Inputs<'p>),
    Put(Slot<'p>),
}

/// What stands in a function's place.
#[derive(Debug)]
pub(super) enum Stand<'p> {
    Callee(Callee),
    Value(Slot<'p>),
}

/// What a group of rules came to.
#[derive(Debug)]
pub(super) struct Outcome<'p> {
    /// None if it is undefined.
    pub(super) value: Option<Slot<'p>>,
    /// Whether it may be undefined after all.
    pub(super) maybe: bool,
}

impl<'p> Outcome<'p> {
    pub(super) const UNDEFINED: Self = Self { value: None, maybe: false };

    pub(super) fn value(value: Slot<'p>) -> Self {
        Self { value: Some(value), maybe: false }
    }

    /// Anything, or nothing.
    pub(super) fn unknown() -> Self {
        Self { value: Some(Slot::unknown()), maybe: true }
    }

    pub(super) fn share(&self) -> Self {
        Self { value: self.value.as_ref().map(Slot::share), maybe: self.maybe }
    }

    /// What the outcome, a composite, has under a key.
    pub(super) fn under(self, key: &Value) -> Self {
        match self.value {
            None => Self::UNDEFINED,
            Some(Slot::Partly(partly)) => partly.get(key),
            Some(value) => {
                let found = match value.as_known() {
                    None => return Self::unknown(),
                    // A member is found in the form in which it is asked for.
                    Some(Value::Set(set)) => set.contains(key).then(|| key.clone()),
                    Some(value) => value.get(key).cloned(),
                };
                Self { value: found.map(Slot::Own), maybe: self.maybe }
            }
        }
    }
}

/// Groups are numbered from 0: spreading the bits is all the hashing they need.
#[derive(Debug, Default)]
pub(super) struct GroupHasher(u64);

impl Hasher for GroupHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, n: u32) {
        // Fibonacci hashing (Knuth, TAOCP 3, 6.4).
        self.0 = (self.0 ^ u64::from(n)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl<'p> Context<'p> {
    /// The same documents and other functions, with nothing evaluated yet.
    pub(super) fn child(&self) -> Context<'p> {
        Self {
            input: self.input.share(),
            data: self.data.clone(),
            replaced: self.replaced.clone(),
            unknown: self.unknown.clone(),
            functions: self.functions.iter().map(|(callee, stand)| (*callee, stand.share())).collect(),
            rules: HashMap::default(),
            rules_at: HashMap::default(),
        }
    }

    /// Whether the document at `path` was replaced, alone or with what it stands in.
    pub(super) fn is_replaced(&self, path: &[Value]) -> bool {
        self.replaced_above(path).is_some()
    }

    /// How long the path to what was replaced is, of that which `path` leads into.
    pub(super) fn replaced_above(&self, path: &[Value]) -> Option<usize> {
        self.replaced.iter().filter(|target| path.starts_with(target)).map(Vec::len).min()
    }
}

impl Default for Given<'_> {
    fn default() -> Self {
        Self::Put(Slot::Empty)
    }
}

impl<'p> Given<'p> {
    fn share(&self) -> Self {
        match self {
            Self::Inputs(inputs) => Self::Inputs(*inputs),
            Self::Put(slot) => Self::Put(slot.share()),
        }
    }

    /// The whole of it, as far as it is known.
    pub(super) fn root(&self) -> Result<Option<&Value>, NotRead> {
        match self {
            Self::Inputs(inputs) => inputs.root(),
            Self::Put(slot) => Ok(slot.as_known()),
        }
    }
}

impl<'p> Stand<'p> {
    fn share(&self) -> Stand<'p> {
        match self {
            Self::Callee(callee) => Self::Callee(*callee),
            Self::Value(value) => Self::Value(value.share()),
        }
    }
}

/// Bytes that putting something at `path` copies: every object on the way there.
pub(super) fn copied(root: Option<&Value>, path: &[Value]) -> usize {
    let mut at = root;
    let mut bytes = 0;
    for key in path {
        bytes += at.map_or(0, Value::shallow_bytes);
        at = at.and_then(|value| value.as_object()?.get(key));
    }
    bytes
}

/// `root` with `value` at `path`; what stands in the way is replaced by objects. Recurses by the path's length, which the
/// parser bounds.
pub(super) fn put(root: Option<&Value>, path: &[Value], value: Value) -> Value {
    let Some((key, rest)) = path.split_first() else { return value };
    let object = root.and_then(Value::as_object);
    let inner = put(object.and_then(|object| object.get(key)), rest, value);
    let mut entries: Vec<(Value, Value)> = object.map_or(vec![], |object| object.entries().to_vec());
    match entries.iter_mut().find(|(other, _)| other == key) {
        Some(entry) => entry.1 = inner,
        None => entries.push((key.clone(), inner)),
    }
    Value::object(entries)
}
