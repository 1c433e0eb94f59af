//! What a host may ask at any time.

use serde::{Deserialize, Serialize};

use crate::audit::Progress;
use crate::bundle::{AtLeast, Revision};
use crate::error::Refusal;
use crate::snapshot::Origin;

/// How current an engine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing valid is held: everything is denied.
    Empty,
    /// Serving from the store; the control plane wasn't heard in this process yet.
    Cached,
    /// The control plane confirmed what is served, within the soft TTL.
    Live,
    /// It did once, but longer ago.
    Stale,
    /// The hard TTL has passed: nothing is allowed.
    Expired,
    /// The control plane withdrew this edge's authorisation: nothing is allowed.
    Withdrawn,
}

impl State {
    /// The name used in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Cached => "cached",
            Self::Live => "live",
            Self::Stale => "stale",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// An engine's condition.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// Whose.
    pub tenant: String,
    /// Which of the tenant's bundles.
    pub scope: String,
    /// How current it is.
    pub state: State,
    /// What it serves.
    pub revision: Option<Revision>,
    /// Where that came from.
    pub origin: Option<Origin>,
    /// How many definitions of rules that is.
    pub rules: usize,
    /// Milliseconds since the control plane confirmed it.
    pub policy_age_ms: Option<u64>,
    /// Its hard TTL's end, in milliseconds since the Unix epoch.
    pub expires_at_ms: Option<i64>,
    /// The lowest revision that the network may still offer.
    pub floor: AtLeast,
    /// Why a bundle was refused last, if the one served is older for it.
    pub behind: Option<Refusal>,
    /// Decisions made since opening.
    pub decisions: Counts,
    /// How far records were shipped.
    pub audit: Progress,
    /// Whether records can't be written at the moment; decisions are denied then.
    pub audit_degraded: bool,
    /// Where a damaged store was moved to when this one opened.
    pub damaged_store: Option<String>,
    /// This library's version.
    pub engine_version: &'static str,
}

/// Decisions by effect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// How many allowed.
    pub allow: u64,
    /// How many denied.
    pub deny: u64,
    /// How many asked for approval.
    pub require_approval: u64,
    /// How many of all weren't certain locally.
    pub uncertain: u64,
}

impl std::ops::Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            allow: self.allow.wrapping_add(other.allow),
            deny: self.deny.wrapping_add(other.deny),
            require_approval: self.require_approval.wrapping_add(other.require_approval),
            uncertain: self.uncertain.wrapping_add(other.uncertain),
        }
    }
}
