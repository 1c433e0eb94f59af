//! What one decision sees, and the slot that is swapped. The only user of `arc-swap`.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use arc_swap::{ArcSwapOption, Guard};
use crossbeam_channel::{Sender, unbounded};
use serde::Serialize;

use crate::audit::PlainId;
use crate::bundle::{Manifest, Mode, Revision};
use crate::error::Error;
use crate::eval::Program;
use crate::os::ForkMark;

/// A bundle in service. Immutable.
pub(crate) struct Snapshot {
    /// None for a bundle that nobody signed, loaded by hand.
    pub(crate) revision: Option<Revision>,
    pub(crate) program: Program,
    pub(crate) origin: Origin,
    /// Wall clock, in milliseconds.
    pub(crate) issued_at_ms: i64,
    /// Wall clock, in milliseconds.
    pub(crate) expires_at_ms: i64,
    /// The same moment by the boot clock, so that a wall clock set back doesn't lengthen it.
    pub(crate) expires_at_boot_ms: u64,
    pub(crate) soft_ttl_ms: u64,
    /// The list of plain fields, as the recorder knows it.
    pub(crate) plain: PlainId,
}

/// Where a snapshot came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The store, at start.
    Store,
    /// The control plane, or the caller.
    Applied,
    /// Loaded by hand, unsigned.
    Unsigned,
}

impl Snapshot {
    pub(crate) fn signed(
        manifest: &Manifest,
        revision: Revision,
        program: Program,
        plain: PlainId,
        origin: Origin,
        wall_ms: i64,
        boot_ms: u64,
    ) -> Self {
        let left = u64::try_from(manifest.expires_at_ms.saturating_sub(wall_ms)).unwrap_or(0);
        Self {
            revision: Some(revision),
            program,
            plain,
            origin,
            issued_at_ms: manifest.issued_at_ms,
            expires_at_ms: manifest.expires_at_ms,
            expires_at_boot_ms: boot_ms.saturating_add(left),
            soft_ttl_ms: manifest.soft_ttl_ms,
        }
    }

    pub(crate) fn unsigned(program: Program, plain: PlainId) -> Self {
        Self {
            revision: None,
            program,
            plain,
            origin: Origin::Unsigned,
            issued_at_ms: i64::MIN,
            expires_at_ms: i64::MAX,
            expires_at_boot_ms: u64::MAX,
            soft_ttl_ms: u64::MAX,
        }
    }

    pub(crate) fn mode(&self) -> Mode {
        self.program.settings().mode
    }
}

/// The snapshot in service.
pub(crate) struct Current {
    slot: ArcSwapOption<Snapshot>,
    reaper: Option<Sender<Arc<Snapshot>>>,
    thread: Option<JoinHandle<()>>,
    opened: ForkMark,
}

impl Current {
    pub(crate) fn new() -> Result<Self, Error> {
        let (reaper, retired) = unbounded::<Arc<Snapshot>>();
        let thread = thread::Builder::new()
            .name("meshguard-reaper".into())
            .spawn(move || {
                for snapshot in retired {
                    await_last(&snapshot);
                }
            })
            .map_err(|e| Error::Config(format!("can't start the reaper's thread: {e}")))?;
        Ok(Self { slot: ArcSwapOption::empty(), reaper: Some(reaper), thread: Some(thread), opened: ForkMark::now() })
    }

    /// The snapshot that this decision sees. Load once, and hold to the end: two loads are two revisions.
    pub(crate) fn load(&self) -> Guard<Option<Arc<Snapshot>>> {
        self.slot.load()
    }

    /// Puts `next` in service. Decisions under way finish on the one before, which is dropped on a thread of its own.
    pub(crate) fn swap(&self, next: Snapshot) {
        if let (Some(old), Some(reaper)) = (self.slot.swap(Some(Arc::new(next))), &self.reaper) {
            let _ = reaper.send(old);
        }
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        self.reaper = None;
        if self.opened.is_past() {
            // The reaper lives in the parent; joining it here would never end.
            return;
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Whoever drops the last reference frees the snapshot, and a large one takes milliseconds to free. Deciding threads hold
/// theirs for microseconds: wait until this one is the last.
fn await_last(snapshot: &Arc<Snapshot>) {
    while Arc::strong_count(snapshot) > 1 {
        thread::park_timeout(std::time::Duration::from_millis(1));
    }
}
