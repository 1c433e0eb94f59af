//! Memory that scans use again: the keys of the objects that are open, to find one that stands twice.

use std::hash::{BuildHasher, RandomState};

use crate::eval::value::json::{Refused, Tokens};

/// Up to so many keys are compared with each other; more are hashed first.
const FEW: usize = 8;

/// What is kept for the next scan: keys, and bytes of text. One large document must not cost memory for good.
const KEPT_KEYS: usize = 1024;
const KEPT_BYTES: usize = 64 * 1024;

/// Memory for scans. One that has seen the like of a document needs no more for the next.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// Of all objects that are open, the innermost last.
    keys: Vec<Key>,
    /// The texts of keys that were written with escapes.
    unescaped: String,
    hashed: Vec<(u64, Key)>,
    /// Seeded, so that nobody can prepare keys that collide.
    hasher: RandomState,
}

/// Where a key's text is: in the document, or among the unescaped.
#[derive(Debug, Clone, Copy)]
struct Key {
    start: usize,
    end: usize,
    is_unescaped: bool,
}

/// Where an object's keys begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    keys: usize,
    unescaped: usize,
}

impl Scratch {
    /// An object begins.
    #[inline]
    pub(super) fn open(&self) -> Mark {
        Mark { keys: self.keys.len(), unescaped: self.unescaped.len() }
    }

    /// Reads a key of the innermost object, and the colon behind it.
    #[inline]
    pub(super) fn key<'s, 'i: 's>(&'s mut self, tokens: &mut Tokens<'i>) -> Result<&'s str, Refused> {
        tokens.key()?;
        let start = tokens.at() + 1;
        if let Some(text) = tokens.plain()? {
            self.keys.push(Key { start, end: start + text.len(), is_unescaped: false });
            tokens.colon()?;
            return Ok(text);
        }
        let start = self.unescaped.len();
        tokens.unescape(&mut self.unescaped)?;
        self.keys.push(Key { start, end: self.unescaped.len(), is_unescaped: true });
        tokens.colon()?;
        Ok(self.unescaped.get(start..).unwrap_or_default())
    }

    /// A string whose text nobody wants, checked.
    #[inline]
    pub(super) fn skip_string(&mut self, tokens: &mut Tokens<'_>) -> Result<(), Refused> {
        if tokens.plain()?.is_none() {
            let kept = self.unescaped.len();
            tokens.unescape(&mut self.unescaped)?;
            self.unescaped.truncate(kept);
        }
        Ok(())
    }

    /// The innermost object ends: its keys are all different.
    #[inline]
    pub(super) fn close(&mut self, mark: Mark, tokens: &Tokens<'_>) -> Result<(), Refused> {
        let keys = self.keys.get(mark.keys..).unwrap_or_default();
        let twice = match keys.len() {
            0..=FEW => self.twice_of_few(keys, tokens.text()),
            _ => self.twice_of_many(mark, tokens.text()),
        };
        if let Some(key) = twice {
            return Err(tokens.twice(key.text(tokens.text(), &self.unescaped)));
        }
        self.keys.truncate(mark.keys);
        if self.unescaped.len() > mark.unescaped {
            self.unescaped.truncate(mark.unescaped);
        }
        Ok(())
    }

    /// Forgets everything, and gives back what is more than usual.
    pub(super) fn clear(&mut self) {
        self.keys.clear();
        self.unescaped.clear();
        self.hashed.clear();
        self.keys.shrink_to(KEPT_KEYS);
        self.unescaped.shrink_to(KEPT_BYTES);
        self.hashed.shrink_to(KEPT_KEYS);
    }

    /// What it takes for good.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let keys = self.keys.capacity() * size_of::<Key>() + self.hashed.capacity() * size_of::<(u64, Key)>();
        keys + self.unescaped.capacity()
    }

    #[inline]
    fn twice_of_few(&self, mut keys: &[Key], document: &str) -> Option<Key> {
        let text = |key: &Key| key.text(document, &self.unescaped);
        while let Some((key, rest)) = keys.split_first() {
            if rest.iter().any(|other| other.len() == key.len() && text(other) == text(key)) {
                return Some(*key);
            }
            keys = rest;
        }
        None
    }

    fn twice_of_many(&mut self, mark: Mark, document: &str) -> Option<Key> {
        let Self { keys, unescaped, hashed, hasher } = self;
        let text = |key: &Key| key.text(document, unescaped);
        hashed.clear();
        hashed.extend(keys.get(mark.keys..)?.iter().map(|key| (hasher.hash_one(text(key)), *key)));
        hashed.sort_unstable_by(|(a, a_key), (b, b_key)| a.cmp(b).then_with(|| text(a_key).cmp(text(b_key))));
        let mut pairs = hashed.iter().zip(hashed.iter().skip(1));
        pairs.find(|((a, a_key), (b, b_key))| a == b && text(a_key) == text(b_key)).map(|((_, key), _)| *key)
    }
}

impl Key {
    fn len(&self) -> usize {
        self.end - self.start
    }

    fn text<'a>(&self, document: &'a str, unescaped: &'a str) -> &'a str {
        let from = if self.is_unescaped { unescaped } else { document };
        from.get(self.start..self.end).unwrap_or_default()
    }
}
