//! How many decisions were made, counted by each thread for itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_utils::CachePadded;

use crate::decision::Effect;
use crate::status::Counts;

/// One thread's counts. Only that thread writes them; whoever asks for the status reads.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    allow: AtomicU64,
    deny: AtomicU64,
    require_approval: AtomicU64,
    uncertain: AtomicU64,
}

/// Every thread's counts. Each has a cache line of its own, so that deciding threads don't wait for one another.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Threads>);

#[derive(Debug, Default)]
struct Threads {
    counting: Vec<Arc<CachePadded<Counters>>>,
    /// What threads counted that are gone.
    ended: Counts,
}

impl Counters {
    pub(crate) fn count(&self, effect: Effect, certain: bool) {
        add_one(match effect {
            Effect::Allow => &self.allow,
            Effect::Deny => &self.deny,
            Effect::RequireApproval => &self.require_approval,
        });
        if !certain {
            add_one(&self.uncertain);
        }
    }

    fn read(&self) -> Counts {
        Counts {
            allow: self.allow.load(Ordering::Relaxed),
            deny: self.deny.load(Ordering::Relaxed),
            require_approval: self.require_approval.load(Ordering::Relaxed),
            uncertain: self.uncertain.load(Ordering::Relaxed),
        }
    }
}

/// With one writer a load and a store are enough, and cost a tenth of a locked addition.
fn add_one(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

impl Tally {
    /// Counters for the calling thread. It ends by dropping them.
    pub(crate) fn join(&self) -> Arc<CachePadded<Counters>> {
        let counters = Arc::default();
        let mut threads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        threads.settle();
        threads.counting.push(Arc::clone(&counters));
        counters
    }

    /// The sum over all threads, those that are gone included.
    pub(crate) fn read(&self) -> Counts {
        let mut threads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        threads.settle();
        threads.counting.iter().map(|counters| counters.read()).fold(threads.ended, |sum, counts| sum + counts)
    }
}

impl Threads {
    /// Moves what ended threads counted to one sum, so that short-lived threads don't pile up.
    fn settle(&mut self) {
        let Self { counting, ended } = self;
        counting.retain_mut(|counters| match Arc::get_mut(counters) {
            Some(last) => {
                *ended = *ended + last.read();
                false
            }
            None => true,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn threads_that_ended_stay_counted() {
        let tally = Tally::default();
        let here = tally.join();
        here.count(Effect::RequireApproval, false);
        thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    let counters = tally.join();
                    for _ in 0..100 {
                        counters.count(Effect::Allow, true);
                        counters.count(Effect::Deny, false);
                    }
                });
            }
        });
        let sum = Counts { allow: 2000, deny: 2000, require_approval: 1, uncertain: 2001 };
        assert_eq!(tally.read(), sum);
        assert_eq!(tally.read(), sum, "and aren't counted twice");
        assert_eq!(tally.0.lock().unwrap().counting.len(), 1, "only this thread still counts");
    }
}
