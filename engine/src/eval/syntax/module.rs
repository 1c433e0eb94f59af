//! Statements to a module: what stands where, and which statements are rules.

use super::ast::{Annotation, Body, Expr, ExprKind, Head, Import, Location, Module, Rule, Term, TermKind, dotted};
use super::parser::{RegoVersion, SyntaxError};
use super::parser_rule::true_body;
use super::parser_statement::Statement;
use super::{annotations, check};

pub(super) fn from_statements(
    file: u32,
    statements: Vec<Statement>,
    annotations: Vec<Annotation>,
    version: RegoVersion,
) -> Result<Module, Vec<SyntaxError>> {
    let mut statements = statements.into_iter().peekable();
    let first = Location { file, row: 1, col: 1 };
    let package = match statements.next() {
        None => return Err(vec![SyntaxError::new(first, "empty module")]),
        Some(Statement::Package(package)) => package,
        Some(other) => return Err(vec![SyntaxError::new(other.location(), "package expected")]),
    };
    let rego_v1 = version == RegoVersion::V1;
    let mut module = Module { package, imports: vec![], rules: vec![], annotations, rego_v1, size: 0 };
    let mut errors = vec![];
    while let Some(statement) = statements.next() {
        let location = statement.location();
        match statement {
            Statement::Package(_) => errors.push(SyntaxError::new(location, "unexpected package")),
            Statement::Import(import) => {
                module.rego_v1 |= is_rego(&import);
                module.imports.push(import);
            }
            Statement::Rule(rule) => module.rules.push(rule),
            Statement::Body(body) => {
                let keyword = only_keyword(&body).or_else(|| keyword_on_line(statements.peek(), location));
                match (rule_from(body), keyword.filter(|_| !module.rego_v1)) {
                    (Ok(rule), _) => module.rules.push(rule),
                    (Err(message), None) => errors.push(SyntaxError::new(location, message)),
                    (Err(message), Some(keyword)) => {
                        let message = format!("{message} (hint: {})", import_of(keyword));
                        errors.push(SyntaxError::new(location, message));
                    }
                }
            }
        }
    }
    module.rules.shrink_to_fit();
    if module.rego_v1 {
        for rule in &module.rules {
            let chain = std::iter::successors(Some(rule), |rule| rule.otherwise.as_deref());
            errors.extend(chain.flat_map(check::v1_rule));
        }
    }
    if errors.is_empty() {
        errors = annotations::attach(&mut module);
    }
    if errors.is_empty() { Ok(module) } else { Err(errors) }
}

/// `import rego.v1` or `import rego.v2`.
fn is_rego(import: &Import) -> bool {
    let [root, version] = import.path.as_slice() else { return false };
    root.is_var("rego") && matches!(version.as_str(), Some("v1" | "v2"))
}

// === A keyword that isn't imported ===

fn head_keyword(name: &str) -> Option<&'static str> {
    ["if", "contains"].into_iter().find(|keyword| *keyword == name)
}

fn only_keyword(body: &Body) -> Option<&'static str> {
    match body.as_slice() {
        [Expr { kind: ExprKind::Term(term), .. }] => head_keyword(term.as_var()?.as_str()),
        _ => None,
    }
}

/// Whether a statement that goes on on the same line is named like a keyword: `p if { … }` reads like two statements.
fn keyword_on_line(next: Option<&Statement>, location: Location) -> Option<&'static str> {
    match next.filter(|next| next.location().row == location.row)? {
        Statement::Body(body) => only_keyword(body),
        Statement::Rule(rule) => match rule.head.reference.as_slice() {
            [name] => head_keyword(name.as_var()?.as_str()),
            _ => None,
        },
        _ => None,
    }
}

fn import_of(keyword: &str) -> String {
    let example = if keyword == "if" { "p if { ... }" } else { "p contains x" };
    format!("`import future.keywords.{keyword}` for `{example}` rules")
}

// === Statements that are rules ===

/// The rule that a statement outside of rules is, such as `x := 1` or `p.q`.
fn rule_from(mut body: Body) -> Result<Rule, String> {
    let (Some(expr), true) = (body.pop(), body.is_empty()) else {
        return Err("multiple expressions cannot be used for rule head".into());
    };
    if !expr.with.is_empty() {
        return Err("expressions using with keyword cannot be used for rule head".into());
    }
    if expr.negated {
        return Err("negated expressions cannot be used for rule head".into());
    }
    let assign = is_call_of(&expr, "assign");
    let mut rule = match expr.kind {
        ExprKind::Term(term) => rule_from_term(term)?,
        ExprKind::Call(terms) if assign || is_call_of_terms(&terms, "eq") => rule_from_equation(expr.location, terms)?,
        ExprKind::Call(terms) => rule_from_call(terms)?,
        ExprKind::Some(_) => return Err("'some' declarations cannot be used for rule head".into()),
        _ => return Err("expression cannot be used for rule head".into()),
    };
    rule.head.assign = assign;
    Ok(rule)
}

fn is_call_of(expr: &Expr, name: &str) -> bool {
    matches!(&expr.kind, ExprKind::Call(terms) if is_call_of_terms(terms, name))
}

fn is_call_of_terms(terms: &[Term], name: &str) -> bool {
    let operator = terms.first().and_then(Term::as_ref);
    matches!(operator.map(Vec::as_slice), Some([head]) if head.is_var(name))
}

/// `p[x]` is a partial set's rule, `p.q.r` a complete one that is true.
fn rule_from_term(term: Term) -> Result<Rule, String> {
    let (location, type_name) = (term.location, term.type_name());
    let TermKind::Ref(mut reference) = term.kind else {
        return Err(format!("{type_name} cannot be used for rule name"));
    };
    if reference.len() == 1 {
        return Err("refs cannot be used for rule head".into());
    }
    starts_with_var(&reference)?;
    let mut head = head(location, vec![]);
    if reference.len() == 2 {
        head.key = reference.pop();
    } else {
        head.value = Some(Term::bool(location, true));
        head.generated_value = true;
    }
    head.reference = reference;
    Ok(rule(location, head, location))
}

/// `x = …`, `p[x] = …`, `f(x) = …`.
fn rule_from_equation(location: Location, terms: Vec<Term>) -> Result<Rule, String> {
    let mut operands = terms.into_iter().skip(1);
    let (Some(left), Some(right)) = (operands.next(), operands.next()) else {
        return Err("assignment requires two operands".into());
    };
    let body_location = right.location;
    let type_name = left.type_name();
    let mut head = head(location, vec![]);
    head.value = Some(right);
    match left.kind {
        TermKind::Call(mut call) => {
            head.args = call.split_off(1.min(call.len()));
            let reference = call.pop().map(|operator| operator.kind);
            match reference {
                Some(TermKind::Ref(reference)) if starts_with_var(&reference).is_ok() => head.reference = reference,
                _ => return Err("call cannot be used for rule name".into()),
            }
        }
        TermKind::Ref(reference) => {
            starts_with_var(&reference)?;
            if let [_, key] = reference.as_slice() {
                head.key = Some(key.clone());
            }
            head.reference = reference;
        }
        TermKind::Var(_) => head.reference = vec![left],
        _ => return Err(format!("{type_name} cannot be used for rule name")),
    }
    Ok(rule(location, head, body_location))
}

/// `f(x)`
fn rule_from_call(mut terms: Vec<Term>) -> Result<Rule, String> {
    let args = terms.split_off(1.min(terms.len()));
    let Some(Term { location, kind: TermKind::Ref(reference) }) = terms.pop() else {
        return Err("expression cannot be used for rule head".into());
    };
    if builtin_name(&reference).is_some_and(|name| check::is_builtin(&name)) {
        return Err("rule name conflicts with built-in function".into());
    }
    if args.is_empty() {
        return Err("rule argument list must take at least one argument".into());
    }
    starts_with_var(&reference)?;
    let mut head = head(location, args);
    head.reference = reference;
    head.value = Some(Term::bool(location, true));
    Ok(rule(location, head, location))
}

/// The name that a builtin would have to have to be called by this reference: `a["b.c"]` isn't `a.b.c`.
fn builtin_name(reference: &[Term]) -> Option<String> {
    let has_dot = |term: &Term| term.as_str().is_some_and(|name| name.contains('.'));
    if reference.iter().any(has_dot) { None } else { dotted(reference) }
}

fn starts_with_var(reference: &[Term]) -> Result<(), String> {
    match reference.first().map(Term::as_var) {
        Some(Some(_)) => Ok(()),
        _ => Err("invalid rule head".into()),
    }
}

fn head(location: Location, args: Vec<Term>) -> Head {
    Head {
        location,
        reference: vec![],
        args,
        key: None,
        value: None,
        assign: false,
        generated_value: false,
        contains: false,
        has_if: false,
    }
}

fn rule(location: Location, head: Head, body_location: Location) -> Rule {
    Rule { location, default: false, head, body: true_body(body_location), otherwise: None, generated_body: true }
}
