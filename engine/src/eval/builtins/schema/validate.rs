//! Values validated by schemas, with gojsonschema's reports of what is wrong.
//!
//! Of alternatives that all fail, the reports of the one that came closest are kept: each check that is made counts for
//! an alternative, and each failure against it. What gojsonschema does by recursion is done with a stack here: schemas may
//! refer to each other without end, and then the budget ends it.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::canonical;
use super::compile::{Additional, Dependency, Schema, SchemaId};
use super::decimal::Decimal;
use super::formats;
use crate::eval::builtins::{Budget, Failure, Limit};
use crate::eval::value::{Array, Number, Object, Value};

/// Something that is wrong.
pub(super) struct Report {
    pub(super) kind: &'static str,
    pub(super) description: String,
    place: Rc<Place>,
}

/// Where a value stands in the document.
struct Place {
    step: Step,
    within: Option<Rc<Place>>,
    /// Of its text.
    len: usize,
}

enum Step {
    Root,
    Key(Arc<str>),
    Index(usize),
}

pub(super) struct Validator<'a, 'b> {
    budget: &'b mut Budget,
    schemas: &'a [Schema<'a>],
    stack: Vec<Validation<'a>>,
    /// The most there were on the stack.
    deepest: usize,
}

/// What has come out for a value and a schema.
#[derive(Default)]
struct Outcome {
    reports: Vec<Report>,
    score: i64,
}

/// One value being validated by one schema.
struct Validation<'a> {
    schema: &'a Schema<'a>,
    value: &'a Value,
    place: Rc<Place>,
    outcome: Outcome,
    stage: Stage,
    /// Counters of the stage.
    index: usize,
    inner: usize,
    count: usize,
    /// The best of the alternatives that failed.
    best: Option<Outcome>,
}

/// What is checked, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    AnyOf,
    OneOf,
    AllOf,
    Not,
    Dependencies,
    Condition,
    /// Of the condition.
    Branch,
    Items,
    Contains,
    Members,
    PropertyNames,
    Common,
    Properties,
    Done,
}

/// What a validation needs next.
enum Next<'a> {
    /// Another one's outcome.
    Other(SchemaId, &'a Value, Rc<Place>),
    Nothing,
}

enum Begun<'a> {
    Running(Validation<'a>),
    /// It was over before it began.
    Over(Outcome),
}

// === impl Validator ===

impl<'a, 'b> Validator<'a, 'b> {
    /// What is wrong with a document, by the first of the schemas.
    ///
    /// # Errors
    /// The budget is spent, or there is a number that gojsonschema can't handle.
    pub(super) fn validate(
        budget: &'b mut Budget,
        schemas: &'a [Schema<'a>],
        document: &'a Value,
    ) -> Result<Vec<Report>, Failure> {
        let place = Rc::new(Place { step: Step::Root, within: None, len: ROOT.len() });
        Self { budget, schemas, stack: vec![], deepest: 0 }.run(document, place)
    }

    fn run(mut self, document: &'a Value, place: Rc<Place>) -> Result<Vec<Report>, Failure> {
        let mut next = Next::Other(0, document, place);
        let mut delivered = None;
        loop {
            match next {
                Next::Other(schema, value, place) => match self.begin(schema, value, place)? {
                    Begun::Running(validation) => self.push(validation)?,
                    Begun::Over(outcome) => delivered = Some(outcome),
                },
                Next::Nothing => delivered = self.stack.pop().map(|validation| validation.outcome),
            }
            let Some(mut validation) = self.stack.pop() else {
                return Ok(delivered.unwrap_or_default().reports);
            };
            next = self.advance(&mut validation, delivered.take())?;
            self.stack.push(validation);
        }
    }

    fn push(&mut self, validation: Validation<'a>) -> Result<(), Limit> {
        self.stack.push(validation);
        if self.stack.len() > self.deepest {
            self.deepest = self.stack.len();
            self.budget.alloc(2 * size_of::<Validation<'_>>())?;
        }
        self.budget.step(4)
    }

    fn begin(&mut self, schema: SchemaId, value: &'a Value, place: Rc<Place>) -> Result<Begun<'a>, Failure> {
        let mut hops = 0;
        let mut at = schema;
        let schema = loop {
            // Schemas are never taken away. gojsonschema never returns from a circle of references.
            let schema = self.schemas.get(at).filter(|_| hops <= self.schemas.len()).ok_or(Limit::Size)?;
            match schema.reference.filter(|_| schema.pass.is_none()) {
                Some(reference) => at = reference,
                None => break schema,
            }
            hops += 1;
        };
        self.budget.step(1 + hops as u64)?;
        let mut validation = Validation::new(schema, value, place);
        if let Some(pass) = schema.pass {
            if !pass {
                self.report(&mut validation, "false", "False always fails validation".to_owned())?;
            }
            return Ok(Begun::Over(validation.outcome));
        }
        let given = type_of(value);
        let fits = |kind: &&str| *kind == given || *kind == "number" && given == "integer";
        if !schema.types.is_empty() && !schema.types.iter().any(fits) {
            let expected = match schema.types.as_slice() {
                [one] => (*one).to_owned(),
                many => format!("[{}]", many.join(",")),
            };
            let description = format!("Invalid type. Expected: {expected}, given: {given}");
            self.report(&mut validation, "invalid_type", description)?;
            return Ok(Begun::Over(validation.outcome));
        }
        Ok(Begun::Running(validation))
    }

    /// Goes on until another outcome is needed. `delivered` is the one that was needed before.
    fn advance(
        &mut self,
        validation: &mut Validation<'a>,
        mut delivered: Option<Outcome>,
    ) -> Result<Next<'a>, Failure> {
        loop {
            self.budget.step(1)?;
            let delivered = delivered.take();
            if let Some(delivered) = &delivered {
                self.budget.step(delivered.reports.len() as u64 / 16)?;
            }
            let needed = match validation.stage {
                Stage::AnyOf => self.any_of(validation, delivered)?,
                Stage::OneOf => self.one_of(validation, delivered)?,
                Stage::AllOf => self.all_of(validation, delivered)?,
                Stage::Not => self.not(validation, delivered)?,
                Stage::Dependencies => self.dependencies(validation, delivered)?,
                Stage::Condition => Self::condition(validation, delivered),
                Stage::Branch => self.branch(validation, delivered)?,
                Stage::Items => self.items(validation, delivered)?,
                Stage::Contains => self.contains(validation, delivered)?,
                Stage::Members => self.members(validation, delivered)?,
                Stage::PropertyNames => self.property_names(validation, delivered)?,
                Stage::Common => self.common(validation)?,
                Stage::Properties => self.properties(validation, delivered)?,
                Stage::Done => return Ok(Next::Nothing),
            };
            if let Some(next) = needed {
                return Ok(next);
            }
        }
    }

    fn any_of(
        &mut self,
        validation: &mut Validation<'a>,
        delivered: Option<Outcome>,
    ) -> Result<Option<Next<'a>>, Failure> {
        let schemas = &validation.schema.any_of;
        if let Some(outcome) = delivered {
            validation.index += 1;
            validation.count += usize::from(outcome.is_valid());
            validation.keep_best(outcome);
        }
        if validation.count == 0 {
            if let Some(schema) = schemas.get(validation.index) {
                return Ok(Some(validation.other(*schema)));
            }
            if !schemas.is_empty() {
                let description = "Must validate at least one schema (anyOf)".to_owned();
                self.report(validation, "number_any_of", description)?;
                validation.merge_best();
            }
        }
        validation.enter(Stage::OneOf);
        Ok(None)
    }

    fn one_of(
        &mut self,
        validation: &mut Validation<'a>,
        delivered: Option<Outcome>,
    ) -> Result<Option<Next<'a>>, Failure> {
        let schemas = &validation.schema.one_of;
        if let Some(outcome) = delivered {
            validation.index += 1;
            validation.count += usize::from(outcome.is_valid());
            if validation.count == 0 {
                validation.keep_best(outcome);
            }
        }
        if let Some(schema) = schemas.get(validation.index) {
            return Ok(Some(validation.other(*schema)));
        }
        if !schemas.is_empty() && validation.count != 1 {
            let description = "Must validate one and only one schema (oneOf)".to_owned();
            self.report(validation, "number_one_of", description)?;
            if validation.count == 0 {
                validation.merge_best();
            }
        }
        validation.enter(Stage::AllOf);
        Ok(None)
    }

    fn all_of(
        &mut self,
        validation: &mut Validation<'a>,
        delivered: Option<Outcome>,
    ) -> Result<Option<Next<'a>>, Failure> {
        let schemas = &validation.schema.all_of;
        if let Some(outcome) = delivered {
            validation.index += 1;
            validation.count += usize::from(outcome.is_valid());
            validation.outcome.merge(outcome);
        }
        if let Some(schema) = schemas.get(validation.index) {
            return Ok(Some(validation.other(*schema)));
        }
        if validation.count != schemas.len() {
            self.report(validation, "number_all_of", "Must validate all the schemas (allOf)".to_owned())?;
        }
        validation.enter(Stage::Not);
        Ok(None)
    }

    fn not(
        &mut self,
        validation: &mut Validation<'a>,
        delivered: Option<Outcome>,
    ) -> Result<Option<Next<'a>>, Failure> {
        match (validation.schema.not, delivered) {
            (Some(schema), None) => return Ok(Some(validation.other(schema))),
            (_, Some(outcome)) if outcome.is_valid() => {
                self.report(validation, "number_not", "Must not validate the schema (not)".to_owned())?;
            }
            _ => {}
        }
        validation.enter(Stage::Dependencies);
        Ok(None)
    }

    fn dependencies(
        &mut self,
        validation: &mut Validation<'a>,
        delivered: Option<Outcome>,
    ) -> Result<Option<Next<'a>>, Failure> {
        if let Some(outcome) = delivered {
            validation.outcome.merge(outcome);
        }
        let dependencies = &validation.schema.dependencies;
        if let Value::Object(object) = validation.value
            && !dependencies.is_empty()
        {
            while let Some((key, _)) = object.entries().get(validation.index) {
                validation.index += 1;
                self.budget.step(1)?;
                match dependencies.get(key.as_str().unwrap_or_default()) {
                    None => {}
                    Some(Dependency::Schema(schema)) => return Ok(Some(validation.other(*schema))),
                    Some(Dependency::Properties(names)) => {
                        for name in names {
                            self.budget.step(1)?;
                            if object.get_str(name).is_none() {
                                let description = format!("Has a dependency on {name}");
                                self.report(validation, "missing_dependency", description)?;
                            }
                        }
                    }
                }
            }
        }
        validation.enter(Stage::Condition);
        Ok(None)
    }

    fn condition(validation: &mut Validation<'a>, delivered: Option<Outcome>) -> Option<Next<'a>> {
        let schema = validation.schema;
        match (schema.condition, delivered) {
            (Some(condition), None) => return Some(validation.other(condition)),
            (_, Some(outcome)) => {
                let holds = outcome.is_valid();
                validation.enter(Stage::Branch);
                validation.count = usize::from(holds);
                if let Some(branch) = if holds { schema.then } else { schema.otherwise } {
                    return Some(validation.other(branch));
                }
            }
            (None, None) => validation.enter(Stage::Branch),
        }
        None
    }

    fn branch(
        &mut self,
        validation: &mut Validation<'a>,
        delivered: Option<Outcome>,
    ) -> Result<Option<Next<'a>>, Failure> {
        if let Some(outcome) = delivered.filter(|outcome| !outcome.is_valid()) {
            let (kind, description) = match validation.count {
                0 => ("condition_else", "Must validate \"else\" as \"if\" was not valid"),
                _ => ("condition_then", "Must validate \"then\" as \"if\" was valid"),
            };
            self.report(validation, kind, description.to_owned())?;
            validation.outcome.merge(outcome);
        }
        validation.outcome.score += 1;
        match validation.value {
            Value::Array(_) => validation.enter(Stage::Items),
            Value::Object(object) => {
                self.object(validation, object)?;
                validation.enter(Stage::Members);
            }
            Value::Number(number) => {
                self.number(validation, number)?;
                validation.enter(Stage::Common);
            }
            _ => validation.enter(Stage::Common),
        }
        Ok(None)
    }

    fn items(
        &mut self,
        validation: &mut Validation<'a>,
        delivered: Option<Outcome>,
    ) -> Result<Option<Next<'a>>, Failure> {
        let Value::Array(array) = validation.value else { return Ok(None) };
        if let Some(outcome) = delivered {
            validation.index += 1;
            validation.outcome.merge(outcome);
        }
        let schema = validation.schema;
        let additional = match schema.additional_items {
            Additional::Schema(additional) if !schema.items.is_empty() => Some(additional),
            _ => None,
        };
        let listed = schema.items.get(if schema.same_items { 0 } else { validation.index });
        if let Some((item, schema)) = array.get(validation.index).zip(listed.copied().or(additional)) {
            let place = self.place(validation, Step::Index(validation.index))?;
            return Ok(Some(Next::Other(schema, item, place)));
        }
        let beyond = !schema.same_items && !schema.items.is_empty() && schema.items.len() < array.len();
        if beyond && matches!(schema.additional_items, Additional::Allowed(false)) {
            let description = "No additional items allowed on array".to_owned();
            self.report(validation, "array_no_additional_items", description)?;
        }
        self.array(validation, array)?;
        validation.enter(Stage::Contains);
        Ok(None)
    }

    fn array(&mut self, validation: &mut Validation<'a>, array: &'a Array) -> Result<(), Failure> {
        let schema = validation.schema;
        if let Some(min) = schema.min_items.filter(|min| !has_at_least(array.len(), *min)) {
            self.report(validation, "array_min_items", format!("Array must have at least {min} items"))?;
        }
        if let Some(max) = schema.max_items.filter(|max| !has_at_most(array.len(), *max)) {
            self.report(validation, "array_max_items", format!("Array must have at most {max} items"))?;
        }
        if schema.unique_items {
            let mut seen = HashMap::new();
            for (index, item) in array.iter().enumerate() {
                self.budget.alloc(96)?;
                let text = canonical::text(self.budget, item)?;
                if let Some(before) = seen.insert(text, index) {
                    let description = format!("array items[{before},{index}] must be unique");
                    self.report(validation, "unique", description)?;
                }
            }
        }
        Ok(())
    }

    fn contains(
        &mut self,
        validation: &mut Validation<'a>,
        delivered: Option<Outcome>,
    ) -> Result<Option<Next<'a>>, Failure> {
        let Value::Array(array) = validation.value else { return Ok(None) };
        if let Some(outcome) = delivered {
            validation.index += 1;
            validation.count += usize::from(outcome.is_valid());
            validation.keep_best(outcome);
        }
        if let Some(schema) = validation.schema.contains
            && validation.count == 0
        {
            if let Some(item) = array.get(validation.index) {
                let place = self.place(validation, Step::Index(validation.index))?;
                return Ok(Some(Next::Other(schema, item, place)));
            }
            self.report(validation, "contains", "At least one of the items must match".to_owned())?;
            validation.merge_best();
        }
        validation.outcome.score += 1;
        validation.enter(Stage::Common);
        Ok(None)
    }

    fn object(&mut self, validation: &mut Validation<'a>, object: &'a Object) -> Result<(), Failure> {
        let schema = validation.schema;
        if let Some(min) = schema.min_properties.filter(|min| !has_at_least(object.len(), *min)) {
            self.report(validation, "array_min_properties", format!("Must have at least {min} properties"))?;
        }
        if let Some(max) = schema.max_properties.filter(|max| !has_at_most(object.len(), *max)) {
            self.report(validation, "array_max_properties", format!("Must have at most {max} properties"))?;
        }
        for name in &schema.required {
            self.budget.step(1)?;
            if object.get_str(name).is_some() {
                validation.outcome.score += 1;
            } else {
                self.report(validation, "required", format!("{name} is required"))?;
            }
        }
        Ok(())
    }

    /// What no property describes must match a pattern, or be what is allowed besides.
    fn members(
        &mut self,
        validation: &mut Validation<'a>,
        delivered: Option<Outcome>,
    ) -> Result<Option<Next<'a>>, Failure> {
        let Value::Object(object) = validation.value else { return Ok(None) };
        if let Some(outcome) = delivered {
            validation.outcome.merge(outcome);
        }
        let schema = validation.schema;
        while let Some((Value::String(key), value)) = object.entries().get(validation.index) {
            self.budget.step(1)?;
            while let Some((pattern, schema)) = schema.pattern_properties.get(validation.inner) {
                validation.inner += 1;
                if pattern.regex.is_match(key, self.budget)? {
                    validation.count += 1;
                    let place = self.place(validation, Step::Key(Arc::clone(key)))?;
                    return Ok(Some(Next::Other(*schema, value, place)));
                }
            }
            // Beyond the patterns, the additional schema is done too.
            let described = validation.inner > schema.pattern_properties.len() || self.describes(schema, key);
            if validation.count > 0 {
                validation.outcome.score += 1;
            } else if !described {
                match schema.additional_properties {
                    Additional::Allowed(false) => {
                        let description = format!("Additional property {key} is not allowed");
                        self.report(validation, "additional_property_not_allowed", description)?;
                    }
                    Additional::Schema(additional) => {
                        validation.inner += 1;
                        let place = self.place(validation, Step::Key(Arc::clone(key)))?;
                        return Ok(Some(Next::Other(additional, value, place)));
                    }
                    _ => {}
                }
            }
            validation.index += 1;
            validation.inner = 0;
            validation.count = 0;
        }
        validation.enter(Stage::PropertyNames);
        Ok(None)
    }

    fn describes(&self, schema: &Schema<'_>, key: &str) -> bool {
        let name = |id: &SchemaId| self.schemas.get(*id).map(|schema| schema.property.as_bytes());
        schema.properties.binary_search_by(|id| name(id).cmp(&Some(key.as_bytes()))).is_ok()
    }

    fn property_names(
        &mut self,
        validation: &mut Validation<'a>,
        delivered: Option<Outcome>,
    ) -> Result<Option<Next<'a>>, Failure> {
        let Value::Object(object) = validation.value else { return Ok(None) };
        if let Some(outcome) = delivered {
            if !outcome.is_valid()
                && let Some((Value::String(key), _)) = object.entries().get(validation.index)
            {
                let description = format!("Property name of \"{key}\" does not match");
                self.report(validation, "invalid_property_name", description)?;
                validation.outcome.merge(outcome);
            }
            validation.index += 1;
        }
        if let Some(schema) = validation.schema.property_names
            && let Some((key, _)) = object.entries().get(validation.index)
        {
            return Ok(Some(Next::Other(schema, key, Rc::clone(&validation.place))));
        }
        validation.outcome.score += 1;
        validation.enter(Stage::Common);
        Ok(None)
    }

    fn common(&mut self, validation: &mut Validation<'a>) -> Result<Option<Next<'a>>, Failure> {
        let schema = validation.schema;
        if schema.constant.is_some() || schema.choices.is_some() {
            let text = canonical::text(self.budget, validation.value)?;
            if let Some(allowed) = schema.constant.as_deref().filter(|constant| *constant != text) {
                self.budget.alloc(allowed.len() + validation.place.len)?;
                let description = format!("{} does not match: {allowed}", validation.place.field());
                self.report(validation, "const", description)?;
            }
            if let Some(choices) = schema.choices.as_ref().filter(|choices| !choices.all.contains(text.as_str())) {
                self.budget.alloc(choices.listed.len() + validation.place.len)?;
                let field = validation.place.field();
                let description = format!("{field} must be one of the following: {}", choices.listed);
                self.report(validation, "enum", description)?;
            }
        }
        if let Some(format) = &schema.format
            && let Value::String(text) = validation.value
            && !formats::has_format(self.budget, format, text)?
        {
            self.report(validation, "format", format!("Does not match format '{format}'"))?;
        }
        validation.outcome.score += 1;
        if let Value::String(text) = validation.value {
            self.string(validation, text)?;
        }
        validation.enter(Stage::Properties);
        Ok(None)
    }

    fn properties(
        &mut self,
        validation: &mut Validation<'a>,
        delivered: Option<Outcome>,
    ) -> Result<Option<Next<'a>>, Failure> {
        if let Some(outcome) = delivered {
            validation.outcome.merge(outcome);
        }
        if let Value::Object(object) = validation.value {
            while let Some(schema) = validation.schema.properties.get(validation.index) {
                validation.index += 1;
                self.budget.step(1)?;
                let Some(name) = self.schemas.get(*schema).map(|schema| &schema.property) else { continue };
                if let Some(value) = object.get_str(name) {
                    let place = self.place(validation, Step::Key(Arc::clone(name)))?;
                    return Ok(Some(Next::Other(*schema, value, place)));
                }
            }
        }
        validation.outcome.score += 1;
        validation.enter(Stage::Done);
        Ok(None)
    }

    fn string(&mut self, validation: &mut Validation<'a>, text: &str) -> Result<(), Failure> {
        let schema = validation.schema;
        if schema.min_length.is_some() || schema.max_length.is_some() {
            self.budget.read(text.len())?;
            let length = text.chars().count();
            if let Some(min) = schema.min_length.filter(|min| !has_at_least(length, *min)) {
                let description = format!("String length must be greater than or equal to {min}");
                self.report(validation, "string_gte", description)?;
            }
            if let Some(max) = schema.max_length.filter(|max| !has_at_most(length, *max)) {
                let description = format!("String length must be less than or equal to {max}");
                self.report(validation, "string_lte", description)?;
            }
        }
        if let Some(pattern) = &schema.pattern
            && !pattern.regex.is_match(text, self.budget)?
        {
            self.report(validation, "pattern", format!("Does not match pattern '{}'", pattern.text))?;
        }
        validation.outcome.score += 1;
        Ok(())
    }

    fn number(&mut self, validation: &mut Validation<'a>, number: &Number) -> Result<(), Failure> {
        type Fits = fn(&Decimal, &Decimal) -> bool;
        let schema = validation.schema;
        let limits: [(&Option<Decimal>, Fits, &'static str, &'static str); 5] = [
            (&schema.multiple_of, Decimal::is_multiple_of, "multiple_of", "Must be a multiple of"),
            (&schema.maximum, |a, b| a.cmp(b).is_le(), "number_lte", "Must be less than or equal to"),
            (&schema.exclusive_maximum, |a, b| a.cmp(b).is_lt(), "number_lt", "Must be less than"),
            (&schema.minimum, |a, b| a.cmp(b).is_ge(), "number_gte", "Must be greater than or equal to"),
            (&schema.exclusive_minimum, |a, b| a.cmp(b).is_gt(), "number_gt", "Must be greater than"),
        ];
        if limits.iter().any(|(limit, ..)| limit.is_some()) {
            let value = Decimal::new(number).ok_or_else(|| Failure::error("invalid number"))?;
            for (limit, fits, kind, description) in limits {
                let Some(limit) = limit else { continue };
                self.budget.step(value.cost(limit))?;
                if !fits(&value, limit) {
                    self.budget.step(value.cost(limit))?;
                    self.report(validation, kind, format!("{description} {}", limit.text()?))?;
                }
            }
        }
        validation.outcome.score += 1;
        Ok(())
    }

    fn place(&mut self, validation: &Validation<'a>, step: Step) -> Result<Rc<Place>, Limit> {
        self.budget.alloc(size_of::<Place>() + 16)?;
        let len = match &step {
            Step::Root => 0,
            Step::Key(key) => key.len(),
            Step::Index(_) => 20,
        };
        let len = validation.place.len.saturating_add(len).saturating_add(1);
        Ok(Rc::new(Place { step, within: Some(Rc::clone(&validation.place)), len }))
    }

    /// A report counts twice against a schema: what is checked after all counts once for it.
    fn report(
        &mut self,
        validation: &mut Validation<'a>,
        kind: &'static str,
        description: String,
    ) -> Result<(), Limit> {
        // The place and the description are written twice and three times, in an object of four.
        let text = validation.place.len.saturating_mul(2).saturating_add(description.len().saturating_mul(3));
        self.budget.alloc(text.saturating_add(512))?;
        let place = Rc::clone(&validation.place);
        validation.outcome.reports.push(Report { kind, description, place });
        validation.outcome.score -= 2;
        Ok(())
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Number(number) if number.is_integer() => "integer",
        other => other.type_name(),
    }
}

fn has_at_least(count: usize, min: i64) -> bool {
    i64::try_from(count).unwrap_or(i64::MAX) >= min
}

fn has_at_most(count: usize, max: i64) -> bool {
    i64::try_from(count).unwrap_or(i64::MAX) <= max
}

// === impl Outcome ===

impl Outcome {
    fn is_valid(&self) -> bool {
        self.reports.is_empty()
    }

    fn merge(&mut self, mut other: Self) {
        self.score += other.score;
        if self.reports.is_empty() {
            self.reports = other.reports;
        } else {
            self.reports.append(&mut other.reports);
        }
    }
}

// === impl Validation ===

impl<'a> Validation<'a> {
    fn new(schema: &'a Schema<'a>, value: &'a Value, place: Rc<Place>) -> Self {
        let outcome = Outcome::default();
        Self { schema, value, place, outcome, stage: Stage::AnyOf, index: 0, inner: 0, count: 0, best: None }
    }

    fn enter(&mut self, stage: Stage) {
        self.stage = stage;
        self.index = 0;
        self.inner = 0;
        self.count = 0;
        self.best = None;
    }

    /// The same value by another schema.
    fn other(&self, schema: SchemaId) -> Next<'a> {
        Next::Other(schema, self.value, Rc::clone(&self.place))
    }

    fn keep_best(&mut self, outcome: Outcome) {
        if !outcome.is_valid() && self.best.as_ref().is_none_or(|best| outcome.score > best.score) {
            self.best = Some(outcome);
        }
    }

    fn merge_best(&mut self) {
        if let Some(best) = self.best.take() {
            self.outcome.merge(best);
        }
    }
}

const ROOT: &str = "(Root)";

// === impl Report ===

impl Report {
    /// The place without its root, unless it is that.
    pub(super) fn field(&self) -> String {
        self.place.field()
    }
}

// === impl Place ===

impl Place {
    fn field(&self) -> String {
        let mut steps = vec![];
        let mut place = Some(self);
        while let Some(Self { step, within, .. }) = place {
            steps.push(match step {
                Step::Root => ROOT.to_owned(),
                Step::Key(key) => key.to_string(),
                Step::Index(index) => index.to_string(),
            });
            place = within.as_deref();
        }
        if steps.len() > 1 {
            steps.pop();
        }
        steps.reverse();
        steps.join(".")
    }
}
