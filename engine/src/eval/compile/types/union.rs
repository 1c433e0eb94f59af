//! Alternatives: sorted lists of types.

use std::cmp::Ordering;

use super::{Function, Type, Types};

impl Types {
    /// The type of values of either type. Nothing is known of what is a function or a value.
    pub(crate) fn or(&self, a: Type, b: Type) -> Type {
        match (a, b) {
            (Type::Unknown, other) | (other, Type::Unknown) => other,
            (Type::Function(a), Type::Function(b)) => self.either_function(&a, &b),
            (Type::Function(_), _) | (_, Type::Function(_)) => Type::Unknown,
            (Type::Any, _) | (_, Type::Any) => Type::Any,
            (Type::OneOf(a), Type::OneOf(b)) => self.either_union(&a.types, &b.types),
            (Type::OneOf(union), other) | (other, Type::OneOf(union)) => match self.search(&union.types, &other) {
                Ok(_) => Type::OneOf(union),
                Err(at) => {
                    self.count(union.types.len());
                    let mut types = union.types.clone();
                    types.insert(at, other);
                    Type::one_of(types)
                }
            },
            (a, b) => match self.compare(&a, &b) {
                Ordering::Equal => a,
                Ordering::Less => Type::one_of(vec![a, b]),
                Ordering::Greater => Type::one_of(vec![b, a]),
            },
        }
    }

    fn either_function(&self, a: &Function, b: &Function) -> Type {
        if a.operands.len() != b.operands.len() || a.variadic.is_unknown() != b.variadic.is_unknown() {
            return Type::Unknown;
        }
        let operands = a.operands.iter().zip(&b.operands).map(|(a, b)| self.or(a.clone(), b.clone())).collect();
        let result = self.or(a.result.clone(), b.result.clone());
        Type::function(operands, self.or(a.variadic.clone(), b.variadic.clone()), result)
    }

    /// Merges two sorted lists.
    fn either_union(&self, a: &[Type], b: &[Type]) -> Type {
        self.count(a.len() + b.len());
        let (mut left, mut right) = (a.iter().peekable(), b.iter().peekable());
        let mut types = Vec::with_capacity(a.len().max(b.len()));
        while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
            let order = self.compare(a, b);
            let (from_left, from_right) = (left.next_if(|_| order.is_le()), right.next_if(|_| order.is_ge()));
            types.extend(from_left.or(from_right).cloned());
        }
        types.extend(left.chain(right).cloned());
        Type::one_of(types)
    }

    /// Where a type is in a union, or would have to be. Where it isn't sorted any more, this finds what OPA finds.
    pub(super) fn search(&self, types: &[Type], kind: &Type) -> Result<usize, usize> {
        let (mut at, mut end) = (0, types.len());
        while at < end {
            let middle = usize::midpoint(at, end);
            match types.get(middle) {
                Some(other) if self.compare(other, kind).is_lt() => at = middle + 1,
                _ => end = middle,
            }
        }
        match types.get(at) {
            Some(found) if self.compare(found, kind).is_eq() => Ok(at),
            _ => Err(at),
        }
    }

    /// What [`or`](Self::or) makes of all of them, first to last; in one go, because one by one is quadratic.
    pub(crate) fn union(&self, types: impl IntoIterator<Item = Type>) -> Type {
        let mut function = Type::Unknown;
        let mut scalars = Scalars::default();
        let mut others: Vec<Type> = vec![];
        let (mut any, mut is_union) = (false, false);
        let mut types = types.into_iter();
        while let Some(kind) = types.next() {
            self.count(1);
            if let Type::OneOf(union) = &kind
                && self.changes() > 0
                && !union.types.is_sorted_by(|a, b| self.compare(a, b).is_lt())
            {
                let before = self.sorted_union(any, is_union, function, &scalars, others);
                return types.fold(self.or(before, kind), |union, kind| self.or(union, kind));
            }
            if kind.is_unknown() {
                continue;
            }
            if !function.is_unknown() {
                function = self.or(function, kind);
                continue;
            }
            match kind {
                Type::Function(_) => {
                    if !any && scalars.is_empty() && others.is_empty() {
                        function = kind;
                    }
                    (any, is_union, scalars) = (false, false, Scalars::default());
                    others.clear();
                }
                Type::Any => any = true,
                Type::OneOf(union) => {
                    is_union = true;
                    union.types.iter().for_each(|member| scalars.take(member, &mut others));
                }
                other => scalars.take(&other, &mut others),
            }
        }
        self.sorted_union(any, is_union, function, &scalars, others)
    }

    /// One function, or the union of scalars and others.
    fn sorted_union(&self, any: bool, is_union: bool, function: Type, scalars: &Scalars, others: Vec<Type>) -> Type {
        if any {
            return Type::Any;
        }
        if !function.is_unknown() {
            return function;
        }
        let mut others = self.sorted(others);
        others.dedup_by(|later, kept| self.compare(later, kept).is_eq());
        let mut types = scalars.types();
        types.append(&mut others);
        match types.len() {
            0 => Type::Unknown,
            1 if !is_union => types.pop().unwrap_or_default(),
            _ => Type::one_of(types),
        }
    }

    /// Sorts by merging: without steps there is no order, and `sort_by` may panic then.
    pub(crate) fn sorted(&self, mut types: Vec<Type>) -> Vec<Type> {
        if types.is_sorted_by(|a, b| self.compare(a, b).is_le()) {
            return types;
        }
        let back = types.split_off(types.len() / 2);
        let mut front = self.sorted(types).into_iter().peekable();
        let mut back = self.sorted(back).into_iter().peekable();
        let mut merged = Vec::with_capacity(front.len() + back.len());
        while let (Some(a), Some(b)) = (front.peek(), back.peek()) {
            let from_front = self.compare(a, b).is_le();
            merged.extend(if from_front { front.next() } else { back.next() });
        }
        merged.extend(front.chain(back));
        merged
    }
}

/// Which scalars a union has: most of what a large literal holds.
#[derive(Debug, Default)]
struct Scalars {
    null: bool,
    boolean: bool,
    number: bool,
    string: bool,
}

impl Scalars {
    fn take(&mut self, kind: &Type, others: &mut Vec<Type>) {
        match kind {
            Type::Null => self.null = true,
            Type::Boolean => self.boolean = true,
            Type::Number => self.number = true,
            Type::String => self.string = true,
            other => others.push(other.clone()),
        }
    }

    fn is_empty(&self) -> bool {
        !(self.null || self.boolean || self.number || self.string)
    }

    /// In the order of types.
    fn types(&self) -> Vec<Type> {
        let all = [
            (self.null, Type::Null),
            (self.boolean, Type::Boolean),
            (self.number, Type::Number),
            (self.string, Type::String),
        ];
        all.into_iter().filter(|(has, _)| *has).map(|(_, kind)| kind).collect()
    }
}
