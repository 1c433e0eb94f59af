//! Compiled patterns, shared by all evaluations of a program.
//!
//! What a program names itself is compiled when it is loaded, and stays. What it gets from data or a request is
//! compiled when it is needed, and kept for a while: at most some hundred patterns of a few megabytes. No evaluation
//! waits for another one: who can't have the store at once compiles for itself.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, TryLockError};
use std::time::Duration;

use super::budget::Limits;
use super::glob::Glob;
use super::operand::{self, wrong_element, wrong_type};
use super::re2::{Regex, Use};
use super::{Budget, Failure, regex};
use crate::eval::value::{Array, Value};

/// Bytes that all patterns of a program may take.
const MAX_CONSTANTS: usize = 24 << 20;
/// Patterns of a kind in one generation, and the bytes that they take. There are two generations.
const MAX_RECENT: usize = 128;
const MAX_RECENT_BYTES: usize = 4 << 20;
/// Bytes of a pattern that is worth keeping.
const MAX_KEPT: usize = 1 << 20;

/// What compiling a program's own pattern may take. Time is no matter: whether one is compiled mustn't depend on it.
const LOADING: Limits = Limits { steps: 20_000_000, bytes: 64 << 20, time: Duration::from_secs(600) };

/// Steps that compiling all of a program's own patterns may take, but for the last one. The others are compiled when they
/// are needed: a load mustn't keep its host waiting.
const MAX_LOADING: u64 = 90_000_000;

/// A program's patterns.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    regexes: Store<(), Regex>,
    globs: Store<Box<[char]>, Glob>,
    /// `regex.template_match`'s, by their delimiters.
    templates: Store<(u8, u8), Regex>,
    /// What the constant ones take.
    bytes: usize,
    /// What compiling them took.
    steps: u64,
}

/// What separates the parts of a text that a `*` matches within: the operand of `glob.match`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Delimiters<'a> {
    /// `null`
    None,
    /// `[]`
    Dot,
    /// Strings of one character each.
    Given(&'a Array),
}

/// A compiled pattern, for as long as it is used.
pub(super) enum Handle<'a, T> {
    Constant(&'a T),
    Recent(Arc<T>),
}

/// Patterns of one kind, by their text and whatever else they depend on.
#[derive(Debug)]
struct Store<V, T> {
    constants: Variants<V, Result<T, Failure>>,
    recent: Mutex<Recent<V, T>>,
}

type Variants<V, T> = HashMap<Box<str>, Vec<(V, T)>>;

/// Patterns that were used lately. When the young ones have become many, they are the old ones, and the old ones go.
#[derive(Debug)]
struct Recent<V, T> {
    young: Generation<V, T>,
    old: Generation<V, T>,
}

#[derive(Debug)]
struct Generation<V, T> {
    patterns: Variants<V, Arc<T>>,
    count: usize,
    bytes: usize,
}

trait Compiled {
    /// About how many bytes it takes.
    fn size(&self) -> usize;
}

impl Compiled for Regex {
    fn size(&self) -> usize {
        self.bytes()
    }
}

impl Compiled for Glob {
    fn size(&self) -> usize {
        self.bytes()
    }
}

// === impl Patterns ===

impl Patterns {
    /// Compiles the pattern of a call of `builtin`, as far as its operands are known and there is room. A pattern that
    /// doesn't compile fails where it is used.
    pub(crate) fn prepare(&mut self, builtin: &str, operands: &[Option<&Value>]) {
        let text = |at: usize| operands.get(at).copied().flatten().and_then(Value::as_str);
        let room = self.bytes < MAX_CONSTANTS && self.steps < MAX_LOADING;
        let mut budget = Budget::new(LOADING);
        let added = match builtin {
            _ if !room => None,
            "regex.match" | "re_match" | "regex.split" | "regex.find_n" | "regex.find_all_string_submatch_n" => text(0)
                .map(|pattern| self.regexes.prepare(pattern, (), || Regex::new(pattern, Use::Constant, &mut budget))),
            "regex.replace" => text(1)
                .map(|pattern| self.regexes.prepare(pattern, (), || Regex::new(pattern, Use::Constant, &mut budget))),
            "regex.template_match" => text(0).zip(text(2)).zip(text(3)).and_then(|((template, start), end)| {
                let (&[start], &[end]) = (start.as_bytes(), end.as_bytes()) else { return None };
                let make = || regex::template(template, (start, end), Use::Constant, &mut budget);
                Some(self.templates.prepare(template, (start, end), make))
            }),
            "glob.match" => text(0).zip(operands.get(1).copied().flatten()).and_then(|(pattern, delimiters)| {
                let chars = Delimiters::new(&[delimiters], 1).ok()?.chars();
                let make = || Glob::new(pattern, &chars, &mut budget);
                Some(self.globs.prepare(pattern, chars.clone().into(), make))
            }),
            _ => None,
        };
        self.bytes = self.bytes.saturating_add(added.unwrap_or(0));
        self.steps = self.steps.saturating_add(LOADING.steps.saturating_sub(budget.steps_left()));
    }

    /// Whether a glob that the program names was compiled when it was loaded.
    pub(crate) fn has_glob(&self, pattern: &str, delimiters: &Value) -> bool {
        let Ok(delimiters) = Delimiters::new(&[delimiters], 1) else { return false };
        let variants = self.globs.constants.get(pattern);
        variants.into_iter().flatten().any(|(chars, made)| delimiters.are(chars) && made.is_ok())
    }

    pub(super) fn regex(&self, pattern: &str, budget: &mut Budget) -> Result<Handle<'_, Regex>, Failure> {
        self.regexes.get(pattern, |()| true, || Ok(((), Regex::new(pattern, Use::Passing, budget)?)))
    }

    pub(super) fn template(
        &self,
        template: &str,
        delimiters: (u8, u8),
        budget: &mut Budget,
    ) -> Result<Handle<'_, Regex>, Failure> {
        let make = || Ok((delimiters, regex::template(template, delimiters, Use::Passing, budget)?));
        self.templates.get(template, |known| *known == delimiters, make)
    }

    pub(super) fn glob(
        &self,
        pattern: &str,
        delimiters: Delimiters<'_>,
        budget: &mut Budget,
    ) -> Result<Handle<'_, Glob>, Failure> {
        let make = || {
            let chars = delimiters.chars();
            let glob = Glob::new(pattern, &chars, budget)?;
            Ok((chars.into(), glob))
        };
        self.globs.get(pattern, |chars| delimiters.are(chars), make)
    }
}

// === impl Delimiters ===

impl<'a> Delimiters<'a> {
    /// The operand at `position`.
    ///
    /// # Errors
    /// It isn't what it has to be.
    pub(super) fn new(args: &[&'a Value], position: usize) -> Result<Self, Failure> {
        let value = operand::operand(args, position)?;
        let array = match value {
            Value::Null => return Ok(Self::None),
            Value::Array(array) if array.len() == 0 => return Ok(Self::Dot),
            Value::Array(array) => array,
            other => return Err(wrong_type(position, other, &["array", "null"])),
        };
        for item in array.iter() {
            let text = item.as_str().ok_or_else(|| wrong_element(position, value, item, &["string"]))?;
            single(text).ok_or_else(|| wrong_element(position, value, item, &["rune"]))?;
        }
        Ok(Self::Given(array))
    }

    fn iter(self) -> impl Iterator<Item = char> {
        let (dot, given) = match self {
            Self::None => (None, None),
            Self::Dot => (Some('.'), None),
            Self::Given(array) => (None, Some(array)),
        };
        let given = given.into_iter().flat_map(|array| array.iter());
        dot.into_iter().chain(given.filter_map(|item| single(item.as_str()?)))
    }

    fn chars(self) -> Vec<char> {
        self.iter().collect()
    }

    fn are(self, chars: &[char]) -> bool {
        self.iter().eq(chars.iter().copied())
    }
}

fn single(text: &str) -> Option<char> {
    let mut chars = text.chars();
    chars.next().filter(|_| chars.as_str().is_empty())
}

impl<T> Deref for Handle<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Constant(pattern) => pattern,
            Self::Recent(pattern) => pattern,
        }
    }
}

// === impl Store ===

impl<V, T> Default for Store<V, T> {
    fn default() -> Self {
        let recent = Recent { young: Generation::default(), old: Generation::default() };
        Self { constants: HashMap::new(), recent: Mutex::new(recent) }
    }
}

impl<V: PartialEq, T: Compiled> Store<V, T> {
    /// Adds a pattern for good, and gives its size.
    fn prepare(&mut self, text: &str, variant: V, make: impl FnOnce() -> Result<T, Failure>) -> usize {
        let variants = self.constants.entry(text.into()).or_default();
        if variants.iter().any(|(known, _)| *known == variant) {
            return 0;
        }
        let made = make();
        let size = text.len() + made.as_ref().map_or(0, Compiled::size);
        variants.push((variant, made));
        size
    }

    fn get(
        &self,
        text: &str,
        is: impl Fn(&V) -> bool,
        make: impl FnOnce() -> Result<(V, T), Failure>,
    ) -> Result<Handle<'_, T>, Failure> {
        if let Some(variants) = self.constants.get(text)
            && let Some((_, made)) = variants.iter().find(|(variant, _)| is(variant))
        {
            return made.as_ref().map(Handle::Constant).map_err(Clone::clone);
        }
        if let Some(pattern) = self.with_recent(|recent| recent.get(text, is)).flatten() {
            return Ok(Handle::Recent(pattern));
        }
        let (variant, pattern) = make()?;
        let pattern = Arc::new(pattern);
        let size = pattern.size();
        if size <= MAX_KEPT {
            // What is dropped for it, is when the store is free again.
            let _dropped = self.with_recent(|recent| recent.put(text, variant, Arc::clone(&pattern), size));
        }
        Ok(Handle::Recent(pattern))
    }

    /// None if another evaluation has the store.
    fn with_recent<R>(&self, f: impl FnOnce(&mut Recent<V, T>) -> R) -> Option<R> {
        match self.recent.try_lock() {
            Ok(mut recent) => Some(f(&mut recent)),
            // Whoever panicked left nothing half done that matters here.
            Err(TryLockError::Poisoned(poisoned)) => Some(f(&mut poisoned.into_inner())),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl<V, T> Recent<V, T> {
    fn get(&mut self, text: &str, is: impl Fn(&V) -> bool) -> Option<Arc<T>> {
        let known = |generation: &Generation<V, T>| {
            let variants = generation.patterns.get(text)?;
            variants.iter().find(|(variant, _)| is(variant)).map(|(_, pattern)| Arc::clone(pattern))
        };
        known(&self.young).or_else(|| known(&self.old))
    }
}

impl<V, T: Compiled> Recent<V, T> {
    /// Adds a pattern, and gives those that have to go.
    fn put(&mut self, text: &str, variant: V, pattern: Arc<T>, size: usize) -> Option<Generation<V, T>> {
        let young = &mut self.young;
        let full = young.count >= MAX_RECENT || young.bytes + size > MAX_RECENT_BYTES;
        let dropped = full.then(|| std::mem::replace(&mut self.old, std::mem::take(young)));
        young.count += 1;
        young.bytes += size + text.len();
        young.patterns.entry(text.into()).or_default().push((variant, pattern));
        dropped
    }
}

impl<V, T> Default for Generation<V, T> {
    fn default() -> Self {
        Self { patterns: HashMap::new(), count: 0, bytes: 0 }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::eval::builtins::{Context, Function};
    use crate::eval::value::json;

    /// What a builtin makes of `operands`, and of what kind it is. With or without its pattern compiled before.
    pub(in crate::eval::builtins) fn call(
        functions: &[(&str, Function)],
        name: &str,
        operands: &str,
        prepared: bool,
    ) -> String {
        let Value::Array(operands) = json::read(operands, json::GO).unwrap() else { panic!("{operands}") };
        let mut patterns = Patterns::default();
        if prepared {
            patterns.prepare(name, &operands.iter().map(Some).collect::<Vec<_>>());
        }
        let (_, function) = functions.iter().find(|(known, _)| *known == name).unwrap();
        let operands: Vec<_> = operands.iter().collect();
        match function(&mut context(&mut budget(), &patterns, &mut HashMap::new()), &operands) {
            Ok(value) => format!("value {value}"),
            Err(Failure::Error(message)) => format!("error {message}"),
            Err(Failure::Operand(message)) => format!("operand {message}"),
            Err(other) => format!("{other:?}"),
        }
    }

    pub(in crate::eval::builtins) fn budget() -> Budget {
        Budget::new(Limits { steps: 5_000_000, bytes: 64 << 20, time: Duration::from_secs(60) })
    }

    fn context<'a>(
        budget: &'a mut Budget,
        patterns: &'a Patterns,
        memo: &'a mut HashMap<(&'static str, Value), Value>,
    ) -> Context<'a> {
        Context { budget, now_ns: 0, memo, patterns }
    }

    #[test]
    fn constants_stay_and_others_go() {
        let mut patterns = Patterns::default();
        let constant = Value::from("constant");
        patterns.prepare("regex.match", &[Some(&constant), None]);
        patterns.prepare("regex.match", &[Some(&Value::from("(")), None]);
        patterns.prepare("regex.match", &[None, Some(&constant)]);
        let budget = &mut budget();
        let is_constant =
            |text: &str, budget: &mut Budget| matches!(patterns.regex(text, budget), Ok(Handle::Constant(_)));
        for number in 0..1_000 {
            let Ok(Handle::Recent(first)) = patterns.regex(&format!("a{number}"), budget) else { panic!("{number}") };
            let Ok(Handle::Recent(again)) = patterns.regex(&format!("a{number}"), budget) else { panic!("{number}") };
            assert!(Arc::ptr_eq(&first, &again));
        }
        assert!(is_constant("constant", budget));
        assert!(!is_constant("other", budget));
        assert!(matches!(patterns.regex("(", budget), Err(Failure::Error(_))));
        let recent = patterns.regexes.recent.lock().unwrap();
        assert!(recent.young.count <= MAX_RECENT && recent.old.count <= MAX_RECENT);
    }

    #[test]
    fn who_finds_the_store_taken_compiles_for_itself() {
        let patterns = Patterns::default();
        let taken = patterns.regexes.recent.lock().unwrap();
        let budget = &mut budget();
        let first = patterns.regex("a+", budget).unwrap();
        assert_eq!(first.is_match("caat", budget), Ok(true));
        drop(taken);
        assert!(patterns.regexes.recent.lock().unwrap().get("a+", |()| true).is_none());
    }

    #[test]
    fn the_same_glob_with_other_delimiters() {
        let patterns = Patterns::default();
        let budget = &mut budget();
        for (delimiters, expected) in
            [("null", true), ("[]", false), (r#"["/"]"#, true), (r#"["/", "."]"#, false), ("null", true)]
        {
            let operand = json::read(delimiters, json::GO).unwrap();
            let delimiters = Delimiters::new(&[&operand], 1).unwrap();
            let glob = patterns.glob("*", delimiters, budget).unwrap();
            assert_eq!(glob.is_match("a.b", budget), Ok(expected), "{operand}");
        }
    }
}
