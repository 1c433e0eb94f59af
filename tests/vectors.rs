//! The vectors of `tests/vectors`, through a whole engine: signed, admitted, asked. And, where Go is present, through OPA,
//! so that no vector can be wrong.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

use harness::Scene;
use harness::oracle::{Oracle, Question};
use harness::vectors::{Asked, Decide, Evaluate, Expected, Vector, all, json, same};
use meshguard_engine::bundle::{BuiltinErrors, RegoVersion};
use meshguard_engine::{Engine, Error};
use serde_json::Value;
use serde_json::value::RawValue;

#[test]
fn the_engine_answers_as_they_say() {
    let vectors = all();
    let mut asked = 0;
    let mut failures = vec![];
    for vector in &vectors {
        asked += vector.requests.len().max(1);
        failures.extend(failures_of(vector).into_iter().map(|failure| format!("{}: {failure}", vector.id())));
    }
    assert!(failures.is_empty(), "{} of {asked}:\n{}", failures.len(), failures.join("\n"));
    println!("{} vectors, {asked} answers", vectors.len());
}

fn failures_of(vector: &Vector) -> Vec<String> {
    let scene = Scene::new();
    let engine = scene.builder().obligation("redact").obligation("max_rows").open().unwrap();
    let applied =
        vector.bundle().map_err(Error::from).and_then(|bundle| engine.apply(&scene.publisher.verified(bundle, 1)));
    match (applied, &vector.refused) {
        (Ok(_), None) => {
            vector.requests.iter().filter_map(|asked| answer(&engine, &vector.id(), asked).err()).collect()
        }
        (Ok(_), Some(_)) => vec!["isn't refused".to_owned()],
        (Err(error), None) => vec![format!("is refused: {error}")],
        (Err(Error::Refused(refusal)), Some(expected)) => {
            let right = refusal.code == expected.code && refusal.to_string().contains(&expected.says);
            if right { vec![] } else { vec![format!("is refused otherwise: {refusal}")] }
        }
        (Err(error), Some(_)) => vec![format!("isn't refused, but fails: {error}")],
    }
}

fn answer(engine: &Engine, which: &str, asked: &Asked) -> Result<(), String> {
    match asked {
        Asked::Evaluate(evaluate) => evaluated(engine, which, evaluate),
        Asked::Decide(decide) => decided(engine, which, decide),
    }
}

fn evaluated(engine: &Engine, which: &str, asked: &Evaluate) -> Result<(), String> {
    let expected = asked.expected(which);
    let got = engine.evaluate(&asked.evaluate, &asked.input, asked.builtin_errors);
    let right = match (&got, &expected) {
        (Ok(evaluation), Expected::Value(value)) => {
            evaluation.certain && evaluation.value.as_ref().is_some_and(|got| same(&json(which, got.get()), value))
        }
        (Ok(evaluation), Expected::Undefined) => evaluation.certain && evaluation.value.is_none(),
        (Ok(evaluation), Expected::Unknown) => !evaluation.certain && evaluation.value.is_none(),
        (Err(Error::Evaluation { code, .. }), Expected::Error(expected)) => code == expected,
        _ => false,
    };
    if right { Ok(()) } else { Err(format!("{} of {}: {got:?}, not {expected:?}", asked.evaluate, asked.input)) }
}

fn decided(engine: &Engine, which: &str, asked: &Decide) -> Result<(), String> {
    let decision = engine.decide_json(asked.decide.as_bytes());
    let reasons: Vec<&str> = decision.reasons().iter().map(|reason| reason.code.as_str()).collect();
    let given = |value: &Value, expected: &Option<String>, none: Value| {
        same(value, &expected.as_deref().map_or(none, |text| json(which, text)))
    };
    let obligations = serde_json::to_value(&decision.verdict.obligations).unwrap();
    let approval = serde_json::to_value(&decision.verdict.approval).unwrap();
    let right = decision.effect().as_str() == asked.effect
        && reasons == asked.reasons
        && decision.certain == asked.certain
        && asked.says.as_ref().is_none_or(|says| decision.reasons()[0].message.contains(says))
        && given(&obligations, &asked.obligations, serde_json::json!([]))
        && given(&approval, &asked.approval, Value::Null);
    if right { Ok(()) } else { Err(format!("{}: {decision:?}, not {asked:?}", asked.decide)) }
}

#[test]
fn opa_answers_as_they_say() {
    let mut oracle = match Oracle::start() {
        Ok(oracle) => oracle,
        Err(why) => {
            println!("skipped: vectors against OPA ({why})");
            assert!(std::env::var("CI").as_deref() != Ok("true"), "skipped in CI: {why}");
            return;
        }
    };
    let mut asked = 0;
    let mut failures = vec![];
    for vector in all() {
        let id = vector.id();
        match &vector.refused {
            Some(refused) => {
                asked += 1;
                let reply = oracle.ask(&question(&vector, "true".into(), None)).unwrap();
                let right = match (&reply, refused.opa.as_deref()) {
                    (Ok(_), Some("accepts")) => true,
                    (Err(failure), other) => failure.code == other.unwrap_or(&refused.code),
                    _ => false,
                };
                if !right {
                    failures.push(format!("{id}: {reply:?}, not {refused:?}"));
                }
            }
            None => {
                let compiles = oracle.ask(&question(&vector, "true".into(), None)).unwrap();
                if let Err(failure) = compiles {
                    failures.push(format!("{id}: OPA refuses it: {failure:?}"));
                    continue;
                }
                for request in &vector.requests {
                    let Asked::Evaluate(evaluate) = request else { continue };
                    if !evaluate.certain || evaluate.error.as_deref() == Some("bad_input") {
                        continue;
                    }
                    asked += 1;
                    if let Err(failure) = opa_evaluated(&mut oracle, &vector, evaluate) {
                        failures.push(format!("{id}: {failure}"));
                    }
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} of {asked}:\n{}", failures.len(), failures.join("\n"));
    println!("{asked} answers of OPA");
}

fn opa_evaluated(oracle: &mut Oracle, vector: &Vector, asked: &Evaluate) -> Result<(), String> {
    let expected = asked.expected(&vector.id());
    // As JSON, as the engine gives it.
    let query = format!("x = json.marshal({})", asked.evaluate);
    let reply = oracle.ask(&question(vector, query, Some(asked))).map_err(|error| error.to_string())?;
    let got = match reply {
        Err(failure) => return Err(format!("{failure:?}")),
        Ok(answers) => match answers.into_iter().next().ok_or("no answer")? {
            Err(failure) => Expected::Error(failure.code),
            Ok(solutions) => match solutions.into_iter().next() {
                None => Expected::Undefined,
                Some(solution) => {
                    let text: String = serde_json::from_str(&solution["x"]).map_err(|error| error.to_string())?;
                    Expected::Value(serde_json::from_str(&text).map_err(|error| error.to_string())?)
                }
            },
        },
    };
    let right = match (&got, &expected) {
        (Expected::Value(got), Expected::Value(expected)) => same(got, expected),
        (got, expected) => got == expected,
    };
    if right { Ok(()) } else { Err(format!("{} of {}: {got:?}, not {expected:?}", asked.evaluate, asked.input)) }
}

fn question(vector: &Vector, query: String, asked: Option<&Evaluate>) -> Question {
    Question {
        modules: vector.modules.clone(),
        v0: vector.settings().rego == RegoVersion::V0,
        data: vector.data.clone().map(|data| RawValue::from_string(data).unwrap()),
        query,
        inputs: asked.map(|asked| asked.input.clone()).into_iter().collect(),
        strict: asked.is_some_and(|asked| asked.builtin_errors == BuiltinErrors::Deny),
        ..Question::default()
    }
}

/// Where the claims stand that vectors hold, by section, and how many each has. Statements are counted in the order in which
/// they stand there.
const CLAIMS: [(&str, usize); 14] = [
    ("evaluation.md 6, row", 13),
    ("rego-semantics.md Negation", 9),
    ("rego-semantics.md Wrong type, defined operand", 2),
    ("rego-semantics.md Order", 3),
    ("rego-semantics.md Numbers", 3),
    ("rego-semantics.md Base data lookup", 4),
    ("rego-semantics.md in", 3),
    ("rego-semantics.md Truth", 2),
    ("rego-semantics.md Globs", 5),
    ("rego-semantics.md Regexes", 4),
    ("rego-semantics.md Strings, addresses", 4),
    ("rego-semantics.md Rules", 8),
    ("rego-semantics.md Compile errors", 9),
    ("rego-semantics.md Unknowns, precisely", 12),
];

#[test]
fn every_claim_has_a_vector() {
    let from: Vec<String> = all().into_iter().filter_map(|vector| vector.from).collect();
    let mut missing = vec![];
    for (section, count) in CLAIMS {
        for number in 1..=count {
            let claim = format!("{section} {number}");
            let is_it =
                |from: &String| from.strip_prefix(&claim).is_some_and(|rest| !rest.starts_with(char::is_numeric));
            if !from.iter().any(is_it) {
                missing.push(claim);
            }
        }
    }
    assert!(missing.is_empty(), "no vector says that it is from: {missing:#?}");
}

#[test]
fn every_refusal_says_something() {
    let silent: Vec<String> = all()
        .into_iter()
        .filter(|vector| vector.refused.as_ref().is_some_and(|refused| refused.says.len() < 8))
        .map(|vector| vector.id())
        .collect();
    assert!(silent.is_empty(), "their message isn't looked at: {silent:#?}");
}

/// That the comparisons above can fail.
#[test]
fn a_wrong_expectation_is_found() {
    let text = r"
- name: wrong
  modules:
    p.rego: |
      package p

      x := 1
  requests:
    - evaluate: data.p.x
      input: '{}'
      EXPECTED
";
    for (expected, is_right) in [
        ("value: '1'", true),
        ("value: '1.0'", true),
        ("value: '2'", false),
        ("value: 'true'", false),
        ("undefined: true", false),
        ("error: eval_conflict_error", false),
        ("certain: false", false),
    ] {
        let vectors: Vec<Vector> = yaml_serde::from_str(&text.replace("EXPECTED", expected)).unwrap();
        assert_eq!(failures_of(&vectors[0]).is_empty(), is_right, "{expected}");
        if let Ok(mut oracle) = Oracle::start()
            && let Asked::Evaluate(asked) = &vectors[0].requests[0]
            && asked.certain
        {
            assert_eq!(opa_evaluated(&mut oracle, &vectors[0], asked).is_ok(), is_right, "{expected}");
        }
    }
}
