//! Types as text: how the table of builtins writes them, and how messages show them.

use std::fmt::{self, Write};

use super::Type;
use crate::eval::value::Value;

/// Up to here a line of a message shows its types whole.
const WIDTH: usize = 80;

/// Up to here a line of a message may go; types are what a policy makes them.
const MAX_WIDTH: usize = 400;

// === Printing ===

/// A line of a message: `before`, and what `write` makes of the types, of which it shows parts `depth` levels down.
pub(crate) fn line(before: &str, write: impl Fn(&mut dyn Write, usize) -> fmt::Result) -> String {
    let mut whole = Bounded { text: before.to_owned(), left: WIDTH.saturating_sub(before.len()) };
    if write(&mut whole, usize::MAX).is_ok() {
        return whole.text;
    }
    let mut part = Bounded { text: before.to_owned(), left: MAX_WIDTH };
    if write(&mut part, 1).is_err() {
        part.text.push_str("...");
    }
    part.text
}

/// A text that ends where it gets too long.
struct Bounded {
    text: String,
    left: usize,
}

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.left = self.left.checked_sub(text.len()).ok_or(fmt::Error)?;
        self.text.push_str(text);
        Ok(())
    }
}

/// The whole of it.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, usize::MAX)
    }
}

impl Type {
    /// Writes the type, with `...` for what is further down than `depth`.
    pub(crate) fn write(&self, out: &mut dyn Write, depth: usize) -> fmt::Result {
        match self {
            Self::Unknown => out.write_str("???"),
            Self::Null => out.write_str("null"),
            Self::Boolean => out.write_str("boolean"),
            Self::Number => out.write_str("number"),
            Self::String => out.write_str("string"),
            Self::Any => out.write_str("any"),
            Self::Array(array) => {
                out.write_str("array")?;
                write_list(out, "<", &array.items, ">", depth)?;
                write_rest(out, &[&array.rest], depth)
            }
            Self::Object(object) => {
                out.write_str("object")?;
                write_properties(out, &object.properties, depth)?;
                match object.rest() {
                    Some((key, value)) => write_rest(out, &[&key, &value], depth),
                    None => Ok(()),
                }
            }
            Self::Set(set) => {
                out.write_str("set")?;
                write_rest(out, &[&set.members], depth)
            }
            Self::OneOf(union) => {
                out.write_str("any")?;
                write_list(out, "<", &union.types, ">", depth)
            }
            Self::Function(function) => {
                write_operands(out, function.operands.iter(), &function.variadic, depth)?;
                out.write_str(" => ")?;
                match depth {
                    0 => out.write_str("..."),
                    _ => function.result.write(out, depth - 1),
                }
            }
        }
    }
}

/// What a function takes, in parentheses.
pub(crate) fn write_operands<'a>(
    out: &mut dyn Write,
    operands: impl Iterator<Item = &'a Type>,
    variadic: &Type,
    depth: usize,
) -> fmt::Result {
    out.write_str("(")?;
    let mut comma = "";
    for operand in operands {
        out.write_str(comma)?;
        operand.write(out, depth)?;
        comma = ", ";
    }
    if !variadic.is_unknown() {
        out.write_str(comma)?;
        variadic.write(out, depth)?;
        out.write_str("...")?;
    }
    out.write_str(")")
}

fn write_list(out: &mut dyn Write, open: &str, types: &[Type], close: &str, depth: usize) -> fmt::Result {
    if types.is_empty() {
        return Ok(());
    }
    out.write_str(open)?;
    if depth == 0 {
        out.write_str("...")?;
    } else {
        for (i, kind) in types.iter().enumerate() {
            out.write_str(if i > 0 { ", " } else { "" })?;
            kind.write(out, depth - 1)?;
        }
    }
    out.write_str(close)
}

fn write_properties(out: &mut dyn Write, properties: &[(Value, Type)], depth: usize) -> fmt::Result {
    if properties.is_empty() {
        return Ok(());
    }
    out.write_str("<")?;
    if depth == 0 {
        out.write_str("...")?;
    } else {
        for (i, (key, kind)) in properties.iter().enumerate() {
            out.write_str(if i > 0 { ", " } else { "" })?;
            match key {
                Value::String(text) => out.write_str(text)?,
                other => write!(out, "{other}")?,
            }
            out.write_str(": ")?;
            kind.write(out, depth - 1)?;
        }
    }
    out.write_str(">")
}

/// What a collection may have any number of, in brackets; nothing if that is unknown.
fn write_rest(out: &mut dyn Write, types: &[&Type], depth: usize) -> fmt::Result {
    if matches!(types, [Type::Unknown]) {
        return Ok(());
    }
    out.write_str("[")?;
    if depth == 0 {
        out.write_str("...")?;
    } else {
        for (i, kind) in types.iter().enumerate() {
            out.write_str(if i > 0 { ": " } else { "" })?;
            kind.write(out, depth - 1)?;
        }
    }
    out.write_str("]")
}

// === Reading ===

/// A type as the table of builtins writes it.
pub(crate) fn parse(text: &str) -> Option<Type> {
    let mut reader = Reader { rest: text };
    let kind = reader.kind()?;
    reader.rest.is_empty().then_some(kind)
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn kind(&mut self) -> Option<Type> {
        Some(match self.name() {
            "null" => Type::Null,
            "boolean" => Type::Boolean,
            "number" => Type::Number,
            "string" => Type::String,
            "any" if self.take("<") => {
                // Sorted, as unions are; the table has no type twice.
                Type::one_of(super::Types::within(1 << 20).sorted(self.list(Self::kind)?))
            }
            "any" => Type::Any,
            "array" => {
                let items = if self.take("<") { self.list(Self::kind)? } else { vec![] };
                let rest = if self.take("[") { self.until_bracket(Self::kind)? } else { Type::Unknown };
                Type::array(items, rest)
            }
            "object" => {
                let properties = if self.take("<") { self.list(Self::property)? } else { vec![] };
                let rest = if self.take("[") { Some(self.until_bracket(Self::rest)?) } else { None };
                Type::object(properties, rest)
            }
            "set" => {
                let members = if self.take("[") { self.until_bracket(Self::kind)? } else { Type::Unknown };
                Type::set(members)
            }
            _ => return None,
        })
    }

    fn property(&mut self) -> Option<(Value, Type)> {
        let key = self.name();
        self.take(": ").then_some(())?;
        Some((Value::from(key), self.kind()?))
    }

    fn rest(&mut self) -> Option<(Type, Type)> {
        let key = self.kind()?;
        self.take(": ").then_some(())?;
        Some((key, self.kind()?))
    }

    /// Items up to a closing angle.
    fn list<T>(&mut self, item: fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.take(", ") {
            items.push(item(self)?);
        }
        self.take(">").then_some(items)
    }

    fn until_bracket<T>(&mut self, item: fn(&mut Self) -> Option<T>) -> Option<T> {
        let item = item(self)?;
        self.take("]").then_some(item)
    }

    fn name(&mut self) -> &'a str {
        let end = self.rest.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        name
    }

    fn take(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
}
