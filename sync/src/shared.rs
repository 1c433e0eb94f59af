//! What the tasks tell each other, and what a host may ask them.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use meshguard_engine::{AtLeast, Refusal, Revision};
use tokio::sync::Notify;

use crate::status::AppliedOutcome;

/// Facts about the network, and who is to be woken when they change.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    facts: Mutex<Facts>,
    changed: Condvar,
    /// Something suggests that trying the gateway now is worth it.
    pub(crate) try_now: Notify,
    /// Records should be sent without waiting for the interval.
    pub(crate) ship_now: Notify,
    /// There is something to report.
    pub(crate) report_now: Notify,
    /// The gateway wants a new stream; see [`Facts::directive`].
    pub(crate) directed: Notify,
}

/// How things stand.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub(crate) connected: bool,
    pub(crate) session_id: Option<String>,
    pub(crate) streams: u64,
    pub(crate) failures: u64,
    pub(crate) last_error: Option<String>,
    pub(crate) head: Option<AtLeast>,
    pub(crate) last_outcome: Option<AppliedOutcome>,
    /// Whether the gateway has yet to be told of `last_outcome`.
    pub(crate) unreported: bool,
    /// Whether the gateway takes no reports, so that outcomes go with the next subscription.
    pub(crate) reports_unimplemented: bool,
    pub(crate) directive: Option<Directive>,
    pub(crate) audit_connected: bool,
    /// Counts the changes.
    generation: u64,
}

/// A new stream, as the gateway asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Directive {
    pub(crate) after: Duration,
    pub(crate) snapshot: bool,
}

impl Shared {
    /// How things stand now.
    pub(crate) fn facts(&self) -> Facts {
        self.lock().clone()
    }

    /// Changes them, and wakes the threads that wait for a change.
    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut Facts) -> T) -> T {
        let mut facts = self.lock();
        let result = change(&mut facts);
        facts.generation = facts.generation.wrapping_add(1);
        drop(facts);
        self.changed.notify_all();
        result
    }

    /// A revision is known to exist.
    pub(crate) fn saw(&self, head: AtLeast) {
        self.update(|facts| facts.head = facts.head.max(Some(head)));
    }

    /// An attempt to apply a revision has ended.
    pub(crate) fn ended(&self, revision: Option<Revision>, refusal: Option<Refusal>, took: Duration) {
        let duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.update(|facts| {
            facts.last_outcome = Some(AppliedOutcome { revision, refusal, duration_us });
            facts.unreported = true;
        });
        self.report_now.notify_one();
    }

    /// Blocks until `holds`, asked anew after each change, or until `patience` runs out. For the host's threads.
    pub(crate) fn wait(&self, patience: Duration, mut holds: impl FnMut() -> bool) -> bool {
        let deadline = Instant::now().checked_add(patience);
        loop {
            let seen = self.lock().generation;
            if holds() {
                return true;
            }
            let mut facts = self.lock();
            while facts.generation == seen {
                let left =
                    deadline.map_or(Duration::from_secs(3600), |at| at.saturating_duration_since(Instant::now()));
                if left.is_zero() {
                    return false;
                }
                facts = self.changed.wait_timeout(facts, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn waiting_ends_with_the_change_or_with_patience() {
        let shared = Arc::new(Shared::default());
        assert!(!shared.wait(Duration::from_millis(1), || false));
        assert!(shared.wait(Duration::ZERO, || true));
        let changer = {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.update(|facts| facts.connected = true))
        };
        assert!(shared.wait(Duration::MAX, || shared.facts().connected));
        changer.join().unwrap();
    }

    #[test]
    fn the_head_only_grows() {
        let shared = Shared::default();
        let at = |version| AtLeast { key_epoch: 1, version };
        shared.saw(at(3));
        shared.saw(at(2));
        assert_eq!(shared.facts().head, Some(at(3)));
    }
}
