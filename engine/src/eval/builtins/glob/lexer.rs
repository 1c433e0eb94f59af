//! The tokens of a glob pattern, as `github.com/gobwas/glob/syntax` v1.0.0 finds them.

use std::collections::VecDeque;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    End,
    Error(&'static str),
    /// Characters without their escapes.
    Text(String),
    /// `*`
    Any,
    /// `**`
    Super,
    /// `?`
    Single,
    /// The `,` within braces.
    Separator,
    TermsOpen,
    TermsClose,
    RangeOpen,
    RangeClose,
    /// The `!` of a range.
    Not,
    Low(char),
    Between,
    High(char),
}

pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    error: Option<&'static str>,
    tokens: VecDeque<Token>,
    /// Braces that are open.
    nesting: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, error: None, tokens: VecDeque::new(), nesting: 0 }
    }

    /// How much has been read, in bytes.
    pub(super) fn offset(&self) -> usize {
        self.at
    }

    /// The next token. An error comes before the tokens that it ends.
    pub(super) fn next(&mut self) -> Token {
        if self.tokens.is_empty() && self.error.is_none() {
            self.fetch();
        }
        match self.error {
            Some(error) => Token::Error(error),
            None => self.tokens.pop_front().unwrap_or(Token::End),
        }
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    fn read(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn fetch(&mut self) {
        let Some(c) = self.peek() else { return };
        let token = match c {
            '{' => {
                self.nesting += 1;
                Token::TermsOpen
            }
            ',' if self.nesting > 0 => Token::Separator,
            '}' if self.nesting > 0 => {
                self.nesting -= 1;
                Token::TermsClose
            }
            '[' => Token::RangeOpen,
            '?' => Token::Single,
            '*' => Token::Any,
            _ if self.nesting > 0 => return self.fetch_text(&['?', '*', '[', '{', '}', ',']),
            _ => return self.fetch_text(&['?', '*', '[', '{']),
        };
        self.read();
        let token = match token {
            Token::Any if self.peek() == Some('*') => {
                self.read();
                Token::Super
            }
            token => token,
        };
        self.tokens.push_back(token);
        if c == '[' {
            self.fetch_range();
        }
    }

    /// Between the brackets: a range of two characters, or a set of any.
    fn fetch_range(&mut self) {
        if self.peek() == Some('!') {
            self.read();
            self.tokens.push_back(Token::Not);
        }
        let first_at = self.at;
        let Some(first) = self.read() else { return self.fail("unexpected end of input") };
        if self.peek() == Some('-') {
            self.read();
            self.tokens.extend([Token::Low(first), Token::Between]);
            let Some(high) = self.read() else { return self.fail("unexpected end of input") };
            self.tokens.push_back(Token::High(high));
        } else {
            self.at = first_at;
            self.fetch_text(&[']']);
        }
        match self.read() {
            Some(']') => self.tokens.push_back(Token::RangeClose),
            Some(_) => self.fail("expected close range character"),
            None => self.fail("unexpected end of input"),
        }
    }

    /// Everything up to one of `breakers`, or to the end.
    fn fetch_text(&mut self, breakers: &[char]) {
        let mut text = String::new();
        let mut escaped = false;
        while let Some(c) = self.peek() {
            if !escaped && breakers.contains(&c) {
                break;
            }
            self.read();
            if !escaped && c == '\\' {
                escaped = true;
                continue;
            }
            escaped = false;
            text.push(c);
        }
        if escaped {
            self.fail("trailing backslash");
        }
        if !text.is_empty() {
            self.tokens.push_back(Token::Text(text));
        }
    }

    fn fail(&mut self, error: &'static str) {
        self.error = Some(error);
    }
}
