//! How an engine is opened.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::audit::JournalLimit;
use crate::bundle::Bundle;
use crate::clock::{Clock, SystemClock};
use crate::engine::Engine;
use crate::error::Error;
use crate::eval::RemoteData;
use crate::identity::Identity;
use crate::keys::PublicKey;
use crate::store::{FloorFiles, Store};

/// Records kept; at 1 KiB each, about a gibibyte.
const DEFAULT_RECORDS: u64 = 1_000_000;

/// Opens an [`Engine`]. Every choice has a default but the tenant.
///
/// ```
/// use meshguard_engine::Engine;
///
/// let engine = Engine::builder("acme").open()?;
/// assert!(!engine.decide(&meshguard_engine::Request::new("agent-7", "shell.exec")).is_allowed());
/// # Ok::<(), meshguard_engine::Error>(())
/// ```
pub struct EngineBuilder {
    pub(crate) tenant: String,
    pub(crate) scope: String,
    pub(crate) trusted: Vec<PublicKey>,
    #[cfg(feature = "rocksdb")]
    pub(crate) state_dir: Option<std::path::PathBuf>,
    pub(crate) store: Option<(Arc<dyn Store>, FloorFiles)>,
    pub(crate) obligations: BTreeSet<String>,
    pub(crate) remote_data: RemoteData,
    pub(crate) identity: Option<Arc<Identity>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) journal_limit: JournalLimit,
    pub(crate) unsigned: Option<Bundle>,
    pub(crate) authority: bool,
    pub(crate) counted: Option<Arc<AtomicU64>>,
}

impl EngineBuilder {
    pub(crate) fn new(tenant: String) -> Self {
        Self {
            tenant,
            scope: "default".to_owned(),
            trusted: vec![],
            #[cfg(feature = "rocksdb")]
            state_dir: None,
            store: None,
            obligations: BTreeSet::new(),
            remote_data: RemoteData::Unheld,
            identity: None,
            clock: Arc::new(SystemClock::new()),
            journal_limit: JournalLimit::ForgetOldest(DEFAULT_RECORDS),
            unsigned: None,
            authority: false,
            counted: None,
        }
    }

    /// Which of the tenant's bundles to serve; `default` unless said.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = scope.into();
        self
    }

    /// Adds a key whose signature makes a bundle acceptable. Without any, none is.
    #[must_use]
    pub fn trust(mut self, key: PublicKey) -> Self {
        self.trusted.push(key);
        self
    }

    /// Keeps bundles, floor and records in this folder, which belongs to one process at a time. Unless said, they are
    /// kept in memory and forgotten.
    #[cfg(feature = "rocksdb")]
    #[must_use]
    pub fn state_dir(mut self, dir: impl Into<std::path::PathBuf>) -> Self {
        self.state_dir = Some(dir.into());
        self
    }

    /// Keeps them in this store, which several engines of different tenants or scopes may share.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn Store>, floors: FloorFiles) -> Self {
        self.store = Some((store, floors));
        self
    }

    /// Registers an obligation that the host enforces. A decision that carries another becomes a deny.
    #[must_use]
    pub fn obligation(mut self, id: impl Into<String>) -> Self {
        self.obligations.insert(id.into());
        self
    }

    /// For the control plane, whose answers others enforce: obligations are passed on whether registered or not, what
    /// entrypoints always defer is answered here, and what serves is current by definition, so it has no age.
    ///
    /// Never for an enforcement point: it would let an action go ahead without the obligations that it can't meet.
    #[must_use]
    pub fn authority(mut self) -> Self {
        self.authority = true;
        self
    }

    /// What is held of the data that bundles declare remote; nothing unless said.
    #[must_use]
    pub fn remote_data(mut self, data: RemoteData) -> Self {
        self.remote_data = data;
        self
    }

    /// The verified identity of requests that don't bring their own.
    #[must_use]
    pub fn identity(mut self, identity: Arc<Identity>) -> Self {
        self.identity = Some(identity);
        self
    }

    /// The clock to use; the machine's unless said.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// What happens when records pile up. Unless said, the oldest go when there are a million: an engine by itself ships
    /// them nowhere. Whoever ships them wants [`JournalLimit::Deny`].
    #[must_use]
    pub fn journal_limit(mut self, limit: JournalLimit) -> Self {
        self.journal_limit = limit;
        self
    }

    /// Serves a bundle that nobody signed: for trying policies, never for enforcing them.
    #[must_use]
    pub fn unsigned_bundle(mut self, bundle: Bundle) -> Self {
        self.unsigned = Some(bundle);
        self
    }

    /// Counts records in `counter` and throws them away, where the journal's writer would write them: for measuring what it
    /// costs to decide apart from what a store costs. An engine that does this leaves no audit trail.
    #[cfg(feature = "internals")]
    #[doc(hidden)]
    #[must_use]
    pub fn count_records(mut self, counter: Arc<AtomicU64>) -> Self {
        self.counted = Some(counter);
        self
    }

    /// Opens the engine. Never waits for a network; without a valid bundle it denies everything and says why.
    ///
    /// # Errors
    /// The store is another process's or a newer version's, the disk refuses, or an unsigned bundle isn't acceptable. A
    /// signed bundle in the store that isn't acceptable any more is no error: see [`Engine::status`].
    pub fn open(self) -> Result<Engine, Error> {
        Engine::open(self)
    }
}

impl std::fmt::Debug for EngineBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineBuilder")
            .field("tenant", &self.tenant)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}
