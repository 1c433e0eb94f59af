//! `strings.render_template`: the part of Go's `text/template` that looks things up, tests and repeats.
//!
//! An action is one operand (`.`, `.a.b`, `$`, `$x`, `$x.a`), `$x := ` or `$x = ` and one operand, or `if`, `with`, `range`,
//! `range $x := `, `range $i, $x := ` and one operand, `else`, `else if`, `else with` and `end`. There are comments and trim
//! markers.
//! What else Go has (calls, pipes, constants, other templates, `break`) ends the evaluation
//! as unsupported.
//!
//! After `text/template/parse/lex.go` and `text/template/exec.go` of Go 1.26.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::{Context, Failure, Function, Limit, operand};
use crate::eval::value::text::quoted;
use crate::eval::value::{MAX_DEPTH, Object, Value, json};

pub(super) const FUNCTIONS: &[(&str, Function)] = &[("strings.render_template", render)];

const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

fn render(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let text = operand::string(args, 1)?;
    operand::object(args, 2)?;
    let data = operand::operand(args, 2)?;
    // OPA reads the object's text as JSON, which it needs not be.
    if !reads_as_json(ctx, data)? {
        return Err(Failure::error("the variables are no JSON"));
    }
    // The shortest action takes five bytes.
    ctx.budget.alloc(text.len().saturating_mul(size_of::<Node<'_>>() / 4))?;
    let nodes = Parser::parse(text)?;
    let mut run = Run { ctx, variables: vec![("$", Found::Value(data))], out: String::new() };
    run.nodes(&nodes, Found::Value(data))?;
    Ok(Value::from(run.out.replace("<no value>", "<undefined>")))
}

/// Whether Rego's text of a value is JSON: there are no sets, keys are strings, and no string has an escape of Go's own.
fn reads_as_json(ctx: &mut Context<'_>, value: &Value) -> Result<bool, Failure> {
    ctx.budget.step(1)?;
    let text = |ctx: &mut Context<'_>, text: &str| {
        ctx.budget.alloc(text.len())?;
        let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        Ok::<_, Limit>(plain || !has_go_escape(&quoted(text)))
    };
    match value {
        Value::Null | Value::Bool(_) => Ok(true),
        Value::Number(number) => Ok(json::is_number(&number.to_string())),
        Value::String(string) => Ok(text(ctx, string)?),
        Value::Set(_) => Ok(false),
        Value::Array(array) => {
            for item in array.iter() {
                if !reads_as_json(ctx, item)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        Value::Object(object) => {
            for (key, item) in object.iter() {
                let Value::String(key) = key else { return Ok(false) };
                if !text(ctx, key)? || !reads_as_json(ctx, item)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
    }
}

fn has_go_escape(quoted: &str) -> bool {
    let mut chars = quoted.chars();
    while let Some(char) = chars.next() {
        if char == '\\' && matches!(chars.next(), Some('a' | 'v' | 'x' | 'U')) {
            return true;
        }
    }
    false
}

// === Parsing ===

enum Node<'a> {
    Text(&'a str),
    Print(Operand<'a>),
    Declare(&'a str, Operand<'a>),
    Assign(&'a str, Operand<'a>),
    Block(Block<'a>),
}

struct Block<'a> {
    kind: Kind,
    /// What `range` declares: the value, and the index before it.
    variables: Vec<&'a str>,
    operand: Operand<'a>,
    body: Vec<Node<'a>>,
    otherwise: Vec<Node<'a>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    If,
    With,
    Range,
}

/// A variable, or the dot if there is none, and fields of it.
struct Operand<'a> {
    variable: Option<&'a str>,
    fields: Vec<&'a str>,
}

struct Parser<'a> {
    rest: &'a str,
    /// The blocks that aren't closed.
    open: Vec<Open<'a>>,
    /// What stands outside of blocks.
    nodes: Vec<Node<'a>>,
    variables: Vec<&'a str>,
    /// How many variables of each name there are.
    known: HashMap<&'a str, usize>,
}

struct Open<'a> {
    block: Block<'a>,
    in_else: bool,
    /// Opened by `else if`: closed by the same `end`.
    chained: bool,
    /// How many variables there were outside.
    variables: usize,
}

impl<'a> Parser<'a> {
    fn parse(text: &'a str) -> Result<Vec<Node<'a>>, Failure> {
        let mut parser = Self { rest: text, open: vec![], nodes: vec![], variables: vec![], known: HashMap::new() };
        parser.declare("$");
        while let Some((text, action)) = parser.rest.split_once("{{") {
            let trimmed = action.starts_with('-') && action.get(1..).is_some_and(|rest| rest.starts_with(SPACE));
            parser.text(if trimmed { text.trim_end_matches(SPACE) } else { text });
            parser.rest = if trimmed { action.get(2..).unwrap_or_default() } else { action };
            parser.action()?;
        }
        let rest = parser.rest;
        parser.text(rest);
        if parser.open.is_empty() { Ok(parser.nodes) } else { Err(syntax("unexpected EOF")) }
    }

    fn text(&mut self, text: &'a str) {
        if !text.is_empty() {
            self.push(Node::Text(text));
        }
    }

    fn push(&mut self, node: Node<'a>) {
        let list = match self.open.last_mut() {
            None => &mut self.nodes,
            Some(open) if open.in_else => &mut open.block.otherwise,
            Some(open) => &mut open.block.body,
        };
        list.push(node);
    }

    /// Behind its `{{`.
    fn action(&mut self) -> Result<(), Failure> {
        if let Some(comment) = self.rest.strip_prefix("/*") {
            let (_, rest) = comment.split_once("*/").ok_or_else(|| syntax("unclosed comment"))?;
            let (before, rest) =
                rest.split_once("}}").ok_or_else(|| syntax("comment ends before closing delimiter"))?;
            return match (before.strip_suffix('-'), before) {
                (Some(space), _) if space.len() == 1 && space.starts_with(SPACE) => {
                    self.rest = rest.trim_start_matches(SPACE);
                    Ok(())
                }
                (_, "") => {
                    self.rest = rest;
                    Ok(())
                }
                _ => Err(syntax("comment ends before closing delimiter")),
            };
        }
        let Some((inside, rest)) = self.rest.split_once("}}") else {
            return Err(if is_simple(self.rest) { syntax("unclosed action") } else { unsupported() });
        };
        if !is_simple(inside) {
            return Err(unsupported());
        }
        let trimmed = inside.strip_suffix('-').filter(|inside| inside.ends_with(SPACE));
        self.rest = if trimmed.is_some() { rest.trim_start_matches(SPACE) } else { rest };
        self.statement(trimmed.unwrap_or(inside).trim_matches(SPACE))
    }

    fn statement(&mut self, text: &'a str) -> Result<(), Failure> {
        let (word, rest) = text.split_once(SPACE).unwrap_or((text, ""));
        let rest = rest.trim_start_matches(SPACE);
        match (word, rest) {
            ("", _) => Err(syntax("missing value for command")),
            ("end", "") => self.end(),
            ("else", "") => self.begin_else(),
            ("else", next) => self.chain(next),
            ("if" | "with" | "range", "") => Err(syntax("missing value")),
            ("if", rest) => {
                let operand = self.operand(rest)?;
                self.begin(Kind::If, vec![], operand, false)
            }
            ("with", rest) => {
                let operand = self.operand(rest)?;
                self.begin(Kind::With, vec![], operand, false)
            }
            ("range", rest) => {
                let (names, operand) = rest.split_once(":=").map_or(("", rest), |(names, operand)| (names, operand));
                let operand = self.operand(operand.trim_matches(SPACE))?;
                let names = names.split(',').map(|name| name.trim_matches(SPACE));
                let names: Vec<&str> = if rest.contains(":=") { names.collect() } else { vec![] };
                if names.len() > 2 || !names.iter().all(|name| is_variable(name)) {
                    return Err(unsupported());
                }
                self.begin(Kind::Range, names, operand, false)
            }
            _ => self.simple(text),
        }
    }

    fn simple(&mut self, text: &'a str) -> Result<(), Failure> {
        let node = if let Some((name, operand)) = text.split_once(":=") {
            let name = name.trim_matches(SPACE);
            if !is_variable(name) {
                return Err(unsupported());
            }
            let operand = self.operand(operand.trim_matches(SPACE))?;
            self.declare(name);
            Node::Declare(name, operand)
        } else if let Some((name, operand)) = text.split_once('=') {
            let name = name.trim_matches(SPACE);
            if !is_variable(name) {
                return Err(unsupported());
            }
            self.known(name)?;
            Node::Assign(name, self.operand(operand.trim_matches(SPACE))?)
        } else {
            Node::Print(self.operand(text)?)
        };
        self.push(node);
        Ok(())
    }

    fn begin(
        &mut self,
        kind: Kind,
        variables: Vec<&'a str>,
        operand: Operand<'a>,
        chained: bool,
    ) -> Result<(), Failure> {
        if self.open.len() >= usize::from(MAX_DEPTH) / 2 {
            return Err(unsupported());
        }
        let outside = self.variables.len();
        variables.iter().for_each(|name| self.declare(name));
        let block = Block { kind, variables, operand, body: vec![], otherwise: vec![] };
        self.open.push(Open { block, in_else: false, chained, variables: outside });
        Ok(())
    }

    fn begin_else(&mut self) -> Result<(), Failure> {
        match self.open.last_mut() {
            Some(open) if !open.in_else => {
                open.in_else = true;
                // What a body declares isn't known in its `else`, but what `range` declares is.
                let count = open.variables + open.block.variables.len();
                self.forget(count);
                Ok(())
            }
            _ => Err(syntax("unexpected {{else}}")),
        }
    }

    /// `else if` within `if`, and `else with` within `with`.
    fn chain(&mut self, next: &'a str) -> Result<(), Failure> {
        let kind = self.open.last().map(|open| open.block.kind);
        let (word, operand) = next.split_once(SPACE).unwrap_or((next, ""));
        let chained = match (word, kind) {
            ("if", Some(Kind::If)) => Kind::If,
            ("with", Some(Kind::With)) => Kind::With,
            _ => return Err(syntax("unexpected word behind else")),
        };
        self.begin_else()?;
        let operand = self.operand(operand.trim_matches(SPACE))?;
        self.begin(chained, vec![], operand, true)
    }

    fn end(&mut self) -> Result<(), Failure> {
        loop {
            let open = self.open.pop().ok_or_else(|| syntax("unexpected {{end}}"))?;
            self.forget(open.variables);
            self.push(Node::Block(open.block));
            if !open.chained {
                return Ok(());
            }
        }
    }

    fn operand(&self, text: &'a str) -> Result<Operand<'a>, Failure> {
        let mut fields = text.split('.');
        let variable = match fields.next() {
            Some("") => None,
            Some(name) if is_variable(name) || name == "$" => Some(name),
            _ => return Err(unsupported()),
        };
        let fields: Vec<&str> = if text == "." { vec![] } else { fields.collect() };
        if text.is_empty() || !fields.iter().all(|field| is_name(field)) {
            return Err(unsupported());
        }
        if let Some(name) = variable {
            self.known(name)?;
        }
        Ok(Operand { variable, fields })
    }

    fn declare(&mut self, name: &'a str) {
        self.variables.push(name);
        *self.known.entry(name).or_default() += 1;
    }

    /// All but the first variables.
    fn forget(&mut self, kept: usize) {
        while self.variables.len() > kept
            && let Some(name) = self.variables.pop()
        {
            if let Some(count) = self.known.get_mut(name) {
                *count -= 1;
            }
        }
    }

    fn known(&self, name: &str) -> Result<(), Failure> {
        match self.known.get(name) {
            Some(1..) => Ok(()),
            _ => Err(Failure::Error(format!("undefined variable \"{name}\""))),
        }
    }
}

/// Without anything that a `}}` may stand in.
fn is_simple(action: &str) -> bool {
    !action.contains(['"', '`', '\'', '('])
}

fn is_variable(name: &str) -> bool {
    name.strip_prefix('$').is_some_and(is_name)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn syntax(what: &str) -> Failure {
    Failure::Error(format!("template: {what}"))
}

fn unsupported() -> Failure {
    Failure::Unsupported("a template with more than fields, variables, if, with and range".to_owned())
}

// === Running ===

/// What an operand is.
#[derive(Clone, Copy)]
enum Found<'a> {
    /// Nothing under that key.
    Missing,
    /// May be `null`.
    Value(&'a Value),
    Key(&'a str),
    Index(usize),
}

struct Run<'a, 'b, 'c> {
    ctx: &'c mut Context<'b>,
    variables: Vec<(&'a str, Found<'a>)>,
    out: String,
}

impl<'a> Run<'a, '_, '_> {
    fn nodes(&mut self, nodes: &[Node<'a>], dot: Found<'a>) -> Result<(), Failure> {
        for node in nodes {
            // Variables are looked for among all.
            self.ctx.budget.step(4 + self.variables.len() as u64 / 4)?;
            match node {
                Node::Text(text) => self.put(text)?,
                Node::Print(operand) => match self.value(operand, dot)? {
                    Found::Missing => self.put("<no value>")?,
                    Found::Key(key) => self.put(key)?,
                    Found::Index(index) => self.put(&index.to_string())?,
                    Found::Value(value) => self.print(value)?,
                },
                Node::Declare(name, operand) => {
                    let value = self.value(operand, dot)?;
                    self.variables.push((name, value));
                }
                Node::Assign(name, operand) => {
                    let value = self.value(operand, dot)?;
                    if let Some((_, old)) = self.variables.iter_mut().rev().find(|(known, _)| known == name) {
                        *old = value;
                    }
                }
                Node::Block(block) => {
                    let outside = self.variables.len();
                    self.block(block, dot)?;
                    self.variables.truncate(outside);
                }
            }
        }
        Ok(())
    }

    fn block(&mut self, block: &Block<'a>, dot: Found<'a>) -> Result<(), Failure> {
        let value = self.value(&block.operand, dot)?;
        if block.kind == Kind::Range {
            return self.range(block, value, dot);
        }
        if !is_true(value) {
            return self.nodes(&block.otherwise, dot);
        }
        self.nodes(&block.body, if block.kind == Kind::With { value } else { dot })
    }

    fn range(&mut self, block: &Block<'a>, over: Found<'a>, dot: Found<'a>) -> Result<(), Failure> {
        match over {
            Found::Value(Value::Array(array)) if array.len() > 0 => {
                array.iter().enumerate().try_for_each(|(i, item)| self.iteration(block, Found::Index(i), item))
            }
            Found::Value(Value::Object(object)) if object.len() > 0 => object
                .iter()
                .try_for_each(|(key, item)| self.iteration(block, Found::Key(key.as_str().unwrap_or_default()), item)),
            Found::Missing | Found::Value(Value::Array(_) | Value::Object(_)) => {
                self.variables.extend(block.variables.iter().map(|name| (*name, Found::Missing)));
                self.nodes(&block.otherwise, dot)
            }
            // Go counts up to it.
            Found::Index(_) => Err(unsupported()),
            Found::Value(_) | Found::Key(_) => Err(Failure::error("range can't iterate over what is no collection")),
        }
    }

    fn iteration(&mut self, block: &Block<'a>, key: Found<'a>, item: &'a Value) -> Result<(), Failure> {
        let outside = self.variables.len();
        let item = Found::Value(item);
        match block.variables.as_slice() {
            [index, value] => self.variables.extend([(*index, key), (*value, item)]),
            [value] => self.variables.push((*value, item)),
            _ => {}
        }
        self.nodes(&block.body, item)?;
        self.variables.truncate(outside);
        Ok(())
    }

    /// An operand's value; `null` is none.
    fn value(&self, operand: &Operand<'a>, dot: Found<'a>) -> Result<Found<'a>, Failure> {
        let mut found = match operand.variable {
            None => dot,
            Some(name) => {
                let variable = self.variables.iter().rev().find(|(known, _)| *known == name);
                variable.map_or(Found::Missing, |(_, value)| *value)
            }
        };
        for field in &operand.fields {
            found = match found {
                Found::Missing => Found::Missing,
                Found::Value(Value::Object(object)) => object.get_str(field).map_or(Found::Missing, Found::Value),
                _ => return Err(Failure::Error(format!("can't evaluate field {field}"))),
            };
        }
        Ok(match found {
            Found::Value(Value::Null) => Found::Missing,
            found => found,
        })
    }

    fn put(&mut self, text: &str) -> Result<(), Limit> {
        self.ctx.budget.alloc(text.len())?;
        self.out.push_str(text);
        Ok(())
    }

    /// As Go prints values that were JSON. Recurses by depth, which is bounded.
    fn print(&mut self, value: &Value) -> Result<(), Limit> {
        self.ctx.budget.step(1)?;
        match value {
            Value::Null => self.put("<nil>"),
            Value::String(text) => self.put(text),
            Value::Array(array) => self.print_list(array.as_slice()),
            Value::Set(set) => self.print_list(set.as_slice()),
            Value::Object(object) => self.print_map(object),
            scalar => {
                self.ctx.budget.alloc(scalar.shallow_bytes().saturating_add(8))?;
                let _ = write!(self.out, "{scalar}");
                Ok(())
            }
        }
    }

    fn print_list(&mut self, items: &[Value]) -> Result<(), Limit> {
        self.put("[")?;
        for (i, item) in items.iter().enumerate() {
            self.put(if i > 0 { " " } else { "" })?;
            self.print(item)?;
        }
        self.put("]")
    }

    fn print_map(&mut self, object: &Object) -> Result<(), Limit> {
        self.put("map[")?;
        for (i, (key, item)) in object.iter().enumerate() {
            self.put(if i > 0 { " " } else { "" })?;
            self.print(key)?;
            self.put(":")?;
            self.print(item)?;
        }
        self.put("]")
    }
}

fn is_true(found: Found<'_>) -> bool {
    match found {
        Found::Missing | Found::Value(Value::Null | Value::Bool(false)) => false,
        Found::Key(key) => !key.is_empty(),
        Found::Index(index) => index != 0,
        // A number is its text to Go, which is never empty.
        Found::Value(Value::Bool(true) | Value::Number(_)) => true,
        Found::Value(Value::String(text)) => !text.is_empty(),
        Found::Value(Value::Array(array)) => array.len() > 0,
        Found::Value(Value::Object(object)) => object.len() > 0,
        Found::Value(Value::Set(set)) => set.len() > 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::order::testing::check;
    use super::*;

    #[test]
    fn as_in_opa() {
        let cases: &[(&str, &[&str], &str)] = &[
            (
                "strings.render_template",
                &[r#""{{.a.b}} {{ $.c }}""#, r#"{"a": {"b": 1.50}, "c": [1, "x", null, {"k": true}]}"#],
                r#""1.50 [1 x <nil> map[k:true]]""#,
            ),
            (
                "strings.render_template",
                &[r#""{{range $i, $n := .l}}{{if $i}},{{end}}{{$n}}{{end}}""#, r#"{"l": ["a", "b"]}"#],
                r#""a,b""#,
            ),
            (
                "strings.render_template",
                &[r#""{{range .m}}<{{.}}>{{else}}none{{end}}""#, r#"{"m": {"a": "x", "b": 1}}"#],
                r#""<x><1>""#,
            ),
            (
                "strings.render_template",
                &[r#""{{range .m}}{{else}}none{{end}}{{.x.y}}""#, "{}"],
                r#""none<undefined>""#,
            ),
            (
                "strings.render_template",
                &[r#""{{with .a}}{{.b}}{{else}}no{{end}}""#, r#"{"a": {"b": "yes"}}"#],
                r#""yes""#,
            ),
            (
                "strings.render_template",
                &[r#""{{if .n}}t{{else if .s}}u{{else}}f{{end}}""#, r#"{"n": "", "s": 0}"#],
                r#""u""#,
            ),
            ("strings.render_template", &[r#""a {{- .x -}} b{{/* c */}}""#, r#"{"x": 1}"#], r#""a1b""#),
            (
                "strings.render_template",
                &[r#""{{$x := .a}}{{with .b}}{{$x = .}}{{end}}{{$x}}""#, r#"{"a": 1, "b": 2}"#],
                r#""2""#,
            ),
            ("strings.render_template", &[r#""{{.a.b}}""#, r#"{"a": "s"}"#], "error"),
            ("strings.render_template", &[r#""{{.a""#, "{}"], "error"),
            ("strings.render_template", &[r#""{{$x}}""#, "{}"], "error"),
            ("strings.render_template", &[r#""{{end}}""#, "{}"], "error"),
            ("strings.render_template", &[r#""{{if .a}}""#, "{}"], "error"),
            ("strings.render_template", &[r#""{{.a}}""#, r#"{"a": {"$set": [1]}}"#], "error"),
            ("strings.render_template", &[r#""{{.a}}""#, r#"{"a": "\u0001"}"#], "error"),
            ("strings.render_template", &[r#""{{.a}}""#, r#"{"a": null}"#], r#""<undefined>""#),
            ("strings.render_template", &[r#""""#, "{}"], r#""""#),
            ("strings.render_template", &[r#""{{.a}}""#, "[]"], "operand: operand 2 must be object but got array"),
        ];
        check(FUNCTIONS, cases);
    }

    #[test]
    fn what_is_not_supported() {
        let is_supported = |text| !matches!(Parser::parse(text), Err(Failure::Unsupported(_)));
        for text in ["{{print .a}}", "{{.a | len}}", "{{\"}}\"}}", "{{define \"a\"}}{{end}}", "{{break}}", "{{1}}"] {
            assert!(!is_supported(text), "{text}");
        }
        for text in ["", "{{.a}}", "{{", "{{$x}}", "{{range $i, $x := .a}}{{$i}}{{end}}"] {
            assert!(is_supported(text), "{text}");
        }
        check(FUNCTIONS, &[("strings.render_template", &[r#""{{print .a}}""#, "{}"], "unsupported")]);
    }
}
