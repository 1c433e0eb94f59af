//! Policies, and what they are asked.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use bytes::Bytes;
use meshguard_engine::{Bundle, Effect, Request};

/// How far apart neighbours of the agent's request file are asked; shares no factor with its 564 lines. The file goes
/// family by family, and a sample of neighbours would measure one family.
const STRIDE: usize = 397;

/// A policy and the requests that it is asked in turn.
pub struct Case {
    /// For criterion's ids, such as `many_100`.
    pub name: String,
    /// The policy and its data.
    pub bundle: Bundle,
    /// Never empty.
    pub asks: Vec<Ask>,
}

/// One request and its answer.
pub struct Ask {
    /// As a host sends it.
    pub json: Vec<u8>,
    /// The same, read.
    pub request: Request,
    /// What the policy answers.
    pub effect: Effect,
}

impl Case {
    /// The policies of `decide` and `evaluate`, small to large.
    ///
    /// # Errors
    /// The example can't be read; the others are made here.
    pub fn all() -> anyhow::Result<Vec<Self>> {
        let many = [10, 100, 1_000].map(Self::many);
        let mut cases = vec![Self::small()?];
        cases.extend(many.into_iter().collect::<anyhow::Result<Vec<_>>>()?);
        cases.push(Self::agent_tools()?);
        Ok(cases)
    }

    /// The cheapest policy there is: what it costs isn't evaluation.
    ///
    /// # Errors
    /// The policy is no bundle: a mistake in this file.
    pub fn constant() -> anyhow::Result<Self> {
        let policy = "package meshguard\n\ndecision := true\n";
        Self::new("constant", &[("policy.rego", policy)], vec![ask(0, Effect::Allow)?])
    }

    /// One rule with a join, a threshold and a negation.
    ///
    /// # Errors
    /// The policy is no bundle: a mistake in this file.
    pub fn small() -> anyhow::Result<Self> {
        let policy = r#"package meshguard

default decision := "deny"

decision := "allow" if {
	input.action in data.roles[input.context.agent.role].actions
	input.context.agent.trust >= 700
	not startswith(input.resource, "file:/etc/")
}
"#;
        let data = r#"{"roles": {
            "role0": {"actions": ["act:3", "act:4", "act:0"]},
            "role1": {"actions": ["act:1", "act:2"]},
            "role2": {"actions": []}
        }}"#;
        let files = [("policy.rego", policy), ("data.json", data)];
        Self::new("small", &files, vec![ask(0, Effect::Allow)?])
    }

    /// `rules` rules, each of three conditions, of which the one at three quarters holds.
    ///
    /// # Errors
    /// The policy is no bundle: a mistake in this file.
    pub fn many(rules: usize) -> anyhow::Result<Self> {
        let asks = vec![ask(rules * 3 / 4, Effect::Allow)?];
        Self::new(&format!("many_{rules}"), &[("policy.rego", &many_rules(rules))], asks)
    }

    /// 1,000 rules and data, about a mebibyte in all: what a large tenant's edge keeps on its disk.
    ///
    /// # Errors
    /// The policy is no bundle: a mistake in this file.
    pub fn mebibyte() -> anyhow::Result<Self> {
        let (policy, data) = (many_rules(1_000), directory(9_500));
        let files = [("policy.rego", policy.as_str()), ("data.json", &data)];
        Self::new("mebibyte", &files, vec![ask(750, Effect::Allow)?])
    }

    /// The example's policy and requests: real ones, of every family of tools.
    ///
    /// # Errors
    /// The example can't be read, or its requests and its answers don't pair.
    pub fn agent_tools() -> anyhow::Result<Self> {
        let example = example();
        let read = |name: &str| fs::read_to_string(example.join(name)).with_context(|| format!("reading {name}"));
        let (requests, answers) = (read("requests.jsonl")?, read("expected.jsonl")?);
        let pairs: Vec<_> = requests.lines().zip(answers.lines()).collect();
        ensure!(!pairs.is_empty(), "the example has no requests");
        let spread = (0..pairs.len()).filter_map(|at| pairs.get(at * STRIDE % pairs.len()));
        let asks = spread.map(|(request, answer)| expected(request, answer));
        Ok(Self {
            name: "agent_tools".into(),
            bundle: Bundle::from_dir(&example.join("policy"))?,
            asks: asks.collect::<anyhow::Result<_>>()?,
        })
    }

    /// Whose turn it is, without end.
    #[expect(clippy::expect_used, reason = "a case is never without a request")]
    pub fn turns<'a>(&'a self) -> impl FnMut() -> &'a Ask {
        let mut asks = self.asks.iter().cycle();
        move || asks.next().expect("a case has a request")
    }

    fn new(name: &str, files: &[(&str, &str)], asks: Vec<Ask>) -> anyhow::Result<Self> {
        let files = files.iter().map(|(path, body)| ((*path).to_owned(), Bytes::copy_from_slice(body.as_bytes())));
        Ok(Self { name: name.to_owned(), bundle: Bundle::from_files(files.collect())?, asks })
    }
}

impl Ask {
    fn new(json: &str, effect: Effect) -> anyhow::Result<Self> {
        Ok(Self { request: Request::from_json(json.as_bytes())?, json: json.into(), effect })
    }
}

/// The request that rule `number` of [`many_rules`] allows.
fn ask(number: usize, effect: Effect) -> anyhow::Result<Ask> {
    let role = number % 17;
    let json = format!(
        r#"{{"request_id":"req-{number:06}","actor":{{"id":"agent-7"}},"action":"act:{number}","resource":"file:/srv/reports/2026.csv","context":{{"agent":{{"role":"role{role}","trust":950}},"session":"s-19"}}}}"#
    );
    Ask::new(&json, effect)
}

fn expected(request: &str, answer: &str) -> anyhow::Result<Ask> {
    let answer: serde_json::Value = serde_json::from_str(answer)?;
    let effect = answer.pointer("/v1/effect").and_then(serde_json::Value::as_str);
    let effect = effect.and_then(Effect::from_policy).context("an answer has no effect")?;
    let ask = Ask::new(request, effect)?;
    let id = answer.get("request_id").and_then(serde_json::Value::as_str);
    ensure!(id == Some(&ask.request.request_id), "{id:?} answers another request");
    Ok(ask)
}

fn many_rules(rules: usize) -> String {
    let mut policy = "package meshguard\n\ndefault decision := \"deny\"\n".to_owned();
    for number in 0..rules {
        let (role, trust) = (number % 17, 7 * number % 900);
        // Writing to a string can't fail.
        let _ = write!(
            policy,
            r#"
decision := "allow" if {{
	input.action == "act:{number}"
	input.context.agent.role == "role{role}"
	input.context.agent.trust >= {trust}
}}
"#
        );
    }
    policy
}

/// A directory of people, about 100 bytes each, as a tenant's data would hold it.
fn directory(people: usize) -> String {
    let entry = |number: usize| {
        let (team, office) = (number % 41, number % 7);
        format!(
            r#""person-{number:05}":{{"team":"team-{team}","office":"office-{office}","groups":["staff","on-call"],"clearance":{office}}}"#
        )
    };
    let entries: Vec<String> = (0..people).map(entry).collect();
    format!(r#"{{"directory":{{{}}}}}"#, entries.join(","))
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/agent-tools")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Served;

    #[test]
    fn every_policy_answers_as_expected() {
        let mut cases = Case::all().unwrap();
        cases.retain(|case| case.name != "many_1000");
        cases.push(Case::constant().unwrap());
        for case in cases {
            Served::open(&case).unwrap().finish().unwrap();
        }
    }

    #[test]
    fn a_mebibyte_is_about_one() {
        let bytes: usize = Case::mebibyte().unwrap().bundle.files.values().map(Bytes::len).sum();
        assert!((1_000_000..1_100_000).contains(&bytes), "{bytes} bytes");
    }
}
