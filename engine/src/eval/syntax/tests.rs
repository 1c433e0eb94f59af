//! Texts and the trees they have to give. What OPA's parser makes of many more of them is compared outside of the crate.

use super::ast::{Body, Expr, ExprKind, Module, Rule, TemplatePart, Term, TermKind};
use super::parser::MAX_TREE_DEPTH;
use super::parser::parse_query;
use super::{RegoVersion, parse_module};

// === Trees as text ===

fn terms(terms: &[Term]) -> String {
    terms.iter().map(term).collect::<Vec<_>>().join(" ")
}

fn term(shown: &Term) -> String {
    match &shown.kind {
        TermKind::Null => "null".to_owned(),
        TermKind::Bool(value) => value.to_string(),
        TermKind::Number(number) => number.to_string(),
        TermKind::String(text) => format!("{text:?}"),
        TermKind::Var(var) => var.as_str().to_owned(),
        TermKind::Ref(parts) => format!("(ref {})", terms(parts)),
        TermKind::Call(parts) => format!("(call {})", terms(parts)),
        TermKind::Array(items) => format!("[{}]", terms(items)),
        TermKind::Set(items) => format!("{{{}}}", terms(items)),
        TermKind::Object(entries) => {
            let entry = |(key, value): &(Term, Term)| format!("{}: {}", term(key), term(value));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        TermKind::ArrayComprehension(head, inner) => format!("[{} | {}]", term(head), body(inner)),
        TermKind::SetComprehension(head, inner) => format!("{{{} | {}}}", term(head), body(inner)),
        TermKind::ObjectComprehension(key, value, inner) => {
            format!("{{{}: {} | {}}}", term(key), term(value), body(inner))
        }
        TermKind::Template(parts) => {
            let part = |part: &TemplatePart| match part {
                TemplatePart::Text(text) => format!("{text:?}"),
                TemplatePart::Expr(inner) => format!("<{}>", expr(inner)),
            };
            format!("$({})", parts.iter().map(part).collect::<Vec<_>>().join(" "))
        }
    }
}

fn body(shown: &Body) -> String {
    shown.iter().map(expr).collect::<Vec<_>>().join("; ")
}

fn expr(shown: &Expr) -> String {
    let not = if shown.negated { "not " } else { "" };
    let kind = match &shown.kind {
        ExprKind::Term(shown) => term(shown),
        ExprKind::Call(parts) => format!("(call {})", terms(parts)),
        ExprKind::Some(vars) => format!("(some {})", terms(vars)),
        ExprKind::Every(every) => {
            let key = every.key.as_ref().map(|key| format!("{} ", term(key))).unwrap_or_default();
            format!("(every {key}{} {} {{{}}})", term(&every.value), term(&every.domain), body(&every.body))
        }
        ExprKind::Not(operand) => format!("(not {{{}}})", body(&operand.body)),
        ExprKind::And(left, right) => format!("(and {{{}}} {{{}}})", body(&left.body), body(&right.body)),
        ExprKind::Or(left, right) => format!("(or {{{}}} {{{}}})", body(&left.body), body(&right.body)),
    };
    let with = |with: &super::ast::With| format!(" with {} as {}", term(&with.target), term(&with.value));
    format!("{not}{kind}{}", shown.with.iter().map(with).collect::<String>())
}

fn rule(shown: &Rule) -> String {
    let head = &shown.head;
    let mut text = format!("{}{}", if shown.default { "default " } else { "" }, terms(&head.reference));
    if !head.args.is_empty() {
        text.push_str(&format!("({})", terms(&head.args)));
    }
    if let Some(key) = &head.key {
        text.push_str(&format!(" key {}", term(key)));
    }
    if let Some(value) = &head.value {
        text.push_str(&format!(" {} {}", if head.assign { ":=" } else { "=" }, term(value)));
    }
    if !shown.generated_body && !shown.default {
        text.push_str(&format!(" if {}", body(&shown.body)));
    }
    if let Some(otherwise) = &shown.otherwise {
        text.push_str(&format!(" else {}", rule(otherwise)));
    }
    text
}

// === Asking ===

fn module(text: &str, version: RegoVersion) -> Result<Module, String> {
    parse_module(0, text, version, usize::MAX)
        .map_err(|errors| errors.iter().map(|error| error.message.clone()).collect())
}

fn rules(text: &str, version: RegoVersion) -> String {
    let module = module(&format!("package p\n{text}"), version).unwrap();
    module.rules.iter().map(rule).collect::<Vec<_>>().join("\n")
}

fn v1(text: &str) -> String {
    rules(text, RegoVersion::V1)
}

fn v0(text: &str) -> String {
    rules(text, RegoVersion::V0)
}

fn query(text: &str) -> String {
    body(&parse_query(0, text, RegoVersion::V1).unwrap())
}

/// On a stack as the parser is promised.
fn code(text: &str) -> &'static str {
    let text = format!("package p\n{text}");
    let parse = move || parse_module(0, &text, RegoVersion::V1, usize::MAX).err().map_or("", |errors| errors[0].code);
    std::thread::Builder::new().stack_size(16 << 20).spawn(parse).unwrap().join().unwrap()
}

#[track_caller]
fn refused(text: &str) {
    assert_eq!(code(text), "rego_parse_error", "{text}");
}

// === Expressions ===

#[test]
fn operators_bind_as_in_opa() {
    assert_eq!(
        query("a | b & c + d * e == f"),
        "(call (ref equal) (call (ref or) a (call (ref and) b (call (ref plus) c (call (ref mul) d e)))) f)"
    );
    assert_eq!(query("a - b - c"), "(call (ref minus) (call (ref minus) a b) c)");
    assert_eq!(query("-a.b; - 1; -.5"), "(call (ref minus) 0 (ref a \"b\")); -1; -.5");
    assert_eq!(query("a in b in c"), "(call (ref internal \"member_2\") (call (ref internal \"member_2\") a b) c)");
    assert_eq!(query("k, v in xs"), "(call (ref internal \"member_3\") k v xs)");
    assert_eq!(query("x = [1 | 2, 3]"), "(call (ref eq) x [(call (ref or) 1 2) 3])");
    assert_eq!(query("x = [1 | y; z]"), "(call (ref eq) x [1 | y; z])");
    assert_eq!(query("x = {1 | 2}"), "(call (ref eq) x {1 | 2})");
    assert_eq!(query("x = {1: 2 | 3, 4: 5}"), "(call (ref eq) x {1: (call (ref or) 2 3), 4: 5})");
}

#[test]
fn references_and_calls() {
    assert_eq!(query("a.b[c].d(e)[\"f\"]"), "(ref (call (ref a \"b\" c \"d\") e) \"f\")");
    assert_eq!(query("input; data.if; set()"), "(ref input); (ref data \"if\"); {}");
    assert_eq!(query("[1][0]; {\"a\": 1}.a"), "(ref [1] 0); (ref {\"a\": 1} \"a\")");
    assert_eq!(query("f(_, _)"), "(call (ref f) $0 $1)");
    refused("p := 1.a");
    refused("p := a. b");
}

#[test]
fn sets_and_objects_are_in_opas_order() {
    assert_eq!(query("{3, \"a\", x, 1, x, null}"), "{null 1 3 \"a\" x}");
    assert_eq!(query("{\"b\": 1, \"a\": 2, \"b\": 3}"), "{\"a\": 2, \"b\": 3}");
}

#[test]
fn strings() {
    assert_eq!(query(r#""a\u00e9\ud83d\ude00\ud800\n""#), "\"aé😀\u{fffd}\\n\"");
    assert_eq!(query("`a\\n`"), "\"a\\\\n\"");
    assert_eq!(query("\"a\tb\""), "\"a\\tb\"");
    refused("p := \"a\tb\\n\"");
    refused("p := \"\\x\"");
    assert_eq!(query(r#"$"a\{{x}b{"c"}{1}""#), r#"$("a{" <x> "b" "c" <1>)"#);
    assert_eq!(query("$`{x with input as 1}\n`"), "$(<x with (ref input) as 1> \"\\n\")");
    refused("p := $\"{x = 1}\"");
}

#[test]
fn numbers_keep_their_text() {
    assert_eq!(query("1.50; 1e3; 0.1; .5"), "1.50; 1e3; 0.1; .5");
    for number in ["01", "1.", "1e", "0a", "1__0"] {
        refused(&format!("p := {number}"));
    }
}

#[test]
fn places_count_characters() {
    let body = parse_query(0, "\"é\" == x;\n\ty", RegoVersion::V1).unwrap();
    let ExprKind::Call(terms) = &body[0].kind else { panic!() };
    assert_eq!((terms[2].location.row, terms[2].location.col), (1, 8));
    assert_eq!((body[1].location.row, body[1].location.col), (2, 2));
}

// === Statements ===

#[test]
fn statements_of_a_body() {
    assert_eq!(
        query("some x in xs; some k, v in xs"),
        "(some (call (ref internal \"member_2\") x xs)); (some (call (ref internal \"member_3\") k v xs))"
    );
    assert_eq!(query("some x, y"), "(some x y)");
    assert_eq!(query("every k, v in xs { v }"), "(every k v xs {v})");
    assert_eq!(
        query("not x with input.a as 1 with data as {}"),
        "not x with (ref input \"a\") as 1 with (ref data) as {}"
    );
    refused("p if { x; }");
    refused("p if { x y }");
    refused("p if not some x in xs");
}

#[test]
fn logical_operators() {
    let text = "import future.keywords\np if a or not b and {c; d} with input as 1";
    assert_eq!(v1(text), "p = true if (or {a} {(and {(not {b})} {c; d})}) with (ref input) as 1");
    assert_eq!(
        v1("import rego.v2\np if (a or b) and or(c, d) == e"),
        "p = true if (and {(or {a} {b})} {(call (ref equal) (call (ref or) c d) e)})"
    );
    assert_eq!(v1("import future.keywords.not\np if not {a; b}"), "p = true if (not {a; b})");
    refused("import rego.v2\np if {a | b} or c");
    refused("import rego.v2\np if {} or c");
    refused("import rego.v2\np if {1, 2} == c or d");
    refused("import rego.v2\np if a with input as 1 or b");
    refused("import rego.v2\np if print(1) or b");
}

#[test]
fn what_opa_remembers_of_trying() {
    assert_eq!(query("x = [a | not.b, c]"), "(call (ref eq) x [(call (ref or) a (ref not \"b\")) c])");
    refused("p := [a | b, not.c]");
    // It is not misread, but OPA can't read it.
    refused("import rego.v2\np if {({x |\n some y in xs}) or z}");
    assert_eq!(code("import rego.v2\np if ({x | y, z}) or a"), "ambiguous");
}

// === Rules ===

#[test]
fn rules_of_v1() {
    assert_eq!(v1("p := 1\nq contains x if x := 1"), "p := 1\nq key x if (call (ref assign) x 1)");
    assert_eq!(v1("a.b[c].d = 1 if c := 2"), "a \"b\" c \"d\" = 1 if (call (ref assign) c 2)");
    assert_eq!(
        v1("f(x) := y if { y := x } else := 2 if x else := 3"),
        "f(x) := y if (call (ref assign) y x) else f(x) := 2 if x else f(x) := 3"
    );
    assert_eq!(v1("default f(_) := {1 | true}"), "default f($0) := {1 | true}");
    assert_eq!(v1("p[x] if x := 1"), "p x key x = true if (call (ref assign) x 1)");
    assert_eq!(v1("p if {x} \n q if {1: 2}"), "p = true if x\nq = true if {1: 2}");
    for text in [
        "p { true }",
        "p[x] { true }",
        "p",
        "if := 1",
        "default p := x",
        "default f(x, x) := 1",
        "p if { true } else { false }",
        "count(x)",
        "1",
        "x == 1",
        "package q",
        "import foo.bar",
        "import data.if",
        "import future.keywords.foo",
        "p contains x if x else := 1",
    ] {
        refused(text);
    }
}

#[test]
fn rules_of_v0() {
    assert_eq!(v0("p[x] { x = 1 }"), "p key x if (call (ref eq) x 1)");
    assert_eq!(v0("p[x] = y { y = x }"), "p x key x = y if (call (ref eq) y x)");
    assert_eq!(v0("f(_) { a } { b }"), "f($0) = true if a\nf($1) = true if b");
    assert_eq!(
        v0("p[1]\np.q.r\nf(x)\nx = 1\na[b] := 2\ninput = 1"),
        "p key 1\np \"q\" \"r\" = true\nf(x) = true\nx = 1\na b key b := 2\n(ref input) = 1"
            .replace("(ref input)", "input")
    );
    assert_eq!(v0("import future.keywords\np contains 1 if every x in y { x }"), "p key 1 if (every x y {x})");
    assert_eq!(v0("if { true }"), "if = true if true");
    assert!(module("package p\nimport rego.v1\np { true }", RegoVersion::V0).is_err());
    assert!(module("p = 1", RegoVersion::V0).is_err());
    assert!(module("", RegoVersion::V0).is_err());
}

#[test]
fn versions() {
    let is_v1 = |text: &str| module(text, RegoVersion::V0).map(|module| module.rego_v1).unwrap();
    assert!(!is_v1("package p"));
    assert!(is_v1("package p\nimport rego.v1"));
    assert!(is_v1("package p\nimport rego.v2"));
    assert!(!is_v1("package p\nimport future.keywords"));
}

// === Limits ===

#[test]
fn limits_are_named() {
    let nested = |open: &str, middle: &str, close: &str, levels: usize| {
        format!("import rego.v2\np := {}{middle}{}", open.repeat(levels), close.repeat(levels))
    };
    let levels = MAX_TREE_DEPTH as usize + 1;
    for (open, middle, close) in [
        ("[", "1", "]"),
        ("{", "1", "}"),
        ("(", "1", ")"),
        ("[x | ", "x", "]"),
        ("{x | ", "x", ", 1}"),
        ("f(", "x", ")"),
        ("x[", "x", "]"),
        ("", "1", " + 1"),
        ("", "f", "(1).a"),
        ("", "x", " in x"),
        ("$\"{", "x", "}\""),
    ] {
        assert_eq!(code(&nested(open, middle, close, 20)), "", "{open}{close}");
        assert_eq!(code(&nested(open, middle, close, levels)), "nesting", "{open}{close}");
    }
    assert_eq!(code(&format!("p if x{}", " else := 1 if x".repeat(levels))), "nesting");
    assert_eq!(code(&format!("import rego.v2\np if x{}", " and x".repeat(levels))), "nesting");
    assert_eq!(code(&format!("import rego.v2\np if {}x{}", "({".repeat(levels), "})".repeat(levels))), "nesting");
    assert_eq!(code(&format!("p := \"{}\"", "x".repeat(20_000))), "size");
    assert_eq!(code(&"\n".repeat(70_000)), "size");
    assert_eq!(code("p := 1e5000"), "size");
}

#[test]
fn nothing_is_tried_twice() {
    // Each level is a set, a body and a comprehension before it is what it is.
    for (open, middle, close) in [
        ("{", "x", "}"),
        ("({", "x", "})"),
        ("([x | ", "y", ", 1])"),
        ("({x | not ([y | {", "z", "}, 1])})"),
        ("(({x} | not {[y | {", "z", "}, 1]} and x))"),
        ("[x | y, [x | ", "z", "], 1]"),
    ] {
        let text = format!("import rego.v2\np if {}{middle}{}", open.repeat(40), close.repeat(40));
        // Were anything tried twice at each level, these would take years.
        let _ = code(&text);
        let _ = code(&text.replace(close, ""));
    }
}

// === Metadata ===

fn metadata(block: &str, target: &str) -> Result<String, String> {
    let lines: String = block.lines().map(|line| format!("# {line}\n")).collect();
    let before = if target.starts_with("package") { "" } else { "package p\n" };
    let module = module(&format!("{before}# METADATA\n{lines}{target}"), RegoVersion::V1)?;
    Ok(module.annotations.iter().map(|annotation| annotation.value.to_string()).collect())
}

#[test]
fn metadata_as_rego_shows_it() {
    for (block, expected) in [
        ("title: 1.50\ndescription: null", r#"{"scope": "rule", "title": "1.50"}"#),
        ("entrypoint: yes", r#"{"entrypoint": true, "scope": "document"}"#),
        (
            "authors:\n- A B <c@d>\n- {name: x}",
            r#"{"authors": [{"email": "c@d", "name": "A B"}, {"name": "x"}], "scope": "rule"}"#,
        ),
        ("related_resources:\n- HTTP://x/y", r#"{"related_resources": [{"ref": "http://x/y"}], "scope": "rule"}"#),
        (
            "schemas:\n- input.x: schema.y",
            r#"{"schemas": [{"path": ["input", "x"], "schema": ["schema", "y"]}], "scope": "rule"}"#,
        ),
        ("custom:\n  1: 0x10\n  a: [1.5, ~]", r#"{"custom": {"1": 16, "a": [1.5, null]}, "scope": "rule"}"#),
        ("labels: {a: &x {b: 1}, c: *x}\nunknown: 1", r#"{"labels": {"a": {"b": 1}, "c": {"b": 1}}, "scope": "rule"}"#),
    ] {
        assert_eq!(metadata(block, "p := 1").as_deref(), Ok(expected), "{block}");
    }
    assert_eq!(metadata("title: x", "package p").as_deref(), Ok(r#"{"scope": "package", "title": "x"}"#));
}

#[test]
fn metadata_that_is_refused() {
    for (block, target) in [
        ("", "p := 1"),
        ("title: [1]", "p := 1"),
        ("title: a\ntitle: b", "p := 1"),
        ("title: x", "import data.x"),
        ("title: x", ""),
        ("scope: package", "p := 1"),
        ("scope: rule\nentrypoint: true", "p := 1"),
        ("related_resources:\n- ''", "p := 1"),
        ("schemas:\n- x: schema.y", "p := 1"),
        ("custom: {a: [{1: 2}]}", "p := 1"),
        ("custom: {a: {b: {1: 2}}}", "p := 1"),
        ("a: {b: c", "p := 1"),
    ] {
        assert!(metadata(block, target).is_err(), "{block}");
    }
}
