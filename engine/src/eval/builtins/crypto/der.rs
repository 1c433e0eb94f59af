//! DER as strictly as Go's `cryptobyte` reads it: lengths and integers in their shortest form, no tag above 30.

use std::fmt;

use num_bigint::BigInt;

pub(in super::super) const BOOLEAN: u8 = 1;
pub(in super::super) const INTEGER: u8 = 2;
pub(in super::super) const BIT_STRING: u8 = 3;
pub(in super::super) const OCTET_STRING: u8 = 4;
pub(in super::super) const OID: u8 = 6;
pub(in super::super) const SEQUENCE: u8 = 0x30;
pub(in super::super) const SET: u8 = 0x31;

/// A tag of the context's own, of a primitive.
pub(in super::super) const fn context(tag: u8) -> u8 {
    0x80 | tag
}

/// A tag of the context's own, of what is constructed.
pub(in super::super) const fn constructed(tag: u8) -> u8 {
    0xa0 | tag
}

/// What is left to be read.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Der<'a>(pub(in super::super) &'a [u8]);

/// One element: its tag, its content, and all of it.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Element<'a> {
    pub(in super::super) tag: u8,
    pub(in super::super) content: &'a [u8],
    pub(in super::super) full: &'a [u8],
}

/// An object identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Oid(pub(in super::super) Vec<u32>);

/// Bits, the first one the highest of the first byte.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Bits<'a> {
    pub(in super::super) bytes: &'a [u8],
    /// Bits of the last byte that don't count, all of them zero.
    pub(in super::super) padding: u8,
}

impl<'a> Der<'a> {
    pub(in super::super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(in super::super) fn peek(&self, tag: u8) -> bool {
        self.0.first() == Some(&tag)
    }

    pub(in super::super) fn any(&mut self) -> Option<Element<'a>> {
        let (tag, first) = (*self.0.first()?, *self.0.get(1)?);
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (header, length) = match first {
            0..0x80 => (2, usize::from(first)),
            _ => {
                let bytes = usize::from(first & 0x7f);
                if bytes == 0 || bytes > 4 {
                    return None;
                }
                let digits = self.0.get(2..2 + bytes)?;
                let length = digits.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
                if length < 0x80 || digits.first() == Some(&0) {
                    return None;
                }
                (2 + bytes, length)
            }
        };
        let full = self.0.get(..header.checked_add(length)?)?;
        self.0 = self.0.get(full.len()..)?;
        Some(Element { tag, content: full.get(header..)?, full })
    }

    /// An element as Go's `encoding/asn1` reads one that may be anything, its tag of any size.
    pub(in super::super) fn any_tagged(&mut self) -> Option<Element<'a>> {
        let (tag, before, length) = self.header()?;
        let full = self.0.get(..before.checked_add(length)?)?;
        self.0 = self.0.get(full.len()..)?;
        Some(Element { tag, content: full.get(before..)?, full })
    }

    /// The content of an element with this tag.
    pub(in super::super) fn read(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.any().filter(|element| element.tag == tag).map(|element| element.content)
    }

    /// An element with this tag, tag and length included.
    pub(in super::super) fn element(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.any().filter(|element| element.tag == tag).map(|element| element.full)
    }

    /// What is within an element with this tag.
    pub(in super::super) fn within(&mut self, tag: u8) -> Option<Self> {
        self.read(tag).map(Self)
    }

    pub(in super::super) fn sequence(&mut self) -> Option<Self> {
        self.within(SEQUENCE)
    }

    /// The content of an element with this tag, if one is next.
    pub(in super::super) fn optional(&mut self, tag: u8) -> Option<Option<&'a [u8]>> {
        if self.peek(tag) { self.read(tag).map(Some) } else { Some(None) }
    }

    /// The next element's first byte, the length of what stands before its content, and that of the content, which may
    /// be longer than what is left. Unlike in [`any`](Self::any), tags may have any size: so Go's `encoding/asn1` looks
    /// at what may be there and needn't.
    pub(in super::super) fn header(&self) -> Option<(u8, usize, usize)> {
        let first = *self.0.first()?;
        let mut at = 1;
        if first & 0x1f == 0x1f {
            let rest = self.0.get(1..)?;
            let length = rest.iter().position(|byte| byte & 0x80 == 0)? + 1;
            let tag = rest.get(..length)?.iter().fold(0_u64, |tag, byte| tag << 7 | u64::from(byte & 0x7f));
            if length > 5 || rest.first() == Some(&0x80) || !(0x1f..=0x7fff_ffff).contains(&tag) {
                return None;
            }
            at += length;
        }
        let length = *self.0.get(at)?;
        at += 1;
        if length < 0x80 {
            return Some((first, at, usize::from(length)));
        }
        let digits = self.0.get(at..at + usize::from(length & 0x7f))?;
        let length = digits.iter().try_fold(0_usize, |length, digit| {
            let longer = length << 8 | usize::from(*digit);
            (length < 1 << 23 && longer > 0).then_some(longer)
        });
        length.filter(|length| *length >= 0x80).map(|length| (first, at + digits.len(), length))
    }

    /// The content of an element with the tag `inner` within one with the tag `outer`, if these are next.
    pub(in super::super) fn explicit(&mut self, outer: u8, inner: u8) -> Option<Option<&'a [u8]>> {
        if self.is_empty() {
            return Some(None);
        }
        let (tag, before, length) = self.header()?;
        if tag != outer {
            return Some(None);
        }
        // An element around nothing isn't one.
        let mut within = Self(self.0.get(before..).filter(|_| length > 0)?);
        let (tag, before, length) = within.header()?;
        if tag != inner {
            return Some(None);
        }
        let content = within.0.get(before..before.checked_add(length)?)?;
        within.0 = within.0.get(before + length..)?;
        *self = within;
        Some(Some(content))
    }

    /// Whether an element with this tag is next; there has to be one or none.
    pub(in super::super) fn may_have(&self, tag: u8) -> Option<bool> {
        if self.is_empty() { Some(false) } else { self.header().map(|(first, ..)| first == tag) }
    }

    pub(in super::super) fn boolean(&mut self) -> Option<bool> {
        match self.read(BOOLEAN)? {
            [0] => Some(false),
            [0xff] => Some(true),
            _ => None,
        }
    }

    pub(in super::super) fn integer(&mut self) -> Option<BigInt> {
        self.read(INTEGER).and_then(shortest).map(BigInt::from_signed_bytes_be)
    }

    pub(in super::super) fn int(&mut self) -> Option<i64> {
        self.int_tagged(INTEGER)
    }

    pub(in super::super) fn int_tagged(&mut self, tag: u8) -> Option<i64> {
        self.read(tag).and_then(int)
    }

    pub(in super::super) fn oid(&mut self) -> Option<Oid> {
        self.read(OID).and_then(oid)
    }

    pub(in super::super) fn bits(&mut self) -> Option<Bits<'a>> {
        self.read(BIT_STRING).and_then(Bits::read)
    }
}

impl<'a> Bits<'a> {
    /// The bits of an element's content.
    pub(in super::super) fn read(content: &'a [u8]) -> Option<Self> {
        let (padding, bytes) = content.split_first()?;
        let mask = 1_u8.checked_shl(u32::from(*padding)).filter(|_| *padding <= 7)? - 1;
        let clean = bytes.last().map_or(*padding == 0, |last| last & mask == 0);
        clean.then_some(Bits { bytes, padding: *padding })
    }
}

/// The integer of these bytes, if it isn't too large.
pub(in super::super) fn int(bytes: &[u8]) -> Option<i64> {
    let bytes = shortest(bytes)?;
    i64::try_from(BigInt::from_signed_bytes_be(bytes.get(..9).unwrap_or(bytes))).ok()
}

/// An integer's bytes, if there are no more than needed.
fn shortest(bytes: &[u8]) -> Option<&[u8]> {
    match bytes {
        [] => None,
        [0, next, ..] if next & 0x80 == 0 => None,
        [0xff, next, ..] if next & 0x80 != 0 => None,
        _ => Some(bytes),
    }
}

/// The identifier of these bytes.
pub(in super::super) fn oid(bytes: &[u8]) -> Option<Oid> {
    let mut parts = vec![];
    let mut rest = bytes;
    while !rest.is_empty() || parts.is_empty() {
        let (mut part, mut length) = (0_u32, 0);
        loop {
            let (byte, tail) = rest.split_first()?;
            // No part has more than 31 bits, nor more bytes than it needs.
            if length == 5 || part >= 1 << 24 || (length == 0 && *byte == 0x80) {
                return None;
            }
            part = part << 7 | u32::from(byte & 0x7f);
            length += 1;
            rest = tail;
            if byte & 0x80 == 0 {
                break;
            }
        }
        if parts.is_empty() {
            let first = (part / 40).min(2);
            parts.push(first);
            part -= first * 40;
        }
        parts.push(part);
    }
    Some(Oid(parts))
}

impl Bits<'_> {
    pub(in super::super) fn at(&self, index: usize) -> bool {
        let within = index < (self.bytes.len() * 8).saturating_sub(usize::from(self.padding));
        within && self.bytes.get(index / 8).is_some_and(|byte| byte >> (7 - index % 8) & 1 == 1)
    }

    /// The bytes with the padding before them.
    pub(in super::super) fn right_aligned(&self) -> Vec<u8> {
        if self.padding == 0 || self.bytes.is_empty() {
            return self.bytes.to_vec();
        }
        let shift = u32::from(self.padding);
        let mut before = 0;
        let aligned = |byte: &u8| {
            let aligned = byte >> shift | before;
            before = byte << (8 - shift);
            aligned
        };
        self.bytes.iter().map(aligned).collect()
    }
}

impl Oid {
    pub(in super::super) fn is(&self, parts: &[u32]) -> bool {
        self.0 == parts
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, part) in self.0.iter().enumerate() {
            let dot = if i > 0 { "." } else { "" };
            write!(f, "{dot}{part}")?;
        }
        Ok(())
    }
}

/// What `parts` are within a sequence.
pub(in super::super) fn write_sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    write(SEQUENCE, &parts.concat())
}

/// A number that isn't negative.
pub(in super::super) fn write_integer(magnitude: &[u8]) -> Vec<u8> {
    let zeros = magnitude.iter().take_while(|byte| **byte == 0).count();
    let mut content = magnitude.get(zeros..).unwrap_or_default().to_vec();
    if content.first().is_none_or(|byte| byte & 0x80 != 0) {
        content.insert(0, 0);
    }
    write(INTEGER, &content)
}

/// One element.
pub(in super::super) fn write(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(content.len()) {
        Ok(length) if length < 0x80 => out.push(length),
        _ => {
            let length = content.len().to_be_bytes();
            let digits = length.iter().skip_while(|byte| **byte == 0);
            // Eight bytes at most.
            out.push(0x80 | u8::try_from(digits.clone().count()).unwrap_or_default());
            out.extend(digits);
        }
    }
    out.extend(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_in_their_shortest_form() {
        for bad in [
            &[4, 0x80][..],
            &[4, 0x81, 0x7f],
            &[4, 0x82, 0, 0x80],
            &[4, 2, 1],
            &[0x1f, 0],
            &[4],
            &[4, 0x85, 0, 0, 0, 0, 1],
        ] {
            assert!(Der(bad).any().is_none(), "{bad:x?}");
        }
        let long = write(OCTET_STRING, &[7; 300]);
        assert_eq!(Der(&long).read(OCTET_STRING), Some(&[7; 300][..]));
    }

    #[test]
    fn integers() {
        for (bytes, value) in [(&[2, 1, 0x80][..], -128), (&[2, 2, 0, 0x80], 128), (&[2, 1, 0], 0)] {
            assert_eq!(Der(bytes).int(), Some(value));
        }
        for bad in [&[2, 0][..], &[2, 2, 0, 1], &[2, 2, 0xff, 0x80], &[2, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(Der(bad).int(), None);
        }
        assert_eq!(write_integer(&[0, 0x80]), [2, 2, 0, 0x80]);
        assert_eq!(write_integer(&[0, 0]), [2, 1, 0]);
    }

    #[test]
    fn identifiers_and_bits() {
        assert_eq!(Der(&[6, 3, 0x2a, 0x86, 0x48]).oid().map(|oid| oid.to_string()).as_deref(), Some("1.2.840"));
        assert_eq!(oid(&[0x88, 0x37]).map(|oid| oid.to_string()).as_deref(), Some("2.999"));
        assert_eq!(oid(&[0x80, 1]), None);
        assert_eq!(oid(&[]), None);
        let bits = Der(&[3, 2, 5, 0xa0]).bits().unwrap();
        assert_eq!((bits.at(0), bits.at(1), bits.at(2), bits.at(3)), (true, false, true, false));
        assert_eq!(bits.right_aligned(), [5]);
        assert!(Der(&[3, 2, 5, 0xa1]).bits().is_none());
    }
}
