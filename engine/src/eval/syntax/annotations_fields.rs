//! The fields of a metadata block, checked and made what `rego.metadata.rule()` shows of them.

use super::annotations_yaml::{Any, Problem, Reader};
use super::ast::{ExprKind, Ref, Term, TermKind};
use super::parser::parse_body;
use super::readers::{first_document, normal_url};
use crate::eval::value::Value;

/// A block's fields.
#[derive(Default)]
pub(super) struct Fields {
    /// Empty if the block doesn't say.
    pub(super) scope: String,
    pub(super) entrypoint: bool,
    /// All but the scope.
    pub(super) entries: Vec<(Value, Value)>,
}

impl Fields {
    fn add(&mut self, name: &str, value: Value) {
        self.entries.push((Value::from(name), value));
    }

    /// Empty texts and lists are as good as none.
    fn add_text(&mut self, name: &str, text: Option<String>) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.add(name, Value::from(text));
        }
    }

    fn add_list(&mut self, name: &str, items: Vec<Value>) {
        if !items.is_empty() {
            self.add(name, Value::array(items));
        }
    }

    fn add_map(&mut self, name: &str, entries: Option<Vec<(String, Any)>>) -> Result<(), Problem> {
        let entry = |(key, value): (String, Any)| Ok((key, value.with_text_keys()?));
        let entries = entries.unwrap_or_default().into_iter().map(entry).collect::<Result<Vec<_>, Problem>>()?;
        if !entries.is_empty() {
            self.add(name, Any::Map(entries).into_value()?);
        }
        Ok(())
    }
}

/// Reads a block's text, without its first line.
pub(super) fn read_fields(text: &str) -> Result<Fields, Problem> {
    if text.trim().is_empty() {
        return Err(Problem::new("expected METADATA block, found whitespace"));
    }
    let stream = first_document(text).map_err(|error| Problem::new(format!("yaml: {error}")))?;
    let mut fields = Fields::default();
    let Some(root) = stream.first else { return Ok(fields) };
    Reader::new(&stream).fields(root, &mut |reader, name, value| {
        match name {
            "scope" => fields.scope = reader.text(value)?.unwrap_or_default(),
            "title" | "description" => fields.add_text(name, reader.text(value)?),
            "entrypoint" => {
                fields.entrypoint = reader.bool(value)?;
                if fields.entrypoint {
                    fields.add(name, Value::Bool(true));
                }
            }
            "organizations" => {
                let names = reader.list(value, Reader::text)?;
                fields.add_list(name, names.into_iter().flatten().map(Value::from).collect());
            }
            "related_resources" => {
                let items = reader.list(value, |reader, id| related_resource(reader.any(id)?))?;
                fields.add_list(name, items);
            }
            "authors" => fields.add_list(name, reader.list(value, |reader, id| author(reader.any(id)?))?),
            "schemas" => fields.add_list(name, reader.list(value, |reader, id| schema(reader.map(id)?))?),
            // Checked, and not shown.
            "compile" => compile(&reader.map(value)?.unwrap_or_default())?,
            "custom" | "labels" => {
                let map = reader.map(value)?;
                fields.add_map(name, map)?;
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(fields)
}

/// An object of what isn't empty.
fn object(entries: [(&str, String); 2]) -> Value {
    let present = entries.into_iter().filter(|(_, text)| !text.is_empty());
    Value::object(present.map(|(name, text)| (Value::from(name), Value::from(text))).collect())
}

fn related_resource(any: Any) -> Result<Value, Problem> {
    let (reference, description) = match any.with_text_keys()? {
        Any::Map(entries) => {
            let (reference, description) = (Any::text_of(&entries, "ref"), Any::text_of(&entries, "description"));
            (reference.trim().to_owned(), description.trim().to_owned())
        }
        any => match any.as_text() {
            Some(text) => (text.to_owned(), String::new()),
            None => return Err(Problem::new("invalid value type, must be string or map")),
        },
    };
    if reference.is_empty() {
        return Err(Problem::new("invalid related-resource definition: a URL is required"));
    }
    let url = normal_url(&reference)
        .map_err(|error| Problem::new(format!("invalid related-resource definition {reference}: {error}")))?;
    Ok(object([("ref", url), ("description", description)]))
}

fn author(any: Any) -> Result<Value, Problem> {
    let (name, email) = match any.with_text_keys()? {
        Any::Map(entries) => {
            let (name, email) = (Any::text_of(&entries, "name"), Any::text_of(&entries, "email"));
            let (name, email) = (name.trim().to_owned(), email.trim().to_owned());
            if name.is_empty() && email.is_empty() {
                return Err(Problem::new("'name' and/or 'email' values required in object"));
            }
            (name, email)
        }
        any => match any.as_text() {
            Some(text) => author_of_text(text)?,
            None => return Err(Problem::new("invalid value type, must be string or map")),
        },
    };
    Ok(object([("name", name), ("email", email)]))
}

/// `name <email>`
fn author_of_text(text: &str) -> Result<(String, String), Problem> {
    let mut words: Vec<_> = text.split_whitespace().collect();
    let Some(last) = words.last() else { return Err(Problem::new("author is an empty string")) };
    let email = last.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
    if email.is_some() {
        words.pop();
    }
    Ok((words.join(" "), email.unwrap_or_default().to_owned()))
}

/// A map of one entry, from a document to its schema.
fn schema(map: Option<Vec<(String, Any)>>) -> Result<Value, Problem> {
    let mut entries = map.unwrap_or_default();
    if entries.len() > 1 {
        // OPA takes any one of them.
        return Err(Problem::limit("a schema for several documents: write one entry for each"));
    }
    let Some((document, schema)) = entries.pop() else { return Err(Problem::new("invalid document reference")) };
    let path = parse_reference(&document).ok_or_else(|| Problem::new("invalid document reference"))?;
    let mut object = vec![(Value::from("path"), path_value(&path)?)];
    match schema {
        Any::Map(entries) => object.push((Value::from("definition"), Any::Map(entries).into_value()?)),
        any => match any.as_text() {
            Some(text) => {
                let schema = schema_reference(text).ok_or_else(|| Problem::new("invalid schema reference"))?;
                object.push((Value::from("schema"), path_value(&schema)?));
            }
            None => return Err(Problem::new(format!("invalid schema declaration for path \"{document}\""))),
        },
    }
    Ok(Value::object(object))
}

fn compile(entries: &[(String, Any)]) -> Result<(), Problem> {
    let get = |name: &str| entries.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    if let Some(Any::List(unknowns)) = get("unknowns") {
        for unknown in unknowns.iter().filter_map(Any::as_text) {
            if parse_reference(unknown).is_none() {
                return Err(Problem::new(format!("invalid unknowns element \"{unknown}\"")));
            }
        }
    }
    if let Some(mask) = get("mask_rule").and_then(Any::as_text) {
        let term = parse_term(mask);
        if !matches!(term.map(|term| term.kind), Some(TermKind::Var(_) | TermKind::String(_) | TermKind::Ref(_))) {
            return Err(Problem::new(format!("invalid mask_rule annotation \"{mask}\"")));
        }
    }
    Ok(())
}

// === Terms within metadata ===

fn parse_term(text: &str) -> Option<Term> {
    let mut body = parse_body(0, text).ok()?;
    match (body.pop()?.kind, body.is_empty()) {
        (ExprKind::Term(term), true) => Some(term),
        _ => None,
    }
}

fn parse_reference(text: &str) -> Option<Ref> {
    if let TermKind::Ref(reference) = parse_term(text)?.kind { Some(reference) } else { None }
}

fn schema_reference(text: &str) -> Option<Ref> {
    let term = parse_term(text)?;
    if term.is_var("schema") {
        return Some(vec![term]);
    }
    match term.kind {
        TermKind::Ref(reference) if reference.first().is_some_and(|head| head.is_var("schema")) => Some(reference),
        _ => None,
    }
}

/// The parts of a reference, as texts.
fn path_value(reference: &[Term]) -> Result<Value, Problem> {
    let part = |term: &Term| {
        Some(Value::from(match &term.kind {
            TermKind::String(text) => text.to_string(),
            TermKind::Var(var) => var.to_string(),
            TermKind::Null => "null".to_owned(),
            TermKind::Bool(value) => value.to_string(),
            TermKind::Number(number) => number.to_string(),
            _ => return None,
        }))
    };
    let parts = reference.iter().map(part).collect::<Option<Vec<_>>>();
    parts
        .map(Value::array)
        .ok_or_else(|| Problem::limit("a reference in metadata that isn't made of names and constants"))
}
