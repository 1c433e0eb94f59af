//! The child process: two engines that serve a benign bundle; one of them is attacked.

use std::time::Duration;

use harness::{Scene, bundle};
use meshguard_engine::bundle::BuiltinErrors;
use meshguard_engine::{Bundle, Decision, Engine, Error, Request, VerifiedBundle};
use serde_json::{Value, json};

use crate::case::{Asked, Case, Misdeed};
use crate::measure::{forget_peak, limit, peak, process_time, resident, thread_time};

/// The environment variable that names the case.
pub(crate) const NAME: &str = "MESHGUARD_GAUNTLET";

/// What the line with the result begins with.
pub(crate) const RESULT: &str = "gauntlet: ";

/// What the threads of small hosts have.
const STACK: usize = 128 << 10;

const ADDRESS_SPACE: u64 = 2 << 30;

/// Far more than any case may take: what hangs is ended.
const CPU_SECONDS: u64 = 5;

/// Runs a case and prints what came of it.
pub(crate) fn run(case: &Case) {
    limit(ADDRESS_SPACE, CPU_SECONDS);
    let (scene, bystander) = (Scene::new(), Scene::new());
    let (files, asked) = ((case.files)(), (case.asked)());
    let hostile = Bundle::from_files(files).map(|bundle| scene.publisher.verified(bundle, 2));
    let result = std::thread::scope(|scope| {
        let attacked = || attack(&scene, &bystander, hostile.map_err(Error::from), &asked);
        std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, attacked).unwrap().join()
    });
    println!("{RESULT}{}", result.expect("the thread ends well"));
}

fn attack(scene: &Scene, bystander: &Scene, hostile: Result<VerifiedBundle, Error>, asked: &[Asked]) -> Value {
    let (engine, bystander) = (scene.serving(benign()), bystander.serving(benign()));
    check(&engine, "before");
    check(&bystander, "before, beside it");
    forget_peak();
    let resident_before = resident();

    let started = process_time();
    let applied = hostile.and_then(|hostile| engine.apply(&hostile));
    let load = process_time() - started;
    let answers: Vec<Value> = match &applied {
        Ok(_) => asked.iter().map(|asked| answer(&engine, asked)).collect(),
        Err(_) => {
            check(&engine, "after the refusal");
            vec![]
        }
    };
    let grown = peak().saturating_sub(resident_before);

    check(&bystander, "after, beside it");
    if applied.is_ok() {
        engine.apply(&scene.publisher.verified(benign(), 3)).unwrap();
    }
    check(&engine, "after");
    let refused = applied.err().map(|error| match error {
        Error::Refused(refusal) => json!({ "code": refusal.code, "says": refusal.to_string() }),
        other => panic!("not refused, but failed: {other}"),
    });
    json!({ "load_ms": ms(load), "grown_kib": grown, "refused": refused, "answers": answers })
}

fn answer(engine: &Engine, asked: &Asked) -> Value {
    let started = thread_time();
    let (effect, reason, says) = match asked {
        Asked::Request(request) => of_decision(&engine.decide_json(request)),
        Asked::Input(input) => match engine.evaluate("data.meshguard.decision", input, BuiltinErrors::Deny) {
            Ok(evaluation) => (evaluation.verdict.effect.as_str(), "value".to_owned(), String::new()),
            Err(Error::Evaluation { code, detail }) => ("failed", code.to_owned(), detail),
            Err(other) => panic!("{other}"),
        },
        Asked::Misdeed(misdeed) => {
            commit(*misdeed);
            ("allow", String::new(), String::new())
        }
    };
    // Everything that was made for the answer is gone by now.
    json!({ "ms": ms(thread_time() - started), "effect": effect, "reason": reason, "says": says })
}

fn of_decision(decision: &Decision) -> (&'static str, String, String) {
    let reason = &decision.reasons()[0];
    (decision.effect().as_str(), reason.code.as_str().to_owned(), reason.message.clone())
}

fn commit(misdeed: Misdeed) {
    match misdeed {
        Misdeed::AnswersLate(ms) => {
            let started = thread_time();
            while thread_time() - started < Duration::from_millis(ms) {
                std::hint::spin_loop();
            }
        }
        Misdeed::Grows(mib) => drop(std::hint::black_box(vec![1_u8; mib << 20])),
        Misdeed::TakesAll => drop(std::hint::black_box(vec![1_u8; 3 << 30])),
        Misdeed::Aborts => std::process::abort(),
        Misdeed::Panics => panic!("as it was asked to"),
        Misdeed::UsesItsStackUp => assert_ne!(deep(1 << 20), 0),
        Misdeed::Hangs => loop {
            std::hint::spin_loop();
        },
    }
}

fn deep(levels: u64) -> u64 {
    if std::hint::black_box(levels) == 0 { 1 } else { std::hint::black_box(deep(levels - 1)) + 1 }
}

fn benign() -> Bundle {
    bundle(
        r#"
        default decision := false
        decision if {
            input.action == "files.read"
            not "secret" in input.context.labels
            regex.match(`^/srv/[a-z]+$`, input.context.path)
        }
        "#,
    )
}

fn check(engine: &Engine, when: &str) {
    let ask = |path: &str| {
        let context = json!({ "path": path, "labels": ["public"] }).to_string();
        engine.decide(&Request::new("agent-7", "files.read").context(&context).unwrap())
    };
    assert!(ask("/srv/app").is_allowed(), "{when}: the benign bundle doesn't allow");
    let denied = ask("/etc/passwd");
    assert!(!denied.is_allowed() && denied.certain, "{when}: the benign bundle doesn't deny");
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
