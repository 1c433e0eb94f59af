//! Schemas made ready to validate by, in gojsonschema's order, so that of several mistakes the same one is reported.
//!
//! What gojsonschema does by recursion is done with a stack here: schemas refer to each other in chains of any length.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use super::canonical;
use super::decimal::Decimal;
use super::documents::{Documents, Draft, NodeId, parse, resolved};
use crate::eval::builtins::patterns::{Handle, Patterns};
use crate::eval::builtins::re2::Regex;
use crate::eval::builtins::uri::url::Url;
use crate::eval::builtins::{Budget, Failure};
use crate::eval::value::{Object, Value};

pub(super) const TYPES: [&str; 7] = ["array", "boolean", "integer", "number", "null", "object", "string"];

pub(super) type SchemaId = usize;

/// A schema. What it doesn't say is empty.
pub(super) struct Schema<'a> {
    draft: Draft,
    id: Rc<Url>,
    /// The name of the property it describes, if it does.
    pub(super) property: Arc<str>,
    /// `true` or `false`.
    pub(super) pass: Option<bool>,
    /// The schema that is meant instead.
    pub(super) reference: Option<SchemaId>,
    pub(super) types: Vec<&'static str>,
    pub(super) items: Vec<SchemaId>,
    /// Whether the one schema in `items` is for all of them.
    pub(super) same_items: bool,
    pub(super) additional_items: Additional,
    /// By name.
    pub(super) properties: Vec<SchemaId>,
    pub(super) additional_properties: Additional,
    pub(super) pattern_properties: Vec<(Pattern<'a>, SchemaId)>,
    pub(super) property_names: Option<SchemaId>,
    pub(super) dependencies: HashMap<Arc<str>, Dependency>,
    pub(super) multiple_of: Option<Decimal>,
    pub(super) minimum: Option<Decimal>,
    pub(super) exclusive_minimum: Option<Decimal>,
    pub(super) maximum: Option<Decimal>,
    pub(super) exclusive_maximum: Option<Decimal>,
    pub(super) min_length: Option<i64>,
    pub(super) max_length: Option<i64>,
    pub(super) pattern: Option<Pattern<'a>>,
    pub(super) format: Option<Arc<str>>,
    pub(super) min_properties: Option<i64>,
    pub(super) max_properties: Option<i64>,
    pub(super) required: Vec<Arc<str>>,
    pub(super) min_items: Option<i64>,
    pub(super) max_items: Option<i64>,
    pub(super) unique_items: bool,
    pub(super) contains: Option<SchemaId>,
    pub(super) constant: Option<String>,
    pub(super) choices: Option<Choices>,
    pub(super) one_of: Vec<SchemaId>,
    pub(super) any_of: Vec<SchemaId>,
    pub(super) all_of: Vec<SchemaId>,
    pub(super) not: Option<SchemaId>,
    pub(super) condition: Option<SchemaId>,
    pub(super) then: Option<SchemaId>,
    pub(super) otherwise: Option<SchemaId>,
}

/// Whether there may be more than what is described, and what that must be.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Additional {
    #[default]
    Unsaid,
    Allowed(bool),
    Schema(SchemaId),
}

pub(super) struct Pattern<'a> {
    pub(super) text: Arc<str>,
    pub(super) regex: Handle<'a, Regex>,
}

/// What an object must be if it has a property.
pub(super) enum Dependency {
    Properties(Vec<Arc<str>>),
    Schema(SchemaId),
}

/// The values of an `enum`, in canonical form.
pub(super) struct Choices {
    pub(super) all: HashSet<Rc<str>>,
    /// With commas between.
    pub(super) listed: String,
}

pub(super) struct Compiler<'a, 'b> {
    budget: &'b mut Budget,
    patterns: &'a Patterns,
    documents: Documents,
    schemas: Vec<Schema<'a>>,
    /// Schemas that were referred to, by the reference.
    referred: HashMap<String, SchemaId>,
}

/// A schema that is being read.
struct Frame {
    schema: SchemaId,
    node: NodeId,
    /// Which of its keywords are read next, and how often they were.
    stage: usize,
    index: usize,
}

/// What is to be done next.
enum Next {
    /// The next keywords.
    Stage,
    /// The same keywords once more.
    Again,
    /// Nothing more for this schema.
    Done,
    /// Another schema, and then this one further.
    Child(SchemaId, NodeId),
    /// Another schema, and nothing more for this one.
    Instead(SchemaId, NodeId),
}

// === impl Compiler ===

impl<'a, 'b> Compiler<'a, 'b> {
    /// All schemas of a document; the first is the document itself.
    ///
    /// # Errors
    /// It is no schema, in gojsonschema's words.
    pub(super) fn compile(
        budget: &'b mut Budget,
        patterns: &'a Patterns,
        value: Value,
    ) -> Result<Vec<Schema<'a>>, Failure> {
        let documents = Documents::default();
        let mut compiler = Self { budget, patterns, documents, schemas: vec![], referred: HashMap::new() };
        let root = compiler.documents.add(compiler.budget, value, &Url::default())?;
        let draft = root.draft.unwrap_or(Draft::Hybrid);
        let schema = compiler.schema("(Root)".into(), draft, Rc::new(Url::default()))?;
        compiler.read(schema, root.node)?;
        Ok(compiler.schemas)
    }

    fn read(&mut self, schema: SchemaId, node: NodeId) -> Result<(), Failure> {
        let mut frames = vec![Frame { schema, node, stage: 0, index: 0 }];
        while let Some(frame) = frames.last_mut() {
            self.budget.step(1)?;
            let index = frame.index;
            frame.index += 1;
            let next = self.stage(frame.stage, frame.schema, frame.node, index)?;
            match next {
                Next::Stage => {
                    frame.stage += 1;
                    frame.index = 0;
                }
                Next::Again => {}
                Next::Done => _ = frames.pop(),
                Next::Child(schema, node) => frames.push(Frame { schema, node, stage: 0, index: 0 }),
                Next::Instead(schema, node) => *frame = Frame { schema, node, stage: 0, index: 0 },
            }
        }
        Ok(())
    }

    /// In gojsonschema's order. `index` counts the calls for one stage.
    fn stage(&mut self, stage: usize, schema: SchemaId, node: NodeId, index: usize) -> Result<Next, Failure> {
        match stage {
            0 => self.begin(schema, node),
            1 => self.definitions(schema, node, index),
            2 => self.reference(schema, node),
            3 => self.types(schema, node),
            4 => self.properties(schema, node, index),
            5 => self.additional(schema, node, index, "additionalProperties"),
            6 => self.pattern_properties(schema, node, index),
            7 => self.property_names(schema, node, index),
            8 => self.dependencies(schema, node, index),
            9 => self.items(schema, node, index),
            10 => self.additional(schema, node, index, "additionalItems"),
            11 => self.numbers(schema, node),
            12 => self.strings(schema, node),
            13 => self.sizes(schema, node),
            14 => self.contains(schema, node, index),
            15 => self.values(schema, node),
            16 => self.combined(schema, node, index, "oneOf"),
            17 => self.combined(schema, node, index, "anyOf"),
            18 => self.combined(schema, node, index, "allOf"),
            19 => self.single(schema, node, index, "not"),
            20 => self.single(schema, node, index, "if"),
            21 => self.single(schema, node, index, "then"),
            22 => self.single(schema, node, index, "else"),
            _ => Ok(Next::Done),
        }
    }

    fn begin(&mut self, schema: SchemaId, node: NodeId) -> Result<Next, Failure> {
        let draft = self.draft(schema);
        if let Value::Bool(pass) = *self.documents.value(node)
            && draft >= Draft::Six
        {
            self.update(schema, |schema| schema.pass = Some(pass));
            return Ok(Next::Done);
        }
        if self.documents.object(node).is_none() {
            return Err(Failure::error("Expected: Valid Schema, given: Invalid JSON"));
        }
        let key = match draft {
            Draft::Four => "id",
            Draft::Hybrid if self.entry(node, "id").is_some() => "id",
            _ => "$id",
        };
        if let Some(id) = self.text(node, key)? {
            let id = parse(&id)?;
            // Until now it has its parent's. The root's is taken as it is.
            let id = match self.schemas.get(schema).filter(|_| schema != 0) {
                Some(schema) => {
                    let what = || Failure::Error(format!("invalid {key}"));
                    resolved(self.budget, &schema.id, &id)?.ok_or_else(what)?
                }
                None => id,
            };
            self.update(schema, |schema| schema.id = Rc::new(id));
        }
        Ok(Next::Stage)
    }

    fn definitions(&mut self, schema: SchemaId, node: NodeId, index: usize) -> Result<Next, Failure> {
        let Some(definitions) = self.entry(node, "definitions") else { return Ok(Next::Stage) };
        let object = self.documents.object(definitions);
        let count = object.ok_or_else(|| invalid_type("Array Of Schemas", "definitions"))?.len();
        if index < count {
            let child = self.documents.child(definitions, index);
            if !self.is_schema(child) {
                return Err(invalid_type("Array Of Schemas", "definitions"));
            }
            return self.child(schema, "definitions".into(), child).map(|child| child.next());
        }
        Ok(Next::Stage)
    }

    /// The first schema with a reference has nothing but that; of the others the rest is read, and unused.
    fn reference(&mut self, schema: SchemaId, node: NodeId) -> Result<Next, Failure> {
        self.text(node, "title")?;
        self.text(node, "description")?;
        let Some(written) = self.text(node, "$ref")? else { return Ok(Next::Stage) };
        let reference = parse(self.documents.reference(node).unwrap_or(&Rc::from(&*written)))?;
        self.budget.alloc(reference.len().saturating_mul(8))?;
        let name = reference.to_string();
        if let Some(known) = self.referred.get(&name).copied() {
            self.update(schema, |schema| schema.reference = Some(known));
            return Ok(Next::Stage);
        }
        let document = self.documents.get(self.budget, &reference)?;
        let draft = document.draft.unwrap_or(self.draft(schema));
        if !self.is_schema(document.node) {
            return Err(Failure::error("Valid Schema must be of type object"));
        }
        let referred = self.schema("$ref".into(), draft, Rc::new(reference))?;
        self.referred.insert(name, referred);
        self.update(schema, |schema| schema.reference = Some(referred));
        Ok(Next::Instead(referred, document.node))
    }

    fn types(&mut self, schema: SchemaId, node: NodeId) -> Result<Next, Failure> {
        let wrong = || invalid_type("type", "string/Array Of Strings");
        let Some(types) = self.keyword(node, "type") else { return Ok(Next::Stage) };
        let types = match types {
            Value::String(_) => vec![types],
            Value::Array(array) => array.as_slice().to_vec(),
            _ => return Err(wrong()),
        };
        let mut known: Vec<&'static str> = vec![];
        for given in types {
            let given = given.as_str().ok_or_else(wrong)?;
            let kind = TYPES.into_iter().find(|kind| *kind == given).ok_or_else(|| {
                let expected = TYPES.join(" ");
                Failure::Error(format!(
                    "has a primitive type that is NOT VALID -- given: /{given}/ Expected valid values are:[{expected}]"
                ))
            })?;
            if known.contains(&kind) {
                return Err(Failure::Error(format!("{kind} type is duplicated")));
            }
            known.push(kind);
        }
        self.update(schema, |schema| schema.types = known);
        Ok(Next::Stage)
    }

    fn properties(&mut self, schema: SchemaId, node: NodeId, index: usize) -> Result<Next, Failure> {
        let Some(properties) = self.entry(node, "properties") else { return Ok(Next::Stage) };
        let object = self.documents.object(properties);
        let object = object.ok_or_else(|| Failure::error("Properties must be of type object"))?;
        let Some(name) = name(object, index) else { return Ok(Next::Stage) };
        let child = self.child(schema, name, self.documents.child(properties, index))?;
        self.update(schema, |schema| schema.properties.push(child.schema));
        Ok(child.next())
    }

    /// `additionalProperties` and `additionalItems`.
    fn additional(&mut self, schema: SchemaId, node: NodeId, index: usize, key: &str) -> Result<Next, Failure> {
        let Some(entry) = self.entry(node, key).filter(|_| index == 0) else { return Ok(Next::Stage) };
        let (additional, next) = match self.documents.value(entry) {
            Value::Bool(allowed) => (Additional::Allowed(*allowed), Next::Stage),
            Value::Object(_) => {
                let child = self.child(schema, key.into(), entry)?;
                (Additional::Schema(child.schema), child.next())
            }
            _ => return Err(invalid_type("boolean/Valid Schema", key)),
        };
        self.update(schema, |schema| match key {
            "additionalItems" => schema.additional_items = additional,
            _ => schema.additional_properties = additional,
        });
        Ok(next)
    }

    fn pattern_properties(&mut self, schema: SchemaId, node: NodeId, index: usize) -> Result<Next, Failure> {
        let Some(properties) = self.entry(node, "patternProperties") else { return Ok(Next::Stage) };
        let object = self.documents.object(properties);
        let object = object.ok_or_else(|| invalid_type("Valid Schema", "patternProperties"))?;
        let Some(name) = name(object, index) else { return Ok(Next::Stage) };
        let pattern = self.pattern(&name, || Failure::Error(format!("Invalid regex pattern '{name}'")))?;
        let child = self.child(schema, Arc::clone(&name), self.documents.child(properties, index))?;
        self.update(schema, |schema| schema.pattern_properties.push((pattern, child.schema)));
        Ok(child.next())
    }

    fn property_names(&mut self, schema: SchemaId, node: NodeId, index: usize) -> Result<Next, Failure> {
        let entry = self.entry(node, "propertyNames").filter(|_| index == 0 && self.draft(schema) >= Draft::Six);
        let Some(entry) = entry else { return Ok(Next::Stage) };
        if !self.is_schema(entry) {
            // Sic.
            return Err(invalid_type("Valid Schema", "patternProperties"));
        }
        let child = self.child(schema, "propertyNames".into(), entry)?;
        self.update(schema, |schema| schema.property_names = Some(child.schema));
        Ok(child.next())
    }

    fn dependencies(&mut self, schema: SchemaId, node: NodeId, index: usize) -> Result<Next, Failure> {
        let Some(dependencies) = self.entry(node, "dependencies") else { return Ok(Next::Stage) };
        let object = self.documents.object(dependencies);
        let object = object.ok_or_else(|| Failure::error("dependencies must be of type object"))?;
        let Some(name) = name(object, index) else { return Ok(Next::Stage) };
        let wrong = || Failure::error("Dependency must be of type Schema Or Array Of Strings");
        let entry = self.documents.child(dependencies, index);
        if let Value::Array(array) = self.documents.value(entry) {
            let texts =
                array.iter().map(|item| if let Value::String(text) = item { Some(Arc::clone(text)) } else { None });
            let texts: Vec<Arc<str>> = texts.collect::<Option<_>>().ok_or_else(wrong)?;
            self.budget.alloc(size_of_val(texts.as_slice()))?;
            self.update(schema, |schema| _ = schema.dependencies.insert(name, Dependency::Properties(texts)));
            return Ok(Next::Again);
        }
        if !self.is_schema(entry) {
            return Err(wrong());
        }
        let child = self.child(schema, Arc::clone(&name), entry)?;
        self.update(schema, |schema| _ = schema.dependencies.insert(name, Dependency::Schema(child.schema)));
        Ok(child.next())
    }

    fn items(&mut self, schema: SchemaId, node: NodeId, index: usize) -> Result<Next, Failure> {
        let Some(items) = self.entry(node, "items") else { return Ok(Next::Stage) };
        let wrong = || invalid_type("Valid Schema/Array Of Schemas", "items");
        let entry = match self.documents.value(items) {
            Value::Array(array) if index < array.len() => self.documents.child(items, index),
            Value::Array(_) => return Ok(Next::Stage),
            Value::Object(_) | Value::Bool(_) if index > 0 => return Ok(Next::Stage),
            Value::Object(_) | Value::Bool(_) => {
                self.update(schema, |schema| schema.same_items = true);
                items
            }
            _ => return Err(wrong()),
        };
        if !self.is_schema(entry) {
            return Err(wrong());
        }
        let child = self.child(schema, "items".into(), entry)?;
        self.update(schema, |schema| schema.items.push(child.schema));
        Ok(child.next())
    }

    fn numbers(&mut self, schema: SchemaId, node: NodeId) -> Result<Next, Failure> {
        let number = |key: &str| match self.keyword(node, key) {
            Some(Value::Number(number)) => Some(Decimal::new(&number)),
            Some(_) => Some(None),
            None => None,
        };
        let multiple_of = match number("multipleOf") {
            Some(None) => return Err(invalid_type("Number", "multipleOf")),
            Some(Some(value)) if !value.is_positive() => {
                return Err(Failure::error("multipleOf must be strictly greater than 0"));
            }
            other => other.flatten(),
        };
        let limit = |key: &str, exclusive: &str| -> Result<(Option<Decimal>, Option<Decimal>), Failure> {
            let inclusive = match number(key) {
                Some(None) => return Err(Failure::Error(format!("{key} must be of a Number"))),
                other => other.flatten(),
            };
            self.exclusive(schema, node, key, exclusive, inclusive)
        };
        let (minimum, exclusive_minimum) = limit("minimum", "exclusiveMinimum")?;
        let (maximum, exclusive_maximum) = limit("maximum", "exclusiveMaximum")?;
        self.update(schema, |schema| {
            schema.multiple_of = multiple_of;
            schema.minimum = minimum;
            schema.exclusive_minimum = exclusive_minimum;
            schema.maximum = maximum;
            schema.exclusive_maximum = exclusive_maximum;
        });
        Ok(Next::Stage)
    }

    /// The limit, and the exclusive one. In draft 4 a boolean says which of them a limit is; since then each is a number.
    fn exclusive(
        &self,
        schema: SchemaId,
        node: NodeId,
        key: &str,
        exclusive: &str,
        limit: Option<Decimal>,
    ) -> Result<(Option<Decimal>, Option<Decimal>), Failure> {
        let draft = self.draft(schema);
        match self.keyword(node, exclusive) {
            None => Ok((limit, None)),
            Some(Value::Bool(_)) if matches!(draft, Draft::Four | Draft::Hybrid) && limit.is_none() => {
                Err(Failure::Error(format!("{exclusive} cannot be used without {key}")))
            }
            Some(Value::Bool(true)) if matches!(draft, Draft::Four | Draft::Hybrid) => Ok((None, limit)),
            Some(Value::Bool(false)) if matches!(draft, Draft::Four | Draft::Hybrid) => Ok((limit, None)),
            Some(Value::Number(number)) if draft != Draft::Four => Ok((limit, Decimal::new(&number))),
            Some(_) => Err(invalid_type(
                match draft {
                    Draft::Four => "boolean",
                    Draft::Hybrid => "boolean/number",
                    _ => "number",
                },
                exclusive,
            )),
        }
    }

    fn strings(&mut self, schema: SchemaId, node: NodeId) -> Result<Next, Failure> {
        let min_length = self.size(node, "minLength")?;
        let max_length = self.size(node, "maxLength")?;
        if min_length.zip(max_length).is_some_and(|(min, max)| min > max) {
            return Err(Failure::error("minLength cannot be greater than maxLength"));
        }
        let pattern = match self.text(node, "pattern")? {
            Some(text) => Some(self.pattern(&text, || Failure::error("pattern must be a valid regex"))?),
            None => None,
        };
        let format = self.text(node, "format")?.filter(|format| !format.is_empty());
        self.update(schema, |schema| {
            schema.min_length = min_length;
            schema.max_length = max_length;
            schema.pattern = pattern;
            schema.format = format;
        });
        Ok(Next::Stage)
    }

    fn sizes(&mut self, schema: SchemaId, node: NodeId) -> Result<Next, Failure> {
        let min_properties = self.size(node, "minProperties")?;
        let max_properties = self.size(node, "maxProperties")?;
        if min_properties.zip(max_properties).is_some_and(|(min, max)| min > max) {
            return Err(Failure::error("minProperties cannot be greater than maxProperties"));
        }
        let required = self.required(node)?;
        let min_items = self.size(node, "minItems")?;
        let max_items = self.size(node, "maxItems")?;
        let unique_items = match self.keyword(node, "uniqueItems") {
            Some(Value::Bool(unique)) => unique,
            Some(_) => return Err(Failure::error("uniqueItems must be of a boolean")),
            None => false,
        };
        self.update(schema, |schema| {
            schema.min_properties = min_properties;
            schema.max_properties = max_properties;
            schema.required = required;
            schema.min_items = min_items;
            schema.max_items = max_items;
            schema.unique_items = unique_items;
        });
        Ok(Next::Stage)
    }

    fn required(&mut self, node: NodeId) -> Result<Vec<Arc<str>>, Failure> {
        let Some(entry) = self.list(node, "required")? else { return Ok(vec![]) };
        let Value::Array(array) = self.documents.value(entry) else { return Ok(vec![]) };
        self.budget.alloc(array.len().saturating_mul(64))?;
        let mut seen = HashSet::new();
        let mut required = vec![];
        for item in array.iter() {
            let Value::String(name) = item else { return Err(invalid_type("string", "required")) };
            if !seen.insert(name) {
                return Err(Failure::error("required items must be unique"));
            }
            required.push(Arc::clone(name));
        }
        Ok(required)
    }

    fn contains(&mut self, schema: SchemaId, node: NodeId, index: usize) -> Result<Next, Failure> {
        let entry = self.entry(node, "contains").filter(|_| index == 0 && self.draft(schema) >= Draft::Six);
        let Some(entry) = entry else { return Ok(Next::Stage) };
        let child = self.child(schema, "contains".into(), entry)?;
        self.update(schema, |schema| schema.contains = Some(child.schema));
        Ok(child.next())
    }

    fn values(&mut self, schema: SchemaId, node: NodeId) -> Result<Next, Failure> {
        let constant = match self.keyword(node, "const").filter(|_| self.draft(schema) >= Draft::Six) {
            Some(value) => Some(canonical::text(self.budget, &value)?),
            None => None,
        };
        let mut choices = None;
        if let Some(entry) = self.list(node, "enum")?
            && let Value::Array(array) = self.documents.value(entry)
        {
            let mut all = HashSet::new();
            let mut listed = String::new();
            for item in array.iter() {
                let text: Rc<str> = canonical::text(self.budget, item)?.into();
                self.budget.alloc(text.len().saturating_mul(2).saturating_add(64))?;
                if !all.insert(Rc::clone(&text)) {
                    return Err(Failure::error("enum items must be unique"));
                }
                listed.push_str(if all.len() == 1 { "" } else { ", " });
                listed.push_str(&text);
            }
            choices = Some(Choices { all, listed });
        }
        self.update(schema, |schema| {
            schema.constant = constant;
            schema.choices = choices;
        });
        Ok(Next::Stage)
    }

    /// `oneOf`, `anyOf` and `allOf`.
    fn combined(&mut self, schema: SchemaId, node: NodeId, index: usize, key: &str) -> Result<Next, Failure> {
        let Some(list) = self.list(node, key)? else { return Ok(Next::Stage) };
        if !matches!(self.documents.value(list), Value::Array(array) if index < array.len()) {
            return Ok(Next::Stage);
        }
        let child = self.child(schema, key.into(), self.documents.child(list, index))?;
        self.update(schema, |schema| match key {
            "oneOf" => schema.one_of.push(child.schema),
            "anyOf" => schema.any_of.push(child.schema),
            _ => schema.all_of.push(child.schema),
        });
        Ok(child.next())
    }

    /// `not`, `if`, `then` and `else`.
    fn single(&mut self, schema: SchemaId, node: NodeId, index: usize, key: &str) -> Result<Next, Failure> {
        let known = key == "not" || self.draft(schema) >= Draft::Seven;
        let Some(entry) = self.entry(node, key).filter(|_| known && index == 0) else { return Ok(Next::Stage) };
        if !self.is_schema(entry) {
            return Err(Failure::Error(format!("{key} must be of an object")));
        }
        let child = self.child(schema, key.into(), entry)?;
        let id = Some(child.schema);
        self.update(schema, |schema| match key {
            "not" => schema.not = id,
            "if" => schema.condition = id,
            "then" => schema.then = id,
            _ => schema.otherwise = id,
        });
        Ok(child.next())
    }

    fn schema(&mut self, property: Arc<str>, draft: Draft, id: Rc<Url>) -> Result<SchemaId, Failure> {
        self.budget.alloc(size_of::<Schema<'_>>() + 64)?;
        self.schemas.push(Schema::new(property, draft, id));
        Ok(self.schemas.len() - 1)
    }

    fn child(&mut self, parent: SchemaId, property: Arc<str>, node: NodeId) -> Result<Child, Failure> {
        let id = self.schemas.get(parent).map_or_else(Rc::default, |parent| Rc::clone(&parent.id));
        let schema = self.schema(property, self.draft(parent), id)?;
        Ok(Child { schema, node })
    }

    fn update(&mut self, schema: SchemaId, change: impl FnOnce(&mut Schema<'a>)) {
        if let Some(schema) = self.schemas.get_mut(schema) {
            change(schema);
        }
    }

    fn draft(&self, schema: SchemaId) -> Draft {
        self.schemas.get(schema).map_or(Draft::Hybrid, |schema| schema.draft)
    }

    fn entry(&self, node: NodeId, key: &str) -> Option<NodeId> {
        self.documents.entry(node, key)
    }

    fn keyword(&self, node: NodeId, key: &str) -> Option<Value> {
        self.entry(node, key).map(|entry| self.documents.value(entry).clone())
    }

    fn is_schema(&self, node: NodeId) -> bool {
        matches!(self.documents.value(node), Value::Bool(_) | Value::Object(_))
    }

    fn text(&self, node: NodeId, key: &str) -> Result<Option<Arc<str>>, Failure> {
        match self.keyword(node, key) {
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(invalid_type("string", key)),
            None => Ok(None),
        }
    }

    fn list(&self, node: NodeId, key: &str) -> Result<Option<NodeId>, Failure> {
        let entry = self.entry(node, key);
        match entry.map(|entry| self.documents.value(entry)) {
            Some(Value::Array(_)) | None => Ok(entry),
            Some(_) => Err(Failure::Error(format!("{key} must be of an array"))),
        }
    }

    /// An integer in plain digits.
    fn size(&self, node: NodeId, key: &str) -> Result<Option<i64>, Failure> {
        let Some(value) = self.keyword(node, key) else { return Ok(None) };
        let size: Option<i64> = if let Value::Number(number) = value { number.to_string().parse().ok() } else { None };
        match size {
            None => Err(Failure::Error(format!("{key} must be of an integer"))),
            Some(size) if size < 0 => Err(Failure::Error(format!("{key} must be greater than or equal to 0"))),
            size => Ok(size),
        }
    }

    fn pattern(&mut self, text: &Arc<str>, invalid: impl FnOnce() -> Failure) -> Result<Pattern<'a>, Failure> {
        match self.patterns.regex(text, self.budget) {
            Ok(regex) => Ok(Pattern { text: Arc::clone(text), regex }),
            Err(Failure::Error(_)) => Err(invalid()),
            Err(other) => Err(other),
        }
    }
}

/// A schema within another one, to be read.
struct Child {
    schema: SchemaId,
    node: NodeId,
}

impl Child {
    fn next(self) -> Next {
        Next::Child(self.schema, self.node)
    }
}

fn name(object: &Object, index: usize) -> Option<Arc<str>> {
    match object.entries().get(index)? {
        (Value::String(name), _) => Some(Arc::clone(name)),
        _ => None,
    }
}

fn invalid_type(expected: &str, given: &str) -> Failure {
    Failure::Error(format!("Invalid type. Expected: {expected}, given: {given}"))
}

// === impl Schema ===

impl Schema<'_> {
    fn new(property: Arc<str>, draft: Draft, id: Rc<Url>) -> Self {
        Self {
            draft,
            id,
            property,
            pass: None,
            reference: None,
            types: vec![],
            items: vec![],
            same_items: false,
            additional_items: Additional::Unsaid,
            properties: vec![],
            additional_properties: Additional::Unsaid,
            pattern_properties: vec![],
            property_names: None,
            dependencies: HashMap::new(),
            multiple_of: None,
            minimum: None,
            exclusive_minimum: None,
            maximum: None,
            exclusive_maximum: None,
            min_length: None,
            max_length: None,
            pattern: None,
            format: None,
            min_properties: None,
            max_properties: None,
            required: vec![],
            min_items: None,
            max_items: None,
            unique_items: false,
            contains: None,
            constant: None,
            choices: None,
            one_of: vec![],
            any_of: vec![],
            all_of: vec![],
            not: None,
            condition: None,
            then: None,
            otherwise: None,
        }
    }
}
