//! How a bundle comes to serve, and what never does: signatures, floors, refusals, restarts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

use harness::{NOW_MS, Publisher, Scene, bundle, files};
use meshguard_engine::store::{Batch, Durability, Entry, FloorFiles, Store, StoreError};
use meshguard_engine::{Applied, Digest, Effect, Engine, Error, Request, Revision, Stage, State, Target};

fn effect(engine: &Engine) -> Effect {
    engine.decide(&Request::new("a", "b")).effect()
}

fn allow() -> meshguard_engine::Bundle {
    bundle("decision := true")
}

fn deny() -> meshguard_engine::Bundle {
    bundle("decision := false")
}

fn code(error: Error) -> String {
    match error {
        Error::Refused(refusal) => refusal.code,
        other => panic!("not a refusal: {other}"),
    }
}

fn served(engine: &Engine) -> Option<u64> {
    engine.status().revision.map(|revision: Revision| revision.version)
}

#[test]
fn a_new_version_takes_over_and_an_old_one_never_comes_back() {
    let scene = Scene::new();
    let engine = scene.serving(allow());
    assert!(matches!(engine.apply(&scene.publisher.verified(deny(), 3)), Ok(Applied::Activated { from: Some(_) })));
    assert_eq!(effect(&engine), Effect::Deny);
    for version in [1, 2] {
        let error = engine.apply(&scene.publisher.verified(allow(), version)).unwrap_err();
        assert_eq!(code(error), "rollback");
    }
    let same = engine.apply(&scene.publisher.verified(allow(), 3)).unwrap_err();
    assert_eq!(code(same), "equivocation");
    assert_eq!(engine.apply(&scene.publisher.verified(deny(), 3)).unwrap(), Applied::Unchanged);
    assert_eq!((effect(&engine), served(&engine)), (Effect::Deny, Some(3)));
}

#[test]
fn the_floor_survives_a_restart_and_a_lost_store() {
    let publisher = Publisher::new();
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        let clock = std::sync::Arc::new(meshguard_engine::ManualClock::at(NOW_MS));
        Engine::builder("acme").trust(publisher.public()).state_dir(dir.path()).clock(clock).open().unwrap()
    };
    let engine = open();
    engine.apply(&publisher.verified(allow(), 5)).unwrap();
    drop(engine);
    let engine = open();
    assert_eq!((served(&engine), engine.status().state), (Some(5), State::Cached));
    assert_eq!(effect(&engine), Effect::Allow);
    assert_eq!(code(engine.apply(&publisher.verified(deny(), 4)).unwrap_err()), "rollback");
    drop(engine);

    std::fs::write(dir.path().join("db/CURRENT"), "rubbish").unwrap();
    let engine = open();
    assert!(engine.status().damaged_store.is_some());
    assert_eq!(served(&engine), None);
    assert_eq!(code(engine.apply(&publisher.verified(deny(), 4)).unwrap_err()), "rollback");
    engine.apply(&publisher.verified(allow(), 5)).unwrap();
    assert_eq!(effect(&engine), Effect::Allow);
}

#[test]
fn a_refused_bundle_changes_nothing_and_is_not_tried_again() {
    let scene = Scene::new();
    let engine = scene.serving(allow());
    let broken = scene.publisher.verified(bundle("decision := nope(1)"), 2);
    for _ in 0..2 {
        assert_eq!(code(engine.apply(&broken).unwrap_err()), "rego_type_error");
    }
    assert_eq!(effect(&engine), Effect::Allow);
    assert_eq!(engine.status().behind.unwrap().stage, Stage::Compile);
    drop(engine);
    let engine = scene.open();
    let refusal = engine.admit(broken.envelope().clone()).unwrap_err();
    assert_eq!(refusal.code, "rego_type_error");
    assert_eq!((served(&engine), effect(&engine)), (Some(1), Effect::Allow));
    // The same version number, mended, under another digest, is a new bundle.
    engine.apply(&scene.publisher.verified(deny(), 2)).unwrap();
    assert_eq!((served(&engine), engine.status().behind), (Some(2), None));
}

#[test]
fn a_refusal_is_remembered_by_digest_and_by_one_version_of_the_engine() {
    let scene = Scene::new();
    let engine = scene.serving(allow());
    let broken = scene.publisher.verified(bundle("decision := nope(1)"), 2);
    let good = scene.publisher.verified(deny(), 3);
    engine.apply(&broken).unwrap_err();
    drop(engine);
    let key = |revision: Revision| format!("t/acme/default/quarantine/{}", revision.manifest);
    let remembered = scene.store.get(key(broken.revision()).as_bytes()).unwrap().unwrap();
    let put = |entry: &str| {
        let mut batch = Batch::new();
        batch.put(key(good.revision()), entry.to_owned());
        scene.store.write(batch, Durability::Power).unwrap();
    };

    // Under the good one's digest it keeps that one from being tried, and the start goes on.
    let remembered = String::from_utf8(remembered).unwrap();
    put(&remembered);
    let engine = scene.open();
    assert_eq!((served(&engine), effect(&engine)), (Some(1), Effect::Allow));
    assert_eq!(engine.admit(good.envelope().clone()).unwrap_err().code, "rego_type_error");
    drop(engine);

    // Another version of the engine may be able to serve it.
    let version = env!("CARGO_PKG_VERSION");
    assert!(remembered.contains(version), "{remembered}");
    put(&remembered.replace(version, "0.0.1"));
    let engine = scene.open();
    engine.admit(good.envelope().clone()).unwrap();
    engine.apply(&good).unwrap();
    assert_eq!((served(&engine), effect(&engine)), (Some(3), Effect::Deny));
}

#[test]
fn smoke_vectors_must_answer_as_they_say() {
    let scene = Scene::new();
    let engine = scene.serving(allow());
    let with_vector = |effect: &str| {
        let vectors = format!(r#"[{{"name": "reads", "input": {{"action": "x"}}, "effect": "{effect}"}}]"#);
        files(&[("p.rego", "package meshguard\ndecision := false\n"), ("vectors.json", &vectors)])
    };
    let error = engine.apply(&scene.publisher.verified(with_vector("allow"), 2)).unwrap_err();
    assert!(error.to_string().contains("`reads`: is deny, not allow"), "{error}");
    engine.apply(&scene.publisher.verified(with_vector("deny"), 3)).unwrap();
}

#[test]
fn manifests_are_judged_before_any_body() {
    let scene = Scene::new();
    let engine = scene.serving(allow());
    let publisher = &scene.publisher;
    let admit = |signed: meshguard_engine::SignedBundle| engine.admit(signed.envelope).map_err(|refusal| refusal.code);
    assert!(admit(publisher.sign(deny(), 2)).is_ok());
    assert_eq!(admit(Publisher::new().sign(deny(), 2)).unwrap_err(), "signature");
    let other = Target::new("umbrella", 2, NOW_MS);
    assert_eq!(admit(publisher.sign_for(deny(), &other)).unwrap_err(), "tenant");
    let scope = Target { scope: "other".into(), ..Target::new("acme", 2, NOW_MS) };
    assert_eq!(admit(publisher.sign_for(deny(), &scope)).unwrap_err(), "scope");
    let old = Target::new("acme", 2, NOW_MS - 25 * 60 * 60 * 1000);
    assert_eq!(admit(publisher.sign_for(deny(), &old)).unwrap_err(), "expired");
    assert_eq!(effect(&engine), Effect::Allow);
}

#[test]
fn a_higher_epoch_goes_before_any_version() {
    let scene = Scene::new();
    let engine = scene.open();
    engine.apply(&scene.publisher.verified(allow(), 1_000_000)).unwrap();
    let next = Target { key_epoch: 2, ..Target::new("acme", 1, NOW_MS) };
    engine.apply(&scene.publisher.verify(&scene.publisher.sign_for(deny(), &next))).unwrap();
    assert_eq!(effect(&engine), Effect::Deny);
    assert_eq!(code(engine.apply(&scene.publisher.verified(allow(), 1_000_001)).unwrap_err()), "rollback");
}

#[test]
fn the_disk_is_no_more_trusted_than_the_network() {
    let scene = Scene::new();
    drop(scene.serving(bundle("decision := false # no")));
    let body = b"package meshguard\ndecision := false # no\n";
    let key = format!("t/acme/default/blob/{}", Digest::of(body));
    assert!(scene.store.get(key.as_bytes()).unwrap().is_some());
    let mut batch = Batch::new();
    batch.put(key, &b"package meshguard\ndecision := true  # no\n"[..]);
    scene.store.write(batch, Durability::Power).unwrap();
    let engine = scene.open();
    assert_eq!((engine.status().state, effect(&engine)), (State::Empty, Effect::Deny));
    assert_eq!(engine.status().behind.unwrap().stage, Stage::Digest);
}

#[test]
fn a_spoiled_newest_bundle_leaves_the_one_before() {
    let scene = Scene::new();
    let engine = scene.serving(allow());
    engine.apply(&scene.publisher.verified(deny(), 2)).unwrap();
    drop(engine);
    let mut batch = Batch::new();
    batch.put("t/acme/default/active", "rubbish");
    scene.store.write(batch, Durability::Power).unwrap();
    let engine = scene.open();
    assert_eq!((served(&engine), effect(&engine)), (Some(1), Effect::Allow));
    assert!(engine.status().behind.is_some());
    // The floor is still version 2's: the network can't offer version 1 again, but can mend with version 2.
    engine.apply(&scene.publisher.verified(deny(), 2)).unwrap();
    assert_eq!(served(&engine), Some(2));
}

#[test]
fn a_bundle_that_ended_the_process_three_times_is_left_alone() {
    let scene = Scene::new();
    let engine = scene.serving(allow());
    let newest = scene.publisher.verified(deny(), 2);
    engine.apply(&newest).unwrap();
    drop(engine);
    // What a process leaves behind when it dies while compiling, the third time.
    let key = format!("t/acme/default/quarantine/{}", newest.revision().manifest);
    let mut batch = Batch::new();
    batch.put(key, r#"{"tries":3}"#);
    scene.store.write(batch, Durability::Power).unwrap();
    let engine = scene.open();
    assert_eq!(served(&engine), Some(1));
    assert_eq!(engine.status().behind.unwrap().code, "ends_process");
    assert_eq!(code(engine.apply(&newest).unwrap_err()), "ends_process");
    assert_eq!(served(&engine), Some(1));
    engine.apply(&scene.publisher.verified(deny(), 3)).unwrap();
    assert_eq!(served(&engine), Some(3));
}

#[test]
fn an_older_bundle_that_serves_in_anothers_place_was_confirmed_by_nobody() {
    let scene = Scene::new();
    let limited = |policy| {
        harness::with(policy, |settings| {
            settings.entrypoints.get_mut("data.meshguard.decision").unwrap().max_staleness_ms = Some(60_000);
        })
    };
    let engine = scene.serving(limited(allow()));
    engine.apply(&scene.publisher.verified(limited(deny()), 2)).unwrap();
    engine.heard();
    drop(engine);
    let key = format!("t/acme/default/blob/{}", Digest::of(&deny().files["policy.rego"]));
    let mut batch = Batch::new();
    batch.put(key, "rubbish");
    scene.store.write(batch, Durability::Power).unwrap();

    let engine = scene.open();
    assert_eq!(served(&engine), Some(1));
    assert_eq!(engine.status().policy_age_ms, None);
    assert!(engine.decide(&Request::new("a", "b")).has_reason(meshguard_engine::ReasonCode::Stale));
    // What served stays the one to fall back on, not what couldn't be served.
    engine.apply(&scene.publisher.verified(limited(deny()), 3)).unwrap();
    drop(engine);
    let mut batch = Batch::new();
    batch.put("t/acme/default/active", "rubbish");
    scene.store.write(batch, Durability::Power).unwrap();
    assert_eq!(served(&scene.open()), Some(1));
}

/// A store that refuses one write: the one that `left` counts down to.
struct RefusesOne {
    store: std::sync::Arc<meshguard_engine::store::MemoryStore>,
    left: std::sync::atomic::AtomicU32,
}

impl Store for RefusesOne {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.get(key)
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Entry>, StoreError> {
        self.store.scan(from, to, limit)
    }

    fn write(&self, batch: Batch, durability: Durability) -> Result<(), StoreError> {
        match self.left.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) {
            1 => Err(StoreError::Io("full".into())),
            _ => self.store.write(batch, durability),
        }
    }
}

#[test]
fn a_write_that_fails_at_start_costs_no_bundle() {
    let scene = Scene::new();
    drop(scene.serving(allow()));
    // A start writes three times: the journal's chain, the mark of the compilation, and that mark's removal.
    for refused in [2, 3] {
        let store = RefusesOne { store: std::sync::Arc::clone(&scene.store), left: refused.into() };
        let engine = scene.builder().store(std::sync::Arc::new(store), FloorFiles::in_memory()).open().unwrap();
        assert_eq!((served(&engine), effect(&engine)), (Some(1), Effect::Allow), "write {refused}");
    }
}

#[test]
fn smoke_vectors_are_asked_as_the_entrypoint_is() {
    let vectors = r#"[{"name": "a word", "input": {"n": "abc"}, "effect": "deny"}]"#;
    let policy = "package meshguard\ndefault decision := false\nbad if to_number(input.n) == 1\ndecision if not bad\n";
    let lenient = harness::with(files(&[("p.rego", policy), ("vectors.json", vectors)]), |settings| {
        settings.entrypoints.get_mut("data.meshguard.decision").unwrap().builtin_errors =
            meshguard_engine::bundle::BuiltinErrors::Opa;
    });
    let scene = Scene::new();
    let error = scene.open().apply(&scene.publisher.verified(lenient, 1)).unwrap_err();
    assert!(error.to_string().contains("is allow, not deny"), "{error}");
    // A deny that rests on an error is none that an author meant.
    let strict = files(&[("p.rego", policy), ("vectors.json", vectors)]);
    let error = scene.open().apply(&scene.publisher.verified(strict, 2)).unwrap_err();
    assert!(error.to_string().contains("eval_error"), "{error}");
}

#[test]
fn bodies_that_nothing_needs_any_more_are_removed() {
    let scene = Scene::new();
    let engine = scene.open();
    let blobs = || scene.store.scan(b"t/acme/default/blob/", b"t/acme/default/blob0", 100).unwrap().len();
    for version in 1..=5 {
        let own = format!("package own\nv := {version}\n");
        let shared = ("p.rego", "package meshguard\ndecision := true\n");
        engine.apply(&scene.publisher.verified(files(&[shared, ("own.rego", &own)]), version)).unwrap();
    }
    // The shared body, and the own ones of the version served and the one before.
    assert_eq!(blobs(), 3);
}

#[test]
fn decisions_go_on_during_swaps() {
    let scene = Scene::new();
    let engine = scene.serving(allow());
    let versions: Vec<_> = (2..102).map(|version| scene.publisher.verified(allow(), version)).collect();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let deciding = scope.spawn(|| {
            let mut last = 0;
            let mut count = 0_u64;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let decision = engine.decide(&Request::new("a", "b"));
                assert!(decision.is_allowed(), "{decision:?}");
                let version = decision.revision.unwrap().version;
                assert!(version >= last, "went back from {last} to {version}");
                last = version;
                count += 1;
                // Deciding is faster than the journal's thread; it would deny for want of room.
                assert!(!count.is_multiple_of(1_024) || engine.flush(std::time::Duration::from_secs(30)));
            }
            count
        });
        for version in &versions {
            engine.apply(version).unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(deciding.join().unwrap() > 0);
    });
    assert_eq!(served(&engine), Some(101));
}

#[test]
fn an_engine_that_trusts_nobody_serves_nothing() {
    let scene = Scene::new();
    let engine = Engine::builder("acme").open().unwrap();
    assert_eq!(code(engine.apply(&scene.publisher.verified(allow(), 1)).unwrap_err()), "signature");
    assert_eq!(effect(&engine), Effect::Deny);
}
