//! Requests that would take time, memory or stack, or that two readers could read differently; put to an honest policy.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::case::{Asked, Case, joined, package, raw, request};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = unreadable();
    cases.extend(large());
    cases.extend(driven());
    cases
}

/// What an honest policy does with what it is given. Each rule answers for one kind of request.
const POLICY: &str = r##"
c := input.context
decision if { c.op == "range"; count(numbers.range(0, c.n)) >= 0 }
decision if { c.op == "step"; count(numbers.range_step(0, 10, c.n)) > 0 }
decision if { c.op == "shift"; bits.lsh(1, c.n) > 0 }
decision if { c.op == "bytes"; units.parse_bytes(c.s) > 0 }
decision if { c.op == "number"; to_number(c.s) > 0 }
decision if { c.op == "format"; count(sprintf(c.s, c.l)) >= 0 }
decision if { c.op == "expand"; count(net.cidr_expand(c.s)) > 0 }
decision if { c.op == "merge"; count(net.cidr_merge(c.l)) > 0 }
decision if { c.op == "regex"; regex.match(c.p, c.s) }
decision if { c.op == "find"; count(regex.find_all_string_submatch_n(c.p, c.s, -1)) >= 0 }
decision if { c.op == "substitute"; count(regex.replace(c.s, c.p, c.r)) > 0 }
decision if { c.op == "glob"; glob.match(c.p, c.d, c.s) }
decision if { c.op == "replace"; count(replace(c.s, c.p, c.r)) > 0 }
decision if { c.op == "split"; count(split(c.s, c.p)) > 0 }
decision if { c.op == "join"; count(concat(c.s, c.l)) > 0 }
decision if { c.op == "indices"; count(indexof_n(c.s, c.p)) >= 0 }
decision if { c.op == "prefixes"; strings.any_prefix_match(c.l, c.m) }
decision if { c.op == "json"; count(json.unmarshal(c.s)) >= 0 }
decision if { c.op == "yaml"; count(yaml.unmarshal(c.s)) >= 0 }
decision if { c.op == "patch"; count(json.patch(c.o, c.l)) > 0 }
decision if { c.op == "union"; count(object.union_n(c.l)) > 0 }
decision if { c.op == "reach"; count(graph.reachable(c.o, c.l)) > 0 }
decision if { c.op == "paths"; count(graph.reachable_paths(c.o, c.l)) > 0 }
decision if { c.op == "walk"; count([1 | walk(c.l, [_, _])]) > 0 }
decision if { c.op == "sort"; count(sort(c.l)) > 0 }
decision if { c.op == "pairs"; count([1 | some a in c.l; some b in c.l; a == b]) > 0 }
decision if { c.op == "every"; every a in c.l { every b in c.l { every d in c.l { a + b + d >= 0 } } } }
decision if { c.op == "gather"; count({[a, b] | some a in c.l; some b in c.l}) > 0 }
decision if { c.op == "search"; count([1 | some a in c.l; a in c.m]) >= 0 }
decision if { c.op == "schema"; json.match_schema(c.o, c.s)[0] }
decision if { c.op == "token"; io.jwt.decode(c.s)[1] }
decision if { c.op == "verify"; io.jwt.verify_rs256(c.s, c.p) }
decision if { c.op == "certificates"; count(crypto.x509.parse_certificates(c.s)) >= 0 }
decision if { c.op == "time"; time.parse_ns(c.p, c.s) > 0 }
decision if { c.op == "duration"; time.parse_duration_ns(c.s) > 0 }
decision if { c.op == "version"; semver.compare(c.s, c.s) == 0 }
decision if { c.op == "multiply"; product(c.l) > 0 }
decision if { c.op == "base64"; count(base64.decode(c.s)) > 0 }
decision if { c.op == "query"; count(urlquery.decode_object(c.s)) > 0 }
decision if { c.op == "look"; c.o[c.k] }
decision if c.op == "nothing"
"##;

fn case(name: &str) -> Case {
    Case::files(name, || vec![("policy.rego".into(), package(POLICY))])
}

/// A request whose context is this text.
fn context(name: &str, text: impl Fn() -> String + Send + Sync + 'static) -> Case {
    case(name).asked(move || vec![raw(&format!(r#"{{"actor":{{"id":"a"}},"action":"x","context":{}}}"#, text()))])
}

fn whole(name: &str, bytes: impl Fn() -> Vec<u8> + Send + Sync + 'static) -> Case {
    case(name).asked(move || vec![Asked::Request(bytes())])
}

fn unreadable() -> Vec<Case> {
    let bad = |case: Case, says| case.denied("bad_input", says);
    let deep = |n: usize| move || format!("{}{}", "[".repeat(n), "]".repeat(n));
    vec![
        bad(context("a key twice", || r#"{"op":"nothing","op":"range"}"#.into()), "the key `op` stands twice"),
        bad(
            context("a key twice, escaped", || r#"{"op":"nothing","\u006fp":"range"}"#.into()),
            "the key `op` stands twice",
        ),
        bad(
            context("a key twice, far inside", || r#"{"a":[[{"b":{"c":1,"d":2,"c":1}}]]}"#.into()),
            "the key `c` stands twice",
        ),
        bad(context("33 levels", deep(33)), "nested deeper than 32"),
        bad(context("100,000 levels", deep(100_000)), ""),
        bad(context("200,000 levels that don't end", || "[".repeat(200_000)), ""),
        bad(context("half a surrogate pair", || r#"{"a":"\ud800"}"#.into()), "surrogate"),
        bad(context("surrogates in the wrong order", || r#"{"a":"\udc00\ud800"}"#.into()), "surrogate"),
        bad(context("a number with a billion zeros", || r#"{"a":1e999999999}"#.into()), "number"),
        bad(context("a number of 5,000 digits", || format!(r#"{{"a":{}}}"#, "9".repeat(5000))), "number"),
        bad(context("no number", || r#"{"a":NaN}"#.into()), "request"),
        bad(context("infinity", || r#"{"a":-Infinity}"#.into()), "request"),
        bad(whole("no UTF-8", || b"{\"action\":\"\xff\xfe\"}".to_vec()), "request"),
        bad(whole("half a character", || b"{\"action\":\"\xc3".to_vec()), "request"),
        bad(whole("an overlong NUL", || b"{\"action\":\"\xc0\x80\"}".to_vec()), "request"),
        bad(whole("a byte-order mark", || b"\xef\xbb\xbf{\"action\":\"x\"}".to_vec()), "request"),
        bad(whole("nothing", Vec::new), "request"),
        bad(whole("only a NUL", || vec![0]), "request"),
        bad(whole("a million blanks", || vec![b' '; 1_000_000]), "request"),
        bad(whole("two documents", || br#"{"action":"x"}{"action":"y"}"#.to_vec()), "request"),
        bad(whole("a list in the request's place", || br#"["acme","7",{},"x"]"#.to_vec()), "an object is due"),
        bad(whole("a field nobody knows", || br#"{"action":"x","unless":"y"}"#.to_vec()), "unknown field `unless`"),
        bad(
            whole("a field in both its spellings", || br#"{"action":"x","requestId":"a","request_id":"b"}"#.to_vec()),
            "duplicate field",
        ),
        bad(whole("another tenant", || br#"{"action":"x","tenant_id":"umbrella"}"#.to_vec()), "another tenant"),
        bad(
            whole("an action of 5,000 bytes", || format!(r#"{{"action":"{}"}}"#, "x".repeat(5000)).into_bytes()),
            "`action` is longer than 4096 bytes",
        ),
        bad(
            whole("100 labels", || {
                json!({ "action": "x", "actor": { "tags": vec!["t"; 100] } }).to_string().into_bytes()
            }),
            "more than 64 tags",
        ),
        bad(
            context("a byte more than may be", || format!(r#"{{"a":"{}"}}"#, "x".repeat(1 << 20))),
            "the limit is 1048576",
        ),
    ]
}

/// As large as a request may be.
const ROOM: usize = (1 << 20) - 200;

fn large() -> Vec<Case> {
    let list = |item: &'static str| {
        move || format!(r#"{{"op":"nothing","l":[{}]}}"#, vec![item; ROOM / (item.len() + 1)].join(","))
    };
    vec![
        context("a string of 1 MiB", || format!(r#"{{"op":"nothing","s":"{}"}}"#, "x".repeat(ROOM - 100))),
        context("1 MiB of escapes", || format!(r#"{{"op":"nothing","s":"{}"}}"#, r"\u0041".repeat(ROOM / 6 - 20))),
        context("1 MiB of empty objects", list("{}")).denied("bad_input", "more than 150000 values"),
        context("1 MiB of lists in lists", list("[[[[[[]]]]]]")).denied("bad_input", "more than 150000 values"),
        context("1 MiB of one-digit numbers", list("7")).denied("bad_input", "more than 150000 values"),
        context("1 MiB of numbers of 4,000 zeros", list("1e4000")).denied("bad_input", "more than 150000 values"),
        context("1 MiB of numbers of 4,000 digits", || {
            format!(r#"{{"op":"nothing","l":[{}]}}"#, vec!["9".repeat(4000); ROOM / 4001 - 1].join(","))
        }),
        context("74,000 distinct keys", || {
            format!(r#"{{"op":"nothing",{}}}"#, joined(74_000, ",", |i| format!(r#""k{i}":1"#)))
        }),
        context("1,000 keys that differ at their end", || {
            let start = "k".repeat(1000);
            format!(r#"{{"op":"nothing",{}}}"#, joined(1000, ",", |i| format!(r#""{start}{i}":1"#)))
        }),
        context("31 levels, each wide", || {
            let wide = ",1".repeat(4000);
            format!(r#"{{"op":"nothing","l":{}1{}}}"#, "[".repeat(30), format!("{wide}]").repeat(30))
        }),
        case("an input of 15 MiB")
            .asked(|| vec![Asked::Input(format!(r#"{{"l":[{}]}}"#, vec!["{}"; 5 << 20].join(",")))])
            .failed("bad_input"),
        case("an input that two readers read differently")
            .asked(|| vec![Asked::Input(r#"{"a":1,"a":2}"#.into())])
            .failed("bad_input"),
    ]
}

/// The input drives a builtin or a loop.
fn driven() -> Vec<Case> {
    let op = |name: &str, op: &'static str, fields: fn() -> Value| {
        case(&format!("{op}: {name}")).asked(move || {
            let mut context = fields();
            context["op"] = op.into();
            vec![request(&context)]
        })
    };
    vec![
        op("a trillion", "range", || json!({ "n": 1_000_000_000_000_u64 })).out_of_budget(),
        op("ten to the 300", "range", || json!({ "n": 1e300 })).out_of_budget(),
        op("no step", "step", || json!({ "n": 0 })).denied("undefined", ""),
        op("by a hundred million", "shift", || json!({ "n": 100_000_000 })).out_of_budget(),
        op("by less than nothing", "shift", || json!({ "n": -1 })).denied("undefined", ""),
        op("of a billion zeros", "bytes", || json!({ "s": "1e999999999" })).denied("undefined", ""),
        op("of 500,000 digits", "bytes", || json!({ "s": "9".repeat(500_000) })).out_of_budget(),
        op("of 500,000 digits", "number", || json!({ "s": "9".repeat(500_000) })).denied("undefined", ""),
        op("a width of a hundred million", "format", || json!({ "s": "%100000000d", "l": [1] })),
        op("a million of width, a hundred times", "format", || json!({ "s": "%1000000d".repeat(100), "l": vec![1; 100] })).out_of_budget(),
        op("300,000 verbs", "format", || json!({ "s": "%d".repeat(300_000), "l": [1] })),
        op("a /8", "expand", || json!({ "s": "10.0.0.0/8" })).out_of_budget(),
        op("a /64", "expand", || json!({ "s": "::/64" })).out_of_budget(),
        op("30,000 networks", "merge", || json!({ "l": (0..30_000).map(|i| format!("::{i:x}/128")).collect::<Vec<_>>() })),
        op("repetitions of repetitions", "regex", || json!({ "p": "(a*)*b", "s": "a".repeat(900_000) })).out_of_budget(),
        op("counted repetitions", "regex", || json!({ "p": "((a{1,100}){1,100}){1,100}", "s": "aaaa" })).denied("undefined", ""),
        op("8,000 words", "regex", || json!({ "p": joined(8000, "|", |i| format!("w{i}.*x")), "s": "w".repeat(500_000) })).out_of_budget(),
        op("30,000 parentheses", "regex", || json!({ "p": format!("{}a{}", "(".repeat(30_000), ")".repeat(30_000)), "s": "a" }))
            .denied("undefined", ""),
        op("every letter there is", "regex", || json!({ "p": r"(\pL\pN?){200}x", "s": "é".repeat(300_000) })).out_of_budget(),
        op("500 groups", "find", || json!({ "p": "(a)".repeat(500), "s": "a".repeat(100_000) })).out_of_budget(),
        op("each by a hundred thousand", "substitute", || {
            json!({ "s": "a".repeat(400_000), "p": "(a)", "r": "${1}".repeat(100_000) })
        })
        .out_of_budget(),
        op("a thousand stars", "glob", || json!({ "p": "*a".repeat(3000), "d": [], "s": "ab".repeat(200_000) })).denied("undefined", ""),
        op("5,000 braces", "glob", || json!({ "p": "{".repeat(5000), "d": [], "s": "a" })).out_of_budget(),
        op("each letter by 400,000", "replace", || json!({ "s": "a".repeat(400_000), "p": "a", "r": "b".repeat(400_000) })).out_of_budget(),
        op("into letters", "split", || json!({ "s": "a".repeat(900_000), "p": "" })).out_of_budget(),
        op("almost everywhere", "split", || json!({ "s": "a".repeat(500_000), "p": format!("{}b", "a".repeat(250_000)) })),
        op("by 10,000 letters", "join", || json!({ "s": "a".repeat(10_000), "l": vec!["x"; 100_000] })).out_of_budget(),
        op("almost everywhere", "indices", || json!({ "s": "a".repeat(500_000), "p": format!("{}b", "a".repeat(250_000)) })),
        op("overlapping", "indices", || json!({ "s": "a".repeat(500_000), "p": "a".repeat(250_000) })).out_of_budget(),
        op("10,000 against 10,000", "prefixes", || {
            let of = |mark: &str| (0..10_000).map(|i| format!("{}{mark}{i}", "a".repeat(30))).collect::<Vec<_>>();
            json!({ "l": of("x"), "m": of("y") })
        })
        .denied("undefined", ""),
        op("400,000 levels", "json", || json!({ "s": "[".repeat(400_000) })).denied("undefined", ""),
        op("a million digits", "json", || json!({ "s": "9".repeat(900_000) })).out_of_budget(),
        op("aliases of aliases", "yaml", || {
            let mut text = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
            for (one, next) in ('a'..='k').zip('b'..='l') {
                text += &format!("{next}: &{next} [{}]\n", joined(9, ",", |_| format!("*{one}")));
            }
            json!({ "s": text })
        })
        .denied("undefined", ""),
        op("9,000 levels", "yaml", || json!({ "s": "[".repeat(9000) + &"]".repeat(9000) })).out_of_budget(),
        op("100,000 lists", "yaml", || json!({ "s": "- ".repeat(100_000) })).denied("undefined", ""),
        op("itself into itself", "patch", || {
            json!({ "o": { "a": [1] }, "l": vec![json!({ "op": "copy", "from": "", "path": "/a/-" }); 60] })
        })
        .out_of_budget(),
        op("10,000 in front", "patch", || {
            json!({ "o": { "a": (0..20_000).collect::<Vec<_>>() }, "l": vec![json!({ "op": "add", "path": "/a/0", "value": 1 }); 10_000] })
        })
        .out_of_budget(),
        op("10,000 deep objects", "union", || {
            json!({ "l": (0..10_000).map(|i| json!({ "a": { "b": { i.to_string(): 1 } } })).collect::<Vec<_>>() })
        }),
        op("everything from everywhere", "reach", || {
            let all: Vec<String> = (0..250).map(|i| i.to_string()).collect();
            let graph: BTreeMap<&String, &Vec<String>> = all.iter().map(|node| (node, &all)).collect();
            json!({ "o": graph, "l": ["0"] })
        }),
        op("all ways through a dense graph", "paths", || {
            let all: Vec<String> = (0..12).map(|i| i.to_string()).collect();
            let graph: BTreeMap<&String, &Vec<String>> = all.iter().map(|node| (node, &all)).collect();
            json!({ "o": graph, "l": ["0"] })
        })
        .out_of_budget(),
        op("two ways at each of 60 steps", "paths", || {
            let mut graph = BTreeMap::new();
            for i in 0..60 {
                let next = [format!("{}a", i + 1), format!("{}b", i + 1)];
                graph.insert(format!("{i}a"), next.clone());
                graph.insert(format!("{i}b"), next);
            }
            json!({ "o": graph, "l": ["0a"] })
        })
        .out_of_budget(),
        op("63,000 values", "walk", || json!({ "l": vec![json!([[0]]); 21_000] })),
        op("100,000 numbers", "sort", || json!({ "l": (0..100_000_u64).map(|i| i * 7919 % 100_003).collect::<Vec<_>>() })),
        op("of 10,000", "pairs", || json!({ "l": (0..10_000).collect::<Vec<_>>() })).out_of_budget(),
        op("of 1,000", "every", || json!({ "l": (0..1000).collect::<Vec<_>>() })).out_of_budget(),
        op("pairs of 3,000", "gather", || json!({ "l": (0..3000).collect::<Vec<_>>() })).out_of_budget(),
        op("50,000 in 50,000", "search", || json!({ "l": vec![1; 50_000], "m": vec![2; 50_000] })).out_of_budget(),
        op("a schema that refers to itself twice", "schema", || {
            let mut value = json!(1);
            for _ in 0..25 {
                value = json!([value]);
            }
            let twice = json!({ "items": { "$ref": "#/definitions/a" } });
            json!({ "o": value, "s": { "definitions": { "a": { "allOf": [twice, twice] } }, "$ref": "#/definitions/a" } })
        })
        .out_of_budget(),
        op("900,000 bytes", "token", || json!({ "s": format!("{0}.{0}.{0}", "a".repeat(300_000)) })).denied("undefined", ""),
        op("900,000 dots", "token", || json!({ "s": ".".repeat(900_000) })).denied("undefined", ""),
        op("lengths of 2 GiB", "certificates", || json!({ "s": "MIR/////".repeat(100_000) })).denied("undefined", ""),
        op("400,000 bytes of layout", "time", || json!({ "p": "2006".repeat(100_000), "s": "2006".repeat(100_000) })),
        op("200,000 hours", "duration", || json!({ "s": "1h".repeat(200_000) })),
        op("100,000 parts", "version", || json!({ "s": format!("1.2.3-{}1", "a.1.".repeat(100_000)) })),
        op("100,000 numbers", "multiply", || json!({ "l": vec![99; 100_000] })).out_of_budget(),
        op("nothing of it", "base64", || json!({ "s": "*".repeat(900_000) })).denied("undefined", ""),
        op("60,000 parameters", "query", || json!({ "s": joined(60_000, "&", |i| format!("a{i}=b")) })).denied("undefined", ""),
        op("a list as a key", "look", || json!({ "o": {}, "k": vec![1; 100_000] })).denied("undefined", ""),
    ]
}
