//! What a host may ask about its edge at any time.

use meshguard_engine::{AtLeast, Refusal, Revision, Status};
use serde::Serialize;

use crate::config::FailureMode;

/// An edge's condition: the engine's, and the network's.
#[derive(Debug, Clone, Serialize)]
pub struct EdgeStatus {
    /// What is served, and how current it is.
    pub engine: Status,
    /// How the gateway is reached.
    pub sync: SyncStatus,
}

/// How the gateway is reached. Without one everything is at rest.
#[derive(Debug, Clone, Serialize)]
pub struct SyncStatus {
    /// The gateway, without credentials; none if none is configured.
    pub gateway: Option<String>,
    /// Whether a stream of changes is open.
    pub connected: bool,
    /// The stream's name at the gateway.
    pub session_id: Option<String>,
    /// Streams opened since the edge was.
    pub streams: u64,
    /// Attempts that failed since the last stream was opened.
    pub failures: u64,
    /// Why the last stream ended or couldn't be opened.
    pub last_error: Option<String>,
    /// The newest revision known to exist, served or not.
    pub head: Option<AtLeast>,
    /// How the last attempt to apply a revision ended.
    pub last_outcome: Option<AppliedOutcome>,
    /// Questions put to the remote PDP.
    pub deferred: Deferred,
    /// Whether the remote PDP is being asked: `closed` (yes), `open` (no, for a moment), `half_open` (one question tries).
    pub breaker: &'static str,
    /// Whether records are being shipped.
    pub audit_connected: bool,
    /// The failure mode.
    pub failure_mode: FailureMode,
    /// Until when fail-open allows, in milliseconds since the Unix epoch; none before its first use.
    pub fail_open_until_ms: Option<i64>,
}

/// How an attempt to apply a revision ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AppliedOutcome {
    /// Which; none if its manifest couldn't be read.
    pub revision: Option<Revision>,
    /// Why it was refused; none if it serves.
    pub refusal: Option<Refusal>,
    /// From the commit to the end of the attempt, in microseconds.
    pub duration_us: u64,
}

/// Questions put to the remote PDP since the edge was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Deferred {
    /// Uncertain decisions that asked.
    pub asked: u64,
    /// Of these, those that shared another's question.
    pub shared: u64,
    /// Of these, those that were answered with a decision.
    pub answered: u64,
    /// Of these, those where the gateway couldn't be reached or didn't answer in time.
    pub unavailable: u64,
    /// Of these, those that were answered with something else than a decision.
    pub errors: u64,
    /// Of these, those that weren't put because too many were waiting.
    pub busy: u64,
    /// Of those unavailable, those that fail-open allowed.
    pub failed_open: u64,
}
