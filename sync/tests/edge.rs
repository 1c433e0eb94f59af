//! An edge and a gateway, over a real connection on loopback.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper of a test fails as the test does")]

mod support;

use std::time::{Duration, Instant};

use meshguard_engine::{AtLeast, Effect, ReasonCode, Request, Source, State};
use meshguard_proto::v1;
use meshguard_sync::{Edge, FailureMode};
use tonic::Status;

use support::{PATIENCE, Publisher, Running, TOKEN, revision, wire};

const ALLOW: [(&str, &str); 2] = [
    ("a.rego", "package meshguard\ndecision := {\"effect\": \"allow\", \"rule\": data.rule}\n"),
    ("data.json", r#"{"rule":"one"}"#),
];

/// `meshguard.approved` depends on data that the edge doesn't hold, `meshguard.fresh` on the gateway's word of this very
/// millisecond.
const REMOTE: [(&str, &str); 2] = [
    (
        ".manifest",
        r#"{"roots":["meshguard"],"metadata":{"meshguard":{"remote_roots":["data.approvals"],
            "entrypoints":{"data.meshguard.decision":{},"data.meshguard.approved":{},
            "data.meshguard.fresh":{"max_staleness_ms":0}}}}}"#,
    ),
    (
        "a.rego",
        "package meshguard\ndefault decision := true\napproved if data.approvals[input.actor.id]\nfresh := true\n",
    ),
];

fn allowed(edge: &Edge) -> bool {
    edge.decide(&Request::new("agent-7", "files.read")).is_allowed()
}

fn uncertain() -> Request {
    Request::new("agent-7", "pay").entrypoint("data.meshguard.approved")
}

fn at(version: u64) -> AtLeast {
    AtLeast { key_epoch: 1, version }
}

#[test]
fn an_edge_becomes_live_stays_current_and_says_so() {
    let publisher = Publisher::new();
    let running = Running::start();
    running.gateway.publish(publisher.sign(1, &ALLOW));
    let edge = Edge::open(publisher.config(&running.url()).agent_id("agent-7")).unwrap();
    assert!(edge.wait_until_live(PATIENCE));
    assert!(allowed(&edge));

    let denying = publisher.sign(2, &[("a.rego", "package meshguard\ndecision := false\n")]);
    running.gateway.publish(denying.clone());
    assert!(edge.wait_for_revision(at(2), PATIENCE));
    assert!(!allowed(&edge));
    running.gateway.wait("the ACK of version 2", |script| {
        script.reports.iter().any(|report| {
            let outcome = report.outcome.as_ref();
            report.active == Some(wire(revision(&denying)))
                && outcome.is_some_and(|outcome| outcome.revision == Some(wire(revision(&denying))))
                && outcome.is_some_and(|outcome| matches!(outcome.verdict, Some(v1::outcome::Verdict::Ack(_))))
        })
    });
    let status = edge.status();
    assert!(status.sync.connected && status.sync.streams == 1);
    assert_eq!(status.engine.state, State::Live);
    let script = running.gateway.script();
    assert_eq!(script.subscriptions[0].agent_id, "agent-7");
    assert!(script.tokens.iter().all(|token| token.as_deref() == Some(&format!("Bearer {TOKEN}"))));
    assert!(!serde_json::to_string(&edge.status()).unwrap().contains(TOKEN));
}

#[test]
fn a_refused_bundle_is_nacked_once_and_a_newer_one_is_taken() {
    let publisher = Publisher::new();
    let running = Running::start();
    running.gateway.publish(publisher.sign(1, &ALLOW));
    let edge = Edge::open(publisher.config(&running.url())).unwrap();
    assert!(edge.wait_for_revision(at(1), PATIENCE));
    running.gateway.publish(publisher.sign(2, &[("a.rego", "package meshguard\ndecision := \n")]));
    let nacks = |script: &support::Script| {
        let verdicts = script.reports.iter().filter_map(|report| report.outcome.as_ref()?.verdict.clone());
        verdicts.filter(|verdict| matches!(verdict, v1::outcome::Verdict::Nack(_))).count()
    };
    running.gateway.wait("the NACK", |script| nacks(script) == 1);
    assert!(allowed(&edge), "what served keeps serving");
    assert!(edge.status().engine.behind.is_some());
    running.gateway.publish(publisher.sign(3, &ALLOW));
    assert!(edge.wait_for_revision(at(3), PATIENCE));
    assert_eq!(running.gateway.script().subscriptions.len(), 1, "all on one stream");
}

#[test]
fn a_forged_bundle_never_serves() {
    let (publisher, stranger) = (Publisher::new(), Publisher::new());
    let running = Running::start();
    running.gateway.publish(stranger.sign(9, &ALLOW));
    let edge = Edge::open(publisher.config(&running.url())).unwrap();
    running.gateway.wait("the NACK", |script| script.reports.iter().any(|report| report.outcome.is_some()));
    assert!(!allowed(&edge));
    assert!(running.gateway.script().fetches.is_empty());
    // The negative control: the same bundle from the publisher.
    running.gateway.publish(publisher.sign(9, &ALLOW));
    assert!(edge.wait_until_live(PATIENCE) && allowed(&edge));
}

#[test]
fn bodies_by_reference_are_fetched_and_a_broken_fetch_goes_on_where_it_broke() {
    let publisher = Publisher::new();
    let running = Running::start();
    {
        let mut script = running.gateway.script();
        script.by_reference = true;
        script.fetch_breaks_after = Some(20);
    }
    running.gateway.publish(publisher.sign(1, &ALLOW));
    let edge = Edge::open(publisher.config(&running.url())).unwrap();
    assert!(edge.wait_until_live(PATIENCE) && allowed(&edge));
    let policy = ALLOW[0].1.len() as u64;
    let offsets: Vec<u64> = running.gateway.script().fetches.iter().map(|fetch| fetch.offset).take(4).collect();
    assert_eq!(offsets, [0, 20, 40, 60].into_iter().filter(|offset| *offset < policy).collect::<Vec<_>>());

    // Of the next version only what changed is fetched.
    let fetched = running.gateway.script().fetches.len();
    running.gateway.script().fetch_breaks_after = None;
    running.gateway.publish(publisher.sign(2, &[ALLOW[0], ("data.json", r#"{"rule":"two"}"#)]));
    assert!(edge.wait_for_revision(at(2), PATIENCE));
    assert_eq!(running.gateway.script().fetches.len(), fetched + 1);
    let decision = edge.decide(&Request::new("agent-7", "files.read"));
    assert_eq!(decision.verdict.rule.as_deref(), Some("two"));
}

#[test]
fn decisions_go_on_without_the_gateway_and_it_is_found_again() {
    let publisher = Publisher::new();
    let running = Running::start();
    running.gateway.publish(publisher.sign(1, &ALLOW));
    let state = tempfile::tempdir().unwrap();
    let open = |url: &str| Edge::open(publisher.config(url).state_dir(state.path())).unwrap();
    let edge = open(&running.url());
    assert!(edge.wait_until_live(PATIENCE));
    let url = running.url();
    let (gateway, addr) = running.stop();
    assert!(allowed(&edge));
    drop(edge);

    // A start without network.
    let began = Instant::now();
    let edge = open(&url);
    assert!(allowed(&edge));
    assert!(began.elapsed() < Duration::from_secs(5), "opening waits for nobody");
    assert_eq!(edge.status().engine.state, State::Cached);
    assert!(!edge.wait_until_live(Duration::from_millis(1)));

    gateway.script().head = Some(publisher.sign(2, &ALLOW));
    let restarted = Running::start_at(gateway, addr);
    assert!(edge.wait_for_revision(at(2), PATIENCE));
    let script = restarted.gateway.script();
    let have = &script.subscriptions.last().unwrap().have;
    assert_eq!(have[0].revision.as_ref().unwrap().version, 1, "it said what it held");
}

#[test]
fn every_record_arrives_once_and_is_trimmed() {
    let publisher = Publisher::new();
    let running = Running::start();
    running.gateway.publish(publisher.sign(1, &ALLOW));
    running.gateway.script().audit_need_from = Some(0);
    let state = tempfile::tempdir().unwrap();
    let edge = Edge::open(publisher.config(&running.url()).state_dir(state.path())).unwrap();
    assert!(edge.wait_until_live(PATIENCE));
    for _ in 0..5000 {
        assert!(allowed(&edge));
    }
    assert!(edge.flush_audit(PATIENCE));
    let progress = edge.engine().journal().progress();
    assert!(progress.pending == 0 && progress.next_seq >= 5000);
    assert_eq!(running.gateway.script().records.len() as u64, progress.next_seq);

    // What is made while nobody listens arrives after a restart.
    let (gateway, addr) = running.stop();
    for _ in 0..100 {
        assert!(allowed(&edge));
    }
    assert!(!edge.flush_audit(Duration::from_millis(50)));
    let made = edge.engine().journal().progress().next_seq;
    drop(edge);
    let running = Running::start_at(gateway, addr);
    let edge = Edge::open(publisher.config(&running.url()).state_dir(state.path())).unwrap();
    assert!(edge.flush_audit(PATIENCE));
    let later = edge.engine().journal().progress().next_seq;
    let records = running.gateway.script().records.len() as u64;
    assert!(records >= made + later, "{records} records arrived of {made} + {later}");
}

#[test]
fn what_is_uncertain_is_asked_and_what_is_certain_is_not() {
    let publisher = Publisher::new();
    let running = Running::start();
    let bundle = publisher.sign(1, &REMOTE);
    running.gateway.publish(bundle.clone());
    let edge = Edge::open(publisher.config(&running.url()).defer_timeout(PATIENCE)).unwrap();
    assert!(edge.wait_until_live(PATIENCE));
    assert!(allowed(&edge));
    assert!(running.gateway.script().questions.is_empty(), "a certain answer asks nobody");

    let answer = |effect: v1::Effect| v1::PolicyResponse {
        effect: effect.into(),
        revision: Some(wire(revision(&bundle))),
        ..v1::PolicyResponse::default()
    };
    running.gateway.script().evaluate = Some(Ok(answer(v1::Effect::Allow)));
    let decision = edge.decide(&uncertain());
    assert!(decision.is_allowed() && decision.source == Source::Remote && decision.certain);
    assert_eq!(running.gateway.script().questions[0].tenant_id, "acme");
    assert_eq!(running.gateway.script().scopes[0].as_deref(), Some("default"));

    running.gateway.script().evaluate = Some(Ok(answer(v1::Effect::Unspecified)));
    let decision = edge.decide(&uncertain());
    assert!(!decision.is_allowed() && decision.has_reason(ReasonCode::RemoteError));
    assert!(decision.has_reason(ReasonCode::RemoteData), "and why it was asked at all");

    running.gateway.script().evaluate = Some(Err(Status::permission_denied("no")));
    assert!(edge.decide(&uncertain()).has_reason(ReasonCode::RemoteError));
}

#[test]
fn silence_is_a_deny_within_the_budget_unless_fail_open_is_chosen() {
    let publisher = Publisher::new();
    let running = Running::start();
    running.gateway.publish(publisher.sign(1, &REMOTE));
    for (mode, effect) in [(FailureMode::Closed, Effect::Deny), (FailureMode::Open, Effect::Allow)] {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let config = publisher.config(&running.url()).state_dir(first.path()).failure_mode(mode);
        let edge = Edge::open(config).unwrap();
        assert!(edge.wait_until_live(PATIENCE));
        let stale = Request::new("agent-7", "pay").entrypoint("data.meshguard.fresh");
        while edge.status().engine.policy_age_ms == Some(0) {
            std::thread::yield_now();
        }
        let began = Instant::now();
        let decision = edge.decide(&stale);
        assert!(began.elapsed() < Duration::from_secs(5));
        assert_eq!((decision.effect(), decision.source), (effect, Source::FailureMode));
        assert!(decision.has_reason(ReasonCode::RemoteUnavailable));
        assert_eq!(decision.has_reason(ReasonCode::FailOpen), mode == FailureMode::Open);
        assert_eq!(edge.status().sync.fail_open_until_ms.is_some(), mode == FailureMode::Open);

        // A refusal isn't silence: nothing opens.
        running.gateway.script().evaluate = Some(Err(Status::resource_exhausted("too much")));
        let config = publisher.config(&running.url()).state_dir(second.path());
        let config = config.failure_mode(mode).defer_timeout(PATIENCE);
        let patient = Edge::open(config).unwrap();
        assert!(patient.wait_until_live(PATIENCE));
        assert!(patient.decide(&uncertain()).has_reason(ReasonCode::RemoteBusy));
        running.gateway.script().evaluate = None;
    }
}

#[test]
fn a_refused_credential_is_tried_twice_and_then_nothing_is_allowed() {
    let publisher = Publisher::new();
    let running = Running::start();
    running.gateway.publish(publisher.sign(1, &ALLOW));
    let state = tempfile::tempdir().unwrap();
    let open = || Edge::open(publisher.config(&running.url()).state_dir(state.path())).unwrap();
    let edge = open();
    assert!(edge.wait_until_live(PATIENCE));
    drop(edge);

    let before = running.gateway.script().subscriptions.len();
    running.gateway.script().subscribe_fails = Some(Status::permission_denied("revoked"));
    let edge = open();
    let refused = Request::new("agent-7", "files.read");
    running.gateway.wait("the second attempt", |script| script.subscriptions.len() >= before + 3);
    assert!(edge.decide(&refused).has_reason(ReasonCode::Withdrawn));

    running.gateway.script().subscribe_fails = None;
    assert!(edge.wait_until_live(PATIENCE));
    assert!(allowed(&edge));
}

#[test]
fn a_gateway_in_trouble_takes_nothing_away() {
    let publisher = Publisher::new();
    let running = Running::start();
    running.gateway.publish(publisher.sign(1, &ALLOW));
    let state = tempfile::tempdir().unwrap();
    let open = || Edge::open(publisher.config(&running.url()).state_dir(state.path())).unwrap();
    assert!(open().wait_until_live(PATIENCE));
    let before = running.gateway.script().subscriptions.len();
    running.gateway.script().subscribe_fails = Some(Status::internal("a bug"));
    let edge = open();
    running.gateway.wait("some attempts", |script| script.subscriptions.len() >= before + 5);
    assert!(allowed(&edge));
    assert!(edge.status().sync.last_error.unwrap().contains("a bug"));
}

#[test]
fn where_reports_are_not_taken_the_next_subscription_tells() {
    let publisher = Publisher::new();
    let running = Running::start();
    running.gateway.script().report_fails = Some(Status::unimplemented("not here"));
    running.gateway.publish(publisher.sign(1, &ALLOW));
    let edge = Edge::open(publisher.config(&running.url())).unwrap();
    assert!(edge.wait_until_live(PATIENCE));
    running.gateway.wait("a report", |script| !script.reports.is_empty());
    let (gateway, addr) = running.stop();
    let before = gateway.script().subscriptions.len();
    let running = Running::start_at(gateway, addr);
    running.gateway.wait("the next stream", |script| script.subscriptions.len() > before);
    let told = running.gateway.script().subscriptions.last().unwrap().last_outcome.clone().unwrap();
    assert!(matches!(told.verdict, Some(v1::outcome::Verdict::Ack(_))));
}

#[test]
fn a_replaced_token_is_used_at_once() {
    let publisher = Publisher::new();
    let running = Running::start();
    running.gateway.script().subscribe_fails = Some(Status::unauthenticated("expired"));
    running.gateway.publish(publisher.sign(1, &ALLOW));
    let edge = Edge::open(publisher.config(&running.url())).unwrap();
    running.gateway.wait("a refusal", |script| !script.subscriptions.is_empty());
    running.gateway.script().subscribe_fails = None;
    edge.set_agent_token("another-token").unwrap();
    assert!(edge.wait_until_live(PATIENCE));
    assert_eq!(running.gateway.script().tokens.last().unwrap().as_deref(), Some("Bearer another-token"));
    assert!(edge.set_agent_token("not a token").is_err());
}

#[test]
fn closing_ends_the_network_and_not_the_decisions() {
    let publisher = Publisher::new();
    let running = Running::start();
    running.gateway.publish(publisher.sign(1, &REMOTE));
    let state = tempfile::tempdir().unwrap();
    let config = publisher.config(&running.url()).state_dir(state.path());
    let edge = Edge::open(config.failure_mode(FailureMode::Open)).unwrap();
    assert!(edge.wait_until_live(PATIENCE));
    edge.close();
    edge.close();
    assert!(allowed(&edge) && !edge.status().sync.connected);
    assert!(!edge.decide(&uncertain()).is_allowed(), "closed by the host isn't unreachable: nothing opens");
    let host = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let inside = Edge::open(publisher.config(&running.url())).unwrap();
    host.block_on(async move {
        assert!(!inside.decide(&uncertain()).is_allowed());
        drop(inside);
    });
}

#[test]
fn tls_is_spoken_with_the_authority_named_and_no_other() {
    let certificate = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let stranger = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let publisher = Publisher::new();
    let running = Running::start_with_tls(&certificate.cert.pem(), &certificate.signing_key.serialize_pem());
    running.gateway.publish(publisher.sign(1, &ALLOW));
    let url = format!("https://{}", running.addr);
    let fooled = Edge::open(publisher.config(&url).ca_pem(stranger.cert.pem())).unwrap();
    let edge = Edge::open(publisher.config(&url).ca_pem(certificate.cert.pem())).unwrap();
    assert!(edge.wait_until_live(PATIENCE) && allowed(&edge));
    let error = loop {
        assert!(!fooled.wait_until_live(Duration::from_millis(10)));
        if let Some(error) = fooled.status().sync.last_error {
            break error;
        }
    };
    assert!(error.contains("certificate"), "{error}");
    // Plain text to a port that speaks TLS, and the other way round, is an error and not a fallback.
    let plain = Edge::open(publisher.config(&format!("http://{}", running.addr))).unwrap();
    assert!(!plain.wait_until_live(Duration::from_millis(200)));
    assert_eq!(running.gateway.script().subscriptions.len(), 1);
}

#[test]
fn a_dead_port_costs_nobody_anything() {
    let publisher = Publisher::new();
    let (_, addr) = Running::start().stop();
    let state = tempfile::tempdir().unwrap();
    let path = state.path().join("bundle.tar.gz");
    std::fs::write(&path, publisher.sign(1, &REMOTE).to_tar_gz().unwrap()).unwrap();
    let began = Instant::now();
    let edge = Edge::open(publisher.config(&format!("http://{addr}")).bundle_path(&path)).unwrap();
    assert!(allowed(&edge));
    let decision = edge.decide(&uncertain());
    assert!(!decision.is_allowed() && decision.has_reason(ReasonCode::RemoteUnavailable));
    drop(edge);
    assert!(began.elapsed() < Duration::from_secs(10));
}
