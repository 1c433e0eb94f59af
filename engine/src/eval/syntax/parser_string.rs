//! Strings: their escapes, and template strings.

use std::sync::Arc;

use super::ast::{Expr, ExprKind, TemplatePart, Term, TermKind};
use super::lexer::Kind;
use super::parser::{Parser, RegoVersion};

impl Parser<'_> {
    pub(super) fn string(&mut self) -> Option<Term> {
        let (location, content) = (self.location(), self.tokens.content(self.at()));
        if self.is(Kind::RawString) || !content.contains('\\') {
            return Some(Term::string(location, content));
        }
        let Some(text) = unescape(content) else {
            self.error(location, format!("illegal string literal: \"{content}\""));
            return None;
        };
        Some(Term::string(location, &text))
    }

    /// A template string, up to its last token.
    pub(super) fn template(&mut self) -> Option<Term> {
        let location = self.location();
        if self.version == RegoVersion::V0 {
            self.error(location, "template strings are not supported in Rego v0");
            return None;
        }
        let mut parts = vec![];
        loop {
            let text = self.template_text()?;
            if !text.is_empty() {
                parts.push(TemplatePart::Text(Arc::from(text)));
            }
            if matches!(self.kind(), Kind::TemplateEnd | Kind::RawTemplateEnd) {
                return Some(Term::new(location, TermKind::Template(parts)));
            }
            parts.push(self.template_expression()?);
            if !self.is(Kind::RBrace) {
                self.error(self.location(), "expected } to end template string expression");
                return None;
            }
            self.scan();
        }
    }

    fn template_text(&mut self) -> Option<String> {
        let (location, content) = (self.location(), self.tokens.content(self.at()));
        let text = match self.kind() {
            Kind::RawTemplatePart | Kind::RawTemplateEnd => return Some(content.replace("\\{", "{")),
            Kind::TemplatePart | Kind::TemplateEnd => {
                let text = without_brace_escapes(content);
                if text.contains('\\') { unescape(&text) } else { Some(text) }
            }
            _ => {
                self.error(location, "expected template-string part");
                return None;
            }
        };
        if text.is_none() {
            self.error(location, format!("illegal template-string part: {content}"));
        }
        text
    }

    fn template_expression(&mut self) -> Option<TemplatePart> {
        let comment = self.tokens.get(self.at().saturating_add(1)).comment_before;
        self.scan();
        let Some(expr) = self.nested(Self::literal) else {
            self.error(self.location(), "invalid template-string expression");
            return None;
        };
        let unexpected = match &expr.kind {
            _ if expr.negated => Some("negation ('not')"),
            ExprKind::Call(terms) if is_operator(terms, "eq") => Some("unification ('=')"),
            ExprKind::Call(terms) if is_operator(terms, "assign") => Some("assignment (':=')"),
            ExprKind::Every(_) => Some("'every'"),
            ExprKind::Some(_) => Some("'some'"),
            _ => None,
        };
        if let Some(what) = unexpected {
            self.error(expr.location, format!("unexpected {what} in template-string expression"));
            return None;
        }
        Some(match expr.kind {
            // A constant is one, whatever its modifiers.
            ExprKind::Term(Term { kind: TermKind::String(text), .. }) if !comment => TemplatePart::Text(text),
            ExprKind::Term(term) if !comment && is_scalar(&term) => {
                TemplatePart::Expr(Box::new(Expr::new(term.location, ExprKind::Term(term))))
            }
            _ => TemplatePart::Expr(Box::new(expr)),
        })
    }
}

fn is_operator(terms: &[Term], name: &str) -> bool {
    let operator = terms.first().and_then(Term::as_ref);
    matches!(operator.map(Vec::as_slice), Some([head]) if head.is_var(name))
}

fn is_scalar(term: &Term) -> bool {
    matches!(term.kind, TermKind::Null | TermKind::Bool(_) | TermKind::Number(_))
}

/// `\{` is a brace. Other escapes stay.
fn without_brace_escapes(content: &str) -> String {
    let mut text = String::with_capacity(content.len());
    let mut chars = content.chars().peekable();
    while let Some(char) = chars.next() {
        if char != '\\' {
            text.push(char);
            continue;
        }
        match chars.next() {
            Some('{') => text.push('{'),
            escaped => text.extend([char].into_iter().chain(escaped)),
        }
    }
    text
}

/// Reads a string's content as Go reads JSON: no control characters, and half a surrogate pair is U+FFFD.
fn unescape(content: &str) -> Option<String> {
    let mut text = String::with_capacity(content.len());
    let mut chars = content.chars();
    while let Some(char) = chars.next() {
        match char {
            '\0'..='\u{1f}' => return None,
            '\\' => match chars.next()? {
                'b' => text.push('\u{8}'),
                'f' => text.push('\u{c}'),
                'n' => text.push('\n'),
                'r' => text.push('\r'),
                't' => text.push('\t'),
                'u' => text.push(unescape_unicode(&mut chars)?),
                char @ ('"' | '\\' | '/') => text.push(char),
                _ => return None,
            },
            _ => text.push(char),
        }
    }
    Some(text)
}

/// After `\u`.
fn unescape_unicode(chars: &mut std::str::Chars<'_>) -> Option<char> {
    let unit = hex_unit(chars)?;
    if !(0xd800..0xdc00).contains(&unit) {
        return Some(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    let mut ahead = chars.clone();
    if ahead.next() == Some('\\')
        && ahead.next() == Some('u')
        && let Some(low @ 0xdc00..0xe000) = hex_unit(&mut ahead)
    {
        *chars = ahead;
        return char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
    }
    Some(char::REPLACEMENT_CHARACTER)
}

fn hex_unit(chars: &mut std::str::Chars<'_>) -> Option<u32> {
    (0..4).try_fold(0, |unit, _| Some(unit << 4 | chars.next()?.to_digit(16)?))
}
