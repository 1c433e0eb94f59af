//! What a deciding thread has to itself, for each engine it asks: its ring to the writer, its counters, its share of ids.
//!
//! It is made when a thread first decides, and found again through a thread-local. So two deciding threads write no
//! memory in common, and none takes a lock or makes a system call but to wake a writer that sleeps.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use super::question::{Place, Question};
use super::record::{Asked, Facts, FewReasons};
use super::ring::{Copied, Item, MAX_TEXT, Ring, ring};
use super::shared::{Control, NotRecorded, Shared};
use crate::counters::Counters;
use crate::decision::{Decision, DecisionId, Effect};
use crate::ids::Block;

/// Items in a thread's first ring. Most threads never fill it: the writer looks more often than that.
const FIRST_RING: usize = 256;

/// Items in the largest ring. A ring that fills up is followed by one four times its size, up to this.
pub(super) const LAST_RING: usize = 4096;

/// How often a deciding thread without room looks again.
const LOOK_AGAIN: Duration = Duration::from_micros(200);

thread_local! {
    /// Sorted by the address of what they share with their engine: few hosts have a second engine, but the control plane has
    /// one for each tenant.
    static LOCALS: RefCell<Vec<Local>> = const { RefCell::new(Vec::new()) };
}

/// What the calling thread has to itself.
pub(super) struct Local {
    /// Names the engine: while this is held, no other engine can be at its address.
    shared: Arc<Shared>,
    /// Which of the writer's lanes this thread's rings are in.
    lane: u64,
    ring: Ring,
    ring_size: usize,
    /// For texts on their way into the ring.
    text: Box<[u8; MAX_TEXT]>,
    /// Whether the writer was woken because the ring is half full, and hasn't emptied it since.
    woken: bool,
    ids: Block,
    counters: Arc<CachePadded<Counters>>,
}

/// Lets `work` have what this thread has to itself for the engine of `shared`. None in a forked child that has nothing.
///
/// `work` is done once at most.
#[inline]
pub(super) fn with<T>(shared: &Arc<Shared>, mut work: impl FnMut(&mut Local) -> T) -> Option<T> {
    let done = LOCALS.try_with(|locals| {
        let mut locals = locals.try_borrow_mut().ok()?;
        Some(work(find(&mut locals, shared)?))
    });
    match done {
        Ok(Some(done)) => Some(done),
        // The thread is ending, and its locals are gone before others' destructors that still ask. For them there is one for
        // the moment.
        _ => Local::join(shared).map(|mut local| work(&mut local)),
    }
}

#[inline]
fn find<'l>(locals: &'l mut Vec<Local>, shared: &Arc<Shared>) -> Option<&'l mut Local> {
    let at = match place_of(locals, shared) {
        Ok(at) => at,
        Err(_) => insert(locals, shared)?,
    };
    locals.get_mut(at)
}

/// Where this engine's is, or would have to be.
#[inline]
fn place_of(locals: &[Local], shared: &Arc<Shared>) -> Result<usize, usize> {
    let address = |shared: &Arc<Shared>| Arc::as_ptr(shared).addr();
    locals.binary_search_by_key(&address(shared), |local| address(&local.shared))
}

#[cold]
fn insert(locals: &mut Vec<Local>, shared: &Arc<Shared>) -> Option<usize> {
    // Nothing else tells a thread that an engine was closed.
    locals.retain(|local| !local.ring.is_abandoned());
    let at = place_of(locals, shared).unwrap_or_else(|at| at);
    locals.insert(at, Local::join(shared)?);
    Some(at)
}

impl Local {
    /// Begins to record. None in a forked child, which must touch nothing that locks.
    fn join(shared: &Arc<Shared>) -> Option<Self> {
        if shared.opened.is_past() {
            return None;
        }
        let lane = shared.lanes.fetch_add(1, Ordering::Relaxed);
        Some(Self {
            ring: open_ring(shared, lane, FIRST_RING),
            shared: Arc::clone(shared),
            lane,
            ring_size: FIRST_RING,
            text: Box::new([0; MAX_TEXT]),
            woken: false,
            ids: Block::empty(),
            counters: shared.tally.join(),
        })
    }

    #[inline]
    pub(super) fn next_id(&mut self) -> DecisionId {
        self.shared.ids.next(&mut self.ids)
    }

    #[inline]
    pub(super) fn count(&self, effect: Effect, certain: bool) {
        self.counters.count(effect, certain);
    }

    /// Puts a decision into the ring by copying it. `None` if it is too large for that.
    #[inline]
    pub(super) fn copy(
        &mut self,
        decision: &Decision,
        question: Question<'_>,
        asked: &Asked<'_>,
        patience: Duration,
    ) -> Option<Result<(), NotRecorded>> {
        let reasons = FewReasons::of(&decision.verdict.reasons)?;
        let mut place = Place(self.text.as_mut_slice());
        let rule = put(decision.verdict.rule.as_deref(), &mut place)?;
        let asked_by = put(asked.identity.map(|identity| identity.subject()), &mut place)?;
        let form = question.copy(&mut place)?;
        let text = MAX_TEXT - place.0.len();
        let copied = Copied {
            facts: Facts::of(decision),
            reasons,
            plain: asked.plain,
            rule,
            asked_by,
            form,
            text: u16::try_from(text).ok()?,
        };
        Some(self.push(Item::Decision(copied), text, patience))
    }

    /// Puts an item that has no text.
    pub(super) fn put(&mut self, item: Item, patience: Duration) -> Result<(), NotRecorded> {
        self.push(item, 0, patience)
    }

    /// Puts an item with as many bytes of text.
    #[inline]
    fn push(&mut self, item: Item, text: usize, patience: Duration) -> Result<(), NotRecorded> {
        if self.ring.is_abandoned() {
            return Err(NotRecorded);
        }
        match self.ring.push(item, self.text.get(..text).unwrap_or_default()) {
            None => {
                self.nudge();
                Ok(())
            }
            Some(item) => self.push_slowly(item, text, patience),
        }
    }

    /// Wakes the writer if it wouldn't look for long, or if half the ring waits for it; once for each time.
    #[inline]
    fn nudge(&mut self) {
        let half_full = self.ring.is_half_full();
        if (half_full && !self.woken) || self.shared.asleep.load(Ordering::Relaxed) {
            self.shared.wake();
        }
        self.woken = half_full;
    }

    /// Makes a larger ring, or waits for room.
    #[cold]
    fn push_slowly(&mut self, mut item: Item, text: usize, patience: Duration) -> Result<(), NotRecorded> {
        if self.ring_size < LAST_RING {
            self.ring_size *= 4;
            // The writer empties a thread's rings in the order in which they come.
            self.ring = open_ring(&self.shared, self.lane, self.ring_size);
        }
        let started = Instant::now();
        self.shared.wake();
        loop {
            match self.ring.push(item, self.text.get(..text).unwrap_or_default()) {
                None => return Ok(()),
                Some(back) => item = back,
            }
            if self.ring.is_abandoned() || started.elapsed() >= patience {
                return Err(NotRecorded);
            }
            // Not parked: a host may use this thread's token for its own ends.
            thread::sleep(LOOK_AGAIN);
        }
    }
}

fn open_ring(shared: &Shared, lane: u64, size: usize) -> Ring {
    let (ring, drain) = ring(size);
    // Without a writer the other end is dropped with the message, and the ring says so.
    let _ = shared.control.send(Control::Ring { lane, drain });
    ring
}

/// Appends a text; gives its length. The outer `None` says that there is no room.
#[inline]
fn put(part: Option<&str>, place: &mut Place<'_>) -> Option<Option<u16>> {
    let Some(part) = part else { return Some(None) };
    place.put(part.as_bytes())?;
    u16::try_from(part.len()).ok().map(Some)
}

/// For how many engines this thread has something.
#[cfg(test)]
pub(super) fn held() -> usize {
    LOCALS.with_borrow(Vec::len)
}
