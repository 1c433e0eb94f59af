//! From deciding threads to the journal: a ring for each of them, and one writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{bounded, unbounded};

use super::local::{self, Local};
use super::question::Question;
use super::record::{Asked, DecisionRecord, Event, PlainId};
use super::ring::{Item, Noted, Promise};
use super::shared::{Control, NotRecorded, Shared};
use super::writer::{Sink, Writer};
use crate::decision::{Decision, DecisionId, Effect};
use crate::error::Error;
use crate::ids::Ids;
use crate::request::Request;
use crate::status::Counts;

/// How long a deciding thread waits for room before it denies.
const PATIENCE: Duration = Duration::from_millis(20);

/// What happens when records pile up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalLimit {
    /// With so many not yet acknowledged, decisions are denied: a record must not be lost. For whoever ships.
    Deny(u64),
    /// The oldest go, and a record says how many: nobody ships them. For local use.
    ForgetOldest(u64),
}

/// What an engine holds of it: the way from each deciding thread to its own ring.
pub(crate) struct Recorder {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

impl Recorder {
    /// Starts the writer.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start(sink: Sink, tenant: String, limit: JournalLimit, ids: Ids) -> Result<Self, Error> {
        let (control, heard) = unbounded();
        let shared = Arc::new(Shared::new(control, ids));
        let writer = Writer::new(sink, tenant, limit, Arc::clone(&shared), heard);
        let writer = thread::Builder::new()
            .name("meshguard-journal".into())
            .spawn(move || writer.run())
            .map_err(|e| Error::Config(format!("can't start the journal's thread: {e}")))?;
        // Nobody records before this returns, so it is never set twice.
        let _ = shared.writer.set(writer.thread().clone());
        Ok(Self { shared, writer: Some(writer) })
    }

    /// Records a decision: copies it into this thread's ring. Waits a little for room, and never drops silently: without
    /// room the caller must deny.
    pub(crate) fn record(
        &self,
        decision: &Decision,
        question: Question<'_>,
        asked: &Asked<'_>,
    ) -> Result<(), NotRecorded> {
        #[cfg(test)]
        crate::eval::fault::point();
        match self.local(|local| local.copy(decision, question, asked, PATIENCE)).ok_or(NotRecorded)? {
            Some(recorded) => recorded,
            None => {
                let record = Box::new(self.masked(decision, question, asked));
                self.note(Event::Decision(record), decision.at_ms)
            }
        }
    }

    /// Records what is no decision, or is masked already.
    pub(crate) fn note(&self, event: Event, at_ms: i64) -> Result<(), NotRecorded> {
        let item = Item::Event(Box::new(Noted { event, at_ms }));
        self.put(item, PATIENCE)
    }

    /// Writes a record, after whatever this thread recorded before, and returns when a power cut can't lose it any more.
    pub(crate) fn record_durably(&self, event: Event, at_ms: i64, patience: Duration) -> Result<(), NotRecorded> {
        let (done, wait) = bounded(1);
        let taken = Arc::new(AtomicBool::new(false));
        let item = Item::Durable(Box::new(Noted { event, at_ms }), Promise { taken: Arc::clone(&taken), done });
        self.put(item, patience)?;
        self.shared.wake();
        let written = match wait.recv_timeout(patience) {
            Err(_) if taken.swap(true, Ordering::AcqRel) => wait.recv(),
            other => other.map_err(|_| crossbeam_channel::RecvError),
        };
        if written == Ok(true) { Ok(()) } else { Err(NotRecorded) }
    }

    /// A decision's record, masked on the calling thread.
    pub(crate) fn masked(&self, decision: &Decision, question: Question<'_>, asked: &Asked<'_>) -> DecisionRecord {
        let plain = self.shared.plain.get(asked.plain);
        let asked_by = asked.identity.map(|identity| identity.subject());
        match question.request() {
            Some(request) => DecisionRecord::of(decision, &request, asked_by, &plain),
            None => {
                DecisionRecord::of(decision, &Request::default(), asked_by, &plain).about_unreadable(question.json())
            }
        }
    }

    /// The name under which records refer to a manifest's list of plain fields.
    pub(crate) fn plain_list(&self, list: &[String]) -> PlainId {
        self.shared.plain.id(list)
    }

    /// A name for a decision. A forked child gets one as well; it takes nothing of its parent's.
    pub(crate) fn next_id(&self) -> DecisionId {
        self.local(Local::next_id).unwrap_or_else(Ids::random)
    }

    /// Counts a decision.
    pub(crate) fn count(&self, effect: Effect, certain: bool) {
        self.local(|local| local.count(effect, certain));
    }

    /// How many were counted, by all threads.
    pub(crate) fn counts(&self) -> Counts {
        self.shared.tally.read()
    }

    /// Waits until what was recorded before is written; `false` when `patience` ran out.
    pub(crate) fn flush(&self, patience: Duration) -> bool {
        let (done, wait) = bounded(1);
        let asked = self.shared.control.send(Control::Flush(done)).is_ok();
        self.shared.wake();
        asked && wait.recv_timeout(patience).is_ok()
    }

    /// Whether the writer can't write at the moment.
    pub(crate) fn is_degraded(&self) -> bool {
        self.shared.degraded.load(Ordering::Relaxed)
    }

    fn put(&self, item: Item, patience: Duration) -> Result<(), NotRecorded> {
        let mut item = Some(item);
        self.local(|local| item.take().map_or(Err(NotRecorded), |item| local.put(item, patience))).ok_or(NotRecorded)?
    }

    /// What this thread has to itself; none in a forked child.
    #[inline]
    fn local<T>(&self, work: impl FnMut(&mut Local) -> T) -> Option<T> {
        if self.shared.opened.is_past() { None } else { local::with(&self.shared, work) }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if self.shared.opened.is_past() {
            // The writer lives in the parent; locks may be held by a thread that doesn't exist here. So nothing is dropped.
            std::mem::forget(Arc::clone(&self.shared));
            return;
        }
        // A writer that can't write sees the flag instead of the message.
        self.shared.stopping.store(true, Ordering::Relaxed);
        let _ = self.shared.control.send(Control::Stop);
        self.shared.wake();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Barrier;
    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;
    use crate::audit::local::{self, LAST_RING};
    use crate::audit::question::tests::requests;
    use crate::audit::{Journal, Record};
    use crate::bundle::Revision;
    use crate::decision::{Reason, ReasonCode, Source, Verdict};
    use crate::digest::Digest;
    use crate::identity::Identity;
    use crate::store::layout::Layout;
    use crate::store::{Batch, Durability, Entry, MemoryStore, Store, StoreError};

    const LONG: Duration = Duration::from_secs(10);

    fn event() -> Event {
        Event::Withdrawn { withdrawn: true }
    }

    fn decision(at_ms: i64) -> Decision {
        Decision {
            id: DecisionId(7),
            request_id: String::new(),
            verdict: Verdict::new(Effect::Allow, ReasonCode::Policy).into(),
            certain: true,
            source: Source::Local,
            revision: None,
            would_be_effect: None,
            policy_age_ms: None,
            at_ms,
            latency_ns: 2,
            recorded: true,
        }
    }

    /// What was written, oldest first.
    fn written(journal: &Journal) -> Vec<Record> {
        journal.tail(usize::MAX).unwrap().iter().map(|record| serde_json::from_slice(record).unwrap()).collect()
    }

    fn start(store: Arc<dyn Store>, limit: JournalLimit) -> (Arc<Journal>, Recorder) {
        let journal = Journal::open(store, Layout::new("acme", "default"), Digest::of(b"chain")).unwrap();
        let journal = Arc::new(journal);
        let recorder =
            Recorder::start(Sink::Journal(Arc::clone(&journal)), "acme".into(), limit, Ids::new().unwrap()).unwrap();
        (journal, recorder)
    }

    #[test]
    fn flush_and_drop_lose_nothing() {
        let (journal, recorder) = start(Arc::new(MemoryStore::new()), JournalLimit::Deny(1 << 20));
        for _ in 0..5000 {
            recorder.note(event(), 1).unwrap();
        }
        assert!(recorder.flush(Duration::from_secs(10)));
        assert_eq!(journal.progress().next_seq, 5000);
        recorder.note(event(), 1).unwrap();
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
        while recorder.note(event(), kept as i64).is_ok() {
            kept += 1;
            assert!(kept < 2 * LAST_RING as u64, "a full queue must refuse");
        }
        assert!(recorder.is_degraded());
        assert!(kept > LAST_RING as u64, "the ring grows: {kept}");
        let asked = Instant::now();
        assert_eq!(recorder.record(&decision(1), Question::Json(b"{}"), &Asked::default()), Err(NotRecorded));
        assert!(asked.elapsed() >= PATIENCE, "{:?}", asked.elapsed());
        assert_eq!(recorder.record_durably(event(), 1, Duration::from_millis(1)), Err(NotRecorded));
        store.1.store(false, Ordering::SeqCst);
        assert!(recorder.flush(Duration::from_secs(10)));
        let order: Vec<i64> = written(&journal).iter().map(|record| record.at_ms).collect();
        assert!(order.iter().copied().eq(0..kept as i64), "through rings of each size, and nothing that was refused");
        assert!(!recorder.is_degraded());
    }

    #[test]
    fn a_journal_that_nobody_ships_forgets_its_oldest_and_says_so() {
        let (journal, recorder) = start(Arc::new(MemoryStore::new()), JournalLimit::ForgetOldest(160));
        for _ in 0..1000 {
            recorder.note(event(), 1).unwrap();
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
        recorder.note(event(), 1).unwrap();
        assert!(recorder.flush(Duration::from_secs(10)));
        assert_eq!(recorder.record_durably(event(), 1, Duration::from_millis(500)), Err(NotRecorded));
        assert_eq!(journal.progress().next_seq, 1);
    }

    #[test]
    fn each_threads_records_arrive_in_its_order() {
        const THREADS: i64 = 8;
        const EACH: i64 = 3000;
        let (journal, recorder) = start(Arc::new(MemoryStore::new()), JournalLimit::Deny(1 << 20));
        let request = Request::new("agent-7", "files.read");
        thread::scope(|scope| {
            for which in 0..THREADS {
                let (recorder, request) = (&recorder, &request);
                scope.spawn(move || {
                    for at in 0..EACH {
                        let (at_ms, asked) = (which * EACH + at, Asked::default());
                        let recorded = match at % 4 {
                            0 => recorder.note(event(), at_ms),
                            1 => recorder.record(&decision(at_ms), Question::Json(br#"{"action":"b"}"#), &asked),
                            _ => recorder.record(&decision(at_ms), Question::Built(request), &asked),
                        };
                        if recorded.is_err() {
                            // On a machine that does much else the writer may not keep up.
                            assert!(recorder.flush(LONG));
                            recorder.note(event(), at_ms).unwrap();
                        }
                    }
                });
            }
        });
        assert!(recorder.flush(LONG));
        let written = written(&journal);
        assert_eq!(written.len() as i64, THREADS * EACH);
        for which in 0..THREADS {
            let of_it = written.iter().map(|record| record.at_ms).filter(|at_ms| at_ms / EACH == which);
            assert!(of_it.eq(which * EACH..(which + 1) * EACH), "thread {which}");
        }
    }

    #[test]
    fn a_durable_record_comes_after_what_its_thread_recorded_before() {
        let (journal, recorder) = start(Arc::new(MemoryStore::new()), JournalLimit::Deny(1 << 20));
        for turn in 0..50 {
            for at in 0..7 {
                recorder.record(&decision(turn * 8 + at), Question::Json(b"{}"), &Asked::default()).unwrap();
            }
            recorder.record_durably(event(), turn * 8 + 7, LONG).unwrap();
            assert_eq!(journal.progress().next_seq as i64, (turn + 1) * 8, "written when it returns");
        }
        assert!(written(&journal).iter().map(|record| record.at_ms).eq(0..400));
    }

    #[test]
    fn an_engine_that_is_closed_leaves_nothing_in_other_threads() {
        let open = || start(Arc::new(MemoryStore::new()), JournalLimit::Deny(1 << 20));
        let (first, second) = (open(), open());
        let kept = open();
        let step = Barrier::new(2);
        thread::scope(|scope| {
            let (first, second, step) = (Some(first), &second, &step);
            let (kept, weak) = (&kept.1, Arc::downgrade(&first.as_ref().unwrap().1.shared));
            let recorders = Arc::new(std::sync::Mutex::new(first));
            let others = Arc::clone(&recorders);
            scope.spawn(move || {
                kept.note(event(), 1).unwrap();
                others.lock().unwrap().as_ref().unwrap().1.note(event(), 1).unwrap();
                step.wait();
                step.wait();
                assert!(weak.upgrade().is_some(), "held by this thread alone");
                kept.note(event(), 2).unwrap();
                second.1.note(event(), 1).unwrap();
                assert!(weak.upgrade().is_none());
                assert_eq!(local::held(), 2);
            });
            step.wait();
            let (journal, recorder) = recorders.lock().unwrap().take().unwrap();
            drop(recorder);
            assert_eq!(journal.progress().next_seq, 1);
            step.wait();
        });
        assert!(kept.1.flush(LONG));
        assert_eq!(kept.0.progress().next_seq, 2);
    }

    #[test]
    fn a_thread_that_is_ending_still_records() {
        struct AtEnd(Arc<Recorder>);
        impl Drop for AtEnd {
            fn drop(&mut self) {
                self.0.note(event(), 2).unwrap();
                self.0.count(Effect::Deny, true);
            }
        }
        thread_local! {
            static AT_END: std::cell::RefCell<Option<AtEnd>> = const { std::cell::RefCell::new(None) };
        }
        let (journal, recorder) = start(Arc::new(MemoryStore::new()), JournalLimit::Deny(1 << 20));
        let recorder = Arc::new(recorder);
        let its = Arc::clone(&recorder);
        thread::spawn(move || {
            // Destructors run in the order in which locals were first used, or the other way round: one of both is after.
            its.note(event(), 1).unwrap();
            AT_END.set(Some(AtEnd(Arc::clone(&its))));
        })
        .join()
        .unwrap();
        let its = Arc::clone(&recorder);
        thread::spawn(move || {
            AT_END.set(Some(AtEnd(Arc::clone(&its))));
            its.note(event(), 1).unwrap();
        })
        .join()
        .unwrap();
        assert!(recorder.flush(LONG));
        assert_eq!(written(&journal).iter().map(|record| record.at_ms).collect::<Vec<_>>(), [1, 2, 1, 2]);
        assert_eq!(recorder.counts().deny, 2);
    }

    #[test]
    fn the_first_record_wakes_a_writer_that_sleeps() {
        let (journal, recorder) = start(Arc::new(MemoryStore::new()), JournalLimit::Deny(1 << 20));
        recorder.note(event(), 1).unwrap();
        while !recorder.shared.asleep.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(1));
        }
        // Past the round that the writer makes after it said so, and into a sleep of a second.
        thread::sleep(Duration::from_millis(50));
        let recorded = Instant::now();
        recorder.record(&decision(2), Question::Json(b"{}"), &Asked::default()).unwrap();
        while journal.progress().next_seq < 2 {
            assert!(recorded.elapsed() < Duration::from_millis(600), "it sleeps on");
            thread::sleep(Duration::from_millis(1));
        }
        assert!(!recorder.shared.asleep.load(Ordering::Relaxed));
    }

    #[test]
    fn names_differ_and_counts_add_up_over_threads() {
        let (_, recorder) = start(Arc::new(MemoryStore::new()), JournalLimit::Deny(1 << 20));
        let decide = || {
            let decided = (0..5000).map(|at| {
                recorder.count(if at % 5 == 0 { Effect::Deny } else { Effect::Allow }, at % 2 == 0);
                recorder.next_id()
            });
            decided.collect::<Vec<_>>()
        };
        let names: Vec<DecisionId> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(decide)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).chain(decide()).collect()
        });
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), 25_000);
        assert_eq!(recorder.counts(), Counts { allow: 20_000, deny: 5_000, require_approval: 0, uncertain: 12_500 });
    }

    fn decisions() -> impl Strategy<Value = Decision> {
        const CODES: [ReasonCode; 4] =
            [ReasonCode::Policy, ReasonCode::Stale, ReasonCode::FailOpen, ReasonCode::AuditUnavailable];
        let effect = || prop::sample::select(&[Effect::Allow, Effect::Deny, Effect::RequireApproval][..]);
        let reasons = prop::collection::vec(prop::sample::select(&CODES[..]), 1..10);
        let rule = prop::option::of(prop_oneof!["\\PC{0,20}", "[a-z]{1000,9000}"]);
        let revision = prop::option::of((any::<u64>(), any::<u64>()));
        let source = prop::sample::select(&[Source::Local, Source::Remote, Source::FailureMode][..]);
        let said = (effect(), prop::option::of(effect()), reasons, rule);
        (said, revision, source, any::<u128>(), any::<bool>(), any::<i64>(), any::<u64>()).prop_map(
            |((effect, would_be_effect, reasons, rule), revision, source, id, certain, at_ms, latency_ns)| {
                let reasons = reasons.into_iter().map(|code| Reason::new(code, "no access to hunter2")).collect();
                let revision = revision.map(|(key_epoch, version)| Revision {
                    key_epoch,
                    version,
                    manifest: Digest::of(&version.to_le_bytes()),
                });
                let verdict = Verdict { reasons, rule, ..Verdict::new(effect, ReasonCode::Policy) };
                let id = DecisionId(id);
                Decision {
                    id,
                    verdict: verdict.into(),
                    certain,
                    source,
                    revision,
                    would_be_effect,
                    latency_ns,
                    ..decision(at_ms)
                }
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn a_record_says_what_the_decision_at_hand_says(
            decision in decisions(),
            request in requests(),
            known in any::<bool>(),
            broken in prop_oneof![4 => Just(false), 1 => Just(true)],
        ) {
            let (journal, recorder) = start(Arc::new(MemoryStore::new()), JournalLimit::Deny(1 << 20));
            let list = ["/action", "/context/n", "/actor/tags"].map(str::to_owned);
            let identity = identity("agent-ü");
            let asked = Asked { identity: known.then_some(&identity), plain: recorder.plain_list(&list) };
            let mut json = serde_json::to_vec(&request).unwrap();
            if broken {
                json.truncate(json.len() - 1);
            }
            recorder.record(&decision, Question::Built(&request), &asked).unwrap();
            recorder.record(&decision, Question::Json(&json), &asked).unwrap();
            prop_assert!(recorder.flush(LONG));

            let asked_by = known.then_some("agent-ü");
            let built = DecisionRecord::of(&decision, &request, asked_by, &list);
            let read = match Request::from_json(&json) {
                Ok(read) => DecisionRecord::of(&decision, &read, asked_by, &list),
                Err(_) => DecisionRecord::of(&decision, &Request::default(), asked_by, &list).about_unreadable(&json),
            };
            let written = written(&journal);
            for (at, expected) in [built, read].into_iter().enumerate() {
                let record = Record {
                    v: 1,
                    seq: at as u64,
                    at_ms: decision.at_ms,
                    tenant: "acme".to_owned(),
                    event: Event::Decision(Box::new(expected)),
                };
                prop_assert_eq!(&written[at], &record);
            }
        }
    }

    fn identity(subject: &str) -> Identity {
        Identity {
            tenant: "acme".to_owned(),
            subject: subject.to_owned(),
            tier: crate::trust::Tier::default(),
            score: 0.5,
            tags: vec![],
            spiffe_id: None,
            claims_json: "{}".into(),
            expires_at_ms: i64::MAX,
        }
    }
}
