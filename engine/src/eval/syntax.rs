//! What a policy touches, read from its syntax tree: rules, calls, references to data.

use std::collections::{BTreeMap, BTreeSet};

use regorus::unstable::{Expr, Literal, LiteralStmt, Module, Query, Ref, Rule, RuleAssign, RuleHead, Span};

/// One step of a reference: `.name`, `["name"]`, or something computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Name(String),
    Computed,
}

/// A reference, e.g. `data.acme[input.team].limits`, with the place of every prefix of it.
pub(super) struct Reference {
    /// The variable it starts from.
    pub(super) base: String,
    pub(super) steps: Vec<Step>,
    /// The text of `base` and the first `n + 1` steps.
    pub(super) spans: Vec<Span>,
    pub(super) span: Span,
}

impl Reference {
    /// The names it starts with, up to the first computed step.
    pub(super) fn names(&self) -> Vec<&str> {
        let names = self.steps.iter().map_while(|step| match step {
            Step::Name(name) => Some(name.as_str()),
            Step::Computed => None,
        });
        std::iter::once(self.base.as_str()).chain(names).collect()
    }

    pub(super) fn is_constant(&self) -> bool {
        !self.steps.contains(&Step::Computed)
    }
}

/// What one module declares and touches.
pub(super) struct Facts {
    /// The package, `data` left out.
    pub(super) package: Vec<String>,
    /// Name by which an import is known, and its path.
    pub(super) imports: BTreeMap<String, Vec<String>>,
    pub(super) import_references: Vec<Reference>,
    pub(super) rules: Vec<RuleFacts>,
}

/// What one definition touches.
pub(super) struct RuleFacts {
    /// Full path, `data` left out, up to the first computed step of a head like `p[x]`.
    pub(super) path: Vec<String>,
    pub(super) span: Span,
    pub(super) references: Vec<Reference>,
    pub(super) calls: Vec<Reference>,
    /// Targets of `with`.
    pub(super) replaced: Vec<Reference>,
}

impl Facts {
    pub(super) fn of(module: &Module) -> Self {
        let package: Vec<String> = constant_names(&module.package.refr);
        let mut imports = BTreeMap::new();
        let mut import_references = Vec::new();
        for import in &module.imports {
            if let Some(reference) = reference(&import.refr) {
                let path: Vec<String> = reference.names().into_iter().map(str::to_owned).collect();
                let name = import.r#as.as_ref().map(|span| span.text().to_owned()).or_else(|| path.last().cloned());
                if let Some(name) = name {
                    imports.insert(name, path);
                }
                import_references.push(reference);
            }
        }
        let rules = module.policy.iter().map(|rule| RuleFacts::of(&package, rule)).collect();
        Self { package, imports, import_references, rules }
    }
}

impl RuleFacts {
    fn of(package: &[String], rule: &Rule) -> Self {
        let head = match rule {
            Rule::Default { refr, .. } => refr,
            Rule::Spec { head, .. } => match head {
                RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. } | RuleHead::Func { refr, .. } => refr,
            },
        };
        let path = package.iter().cloned().chain(constant_names(head)).collect();
        let mut walker = Walker { references: vec![], calls: vec![], replaced: vec![] };
        match rule {
            Rule::Default { args, value, .. } => {
                args.iter().for_each(|arg| walker.expr(arg));
                walker.expr(value);
            }
            Rule::Spec { head, bodies, .. } => {
                walker.head(head);
                for body in bodies {
                    walker.assign(body.assign.as_ref());
                    walker.query(&body.query);
                }
            }
        }
        let Walker { references, calls, replaced } = walker;
        Self { path, span: rule.span().clone(), references, calls, replaced }
    }
}

/// Functions that call themselves, directly or through others: one path that does, if any.
pub(super) fn recursive_function(calls: &BTreeMap<String, BTreeSet<String>>) -> Option<&str> {
    // A path that can be reached from itself; the graph is small, and this runs once per load.
    calls.keys().map(String::as_str).find(|start| {
        let mut seen = BTreeSet::new();
        let mut todo: Vec<&str> = calls.get(*start).into_iter().flatten().map(String::as_str).collect();
        while let Some(next) = todo.pop() {
            if next == *start {
                return true;
            }
            if seen.insert(next) {
                todo.extend(calls.get(next).into_iter().flatten().map(String::as_str));
            }
        }
        false
    })
}

// === impl Walker ===

struct Walker {
    references: Vec<Reference>,
    calls: Vec<Reference>,
    replaced: Vec<Reference>,
}

impl Walker {
    fn head(&mut self, head: &RuleHead) {
        match head {
            RuleHead::Compr { refr, assign, .. } => {
                self.indices(refr);
                self.assign(assign.as_ref());
            }
            RuleHead::Set { refr, key, .. } => {
                self.indices(refr);
                key.iter().for_each(|key| self.expr(key));
            }
            RuleHead::Func { args, assign, .. } => {
                args.iter().for_each(|arg| self.expr(arg));
                self.assign(assign.as_ref());
            }
        }
    }

    fn assign(&mut self, assign: Option<&RuleAssign>) {
        if let Some(assign) = assign {
            self.expr(&assign.value);
        }
    }

    fn query(&mut self, query: &Query) {
        query.stmts.iter().for_each(|statement| self.statement(statement));
    }

    fn statement(&mut self, statement: &LiteralStmt) {
        match &statement.literal {
            Literal::SomeVars { .. } => {}
            Literal::SomeIn { key, value, collection, .. } => {
                key.iter().for_each(|key| self.expr(key));
                self.expr(value);
                self.expr(collection);
            }
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.expr(expr),
            Literal::Every { domain, query, .. } => {
                self.expr(domain);
                self.query(query);
            }
        }
        for with in &statement.with_mods {
            match reference(&with.refr) {
                Some(target) => self.replaced.push(target),
                None => self.expr(&with.refr),
            }
            self.expr(&with.r#as);
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. } => {}
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => {
                match reference(expr) {
                    Some(reference) => self.references.push(reference),
                    None => self.base(expr),
                }
                self.indices(expr);
            }
            Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().for_each(|item| self.expr(item)),
            Expr::Object { fields, .. } => fields.iter().for_each(|(_, key, value)| {
                self.expr(key);
                self.expr(value);
            }),
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                self.expr(term);
                self.query(query);
            }
            Expr::ObjectCompr { key, value, query, .. } => {
                self.expr(key);
                self.expr(value);
                self.query(query);
            }
            Expr::Call { fcn, params, .. } => {
                if let Some(function) = reference(fcn) {
                    self.calls.push(function);
                }
                params.iter().for_each(|param| self.expr(param));
            }
            Expr::UnaryExpr { expr, .. } => self.expr(expr),
            Expr::BinExpr { lhs, rhs, .. }
            | Expr::BoolExpr { lhs, rhs, .. }
            | Expr::ArithExpr { lhs, rhs, .. }
            | Expr::AssignExpr { lhs, rhs, .. } => {
                self.expr(lhs);
                self.expr(rhs);
            }
            Expr::Membership { key, value, collection, .. } => {
                key.iter().for_each(|key| self.expr(key));
                self.expr(value);
                self.expr(collection);
            }
        }
    }

    /// What a reference starts from when that isn't a variable: `f(x).y`, `[1, 2][0]`.
    fn base(&mut self, mut expr: &Expr) {
        while let Expr::RefDot { refr, .. } | Expr::RefBrack { refr, .. } = expr {
            expr = refr;
        }
        self.expr(expr);
    }

    /// The computed steps of a reference are expressions of their own.
    fn indices(&mut self, mut expr: &Expr) {
        loop {
            match expr {
                Expr::RefDot { refr, .. } => expr = refr,
                Expr::RefBrack { refr, index, .. } => {
                    self.expr(index);
                    expr = refr;
                }
                _ => return,
            }
        }
    }
}

/// `expr` as a reference, if it starts from a variable.
fn reference(expr: &Expr) -> Option<Reference> {
    let mut steps = Vec::new();
    let mut spans = Vec::new();
    let mut at = expr;
    loop {
        match at {
            Expr::RefDot { refr, field, span, .. } => {
                steps.push(Step::Name(field.0.text().to_owned()));
                spans.push(span.clone());
                at = refr;
            }
            Expr::RefBrack { refr, index, span, .. } => {
                steps.push(constant_text(index).map_or(Step::Computed, Step::Name));
                spans.push(span.clone());
                at = refr;
            }
            Expr::Var { span, .. } => {
                steps.reverse();
                spans.reverse();
                let base = span.text().to_owned();
                return Some(Reference { base, steps, spans, span: expr.span().clone() });
            }
            _ => return None,
        }
    }
}

fn constant_text(expr: &Ref<Expr>) -> Option<String> {
    match expr.as_ref() {
        Expr::String { value, .. } | Expr::RawString { value, .. } => {
            value.as_string().ok().map(|text| text.to_string())
        }
        _ => None,
    }
}

/// The names of a path like a package's or a head's, up to the first computed step.
fn constant_names(expr: &Expr) -> Vec<String> {
    reference(expr).map(|reference| reference.names().into_iter().map(str::to_owned).collect()).unwrap_or_default()
}
