//! Twenty thousand answers about generated policies, each held against OPA's.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use meshguard_differential::engines::Engine;
use meshguard_differential::run::{Plan, run};
use meshguard_differential::{client, report, skip};

#[test]
fn generated_policies_get_opa_s_answers() {
    let folder = match client::folder() {
        Ok(folder) => folder,
        Err(why) => return skip("answers to generated policies", &why),
    };
    // One set of policies that never changes, and one that changes with the oracle.
    let mut hasher = DefaultHasher::new();
    folder.file_name().hash(&mut hasher);
    for seed in [1, hasher.finish()] {
        let plan = Plan {
            engine: Engine::Ours,
            oracles: 2,
            seed,
            evaluations: 10_000,
            inputs: 50,
            strict: false,
            shrunk: 3,
            tries: 1500,
        };
        let summary = run(&plan, &|found| println!("{}", report::text(found))).unwrap();
        let problems = summary.problems();
        assert!(
            problems.is_empty(),
            "seed {seed}: {}\n{}",
            problems.join("; "),
            summary.mismatches.iter().map(report::text).collect::<String>()
        );
        // The policies are worth asking: what they answer is of every kind.
        for kind in ["value", "undefined", "true", "false", "eval_conflict_error"] {
            assert!(summary.kinds.get(kind).is_some_and(|count| *count > 50), "{kind}: {:?}", summary.kinds);
        }
        for code in ["rego_parse_error", "rego_unsafe_var_error", "rego_type_error", "rego_compile_error"] {
            assert!(summary.refused.contains_key(code), "{code}: {:?}", summary.refused);
        }
        println!("seed {seed}\n{}", report::summary(&summary, 1.0));
    }
}
