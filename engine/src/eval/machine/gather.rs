//! Results of many solutions: a rule's one value, sets, objects, arrays. What is certain is kept apart from what isn't.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::context::Outcome;
use super::slot::{Item, Partly, Slot};
use crate::eval::plan::Gathering;
use crate::eval::value::{Object, Set, Value};

/// How many different values are remembered of a result that may be one of several.
pub(super) const MAX_CANDIDATES: usize = 8;

/// Two values where there can be one only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Disagree;

/// What adding a result came to.
pub(super) type Added = Result<MayHalt, Disagree>;

/// Whether there may be a conflict, depending on what isn't known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MayHalt(pub(super) bool);

impl MayHalt {
    const NO: Self = Self(false);
    const YES: Self = Self(true);
}

// === One value ===

/// The value of a complete rule or a function.
#[derive(Debug, Default)]
pub(super) struct One<'p> {
    value: Option<Slot<'p>>,
    /// Values it may have instead.
    candidates: Vec<Value>,
    /// Whether there may be others than those.
    open: bool,
    default: Option<Slot<'p>>,
}

impl<'p> One<'p> {
    pub(super) fn add(&mut self, value: Slot<'p>, maybe: bool) -> Added {
        if maybe {
            match value.as_known() {
                Some(known) if self.candidates.contains(known) => {}
                Some(known) if self.candidates.len() < MAX_CANDIDATES => self.candidates.push(known.clone()),
                _ => self.open = true,
            }
            return Ok(MayHalt::NO);
        }
        match (&self.value, value.as_known()) {
            (None, _) => {
                self.value = Some(value);
                Ok(MayHalt::NO)
            }
            (Some(old), Some(new)) if old.as_known().is_some() => {
                if old.as_known() == Some(new) {
                    Ok(MayHalt::NO)
                } else {
                    Err(Disagree)
                }
            }
            // One of the two isn't known.
            _ => {
                self.value = Some(Slot::unknown());
                Ok(MayHalt::YES)
            }
        }
    }

    pub(super) fn add_default(&mut self, value: Slot<'p>) {
        self.default = Some(value);
    }

    /// Whether nothing was added yet.
    pub(super) fn is_empty(&self) -> bool {
        self.value.is_none() && self.candidates.is_empty()
    }

    /// Whether some definition certainly holds.
    pub(super) fn is_decided(&self) -> bool {
        self.value.is_some()
    }

    pub(super) fn finish(self) -> (Outcome<'p>, MayHalt) {
        let Self { value, mut candidates, open, default } = self;
        if let Some(value) = value {
            // Whatever else holds either agrees or conflicts.
            let agrees = !open && candidates.iter().all(|candidate| value.as_known() == Some(candidate));
            return (Outcome::value(value), MayHalt(!agrees));
        }
        if !open && candidates.is_empty() {
            return (Outcome { value: default, maybe: false }, MayHalt::NO);
        }
        let may_halt = MayHalt(open || candidates.len() > 1);
        match (default, open) {
            (None, false) => {
                let outcome = match candidates.as_slice() {
                    [_] => candidates.pop().map(Slot::Own),
                    _ => Some(Slot::Unknown(Some(candidates.into()))),
                };
                (Outcome { value: outcome, maybe: true }, may_halt)
            }
            (Some(default), false) => {
                if let Some(known) = default.as_known() {
                    if candidates.iter().all(|candidate| candidate == known) {
                        return (Outcome::value(default), may_halt);
                    }
                    if !candidates.contains(known) {
                        candidates.push(known.clone());
                    }
                    return (Outcome::value(Slot::Unknown(Some(candidates.into()))), may_halt);
                }
                (Outcome::value(Slot::unknown()), may_halt)
            }
            (default, true) => (Outcome { value: Some(Slot::unknown()), maybe: default.is_none() }, may_halt),
        }
    }
}

// === Sets ===

#[derive(Debug, Default)]
pub(super) struct Members {
    known: Vec<Value>,
    maybe: Vec<Value>,
    open: bool,
}

impl Members {
    pub(super) fn add(&mut self, member: Slot<'_>, maybe: bool) {
        match member.into_known() {
            Some(member) if maybe => self.maybe.push(member),
            Some(member) => self.known.push(member),
            None => self.open = true,
        }
    }

    pub(super) fn finish<'p>(self) -> Slot<'p> {
        let known = Set::from(self.known);
        let mut maybe = self.maybe;
        maybe.retain(|member| !known.contains(member));
        if maybe.is_empty() && !self.open {
            return Slot::Own(Value::Set(known));
        }
        let item = |key: &Value, maybe| Item { key: key.clone(), value: Some(key.clone()), maybe };
        let mut items: Vec<Item> = known.iter().map(|member| item(member, false)).collect();
        items.extend(Set::from(maybe).iter().map(|member| item(member, true)));
        Slot::Partly(Rc::new(Partly { is_set: true, items, open: self.open }))
    }
}

// === Objects of any depth ===

/// A partial document while its definitions are evaluated.
#[derive(Debug)]
pub(super) enum Tree {
    Leaf(Leaf),
    Set(Members),
    Branch(Branch),
}

/// A value at the end of a path; none if it isn't known.
#[derive(Debug)]
pub(super) struct Leaf {
    value: Option<Value>,
    maybe: bool,
}

#[derive(Debug, Default)]
pub(super) struct Branch {
    children: BTreeMap<Value, Tree>,
    /// Whether there may be children whose keys aren't known.
    open: bool,
}

impl Branch {
    /// Adds a value, or a member of a set, at a path. Recurses by the path's length, which the parser bounds.
    pub(super) fn add(&mut self, path: &[Slot<'_>], value: Slot<'_>, multi: bool, maybe: bool) -> Added {
        let Some((key, rest)) = path.split_first() else { return Ok(MayHalt::NO) };
        let Some(key) = key.as_known() else {
            // Any of the children may get a second value.
            self.open = true;
            return Ok(MayHalt::YES);
        };
        let added = match self.children.get_mut(key) {
            Some(child) => child.add(rest, value, multi, maybe)?,
            None => {
                let (child, added) = Tree::new(rest, value, multi, maybe)?;
                self.children.insert(key.clone(), child);
                added
            }
        };
        Ok(MayHalt(added.0 || self.open))
    }

    pub(super) fn finish<'p>(self) -> Slot<'p> {
        let mut items = vec![];
        let mut certain = !self.open;
        for (key, child) in self.children {
            let (value, maybe) = child.finish();
            certain &= value.is_some() && !maybe;
            items.push(Item { key, value, maybe });
        }
        if !certain {
            return Slot::Partly(Rc::new(Partly { is_set: false, items, open: self.open }));
        }
        let entries = items.into_iter().filter_map(|item| Some((item.key, item.value?)));
        Slot::Own(Value::object(entries.collect()))
    }
}

impl Tree {
    fn new(rest: &[Slot<'_>], value: Slot<'_>, multi: bool, maybe: bool) -> Result<(Self, MayHalt), Disagree> {
        if !rest.is_empty() {
            let mut branch = Branch::default();
            let added = branch.add(rest, value, multi, maybe)?;
            return Ok((Self::Branch(branch), added));
        }
        if multi {
            let mut members = Members::default();
            members.add(value, maybe);
            return Ok((Self::Set(members), MayHalt::NO));
        }
        Ok((Self::Leaf(Leaf { value: value.into_known(), maybe }), MayHalt::NO))
    }

    fn add(&mut self, rest: &[Slot<'_>], value: Slot<'_>, multi: bool, maybe: bool) -> Added {
        match self {
            Self::Branch(branch) if !rest.is_empty() => branch.add(rest, value, multi, maybe),
            Self::Set(members) if rest.is_empty() && multi => {
                members.add(value, maybe);
                Ok(MayHalt::NO)
            }
            Self::Leaf(leaf) if rest.is_empty() && !multi => leaf.add(value, maybe),
            // A value and a document at one path.
            _ if maybe || self.is_doubtful() => {
                *self = Self::Leaf(Leaf { value: None, maybe: true });
                Ok(MayHalt::YES)
            }
            _ => Err(Disagree),
        }
    }

    fn is_doubtful(&self) -> bool {
        match self {
            Self::Leaf(leaf) => leaf.maybe,
            Self::Set(members) => members.known.is_empty(),
            Self::Branch(branch) => branch.children.values().all(Self::is_doubtful),
        }
    }

    /// The value, if it is known, and whether it may not be there.
    fn finish(self) -> (Option<Value>, bool) {
        let maybe = self.is_doubtful();
        match self {
            Self::Leaf(leaf) => (leaf.value, leaf.maybe),
            Self::Set(members) => (members.finish().into_known(), maybe),
            Self::Branch(branch) => (branch.finish().into_known(), maybe),
        }
    }
}

impl Leaf {
    fn add(&mut self, value: Slot<'_>, maybe: bool) -> Added {
        let same = match (&self.value, value.as_known()) {
            (Some(old), Some(new)) => Some(old == new),
            _ => None,
        };
        match same {
            Some(true) => {
                self.maybe &= maybe;
                Ok(MayHalt::NO)
            }
            Some(false) if !self.maybe && !maybe => Err(Disagree),
            _ => {
                self.value = None;
                self.maybe &= maybe;
                Ok(MayHalt::YES)
            }
        }
    }
}

// === Comprehensions ===

/// What a comprehension has gathered.
#[derive(Debug)]
pub(super) enum Gathered {
    /// Whether all of the array is known.
    Array(Vec<Value>, bool),
    Set(Members),
    /// Entries, until one of them is in doubt.
    Object {
        entries: Vec<(Value, Value)>,
        doubtful: Option<Branch>,
    },
}

impl Gathered {
    pub(super) fn new(what: Gathering) -> Self {
        match what {
            Gathering::Array => Self::Array(vec![], true),
            Gathering::Set => Self::Set(Members::default()),
            Gathering::Object => Self::Object { entries: vec![], doubtful: None },
        }
    }

    pub(super) fn add(&mut self, key: Option<Slot<'_>>, value: Slot<'_>, maybe: bool) -> Added {
        match self {
            Self::Array(items, known) => {
                match value.into_known() {
                    Some(value) if !maybe => items.push(value),
                    // How long it is isn't known either.
                    _ => *known = false,
                }
                Ok(MayHalt::NO)
            }
            Self::Set(members) => {
                members.add(value, maybe);
                Ok(MayHalt::NO)
            }
            Self::Object { entries, doubtful } => {
                let key = key.unwrap_or_default();
                if doubtful.is_none() && !maybe && key.as_known().is_some() && value.as_known().is_some() {
                    entries.extend(key.into_known().zip(value.into_known()));
                    return Ok(MayHalt::NO);
                }
                let branch = match doubtful {
                    Some(branch) => branch,
                    // From here on entries have to be looked at one by one.
                    None => {
                        let mut branch = Branch::default();
                        for (key, value) in entries.drain(..) {
                            branch.add(&[Slot::Own(key)], Slot::Own(value), false, false)?;
                        }
                        doubtful.insert(branch)
                    }
                };
                branch.add(&[key], value, false, maybe)
            }
        }
    }

    pub(super) fn finish<'p>(self) -> Result<Slot<'p>, Disagree> {
        match self {
            Self::Array(items, true) => Ok(Slot::Own(Value::array(items))),
            Self::Array(_, false) => Ok(Slot::unknown()),
            Self::Set(members) => Ok(members.finish()),
            Self::Object { doubtful: Some(branch), .. } => Ok(branch.finish()),
            Self::Object { entries, .. } => {
                Object::distinct(entries).map(|object| Slot::Own(Value::Object(object))).map_err(|_| Disagree)
            }
        }
    }
}
