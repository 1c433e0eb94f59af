//! An engine that serves a signed bundle and ships its records to a sink that counts them.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure};
use meshguard_engine::audit::Journal;
use meshguard_engine::store::{Batch, Durability, Entry, FloorFiles, MemoryStore, Store, StoreError};
use meshguard_engine::{
    Applied, Bundle, Clock, Decision, Engine, EngineBuilder, PublicKey, SigningKey, SystemClock, Target, VerifiedBundle,
};

use crate::case::Case;

/// Whose policies these are.
pub const TENANT: &str = "acme";

/// Decisions measured in one go: half of what the engine queues of one thread, so that none of them waits for the
/// journal's thread.
const ROUND: u64 = 2 * 1024;

/// How long the journal's thread may take for a round, at most.
const PATIENCE: Duration = Duration::from_secs(30);

/// Records taken from the journal at once. Large, because the memory store looks at all it holds to remove some.
const SHIP: (usize, usize) = (1 << 20, 1 << 30);

/// An engine, a publisher whom it trusts, and a sink for its records.
pub struct Served {
    engine: Engine,
    publisher: Publisher,
    sink: Sink,
}

impl Served {
    /// Serves `case`, and checks that every answer is the expected one.
    ///
    /// # Errors
    /// The bundle is refused, or an answer is another.
    pub fn open(case: &Case) -> anyhow::Result<Self> {
        let publisher = Publisher::new()?;
        let (wrote, signals) = sync_channel(1);
        let store = Announcing { entries: MemoryStore::new(), wrote: wrote.clone() };
        let engine = builder(publisher.public()?).store(Arc::new(store), FloorFiles::in_memory()).open()?;
        let sink = Sink::start(Arc::clone(engine.journal()), wrote, signals)?;
        let served = Self { engine, publisher, sink };
        served.apply(&case.bundle)?;
        // As at an edge that is connected: a decision then also says how old its policy is.
        served.engine.heard();
        served.check(case)?;
        Ok(served)
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Signs `bundle` as the next version, and serves it.
    ///
    /// # Errors
    /// It is refused.
    pub fn apply(&self, bundle: &Bundle) -> anyhow::Result<()> {
        let verified = self.publisher.publish(bundle)?;
        let applied = self.engine.apply(&verified)?;
        ensure!(matches!(applied, Applied::Activated { .. }), "a new version must be activated");
        Ok(())
    }

    /// How long `iterations` of `decide` take; for criterion's `iter_custom`.
    ///
    /// Records are written and shipped meanwhile, by threads of their own. After each round the measurement pauses until
    /// they are done, so that it is the cost of deciding and not the journal's rate.
    ///
    /// # Panics
    /// A decision wasn't recorded: then it wasn't a decision either, and its cost says nothing.
    pub fn time(&self, iterations: u64, mut decide: impl FnMut() -> Decision) -> Duration {
        let mut timed = Duration::ZERO;
        let mut left = iterations;
        while left > 0 {
            let round = left.min(ROUND);
            let started = Instant::now();
            for _ in 0..round {
                assert!(black_box(decide()).recorded, "a decision wasn't recorded");
            }
            timed += started.elapsed();
            self.settle();
            left -= round;
        }
        timed
    }

    /// Like [`time`](Self::time), of each decision by itself, with what was decided. The look at the clock is included.
    ///
    /// # Panics
    /// A decision wasn't recorded.
    pub fn time_each(
        &self,
        iterations: u64,
        mut decide: impl FnMut() -> Decision,
        mut seen: impl FnMut(Duration, &Decision),
    ) -> Duration {
        let mut timed = Duration::ZERO;
        for number in 1..=iterations {
            let started = Instant::now();
            let decision = black_box(decide());
            let latency = started.elapsed();
            assert!(decision.recorded, "a decision wasn't recorded");
            timed += latency;
            seen(latency, &decision);
            if number % ROUND == 0 {
                self.settle();
            }
        }
        self.settle();
        timed
    }

    /// Ends, once every record has been counted. Returns how many there were.
    ///
    /// # Errors
    /// Some were not.
    pub fn finish(self) -> anyhow::Result<u64> {
        self.settle();
        let counted = self.sink.stop()?;
        let progress = self.engine.journal().progress();
        ensure!(counted == progress.next_seq && progress.pending == 0, "{counted} records shipped of {progress:?}");
        Ok(counted)
    }

    /// Waits until all decisions so far are in the journal.
    fn settle(&self) {
        assert!(self.engine.flush(PATIENCE), "the journal doesn't keep up");
    }

    fn check(&self, case: &Case) -> anyhow::Result<()> {
        for ask in &case.asks {
            for decision in [self.engine.decide(&ask.request), self.engine.decide_json(&ask.json)] {
                ensure!(
                    decision.effect() == ask.effect && decision.certain,
                    "{}: {:?} instead of {}",
                    case.name,
                    decision,
                    ask.effect
                );
            }
        }
        self.settle();
        Ok(())
    }
}

/// An engine as all of them are opened: trusting `publisher`, and able to meet the example's obligations.
pub fn builder(publisher: PublicKey) -> EngineBuilder {
    Engine::builder(TENANT).trust(publisher).obligation("redact").obligation("max_rows")
}

/// Writes and acknowledges every record that `engine` holds.
///
/// # Errors
/// The store can't be read or written.
pub fn acknowledge_all(engine: &Engine) -> anyhow::Result<()> {
    ensure!(engine.flush(PATIENCE), "the journal can't be written");
    ship(engine.journal())?;
    Ok(())
}

/// Acknowledges what is in the journal; says how many records that was.
fn ship(journal: &Journal) -> Result<u64, meshguard_engine::Error> {
    let mut count = 0;
    while let Some(batch) = journal.next_batch(SHIP.0, SHIP.1)? {
        let records = batch.records.len() as u64;
        journal.ack(batch.chain, batch.first_seq + records)?;
        count += records;
    }
    Ok(count)
}

// === impl Publisher ===

/// Signs bundles in versions that never repeat.
pub struct Publisher {
    key: SigningKey,
    version: AtomicU64,
}

impl Publisher {
    /// A publisher with a new key.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self { key: SigningKey::generate()?, version: AtomicU64::new(0) })
    }

    /// Whom to trust.
    ///
    /// # Errors
    /// The key can't be encoded; only a broken crypto library does that.
    pub fn public(&self) -> anyhow::Result<PublicKey> {
        Ok(self.key.public()?)
    }

    /// Signs `bundle` as the next version, and verifies it as whoever receives it would.
    ///
    /// # Errors
    /// The bundle contradicts itself.
    pub fn publish(&self, bundle: &Bundle) -> anyhow::Result<VerifiedBundle> {
        let version = self.version.fetch_add(1, Ordering::Relaxed) + 1;
        let now_ms = SystemClock::new().wall_ms();
        let signed = bundle.clone().sign(&Target::new(TENANT, version, now_ms), &self.key)?;
        Ok(VerifiedBundle::new(&signed, &[self.public()?], TENANT, "default")?)
    }
}

// === impl Sink ===

/// Takes the place of the control plane: counts records and acknowledges them, as soon as they are written.
struct Sink {
    signals: SyncSender<Signal>,
    thread: JoinHandle<Result<u64, meshguard_engine::Error>>,
}

enum Signal {
    Wrote,
    Stop,
}

impl Sink {
    fn start(
        journal: Arc<Journal>,
        signals: SyncSender<Signal>,
        received: Receiver<Signal>,
    ) -> Result<Self, std::io::Error> {
        let run = move || {
            let mut count = 0;
            for signal in received {
                count += ship(&journal)?;
                if matches!(signal, Signal::Stop) {
                    break;
                }
            }
            Ok(count)
        };
        let thread = thread::Builder::new().name("sink".into()).spawn(run)?;
        Ok(Self { signals, thread })
    }

    /// Takes what is left, and says how many records there were in all.
    fn stop(self) -> anyhow::Result<u64> {
        // A sink that is gone has said why.
        let _ = self.signals.send(Signal::Stop);
        let count = self.thread.join().map_err(|_| anyhow!("the sink panicked"))?;
        Ok(count?)
    }
}

// === impl Announcing ===

/// A store in memory that wakes the sink when something was written, so that nobody has to look again and again.
struct Announcing {
    entries: MemoryStore,
    wrote: SyncSender<Signal>,
}

impl Store for Announcing {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.entries.get(key)
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Entry>, StoreError> {
        self.entries.scan(from, to, limit)
    }

    fn write(&self, batch: Batch, durability: Durability) -> Result<(), StoreError> {
        self.entries.write(batch, durability)?;
        // Full means that the sink is about to look anyway.
        let _ = self.wrote.try_send(Signal::Wrote);
        Ok(())
    }
}
