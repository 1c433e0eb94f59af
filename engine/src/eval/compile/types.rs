//! Types of terms, as OPA's checker has them (`types/types.go`, 1.22): what can be told of a value before there is one.
//!
//! A type shares its parts, so the tree it stands for may be far larger than what is held. Each knows how deep and how
//! large that tree is: [`Types`] counts the steps of all operations, and whoever keeps a type asks it first whether the
//! type is still within bounds ([`Types::admit`]).

mod keys;
mod merge;
#[cfg(test)]
mod tests;
mod text;
mod union;

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::rc::Rc;

use self::keys::{compare_keys, index};
pub(crate) use self::keys::{compare_numbers, json_key};
pub(crate) use self::merge::{Addition, is_open, is_plain};
pub(crate) use self::text::{line, parse, write_operands};
use crate::eval::value::Value;

/// Types within each other that a type may have. No value is that deep ([`crate::eval::value::MAX_DEPTH`]).
pub(crate) const MAX_DEPTH: u16 = 256;

/// Types that a type may have in all, written out.
const MAX_SIZE: u32 = 1 << 24;

#[derive(Debug, Clone, Default)]
pub(crate) enum Type {
    /// Nothing is known.
    #[default]
    Unknown,
    Null,
    Boolean,
    Number,
    String,
    Array(Rc<Array>),
    Object(Rc<Object>),
    Set(Rc<Set>),
    /// Any value, but no function.
    Any,
    /// A value of one of several types.
    OneOf(Rc<OneOf>),
    Function(Rc<Function>),
}

/// Some items, then any number of others.
#[derive(Debug)]
pub(crate) struct Array {
    pub(crate) items: Vec<Type>,
    /// The type of items after these; unknown if there are none.
    pub(crate) rest: Type,
    values: Cached,
    extent: Extent,
}

#[derive(Debug)]
pub(crate) struct Object {
    /// Properties with constant keys, by key. An array and a set may have become equal keys: then the first one counts.
    pub(crate) properties: Vec<(Value, Type)>,
    /// Keys and values of the others. These change ([`Types::merge`]).
    rest: RefCell<Option<(Type, Type)>>,
    keys: Cached,
    values: Cached,
    extent: Cell<Extent>,
}

#[derive(Debug)]
pub(crate) struct Set {
    /// Unknown for the empty set.
    pub(crate) members: Type,
    extent: Extent,
}

#[derive(Debug)]
pub(crate) struct OneOf {
    /// Sorted, none twice, unless some have changed since; neither `Any` nor another union among them.
    pub(crate) types: Vec<Type>,
    keys: Cached,
    values: Cached,
    extent: Extent,
}

#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) operands: Vec<Type>,
    /// The type of operands after these, if there may be any.
    pub(crate) variadic: Type,
    pub(crate) result: Type,
    extent: Extent,
}

/// What is known of a type without looking into it.
#[derive(Debug, Clone, Copy)]
struct Extent {
    depth: u16,
    size: u32,
    /// Whether some part is unknown. Alternatives aren't looked into, as in OPA.
    unknown: bool,
}

/// What was made of a type, and how many changes there had been by then.
#[derive(Debug, Default)]
struct Cached(RefCell<Option<(u32, Type)>>);

/// The operations on types, and the steps they may still take.
#[derive(Debug)]
pub(crate) struct Types {
    left: Cell<u64>,
    /// How many object types have changed.
    changes: Cell<u32>,
    /// By how much deeper they got. What they are part of may be that much deeper than it says.
    deepened: Cell<u16>,
}

// === impl Type ===

impl Type {
    pub(crate) fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown)
    }

    /// Whether the type or some part of it isn't known. An empty set's members aren't.
    pub(crate) fn has_unknown(&self) -> bool {
        self.extent().unknown
    }

    /// Whether no value of this type holds anything.
    pub(crate) fn is_empty_collection(&self) -> bool {
        match self {
            Self::Array(array) => array.items.is_empty() && array.rest.is_unknown(),
            Self::Object(object) => object.properties.is_empty() && object.rest.borrow().is_none(),
            Self::Set(set) => set.members.is_unknown(),
            _ => false,
        }
    }

    fn extent(&self) -> Extent {
        match self {
            Self::Unknown => Extent { depth: 0, size: 1, unknown: true },
            Self::Null | Self::Boolean | Self::Number | Self::String | Self::Any => {
                Extent { depth: 0, size: 1, unknown: false }
            }
            Self::Array(array) => array.extent,
            Self::Object(object) => object.extent.get(),
            Self::Set(set) => set.extent,
            Self::OneOf(union) => union.extent,
            Self::Function(function) => function.extent,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::Null => 1,
            Self::Boolean => 2,
            Self::Number => 3,
            Self::String => 4,
            Self::Array(_) => 5,
            Self::Object(_) => 6,
            Self::Set(_) => 7,
            Self::Any | Self::OneOf(_) => 8,
            Self::Function(_) => 9,
        }
    }

    /// The alternatives, if there are any to tell.
    fn alternatives(&self) -> &[Self] {
        if let Self::OneOf(union) = self { &union.types } else { &[] }
    }

    fn is_union(&self) -> bool {
        matches!(self, Self::Any | Self::OneOf(_))
    }

    pub(crate) fn array(items: Vec<Self>, rest: Self) -> Self {
        let mut extent = Extent::around(items.iter());
        if !rest.is_unknown() {
            extent = extent.and(&rest);
        }
        Self::Array(Rc::new(Array { items, rest, values: Cached::default(), extent }))
    }

    /// The properties may be in any order. Keys are as [`json_key`] makes them.
    pub(crate) fn object(mut properties: Vec<(Value, Self)>, rest: Option<(Self, Self)>) -> Self {
        if !properties.is_sorted_by(|(a, _), (b, _)| compare_keys(a, b).is_le()) {
            properties.sort_by(|(a, _), (b, _)| compare_keys(a, b));
        }
        let extent = Extent::of_object(&properties, rest.as_ref());
        Self::Object(Rc::new(Object {
            properties,
            rest: RefCell::new(rest),
            keys: Cached::default(),
            values: Cached::default(),
            extent: Cell::new(extent),
        }))
    }

    pub(crate) fn set(members: Self) -> Self {
        let extent = Extent::around([&members].into_iter());
        Self::Set(Rc::new(Set { members, extent }))
    }

    pub(crate) fn function(operands: Vec<Self>, variadic: Self, result: Self) -> Self {
        let extent = Extent::around(operands.iter()).and(&result);
        Self::Function(Rc::new(Function { operands, variadic, result, extent }))
    }

    fn one_of(types: Vec<Self>) -> Self {
        let extent = Extent { unknown: false, ..Extent::around(types.iter()) };
        Self::OneOf(Rc::new(OneOf { types, keys: Cached::default(), values: Cached::default(), extent }))
    }

    /// The type of a constant.
    pub(crate) fn of_value(types: &Types, value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Boolean,
            Value::Number(_) => Self::Number,
            Value::String(_) => Self::String,
            Value::Array(array) => {
                Self::array(array.iter().map(|item| Self::of_value(types, item)).collect(), Self::Unknown)
            }
            Value::Object(object) => {
                let entries = object.iter().map(|(key, value)| (json_key(key), Self::of_value(types, value)));
                Self::object(entries.collect(), None)
            }
            Value::Set(set) => Self::set(types.union(set.iter().map(|member| Self::of_value(types, member)))),
        }
    }

    /// The type of a key, as [`json_key`] made it.
    fn of_key(key: &Value) -> Self {
        match key {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Boolean,
            Value::Number(_) => Self::Number,
            Value::String(_) => Self::String,
            Value::Array(array) => Self::array(array.iter().map(Self::of_key).collect(), Self::Unknown),
            Value::Set(set) => Self::array(set.iter().map(Self::of_key).collect(), Self::Unknown),
            Value::Object(object) => {
                Self::object(object.iter().map(|(key, value)| (key.clone(), Self::of_key(value))).collect(), None)
            }
        }
    }
}

// === impl Array, Object, Function ===

impl Array {
    /// The type of the item at `index`.
    pub(crate) fn item(&self, index: usize) -> &Type {
        self.items.get(index).unwrap_or(&self.rest)
    }
}

impl Object {
    /// Keys and values of what has no constant key.
    pub(crate) fn rest(&self) -> Option<(Type, Type)> {
        self.rest.borrow().clone()
    }

    /// The type of the values whose keys aren't constants.
    pub(crate) fn rest_value(&self) -> Type {
        self.rest.borrow().as_ref().map_or(Type::Unknown, |(_, value)| value.clone())
    }

    fn property(&self, key: &Value) -> Option<&Type> {
        let at = self.properties.partition_point(|(other, _)| compare_keys(other, key).is_lt());
        self.properties.get(at).filter(|(other, _)| compare_keys(other, key).is_eq()).map(|(_, value)| value)
    }

    /// The properties that count.
    fn distinct(&self) -> impl Iterator<Item = &(Value, Type)> {
        self.properties.chunk_by(|(a, _), (b, _)| compare_keys(a, b).is_eq()).filter_map(|equal| equal.first())
    }

    /// The type of the value under a constant key.
    pub(crate) fn select(&self, types: &Types, key: &Value) -> Type {
        self.property(key).cloned().unwrap_or_else(|| self.beyond(types, key))
    }

    /// The type of the value under a constant key that no property has.
    fn beyond(&self, types: &Types, key: &Value) -> Type {
        match &*self.rest.borrow() {
            Some((keys, value)) if types.contains(keys, &Type::of_key(key)) => value.clone(),
            _ => Type::Unknown,
        }
    }
}

impl Function {
    /// The type of the operand at `index`, of which the result is the last.
    pub(crate) fn operand(&self, index: usize) -> &Type {
        match self.operands.get(index) {
            Some(operand) => operand,
            None if index == self.operands.len() && !self.result.is_unknown() => &self.result,
            None => &self.variadic,
        }
    }
}

// === impl Extent, Cached ===

impl Extent {
    fn of_object(properties: &[(Value, Type)], rest: Option<&(Type, Type)>) -> Self {
        let extent = Self::around(properties.iter().map(|(_, value)| value));
        rest.map_or(extent, |(key, value)| extent.and(key).and(value))
    }

    fn around<'a>(parts: impl Iterator<Item = &'a Type>) -> Self {
        parts.fold(Self { depth: 1, size: 1, unknown: false }, Self::and)
    }

    fn and(self, part: &Type) -> Self {
        let part = part.extent();
        Self {
            depth: self.depth.max(part.depth.saturating_add(1)),
            size: self.size.saturating_add(part.size),
            unknown: self.unknown || part.unknown,
        }
    }
}

impl Cached {
    fn get(&self, types: &Types, make: impl FnOnce() -> Type) -> Type {
        if let Some((changes, made)) = &*self.0.borrow()
            && *changes == types.changes()
        {
            return made.clone();
        }
        let made = make();
        *self.0.borrow_mut() = Some((types.changes(), made.clone()));
        made
    }
}

// === impl Types ===

impl Types {
    /// A step takes about 10 ns.
    pub(crate) fn within(steps: u64) -> Self {
        Self { left: Cell::new(steps), changes: Cell::default(), deepened: Cell::default() }
    }

    /// Takes steps.
    pub(crate) fn count(&self, steps: usize) {
        self.left.set(self.left.get().saturating_sub(steps as u64));
    }

    /// Whether the policy took more than it may. Whatever was answered since then may be wrong, so it is refused.
    pub(crate) fn is_spent(&self) -> bool {
        self.left.get() == 0
    }

    /// How many object types have changed. What was made of types before may not be true any more.
    pub(crate) fn changes(&self) -> u32 {
        self.changes.get()
    }

    /// A type that is about to be kept. Past the bounds there is nothing to keep, and the policy is refused.
    pub(crate) fn admit(&self, kind: Type) -> Type {
        let extent = kind.extent();
        if extent.depth > MAX_DEPTH || extent.size > MAX_SIZE {
            self.spend_all();
            return Type::Any;
        }
        kind
    }

    /// Refuses the policy.
    pub(crate) fn spend_all(&self) {
        self.left.set(0);
    }

    /// A total order, while there are steps left.
    pub(crate) fn compare(&self, a: &Type, b: &Type) -> Ordering {
        self.count(1);
        if self.is_spent() {
            return Ordering::Equal;
        }
        match (a, b) {
            (Type::Array(a), Type::Array(b)) => {
                if Rc::ptr_eq(a, b) {
                    return Ordering::Equal;
                }
                // One without further items comes first: unknown is the lowest.
                self.compare(&a.rest, &b.rest).then_with(|| self.compare_all(&a.items, &b.items))
            }
            (Type::Object(a), Type::Object(b)) => {
                if Rc::ptr_eq(a, b) {
                    return Ordering::Equal;
                }
                self.compare_objects(a, b)
            }
            (Type::Set(a), Type::Set(b)) => self.compare(&a.members, &b.members),
            (Type::Function(a), Type::Function(b)) => {
                let lengths = a.operands.len().cmp(&b.operands.len());
                lengths
                    .then_with(|| self.compare_all(&a.operands, &b.operands))
                    .then_with(|| self.compare(&a.result, &b.result))
                    .then_with(|| self.compare(&a.variadic, &b.variadic))
            }
            _ if a.is_union() && b.is_union() => self.compare_all(a.alternatives(), b.alternatives()),
            _ => a.rank().cmp(&b.rank()),
        }
    }

    fn compare_all(&self, a: &[Type], b: &[Type]) -> Ordering {
        let differing = a.iter().zip(b).map(|(a, b)| self.compare(a, b)).find(|order| order.is_ne());
        differing.unwrap_or_else(|| a.len().cmp(&b.len()))
    }

    fn compare_objects(&self, a: &Object, b: &Object) -> Ordering {
        let rest = match (&*a.rest.borrow(), &*b.rest.borrow()) {
            (Some((key_a, value_a)), Some((key_b, value_b))) => {
                self.compare(key_a, key_b).then_with(|| self.compare(value_a, value_b))
            }
            (a, b) => a.is_some().cmp(&b.is_some()),
        };
        rest.then_with(|| {
            let mut pairs = a.properties.iter().zip(&b.properties);
            let differing = pairs.find_map(|((key_a, value_a), (key_b, value_b))| {
                let order = compare_keys(key_a, key_b).then_with(|| self.compare(value_a, value_b));
                order.is_ne().then_some(order)
            });
            differing.unwrap_or_else(|| a.properties.len().cmp(&b.properties.len()))
        })
    }

    /// Whether `a` is `b` or a union that has it.
    pub(crate) fn contains(&self, a: &Type, b: &Type) -> bool {
        match a {
            Type::Any => !matches!(b, Type::Function(_)),
            Type::OneOf(union) => !matches!(b, Type::Function(_)) && self.search(&union.types, b).is_ok(),
            _ => self.compare(a, b).is_eq(),
        }
    }

    /// The type of what lies under a constant key, as [`json_key`] makes it.
    pub(crate) fn select(&self, kind: &Type, key: &Value) -> Type {
        self.count(1);
        match kind {
            Type::Array(array) => match index(key) {
                Some(index) => array.item(index).clone(),
                None => Type::Unknown,
            },
            Type::Object(object) => object.select(self, key),
            Type::Set(set) => {
                let key = Type::of_key(key);
                match &set.members {
                    Type::Unknown => Type::Unknown,
                    members if self.contains(members, &key) => key,
                    _ => Type::Unknown,
                }
            }
            Type::Any => Type::Any,
            Type::OneOf(union) => {
                union.types.iter().fold(Type::Unknown, |found, kind| self.or(self.select(kind, key), found))
            }
            _ => Type::Unknown,
        }
    }

    /// The type of the keys that can be enumerated.
    pub(crate) fn keys(&self, kind: &Type) -> Type {
        match kind {
            Type::Array(_) => Type::Number,
            Type::Object(object) => {
                let keys = || object.properties.iter().map(|(key, _)| Type::of_key(key));
                let rest = || object.rest().map(|(key, _)| key);
                object.keys.get(self, || self.union(keys().chain(rest())))
            }
            Type::Set(set) => set.members.clone(),
            Type::Any => Type::Any,
            Type::OneOf(union) => union.keys.get(self, || self.union(union.types.iter().map(|t| self.keys(t)))),
            _ => Type::Unknown,
        }
    }

    /// The type of the values that can be enumerated.
    pub(crate) fn values(&self, kind: &Type) -> Type {
        match kind {
            Type::Array(array) => {
                array.values.get(self, || self.union(array.items.iter().chain([&array.rest]).cloned()))
            }
            Type::Object(object) => {
                let values = || object.properties.iter().map(|(_, value)| value.clone());
                let rest = || object.rest().map(|(_, value)| value);
                object.values.get(self, || self.union(values().chain(rest())))
            }
            Type::Set(set) => set.members.clone(),
            Type::Any => Type::Any,
            Type::OneOf(union) => union.values.get(self, || self.union(union.types.iter().map(|t| self.values(t)))),
            _ => Type::Unknown,
        }
    }

    /// Whether some value could have both types.
    pub(crate) fn unifies(&self, a: &Type, b: &Type) -> bool {
        self.count(1);
        if self.is_spent() {
            return true;
        }
        match (a, b) {
            (Type::Unknown, _) | (_, Type::Unknown) => false,
            (Type::Any, Type::Function(_)) | (Type::Function(_), Type::Any) => false,
            (Type::Any, _) | (_, Type::Any) => true,
            (Type::OneOf(_), Type::Function(_)) | (Type::Function(_), Type::OneOf(_)) => false,
            (Type::OneOf(union), other) | (other, Type::OneOf(union)) => {
                union.types.iter().any(|kind| self.unifies(kind, other))
            }
            (Type::Null, Type::Null)
            | (Type::Boolean, Type::Boolean)
            | (Type::Number, Type::Number)
            | (Type::String, Type::String) => true,
            (Type::Array(a), Type::Array(b)) => {
                let length = a.items.len().max(b.items.len());
                (0..length).all(|index| self.unifies(a.item(index), b.item(index)))
                    && (a.rest.is_unknown() || b.rest.is_unknown() || self.unifies(&a.rest, &b.rest))
            }
            (Type::Object(a), Type::Object(b)) => self.unifies_objects(a, b),
            (Type::Set(a), Type::Set(b)) => {
                // The empty set is a set of anything.
                a.members.is_unknown() || b.members.is_unknown() || self.unifies(&a.members, &b.members)
            }
            (Type::Function(a), Type::Function(b)) => {
                a.operands.len() == b.operands.len()
                    && a.operands.iter().zip(&b.operands).all(|(a, b)| self.unifies(a, b))
            }
            _ => false,
        }
    }

    fn unifies_objects(&self, a: &Object, b: &Object) -> bool {
        let (rest_a, rest_b) = (a.rest_value(), b.rest_value());
        let open = !rest_a.is_unknown() || !rest_b.is_unknown();
        // What one has and the other's further properties would have to hold.
        let beyond = |key: &Value, value: &Type, other: &Object| match other.beyond(self, key) {
            Type::Unknown => open,
            kind => self.unifies(value, &kind),
        };
        let mut left = a.distinct().peekable();
        let mut right = b.distinct().peekable();
        loop {
            self.count(1);
            let order = match (left.peek(), right.peek()) {
                (Some((key_a, _)), Some((key_b, _))) => compare_keys(key_a, key_b),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => break,
            };
            let unifies = match order {
                Ordering::Less => left.next().is_none_or(|(key, value)| beyond(key, value, b)),
                Ordering::Greater => right.next().is_none_or(|(key, value)| beyond(key, value, a)),
                Ordering::Equal => match (left.next(), right.next()) {
                    (Some((_, Type::Unknown)), Some((_, Type::Unknown))) => open,
                    (Some((_, a)), Some((_, b))) => self.unifies(a, b),
                    _ => true,
                },
            };
            if !unifies {
                return false;
            }
        }
        rest_a.is_unknown() || rest_b.is_unknown() || self.unifies(&rest_a, &rest_b)
    }
}
