//! Whether a text is one mail address, as Go's `net/mail` reads RFC 5322: `a@b`, `"A" (comment) <a@b>`, or a group of one.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};

use crate::eval::builtins::net::Address;

/// Go doesn't mind bits that are left over.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// Go's `mail.ParseAddress` succeeds.
pub(super) fn is_address(text: &str) -> bool {
    let mut parser = Parser { rest: text };
    parser.address(true) == Some(1) && parser.skip_comments() && parser.rest.is_empty()
}

struct Parser<'a> {
    rest: &'a str,
}

// === impl Parser ===

impl<'a> Parser<'a> {
    /// How many addresses there were: one, unless it is a group.
    fn address(&mut self, may_be_group: bool) -> Option<usize> {
        self.skip_space();
        if self.rest.is_empty() {
            return None;
        }
        let before = self.rest;
        if self.address_spec().is_some() {
            self.skip_space();
            if self.eat('(') {
                let comment = self.comment()?;
                let mut words = comment.split([' ', '\t']);
                return (!words.any(|word| EncodedWord::of(word).is_some_and(|word| word.is_foreign))).then_some(1);
            }
            return Some(1);
        }
        self.rest = before;
        if !self.rest.starts_with('<') {
            self.phrase()?;
        }
        self.skip_space();
        if may_be_group && self.eat(':') {
            return self.group();
        }
        self.eat('<').then_some(())?;
        self.address_spec()?;
        self.eat('>').then_some(1)
    }

    fn group(&mut self) -> Option<usize> {
        self.skip_space();
        if self.eat(';') {
            return self.skip_comments().then_some(0);
        }
        let mut count = 0;
        loop {
            self.skip_space();
            count += self.address(false)?;
            self.skip_comments().then_some(())?;
            if self.eat(';') {
                return self.skip_comments().then_some(count);
            }
            self.eat(',').then_some(())?;
        }
    }

    fn address_spec(&mut self) -> Option<()> {
        self.skip_space();
        if self.rest.starts_with('"') {
            let local = self.quoted()?;
            (!local.is_empty()).then_some(())?;
        } else {
            self.dotted()?;
        }
        self.eat('@').then_some(())?;
        self.skip_space();
        if self.eat('[') { self.domain_literal() } else { self.dotted() }
    }

    /// A name: words, some of which may be encoded.
    fn phrase(&mut self) -> Option<()> {
        let mut words = 0;
        // Encoded words are put together before they count.
        let mut encoded = false;
        loop {
            if words > 0 && !self.skip_comments() {
                return None;
            }
            self.skip_space();
            if self.rest.is_empty() {
                break;
            }
            let word =
                if self.rest.starts_with('"') { self.quoted().map(|_| None) } else { self.atom().map(EncodedWord::of) };
            match word {
                None => break,
                Some(Some(word)) if word.is_foreign => break,
                Some(Some(word)) => encoded |= !word.is_empty,
                Some(None) => {
                    words += if encoded { 2 } else { 1 };
                    encoded = false;
                }
            }
        }
        // At the end of the text there is no error, even if there was no word.
        (words > 0 || encoded || self.rest.is_empty()).then_some(())
    }

    /// At its quote. What is between the quotes, with its escapes.
    fn quoted(&mut self) -> Option<&'a str> {
        let inner = self.rest.get(1..)?;
        let mut escaped = false;
        for (at, char) in inner.char_indices() {
            match char {
                _ if escaped && (is_visible(char) || is_blank(char)) => escaped = false,
                _ if escaped => return None,
                '"' => {
                    self.rest = inner.get(at + 1..)?;
                    return inner.get(..at);
                }
                '\\' => escaped = true,
                _ if is_visible(char) || is_blank(char) => {}
                _ => return None,
            }
        }
        None
    }

    fn atom(&mut self) -> Option<&'a str> {
        let end = self.rest.find(|char| !is_atom(char)).unwrap_or(self.rest.len());
        let (atom, rest) = self.rest.split_at_checked(end).filter(|(atom, _)| !atom.is_empty())?;
        self.rest = rest;
        Some(atom)
    }

    /// An atom whose dots stand between something.
    fn dotted(&mut self) -> Option<()> {
        let atom = self.atom()?;
        (!atom.starts_with('.') && !atom.contains("..") && !atom.ends_with('.')).then_some(())
    }

    /// Behind its bracket.
    fn domain_literal(&mut self) -> Option<()> {
        let (literal, rest) = self.rest.split_once(']')?;
        let allowed = literal.chars().all(|char| is_visible(char) && !matches!(char, '[' | '\\'));
        self.rest = rest;
        (allowed && Address::parse(literal).is_some()).then_some(())
    }

    fn skip_comments(&mut self) -> bool {
        self.skip_space();
        while self.eat('(') {
            if self.comment().is_none() {
                return false;
            }
            self.skip_space();
        }
        true
    }

    /// Behind its parenthesis. Without the backslashes that escape.
    fn comment(&mut self) -> Option<String> {
        let mut comment = String::new();
        let mut depth = 1;
        let mut chars = self.rest.char_indices();
        while let Some((at, char)) = chars.next() {
            match char {
                '\\' => {
                    // The last character of a text escapes nothing.
                    comment.push(chars.next().map_or('\\', |(_, escaped)| escaped));
                    continue;
                }
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                self.rest = self.rest.get(at + 1..)?;
                return Some(comment);
            }
            comment.push(char);
        }
        None
    }

    fn eat(&mut self, char: char) -> bool {
        let rest = self.rest.strip_prefix(char);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches(is_blank);
    }
}

fn is_blank(char: char) -> bool {
    matches!(char, ' ' | '\t')
}

fn is_visible(char: char) -> bool {
    matches!(char, '!'..='~') || !char.is_ascii()
}

fn is_atom(char: char) -> bool {
    is_visible(char) && !matches!(char, '(' | ')' | '<' | '>' | '[' | ']' | ':' | ';' | '@' | '\\' | ',' | '"')
}

/// A word such as `=?utf-8?q?caf=C3=A9?=` (RFC 2047).
struct EncodedWord {
    /// In a character set that Go doesn't know, which is an error.
    is_foreign: bool,
    is_empty: bool,
}

// === impl EncodedWord ===

impl EncodedWord {
    fn of(word: &str) -> Option<Self> {
        let inner = word.strip_prefix("=?")?.strip_suffix("?=")?;
        let mut parts = inner.split('?');
        let (charset, encoding, text) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || charset.is_empty() {
            return None;
        }
        let readable = match encoding {
            "B" | "b" => BASE64.decode(text).is_ok(),
            "Q" | "q" => is_quoted_printable(text),
            _ => false,
        };
        let known = ["utf-8", "iso-8859-1", "us-ascii"];
        let is_foreign = !known.iter().any(|name| name.eq_ignore_ascii_case(charset));
        readable.then_some(Self { is_foreign, is_empty: text.is_empty() })
    }
}

fn is_quoted_printable(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let fine = match byte {
            b'=' => bytes.next().zip(bytes.next()).is_some_and(|(a, b)| a.is_ascii_hexdigit() && b.is_ascii_hexdigit()),
            b' '..=b'~' | b'\n' | b'\r' | b'\t' => true,
            _ => false,
        };
        if !fine {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_reads_them() {
        for text in [
            "a@b",
            " a.b@c.d ",
            "\"a b\"@c",
            "A B <a@b>",
            "\"A\" (x (y)) <a@[1.2.3.4]>",
            "a@b (c)",
            "g: a@b;",
            "\u{e9}@\u{fc}",
            "=?utf-8?q?caf=C3=A9?= <a@b>",
            "<a@b>",
        ] {
            assert!(is_address(text), "{text}");
        }
        for text in [
            "",
            "a",
            "a@",
            "@b",
            "a@b c",
            "a..b@c",
            ".a@b",
            "a@b.",
            "a@b, c@d",
            "g: a@b, c@d;",
            "g:;",
            "\"\"@b",
            "a@[x]",
            "A <a@b",
            "a@b (c",
            "=?x?q?a?= <a@b>",
            "a\u{1}@b",
        ] {
            assert!(!is_address(text), "{text}");
        }
    }
}
