//! Memory that evaluations use one after the other, so that none of them has to ask for it.

use super::context::Context;
use super::run::Frame;
use super::slot::Slot;
use crate::eval::index::Scratch;

/// The memory of an evaluation. Empty between two of them: what was in it belongs to a plan and an input that may be gone.
#[derive(Default)]
pub(crate) struct Buffers {
    slots: Vec<Slot<'static>>,
    frames: Vec<Frame<'static>>,
    contexts: Vec<Context<'static>>,
    candidates: Vec<u32>,
    scratch: Scratch,
}

/// The same, in use.
pub(super) struct Lent<'p> {
    pub(super) slots: Vec<Slot<'p>>,
    pub(super) frames: Vec<Frame<'p>>,
    pub(super) contexts: Vec<Context<'p>>,
    pub(super) candidates: Vec<u32>,
    pub(super) scratch: Scratch,
}

/// An evaluation that needed more than this doesn't leave it to the next one.
const MAX_KEPT: usize = 4_096;

impl Buffers {
    /// For lookups before an evaluation.
    pub(crate) fn scratch(&mut self) -> &mut Scratch {
        &mut self.scratch
    }

    pub(super) fn lend<'p>(&mut self) -> Lent<'p> {
        let Self { slots, frames, contexts, candidates, scratch } = std::mem::take(self);
        Lent { slots: emptied(slots), frames: emptied(frames), contexts: emptied(contexts), candidates, scratch }
    }

    pub(super) fn take_back(&mut self, lent: Lent<'_>) {
        let Lent { slots, frames, contexts, mut candidates, scratch } = lent;
        candidates.clear();
        candidates.shrink_to(MAX_KEPT);
        *self =
            Self { slots: emptied(slots), frames: emptied(frames), contexts: emptied(contexts), candidates, scratch };
    }
}

/// The memory of a vector, for items of another lifetime: collecting in place keeps it (`std::vec`, "in-place iteration").
pub(crate) fn emptied<A, B>(mut items: Vec<A>) -> Vec<B> {
    items.clear();
    if items.capacity() > MAX_KEPT {
        return Vec::new();
    }
    items.into_iter().filter_map(|_| None).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_kept_and_not_too_much_of_it() {
        let kept: Vec<Slot<'static>> = emptied::<Slot<'_>, _>(Vec::with_capacity(100));
        assert!(kept.capacity() >= 100);
        let dropped: Vec<Slot<'static>> = emptied::<Slot<'_>, _>(Vec::with_capacity(MAX_KEPT + 1));
        assert_eq!(dropped.capacity(), 0);
    }
}
