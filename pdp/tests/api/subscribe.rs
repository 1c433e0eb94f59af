//! Streams: from what an edge has to what it should have.

use std::collections::BTreeSet;
use std::time::Duration;

use meshguard_engine::{Digest, Revision};
use meshguard_proto::v1::intent::{Kind, Reason};
use meshguard_proto::v1::policy_change_event::Event;
use meshguard_proto::v1::{self, file_op::Body};
use tonic::{Code, Streaming};

use crate::common::{POLICY, World, next, policy_with, wire, within};

fn subscription(have: Option<Revision>) -> v1::PolicySubscription {
    v1::PolicySubscription {
        protocol: 1,
        instance_id: "instance-1".into(),
        scopes: vec!["default".into()],
        have: have
            .map(|revision| v1::Have { scope: "default".into(), revision: Some(wire(revision)), last_event_unix_ms: 0 })
            .into_iter()
            .collect(),
        ..Default::default()
    }
}

/// One update: its intent, the files sent, and whether each came with its body.
struct Update {
    intent: v1::Intent,
    files: Vec<(String, bool)>,
    revision: v1::Revision,
}

impl Update {
    async fn read(events: &mut Streaming<v1::PolicyChangeEvent>) -> Self {
        let Event::Intent(intent) = next(events).await else { panic!("an intent is due") };
        Self::rest(events, intent).await
    }

    async fn rest(events: &mut Streaming<v1::PolicyChangeEvent>, intent: v1::Intent) -> Self {
        let Event::Head(head) = next(events).await else { panic!("a head is due") };
        let manifest = head.manifest.unwrap().payload;
        let mut files = vec![];
        loop {
            match next(events).await {
                Event::FileOp(op) => {
                    if let Some(Body::Inline(body)) = &op.body {
                        assert_eq!(Digest::of(body).as_bytes().as_slice(), op.digest);
                    }
                    files.push((op.path, matches!(op.body, Some(Body::Inline(_)))));
                }
                Event::Commit(commit) => {
                    let revision = commit.revision.unwrap();
                    assert_eq!(Digest::of(&manifest).as_bytes().as_slice(), revision.manifest_digest);
                    return Self { intent, files, revision };
                }
                event => panic!("{event:?}"),
            }
        }
    }

    fn why(&self) -> (Kind, Reason) {
        (self.intent.kind(), self.intent.reason())
    }
}

async fn open(world: &World, subscription: v1::PolicySubscription) -> Streaming<v1::PolicyChangeEvent> {
    let mut events = within(world.pdp().await.subscribe(subscription)).await.unwrap().into_inner();
    let Event::Hello(hello) = next(&mut events).await else { panic!("a hello is due") };
    assert!(!hello.session_id.is_empty() && hello.heartbeat_interval_ms == 15_000);
    events
}

async fn report(world: &World, active: Revision, verdict: v1::outcome::Verdict, attempted: Revision) {
    let outcome = v1::Outcome { revision: Some(wire(attempted)), verdict: Some(verdict), duration_us: 1 };
    let report = v1::AgentReport {
        instance_id: "instance-1".into(),
        scope: "default".into(),
        active: Some(wire(active)),
        outcome: Some(outcome),
        state: v1::SyncState::Live.into(),
        engine_version: "0.1.0".into(),
        decisions: Some(v1::DecisionCounters { allow: 3, ..Default::default() }),
        ..Default::default()
    };
    within(world.sync().await.report(report)).await.unwrap();
}

#[tokio::test]
async fn snapshot_then_delta() {
    let world = World::published();
    let mut events = open(&world, subscription(None)).await;
    let update = Update::read(&mut events).await;
    assert_eq!(update.why(), (Kind::Snapshot, Reason::NoBase));
    assert_eq!(update.files, [("constant/data.json".to_owned(), true), ("policy.rego".to_owned(), true)]);

    let one: Revision = revision(&world);
    assert_eq!(update.revision, wire(one));
    report(&world, one, v1::outcome::Verdict::Ack(v1::Ack {}), one).await;
    let two = world.publish(2, &policy_with("two"));
    let update = Update::read(&mut events).await;
    assert_eq!(update.why(), (Kind::Delta, Reason::Behind));
    assert_eq!(update.intent.from, Some(wire(one)));
    assert_eq!(update.files, [("policy.rego".to_owned(), true)], "an unchanged body isn't sent again");
    assert_eq!(update.revision, wire(two));
}

#[tokio::test]
async fn up_to_date_gets_no_body_and_a_heartbeat() {
    let world = World::published();
    let one = revision(&world);
    let mut events = open(&world, subscription(Some(one))).await;
    let Event::Intent(intent) = next(&mut events).await else { panic!("an intent is due") };
    assert_eq!((intent.kind(), intent.to), (Kind::UpToDate, Some(wire(one))));
    let event = within(events.message()).await.unwrap().unwrap();
    let Some(Event::Heartbeat(heartbeat)) = event.event else { panic!("a heartbeat is due: {event:?}") };
    assert_eq!((heartbeat.head, event.scope.as_str(), event.event_seq), (Some(wire(one)), "default", 3));
}

#[tokio::test]
async fn resumes_from_any_version_kept() {
    let world = World::with(|config| config.limits.history = 3);
    let versions: Vec<Revision> = (1..=4).map(|v| world.publish(v, &policy_with(&v.to_string()))).collect();
    let mut events = open(&world, subscription(Some(versions[1]))).await;
    let update = Update::read(&mut events).await;
    assert_eq!((update.why(), update.files.len()), ((Kind::Delta, Reason::Behind), 1));

    // The first one is let go.
    let mut events = open(&world, subscription(Some(versions[0]))).await;
    let update = Update::read(&mut events).await;
    assert_eq!((update.why(), update.files.len()), ((Kind::Snapshot, Reason::Gone), 2));

    let ahead = Revision { version: 9, ..versions[3] };
    let mut events = open(&world, subscription(Some(ahead))).await;
    let update = Update::read(&mut events).await;
    assert_eq!(update.why(), (Kind::Snapshot, Reason::ClientAhead));
    assert!(update.files.iter().all(|(_, inline)| !inline), "it will refuse it: bodies would be wasted");
}

#[tokio::test]
async fn large_files_and_those_who_ask_get_references() {
    let world = World::published();
    let small = v1::Capabilities { inline_max_bytes: 100, ..Default::default() };
    let mut events = open(&world, v1::PolicySubscription { capabilities: Some(small), ..subscription(None) }).await;
    let files = Update::read(&mut events).await.files;
    assert_eq!(files, [("constant/data.json".to_owned(), true), ("policy.rego".to_owned(), false)]);

    let by_reference = v1::PolicySubscription { bodies_by_reference: true, ..subscription(None) };
    let mut events = open(&world, by_reference).await;
    assert!(Update::read(&mut events).await.files.iter().all(|(_, inline)| !inline));

    let digest = Digest::of(POLICY.as_bytes()).as_bytes().to_vec();
    for offset in [0, 10, POLICY.len() as u64] {
        let fetch = v1::FetchRequest { digest: digest.clone(), offset, ..Default::default() };
        let mut chunks = within(world.sync().await.fetch(fetch)).await.unwrap().into_inner();
        let mut body = vec![];
        while let Some(chunk) = within(chunks.message()).await.unwrap() {
            assert_eq!((chunk.offset, chunk.total_size), (offset + body.len() as u64, POLICY.len() as u64));
            body.extend_from_slice(&chunk.data);
        }
        assert_eq!(body, POLICY.as_bytes()[usize::try_from(offset).unwrap()..]);
    }
    let beyond = v1::FetchRequest { digest, offset: POLICY.len() as u64 + 1, ..Default::default() };
    assert_eq!(within(world.sync().await.fetch(beyond)).await.unwrap_err().code(), Code::OutOfRange);
}

#[tokio::test]
async fn a_first_publication_reaches_who_waits() {
    let world = World::new();
    let mut events = open(&world, subscription(None)).await;
    let one = world.publish(1, POLICY);
    assert_eq!(Update::read(&mut events).await.revision, wire(one));
}

#[tokio::test]
async fn a_refused_head_is_not_sent_again() {
    let world = World::published();
    let one = revision(&world);
    let two = world.publish(2, &policy_with("two"));
    let nack = v1::Nack { stage: v1::nack::Stage::Compile.into(), code: "rego".into(), ..Default::default() };
    report(&world, one, v1::outcome::Verdict::Nack(nack), two).await;

    let mut events = open(&world, subscription(Some(one))).await;
    let three = world.publish(3, &policy_with("three"));
    let update = Update::read(&mut events).await;
    assert_eq!((update.why().0, update.revision), (Kind::Delta, wire(three)), "version 2 is passed over");

    let (_, edges) = world.admin("GET", "/api/v1/admin/edges?tenant=acme", "").json();
    let edge = &edges[0];
    assert_eq!((&edge["agent_id"], &edge["connected"]), (&"agent-7".into(), &true.into()));
    assert_eq!((&edge["last_outcome"]["verdict"], &edge["last_outcome"]["code"]), (&"nack".into(), &"rego".into()));
    assert_eq!(edge["decisions"]["allow"], 3);
}

#[tokio::test]
async fn only_a_lasting_refusal_is_remembered() {
    use v1::nack::Stage;
    let world = World::with(|config| config.heartbeat_interval = Duration::from_millis(20));
    let one = world.publish(1, POLICY);
    let two = world.publish(2, &policy_with("two"));
    for (stage, expected) in [
        (Stage::Store, Some((Kind::Delta, Reason::Behind))),
        (Stage::Expired, Some((Kind::Delta, Reason::Behind))),
        (Stage::Version, Some((Kind::Delta, Reason::Behind))),
        // What the edge made of a delta had another digest: whatever it says to have, it gets everything.
        (Stage::Digest, Some((Kind::Snapshot, Reason::NoBase))),
        (Stage::Signature, None),
        (Stage::Tenant, None),
        (Stage::Limit, None),
        (Stage::Parse, None),
        (Stage::Compile, None),
        (Stage::Smoke, None),
        (Stage::Store, Some((Kind::Delta, Reason::Behind))),
    ] {
        let nack = v1::Nack { stage: stage.into(), code: "x".into(), ..Default::default() };
        report(&world, one, v1::outcome::Verdict::Nack(nack), two).await;
        let mut events = within(world.pdp().await.subscribe(subscription(Some(one)))).await.unwrap().into_inner();
        let Event::Hello(_) = next(&mut events).await else { panic!("a hello is due") };
        // Before the first heartbeat, if at all: one that never comes must not be waited for.
        let event = within(events.message()).await.unwrap().unwrap().event;
        match expected {
            Some(why) => {
                let Some(Event::Intent(intent)) = event else { panic!("{stage:?}: {event:?}") };
                let update = Update::rest(&mut events, intent).await;
                assert_eq!((update.why(), update.revision), (why, wire(two)), "{stage:?}");
                assert_eq!(update.files.len(), if why.0 == Kind::Snapshot { 2 } else { 1 }, "{stage:?}");
            }
            None => assert!(matches!(event, Some(Event::Heartbeat(_))), "{stage:?}: {event:?}"),
        }
    }
    // An update that was taken ends the matter.
    let nack = v1::Nack { stage: Stage::Digest.into(), ..Default::default() };
    report(&world, one, v1::outcome::Verdict::Nack(nack), two).await;
    report(&world, one, v1::outcome::Verdict::Ack(v1::Ack {}), one).await;
    let mut events = within(world.pdp().await.subscribe(subscription(Some(one)))).await.unwrap().into_inner();
    let Event::Hello(_) = next(&mut events).await else { panic!("a hello is due") };
    assert_eq!(Update::read(&mut events).await.why(), (Kind::Delta, Reason::Behind));
}

#[tokio::test]
async fn heads_that_nobody_reads_collapse() {
    let world = World::published();
    let mut events = open(&world, subscription(None)).await;
    // Larger, all together, than what the sockets and queues in between hold.
    let policy = |version: u64| policy_with(&format!("{version}{}", format!("\n# {}", "x".repeat(10_000)).repeat(10)));
    let published: Vec<_> = (2..=30).map(|version| world.publish(version, &policy(version))).collect();
    let last = published.last().unwrap();
    let mut seen = BTreeSet::new();
    while !seen.contains(&last.version) {
        let update = Update::read(&mut events).await;
        assert!(seen.insert(update.revision.version), "no version twice");
    }
    assert!(seen.len() < 30, "{seen:?}");
    assert!(seen.into_iter().is_sorted());
}

#[tokio::test]
async fn what_cannot_be_spoken_is_said_at_once() {
    let world = World::published();
    let mut pdp = world.pdp().await;
    let newer = v1::PolicySubscription { protocol: 2, ..subscription(None) };
    assert_eq!(within(pdp.subscribe(newer)).await.unwrap_err().code(), Code::FailedPrecondition);
    let nameless = v1::PolicySubscription { instance_id: String::new(), ..subscription(None) };
    assert_eq!(within(pdp.subscribe(nameless)).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn streams_are_bounded_by_tenant() {
    let world = World::with(|config| config.limits.streams_per_tenant = 1);
    let _held = open(&world, subscription(None)).await;
    let status = within(world.pdp().await.subscribe(subscription(None))).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn a_stream_ends_with_a_goodbye() {
    let mut world = World::with(|config| {
        config.heartbeat_interval = Duration::from_millis(20);
        config.max_stream_age = Duration::from_millis(200);
    });
    let mut events = within(world.pdp().await.subscribe(subscription(None))).await.unwrap().into_inner();
    let reason = loop {
        match next(&mut events).await {
            Event::Goodbye(goodbye) => break goodbye.reason(),
            Event::Hello(_) => {}
            event => panic!("{event:?}"),
        }
    };
    assert_eq!(reason, v1::goodbye::Reason::MaxAge);
    assert!(within(events.message()).await.unwrap().is_none());

    world.config.max_stream_age = Duration::from_secs(600);
    world.restart();
    let mut events = within(world.pdp().await.subscribe(subscription(None))).await.unwrap().into_inner();
    assert!(matches!(next(&mut events).await, Event::Hello(_)));
    let server = world.server.take().unwrap();
    let stopped = tokio::task::spawn_blocking(move || server.stop());
    let Event::Goodbye(goodbye) = next(&mut events).await else { panic!("a goodbye is due") };
    assert_eq!(goodbye.reason(), v1::goodbye::Reason::Drain);
    assert!(within(events.message()).await.unwrap().is_none());
    drop(events);
    within(stopped).await.unwrap();
}

fn revision(world: &World) -> Revision {
    let (_, list) = world.admin("GET", "/api/v1/admin/policies", "").json();
    let active = list.as_array().unwrap().iter().find(|policy| policy["active"] == true).unwrap();
    serde_json::from_value(active["revision"].clone()).unwrap()
}
