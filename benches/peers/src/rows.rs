//! Every row: its policy and its requests.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Context;
use bytes::Bytes;
use meshguard_benches::Case;
use meshguard_engine::{Bundle, Effect};
use serde_json::{Value, json};

use crate::atr::Atr;
use crate::question::{More, Question};
use crate::row::{AGENTMESH_EQUALITY, AGT_ONE_CONDITION, Plan, Row, Said};
use crate::rule::{Condition, Field, Rule};

/// How many requests `mixed` has; a run in a hurry takes fewer.
const MIXED_REQUESTS: usize = 4_096;
const MIXED_REQUESTS_QUICK: usize = 256;

/// How many `mixed_10000` has, at most: the linear peers take tens of milliseconds for each.
const LARGE_REQUESTS: usize = 2_048;

/// Shares no factor with the numbers of requests, so that neighbours in a file aren't asked one after the other.
const STRIDE: usize = 1_237;

/// The ids of all rows of requests, in the order in which they are measured.
pub const IDS: [&str; 15] = [
    "many_10",
    "many_100",
    "many_1000",
    "many_10000",
    "many1_10",
    "many1_100",
    "many1_1000",
    "first_match_1000",
    "set_form_1000",
    "mixed_10000",
    "mixed",
    "small",
    "atr_1555_60",
    "atr_1555_4k",
    "atr_1555_hit",
];

/// The row with this id; none for those on AGT's regexes where its policy isn't at hand.
///
/// # Errors
/// There is no such id, or what was made is no bundle.
pub fn by_id(id: &str, quick: bool, atr: Option<&Atr>) -> anyhow::Result<Option<Row>> {
    let mixed = if quick { MIXED_REQUESTS_QUICK } else { MIXED_REQUESTS };
    let row = match id {
        "small" => small()?,
        "mixed" => row("mixed", &mixed_rules(1_000), mixed_questions(1_000, mixed), MIXED)?,
        "mixed_10000" => {
            row(id, &mixed_rules(10_000), mixed_questions(10_000, LARGE_REQUESTS.min(mixed)), MIXED_LARGE)?
        }
        "first_match_1000" => ordered(1_000)?,
        "set_form_1000" => set_form(1_000)?,
        "atr_1555_60" | "atr_1555_4k" | "atr_1555_hit" => return atr.map(|atr| atr.row(id)).transpose(),
        _ => {
            let (kind, number) = id.rsplit_once('_').context("no such row")?;
            let number = number.parse().context("no such row")?;
            match kind {
                "many" => many(id, number)?,
                "many1" => many1(id, number)?,
                _ => anyhow::bail!("no row `{id}`"),
            }
        }
    };
    Ok(Some(row))
}

const NO_PLAN: Plan = Plan { percentiles: false, pinned: false, counted: false, no_interpreter: false };
const MIXED: Plan = Plan { percentiles: true, counted: true, ..NO_PLAN };
const MIXED_LARGE: Plan = Plan { percentiles: true, no_interpreter: true, ..NO_PLAN };

// === many ===

/// `rules` rules of three conditions; the one at three quarters allows.
fn many(id: &str, rules: usize) -> anyhow::Result<Row> {
    let plan = Plan { pinned: rules == 1_000, counted: rules <= 1_000, ..NO_PLAN };
    row(id, &many_rules(rules), vec![many_question(rules)], plan)
}

fn many_rules(rules: usize) -> Vec<Rule> {
    let conditions = |number: usize| {
        vec![
            Condition::Is(Field::Action, format!("act:{number}")),
            Condition::Is(Field::Role, format!("role{}", number % 17)),
            Condition::AtLeast(Field::Trust, small_number(7 * number % 900)),
        ]
    };
    (0..rules).map(|number| Rule(conditions(number))).collect()
}

fn many_question(rules: usize) -> Question {
    let number = rules * 3 / 4;
    Question::new(number, format!("act:{number}"), format!("role{}", number % 17))
}

/// The same with one condition a rule. All actions are equally long, because `agentmesh` also denies what begins like an
/// action that another rule allows.
fn many1(id: &str, rules: usize) -> anyhow::Result<Row> {
    let action = |number: usize| format!("act:{number:05}");
    let all: Vec<Rule> = (0..rules).map(|number| Rule(vec![Condition::Is(Field::Action, action(number))])).collect();
    let number = rules * 3 / 4;
    row(id, &all, vec![Question::new(number, action(number), format!("role{}", number % 17))], NO_PLAN)
}

// === First match ===

/// What is common to both forms: the numbers of all rules that hold. A last one holds for every action, so that order
/// decides.
fn matches(rules: usize) -> String {
    let mut policy = String::new();
    for (number, rule) in many_rules(rules).iter().enumerate() {
        // Writing to a string can't fail.
        let _ = write!(policy, "\nmatched contains {number} if {{\n{}}}\n", rule.rego());
    }
    let _ = write!(policy, "\nmatched contains {rules} if startswith(input.action, \"act:\")\n");
    policy
}

/// The first rule that holds decides: those with an even number allow, the others deny.
fn ordered(rules: usize) -> anyhow::Result<Row> {
    let outcome = |number: usize| if number.is_multiple_of(2) && number != rules { "\"allow\"" } else { "\"deny\"" };
    let outcomes: Vec<&str> = (0..=rules).map(outcome).collect();
    let outcomes = outcomes.join(", ");
    let head = format!("outcomes := [{outcomes}]\n\ndecision := outcomes[min(matched)]\n");
    in_rego("first_match_1000", &format!("{HEAD}{head}{}", matches(rules)), rules)
}

/// Whether any rule holds decides.
fn set_form(rules: usize) -> anyhow::Result<Row> {
    let head = "decision := \"allow\" if count(matched) > 0\n";
    in_rego("set_form_1000", &format!("{HEAD}{head}{}", matches(rules)), rules)
}

const HEAD: &str = "package meshguard\n\ndefault decision := \"deny\"\n\n";

fn in_rego(id: &str, policy: &str, rules: usize) -> anyhow::Result<Row> {
    const NO_RANKS: &str = "rules have no order and no number there";
    let question = many_question(rules);
    Ok(Row {
        case: Case { name: id.into(), bundle: bundle(policy, None)?, asks: vec![question.ask(Effect::Allow)?] },
        flat: vec![question.flat()],
        cedar: Err(NO_RANKS),
        entities: json!([]),
        agt: Err(AGT_ONE_CONDITION),
        agentmesh: Err(AGENTMESH_EQUALITY),
        plan: NO_PLAN,
    })
}

// === mixed ===

/// Rules of many shapes. Three in ten have a part that no index over constants takes, and every second one a negation.
/// No two allow the same question.
pub fn mixed_rules(rules: usize) -> Vec<Rule> {
    (0..rules).map(mixed_rule).collect()
}

fn mixed_rule(number: usize) -> Rule {
    use Condition::{AtLeast, Below, Fits, Glob, Is, Not, OneOf, Prefix, Same};
    let action = Is(Field::Action, format!("act:{number}"));
    let texts = |name: &str, modulus: usize| (0..3).map(|add| format!("{name}{}", (number + add) % modulus)).collect();
    let level = small_number(7 * number % 900 + 1);
    let mut conditions = match number % 10 {
        0 => vec![action, Is(Field::Role, format!("role{}", number % 17)), AtLeast(Field::Trust, level)],
        1 => vec![action, OneOf(Field::Role, texts("role", 17))],
        2 => vec![
            Prefix(Field::Resource, format!("file:/srv/p{number}/")),
            Is(Field::Team, format!("team{}", number % 5)),
        ],
        3 => vec![Glob(Field::Action, format!("svc{number}"), "read".into()), AtLeast(Field::Trust, level)],
        4 => vec![action, Below(Field::Size, level)],
        5 => vec![action, Same(Field::Owner, Field::User)],
        6 => vec![
            OneOf(Field::Action, vec![format!("get:{number}"), format!("put:{number}")]),
            AtLeast(Field::Trust, level),
        ],
        7 => vec![action, Fits],
        8 => vec![action, Same(Field::Owner, Field::User), AtLeast(Field::Trust, level)],
        _ => vec![action, OneOf(Field::Team, texts("team", 11))],
    };
    // By tens and ones, so that each shape is met with and without.
    if (number / 10 + number).is_multiple_of(2) {
        let negated = match number % 3 {
            0 => Is(Field::Role, "guest".into()),
            1 => OneOf(Field::Team, vec!["contractors".into(), "visitors".into()]),
            _ => Prefix(Field::Resource, "file:/etc/".into()),
        };
        conditions.push(Not(Box::new(negated)));
    }
    Rule(conditions)
}

/// A question that no rule allows as it stands.
pub fn mixed_question(number: usize) -> Question {
    let more = More {
        team: format!("team{}", number % 11),
        owner: format!("owner-{}", number % 101),
        user: format!("user-{}", number % 103),
        size: small_number(number % 500),
        used: small_number(number % 300),
        quota: small_number(number % 700),
    };
    let resource = format!("file:/data/{number}.csv");
    let trust = small_number(number * 13 % 1_000);
    Question {
        resource,
        trust,
        more: Some(more),
        ..Question::new(number, "none".into(), format!("role{}", number % 17))
    }
}

/// Of each two questions, a rule allows one, and the other fails one of a rule's conditions.
fn mixed_questions(rules: usize, count: usize) -> Vec<Question> {
    let question = |at: usize| {
        let number = at * STRIDE % count;
        let mut question = mixed_question(number);
        let rule = mixed_rule(number / 2 * 7 % rules);
        rule.satisfy(&mut question);
        if !number.is_multiple_of(2) {
            rule.violate(number / 2, &mut question);
        }
        question
    };
    (0..count).map(question).collect()
}

// === small ===

fn small() -> anyhow::Result<Row> {
    let case = Case::small()?;
    let mut question = Question::new(0, "act:0".into(), "role0".into());
    question.number = 0;
    let role = |id: &str, actions: Value| json!({ "uid": { "type": "Role", "id": id }, "attrs": { "actions": actions }, "parents": [] });
    let mut flat = question.flat();
    flat.insert("role".into(), json!({ "__entity": { "type": "Role", "id": "role0" } }));
    let policy = r#"permit(principal, action, resource) when {
    context.role.actions.contains(context.action) && context.trust >= 700 && !(context.resource like "file:/etc/*")
};"#;
    Ok(Row {
        case,
        flat: vec![flat],
        cedar: Ok(policy.into()),
        entities: json!([
            role("role0", json!(["act:3", "act:4", "act:0"])),
            role("role1", json!(["act:1", "act:2"])),
            role("role2", json!([])),
        ]),
        agt: Err("AGT's rules don't look up data"),
        agentmesh: Err("agentmesh's rules don't look up data"),
        plan: Plan { counted: true, ..NO_PLAN },
    })
}

// === All ===

/// A row of rules that allow, over a default that denies.
fn row(id: &str, rules: &[Rule], questions: Vec<Question>, plan: Plan) -> anyhow::Result<Row> {
    let mut policy = HEAD.trim_end().to_owned() + "\n";
    for rule in rules {
        // Writing to a string can't fail.
        let _ = write!(policy, "\ndecision := \"allow\" if {{\n{}}}\n", rule.rego());
    }
    let effect = |question: &Question| match rules.iter().any(|rule| rule.holds(question)) {
        true => Effect::Allow,
        false => Effect::Deny,
    };
    let asks = questions.iter().map(|question| question.ask(effect(question)));
    let case = Case { name: id.into(), bundle: bundle(&policy, None)?, asks: asks.collect::<anyhow::Result<_>>()? };
    Ok(Row {
        case,
        flat: questions.iter().map(Question::flat).collect(),
        cedar: Ok(rules.iter().map(Rule::cedar).collect()),
        entities: json!([]),
        agt: agt(rules),
        agentmesh: agentmesh(rules),
        plan,
    })
}

/// JSON is YAML.
fn agt(rules: &[Rule]) -> Said {
    let rules = rules.iter().enumerate().map(|(number, rule)| rule.agt(number));
    let rules = rules.collect::<anyhow::Result<Vec<_>>>().map_err(|_| AGT_ONE_CONDITION)?;
    Ok(json!({ "version": "1.0", "name": "rows", "rules": rules, "defaults": { "action": "deny" } }).to_string())
}

/// AGT's Rust crate allows by default, so that a last rule has to deny.
fn agentmesh(rules: &[Rule]) -> Said {
    let rules = rules.iter().enumerate().map(|(number, rule)| rule.agentmesh(number));
    let mut rules = rules.collect::<anyhow::Result<Vec<_>>>().map_err(|_| AGENTMESH_EQUALITY)?;
    rules.push(json!({ "name": "rest", "type": "capability", "denied_actions": ["*"] }));
    Ok(json!({ "version": "1.0", "agent": "agent-7", "policies": rules }).to_string())
}

/// A bundle of one policy.
pub(crate) fn bundle(policy: &str, data: Option<&str>) -> anyhow::Result<Bundle> {
    let mut files = BTreeMap::from([("policy.rego".to_owned(), Bytes::copy_from_slice(policy.as_bytes()))]);
    if let Some(data) = data {
        files.insert("data.json".to_owned(), Bytes::copy_from_slice(data.as_bytes()));
    }
    Ok(Bundle::from_files(files)?)
}

/// Numbers made here are far below any bound.
fn small_number(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_mixed_reaches_the_default_and_no_request_comes_twice() {
        let row = by_id("mixed", false, None).unwrap().unwrap();
        let allowed = row.case.asks.iter().filter(|ask| ask.effect == Effect::Allow).count();
        assert_eq!((row.case.asks.len(), allowed), (MIXED_REQUESTS, MIXED_REQUESTS / 2));
        let distinct: std::collections::BTreeSet<_> = row.case.asks.iter().map(|ask| &ask.json).collect();
        assert_eq!(distinct.len(), MIXED_REQUESTS);
    }

    #[test]
    fn half_of_the_mixed_rules_negate_and_no_two_allow_the_same() {
        let rules = mixed_rules(1_000);
        let negated = |rule: &&Rule| rule.0.iter().any(|condition| matches!(condition, Condition::Not(_)));
        assert_eq!(rules.iter().filter(negated).count(), 500);
        for question in mixed_questions(1_000, 512) {
            assert!(rules.iter().filter(|rule| rule.holds(&question)).count() <= 1, "{question:?}");
        }
    }
}
