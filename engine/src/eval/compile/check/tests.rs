use std::sync::Arc;
use std::time::Instant;

use super::*;
use crate::eval::syntax::ast::{Every, Operand, Package};

// === Trees ===

fn at() -> Location {
    Location::default()
}

fn term(kind: TermKind) -> Term {
    Term::new(at(), kind)
}

fn var(name: &str) -> Term {
    Term::var(at(), Var::new(name))
}

fn text(value: &str) -> Term {
    Term::string(at(), value)
}

fn number(value: i64) -> Term {
    term(TermKind::Number(value.into()))
}

fn array(items: impl Into<Vec<Term>>) -> Term {
    term(TermKind::Array(items.into()))
}

fn set(items: impl Into<Vec<Term>>) -> Term {
    term(TermKind::Set(items.into()))
}

fn object(entries: impl Into<Vec<(Term, Term)>>) -> Term {
    term(TermKind::Object(entries.into()))
}

fn comprehension(item: Term, body: Body) -> Term {
    term(TermKind::ArrayComprehension(Box::new(item), body))
}

/// `data.t.p`, and `more` in brackets.
fn path(dotted: &str, more: impl Into<Vec<Term>>) -> Term {
    let mut reference = Term::operator(at(), dotted);
    if let TermKind::Ref(terms) = &mut reference.kind {
        terms.extend(more.into());
    }
    reference
}

fn holds(term: Term) -> Expr {
    Expr::new(at(), ExprKind::Term(term))
}

fn eq(a: Term, b: Term) -> Expr {
    Expr::call(at(), "eq", [a, b])
}

fn call(name: &str, operands: impl IntoIterator<Item = Term>) -> Expr {
    Expr::call(at(), name, operands)
}

fn with(mut expr: Expr, target: Term, value: Term) -> Expr {
    expr.with.push(With { location: at(), target, value });
    expr
}

/// A rule in package `t`.
fn rule(name: Term, args: impl Into<Vec<Term>>, key: Option<Term>, value: Option<Term>, body: Body) -> Rule {
    let TermKind::Ref(reference) = name.kind else { panic!("not a reference") };
    let head = Head {
        location: at(),
        reference,
        args: args.into(),
        key,
        value,
        assign: true,
        generated_value: false,
        contains: false,
        has_if: true,
    };
    Rule { location: at(), default: false, head, body, otherwise: None, generated_body: false }
}

fn complete(name: &str, value: Term, body: impl Into<Body>) -> Rule {
    rule(path(name, []), [], None, Some(value), body.into())
}

fn member(name: &str, member: Term, body: impl Into<Body>) -> Rule {
    rule(path(name, []), [], Some(member), None, body.into())
}

fn function(name: &str, args: impl Into<Vec<Term>>, value: Term, body: impl Into<Body>) -> Rule {
    rule(path(name, []), args, None, Some(value), body.into())
}

/// The errors of rules that come in the order of their dependencies, within some steps.
fn errors_within(steps: u64, rules: Vec<Rule>) -> Vec<CompileError> {
    let order: Vec<_> = (0..rules.len()).map(|rule| (0, rule)).collect();
    let module = Module {
        package: Package { location: at(), path: vec![Arc::from("t")] },
        imports: vec![],
        rules,
        annotations: vec![],
        rego_v1: true,
        size: 0,
    };
    // As if everything but functions depended on whatever is replaced.
    let is_value = |id: &RuleId| module.rules.get(id.1).is_some_and(|rule| rule.head.args.is_empty());
    let dependents: Vec<_> = order.iter().copied().filter(is_value).collect();
    let surroundings = Surroundings { dependents: &|_| dependents.clone(), name_of: &|_| None };
    check_within(Types::within(steps), std::slice::from_ref(&module), &order, &surroundings)
}

/// What each error says first.
fn errors(rules: impl Into<Vec<Rule>>) -> Vec<String> {
    let first = |error: &CompileError| error.message.lines().next().unwrap_or_default().to_owned();
    errors_within(1 << 30, rules.into()).iter().map(first).collect()
}

/// What the errors of a body say first. Before it there are some rules.
fn body(body: impl Into<Body>) -> Vec<String> {
    errors([
        complete("data.t.n", number(1), []),
        complete("data.t.o", object([(text("a"), number(1)), (text("b"), array([text("x")]))]), []),
        member("data.t.s", text("x"), []),
        function("data.t.f", [var("x"), var("y")], var("z"), [call("plus", [var("x"), number(1), var("z")])]),
        function("data.t.g", [var("x")], text("g"), []),
        complete("data.t.p", term(TermKind::Bool(true)), body),
    ])
}

const NONE: [&str; 0] = [];

// === Meaning ===

#[test]
fn operands_have_the_types_that_a_builtin_takes() {
    assert_eq!(body([call("plus", [number(1), number(2), var("x")]), call("plus", [var("x"), number(1)])]), NONE);
    assert_eq!(body([call("plus", [number(1), text("a"), var("x")])]), ["plus: invalid argument(s)"]);
    assert_eq!(body([call("plus", [number(1)])]), ["plus: too few arguments"]);
    assert_eq!(body([call("plus", vec![number(1); 4])]), ["plus: too many arguments"]);
    let wrong = [call("count", [array([]), var("x")]), call("startswith", [var("x"), text("a")])];
    assert_eq!(body(wrong), ["startswith: invalid argument(s)"]);
    assert_eq!(body([call("sum", [array([number(1), var("x")]), number(3)])]), NONE);
    assert_eq!(body([call("sum", [array([number(1), text("a")]), number(3)])]), ["sum: invalid argument(s)"]);
    assert_eq!(body([call("now", [])]), ["undefined function now"]);
    assert_eq!(body([call("print", vec![number(1); 9])]), NONE);
}

#[test]
fn the_message_says_what_was_wrong() {
    let all = errors_within(1 << 30, vec![complete("data.t.p", number(1), [call("plus", [number(1), text("a")])])]);
    let [error] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(error.code, TYPE);
    assert_eq!(error.message, "plus: invalid argument(s)\n\thave: (number, string)\n\twant: (number, number, number)");
    let reference = path("data.t.o", [text("a b")]);
    let rules = vec![
        complete("data.t.o", object([(text("a"), number(1))]), []),
        complete("data.t.p", number(1), [holds(reference)]),
    ];
    let all = errors_within(1 << 30, rules);
    let [error] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(error.message, "undefined ref: data.t.o[\"a b\"]\n\thave: \"a b\"\n\twant (one of): [\"a\"]");
}

#[test]
fn what_is_equal_has_one_type() {
    assert_eq!(body([eq(number(1), number(2))]), NONE);
    assert_eq!(body([eq(number(1), text("a"))]), ["match error"]);
    assert_eq!(body([eq(var("x"), number(1)), eq(var("x"), text("a"))]), ["match error"]);
    assert_eq!(body([eq(array([var("x"), var("y")]), array([number(1), text("a")])), eq(var("y"), text("b"))]), NONE);
    let pattern = eq(array([var("x"), var("y")]), array([number(1), text("a")]));
    assert_eq!(body([pattern, eq(var("y"), number(1))]), ["match error"]);
    assert_eq!(body([eq(array([var("x")]), array([number(1), number(2)]))]), ["match error"]);
    assert_eq!(body([eq(object([(text("a"), var("x"))]), object([(text("b"), number(1))]))]), ["match error"]);
    assert_eq!(body([eq(path("input", []), number(1)), eq(path("input", []), text("a"))]), NONE);
}

#[test]
fn references_lead_to_what_rules_define() {
    assert_eq!(body([holds(path("data.t.o.a", []))]), NONE);
    assert_eq!(body([holds(path("data.t.o.c", []))]), ["undefined ref: data.t.o.c"]);
    assert_eq!(body([holds(path("data.t.o.a.b", []))]), ["undefined ref: data.t.o.a.b"]);
    assert_eq!(body([holds(path("data.t.o.b", [number(0)]))]), NONE);
    assert_eq!(body([holds(path("data.t.o.b", [number(1)]))]), ["undefined ref: data.t.o.b[1]"]);
    assert_eq!(body([holds(path("data.t.n", [var("x")]))]), ["undefined ref: data.t.n[x]"]);
    assert_eq!(body([holds(path("data.t.s", [text("y")]))]), NONE);
    assert_eq!(body([holds(path("data.t.s", [number(1)]))]), ["undefined ref: data.t.s[1]"]);
    assert_eq!(body([holds(path("data.t.other.a", [])), holds(path("data.u", [])), holds(path("input.a", []))]), NONE);
    assert_eq!(body([holds(path("data.t", [number(1)]))]), ["undefined ref: data.t[1]"]);
    let keys = [holds(path("data.t.o", [var("k")])), call("plus", [var("k"), number(1)])];
    assert_eq!(body(keys), ["plus: invalid argument(s)"]);
}

#[test]
fn functions_are_called_with_what_they_take() {
    assert_eq!(body([call("data.t.f", [number(1), text("a"), var("x")]), eq(var("x"), number(2))]), NONE);
    assert_eq!(body([call("data.t.f", [text("a"), text("a"), var("x")])]), ["data.t.f: invalid argument(s)"]);
    assert_eq!(body([call("data.t.f", [number(1)])]), ["data.t.f: too few arguments"]);
    assert_eq!(body([call("data.t.n", [number(1)])]), ["undefined function data.t.n"]);
    assert_eq!(body([holds(path("data.t.f", []))]), ["function data.t.f used as reference, not called"]);
}

#[test]
fn what_is_looked_for_is_of_a_type_in_the_collection() {
    let within = |member: Term, of: Term| call("internal.member_2", [member, of]);
    assert_eq!(body([within(number(1), array([number(1), text("a")]))]), NONE);
    assert_eq!(body([within(number(1), set([text("a")]))]), ["match error"]);
    assert_eq!(body([within(number(1), number(1))]), NONE);
    let key = |key: Term| call("internal.member_3", [key, var("v"), object([(text("a"), number(1))])]);
    assert_eq!(body([key(var("k")), call("plus", [var("v"), number(1)])]), NONE);
    assert_eq!(body([key(number(1))]), ["match error"]);
}

#[test]
fn closures_are_looked_into_as_far_as_opa_does() {
    let wrong = || vec![call("plus", [number(1), text("a"), var("x")])];
    let operand = || Operand { body: wrong(), explicit: true };
    let every = Every { key: None, value: var("v"), domain: path("input", []), body: wrong() };
    for kind in [ExprKind::Not(operand()), ExprKind::Every(Box::new(every)), ExprKind::Or(operand(), operand())] {
        assert_eq!(body([Expr::new(at(), kind)]), NONE);
    }
    let closure = comprehension(var("x"), wrong());
    assert_eq!(body([eq(var("y"), closure)]), ["plus: invalid argument(s)"]);
    let items = comprehension(var("x"), vec![eq(var("x"), text("a"))]);
    assert_eq!(body([eq(var("y"), items), call("sum", [var("y"), var("z")])]), ["sum: invalid argument(s)"]);
    let reference = ExprKind::Not(Operand { body: vec![holds(path("data.t.o.c", []))], explicit: true });
    assert_eq!(body([Expr::new(at(), reference)]), ["undefined ref: data.t.o.c"]);
}

#[test]
fn with_changes_types() {
    let wrong = || eq(path("data.t.n", []), text("a"));
    assert_eq!(body([wrong()]), ["match error"]);
    assert_eq!(body([with(wrong(), path("data.t.n", []), text("b"))]), NONE);
    // What depends on it may be anything.
    assert_eq!(body([with(wrong(), path("data.t.s", []), set([]))]), NONE);
    let mocked = || call("data.t.f", [number(1), number(2), var("x")]);
    assert_eq!(body([with(mocked(), path("data.t.f", []), path("data.t.f", []))]), NONE);
    assert_eq!(body([with(mocked(), path("data.t.f", []), path("data.t.g", []))]), ["data.t.f: arity mismatch"]);
    assert_eq!(body([with(mocked(), path("data.t.f", []), number(1))]), NONE);
}

#[test]
fn rules_of_one_document_are_one_type() {
    let use_of = |term: Term| complete("data.t.z", number(1), [call("plus", [term, number(1)])]);
    let members = || vec![member("data.t.m", number(1), []), member("data.t.m", text("a"), [])];
    assert_eq!(errors([members(), vec![use_of(path("data.t.m", [var("x")]))]].concat()), NONE);
    assert_eq!(errors([members(), vec![use_of(path("data.t.m", []))]].concat()), ["plus: invalid argument(s)"]);
    let partial =
        |key: Term, value: Term| rule(path("data.t.q", [key]), [], None, Some(value), vec![eq(var("k"), text("x"))]);
    let rules = |last: Term| vec![partial(var("k"), text("a")), partial(text("c"), number(1)), use_of(last)];
    // What is said of one key is said of all.
    assert_eq!(errors(rules(path("data.t.q.d", []))), NONE);
    assert_eq!(errors(rules(path("data.t.q", [number(1)]))), ["undefined ref: data.t.q[1]"]);
}

#[test]
fn an_error_is_told_once() {
    let rules = [
        complete("data.t.a", var("x"), [call("plus", [number(1), text("a"), var("x")])]),
        complete("data.t.b", number(1), [call("startswith", [path("data.t.a", []), text("a")])]),
        function("data.t.f", [var("x")], number(1), [eq(number(1), text("a"))]),
        complete("data.t.c", number(1), [call("data.t.f", [number(1), number(2), number(3)])]),
    ];
    assert_eq!(errors(rules), ["match error", "plus: invalid argument(s)"]);
}

#[test]
fn else_is_part_of_its_rule() {
    let mut first = complete("data.t.a", number(1), [eq(var("x"), number(1))]);
    first.otherwise = Some(Box::new(complete("data.t.a", text("a"), [])));
    let uses = |value: Term| complete("data.t.b", number(1), [eq(path("data.t.a", []), value)]);
    assert_eq!(errors([first.clone(), uses(text("x"))]), NONE);
    assert_eq!(errors([first, uses(array([]))]), ["match error"]);
}

// === Bounds ===

#[test]
fn many_rules_take_no_longer_each() {
    let shape = |i: usize| object([(text(&format!("k{i}")), number(1))]);
    let mut rules: Vec<_> = (0..8_000).map(|i| member("data.t.m", shape(i), [])).collect();
    rules.extend((0..8_000).map(|i| complete(&format!("data.u.k{i}"), shape(i), [])));
    let partial = |value: Term| rule(path("data.w", [var("k")]), [], None, Some(value), vec![eq(var("k"), text("x"))]);
    rules.extend((0..8_000).map(|i| partial(shape(i))));
    rules.extend((0..8_000).map(|i| complete(&format!("data.w.k{i}"), shape(i), [])));
    rules.extend((0..2_000).map(|i| {
        let uses = [holds(path("data.u", [var("k")])), holds(path("data.t.m", [var("x")]))];
        complete(&format!("data.v.k{i}"), number(1), uses)
    }));
    let begin = Instant::now();
    assert_eq!(errors(rules), NONE);
    assert!(begin.elapsed().as_secs() < 20, "{:?}", begin.elapsed());
}

#[test]
fn a_large_literal_is_no_trouble() {
    let record =
        |i: i64| object([(text(&format!("k{}", i % 500)), number(i)), (text("a"), array([number(i), text("x")]))]);
    let large = complete("data.t.l", array((0..20_000).map(record).collect::<Vec<_>>()), []);
    let uses = (0..200)
        .map(|i| complete(&format!("data.t.u{i}"), number(1), [holds(path("data.t.l", [var("i"), text("k7")]))]));
    let begin = Instant::now();
    assert_eq!(errors(std::iter::once(large).chain(uses).collect::<Vec<_>>()), NONE);
    assert!(begin.elapsed().as_secs() < 20, "{:?}", begin.elapsed());
}

#[test]
fn what_would_take_forever_is_refused() {
    let code = |rules: Vec<Rule>| errors_within(1 << 20, rules).first().map(|error| error.code);
    // As deep as the parser lets them be.
    let nested = (0..200).fold(number(1), |term, _| comprehension(var("x"), vec![eq(var("x"), term)]));
    assert_eq!(code(vec![complete("data.t.p", var("y"), [eq(var("y"), nested)])]), Some(TOO_COMPLEX));
    let double = |name: &str, leaf: Term| {
        let mut body = vec![eq(var(&format!("{name}0")), leaf)];
        body.extend((1..22).map(|i| {
            let before = var(&format!("{name}{}", i - 1));
            eq(var(&format!("{name}{i}")), array([before.clone(), before]))
        }));
        body
    };
    let twice = [double("x", number(1)), double("y", number(1)), vec![eq(var("x21"), var("y21"))]].concat();
    assert_eq!(code(vec![complete("data.t.p", number(1), twice)]), Some(TOO_COMPLEX));
}

#[test]
fn depth_is_bounded() {
    let deep = |levels: usize| (0..levels).fold(var("x"), |term, _| array([term]));
    // As deep as the parser lets it be.
    let pattern = [eq(deep(200), path("input", [])), eq(var("x"), deep(200))];
    assert_eq!(body(pattern), NONE);
    let chain = |length: usize| {
        let first = complete("data.t.c0", number(1), []);
        let more = (1..length)
            .map(|i| complete(&format!("data.t.c{i}"), array([path(&format!("data.t.c{}", i - 1), [])]), []));
        std::iter::once(first).chain(more).collect::<Vec<_>>()
    };
    assert_eq!(errors(chain(200)), NONE);
    assert_eq!(errors_within(1 << 30, chain(100_000)).first().map(|error| error.code), Some(TOO_COMPLEX));
    let long = format!("data.{}", vec!["a"; 100_000].join("."));
    assert_eq!(errors_within(1 << 30, vec![complete(&long, number(1), [])]).first().map(|e| e.code), Some(TOO_COMPLEX));
    assert_eq!(body([holds(path(&long, []))]), NONE);
    let replaced = with(holds(number(1)), path(&long, []), number(1));
    assert_eq!(errors_within(1 << 30, vec![complete("data.t.p", number(1), [replaced])]).len(), 1);
}
