//! The stream of changes: from what is held to what should be, and staying there.
//!
//! Events carry no authority; the signed manifest in them does. It is admitted by the engine before any body is taken in,
//! and nothing serves before the commit. Whatever goes wrong in between, what serves keeps serving: trouble on the way
//! never lowers the state, and only a gateway that refused the credential twice takes authorisation away.

use std::sync::Arc;
use std::time::Duration;

use meshguard_engine::{Digest, Engine, Error, Refusal, Revision, Stage, State};
use meshguard_proto::v1::policy_change_event::Event;
use meshguard_proto::v1::{self, PolicyChangeEvent, intent};
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::{Stream, StreamExt};

use crate::backoff::Backoff;
use crate::client::Gateway;
use crate::fetch::{FetchError, fetch};
use crate::shared::{Directive, Shared};
use crate::staging::Staging;
use crate::wire::{self, Failure, Who};

/// Heartbeats missed before the stream counts as dead.
const MISSED_HEARTBEATS: u32 = 3;
/// The interval where the gateway announces none, and the bounds of what it may announce.
const HEARTBEAT_MS: u64 = 15_000;
const HEARTBEAT_BOUNDS_MS: (u64, u64) = (1_000, 60_000);
/// How long opening a stream may take.
const OPEN_PATIENCE: Duration = Duration::from_secs(10);
/// The longest spread of fetches.
const LONGEST_SPLAY: Duration = Duration::from_secs(30);
/// How soon a refused credential is tried again, to see whether the refusal is meant.
const CONFIRM_WITHIN: Duration = Duration::from_secs(1);

/// Keeps one engine current.
pub(crate) struct Watch {
    pub(crate) engine: Arc<Engine>,
    pub(crate) gateway: Gateway,
    pub(crate) shared: Arc<Shared>,
    pub(crate) who: Who,
    pub(crate) backoff: Backoff,
    /// Instead of what the gateway announces.
    pub(crate) heartbeat: Option<Duration>,
    pub(crate) memory: Memory,
}

/// What is remembered from one stream to the next.
#[derive(Default)]
pub(crate) struct Memory {
    /// The credential was refused, and hasn't worked since.
    refused_once: bool,
    /// The next stream shall send everything.
    wants_snapshot: bool,
    /// A manifest whose bodies didn't fit; a second time there's no use in asking again.
    misfit: Option<Digest>,
    /// A head that heartbeats named and that was asked for by a new stream.
    asked_again: Option<Digest>,
    /// An update that broke off.
    broken_off: Option<Staging>,
    /// When the stream was opened; none if it wasn't.
    opened: Option<Instant>,
}

/// Why a stream is over.
#[derive(Debug)]
enum End {
    /// It broke, went silent, or made no sense.
    Lost(String),
    /// The gateway failed it.
    Failed(tonic::Status),
    /// A new one is to be opened after this time.
    Told { wait: Duration, why: String },
}

/// One stream.
struct Current {
    next_seq: u64,
    heartbeat: Duration,
    splay: Duration,
    update: Update,
    /// Heartbeats in succession that named a head newer than what serves.
    behind: u32,
}

/// Where the update under way stands.
enum Update {
    None,
    /// Its head or one of its files was refused: the rest of it is let pass.
    Refused,
    Staging(Box<Staging>),
}

impl Watch {
    /// Opens stream after stream, forever.
    pub(crate) async fn run(mut self) {
        loop {
            let end = self.stream().await;
            let wait = self.ended(end).await;
            sleep(self.backoff.floor().min(wait)).await;
            tokio::select! {
                () = sleep(wait.saturating_sub(self.backoff.floor())) => {}
                () = self.shared.try_now.notified() => {}
            }
        }
    }

    /// One stream, from its opening to its end.
    async fn stream(&mut self) -> End {
        self.memory.opened = None;
        let engine = Arc::clone(&self.engine);
        let status = match blocking(move || engine.status()).await {
            Ok(status) => status,
            Err(end) => return end,
        };
        let facts = self.shared.update(|facts| {
            facts.directive = None;
            facts.clone()
        });
        let outcome = facts.last_outcome.as_ref().filter(|_| facts.unreported);
        let request = wire::subscription(&status, &self.who, self.memory.wants_snapshot, outcome);
        let mut client = self.gateway.subscriber();
        match timeout(OPEN_PATIENCE, client.subscribe(request)).await {
            Ok(Ok(response)) => self.follow(response.into_inner()).await,
            Ok(Err(status)) => End::Failed(status),
            Err(_) => End::Lost("the gateway didn't open a stream in time".into()),
        }
    }

    /// Acts on events until the stream is over.
    async fn follow(
        &mut self,
        mut events: impl Stream<Item = Result<PolicyChangeEvent, tonic::Status>> + Unpin,
    ) -> End {
        let shared = Arc::clone(&self.shared);
        let heartbeat = self.heartbeat.unwrap_or(Duration::from_millis(HEARTBEAT_MS));
        let mut current = Current { next_seq: 1, heartbeat, splay: Duration::ZERO, update: Update::None, behind: 0 };
        let end = loop {
            let patience = current.heartbeat * MISSED_HEARTBEATS;
            tokio::select! {
                biased;
                () = shared.directed.notified() => {
                    if let Some(directive) = shared.update(|facts| facts.directive.take()) {
                        break self.directed(directive);
                    }
                }
                event = timeout(patience, events.next()) => match event {
                    Ok(Some(Ok(event))) => {
                        if let Err(end) = self.event(&mut current, event).await {
                            break end;
                        }
                    }
                    Ok(Some(Err(status))) => break End::Failed(status),
                    Ok(None) => break End::Lost("the gateway closed the stream".into()),
                    Err(_) => break End::Lost(format!("nothing was heard for {} ms", patience.as_millis())),
                },
            }
        };
        if let Update::Staging(staging) = current.update {
            self.memory.broken_off = Some(*staging);
        }
        end
    }

    async fn event(&mut self, current: &mut Current, event: PolicyChangeEvent) -> Result<(), End> {
        if event.event_seq != current.next_seq {
            return Err(End::Lost(format!("event {} came where {} was due", event.event_seq, current.next_seq)));
        }
        current.next_seq += 1;
        if self.memory.opened.is_none() {
            return match event.event {
                Some(Event::Hello(hello)) => {
                    self.hello(current, hello);
                    Ok(())
                }
                _ => Err(End::Lost("the stream didn't begin with a hello".into())),
            };
        }
        if !event.scope.is_empty() && event.scope != self.engine.scope() {
            return Ok(());
        }
        match event.event {
            Some(Event::Hello(_)) => Err(End::Lost("a second hello".into())),
            Some(Event::Intent(intent)) => self.intent(current, intent).await,
            Some(Event::Head(head)) => self.head(current, head).await,
            Some(Event::FileOp(op)) => self.file_op(current, op),
            Some(Event::Commit(commit)) => self.commit(current, commit).await,
            Some(Event::Heartbeat(heartbeat)) => self.heartbeat(current, heartbeat).await,
            Some(Event::StreamError(error)) => {
                tracing::debug!(code = error.code, detail = error.detail, "the gateway voided an update");
                current.update = Update::None;
                Ok(())
            }
            Some(Event::Resync(resync)) => {
                current.update = Update::None;
                let wait = wire::told(resync.after_ms, self.backoff.cap());
                Err(End::Told { wait, why: format!("the gateway starts over: {}", resync.reason) })
            }
            Some(Event::Goodbye(goodbye)) => {
                let most = self.backoff.cap();
                let wait =
                    wire::told(goodbye.retry_after_ms, most) + self.backoff.within(wire::told(goodbye.jitter_ms, most));
                Err(End::Told { wait, why: format!("the gateway said goodbye: {}", goodbye.message) })
            }
            Some(Event::Withdraw(_)) => {
                tracing::warn!("a withdrawal can't be verified by this version, and is ignored");
                Ok(())
            }
            // Roots, trust and revocations are for later versions, and so is what has no name here.
            Some(Event::Root(_) | Event::TrustChanged(_) | Event::Revocation(_)) | None => Ok(()),
        }
    }

    fn hello(&mut self, current: &mut Current, hello: v1::Hello) {
        self.memory.opened = Some(Instant::now());
        self.memory.refused_once = false;
        self.memory.wants_snapshot = false;
        let (least, most) = HEARTBEAT_BOUNDS_MS;
        let announced = match hello.heartbeat_interval_ms {
            0 => HEARTBEAT_MS,
            announced => announced.clamp(least, most),
        };
        current.heartbeat = self.heartbeat.unwrap_or(Duration::from_millis(announced));
        current.splay = wire::told(hello.splay_window_ms, LONGEST_SPLAY);
        tracing::debug!(session = hello.session_id, "a stream is open");
        self.shared.update(|facts| {
            facts.connected = true;
            facts.session_id = Some(hello.session_id);
            facts.streams += 1;
            facts.failures = 0;
            facts.last_error = None;
            // Where reports aren't taken, the subscription told the outcome.
            facts.unreported &= !facts.reports_unimplemented;
        });
        self.shared.report_now.notify_one();
        self.shared.ship_now.notify_one();
    }

    async fn intent(&mut self, current: &mut Current, intent: v1::Intent) -> Result<(), End> {
        current.update = Update::None;
        let to = intent.to.as_ref().and_then(wire::revision);
        if let Some(to) = to {
            self.shared.saw(to.order());
        }
        match intent.kind() {
            intent::Kind::UpToDate => {
                // Without a name it means what the subscription said is held, and that is what serves.
                self.confirm(to).await?;
                Ok(())
            }
            intent::Kind::Delta | intent::Kind::Snapshot => Ok(()),
            intent::Kind::Unspecified => {
                self.memory.wants_snapshot = true;
                Err(End::Told { wait: Duration::ZERO, why: "the gateway's intent isn't known here".into() })
            }
        }
    }

    /// The engine judges the manifest before any body is taken in.
    async fn head(&mut self, current: &mut Current, head: v1::Head) -> Result<(), End> {
        current.update = Update::Refused;
        let Some(envelope) = head.manifest.map(wire::envelope) else {
            let refusal = wire::refusal(Stage::Signature, "no_manifest", None, "the head holds no manifest");
            return self.refused(None, refusal, Duration::ZERO);
        };
        let claimed = wire::claimed_revision(&envelope);
        let (engine, began) = (Arc::clone(&self.engine), Instant::now());
        match blocking(move || engine.admit(envelope)).await? {
            Ok(manifest) => {
                self.shared.saw(manifest.revision().order());
                let mut staging = Staging::new(manifest);
                if let Some(earlier) = self.memory.broken_off.take() {
                    staging.resume(earlier);
                }
                current.update = Update::Staging(Box::new(staging));
                Ok(())
            }
            Err(refusal) => self.refused(claimed, refusal, began.elapsed()),
        }
    }

    fn file_op(&mut self, current: &mut Current, op: v1::FileOp) -> Result<(), End> {
        let staging = match &mut current.update {
            Update::Staging(staging) => staging,
            Update::Refused => return Ok(()),
            Update::None => return Err(End::Lost("a file came before its head".into())),
        };
        let revision = staging.revision();
        let path = op.path.clone();
        let taken = match wire::file_op(op) {
            Ok((file, body)) => staging.put(&file, body),
            Err(code) => {
                let detail = "this version can't act on what was sent; upgrade it";
                Err(wire::refusal(Stage::Digest, code, Some(&path), detail))
            }
        };
        taken.or_else(|refusal| {
            tracing::warn!(%refusal, "an update was refused on its way in; what serves keeps serving");
            current.update = Update::Refused;
            self.refused(Some(revision), refusal, Duration::ZERO)
        })
    }

    async fn commit(&mut self, current: &mut Current, commit: v1::Commit) -> Result<(), End> {
        let staging = match std::mem::replace(&mut current.update, Update::None) {
            Update::Staging(staging) => staging,
            Update::Refused => return Ok(()),
            Update::None => return Err(End::Lost("a commit came before its head".into())),
        };
        let began = Instant::now();
        let revision = staging.revision();
        if commit.revision.as_ref().and_then(wire::revision) != Some(revision) {
            let detail = "the commit is for another revision than the head";
            let refusal = wire::refusal(Stage::Digest, "commit", None, detail);
            return self.refused(Some(revision), refusal, began.elapsed());
        }
        let staging = match self.complete(*staging, current.splay).await? {
            Ok(staging) => staging,
            Err(refusal) => {
                tracing::warn!(%refusal, "a bundle can't be completed; what serves keeps serving");
                return self.refused(Some(revision), refusal, began.elapsed());
            }
        };
        let engine = Arc::clone(&self.engine);
        let applied = blocking(move || {
            let applied = engine.apply(&staging.assemble()?);
            if applied.is_ok() {
                // It is the gateway's head, and it serves: that is as fresh as it gets.
                engine.heard();
            }
            applied
        })
        .await?;
        match applied {
            Ok(applied) => {
                tracing::debug!(%revision, ?applied, "an update is applied");
                self.memory.misfit = None;
                self.shared.ended(Some(revision), None, began.elapsed());
                Ok(())
            }
            Err(Error::Refused(refusal)) => self.refused(Some(revision), refusal, began.elapsed()),
            Err(error) => {
                let refusal = wire::refusal(Stage::Store, "store", None, error.to_string());
                self.refused(Some(revision), refusal, began.elapsed())
            }
        }
    }

    /// What isn't in the events comes from the store, and what isn't there from the gateway.
    async fn complete(&mut self, mut staging: Staging, splay: Duration) -> Result<Result<Staging, Refusal>, End> {
        let engine = Arc::clone(&self.engine);
        let (mut staging, state) = blocking(move || {
            staging.take_held(&engine);
            (staging, engine.status().state)
        })
        .await?;
        let missing = staging.missing();
        if !missing.is_empty() && state != State::Empty {
            sleep(self.backoff.within(splay)).await;
        }
        for file in missing {
            let fetched = match fetch(&self.gateway, self.engine.tenant(), &file, &mut self.backoff).await {
                Ok(body) => staging.accept(&file, body),
                Err(FetchError::Refused(refusal)) => Err(refusal),
                Err(FetchError::Unavailable(why)) => {
                    self.memory.broken_off = Some(staging);
                    return Err(End::Lost(format!("`{}` can't be fetched: {why}", file.path)));
                }
            };
            if let Err(refusal) = fetched {
                return Ok(Err(refusal));
            }
        }
        Ok(Ok(staging))
    }

    async fn heartbeat(&mut self, current: &mut Current, heartbeat: v1::Heartbeat) -> Result<(), End> {
        let Some(head) = heartbeat.head.as_ref().and_then(wire::revision) else { return Ok(()) };
        self.shared.saw(head.order());
        let served = self.confirm(Some(head)).await?;
        let is_behind = served.is_none_or(|served| served.order() < head.order());
        current.behind = if is_behind && matches!(current.update, Update::None) { current.behind + 1 } else { 0 };
        // The update may have been lost, or be on its way. A new stream, once for each head, makes sure.
        if current.behind >= 2 && self.memory.asked_again != Some(head.manifest) {
            self.memory.asked_again = Some(head.manifest);
            return Err(End::Told { wait: Duration::ZERO, why: "a newer head is known and wasn't sent".into() });
        }
        Ok(())
    }

    /// The gateway named its head; if that is what serves, it is confirmed. Gives back what serves.
    async fn confirm(&self, head: Option<Revision>) -> Result<Option<Revision>, End> {
        let engine = Arc::clone(&self.engine);
        let served = blocking(move || {
            let served = engine.status().revision;
            if served.is_some() && (head.is_none() || head == served) {
                engine.heard();
            }
            served
        })
        .await?;
        self.shared.update(|_| ());
        Ok(served)
    }

    /// An update is over before it served. Tells the gateway, and decides whether asking for it again makes sense.
    fn refused(&mut self, revision: Option<Revision>, refusal: Refusal, took: Duration) -> Result<(), End> {
        let (stage, text) = (refusal.stage, refusal.to_string());
        self.shared.ended(revision, Some(refusal), took);
        match (stage, revision) {
            // The disk's fault, and not the bundle's: it may work later.
            (Stage::Store, _) => Err(End::Lost(text)),
            // What was sent doesn't fit what was signed: everything anew, once.
            (Stage::Digest, Some(revision)) if self.memory.misfit != Some(revision.manifest) => {
                self.memory.misfit = Some(revision.manifest);
                self.memory.wants_snapshot = true;
                Err(End::Told { wait: Duration::ZERO, why: text })
            }
            // The bundle's fault: a newer one has to come, and this one isn't asked for when heartbeats name it.
            _ => {
                self.memory.asked_again = revision.map(|revision| revision.manifest).or(self.memory.asked_again);
                Ok(())
            }
        }
    }

    fn directed(&mut self, directive: Directive) -> End {
        self.memory.wants_snapshot |= directive.snapshot;
        End::Told { wait: directive.after.min(self.backoff.cap()), why: "the gateway asked for a new stream".into() }
    }

    /// How long to wait before the next stream.
    async fn ended(&mut self, end: End) -> Duration {
        let lasted = self.memory.opened.map(|opened| opened.elapsed());
        let why = match &end {
            End::Lost(why) | End::Told { why, .. } => why.clone(),
            End::Failed(status) => wire::words(status),
        };
        tracing::debug!(why, "the stream is over");
        self.shared.update(|facts| {
            facts.connected = false;
            facts.session_id = None;
            facts.failures += 1;
            facts.last_error = Some(why);
        });
        match end {
            End::Told { wait, .. } => wait + self.unless_healthy(lasted),
            End::Failed(status) if wire::failure(&status) == Failure::Judged => self.judged(&status).await,
            End::Lost(_) | End::Failed(_) => self.retry(lasted).await,
        }
    }

    /// One refusal may be a mistake of a gateway in trouble; two are meant.
    async fn judged(&mut self, status: &tonic::Status) -> Duration {
        if !std::mem::replace(&mut self.memory.refused_once, true) {
            return self.backoff.within(CONFIRM_WITHIN);
        }
        let engine = Arc::clone(&self.engine);
        if matches!(blocking(move || engine.status().state).await, Ok(State::Withdrawn)) {
            return self.backoff.next(None);
        }
        tracing::warn!(status = wire::words(status), "the gateway refuses this edge's credential; nothing is allowed");
        let engine = Arc::clone(&self.engine);
        if let Err(End::Lost(why)) = blocking(move || engine.withdraw()).await {
            tracing::error!(why, "the withdrawal couldn't be noted");
        }
        self.shared.update(|_| ());
        self.backoff.next(None)
    }

    /// An edge that can't decide anything comes back at once; the others spread.
    async fn retry(&mut self, lasted: Option<Duration>) -> Duration {
        let engine = Arc::clone(&self.engine);
        let is_empty = matches!(blocking(move || engine.status().state).await, Ok(State::Empty));
        if is_empty && lasted.is_some_and(|lasted| self.backoff.is_healthy(lasted)) {
            self.backoff.reset();
            return self.backoff.next(None);
        }
        self.backoff.next(lasted)
    }

    /// A stream that ends because it was told to waits for nothing more, unless it does so all the time.
    fn unless_healthy(&mut self, lasted: Option<Duration>) -> Duration {
        if lasted.is_some_and(|lasted| self.backoff.is_healthy(lasted)) {
            self.backoff.reset();
            return self.backoff.floor();
        }
        self.backoff.next(None)
    }
}

/// Runs what touches the disk or compiles where it may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, End> {
    tokio::task::spawn_blocking(work).await.map_err(|error| End::Lost(format!("internal: {error}")))
}

#[cfg(test)]
mod tests {
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
        let script =
            (0..10).fold(Script::hello(), |script, _| script.event(Event::Heartbeat(v1::Heartbeat::default())));
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
        let another =
            Event::Commit(v1::Commit { revision: Some(wire::to_revision(revision(&testing::signed(&V1, 1)))) });
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
        let elsewhere =
            Event::Heartbeat(v1::Heartbeat { head: Some(wire::to_revision(ours)), ..v1::Heartbeat::default() });
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
        let goodbye = |retry_after_ms, jitter_ms| {
            Event::Goodbye(v1::Goodbye { retry_after_ms, jitter_ms, ..v1::Goodbye::default() })
        };
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
}
