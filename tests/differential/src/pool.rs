//! Policies one after the other, on several oracles at once.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::oracle::Oracle;
use crate::rng::Rng;

/// Which policies, and how many oracles.
#[derive(Debug, Clone, Copy)]
pub struct Pool {
    /// How many oracles run.
    pub oracles: usize,
    /// What the policies' own seeds follow from.
    pub seed: u64,
}

impl Pool {
    /// Calls `work` with one policy's seed after the other, until it says that it is enough.
    ///
    /// # Errors
    /// `work` fails.
    pub fn run(self, work: &(dyn Fn(u64, &mut Oracle) -> io::Result<bool> + Sync)) -> io::Result<()> {
        let next = AtomicU64::new(0);
        let enough = AtomicBool::new(false);
        let worker = || {
            let mut oracle = Oracle::default();
            while !enough.load(Ordering::Relaxed) {
                if work(self.seed_of(next.fetch_add(1, Ordering::Relaxed)), &mut oracle)? {
                    enough.store(true, Ordering::Relaxed);
                }
            }
            Ok(())
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..self.oracles.max(1)).map(|_| scope.spawn(worker)).collect();
            workers.into_iter().try_for_each(|worker| {
                worker.join().unwrap_or_else(|_| Err(io::Error::other("a worker of the harness panicked")))
            })
        })
    }

    fn seed_of(self, number: u64) -> u64 {
        Rng::new(self.seed ^ number.wrapping_mul(0xa076_1d64_78bd_642f)).next()
    }
}
