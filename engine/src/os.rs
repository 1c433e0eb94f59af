//! What needs the operating system's own hands. The only unsafe code of the engine.
//!
//! After `fork` a child has one thread, and locks and queues as they stood in the parent. So forks are counted, and what
//! was opened before the last one decides without touching journal, store or network.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

static FORKS: AtomicU64 = AtomicU64::new(0);

/// A moment between two forks; what is opened in it belongs to the process it was opened in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ForkMark(u64);

impl ForkMark {
    /// Now.
    pub(crate) fn now() -> Self {
        static INSTALLED: OnceLock<()> = OnceLock::new();
        INSTALLED.get_or_init(count_forks);
        Self(FORKS.load(Ordering::Relaxed))
    }

    /// Whether this process was forked from the one that made the mark.
    pub(crate) fn is_past(self) -> bool {
        self.0 != FORKS.load(Ordering::Relaxed)
    }
}

fn count_forks() {
    extern "C" fn in_child() {
        FORKS.fetch_add(1, Ordering::Relaxed);
    }
    // SAFETY: `in_child` is a static function that changes one atomic, which is async-signal-safe, the only demand POSIX
    // makes of a child handler. Failure (ENOMEM) leaves forks uncounted, and is no worse than no call.
    #[expect(unsafe_code, reason = "registering a fork handler has no safe interface")]
    unsafe {
        libc::pthread_atfork(None, None, Some(in_child));
    }
}
