//! From one deciding thread to the writer: a ring with one end for each, and nothing that a second thread writes.
//!
//! It is two rings in truth: items of a fixed size, and the texts that belong to them, so that nothing is allocated for a
//! record. Both are allocated once, and their memory is touched only as they fill.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crossbeam_channel::Sender;
use rtrb::{Consumer, Producer, PushError, RingBuffer};

use super::record::{Facts, FewReasons, PlainId};
use super::{Event, question};

/// The most text of one item, in bytes. Records of larger requests are masked at once: a ring holds many, and must not hold
/// them all.
pub(super) const MAX_TEXT: usize = 8 * 1024;

/// What waits for the writer.
pub(super) enum Item {
    /// A decision, masked by the writer, so that deciding threads don't pay for it.
    Decision(Copied),
    /// As it will be written.
    Event(Box<Noted>),
    /// As it will be written, and synced before the promise is kept.
    Durable(Box<Noted>, Promise),
}

/// A decision. Its text is that of its rule, of the credential's subject, and of the question, one after the other.
pub(super) struct Copied {
    pub(super) facts: Facts,
    pub(super) reasons: FewReasons,
    pub(super) plain: PlainId,
    /// Bytes; none where there is no rule.
    pub(super) rule: Option<u16>,
    /// Bytes; none where the question came with no credential.
    pub(super) asked_by: Option<u16>,
    pub(super) form: question::Form,
    /// Bytes of all its text.
    pub(super) text: u16,
}

/// An event and when it happened, in milliseconds since the Unix epoch.
pub(super) struct Noted {
    pub(super) event: Event,
    pub(super) at_ms: i64,
}

/// Somebody waits for a record to be safe.
pub(super) struct Promise {
    /// Whoever sets it first, writer or asker, decides whether it is written: what was answered as a deny must not be
    /// recorded as something else.
    pub(super) taken: Arc<AtomicBool>,
    pub(super) done: Sender<bool>,
}

/// The deciding thread's end.
pub(super) struct Ring {
    items: Producer<Item>,
    text: Producer<u8>,
}

/// The writer's end.
pub(super) struct Drain {
    items: Consumer<Item>,
    text: Consumer<u8>,
}

/// A ring of `size` items, with 256 bytes of text for each.
pub(super) fn ring(size: usize) -> (Ring, Drain) {
    let (items, drained) = RingBuffer::new(size);
    let (text, drained_text) = RingBuffer::new(size.saturating_mul(256).max(MAX_TEXT));
    (Ring { items, text }, Drain { items: drained, text: drained_text })
}

impl Ring {
    /// Puts an item with its text. Gives it back when there is no room for it.
    #[inline]
    pub(super) fn push(&mut self, item: Item, text: &[u8]) -> Option<Item> {
        // INVARIANT (text and items stay in step): text goes first, and only when its item is sure to follow.
        if self.items.is_full() || self.text.push_entire_slice(text).is_err() {
            return Some(item);
        }
        self.items.push(item).err().map(|PushError::Full(item)| item)
    }

    /// Whether more than half of it waits. Looks at the writer's end only when it may be so: reading what another core
    /// writes is the slowest thing here.
    #[inline]
    pub(super) fn is_half_full(&self) -> bool {
        is_half_full(&self.items) || is_half_full(&self.text)
    }

    /// Whether the writer's end is gone.
    pub(super) fn is_abandoned(&self) -> bool {
        self.items.is_abandoned()
    }
}

#[inline]
fn is_half_full<T>(producer: &Producer<T>) -> bool {
    let half = producer.buffer().capacity() / 2;
    producer.cached_slots() < half && producer.slots() < half
}

impl Drain {
    /// How many items wait.
    pub(super) fn len(&self) -> usize {
        self.items.slots()
    }

    /// Whether the deciding thread's end is gone.
    pub(super) fn is_abandoned(&self) -> bool {
        self.items.is_abandoned()
    }

    /// Takes the next item, and appends its text to `text`.
    pub(super) fn pop(&mut self, text: &mut Vec<u8>) -> Option<Item> {
        let item = self.items.pop().ok()?;
        if let Item::Decision(copied) = &item
            && let Ok(chunk) = self.text.read_chunk(usize::from(copied.text))
        {
            let (first, second) = chunk.as_slices();
            text.extend_from_slice(first);
            text.extend_from_slice(second);
            chunk.commit_all();
        }
        Some(item)
    }
}
