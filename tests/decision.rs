//! What is answered, and why: the contract's section 3 and the closed list of uncertainty.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use harness::{NOW_MS, Publisher, Scene, bundle, files, with};
use meshguard_engine::bundle::{BuiltinErrors, Defer, Mode};
use meshguard_engine::token::{Claims, KeySet};
use meshguard_engine::{
    AtLeast, Bundle, Decision, Effect, Engine, Reason, ReasonCode, Request, SigningKey, Source, Target, Tier, Verdict,
};

fn ask(engine: &Engine) -> Decision {
    engine.decide(&Request::new("agent-7", "files.read"))
}

fn entrypoint(bundle: Bundle, change: impl FnOnce(&mut meshguard_engine::bundle::Entrypoint)) -> Bundle {
    with(bundle, |settings| change(settings.entrypoints.get_mut("data.meshguard.decision").unwrap()))
}

#[track_caller]
fn assert_denied(decision: &Decision, code: ReasonCode, certain: bool) {
    assert_eq!(decision.effect(), Effect::Deny, "{decision:?}");
    assert!(!decision.is_allowed());
    assert!(decision.has_reason(code), "{decision:?}");
    assert_eq!(decision.certain, certain, "{decision:?}");
}

#[test]
fn a_policy_says_allow_deny_or_require_approval() {
    let scene = Scene::new();
    let engine = scene.serving(bundle(
        r#"
        default decision := {"effect": "deny", "reason": "nothing allows this", "rule": "default"}
        decision := {"effect": "allow", "rule": "reads"} if input.action == "files.read"
        decision := {"effect": "require_approval", "approval": {"approvers": ["cfo"]}} if input.action == "pay"
        "#,
    ));
    let allow = ask(&engine);
    assert!(allow.is_allowed());
    assert_eq!((allow.verdict.rule.as_deref(), allow.source, allow.certain), (Some("reads"), Source::Local, true));
    let approval = engine.decide(&Request::new("agent-7", "pay"));
    assert_eq!(approval.effect(), Effect::RequireApproval);
    assert_eq!(approval.verdict.approval.as_ref().unwrap().approvers, ["cfo"]);
    let deny = engine.decide(&Request::new("agent-7", "shell.exec"));
    assert_denied(&deny, ReasonCode::Policy, true);
    assert_eq!(deny.reasons()[0].message, "nothing allows this");
}

#[test]
fn everything_that_is_no_answer_is_a_deny_that_says_why() {
    for (rules, code) in [
        ("decision if input.action == \"other\"", ReasonCode::Undefined),
        ("decision := \"yes\"", ReasonCode::InvalidDecision),
        ("decision := true\ndecision := false if input.action", ReasonCode::Conflict),
        ("decision if to_number(input.action) == 1", ReasonCode::EvalError),
        (
            "decision if count([1 | some i in numbers.range(1, 4000); some j in numbers.range(1, 4000); i < j]) > 1",
            ReasonCode::Budget,
        ),
    ] {
        let scene = Scene::new();
        let decision = ask(&scene.serving(bundle(rules)));
        assert_denied(&decision, code, code != ReasonCode::Budget);
    }
}

#[test]
fn an_allow_past_a_swallowed_error_is_a_deny_unless_the_entrypoint_says_otherwise() {
    // OPA's default mode makes the failing call undefined, and `not` of the rule true.
    let policy = bundle("decision if not bad\nbad if to_number(input.action) == 1");
    let scene = Scene::new();
    assert_denied(&ask(&scene.serving(policy.clone())), ReasonCode::EvalError, true);
    let opa = entrypoint(policy, |entrypoint| entrypoint.builtin_errors = BuiltinErrors::Opa);
    assert!(ask(&Scene::new().serving(opa)).is_allowed());
}

#[test]
fn nothing_held_is_an_uncertain_deny() {
    assert_denied(&ask(&Scene::new().open()), ReasonCode::NoBundle, false);
}

#[test]
fn bad_input_is_a_certain_deny() {
    let engine = Scene::new().serving(bundle("decision := true"));
    for json in [
        r#"{"action":"files.read","context":{"a":1,"a":2}}"#,
        r#"{"action":"files.read","context":{"n":1e5000}}"#,
        r#"{"action":"files.read","context":1e5000}"#,
        r#"{"action":"files.read","tenant_id":"umbrella"}"#,
        r#"{"action":"files.read","whatever":1}"#,
        r#"{"action":7}"#,
        "",
        "\u{0}",
    ] {
        assert_denied(&engine.decide_json(json.as_bytes()), ReasonCode::BadInput, true);
    }
    assert_denied(&engine.decide_json(b"\xff\xfe"), ReasonCode::BadInput, true);
    assert!(engine.decide_json(br#"{"action":"files.read","tenant_id":"acme","context":{"a":1}}"#).is_allowed());
}

#[test]
fn an_entrypoint_must_be_named_by_the_bundle() {
    let engine = Scene::new().serving(bundle("decision := true\nother := true"));
    let decision = engine.decide(&Request::new("a", "b").entrypoint("data.meshguard.other"));
    assert_denied(&decision, ReasonCode::UnknownEntrypoint, true);
}

#[test]
fn an_obligation_that_the_host_did_not_register_is_a_deny() {
    let scene = Scene::new();
    let policy = bundle(r#"decision := {"effect": "allow", "obligations": [{"id": "redact", "fields": ["ssn"]}]}"#);
    let signed = scene.publisher.verified(policy, 1);
    let engine = scene.open();
    engine.apply(&signed).unwrap();
    assert_denied(&ask(&engine), ReasonCode::UnknownObligation, true);
    drop(engine);
    let decision = ask(&scene.builder().obligation("redact").open().unwrap());
    assert!(decision.is_allowed());
    assert_eq!(decision.verdict.obligations[0].parameters["fields"][0], "ssn");
}

#[test]
fn a_remote_root_makes_only_what_touches_it_uncertain() {
    let policy = with(
        bundle(
            r#"
            default decision := false
            decision if input.action == "files.read"
            decision if { input.action == "pay"; data.approvals[input.approval.id].granted }
            "#,
        ),
        |settings| settings.remote_roots.push("data.approvals".into()),
    );
    let engine = Scene::new().serving(policy);
    assert!(ask(&engine).is_allowed());
    assert_denied(&engine.decide(&Request::new("a", "shell.exec")), ReasonCode::Policy, true);
    let mut request = Request::new("a", "pay");
    request.approval_id = "x".into();
    assert_denied(&engine.decide(&request), ReasonCode::RemoteData, false);
}

#[test]
fn an_expired_bundle_allows_nothing() {
    let scene = Scene::new();
    let engine = scene.serving(bundle("decision := true"));
    scene.clock.advance_ms(24 * 60 * 60 * 1000 - 1);
    assert!(ask(&engine).is_allowed());
    scene.clock.advance_ms(1);
    assert_denied(&ask(&engine), ReasonCode::Expired, false);
}

#[test]
fn setting_the_wall_clock_back_does_not_revive_an_expired_bundle() {
    let scene = Scene::new();
    let engine = scene.serving(bundle("decision := true"));
    scene.clock.advance_ms(24 * 60 * 60 * 1000);
    scene.clock.step_wall_ms(-48 * 60 * 60 * 1000);
    assert_denied(&ask(&engine), ReasonCode::Expired, false);
}

#[test]
fn a_stale_allow_does_not_bind_and_a_stale_deny_does() {
    let policy = bundle("default decision := false\ndecision if input.action == \"files.read\"");
    let policy = entrypoint(policy, |entrypoint| entrypoint.max_staleness_ms = Some(30_000));
    let scene = Scene::new();
    let engine = scene.serving(policy);
    assert_denied(&ask(&engine), ReasonCode::Stale, false);
    engine.heard();
    assert!(ask(&engine).is_allowed());
    scene.clock.advance_ms(30_001);
    assert_denied(&ask(&engine), ReasonCode::Stale, false);
    assert_denied(&engine.decide(&Request::new("a", "shell.exec")), ReasonCode::Policy, true);
}

#[test]
fn a_withdrawn_edge_allows_nothing_until_it_is_heard_again() {
    let engine = Scene::new().serving(bundle("decision := true"));
    engine.withdraw();
    assert_denied(&ask(&engine), ReasonCode::Withdrawn, false);
    engine.heard();
    assert!(ask(&engine).is_allowed());
}

#[test]
fn a_restart_does_not_lift_a_withdrawal() {
    let scene = Scene::new();
    let engine = scene.serving(bundle("decision := true"));
    engine.heard();
    engine.withdraw();
    drop(engine);
    let engine = scene.open();
    assert_denied(&ask(&engine), ReasonCode::Withdrawn, false);
    engine.heard();
    drop(engine);
    assert!(ask(&scene.open()).is_allowed());
}

#[test]
fn an_identity_of_another_tenant_is_nobody() {
    let key = SigningKey::generate().unwrap();
    let keys = KeySet::new(vec![key.public().unwrap()]);
    let engine =
        Scene::new().serving(bundle("default decision := false\ndecision if input.actor.tier == \"privileged\""));
    let allowed = |tenant: &str| {
        let token = Claims::new(tenant, "root", Tier::Privileged, NOW_MS, 60).sign(&key).unwrap();
        let identity = Arc::new(keys.verify(&token, NOW_MS).unwrap());
        engine.decide(&Request::new("root", "b").with_identity(identity)).is_allowed()
    };
    assert!(allowed("acme"));
    assert!(!allowed("umbrella"));
}

#[test]
fn the_record_says_whose_credential_it_was() {
    let key = SigningKey::generate().unwrap();
    let token = Claims::new("acme", "agent-1", Tier::Verified, NOW_MS, 60).sign(&key).unwrap();
    let identity = KeySet::new(vec![key.public().unwrap()]).verify(&token, NOW_MS).unwrap();
    let engine = Scene::new().serving(bundle("decision := true"));
    // It speaks of another actor: its claims don't apply, and its name is kept.
    assert!(engine.decide(&Request::new("agent-2", "b").with_identity(Arc::new(identity))).is_allowed());
    assert!(engine.flush(Duration::from_secs(10)));
    let record: serde_json::Value = serde_json::from_slice(&engine.journal().tail(1).unwrap()[0]).unwrap();
    assert_eq!((&record["asked_by"], &record["plain"]["/actor/id"]), (&"agent-1".into(), &"agent-2".into()));
}

#[test]
fn mode_audit_relaxes_only_the_bundle_that_says_so() {
    let policy = with(bundle("decision if data.approvals.x"), |settings| {
        settings.mode = Mode::Audit;
        settings.remote_roots.push("data.approvals".into());
    });
    let scene = Scene::new();
    let engine = scene.serving(policy);
    let request = Request::new("a", "b");
    let deny = || Verdict::deny(ReasonCode::Policy);
    let same = engine.outcome(&request).answered(deny(), engine.status().revision);
    assert!(engine.record(&request, same).is_allowed());
    let newer = scene.publisher.verified(bundle("decision := false"), 2).revision();
    let other = engine.outcome(&request).answered(deny(), Some(newer));
    assert_denied(&engine.record(&request, other), ReasonCode::Policy, true);
}

#[test]
fn a_caller_can_ask_for_a_revision() {
    let engine = Scene::new().serving(bundle("decision := true"));
    let mut request = Request::new("a", "b");
    request.at_least_revision = Some(AtLeast { key_epoch: 1, version: 1 });
    assert!(engine.decide(&request).is_allowed());
    request.at_least_revision = Some(AtLeast { key_epoch: 1, version: 2 });
    assert_denied(&engine.decide(&request), ReasonCode::BelowRequested, false);
}

#[test]
fn an_entrypoint_can_always_defer() {
    let policy = entrypoint(bundle("decision := true"), |entrypoint| entrypoint.defer = Defer::Always);
    assert_denied(&ask(&Scene::new().serving(policy)), ReasonCode::PolicyDefers, false);
}

#[test]
fn a_clock_behind_the_signature_makes_time_based_rules_uncertain() {
    let scene = Scene::new();
    let timed = scene.serving(bundle("decision if time.now_ns() > 0"));
    assert!(ask(&timed).is_allowed());
    scene.clock.step_wall_ms(-6 * 60 * 1000);
    assert_denied(&ask(&timed), ReasonCode::ClockSuspect, false);
    let other = Scene::new();
    let timeless = other.serving(bundle("decision := true"));
    other.clock.step_wall_ms(-6 * 60 * 1000);
    assert!(ask(&timeless).is_allowed());
}

#[test]
fn mode_audit_lets_pass_and_says_what_it_would_have_done() {
    let policy = with(bundle("decision := false"), |settings| settings.mode = Mode::Audit);
    let scene = Scene::new();
    let engine = scene.serving(policy);
    let decision = ask(&engine);
    assert!(decision.is_allowed());
    assert_eq!(decision.would_be_effect, Some(Effect::Deny));
    // A mode that the bundle signed ends with the bundle.
    scene.clock.advance_ms(25 * 60 * 60 * 1000);
    assert_denied(&ask(&engine), ReasonCode::Expired, false);
}

#[test]
fn mode_audit_never_covers_bad_input() {
    let policy = with(bundle("decision := false"), |settings| settings.mode = Mode::Audit);
    let engine = Scene::new().serving(policy);
    assert_denied(&engine.decide_json(br#"{"action":"x","context":{"a":1,"a":1}}"#), ReasonCode::BadInput, true);
}

#[test]
fn every_decision_is_recorded_once() {
    let scene = Scene::new();
    let engine = scene.serving(bundle("decision := true"));
    let ids: Vec<String> = (0..500).map(|_| ask(&engine).id.to_string()).collect();
    let _ = engine.decide_json(b"rubbish");
    assert!(engine.flush(Duration::from_secs(10)));
    let batch = engine.journal().next_batch(10_000, 1 << 30).unwrap().unwrap();
    let records: Vec<serde_json::Value> = batch.records.iter().map(|r| serde_json::from_slice(r).unwrap()).collect();
    let kinds = |kind: &str| records.iter().filter(|record| record["kind"] == kind).count();
    assert_eq!((kinds("activated"), kinds("decision"), records.len()), (1, 501, 502));
    let recorded: Vec<&str> = records[1..501].iter().map(|record| record["decision_id"].as_str().unwrap()).collect();
    assert_eq!(recorded, ids);
    assert!(records.iter().enumerate().all(|(at, record)| record["seq"] == at));
    assert_eq!(records[1]["plain"]["/action"], "files.read");
}

#[test]
fn what_the_remote_pdp_says_is_recorded_as_the_decision() {
    let policy = entrypoint(bundle("decision := true"), |entrypoint| entrypoint.defer = Defer::Always);
    let engine = Scene::new().serving(policy);
    let request = Request::new("a", "b");
    let outcome = engine.outcome(&request);
    assert!(outcome.may_defer());
    let decision = engine.record(&request, outcome.answered(Verdict::new(Effect::Allow, ReasonCode::Policy), None));
    assert!(decision.is_allowed() && decision.certain);
    assert_eq!(decision.source, Source::Remote);

    let unreachable = Reason::new(ReasonCode::RemoteUnavailable, "no route");
    let decision = engine.record(&request, engine.outcome(&request).unanswered(unreachable));
    assert_denied(&decision, ReasonCode::RemoteUnavailable, false);
    assert!(decision.has_reason(ReasonCode::PolicyDefers));
}

#[test]
fn fail_open_may_apply_to_an_allow_that_is_stale_or_waits_for_remote_data_only() {
    let open = |policy: Bundle| {
        let engine = Scene::new().serving(policy);
        engine.outcome(&Request::new("a", "files.read")).may_fail_open()
    };
    let stale = entrypoint(bundle("decision := true"), |entrypoint| entrypoint.max_staleness_ms = Some(1));
    assert!(open(stale));
    let remote = with(bundle("decision if data.approvals.x"), |s| s.remote_roots.push("data.approvals".into()));
    assert!(open(remote));
    let anything = with(bundle("decision := data.approvals.x"), |s| s.remote_roots.push("data.approvals".into()));
    assert!(!open(anything));
    let human = with(bundle("decision := {true: \"allow\", false: \"require_approval\"}[data.approvals.x]"), |s| {
        s.remote_roots.push("data.approvals".into());
    });
    assert!(!open(human));
    let stale_deny = entrypoint(bundle("decision := false"), |entrypoint| entrypoint.max_staleness_ms = Some(1));
    assert!(!open(stale_deny));
    let always = entrypoint(bundle("decision := true"), |entrypoint| entrypoint.defer = Defer::Always);
    assert!(!open(always));
    assert!(!open(bundle("decision := false")));
    assert!(!Scene::new().open().outcome(&Request::new("a", "b")).may_fail_open());
}

#[test]
fn a_decision_that_failed_open_is_durable_and_says_so() {
    let stale = entrypoint(bundle("decision := true"), |entrypoint| entrypoint.max_staleness_ms = Some(1));
    let engine = Scene::new().serving(stale);
    let request = Request::new("a", "files.read");
    let outcome = engine.outcome(&request).failed_open(ReasonCode::RemoteUnavailable.into());
    let decision = engine.record(&request, outcome);
    assert!(decision.is_allowed() && decision.has_reason(ReasonCode::FailOpen));
    // No flush: it was written before it was returned.
    let tail = engine.journal().tail(1).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&tail[0]).unwrap();
    assert_eq!((record["kind"].as_str(), record["effect"].as_str()), (Some("fail_open"), Some("allow")));
}

#[test]
fn evaluate_gives_the_value_itself() {
    let engine = Scene::new().serving(files(&[
        ("p.rego", "package meshguard\ndecision := true\nsum := input.a + data.b\nnone if false\n"),
        ("data.json", r#"{"b": 2}"#),
    ]));
    let value = |path: &str, input: &str| {
        let evaluation = engine.evaluate(path, input, BuiltinErrors::Opa)?;
        Ok::<_, meshguard_engine::Error>(evaluation.value.map(|json| json.get().to_owned()))
    };
    assert_eq!(value("data.meshguard.sum", r#"{"a":40}"#).unwrap().as_deref(), Some("42"));
    let large = value("data.meshguard.sum", r#"{"a":18446744073709551616}"#).unwrap();
    assert_eq!(large.as_deref(), Some("18446744073709551618"));
    assert_eq!(value("data.meshguard.none", "{}").unwrap(), None);
    assert_eq!(value("data.meshguard.absent", "{}").unwrap(), None);
    assert!(value("data.meshguard.sum", r#"{"a":1,"a":2}"#).is_err());
    assert!(value("data.meshguard.sum", "").is_err());
}

#[test]
fn threads_share_an_engine() {
    let engine = Scene::new().serving(bundle("decision if input.action == \"files.read\""));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    assert!(ask(&engine).is_allowed());
                }
            });
        }
    });
    assert_eq!(engine.status().decisions.allow, 2000);
}

#[test]
fn a_publisher_whose_clock_is_ahead_is_fine() {
    // The publisher's clock may be ahead of the edge's: only expiry counts.
    let scene = Scene::new();
    let publisher = Publisher::new();
    let engine = scene.builder().trust(publisher.public()).open().unwrap();
    let ahead = publisher.sign_for(bundle("decision := true"), &Target::new("acme", 1, NOW_MS + 60_000));
    engine.apply(&publisher.verify(&ahead)).unwrap();
    assert!(ask(&engine).is_allowed());
}
