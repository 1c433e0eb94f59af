//! The one thread that masks, numbers and writes records.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError};

use super::question::read;
use super::record::{DecisionRecord, Event, Record};
use super::ring::{Copied, Drain, Item, Noted, Promise};
use super::shared::{Control, Shared};
use super::{Journal, JournalLimit};
use crate::request::Request;
use crate::store::Durability;

/// Records in one write.
const WRITE_BATCH: usize = 1024;

/// The most memory for texts that is kept from one write to the next, in bytes.
const KEPT_TEXT: usize = 1024 * 1024;

/// How long the writer waits after a failed write.
const RETRY: Duration = Duration::from_millis(200);

/// How long it rests after it found something; twice as long each time it finds nothing.
const FIRST_REST: Duration = Duration::from_micros(250);

/// The longest rest from which nobody wakes it. So long a record may be on its way.
const LONGEST_REST: Duration = Duration::from_millis(4);

/// Rests of that length before it sleeps: about a second. Whoever decides less often than that pays for waking it.
const RESTS_BEFORE_SLEEP: u32 = 256;

/// How long it sleeps at most. See [`Rest`].
const SLEEP: Duration = Duration::from_secs(1);

pub(super) struct Writer {
    sink: Sink,
    tenant: String,
    limit: JournalLimit,
    shared: Arc<Shared>,
    control: Receiver<Control>,
    lanes: Vec<Lane>,
    waiting: Waiting,
}

/// Where records go.
pub(crate) enum Sink {
    Journal(Arc<Journal>),
    /// Counted and thrown away: for measuring what it costs to decide, apart from what a store costs.
    Counter(Arc<AtomicU64>),
}

/// One thread's rings, oldest first. All but the last are over.
struct Lane {
    number: u64,
    rings: VecDeque<Drain>,
}

/// Items on their way to the journal, with their texts.
#[derive(Default)]
struct Waiting {
    items: Vec<(Item, Range<usize>)>,
    text: Vec<u8>,
}

impl Writer {
    pub(super) fn new(
        sink: Sink,
        tenant: String,
        limit: JournalLimit,
        shared: Arc<Shared>,
        control: Receiver<Control>,
    ) -> Self {
        Self { sink, tenant, limit, shared, control, lanes: vec![], waiting: Waiting::default() }
    }

    /// Writes until it is told to stop.
    pub(super) fn run(mut self) {
        let mut rest = Rest::default();
        loop {
            // What is heard first was sent after all that a round then finds in the rings.
            let Heard { stop, flushes } = self.hear();
            let found = self.round();
            for done in flushes {
                let _ = done.send(());
            }
            if stop {
                return;
            }
            thread::park_timeout(rest.next(found, &self.shared));
        }
    }

    fn hear(&mut self) -> Heard {
        let mut heard = Heard::default();
        loop {
            match self.control.try_recv() {
                Ok(Control::Ring { lane, drain }) => match self.lanes.iter_mut().find(|known| known.number == lane) {
                    Some(known) => known.rings.push_back(drain),
                    None => self.lanes.push(Lane { number: lane, rings: [drain].into() }),
                },
                Ok(Control::Flush(done)) => heard.flushes.push(done),
                Ok(Control::Stop) | Err(TryRecvError::Disconnected) => heard.stop = true,
                Err(TryRecvError::Empty) => return heard,
            }
            if heard.stop {
                return heard;
            }
        }
    }

    /// Writes all that is in the rings as it begins, and forgets those of threads that ended. Whether there was anything.
    fn round(&mut self) -> bool {
        let mut found = false;
        let mut lanes = std::mem::take(&mut self.lanes);
        for lane in &mut lanes {
            while let Some(ring) = lane.rings.front_mut() {
                // Asked first: whatever was put before the thread's end left is then counted.
                let is_over = ring.is_abandoned();
                for _ in 0..ring.len() {
                    found = true;
                    self.take(ring);
                }
                if !is_over {
                    break;
                }
                lane.rings.pop_front();
            }
        }
        lanes.retain(|lane| !lane.rings.is_empty());
        self.lanes = lanes;
        self.write();
        found
    }

    /// Takes one item.
    fn take(&mut self, ring: &mut Drain) {
        let start = self.waiting.text.len();
        let Some(item) = ring.pop(&mut self.waiting.text) else { return };
        match item {
            Item::Durable(noted, promise) => {
                self.write();
                self.keep(promise, noted);
            }
            item => {
                self.waiting.items.push((item, start..self.waiting.text.len()));
                if self.waiting.items.len() >= WRITE_BATCH {
                    self.write();
                }
            }
        }
    }

    fn keep(&self, promise: Promise, noted: Box<Noted>) {
        if promise.taken.swap(true, Ordering::AcqRel) {
            return;
        }
        let waiting = Waiting { items: vec![(Item::Event(noted), 0..0)], text: vec![] };
        let _ = promise.done.send(self.append(&waiting, Durability::Power));
    }

    /// Writes what waits, however often it takes: while the disk refuses, the rings fill, and deciding threads deny.
    fn write(&mut self) {
        while !self.waiting.items.is_empty() && !self.append(&self.waiting, Durability::Process) {
            if self.shared.stopping.load(Ordering::Relaxed) {
                let records = self.waiting.items.len();
                tracing::error!(records, "the journal can't be written; records are lost at stop");
                break;
            }
            thread::sleep(RETRY);
        }
        self.waiting.items.clear();
        self.waiting.text.clear();
        self.waiting.text.shrink_to(KEPT_TEXT);
    }

    fn append(&self, waiting: &Waiting, durability: Durability) -> bool {
        let journal = match &self.sink {
            Sink::Journal(journal) => journal,
            Sink::Counter(count) => {
                count.fetch_add(waiting.items.len() as u64, Ordering::Relaxed);
                return true;
            }
        };
        if !self.make_room(journal, waiting) {
            return false;
        }
        let rendered = |at: usize, seq: u64| {
            let (item, text) = waiting.get(at)?;
            Some(self.render(item, text, seq))
        };
        match journal.append(waiting.items.len(), durability, |at, seq| rendered(at, seq).unwrap_or_default()) {
            Ok(()) => {
                if self.shared.degraded.load(Ordering::Relaxed) {
                    self.shared.degraded.store(false, Ordering::Relaxed);
                }
                true
            }
            Err(error) => {
                self.set_degraded(&error.to_string());
                false
            }
        }
    }

    /// Whether more may be written.
    fn make_room(&self, journal: &Journal, waiting: &Waiting) -> bool {
        let pending = journal.progress().pending;
        match self.limit {
            JournalLimit::Deny(limit) if pending >= limit => {
                self.set_degraded("the journal is full; connect to the control plane to ship it");
                false
            }
            JournalLimit::ForgetOldest(limit) if pending >= limit => {
                self.forget(journal, limit, waiting.get(0).map_or(0, |(item, _)| at_ms(item)))
            }
            _ => true,
        }
    }

    /// Removes a part of the journal at once, so that it isn't done for each record, and writes down that it was.
    fn forget(&self, journal: &Journal, limit: u64, at_ms: i64) -> bool {
        match journal.forget_oldest(limit / 16 + 1) {
            Ok(records) => {
                tracing::warn!(records, "the journal was full; its oldest records are forgotten");
                let said = |_, seq| self.serialised(Event::Forgotten { records }, at_ms, seq);
                journal.append(1, Durability::Process, said).is_ok()
            }
            Err(error) => {
                self.set_degraded(&error.to_string());
                false
            }
        }
    }

    fn set_degraded(&self, why: &str) {
        if !self.shared.degraded.swap(true, Ordering::Relaxed) {
            tracing::error!(why, "decisions can't be recorded");
        }
    }

    fn render(&self, item: &Item, text: &[u8], seq: u64) -> Vec<u8> {
        let event = match item {
            Item::Decision(copied) => Event::Decision(Box::new(self.masked(copied, text))),
            Item::Event(noted) | Item::Durable(noted, _) => noted.event.clone(),
        };
        self.serialised(event, at_ms(item), seq)
    }

    /// The record of a decision that was copied with `text`.
    fn masked(&self, copied: &Copied, text: &[u8]) -> DecisionRecord {
        let mut rest = text;
        let mut next = |length: Option<u16>| {
            let (part, after) = rest.split_at_checked(usize::from(length?))?;
            rest = after;
            std::str::from_utf8(part).ok()
        };
        let (rule, asked_by) = (next(copied.rule), next(copied.asked_by));
        let plain = self.shared.plain.get(copied.plain);
        let of = |request: &Request| {
            DecisionRecord::new(&copied.facts, copied.reasons.codes().to_vec(), rule, asked_by, request, &plain)
        };
        match read(copied.form, rest) {
            Some(request) => of(&request),
            None => of(&Request::default()).about_unreadable(rest),
        }
    }

    fn serialised(&self, event: Event, at_ms: i64, seq: u64) -> Vec<u8> {
        let record = Record { v: 1, seq, at_ms, tenant: self.tenant.clone(), event };
        // A record is made of texts and numbers only: it always serialises.
        serde_json::to_vec(&record).unwrap_or_default()
    }
}

fn at_ms(item: &Item) -> i64 {
    match item {
        Item::Decision(copied) => copied.facts.at_ms,
        Item::Event(noted) | Item::Durable(noted, _) => noted.at_ms,
    }
}

impl Waiting {
    fn get(&self, at: usize) -> Option<(&Item, &[u8])> {
        let (item, range) = self.items.get(at)?;
        Some((item, self.text.get(range.clone()).unwrap_or_default()))
    }
}

#[derive(Default)]
struct Heard {
    stop: bool,
    flushes: Vec<Sender<()>>,
}

/// How long the writer rests between two rounds.
///
/// While threads decide it looks by itself, so that they needn't wake it. When nothing came for long it marks itself
/// asleep, and the first record wakes it. A thread that records at that very moment may see the mark too late; so there is
/// one more round a rest later, by when each processor has seen it, and sleep has an end in any case.
#[derive(Default)]
struct Rest {
    last: Duration,
    in_vain: u32,
}

impl Rest {
    fn next(&mut self, found: bool, shared: &Shared) -> Duration {
        if found || (self.last == SLEEP && !shared.asleep.load(Ordering::Relaxed)) {
            *self = Self { last: FIRST_REST, in_vain: 0 };
            if shared.asleep.load(Ordering::Relaxed) {
                shared.asleep.store(false, Ordering::Relaxed);
            }
            return self.last;
        }
        self.in_vain = self.in_vain.saturating_add(1);
        if self.in_vain == RESTS_BEFORE_SLEEP {
            shared.asleep.store(true, Ordering::Relaxed);
        }
        self.last =
            if self.in_vain > RESTS_BEFORE_SLEEP { SLEEP } else { (self.last * 2).clamp(FIRST_REST, LONGEST_REST) };
        self.last
    }
}
