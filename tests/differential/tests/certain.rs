//! Answers that are certain although data isn't held, each held against OPA's answers with what that data may be.

use meshguard_differential::unknowns_run::{Plan, run};
use meshguard_differential::{client, report, skip};

#[test]
fn certain_answers_hold_whatever_the_data_is() {
    if let Err(why) = client::folder() {
        return skip("certain answers to generated policies", &why);
    }
    let plan = Plan { oracles: 2, seed: 1, certain: 1500, inputs: 20, completions: 200, shrunk: 3, tries: 1500 };
    let summary = run(&plan, &|found| println!("{}", report::uncertain(found))).unwrap();
    let found: String = summary.mismatches.iter().map(report::uncertain).collect();
    assert_eq!(summary.mismatched, 0, "{found}");
    assert!(summary.lost.is_empty(), "{:?}", summary.lost);
    // The data matters: of the same policies, other answers are uncertain.
    assert!(summary.checked.beside_uncertain > 50 && summary.checked.narrowed > 50, "{:?}", summary.checked);
    println!("{}", report::unknowns(&summary, 1.0));
}
