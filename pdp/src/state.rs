//! What every call shares.

use std::sync::Arc;
use std::time::Duration;

use meshguard_engine::Clock;
use meshguard_engine::store::Store;
use tokio::sync::watch;

use crate::auth::Auth;
use crate::config::Limits;
use crate::failure::Failure;
use crate::fleet::Fleet;
use crate::ledger::Ledger;
use crate::limits::{Gate, Streams};
use crate::metrics::Metrics;
use crate::tenants::Tenants;

/// What every call shares.
pub(crate) struct State {
    pub(crate) auth: Auth,
    pub(crate) tenants: Tenants,
    pub(crate) ledger: Ledger,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    /// In front of deciding.
    pub(crate) gate: Gate,
    /// In front of the disk.
    pub(crate) disk: Gate,
    pub(crate) streams: Arc<Streams>,
    pub(crate) limits: Limits,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) max_stream_age: Duration,
    /// True once the server is stopping.
    pub(crate) stopping: watch::Receiver<bool>,
}

impl State {
    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Runs what touches the disk, in its turn.
    pub(crate) async fn on_disk<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let turn = self.disk.enter().await.inspect_err(|_| self.metrics.busy.add(1))?;
        let state = Arc::clone(self);
        blocking(move || {
            let _turn = turn;
            work(&state)
        })
        .await
    }

    /// Returns when the server is stopping.
    pub(crate) async fn stopped(&self) {
        // An error means that the server is gone already.
        let _ = self.stopping.clone().wait_for(|stopping| *stopping).await;
    }
}

/// Runs what touches the disk or takes its time where it holds nobody up.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|error| match error.is_panic() {
        true => Failure::internal(&"a call panicked"),
        false => Failure::unavailable("stopping", "the server is stopping"),
    })
}
