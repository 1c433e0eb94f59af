//! All of OPA's conformance cases through the engine: each passes, or is on the list of what is refused.

use meshguard_conformance::case::Case;
use meshguard_conformance::verdict::Verdict;
use meshguard_conformance::{refused, run, skip};

#[test]
fn every_case_passes_or_is_refused_by_name() {
    let cases = match Case::all() {
        Ok(cases) => cases,
        Err(why) => return skip("OPA's conformance cases", &why),
    };
    let results = run::ours(&cases);
    assert_eq!(results.len(), cases.len());
    let passed = results.iter().filter(|(_, verdict)| *verdict == Verdict::Passed).count();
    let refused = refused::read(refused::LIST).unwrap_or_else(|problems| panic!("{}", problems.join("\n")));
    let problems = refused::problems(&results, &refused);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    println!("{passed} of {} cases passed, the others are on refused.txt", cases.len());
}
