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
mod tests;
