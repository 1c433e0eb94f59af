//! Panics that a test asks for: how else would one show that none gets out?
//!
//! Each place that may panic counts as a point, and a thread can have its panic at the n-th.

use std::cell::Cell;

thread_local! {
    static LEFT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// A bundle with a file of this name panics while it is loaded, at the point that the file's text numbers. A load runs on a
/// thread of its own.
pub(crate) const FILE: &str = "panic.rego";

/// Lets this thread panic at its `n`-th point from here, counted from 0. Gives back whether it was still waiting for one.
pub(crate) fn panic_at(n: Option<u64>) -> bool {
    LEFT.replace(n).is_some()
}

/// A point.
pub(crate) fn point() {
    match LEFT.get() {
        None => {}
        Some(0) => {
            LEFT.set(None);
            panic!("asked for by a test");
        }
        Some(left) => LEFT.set(Some(left - 1)),
    }
}

/// The points of a load, if the bundle has the file.
pub(crate) fn arm(bundle: &crate::bundle::Bundle) {
    if let Some(text) = bundle.files.get(FILE).and_then(|body| std::str::from_utf8(body).ok()) {
        panic_at(text.lines().next().and_then(|line| line.strip_prefix("# ")?.parse().ok()));
    }
}

/// A panic anywhere is a deny or a refusal with a reason, and whatever comes next works.
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::bundle::{BuiltinErrors, Bundle, Target, VerifiedBundle};
    use crate::store::{FloorFiles, MemoryStore, Store};
    use crate::{Decision, Engine, Error, ManualClock, ReasonCode, Refusal, SigningKey, Stage};

    const NOW_MS: i64 = 1_800_000_000_000;
    const ALLOWED: &[u8] = br#"{"actor":{"id":"a"},"action":"files.read","context":{"labels":["public"]}}"#;
    const DENIED: &[u8] = br#"{"actor":{"id":"a"},"action":"files.read","context":{"labels":["secret"]}}"#;
    const POLICY: &str = "package meshguard
default decision := false
decision if {
    input.action == \"files.read\"
    every label in input.context.labels { allowed(label) }
}
allowed(label) if not regex.match(`^s`, label)
";
    /// One example: loads panic within it, too.
    const EXAMPLES: &str = r#"[{"name":"a","input":{"action":"files.read","context":{"labels":[]}},"effect":"allow"}]"#;

    struct Scene {
        key: SigningKey,
        store: Arc<MemoryStore>,
    }

    impl Scene {
        fn new() -> Self {
            Self { key: SigningKey::generate().unwrap(), store: Arc::new(MemoryStore::new()) }
        }

        fn open(&self) -> Engine {
            Engine::builder("acme")
                .trust(self.key.public().unwrap())
                .clock(Arc::new(ManualClock::at(NOW_MS)))
                .store(Arc::clone(&self.store) as Arc<dyn Store>, FloorFiles::in_memory())
                .open()
                .unwrap()
        }

        /// A bundle whose load panics at its `n`-th point, if any.
        fn bundle(&self, version: u64, panics_at: Option<u64>) -> VerifiedBundle {
            let mut files = vec![("policy.rego", POLICY.to_owned()), ("vectors.json", EXAMPLES.to_owned())];
            files.extend(panics_at.map(|n| (FILE, format!("# {n}\npackage faults\n"))));
            let files = files.into_iter().map(|(path, text)| (path.to_owned(), text.into())).collect();
            let signed = Bundle::from_files(files).unwrap().sign(&Target::new("acme", version, NOW_MS), &self.key);
            VerifiedBundle::new(&signed.unwrap(), &[self.key.public().unwrap()], "acme", "default").unwrap()
        }
    }

    fn assert_works(engine: &Engine, when: &str) {
        assert!(engine.decide_json(ALLOWED).is_allowed(), "{when}");
        let denied = engine.decide_json(DENIED);
        assert!(!denied.is_allowed() && denied.has_reason(ReasonCode::Policy), "{when}: {denied:?}");
    }

    /// Runs `work` with a panic at each of its points in turn, until it has no more; gives what came of each.
    fn with_each_panic<T>(mut work: impl FnMut() -> T) -> Vec<T> {
        let mut results = vec![];
        for n in 0.. {
            panic_at(Some(n));
            let result = work();
            if panic_at(None) {
                break;
            }
            results.push(result);
        }
        results
    }

    #[test]
    fn a_panic_anywhere_in_a_decision_denies() {
        let scene = Scene::new();
        let engine = scene.open();
        engine.apply(&scene.bundle(1, None)).unwrap();
        let decisions: Vec<Decision> = with_each_panic(|| engine.decide_json(ALLOWED));
        // Reading, the document, its context, a few steps at least, the verdict, the record.
        assert!(decisions.len() > 15, "{}", decisions.len());
        for (n, decision) in decisions.iter().enumerate() {
            let last = n + 1 == decisions.len();
            let reason = if last { ReasonCode::AuditUnavailable } else { ReasonCode::Panic };
            assert!(!decision.is_allowed() && decision.has_reason(reason), "at point {n}: {decision:?}");
            assert_eq!(decision.recorded, !last, "at point {n}");
        }
        assert_works(&engine, "after the panics");
    }

    #[test]
    fn a_panic_anywhere_in_an_evaluation_is_an_error() {
        let scene = Scene::new();
        let engine = scene.open();
        engine.apply(&scene.bundle(1, None)).unwrap();
        let input = std::str::from_utf8(ALLOWED).unwrap();
        let evaluations =
            with_each_panic(|| engine.evaluate("data.meshguard.decision", input, BuiltinErrors::Deny).map(|_| ()));
        assert!(evaluations.len() > 10, "{}", evaluations.len());
        for (n, evaluation) in evaluations.iter().enumerate() {
            assert!(matches!(evaluation, Err(Error::Internal(why)) if why.contains("panicked")), "at point {n}");
        }
        assert_works(&engine, "after the panics");
    }

    #[test]
    fn a_panic_anywhere_in_a_load_is_a_refusal_that_lasts() {
        let scene = Scene::new();
        let engine = scene.open();
        engine.apply(&scene.bundle(1, None)).unwrap();
        let refused = |engine: &Engine, bundle: &VerifiedBundle| -> Option<Refusal> {
            match engine.apply(bundle) {
                Ok(_) => None,
                Err(Error::Refused(refusal)) => Some(refusal),
                Err(other) => panic!("{other}"),
            }
        };
        let mut stages = vec![];
        let mut version = 2;
        while let Some(refusal) = refused(&engine, &scene.bundle(version, Some(version - 2))) {
            // Within the bundle's own examples it is a decision that panics.
            let is_right = match refusal.stage {
                Stage::Compile => refusal.code == "panic" && refusal.detail.contains("the compiler panicked"),
                Stage::Smoke => refusal.code == "vector" && refusal.detail.contains("panic"),
                _ => false,
            };
            assert!(is_right, "at point {}: {refusal}", version - 2);
            assert_works(&engine, "after the panic");
            stages.push(refusal.stage);
            version += 1;
        }
        assert!(stages.contains(&Stage::Compile) && stages.contains(&Stage::Smoke), "{stages:?}");
        assert!(version > 10, "{version}");
        assert_eq!(engine.status().revision.map(|revision| revision.version), Some(version), "the one without a panic");

        let panics = scene.bundle(version + 1, Some(0));
        assert_eq!(refused(&engine, &panics).map(|refusal| refusal.code).as_deref(), Some("panic"));
        drop(engine);
        let engine = scene.open();
        assert_eq!(engine.status().revision.map(|revision| revision.version), Some(version));
        assert_eq!(engine.admit(panics.envelope().clone()).unwrap_err().code, "panic", "it isn't even tried again");
        assert_works(&engine, "after a restart");
    }
}
