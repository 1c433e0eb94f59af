//! Owns everything that runs beside the engine, and ends it in order: no more questions, then the tasks, then the threads.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use meshguard_engine::Engine;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;
use tonic::transport::Endpoint;

use crate::backoff::Backoff;
use crate::client::{Bearer, Gateway};
use crate::config::EdgeConfig;
use crate::defer::{Counts, Deferrer};
use crate::error::Error;
use crate::failure::FailureModes;
use crate::report::Reporter;
use crate::runtime::Runtime;
use crate::shared::Shared;
use crate::status::SyncStatus;
use crate::uplink::Uplink;
use crate::watch::{Memory, Watch};
use crate::wire::Who;

/// How long what touches the disk or compiles may take to end.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// How soon a task that panicked is started again.
const RESTART: Duration = Duration::from_secs(1);

/// The network beside one engine.
pub(crate) struct Supervisor {
    pub(crate) shared: Arc<Shared>,
    pub(crate) deferrer: Deferrer,
    pub(crate) failure: FailureModes,
    pub(crate) counts: Arc<Counts>,
    gateway: String,
    bearer: Bearer,
    tasks: Mutex<Vec<AbortHandle>>,
    runtime: Runtime,
}

impl Supervisor {
    /// Starts everything and waits for nothing.
    ///
    /// # Errors
    /// The threads can't be started, or the system gives no randomness.
    pub(crate) fn start(
        config: &EdgeConfig,
        endpoint: &Endpoint,
        bearer: Bearer,
        engine: &Arc<Engine>,
    ) -> Result<Self, Error> {
        let runtime = Runtime::start()?;
        let shared = Arc::new(Shared::default());
        let counts = Arc::new(Counts::default());
        let seed = config.seed.map_or_else(random_seed, Ok)?;
        let who = Who { agent_id: config.agent_id.clone(), instance_id: uuid()? };
        let gateway = {
            let _inside = runtime.handle().enter();
            Gateway::new(endpoint, bearer.clone(), &config.scope)?
        };
        // Each task draws from a sequence of its own, so that one's trouble doesn't move another's waits.
        let backoff = |task: u64| {
            let pace = config.reconnect;
            move || Backoff::new(pace, Rng::with_seed(seed.wrapping_add(task)))
        };
        let watch = {
            let (engine, gateway, shared, who) =
                (Arc::clone(engine), gateway.clone(), Arc::clone(&shared), who.clone());
            let (backoff, heartbeat) = (backoff(1), config.heartbeat_interval);
            move || {
                let watch = Watch {
                    engine: Arc::clone(&engine),
                    gateway: gateway.clone(),
                    shared: Arc::clone(&shared),
                    who: who.clone(),
                    backoff: backoff(),
                    heartbeat,
                    memory: Memory::default(),
                };
                watch.run()
            }
        };
        let uplink = {
            let (engine, gateway, shared) = (Arc::clone(engine), gateway.clone(), Arc::clone(&shared));
            let (backoff, interval) = (backoff(2), config.audit_interval);
            move || {
                let uplink = Uplink {
                    engine: Arc::clone(&engine),
                    gateway: gateway.clone(),
                    shared: Arc::clone(&shared),
                    backoff: backoff(),
                    interval,
                };
                uplink.run()
            }
        };
        let reporter = {
            let (engine, gateway, shared) = (Arc::clone(engine), gateway.clone(), Arc::clone(&shared));
            let (backoff, interval, counts) = (backoff(3), config.report_interval, Arc::clone(&counts));
            move || {
                let reporter = Reporter {
                    engine: Arc::clone(&engine),
                    gateway: gateway.clone(),
                    shared: Arc::clone(&shared),
                    counts: Arc::clone(&counts),
                    who: who.clone(),
                    backoff: backoff(),
                    interval,
                };
                reporter.run()
            }
        };
        let handle = runtime.handle();
        let tasks = vec![
            handle.spawn(keep_running("watch", watch)).abort_handle(),
            handle.spawn(keep_running("uplink", uplink)).abort_handle(),
            handle.spawn(keep_running("report", reporter)).abort_handle(),
        ];
        let deferrer = Deferrer::new(
            config.tenant.clone(),
            config.defer_timeout,
            handle.clone(),
            Arc::new(gateway),
            Arc::clone(&counts),
            Arc::clone(&shared),
        );
        Ok(Self {
            shared,
            deferrer,
            failure: FailureModes::new(config.failure_mode, config.fail_open_for),
            counts,
            gateway: endpoint.uri().to_string(),
            bearer,
            tasks: Mutex::new(tasks),
            runtime,
        })
    }

    /// How the gateway is reached.
    pub(crate) fn status(&self) -> SyncStatus {
        let facts = self.shared.facts();
        SyncStatus {
            gateway: Some(self.gateway.clone()),
            connected: facts.connected,
            session_id: facts.session_id,
            streams: facts.streams,
            failures: facts.failures,
            last_error: facts.last_error,
            head: facts.head,
            last_outcome: facts.last_outcome,
            deferred: self.counts.read(),
            breaker: self.deferrer.breaker(),
            audit_connected: facts.audit_connected,
            failure_mode: self.failure.mode(),
            fail_open_until_ms: self.failure.until_ms(),
        }
    }

    /// Uses another token from the next call on.
    ///
    /// # Errors
    /// The text can't be a token.
    pub(crate) fn set_token(&self, token: &str) -> Result<(), Error> {
        self.bearer.set(token)?;
        self.shared.try_now.notify_one();
        Ok(())
    }

    /// Ends everything. What was accepted, decided or recorded so far stays.
    pub(crate) fn stop(&self) {
        self.deferrer.close();
        for task in self.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
        self.runtime.stop(STOP_PATIENCE);
        self.shared.update(|facts| {
            facts.connected = false;
            facts.session_id = None;
            facts.audit_connected = false;
        });
    }
}

/// Runs a task that should never end, and starts it anew if it panics: a bug in one stream is no reason to stay stale.
async fn keep_running<F: Future<Output = ()> + Send + 'static>(name: &'static str, task: impl Fn() -> F) {
    loop {
        // In a set, so that the task is dropped together with this one.
        let mut tasks = JoinSet::new();
        tasks.spawn(task());
        if let Some(Err(error)) = tasks.join_next().await {
            tracing::error!(name, %error, "a background task failed and is started again; please report it");
        }
        sleep(RESTART).await;
    }
}

fn random_seed() -> Result<u64, Error> {
    Ok(u64::from_le_bytes(random()?))
}

/// A random UUID (RFC 9562, version 4).
fn uuid() -> Result<String, Error> {
    let bits = u128::from_le_bytes(random()?) & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| hex.get(range).unwrap_or_default());
    Ok(parts.join("-"))
}

fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| Error::Config(format!("the system gives no randomness: {e}")))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn instance_ids_are_uuids_and_differ() {
        let id = uuid().unwrap();
        let lengths: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(id.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&id.as_bytes()[19]), "{id}");
        assert_ne!(id, uuid().unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_started_again() {
        let runs = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&runs);
        let (sender, mut third) = tokio::sync::mpsc::channel(1);
        let task = tokio::spawn(keep_running("test", move || {
            let run = counter.fetch_add(1, Ordering::SeqCst);
            let sender = sender.clone();
            async move {
                assert!(run >= 2, "this panic is part of the test");
                sender.send(()).await.unwrap();
                std::future::pending::<()>().await;
            }
        }));
        third.recv().await.unwrap();
        assert_eq!(runs.load(Ordering::SeqCst), 3);
        task.abort();
    }
}
