//! Tokens of YAML 1.1, as go-yaml v3 (a descendant of libyaml) finds them: simple keys are recognised when their colon
//! comes, indentation opens and closes blocks, tabs are refused where indentation is looked for.

use super::super::super::{Budget, Failure};
use super::{Problem, Stage};

/// Flow collections, or indentations, within each other.
const MAX_NESTING: usize = 10_000;

/// Characters that a key may be long that isn't marked as one.
const MAX_SIMPLE_KEY: usize = 1024;

/// Bytes that are looked ahead for a comment.
const COMMENT_LOOKAHEAD: usize = 512;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    StreamStart,
    StreamEnd,
    Version {
        major: u8,
        minor: u8,
    },
    TagDirective {
        handle: String,
        prefix: String,
    },
    DocumentStart,
    DocumentEnd,
    BlockSequenceStart,
    BlockMappingStart,
    BlockEnd,
    FlowSequenceStart,
    FlowSequenceEnd,
    FlowMappingStart,
    FlowMappingEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Alias(String),
    Anchor(String),
    Tag {
        handle: String,
        suffix: Vec<u8>,
    },
    Scalar {
        text: String,
        plain: bool,
    },
    /// In the place of what can't be a token.
    Broken,
}

#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) line: usize,
}

/// Where the scanner is, in characters.
#[derive(Debug, Clone, Copy)]
struct Mark {
    index: usize,
    line: usize,
    column: usize,
}

/// What may turn out to be a key.
#[derive(Debug, Clone, Copy)]
struct SimpleKey {
    possible: bool,
    /// Whether there is an error if it isn't one.
    required: bool,
    /// The number of its first token.
    token: usize,
    mark: Mark,
}

/// All tokens of a text.
///
/// # Errors
/// There is something that can't be one, or the budget ends.
pub(super) fn tokens(budget: &mut Budget, text: &str) -> Result<Vec<Token>, Failure> {
    let mut scanner = Scanner::new(text);
    let (mut at, mut count) = (0, 0);
    while scanner.tokens.last().is_none_or(|token| token.kind != Kind::StreamEnd) {
        scanner.fetch()?;
        let new = scanner.tokens.len().saturating_sub(count).saturating_mul(size_of::<Token>());
        budget.alloc(new.saturating_add(scanner.at.saturating_sub(at)))?;
        (at, count) = (scanner.at, scanner.tokens.len());
    }
    Ok(scanner.tokens)
}

/// Tokens up to what can't be one, and what that is. For who reads no further than it has to.
pub(super) fn first_tokens(text: &str) -> (Vec<Token>, Option<Problem>) {
    let is_complete = |scanner: &Scanner<'_>| scanner.tokens.last().is_some_and(|token| token.kind == Kind::StreamEnd);
    let mut scanner = Scanner::new(text);
    let mut fetched = 0_usize;
    let problem = loop {
        if is_complete(&scanner) {
            return (scanner.tokens, None);
        }
        match scanner.fetch() {
            Ok(()) => fetched += 1,
            Err(problem) => break problem,
        }
    };
    // Without what the last step added, what may have turned out to be a key, and the two that libyaml looks ahead.
    let mut scanner = Scanner::new(text);
    while fetched > 0 && scanner.fetch().is_ok() {
        fetched -= 1;
    }
    let open =
        scanner.simple_keys.iter().find(|key| !matches!(scanner.is_valid(**key), Ok(false))).map(|key| key.token);
    scanner.tokens.truncate(scanner.tokens.len().saturating_sub(2).min(open.unwrap_or(usize::MAX)));
    scanner.push(Kind::Broken);
    (scanner.tokens, Some(problem))
}

struct Scanner<'a> {
    text: &'a str,
    /// In bytes.
    at: usize,
    mark: Mark,
    /// Line breaks since the last character that is no blank.
    newlines: usize,
    flow_level: usize,
    /// The column of the block that is open, -1 for none.
    indent: isize,
    indents: Vec<isize>,
    simple_key_allowed: bool,
    /// One for each flow level, and one for blocks.
    simple_keys: Vec<SimpleKey>,
    tokens: Vec<Token>,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Self {
        let mark = Mark { index: 0, line: 0, column: 0 };
        Self {
            text,
            at: 0,
            mark,
            newlines: 0,
            flow_level: 0,
            indent: -1,
            indents: vec![],
            simple_key_allowed: true,
            simple_keys: vec![SimpleKey { possible: false, required: false, token: 0, mark }],
            tokens: vec![Token { kind: Kind::StreamStart, line: 0 }],
        }
    }

    fn fetch(&mut self) -> Result<(), Problem> {
        self.skip_to_next_token()?;
        self.unroll(self.column());
        if self.byte(0) == 0 {
            return self.stream_end();
        }
        if self.mark.column == 0 {
            if self.byte(0) == b'%' {
                return self.directive();
            }
            if self.is_document_indicator() {
                let kind = if self.byte(0) == b'-' { Kind::DocumentStart } else { Kind::DocumentEnd };
                return self.document_indicator(kind);
            }
        }
        self.fetch_content()?;
        // A comment behind it belongs to it, but not to the dash of an item.
        if self.tokens.last().is_none_or(|token| token.kind != Kind::BlockEntry) {
            self.skip_line_comment();
        }
        Ok(())
    }

    fn fetch_content(&mut self) -> Result<(), Problem> {
        let flow = self.flow_level > 0;
        let blank_follows = self.is_blankz(1);
        match self.byte(0) {
            b'[' => self.flow_start(Kind::FlowSequenceStart),
            b'{' => self.flow_start(Kind::FlowMappingStart),
            b']' => self.flow_end(Kind::FlowSequenceEnd),
            b'}' => self.flow_end(Kind::FlowMappingEnd),
            b',' => self.flow_entry(),
            b'-' if blank_follows => self.block_entry(),
            b'?' if flow || blank_follows => self.key(),
            b':' if flow || blank_follows => self.value(),
            b'*' => self.anchor(Kind::Alias),
            b'&' => self.anchor(Kind::Anchor),
            b'!' => self.tag(),
            b'|' if !flow => self.block_scalar(true),
            b'>' if !flow => self.block_scalar(false),
            b'\'' => self.quoted_scalar(true),
            b'"' => self.quoted_scalar(false),
            b'-' if !self.is_blank(1) => self.plain_scalar(),
            b'?' | b':' if !flow && !blank_follows => self.plain_scalar(),
            byte if !self.is_blankz(0) && !b"-?:,[]{}#&*!|>'\"%@`".contains(&byte) => self.plain_scalar(),
            _ => Err(self.problem(
                "found character that cannot start any token",
                Some(self.mark), // while scanning for the next token
            )),
        }
    }

    // === Space and comments ===

    fn skip_to_next_token(&mut self) -> Result<(), Problem> {
        loop {
            // A second byte order mark in front is passed over.
            if self.at == 0 && self.text.starts_with('\u{feff}') {
                self.skip();
            }
            while self.byte(0) == b' ' || (self.byte(0) == b'\t' && (self.flow_level > 0 || !self.simple_key_allowed)) {
                self.skip();
            }
            if self.byte(0) == b'#' {
                self.skip_comments();
            }
            if !self.is_break(0) {
                return Ok(());
            }
            self.skip_line();
            if self.flow_level == 0 {
                self.simple_key_allowed = true;
            }
        }
    }

    /// Up to the end of a line, behind blanks.
    fn skip_line_comment(&mut self) {
        if self.newlines > 0 {
            return;
        }
        let blanks = (0..COMMENT_LOOKAHEAD).find(|ahead| !self.is_blank(*ahead));
        if blanks.is_some_and(|blanks| self.byte(blanks) == b'#') {
            self.skip_to_line_end();
        }
    }

    /// Comments on lines of their own are passed over together, with what is between them: even a tab, which isn't
    /// allowed there otherwise.
    fn skip_comments(&mut self) {
        self.skip_to_line_end();
        let mut ahead = 1;
        while ahead < COMMENT_LOOKAHEAD {
            if self.is_blank(ahead) || self.is_break(ahead) {
                ahead += 1;
            } else if self.byte(ahead) == b'#' {
                let comment = self.at + ahead;
                while self.at < comment {
                    if self.is_break(0) { self.skip_line() } else { self.skip() }
                }
                self.skip_to_line_end();
                ahead = 1;
            } else {
                return;
            }
        }
    }

    fn skip_to_line_end(&mut self) {
        while !self.is_breakz(0) {
            self.skip();
        }
    }

    // === Simple keys ===

    fn is_valid(&self, key: SimpleKey) -> Result<bool, Problem> {
        if !key.possible {
            return Ok(false);
        }
        if key.mark.line < self.mark.line || key.mark.index + MAX_SIMPLE_KEY < self.mark.index {
            if key.required {
                return Err(self.problem("could not find expected ':'", Some(key.mark)));
            }
            return Ok(false);
        }
        Ok(true)
    }

    fn save_simple_key(&mut self) -> Result<(), Problem> {
        if !self.simple_key_allowed {
            return Ok(());
        }
        let required = self.flow_level == 0 && self.indent == self.column();
        self.remove_simple_key()?;
        let key = SimpleKey { possible: true, required, token: self.tokens.len(), mark: self.mark };
        if let Some(last) = self.simple_keys.last_mut() {
            *last = key;
        }
        Ok(())
    }

    fn remove_simple_key(&mut self) -> Result<(), Problem> {
        let Some(key) = self.simple_keys.last().copied().filter(|key| key.possible) else { return Ok(()) };
        if key.required {
            return Err(self.problem("could not find expected ':'", Some(key.mark)));
        }
        self.forget_simple_key();
        Ok(())
    }

    fn forget_simple_key(&mut self) {
        if let Some(key) = self.simple_keys.last_mut() {
            key.possible = false;
        }
    }

    // === Indentation ===

    /// Opens a block at `column`, unless it is open; its token becomes the one with this number.
    fn roll(&mut self, column: usize, number: usize, kind: Kind, line: usize) -> Result<(), Problem> {
        let column = isize::try_from(column).unwrap_or(isize::MAX);
        if self.flow_level > 0 || self.indent >= column {
            return Ok(());
        }
        self.indents.push(self.indent);
        self.indent = column;
        if self.indents.len() > MAX_NESTING {
            return Err(self.problem("exceeded max depth of 10000", None));
        }
        self.insert(number, kind, line);
        Ok(())
    }

    fn unroll(&mut self, column: isize) {
        if self.flow_level > 0 {
            return;
        }
        while self.indent > column {
            self.push(Kind::BlockEnd);
            self.indent = self.indents.pop().unwrap_or(-1);
        }
    }

    // === Tokens ===

    fn stream_end(&mut self) -> Result<(), Problem> {
        if self.mark.column != 0 {
            self.mark.column = 0;
            self.mark.line += 1;
        }
        self.unroll(-1);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        self.push(Kind::StreamEnd);
        Ok(())
    }

    fn document_indicator(&mut self, kind: Kind) -> Result<(), Problem> {
        self.unroll(-1);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        self.push(kind);
        (0..3).for_each(|_| self.skip());
        Ok(())
    }

    fn flow_start(&mut self, kind: Kind) -> Result<(), Problem> {
        self.save_simple_key()?;
        let key = SimpleKey { possible: false, required: false, token: self.tokens.len(), mark: self.mark };
        self.simple_keys.push(key);
        self.flow_level += 1;
        if self.flow_level > MAX_NESTING {
            return Err(self.problem("exceeded max depth of 10000", Some(self.mark)));
        }
        self.simple_key_allowed = true;
        self.push(kind);
        self.skip();
        Ok(())
    }

    fn flow_end(&mut self, kind: Kind) -> Result<(), Problem> {
        self.remove_simple_key()?;
        if self.flow_level > 0 {
            self.flow_level -= 1;
            self.simple_keys.pop();
        }
        self.simple_key_allowed = false;
        self.push(kind);
        self.skip();
        Ok(())
    }

    fn flow_entry(&mut self) -> Result<(), Problem> {
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.push(Kind::FlowEntry);
        self.skip();
        Ok(())
    }

    fn block_entry(&mut self) -> Result<(), Problem> {
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return Err(self.problem("block sequence entries are not allowed in this context", Some(self.mark)));
            }
            self.roll(self.mark.column, self.tokens.len(), Kind::BlockSequenceStart, self.mark.line)?;
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.push(Kind::BlockEntry);
        self.skip();
        Ok(())
    }

    fn key(&mut self) -> Result<(), Problem> {
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return Err(self.problem("mapping keys are not allowed in this context", Some(self.mark)));
            }
            self.roll(self.mark.column, self.tokens.len(), Kind::BlockMappingStart, self.mark.line)?;
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = self.flow_level == 0;
        self.push(Kind::Key);
        self.skip();
        Ok(())
    }

    fn value(&mut self) -> Result<(), Problem> {
        let key = self.simple_keys.last().copied();
        match key {
            Some(key) if self.is_valid(key)? => {
                self.insert(key.token, Kind::Key, key.mark.line);
                self.roll(key.mark.column, key.token, Kind::BlockMappingStart, key.mark.line)?;
                self.forget_simple_key();
                self.simple_key_allowed = false;
            }
            _ => {
                // One that is no longer valid isn't one any more.
                self.forget_simple_key();
                if self.flow_level == 0 {
                    if !self.simple_key_allowed {
                        return Err(self.problem("mapping values are not allowed in this context", Some(self.mark)));
                    }
                    self.roll(self.mark.column, self.tokens.len(), Kind::BlockMappingStart, self.mark.line)?;
                }
                self.simple_key_allowed = self.flow_level == 0;
            }
        }
        self.push(Kind::Value);
        self.skip();
        Ok(())
    }

    fn anchor(&mut self, kind: fn(String) -> Kind) -> Result<(), Problem> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        self.skip();
        let name = self.alphanumeric();
        if name.is_empty() || !(self.is_blankz(0) || b"?:,]}%@`".contains(&self.byte(0))) {
            return Err(self.problem("did not find expected alphabetic or numeric character", Some(start)));
        }
        self.tokens.push(Token { kind: kind(name), line: start.line });
        Ok(())
    }

    // === Directives and tags ===

    fn directive(&mut self) -> Result<(), Problem> {
        self.unroll(-1);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        self.skip();
        let name = self.alphanumeric();
        if name.is_empty() {
            return Err(self.problem("could not find expected directive name", Some(start)));
        }
        if !self.is_blankz(0) {
            return Err(self.problem("found unexpected non-alphabetical character", Some(start)));
        }
        let kind = match name.as_str() {
            "YAML" => self.version(start)?,
            "TAG" => self.tag_directive(start)?,
            _ => return Err(self.problem("found unknown directive name", Some(start))),
        };
        self.skip_blanks();
        if self.byte(0) == b'#' {
            self.skip_to_line_end();
        }
        if !self.is_breakz(0) {
            return Err(self.problem("did not find expected comment or line break", Some(start)));
        }
        self.skip_line();
        self.tokens.push(Token { kind, line: start.line });
        Ok(())
    }

    fn version(&mut self, start: Mark) -> Result<Kind, Problem> {
        self.skip_blanks();
        let major = self.version_number(start)?;
        if self.byte(0) != b'.' {
            return Err(self.problem("did not find expected digit or '.' character", Some(start)));
        }
        self.skip();
        Ok(Kind::Version { major, minor: self.version_number(start)? })
    }

    fn version_number(&mut self, start: Mark) -> Result<u8, Problem> {
        let mut digits = vec![];
        while self.byte(0).is_ascii_digit() {
            digits.push(self.byte(0) - b'0');
            self.skip();
        }
        match digits.as_slice() {
            [] => Err(self.problem("did not find expected version number", Some(start))),
            [digit] => Ok(*digit),
            [ten, digit] => Ok(ten * 10 + digit),
            _ => Err(self.problem("found extremely long version number", Some(start))),
        }
    }

    fn tag_directive(&mut self, start: Mark) -> Result<Kind, Problem> {
        self.skip_blanks();
        let handle = self.tag_handle(true, start)?;
        if !self.is_blank(0) {
            return Err(self.problem("did not find expected whitespace", Some(start)));
        }
        self.skip_blanks();
        let prefix = self.tag_uri("", start)?;
        if !self.is_blankz(0) {
            return Err(self.problem("did not find expected whitespace or line break", Some(start)));
        }
        Ok(Kind::TagDirective { handle, prefix: String::from_utf8_lossy(&prefix).into_owned() })
    }

    fn tag(&mut self) -> Result<(), Problem> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        let (handle, suffix) = if self.byte(1) == b'<' {
            self.skip();
            self.skip();
            let suffix = self.tag_uri("", start)?;
            if self.byte(0) != b'>' {
                return Err(self.problem("did not find the expected '>'", Some(start)));
            }
            self.skip();
            (String::new(), suffix)
        } else {
            let handle = self.tag_handle(false, start)?;
            if handle.len() > 1 && handle.ends_with('!') {
                let suffix = self.tag_uri("", start)?;
                (handle, suffix)
            } else {
                let suffix = self.tag_uri(&handle, start)?;
                // A lone `!` is a suffix without a handle.
                if suffix.is_empty() { (String::new(), b"!".to_vec()) } else { ("!".to_owned(), suffix) }
            }
        };
        if !self.is_blankz(0) {
            return Err(self.problem("did not find expected whitespace or line break", Some(start)));
        }
        self.tokens.push(Token { kind: Kind::Tag { handle, suffix }, line: start.line });
        Ok(())
    }

    fn tag_handle(&mut self, directive: bool, start: Mark) -> Result<String, Problem> {
        if self.byte(0) != b'!' {
            return Err(self.problem("did not find expected '!'", Some(start)));
        }
        self.skip();
        let mut handle = format!("!{}", self.alphanumeric());
        if self.byte(0) == b'!' {
            self.skip();
            handle.push('!');
        } else if directive && handle != "!" {
            return Err(self.problem("did not find expected '!'", Some(start)));
        }
        Ok(handle)
    }

    /// What has been read of it already stands behind the `!` of `head`.
    fn tag_uri(&mut self, head: &str, start: Mark) -> Result<Vec<u8>, Problem> {
        let mut uri = head.get(1..).unwrap_or_default().as_bytes().to_vec();
        let mut found = !head.is_empty();
        while is_alphanumeric(self.byte(0)) || b";/?:@&=+$,.!~*'()[]%".contains(&self.byte(0)) {
            if self.byte(0) == b'%' {
                self.uri_escapes(&mut uri, start)?;
            } else {
                uri.push(self.byte(0));
                self.skip();
            }
            found = true;
        }
        if found { Ok(uri) } else { Err(self.problem("did not find expected tag URI", Some(start))) }
    }

    /// One character, each byte of it escaped.
    fn uri_escapes(&mut self, uri: &mut Vec<u8>, start: Mark) -> Result<(), Problem> {
        let mut left = None;
        while left != Some(0) {
            let digit = |ahead: usize| char::from(self.byte(ahead)).to_digit(16).filter(|_| self.byte(0) == b'%');
            let octet = digit(1).zip(digit(2)).and_then(|(high, low)| u8::try_from(high << 4 | low).ok());
            let octet = octet.ok_or_else(|| self.problem("did not find URI escaped octet", Some(start)))?;
            left = Some(match left {
                None => match octet {
                    0..0x80 => 0,
                    0xc0..0xe0 => 1,
                    0xe0..0xf0 => 2,
                    0xf0..0xf8 => 3,
                    _ => return Err(self.problem("found an incorrect leading UTF-8 octet", Some(start))),
                },
                Some(_) if octet & 0xc0 != 0x80 => {
                    return Err(self.problem("found an incorrect trailing UTF-8 octet", Some(start)));
                }
                Some(left) => left - 1_u8,
            });
            uri.push(octet);
            (0..3).for_each(|_| self.skip());
        }
        Ok(())
    }

    // === Scalars ===

    fn block_scalar(&mut self, literal: bool) -> Result<(), Problem> {
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        let start = self.mark;
        self.skip();
        let (chomping, increment) = self.block_scalar_header(start)?;
        let mut indent = match increment {
            0 => 0,
            increment => usize::try_from(self.indent.max(0)).unwrap_or(0) + increment,
        };
        let (mut text, mut leading_break, mut trailing_breaks) = (String::new(), String::new(), String::new());
        self.block_scalar_breaks(&mut indent, &mut trailing_breaks, start)?;
        let mut leading_blank = false;
        while self.mark.column == indent && self.byte(0) != 0 {
            let trailing_blank = self.is_blank(0);
            if !literal && !leading_blank && !trailing_blank && leading_break.starts_with('\n') {
                if trailing_breaks.is_empty() {
                    text.push(' ');
                }
            } else {
                text.push_str(&leading_break);
            }
            leading_break.clear();
            text.push_str(&trailing_breaks);
            trailing_breaks.clear();
            leading_blank = self.is_blank(0);
            while !self.is_breakz(0) {
                self.read(&mut text);
            }
            self.read_line(&mut leading_break);
            self.block_scalar_breaks(&mut indent, &mut trailing_breaks, start)?;
        }
        if chomping != Some(b'-') {
            text.push_str(&leading_break);
        }
        if chomping == Some(b'+') {
            text.push_str(&trailing_breaks);
        }
        self.tokens.push(Token { kind: Kind::Scalar { text, plain: false }, line: start.line });
        Ok(())
    }

    /// What is to become of breaks at the end, and how much the text is indented, if that is said.
    fn block_scalar_header(&mut self, start: Mark) -> Result<(Option<u8>, usize), Problem> {
        let (mut chomping, mut increment) = (None, 0);
        for _ in 0..2 {
            match self.byte(0) {
                sign @ (b'+' | b'-') if chomping.is_none() => chomping = Some(sign),
                b'0' if increment == 0 => {
                    return Err(self.problem("found an indentation indicator equal to 0", Some(start)));
                }
                digit @ b'1'..=b'9' if increment == 0 => increment = usize::from(digit - b'0'),
                _ => break,
            }
            self.skip();
        }
        self.skip_blanks();
        if self.byte(0) == b'#' {
            self.skip_to_line_end();
        }
        if !self.is_breakz(0) {
            return Err(self.problem("did not find expected comment or line break", Some(start)));
        }
        self.skip_line();
        Ok((chomping, increment))
    }

    /// Indentation and empty lines. Without an indentation, finds out what it is.
    fn block_scalar_breaks(&mut self, indent: &mut usize, breaks: &mut String, start: Mark) -> Result<(), Problem> {
        let mut deepest = 0;
        loop {
            let is_indentation = |scanner: &Self| *indent == 0 || scanner.mark.column < *indent;
            while is_indentation(self) && self.byte(0) == b' ' {
                self.skip();
            }
            deepest = deepest.max(self.mark.column);
            if is_indentation(self) && self.byte(0) == b'\t' {
                let what = "found a tab character where an indentation space is expected";
                return Err(self.problem(what, Some(start)));
            }
            if !self.is_break(0) {
                break;
            }
            self.read_line(breaks);
        }
        if *indent == 0 {
            let least = usize::try_from(self.indent + 1).unwrap_or(0);
            *indent = deepest.max(least).max(1);
        }
        Ok(())
    }

    fn quoted_scalar(&mut self, single: bool) -> Result<(), Problem> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        self.skip();
        let quote = if single { b'\'' } else { b'"' };
        let mut text = String::new();
        loop {
            if self.mark.column == 0 && self.is_document_indicator() {
                return Err(self.problem("found unexpected document indicator", Some(start)));
            }
            if self.byte(0) == 0 {
                return Err(self.problem("found unexpected end of stream", Some(start)));
            }
            let mut folds = false;
            while !self.is_blankz(0) {
                match (self.byte(0), self.byte(1)) {
                    (b'\'', b'\'') if single => {
                        text.push('\'');
                        self.skip();
                        self.skip();
                    }
                    (byte, _) if byte == quote => break,
                    (b'\\', _) if !single && self.is_break(1) => {
                        self.skip();
                        self.skip_line();
                        folds = true;
                        break;
                    }
                    (b'\\', _) if !single => self.escape(&mut text, start)?,
                    _ => self.read(&mut text),
                }
            }
            if self.byte(0) == quote {
                break;
            }
            self.fold(&mut text, folds);
        }
        self.skip();
        self.tokens.push(Token { kind: Kind::Scalar { text, plain: false }, line: start.line });
        Ok(())
    }

    /// Blanks and breaks within quotes; behind an escaped break, blanks don't count.
    fn fold(&mut self, text: &mut String, mut leading: bool) {
        let (mut blanks, mut first, mut others) = (String::new(), String::new(), String::new());
        while self.is_blank(0) || self.is_break(0) {
            if self.is_blank(0) {
                if leading { self.skip() } else { self.read(&mut blanks) }
            } else if leading {
                self.read_line(&mut others);
            } else {
                blanks.clear();
                self.read_line(&mut first);
                leading = true;
            }
        }
        if leading { join(text, &first, &others) } else { text.push_str(&blanks) }
    }

    fn escape(&mut self, text: &mut String, start: Mark) -> Result<(), Problem> {
        let digits = match self.byte(1) {
            b'x' => 2,
            b'u' => 4,
            b'U' => 8,
            code => {
                text.push(match code {
                    b'0' => '\0',
                    b'a' => '\u{7}',
                    b'b' => '\u{8}',
                    b't' | b'\t' => '\t',
                    b'n' => '\n',
                    b'v' => '\u{b}',
                    b'f' => '\u{c}',
                    b'r' => '\r',
                    b'e' => '\u{1b}',
                    b' ' => ' ',
                    b'"' => '"',
                    b'\'' => '\'',
                    b'\\' => '\\',
                    b'N' => '\u{85}',
                    b'_' => '\u{a0}',
                    b'L' => '\u{2028}',
                    b'P' => '\u{2029}',
                    _ => return Err(self.problem("found unknown escape character", Some(start))),
                });
                0
            }
        };
        self.skip();
        self.skip();
        if digits == 0 {
            return Ok(());
        }
        let value =
            (0..digits).try_fold(0_u32, |value, ahead| Some(value << 4 | char::from(self.byte(ahead)).to_digit(16)?));
        let value = value.ok_or_else(|| self.problem("did not find expected hexdecimal number", Some(start)))?;
        let char = char::from_u32(value);
        text.push(char.ok_or_else(|| self.problem("found invalid Unicode character escape code", Some(start)))?);
        (0..digits).for_each(|_| self.skip());
        Ok(())
    }

    fn plain_scalar(&mut self) -> Result<(), Problem> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        let indent = self.indent + 1;
        let (mut text, mut blanks, mut first, mut others) =
            (String::new(), String::new(), String::new(), String::new());
        let mut leading = false;
        loop {
            if (self.mark.column == 0 && self.is_document_indicator()) || self.byte(0) == b'#' {
                break;
            }
            while !self.is_blankz(0) {
                let ends = (self.byte(0) == b':' && self.is_blankz(1))
                    || (self.flow_level > 0 && b",?[]{}".contains(&self.byte(0)));
                if ends {
                    break;
                }
                if leading {
                    join(&mut text, &first, &others);
                    first.clear();
                    others.clear();
                    leading = false;
                } else {
                    text.push_str(&blanks);
                }
                blanks.clear();
                self.read(&mut text);
            }
            if !(self.is_blank(0) || self.is_break(0)) {
                break;
            }
            while self.is_blank(0) || self.is_break(0) {
                if self.is_blank(0) {
                    if leading && self.column() < indent && self.byte(0) == b'\t' {
                        return Err(self.problem("found a tab character that violates indentation", Some(start)));
                    }
                    if leading { self.skip() } else { self.read(&mut blanks) }
                } else if leading {
                    self.read_line(&mut others);
                } else {
                    blanks.clear();
                    self.read_line(&mut first);
                    leading = true;
                }
            }
            if self.flow_level == 0 && self.column() < indent {
                break;
            }
        }
        if leading {
            self.simple_key_allowed = true;
        }
        self.tokens.push(Token { kind: Kind::Scalar { text, plain: true }, line: start.line });
        Ok(())
    }

    // === Characters ===

    fn alphanumeric(&mut self) -> String {
        let mut text = String::new();
        while is_alphanumeric(self.byte(0)) {
            self.read(&mut text);
        }
        text
    }

    fn skip_blanks(&mut self) {
        while self.is_blank(0) {
            self.skip();
        }
    }

    fn skip(&mut self) {
        if !self.is_blank(0) {
            self.newlines = 0;
        }
        if let Some(char) = self.char() {
            self.at += char.len_utf8();
            self.mark.index += 1;
            self.mark.column += 1;
        }
    }

    fn read(&mut self, text: &mut String) {
        text.extend(self.char());
        self.skip();
    }

    fn skip_line(&mut self) {
        self.read_line(&mut String::new());
    }

    /// A line break, those that are no text of their own as `\n`.
    fn read_line(&mut self, text: &mut String) {
        if !self.is_break(0) {
            return;
        }
        let (char, length, index) = match self.char() {
            Some('\r') if self.byte(1) == b'\n' => ('\n', 2, 2),
            Some('\u{85}') => ('\n', 2, 1),
            Some(char @ ('\u{2028}' | '\u{2029}')) => (char, 3, 1),
            _ => ('\n', 1, 1),
        };
        text.push(char);
        self.at += length;
        self.mark = Mark { index: self.mark.index + index, line: self.mark.line + 1, column: 0 };
        self.newlines += 1;
    }

    fn char(&self) -> Option<char> {
        self.text.get(self.at..).and_then(|rest| rest.chars().next())
    }

    /// A byte ahead; 0 at the end, since there is none in a text.
    fn byte(&self, ahead: usize) -> u8 {
        self.text.as_bytes().get(self.at + ahead).copied().unwrap_or(0)
    }

    fn is_blank(&self, ahead: usize) -> bool {
        matches!(self.byte(ahead), b' ' | b'\t')
    }

    fn is_break(&self, ahead: usize) -> bool {
        match self.byte(ahead) {
            b'\r' | b'\n' => true,
            0xc2 => self.byte(ahead + 1) == 0x85,
            0xe2 => self.byte(ahead + 1) == 0x80 && matches!(self.byte(ahead + 2), 0xa8 | 0xa9),
            _ => false,
        }
    }

    fn is_breakz(&self, ahead: usize) -> bool {
        self.byte(ahead) == 0 || self.is_break(ahead)
    }

    fn is_blankz(&self, ahead: usize) -> bool {
        self.is_blank(ahead) || self.is_breakz(ahead)
    }

    fn is_document_indicator(&self) -> bool {
        let byte = self.byte(0);
        matches!(byte, b'-' | b'.') && self.byte(1) == byte && self.byte(2) == byte && self.is_blankz(3)
    }

    fn column(&self) -> isize {
        isize::try_from(self.mark.column).unwrap_or(isize::MAX)
    }

    fn push(&mut self, kind: Kind) {
        self.tokens.push(Token { kind, line: self.mark.line });
    }

    fn insert(&mut self, number: usize, kind: Kind, line: usize) {
        self.tokens.insert(number.min(self.tokens.len()), Token { kind, line });
    }

    fn problem(&self, what: &'static str, context: Option<Mark>) -> Problem {
        let context = context.map_or(0, |mark| mark.line);
        Problem { stage: Stage::Scanner, what: what.into(), context, line: self.mark.line }
    }
}

/// What breaks become between two lines of a text that is folded.
fn join(text: &mut String, first: &str, others: &str) {
    if !first.starts_with('\n') {
        text.push_str(first);
        text.push_str(others);
    } else if others.is_empty() {
        text.push(' ');
    } else {
        text.push_str(others);
    }
}

fn is_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}
