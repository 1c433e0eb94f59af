//! Each refusal, whatever its code, has a test that reads its message: here, in `tests/vectors`, or in the few other places
//! that are named here. What codes there are is read from the engine's source, so that a new one can't be forgotten.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use harness::{NOW_MS, Publisher, Scene, TENANT, bundle};
use meshguard_engine::bundle::{Envelope, Manifest};
use meshguard_engine::store::{Batch, Durability, Entry, FloorFiles, MemoryStore, Store, StoreError};
use meshguard_engine::{Bundle, Error, Refusal, RemoteData, SignedBundle, Target, VerifiedBundle};

/// Codes that only come of what a test here can't bring about, and where else they are asserted, if they can be at all.
const ELSEWHERE: [(&str, &str); 4] = [
    // A panic of the compiler.
    ("panic", "engine/src/eval/fault.rs"),
    // No thread can be started.
    ("thread", ""),
    // A bug of ours that nobody knows.
    ("internal", ""),
    ("ways_differ", ""),
];

/// How each of the others comes about, and what its message must say.
fn cases() -> Vec<(&'static str, &'static str, Refusal)> {
    let mut cases = of_files();
    cases.extend(of_archives());
    cases.extend(of_manifests());
    cases.extend(of_policies());
    cases.extend(of_engines());
    cases
}

fn of_files() -> Vec<(&'static str, &'static str, Refusal)> {
    let of = |files: Vec<(String, Vec<u8>)>| {
        let files = files.into_iter().map(|(path, body)| (path, Bytes::from(body))).collect();
        Bundle::from_files(files).map(drop).unwrap_err()
    };
    let file = |path: &str, body: &str| (path.to_owned(), body.as_bytes().to_vec());
    let policy = || file("p.rego", "package meshguard\n");
    let settings = |text: &str| of(vec![policy(), file(".manifest", text)]);
    let own = |text: &str| settings(&format!(r#"{{"metadata":{{"meshguard":{text}}}}}"#));
    let large = |n: usize| (0..n).map(|i| (format!("f{i}/data.json"), vec![b' '; 16 << 20])).collect::<Vec<_>>();
    vec![
        ("no_policy", "no `.rego` file; is this the right folder?", of(vec![])),
        ("path", "must be relative, with no empty, `.` or `..` part", of(vec![file("../p.rego", "")])),
        ("path", "control characters", of(vec![file("a:b.rego", "")])),
        ("path", "longer than 255 bytes", of(vec![file(&format!("{}.rego", "a".repeat(255)), "")])),
        ("path", "`x` isn't `data.` and identifiers", own(r#"{"entrypoints":{"x":{}}}"#)),
        ("plain", "`a` is no JSON pointer; write `/a`", own(r#"{"plain":["a"]}"#)),
        ("entrypoints", "without an entrypoint can't be asked anything", own(r#"{"entrypoints":{}}"#)),
        ("opa_manifest", "unknown field `entrypoint`", own(r#"{"entrypoint":"data.x"}"#)),
        ("opa_manifest", "rego_version 2; use 0 or 1", settings(r#"{"rego_version":2}"#)),
        (
            "file_count",
            "5000 files; the limit is 4096",
            of((0..5000).map(|i| file(&format!("p{i}.rego"), "package a\n")).collect()),
        ),
        ("file_size", "the limit is 16777216", of(vec![("p.rego".into(), vec![b'#'; (16 << 20) + 1])])),
        ("bundle_size", "the limit is 67108864", of(large(4).into_iter().chain([policy()]).collect())),
    ]
}

fn of_archives() -> Vec<(&'static str, &'static str, Refusal)> {
    let unsigned = bundle("decision := true").to_tar_gz().unwrap();
    vec![
        ("archive", "no `.tar.gz` archive", Bundle::from_tar_gz(b"rubbish").unwrap_err()),
        (
            "unsigned",
            "the archive isn't signed; sign it with `meshguard bundle sign`",
            SignedBundle::from_tar_gz(&unsigned).unwrap_err(),
        ),
        ("envelope", "expected value at line 1", Envelope::from_json(b"rubbish").unwrap_err()),
    ]
}

fn of_manifests() -> Vec<(&'static str, &'static str, Refusal)> {
    let publisher = Publisher::new();
    let signed = publisher.sign(bundle("decision := true"), 1);
    let trusted = [publisher.public()];
    let verify = |signed: &SignedBundle, tenant: &str, scope: &str| {
        VerifiedBundle::new(signed, &trusted, tenant, scope).map(drop).unwrap_err()
    };
    let manifest: serde_json::Value = serde_json::from_slice(&signed.envelope.payload).unwrap();
    let with = |changes: serde_json::Value| {
        let mut changed = manifest.clone();
        for (name, value) in changes.as_object().unwrap() {
            changed[name] = value.clone();
        }
        Manifest::parse(changed.to_string().as_bytes()).map(drop).unwrap_err()
    };
    let entry = |path: &str| serde_json::json!({ "path": path, "size": 1, "digest": manifest["files"][0]["digest"] });
    let other_type = Envelope { payload_type: "text/plain".into(), ..signed.envelope.clone() };
    let none = SignedBundle { files: BTreeMap::new(), ..signed.clone() };
    let altered = SignedBundle {
        files: signed.files.keys().map(|path| (path.clone(), Bytes::from_static(b"package other\n"))).collect(),
        ..signed.clone()
    };
    vec![
        ("manifest", "expected value at line 1", Manifest::parse(b"rubbish").unwrap_err()),
        ("manifest_size", "the limit is 4194304", Manifest::parse(&vec![b' '; 5 << 20]).unwrap_err()),
        ("format", "format 7; this version reads 1", with(serde_json::json!({ "format": 7 }))),
        ("tenant", "tenant and scope must be named", with(serde_json::json!({ "tenant": "" }))),
        ("version", "versions start at 1", with(serde_json::json!({ "version": 0 }))),
        ("expires_at", "the hard TTL ends before it begins", with(serde_json::json!({ "expires_at_ms": 0 }))),
        (
            "file_order",
            "files must be sorted by path, each once",
            with(serde_json::json!({ "files": [entry("b.rego"), entry("a.rego")] })),
        ),
        (
            "payload_type",
            "payload type `text/plain` where",
            verify(&SignedBundle { envelope: other_type, ..signed.clone() }, TENANT, "default"),
        ),
        (
            "signature",
            "not signed by a trusted key (signatures by: ",
            VerifiedBundle::new(&signed, &[Publisher::new().public()], TENANT, "default").map(drop).unwrap_err(),
        ),
        ("tenant", "signed for tenant `acme`; this is `umbrella`", verify(&signed, "umbrella", "default")),
        ("scope", "signed for scope `default`; this is `other`", verify(&signed, TENANT, "other")),
        ("missing", "`policy.rego`: the body wasn't sent", verify(&none, TENANT, "default")),
        ("digest", "`policy.rego`: the body isn't what was signed", verify(&altered, TENANT, "default")),
    ]
}

/// Policies and data that can't stand in a vector.
fn of_policies() -> Vec<(&'static str, &'static str, Refusal)> {
    let refused = |files: &[(&str, &[u8])]| {
        let policy: (&str, &[u8]) = ("policy.rego", b"package meshguard\ndecision := true\n");
        let files =
            files.iter().chain([&policy]).map(|(path, body)| ((*path).to_owned(), Bytes::copy_from_slice(body)));
        applied(Bundle::from_files(files.collect()).unwrap(), RemoteData::Unheld)
    };
    let examples = |text: &str| refused(&[("vectors.json", text.as_bytes())]);
    vec![
        ("utf8", "`a.rego`: not UTF-8: ", refused(&[("a.rego", b"package a\nx := \"\xff\"\n")])),
        ("data", "the document must be an object", refused(&[("data.json", b"[]")])),
        (
            "yaml_data",
            "`data.yaml`: data in YAML isn't read; write it as `data.json`",
            refused(&[("data.yaml", b"a: 1")]),
        ),
        (
            "data_overlap",
            "`x` stands in two data files with different values; keep one of them",
            refused(&[("a/data.json", br#"{"x":1}"#), ("data.json", br#"{"a":{"x":2}}"#)]),
        ),
        ("vector", "`vectors.json`: `a`: is allow, not deny", examples(r#"[{"name":"a","input":{},"effect":"deny"}]"#)),
        ("vector", "`data.other` is no entrypoint of the bundle", {
            examples(r#"[{"name":"a","entrypoint":"data.other","input":{},"effect":"deny"}]"#)
        }),
        ("out_of_time", "`a`: took too long: ", {
            let slow = "package slow\ndecision if every a in input.l { every b in input.l { every c in input.l { a + b + c >= 0 } } }\n";
            let list: Vec<u32> = (0..5000).collect();
            let vectors = serde_json::json!([
                { "name": "a", "entrypoint": "data.slow.decision", "input": { "l": list }, "effect": "allow" }
            ]);
            let manifest = r#"{"metadata":{"meshguard":{"entrypoints":{"data.slow.decision":{}}}}}"#;
            refused(&[
                ("slow.rego", slow.as_bytes()),
                ("vectors.json", vectors.to_string().as_bytes()),
                (".manifest", manifest.as_bytes()),
            ])
        }),
        ("remote_data", "`a` is held and in the bundle as well", {
            let held = RemoteData::Held(serde_json::json!({ "top": { "a": 1 } }));
            let files = [
                ("policy.rego", "package meshguard\ndecision := true\n"),
                ("data.json", r#"{"top":{"a":2}}"#),
                (".manifest", r#"{"metadata":{"meshguard":{"remote_roots":["data.top.a.b"]}}}"#),
            ];
            applied(harness::files(&files), held)
        }),
    ]
}

/// What an engine refuses by what it knows already.
fn of_engines() -> Vec<(&'static str, &'static str, Refusal)> {
    let scene = Scene::new();
    let engine = scene.open();
    let (allow, deny) = (|| bundle("decision := true"), || bundle("decision := false"));
    engine.apply(&scene.publisher.verified(allow(), 2)).unwrap();
    let refused = |bundle: VerifiedBundle| refusal(engine.apply(&bundle));
    let old = Target::new(TENANT, 9, NOW_MS - 25 * 60 * 60 * 1000);
    let deadly = scene.publisher.verified(deny(), 5);
    let mut tries = Batch::new();
    tries.put(format!("t/acme/default/quarantine/{}", deadly.revision().manifest), r#"{"tries":3}"#);
    scene.store.write(tries, Durability::Process).unwrap();
    let store = Arc::new(GivesOut::default());
    let blind = scene.builder().store(Arc::clone(&store) as Arc<dyn Store>, FloorFiles::in_memory()).open().unwrap();
    store.out.store(true, Ordering::Relaxed);
    vec![
        ("rollback", "which was accepted here; publish a newer version", refused(scene.publisher.verified(allow(), 1))),
        ("equivocation", "versions are never reused", refused(scene.publisher.verified(deny(), 2))),
        ("expired", "expired; publish a new version", {
            refused(scene.publisher.verify(&scene.publisher.sign_for(deny(), &old)))
        }),
        ("ends_process", "ended the process 3 times and isn't tried again; publish a newer version", refused(deadly)),
        ("store", "it is out", blind.admit(scene.publisher.sign(allow(), 1).envelope).unwrap_err()),
    ]
}

/// What an engine that knows nothing yet says to a bundle.
fn applied(bundle: Bundle, remote: RemoteData) -> Refusal {
    let scene = Scene::new();
    let engine = scene.builder().remote_data(remote).open().unwrap();
    refusal(engine.apply(&scene.publisher.verified(bundle, 1)))
}

fn refusal<T>(applied: Result<T, Error>) -> Refusal {
    match applied {
        Err(Error::Refused(refusal)) => refusal,
        Err(other) => panic!("not refused, but failed: {other}"),
        Ok(_) => panic!("not refused"),
    }
}

/// A store that can't be read any more from some time on.
#[derive(Default)]
struct GivesOut {
    store: MemoryStore,
    out: AtomicBool,
}

impl Store for GivesOut {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if self.out.load(Ordering::Relaxed) { Err(StoreError::Io("it is out".into())) } else { self.store.get(key) }
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Entry>, StoreError> {
        self.store.scan(from, to, limit)
    }

    fn write(&self, batch: Batch, durability: Durability) -> Result<(), StoreError> {
        self.store.write(batch, durability)
    }
}

#[test]
fn each_says_what_is_wrong() {
    for (code, says, refusal) in cases() {
        assert_eq!(refusal.code, code, "{refusal}");
        assert!(refusal.to_string().contains(says), "{says:?} is due: {refusal}");
    }
}

#[test]
fn no_code_is_forgotten() {
    let engine = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/src");
    let mut there = BTreeSet::new();
    collect(&engine, &mut there);
    // What can't be found doesn't count as complete.
    for known in [
        "rego_parse_error",
        "rego_recursion_error",
        "nesting",
        "data_overlap",
        "vector",
        "rollback",
        "digest",
        "file_order",
    ] {
        assert!(there.contains(known), "`{known}` isn't found any more among {there:?}");
    }
    let vectors = harness::vectors::all();
    let mut asserted: BTreeSet<String> =
        vectors.iter().filter_map(|vector| Some(vector.refused.as_ref()?.code.clone())).collect();
    asserted.extend(cases().into_iter().map(|(code, ..)| code.to_owned()));
    for (code, file) in ELSEWHERE {
        assert!(!asserted.contains(code), "`{code}` is asserted after all; take it out of the list");
        let text = if file.is_empty() {
            String::new()
        } else {
            std::fs::read_to_string(engine.join("../..").join(file)).unwrap()
        };
        assert!(file.is_empty() || text.contains(&format!("\"{code}\"")), "`{code}` isn't in {file}");
        asserted.insert(code.to_owned());
    }
    let forgotten: Vec<_> = there.difference(&asserted).collect();
    assert!(forgotten.is_empty(), "no vector and no test reads the message of {forgotten:?}");
    let gone: Vec<_> = asserted.difference(&there).collect();
    assert!(gone.is_empty(), "codes that the engine doesn't have: {gone:?}");
}

/// Every code that a file below `folder` gives a refusal, tests aside.
fn collect(folder: &Path, codes: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, codes);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            codes.extend(codes_of(text.split("#[cfg(test)]\nmod tests {").next().unwrap()));
        }
    }
}

/// How a code stands in the source: what goes before it, up to its quote.
const BEFORE: [&str; 6] = [
    // `Refusal::new(Stage::Parse, "path", …)`, on one line or on several.
    "Refusal::new(Stage::",
    // `refuse("format", …)`, where a closure makes the refusal.
    "return refuse(",
    // `refusal("vector", …)` and `Err(("vector", …))` of the smoke vectors.
    "refusal(",
    "Err((",
    // `CompileError::new(location, "size", …)`.
    "CompileError::new(",
    // `self.exceeds("ambiguous", …)`.
    "exceeds(",
];

fn codes_of(text: &str) -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    let quoted = |text: &str| -> Option<String> {
        let code = text.trim_start().strip_prefix('"')?.split('"').next()?;
        let is_code =
            !code.is_empty() && code.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        is_code.then(|| code.to_owned())
    };
    for before in BEFORE {
        for (at, _) in text.match_indices(before) {
            let rest = &text[at + before.len()..];
            // It is the first argument, or the second.
            codes.extend(quoted(rest));
            codes.extend(rest.split_once(',').and_then(|(_, second)| quoted(second)));
        }
    }
    // `code: "size"` and `const TYPE: &str = "rego_type_error"`.
    for (at, _) in text.match_indices("code: \"") {
        codes.extend(quoted(&text[at + "code: ".len()..]));
    }
    for line in text.lines().filter(|line| line.contains("const ") && line.contains(": &str = \"")) {
        let code = line.split(" = ").nth(1).and_then(quoted);
        codes.extend(code.filter(|code| code.starts_with("rego_") || code == "types_too_complex"));
    }
    codes
}

#[test]
fn codes_are_found_as_they_are_written() {
    let found = |text: &str| codes_of(text).into_iter().collect::<Vec<_>>();
    assert_eq!(found("Err(Refusal::new(Stage::Parse, \"path\", detail))"), ["path"]);
    assert_eq!(found("Refusal::new(\n  Stage::Parse,\n  \"path\",\n detail)"), Vec::<String>::new());
    assert_eq!(found("Refusal::new(Stage::Parse,\n  \"path\",\n detail)"), ["path"]);
    assert_eq!(found("return refuse(\"format\", format!(\"x\"))"), ["format"]);
    assert_eq!(found("return refuse(\"longer than 255 bytes\")"), Vec::<String>::new());
    assert_eq!(found("CompileError::new(rule.location, \"size\", message)"), ["size"]);
    assert_eq!(found("CompileError::new(rule.location, TYPE, \"message\")"), Vec::<String>::new());
    assert_eq!(found("const TYPE: &str = \"rego_type_error\";"), ["rego_type_error"]);
    assert_eq!(found("SyntaxError { location, code: \"size\", message }"), ["size"]);
}
