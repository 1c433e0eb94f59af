//! What the parser remembers of what it tried, so that it tries nothing twice, and so that it errs where OPA errs.
//!
//! OPA keeps the terms it has read by the place where they start, forgets those within and behind a term that it has read
//! since, and doesn't ask whether it would read the same again. That shows: a term is found that could not be read here
//! ([`TriedTerm::kind`]), or comes with errors that were taken back. [`Tried`] keeps the same places. The terms themselves
//! are read again, which takes no trying, because what failed within them is kept too.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::lexer::Kind;
use super::parser::State;

/// A term that was read, or wasn't there.
#[derive(Debug, Clone)]
pub(super) struct TriedTerm {
    /// Index of the token where it starts, …
    pub(super) at: u32,
    /// … and what that counted as.
    pub(super) kind: Kind,
    pub(super) found: bool,
    /// Where the parser was then.
    pub(super) end: State,
    /// Whether OPA has lost [`end`](Self::end): it goes on from there with the very state it keeps.
    pub(super) lost: Rc<Cell<bool>>,
}

#[derive(Debug)]
enum Change {
    Added,
    Removed(TriedTerm),
}

/// Terms that an attempt has left behind.
pub(super) type Leftover = Rc<[TriedTerm]>;

#[derive(Debug, Default)]
pub(super) struct Tried {
    /// In the order of the text.
    terms: Vec<TriedTerm>,
    /// Changes to `terms` since the first of the marks.
    changes: Vec<Change>,
    marks: usize,
    /// Keywords that were recalled as names.
    pub(super) names: HashSet<u32>,
    /// Terms around this place that are being read again.
    pub(super) rereading: usize,
    /// What follows this `|` is not a comprehension's body.
    pub(super) comprehensions: HashMap<u32, Leftover>,
    /// What follows this comma is not `value in collection`.
    pub(super) members: HashMap<u32, Leftover>,
    /// This `(` is no group of statements, as an operand or not.
    pub(super) groups: HashMap<(u32, bool), Leftover>,
    /// This `{` is no body that `and` or `or` follows.
    pub(super) bodies: HashSet<u32>,
}

impl Tried {
    pub(super) fn term(&self, at: u32) -> Option<&TriedTerm> {
        let found = self.terms.binary_search_by_key(&at, |term| term.at).ok()?;
        self.terms.get(found)
    }

    /// Those that start behind `at`.
    pub(super) fn terms_behind(&self, at: u32) -> &[TriedTerm] {
        let first = self.terms.partition_point(|term| term.at <= at);
        self.terms.get(first..).unwrap_or_default()
    }

    pub(super) fn add(&mut self, term: TriedTerm) {
        while let Some(last) = self.terms.pop_if(|last| last.at >= term.at) {
            if self.marks > 0 {
                self.changes.push(Change::Removed(last));
            }
        }
        if self.marks > 0 {
            self.changes.push(Change::Added);
        }
        self.terms.push(term);
    }

    /// To be followed by [`undo`](Self::undo) or [`keep`](Self::keep), with what this gave.
    pub(super) fn mark(&mut self) -> usize {
        self.marks += 1;
        self.changes.len()
    }

    /// Puts the terms back that there were at the mark.
    pub(super) fn undo(&mut self, mark: usize) {
        while self.changes.len() > mark {
            match self.changes.pop() {
                Some(Change::Removed(term)) => self.terms.push(term),
                _ => drop(self.terms.pop()),
            }
        }
        self.keep();
    }

    pub(super) fn keep(&mut self) {
        self.marks -= 1;
        if self.marks == 0 {
            self.changes.clear();
        }
    }
}
