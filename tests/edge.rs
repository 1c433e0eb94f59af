//! An edge and a control plane, over a real port: staying current, deferring, an outage, a restart, records.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

use std::time::Instant;

use harness::world::{PATIENCE, World, example};
use harness::{Publisher, TENANT, bundle, with};
use meshguard_engine::{AtLeast, Bundle, Decision, Effect, ReasonCode, Request, Source, State};
use meshguard_sync::{Edge, EdgeConfig, FailureMode};
use serde_json::{Value, json};

fn at(version: u64) -> AtLeast {
    AtLeast { key_epoch: 1, version }
}

fn ask(edge: &Edge) -> Decision {
    edge.decide(&Request::new("agent-7", "files.read"))
}

/// Reads freely, pays with an approval that only the control plane knows.
fn payments(reads: bool) -> Bundle {
    let rules = format!(
        r#"
        default decision := false
        decision := {reads} if input.action == "files.read"
        decision if {{ input.action == "pay"; data.approvals[input.approval.id].granted }}
        "#
    );
    with(bundle(&rules), |settings| settings.remote_roots.push("data.approvals".into()))
}

fn payment(approval: &str) -> Request {
    let mut request = Request::new("agent-7", "pay");
    request.approval_id = approval.to_owned();
    request
}

fn edge_of(world: &World) -> Value {
    let edges = world.admin("edges?tenant=acme");
    edges.as_array().unwrap().iter().find(|edge| edge["agent_id"] == "edge-agent").cloned().unwrap_or_default()
}

/// Looks again until it holds; what is looked at changes on another thread.
#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::park_timeout(std::time::Duration::from_millis(5));
    }
}

#[test]
fn an_edge_follows_what_is_published_and_says_so() {
    let world = World::new();
    world.publish(payments(true), 1);
    let edge = world.open_edge();
    assert!(edge.wait_until_live(PATIENCE) && edge.wait_for_revision(at(1), PATIENCE));
    assert!(ask(&edge).is_allowed());
    world.publish(payments(false), 2);
    assert!(edge.wait_for_revision(at(2), PATIENCE));
    assert_eq!(ask(&edge).effect(), Effect::Deny);
    eventually("the control plane lists the edge at version 2", || {
        let edge = edge_of(&world);
        edge["revision"]["version"] == 2 && edge["state"] == "live" && edge["connected"] == true
    });
}

#[test]
fn what_the_edge_cannot_know_is_asked_of_the_control_plane() {
    let world = World::new();
    world.publish(payments(true), 1);
    world.set_data(TENANT, &json!({ "approvals": { "a1": { "granted": true } } }));
    let edge = world.open_edge();
    assert!(edge.wait_until_live(PATIENCE) && edge.wait_for_revision(at(1), PATIENCE));
    let allowed = edge.decide(&payment("a1"));
    assert!(allowed.is_allowed(), "{allowed:?}");
    assert_eq!((allowed.source, allowed.certain), (Source::Remote, true));
    let denied = edge.decide(&payment("a2"));
    assert_eq!((denied.effect(), denied.source), (Effect::Deny, Source::Remote), "{denied:?}");
    assert_eq!(ask(&edge).source, Source::Local);
}

#[test]
fn edge_http_and_folder_give_one_answer() {
    let world = World::new();
    let policy = Bundle::from_dir(&example("policy")).unwrap();
    let local = meshguard_engine::Engine::builder(TENANT).unsigned_bundle(policy.clone()).open().unwrap();
    world.publish(policy, 1);
    let edge = world.open_edge();
    assert!(edge.wait_until_live(PATIENCE) && edge.wait_for_revision(at(1), PATIENCE));
    let token = world.token(TENANT, "my-agent");
    for (file, effect) in [("allow", "allow"), ("deny", "deny"), ("require_approval", "require_approval")] {
        let json = std::fs::read(example(&format!("requests/{file}.json"))).unwrap();
        let of_edge = edge.decide_json(&json);
        let of_folder = local.outcome(&Request::from_json(&json).unwrap());
        let (status, of_http) = world.evaluate(&token, &json);
        assert_eq!(status, 200, "{of_http}");
        assert_eq!(of_edge.effect().as_str(), effect, "{of_edge:?}");
        assert_eq!(of_folder.verdict().effect.as_str(), effect);
        assert_eq!(of_http["decision"], effect, "{of_http}");
        assert_eq!(of_http["matchedRule"], of_edge.verdict.rule.clone().unwrap());
        assert_eq!(of_folder.verdict().rule, of_edge.verdict.rule);
        assert_eq!(of_http["reason"], of_edge.reasons()[0].message);
    }
}

#[test]
fn an_outage_a_restart_and_the_way_back() {
    let mut world = World::new();
    world.publish(payments(true), 1);
    let edge = world.open_edge();
    assert!(edge.wait_until_live(PATIENCE) && edge.wait_for_revision(at(1), PATIENCE));
    for _ in 0..200 {
        assert!(ask(&edge).is_allowed());
    }
    let config = world.edge_config();
    world.stop_server();

    assert!(ask(&edge).is_allowed());
    let start = Instant::now();
    let denied = edge.decide(&payment("a1"));
    assert!(
        denied.has_reason(ReasonCode::RemoteData) && denied.has_reason(ReasonCode::RemoteUnavailable),
        "{denied:?}"
    );
    assert_eq!((denied.effect(), denied.source), (Effect::Deny, Source::FailureMode));
    assert!(start.elapsed().as_millis() < 1000, "{:?}", start.elapsed());
    edge.close();
    assert!(edge.engine().flush(PATIENCE));
    let before = edge.engine().journal().progress().next_seq;
    drop(edge);

    let edge = Edge::open(config).unwrap();
    assert_eq!(edge.status().engine.state, State::Cached);
    assert!(ask(&edge).is_allowed());
    world.start_server();
    assert!(edge.wait_until_live(PATIENCE));
    assert!(edge.flush_audit(PATIENCE));
    let after = edge.engine().journal().progress().next_seq;
    let chains = world.admin("audit/chains?tenant=acme");
    let of_edge = chains.as_array().unwrap().iter().filter(|chain| chain["agent_id"] == "edge-agent");
    let counts: Vec<u64> = of_edge.map(|chain| chain["records"].as_u64().unwrap()).collect();
    assert_eq!(counts.len(), 2, "{chains}");
    assert_eq!(counts.iter().sum::<u64>(), before + after, "{chains}");
}

#[test]
fn a_bundle_of_an_untrusted_publisher_is_nacked_and_what_serves_goes_on() {
    let world = World::new();
    world.publish(payments(true), 1);
    let edge = world.open_edge();
    assert!(edge.wait_until_live(PATIENCE) && edge.wait_for_revision(at(1), PATIENCE));
    // The control plane is told to trust another publisher; the edge isn't.
    let thief = Publisher::new();
    world.trust(TENANT, &thief);
    let target = meshguard_engine::Target::new(TENANT, 2, harness::world::now_ms());
    let stolen = thief.sign_for(bundle("decision := true"), &target);
    let (status, answer) = world.try_publish(&stolen);
    assert_eq!(status, 201, "{answer}");
    eventually("the edge says why it is behind", || {
        edge.status().engine.behind.is_some_and(|refusal| refusal.code == "signature")
    });
    eventually("the control plane lists it as behind", || {
        edge_of(&world)["last_outcome"].to_string().contains("signature")
    });
    assert!(ask(&edge).is_allowed());
    assert_eq!(edge.status().engine.revision.unwrap().version, 1);
}

#[test]
fn fail_open_covers_an_outage_and_nothing_else() {
    let mut world = World::new();
    // Reading is allowed with a word from the control plane that is no older than a millisecond: at once, or never.
    let policy = with(payments(true), |settings| {
        settings.entrypoints.get_mut("data.meshguard.decision").unwrap().max_staleness_ms = Some(1);
    });
    world.publish(policy, 1);
    let edge = Edge::open(world.edge_config().failure_mode(FailureMode::Open)).unwrap();
    assert!(edge.wait_until_live(PATIENCE) && edge.wait_for_revision(at(1), PATIENCE));
    // The control plane is there, and says no: that binds.
    assert_eq!(edge.decide(&payment("a1")).effect(), Effect::Deny);
    world.stop_server();
    eventually("a stale allow stands in for the control plane", || ask(&edge).has_reason(ReasonCode::FailOpen));
    let opened = ask(&edge);
    assert!(opened.is_allowed() && opened.has_reason(ReasonCode::Stale), "{opened:?}");
    assert_eq!(opened.source, Source::FailureMode);
    let tail = edge.engine().journal().tail(1).unwrap();
    let record: Value = serde_json::from_slice(&tail[0]).unwrap();
    assert_eq!(record["kind"], "fail_open");
    // So does what only the control plane knows, where it could only turn a deny into this allow.
    let opened = edge.decide(&payment("a1"));
    assert!(opened.has_reason(ReasonCode::RemoteData) && opened.has_reason(ReasonCode::FailOpen), "{opened:?}");
    // What the policy denies and what can't be read stay denied.
    assert_eq!(edge.decide(&Request::new("agent-7", "shell.exec")).effect(), Effect::Deny);
    assert!(!edge.decide_json(b"{}rubbish").is_allowed());
}

#[test]
fn tenants_do_not_meet() {
    let world = World::new();
    let umbrella = Publisher::new();
    world.trust("umbrella", &umbrella);
    world.publish(bundle("decision := false"), 1);
    let target = meshguard_engine::Target::new("umbrella", 1, harness::world::now_ms());
    assert_eq!(world.try_publish(&umbrella.sign_for(bundle("decision := true"), &target)).0, 201);
    let request = br#"{"actor":{"id":"x"},"action":"files.read"}"#;
    let decision = |tenant: &str| world.evaluate(&world.token(tenant, "x"), request).1["decision"].clone();
    assert_eq!((decision("acme"), decision("umbrella")), (json!("deny"), json!("allow")));
    let foreign = br#"{"tenant_id":"umbrella","actor":{"id":"x"},"action":"files.read"}"#;
    assert_eq!(world.evaluate(&world.token("acme", "x"), foreign).0, 403);
    // One tenant's publisher can't publish for another.
    let crossed = umbrella
        .sign_for(bundle("decision := true"), &meshguard_engine::Target::new("acme", 2, harness::world::now_ms()));
    assert_eq!(world.try_publish(&crossed).0, 422);
    // One tenant's token gives an edge of another nothing: an edge that knows the identity key sees it at once, …
    let stolen = world.token("umbrella", "edge-agent");
    let error = Edge::open(world.edge_config().agent_token(stolen.as_str())).unwrap_err();
    assert!(error.to_string().contains("another tenant"), "{error}");
    // … and one that doesn't is told by the control plane.
    let config = EdgeConfig::new(TENANT)
        .gateway(format!("http://{}", world.addr))
        .agent_token(stolen)
        .trusted_key(world.publisher.public().to_pem());
    let edge = Edge::open(config).unwrap();
    eventually("the edge is told no", || edge.status().sync.last_error.is_some());
    assert_eq!(ask(&edge).effect(), Effect::Deny);
}
