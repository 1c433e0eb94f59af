//! The engine: open, decide, apply, status. What each does is in a file of its own.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::audit::{Event, Journal, Recorder, Sink};
use crate::bundle::Envelope;
use crate::clock::{Clock, Now};
use crate::config::EngineBuilder;
use crate::digest::Digest;
use crate::error::{Error, Refusal};
use crate::eval::{Program, RemoteData};
use crate::identity::Identity;
use crate::ids::Ids;
use crate::keys::PublicKey;
use crate::live::Live;
use crate::os::ForkMark;
use crate::snapshot::{Current, Snapshot};
use crate::status::{State, Status};
use crate::store::layout::Layout;
use crate::store::{Batch, Durability, FloorFiles, MemoryStore, Store};

/// How often the moment of the control plane's last word is written down, in milliseconds. A restart believes itself at
/// most this much staler than it is.
const HEARD_INTERVAL_MS: i64 = 10_000;

/// A policy decision point: decides with no network, from a bundle that a trusted key signed, and records every decision.
///
/// Share it between threads behind an [`Arc`]; deciding takes no lock. See the [crate's page](crate) for an example.
pub struct Engine {
    pub(crate) tenant: String,
    pub(crate) scope: String,
    pub(crate) trusted: Vec<PublicKey>,
    pub(crate) obligations: BTreeSet<String>,
    /// See [`EngineBuilder::authority`].
    pub(crate) authority: bool,
    pub(crate) identity: Option<Arc<Identity>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) layout: Layout,
    pub(crate) floors: FloorFiles,
    pub(crate) current: Current,
    pub(crate) live: Live,
    /// The data under remote roots; locked while a bundle is compiled and applied, one at a time.
    pub(crate) applying: Mutex<RemoteData>,
    /// Why the newest bundle offered isn't the one that serves. Apart from the rest, so that asking for the status doesn't
    /// wait for a compilation.
    behind: Mutex<Option<Refusal>>,
    fail_open: Mutex<()>,
    heard_written_ms: AtomicI64,
    pub(crate) recorder: Recorder,
    pub(crate) opened: ForkMark,
    journal: Arc<Journal>,
    damaged_store: Option<String>,
}

impl Engine {
    /// How to open one for `tenant`.
    pub fn builder(tenant: impl Into<String>) -> EngineBuilder {
        EngineBuilder::new(tenant.into())
    }

    pub(crate) fn open(mut config: EngineBuilder) -> Result<Self, Error> {
        if config.tenant.is_empty() || config.scope.is_empty() {
            return Err(Error::Config("tenant and scope must be named".into()));
        }
        let opened = ForkMark::now();
        let (store, floors, damaged_store) = open_store(&mut config)?;
        let layout = Layout::new(&config.tenant, &config.scope);
        let ids = Ids::new()?;
        let chain =
            Digest::of_parts([config.tenant.as_bytes(), config.scope.as_bytes(), &ids.instance().to_le_bytes()]);
        let journal = Arc::new(Journal::open(Arc::clone(&store), layout.clone(), chain)?);
        let sink = match config.counted.take() {
            Some(counter) => Sink::Counter(counter),
            None => Sink::Journal(Arc::clone(&journal)),
        };
        let recorder = Recorder::start(sink, config.tenant.clone(), config.journal_limit, ids)?;
        let withdrawn = store.get(&layout.withdrawn())?.is_some();
        let engine = Self {
            live: Live::new(withdrawn),
            current: Current::new()?,
            applying: Mutex::new(config.remote_data),
            tenant: config.tenant,
            scope: config.scope,
            trusted: config.trusted,
            obligations: config.obligations,
            authority: config.authority,
            identity: config.identity,
            clock: config.clock,
            store,
            layout,
            floors,
            behind: Mutex::default(),
            fail_open: Mutex::default(),
            heard_written_ms: AtomicI64::new(i64::MIN),
            recorder,
            opened,
            journal,
            damaged_store,
        };
        match config.unsigned {
            Some(bundle) => {
                let program = Program::compile(&bundle, &engine.applying())?;
                let plain = engine.recorder.plain_list(&program.settings().plain);
                engine.current.swap(Snapshot::unsigned(program, plain));
            }
            None => engine.restore()?,
        }
        Ok(engine)
    }

    /// Whose engine this is.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Which of the tenant's bundles it serves.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// The clock it goes by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Its records, for shipping.
    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// The body of a file by digest, if it is held. Not checked again: whoever assembles a bundle checks.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn body(&self, digest: &Digest) -> Result<Option<Bytes>, Error> {
        Ok(self.store.get(&self.layout.blob(digest))?.map(Bytes::from))
    }

    /// The signed manifest of what was last accepted.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn active_envelope(&self) -> Result<Option<Envelope>, Error> {
        Ok(self.store.get(&self.layout.active())?.map(|json| Envelope::from_json(&json)).transpose()?)
    }

    /// The control plane confirmed that what is served is current. Lifts a withdrawal.
    pub fn heard(&self) {
        let was_withdrawn = self.live.is_withdrawn();
        let now = self.live.hear(self.clock.as_ref());
        let mut batch = Batch::new();
        if was_withdrawn {
            batch.delete(self.layout.withdrawn());
            self.note(Event::Withdrawn { withdrawn: false });
        }
        let last = self.heard_written_ms.load(Ordering::Relaxed);
        let served = self.current.load().as_ref().and_then(|snapshot| snapshot.revision);
        if let Some(served) = served.filter(|_| was_withdrawn || now.saturating_sub(last) >= HEARD_INTERVAL_MS) {
            batch.put(self.layout.heard(), [now.to_be_bytes().as_slice(), served.manifest.as_bytes()].concat());
        }
        if batch.is_empty() {
            return;
        }
        match self.store.write(batch, Durability::Process) {
            Ok(()) => self.heard_written_ms.store(now, Ordering::Relaxed),
            Err(error) => tracing::warn!(%error, "can't write down that the control plane was heard"),
        }
    }

    /// The control plane judged this edge's credential and refused it: nothing is allowed until [`heard`](Self::heard),
    /// after a restart neither.
    pub fn withdraw(&self) {
        if self.live.is_withdrawn() {
            return;
        }
        self.live.withdraw();
        self.note(Event::Withdrawn { withdrawn: true });
        let mut batch = Batch::new();
        batch.put(self.layout.withdrawn(), []);
        if let Err(error) = self.store.write(batch, Durability::Power) {
            tracing::error!(%error, "can't write down the withdrawal; it holds until this process ends");
        }
    }

    /// Since when fail-open is in use here, in milliseconds since the Unix epoch; the first call sets it, and a restart
    /// doesn't.
    ///
    /// # Errors
    /// The store can't be read or written.
    pub fn fail_open_since(&self) -> Result<i64, Error> {
        // Two first calls must agree. A lock of its own: a deciding thread waits here, and must not wait for a compilation.
        let _first = self.fail_open.lock().unwrap_or_else(PoisonError::into_inner);
        let key = self.layout.fail_open();
        if let Some(since) = self.store.get(&key)?.and_then(|bytes| bytes.try_into().ok()).map(i64::from_be_bytes) {
            return Ok(since);
        }
        let now = self.clock.wall_ms();
        let mut batch = Batch::new();
        batch.put(key, now.to_be_bytes());
        self.store.write(batch, Durability::Power)?;
        Ok(now)
    }

    /// Whether this process was forked from the one that opened the engine. Here it only denies; open another.
    pub fn is_forked(&self) -> bool {
        self.opened.is_past()
    }

    /// Its condition.
    pub fn status(&self) -> Status {
        let snapshot = self.current.load();
        let now = self.clock.now();
        let age = self.age_ms(&now);
        // In a forked child a lock may be held by a thread that doesn't exist there: what is behind one isn't looked at.
        let (floor, behind, audit, decisions) = match self.is_forked() {
            false => (self.floors.get(), self.behind().clone(), self.journal.progress(), self.recorder.counts()),
            true => Default::default(),
        };
        Status {
            tenant: self.tenant.clone(),
            scope: self.scope.clone(),
            state: self.state(snapshot.as_deref(), age, &now),
            revision: snapshot.as_ref().and_then(|snapshot| snapshot.revision),
            origin: snapshot.as_ref().map(|snapshot| snapshot.origin),
            rules: snapshot.as_ref().map_or(0, |snapshot| snapshot.program.rules()),
            policy_age_ms: age,
            expires_at_ms: snapshot.as_ref().map(|s| s.expires_at_ms).filter(|at| *at != i64::MAX),
            floor,
            behind,
            decisions,
            audit,
            audit_degraded: self.recorder.is_degraded(),
            damaged_store: self.damaged_store.clone(),
            engine_version: env!("CARGO_PKG_VERSION"),
        }
    }

    /// Waits until every record so far is in the store; `false` when `patience` ran out first.
    pub fn flush(&self, patience: Duration) -> bool {
        !self.opened.is_past() && self.recorder.flush(patience)
    }

    pub(crate) fn applying(&self) -> MutexGuard<'_, RemoteData> {
        self.applying.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn behind(&self) -> MutexGuard<'_, Option<Refusal>> {
        self.behind.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records something that is no decision. What can't be recorded is only logged: there is nobody to deny.
    pub(crate) fn note(&self, event: Event) {
        if self.recorder.note(event, self.clock.wall_ms()).is_err() {
            tracing::error!("an event couldn't be recorded");
        }
    }

    fn state(&self, snapshot: Option<&Snapshot>, age: Option<u64>, now: &Now) -> State {
        let Some(snapshot) = snapshot else { return State::Empty };
        if self.live.is_withdrawn() {
            State::Withdrawn
        } else if self.is_expired(snapshot, now) {
            State::Expired
        } else if age.is_some_and(|age| age > snapshot.soft_ttl_ms) {
            State::Stale
        } else if self.authority || self.live.was_heard_here() {
            State::Live
        } else {
            State::Cached
        }
    }

    /// Milliseconds since the control plane confirmed what serves.
    pub(crate) fn age_ms(&self, now: &Now) -> Option<u64> {
        if self.authority { Some(0) } else { self.live.age_ms(now) }
    }

    pub(crate) fn is_expired(&self, snapshot: &Snapshot, now: &Now) -> bool {
        now.wall_ms >= snapshot.expires_at_ms || now.boot_ms >= snapshot.expires_at_boot_ms
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("tenant", &self.tenant).field("scope", &self.scope).finish_non_exhaustive()
    }
}

type OpenedStore = (Arc<dyn Store>, FloorFiles, Option<String>);

fn open_store(config: &mut EngineBuilder) -> Result<OpenedStore, Error> {
    if let Some((store, floors)) = config.store.take() {
        return Ok((store, floors, None));
    }
    #[cfg(feature = "rocksdb")]
    if let Some(dir) = &config.state_dir {
        let (store, aside) = crate::store::RocksStore::open(dir)?;
        let aside = aside.map(|path| path.display().to_string());
        // The folder may have served another tenant or scope before; floors are no more shared than bundles are.
        let whose = Digest::of_parts([config.tenant.as_bytes(), config.scope.as_bytes()]);
        return Ok((Arc::new(store), FloorFiles::open(&dir.join("floors").join(whose.short()))?, aside));
    }
    Ok((Arc::new(MemoryStore::new()), FloorFiles::in_memory(), None))
}
