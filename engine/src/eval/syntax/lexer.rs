//! Text to tokens, all of them at once.
//!
//! Which words are keywords depends on the imports before them, so a word that may be a keyword has the keyword's kind here,
//! and the parser makes a name of it where it isn't one. What OPA leaves to the parser and is lexical all the same, where a
//! template string goes on, is found by counting braces: in a text that parses, that is the same place.

use super::ast::Location;
use super::parser::SyntaxError;
use crate::eval::value::unicode;

/// Bytes that a module's text may have.
pub(crate) const MAX_TEXT: usize = 16 << 20;
/// Bytes that a line may have.
pub(crate) const MAX_LINE: usize = 16 << 10;
/// Lines that a module may have.
pub(crate) const MAX_LINES: usize = 65_536;
/// Tokens that a module may have.
pub(crate) const MAX_TOKENS: usize = 500_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Illegal,
    Eof,
    /// Never among the tokens: what the parser sees between two of them where that matters.
    Whitespace,
    Ident,
    Package,
    Import,
    As,
    Default,
    Else,
    Not,
    Some,
    With,
    Null,
    True,
    False,
    In,
    Every,
    Contains,
    If,
    LogicalAnd,
    LogicalOr,
    Number,
    String,
    RawString,
    TemplatePart,
    TemplateEnd,
    RawTemplatePart,
    RawTemplateEnd,
    LBrack,
    RBrack,
    LBrace,
    RBrace,
    LParen,
    RParen,
    Comma,
    Colon,
    Semicolon,
    Dot,
    Plus,
    Minus,
    Mul,
    Div,
    Rem,
    /// `&`
    And,
    /// `|`
    Or,
    /// `=`
    Unify,
    /// `==`
    Equal,
    /// `:=`
    Assign,
    Neq,
    Gt,
    Lt,
    Gte,
    Lte,
}

impl Kind {
    /// As OPA calls it; for an operator, the builtin's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Illegal => "illegal",
            Self::Eof => "eof",
            Self::Whitespace => "whitespace",
            Self::Ident => "identifier",
            Self::Package => "package",
            Self::Import => "import",
            Self::As => "as",
            Self::Default => "default",
            Self::Else => "else",
            Self::Not => "not",
            Self::Some => "some",
            Self::With => "with",
            Self::Null => "null",
            Self::True => "true",
            Self::False => "false",
            Self::In => "in",
            Self::Every => "every",
            Self::Contains => "contains",
            Self::If => "if",
            Self::Number => "number",
            Self::String | Self::RawString => "string",
            Self::TemplatePart => "template-string-part",
            Self::TemplateEnd => "template-string-end",
            Self::RawTemplatePart => "raw-template-string-part",
            Self::RawTemplateEnd => "raw-template-string-end",
            Self::LBrack => "[",
            Self::RBrack => "]",
            Self::LBrace => "{",
            Self::RBrace => "}",
            Self::LParen => "(",
            Self::RParen => ")",
            Self::Comma => ",",
            Self::Colon => ":",
            Self::Semicolon => ";",
            Self::Dot => ".",
            Self::Plus => "plus",
            Self::Minus => "minus",
            Self::Mul => "mul",
            Self::Div => "div",
            Self::Rem => "rem",
            Self::And | Self::LogicalAnd => "and",
            Self::Or | Self::LogicalOr => "or",
            Self::Unify => "eq",
            Self::Equal => "equal",
            Self::Assign => "assign",
            Self::Neq => "neq",
            Self::Gt => "gt",
            Self::Lt => "lt",
            Self::Gte => "gte",
            Self::Lte => "lte",
        }
    }

    pub(super) fn is_keyword(self) -> bool {
        matches!(
            self,
            Self::Package
                | Self::Import
                | Self::As
                | Self::Default
                | Self::Else
                | Self::Not
                | Self::Some
                | Self::With
                | Self::Null
                | Self::True
                | Self::False
                | Self::In
                | Self::Every
                | Self::Contains
                | Self::If
                | Self::LogicalAnd
                | Self::LogicalOr
        )
    }

    /// Whether its text is what the program wrote, rather than a sign.
    fn has_text(self) -> bool {
        self.is_keyword() || matches!(self, Self::Ident | Self::Number)
    }

    fn of_word(word: &str) -> Self {
        match word {
            "package" => Self::Package,
            "import" => Self::Import,
            "as" => Self::As,
            "default" => Self::Default,
            "else" => Self::Else,
            "not" => Self::Not,
            "some" => Self::Some,
            "with" => Self::With,
            "null" => Self::Null,
            "true" => Self::True,
            "false" => Self::False,
            "in" => Self::In,
            "every" => Self::Every,
            "contains" => Self::Contains,
            "if" => Self::If,
            "and" => Self::LogicalAnd,
            "or" => Self::LogicalOr,
            _ => Self::Ident,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// Whitespace stands between the token before and this one, …
    pub(super) space_before: bool,
    /// … and there is a line's end in it, …
    pub(super) newline_before: bool,
    /// … or a comment.
    pub(super) comment_before: bool,
    row: u32,
    col: u32,
    /// Of a string, what stands between its delimiters.
    start: u32,
    end: u32,
}

/// A comment, without its `#`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Comment<'t> {
    pub(super) row: u32,
    pub(super) col: u32,
    pub(super) text: &'t str,
}

/// A text's tokens, the last of which is [`Kind::Eof`].
pub(super) struct Tokens<'t> {
    file: u32,
    text: &'t str,
    tokens: Vec<Token>,
    pub(super) comments: Vec<Comment<'t>>,
    /// What is wrong with a token of kind [`Kind::Illegal`], by the token's index.
    errors: Vec<(u32, &'static str)>,
}

const EOF: Token = Token {
    kind: Kind::Eof,
    space_before: false,
    newline_before: false,
    comment_before: false,
    row: 1,
    col: 1,
    start: 0,
    end: 0,
};

impl<'t> Tokens<'t> {
    /// # Errors
    /// The text is larger than what is allowed here; the limit is named.
    pub(super) fn of(file: u32, text: &'t str) -> Result<Self, SyntaxError> {
        check_size(file, text)?;
        let mut lexer = Lexer::new(file, text);
        while lexer.token() {
            if lexer.out.tokens.len() > MAX_TOKENS {
                let location = Location { file, row: lexer.row, col: lexer.col };
                let message = format!("more than {MAX_TOKENS} tokens: split the policy into several modules");
                return Err(SyntaxError { location, code: "size", message });
            }
        }
        Ok(lexer.out)
    }

    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    pub(super) fn get(&self, at: u32) -> &Token {
        self.tokens.get(at as usize).or_else(|| self.tokens.last()).unwrap_or(&EOF)
    }

    pub(super) fn location(&self, at: u32) -> Location {
        let token = self.get(at);
        Location { file: self.file, row: token.row, col: token.col }
    }

    /// The token's own text: of a sign, none.
    pub(super) fn word(&self, at: u32) -> &'t str {
        let token = self.get(at);
        if token.kind.has_text() { self.content(at) } else { "" }
    }

    /// What stands between a string's delimiters.
    pub(super) fn content(&self, at: u32) -> &'t str {
        let token = self.get(at);
        self.text.get(token.start as usize..token.end as usize).unwrap_or_default()
    }

    pub(super) fn errors(&self, at: u32) -> impl Iterator<Item = &'static str> + '_ {
        let first = self.errors.partition_point(|(token, _)| *token < at);
        let from_first = self.errors.get(first..).unwrap_or_default();
        from_first.iter().take_while(move |(token, _)| *token == at).map(|(_, message)| *message)
    }

    /// The token that starts at `location`.
    pub(super) fn at(&self, location: Location) -> Option<u32> {
        let found = self.tokens.binary_search_by_key(&(location.row, location.col), |token| (token.row, token.col));
        found.ok().and_then(|at| u32::try_from(at).ok())
    }
}

fn check_size(file: u32, text: &str) -> Result<(), SyntaxError> {
    let error = |row: usize, message: String| {
        let row = u32::try_from(row).unwrap_or(u32::MAX);
        Err(SyntaxError { location: Location { file, row, col: 1 }, code: "size", message })
    };
    if text.len() > MAX_TEXT {
        return error(1, format!("more than {MAX_TEXT} bytes: split the policy into several modules"));
    }
    for (i, line) in text.split('\n').enumerate() {
        if i >= MAX_LINES {
            return error(i + 1, format!("more than {MAX_LINES} lines: split the policy into several modules"));
        }
        if line.len() > MAX_LINE {
            return error(i + 1, format!("a line of more than {MAX_LINE} bytes: break it, or keep the values in data"));
        }
    }
    Ok(())
}

/// A template string that the text is within an expression of.
struct Template {
    raw: bool,
    /// Braces that are open within the expression.
    braces: u32,
}

struct Lexer<'t> {
    out: Tokens<'t>,
    /// What comes after [`now`](Self::now).
    rest: std::str::Chars<'t>,
    now: Option<char>,
    /// Of `now`.
    offset: usize,
    row: u32,
    col: u32,
    templates: Vec<Template>,
    /// What was wrong since the last token.
    errors: Vec<&'static str>,
}

impl<'t> Lexer<'t> {
    fn new(file: u32, text: &'t str) -> Self {
        let out = Tokens { file, text, tokens: vec![], comments: vec![], errors: vec![] };
        let (rest, templates, errors) = (text.chars(), vec![], vec![]);
        let mut lexer = Self { out, rest, now: None, offset: 0, row: 1, col: 0, templates, errors };
        lexer.next();
        if lexer.now == Some('\u{feff}') {
            lexer.next();
        }
        lexer
    }

    fn next(&mut self) {
        let first = self.col == 0 && self.row == 1;
        self.offset += self.now.map_or(0, char::len_utf8);
        self.now = self.rest.next();
        match self.now {
            None => return,
            Some('\0') => self.errors.push("illegal null character"),
            Some('\u{feff}') if !first => self.errors.push("illegal byte-order mark"),
            _ => {}
        }
        if self.now == Some('\n') {
            self.row += 1;
            self.col = 0;
        } else {
            self.col += 1;
        }
    }

    /// Takes `char`, if it comes next.
    fn take(&mut self, char: char) -> bool {
        let found = self.now == Some(char);
        if found {
            self.next();
        }
        found
    }

    fn skip_while(&mut self, is: impl Fn(char) -> bool) -> bool {
        let before = self.offset;
        while self.now.is_some_and(&is) {
            self.next();
        }
        self.offset > before
    }

    /// Adds a token, and says whether there are more.
    fn token(&mut self) -> bool {
        let mut token = self.start();
        self.gap(&mut token);
        // What is wrong between two tokens is an error of a token of its own.
        if self.errors.is_empty() {
            (token.row, token.col) = (self.row, self.col);
            self.scan(&mut token);
        }
        let kind = token.kind;
        self.push(token);
        if kind == Kind::RBrace {
            self.closing_brace();
        }
        kind != Kind::Eof
    }

    fn start(&self) -> Token {
        Token { row: self.row, col: self.col, ..EOF }
    }

    fn push(&mut self, mut token: Token) {
        if !self.errors.is_empty() {
            token.kind = Kind::Illegal;
            let at = u32::try_from(self.out.tokens.len()).unwrap_or(u32::MAX);
            self.out.errors.extend(self.errors.drain(..).map(|message| (at, message)));
        }
        self.out.tokens.push(token);
    }

    /// Whitespace and comments.
    fn gap(&mut self, token: &mut Token) {
        while self.errors.is_empty() {
            match self.now {
                Some('\n') => (token.newline_before, token.space_before) = (true, true),
                Some(' ' | '\t' | '\r') => token.space_before = true,
                Some('#') => {
                    token.comment_before = true;
                    self.comment();
                    continue;
                }
                _ => return,
            }
            self.next();
        }
        token.kind = Kind::Illegal;
    }

    fn comment(&mut self) {
        let (row, col, start) = (self.row, self.col, self.offset + 1);
        self.skip_while(|char| char != '\n');
        let text = self.out.text.get(start..self.offset).unwrap_or_default();
        self.out.comments.push(Comment { row, col, text: text.trim_end_matches('\r') });
    }

    fn scan(&mut self, token: &mut Token) {
        let start = self.offset;
        let Some(char) = self.now else { return };
        token.kind = match char {
            'a'..='z' | 'A'..='Z' | '_' => {
                self.skip_while(is_letter_or_digit);
                Kind::of_word(self.out.text.get(start..self.offset).unwrap_or_default())
            }
            '0'..='9' => {
                self.number();
                Kind::Number
            }
            _ => {
                self.next();
                self.sign(char)
            }
        };
        // A string has set its own.
        let (mut from, mut to) = (start, self.offset);
        match token.kind {
            Kind::String | Kind::RawString => (from, to) = (start + 1, self.offset.saturating_sub(1)),
            Kind::TemplatePart | Kind::TemplateEnd | Kind::RawTemplatePart | Kind::RawTemplateEnd => {
                (from, to) = (start + 2, self.offset.saturating_sub(1));
            }
            _ => {}
        }
        token.set_range(from, to);
    }

    fn number(&mut self) {
        let is_digit = |char: char| char.is_ascii_digit();
        self.skip_while(is_digit);
        if self.take('.') && !self.skip_while(is_digit) {
            self.errors.push("expected fraction");
        }
        if self.take('e') || self.take('E') {
            let _signed = self.take('+') || self.take('-');
            if !self.skip_while(is_digit) {
                self.errors.push("expected exponent");
            }
        }
        if self.now.is_some_and(is_letter) {
            self.errors.push("illegal number format");
            self.skip_while(is_letter_or_digit);
        }
    }

    /// What begins with a sign, which was taken already.
    fn sign(&mut self, sign: char) -> Kind {
        match sign {
            '"' => self.string(),
            '`' => self.raw_string(),
            '[' => Kind::LBrack,
            ']' => Kind::RBrack,
            '{' => {
                if let Some(template) = self.templates.last_mut() {
                    template.braces += 1;
                }
                Kind::LBrace
            }
            '}' => Kind::RBrace,
            '(' => Kind::LParen,
            ')' => Kind::RParen,
            ',' => Kind::Comma,
            ':' => self.either(Kind::Assign, Kind::Colon),
            '+' => Kind::Plus,
            '-' => Kind::Minus,
            '*' => Kind::Mul,
            '/' => Kind::Div,
            '%' => Kind::Rem,
            '&' => Kind::And,
            '|' => Kind::Or,
            '=' => self.either(Kind::Equal, Kind::Unify),
            '>' => self.either(Kind::Gte, Kind::Gt),
            '<' => self.either(Kind::Lte, Kind::Lt),
            '!' => {
                if self.now != Some('=') {
                    self.errors.push("illegal ! character");
                }
                self.either(Kind::Neq, Kind::Illegal)
            }
            '\u{a0}' => {
                self.errors.push("illegal non-breaking space character, use a regular space instead");
                Kind::Illegal
            }
            ';' => Kind::Semicolon,
            '.' => Kind::Dot,
            '$' if self.take('"') => self.template(false),
            '$' if self.take('`') => self.template(true),
            '$' => {
                self.errors.push("illegal $ character");
                Kind::Illegal
            }
            _ => Kind::Illegal,
        }
    }

    fn either(&mut self, with_equals: Kind, without: Kind) -> Kind {
        if self.take('=') { with_equals } else { without }
    }

    fn string(&mut self) -> Kind {
        loop {
            match self.now {
                None | Some('\n') => {
                    self.errors.push("non-terminated string");
                    return Kind::String;
                }
                Some('"') => {
                    self.next();
                    return Kind::String;
                }
                Some('\\') => {
                    self.next();
                    self.escape(false);
                }
                Some(_) => self.next(),
            }
        }
    }

    /// What follows a backslash. Whether four characters after `\u` are digits is found when the string is read.
    fn escape(&mut self, in_template: bool) {
        match self.now {
            Some('\\' | '"' | '/' | 'b' | 'f' | 'n' | 'r' | 't') => self.next(),
            Some('{') if in_template => self.next(),
            Some('u') => (0..4).for_each(|_| self.next()),
            _ => self.errors.push("illegal escape sequence"),
        }
    }

    fn raw_string(&mut self) -> Kind {
        self.skip_while(|char| char != '`');
        if !self.take('`') {
            self.errors.push("non-terminated string");
        }
        Kind::RawString
    }

    /// A template string's text, up to an expression or its end.
    fn template(&mut self, raw: bool) -> Kind {
        loop {
            match self.now {
                None => break,
                Some('\n') if !raw => break,
                Some('{') => {
                    self.next();
                    self.templates.push(Template { raw, braces: 0 });
                    return if raw { Kind::RawTemplatePart } else { Kind::TemplatePart };
                }
                Some('`') if raw => {
                    self.next();
                    return Kind::RawTemplateEnd;
                }
                Some('"') if !raw => {
                    self.next();
                    return Kind::TemplateEnd;
                }
                Some('\\') => {
                    self.next();
                    if !raw {
                        self.escape(true);
                    } else if self.now == Some('{') {
                        self.next();
                    }
                }
                Some(_) => self.next(),
            }
        }
        self.errors.push("non-terminated string");
        if raw { Kind::RawTemplateEnd } else { Kind::TemplateEnd }
    }

    /// After a closing brace: goes on with the template string whose expression it closes.
    fn closing_brace(&mut self) {
        match self.templates.last_mut() {
            None => {}
            Some(template) if template.braces > 0 => template.braces -= 1,
            Some(template) => {
                let raw = template.raw;
                self.templates.pop();
                let (mut token, start) = (self.start(), self.offset);
                token.kind = self.template(raw);
                token.set_range(start, self.offset.saturating_sub(1));
                self.push(token);
            }
        }
    }
}

impl Token {
    fn set_range(&mut self, start: usize, end: usize) {
        // No text is larger than 16 MiB.
        self.start = u32::try_from(start).unwrap_or(u32::MAX);
        self.end = u32::try_from(end).unwrap_or(u32::MAX);
    }
}

fn is_letter(char: char) -> bool {
    char.is_ascii_alphabetic() || char == '_'
}

/// The digits of every script go on a name.
fn is_letter_or_digit(char: char) -> bool {
    is_letter(char) || unicode::is_digit(char)
}
