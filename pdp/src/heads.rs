//! The one seam between what changes a head and who is told: `publish` on one side, `watch` on the other.
//!
//! With several replicas, `publish` will write to a key-value bucket and a watcher of that bucket will feed the same
//! slots; nothing else here will notice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use crate::locks::lock;
use crate::versions::Version;

/// Slots for scopes that nobody watches and nothing was published to are swept when there are this many.
const SWEEP_AT: usize = 4096;

/// What a subscriber sees: the newest head, or none. Level-triggered: heads that came in between are gone.
pub(crate) type Head = Option<Arc<Version>>;

/// The current head of every scope.
#[derive(Default)]
pub(crate) struct Heads {
    slots: Mutex<HashMap<(String, String), watch::Sender<Head>>>,
}

impl Heads {
    /// Makes `head` the one that everybody is told. The same one again tells nobody.
    pub(crate) fn publish(&self, tenant: &str, scope: &str, head: Head) {
        let mut slots = lock(&self.slots);
        let slot = slots.entry((tenant.to_owned(), scope.to_owned())).or_insert_with(|| watch::Sender::new(None));
        let revision = |head: &Head| head.as_ref().map(|version| version.revision);
        slot.send_if_modified(|current| {
            let changed = revision(current) != revision(&head);
            *current = head;
            changed
        });
    }

    /// Sees the head of a scope, now and whenever it changes; a scope without one may get one later.
    pub(crate) fn watch(&self, tenant: &str, scope: &str) -> watch::Receiver<Head> {
        let mut slots = lock(&self.slots);
        if slots.len() >= SWEEP_AT {
            slots.retain(|_, slot| slot.receiver_count() > 0 || slot.borrow().is_some());
        }
        slots.entry((tenant.to_owned(), scope.to_owned())).or_insert_with(|| watch::Sender::new(None)).subscribe()
    }
}
