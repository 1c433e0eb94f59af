//! Giving types to variables: what a statement that holds says of them.

use super::Checker;
use super::env::Env;
use super::terms::{compare, constant, entries, members};
use crate::eval::compile::types::{Array, Object, Type, json_key};
use crate::eval::syntax::ast::{Term, TermKind};

impl Checker<'_> {
    /// Whether two terms of these types can be equal.
    pub(super) fn unify(&self, env: &Env<'_>, a: &Term, kind_a: &Type, b: &Term, kind_b: &Type) -> bool {
        match (kind_a.has_unknown(), kind_b.has_unknown()) {
            (true, false) => return self.infer(env, a, kind_b, false),
            (false, true) => return self.infer(env, b, kind_a, false),
            (false, false) => return self.types.unifies(kind_a, kind_b),
            (true, true) => {}
        }
        match (&a.kind, &b.kind) {
            (TermKind::Array(items_a), TermKind::Array(items_b)) => {
                return items_a.len() == items_b.len()
                    && items_a.iter().zip(items_b).all(|(a, b)| self.unify_terms(env, a, b));
            }
            (TermKind::Object(object_a), TermKind::Object(object_b)) => {
                let (entries_a, entries_b) = (entries(object_a), entries(object_b));
                let same_key = |((a, _), (b, _)): (&&(Term, Term), &&(Term, Term))| compare(a, b).is_eq();
                return entries_a.len() == entries_b.len()
                    && entries_a.iter().zip(&entries_b).all(same_key)
                    && entries_a.iter().zip(&entries_b).all(|((_, a), (_, b))| self.unify_terms(env, a, b));
            }
            (TermKind::Array(_) | TermKind::Object(_), TermKind::Var(_)) => return self.infer_both(env, a, b),
            (TermKind::Array(_) | TermKind::Object(_), _) => return false,
            (TermKind::Var(_), TermKind::Array(_) | TermKind::Object(_)) => return self.infer_both(env, b, a),
            (TermKind::Var(_), TermKind::Var(_)) => return self.infer_both(env, a, b),
            (TermKind::Var(_), TermKind::Ref(_)) => return self.infer(env, a, &Type::Any, false),
            (TermKind::Ref(_), TermKind::Var(_)) => return self.infer(env, b, &Type::Any, false),
            _ => {}
        }
        // A comprehension of which something is known still says that much of a variable.
        match (&a.kind, kind_a, &b.kind, kind_b) {
            (TermKind::Var(_), Type::Unknown, _, known) if !known.is_unknown() => self.infer(env, a, known, false),
            (_, known, TermKind::Var(_), Type::Unknown) if !known.is_unknown() => self.infer(env, b, known, false),
            _ => false,
        }
    }

    fn unify_terms(&self, env: &Env<'_>, a: &Term, b: &Term) -> bool {
        let (kind_a, kind_b) = (self.type_of(env, a), self.type_of(env, b));
        self.unify(env, a, &kind_a, b, &kind_b)
    }

    /// What nothing is known of may be anything; then `b` has the type of `a`.
    fn infer_both(&self, env: &Env<'_>, a: &Term, b: &Term) -> bool {
        self.infer(env, a, &Type::Any, false) && self.infer(env, b, &self.type_of(env, a), false)
    }

    /// Whether a term can be of this type; its variables get the types they then have. With `widen`, this is one of
    /// several types, and variables may have types already.
    pub(super) fn infer(&self, env: &Env<'_>, term: &Term, kind: &Type, widen: bool) -> bool {
        self.types.count(1);
        if self.types.is_spent() {
            return true;
        }
        match &term.kind {
            TermKind::Array(items) => match kind {
                Type::Array(array) => self.infer_array(env, items, array, widen),
                Type::Any => {
                    items.iter().for_each(|item| {
                        self.infer(env, item, &Type::Any, true);
                    });
                    true
                }
                other => self.infer_any(env, term, other),
            },
            TermKind::Object(object) => match kind {
                Type::Object(kind) => self.infer_object(env, object, kind, widen),
                Type::Any => {
                    for (key, value) in entries(object) {
                        self.infer(env, key, &Type::Any, true);
                        self.infer(env, value, &Type::Any, true);
                    }
                    true
                }
                other => self.infer_any(env, term, other),
            },
            TermKind::Set(set) => match kind {
                Type::Set(kind) => members(set).into_iter().all(|member| self.infer(env, member, &kind.members, widen)),
                Type::Any => {
                    members(set).into_iter().for_each(|member| {
                        self.infer(env, member, &Type::Any, true);
                    });
                    true
                }
                other => self.infer_any(env, term, other),
            },
            TermKind::Var(var) => {
                let known = self.type_of_var(env, var);
                if widen {
                    let either = self.types.or(known, kind.clone());
                    env.put(var, self.types.admit(either));
                } else if known.is_unknown() {
                    env.put(var, self.types.admit(kind.clone()));
                } else {
                    return self.types.unifies(&known, kind);
                }
                true
            }
            _ => self.types.unifies(&self.type_of(env, term), kind),
        }
    }

    /// Every alternative that fits counts.
    fn infer_any(&self, env: &Env<'_>, term: &Term, kind: &Type) -> bool {
        let Type::OneOf(union) = kind else { return false };
        union.types.iter().filter(|kind| self.infer(env, term, kind, true)).count() > 0
    }

    fn infer_array(&self, env: &Env<'_>, items: &[Term], kind: &Array, widen: bool) -> bool {
        if items.len() != kind.items.len() && kind.rest.is_unknown() {
            return false;
        }
        items.iter().enumerate().all(|(index, item)| self.infer(env, item, kind.item(index), widen))
    }

    fn infer_object(&self, env: &Env<'_>, object: &[(Term, Term)], kind: &Object, widen: bool) -> bool {
        let entries = entries(object);
        if entries.len() != kind.properties.len() && kind.rest_value().is_unknown() {
            return false;
        }
        entries.into_iter().all(|(key, value)| match constant(key) {
            Some(key) => match kind.select(&self.types, &json_key(&key)) {
                Type::Unknown => false,
                selected => self.infer(env, value, &selected, widen),
            },
            // Which properties the key may be of isn't looked at.
            None => {
                self.infer(env, value, &Type::Any, widen);
                true
            }
        })
    }
}
