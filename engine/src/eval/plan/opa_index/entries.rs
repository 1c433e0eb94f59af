//! What one definition asks, in the order of its statements, and found again by subject and by variable: so that a long
//! definition takes no more than its length.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::scalar_value;
use crate::eval::plan::Test;
use crate::eval::syntax::ast::{Term, TermKind, Var};
use crate::eval::value::Value;

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    pub(super) subject: usize,
    pub(super) wanted: Wanted,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Wanted {
    /// Anything; the variable stands for it from here on.
    Any(Var),
    Value(Value),
    Array(Vec<Option<Value>>),
    /// An array, as `glob.match` splits a text.
    Parts(Vec<Option<Value>>, Arc<str>),
    /// An object or a set.
    Composite(Value),
    Prefix(Arc<str>),
    Suffix(Arc<str>),
    Member(Value),
}

impl Wanted {
    pub(super) fn is_var(&self) -> bool {
        matches!(self, Self::Any(_))
    }

    pub(super) fn is_end(&self) -> bool {
        matches!(self, Self::Prefix(_) | Self::Suffix(_))
    }

    pub(super) fn is_composite(&self) -> bool {
        matches!(self, Self::Array(_) | Self::Parts(..) | Self::Composite(_))
    }

    /// A term that the index can hold.
    pub(super) fn of(term: &Term) -> Option<Self> {
        match &term.kind {
            TermKind::Var(var) => Some(Self::Any(var.clone())),
            TermKind::Array(items) => items
                .iter()
                .map(|item| match &item.kind {
                    TermKind::Var(_) => Some(None),
                    _ => scalar_value(item).map(Some),
                })
                .collect::<Option<_>>()
                .map(Self::Array),
            _ => scalar_value(term).map(Self::Value),
        }
    }

    pub(super) fn of_value(value: &Value) -> Self {
        match value {
            Value::Array(items) => {
                Self::Array(items.iter().map(|item| super::is_scalar(item).then(|| item.clone())).collect())
            }
            Value::Object(_) | Value::Set(_) => Self::Composite(value.clone()),
            _ => Self::Value(value.clone()),
        }
    }

    pub(super) fn test(&self) -> Test {
        match self {
            Self::Any(_) | Self::Composite(_) => Test::Defined,
            Self::Value(value) => Test::Equal(value.clone()),
            Self::Array(items) => Test::Array(items.as_slice().into()),
            Self::Parts(items, delimiters) => Test::Parts(items.as_slice().into(), Arc::clone(delimiters)),
            Self::Prefix(text) => Test::Prefix(Arc::clone(text)),
            Self::Suffix(text) => Test::Suffix(Arc::clone(text)),
            Self::Member(value) => Test::Member(value.clone()),
        }
    }
}

/// Whether some ask for one of several values, and whether these are ends of texts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Alternated {
    #[default]
    No,
    Values,
    Ends,
}

/// What came of adding a condition.
#[derive(Default)]
pub(super) struct Inserted {
    /// Nothing was asked about this subject before.
    pub(super) is_first: bool,
    pub(super) alternated: Alternated,
}

#[derive(Default)]
pub(super) struct Entries {
    list: Vec<Entry>,
    /// Where each stands first.
    places: HashMap<Entry, usize>,
    /// Where each variable stands for what is asked about.
    by_var: HashMap<Var, BTreeSet<usize>>,
    by_subject: HashMap<usize, OfSubject>,
    vars: usize,
}

/// Where conditions about one subject stand.
#[derive(Default)]
struct OfSubject {
    vars: BTreeSet<usize>,
    /// Those that aren't variables: how many, the first, and the first that is the end of a text.
    values: usize,
    first_value: Option<usize>,
    first_end: Option<usize>,
}

impl Entries {
    #[cfg(test)]
    fn list(&self) -> &[Entry] {
        &self.list
    }

    /// How many there are, and how many of them ask for nothing but a value.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.list.len(), self.vars)
    }

    /// The first subject that a variable stands for.
    pub(super) fn subject_of(&self, var: &Var) -> Option<usize> {
        let first = self.by_var.get(var)?.first()?;
        self.list.get(*first).map(|entry| entry.subject)
    }

    pub(super) fn insert(&mut self, entry: Entry) -> Inserted {
        let (is_var, is_end) = (entry.wanted.is_var(), entry.wanted.is_end());
        let known = self.by_subject.get(&entry.subject);
        // A value takes the place of a variable. The end of a text leaves the variable known that stands for the text.
        let replaced = known.filter(|_| !is_var && !is_end).and_then(|known| known.vars.first()).copied();
        let is_before = |at: &usize| replaced.is_none_or(|replaced| *at < replaced);
        if self.places.get(&entry).is_some_and(is_before) {
            return Inserted::default();
        }
        let has = |first: fn(&OfSubject) -> Option<usize>| known.and_then(first).as_ref().is_some_and(is_before);
        let (values, ends) = (has(|known| known.first_value), has(|known| known.first_end));
        let alternated = match () {
            () if is_var || !values => Alternated::No,
            () if is_end || ends => Alternated::Ends,
            () => Alternated::Values,
        };
        let is_first = known.is_none();
        match replaced {
            Some(at) => self.replace(at, entry),
            None => self.push(entry),
        }
        Inserted { is_first, alternated }
    }

    /// Adds conditions of which one has to hold. Tells whether several values are asked for now.
    pub(super) fn insert_all(&mut self, subject: usize, wanted: Vec<Wanted>) -> bool {
        for wanted in wanted {
            let entry = Entry { subject, wanted };
            if !self.places.contains_key(&entry) {
                self.push(entry);
            }
        }
        self.by_subject.get(&subject).is_some_and(|known| known.values > 1)
    }

    fn push(&mut self, entry: Entry) {
        let at = self.list.len();
        self.note(at, &entry);
        self.list.push(entry);
    }

    fn replace(&mut self, at: usize, entry: Entry) {
        if let Some(old) = self.list.get(at) {
            if let Wanted::Any(var) = &old.wanted {
                self.by_var.entry(var.clone()).or_default().remove(&at);
                self.vars -= 1;
            }
            self.places.remove(old);
            self.by_subject.entry(old.subject).or_default().vars.remove(&at);
        }
        self.note(at, &entry);
        if let Some(place) = self.list.get_mut(at) {
            *place = entry;
        }
    }

    fn note(&mut self, at: usize, entry: &Entry) {
        let first = self.places.entry(entry.clone()).or_insert(at);
        *first = at.min(*first);
        let known = self.by_subject.entry(entry.subject).or_default();
        if let Wanted::Any(var) = &entry.wanted {
            self.by_var.entry(var.clone()).or_default().insert(at);
            known.vars.insert(at);
            self.vars += 1;
            return;
        }
        let earliest = |known: Option<usize>| Some(known.map_or(at, |known| known.min(at)));
        known.values += 1;
        known.first_value = earliest(known.first_value);
        if entry.wanted.is_end() {
            known.first_end = earliest(known.first_end);
        }
    }

    /// Of what is no longer changed, the conditions alone.
    pub(super) fn into_list(self) -> Vec<Entry> {
        self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What OPA does with each, one after the other.
    #[derive(Default)]
    struct Plain(Vec<Entry>);

    impl Plain {
        fn insert(&mut self, entry: Entry) -> (bool, Alternated) {
            let mut seen = false;
            let mut alternated = Alternated::No;
            for at in 0..self.0.len() {
                let other = &self.0[at];
                if other.subject != entry.subject {
                    continue;
                }
                seen = true;
                if *other == entry {
                    return (false, Alternated::No);
                }
                match (entry.wanted.is_var(), other.wanted.is_var()) {
                    (false, true) if !entry.wanted.is_end() => {
                        self.0[at] = entry;
                        return (false, alternated);
                    }
                    (false, false) => {
                        let is_end = entry.wanted.is_end() || other.wanted.is_end();
                        alternated = alternated.max(if is_end { Alternated::Ends } else { Alternated::Values });
                    }
                    _ => {}
                }
            }
            self.0.push(entry);
            (!seen, alternated)
        }

        fn subject_of(&self, var: &Var) -> Option<usize> {
            let is_it = |entry: &&Entry| matches!(&entry.wanted, Wanted::Any(other) if other == var);
            self.0.iter().find(is_it).map(|entry| entry.subject)
        }
    }

    proptest::proptest! {
        #[test]
        fn is_as_if_all_were_gone_through(asked in proptest::collection::vec((0..3_usize, 0..7_u8), 0..40)) {
            let (mut plain, mut entries) = (Plain::default(), Entries::default());
            for (subject, kind) in asked {
                let wanted = match kind {
                    0..3 => Wanted::Any(Var::new(&format!("v{kind}"))),
                    3..5 => Wanted::Value(Value::from(if kind == 3 { "a" } else { "b" })),
                    5 => Wanted::Prefix("p".into()),
                    _ => Wanted::Suffix("s".into()),
                };
                let entry = Entry { subject, wanted };
                let inserted = entries.insert(entry.clone());
                assert_eq!(plain.insert(entry), (inserted.is_first, inserted.alternated));
                assert_eq!(plain.0, entries.list());
                assert_eq!(entries.size(), (plain.0.len(), plain.0.iter().filter(|entry| entry.wanted.is_var()).count()));
                for var in ["v0", "v1", "v2"].map(Var::new) {
                    assert_eq!(plain.subject_of(&var), entries.subject_of(&var));
                }
            }
        }
    }
}
