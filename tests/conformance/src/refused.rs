//! What the engine may refuse: `refused.txt`, which names each case with the reason. It can only be wrong loudly: what isn't
//! on it has to pass, and what is on it must not.

use std::collections::{BTreeMap, BTreeSet};

use crate::case::{Case, Version};
use crate::verdict::Verdict;

/// The checked-in list.
pub const LIST: &str = include_str!("../refused.txt");

/// Why a case is refused: the engine's code for it, and a reason for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    pub code: String,
    pub text: String,
}

/// By syntax and note. Cases that share a note share the reason.
pub type Refused = BTreeMap<(Version, String), Reason>;

/// Reads a list: version, note, code and reason, with tabs between; `#` begins a line for people.
///
/// # Errors
/// Each line that isn't such, or stands twice.
pub fn read(list: &str) -> Result<Refused, Vec<String>> {
    let mut refused = Refused::new();
    let mut problems = vec![];
    for line in list.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match entry(line) {
            Some((case, reason)) => {
                if refused.insert(case, reason).is_some() {
                    problems.push(format!("stands twice: {line}"));
                }
            }
            None => problems.push(format!("not a version, a note, a code and a reason, with tabs between: {line}")),
        }
    }
    if problems.is_empty() { Ok(refused) } else { Err(problems) }
}

fn entry(line: &str) -> Option<((Version, String), Reason)> {
    let [version, note, code, text] = <[&str; 4]>::try_from(line.split('\t').collect::<Vec<_>>()).ok()?;
    let version = match version {
        "v0" => Version::V0,
        "v1" => Version::V1,
        _ => return None,
    };
    let filled = [note, code, text].iter().all(|part| !part.trim().is_empty());
    filled.then(|| ((version, note.to_owned()), Reason { code: code.to_owned(), text: text.to_owned() }))
}

/// A line of the list, with what the engine itself says as the reason: its first one, without the place.
pub fn line(case: &Case, code: &str, message: &str) -> String {
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let message =
        message.split_once("line ").and_then(|(_, rest)| rest.split_once(": ")).map_or(&*message, |(_, rest)| rest);
    let message = message.split("; ").next().unwrap_or(message);
    format!("{}\t{}\t{code}\t{message}", case.rego.as_str(), case.case.note)
}

/// What doesn't hold: wrong answers, and each difference between what is refused and the list.
pub fn problems(results: &[(&Case, Verdict)], refused: &Refused) -> Vec<String> {
    let mut problems = vec![];
    let mut met = BTreeSet::new();
    for (case, verdict) in results {
        let name = format!("{} {:?}", case.topic(), case.case.note);
        let key = (case.rego, case.case.note.clone());
        let reason = refused.get(&key);
        met.insert(key);
        match (verdict, reason) {
            (Verdict::Wrong(what), _) => problems.push(format!("wrong: {name}: {what}")),
            (Verdict::Passed, Some(_)) => problems.push(format!("passes, take it off refused.txt: {name}")),
            (Verdict::Refused { code, message }, None) => {
                problems.push(format!("refused, and not on refused.txt: {name}: {code}: {message}"));
            }
            (Verdict::Refused { code, message }, Some(reason)) if *code != reason.code => {
                problems.push(format!("refused, not for {}: {name}: {code}: {message}", reason.code));
            }
            (Verdict::Passed, None) | (Verdict::Refused { .. }, Some(_)) => {}
        }
    }
    let unmet = refused.keys().filter(|key| !met.contains(key));
    problems.extend(unmet.map(|(version, note)| format!("on refused.txt, and no case: {} {note:?}", version.as_str())));
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(note: &str) -> Case {
        serde_json::from_str(&format!(r#"{{"rego": "v1", "folder": "f", "case": {{"note": {note:?}, "query": ""}}}}"#))
            .unwrap()
    }

    fn refusal(code: &str) -> Verdict {
        Verdict::Refused { code: code.to_owned(), message: String::new() }
    }

    #[test]
    fn each_difference_is_a_problem() {
        let list = read("# people\n\nv1\ta\tbuiltin\tno network\nv1\tb\tbuiltin\tno network\n").unwrap();
        let [a, b, c] = ["a", "b", "c"].map(case);
        let kinds = |results: &[(&Case, Verdict)]| -> Vec<String> {
            let problems = problems(results, &list);
            problems.iter().filter_map(|problem| problem.split([':', ',']).next().map(str::to_owned)).collect()
        };
        let as_listed = || vec![(&a, refusal("builtin")), (&b, refusal("builtin"))];
        assert_eq!(kinds(&as_listed()), [""; 0]);
        assert_eq!(kinds(&[as_listed(), vec![(&c, Verdict::Passed)]].concat()), [""; 0]);
        assert_eq!(kinds(&[as_listed(), vec![(&c, refusal("builtin"))]].concat()), ["refused"]);
        assert_eq!(kinds(&[as_listed(), vec![(&c, Verdict::Wrong(String::new()))]].concat()), ["wrong"]);
        assert_eq!(kinds(&[(&a, refusal("size")), (&b, Verdict::Passed)]), ["refused", "passes"]);
        assert_eq!(kinds(&[(&a, refusal("builtin"))]), ["on refused.txt"]);
        // One of two cases with the same note.
        assert_eq!(kinds(&[as_listed(), vec![(&a, Verdict::Passed)]].concat()), ["passes"]);
    }

    #[test]
    fn a_line_for_the_list() {
        let line = line(&case("a"), "builtin", "x.rego: line 5: `f` isn't\navailable: no; line 6: `g` isn't either");
        assert_eq!(line, "v1\ta\tbuiltin\t`f` isn't available: no");
        assert_eq!(read(&line).unwrap().len(), 1);
    }

    #[test]
    fn lists_that_are_not() {
        for list in ["v1\ta\tbuiltin", "v2\ta\tbuiltin\tx", "v1\ta\tbuiltin\t ", "v1\ta\tb\tc\nv1\ta\tb\tc"] {
            assert_eq!(read(list).unwrap_err().len(), 1, "{list}");
        }
    }
}
