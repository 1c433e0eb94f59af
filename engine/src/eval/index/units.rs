//! Sets of units: the definitions that a lookup leads to.

/// A unit's number in the order of evaluation.
pub(super) type UnitId = u32;

/// A fixed set of units.
#[derive(Debug, Default)]
pub(super) struct Units {
    /// In order.
    ids: Box<[UnitId]>,
    /// The same as bits, where that is shorter.
    bits: Option<Box<[u64]>>,
}

/// What a lookup gave: these units, and no others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hit<'i> {
    /// All of them, not always in order.
    pub(super) ids: &'i [UnitId],
    /// Most of them as bits; what isn't there is in `more`.
    bits: Option<&'i [u64]>,
    more: &'i [UnitId],
}

/// Units by the limit that a value must reach.
#[derive(Debug, Default)]
pub(super) struct Ranked {
    /// In the order of their limits.
    ids: Box<[UnitId]>,
    /// The first `SAMPLES·k` of them as bits, for each `k`.
    samples: Vec<Box<[u64]>>,
    step: usize,
}

/// Of how many units there are, samples are made at most this often: their memory grows with the square of the units else.
const SAMPLES: usize = 32;
/// A union of fewer units than this isn't worth bits.
const SHORTEST_SAMPLE: usize = 64;

pub(super) fn words(units: usize) -> usize {
    units.div_ceil(64)
}

pub(super) fn set(bits: &mut [u64], id: UnitId) {
    if let Some(word) = bits.get_mut(id as usize / 64) {
        *word |= 1 << (id % 64);
    }
}

fn bits_of(ids: &[UnitId], count: usize) -> Box<[u64]> {
    let mut bits = vec![0; words(count)];
    ids.iter().for_each(|id| set(&mut bits, *id));
    bits.into()
}

impl Units {
    /// A set of some of `count` units.
    pub(super) fn new(mut ids: Vec<UnitId>, count: usize) -> Self {
        ids.sort_unstable();
        ids.dedup();
        let bits = (ids.len() > 2 * words(count)).then(|| bits_of(&ids, count));
        Self { ids: ids.into(), bits }
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn hit(&self) -> Hit<'_> {
        match &self.bits {
            Some(bits) => Hit { ids: &self.ids, bits: Some(bits), more: &[] },
            None => Hit { ids: &self.ids, bits: None, more: &self.ids },
        }
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.ids) + self.bits.as_deref().map_or(0, size_of_val)
    }
}

impl Ranked {
    /// `ids` in the order of their limits, of `count` units.
    pub(super) fn new(ids: Vec<UnitId>, count: usize) -> Self {
        let step = ids.len().div_ceil(SAMPLES).max(SHORTEST_SAMPLE);
        let sample = |k: usize| bits_of(ids.get(..k * step).unwrap_or_default(), count);
        let samples = (1..=ids.len() / step).map(sample).collect();
        Self { ids: ids.into(), samples, step }
    }

    /// The first `n`.
    pub(super) fn first(&self, n: usize) -> Hit<'_> {
        let ids = self.ids.get(..n).unwrap_or_default();
        match (n / self.step.max(1)).checked_sub(1).and_then(|k| self.samples.get(k)) {
            Some(bits) => Hit { ids, bits: Some(bits), more: ids.get(n / self.step * self.step..).unwrap_or_default() },
            None => Hit { ids, bits: None, more: ids },
        }
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.ids) + self.samples.iter().map(|sample| size_of_val(&**sample)).sum::<usize>()
    }
}

impl Hit<'_> {
    /// Adds its units.
    pub(super) fn add_to(&self, bits: &mut [u64]) {
        if let Some(own) = self.bits {
            bits.iter_mut().zip(own).for_each(|(word, own)| *word |= own);
        }
        self.more.iter().for_each(|id| set(bits, *id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn bits_and_numbers_agree(limits in proptest::collection::vec(0..50_u32, 1..700), at in 0..50_u32) {
            let count = limits.len();
            let mut ids: Vec<UnitId> = (0..).take(count).collect();
            ids.sort_by_key(|id| limits[*id as usize]);
            let ranked = Ranked::new(ids.clone(), count);
            let n = ids.partition_point(|id| limits[*id as usize] <= at);
            let mut expected: Vec<UnitId> = (0..).take(count).filter(|id| limits[*id as usize] <= at).collect();
            let units = Units::new(expected.clone(), count);
            for hit in [ranked.first(n), units.hit()] {
                let mut bits = vec![0; words(count)];
                hit.add_to(&mut bits);
                assert_eq!(&bits[..], &bits_of(&expected, count)[..]);
                let mut ids = hit.ids.to_vec();
                ids.sort_unstable();
                expected.sort_unstable();
                assert_eq!(ids, expected);
            }
        }
    }
}
