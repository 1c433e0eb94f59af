//! The words of a JSON text, one after the other, and the limits of a document. Whoever reads a document asks here, so that
//! all readers take and refuse the same.

use super::{COMPOSITE, JsonError, Reading};
use crate::eval::value::Number;
use crate::eval::value::number::{self, Form, NumberError};

/// In a box, so that what isn't refused comes back in registers: each token is one answer, and half the work would be to copy
/// room for an error.
pub(crate) type Refused = Box<JsonError>;

/// A text that is being read.
pub(crate) struct Tokens<'i> {
    pub(super) text: &'i str,
    /// Bytes from the beginning.
    pub(super) at: usize,
    pub(super) reading: Reading,
    /// Values and keys that may follow.
    left: usize,
}

/// Which value begins here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Array,
    Object,
    Text,
    Number,
    /// `true`, `false`, `null`, or nothing that is JSON.
    Word,
}

/// `true`, `false` or `null`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    Null,
    Bool(bool),
}

impl<'i> Tokens<'i> {
    /// At the beginning of `text`.
    pub(crate) fn new(text: &'i str, reading: Reading) -> Self {
        Self { text, at: 0, reading, left: reading.max_values }
    }

    /// Bytes from the beginning.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// All of what is read.
    pub(crate) fn text(&self) -> &'i str {
        self.text
    }

    pub(crate) fn reading(&self) -> Reading {
        self.reading
    }

    /// Counts as if a document began here.
    pub(crate) fn restart(&mut self) {
        self.left = self.reading.max_values;
    }

    /// To a value, which is counted.
    #[inline]
    pub(crate) fn value(&mut self) -> Result<Kind, Refused> {
        self.count(1)?;
        Ok(self.kind())
    }

    /// To a value.
    #[inline]
    pub(crate) fn kind(&mut self) -> Kind {
        self.space();
        match self.peek() {
            Some(b'"') => Kind::Text,
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'-' | b'0'..=b'9') => Kind::Number,
            _ => Kind::Word,
        }
    }

    /// Past the bracket of a composite that stands in `depth` others; past its end, if nothing is in it. Whether something is.
    #[inline]
    pub(crate) fn open(&mut self, closing: u8, depth: usize) -> Result<bool, Refused> {
        if depth >= self.reading.max_depth {
            return Err(self.limit(format!("nested deeper than {}", self.reading.max_depth)));
        }
        self.at += 1;
        self.space();
        if self.peek() == Some(closing) {
            self.at += 1;
            return Ok(false);
        }
        self.count(COMPOSITE)?;
        Ok(true)
    }

    /// Behind a value in a composite: whether another one follows.
    #[inline]
    pub(crate) fn another(&mut self, closing: u8) -> Result<bool, Refused> {
        self.space();
        match self.next() {
            Some(b',') => Ok(true),
            Some(byte) if byte == closing => Ok(false),
            _ if closing == b']' => Err(self.error_before("expected `,` or `]`")),
            _ => Err(self.error_before("expected `,` or `}`")),
        }
    }

    /// To a key's opening quote.
    #[inline]
    pub(crate) fn key(&mut self) -> Result<(), Refused> {
        self.space();
        if self.peek() != Some(b'"') {
            return Err(self.error("expected a key in quotes"));
        }
        self.count(1)
    }

    /// Past the colon behind a key.
    #[inline]
    pub(crate) fn colon(&mut self) -> Result<(), Refused> {
        self.space();
        match self.next() {
            Some(b':') => Ok(()),
            _ => Err(self.error_before("expected `:`")),
        }
    }

    /// The end of the document.
    pub(crate) fn end(&mut self) -> Result<(), Refused> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { Err(self.error("something follows the document")) }
    }

    /// A number, from its first byte.
    #[inline]
    pub(crate) fn number(&mut self) -> Result<Number, Refused> {
        if let Some(integer) = self.plain_integer() {
            return Ok(Number::from(integer));
        }
        let text = self.number_text()?;
        let number: Number = text.parse().map_err(|e| self.refused(text, e))?;
        self.past_number(text, number.form())?;
        Ok(number)
    }

    /// Past a number, which isn't made.
    #[inline]
    pub(crate) fn skip_number(&mut self) -> Result<(), Refused> {
        if self.plain_integer().is_some() {
            return Ok(());
        }
        let text = self.number_text()?;
        let form = number::check(text).map_err(|e| self.refused(text, e))?;
        self.past_number(text, form)
    }

    /// `true`, `false` or `null`.
    pub(crate) fn word(&mut self) -> Result<Word, Refused> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        for (text, word) in [("true", Word::Bool(true)), ("false", Word::Bool(false)), ("null", Word::Null)] {
            if rest.starts_with(text.as_bytes()) {
                self.at += text.len();
                return Ok(word);
            }
        }
        Err(self.error(if rest.is_empty() { "the document ends too early" } else { "expected a value" }))
    }

    /// A key of the object that ends before this place was there before.
    #[cold]
    pub(crate) fn twice(&self, key: &str) -> Refused {
        self.error_before(&format!("the key `{}` stands twice", key.escape_debug()))
    }

    /// The usual number: a short integer in its shortest form. Anything else isn't looked at.
    #[inline]
    fn plain_integer(&mut self) -> Option<i64> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let (negative, digits) = match rest.split_first() {
            Some((b'-', digits)) => (true, digits),
            _ => (false, rest),
        };
        let mut value = 0_i64;
        let mut len = 0;
        for byte in digits.iter().take(19) {
            match byte {
                b'0'..=b'9' => value = value.wrapping_mul(10).wrapping_add(i64::from(byte - b'0')),
                b'.' | b'e' | b'E' | b'+' | b'-' => return None,
                _ => break,
            }
            len += 1;
        }
        let is_shortest = digits.first() != Some(&b'0') || (len == 1 && !negative);
        if !(1..=18).contains(&len) || !is_shortest {
            return None;
        }
        self.at += usize::from(negative) + len;
        Some(if negative { -value } else { value })
    }

    fn number_text(&self) -> Result<&'i str, Refused> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let end = rest.bytes().position(|b| !matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
        let text = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        if !super::is_number(text) {
            return Err(self.error(&format!("`{}` is no number", text.get(..40).unwrap_or(text))));
        }
        Ok(text)
    }

    #[cold]
    fn refused(&self, text: &str, error: NumberError) -> Refused {
        match error {
            NumberError::Syntax => self.error(&format!("`{text}` is no number")),
            NumberError::TooLarge => {
                let start = text.get(..40).unwrap_or(text);
                self.error(&format!("the number {start} can't be held exactly; pass it as a string"))
            }
        }
    }

    /// One with many digits takes as much as several other values.
    fn past_number(&mut self, text: &str, form: Form) -> Result<(), Refused> {
        self.at += text.len();
        self.count(usize::from(form == Form::Text) + text.len() / 32)
    }

    #[inline]
    pub(crate) fn space(&mut self) {
        while let Some(byte) = self.peek()
            && byte <= b' '
            && matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
        {
            self.at += 1;
        }
    }

    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    pub(super) fn next(&mut self) -> Option<u8> {
        let byte = self.peek();
        self.at += 1;
        byte
    }

    #[inline]
    pub(crate) fn count(&mut self, more: usize) -> Result<(), Refused> {
        match self.left.checked_sub(more) {
            Some(left) => self.left = left,
            None => return Err(self.too_many()),
        }
        Ok(())
    }

    #[cold]
    fn too_many(&self) -> Refused {
        self.limit(format!("more than {} values", self.reading.max_values))
    }

    #[cold]
    pub(super) fn error(&self, what: &str) -> Refused {
        Box::new(JsonError { what: what.to_owned(), at: self.at, is_limit: false })
    }

    #[cold]
    pub(super) fn error_before(&self, what: &str) -> Refused {
        Box::new(JsonError { what: what.to_owned(), at: self.at.saturating_sub(1), is_limit: false })
    }

    #[cold]
    fn limit(&self, what: String) -> Refused {
        Box::new(JsonError { what, at: self.at, is_limit: true })
    }
}
