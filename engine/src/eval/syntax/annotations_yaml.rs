//! YAML as Go's `yaml.Unmarshal` reads it into fields that have types: a title may be a number, and is the text of it.

use std::collections::HashSet;

use super::readers::{Content, Id, Node, Scalar, Stream, general_float, resolve};
use crate::eval::value::{MAX_DEPTH, Value};

/// Why a block isn't one.
#[derive(Debug)]
pub(super) struct Problem {
    /// As of a [`SyntaxError`](super::SyntaxError).
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Problem {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { code: "rego_parse_error", message: message.into() }
    }

    /// What OPA would take.
    pub(super) fn limit(message: impl Into<String>) -> Self {
        Self { code: "metadata", message: message.into() }
    }
}

/// A value of any type.
#[derive(Debug, Clone)]
pub(super) enum Any {
    Scalar(Scalar),
    List(Vec<Any>),
    /// All of its keys are texts, and written as such.
    Map(Vec<(String, Any)>),
    OtherMap(Vec<(Any, Any)>),
}

impl Any {
    pub(super) fn as_text(&self) -> Option<&str> {
        if let Self::Scalar(Scalar::Text(text)) = self { Some(text) } else { None }
    }

    /// A text of a map, empty if there is none.
    pub(super) fn text_of(entries: &[(String, Self)], name: &str) -> String {
        let found = entries.iter().find(|(key, _)| key == name);
        found.and_then(|(_, value)| value.as_text()).unwrap_or_default().to_owned()
    }

    /// With texts for keys. As OPA does it, which doesn't look into maps that have texts already.
    pub(super) fn with_text_keys(self) -> Result<Self, Problem> {
        Ok(match self {
            Self::OtherMap(entries) => {
                let entry = |(key, value): (Self, Self)| match key {
                    Self::Scalar(Scalar::Text(key)) => Ok((key, value.with_text_keys()?)),
                    _ => Err(Problem::new("invalid map key type(s)")),
                };
                Self::Map(entries.into_iter().map(entry).collect::<Result<_, _>>()?)
            }
            Self::List(items) => Self::List(items.into_iter().map(Self::with_text_keys).collect::<Result<_, _>>()?),
            other => other,
        })
    }

    pub(super) fn into_value(self) -> Result<Value, Problem> {
        Ok(match self {
            Self::Scalar(Scalar::Null) => Value::Null,
            Self::Scalar(Scalar::Bool(value)) => Value::Bool(value),
            Self::Scalar(Scalar::Int(value)) => Value::from(value),
            // OPA's cast.
            Self::Scalar(Scalar::Uint(value)) => Value::from(value.cast_signed()),
            Self::Scalar(Scalar::Float(value)) if value.is_finite() => number(&general_float(value))?,
            Self::Scalar(Scalar::Text(text) | Scalar::Time(Some(text))) => Value::from(text),
            Self::Scalar(Scalar::Float(_) | Scalar::Time(None)) => {
                return Err(Problem::limit("a number or a time that JSON doesn't have: write it as a string"));
            }
            Self::List(items) => Value::array(items.into_iter().map(Self::into_value).collect::<Result<_, _>>()?),
            Self::Map(entries) => {
                let entry = |(key, value): (String, Self)| Ok((Value::from(key), value.into_value()?));
                Value::object(entries.into_iter().map(entry).collect::<Result<_, Problem>>()?)
            }
            Self::OtherMap(_) => return Err(Problem::limit("a key that isn't a string: put it in quotes")),
        })
    }
}

fn number(text: &str) -> Result<Value, Problem> {
    text.parse().map(Value::Number).map_err(|_| Problem::limit("a number that is too large: write it as a string"))
}

/// A key as Go's maps tell keys apart: an integer isn't the text of it.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Key {
    Text(String),
    /// A value of another type, as a text.
    Other(String),
}

pub(super) struct Reader<'s> {
    nodes: &'s [Node],
    /// Aliases that are being followed.
    followed: HashSet<Id>,
    read: u32,
    read_by_alias: u32,
    depth: u16,
}

type Visit<'v, 's> = dyn FnMut(&mut Reader<'s>, Id, Id) -> Result<(), Problem> + 'v;

impl<'s> Reader<'s> {
    pub(super) fn new(stream: &'s Stream) -> Self {
        Self { nodes: &stream.nodes, followed: HashSet::new(), read: 0, read_by_alias: 0, depth: 0 }
    }

    /// The text of a scalar, whatever it is; none of null.
    pub(super) fn text(&mut self, id: Id) -> Result<Option<String>, Problem> {
        self.resolved(id, |_, node| {
            let Content::Scalar(text) = &node.content else { return Err(mismatch(node, "a string")) };
            Ok(match scalar(node, text)? {
                Scalar::Null => None,
                Scalar::Text(binary) if node.tag == "!!binary" => Some(binary),
                _ => Some(text.clone()),
            })
        })
    }

    pub(super) fn bool(&mut self, id: Id) -> Result<bool, Problem> {
        self.resolved(id, |_, node| {
            let Content::Scalar(text) = &node.content else { return Err(mismatch(node, "a boolean")) };
            match scalar(node, text)? {
                Scalar::Null => Ok(false),
                Scalar::Bool(value) => Ok(value),
                // YAML 1.1 has more words for them.
                Scalar::Text(text) => match text.as_str() {
                    "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Ok(true),
                    "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Ok(false),
                    _ => Err(mismatch(node, "a boolean")),
                },
                _ => Err(mismatch(node, "a boolean")),
            }
        })
    }

    /// A list's items, read with `item`.
    pub(super) fn list<T>(
        &mut self,
        id: Id,
        mut item: impl FnMut(&mut Self, Id) -> Result<T, Problem>,
    ) -> Result<Vec<T>, Problem> {
        self.resolved(id, |reader, node| match &node.content {
            Content::Sequence(items) => items.iter().map(|id| item(reader, *id)).collect(),
            _ if is_null(node) => Ok(vec![]),
            _ => Err(mismatch(node, "a list")),
        })
    }

    pub(super) fn any(&mut self, id: Id) -> Result<Any, Problem> {
        self.resolved(id, |reader, node| match &node.content {
            Content::Scalar(text) => Ok(Any::Scalar(scalar(node, text)?)),
            Content::Sequence(items) => {
                Ok(Any::List(items.iter().map(|id| reader.any(*id)).collect::<Result<_, _>>()?))
            }
            Content::Mapping(entries) if reader.has_text_keys(entries) => Ok(Any::Map(reader.map_entries(node)?)),
            Content::Mapping(_) => {
                let mut entries = vec![];
                reader.entries(node, false, None, &mut |reader, key, value| {
                    entries.push((reader.any(key)?, reader.any(value)?));
                    Ok(())
                })?;
                Ok(Any::OtherMap(entries))
            }
            Content::Alias { .. } => Err(mismatch(node, "a value")),
        })
    }

    /// A map with texts for keys; none of null.
    pub(super) fn map(&mut self, id: Id) -> Result<Option<Vec<(String, Any)>>, Problem> {
        self.resolved(id, |reader, node| match &node.content {
            Content::Mapping(_) => reader.map_entries(node).map(Some),
            _ if is_null(node) => Ok(None),
            _ => Err(mismatch(node, "a map")),
        })
    }

    fn map_entries(&mut self, node: &'s Node) -> Result<Vec<(String, Any)>, Problem> {
        let mut entries: Vec<(String, Any)> = vec![];
        self.entries(node, true, None, &mut |reader, key, value| {
            let Some(key) = reader.text(key)? else { return Ok(()) };
            let value = reader.any(value)?;
            match entries.iter_mut().find(|(name, _)| *name == key) {
                Some((_, place)) => *place = value,
                None => entries.push((key, value)),
            }
            Ok(())
        })?;
        Ok(entries)
    }

    /// The fields of a map, by name; none of null. What isn't asked for isn't looked at.
    pub(super) fn fields(
        &mut self,
        id: Id,
        field: &mut dyn FnMut(&mut Self, &str, Id) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        self.resolved(id, |reader, node| match &node.content {
            Content::Mapping(_) => {
                reader.entries(node, true, None, &mut |reader, key, value| match reader.text(key)? {
                    Some(name) => field(reader, &name, value),
                    None => Ok(()),
                })
            }
            _ if is_null(node) => Ok(()),
            _ => Err(mismatch(node, "a map")),
        })
    }

    /// Visits a map's entries, and those of the maps it merges that it doesn't have itself. `texts`, whether keys are
    /// to become texts.
    fn entries(
        &mut self,
        node: &'s Node,
        texts: bool,
        merged: Option<&mut HashSet<Key>>,
        visit: &mut Visit<'_, 's>,
    ) -> Result<(), Problem> {
        let Content::Mapping(entries) = &node.content else { return Err(unmergeable()) };
        let (pairs, _) = entries.as_chunks::<2>();
        self.check_keys(pairs)?;
        let mut own = HashSet::new();
        let outermost = merged.is_none();
        let known = merged.unwrap_or(&mut own);
        let mut merge = None;
        for [key, value] in pairs {
            if self.is_merge(*key) {
                merge = Some(*value);
                continue;
            }
            if known.insert(self.key(*key, texts && !outermost)) || outermost {
                visit(self, *key, *value)?;
            }
        }
        let Some(merge) = merge else { return Ok(()) };
        match self.nodes.get(merge) {
            Some(Node { content: Content::Sequence(items), .. }) => {
                items.iter().try_for_each(|item| self.merge(*item, texts, known, visit))
            }
            _ => self.merge(merge, texts, known, visit),
        }
    }

    fn merge(
        &mut self,
        id: Id,
        texts: bool,
        known: &mut HashSet<Key>,
        visit: &mut Visit<'_, 's>,
    ) -> Result<(), Problem> {
        self.resolved(id, |reader, node| reader.entries(node, texts, Some(known), visit))
    }

    /// Of two equal keys, one is too many.
    fn check_keys(&self, pairs: &[[Id; 2]]) -> Result<(), Problem> {
        let mut seen = HashSet::new();
        for [key, _] in pairs {
            let written = match self.nodes.get(*key).map(|node| &node.content) {
                Some(Content::Scalar(text)) => (0, text.as_str()),
                Some(Content::Sequence(_)) => (1, ""),
                Some(Content::Mapping(_)) | None => (2, ""),
                Some(Content::Alias { name, .. }) => (3, name.as_str()),
            };
            if !seen.insert(written) {
                return Err(Problem::new(format!("yaml: mapping key \"{}\" already defined", written.1)));
            }
        }
        Ok(())
    }

    fn key(&self, id: Id, as_text: bool) -> Key {
        let Some(node @ Node { content: Content::Scalar(text), .. }) = self.target(id) else {
            return Key::Other(String::new());
        };
        match scalar(node, text) {
            Ok(Scalar::Text(text)) => Key::Text(text),
            _ if as_text => Key::Text(text.clone()),
            other => Key::Other(format!("{other:?}")),
        }
    }

    /// A node, or what it is an alias for.
    fn target(&self, id: Id) -> Option<&'s Node> {
        let node = self.nodes.get(id)?;
        if let Content::Alias { target, .. } = &node.content { self.nodes.get(*target) } else { Some(node) }
    }

    fn is_merge(&self, id: Id) -> bool {
        let is = |node: &Node| node.tag == "!!merge" && matches!(&node.content, Content::Scalar(text) if text == "<<");
        self.nodes.get(id).is_some_and(is)
    }

    fn has_text_keys(&self, entries: &[Id]) -> bool {
        let (pairs, _) = entries.as_chunks::<2>();
        pairs.iter().all(|[key, _]| self.target(*key).is_some_and(|key| key.tag == "!!str" || key.tag == "!!merge"))
    }

    /// Reads a node, or what it is an alias for.
    fn resolved<T>(
        &mut self,
        id: Id,
        read: impl FnOnce(&mut Self, &'s Node) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        self.count()?;
        let Some(node) = self.nodes.get(id) else { return Err(Problem::new("yaml: no node")) };
        if self.depth >= MAX_DEPTH {
            return Err(Problem::limit(format!("nested more than {MAX_DEPTH} levels deep")));
        }
        self.depth += 1;
        let result = match &node.content {
            Content::Alias { name, target } => {
                if !self.followed.insert(id) {
                    return Err(Problem::new(format!("yaml: anchor '{name}' value contains itself")));
                }
                let result = match self.nodes.get(*target) {
                    Some(node) => self.count().and_then(|()| read(self, node)),
                    None => Err(Problem::new("yaml: no node")),
                };
                self.followed.remove(&id);
                result
            }
            _ => read(self, node),
        };
        self.depth -= 1;
        result
    }

    /// Go's bounds for what aliases may make of a document.
    fn count(&mut self) -> Result<(), Problem> {
        self.read = self.read.saturating_add(1);
        if !self.followed.is_empty() {
            self.read_by_alias = self.read_by_alias.saturating_add(1);
        }
        let (aliased, all) = (f64::from(self.read_by_alias), f64::from(self.read));
        let allowed = match self.read {
            0..=400_000 => 0.99,
            4_000_000.. => 0.10,
            _ => 0.99 - 0.89 * ((all - 400_000.0) / 3_600_000.0),
        };
        if self.read_by_alias > 100 && self.read > 1000 && aliased / all > allowed {
            return Err(Problem::new("yaml: document contains excessive aliasing"));
        }
        Ok(())
    }
}

fn scalar(node: &Node, text: &str) -> Result<Scalar, Problem> {
    match &*node.tag {
        "!!str" => Ok(Scalar::Text(text.to_owned())),
        tag => resolve(tag, text).map_err(|error| Problem::new(format!("yaml: {error}"))),
    }
}

fn is_null(node: &Node) -> bool {
    node.tag == "!!null"
}

fn mismatch(node: &Node, wanted: &str) -> Problem {
    Problem::new(format!("yaml: line {}: cannot unmarshal {} into {wanted}", node.line + 1, node.tag))
}

fn unmergeable() -> Problem {
    Problem::new("yaml: map merge requires map or sequence of maps as the value")
}
