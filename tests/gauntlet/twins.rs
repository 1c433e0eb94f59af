//! What looks like the hostile ones and is honest: accepted, and allowed.

use std::collections::BTreeMap;

use serde_json::json;

use crate::case::{Asked, Case, joined, lines, package, request};

pub(crate) fn cases() -> Vec<Case> {
    let rule = |name: &str, body: &'static str| Case::policy(name, move || format!("decision if {{ {body} }}"));
    vec![
        rule("numbers to a hundred", "count(numbers.range(0, 100)) == 101; sum(numbers.range(0, 100)) == 5050"),
        rule("addresses of a /28", r#"count(net.cidr_expand("10.0.0.0/28")) == 16"#),
        rule("addresses of a /20", r#"count(net.cidr_expand("10.0.0.0/20")) == 4096"#),
        rule("a shift by a thousand", "bits.rsh(bits.lsh(1, 1000), 999) == 2"),
        rule("a padding of a hundred", r#"count(sprintf("%100d", [1])) == 100"#),
        rule(
            "a number of a hundred digits",
            "to_number(concat(\"\", [d | some i in numbers.range(1, 100); d := \"7\"])) > 7",
        ),
        Case::policy("a chain of 60 rules", || {
            format!("decision := r0\n{}\nr60 := true", lines(60, |i| format!("r{i} := r{}", i + 1)))
        }),
        Case::policy("a chain of 60 functions", || {
            format!("decision := f0(true)\n{}\nf60(x) := x", lines(60, |i| format!("f{i}(x) := f{}(x)", i + 1)))
        }),
        Case::policy("depth 8", || {
            format!("x := {}1{}\ndecision if x[0][0][0][0][0][0][0][0] == 1", "[".repeat(8), "]".repeat(8))
        }),
        Case::policy("depth 100", || {
            format!("x := {}1{}\ndecision if count(x) == 1", "[".repeat(100), "]".repeat(100))
        }),
        Case::policy("an else for each of 100", || {
            format!(
                "decision := false if {{ input.action == \"y\" }}{}",
                joined(100, "", |i| format!(
                    "\nelse := {} if {{ input.action == \"{}\" }}",
                    i == 99,
                    if i == 99 { "x" } else { "z" }
                ))
            )
        }),
        Case::policy("1,000 rules", || {
            lines(1000, |i| {
                format!(
                    "decision if {{ input.action == \"{}\"; input.context.n >= {i} }}",
                    if i == 750 { "x" } else { "y" }
                )
            })
        })
        .context(|| json!({ "n": 1000 })),
        Case::policy("a policy of 200 KiB", || {
            lines(2000, |i| {
                format!(
                    "# {}\nr{i} if {{ input.action == \"{i}\"; startswith(input.resource, \"/srv/{i}\") }}",
                    "x".repeat(20)
                )
            }) + "\ndecision if { not r0; not r1999 }"
        })
        .asked(|| vec![crate::case::raw(r#"{"actor":{"id":"a"},"action":"x","resource":"/srv/app"}"#)]),
        Case::policy("a body of 300 statements", || {
            format!("decision if {{\n v0 := 1\n{}\n v300 == 301\n}}", lines(300, |i| format!("v{} := v{i} + 1", i + 1)))
        }),
        Case::policy("50 statements in reverse", || {
            format!("decision if {{\n{}\n v50 = 1\n}}", lines(50, |i| format!("v{i} = v{} + 1", i + 1)))
        }),
        Case::policy("10 comprehensions in each other", || {
            format!(
                "decision if count({}[1]{}) == 1",
                joined(10, "", |i| format!("[v{i} | some v{i} in ")),
                "]".repeat(10)
            )
        }),
        Case::policy("a regex of 200 words", || {
            format!("decision if regex.match(`^({})$`, \"w199\")", joined(200, "|", |i| format!("w{i}")))
        }),
        Case::policy("1,000 regexes", || {
            lines(1000, |i| format!("decision if regex.match(`^w{i}[a-z]{{1,20}}$`, input.context.s)"))
        })
        .context(|| json!({ "s": "w999abc" })),
        Case::policy("a glob of 50 ways", || {
            format!("decision if glob.match(\"{{{}}}/**\", [\"/\"], \"a49/b/c\")", joined(50, ",", |i| format!("a{i}")))
        }),
        Case::policy("repetitions of repetitions on a word", || {
            "decision if not regex.match(`^(a*)*b$`, input.context.s)".into()
        })
        .context(|| json!({ "s": "a".repeat(100_000) })),
        Case::policy("pairs of 300", || {
            "decision if count([1 | some a in input.context.l; some b in input.context.l; a == b]) == 300".into()
        })
        .context(|| json!({ "l": (0..300).collect::<Vec<_>>() })),
        Case::policy("a set of 10,000", || "decision if count({x | some x in input.context.l}) == 10000".into())
            .context(|| json!({ "l": (0..10_000).collect::<Vec<_>>() })),
        Case::policy("membership in 10,000 names", || "decision if \"n9999\" in input.context.l".into())
            .context(|| json!({ "l": (0..10_000).map(|i| format!("n{i}")).collect::<Vec<_>>() })),
        Case::policy("a request of 1 MiB", || "decision if count(input.context.s) == 1000000".into())
            .asked(|| vec![request(&json!({ "s": "x".repeat(1_000_000) }))]),
        Case::policy("an input of 900 KiB", || "decision if count(input.l) == 9000".into()).asked(|| {
            let row = json!({ "id": 1, "name": "x".repeat(40), "tags": ["a", "b"], "on": true }).to_string();
            vec![Asked::Input(format!(r#"{{"l":[{}]}}"#, vec![row; 9000].join(",")))]
        }),
        Case::files("data of 2 MiB", || {
            let rows: BTreeMap<String, _> = (0..20_000)
                .map(|i| (format!("r{i}"), json!({ "owner": format!("u{i}"), "tags": ["a", "b"] })))
                .collect();
            vec![
                ("policy.rego".into(), package("decision if data.rows[\"r19999\"].owner == \"u19999\"")),
                ("data.json".into(), json!({ "rows": rows }).to_string()),
            ]
        }),
        Case::files("100 modules", || {
            let module = |i: usize| {
                format!(
                    "package p{i}\n\nimport data.p{}\n\nx := {}\n",
                    i + 1,
                    if i == 99 { "true".into() } else { format!("p{}.x", i + 1) }
                )
            };
            let mut files: Vec<(String, String)> = (0..100).map(|i| (format!("p{i}.rego"), module(i))).collect();
            files.push(("policy.rego".into(), package("decision if data.p0.x")));
            files
        }),
        Case::files("metadata on 500 rules", || {
            let rules = lines(500, |i| {
                format!("# METADATA\n# title: rule {i}\n# custom:\n#   severity: [low, {{a: 1}}]\nr{i} := {i}\n")
            });
            vec![("policy.rego".into(), package(&format!("{rules}\ndecision if r499 == 499")))]
        }),
        Case::files("100 examples", || {
            let examples = (0..100)
                .map(|i| json!({ "name": i.to_string(), "input": { "action": "x" }, "effect": "allow" }))
                .collect::<Vec<_>>();
            vec![
                ("policy.rego".into(), package("decision if input.action == \"x\"")),
                ("vectors.json".into(), json!(examples).to_string()),
            ]
        }),
        Case::policy("a yaml document with an alias", || {
            r#"decision if yaml.unmarshal("a: &a [1, 2]\nb: *a\n").b == [1, 2]"#.into()
        }),
        Case::policy("a patch that copies", || {
            r#"decision if json.patch({"a": [1]}, [{"op": "copy", "from": "/a", "path": "/b"}]) == {"a": [1], "b": [1]}"#.into()
        }),
        Case::policy("ways through a small graph", || {
            r#"decision if count(graph.reachable_paths({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}, ["a"])) == 2"#.into()
        }),
        Case::policy("a document put in place 100 times", || {
            "decision if count([1 | some i in numbers.range(1, 100); input.a == i with input.a as i]) == 100".into()
        }),
        Case::policy("functions called 10,000 times", || {
            "f(x) := x * 2\ndecision if count([1 | some i in numbers.range(1, 10000); f(i) > 0]) == 10000".into()
        }),
    ]
}
