//! The parts of an input that an entrypoint can read, found without building the rest.

use std::borrow::Cow;
use std::sync::Arc;

use crate::eval::value::{Number, Value};

/// Which parts of an input are wanted: paths of keys, none of which leads into another.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    nodes: Vec<Node>,
    fields: usize,
}

/// A place in an input.
#[derive(Debug, Default)]
struct Node {
    /// By length and text, so that a key is found with few comparisons.
    children: Vec<(Arc<str>, NodeId)>,
    field: Option<u32>,
}

/// A place in an input on the way to what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NodeId(u32);

/// What was found at a wanted path. `'i` is the input's own: texts without escapes are never copied.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Field<'i> {
    /// Nothing is there.
    #[default]
    Absent,
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'i, str>),
    /// An array or an object.
    Tree(Value),
}

impl Wanted {
    /// The input itself.
    pub(crate) const ROOT: NodeId = NodeId(0);

    /// Field `i` is what lies at `paths[i]`. Of paths that lead into each other only the shortest may be given.
    pub(crate) fn new(paths: &[Box<[Arc<str>]>]) -> Self {
        let mut wanted = Self { nodes: vec![Node::default()], fields: paths.len() };
        for (field, path) in (0..).zip(paths) {
            let mut at = Self::ROOT;
            for key in path {
                at = wanted.child_or_new(at, key);
            }
            if let Some(node) = wanted.nodes.get_mut(at.0 as usize) {
                node.field = Some(field);
            }
        }
        wanted
    }

    /// How many fields there are.
    pub(crate) fn len(&self) -> usize {
        self.fields
    }

    /// The place under `key`, if anything there is wanted.
    pub(crate) fn child(&self, at: NodeId, key: &str) -> Option<NodeId> {
        let children = self.nodes.get(at.0 as usize).map_or(&[][..], |node| node.children.as_slice());
        let order = |other: &Arc<str>| (other.len(), &**other).cmp(&(key.len(), key));
        match children.len() {
            0..=8 => children.iter().find(|(other, _)| &**other == key).map(|(_, child)| *child),
            _ => {
                let found = children.binary_search_by(|(other, _)| order(other)).ok()?;
                children.get(found).map(|(_, child)| *child)
            }
        }
    }

    /// The places under this one, with their keys.
    pub(crate) fn children(&self, at: NodeId) -> impl Iterator<Item = (&str, NodeId)> {
        let children = self.nodes.get(at.0 as usize).map_or(&[][..], |node| node.children.as_slice());
        children.iter().map(|(key, child)| (&**key, *child))
    }

    /// The field that the place is, if it is one.
    pub(crate) fn field(&self, at: NodeId) -> Option<u32> {
        self.nodes.get(at.0 as usize).and_then(|node| node.field)
    }

    fn child_or_new(&mut self, at: NodeId, key: &Arc<str>) -> NodeId {
        if let Some(child) = self.child(at, key) {
            return child;
        }
        let child = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.nodes.push(Node::default());
        if let Some(node) = self.nodes.get_mut(at.0 as usize) {
            let place = node.children.partition_point(|(other, _)| (other.len(), other) < (key.len(), key));
            node.children.insert(place, (Arc::clone(key), child));
        }
        child
    }
}
