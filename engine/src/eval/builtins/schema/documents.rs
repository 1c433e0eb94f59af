//! The documents that a schema is made of, and what references in them lead to (gojsonschema's schema pool).

use std::collections::HashMap;
use std::rc::Rc;

use crate::eval::builtins::uri::url::Url;
use crate::eval::builtins::{Budget, Failure, Limit};
use crate::eval::value::json::{GO, read};
use crate::eval::value::{Object, Value};

/// The versions of JSON Schema. `Hybrid` is what a schema that names none is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Draft {
    Four,
    Six,
    Seven,
    Hybrid,
}

const META_SCHEMAS: [(&str, Draft, &str); 3] = [
    ("http://json-schema.org/draft-04/schema", Draft::Four, include_str!("draft-04.json")),
    ("http://json-schema.org/draft-06/schema", Draft::Six, include_str!("draft-06.json")),
    ("http://json-schema.org/draft-07/schema", Draft::Seven, include_str!("draft-07.json")),
];

/// A value within a document.
pub(super) type NodeId = usize;

/// A value as it stands at one place: its references are resolved as of there.
struct Node {
    value: Value,
    /// The first of its items or values; the others follow.
    first: NodeId,
    /// Its `$ref`, where it was resolved.
    reference: Option<Rc<str>>,
}

/// What a reference leads to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Document {
    pub(super) node: NodeId,
    /// The one that the document names.
    pub(super) draft: Option<Draft>,
}

#[derive(Default)]
pub(super) struct Documents {
    nodes: Vec<Node>,
    /// By their references.
    pool: HashMap<String, Document>,
}

// === impl Documents ===

impl Documents {
    /// Adds a document, and resolves what is in it.
    ///
    /// # Errors
    /// Two of its schemas have one name, or its `$schema` is none.
    pub(super) fn add(&mut self, budget: &mut Budget, value: Value, base: &Url) -> Result<Document, Failure> {
        let name = base.to_string();
        if self.pool.contains_key(&name) {
            return Err(exists_already(&name));
        }
        let node = self.add_nodes(budget, value)?;
        let document = Document { node, draft: self.draft(node)? };
        self.resolve(budget, document, base.clone())?;
        self.pool.insert(name, document);
        Ok(document)
    }

    /// What an absolute reference leads to.
    ///
    /// # Errors
    /// To nothing, or to another document, which isn't fetched.
    pub(super) fn get(&mut self, budget: &mut Budget, reference: &Url) -> Result<Document, Failure> {
        let name = reference.to_string();
        if let Some(document) = self.pool.get(&name) {
            return Ok(*document);
        }
        let base = reference.clone().without_fragment();
        let base_name = base.to_string();
        if let Some(document) = self.pool.get(&base_name).copied() {
            let document = Document { node: self.pointed(document.node, reference)?, ..document };
            budget.alloc(name.len() + size_of::<Document>())?;
            self.pool.insert(name, document);
            return Ok(document);
        }
        let is_canonical = match reference.scheme.as_slice() {
            b"file" => reference.path.starts_with(b"/"),
            scheme => !scheme.is_empty() && !reference.host.is_empty(),
        };
        if !is_canonical {
            return Err(Failure::Error(format!("Reference {name} must be canonical")));
        }
        let meta_schema = META_SCHEMAS.iter().find(|(name, ..)| *name == base_name);
        let Some((_, _, text)) = meta_schema.filter(|_| reference.scheme != b"file") else {
            return Err(Failure::Error(format!("remote reference loading disabled: {base_name}")));
        };
        let value = read(text, GO).map_err(|_| Failure::Limit(Limit::Size))?;
        let document = self.add(budget, value, &base)?;
        Ok(Document { node: self.pointed(document.node, reference)?, ..document })
    }

    pub(super) fn value(&self, node: NodeId) -> &Value {
        // Nodes are never taken away.
        self.nodes.get(node).map_or(&Value::Null, |node| &node.value)
    }

    pub(super) fn object(&self, node: NodeId) -> Option<&Object> {
        self.value(node).as_object()
    }

    /// The value of an object's entry.
    pub(super) fn entry(&self, node: NodeId, key: &str) -> Option<NodeId> {
        let entries = self.object(node)?.entries();
        let place = |(entry, _): &(Value, Value)| entry.as_str().map(str::as_bytes).cmp(&Some(key.as_bytes()));
        let index = entries.binary_search_by(place).ok()?;
        Some(self.child(node, index))
    }

    /// The item of an array, or the value of an object's entry.
    pub(super) fn child(&self, node: NodeId, index: usize) -> NodeId {
        self.nodes.get(node).map_or(0, |node| node.first.saturating_add(index))
    }

    /// An object's `$ref`, resolved.
    pub(super) fn reference(&self, node: NodeId) -> Option<&Rc<str>> {
        self.nodes.get(node)?.reference.as_ref()
    }

    fn add_nodes(&mut self, budget: &mut Budget, value: Value) -> Result<NodeId, Limit> {
        let root = self.nodes.len();
        budget.alloc(size_of::<Node>())?;
        self.nodes.push(Node { value, first: 0, reference: None });
        let mut at = root;
        while let Some(value) = self.nodes.get(at).map(|node| node.value.clone()) {
            let first = self.nodes.len();
            let children: &mut dyn Iterator<Item = &Value> = match &value {
                Value::Array(array) => &mut array.iter(),
                Value::Object(object) => &mut object.values(),
                _ => &mut std::iter::empty(),
            };
            for child in children {
                budget.alloc(size_of::<Node>())?;
                self.nodes.push(Node { value: child.clone(), first: 0, reference: None });
            }
            if let Some(node) = self.nodes.get_mut(at) {
                node.first = first;
            }
            at += 1;
        }
        Ok(root)
    }

    /// The draft that `$schema` names, if it is a known one.
    fn draft(&self, node: NodeId) -> Result<Option<Draft>, Failure> {
        if let Value::Bool(_) = self.value(node) {
            return Ok(None);
        }
        let object = self.object(node).ok_or_else(|| Failure::error("schema is invalid"))?;
        let Some(schema) = object.get_str("$schema") else { return Ok(None) };
        let name = schema.as_str().ok_or_else(|| Failure::error("$schema must be of type string"))?;
        let name = parse(name)?.to_string();
        Ok(META_SCHEMAS.iter().find(|(known, ..)| *known == name).map(|(_, draft, _)| *draft))
    }

    /// Resolves references by the names of the schemas around them, and puts these into the pool. What isn't a reference
    /// or a name is left for the compiler to find.
    fn resolve(&mut self, budget: &mut Budget, document: Document, base: Url) -> Result<(), Failure> {
        let mut rest = vec![(document.node, Rc::new(base))];
        while let Some((node, base)) = rest.pop() {
            budget.step(1)?;
            match self.value(node).clone() {
                Value::Array(array) => {
                    rest.extend((0..array.len()).rev().map(|index| (self.child(node, index), Rc::clone(&base))));
                }
                Value::Object(object) => {
                    let base = self.name(budget, node, &object, base, document.draft)?;
                    if let Some(reference) = object.get_str("$ref").and_then(Value::as_str)
                        && let Ok(reference) = parse(reference)
                        && let Some(resolved) = resolved(budget, &base, &reference)?
                        && let Some(node) = self.nodes.get_mut(node)
                    {
                        node.reference = Some(Rc::from(resolved.to_string()));
                    }
                    for (index, (key, value)) in object.iter().enumerate().rev() {
                        let child = self.child(node, index);
                        match (key.as_str().unwrap_or_default(), value) {
                            ("const" | "enum", _) => {}
                            // Their keys are names, whatever they look like.
                            ("properties" | "dependencies" | "patternProperties", Value::Object(named)) => rest.extend(
                                (0..named.len()).rev().map(|index| (self.child(child, index), Rc::clone(&base))),
                            ),
                            ("properties" | "dependencies" | "patternProperties", _) => {}
                            _ => rest.push((child, Rc::clone(&base))),
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The base for what is in a schema, which it may name itself.
    fn name(
        &mut self,
        budget: &mut Budget,
        node: NodeId,
        object: &Object,
        base: Rc<Url>,
        draft: Option<Draft>,
    ) -> Result<Rc<Url>, Failure> {
        let key = if object.get_str("id").is_some() { "id" } else { "$id" };
        let Some(Ok(id)) = object.get_str(key).and_then(Value::as_str).map(parse) else { return Ok(base) };
        // gojsonschema panics.
        let id = resolved(budget, &base, &id)?.ok_or_else(|| Failure::Error(format!("invalid {key}")))?;
        let name = id.to_string();
        if self.pool.contains_key(&name) {
            return Err(exists_already(&name));
        }
        self.pool.insert(name, Document { node, draft });
        Ok(Rc::new(id))
    }

    /// What the reference's fragment points to, as a JSON pointer. One that is none points to the whole.
    fn pointed(&self, node: NodeId, reference: &Url) -> Result<NodeId, Failure> {
        let fragment = String::from_utf8_lossy(&reference.fragment).into_owned();
        let Some(pointer) = fragment.strip_prefix('/') else { return Ok(node) };
        pointer.split('/').try_fold(node, |node, token| match self.value(node) {
            Value::Object(_) => {
                let key = token.replace("~1", "/").replace("~0", "~");
                self.entry(node, &key).ok_or_else(|| Failure::Error(format!("Object has no key '{key}'")))
            }
            Value::Array(array) => {
                let index: i64 = token.parse().map_err(|_| Failure::Error(format!("Invalid array index '{token}'")))?;
                let within = usize::try_from(index).ok().filter(|index| *index < array.len());
                let len = array.len();
                let beyond = || Failure::Error(format!("Out of bound array[0,{len}] index '{index}'"));
                within.map(|index| self.child(node, index)).ok_or_else(beyond)
            }
            _ => Err(Failure::Error(format!("Invalid token reference '{token}'"))),
        })
    }
}

pub(super) fn parse(reference: &str) -> Result<Url, Failure> {
    Url::parse(reference).map_err(|error| Failure::Error(error.to_string()))
}

/// `reference` seen from `base`. None if that is no URL, which hardly ever happens.
///
/// # Errors
/// There isn't the memory for it.
pub(super) fn resolved(budget: &mut Budget, base: &Url, reference: &Url) -> Result<Option<Url>, Limit> {
    budget.alloc(base.len().saturating_add(reference.len()).saturating_mul(8))?;
    Ok(Url::parse(&base.clone().without_fragment().resolve(reference).to_string()).ok())
}

fn exists_already(name: &str) -> Failure {
    Failure::Error(format!("Reference already exists: \"{name}\""))
}
