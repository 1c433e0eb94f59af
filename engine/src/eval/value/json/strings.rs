//! Strings: borrowed where they hold no escapes.

use std::borrow::Cow;

use super::{JsonError, Refused, Tokens};

impl<'i> Tokens<'i> {
    /// A string, from its opening quote.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<Cow<'i, str>, Refused> {
        if let Some(plain) = self.plain()? {
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = String::new();
        self.unescape(&mut text)?;
        Ok(Cow::Owned(text))
    }

    /// A string without escapes, from its opening quote. If it has one, stays there.
    #[inline(always)]
    pub(crate) fn plain(&mut self) -> Result<Option<&'i str>, Refused> {
        let start = self.at + 1;
        let end = special(self.text.as_bytes(), start);
        match self.text.as_bytes().get(end) {
            Some(b'"') => {
                self.at = end + 1;
                // Between two quotes, and so between characters.
                Ok(self.text.get(start..end))
            }
            Some(b'\\') => Ok(None),
            _ => Err(self.unended(end)),
        }
    }

    /// A string of any kind, from its opening quote, appended to `out`.
    pub(crate) fn unescape(&mut self, out: &mut String) -> Result<(), Refused> {
        self.at += 1;
        loop {
            let end = special(self.text.as_bytes(), self.at);
            out.push_str(self.text.get(self.at..end).unwrap_or_default());
            match self.text.as_bytes().get(end) {
                Some(b'"') => {
                    self.at = end + 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.at = end + 1;
                    out.push(self.escape()?);
                }
                _ => return Err(self.unended(end)),
            }
        }
    }

    /// Behind its backslash.
    fn escape(&mut self) -> Result<char, Refused> {
        Ok(match self.next() {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => self.escaped_unit()?,
            _ => return Err(self.error_before("an escape that JSON doesn't have")),
        })
    }

    /// Behind `\u`: one unit, or both of a pair.
    fn escaped_unit(&mut self) -> Result<char, Refused> {
        let unit = self.unit()?;
        if !(0xd800..=0xdfff).contains(&unit) {
            return Ok(char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if unit < 0xdc00 && rest.starts_with(b"\\u") {
            let before = self.at;
            self.at += 2;
            let low = self.unit()?;
            if let Some(Ok(char)) = char::decode_utf16([unit, low]).next() {
                return Ok(char);
            }
            self.at = before;
        }
        match self.reading.lenient {
            true => Ok(char::REPLACEMENT_CHARACTER),
            false => Err(self.error_before("half a surrogate pair")),
        }
    }

    fn unit(&mut self) -> Result<u16, Refused> {
        let digits = self.text.get(self.at..self.at + 4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let unit = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
        self.at += 4;
        unit.ok_or_else(|| self.error_before("expected four hexadecimal digits"))
    }

    #[cold]
    fn unended(&self, at: usize) -> Refused {
        let what = match at < self.text.len() {
            true => "a control character in a string; escape it",
            false => "a string that doesn't end",
        };
        Box::new(JsonError { what: what.to_owned(), at, is_limit: false })
    }
}

/// Where the first quote, backslash or control character is, from `at` on; the end, if there is none. Eight bytes at a time:
/// most strings are shorter than what a loop over bytes takes to get going.
#[inline]
fn special(bytes: &[u8], mut at: usize) -> usize {
    while let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let found = specials(u64::from_le_bytes(*eight));
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(rest.len())
}

/// The high bit of each byte that is special; bits above the first such byte may be wrong, because of borrows.
#[inline]
fn specials(eight: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // A byte below `n` borrows into its high bit. One that had it set anyway is no ASCII.
    let below = |bytes: u64, n: u64| bytes.wrapping_sub(ONES * n);
    // With this bit turned, a quote comes right behind the control characters, and nothing else there.
    let control_or_quote = below(eight ^ (ONES * 0x02), 0x21);
    let backslash = below(eight ^ (ONES * 0x5c), 1);
    (control_or_quote | backslash) & !eight & (ONES * 0x80)
}
