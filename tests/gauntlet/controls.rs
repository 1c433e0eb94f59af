//! Children that do what the judge is there to see, and some that don't quite.

use crate::case::{Asked, Case, Misdeed, request};

fn doing(name: &str, misdeed: Misdeed) -> Case {
    Case::policy(&format!("control: {name}"), || "decision := true".into())
        .asked(move || vec![Asked::Misdeed(misdeed), request(&serde_json::json!({}))])
}

/// Misdeeds, each with what must be said of it.
pub(crate) fn cases() -> Vec<(Case, &'static str)> {
    let allows = |name: &str, rules: &'static str| Case::policy(&format!("control: {name}"), || rules.to_owned());
    vec![
        (doing("answers after 150 ms", Misdeed::AnswersLate(150)), "answered after 1"),
        (doing("grows by 80 MiB", Misdeed::Grows(80)), "grew by"),
        (doing("takes all memory", Misdeed::TakesAll), "the process died"),
        (doing("aborts", Misdeed::Aborts), "the process died"),
        (doing("panics", Misdeed::Panics), "the process died"),
        (doing("uses its stack up", Misdeed::UsesItsStackUp), "the process died"),
        (doing("hangs", Misdeed::Hangs), "the process died"),
        (allows("allows", "decision := true").denied("policy", ""), "allow for"),
        (allows("denies", "decision := false"), "deny for policy"),
        (allows("is served", "decision := true").refused("size", ""), "isn't refused"),
        (allows("is refused", "decision := nope(1)"), "is refused"),
        (allows("is refused otherwise", "decision := nope(1)").refused("size", ""), "refused otherwise"),
        (allows("says something else", "decision := 1").denied("invalid_decision", "two"), "not Denied"),
    ]
}

/// What stays within the limits.
pub(crate) fn innocent() -> Vec<Case> {
    vec![doing("answers after 50 ms", Misdeed::AnswersLate(50)), doing("grows by 40 MiB", Misdeed::Grows(40))]
}
