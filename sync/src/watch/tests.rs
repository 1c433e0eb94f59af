//! The watch loop against a scripted gateway, on paused time.

use bytes::Bytes;
use fastrand::Rng;
use meshguard_engine::{ReasonCode, Request, SignedBundle, SigningKey};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Status;
use tonic::transport::Endpoint;

use super::*;
use crate::client::Bearer;
use crate::config::Reconnect;
use crate::testing;

const V1: [(&str, &str); 1] = [("a.rego", "package meshguard\ndecision := true\n")];
const V2: [(&str, &str); 1] = [("a.rego", "package meshguard\ndecision := false\n")];
const BROKEN: [(&str, &str); 1] = [("a.rego", "package meshguard\ndecision := \n")];

fn watch(engine: &Arc<Engine>) -> Watch {
    let endpoint = Endpoint::from_static("http://127.0.0.1:9");
    Watch {
        engine: Arc::clone(engine),
        gateway: Gateway::new(&endpoint, Bearer::default(), "default").unwrap(),
        shared: Arc::default(),
        who: Who { agent_id: String::new(), instance_id: "instance".into() },
        backoff: Backoff::new(Reconnect::default(), Rng::with_seed(1)),
        heartbeat: None,
        memory: Memory::default(),
    }
}

/// The gateway's side of one stream.
struct Script {
    seq: u64,
    events: Vec<Result<PolicyChangeEvent, Status>>,
}

impl Script {
    fn hello() -> Self {
        let hello = v1::Hello { heartbeat_interval_ms: 5_000, session_id: "s".into(), ..v1::Hello::default() };
        Self { seq: 0, events: vec![] }.event(Event::Hello(hello))
    }

    fn event(self, event: Event) -> Self {
        self.scoped("default", event)
    }

    fn scoped(mut self, scope: &str, event: Event) -> Self {
        self.seq += 1;
        self.events.push(Ok(PolicyChangeEvent { event_seq: self.seq, scope: scope.into(), event: Some(event) }));
        self
    }

    fn head(self, signed: &SignedBundle) -> Self {
        self.event(Event::Head(v1::Head { manifest: Some(envelope(signed)), freshness: None }))
    }

    fn files(self, signed: &SignedBundle) -> Self {
        let files = signed.manifest().unwrap().files;
        files.into_iter().fold(self, |script, file| {
            let body = signed.files[&file.path].clone();
            script.event(Event::FileOp(put(&file.path, file.digest, body)))
        })
    }

    fn commit(self, signed: &SignedBundle) -> Self {
        self.event(Event::Commit(v1::Commit { revision: Some(wire::to_revision(revision(signed))) }))
    }

    fn update(self, signed: &SignedBundle) -> Self {
        let to = Some(wire::to_revision(revision(signed)));
        let intent = v1::Intent { kind: intent::Kind::Snapshot.into(), to, ..v1::Intent::default() };
        self.event(Event::Intent(intent)).head(signed).files(signed).commit(signed)
    }

    fn heartbeat(self, revision: Revision) -> Self {
        let head = Some(wire::to_revision(revision));
        self.event(Event::Heartbeat(v1::Heartbeat { head, ..v1::Heartbeat::default() }))
    }

    /// Plays it to its end, after which the gateway closes.
    async fn play(self, watch: &mut Watch) -> End {
        watch.memory.opened = None;
        watch.follow(tokio_stream::iter(self.events)).await
    }
}

fn envelope(signed: &SignedBundle) -> v1::Envelope {
    let signatures = signed.envelope.signatures.iter();
    v1::Envelope {
        payload_type: signed.envelope.payload_type.clone(),
        payload: signed.envelope.payload.clone(),
        signatures: signatures
            .map(|signature| v1::Signature { key_id: signature.key_id.clone(), sig: signature.sig.to_vec() })
            .collect(),
    }
}

fn put(path: &str, digest: Digest, body: Bytes) -> v1::FileOp {
    v1::FileOp {
        kind: v1::file_op::Kind::Put.into(),
        path: path.into(),
        digest: digest.as_bytes().to_vec(),
        size: body.len() as u64,
        codec: v1::Codec::Identity.into(),
        body: Some(v1::file_op::Body::Inline(body)),
    }
}

fn revision(signed: &SignedBundle) -> Revision {
    signed.manifest().unwrap().revision(Digest::of(&signed.envelope.payload))
}

fn served(engine: &Engine) -> Option<u64> {
    engine.status().revision.map(|revision| revision.version)
}

/// The stage and code of the last attempt; none if it was accepted.
fn nack(watch: &Watch) -> Option<(Stage, String)> {
    let outcome = watch.shared.facts().last_outcome.expect("an attempt");
    outcome.refusal.map(|refusal| (refusal.stage, refusal.code))
}

fn closed(end: &End) -> bool {
    matches!(end, End::Lost(why) if why.contains("closed the stream"))
}

#[tokio::test(start_paused = true)]
async fn an_update_serves_after_its_commit_and_not_before() {
    let engine = testing::engine(&[], 0);
    let mut watch = watch(&engine);
    let v1 = testing::signed(&V1, 1);
    let end = Script::hello().head(&v1).files(&v1).play(&mut watch).await;
    assert!(closed(&end), "{end:?}");
    assert_eq!(served(&engine), None);
    let end = Script::hello().update(&v1).play(&mut watch).await;
    assert!(closed(&end), "{end:?}");
    assert_eq!((served(&engine), engine.status().state), (Some(1), State::Live));
    assert_eq!(nack(&watch), None);
    let facts = watch.shared.facts();
    assert_eq!((facts.streams, facts.unreported, facts.head), (2, true, Some(revision(&v1).order())));
    let end = Script::hello().update(&testing::signed(&V2, 2)).play(&mut watch).await;
    assert!(closed(&end), "{end:?}");
    assert_eq!(served(&engine), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_gap_a_missing_hello_and_a_second_one_end_the_stream() {
    let engine = testing::engine(&V1, 1);
    let mut watch = watch(&engine);
    let v2 = testing::signed(&V2, 2);
    // Every event of an update missing in turn: none of them goes unnoticed.
    let whole = Script::hello().update(&v2).events.len();
    for missing in 0..whole - 1 {
        let mut script = Script::hello().update(&v2);
        drop(script.events.remove(missing));
        let end = script.play(&mut watch).await;
        assert!(matches!(&end, End::Lost(why) if !why.contains("closed")), "{missing}: {end:?}");
        assert_eq!(served(&engine), Some(1), "{missing}");
    }
    let hello = Event::Hello(v1::Hello::default());
    assert!(!closed(&Script::hello().event(hello).play(&mut watch).await));
    assert!(!closed(&Script { seq: 0, events: vec![] }.update(&v2).play(&mut watch).await));
    // The negative control: with nothing missing it works.
    assert!(closed(&Script::hello().update(&v2).play(&mut watch).await));
    assert_eq!(served(&engine), Some(2));
}

#[tokio::test(start_paused = true)]
async fn silence_ends_the_stream_after_three_heartbeats() {
    let engine = testing::engine(&V1, 1);
    let mut watch = watch(&engine);
    let (events, stream) = unbounded_channel();
    let began = Instant::now();
    let gateway = tokio::spawn(speak_then_fall_silent(events));
    let end = watch.follow(UnboundedReceiverStream::new(stream)).await;
    assert!(matches!(&end, End::Lost(why) if why.contains("nothing was heard")), "{end:?}");
    // A hello, ten heartbeats 14 s apart, and then the 15 s that three intervals of 5 s make.
    let lasted = began.elapsed();
    assert!(lasted >= Duration::from_secs(155) && lasted < Duration::from_secs(156), "{lasted:?}");
    gateway.abort();
}

async fn speak_then_fall_silent(events: UnboundedSender<Result<PolicyChangeEvent, Status>>) {
    let script = (0..10).fold(Script::hello(), |script, _| script.event(Event::Heartbeat(v1::Heartbeat::default())));
    for (at, event) in script.events.into_iter().enumerate() {
        if at > 0 {
            sleep(Duration::from_secs(14)).await;
        }
        events.send(event).unwrap();
    }
    std::future::pending::<()>().await;
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_refused_takes_no_bodies_and_harms_nothing() {
    let engine = testing::engine(&V1, 2);
    let mut watch = watch(&engine);
    let stranger = SigningKey::generate().unwrap();
    let good = testing::signed(&V2, 3);
    let bundle = good.bundle().unwrap();
    let forged = bundle.clone().sign(&target(&good), &stranger).unwrap();
    let older = testing::signed(&V2, 1);
    let cases = [(forged, Stage::Signature, "signature"), (older, Stage::Version, "rollback")];
    for (signed, stage, code) in cases {
        let end = Script::hello().update(&signed).play(&mut watch).await;
        assert!(closed(&end), "the stream stays open: {end:?}");
        assert_eq!(nack(&watch), Some((stage, code.to_owned())));
        assert_eq!(served(&engine), Some(2));
    }
    let empty = v1::Head::default();
    let end = Script::hello().event(Event::Head(empty)).play(&mut watch).await;
    assert!(closed(&end) && nack(&watch).unwrap().1 == "no_manifest");
}

fn target(signed: &SignedBundle) -> meshguard_engine::Target {
    meshguard_engine::Target::new("acme", 3, signed.manifest().unwrap().issued_at_ms)
}

#[tokio::test(start_paused = true)]
async fn bodies_that_do_not_fit_are_asked_for_anew_once() {
    let engine = testing::engine(&V1, 1);
    let mut watch = watch(&engine);
    let v2 = testing::signed(&V2, 2);
    let digest = v2.manifest().unwrap().files[0].digest;
    let unlisted = |script: Script| {
        let body = Bytes::from_static(b"x");
        script.event(Event::FileOp(put("evil.rego", Digest::of(&body), body)))
    };
    let swapped = |script: Script| {
        let body = Bytes::copy_from_slice(V1[0].1.as_bytes());
        script.event(Event::FileOp(put("a.rego", digest, body)))
    };
    for (name, code, tamper) in
        [("unlisted", "unlisted", &unlisted as &dyn Fn(Script) -> Script), ("swapped", "digest", &swapped)]
    {
        watch.memory = Memory::default();
        let end = tamper(Script::hello().head(&v2)).files(&v2).commit(&v2).play(&mut watch).await;
        assert!(matches!(end, End::Told { .. }), "{name}: {end:?}");
        assert!(watch.memory.wants_snapshot, "{name}");
        assert_eq!(nack(&watch), Some((Stage::Digest, code.to_owned())));
        let end = tamper(Script::hello().head(&v2)).files(&v2).commit(&v2).play(&mut watch).await;
        assert!(closed(&end), "{name}: not in a loop: {end:?}");
        assert_eq!(served(&engine), Some(1), "{name}");
    }
    let another = Event::Commit(v1::Commit { revision: Some(wire::to_revision(revision(&testing::signed(&V1, 1)))) });
    watch.memory = Memory::default();
    let end = Script::hello().head(&v2).files(&v2).event(another).play(&mut watch).await;
    assert!(matches!(end, End::Told { .. }) && nack(&watch).unwrap().1 == "commit");
    // And what does fit is taken after all that.
    assert!(closed(&Script::hello().update(&v2).play(&mut watch).await));
    assert_eq!((served(&engine), nack(&watch)), (Some(2), None));
}

#[tokio::test(start_paused = true)]
async fn a_bundle_that_does_not_compile_is_refused_at_its_head_the_next_time() {
    let engine = testing::engine(&V1, 1);
    let mut watch = watch(&engine);
    let broken = testing::signed(&BROKEN, 2);
    let head = revision(&broken);
    // Heartbeats go on naming it, which is no reason to ask for it again.
    let end = Script::hello().update(&broken).heartbeat(head).heartbeat(head).play(&mut watch).await;
    assert!(closed(&end), "{end:?}");
    let first = nack(&watch).unwrap();
    assert!(matches!(first.0, Stage::Parse | Stage::Compile), "{first:?}");
    // Only the head this time: no body is needed to know.
    let end = Script::hello().head(&broken).play(&mut watch).await;
    assert!(closed(&end), "{end:?}");
    assert_eq!(nack(&watch), Some(first));
    assert_eq!(served(&engine), Some(1));
    assert!(closed(&Script::hello().update(&testing::signed(&V2, 3)).play(&mut watch).await));
    assert_eq!(served(&engine), Some(3));
}

#[tokio::test(start_paused = true)]
async fn a_voided_update_is_discarded_and_the_stream_stays() {
    let engine = testing::engine(&V1, 1);
    let mut watch = watch(&engine);
    let v2 = testing::signed(&V2, 2);
    let void = || Event::StreamError(v1::StreamError::default());
    let end = Script::hello().head(&v2).files(&v2).event(void()).commit(&v2).play(&mut watch).await;
    assert!(matches!(&end, End::Lost(why) if why.contains("before its head")), "{end:?}");
    assert_eq!(served(&engine), Some(1));
    let end = Script::hello().head(&v2).files(&v2).event(void()).update(&v2).play(&mut watch).await;
    assert!(closed(&end), "{end:?}");
    assert_eq!(served(&engine), Some(2));
}

#[tokio::test(start_paused = true)]
async fn an_update_that_broke_off_keeps_its_bodies() {
    let engine = testing::engine(&V1, 1);
    let mut watch = watch(&engine);
    let v2 = testing::signed(&V2, 2);
    Script::hello().head(&v2).files(&v2).play(&mut watch).await;
    // No body comes a second time, and none can be fetched.
    let end = Script::hello().head(&v2).commit(&v2).play(&mut watch).await;
    assert!(closed(&end), "{end:?}");
    assert_eq!(served(&engine), Some(2));
}

#[tokio::test(start_paused = true)]
async fn only_the_revision_that_serves_is_confirmed() {
    let engine = testing::engine(&V1, 2);
    let mut watch = watch(&engine);
    let ours = engine.status().revision.unwrap();
    let another = Revision { manifest: Digest::of(b"another"), ..ours };
    let older = Revision { version: 1, ..ours };
    let end = Script::hello().heartbeat(another).heartbeat(older).play(&mut watch).await;
    assert!(closed(&end), "{end:?}");
    let elsewhere = Event::Heartbeat(v1::Heartbeat { head: Some(wire::to_revision(ours)), ..v1::Heartbeat::default() });
    Script::hello().scoped("another-scope", elsewhere).play(&mut watch).await;
    assert_eq!(engine.status().state, State::Cached, "nothing confirmed it yet");
    Script::hello().heartbeat(ours).play(&mut watch).await;
    assert_eq!(engine.status().state, State::Live);
}

#[tokio::test(start_paused = true)]
async fn being_up_to_date_confirms_too() {
    for named in [true, false] {
        let engine = testing::engine(&V1, 2);
        let mut watch = watch(&engine);
        let to = engine.status().revision.filter(|_| named).map(wire::to_revision);
        let intent = v1::Intent { kind: intent::Kind::UpToDate.into(), to, ..v1::Intent::default() };
        Script::hello().event(Event::Intent(intent)).play(&mut watch).await;
        assert_eq!(engine.status().state, State::Live, "named: {named}");
    }
    let unknown = Event::Intent(v1::Intent { kind: 99, ..v1::Intent::default() });
    let mut watch = watch(&testing::engine(&V1, 2));
    let end = Script::hello().event(unknown).play(&mut watch).await;
    assert!(matches!(end, End::Told { .. }) && watch.memory.wants_snapshot);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_heartbeats_name_and_nobody_sends_is_asked_for_once() {
    let engine = testing::engine(&V1, 2);
    let mut watch = watch(&engine);
    let newer = revision(&testing::signed(&V2, 3));
    let end = Script::hello().heartbeat(newer).play(&mut watch).await;
    assert!(closed(&end), "it may be on its way: {end:?}");
    let end = Script::hello().heartbeat(newer).heartbeat(newer).play(&mut watch).await;
    assert!(matches!(end, End::Told { .. }), "{end:?}");
    let end = Script::hello().heartbeat(newer).heartbeat(newer).heartbeat(newer).play(&mut watch).await;
    assert!(closed(&end), "once for each head: {end:?}");
}

#[tokio::test(start_paused = true)]
async fn one_refusal_of_the_credential_is_a_mistake_and_two_are_meant() {
    let engine = testing::engine(&V1, 1);
    let mut watch = watch(&engine);
    let ours = engine.status().revision.unwrap();
    let allows = |engine: &Engine| engine.decide(&Request::new("a", "b")).is_allowed();
    let denied = || End::Failed(Status::permission_denied("revoked"));
    // Whatever goes wrong on the way takes nothing away.
    let proxys = "grpc-status header missing, mapped from HTTP status code 403";
    for _ in 0..3 {
        for transient in [
            End::Lost("eof".into()),
            End::Failed(Status::unavailable("restarting")),
            End::Failed(Status::resource_exhausted("busy")),
            End::Failed(Status::internal("bug")),
            End::Failed(Status::permission_denied(proxys)),
        ] {
            watch.ended(transient).await;
        }
    }
    assert!(allows(&engine));
    let wait = watch.ended(denied()).await;
    assert!(allows(&engine) && wait <= CONFIRM_WITHIN);
    // It worked in between: that was no confirmation.
    Script::hello().play(&mut watch).await;
    watch.ended(denied()).await;
    assert!(allows(&engine));
    watch.ended(End::Failed(Status::unavailable("restarting"))).await;
    watch.ended(End::Failed(Status::unauthenticated("expired"))).await;
    assert_eq!(engine.status().state, State::Withdrawn);
    assert!(engine.decide(&Request::new("a", "b")).has_reason(ReasonCode::Withdrawn));
    Script::hello().heartbeat(ours).play(&mut watch).await;
    assert!(allows(&engine), "heard again");
}

#[tokio::test(start_paused = true)]
async fn a_goodbye_is_honoured_within_reason() {
    let engine = testing::engine(&V1, 1);
    let mut watch = watch(&engine);
    let goodbye =
        |retry_after_ms, jitter_ms| Event::Goodbye(v1::Goodbye { retry_after_ms, jitter_ms, ..v1::Goodbye::default() });
    let told = |end: End| match end {
        End::Told { wait, .. } => wait,
        other => panic!("{other:?}"),
    };
    let wait = told(Script::hello().event(goodbye(2_000, 1_000)).play(&mut watch).await);
    assert!((Duration::from_secs(2)..=Duration::from_secs(3)).contains(&wait), "{wait:?}");
    let wait = told(Script::hello().event(goodbye(u64::MAX, u64::MAX)).play(&mut watch).await);
    assert!(wait <= Reconnect::default().cap * 2, "nobody is silenced for ever: {wait:?}");
    let resync = Event::Resync(v1::Resync { after_ms: 500, ..v1::Resync::default() });
    let wait = told(Script::hello().event(resync).play(&mut watch).await);
    assert_eq!(wait, Duration::from_millis(500));
    // A gateway that only ever says goodbye is met with growing patience.
    let waits: Vec<_> = {
        let mut waits = vec![];
        for _ in 0..12 {
            let end = Script::hello().event(goodbye(0, 0)).play(&mut watch).await;
            waits.push(watch.ended(end).await);
        }
        waits
    };
    assert!(waits.iter().max().unwrap() > &Duration::from_secs(5), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_directive_ends_the_stream() {
    let engine = testing::engine(&V1, 1);
    let mut watch = watch(&engine);
    let directive = Directive { after: Duration::from_secs(2), snapshot: true };
    watch.shared.update(|facts| facts.directive = Some(directive));
    watch.shared.directed.notify_one();
    let end = watch.follow(tokio_stream::pending()).await;
    assert!(matches!(end, End::Told { wait, .. } if wait == Duration::from_secs(2)), "{end:?}");
    assert!(watch.memory.wants_snapshot);
}

#[tokio::test(start_paused = true)]
async fn what_has_no_name_here_is_skipped_and_counted() {
    let engine = testing::engine(&V1, 1);
    let mut watch = watch(&engine);
    let ours = engine.status().revision.unwrap();
    let mut script = Script::hello();
    script.seq += 1;
    script.events.push(Ok(PolicyChangeEvent { event_seq: script.seq, scope: String::new(), event: None }));
    let end = script.event(Event::Withdraw(v1::Withdraw::default())).heartbeat(ours).play(&mut watch).await;
    assert!(closed(&end), "{end:?}");
    assert_eq!(engine.status().state, State::Live, "and an unsigned withdrawal takes nothing away");
}
