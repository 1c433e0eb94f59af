//! An engine with a network beside it: what hosts are given.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use meshguard_engine::audit::JournalLimit;
use meshguard_engine::bundle::BuiltinErrors;
use meshguard_engine::token::{KeySet, TokenError};
use meshguard_engine::{
    AtLeast, Decision, Engine, Evaluation, Identity, Outcome, PublicKey, Request, SignedBundle, State, VerifiedBundle,
};

use crate::client::{self, Bearer};
use crate::config::EdgeConfig;
use crate::error::Error;
use crate::status::{Deferred, EdgeStatus, SyncStatus};
use crate::supervisor::Supervisor;

/// Records that may wait; at 1 KiB each, about a gibibyte.
const DEFAULT_PENDING_RECORDS: u64 = 1_000_000;

/// A policy decision point that keeps itself current.
///
/// Share it between threads behind an [`Arc`]. See the [crate's page](crate) for an example.
///
/// Dropping it ends the network and waits for that, a few seconds at most. In a process forked after opening it denies
/// with `forked`, touches nothing of the parent's, and is leaked rather than dropped; open an edge of its own there.
pub struct Edge {
    // Before the engine, so that the network ends before the store is closed.
    network: Option<Arc<Supervisor>>,
    engine: Arc<Engine>,
}

impl Edge {
    /// Opens an edge. Never waits for the network: it decides from what the store last held, and becomes current beside
    /// that.
    ///
    /// # Errors
    /// The configuration is impossible, the state can't be opened, a key, token or bundle named there isn't acceptable, or
    /// threads can't be started. That the gateway can't be reached is no error: see [`status`](Self::status).
    pub fn open(mut config: EdgeConfig) -> Result<Self, Error> {
        config.check()?;
        let endpoint = client::endpoint(&config)?;
        let bearer = Bearer::default();
        if let Some(token) = &config.agent_token {
            bearer.set(&token.0)?;
        }
        let trusted = keys(&config.trusted_keys, "trusted_keys")?;
        let engine = Arc::new(open_engine(&mut config, &trusted)?);
        if let Some(path) = &config.bundle_path {
            apply_file(&engine, path, &trusted)?;
        }
        let network =
            endpoint.map(|endpoint| Supervisor::start(&config, &endpoint, bearer, &engine)).transpose()?.map(Arc::new);
        Ok(Self { network, engine })
    }

    /// Decides, and records the decision.
    ///
    /// Never fails and never panics; whatever goes wrong is a deny with its reason. A certain answer takes microseconds
    /// and no network. An uncertain one, with a gateway configured, blocks for at most the `defer_timeout`.
    pub fn decide(&self, request: &Request) -> Decision {
        let outcome = self.engine.outcome(request);
        if outcome.is_certain() {
            return self.engine.record(request, outcome);
        }
        self.decide_uncertain(request, outcome)
    }

    /// Decides upon a request as JSON; one that can't be read is denied with the reason `bad_input`.
    pub fn decide_json(&self, request: &[u8]) -> Decision {
        match Request::from_json(request) {
            Ok(request) => self.decide(&request),
            // The engine denies it, and records that.
            Err(_) => self.engine.decide_json(request),
        }
    }

    /// Evaluates a rule by path over any input document, as OPA would. Local, and not recorded.
    ///
    /// # Errors
    /// See [`Engine::evaluate`].
    pub fn evaluate(&self, path: &str, input: &str, errors: BuiltinErrors) -> Result<Evaluation, Error> {
        Ok(self.engine.evaluate(path, input, errors)?)
    }

    /// Its condition.
    pub fn status(&self) -> EdgeStatus {
        let sync = self.network.as_ref().map_or_else(SyncStatus::none, |network| network.status());
        EdgeStatus { engine: self.engine.status(), sync }
    }

    /// Waits until the gateway has confirmed what is served; `false` when `patience` ran out first, or there is no gateway.
    pub fn wait_until_live(&self, patience: Duration) -> bool {
        self.wait(patience, || self.engine.status().state == State::Live)
    }

    /// Waits until this revision or a newer one is served; `false` when `patience` ran out first.
    pub fn wait_for_revision(&self, at_least: AtLeast, patience: Duration) -> bool {
        let holds = || self.engine.status().revision.is_some_and(|revision| revision.order() >= at_least);
        if self.network.is_some() { self.wait(patience, holds) } else { holds() }
    }

    /// Waits until every record so far is in the store and the gateway has acknowledged it; `false` when `patience` ran out
    /// first, or there is no gateway to acknowledge anything.
    pub fn flush_audit(&self, patience: Duration) -> bool {
        let began = Instant::now();
        if self.is_forked() || !self.engine.flush(patience) {
            return false;
        }
        let Some(network) = &self.network else { return false };
        network.shared.ship_now.notify_one();
        let written = self.engine.journal().progress().next_seq;
        self.wait(patience.saturating_sub(began.elapsed()), || {
            let now = self.engine.journal().progress();
            // Earlier openings' records are shipped first; later ones of this opening aren't waited for.
            let earlier = now.pending.saturating_sub(now.next_seq.saturating_sub(now.acked_seq));
            now.acked_seq >= written && earlier == 0
        })
    }

    /// Sends another token from the next call on. The identity that local decisions use is the one of the token at opening,
    /// until that ends.
    ///
    /// # Errors
    /// The text can't be a token.
    pub fn set_agent_token(&self, token: &str) -> Result<(), Error> {
        match &self.network {
            Some(network) if !self.is_forked() => network.set_token(token),
            _ => Ok(()),
        }
    }

    /// The engine. What is applied or decided there directly is never deferred.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Ends the network; waits a few seconds at most. Decisions go on from what is held, and uncertain ones are denied.
    pub fn close(&self) {
        if let (Some(network), false) = (&self.network, self.is_forked()) {
            network.stop();
        }
    }

    /// Apart from [`decide`](Self::decide), which is for the many.
    #[cold]
    fn decide_uncertain(&self, request: &Request, outcome: Outcome) -> Decision {
        let outcome = match &self.network {
            Some(network) if outcome.may_defer() => match network.deferrer.ask(request, &outcome) {
                Ok(answer) => outcome.answered(answer.verdict, answer.revision),
                Err(cause) => {
                    let (outcome, opened) = network.failure.settle(&self.engine, outcome, cause);
                    if opened {
                        network.counts.failed_open.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                    outcome
                }
            },
            _ => outcome,
        };
        self.engine.record(request, outcome)
    }

    fn wait(&self, patience: Duration, holds: impl FnMut() -> bool) -> bool {
        match &self.network {
            Some(network) if !self.is_forked() => network.shared.wait(patience, holds),
            _ => false,
        }
    }

    fn is_forked(&self) -> bool {
        self.engine.is_forked()
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        if self.is_forked() {
            // Threads, locks and files are the parent's: one reference too many, and nothing is ever dropped here.
            std::mem::forget(self.network.clone());
            std::mem::forget(Arc::clone(&self.engine));
        } else {
            self.close();
        }
    }
}

impl std::fmt::Debug for Edge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Edge").field("engine", &self.engine).finish_non_exhaustive()
    }
}

impl SyncStatus {
    fn none() -> Self {
        Self {
            gateway: None,
            connected: false,
            session_id: None,
            streams: 0,
            failures: 0,
            last_error: None,
            head: None,
            last_outcome: None,
            deferred: Deferred::default(),
            breaker: "closed",
            audit_connected: false,
            failure_mode: crate::FailureMode::Closed,
            fail_open_until_ms: None,
        }
    }
}

fn keys(pems: &[String], field: &str) -> Result<Vec<PublicKey>, Error> {
    pems.iter().map(|pem| PublicKey::from_pem(pem).map_err(|e| Error::Config(format!("`{field}`: {e}")))).collect()
}

fn open_engine(config: &mut EdgeConfig, trusted: &[PublicKey]) -> Result<Engine, Error> {
    let mut builder = Engine::builder(&config.tenant).scope(&config.scope);
    for key in trusted {
        builder = builder.trust(*key);
    }
    for obligation in &config.obligations {
        builder = builder.obligation(obligation);
    }
    if let Some(clock) = &config.clock {
        builder = builder.clock(Arc::clone(clock));
    }
    let records = config.max_pending_records.unwrap_or(DEFAULT_PENDING_RECORDS);
    builder = builder.journal_limit(match config.gateway {
        Some(_) => JournalLimit::Deny(records),
        // Nobody to ship them to: keep the newest.
        None => JournalLimit::ForgetOldest(records),
    });
    if let Some(dir) = &config.state_dir {
        builder = builder.state_dir(dir);
    }
    if let Some((store, floors)) = config.store.take() {
        builder = builder.store(store, floors);
    }
    if let Some(identity) = identity(config)? {
        builder = builder.identity(Arc::new(identity));
    }
    Ok(builder.open()?)
}

/// Who the agent's token says it is, if the keys to check that are configured.
fn identity(config: &EdgeConfig) -> Result<Option<Identity>, Error> {
    let keys = KeySet::new(keys(&config.identity_keys, "identity_keys")?);
    let Some(token) = config.agent_token.as_ref().filter(|_| !keys.is_empty()) else { return Ok(None) };
    let clock = config.clock.clone().unwrap_or_else(|| Arc::new(meshguard_engine::SystemClock::new()));
    match keys.verify(&token.0, clock.wall_ms()) {
        Ok(identity) if identity.tenant() == config.tenant => Ok(Some(identity)),
        Ok(_) => Err(Error::Config("`agent_token` is another tenant's".into())),
        // A machine that was off for long starts all the same, and its actors have the lowest tier.
        Err(TokenError::Refused { code: "expired", .. }) => {
            tracing::warn!("the agent's token has expired; without its claims every actor has the lowest tier");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Serves the signed bundle in a file, unless what is held is as new.
fn apply_file(engine: &Engine, path: &Path, trusted: &[PublicKey]) -> Result<(), Error> {
    let bytes =
        std::fs::read(path).map_err(|e| Error::Config(format!("`bundle_path`: can't read {}: {e}", path.display())))?;
    let signed = SignedBundle::from_tar_gz(&bytes)?;
    let bundle = VerifiedBundle::new(&signed, trusted, engine.tenant(), engine.scope())?;
    let status = engine.status();
    let offered = bundle.revision().order();
    let held = status.revision.map(|revision| revision.order());
    if held.is_some_and(|held| held >= offered) || offered < status.floor {
        tracing::debug!(%offered, "what is held is as new as the bundle in the file");
        return Ok(());
    }
    engine.apply(&bundle)?;
    Ok(())
}
