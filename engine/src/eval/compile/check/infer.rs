//! The types of terms, by what is known so far.

use super::Checker;
use super::env::{Env, Found};
use super::terms::{constant, entries};
use crate::eval::compile::types::{Type, json_key};
use crate::eval::syntax::ast::{Term, TermKind, Var};

impl Checker<'_> {
    pub(super) fn types_of(&self, env: &Env<'_>, terms: &[Term]) -> Vec<Type> {
        terms.iter().map(|term| self.type_of(env, term)).collect()
    }

    /// The term's type, with unknown parts where variables have none yet.
    pub(super) fn type_of(&self, env: &Env<'_>, term: &Term) -> Type {
        self.types.count(1);
        match &term.kind {
            TermKind::Null => Type::Null,
            TermKind::Bool(_) => Type::Boolean,
            TermKind::Number(_) => Type::Number,
            TermKind::String(_) | TermKind::Template(_) => Type::String,
            TermKind::Var(var) => self.type_of_var(env, var),
            TermKind::Ref(reference) => self.type_of_ref(env, reference),
            TermKind::Array(items) => Type::array(self.types_of(env, items), Type::Unknown),
            TermKind::Set(members) => Type::set(self.types.union(self.types_of(env, members))),
            TermKind::Object(object) => {
                let mut properties = vec![];
                let mut rest = None;
                for (key, value) in entries(object) {
                    match constant(key) {
                        Some(key) => properties.push((json_key(&key), self.type_of(env, value))),
                        // Of several keys that aren't constant, the last one makes the type.
                        None => rest = Some((self.type_of(env, key), self.type_of(env, value))),
                    }
                }
                Type::object(properties, rest)
            }
            TermKind::ArrayComprehension(item, body) => match self.body(env, body) {
                (inner, errors) if errors.is_empty() => Type::array(vec![], self.type_of(&inner, item)),
                _ => Type::Unknown,
            },
            TermKind::SetComprehension(member, body) => match self.body(env, body) {
                (inner, errors) if errors.is_empty() => Type::set(self.type_of(&inner, member)),
                _ => Type::Unknown,
            },
            TermKind::ObjectComprehension(key, value, body) => match self.body(env, body) {
                (inner, errors) if errors.is_empty() => {
                    Type::object(vec![], Some((self.type_of(&inner, key), self.type_of(&inner, value))))
                }
                _ => Type::Unknown,
            },
            // Moved to a statement of its own before types are checked.
            TermKind::Call(_) => Type::Unknown,
        }
    }

    /// The variable's type, unknown if it has none yet.
    pub(super) fn type_of_var(&self, env: &Env<'_>, var: &Var) -> Type {
        for level in env.levels() {
            self.types.count(1);
            if let Some(found) = level.find(var) {
                return found.kind(&self.types);
            }
        }
        Type::Unknown
    }

    /// The type of what a reference refers to: the first place that knows of all of its path, or of a part that has a
    /// type.
    pub(super) fn type_of_ref(&self, env: &Env<'_>, reference: &[Term]) -> Type {
        let Some((head, rest)) = reference.split_first() else { return Type::Unknown };
        let Some(root) = head.as_var() else { return Type::Unknown };
        for level in env.levels() {
            self.types.count(1);
            if let Some(found) = level.find(root)
                && let Some(kind) = self.type_below(found, rest)
            {
                return kind;
            }
        }
        if is_document(reference) { Type::Any } else { Type::Unknown }
    }

    /// The type at a path, unless the path leads to where nothing is known.
    fn type_below(&self, found: Found<'_>, path: &[Term]) -> Option<Type> {
        let mut found = found;
        let mut path = path.iter();
        loop {
            let rest = path.as_slice();
            let Some(term) = path.next() else { return Some(found.document(&self.types)) };
            self.types.count(1);
            let kind = found.kind(&self.types);
            let key = constant(term);
            let child = key.as_ref().and_then(|key| found.child(key));
            match (child, key) {
                (Some(child), _) => found = child,
                (None, _) if !kind.is_unknown() => return Some(self.select(kind, rest)),
                (None, None) => return Some(self.select(found.document(&self.types), rest)),
                (None, Some(_)) => return None,
            }
        }
    }

    /// The type of what lies at a path within a value; unknown if the value can't have anything there.
    fn select(&self, kind: Type, path: &[Term]) -> Type {
        let mut kind = kind;
        for term in path {
            if kind.is_unknown() {
                break;
            }
            kind = match &term.kind {
                TermKind::Var(_) | TermKind::Ref(_) | TermKind::Array(_) | TermKind::Object(_) | TermKind::Set(_) => {
                    if kind.is_empty_collection() {
                        return Type::Any;
                    }
                    self.types.values(&kind)
                }
                _ => self.select_constant(&kind, term),
            };
        }
        kind
    }

    /// The type of what lies under a constant key.
    pub(super) fn select_constant(&self, kind: &Type, term: &Term) -> Type {
        constant(term).map_or(Type::Unknown, |key| self.types.select(kind, &json_key(&key)))
    }
}

/// Whether the reference is to `input` or `data`, of which anything may be known elsewhere.
pub(super) fn is_document(reference: &[Term]) -> bool {
    reference.first().and_then(Term::as_var).is_some_and(|root| matches!(root.as_str(), "data" | "input"))
}
