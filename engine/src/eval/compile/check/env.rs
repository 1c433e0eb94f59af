//! What is known of types: of rules and builtins by path, of variables by name.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use crate::eval::compile::types::{Addition, Type, Types, is_open, is_plain, json_key};
use crate::eval::syntax::ast::Var;
use crate::eval::value::Value;

/// Types by path. Paths are bounded, so that walking and dropping a tree may recurse.
#[derive(Debug, Default)]
pub(super) struct Tree {
    roots: HashMap<Var, Node>,
}

/// How much is added to a type in one go.
const MAX_PENDING: usize = 1 << 14;

/// What is known of a path.
#[derive(Debug, Default)]
pub(super) struct Node {
    children: BTreeMap<Value, Node>,
    kind: RefCell<Type>,
    /// What is added to `kind` when it is asked for: a document may have very many rules.
    pending: RefCell<Vec<Addition>>,
    /// Whether `pending` has types other than objects without constant keys.
    mixed: Cell<bool>,
    /// The type of the whole document, once asked for, and how many types had changed by then.
    document: RefCell<Option<(u32, Type)>>,
    /// The keys, from the first variable on, of a rule that failed. An object defined here has anything there.
    failed: Vec<Type>,
}

/// Where names are looked up.
pub(super) enum Env<'e> {
    Root {
        rules: &'e Tree,
        builtins: &'e Tree,
    },
    /// A body: its variables, and what surrounds it.
    Body {
        outer: &'e Env<'e>,
        vars: RefCell<HashMap<Var, Type>>,
    },
    /// A statement with `with`: trees that cover what surrounds it, the last one first. Variables go to the body.
    With {
        outer: &'e Env<'e>,
        layers: Vec<Rc<Tree>>,
    },
}

/// One of the places where a name may be found.
pub(super) enum Level<'e> {
    Vars(&'e RefCell<HashMap<Var, Type>>),
    Tree(&'e Tree),
}

/// What is found under a name.
pub(super) enum Found<'e> {
    Var(Type),
    Node(&'e Node),
}

// === impl Tree ===

impl Tree {
    pub(super) fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    /// Sets the type at a path.
    pub(super) fn put(&mut self, types: &Types, root: &Var, path: &[Value], kind: Type) {
        let node = self.node(types, root, path);
        node.pending.get_mut().clear();
        node.mixed.set(false);
        *node.kind.get_mut() = kind;
    }

    /// Notes that there is something at a path of which nothing is known, and at further keys.
    pub(super) fn put_failed(&mut self, types: &Types, root: &Var, path: &[Value], keys: Vec<Type>) {
        self.node(types, root, path).failed = keys;
    }

    /// The node at a path, which is about to change.
    fn node(&mut self, types: &Types, root: &Var, path: &[Value]) -> &mut Node {
        types.count(path.len());
        let mut node = self.roots.entry(root.clone()).or_default();
        *node.document.get_mut() = None;
        for key in path {
            node = node.children.entry(key.clone()).or_default();
            *node.document.get_mut() = None;
        }
        node
    }

    /// Adds what a rule defines at a path. Objects defined further up get it as well, and if it is an object, it gets
    /// what is defined further down.
    pub(super) fn insert(&mut self, types: &Types, root: &Var, path: &[Value], kind: Type) {
        types.count(path.len());
        let keys: Vec<_> = path.iter().map(|key| Type::of_value(types, key)).collect();
        let mut node = self.roots.entry(root.clone()).or_default();
        *node.document.get_mut() = None;
        for (at, key) in path.iter().enumerate() {
            node.extend(types, keys.get(at..).unwrap_or_default(), &kind);
            node = node.children.entry(key.clone()).or_default();
            *node.document.get_mut() = None;
        }
        let is_object = matches!(kind, Type::Object(_));
        node.merge(types, kind);
        if is_object {
            let mut below = vec![];
            node.children.iter().for_each(|(key, child)| child.leaves(types, key, &mut vec![], &mut below));
            if !node.failed.is_empty() {
                below.push((node.failed.clone(), Type::Any));
            }
            below.iter().for_each(|(path, kind)| node.extend(types, path, kind));
        }
    }
}

// === impl Node ===

impl Node {
    pub(super) fn child(&self, key: &Value) -> Option<&Self> {
        self.children.get(key)
    }

    /// The type defined at this path itself.
    pub(super) fn kind(&self, types: &Types) -> Type {
        let pending = self.pending.take();
        if !pending.is_empty() {
            let merged = types.add(self.kind.take(), pending);
            self.kind.replace(types.admit(merged));
            self.mixed.set(false);
        }
        self.kind.borrow().clone()
    }

    /// The type of the document: what is defined here, or an object of all that is defined below and anything else.
    pub(super) fn document(&self, types: &Types) -> Type {
        let kind = self.kind(types);
        if !kind.is_unknown() {
            return kind;
        }
        if let Some((changes, document)) = &*self.document.borrow()
            && *changes == types.changes()
        {
            return document.clone();
        }
        types.count(self.children.len());
        let properties = self.children.iter().filter_map(|(key, child)| match key {
            Value::String(_) | Value::Number(_) | Value::Bool(_) => Some((json_key(key), child.document(types))),
            _ => None,
        });
        let document = types.admit(document(properties.collect()));
        // An object of nothing else may change, and each one made is another.
        self.document.replace(Some((types.changes(), document.clone())).filter(|_| !self.children.is_empty()));
        document
    }

    /// Adds what a rule defines here.
    fn merge(&mut self, types: &Types, kind: Type) {
        // What may change a type in place can't wait: others may share it.
        let may_wait = match &kind {
            Type::OneOf(_) => false,
            kind if is_open(kind) => {
                let before = self.kind.get_mut();
                is_plain(kind) && !self.mixed.get() && (before.is_unknown() || is_open(before))
            }
            _ => true,
        };
        self.mixed.set(self.mixed.get() || !is_open(&kind));
        self.add(types, Addition::Here(kind), may_wait);
    }

    /// Adds to the object defined here, if one is, what another rule defines at a path below.
    fn extend(&mut self, types: &Types, path: &[Type], kind: &Type) {
        let is_defined = !self.pending.get_mut().is_empty() || matches!(self.kind.get_mut(), Type::Object(_));
        if is_defined {
            self.add(types, Addition::Below(path.to_vec(), kind.clone()), true);
        }
    }

    fn add(&mut self, types: &Types, addition: Addition, may_wait: bool) {
        let pending = self.pending.get_mut();
        pending.push(addition);
        if !may_wait || pending.len() >= MAX_PENDING {
            self.kind(types);
        }
    }

    /// The types below that nothing further up covers, by path from `key`.
    fn leaves(&self, types: &Types, key: &Value, path: &mut Vec<Type>, leaves: &mut Vec<(Vec<Type>, Type)>) {
        path.push(Type::of_value(types, key));
        let kind = self.kind(types);
        if kind.is_unknown() {
            self.children.iter().for_each(|(key, child)| child.leaves(types, key, path, leaves));
        } else {
            types.count(path.len());
            leaves.push((path.clone(), kind));
        }
        path.pop();
    }

    /// The keys below, for messages.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Value> {
        self.children.keys()
    }
}

/// The type of a document with these properties that may have others.
fn document(properties: Vec<(Value, Type)>) -> Type {
    Type::object(properties, Some((Type::String, Type::Any)))
}

// === impl Env ===

impl<'e> Env<'e> {
    /// Gives a variable its type.
    pub(super) fn put(&self, var: &Var, kind: Type) {
        match self {
            Self::Root { .. } => {}
            Self::Body { vars, .. } => {
                vars.borrow_mut().insert(var.clone(), kind);
            }
            Self::With { outer, .. } => outer.put(var, kind),
        }
    }

    /// The places to look, innermost first.
    pub(super) fn levels(&'e self) -> impl Iterator<Item = Level<'e>> {
        let mut env = Some(self);
        let mut layer = 0;
        std::iter::from_fn(move || {
            loop {
                match env? {
                    Env::Root { rules, builtins } => {
                        layer += 1;
                        return match layer {
                            1 => Some(Level::Tree(rules)),
                            2 => Some(Level::Tree(builtins)),
                            _ => None,
                        };
                    }
                    Env::Body { outer, vars } => {
                        env = Some(*outer);
                        return Some(Level::Vars(vars));
                    }
                    Env::With { outer, layers } => {
                        if let Some(tree) = layers.iter().rev().nth(layer) {
                            layer += 1;
                            return Some(Level::Tree(tree));
                        }
                        (env, layer) = (Some(*outer), 0);
                    }
                }
            }
        })
    }
}

// === impl Level ===

impl<'e> Level<'e> {
    pub(super) fn find(&self, name: &Var) -> Option<Found<'e>> {
        match self {
            Self::Vars(vars) => vars.borrow().get(name).cloned().map(Found::Var),
            Self::Tree(tree) => tree.roots.get(name).map(Found::Node),
        }
    }
}

// === impl Found ===

impl<'e> Found<'e> {
    /// The type at the path itself.
    pub(super) fn kind(&self, types: &Types) -> Type {
        match self {
            Self::Var(kind) => kind.clone(),
            Self::Node(node) => node.kind(types),
        }
    }

    /// The type of the whole document. A variable that was found to have no type counts as a document with nothing in
    /// it.
    pub(super) fn document(&self, types: &Types) -> Type {
        match self {
            Self::Var(Type::Unknown) => document(vec![]),
            Self::Var(kind) => kind.clone(),
            Self::Node(node) => node.document(types),
        }
    }

    pub(super) fn child(&self, key: &Value) -> Option<Self> {
        match self {
            Self::Var(_) => None,
            Self::Node(node) => node.child(key).map(Self::Node),
        }
    }

    /// The keys below, for messages.
    pub(super) fn keys(&self) -> Vec<Value> {
        match self {
            Self::Var(_) => vec![],
            Self::Node(node) => node.keys().cloned().collect(),
        }
    }
}
