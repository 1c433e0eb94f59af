//! Mismatches as people and other tests read them.

use std::fmt::Write as _;

use serde_json::json;

use crate::case::Case;
use crate::compare::{Mismatch, Said};
use crate::run::{Found, Summary};
use crate::tree::Tree;
use crate::unknowns::Uncertain;

/// The reproducer, to be read.
pub fn text(found: &Found) -> String {
    format!("mismatch, policy seed {}\n{}", found.seed, difference(&found.mismatch))
}

/// A case, and what differs.
pub fn difference(mismatch: &Mismatch) -> String {
    let Mismatch { case, strict, ours, opa } = mismatch;
    let strict = if *strict { "(strict builtin errors)\n" } else { "" };
    format!("{}{strict}ours: {}\nOPA:  {}\n", self::case(case), said(ours), said(opa))
}

/// A case, to be read.
pub fn case(case: &Case) -> String {
    let mut out = String::new();
    for (name, module) in case.texts() {
        let syntax = if case.v0 { " (v0)" } else { "" };
        let _ = writeln!(out, "--- {name}{syntax}\n{}", module.trim_end());
    }
    let _ = writeln!(out, "--- data\n{}", case.data.render());
    for input in &case.inputs {
        let _ = writeln!(out, "--- input\n{}", input.render());
    }
    let _ = writeln!(out, "--- {}", case.query);
    out
}

fn said(said: &Said) -> String {
    match said {
        Said::Refused { code, message } => format!("refused, {code}: {message}"),
        Said::Accepted(_) => "accepted".to_owned(),
        Said::Outcome(outcome) => outcome.to_string(),
    }
}

/// The reproducer, as a line of JSON.
pub fn line(found: &Found) -> String {
    let Mismatch { case, strict, ours, opa } = &found.mismatch;
    let data: serde_json::Value = serde_json::from_str(&case.data.render()).unwrap_or_default();
    let line = json!({
        "seed": found.seed,
        "v0": case.v0,
        "modules": case.texts(),
        "data": data,
        "query": case.query,
        "input": case.inputs.first().map(Tree::render),
        "strict": strict,
        "ours": said(ours),
        "opa": said(opa),
    });
    line.to_string()
}

/// The figures of a run.
pub fn summary(summary: &Summary, seconds: f64) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "policies      {}", summary.policies);
    let rate = summary.evaluations as f64 / seconds.max(0.001);
    let _ = writeln!(out, "evaluations   {} ({rate:.0} a second)", summary.evaluations);
    let _ = writeln!(out, "answers       {}", counts(&summary.kinds));
    let _ = writeln!(out, "refused       {}", counts(&summary.refused));
    for (codes, (count, seed)) in &summary.refused_otherwise {
        let _ = writeln!(out, "              of these {count} with another code: {codes} (policy seed {seed})");
    }
    let _ = writeln!(out, "by us alone   {}", counts(&summary.unserved));
    let _ = writeln!(out, "given up      {}", counts(&summary.given_up));
    let _ = writeln!(out, "strict only   {}", counts(&summary.strict));
    let _ = writeln!(out, "OPA unstable  {}, lost {}", summary.unstable, summary.lost.len());
    let _ = writeln!(out, "mismatches    {} policies", summary.mismatched);
    out
}

/// What OPA refused policies for.
pub fn reasons(summary: &Summary) -> String {
    let mut reasons: Vec<_> = summary.reasons.iter().collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(count.0));
    reasons.iter().map(|(reason, (count, seed))| format!("{count:6} {reason} (policy seed {seed})\n")).collect()
}

fn counts<K: std::fmt::Display>(counts: &std::collections::BTreeMap<K, usize>) -> String {
    let mut counts: Vec<(&K, usize)> = counts.iter().map(|(name, count)| (name, *count)).collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let all: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

/// An answer that wasn't certain, to be read.
pub fn uncertain(found: &crate::unknowns_run::Found) -> String {
    let Uncertain { case, ours, opa } = &found.mismatch;
    let mut out = format!("not certain, policy seed {}\n{}", found.seed, self::case(case));
    for remote in &case.remote {
        let completion = remote.completions.first().map(Tree::render).unwrap_or_default();
        let _ = writeln!(
            out,
            "{} not held; with {}",
            remote.root,
            if completion.is_empty() { "nothing" } else { &completion }
        );
    }
    let _ = writeln!(out, "ours: {ours}\nOPA:  {}; strict: {}", opa.lenient, opa.strict);
    out
}

/// The same as a line of JSON.
pub fn uncertain_line(found: &crate::unknowns_run::Found) -> String {
    let Uncertain { case, ours, opa } = &found.mismatch;
    let remote = case.remote.first();
    let line = json!({
        "seed": found.seed,
        "v0": case.v0,
        "modules": case.texts(),
        "data": serde_json::from_str::<serde_json::Value>(&case.data.render()).unwrap_or_default(),
        "query": case.query,
        "input": case.inputs.first().map(Tree::render),
        "remote_root": remote.map(|remote| &remote.root),
        "completion": remote.and_then(|remote| remote.completions.first()).map(Tree::render),
        "ours": ours,
        "opa": opa.lenient.to_string(),
        "opa_strict": opa.strict.to_string(),
    });
    line.to_string()
}

/// The figures of a run about data that isn't held.
pub fn unknowns(summary: &crate::unknowns_run::Summary, seconds: f64) -> String {
    let checked = &summary.checked;
    let mut out = String::new();
    let _ = writeln!(out, "policies      {} ({} refused)", summary.policies, summary.refused);
    let rate = checked.certain as f64 / seconds.max(0.001);
    let _ = writeln!(out, "certain       {} ({rate:.0} a second)", checked.certain);
    let _ =
        writeln!(out, "              {} of them beside uncertain answers of the same policy", checked.beside_uncertain);
    let _ = writeln!(
        out,
        "uncertain     {}, {} of them narrowed down to a few values",
        checked.uncertain, checked.narrowed
    );
    let share = 100.0 * checked.needless as f64 / checked.sampled.max(1) as f64;
    let _ =
        writeln!(out, "needlessly    {share:.1} % of {} uncertain answers: all completions agreed", checked.sampled);
    let _ = writeln!(
        out,
        "strict only   {} completions with which we deny for an error that OPA looks past",
        checked.strict
    );
    let _ = writeln!(out, "OPA too slow  {} completions", checked.timeouts);
    let _ = writeln!(out, "lost          {}", summary.lost.len());
    let _ = writeln!(out, "mismatches    {} policies", summary.mismatched);
    out
}
