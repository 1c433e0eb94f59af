//! The syntax tree of a module: what the parser makes, and what the compiler rewrites.
//!
//! Its shape is that of OPA's `ast` package, because the compiler rewrites it in OPA's order. Trees are bounded in depth by
//! the parser, so walking and dropping one may recurse on a stack of known size.

use std::fmt;
use std::sync::Arc;

use crate::eval::value::{Number, Value};

/// A place in a file. Rows and columns count from 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Location {
    /// Which of a bundle's modules, in the order in which they were parsed.
    pub(crate) file: u32,
    pub(crate) row: u32,
    /// In characters. A tab is one.
    pub(crate) col: u32,
}

/// A name that stands for a value. Wildcards are `$0`, `$1`, …; what the compiler adds starts with `__local`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Var(pub(crate) Arc<str>);

#[derive(Debug, Clone)]
pub(crate) struct Module {
    pub(crate) package: Package,
    pub(crate) imports: Vec<Import>,
    pub(crate) rules: Vec<Rule>,
    /// Metadata blocks, in the order of the file.
    pub(crate) annotations: Vec<Annotation>,
    /// Whether the module is Rego v1: by the bundle's version or by its imports.
    pub(crate) rego_v1: bool,
    /// What parsing and compiling it takes, estimated, in bytes.
    pub(crate) size: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct Package {
    pub(crate) location: Location,
    /// Without the leading `data`.
    pub(crate) path: Vec<Arc<str>>,
}

#[derive(Debug, Clone)]
pub(crate) struct Import {
    pub(crate) location: Location,
    /// `data.a.b`, `input.a`, `future.keywords.in`, `rego.v1`.
    pub(crate) path: Ref,
    pub(crate) alias: Option<Var>,
}

/// A metadata block's fields.
#[derive(Debug, Clone)]
pub(crate) struct Annotation {
    pub(crate) location: Location,
    /// `rule`, `document`, `package`, `subpackages`; what the block says, or what it stands before.
    pub(crate) scope: Arc<str>,
    /// The whole of it as `rego.metadata.rule()` gives it.
    pub(crate) value: Value,
    pub(crate) entrypoint: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) location: Location,
    pub(crate) default: bool,
    pub(crate) head: Head,
    pub(crate) body: Body,
    /// Asked if the body doesn't hold.
    pub(crate) otherwise: Option<Box<Rule>>,
    /// Whether the text has no body, and `true` was put there.
    pub(crate) generated_body: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) location: Location,
    /// What the rule defines, below its package: the first term is a variable with the rule's name.
    pub(crate) reference: Ref,
    /// A function's parameters; none for a rule.
    pub(crate) args: Vec<Term>,
    /// The member of a partial set (`contains`), or a partial object's key where the old syntax is used (`p[k] = v`).
    pub(crate) key: Option<Term>,
    pub(crate) value: Option<Term>,
    /// `:=` rather than `=`.
    pub(crate) assign: bool,
    /// Whether the text has no value, and `true` was put there.
    pub(crate) generated_value: bool,
    /// Whether it says `contains`.
    pub(crate) contains: bool,
    /// Whether it says `if`.
    pub(crate) has_if: bool,
}

/// Statements that must all hold.
pub(crate) type Body = Vec<Expr>;

/// A statement.
#[derive(Debug, Clone)]
pub(crate) struct Expr {
    pub(crate) location: Location,
    pub(crate) kind: ExprKind,
    /// Classic negation.
    pub(crate) negated: bool,
    pub(crate) with: Vec<With>,
    /// Whether the compiler added it.
    pub(crate) generated: bool,
    /// Whether it was `:=` before the compiler made it `=`.
    pub(crate) from_assignment: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum ExprKind {
    /// Holds if the term is defined and not `false`.
    Term(Term),
    /// The operator, as a reference, and its operands. `:=` is `assign`, `=` is `eq`, `==` is `equal`.
    Call(Vec<Term>),
    /// `some x, y`; or one call of `internal.member_2` or `internal.member_3`, for `some x in xs`.
    Some(Vec<Term>),
    Every(Box<Every>),
    /// Plain negation: `not` under `import future.keywords.not`.
    Not(Operand),
    And(Operand, Operand),
    Or(Operand, Operand),
}

/// What `and`, `or` and plain `not` take.
#[derive(Debug, Clone)]
pub(crate) struct Operand {
    pub(crate) body: Body,
    /// Whether it stands in braces, and so may declare variables of its own.
    pub(crate) explicit: bool,
}

impl Operand {
    /// One statement without braces.
    pub(crate) fn implicit(expr: Expr) -> Self {
        Self { body: vec![expr], explicit: false }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Every {
    pub(crate) key: Option<Term>,
    pub(crate) value: Term,
    pub(crate) domain: Term,
    pub(crate) body: Body,
}

#[derive(Debug, Clone)]
pub(crate) struct With {
    pub(crate) location: Location,
    pub(crate) target: Term,
    pub(crate) value: Term,
}

#[derive(Debug, Clone)]
pub(crate) struct Term {
    pub(crate) location: Location,
    pub(crate) kind: TermKind,
}

/// A variable and what to follow from it. The first term is a variable (a composite or a call before it is rewritten), the
/// others may be anything.
pub(crate) type Ref = Vec<Term>;

#[derive(Debug, Clone)]
pub(crate) enum TermKind {
    Null,
    Bool(bool),
    Number(Number),
    String(Arc<str>),
    /// `$"…{term}…"`.
    Template(Vec<TemplatePart>),
    Var(Var),
    /// At least one term. `input` and `data` alone are references.
    Ref(Ref),
    Array(Vec<Term>),
    Object(Vec<(Term, Term)>),
    Set(Vec<Term>),
    ArrayComprehension(Box<Term>, Body),
    SetComprehension(Box<Term>, Body),
    ObjectComprehension(Box<Term>, Box<Term>, Body),
    /// The operator, as a reference, and its operands.
    Call(Vec<Term>),
}

#[derive(Debug, Clone)]
pub(crate) enum TemplatePart {
    Text(Arc<str>),
    /// What stands in braces. An expression, because it may have a `with`.
    Expr(Box<Expr>),
}

// === impl Var ===

impl Var {
    pub(crate) fn new(name: &str) -> Self {
        Self(Arc::from(name))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_wildcard(&self) -> bool {
        self.0.starts_with('$')
    }

    pub(crate) fn is_generated(&self) -> bool {
        self.0.starts_with("__local")
    }
}

impl fmt::Display for Var {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_wildcard() { "_" } else { &self.0 })
    }
}

// === impl Term ===

impl Term {
    pub(crate) fn new(location: Location, kind: TermKind) -> Self {
        Self { location, kind }
    }

    pub(crate) fn var(location: Location, var: Var) -> Self {
        Self::new(location, TermKind::Var(var))
    }

    pub(crate) fn string(location: Location, text: &str) -> Self {
        Self::new(location, TermKind::String(Arc::from(text)))
    }

    pub(crate) fn bool(location: Location, value: bool) -> Self {
        Self::new(location, TermKind::Bool(value))
    }

    /// A reference to a builtin or a function by its dotted name.
    pub(crate) fn operator(location: Location, name: &str) -> Self {
        Self::operator_of(location, name.split('.').map(Arc::from))
    }

    /// The same from its name's parts.
    pub(crate) fn operator_of(location: Location, parts: impl Iterator<Item = Arc<str>>) -> Self {
        let term = |(at, part)| match at {
            0 => TermKind::Var(Var(part)),
            _ => TermKind::String(part),
        };
        Self::new(location, TermKind::Ref(parts.enumerate().map(|part| Self::new(location, term(part))).collect()))
    }

    pub(crate) fn as_var(&self) -> Option<&Var> {
        if let TermKind::Var(var) = &self.kind { Some(var) } else { None }
    }

    pub(crate) fn as_ref(&self) -> Option<&Ref> {
        if let TermKind::Ref(reference) = &self.kind { Some(reference) } else { None }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        if let TermKind::String(text) = &self.kind { Some(text) } else { None }
    }

    pub(crate) fn is_var(&self, name: &str) -> bool {
        self.as_var().is_some_and(|var| var.as_str() == name)
    }

    /// Whether this is `input` or `data`, and nothing of it.
    pub(crate) fn is_root(&self) -> bool {
        let head = self.as_ref().map(Vec::as_slice);
        matches!(head, Some([head]) if head.is_var("input") || head.is_var("data"))
    }

    /// The variables `input` and `data` are references.
    pub(crate) fn or_root(self) -> Self {
        let is_root = self.is_var("input") || self.is_var("data");
        if is_root { Self::new(self.location, TermKind::Ref(vec![self])) } else { self }
    }

    /// What OPA calls it in messages.
    pub(crate) fn type_name(&self) -> &'static str {
        match &self.kind {
            TermKind::Null => "null",
            TermKind::Bool(_) => "boolean",
            TermKind::Number(_) => "number",
            TermKind::String(_) => "string",
            TermKind::Template(_) => "templatestring",
            TermKind::Var(_) => "var",
            TermKind::Ref(_) => "ref",
            TermKind::Array(_) => "array",
            TermKind::Object(_) => "object",
            TermKind::Set(_) => "set",
            TermKind::ArrayComprehension(..) => "arraycomprehension",
            TermKind::SetComprehension(..) => "setcomprehension",
            TermKind::ObjectComprehension(..) => "objectcomprehension",
            TermKind::Call(_) => "call",
        }
    }

    /// Whether there is no variable in it: OPA's `IsGround`, which doesn't count a reference's head.
    pub(crate) fn is_ground(&self) -> bool {
        match &self.kind {
            TermKind::Null | TermKind::Bool(_) | TermKind::Number(_) | TermKind::String(_) => true,
            TermKind::Template(_) | TermKind::Var(_) => false,
            TermKind::Ref(terms) => terms.iter().skip(1).all(Self::is_ground),
            TermKind::Array(terms) | TermKind::Set(terms) | TermKind::Call(terms) => terms.iter().all(Self::is_ground),
            TermKind::Object(entries) => entries.iter().all(|(key, value)| key.is_ground() && value.is_ground()),
            TermKind::ArrayComprehension(term, body) | TermKind::SetComprehension(term, body) => {
                term.is_ground() && body.iter().all(Expr::is_ground)
            }
            TermKind::ObjectComprehension(key, value, body) => {
                key.is_ground() && value.is_ground() && body.iter().all(Expr::is_ground)
            }
        }
    }

    /// The value, if the term is made of constants only.
    pub(crate) fn to_value(&self) -> Option<Value> {
        Some(match &self.kind {
            TermKind::Null => Value::Null,
            TermKind::Bool(value) => Value::Bool(*value),
            TermKind::Number(number) => Value::Number(number.clone()),
            TermKind::String(text) => Value::String(Arc::clone(text)),
            TermKind::Array(items) => Value::array(items.iter().map(Self::to_value).collect::<Option<_>>()?),
            TermKind::Set(items) => Value::set(items.iter().map(Self::to_value).collect::<Option<_>>()?),
            TermKind::Object(entries) => {
                let entry = |(key, value): &(Self, Self)| Some((key.to_value()?, value.to_value()?));
                Value::object(entries.iter().map(entry).collect::<Option<_>>()?)
            }
            _ => return None,
        })
    }
}

// === impl Expr ===

impl Expr {
    pub(crate) fn new(location: Location, kind: ExprKind) -> Self {
        Self { location, kind, negated: false, with: vec![], generated: false, from_assignment: false }
    }

    /// A call of a builtin by its dotted name.
    pub(crate) fn call(location: Location, name: &str, operands: impl IntoIterator<Item = Term>) -> Self {
        let terms = std::iter::once(Term::operator(location, name)).chain(operands).collect();
        Self::new(location, ExprKind::Call(terms))
    }

    /// The operator's dotted name and the operands, if this is a call of something with a constant name.
    pub(crate) fn as_call(&self) -> Option<(String, &[Term])> {
        let ExprKind::Call(terms) = &self.kind else { return None };
        let (operator, operands) = terms.split_first()?;
        Some((dotted(operator.as_ref()?)?, operands))
    }

    /// As [`Term::is_ground`]. (OPA doesn't look into modifiers.)
    pub(crate) fn is_ground(&self) -> bool {
        match &self.kind {
            ExprKind::Term(term) => term.is_ground(),
            ExprKind::Call(terms) => terms.iter().skip(1).all(Term::is_ground),
            // They declare variables.
            ExprKind::Some(_) | ExprKind::Every(_) => false,
            ExprKind::Not(operand) => operand.body.iter().all(Self::is_ground),
            ExprKind::And(left, right) | ExprKind::Or(left, right) => {
                left.body.iter().chain(&right.body).all(Self::is_ground)
            }
        }
    }

    pub(crate) fn is_call_of(&self, name: &str) -> bool {
        self.as_call().is_some_and(|(called, _)| called == name)
    }
}

/// `a.b.c`, if the reference is a variable and strings only.
pub(crate) fn dotted(reference: &[Term]) -> Option<String> {
    let (head, rest) = reference.split_first()?;
    let mut name = head.as_var()?.as_str().to_owned();
    for term in rest {
        name.push('.');
        name.push_str(term.as_str()?);
    }
    Some(name)
}
