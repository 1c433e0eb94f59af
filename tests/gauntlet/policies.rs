//! Policies that would take time, memory or stack when they are asked, whatever the input.

use serde_json::json;

use crate::case::{Case, joined, lines, raw};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = numbers();
    cases.extend(chains());
    cases.extend(growth());
    cases.extend(indexes());
    cases.extend(sharing());
    cases.extend(loops());
    cases.extend(traps());
    cases
}

fn rule(name: &str, body: &'static str) -> Case {
    Case::policy(name, move || format!("decision if {{ {body} }}"))
}

/// As above, over all pairs of numbers up to 20,000.
fn looped(name: &str, body: &'static str) -> Case {
    Case::policy(name, move || {
        format!(
            "decision if count([1 | some i in numbers.range(1, 20000); some j in numbers.range(1, 20000); {body}]) > 0"
        )
    })
}

fn numbers() -> Vec<Case> {
    vec![
        rule("a range of a trillion", "count(numbers.range(0, 1000000000000)) > 0").out_of_budget(),
        rule("a range to the end of integers", "count(numbers.range(0, 9223372036854775805)) > 0").out_of_budget(),
        rule("a range in steps of nothing", "count(numbers.range_step(0, 10, 0)) > 0").denied("undefined", ""),
        rule("bytes beyond a double", r#"units.parse_bytes("1e400") > 0"#),
        rule("a shift by a hundred million", "bits.lsh(1, 100000000) > 0").out_of_budget(),
        rule("a padding of a hundred million", r#"count(sprintf("%100000000d", [1])) > 0"#),
        rule("a padding of a million, a hundred times", r#"count(sprintf(concat("", [f | some i in numbers.range(1, 100); f := "%1000000d"]), numbers.range(1, 100))) > 0"#)
            .out_of_budget(),
        rule("addresses of a /8", r#"count(net.cidr_expand("10.0.0.0/8")) > 0"#).out_of_budget(),
        rule("addresses of a /64", r#"count(net.cidr_expand("::/64")) > 0"#).out_of_budget(),
        Case::policy("squares of squares", || {
            format!("r0 := 12345678901234567890\n{}\ndecision if r60 > 0", lines(60, |i| format!("r{} := r{i} * r{i}", i + 1)))
        })
        .out_of_budget(),
        rule("divisions of four thousand digits", "n := input.context.n; count([1 | some i in numbers.range(1, 100000); n / (i + n) > 2]) > 0")
            .asked(|| vec![raw(&format!(r#"{{"action":"x","context":{{"n":{}}}}}"#, "7".repeat(4000)))])
            .out_of_budget(),
    ]
}

fn chains() -> Vec<Case> {
    vec![
        Case::policy("a chain of 3,000 rules", || {
            format!("decision := r0\n{}\nr3000 := true", lines(3000, |i| format!("r{i} := r{}", i + 1)))
        }),
        Case::policy("a chain of 5,000 functions", || {
            format!("decision := f0(true)\n{}\nf5000(x) := x", lines(5000, |i| format!("f{i}(x) := f{}(x)", i + 1)))
        }),
        Case::policy("a function called twice by each of 40", || {
            format!(
                "decision if f40(1) > 0\nf0(x) := x\n{}",
                lines(40, |i| format!("f{}(x) := f{i}(x) + f{i}(x)", i + 1))
            )
        })
        .out_of_budget(),
        Case::policy("a rule used twice by each of 3,000", || {
            format!(
                "decision if r3000 > 0\nr0 := 1\n{}",
                lines(3000, |i| format!("r{} := (r{i} + r{i}) % 1000003", i + 1))
            )
        }),
        Case::policy("an answer nested in 200 functions", || {
            format!(
                "decision if f200(input)\nf0(x) := [x]\n{}",
                lines(200, |i| format!("f{}(x) := y if {{ y := [f{i}(x)] }}", i + 1))
            )
        })
        .out_of_budget(),
    ]
}

/// Each doubles what the one before made.
fn doubled(name: &str, first: &'static str, twice: &'static str, asked: &'static str) -> Case {
    Case::policy(name, move || {
        format!(
            "decision if {asked}\nr0 := {first}\n{}",
            lines(50, |i| format!("r{} := {}", i + 1, twice.replace('R', &format!("r{i}"))))
        )
    })
}

/// What an index holds or looks through for each part of an input, or for each definition.
fn indexes() -> Vec<Case> {
    let own_parts = |i: usize| format!("decision if input.context.part{i} == {i}");
    vec![
        Case::policy("4,000 rules about a part of their own each", move || lines(4000, own_parts))
            .context(|| json!({"part3999": 3999})),
        Case::policy("the same as a function, called a million times", || {
            let rules = lines(500, |i| format!("f(o) if o.part{i} == {i}"));
            format!("{rules}\ndecision if count([1 | some i in numbers.range(1, 1000000); not f({{\"x\": i}})]) > 0")
        })
        .out_of_budget(),
        Case::policy("a thousand limits, asked a million times", || {
            let rules = lines(1000, |i| format!("f(n) if n > {}", i + 2_000_000));
            format!("{rules}\ndecision if count([1 | some i in numbers.range(1, 1000000); not f(i)]) > 0")
        })
        .out_of_budget(),
    ]
}

fn growth() -> Vec<Case> {
    vec![
        doubled("a string doubled", r#""abcdefgh""#, r#"concat("", [R, R])"#, "count(r50) > 0").out_of_budget(),
        doubled("a string doubled by a template", r#""abcdefgh""#, r#"$"{R}{R}""#, "count(r50) > 0").out_of_budget(),
        doubled("a string doubled by replacing", r#""aa""#, r#"replace(R, "a", "aa")"#, "count(r50) > 0")
            .out_of_budget(),
        doubled("a string encoded again", r#""abcdefgh""#, "hex.encode(R)", "count(r50) > 0").out_of_budget(),
        doubled("a string quoted again", r#""\"""#, "json.marshal(R)", "count(r50) > 0").out_of_budget(),
        doubled("a list doubled", "[1, 2]", "array.concat(R, R)", "count(r50) > 0").out_of_budget(),
        doubled("a list doubled by a comprehension", "[1, 2]", "[x | some x in [1, 2]; some y in R]", "count(r50) > 0")
            .out_of_budget(),
        doubled("a set doubled", "{1, 2}", "{[x, y] | some x in {1, 2}; some y in R}", "count(r50) > 0")
            .out_of_budget(),
        doubled(
            "an object doubled",
            r#"{"a": 1, "b": 2}"#,
            "{sprintf(\"%v%v\", [x, y]): 1 | some x in [1, 2]; some y, _ in R}",
            "count(r50) > 0",
        )
        .out_of_budget(),
    ]
}

/// `f` puts its argument into a value twice: 2^60 of it in 60 steps, without taking memory. Two of these, so that they
/// aren't the same one.
fn shared(name: &str, asked: &'static str) -> Case {
    Case::policy(name, move || {
        let steps = lines(60, |i| format!("r{0} := f(r{i})\ns{0} := f(s{i})", i + 1));
        format!("f(x) := [x, x]\nr0 := input.context.x\ns0 := input.context.y\n{steps}\nr := r60\ns := s60\ndecision if {{ {asked} }}")
    })
    .context(|| json!({ "x": 1, "y": 1 }))
    .out_of_budget()
}

fn sharing() -> Vec<Case> {
    vec![
        shared("shared parts compared", "r == s"),
        shared("shared parts unified", "r = s"),
        shared("shared parts in sets", "count({r, s}) == 1"),
        shared("shared parts as keys", "{r: 1}[s]"),
        shared("shared parts gathered", "count({x | some x in [r, s]}) == 1"),
        shared("shared parts printed", r#"count(sprintf("%v", [r])) > 0"#),
        shared("shared parts walked", "count([1 | walk(r, [_, v]); v == s]) > 0"),
        shared("shared parts sorted", "count(sort([r, s, r, s])) > 0"),
        shared("shared parts in a schema", r#"json.match_schema({"a": r}, {"enum": [{"a": s}]})[0]"#),
        Case::policy("shared parts returned", || {
            let steps = lines(60, |i| format!("r{} := f(r{i})", i + 1));
            format!("f(x) := [x, x]\nr0 := input.context.x\n{steps}\ndecision := {{\"effect\": \"allow\", \"obligations\": r60}}")
        })
        .context(|| json!({ "x": "redact" }))
        .out_of_budget(),
        Case::policy("a document copied into itself", || {
            let copies = joined(60, ", ", |_| r#"{"op": "copy", "from": "", "path": "/a/-"}"#.to_owned());
            format!("decision := {{\"effect\": \"allow\", \"obligations\": json.patch({{\"a\": [1]}}, [{copies}]).a}}")
        })
        .out_of_budget(),
    ]
}

fn loops() -> Vec<Case> {
    let wide = || json!({ "a": vec![1; 60_000], "b": vec![1; 60_000], "l": (0..1000).collect::<Vec<_>>() });
    vec![
        looped("pairs", "i + j == 0").out_of_budget(),
        rule("every of every of every", "every a in input.context.l { every b in input.context.l { every c in input.context.l { a + b + c >= 0 } } }")
            .context(wide)
            .out_of_budget(),
        Case::policy("a set of all triples", || {
            "s contains [a, b, c] if { some a, b, c in numbers.range(1, 1000) }\ndecision if count(s) > 0"
                .replace("some a, b, c in numbers.range(1, 1000)", "some a in numbers.range(1, 1000); some b in numbers.range(1, 1000); some c in numbers.range(1, 1000)")
        })
        .out_of_budget(),
        Case::policy("an object of all pairs", || {
            "o[a][b] := 1 if { some a in numbers.range(1, 5000); some b in numbers.range(1, 5000) }\ndecision if count(o) > 0".into()
        })
        .out_of_budget(),
        looped("long lists compared", "input.context.a != input.context.b").context(wide).out_of_budget(),
        looped("long lists as members", "{input.context.a, input.context.b} == {i}").context(wide).out_of_budget(),
        looped("long lists as keys", "{input.context.a: 1}[input.context.b] == i").context(wide).out_of_budget(),
        looped("long lists searched", "i + 1000000 in input.context.a").context(wide).out_of_budget(),
        Case::policy("long lists gathered", || {
            "decision if count({x | some i in numbers.range(1, 20000); some x in [input.context.a, input.context.b]}) == 1".into()
        })
        .context(wide)
        .out_of_budget(),
        Case::policy("long lists as the keys of a rule", || {
            "o[x] := 1 if { x := input.context.a }\ndecision if count([1 | some i in numbers.range(1, 20000); o[input.context.b]]) > 0"
                .into()
        })
        .context(wide)
        .out_of_budget(),
        looped("a pattern made anew each time", r#"regex.match(sprintf("(a%d|b){1,90}", [i * j]), "x")"#).out_of_budget(),
        looped("a glob made anew each time", r#"glob.match(sprintf("{a%d*,b*}", [i * j]), [], "x")"#).out_of_budget(),
        looped("a document put in place each time", "input.context.l[0] == 1 with input.context.l as [i]")
            .context(wide)
            .out_of_budget(),
        Case::policy("a chain put in place each time", || {
            let chain = lines(60, |i| format!("r{} := r{i} + 1", i + 1));
            format!("r0 := input.n\n{chain}\ndecision if count([1 | some i in numbers.range(1, 100000); r60 == 0 with input.n as i]) > 0")
        })
        .out_of_budget(),
        looped("digests of a list of numbers", "crypto.sha256(json.marshal(numbers.range(1, i + 1000))) == \"\"").out_of_budget(),
        looped("a package asked as a whole", "count(data.big) == 0 with input as [i, j]").with_big_package().out_of_budget(),
    ]
}

impl Case {
    fn with_big_package(mut self) -> Self {
        let files = self.files;
        self.files = Box::new(move || {
            let mut files = files();
            files.insert(
                "big.rego".into(),
                format!("package big\n\n{}\n", lines(3000, |i| format!("r{i} := input"))).into(),
            );
            files
        });
        self
    }
}

/// Shapes that allow where an engine is careless.
fn traps() -> Vec<Case> {
    vec![
        Case::policy("a default allow and a deny whose pattern is broken", || {
            "default decision := true\ndecision := false if regex.match(\"[\", input.action)".into()
        })
        .denied("eval_error", "regex.match"),
        Case::policy("a negated error", || {
            "decision if not to_number(input.action) == 1\ndecision if not startswith(1, input.action)".into()
        })
        .refused("rego_type_error", "line 4: startswith: invalid argument(s)"),
        Case::policy("a text that looks like true", || r#"decision := "true""#.into())
            .denied("invalid_decision", "`true` is no effect"),
        Case::policy("a document that looks like nothing", || "decision := {}".into())
            .denied("invalid_decision", "no `effect`"),
        Case::policy("an allow with a condition nobody knows", || {
            r#"decision := {"effect": "allow", "unless": "x"}"#.into()
        })
        .denied("invalid_decision", "unknown key `unless`"),
        Case::policy("two answers", || "decision := true\ndecision := false if input.action == \"x\"".into())
            .denied("conflict", ""),
        rule("a schema somewhere else", r#"json.match_schema({}, {"$ref": "http://127.0.0.1:1/x"})[0]"#)
            .denied("undefined", ""),
        rule("a schema of a file", r#"json.match_schema({}, {"$ref": "file:///etc/passwd"})[0]"#)
            .denied("undefined", ""),
    ]
}
