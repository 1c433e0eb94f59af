//! The types of documents that several rules define.
//!
//! Where an object type is merged into alternatives, OPA widens the one it finds there in place, and with it all that
//! shares it, another rule's type say. It decides what is refused, so it is the same here, down to unions that aren't
//! sorted after that.

use std::collections::HashSet;
use std::rc::Rc;

use super::{Extent, MAX_DEPTH, Object, OneOf, Type, Types};

impl Types {
    /// The type of a document that several rules define, by the type of what one more of them adds. Sets become one
    /// set, objects without constant keys one object, anything else alternatives.
    pub(crate) fn merge(&self, a: Type, b: Type) -> Type {
        match (&a, &b) {
            (Type::Unknown, _) => return b,
            (_, Type::Unknown) => return a,
            (Type::Object(object), Type::Object(other))
                if object.properties.is_empty() && other.properties.is_empty() =>
            {
                return match (object.rest(), other.rest()) {
                    (None, _) => b,
                    (_, None) => a,
                    (Some((key_a, value_a)), Some((key_b, value_b))) => {
                        let key = self.or(key_a, key_b);
                        Type::object(vec![], Some((key, self.merge(value_a, value_b))))
                    }
                };
            }
            (Type::Object(object), Type::OneOf(union)) | (Type::OneOf(union), Type::Object(object)) => {
                if let Some(merged) = self.merge_into(union, object) {
                    return merged;
                }
            }
            (Type::Set(a), Type::Set(b)) => return Type::set(self.or(a.members.clone(), b.members.clone())),
            _ => {}
        }
        self.or(a, b)
    }

    /// Merges an object without constant keys into the first of its kind in a union, if there is one.
    fn merge_into(&self, union: &Rc<OneOf>, object: &Object) -> Option<Type> {
        let (key, value) = object.rest().filter(|_| object.properties.is_empty())?;
        let (at, other, (other_key, other_value)) =
            union.types.iter().enumerate().find_map(|(at, kind)| match kind {
                Type::Object(other) if other.properties.is_empty() => Some((at, other, other.rest()?)),
                _ => None,
            })?;
        let rest = (self.or(other_key, key), self.or(other_value, value));
        self.changes.set(self.changes.get().saturating_add(1));
        let mut seen = HashSet::new();
        if self.reaches(&rest.0, other, &mut seen) || self.reaches(&rest.1, other, &mut seen) {
            // In OPA the type is part of itself from here on. Here it has the one it was as a part.
            let mut types = union.types.clone();
            if let Some(kind) = types.get_mut(at) {
                *kind = Type::object(vec![], Some(rest));
            }
            return Some(Type::one_of(types));
        }
        let extent = Extent::of_object(&other.properties, Some(&rest));
        let deeper = extent.depth.saturating_sub(other.extent.get().depth);
        self.deepened.set(self.deepened.get().saturating_add(deeper));
        if self.deepened.get() > MAX_DEPTH {
            self.spend_all();
        }
        other.extent.set(extent);
        other.rest.replace(Some(rest));
        Some(Type::OneOf(Rc::clone(union)))
    }

    /// Whether `object` is part of a type.
    fn reaches(&self, kind: &Type, object: &Rc<Object>, seen: &mut HashSet<usize>) -> bool {
        self.count(1);
        let mut any = |kind: &Type| self.reaches(kind, object, seen);
        match kind {
            Type::Array(array) => array.items.iter().chain([&array.rest]).any(any),
            Type::Object(other) if Rc::ptr_eq(other, object) => true,
            Type::Object(other) => {
                // What is shared is looked into once.
                seen.insert(Rc::as_ptr(other).addr())
                    && (other.properties.iter().any(|(_, kind)| self.reaches(kind, object, seen))
                        || other.rest().is_some_and(|(key, value)| {
                            self.reaches(&key, object, seen) || self.reaches(&value, object, seen)
                        }))
            }
            Type::Set(set) => any(&set.members),
            Type::OneOf(union) => union.types.iter().any(any),
            Type::Function(function) => function.operands.iter().chain([&function.result]).any(any),
            _ => false,
        }
    }

    /// The type of a document after all additions, first to last. What many rules may come to is taken in one go: one
    /// by one, each would copy what is there.
    pub(crate) fn add(&self, first: Type, more: Vec<Addition>) -> Type {
        let mut merged = first;
        let mut more = more.into_iter().peekable();
        while let Some(next) = more.next() {
            merged = match (&merged, next) {
                (Type::Object(object), Addition::Below(path, kind)) => {
                    let first = (path, kind);
                    let run = std::iter::from_fn(|| more.next_if(Addition::is_below)).filter_map(Addition::below);
                    self.extend(object, std::iter::once(first).chain(run))
                }
                (_, Addition::Below(..)) => continue,
                (Type::Set(set), Addition::Here(Type::Set(other))) => {
                    let first = [set.members.clone(), other.members.clone()];
                    let run = std::iter::from_fn(|| more.next_if(Addition::is_set)).filter_map(Addition::member);
                    Type::set(self.union(first.into_iter().chain(run)))
                }
                (Type::Object(object), Addition::Here(next))
                    if is_open(&merged) && object.rest().is_some() && is_plain(&next) =>
                {
                    let run = std::iter::from_fn(|| more.next_if(Addition::is_plain)).filter_map(Addition::rest);
                    let (keys, values): (Vec<_>, Vec<_>) =
                        object.rest().into_iter().chain(rest(&next)).chain(run).unzip();
                    let mut values = values.into_iter();
                    let first = values.next().unwrap_or_default();
                    let value = self.add(first, values.map(Addition::Here).collect());
                    Type::object(vec![], Some((self.union(keys), value)))
                }
                (_, Addition::Here(next)) if widens(&next) => {
                    let first = [merged, next];
                    let run = std::iter::from_fn(|| more.next_if(Addition::widens)).filter_map(Addition::here);
                    self.union(first.into_iter().chain(run))
                }
                (_, Addition::Here(next)) => self.merge(merged, next),
            };
        }
        merged
    }

    /// The type of an object that also has what other rules define at paths below it.
    fn extend(&self, object: &Object, below: impl Iterator<Item = (Vec<Type>, Type)>) -> Type {
        self.count(object.properties.len());
        let entry = |(path, kind): (Vec<Type>, Type)| {
            let mut path = path.into_iter();
            let key = path.next()?;
            Some((key, path.rev().fold(kind, |value, key| Type::object(vec![], Some((key, value))))))
        };
        let (keys, values): (Vec<_>, Vec<_>) = object.rest().into_iter().chain(below.filter_map(entry)).unzip();
        Type::object(object.properties.clone(), Some((self.union(keys), self.union(values))))
    }
}

/// What a rule adds to a document's type.
#[derive(Debug)]
pub(crate) enum Addition {
    /// It defines the document, or part of it.
    Here(Type),
    /// It defines something at a path of these keys. Only objects have that.
    Below(Vec<Type>, Type),
}

impl Addition {
    fn is_below(&self) -> bool {
        matches!(self, Self::Below(..))
    }

    fn is_set(&self) -> bool {
        matches!(self, Self::Here(Type::Set(_)))
    }

    fn is_plain(&self) -> bool {
        matches!(self, Self::Here(kind) if is_plain(kind))
    }

    fn widens(&self) -> bool {
        matches!(self, Self::Here(kind) if widens(kind))
    }

    fn below(self) -> Option<(Vec<Type>, Type)> {
        if let Self::Below(path, kind) = self { Some((path, kind)) } else { None }
    }

    fn here(self) -> Option<Type> {
        if let Self::Here(kind) = self { Some(kind) } else { None }
    }

    fn member(self) -> Option<Type> {
        if let Self::Here(Type::Set(set)) = self { Some(set.members.clone()) } else { None }
    }

    fn rest(self) -> Option<(Type, Type)> {
        rest(&self.here()?)
    }
}

fn rest(kind: &Type) -> Option<(Type, Type)> {
    if let Type::Object(object) = kind { object.rest() } else { None }
}

/// Whether this is an object without constant keys.
pub(crate) fn is_open(kind: &Type) -> bool {
    matches!(kind, Type::Object(object) if object.properties.is_empty())
}

/// Whether this is an object without constant keys that changes nothing where it is merged into another one.
pub(crate) fn is_plain(kind: &Type) -> bool {
    is_open(kind) && rest(kind).is_some_and(|(_, value)| widens(&value) || matches!(value, Type::Set(_)))
}

/// Whether merging this with anything makes alternatives of the two.
fn widens(kind: &Type) -> bool {
    match kind {
        Type::Null | Type::Boolean | Type::Number | Type::String | Type::Array(_) => true,
        Type::Object(object) => !object.properties.is_empty(),
        _ => false,
    }
}
