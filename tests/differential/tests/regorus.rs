//! The generator is worth something: run against the plain interpreter of regorus, it finds by itself where that one is known
//! to differ from OPA.
//!
//! A policy with a mismatch may have it for many reasons. So each statement that may be one of the known differences is
//! asked about alone, with the policy's data and inputs: then it is nothing else.

use meshguard_differential::case::Case;
use meshguard_differential::compare::{Mismatch, Said, compare};
use meshguard_differential::engines::Engine;
use meshguard_differential::generate::{Options, generate};
use meshguard_differential::oracle::Oracle;
use meshguard_differential::outcome::Outcome;
use meshguard_differential::rng::Rng;
use meshguard_differential::tree::text;
use meshguard_differential::{client, report, skip};

/// Policies to look at, at most.
const POLICIES: usize = 2500;
/// Rows to find before that.
const ENOUGH: usize = 7;
const AT_LEAST: usize = 6;

/// A known difference.
struct Row {
    name: &'static str,
    /// Whether a statement may show it; none if whole policies are refused by one engine alone.
    statement: Option<fn(&str) -> bool>,
    shows: fn(&Mismatch) -> bool,
}

const ROWS: [Row; 10] = [
    Row {
        name: "`not … in` a list that isn't there",
        statement: Some(|text| text.starts_with("not ") && text.contains(" in input.") && !text.contains('(')),
        shows: holds_alone,
    },
    Row {
        name: "`not` of a builtin of what isn't there",
        statement: Some(|text| text.starts_with("not ") && text.contains("(input.")),
        shows: holds_alone,
    },
    Row {
        name: "globs and their delimiters",
        statement: Some(|text| text.starts_with("glob.match(")),
        shows: holds_alone,
    },
    Row {
        name: "classes of regular expressions",
        statement: Some(|text| text.starts_with("regex.match(") && text.contains("\\\\")),
        shows: holds_for_one,
    },
    Row {
        name: "integers that a double doesn't hold",
        statement: Some(|text| text.contains(" == ") && !text.contains('(')),
        shows: |found| holds_for_one(found) && has_a_long_number(&found.case),
    },
    Row {
        name: "a rule where data is",
        statement: None,
        shows: |found| accepted(&found.ours) && refused_for(&found.opa, "conflicting rule for data path"),
    },
    Row {
        name: "`not` of an error, which is one if they are strict",
        statement: Some(|text| text.starts_with("not ") && text.contains('(')),
        shows: |found| found.strict && holds(&found.ours) && is_error(&found.opa),
    },
    Row {
        name: "arithmetic with what isn't a number",
        statement: Some(|text| {
            let operators = [" + ", " - ", " * ", " / "];
            text.contains("input.") && operators.iter().any(|operator| text.contains(operator)) && !text.contains('(')
        }),
        shows: |found| is_error(&found.ours) && matches!(found.opa, Said::Outcome(Outcome::Undefined)),
    },
    Row {
        name: "functions that call themselves",
        statement: None,
        shows: |found| accepted(&found.ours) && refused_for(&found.opa, "rule data.p.broken is recursive"),
    },
    Row {
        name: "strings with expressions in them",
        statement: Some(|text| text.contains("$\"") || text.contains("$`")),
        shows: |found| refused_for(&found.ours, "invalid character") && accepted(&found.opa),
    },
];

#[test]
fn the_generator_finds_known_differences_of_regorus() {
    if let Err(why) = client::folder() {
        return skip("what the generator finds in regorus", &why);
    }
    let mut oracle = Oracle::default();
    let mut differences = |case: &Case| compare(Engine::Regorus, &mut oracle, case).unwrap().mismatches;
    let mut missing: Vec<&Row> = ROWS.iter().collect();
    let mut rng = Rng::new(1);
    for _ in 0..POLICIES {
        let seed = rng.next();
        let case = generate(seed, Options { inputs: 20, completions: 0, decisions: false });
        let whole = differences(&case);
        if whole.is_empty() {
            continue;
        }
        let statements = statements(&case);
        missing.retain(|row| {
            let shown = |found: &Mismatch| (row.shows)(found);
            let found = match row.statement {
                None => whole.iter().find(|found| shown(found)).cloned(),
                Some(may_be) => statements
                    .iter()
                    .filter(|statement| may_be(statement))
                    .find_map(|statement| differences(&alone(statement, &case)).into_iter().find(shown)),
            };
            if let Some(found) = &found {
                println!("{} (policy seed {seed})\n{}", row.name, report::difference(found));
            }
            found.is_none()
        });
        if ROWS.len() - missing.len() >= ENOUGH {
            break;
        }
    }
    let found = ROWS.len() - missing.len();
    let names: Vec<_> = missing.iter().map(|row| row.name).collect();
    assert!(found >= AT_LEAST, "not found: {names:?}");
    println!("{found} of {} known differences found; not: {names:?}", ROWS.len());
}

/// What stands in the bodies of a policy's rules.
fn statements(case: &Case) -> Vec<String> {
    let texts = case.texts();
    let lines = texts
        .values()
        .flat_map(|text| text.lines())
        .flat_map(|line| line.split(" if "))
        .flat_map(|line| line.split("; "));
    let bare = |line: &str| line.trim().trim_start_matches("{ ").trim_end_matches(" }").to_owned();
    lines.map(bare).filter(|line| !line.is_empty()).collect()
}

/// A policy of one statement.
fn alone(statement: &str, case: &Case) -> Case {
    let module = format!("package p\nimport rego.v1\nmain if {{ {statement} }}\n");
    Case {
        v0: false,
        modules: vec![("p.rego".to_owned(), text(module))],
        query: "data.p.main".to_owned(),
        ..case.clone()
    }
}

fn has_a_long_number(case: &Case) -> bool {
    let inputs = case.inputs.iter().map(|input| input.render());
    let texts: String = case.texts().into_values().chain(inputs).chain([case.data.render()]).collect();
    texts.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() > 15)
}

/// It holds, and not for OPA.
fn holds_alone(found: &Mismatch) -> bool {
    holds(&found.ours) && !holds(&found.opa) && !is_error(&found.opa)
}

/// It holds for one, and not for the other; neither raises an error.
fn holds_for_one(found: &Mismatch) -> bool {
    holds(&found.ours) != holds(&found.opa) && !is_error(&found.ours) && !is_error(&found.opa)
}

fn holds(said: &Said) -> bool {
    matches!(said, Said::Outcome(Outcome::Value(value)) if value == "true")
}

fn is_error(said: &Said) -> bool {
    matches!(said, Said::Outcome(Outcome::Error { .. }))
}

fn accepted(said: &Said) -> bool {
    matches!(said, Said::Accepted(_))
}

fn refused_for(said: &Said, why: &str) -> bool {
    matches!(said, Said::Refused { message, .. } if message.contains(why))
}
