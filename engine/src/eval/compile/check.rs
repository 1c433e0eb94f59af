//! The type checker: OPA's (`ast/check.go`, `ast/env.go`, 1.22), so that what OPA refuses is refused.
//!
//! Rules are checked in the order of their dependencies, each body from its first statement to its last. Statements
//! give types to variables ([`unify`]), references are followed through what is known of the rules before ([`refs`]),
//! and the type of the head is kept for the rules after ([`env`]). Where OPA is lenient for no reason this is as well:
//! it doesn't look at calls within `every`, `and`, `or` and plain `not`, for one.

mod env;
mod infer;
mod messages;
mod refs;
mod terms;
#[cfg(test)]
mod tests;
mod unify;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use self::env::{Env, Tree};
use self::messages::Detail;
use self::terms::{constant, ground_path};
use super::error::{CompileError, TYPE};
use super::tree::RuleId;
use super::types::{MAX_DEPTH, Type, Types, parse};
use crate::eval::builtins::table;
use crate::eval::syntax::ast::{Body, Expr, ExprKind, Head, Location, Module, Rule, Term, TermKind, Var, With, dotted};
use crate::eval::value::Value;

/// A policy whose types grow beyond what checking them may take.
pub(crate) const TOO_COMPLEX: &str = "types_too_complex";

/// Steps that checking a policy may take, and those for each statement besides: a few seconds, and ten times what a
/// statement takes. Only types that multiply with each use come near it, and OPA takes longer over those.
const STEPS: u64 = 1 << 25;
const STEPS_OF_STATEMENT: u64 = 1 << 11;

/// What the checker has to know of the other stages.
pub(crate) struct Surroundings<'a> {
    /// The rules that a reference could refer to, and all that depend on these.
    pub(crate) dependents: &'a dyn Fn(&[Term]) -> Vec<RuleId>,
    /// The policy's name for a variable, for messages.
    pub(crate) name_of: &'a dyn Fn(&Var) -> Option<Var>,
}

/// The type errors of all rules, by place.
///
/// The stages before OPA's `CheckTypes` have run. References of heads, those of `else` included, begin with `data`.
/// `order` lists the rules, each after those it or its `else` depends on.
pub(crate) fn check(modules: &[Module], order: &[RuleId], surroundings: &Surroundings<'_>) -> Vec<CompileError> {
    let chains = modules.iter().flat_map(|module| &module.rules).flat_map(super::walk::chain);
    let statements = chains.map(|rule| rule.body.len() as u64).sum::<u64>();
    check_within(Types::within(STEPS + statements * STEPS_OF_STATEMENT), modules, order, surroundings)
}

fn check_within(
    types: Types,
    modules: &[Module],
    order: &[RuleId],
    surroundings: &Surroundings<'_>,
) -> Vec<CompileError> {
    let builtins = builtins(&types);
    let checker = Checker { modules, surroundings, types, relaxed: RefCell::default() };
    let mut rules = Tree::default();
    let mut errors = vec![];
    for rule in order.iter().filter_map(|&(module, rule)| modules.get(module)?.rules.get(rule)) {
        for rule in super::walk::chain(rule) {
            checker.rule(rule, &mut rules, &builtins, &mut errors);
            if checker.types.is_spent() {
                let message = "the types in this policy are too complex to be checked";
                return vec![CompileError::new(rule.location, TOO_COMPLEX, message)];
            }
        }
    }
    errors.sort_by(|a, b| a.location.cmp(&b.location).then_with(|| a.message.cmp(&b.message)));
    errors
}

fn builtins(types: &Types) -> Tree {
    let mut tree = Tree::default();
    for builtin in table::all() {
        // A test reads all of the table's types.
        let read = |text: &&'static str| parse(text).unwrap_or_default();
        let operands = builtin.operands.iter().map(read).collect();
        let [variadic, result] =
            [builtin.variadic, builtin.result].map(|text| text.as_ref().map(read).unwrap_or_default());
        let mut parts = builtin.name.split('.');
        let root = Var::new(parts.next().unwrap_or_default());
        let path: Vec<_> = parts.map(Value::from).collect();
        tree.put(types, &root, &path, Type::function(operands, variadic, result));
    }
    tree
}

struct Checker<'a> {
    modules: &'a [Module],
    surroundings: &'a Surroundings<'a>,
    types: Types,
    relaxed: RefCell<Relaxed>,
}

/// What `with` makes of rules: by target, and whether that is a function.
#[derive(Debug, Default)]
struct Relaxed {
    trees: BTreeMap<RelaxedKey, Option<Rc<Tree>>>,
    /// Rules in all trees.
    rules: usize,
}

/// `None` stands for any term that isn't constant.
type RelaxedKey = (Var, Vec<Option<Value>>, bool);

/// Rules that are remembered to be changed by some `with`; more of them are found again.
const MAX_RELAXED: usize = 1 << 20;

// === Rules ===

impl Checker<'_> {
    /// Checks a rule and keeps its type.
    fn rule(&self, rule: &Rule, rules: &mut Tree, builtins: &Tree, errors: &mut Vec<CompileError>) {
        let Some((root, path)) = ground_path(&rule.head.reference) else { return };
        let suffix = rule.head.reference.get(path.len() + 1..).unwrap_or_default();
        if rule.head.reference.len() > usize::from(MAX_DEPTH) {
            return self.types.spend_all();
        }
        let outer = Env::Root { rules, builtins };
        let (body, mut found) = self.body(&outer, &rule.body);
        let failed = !found.is_empty();
        errors.append(&mut found);
        let kind = if failed { Type::Any } else { self.head(&body, &rule.head, suffix) };
        if !suffix.is_empty() && (failed || matches!(kind, Type::Function(_))) {
            // OPA knows that there is something, but not what. A function below a variable isn't found by any call.
            let keys =
                suffix.iter().map(|term| constant(term).map_or(Type::Unknown, |key| Type::of_value(&self.types, &key)));
            return rules.put_failed(&self.types, root, &path, keys.collect());
        }
        if failed {
            // So that what refers to the rule doesn't fail for that.
            return rules.put(&self.types, root, &path, Type::Any);
        }
        if !kind.is_unknown() {
            rules.insert(&self.types, root, &path, self.types.admit(kind));
        }
    }

    /// The type of what the head defines at the constant part of its reference.
    fn head(&self, env: &Env<'_>, head: &Head, suffix: &[Term]) -> Type {
        let value = |value: &Option<Term>| value.as_ref().map_or(Type::Unknown, |term| self.type_of(env, term));
        if !head.args.is_empty() {
            // What the body says nothing about may be anything.
            for arg in &head.args {
                super::walk::each(arg, &mut |term| {
                    if let TermKind::Var(var) = &term.kind
                        && self.type_of_var(env, var).is_unknown()
                    {
                        env.put(var, Type::Any);
                    }
                });
            }
            let operands = head.args.iter().map(|arg| self.type_of(env, arg)).collect();
            return Type::function(operands, Type::Unknown, value(&head.value));
        }
        let kind = if head.value.is_some() {
            value(&head.value)
        } else {
            match value(&head.key) {
                Type::Unknown => Type::Unknown,
                member => Type::set(member),
            }
        };
        // Each term from the first variable on is a key of an object.
        suffix.iter().rev().fold(kind, |kind, term| match (kind, self.type_of(env, term)) {
            (Type::Unknown, _) | (_, Type::Unknown) => Type::Unknown,
            (kind, key) => Type::object(vec![], Some((key, kind))),
        })
    }
}

// === Bodies ===

impl Checker<'_> {
    /// Checks a body's statements. Gives the types of its variables as well.
    fn body<'e>(&self, outer: &'e Env<'e>, body: &Body) -> (Env<'e>, Vec<CompileError>) {
        let env = Env::Body { outer, vars: RefCell::default() };
        let mut errors = vec![];
        for expr in body {
            if self.types.is_spent() {
                break;
            }
            let with = self.with(&env, expr);
            self.statement(with.as_ref().unwrap_or(&env), expr, &mut errors);
        }
        (env, errors)
    }

    fn statement(&self, env: &Env<'_>, expr: &Expr, errors: &mut Vec<CompileError>) {
        // About what a statement takes besides the steps on its types.
        self.types.count(16);
        let mut closures = vec![];
        self.closures_of_expr(env, expr, &mut closures);
        let mut references = vec![];
        self.refs_of_expr(env, expr, &mut references);
        let explained = !closures.is_empty() || !references.is_empty();
        errors.append(&mut closures);
        errors.append(&mut references);
        if let Err(failure) = self.expr(env, expr) {
            // If a type isn't known because of an error within the statement, that error says more.
            if !(explained && failure.of_unknown) {
                errors.push(failure.error);
            }
        }
    }

    fn expr(&self, env: &Env<'_>, expr: &Expr) -> Result<(), Failure> {
        expr.with.iter().try_for_each(|with| self.replaced_function(env, with))?;
        let ExprKind::Call(terms) = &expr.kind else { return Ok(()) };
        let Some((operator, operands)) = terms.split_first() else { return Ok(()) };
        let Some(operator) = operator.as_ref() else { return Ok(()) };
        match dotted(operator).as_deref() {
            Some("eq") => return self.equality(env, expr.location, operator, operands),
            Some("internal.member_2") => self.membership(env, expr.location, operands, 2)?,
            Some("internal.member_3") => self.membership(env, expr.location, operands, 3)?,
            _ => {}
        }
        self.call(env, expr.location, operator, operands)
    }

    fn call(&self, env: &Env<'_>, location: Location, operator: &[Term], operands: &[Term]) -> Result<(), Failure> {
        let function = match self.type_of_ref(env, operator) {
            // It isn't known whether it is a function.
            Type::Any => return Ok(()),
            Type::Function(function) => function,
            _ => {
                let message = format!("undefined function {}", self.ref_text(operator));
                return Err(Failure::new(location, message));
            }
        };
        let results = usize::from(!function.result.is_unknown());
        let most = function.operands.len() + results;
        let before = self.types_of(env, operands);
        let fail = |what: &str, have: &[Type]| {
            let results = Some(&function.result).filter(|result| !result.is_unknown());
            let want: Vec<_> = function.operands.iter().chain(results).collect();
            Err(self.operand_failure(location, operator, what, have, &want, &function.variadic))
        };
        if operands.len() > most && function.variadic.is_unknown() {
            return fail("too many arguments", &before);
        }
        if operands.len() < function.operands.len() {
            return fail("too few arguments", &before);
        }
        for (index, (operand, have)) in operands.iter().zip(&before).enumerate() {
            let want = function.operand(index);
            if !have.has_unknown() && !self.types.unifies(have, want) {
                return fail("invalid argument(s)", &before);
            }
            if !self.infer(env, operand, want, false) {
                return fail("invalid argument(s)", &self.types_of(env, operands));
            }
        }
        Ok(())
    }

    fn equality(&self, env: &Env<'_>, location: Location, operator: &[Term], operands: &[Term]) -> Result<(), Failure> {
        let have = self.types_of(env, operands);
        let ([a, b], [kind_a, kind_b]) = (operands, have.as_slice()) else {
            let what = if operands.len() < 2 { "too few arguments" } else { "too many arguments" };
            return Err(self.operand_failure(location, operator, what, &have, &[&Type::Any; 2], &Type::Unknown));
        };
        if self.unify(env, a, kind_a, b, kind_b) {
            return Ok(());
        }
        Err(mismatch(location, kind_a, kind_b))
    }

    /// `in`: its operands may be anything, but what is looked for must be of a type that the collection can hold.
    fn membership(&self, env: &Env<'_>, location: Location, operands: &[Term], arity: usize) -> Result<(), Failure> {
        let (Some(collection), Some(value)) = (operands.get(arity - 1), operands.get(arity - 2)) else { return Ok(()) };
        let collection = self.type_of(env, collection);
        let values = self.types.values(&collection);
        if values.is_unknown() {
            return Ok(());
        }
        if arity == 3
            && let Some(key) = operands.first()
        {
            self.member(env, location, key, &self.types.keys(&collection))?;
        }
        self.member(env, location, value, &values)
    }

    fn member(&self, env: &Env<'_>, location: Location, term: &Term, kind: &Type) -> Result<(), Failure> {
        if kind.has_unknown() {
            return Ok(());
        }
        let have = self.type_of(env, term);
        if (have.has_unknown() || self.types.unifies(&have, kind)) && self.infer(env, term, kind, false) {
            return Ok(());
        }
        Err(mismatch(location, &have, kind))
    }
}

// === With ===

impl Checker<'_> {
    /// The types under the statement's `with`, if they differ: what it replaces may have the replacement's type too,
    /// and rules that depend on that may have any.
    fn with<'e>(&self, outer: &'e Env<'e>, expr: &Expr) -> Option<Env<'e>> {
        let mut layers = vec![];
        let mut replaced = Tree::default();
        for with in &expr.with {
            let Some(target) = with.target.as_ref() else { continue };
            let Some((root, path)) = ground_path(target) else { continue };
            if target.len() > usize::from(MAX_DEPTH) {
                self.types.spend_all();
                return None;
            }
            let kind = self.type_of_ref(outer, target);
            let is_function = matches!(kind, Type::Function(_));
            layers.extend(self.relaxed(target, is_function));
            if !is_function {
                let is_ground = path.len() + 1 == target.len();
                let value =
                    if is_ground && !kind.is_unknown() { self.type_of(outer, &with.value) } else { Type::Unknown };
                let kind = match value {
                    Type::Unknown => Type::Any,
                    // Nothing is known of a value or a function.
                    value => match self.types.or(kind, value) {
                        Type::Unknown => Type::Any,
                        either => either,
                    },
                };
                replaced.put(&self.types, root, &path, self.types.admit(kind));
            }
        }
        // Last, so that what is replaced keeps the type of its replacement.
        if !replaced.is_empty() {
            layers.push(Rc::new(replaced));
        }
        (!layers.is_empty()).then_some(Env::With { outer, layers })
    }

    /// The rules that replacing `target` changes, all of them of any type; none if there are none.
    fn relaxed(&self, target: &[Term], is_function: bool) -> Option<Rc<Tree>> {
        let root = target.first()?.as_var()?;
        let key = (root.clone(), target.iter().skip(1).map(constant).collect(), is_function);
        if let Some(tree) = self.relaxed.borrow().trees.get(&key) {
            return tree.clone();
        }
        let rules = (self.surroundings.dependents)(target);
        let mut tree = Tree::default();
        for (module, rule) in &rules {
            // Far more than a step.
            self.types.count(32);
            let Some(rule) = self.modules.get(*module).and_then(|module| module.rules.get(*rule)) else { continue };
            let Some((root, path)) = ground_path(&rule.head.reference) else { continue };
            let path = (root, path);
            if !(is_function && ground_path(target).as_ref() == Some(&path)) {
                tree.put(&self.types, root, &path.1, Type::Any);
            }
        }
        let tree = (!tree.is_empty()).then(|| Rc::new(tree));
        let mut relaxed = self.relaxed.borrow_mut();
        relaxed.rules += rules.len();
        if relaxed.rules > MAX_RELAXED {
            *relaxed = Relaxed { rules: rules.len(), ..Relaxed::default() };
        }
        relaxed.trees.insert(key, tree.clone());
        tree
    }

    /// A function may be replaced by one that takes the same operands.
    fn replaced_function(&self, env: &Env<'_>, with: &With) -> Result<(), Failure> {
        let Type::Function(function) = self.type_of(env, &with.target) else { return Ok(()) };
        let kind = self.type_of(env, &with.value);
        let Type::Function(replacement) = &kind else { return Ok(()) };
        if self.types.unifies(&Type::Function(Rc::clone(&function)), &kind) {
            return Ok(());
        }
        let target = with.target.as_ref().map_or(&[][..], |target| target.as_slice());
        let want: Vec<_> = function.operands.iter().collect();
        let what = "arity mismatch";
        Err(self.operand_failure(with.location, target, what, &replacement.operands, &want, &function.variadic))
    }
}

// === Errors ===

/// Why a statement is refused.
struct Failure {
    error: CompileError,
    /// Whether a type that isn't known may be the cause.
    of_unknown: bool,
}

impl Failure {
    fn new(location: Location, message: String) -> Self {
        Self { error: CompileError::new(location, TYPE, message), of_unknown: false }
    }
}

fn mismatch(location: Location, a: &Type, b: &Type) -> Failure {
    let mut message = "match error".to_owned();
    message.detail("left  : ", |out, depth| a.write(out, depth));
    message.detail("right : ", |out, depth| b.write(out, depth));
    Failure { of_unknown: a.has_unknown() || b.has_unknown(), ..Failure::new(location, message) }
}
