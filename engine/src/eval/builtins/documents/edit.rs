//! The document of a `json.patch` between its operations.
//!
//! It gives what OPA's tree of edits (`internal/edittree`) gives, also where RFC 6902 asks for something else: what lies at
//! an index of an array is taken, when it is first entered, from where that index was before any operation on the array.
//! And what was added to an array may get lost there ([`Slot::Lost`]). Where OPA panics, which it does in many such cases,
//! this goes on as RFC 6902 asks for.

use super::super::{Context, Failure, Limit, order};
use crate::eval::value::{MAX_DEPTH, Value};

/// A value, and what was done to it.
pub(super) struct Tree {
    /// As it was at first; None once it was removed.
    value: Option<Value>,
    /// Edits of an object's or a set's, in the order of their keys.
    children: Vec<(Value, Child)>,
    /// What stands at each index of an array, once there was any edit.
    slots: Option<Vec<Slot>>,
}

enum Child {
    Deleted,
    Present(Node),
}

enum Slot {
    /// What stood at this index at first.
    Original(usize),
    New(Node),
    /// Like `New`, but OPA finds it no more: it moves the scalars to their new index before the composites, and each
    /// composite that moves takes the scalar with it that has come to its old index.
    Lost(Node),
}

enum Node {
    Value(Value),
    Tree(Box<Tree>),
}

/// What a path leads to.
enum Place<'a> {
    Tree(&'a mut Tree),
    /// What has no parts.
    Scalar(Value),
}

impl Tree {
    pub(super) fn new(value: Value) -> Self {
        Self { value: Some(value), children: Vec::new(), slots: None }
    }

    /// The value as it is now. Recurses by depth, which is bounded.
    pub(super) fn render(&self, ctx: &mut Context<'_>) -> Result<Option<Value>, Failure> {
        let Some(value) = &self.value else { return Ok(None) };
        ctx.budget.step(1)?;
        Ok(Some(match value {
            Value::Array(array) => match &self.slots {
                Some(slots) => rendered_array(ctx, array.as_slice(), slots)?,
                None => value.clone(),
            },
            _ if self.children.is_empty() => value.clone(),
            Value::Object(_) => self.rendered_object(ctx)?,
            _ => self.rendered_set(ctx)?,
        }))
    }

    pub(super) fn render_at(&mut self, ctx: &mut Context<'_>, path: &[Value]) -> Result<Option<Value>, Failure> {
        match self.unfold(ctx, path)? {
            Place::Tree(tree) => tree.render(ctx),
            Place::Scalar(value) => Ok(Some(value)),
        }
    }

    pub(super) fn insert_at(&mut self, ctx: &mut Context<'_>, path: &[Value], value: Value) -> Result<(), Failure> {
        if path.len().saturating_add(usize::from(value.depth())) > usize::from(MAX_DEPTH) {
            return Err(Failure::Limit(Limit::Size));
        }
        let Some((key, parents)) = path.split_last() else {
            *self = Self::new(value);
            return Ok(());
        };
        match self.unfold(ctx, parents)? {
            Place::Tree(tree) => tree.insert(ctx, key, value),
            Place::Scalar(value) => Err(no_composite(&value)),
        }
    }

    pub(super) fn delete_at(&mut self, ctx: &mut Context<'_>, path: &[Value]) -> Result<(), Failure> {
        let Some((key, parents)) = path.split_last() else {
            let removed = std::mem::replace(self, Self { value: None, children: Vec::new(), slots: None });
            return removed.value.map(drop).ok_or_else(|| failure("deleted node encountered during delete operation"));
        };
        match self.unfold(ctx, parents)? {
            Place::Tree(tree) => tree.delete(ctx, key),
            Place::Scalar(value) => Err(no_composite(&value)),
        }
    }

    /// Goes along a path, which makes a tree of each composite on it.
    fn unfold(&mut self, ctx: &mut Context<'_>, path: &[Value]) -> Result<Place<'_>, Failure> {
        let mut place = Place::Tree(self);
        for key in path {
            ctx.budget.step(1)?;
            place = match place {
                Place::Tree(tree) => tree.enter(ctx, key)?,
                Place::Scalar(value) => return Err(no_composite(&value)),
            };
        }
        Ok(place)
    }

    fn enter(&mut self, ctx: &mut Context<'_>, key: &Value) -> Result<Place<'_>, Failure> {
        match &self.value {
            None => Err(failure("nil value encountered where composite value was expected")),
            Some(Value::Array(_)) => self.enter_index(ctx, key),
            Some(Value::Set(_) | Value::Object(_)) => self.enter_key(ctx, key),
            Some(scalar) => Err(no_composite(scalar)),
        }
    }

    fn insert(&mut self, ctx: &mut Context<'_>, key: &Value, value: Value) -> Result<(), Failure> {
        match &self.value {
            None => Err(failure("deleted node encountered during insert operation")),
            Some(Value::Array(_)) => self.insert_index(ctx, key, value),
            Some(Value::Set(_)) => {
                if !order::same(ctx.budget, key, &value)? {
                    return Err(failure("set key does not equal value to be inserted"));
                }
                self.collapse(ctx, key)?;
                self.put(ctx, key, Child::Present(Node::Value(value)))?;
                Ok(())
            }
            Some(Value::Object(_)) => {
                self.put(ctx, key, Child::Present(Node::Value(value)))?;
                Ok(())
            }
            Some(scalar) => Err(no_composite(scalar)),
        }
    }

    fn delete(&mut self, ctx: &mut Context<'_>, key: &Value) -> Result<(), Failure> {
        match &self.value {
            None => Err(failure("deleted node encountered during delete operation")),
            Some(Value::Array(_)) => self.delete_index(ctx, key),
            Some(Value::Set(_) | Value::Object(_)) => self.delete_key(ctx, key),
            Some(scalar) => Err(no_composite(scalar)),
        }
    }
}

// === Objects and sets ===

impl Tree {
    fn enter_key(&mut self, ctx: &mut Context<'_>, key: &Value) -> Result<Place<'_>, Failure> {
        self.collapse(ctx, key)?;
        if let Some(at) = order::find(ctx.budget, &self.children, |(name, _)| name, key)? {
            return self.child(at);
        }
        let found = self.original(ctx, key)?.ok_or_else(|| failure("path does not exist"))?;
        let at = self.put(ctx, key, Child::Present(Node::Value(found)))?;
        self.child(at)
    }

    fn delete_key(&mut self, ctx: &mut Context<'_>, key: &Value) -> Result<(), Failure> {
        self.collapse(ctx, key)?;
        match order::find(ctx.budget, &self.children, |(name, _)| name, key)?.and_then(|at| self.children.get(at)) {
            Some((_, Child::Deleted)) => return Err(failure("cannot delete the already deleted node")),
            Some((_, Child::Present(_))) => {}
            None if self.original(ctx, key)?.is_some() => {}
            None => return Err(failure("cannot delete child key that does not exist")),
        }
        self.put(ctx, key, Child::Deleted)?;
        Ok(())
    }

    /// What stood under a key at first. A set has its members in the form that was asked for.
    fn original(&self, ctx: &mut Context<'_>, key: &Value) -> Result<Option<Value>, Limit> {
        match &self.value {
            Some(Value::Object(object)) => Ok(order::lookup(ctx.budget, object, key)?.cloned()),
            Some(Value::Set(set)) => Ok(order::member(ctx.budget, set, key)?.map(|_| key.clone())),
            _ => Ok(None),
        }
    }

    fn child(&mut self, at: usize) -> Result<Place<'_>, Failure> {
        match self.children.get_mut(at) {
            Some((_, Child::Present(node))) => Ok(node.enter()),
            _ => Err(failure("cannot unfold the already deleted node")),
        }
    }

    /// Sets what is under a key, and the key too, which may have another form; gives where.
    fn put(&mut self, ctx: &mut Context<'_>, key: &Value, child: Child) -> Result<usize, Limit> {
        let place = order::search(ctx.budget, &self.children, |(name, _)| name, key)?;
        let entry = (key.clone(), child);
        match place {
            Ok(at) => {
                if let Some(old) = self.children.get_mut(at) {
                    *old = entry;
                }
                Ok(at)
            }
            Err(at) => {
                ctx.budget.alloc(size_of::<(Value, Child)>())?;
                ctx.budget.read((self.children.len() - at).saturating_mul(size_of::<(Value, Child)>()))?;
                self.children.insert(at, entry);
                Ok(at)
            }
        }
    }

    /// A set's composites are their own keys: what was done to them must be done before one is looked for.
    fn collapse(&mut self, ctx: &mut Context<'_>, key: &Value) -> Result<(), Failure> {
        let is_composite = matches!(key, Value::Array(_) | Value::Object(_) | Value::Set(_));
        if is_composite && matches!(self.value, Some(Value::Set(_))) {
            self.value = self.render(ctx)?;
            self.children.clear();
        }
        Ok(())
    }

    fn rendered_object(&self, ctx: &mut Context<'_>) -> Result<Value, Failure> {
        let Some(Value::Object(object)) = &self.value else { return Err(failure("no object")) };
        let mut entries = Vec::new();
        for (key, child) in &self.children {
            if let Child::Present(node) = child {
                entries.push((key.clone(), node.render(ctx)?));
            }
        }
        ctx.budget.alloc(object.len().saturating_mul(size_of::<(Value, Value)>()))?;
        for (key, value) in object.iter() {
            if !self.is_edited(ctx, key)? {
                entries.push((key.clone(), value.clone()));
            }
        }
        order::sort(ctx.budget, &mut entries, |(key, _)| key)?;
        Ok(Value::object(entries))
    }

    fn rendered_set(&self, ctx: &mut Context<'_>) -> Result<Value, Failure> {
        let Some(Value::Set(set)) = &self.value else { return Err(failure("no set")) };
        let mut members = Vec::new();
        for (_, child) in &self.children {
            if let Child::Present(node) = child {
                members.push(node.render(ctx)?);
            }
        }
        ctx.budget.alloc(set.len().saturating_mul(size_of::<Value>()))?;
        for member in set.iter() {
            if !self.is_edited(ctx, member)? {
                members.push(member.clone());
            }
        }
        Ok(order::set_of(ctx.budget, members)?)
    }

    fn is_edited(&self, ctx: &mut Context<'_>, key: &Value) -> Result<bool, Limit> {
        ctx.budget.step(1)?;
        Ok(order::find(ctx.budget, &self.children, |(name, _)| name, key)?.is_some())
    }
}

// === Arrays ===

impl Tree {
    fn enter_index(&mut self, ctx: &mut Context<'_>, key: &Value) -> Result<Place<'_>, Failure> {
        let missing = || failure("path does not exist in array term");
        let slots = slots(ctx, &self.value, &mut self.slots)?;
        let at = index(slots.len(), key)?.ok_or_else(missing)?;
        if let Slot::Original(_) | Slot::Lost(_) = slots.get(at).ok_or_else(missing)? {
            // OPA looks at the array as it was at first.
            let Some(Value::Array(array)) = &self.value else { return Err(missing()) };
            let value = array.get(at).ok_or_else(missing)?.clone();
            delete_slot(ctx, slots, at)?;
            insert_slot(ctx, slots, at, value)?;
        }
        match slots.get_mut(at) {
            Some(Slot::New(node)) => Ok(node.enter()),
            _ => Err(missing()),
        }
    }

    fn insert_index(&mut self, ctx: &mut Context<'_>, key: &Value, value: Value) -> Result<(), Failure> {
        let slots = slots(ctx, &self.value, &mut self.slots)?;
        let at = index(slots.len(), key)?.filter(|at| *at <= slots.len());
        let at = at.ok_or_else(|| failure("index for array insertion out of bounds"))?;
        Ok(insert_slot(ctx, slots, at, value)?)
    }

    fn delete_index(&mut self, ctx: &mut Context<'_>, key: &Value) -> Result<(), Failure> {
        let slots = slots(ctx, &self.value, &mut self.slots)?;
        let at = index(slots.len(), key)?.filter(|at| *at < slots.len());
        let at = at.ok_or_else(|| failure("index for array delete out of bounds"))?;
        Ok(delete_slot(ctx, slots, at)?)
    }
}

fn insert_slot(ctx: &mut Context<'_>, slots: &mut Vec<Slot>, at: usize, value: Value) -> Result<(), Limit> {
    ctx.budget.alloc(size_of::<Slot>())?;
    let moved = slots.get_mut(at..).unwrap_or_default();
    ctx.budget.read(size_of_val(moved))?;
    // From the end: each scalar right before a composite.
    let mut before_composite = false;
    for slot in moved.iter_mut().rev() {
        if before_composite {
            slot.lose();
        }
        before_composite = slot.is_new_composite();
    }
    slots.insert(at, Slot::New(Node::Value(value)));
    Ok(())
}

fn delete_slot(ctx: &mut Context<'_>, slots: &mut Vec<Slot>, at: usize) -> Result<(), Limit> {
    slots.remove(at);
    let moved = slots.get_mut(at..).unwrap_or_default();
    ctx.budget.read(size_of_val(moved))?;
    // Each scalar right behind a composite.
    let mut behind_composite = false;
    for slot in moved {
        if behind_composite {
            slot.lose();
        }
        behind_composite = slot.is_new_composite();
    }
    Ok(())
}

fn slots<'a>(
    ctx: &mut Context<'_>,
    value: &Option<Value>,
    slots: &'a mut Option<Vec<Slot>>,
) -> Result<&'a mut Vec<Slot>, Limit> {
    let length = if let Some(Value::Array(array)) = value { array.len() } else { 0 };
    if slots.is_none() {
        ctx.budget.alloc(length.saturating_mul(size_of::<Slot>()))?;
    }
    Ok(slots.get_or_insert_with(|| (0..length).map(Slot::Original).collect()))
}

fn rendered_array(ctx: &mut Context<'_>, array: &[Value], slots: &[Slot]) -> Result<Value, Failure> {
    ctx.budget.alloc(slots.len().saturating_mul(size_of::<Value>()))?;
    let mut items = Vec::with_capacity(slots.len());
    for slot in slots {
        items.push(match slot {
            Slot::Original(at) => array.get(*at).cloned().unwrap_or(Value::Null),
            Slot::New(node) | Slot::Lost(node) => node.render(ctx)?,
        });
    }
    Ok(Value::array(items))
}

/// The index that a segment names, where `-` is the one behind the last; None for a negative one.
fn index(length: usize, segment: &Value) -> Result<Option<usize>, Failure> {
    let index = match segment {
        Value::Number(number) => number.as_i64().ok_or_else(|| failure("invalid number type for indexing"))?,
        Value::String(text) if &**text == "-" => return Ok(Some(length)),
        Value::String(text) => {
            let index = integer(text).ok_or_else(|| failure("invalid string for indexing"))?;
            if text.starts_with('0') && text.len() > 1 {
                return Err(failure("leading zeros are not allowed in JSON paths"));
            }
            index
        }
        _ => return Err(failure("invalid type for indexing")),
    };
    Ok(usize::try_from(index).ok())
}

/// As OPA reads an integer (`util.Atoi64`): `+1`, `1.0` and even `.` are some.
fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_one = !digits.is_empty()
        && digits.len() <= 19
        && whole.bytes().all(|byte| byte.is_ascii_digit())
        && fraction.bytes().all(|byte| byte == b'0');
    let sign = if text.starts_with('-') { "-" } else { "" };
    if is_one { format!("{sign}0{whole}").parse().ok() } else { None }
}

// === impl Slot ===

impl Slot {
    fn is_new_composite(&self) -> bool {
        matches!(self, Self::New(Node::Tree(_) | Node::Value(Value::Array(_) | Value::Object(_) | Value::Set(_))))
    }

    /// If it is a scalar that was added.
    fn lose(&mut self) {
        if let Self::New(Node::Value(value)) = self
            && !matches!(value, Value::Array(_) | Value::Object(_) | Value::Set(_))
        {
            *self = Self::Lost(Node::Value(std::mem::replace(value, Value::Null)));
        }
    }
}

// === impl Node ===

impl Node {
    fn enter(&mut self) -> Place<'_> {
        if let Self::Value(value) = self {
            match value {
                Value::Array(_) | Value::Object(_) | Value::Set(_) => {
                    *self = Self::Tree(Box::new(Tree::new(value.clone())));
                }
                scalar => return Place::Scalar(scalar.clone()),
            }
        }
        match self {
            Self::Tree(tree) => Place::Tree(tree),
            Self::Value(value) => Place::Scalar(value.clone()),
        }
    }

    fn render(&self, ctx: &mut Context<'_>) -> Result<Value, Failure> {
        match self {
            Self::Value(value) => Ok(value.clone()),
            Self::Tree(tree) => tree.render(ctx)?.ok_or_else(|| failure("no value")),
        }
    }
}

fn no_composite(value: &Value) -> Failure {
    Failure::Error(format!("expected composite type, found {}", value.type_name()))
}

fn failure(what: &str) -> Failure {
    Failure::error(what)
}
