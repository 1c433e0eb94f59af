//! Values of documents, as go-yaml v3 decodes them and OPA then makes JSON of them: aliases followed, `<<` merged, keys
//! made texts, of equal keys the last one's value.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::slice::Iter;

use super::super::super::{Budget, Failure, Limit};
use super::Problem;
use super::document::{Content, Id, Node, Stream};
use super::scalar::{Scalar, key_text, resolve};
use crate::eval::value::MAX_DEPTH;

/// A value.
#[derive(Debug, Clone)]
pub(super) enum Datum {
    Scalar(Scalar),
    Sequence(Vec<Datum>),
    Mapping(Vec<(String, Datum)>),
}

/// The value of a document. Without one, it is nothing.
///
/// # Errors
/// It has none, or the budget ends.
pub(super) fn decode(budget: &mut Budget, stream: Stream) -> Result<Datum, Failure> {
    let Some(root) = stream.first else { return Ok(Datum::Scalar(Scalar::Null)) };
    let mut nodes = stream.nodes;
    normalize(budget, &mut nodes, root)?;
    let mut decoder = Decoder {
        budget,
        nodes: &nodes,
        open: vec![],
        mappings: vec![],
        depth: 0,
        followed: HashSet::new(),
        decoded: 1,
        alias_decoded: 0,
        alias_depth: 0,
        merged: None,
    };
    decoder.datum(root)
}

// === What OPA does to the nodes first ===

/// Makes texts of timestamps, one of several `<<`, and one of several equal keys.
fn normalize(budget: &mut Budget, nodes: &mut Vec<Node>, root: Id) -> Result<(), Failure> {
    let mut seen = HashSet::new();
    let mut waiting = vec![root];
    while let Some(id) = waiting.pop() {
        if !seen.insert(id) {
            continue;
        }
        budget.step(1)?;
        let Some(node) = nodes.get_mut(id) else { continue };
        match &mut node.content {
            Content::Scalar(_) => {
                if node.bare && node.tag == "!!timestamp" {
                    node.tag = Cow::Borrowed("!!str");
                }
            }
            Content::Sequence(items) => waiting.extend(items.iter().rev()),
            Content::Alias { target, .. } => waiting.push(*target),
            Content::Mapping(entries) => {
                let entries = std::mem::take(entries);
                let entries = one_merge(nodes, entries);
                let entries = distinct_keys(nodes, entries);
                waiting.extend(entries.iter().rev());
                if let Some(Content::Mapping(place)) = nodes.get_mut(id).map(|node| &mut node.content) {
                    *place = entries;
                }
            }
        }
    }
    Ok(())
}

fn one_merge(nodes: &mut Vec<Node>, entries: Vec<Id>) -> Vec<Id> {
    let (pairs, _) = entries.as_chunks::<2>();
    let is_merge = |key: Id| nodes.get(key).is_some_and(|node| node.is_scalar() && node.tag == "!!merge");
    let mut merged = vec![];
    for [_, value] in pairs.iter().filter(|[key, _]| is_merge(*key)) {
        match nodes.get(*value).map(|node| &node.content) {
            Some(Content::Sequence(items)) => merged.extend(items),
            _ => merged.push(*value),
        }
    }
    if merged.len() < 2 {
        return entries;
    }
    let first = pairs.iter().position(|[key, _]| is_merge(*key));
    let kept: Vec<(usize, [Id; 2])> =
        pairs.iter().copied().enumerate().filter(|(at, [key, _])| Some(*at) == first || !is_merge(*key)).collect();
    let all = nodes.len();
    nodes.push(Node { tag: Cow::Borrowed("!!seq"), content: Content::Sequence(merged), bare: true, line: 0 });
    kept.into_iter().flat_map(|(at, [key, value])| [key, if Some(at) == first { all } else { value }]).collect()
}

fn distinct_keys(nodes: &[Node], mut entries: Vec<Id>) -> Vec<Id> {
    let mut seen = HashMap::<String, usize>::new();
    let mut dropped = HashSet::new();
    let (pairs, _) = entries.as_chunks_mut::<2>();
    for at in 0..pairs.len() {
        let Some([key, value]) = pairs.get(at).copied() else { continue };
        let Some(node) = nodes.get(key).filter(|node| node.tag != "!!merge") else { continue };
        let Content::Scalar(text) = &node.content else { continue };
        let Some(name) = node.resolved(text).ok().and_then(|scalar| key_text(&scalar)) else { continue };
        match seen.get(&name).copied() {
            // The key stays where it came first, with the later value.
            Some(before) => {
                if let Some([_, place]) = pairs.get_mut(before) {
                    *place = value;
                }
                dropped.insert(at);
            }
            None => drop(seen.insert(name, at)),
        }
    }
    if dropped.is_empty() {
        return entries;
    }
    let kept = pairs.iter().enumerate().filter(|(at, _)| !dropped.contains(at));
    kept.flat_map(|(_, pair)| *pair).collect()
}

impl Node {
    fn is_scalar(&self) -> bool {
        matches!(self.content, Content::Scalar(_))
    }

    fn resolved(&self, text: &str) -> Result<Scalar, Problem> {
        if self.tag == "!!str" { Ok(Scalar::Text(text.to_owned())) } else { resolve(&self.tag, text) }
    }

    fn is_merge(&self) -> bool {
        matches!(&self.content, Content::Scalar(text) if text == "<<") && self.tag == "!!merge"
    }
}

// === Decoding ===

/// A key as Go's maps tell keys apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    /// Its bits.
    Float(u64),
    Text(String),
    Time(Option<String>),
}

impl Key {
    /// What tells it from others: zero and minus zero are one key.
    fn place(&self) -> Self {
        const MINUS_ZERO: u64 = 1 << 63;
        match self {
            Self::Float(MINUS_ZERO) => Self::Float(0),
            key => key.clone(),
        }
    }
}

/// A mapping that isn't complete.
struct Mapping {
    /// Whether all its keys are texts, and those merged into it become texts.
    texts: bool,
    entries: Vec<(Key, Datum)>,
    places: HashMap<Key, usize>,
}

/// What is being decoded, the outermost first. There is no recursion, since the caller's stack may be small.
enum Open<'a> {
    Alias(Id),
    Sequence {
        items: Iter<'a, Id>,
        data: Vec<Datum>,
    },
    /// The last of [`Decoder::mappings`].
    Mapping,
    /// The entries of one mapping, which go into the last of [`Decoder::mappings`].
    Entries(Box<Entries<'a>>),
    /// Mappings that are merged into that one.
    Merge {
        items: Iter<'a, Id>,
        outermost: bool,
    },
}

struct Entries<'a> {
    /// The mapping they are of.
    id: Id,
    pairs: Iter<'a, [Id; 2]>,
    /// Of the entry whose value is being decoded.
    key: Option<Key>,
    /// Keys that aren't taken from here.
    merged: Option<HashSet<Key>>,
    /// What the mapping merges in turn.
    merge: Option<&'a Id>,
}

enum Step {
    Begin(Id),
    End(Datum),
    Next,
}

struct Decoder<'a> {
    budget: &'a mut Budget,
    nodes: &'a [Node],
    open: Vec<Open<'a>>,
    mappings: Vec<Mapping>,
    depth: u16,
    /// Aliases that are being followed.
    followed: HashSet<Id>,
    decoded: u32,
    alias_decoded: u32,
    alias_depth: u32,
    /// Keys that what is merged doesn't change any more.
    merged: Option<HashSet<Key>>,
}

impl<'a> Decoder<'a> {
    fn datum(&mut self, root: Id) -> Result<Datum, Failure> {
        let mut datum = self.begin(root)?;
        while let Some(open) = self.open.pop() {
            datum = match self.proceed(open, datum)? {
                Step::Begin(id) => self.begin(id)?,
                Step::End(datum) => Some(datum),
                Step::Next => None,
            };
        }
        datum.ok_or(Failure::Limit(Limit::Size))
    }

    /// Gives the value of a scalar, and opens anything else.
    fn begin(&mut self, id: Id) -> Result<Option<Datum>, Failure> {
        self.count()?;
        let node = self.node(id)?;
        match &node.content {
            Content::Scalar(text) => {
                self.budget.alloc(text.len() + 32)?;
                return Ok(Some(Datum::Scalar(node.resolved(text)?)));
            }
            Content::Alias { .. } => {
                let target = self.follow(id)?;
                self.open.push(Open::Alias(id));
                // An alias's target isn't one itself.
                return self.begin(target);
            }
            Content::Sequence(items) => {
                self.deeper()?;
                self.budget.alloc(items.len().saturating_mul(size_of::<Datum>()))?;
                self.open.push(Open::Sequence { items: items.iter(), data: Vec::with_capacity(items.len()) });
            }
            Content::Mapping(entries) => {
                self.deeper()?;
                let texts = self.has_text_keys(entries);
                self.mappings.push(Mapping { texts, entries: vec![], places: HashMap::new() });
                self.open.push(Open::Mapping);
                self.begin_entries(id)?;
            }
        }
        Ok(None)
    }

    /// Goes on with what is open, now that a datum within it is there.
    fn proceed(&mut self, open: Open<'a>, datum: Option<Datum>) -> Result<Step, Failure> {
        Ok(match open {
            Open::Alias(id) => {
                self.leave(id);
                datum.map_or(Step::Next, Step::End)
            }
            Open::Sequence { mut items, mut data } => {
                data.extend(datum);
                if let Some(item) = items.next() {
                    self.open.push(Open::Sequence { items, data });
                    return Ok(Step::Begin(*item));
                }
                self.depth = self.depth.saturating_sub(1);
                Step::End(Datum::Sequence(data))
            }
            Open::Mapping => {
                self.depth = self.depth.saturating_sub(1);
                let mapping = self.mappings.pop().ok_or(Failure::Limit(Limit::Size))?;
                Step::End(mapping.finish()?)
            }
            Open::Entries(entries) => self.proceed_entries(entries, datum)?,
            Open::Merge { mut items, outermost } => {
                if let Some(item) = items.next() {
                    self.open.push(Open::Merge { items, outermost });
                    self.merge_one(*item)?;
                } else if outermost {
                    self.merged = None;
                }
                Step::Next
            }
        })
    }

    /// Go's bounds for what aliases may make of a document.
    fn count(&mut self) -> Result<(), Failure> {
        self.budget.step(4)?;
        self.decoded = self.decoded.saturating_add(1);
        if self.alias_depth > 0 {
            self.alias_decoded = self.alias_decoded.saturating_add(1);
        }
        let (aliased, all) = (f64::from(self.alias_decoded), f64::from(self.decoded));
        let allowed = match self.decoded {
            0..=400_000 => 0.99,
            4_000_000.. => 0.10,
            _ => 0.99 - 0.89 * ((all - 400_000.0) / 3_600_000.0),
        };
        if self.alias_decoded > 100 && self.decoded > 1000 && aliased / all > allowed {
            return Err(Problem::new("document contains excessive aliasing").into());
        }
        Ok(())
    }

    fn node(&self, id: Id) -> Result<&'a Node, Failure> {
        self.nodes.get(id).ok_or(Failure::Limit(Limit::Size))
    }

    fn deeper(&mut self) -> Result<(), Failure> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > MAX_DEPTH { Err(Failure::Limit(Limit::Size)) } else { Ok(()) }
    }

    fn follow(&mut self, alias: Id) -> Result<Id, Failure> {
        let Content::Alias { name, target } = &self.node(alias)?.content else { return Ok(alias) };
        if !self.followed.insert(alias) {
            return Err(Problem::new(format!("anchor '{name}' value contains itself")).into());
        }
        self.alias_depth = self.alias_depth.saturating_add(1);
        Ok(*target)
    }

    fn leave(&mut self, alias: Id) {
        self.followed.remove(&alias);
        self.alias_depth = self.alias_depth.saturating_sub(1);
    }

    // === Mappings ===

    fn has_text_keys(&self, entries: &[Id]) -> bool {
        let (pairs, _) = entries.as_chunks::<2>();
        pairs.iter().all(|[key, _]| {
            let node = self.nodes.get(*key);
            let node = match node.map(|node| &node.content) {
                Some(Content::Alias { target, .. }) => self.nodes.get(*target),
                _ => node,
            };
            node.is_some_and(|node| node.tag == "!!str" || node.tag == "!!merge")
        })
    }

    fn begin_entries(&mut self, id: Id) -> Result<(), Failure> {
        let Content::Mapping(entries) = &self.node(id)?.content else { return Ok(()) };
        let (pairs, _) = entries.as_chunks::<2>();
        self.check_keys(pairs)?;
        let merged = self.merged.take();
        let entries = Entries { id, pairs: pairs.iter(), key: None, merged, merge: None };
        self.open.push(Open::Entries(Box::new(entries)));
        Ok(())
    }

    /// Two keys that are written alike, which normalizing hasn't made one.
    fn check_keys(&mut self, pairs: &[[Id; 2]]) -> Result<(), Failure> {
        self.budget.step(pairs.len() as u64)?;
        let mut seen = HashSet::new();
        for [key, _] in pairs {
            let node = self.node(*key)?;
            let written = match &node.content {
                Content::Scalar(text) => (0, text.as_str()),
                Content::Sequence(_) => (1, ""),
                Content::Mapping(_) => (2, ""),
                Content::Alias { name, .. } => (3, name.as_str()),
            };
            if !seen.insert(written) {
                let (line, name) = (node.line + 1, written.1);
                return Err(Problem::new(format!("line {line}: mapping key \"{name}\" already defined")).into());
            }
        }
        Ok(())
    }

    fn proceed_entries(&mut self, mut entries: Box<Entries<'a>>, datum: Option<Datum>) -> Result<Step, Failure> {
        if let (Some(key), Some(datum), Some(mapping)) = (entries.key.take(), datum, self.mappings.last_mut()) {
            mapping.set(key, datum);
        }
        let texts = self.mappings.last().is_some_and(|mapping| mapping.texts);
        while let Some([key, value]) = entries.pairs.next() {
            if self.node(*key)?.is_merge() {
                entries.merge = Some(value);
                continue;
            }
            let Some(key) = self.key(*key, texts)? else { continue };
            if entries.merged.as_mut().is_some_and(|merged| !merged.insert(key.place())) {
                continue;
            }
            entries.key = Some(key);
            self.open.push(Open::Entries(entries));
            return Ok(Step::Begin(*value));
        }
        self.merged = entries.merged;
        if let Some(merge) = entries.merge {
            self.begin_merge(entries.id, merge)?;
        }
        Ok(Step::Next)
    }

    /// None for a key that no text can be made of, where texts are wanted.
    fn key(&mut self, id: Id, text_wanted: bool) -> Result<Option<Key>, Failure> {
        self.count()?;
        let node = self.node(id)?;
        match &node.content {
            Content::Scalar(text) => {
                self.budget.alloc(text.len() + 64)?;
                Ok(match node.resolved(text)? {
                    Scalar::Null if text_wanted => None,
                    Scalar::Text(text) => Some(Key::Text(text)),
                    // As it is written.
                    _ if text_wanted => Some(Key::Text(text.clone())),
                    Scalar::Null => Some(Key::Null),
                    Scalar::Bool(value) => Some(Key::Bool(value)),
                    Scalar::Int(value) => Some(Key::Int(value)),
                    Scalar::Uint(value) => Some(Key::Uint(value)),
                    Scalar::Float(value) => Some(Key::Float(value.to_bits())),
                    Scalar::Time(time) => Some(Key::Time(time)),
                })
            }
            Content::Alias { .. } => {
                let target = self.follow(id)?;
                let key = self.key(target, text_wanted);
                self.leave(id);
                key
            }
            _ => Err(Problem::new("invalid map key").into()),
        }
    }

    fn begin_merge(&mut self, parent: Id, merge: &'a Id) -> Result<(), Failure> {
        let outermost = self.merged.is_none();
        if outermost {
            let mut own = HashSet::new();
            if let Content::Mapping(entries) = &self.node(parent)?.content {
                for [key, _] in entries.as_chunks::<2>().0 {
                    own.extend(self.key(*key, false)?.map(|key| key.place()));
                }
            }
            self.merged = Some(own);
        }
        let items = match &self.node(*merge)?.content {
            Content::Sequence(items) => items.iter(),
            _ => std::slice::from_ref(merge).iter(),
        };
        self.open.push(Open::Merge { items, outermost });
        Ok(())
    }

    fn merge_one(&mut self, id: Id) -> Result<(), Failure> {
        self.count()?;
        let is_mapping = |node: &Node| matches!(node.content, Content::Mapping(_));
        let node = self.node(id)?;
        if is_mapping(node) {
            return self.begin_entries(id);
        }
        let Content::Alias { target, .. } = node.content else { return Err(unmergeable()) };
        if !is_mapping(self.node(target)?) {
            return Err(unmergeable());
        }
        self.follow(id)?;
        self.count()?;
        self.open.push(Open::Alias(id));
        self.begin_entries(target)
    }
}

fn unmergeable() -> Failure {
    Problem::new("map merge requires map or sequence of maps as the value").into()
}

impl Mapping {
    fn set(&mut self, key: Key, datum: Datum) {
        match self.places.get(&key.place()).and_then(|place| self.entries.get_mut(*place)) {
            Some(entry) => *entry = (key, datum),
            None => {
                self.places.insert(key.place(), self.entries.len());
                self.entries.push((key, datum));
            }
        }
    }

    /// With keys as the texts that JSON has.
    fn finish(self) -> Result<Datum, Failure> {
        let entry = |(key, datum): (Key, Datum)| {
            let scalar = match key {
                Key::Null => Scalar::Null,
                Key::Bool(value) => Scalar::Bool(value),
                Key::Int(value) => Scalar::Int(value),
                Key::Uint(value) => Scalar::Uint(value),
                Key::Float(bits) => Scalar::Float(f64::from_bits(bits)),
                Key::Text(text) => Scalar::Text(text),
                Key::Time(time) => Scalar::Time(time),
            };
            let text = key_text(&scalar).ok_or_else(|| Problem::new("unsupported map key"))?;
            Ok((text, datum))
        };
        Ok(Datum::Mapping(self.entries.into_iter().map(entry).collect::<Result<Vec<_>, Failure>>()?))
    }
}
