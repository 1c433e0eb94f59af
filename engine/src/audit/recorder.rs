//! From deciding threads to the journal: a bounded queue and one writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, TrySendError, bounded};

use super::{Event, Journal, Record};
use crate::audit::record::{Asked, DecisionRecord};
use crate::decision::Decision;
use crate::error::Error;
use crate::os::ForkMark;
use crate::request::Request;
use crate::store::Durability;

/// Records waiting for the writer.
const QUEUE: usize = 16 * 1024;

/// The largest context that waits in the queue, in bytes; names are bounded where requests are read.
const MAX_QUEUED_CONTEXT: usize = 4 * 1024;

/// Records in one write.
const WRITE_BATCH: usize = 1024;

/// How long a deciding thread waits for room before it denies.
const PATIENCE: Duration = Duration::from_millis(20);

/// How long the writer waits after a failed write.
const RETRY: Duration = Duration::from_millis(200);

/// What happens when records pile up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalLimit {
    /// With so many not yet acknowledged, decisions are denied: a record must not be lost. For whoever ships.
    Deny(u64),
    /// The oldest go, and a record says how many: nobody ships them. For local use.
    ForgetOldest(u64),
}

/// The sending half: what deciding threads hold.
pub(crate) struct Recorder {
    queue: Sender<Message>,
    stopping: Arc<AtomicBool>,
    degraded: Arc<AtomicBool>,
    writer: Option<JoinHandle<()>>,
    opened: ForkMark,
}

/// What is recorded: a decision with what it was about, or an event as it will be written.
pub(crate) enum Recording {
    /// Masked by the writer, so that deciding threads don't pay for it.
    Decision { decision: Box<Decision>, request: Box<Request>, asked: Asked },
    /// Masked already.
    Event { event: Event, at_ms: i64 },
}

enum Message {
    Record(Recording),
    /// Written and synced before the answer is sent. Whoever sets the mark first, writer or asker, decides whether it is
    /// written: what was answered as a deny must not be recorded as something else.
    Durable(Recording, Arc<AtomicBool>, Sender<bool>),
    /// Answered once everything before it is written.
    Flush(Sender<()>),
    Stop,
}

/// The queue has no room, or the writer is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotRecorded;

// === impl Recording ===

impl Recording {
    /// Of a decision. A large request is masked at once: the queue holds many, and must not hold them all.
    pub(crate) fn decision(decision: &Decision, request: &Request, asked: Asked) -> Self {
        #[cfg(test)]
        crate::eval::fault::point();
        if request.context.as_json().len() > MAX_QUEUED_CONTEXT {
            let record = DecisionRecord::new(decision, request, &asked);
            return Self::Event { event: Event::Decision(Box::new(record)), at_ms: decision.at_ms };
        }
        Self::Decision { decision: Box::new(decision.clone()), request: Box::new(request.clone()), asked }
    }

    fn at_ms(&self) -> i64 {
        match self {
            Self::Decision { decision, .. } => decision.at_ms,
            Self::Event { at_ms, .. } => *at_ms,
        }
    }

    /// Of a decision that failed open.
    pub(crate) fn fail_open(decision: &Decision, request: &Request, asked: &Asked) -> Self {
        let record = DecisionRecord::new(decision, request, asked);
        Self::Event { event: Event::FailOpen(Box::new(record)), at_ms: decision.at_ms }
    }
}

// === impl Recorder ===

impl Recorder {
    pub(crate) fn start(journal: Arc<Journal>, tenant: String, limit: JournalLimit) -> Result<Self, Error> {
        let (queue, messages) = bounded(QUEUE);
        let degraded = Arc::new(AtomicBool::new(false));
        let stopping = Arc::new(AtomicBool::new(false));
        let writer =
            Writer { journal, tenant, limit, degraded: Arc::clone(&degraded), stopping: Arc::clone(&stopping) };
        let writer = thread::Builder::new()
            .name("meshguard-journal".into())
            .spawn(move || writer.run(&messages))
            .map_err(|e| Error::Config(format!("can't start the journal's thread: {e}")))?;
        Ok(Self { queue, degraded, stopping, writer: Some(writer), opened: ForkMark::now() })
    }

    /// Queues a record. Waits a little for room, and never drops silently: without room the caller must deny.
    pub(crate) fn record(&self, recording: Recording) -> Result<(), NotRecorded> {
        match self.queue.try_send(Message::Record(recording)) {
            Ok(()) => Ok(()),
            Err(TrySendError::Disconnected(_)) => Err(NotRecorded),
            Err(TrySendError::Full(message)) => match self.queue.send_timeout(message, PATIENCE) {
                Ok(()) => Ok(()),
                Err(SendTimeoutError::Timeout(_) | SendTimeoutError::Disconnected(_)) => Err(NotRecorded),
            },
        }
    }

    /// Writes a record and returns when a power cut can't lose it any more.
    pub(crate) fn record_durably(&self, recording: Recording, patience: Duration) -> Result<(), NotRecorded> {
        let (done, wait) = bounded(1);
        let taken = Arc::new(AtomicBool::new(false));
        let message = Message::Durable(recording, Arc::clone(&taken), done);
        self.queue.send_timeout(message, patience).map_err(|_| NotRecorded)?;
        let written = match wait.recv_timeout(patience) {
            Err(_) if taken.swap(true, Ordering::AcqRel) => wait.recv(),
            other => other.map_err(|_| crossbeam_channel::RecvError),
        };
        if written == Ok(true) { Ok(()) } else { Err(NotRecorded) }
    }

    /// Waits until what was recorded before is written; `false` when `patience` ran out.
    pub(crate) fn flush(&self, patience: Duration) -> bool {
        let (done, wait) = bounded(1);
        self.queue.send_timeout(Message::Flush(done), patience).is_ok() && wait.recv_timeout(patience).is_ok()
    }

    /// Whether the writer can't write at the moment.
    pub(crate) fn is_degraded(&self) -> bool {
        self.degraded.load(Ordering::Relaxed)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if self.opened.is_past() {
            // The writer lives in the parent; the queue's lock may be held by a thread that doesn't exist here.
            return;
        }
        self.stopping.store(true, Ordering::Relaxed);
        // A writer that can't write has a full queue: it sees the flag instead.
        let _ = self.queue.send_timeout(Message::Stop, Duration::from_secs(1));
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

// === impl Writer ===

struct Writer {
    journal: Arc<Journal>,
    tenant: String,
    limit: JournalLimit,
    degraded: Arc<AtomicBool>,
    stopping: Arc<AtomicBool>,
}

impl Writer {
    fn run(&self, messages: &Receiver<Message>) {
        let mut waiting: Vec<Recording> = Vec::new();
        let mut stop = false;
        while !stop {
            match messages.recv_timeout(Duration::from_secs(1)) {
                Ok(message) => stop = self.take(message, &mut waiting),
                // A full queue has no room for the message that says so.
                Err(RecvTimeoutError::Timeout) => stop = self.stopping.load(Ordering::Relaxed),
                Err(RecvTimeoutError::Disconnected) => stop = true,
            }
            while !stop && waiting.len() < WRITE_BATCH {
                match messages.try_recv() {
                    Ok(message) => stop = self.take(message, &mut waiting),
                    Err(_) => break,
                }
            }
            self.write(&mut waiting, Durability::Process);
        }
    }

    /// Takes one message; says whether it was the last.
    fn take(&self, message: Message, waiting: &mut Vec<Recording>) -> bool {
        match message {
            Message::Record(recording) => waiting.push(recording),
            Message::Durable(recording, taken, done) => {
                self.write(waiting, Durability::Process);
                if !taken.swap(true, Ordering::AcqRel) {
                    let _ = done.send(self.append(&[recording], Durability::Power));
                }
            }
            Message::Flush(done) => {
                self.write(waiting, Durability::Process);
                let _ = done.send(());
            }
            Message::Stop => return true,
        }
        false
    }

    /// Writes what waits, however often it takes: while the disk refuses, the queue fills, and deciding threads deny.
    fn write(&self, waiting: &mut Vec<Recording>, durability: Durability) {
        while !waiting.is_empty() {
            if self.append(waiting, durability) {
                waiting.clear();
            } else if self.stopping.load(Ordering::Relaxed) {
                tracing::error!(records = waiting.len(), "the journal can't be written; records are lost at stop");
                waiting.clear();
            } else {
                thread::park_timeout(RETRY);
            }
        }
    }

    fn append(&self, recordings: &[Recording], durability: Durability) -> bool {
        if !self.make_room(recordings) {
            return false;
        }
        let rendered = |at: usize, seq: u64| recordings.get(at).map(|r| self.render(r, seq)).unwrap_or_default();
        match self.journal.append(recordings.len(), durability, rendered) {
            Ok(()) => {
                self.degraded.store(false, Ordering::Relaxed);
                true
            }
            Err(error) => {
                self.set_degraded(&error.to_string());
                false
            }
        }
    }

    /// Whether more may be written.
    fn make_room(&self, waiting: &[Recording]) -> bool {
        let pending = self.journal.progress().pending;
        match self.limit {
            JournalLimit::Deny(limit) if pending >= limit => {
                self.set_degraded("the journal is full; connect to the control plane to ship it");
                false
            }
            JournalLimit::ForgetOldest(limit) if pending >= limit => {
                self.forget(limit, waiting.first().map_or(0, Recording::at_ms))
            }
            _ => true,
        }
    }

    /// Removes a part of the journal at once, so that it isn't done for each record, and writes down that it was.
    fn forget(&self, limit: u64, at_ms: i64) -> bool {
        match self.journal.forget_oldest(limit / 16 + 1) {
            Ok(records) => {
                tracing::warn!(records, "the journal was full; its oldest records are forgotten");
                let recording = Recording::Event { event: Event::Forgotten { records }, at_ms };
                self.journal.append(1, Durability::Process, |_, seq| self.render(&recording, seq)).is_ok()
            }
            Err(error) => {
                self.set_degraded(&error.to_string());
                false
            }
        }
    }

    fn set_degraded(&self, why: &str) {
        if !self.degraded.swap(true, Ordering::Relaxed) {
            tracing::error!(why, "decisions can't be recorded");
        }
    }

    fn render(&self, recording: &Recording, seq: u64) -> Vec<u8> {
        let (event, at_ms) = match recording {
            Recording::Decision { decision, request, asked } => {
                (Event::Decision(Box::new(DecisionRecord::new(decision, request, asked))), decision.at_ms)
            }
            Recording::Event { event, at_ms } => (event.clone(), *at_ms),
        };
        let record = Record { v: 1, seq, at_ms, tenant: self.tenant.clone(), event };
        // A record is made of texts and numbers only: it always serialises.
        serde_json::to_vec(&record).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::store::layout::Layout;
    use crate::store::{Batch, Entry, MemoryStore, Store, StoreError};

    fn event() -> Recording {
        Recording::Event { event: Event::Withdrawn { withdrawn: true }, at_ms: 1 }
    }

    fn start(store: Arc<dyn Store>, limit: JournalLimit) -> (Arc<Journal>, Recorder) {
        let journal = Journal::open(store, Layout::new("acme", "default"), Digest::of(b"chain")).unwrap();
        let journal = Arc::new(journal);
        let recorder = Recorder::start(Arc::clone(&journal), "acme".into(), limit).unwrap();
        (journal, recorder)
    }

    #[test]
    fn flush_and_drop_lose_nothing() {
        let (journal, recorder) = start(Arc::new(MemoryStore::new()), JournalLimit::Deny(1 << 20));
        for _ in 0..5000 {
            recorder.record(event()).unwrap();
        }
        assert!(recorder.flush(Duration::from_secs(10)));
        assert_eq!(journal.progress().next_seq, 5000);
        recorder.record(event()).unwrap();
        drop(recorder);
        assert_eq!(journal.progress().next_seq, 5001);
    }

    /// A store whose writes fail while told to.
    struct Failing(MemoryStore, AtomicBool);

    impl Store for Failing {
        fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
            self.0.get(key)
        }
        fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Entry>, StoreError> {
            self.0.scan(from, to, limit)
        }
        fn write(&self, batch: Batch, durability: Durability) -> Result<(), StoreError> {
            if self.1.load(Ordering::SeqCst) {
                Err(StoreError::Io("full".into()))
            } else {
                self.0.write(batch, durability)
            }
        }
    }

    #[test]
    fn a_refusing_disk_ends_in_refusals_and_then_heals() {
        let store = Arc::new(Failing(MemoryStore::new(), AtomicBool::new(false)));
        let (journal, recorder) = start(Arc::clone(&store) as Arc<dyn Store>, JournalLimit::Deny(1 << 40));
        store.1.store(true, Ordering::SeqCst);
        let mut kept = 0_u64;
        while recorder.record(event()).is_ok() {
            kept += 1;
            assert!(kept < 4 * QUEUE as u64, "a full queue must refuse");
        }
        assert!(recorder.is_degraded());
        assert_eq!(recorder.record_durably(event(), Duration::from_millis(1)), Err(NotRecorded));
        store.1.store(false, Ordering::SeqCst);
        assert!(recorder.flush(Duration::from_secs(10)));
        assert_eq!(journal.progress().next_seq, kept);
        assert!(!recorder.is_degraded());
    }

    #[test]
    fn a_journal_that_nobody_ships_forgets_its_oldest_and_says_so() {
        let (journal, recorder) = start(Arc::new(MemoryStore::new()), JournalLimit::ForgetOldest(160));
        for _ in 0..1000 {
            recorder.record(event()).unwrap();
            assert!(recorder.flush(Duration::from_secs(10)));
        }
        assert!(!recorder.is_degraded());
        assert!(journal.progress().pending <= 161, "{:?}", journal.progress());
        let records = journal.tail(1000).unwrap();
        let said = records.iter().filter(|record| String::from_utf8_lossy(record).contains(r#""kind":"forgotten""#));
        assert!(said.count() > 0);
    }

    #[test]
    fn a_full_journal_refuses() {
        let (journal, recorder) = start(Arc::new(MemoryStore::new()), JournalLimit::Deny(1));
        recorder.record(event()).unwrap();
        assert!(recorder.flush(Duration::from_secs(10)));
        assert_eq!(recorder.record_durably(event(), Duration::from_millis(500)), Err(NotRecorded));
        assert_eq!(journal.progress().next_seq, 1);
    }
}
