//! Bundles that would take time, memory or stack while they are read and compiled, or that aren't what they seem.

use std::fmt::Write as _;

use serde_json::json;

use crate::case::{Case, joined, lines, package};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = nesting();
    cases.extend(sizes());
    cases.extend(bodies());
    cases.extend(types());
    cases.extend(metadata());
    cases.extend(characters());
    cases.extend(data());
    cases.extend(vectors());
    cases.extend(reach());
    cases
}

const DEEP: &str = "nested more than 200 levels deep";

/// A policy that allows, and these rules.
fn text(name: &str, rules: impl Fn() -> String + Send + Sync + 'static) -> Case {
    Case::policy(name, move || format!("decision := true\n{}", rules()))
}

fn deep(name: &str, before: &'static str, core: &'static str, after: &'static str) -> Case {
    text(name, move || format!("x := {}{core}{}", before.repeat(3000), after.repeat(3000))).refused("nesting", DEEP)
}

/// Rules that may be reached in each of 32 ways.
fn ways(name: &str, rules: usize, conditions: usize) -> Case {
    text(name, move || {
        let alternatives = joined(5, "; ", |i| format!("(input.x{i} == 1) or (input.y{i} == 2)"));
        let rule =
            |i| format!("r{i} if {{ {}; {alternatives} }}", joined(conditions, "\n", |j| format!("input.c{j} == {j}")));
        format!("import future.keywords.or\n{}", lines(rules, rule))
    })
}

fn nesting() -> Vec<Case> {
    vec![
        deep("deep lists", "[", "1", "]"),
        deep("deep sets", "{", "1", "}"),
        deep("deep objects", "{1:", "1", "}"),
        deep("deep parentheses", "(", "1", ")"),
        deep("deep comprehensions", "[x|\nx:=", "1", "]"),
        deep("deep calls", "abs(", "1", ")"),
        deep("deep brackets", "a[", "1", "]"),
        deep("lists that don't end", "[", "", ""),
        text("a sum of 15,000 lines", || format!("x := 1{}", "\n + 1".repeat(15_000))).refused("nesting", DEEP),
        text("a union of 5,000 lines", || format!("x := {{1}}{}", "\n | {1}".repeat(5000))).refused("nesting", DEEP),
        text("an else for each of 5,000", || {
            format!("x := 1 if {{ false }}{}", "\nelse := 2 if { false }".repeat(5000))
        })
        .refused("nesting", DEEP),
        text("templates in templates", || format!("x := {}1{}", r#"$"{"#.repeat(1000), r#"}""#.repeat(1000)))
            .refused("nesting", DEEP),
        text("60 comprehensions in each other", || format!("x := {}1{}", "[x | x := ".repeat(60), "]".repeat(60)))
            .refused("types_too_complex", "the types in this policy are too complex"),
        text("every of every", || {
            format!(
                "x if {{ {}true{} }}",
                joined(300, "", |i| format!("every v{i} in [1] {{ v{i}; ")),
                " }".repeat(300)
            )
        })
        .refused("nesting", DEEP),
    ]
}

fn sizes() -> Vec<Case> {
    vec![
        text("a line of 20,000 bytes", || format!("x := \"{}\"", "a".repeat(20_000)))
            .refused("size", "a line of more than 16384 bytes"),
        text("70,000 lines", || "# x\n".repeat(70_000)).refused("size", "lines"),
        text("more than a million tokens", || {
            format!("x := [{}]", "\n1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1".repeat(30_000))
        })
        .refused("size", "more than 500000 tokens"),
        text("a number of 10,000 digits", || format!("x := {}", "9".repeat(10_000)))
            .refused("size", "a number of more than 4096 digits"),
        text("a number with a billion zeros", || "x := 1e999999999".into())
            .refused("size", "a number of more than 4096 digits"),
        text("15 MiB of comments", || format!("# {}\n", "x".repeat(16_000)).repeat(980)),
        text("15 MiB of one string", || format!("x := `{}`", format!("{}\n", "x".repeat(16_000)).repeat(980))),
        text("17 MiB", || format!("# {}\n", "x".repeat(16_000)).repeat(1100))
            .refused("file_size", "the limit is 16777216"),
        text("1,500 names of 8,000 bytes", || lines(1500, |i| format!("{}{i} := 1", "a".repeat(8000)))),
        text("a message of 8,000 bytes", || format!("x := {}", "a".repeat(8000)))
            .refused("rego_unsafe_var_error", "line 4: var aaa"),
        text("60,000 errors", || lines(60_000, |i| format!("x{i} := y{i}")))
            .refused("size", "the policy is too large to compile"),
        Case::files("5,000 files", || (0..5000).map(|i| (format!("p{i}.rego"), package("decision := true"))).collect())
            .refused("file_count", "the limit is 4096"),
        text("10,000 regexes", || lines(10_000, |i| format!("x if regex.match(`^w{i}[a-z]{{1,20}}$`, input.action)")))
            .decided(),
        text("1,000 regexes of 800 words", || {
            lines(1000, |i| {
                format!("x if regex.match(`^({})$`, input.action)", joined(800, "|", |j| format!("w{i}x{j}")))
            })
        })
        .decided(),
        text("60,000 rules", || lines(60_000, |i| format!("a{i} := 1")))
            .refused("size", "the policy is too large to compile"),
    ]
}

/// Long bodies, to be put in order.
fn bodies() -> Vec<Case> {
    let body = |statements: String| format!("x if {{\n{statements}\n}}");
    vec![
        text("8,000 statements in order", move || {
            body(format!("v0 := 1\n{}", lines(8000, |i| format!("v{} := v{i} + 1", i + 1))))
        }),
        text("500 statements in reverse", move || {
            body(format!("{}\nv500 = 1", lines(500, |i| format!("v{i} = v{} + 1", i + 1))))
        }),
        text("5,000 statements in reverse", move || {
            body(format!("{}\nv5000 = 1", lines(5000, |i| format!("v{i} = v{} + 1", i + 1))))
        })
        .refused("size", "putting them in order takes too long; split the rule into smaller ones"),
        text("500 comprehensions in reverse", move || {
            body(format!("{}\nv500 = 1", lines(500, |i| format!("v{i} = [y | y = v{}]", i + 1))))
        })
        .refused("size", "putting them in order takes too long"),
        text("3,000 loops", move || body(lines(3000, |i| format!("some v{i} in [1]; v{i}")))),
        text("4,000 negations before their values", move || {
            body(format!("{}\n{}", lines(4000, |i| format!("not v{i} == 2")), lines(4000, |i| format!("v{i} = 1"))))
        }),
        text("20,000 replacements", || format!("x if {{ input.a{} }}", "\nwith input.a as 1".repeat(20_000))),
    ]
}

fn types() -> Vec<Case> {
    vec![
        text("types doubled by each of 40 rules", || {
            format!("x0 := 1\n{}", lines(40, |i| format!("x{0} := [x{i}, x{i}]", i + 1)))
        })
        .refused("types_too_complex", "the types in this policy are too complex"),
        text("unions of unions", || {
            format!("t0 := 1\n{}", lines(40, |i| format!("t{0} := [{{\"a{i}\": t{i}}}, {{\"b{i}\": t{i}}}][_]", i + 1)))
        })
        .refused("types_too_complex", "the types in this policy are too complex"),
        text("a union of 5,000 objects", || {
            format!("{}\ny if x.k1 == 2", lines(5000, |i| format!("x := {{\"k{i}\": 1}} if input.a == {i}")))
        }),
        text("an object of 20,000 keys compared", || {
            format!("x := {{{}}}\ny if x == 1", joined(20_000, ",\n", |i| format!("\"k{i}\": {i}")))
        })
        .refused("rego_type_error", "line 20004: match error"),
    ]
}

fn with_metadata(name: &str, lines: impl Fn() -> String + Send + Sync + 'static) -> Case {
    Case::files(name, move || {
        let block = lines().lines().fold(String::from("# METADATA\n# custom:\n"), |mut block, line| {
            let _ = writeln!(block, "#  {line}");
            block
        });
        vec![("p.rego".into(), format!("{block}{}", package("decision := true")))]
    })
}

fn metadata() -> Vec<Case> {
    vec![
        with_metadata("metadata that refers to itself ten times over", || {
            let mut block = "a: &a [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
            for (one, next) in ('a'..='i').zip('b'..='j') {
                let _ = writeln!(block, "{next}: &{next} [{}]", joined(10, ",", |_| format!("*{one}")));
            }
            block
        })
        .refused("rego_parse_error", "yaml:"),
        with_metadata("deep metadata", || format!("a: {}{}", "[".repeat(7000), "]".repeat(7000)))
            .refused("metadata", "nested more than 128 levels deep"),
        with_metadata("20,000 lines of metadata", || lines(20_000, |i| format!("k{i}: [1, 2, {{a: b}}]")))
            .refused("metadata", "more than 262144 bytes"),
        text("12,000 blocks of metadata", || {
            lines(12_000, |i| format!("# METADATA\n# title: x\n# custom: {{a: [1]}}\nx{i} := 1"))
        }),
        text("schemas in metadata", || "# METADATA\n# schemas:\n#   - input: {type: object}\nx := 1".into())
            .refused("schemas", "`schemas` in metadata isn't supported"),
    ]
}

fn characters() -> Vec<Case> {
    let module = |name: &str, text: &'static [u8]| {
        Case::bytes(name, move || vec![("p.rego".into(), [b"package meshguard\n\ndecision := true\n", text].concat())])
    };
    vec![
        module("a NUL", b"x := \"\0\"\n").refused("rego_parse_error", "line 4: illegal null character"),
        module("a byte-order mark inside", b"\xef\xbb\xbfx := 1\n")
            .refused("rego_parse_error", "line 4: illegal byte-order mark"),
        module("no UTF-8", b"x := \"\xff\xfe\"\n").refused("utf8", "not UTF-8"),
        module("half a character", b"x := \"\xc3\"\n").refused("utf8", "not UTF-8"),
        module("a string without an end", b"x := \"abc\n").refused("rego_parse_error", "line 4: non-terminated string"),
        module("an escape that isn't one", b"x := \"\\q\"\n")
            .refused("rego_parse_error", "line 4: illegal escape sequence"),
        module("a space that isn't one", "x\u{a0}:= 1\n".as_bytes()).refused("rego_parse_error", "non-breaking space"),
        Case::bytes("a module of nothing", || vec![("p.rego".into(), vec![])])
            .refused("rego_parse_error", "line 1: empty module"),
        Case::bytes("lines that end as on Windows", || {
            vec![("p.rego".into(), b"package meshguard\r\n\r\ndecision := true\r\n".to_vec())]
        }),
        Case::bytes("a byte-order mark in front", || {
            vec![("p.rego".into(), b"\xef\xbb\xbfpackage meshguard\ndecision := true\n".to_vec())]
        }),
        Case::files("a path out of the bundle", || vec![("../p.rego".into(), package("decision := true"))])
            .refused("path", "`../p.rego`"),
    ]
}

/// A module that allows, and data.
fn with_data(name: &str, data: impl Fn() -> Vec<(String, String)> + Send + Sync + 'static) -> Case {
    Case::files(name, move || {
        let mut files = data();
        files.push(("p.rego".into(), package("decision := true")));
        files
    })
}

fn data() -> Vec<Case> {
    let one = |text: String| vec![("data.json".to_owned(), text)];
    let many = |item: &str| format!(r#"{{"x":[{}]}}"#, vec![item; (15 << 20) / (item.len() + 1)].join(","));
    vec![
        with_data("15 MiB of empty objects", move || one(many("{}"))).refused("size", ""),
        with_data("60 MiB of lists in lists", move || {
            (0..4).map(|i| (format!("d{i}/data.json"), many("[[[[[]]]]]"))).collect()
        })
        .refused("size", ""),
        with_data("data 100,000 deep", move || {
            one(format!(r#"{{"x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000)))
        })
        .refused("size", "nested deeper than 128"),
        with_data("a key twice", move || one(r#"{"a":1,"a":2}"#.into())).refused("data", "the key `a` stands twice"),
        with_data("half a surrogate pair", move || one(r#"{"a":"\ud800"}"#.into())).refused("data", "surrogate"),
        with_data("a number with a billion zeros in data", move || one(r#"{"a":1e999999999}"#.into()))
            .refused("data", ""),
        with_data("data that would be the decision", move || one(r#"{"meshguard":{"decision":true}}"#.into()))
            .refused("rego_compile_error", "conflicting rule for data path data.meshguard.decision found"),
        with_data("data in YAML", || vec![("data.yaml".into(), "a: 1".into())])
            .refused("yaml_data", "write it as `data.json`"),
        with_data("4,000 data files", || {
            let wide =
                json!((0..100_000).map(|i| (format!("a{i}"), json!(i))).collect::<serde_json::Map<_, _>>()).to_string();
            let files = (0..4000).map(|i| (format!("d{i}/data.json"), format!(r#"{{"k":{i}}}"#)));
            files.chain([("data.json".to_owned(), wide)]).collect()
        }),
    ]
}

/// The examples that a bundle carries are run when it is loaded.
fn vectors() -> Vec<Case> {
    let examples = |n: usize, input: serde_json::Value| {
        json!((0..n).map(|i| json!({ "name": i.to_string(), "input": input, "effect": "allow" })).collect::<Vec<_>>())
            .to_string()
    };
    let slow = "decision if every a in input.l { every b in input.l { every c in input.l { a + b + c >= 0 } } }";
    vec![
        Case::files("slow examples", move || {
            let input = json!({ "l": (0..100).collect::<Vec<_>>() });
            vec![("p.rego".into(), package(slow)), ("vectors.json".into(), examples(1000, input))]
        })
        .refused("out_of_time", "took"),
        Case::files("one endless example", move || {
            let input = json!({ "l": (0..5000).collect::<Vec<_>>() });
            vec![("p.rego".into(), package(slow)), ("vectors.json".into(), examples(1, input))]
        })
        .refused("out_of_time", "took too long"),
        Case::files("100,000 examples", move || {
            vec![("p.rego".into(), package("decision := true")), ("vectors.json".into(), examples(100_000, json!({})))]
        })
        .refused("vector", "100000 vectors; the limit is 1000"),
    ]
}

/// What refers to what.
fn reach() -> Vec<Case> {
    vec![
        text("a circle of 20,000 rules", || lines(20_000, |i| format!("r{i} := r{}", (i + 1) % 20_000)))
            .refused("rego_recursion_error", "line 4: rule data.meshguard.r0 is recursive"),
        text("a function that calls itself", || "f(x) := f(x + 1)\ny := f(1)".into())
            .refused("rego_recursion_error", "line 4: rule data.meshguard.f is recursive"),
        Case::files("6,000 rules that may reach 6,000 others", || {
            vec![
                ("p.rego".into(), package("decision := true")),
                (
                    "b.rego".into(),
                    format!("package q.z\n\n{}\n", lines(6000, |i| format!("b{i} := data.q.y[input.x]"))),
                ),
                ("c.rego".into(), format!("package q.y\n\n{}\n", lines(6000, |i| format!("a{i} := {i}")))),
            ]
        })
        .refused("size", "so many references may reach so many rules"),
        ways("10,000 conditions with 32 ways to fulfil them", 1, 10_000).refused("size", "too many ways to fulfil"),
        ways("30 rules of 1,500 conditions with 32 ways", 30, 1_500).refused("size", "too many ways to fulfil"),
        ways("20 rules of 100 conditions with 32 ways", 20, 100),
        text("500 rules that use 300 others each", || {
            lines(800, |i| {
                if i < 500 {
                    format!("r{i} if {{ {} }}", joined(300, "; ", |j| format!("r{}", i + j + 1)))
                } else {
                    format!("r{i} := 1")
                }
            })
        })
        .refused("size", "too large to compile"),
        text("the network", || "x := http.send({\"url\": \"http://127.0.0.1:1\"})".into())
            .refused("builtin", "line 4: `http.send` isn't available"),
        text("the network in another's place", || {
            "f(_) := {}\nx if { y := f(1) with data.meshguard.f as http.send; y }".into()
        })
        .refused("builtin", "line 5: `http.send` isn't available"),
        text("the environment", || "x := opa.runtime().env".into()).refused("builtin", "`opa.runtime` isn't available"),
        Case::policy("dice", || "decision if rand.intn(\"x\", 2) == 1".into())
            .refused("impure_builtin", "set the entrypoint's `defer` to `always`"),
        text("a rule, and one below it", || "a.b := 1\na.b.c := 2".into()).refused("rego_type_error", "conflicts with"),
    ]
}
