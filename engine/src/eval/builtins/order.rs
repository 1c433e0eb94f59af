//! Comparing, searching and sorting on a budget: in the order of values, with every step of it paid for.

use std::cmp::Ordering;

use super::budget::{Budget, Limit};
use crate::eval::value::{Number, Object, Set, Value};

/// How `a` compares with `b`.
///
/// Recurses by depth, which is bounded where values are made. What is shared equals itself, so it isn't looked through.
pub(super) fn order(budget: &mut Budget, a: &Value, b: &Value) -> Result<Ordering, Limit> {
    match (a, b) {
        (Value::Number(Number::Int(a)), Value::Number(Number::Int(b))) => Ok(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => number(budget, a, b),
        (Value::String(a), Value::String(b)) => {
            budget.read(a.len().min(b.len()))?;
            Ok(a.as_bytes().cmp(b.as_bytes()))
        }
        (Value::Array(a), Value::Array(b)) => items(budget, a.as_slice(), b.as_slice()),
        (Value::Set(a), Value::Set(b)) => items(budget, a.as_slice(), b.as_slice()),
        (Value::Object(a), Value::Object(b)) => entries(budget, a.entries(), b.entries()),
        _ => Ok(a.cmp(b)),
    }
}

pub(super) fn same(budget: &mut Budget, a: &Value, b: &Value) -> Result<bool, Limit> {
    match (a, b) {
        (Value::String(a), Value::String(b)) if a.len() != b.len() => Ok(false),
        _ => Ok(order(budget, a, b)?.is_eq()),
    }
}

/// Pays for whatever is done with one number. It has a bounded number of digits, those that its exponent stands for included.
pub(super) fn pay(budget: &mut Budget, number: &Number) -> Result<(), Limit> {
    let Number::Text(_) = number else { return budget.step(1) };
    let text = number.to_string();
    let exponent = text.split_once(['e', 'E']).and_then(|(_, exponent)| exponent.parse::<i32>().ok());
    budget.step(32 + (text.len() as u64 + u64::from(exponent.unwrap_or(0).unsigned_abs())) / 4)
}

/// Where `wanted` is among `items`, which are sorted by their keys.
pub(super) fn find<T>(
    budget: &mut Budget,
    items: &[T],
    key: impl Fn(&T) -> &Value,
    wanted: &Value,
) -> Result<Option<usize>, Limit> {
    Ok(search(budget, items, key, wanted)?.ok())
}

/// Like [`find`], and gives the place to insert it if it isn't there.
pub(super) fn search<T>(
    budget: &mut Budget,
    items: &[T],
    key: impl Fn(&T) -> &Value,
    wanted: &Value,
) -> Result<Result<usize, usize>, Limit> {
    let mut rest = 0..items.len();
    while !rest.is_empty() {
        let middle = rest.start.midpoint(rest.end);
        let Some(item) = items.get(middle) else { break };
        budget.step(1)?;
        match order(budget, key(item), wanted)? {
            Ordering::Equal => return Ok(Ok(middle)),
            Ordering::Less => rest.start = middle + 1,
            Ordering::Greater => rest.end = middle,
        }
    }
    Ok(Err(rest.start))
}

/// The member of `set` that equals `wanted`.
pub(super) fn member<'a>(budget: &mut Budget, set: &'a Set, wanted: &Value) -> Result<Option<&'a Value>, Limit> {
    let found = find(budget, set.as_slice(), |member| member, wanted)?;
    Ok(found.and_then(|found| set.as_slice().get(found)))
}

/// What stands in `object` under `key`.
pub(super) fn lookup<'a>(budget: &mut Budget, object: &'a Object, key: &Value) -> Result<Option<&'a Value>, Limit> {
    if let Value::String(key) = key {
        budget.step(2)?;
        budget.read(key.len())?;
        return Ok(object.get_str(key));
    }
    let found = find(budget, object.entries(), |(key, _)| key, key)?;
    Ok(found.and_then(|found| object.entries().get(found)).map(|(_, value)| value))
}

/// The set of `items`; of equal ones the first.
pub(super) fn set_of(budget: &mut Budget, mut items: Vec<Value>) -> Result<Value, Limit> {
    sort(budget, &mut items, |item| item)?;
    let mut kept: Vec<Value> = Vec::with_capacity(items.len());
    for item in items {
        match kept.last() {
            Some(last) if same(budget, last, &item)? => {}
            _ => kept.push(item),
        }
    }
    Ok(Value::set(kept))
}

/// Sorts by key; those with equal keys stay in order. What consists of a few sorted runs is sorted in little time.
pub(super) fn sort<T: Clone>(budget: &mut Budget, items: &mut Vec<T>, key: impl Fn(&T) -> &Value) -> Result<(), Limit> {
    budget.alloc(items.len().saturating_mul(4 * size_of::<usize>()))?;
    let mut less = |a: usize, b: usize| {
        budget.step(2)?;
        match (items.get(a), items.get(b)) {
            (Some(a), Some(b)) => Ok(order(budget, key(a), key(b))?.is_lt()),
            _ => Ok(false),
        }
    };
    let mut runs = runs(items.len(), &mut less)?;
    if runs.len() <= 1 {
        return Ok(());
    }
    while runs.len() > 1 {
        let mut merged = Vec::with_capacity(runs.len().div_ceil(2));
        let mut rest = runs.into_iter();
        while let Some(left) = rest.next() {
            merged.push(match rest.next() {
                Some(right) => merge(&left, &right, &mut less)?,
                None => left,
            });
        }
        runs = merged;
    }
    *items = runs.iter().flatten().filter_map(|place| items.get(*place).cloned()).collect();
    Ok(())
}

/// Sorts as Go's `slices.SortFunc` does: equal values that are written differently, such as `1` and `1.0`, come to stand
/// where they stand in OPA.
///
/// Pattern-defeating quicksort as in `slices/zsortanyfunc.go` of Go 1.26.
pub(super) fn sort_as_go(budget: &mut Budget, items: &mut [Value]) -> Result<(), Limit> {
    let end = items.len();
    let limit = usize::BITS - end.leading_zeros();
    Quicksort { budget, items }.sort(0, end, limit)
}

// === Comparing ===

fn number(budget: &mut Budget, a: &Number, b: &Number) -> Result<Ordering, Limit> {
    pay(budget, a)?;
    pay(budget, b)?;
    Ok(a.cmp(b))
}

fn items(budget: &mut Budget, a: &[Value], b: &[Value]) -> Result<Ordering, Limit> {
    if std::ptr::eq(a, b) {
        return Ok(Ordering::Equal);
    }
    for (a, b) in a.iter().zip(b) {
        budget.step(1)?;
        let order = order(budget, a, b)?;
        if order.is_ne() {
            return Ok(order);
        }
    }
    Ok(a.len().cmp(&b.len()))
}

/// Pair by pair in the order of the keys, then by length.
fn entries(budget: &mut Budget, a: &[(Value, Value)], b: &[(Value, Value)]) -> Result<Ordering, Limit> {
    if std::ptr::eq(a, b) {
        return Ok(Ordering::Equal);
    }
    for ((key_a, value_a), (key_b, value_b)) in a.iter().zip(b) {
        budget.step(1)?;
        let keys = order(budget, key_a, key_b)?;
        let pairs = if keys.is_eq() { order(budget, value_a, value_b)? } else { keys };
        if pairs.is_ne() {
            return Ok(pairs);
        }
    }
    Ok(a.len().cmp(&b.len()))
}

// === Sorting ===

type Less<'a> = &'a mut dyn FnMut(usize, usize) -> Result<bool, Limit>;

/// The places below `count`, cut where what stands there decreases.
fn runs(count: usize, less: Less<'_>) -> Result<Vec<Vec<usize>>, Limit> {
    let mut runs: Vec<Vec<usize>> = Vec::new();
    for place in 0..count {
        match runs.last_mut() {
            Some(run) if !less(place, place - 1)? => run.push(place),
            _ => runs.push(vec![place]),
        }
    }
    Ok(runs)
}

/// Of equal ones, those of `left` come first.
fn merge(left: &[usize], right: &[usize], less: Less<'_>) -> Result<Vec<usize>, Limit> {
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.iter().copied().peekable(), right.iter().copied().peekable());
    while let (Some(&a), Some(&b)) = (left.peek(), right.peek()) {
        merged.push(if less(b, a)? {
            right.next();
            b
        } else {
            left.next();
            a
        });
    }
    merged.extend(left);
    merged.extend(right);
    Ok(merged)
}

struct Quicksort<'a> {
    budget: &'a mut Budget,
    items: &'a mut [Value],
}

#[derive(PartialEq, Clone, Copy)]
enum Hint {
    Increasing,
    Decreasing,
    None,
}

impl Quicksort<'_> {
    fn less(&mut self, a: usize, b: usize) -> Result<bool, Limit> {
        self.budget.step(2)?;
        match (self.items.get(a), self.items.get(b)) {
            (Some(a), Some(b)) => Ok(order(self.budget, a, b)?.is_lt()),
            _ => Ok(false),
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        if a.max(b) < self.items.len() {
            self.items.swap(a, b);
        }
    }

    /// Recurses into the smaller part only.
    fn sort(&mut self, mut start: usize, mut end: usize, mut limit: u32) -> Result<(), Limit> {
        let (mut was_balanced, mut was_partitioned) = (true, true);
        loop {
            let length = end - start;
            if length <= 12 {
                return self.insertion_sort(start, end);
            }
            if limit == 0 {
                return self.heap_sort(start, end);
            }
            if !was_balanced {
                self.break_patterns(start, end);
                limit -= 1;
            }
            let (mut pivot, mut hint) = self.choose_pivot(start, end)?;
            if hint == Hint::Decreasing {
                self.reverse(start, end);
                pivot = (end - 1) - (pivot - start);
                hint = Hint::Increasing;
            }
            let maybe_sorted = was_balanced && was_partitioned && hint == Hint::Increasing;
            if maybe_sorted && self.partial_insertion_sort(start, end)? {
                return Ok(());
            }
            // As many as equal what stands before are in their place already.
            if start > 0 && !self.less(start - 1, pivot)? {
                start = self.partition_equal(start, end, pivot)?;
                continue;
            }
            let (middle, already_partitioned) = self.partition(start, end, pivot)?;
            was_partitioned = already_partitioned;
            let (left, right) = (middle - start, end - middle);
            was_balanced = left.min(right) >= length / 8;
            if left < right {
                self.sort(start, middle, limit)?;
                start = middle + 1;
            } else {
                self.sort(middle + 1, end, limit)?;
                end = middle;
            }
        }
    }

    fn insertion_sort(&mut self, start: usize, end: usize) -> Result<(), Limit> {
        for i in start + 1..end {
            let mut at = i;
            while at > start && self.less(at, at - 1)? {
                self.swap(at, at - 1);
                at -= 1;
            }
        }
        Ok(())
    }

    fn heap_sort(&mut self, start: usize, end: usize) -> Result<(), Limit> {
        let length = end - start;
        for root in (0..=(length - 1) / 2).rev() {
            self.sift_down(root, length, start)?;
        }
        for last in (0..length).rev() {
            self.swap(start, start + last);
            self.sift_down(0, last, start)?;
        }
        Ok(())
    }

    fn sift_down(&mut self, mut root: usize, end: usize, first: usize) -> Result<(), Limit> {
        loop {
            let mut child = 2 * root + 1;
            if child >= end {
                return Ok(());
            }
            if child + 1 < end && self.less(first + child, first + child + 1)? {
                child += 1;
            }
            if !self.less(first + root, first + child)? {
                return Ok(());
            }
            self.swap(first + root, first + child);
            root = child;
        }
    }

    /// Puts what is less than the pivot before it, and the rest behind.
    fn partition(&mut self, start: usize, end: usize, pivot: usize) -> Result<(usize, bool), Limit> {
        self.swap(start, pivot);
        let (mut left, mut right) = (start + 1, end - 1);
        self.narrow(start, &mut left, &mut right)?;
        if left > right {
            self.swap(right, start);
            return Ok((right, true));
        }
        loop {
            self.swap(left, right);
            left += 1;
            right -= 1;
            self.narrow(start, &mut left, &mut right)?;
            if left > right {
                self.swap(right, start);
                return Ok((right, false));
            }
        }
    }

    /// Skips what is on its side already.
    fn narrow(&mut self, pivot: usize, left: &mut usize, right: &mut usize) -> Result<(), Limit> {
        while *left <= *right && self.less(*left, pivot)? {
            *left += 1;
        }
        while *left <= *right && !self.less(*right, pivot)? {
            *right -= 1;
        }
        Ok(())
    }

    /// Puts what equals the pivot before what is greater; nothing is less.
    fn partition_equal(&mut self, start: usize, end: usize, pivot: usize) -> Result<usize, Limit> {
        self.swap(start, pivot);
        let (mut left, mut right) = (start + 1, end - 1);
        loop {
            while left <= right && !self.less(start, left)? {
                left += 1;
            }
            while left <= right && self.less(start, right)? {
                right -= 1;
            }
            if left > right {
                return Ok(left);
            }
            self.swap(left, right);
            left += 1;
            right -= 1;
        }
    }

    /// Whether a few steps were enough to sort it.
    fn partial_insertion_sort(&mut self, start: usize, end: usize) -> Result<bool, Limit> {
        const MAX_STEPS: usize = 5;
        const SHORTEST_SHIFTING: usize = 50;
        let mut at = start + 1;
        for _ in 0..MAX_STEPS {
            while at < end && !self.less(at, at - 1)? {
                at += 1;
            }
            if at == end {
                return Ok(true);
            }
            if end - start < SHORTEST_SHIFTING {
                return Ok(false);
            }
            self.swap(at, at - 1);
            if at - start >= 2 {
                let mut smaller = at - 1;
                while smaller >= 1 && self.less(smaller, smaller - 1)? {
                    self.swap(smaller, smaller - 1);
                    smaller -= 1;
                }
            }
            if end - at >= 2 {
                let mut greater = at + 1;
                while greater < end && self.less(greater, greater - 1)? {
                    self.swap(greater, greater - 1);
                    greater += 1;
                }
            }
        }
        Ok(false)
    }

    /// Scatters some elements: Go seeds its xorshift with the length, so this is no randomness.
    fn break_patterns(&mut self, start: usize, end: usize) {
        let length = end - start;
        if length < 8 {
            return;
        }
        let mut random = length as u64;
        let bits = u64::BITS - random.leading_zeros();
        let mask = 1_u64.checked_shl(bits).map_or(u64::MAX, |power| power - 1);
        let middle = start + (length / 4) * 2;
        for place in middle - 1..=middle + 1 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let mut other = usize::try_from(random & mask).unwrap_or(0);
            if other >= length {
                other -= length;
            }
            self.swap(place, start + other);
        }
    }

    fn choose_pivot(&mut self, start: usize, end: usize) -> Result<(usize, Hint), Limit> {
        const SHORTEST_NINTHER: usize = 50;
        const MAX_SWAPS: usize = 4 * 3;
        let length = end - start;
        let mut swaps = 0;
        let quarter = |n: usize| start + length / 4 * n;
        let (mut i, mut j, mut k) = (quarter(1), quarter(2), quarter(3));
        if length >= 8 {
            if length >= SHORTEST_NINTHER {
                i = self.median(i - 1, i, i + 1, &mut swaps)?;
                j = self.median(j - 1, j, j + 1, &mut swaps)?;
                k = self.median(k - 1, k, k + 1, &mut swaps)?;
            }
            j = self.median(i, j, k, &mut swaps)?;
        }
        let hint = match swaps {
            0 => Hint::Increasing,
            MAX_SWAPS => Hint::Decreasing,
            _ => Hint::None,
        };
        Ok((j, hint))
    }

    fn median(&mut self, a: usize, b: usize, c: usize, swaps: &mut usize) -> Result<usize, Limit> {
        let (a, b) = self.ordered(a, b, swaps)?;
        let (b, _) = self.ordered(b, c, swaps)?;
        let (_, b) = self.ordered(a, b, swaps)?;
        Ok(b)
    }

    fn ordered(&mut self, a: usize, b: usize, swaps: &mut usize) -> Result<(usize, usize), Limit> {
        if self.less(b, a)? {
            *swaps += 1;
            return Ok((b, a));
        }
        Ok((a, b))
    }

    fn reverse(&mut self, start: usize, end: usize) {
        if let Some(part) = self.items.get_mut(start..end) {
            part.reverse();
        }
    }
}

#[cfg(test)]
pub(super) mod testing {
    //! Calls of builtins as tests write them: JSON, and `{"$set": [..]}` and `{"$object": [[key, value], ..]}` for what JSON
    //! doesn't have.

    use std::collections::HashMap;
    use std::time::Duration;

    use super::super::budget::Limits;
    use super::super::patterns::Patterns;
    use super::super::{Budget, Context, Failure, Function};
    use crate::eval::value::{Value, json};

    pub(in super::super) fn value(text: &str) -> Value {
        decoded(&json::read(text, json::DATA).unwrap_or_else(|error| panic!("{text}: {error}")))
    }

    /// What a call gives: the value in Rego's notation, or how it fails.
    pub(in super::super) fn text_of(call: impl FnOnce(&mut Context<'_>) -> Result<Value, Failure>) -> String {
        let limits = Limits { steps: 1 << 24, bytes: 1 << 24, time: Duration::from_secs(60) };
        let (mut budget, mut memo, patterns) = (Budget::new(limits), HashMap::new(), Patterns::default());
        let mut ctx = Context { budget: &mut budget, now_ns: 0, memo: &mut memo, patterns: &patterns };
        match call(&mut ctx) {
            Ok(value) => value.to_string(),
            Err(Failure::Undefined) => "undefined".to_owned(),
            Err(Failure::Operand(message)) => format!("operand: {message}"),
            Err(Failure::Error(_)) => "error".to_owned(),
            Err(Failure::Unsupported(_)) => "unsupported".to_owned(),
            Err(Failure::Limit(limit)) => format!("limit: {limit}"),
        }
    }

    /// Calls by name, with operands and what they give.
    pub(in super::super) fn check(functions: &[(&str, Function)], cases: &[(&str, &[&str], &str)]) {
        assert!(functions.is_sorted_by(|(a, _), (b, _)| a < b));
        for (name, operands, expected) in cases {
            let function = functions.iter().find(|(known, _)| known == name).map(|(_, function)| function).unwrap();
            let values: Vec<Value> = operands.iter().map(|operand| value(operand)).collect();
            let got = text_of(|ctx| function(ctx, &values.iter().collect::<Vec<_>>()));
            assert_eq!(got, *expected, "{name} {operands:?}");
        }
    }

    fn decoded(value: &Value) -> Value {
        match value {
            Value::Array(array) => Value::array(array.iter().map(decoded).collect()),
            Value::Object(object) => match object.entries() {
                [(Value::String(tag), Value::Array(items))] if &**tag == "$set" => {
                    Value::set(items.iter().map(decoded).collect())
                }
                [(Value::String(tag), Value::Array(pairs))] if &**tag == "$object" => {
                    let part = |pair: &Value, at: i64| decoded(pair.get(&Value::from(at)).unwrap());
                    Value::object(pairs.iter().map(|pair| (part(pair, 0), part(pair, 1))).collect())
                }
                entries => Value::object(entries.iter().map(|(key, item)| (key.clone(), decoded(item))).collect()),
            },
            scalar => scalar.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::budget::Limits;
    use super::testing::value;
    use super::*;
    use std::time::Duration;

    fn budget() -> Budget {
        Budget::new(Limits { steps: 1 << 24, bytes: 1 << 24, time: Duration::from_secs(60) })
    }

    #[test]
    fn agrees_with_the_order_of_values() {
        let values = [
            "null",
            "false",
            "true",
            "-1",
            "0",
            "1",
            "1.0",
            "1.5",
            r#""""#,
            r#""a""#,
            r#""ab""#,
            "[]",
            "[1]",
            "[1, 2]",
            "[2]",
            "{}",
            r#"{"a": 1}"#,
            r#"{"a": 1, "b": 0}"#,
            r#"{"a": 2}"#,
            r#"{"b": 0}"#,
            r#"{"$set": []}"#,
            r#"{"$set": [1]}"#,
        ]
        .map(value);
        let mut budget = budget();
        for a in &values {
            for b in &values {
                assert_eq!(order(&mut budget, a, b).unwrap(), a.cmp(b), "{a} {b}");
                assert_eq!(same(&mut budget, a, b).unwrap(), a == b, "{a} {b}");
            }
        }
    }

    #[test]
    fn sorting_is_stable() {
        let mut budget = budget();
        let mut pairs: Vec<(Value, usize)> = (0..1000).map(|i| (Value::from((i * 7919) % 10), i)).collect();
        sort(&mut budget, &mut pairs, |(key, _)| key).unwrap();
        assert!(pairs.is_sorted_by(|a, b| (&a.0, a.1) < (&b.0, b.1)));
    }

    #[test]
    fn go_sorts_whatever_the_pattern() {
        let patterns: [fn(i64) -> i64; 6] = [
            |i| i,
            |i| -i,
            |i| i % 7,
            |i| (i * 7919) % 1009,
            |i| (i - 500).abs(),
            |i| if i % 100 == 0 { -i } else { i },
        ];
        for pattern in patterns {
            let mut items: Vec<Value> = (0..1000).map(|i| Value::from(pattern(i))).collect();
            sort_as_go(&mut budget(), &mut items).unwrap();
            assert!(items.is_sorted());
        }
    }

    #[test]
    fn what_is_shared_is_compared_at_once() {
        let mut value = Value::Null;
        for _ in 0..100 {
            value = Value::array(vec![value.clone(), value]);
        }
        assert_eq!(same(&mut budget(), &value, &value.clone()), Ok(true));
    }

    #[test]
    fn comparing_is_paid_for() {
        let doubled = || (0..100).fold(Value::Null, |value, _| Value::array(vec![value.clone(), value]));
        assert_eq!(same(&mut budget(), &doubled(), &doubled()), Err(Limit::Steps));
    }
}
