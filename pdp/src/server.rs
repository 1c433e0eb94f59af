//! The server as a whole: started, listening, stopped.

use std::fs::{self, DirBuilder};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use meshguard_engine::store::{RocksStore, Store};
use meshguard_engine::token::{Claims, KeySet};
use meshguard_engine::{PublicKey, SigningKey};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::auth::Auth;
use crate::config::{AdminToken, ServeConfig};
use crate::error::Error;
use crate::fleet::Fleet;
use crate::heads::Heads;
use crate::ingest::take_own;
use crate::ledger::Ledger;
use crate::limits::{Gate, Streams};
use crate::listener::Listener;
use crate::secrets;
use crate::state::{State, blocking};
use crate::tenants::{Parts, Tenants};
use crate::tls;

/// How often what the own engines recorded is taken over.
const TAKE_OWN_EVERY: Duration = Duration::from_millis(250);

/// Calls that touch the disk at once, so that they never take the threads that deciding needs; and those that wait.
const DISK_AT_ONCE: usize = 32;
const DISK_WAITING: usize = 16 * 1024;

/// How long the last records may take to be written at a stop.
const LAST_RECORDS: Duration = Duration::from_secs(5);

/// A running control plane. Dropping it stops it, as [`stop`](Self::stop) does.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshguard_engine::{Tier, token::Claims};
/// use meshguard_pdp::{ServeConfig, Server};
///
/// let server = Server::start(ServeConfig::new("/var/lib/meshguard", "127.0.0.1:0".parse()?))?;
/// let now_ms = 1_800_000_000_000;
/// let token = server.issue(&Claims::new("acme", "agent-7", Tier::Trusted, now_ms, 3600))?;
/// # let _ = token;
/// # Ok(())
/// # }
/// ```
pub struct Server {
    addr: SocketAddr,
    admin: AdminToken,
    identity: SigningKey,
    identity_key: PublicKey,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a server and returns when it listens. Blocks; owns its threads, so it may be called from anywhere.
    ///
    /// # Errors
    /// The configuration contradicts itself, the address or the data folder is in use, or a file can't be read.
    pub fn start(config: ServeConfig) -> Result<Self, Error> {
        config.check()?;
        let tls = config.tls.as_ref().map(tls::acceptor).transpose()?;
        make_private(&config.data_dir)?;
        let identity = secrets::identity_key(&config.data_dir)?;
        let identity_key = identity.public()?;
        let admin = match &config.admin_token {
            Some(token) => token.clone(),
            None => secrets::admin_token(&config.data_dir)?,
        };
        let (stop, stopping) = watch::channel(false);
        let state = Arc::new(open(&config, identity_key, admin.clone(), stopping)?);
        let listener = TcpListener::bind(config.listen).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok((listener.local_addr()?, listener))
        });
        let (addr, listener) = listener.map_err(|source| Error::Listen { addr: config.listen, source })?;
        let runtime = Builder::new_multi_thread()
            .thread_name("meshguard-pdp-io")
            .max_blocking_threads(state.limits.evaluations.saturating_add(DISK_AT_ONCE).saturating_add(16))
            .enable_all()
            .build()
            .map_err(|e| Error::Config(format!("can't start the server's threads: {e}")))?;
        let drain = config.drain;
        let (listening, is_listening) = mpsc::channel();
        // A thread of its own, so that a stop can wait for the runtime's end wherever it is called from.
        let thread = thread::Builder::new()
            .name("meshguard-pdp".into())
            .spawn(move || serve(runtime, state, listener, tls, drain, &listening))
            .map_err(|e| Error::Config(format!("can't start the server's thread: {e}")))?;
        let server = Self { addr, admin, identity, identity_key, stop, thread: Some(thread) };
        match is_listening.recv() {
            Ok(Ok(())) => {
                tracing::info!(%addr, tls = config.tls.is_some(), "listening");
                Ok(server)
            }
            Ok(Err(source)) => Err(Error::Listen { addr, source }),
            Err(_) => Err(Error::Internal("the server's thread ended before it listened".into())),
        }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What admin calls must show.
    pub fn admin_token(&self) -> &AdminToken {
        &self.admin
    }

    /// The public half of the key that signs agents' tokens.
    pub fn identity_key(&self) -> PublicKey {
        self.identity_key
    }

    /// Signs an agent's token with the server's identity key.
    ///
    /// # Errors
    /// The token would live too long.
    pub fn issue(&self, claims: &Claims) -> Result<String, Error> {
        Ok(claims.sign(&self.identity)?)
    }

    /// Stops: streams are told goodbye, requests under way end, records are written. Blocks until the data folder is free.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the server's thread panicked");
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("addr", &self.addr).finish_non_exhaustive()
    }
}

fn open(
    config: &ServeConfig,
    identity: PublicKey,
    admin: AdminToken,
    stopping: watch::Receiver<bool>,
) -> Result<State, Error> {
    let (store, aside) = RocksStore::open(&config.data_dir)?;
    if let Some(aside) = aside {
        tracing::error!(aside = %aside.display(), "the store was damaged; what it held must be published again");
    }
    let store: Arc<dyn Store> = Arc::new(store);
    let clock = Arc::clone(&config.clock);
    let limits = config.limits.clone();
    let parts = Parts {
        store: Arc::clone(&store),
        floors: config.data_dir.join("floors"),
        clock: Arc::clone(&clock),
        limits: limits.clone(),
    };
    let tenants = Tenants::open(parts, Arc::new(Heads::default()))?;
    for (tenant, publishers) in &config.publishers {
        tenants.add_publishers(tenant, publishers)?;
    }
    let (edges, retention) = (limits.edges_per_tenant, config.edge_retention);
    Ok(State {
        auth: Auth::new(KeySet::new(vec![identity]), admin, Arc::clone(&clock)),
        tenants,
        ledger: Ledger::new(Arc::clone(&store), Arc::clone(&clock), limits.audit_record_bytes),
        fleet: Arc::new(Fleet::open(Arc::clone(&store), Arc::clone(&clock), retention, edges)?),
        metrics: Arc::default(),
        store,
        clock,
        gate: Gate::new(limits.evaluations, limits.waiting_evaluations),
        disk: Gate::new(DISK_AT_ONCE, DISK_WAITING),
        streams: Arc::new(Streams::new(limits.streams_per_tenant)),
        limits,
        heartbeat_interval: config.heartbeat_interval,
        max_stream_age: config.max_stream_age,
        stopping,
    })
}

/// Runs until told to stop. When it returns, nothing of the server is left.
fn serve(
    runtime: Runtime,
    state: Arc<State>,
    listener: TcpListener,
    tls: Option<tokio_rustls::TlsAcceptor>,
    drain: Duration,
    listening: &mpsc::Sender<Result<(), std::io::Error>>,
) {
    runtime.block_on(async {
        let listener = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => Listener::new(listener, tls, Arc::clone(&state)),
            Err(error) => {
                let _ = listening.send(Err(error));
                return;
            }
        };
        let taking = tokio::spawn(take_own_regularly(Arc::clone(&state)));
        let _ = listening.send(Ok(()));
        listener.run(drain).await;
        taking.abort();
        let _ = taking.await;
    });
    runtime.shutdown_timeout(drain);
    // Nobody asks any more: what was recorded last is written and taken over.
    state.tenants.flush(LAST_RECORDS);
    take_own(&state);
    if Arc::strong_count(&state) > 1 {
        tracing::warn!("a call didn't end in time; the data folder is free once it does");
    }
}

async fn take_own_regularly(state: Arc<State>) {
    let mut tick = tokio::time::interval(TAKE_OWN_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let state = Arc::clone(&state);
        if blocking(move || take_own(&state)).await.is_err() {
            tracing::error!("taking over own records failed; it is tried again");
        }
    }
}

/// The data folder, readable by its owner only if it is made here.
fn make_private(dir: &Path) -> Result<(), Error> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent).map_err(|e| Error::io("make", parent, e))?;
    }
    DirBuilder::new().mode(0o700).create(dir).map_err(|e| Error::io("make", dir, e))
}
