//! What stands in a slot while a plan runs.

use std::rc::Rc;

use super::context::Outcome;
use super::document::{Document, Keys};
use super::gather::{Gathered, MAX_CANDIDATES};
use crate::eval::value::Value;

/// The content of a slot. `'p` is the plan's, the data's and the input's: what is read from them is never copied.
#[derive(Debug, Default)]
pub(super) enum Slot<'p> {
    #[default]
    Empty,
    /// A value that outlives the evaluation.
    Ref(&'p Value),
    /// A value that was made by it.
    Own(Value),
    /// A value that `with` put into `data`: unlike data that is held, it isn't looked up by texts.
    Put(Value),
    /// A value that isn't known; if it is one of a few, which.
    Unknown(Option<Rc<[Value]>>),
    /// A set or an object of which a part is known.
    Partly(Rc<Partly>),
    /// A document of `data` that isn't followed to its end yet.
    Document(Box<Document<'p>>),
    /// How far a loop is.
    Loop(Turn),
    /// The same, over a document.
    Keys(Box<Keys>),
    /// What was in force when a body within began, and what came of it.
    Mark(Mark),
    /// What is gathered so far.
    Gathered(Box<Gathered>),
    /// The context before a `with`.
    Context(u32),
}

/// A loop's next turn, and the state in which each turn begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    pub(super) next: u32,
    pub(super) maybe: bool,
    pub(super) many: bool,
    pub(super) context: u32,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) maybe: bool,
    pub(super) within: bool,
    pub(super) many: bool,
    pub(super) context: u32,
    pub(super) found: Found,
}

/// Whether there is a solution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Found {
    No,
    /// Depending on what isn't known.
    Maybe,
    Yes,
}

/// A set or an object of which a part is known.
#[derive(Debug)]
pub(super) struct Partly {
    pub(super) is_set: bool,
    pub(super) items: Vec<Item>,
    /// Whether there may be more than `items`.
    pub(super) open: bool,
}

/// A member, or an entry.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) key: Value,
    /// An entry's value; none if it isn't known. A member's is itself.
    pub(super) value: Option<Value>,
    /// Whether it may not be there.
    pub(super) maybe: bool,
}

/// What an operation sees of its operand.
#[derive(Clone, Copy)]
pub(super) enum View<'a> {
    Known(&'a Value),
    Unknown,
    Partly(&'a Partly),
}

impl Partly {
    /// How many there may be, if that is one of a few numbers.
    pub(super) fn count<'p>(&self) -> Option<Slot<'p>> {
        let least = self.items.iter().filter(|item| !item.maybe).count();
        let most = self.items.len();
        match most - least {
            _ if self.open => None,
            0 => Some(Slot::Own(Value::from(least))),
            doubtful if doubtful < MAX_CANDIDATES => {
                Some(Slot::Unknown(Some((least..=most).map(Value::from).collect())))
            }
            _ => None,
        }
    }

    /// What is under a key.
    pub(super) fn get<'p>(&self, key: &Value) -> Outcome<'p> {
        match self.items.iter().find(|item| item.key == *key) {
            Some(item) => {
                Outcome { value: Some(item.value.clone().map_or_else(Slot::unknown, Slot::Own)), maybe: item.maybe }
            }
            None if self.open => Outcome::unknown(),
            None => Outcome::UNDEFINED,
        }
    }
}

impl<'p> Slot<'p> {
    pub(super) fn unknown() -> Self {
        Self::Unknown(None)
    }

    /// Another of the same, for what is a value.
    pub(super) fn share(&self) -> Self {
        match self {
            Self::Ref(value) => Self::Ref(value),
            Self::Own(value) => Self::Own(value.clone()),
            Self::Put(value) => Self::Put(value.clone()),
            Self::Unknown(candidates) => Self::Unknown(candidates.clone()),
            Self::Partly(partly) => Self::Partly(Rc::clone(partly)),
            Self::Document(document) => Self::Document(Box::new(document.share())),
            _ => Self::Empty,
        }
    }

    pub(super) fn view(&self) -> View<'_> {
        match self {
            Self::Ref(value) => View::Known(value),
            Self::Own(value) | Self::Put(value) => View::Known(value),
            Self::Partly(partly) => View::Partly(partly),
            _ => View::Unknown,
        }
    }

    pub(super) fn as_known(&self) -> Option<&Value> {
        match self {
            Self::Ref(value) => Some(value),
            Self::Own(value) | Self::Put(value) => Some(value),
            _ => None,
        }
    }

    /// The value itself, if it is known.
    pub(super) fn into_known(self) -> Option<Value> {
        match self {
            Self::Ref(value) => Some(value.clone()),
            Self::Own(value) | Self::Put(value) => Some(value),
            _ => None,
        }
    }
}
