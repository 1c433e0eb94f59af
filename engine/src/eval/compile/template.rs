//! String interpolation: `$"a {x}"` becomes `internal.template_string(["a ", {y | y = x}])`, where an undefined part is
//! an empty set.

use super::CompileError;
use super::locals::Generator;
use super::safety::outputs_of_body;
use super::tree::{Arity, RuleKind, RuleTree, kind, reserved};
use super::walk::{SAFETY, Skip, VarSet, chain_mut, term_vars, vars_of_terms};
use crate::eval::builtins::table::builtin;
use crate::eval::syntax::ast::{Body, Expr, ExprKind, Module, TemplatePart, Term, TermKind, dotted};

/// Rewrites the template strings of all rules.
pub(super) fn rewrite(
    modules: &mut [Module],
    tree: &RuleTree,
    arity: &Arity<'_>,
    generator: &mut Generator,
    errors: &mut Vec<CompileError>,
) {
    // Which paths have a value whatever happens is asked about rules as they are before this.
    let defined = Defined::new(modules, tree);
    for rule in modules.iter_mut().flat_map(|module| &mut module.rules) {
        chain_mut(rule, &mut |rule| {
            let mut rewriter = Rewriter { tree, arity, defined: &defined, generator, errors };
            let mut safe = reserved();
            rule.head.args.iter().for_each(|arg| term_vars(arg, Skip::default(), &mut safe));
            rewriter.body(&mut safe, &mut rule.body);
            let head = &mut rule.head;
            for term in head.args.iter_mut().chain(&mut head.key).chain(&mut head.value) {
                rewriter.term(&safe, term);
            }
        });
    }
}

/// The nodes of the tree whose rules always have a value.
struct Defined(Vec<bool>);

impl Defined {
    fn new(modules: &[Module], tree: &RuleTree) -> Self {
        let always = |at: usize| {
            let rules = tree.node(at).map_or(&[][..], |node| node.rules.as_slice());
            let rules: Vec<_> =
                rules.iter().filter_map(|(module, rule)| modules.get(*module)?.rules.get(*rule)).collect();
            let Some(first) = rules.first() else { return false };
            if !first.head.args.is_empty() {
                return false;
            }
            let constant =
                first.head.value.as_ref().is_some_and(|value| value.to_value().is_some() || value.as_var().is_some());
            let no_body = matches!(first.body.as_slice(), [Expr { kind: ExprKind::Term(term), .. }]
                if matches!(term.kind, TermKind::Bool(true)));
            kind(first) == RuleKind::Multi
                || rules.iter().any(|rule| rule.default)
                || rules.len() == 1 && no_body && constant
        };
        Self((0..tree.len()).map(always).collect())
    }
}

struct Rewriter<'a> {
    tree: &'a RuleTree,
    arity: &'a Arity<'a>,
    defined: &'a Defined,
    generator: &'a mut Generator,
    errors: &'a mut Vec<CompileError>,
}

impl Rewriter<'_> {
    /// Those in `safe` have values when the body holds: its own are added.
    fn body(&mut self, safe: &mut VarSet, body: &mut Body) {
        let outputs = outputs_of_body(body, self.arity, safe);
        safe.extend(outputs);
        for expr in body {
            self.expr(safe, expr);
        }
    }

    fn expr(&mut self, safe: &VarSet, expr: &mut Expr) {
        match &mut expr.kind {
            ExprKind::Term(term) => self.term(safe, term),
            ExprKind::Call(terms) | ExprKind::Some(terms) => terms.iter_mut().for_each(|term| self.term(safe, term)),
            ExprKind::Every(every) => {
                self.term(safe, &mut every.domain);
                let mut inner = safe.clone();
                inner.extend(vars_of_terms(every.key.iter().chain([&every.value]), Skip::default()));
                self.body(&mut inner, &mut every.body);
            }
            ExprKind::Not(operand) => operand.body.iter_mut().for_each(|expr| self.expr(safe, expr)),
            ExprKind::And(left, right) | ExprKind::Or(left, right) => {
                left.body.iter_mut().chain(&mut right.body).for_each(|expr| self.expr(safe, expr));
            }
        }
        for with in &mut expr.with {
            self.term(safe, &mut with.target);
            self.term(safe, &mut with.value);
        }
    }

    fn term(&mut self, safe: &VarSet, term: &mut Term) {
        match &mut term.kind {
            TermKind::Template(parts) => {
                let parts = std::mem::take(parts);
                self.template(safe, term, parts);
            }
            TermKind::Ref(terms) | TermKind::Array(terms) | TermKind::Set(terms) | TermKind::Call(terms) => {
                terms.iter_mut().for_each(|term| self.term(safe, term));
            }
            TermKind::Object(entries) => {
                for (key, value) in entries {
                    self.term(safe, key);
                    self.term(safe, value);
                }
            }
            TermKind::ArrayComprehension(term, body) | TermKind::SetComprehension(term, body) => {
                let mut inner = safe.clone();
                self.body(&mut inner, body);
                self.term(&inner, term);
            }
            TermKind::ObjectComprehension(key, value, body) => {
                let mut inner = safe.clone();
                self.body(&mut inner, body);
                self.term(&inner, key);
                self.term(&inner, value);
            }
            _ => {}
        }
    }

    fn template(&mut self, safe: &VarSet, term: &mut Term, parts: Vec<TemplatePart>) {
        let location = term.location;
        let mut terms: Vec<Term> = parts
            .into_iter()
            .filter_map(|part| match part {
                TemplatePart::Text(text) => Some(Term::new(location, TermKind::String(text))),
                TemplatePart::Expr(expr) => self.part(safe, *expr),
            })
            .collect();
        if terms.is_empty() {
            terms.push(Term::string(location, ""));
        }
        let array = Term::new(location, TermKind::Array(terms));
        term.kind = TermKind::Call(vec![Term::operator(location, "internal.template_string"), array]);
    }

    fn part(&mut self, safe: &VarSet, expr: Expr) -> Option<Term> {
        let location = expr.location;
        let mut value = match expr.kind {
            ExprKind::Call(terms) => {
                let name = terms.first().and_then(Term::as_ref).and_then(|operator| dotted(operator));
                if name.and_then(|name| builtin(&name)).is_some_and(|builtin| builtin.relation) {
                    let message = "illegal call to a relation that may have several results; use a comprehension";
                    self.errors.push(CompileError::compile(location, message));
                    return None;
                }
                Term::new(location, TermKind::Call(terms))
            }
            ExprKind::Term(term) => term,
            _ => {
                let message = "unexpected template-string expression; write a term or a call between the braces";
                self.errors.push(CompileError::compile(location, message));
                return None;
            }
        };
        let defined = value.as_ref().and_then(|reference| self.tree.find(reference));
        let is_defined = defined.is_some_and(|at| self.defined.0.get(at).copied().unwrap_or_default());
        if is_defined || value.as_var().is_some() {
            return Some(Term::new(location, TermKind::Set(vec![value])));
        }
        for var in vars_of_terms([&value], SAFETY).difference(safe) {
            let name = self.generator.name_of(var).unwrap_or(var);
            self.errors.push(CompileError::compile(location, format!("var {name} is undeclared")));
        }
        // Templates within.
        self.term(safe, &mut value);
        let var = Term::var(location, self.generator.next());
        let mut capture = Expr::call(location, "eq", [var.clone(), value]);
        capture.with = expr.with;
        Some(Term::new(location, TermKind::SetComprehension(Box::new(var), vec![capture])))
    }
}
