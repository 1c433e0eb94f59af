//! Names for decisions.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::decision::DecisionId;
use crate::error::Error;

/// Numbers that a thread takes at once: so rarely that threads don't meet at the shared count.
const BLOCK: u64 = 4096;

/// The source of names: 64 random bits chosen at opening, then a 64-bit number. Threads take numbers in blocks, so none is
/// ever given twice, and what a thread leaves of its last block is never given. At a billion decisions a second the
/// numbers last for centuries.
pub(crate) struct Ids {
    instance: u64,
    next_block: AtomicU64,
}

/// One thread's share of the numbers.
pub(crate) struct Block(Range<u64>);

impl Ids {
    /// # Errors
    /// The system gives no randomness.
    pub(crate) fn new() -> Result<Self, Error> {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(|e| Error::Config(format!("the system gives no randomness: {e}")))?;
        Ok(Self { instance: u64::from_le_bytes(bytes), next_block: AtomicU64::new(0) })
    }

    /// The random half.
    pub(crate) fn instance(&self) -> u64 {
        self.instance
    }

    /// The next name for the thread that holds `block`. No system call, and memory that no other thread writes.
    pub(crate) fn next(&self, block: &mut Block) -> DecisionId {
        let number = block.0.next().unwrap_or_else(|| {
            let start = self.next_block.fetch_add(BLOCK, Ordering::Relaxed);
            block.0 = start.saturating_add(1)..start.saturating_add(BLOCK);
            start
        });
        DecisionId(u128::from(self.instance) << 64 | u128::from(number))
    }

    /// A name from outside the count, by a system call: for a forked child, where the count would repeat its parent's.
    pub(crate) fn random() -> DecisionId {
        let mut bytes = [0; 16];
        // Without randomness it is all zeros: the decision is a deny that isn't recorded.
        let _ = getrandom::fill(&mut bytes);
        DecisionId(u128::from_le_bytes(bytes))
    }
}

impl Block {
    /// None yet.
    pub(crate) const fn empty() -> Self {
        Self(0..0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread;

    use super::*;

    #[test]
    fn no_name_is_given_twice() {
        let ids = Ids::new().unwrap();
        let take = || {
            let mut block = Block::empty();
            (0..3 * BLOCK + 7).map(|_| ids.next(&mut block)).collect::<Vec<_>>()
        };
        let taken: Vec<DecisionId> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(taken.iter().collect::<HashSet<_>>().len(), taken.len());
        assert!(taken.iter().all(|id| (id.0 >> 64) as u64 == ids.instance()));
    }
}
