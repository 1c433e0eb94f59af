//! What deciding threads and the writer have in common. Deciding threads only read it, but for once in a long while.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Thread;

use crossbeam_channel::Sender;
use crossbeam_utils::CachePadded;

use super::record::PlainId;
use super::ring::Drain;
use crate::counters::Tally;
use crate::ids::Ids;
use crate::os::ForkMark;

/// There is no room for a record, or the writer is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotRecorded;

pub(super) struct Shared {
    /// The writer sleeps until it is woken. Written by the writer, a few times a second at most.
    pub(super) asleep: CachePadded<AtomicBool>,
    /// To the writer, beside the rings.
    pub(super) control: Sender<Control>,
    /// Whom to wake; set before anybody records.
    pub(super) writer: OnceLock<Thread>,
    pub(super) opened: ForkMark,
    pub(super) ids: CachePadded<Ids>,
    pub(super) lanes: AtomicU64,
    pub(super) tally: Tally,
    pub(super) plain: PlainLists,
    /// The writer can't write.
    pub(super) degraded: AtomicBool,
    /// What can't be written now never will be.
    pub(super) stopping: AtomicBool,
}

pub(super) enum Control {
    /// A thread has a new ring. One lane's rings are emptied in the order in which they come.
    Ring {
        lane: u64,
        drain: Drain,
    },
    /// Answered once everything before it is written.
    Flush(Sender<()>),
    Stop,
}

impl Shared {
    pub(super) fn new(control: Sender<Control>, ids: Ids) -> Self {
        Self {
            asleep: CachePadded::new(AtomicBool::new(false)),
            control,
            writer: OnceLock::new(),
            opened: ForkMark::now(),
            ids: CachePadded::new(ids),
            lanes: AtomicU64::new(0),
            tally: Tally::default(),
            plain: PlainLists::new(),
            degraded: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        }
    }

    /// Wakes the writer, wherever it waits.
    pub(super) fn wake(&self) {
        self.asleep.store(false, Ordering::Relaxed);
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }
}

/// The lists of plain fields that bundles came with, each kept once, so that a record needs only to name one.
pub(super) struct PlainLists(Mutex<Vec<Arc<[String]>>>);

impl PlainLists {
    /// The empty list alone.
    fn new() -> Self {
        Self(Mutex::new(vec![Arc::default()]))
    }

    pub(super) fn id(&self, list: &[String]) -> PlainId {
        let mut lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = lists.iter().position(|known| **known == *list).unwrap_or_else(|| {
            lists.push(list.into());
            lists.len() - 1
        });
        // More lists than numbers would need more memory than there is; the empty list shows nothing.
        PlainId(u32::try_from(at).unwrap_or_default())
    }

    pub(super) fn get(&self, id: PlainId) -> Arc<[String]> {
        let lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        usize::try_from(id.0).ok().and_then(|at| lists.get(at)).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_lists_have_one_id() {
        let lists = PlainLists::new();
        let list = ["/action".to_owned(), "/actor/id".to_owned()];
        let id = lists.id(&list);
        assert_eq!(lists.id(&list), id);
        assert_ne!(lists.id(&list[..1]), id);
        assert_eq!(lists.id(&[]), PlainId::default());
        assert_eq!(*lists.get(id), list);
        assert!(lists.get(PlainId(77)).is_empty());
    }
}
