//! The types of documents that several rules define.
//!
//! Where OPA merges an object type into alternatives it widens it in place, and with it all that shares it. Here what
//! shares it stays as it was: a part of such a document may be narrower than OPA has it.

use super::{Object, OneOf, Type, Types};

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
                return match (&object.rest, &other.rest) {
                    (None, _) => b,
                    (_, None) => a,
                    (Some((key_a, value_a)), Some((key_b, value_b))) => {
                        let key = self.or(key_a.clone(), key_b.clone());
                        Type::object(vec![], Some((key, self.merge(value_a.clone(), value_b.clone()))))
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

    /// Merges an object without constant keys into the first of its kind, if there is one.
    fn merge_into(&self, union: &OneOf, object: &Object) -> Option<Type> {
        let (key, value) = object.rest.as_ref().filter(|_| object.properties.is_empty())?;
        let (at, (other_key, other_value)) = union.types.iter().enumerate().find_map(|(at, kind)| match kind {
            Type::Object(other) if other.properties.is_empty() => Some((at, other.rest.as_ref()?)),
            _ => None,
        })?;
        let key = self.or(other_key.clone(), key.clone());
        let value = self.or(other_value.clone(), value.clone());
        let others = union.types.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, kind)| kind.clone());
        let merged = self.union(others.chain([Type::object(vec![], Some((key, value)))]));
        // A union stays one, though it may have become a union of one.
        Some(if merged.is_union() { merged } else { Type::one_of(vec![merged]) })
    }

    /// What [`merge`](Self::merge) makes of `first` and all of `more`, first to last.
    pub(crate) fn merge_all(&self, first: Type, more: Vec<Type>) -> Type {
        let mut merged = first;
        let mut more = more.into_iter().peekable();
        while let Some(next) = more.next() {
            // Runs of what only ever widens a union, or a set's members, are taken in one go.
            if let (Type::Set(a), Type::Set(b)) = (&merged, &next) {
                let sets = std::iter::from_fn(|| match more.next_if(|kind| matches!(kind, Type::Set(_)))? {
                    Type::Set(set) => Some(set.members.clone()),
                    _ => None,
                });
                let members = [a.members.clone(), b.members.clone()].into_iter().chain(sets).collect::<Vec<_>>();
                merged = Type::set(self.union(members));
            } else if widens(&next) {
                let first = [merged, next];
                let run = std::iter::from_fn(|| more.next_if(widens));
                merged = self.union(first.into_iter().chain(run).collect::<Vec<_>>());
            } else {
                merged = self.merge(merged, next);
            }
        }
        merged
    }

    /// The type of an object that also has what other rules define below it: `kind` at a path of these keys.
    pub(crate) fn insert(&self, object: &Object, path: &[Type], kind: &Type) -> Type {
        let Some((key, path)) = path.split_first() else {
            return Type::object(object.properties.clone(), object.rest.clone());
        };
        let value = path.iter().rev().fold(kind.clone(), |value, key| Type::object(vec![], Some((key.clone(), value))));
        let rest = match &object.rest {
            Some((keys, values)) => (self.or(keys.clone(), key.clone()), self.or(values.clone(), value)),
            None => (key.clone(), value),
        };
        self.count(object.properties.len());
        Type::object(object.properties.clone(), Some(rest))
    }
}

/// Whether merging this with anything makes alternatives of the two.
fn widens(kind: &Type) -> bool {
    match kind {
        Type::Null | Type::Boolean | Type::Number | Type::String | Type::Array(_) => true,
        Type::Object(object) => !object.properties.is_empty(),
        _ => false,
    }
}
