//! Terms: operators, references, calls, composites and comprehensions.

use super::ast::{Term, TermKind, Var};
use super::lexer::Kind;
use super::order;
use super::parser::Parser;
use super::tried::TriedTerm;
use crate::eval::value::Number;
use crate::eval::value::number::NumberError;

/// Binding strength of the binary operators; what binds tighter has a higher one. `in` binds least, and is apart.
fn strength(kind: Kind) -> Option<u8> {
    Some(match kind {
        Kind::Equal | Kind::Neq | Kind::Lt | Kind::Gt | Kind::Lte | Kind::Gte => 1,
        Kind::Or => 2,
        Kind::And => 3,
        Kind::Plus | Kind::Minus => 4,
        Kind::Mul | Kind::Div | Kind::Rem => 5,
        _ => return None,
    })
}

const WEAKEST: u8 = 1;

impl Parser<'_> {
    // === Operators ===

    /// A term with operators; `pairs`, whether `k, v in xs` may stand here.
    pub(super) fn infix(&mut self, pairs: bool) -> Option<Term> {
        let before = self.mark();
        let term = self.binary(None, WEAKEST).and_then(|left| self.membership(left, pairs));
        self.unmark(before);
        term
    }

    /// Goes on after a term that turned out to be the first operand. It must be what was parsed since the last mark.
    fn infix_after(&mut self, first: Term, at: u32) -> Option<Term> {
        self.stay_after(at);
        self.binary(Some(first), WEAKEST).and_then(|left| self.membership(left, false))
    }

    fn membership(&mut self, mut left: Term, pairs: bool) -> Option<Term> {
        let pair = if pairs && self.is(Kind::Comma) { self.pair_membership(left) } else { Err(left) };
        left = match pair {
            Ok(call) => call,
            Err(unchanged) => {
                self.name_if_reference();
                unchanged
            }
        };
        while self.is(Kind::In) {
            if self.name_if_reference() {
                break;
            }
            let operator = self.named_operator("internal.member_2");
            let Some(right) = self.nested(|parser| parser.binary(None, WEAKEST)) else { break };
            left = Term::new(left.location, TermKind::Call(vec![operator, left, right]));
            self.sink(1)?;
        }
        Some(left)
    }

    /// `key, value in collection`.
    ///
    /// # Errors
    /// It isn't one: the key as it was.
    fn pair_membership(&mut self, key: Term) -> Result<Term, Term> {
        let (at, start) = (self.at(), self.save());
        if let Some(leftover) = self.tried.members.get(&at).cloned() {
            self.leave(&leftover);
            return Err(key);
        }
        self.scan();
        if let Some(value) = self.nested(|parser| parser.binary(None, WEAKEST))
            && self.is(Kind::In)
        {
            let operator = self.named_operator("internal.member_3");
            if let Some(collection) = self.nested(|parser| parser.binary(None, WEAKEST))
                && self.sink(1).is_some()
            {
                let location = key.location;
                return Ok(Term::new(location, TermKind::Call(vec![operator, key, value, collection])));
            }
        }
        let leftover = self.give_up(start, at);
        self.tried.members.insert(at, leftover);
        Err(key)
    }

    /// Operators of at least this strength, on `first` if it was parsed already.
    fn binary(&mut self, first: Option<Term>, weakest: u8) -> Option<Term> {
        let (mut left, before) = match first {
            Some(first) => (first, None),
            None => {
                let before = self.mark();
                let term = self.term();
                if term.is_none() {
                    self.unmark(before);
                }
                (term?, Some(before))
            }
        };
        while let Some(strength) = strength(self.kind()).filter(|strength| *strength >= weakest) {
            let operator = self.operator();
            let Some(right) = self.nested(|parser| parser.binary(None, strength + 1)) else { break };
            left = Term::new(left.location, TermKind::Call(vec![operator, left, right]));
            self.sink(1)?;
        }
        if let Some(before) = before {
            self.unmark(before);
        }
        Some(left)
    }

    /// The operator here, as the reference to a builtin.
    pub(super) fn operator(&mut self) -> Term {
        self.named_operator(self.kind().name())
    }

    fn named_operator(&mut self, name: &str) -> Term {
        let operator = Term::operator_of(self.location(), name.split('.').map(|part| self.name(part)));
        self.scan();
        operator
    }

    // === Terms ===

    /// A term without operators.
    pub(super) fn term(&mut self) -> Option<Term> {
        if self.at_limit() {
            return None;
        }
        if let Some(known) = self.recall() {
            return if known.found { self.known_term(known) } else { None };
        }
        if self.tried.rereading > 0 && self.tried.names.contains(&self.at()) {
            self.as_name();
        }
        // `or(a, b)` calls the builtin.
        if self.at_logical() && self.peek_tight() == Kind::LParen {
            self.as_name();
        }
        let (at, kind) = (self.at(), self.kind());
        let before = self.mark();
        let term = self.new_term();
        self.unmark(before);
        self.remember(at, kind, term.is_some());
        term
    }

    /// Reads a term again, and leaves everything as it was after the first time.
    fn known_term(&mut self, known: TriedTerm) -> Option<Term> {
        if known.kind == Kind::Ident && self.kind() != Kind::Ident {
            self.as_name();
            self.tried.names.insert(known.at);
        }
        let mark = self.tried.mark();
        self.tried.rereading += 1;
        let before = self.mark();
        let term = self.new_term();
        self.unmark(before);
        self.tried.rereading -= 1;
        self.tried.undo(mark);
        self.restore_after(known);
        term
    }

    fn new_term(&mut self) -> Option<Term> {
        let location = self.location();
        let head = match self.kind() {
            Kind::Null => Term::new(location, TermKind::Null),
            Kind::True => Term::bool(location, true),
            Kind::False => Term::bool(location, false),
            Kind::Minus => return self.minus(),
            Kind::Dot | Kind::Number => self.number()?,
            Kind::String | Kind::RawString => self.string()?,
            Kind::TemplatePart | Kind::TemplateEnd | Kind::RawTemplatePart | Kind::RawTemplateEnd => self.template()?,
            // Only in a rule's head is `contains` a keyword.
            Kind::Ident | Kind::Contains => self.var(),
            Kind::LBrack => self.array()?,
            Kind::LBrace => self.set_or_object()?,
            Kind::LParen => self.parenthesized()?,
            _ => {
                self.illegal("");
                return None;
            }
        };
        self.term_end(head)
    }

    /// `-x` is `0 - x`, `-1` a number.
    fn minus(&mut self) -> Option<Term> {
        let (location, start) = (self.location(), self.save());
        self.scan();
        if !matches!(self.kind(), Kind::Ident | Kind::Contains) {
            self.restore(start);
            let number = self.number()?;
            return self.term_end(number);
        }
        let operand = self.var();
        let operand = self.term_end(operand)?;
        self.sink(1)?;
        let zero = Term::new(location, TermKind::Number(Number::from(0_i64)));
        Some(Term::new(location, TermKind::Call(vec![Term::operator(location, "minus"), zero, operand])))
    }

    pub(super) fn var(&mut self) -> Term {
        let var = if self.word() == "_" { self.new_wildcard() } else { Var(self.name(self.word())) };
        Term::var(self.location(), var)
    }

    /// Goes past the term's last token, and on with a reference if there is one.
    fn term_end(&mut self, head: Term) -> Option<Term> {
        self.scan_tight();
        match self.kind() {
            Kind::LParen | Kind::Dot | Kind::LBrack => return self.reference(head),
            Kind::Whitespace => self.scan(),
            _ => {}
        }
        Some(head.or_root())
    }

    fn parenthesized(&mut self) -> Option<Term> {
        self.scan();
        let term = self.nested(|parser| parser.infix(true))?;
        if !self.is(Kind::RParen) {
            self.error(self.location(), "non-terminated expression");
            return None;
        }
        Some(term)
    }

    /// A reference or a call, from what follows its first part.
    pub(super) fn reference(&mut self, head: Term) -> Option<Term> {
        let location = head.location;
        if !matches!(
            head.kind,
            TermKind::Var(_)
                | TermKind::Array(_)
                | TermKind::Object(_)
                | TermKind::Set(_)
                | TermKind::ArrayComprehension(..)
                | TermKind::ObjectComprehension(..)
                | TermKind::SetComprehension(..)
                | TermKind::Call(_)
        ) {
            self.error(location, format!("illegal ref (head cannot be {})", head.type_name()));
        }
        let mut parts = vec![head];
        loop {
            match self.kind() {
                Kind::Dot => parts.push(self.field()?),
                Kind::LBrack => parts.push(self.index()?),
                Kind::LParen => {
                    let operator = Term::new(location, TermKind::Ref(parts));
                    let call = self.call(operator)?;
                    match self.kind() {
                        Kind::Whitespace => self.scan(),
                        Kind::Dot | Kind::LBrack => {
                            // The call becomes the head of another reference.
                            self.sink(2)?;
                            parts = vec![call];
                            continue;
                        }
                        _ => {}
                    }
                    return Some(call);
                }
                kind => {
                    if kind == Kind::Whitespace {
                        self.scan();
                    }
                    parts.shrink_to_fit();
                    return Some(Term::new(location, TermKind::Ref(parts)));
                }
            }
        }
    }

    fn field(&mut self) -> Option<Term> {
        self.scan_tight();
        if !self.is(Kind::Ident) && !self.is_keyword_in_references() {
            self.illegal("expected identifier");
            return None;
        }
        let name = Term::new(self.location(), TermKind::String(self.name(self.word())));
        self.scan_tight();
        Some(name)
    }

    fn index(&mut self) -> Option<Term> {
        self.scan();
        let index = self.nested(|parser| parser.infix(true))?;
        if !self.is(Kind::RBrack) {
            self.illegal("expected ]");
            return None;
        }
        self.scan_tight();
        Some(index)
    }

    fn call(&mut self, operator: Term) -> Option<Term> {
        let location = operator.location;
        self.scan();
        if self.is(Kind::RParen) {
            self.scan_tight();
            let is_set = matches!(operator.as_ref().map(Vec::as_slice), Some([head]) if head.is_var("set"));
            let kind = if is_set { TermKind::Set(vec![]) } else { TermKind::Call(vec![operator]) };
            return Some(Term::new(location, kind));
        }
        let terms = self.nested(|parser| parser.list(Kind::RParen, vec![operator]))?;
        self.scan_tight();
        Some(Term::new(location, TermKind::Call(terms)))
    }

    fn number(&mut self) -> Option<Term> {
        let location = self.location();
        let mut text = String::new();
        if self.is(Kind::Minus) {
            text.push('-');
            self.scan();
            if !matches!(self.kind(), Kind::Number | Kind::Dot) {
                self.illegal("expected number");
                return None;
            }
        }
        let digits_follow_dot = self.is(Kind::Dot);
        if digits_follow_dot {
            text.push('.');
            self.scan();
            if !self.is(Kind::Number) {
                self.illegal("expected number");
                return None;
            }
        }
        if !digits_follow_dot && has_leading_zero(self.word()) {
            self.illegal("expected number without leading zero");
            return None;
        }
        text.push_str(self.word());
        match text.parse() {
            Ok(number) => Some(Term::new(location, TermKind::Number(number))),
            Err(NumberError::Syntax) => {
                self.illegal("invalid number");
                None
            }
            Err(error @ NumberError::TooLarge) => {
                self.exceeds_size(format!("{error}: keep large numbers as strings"));
                None
            }
        }
    }

    // === Composites ===

    fn array(&mut self) -> Option<Term> {
        let location = self.location();
        let kind = self.nested(Self::array_kind)?;
        Some(Term::new(location, kind))
    }

    fn array_kind(&mut self) -> Option<TermKind> {
        self.scan();
        if self.is(Kind::RBrack) {
            return Some(TermKind::Array(vec![]));
        }
        let may_be_comprehension = self.skip_leading_comma();
        // Not with its operators: `[a | b]` is a comprehension.
        let (before, at) = (self.mark(), self.at());
        let first = self.term()?;
        if may_be_comprehension && let Some(body) = self.comprehension_body(Kind::RBrack, true) {
            self.unmark(before);
            return Some(TermKind::ArrayComprehension(Box::new(first), body?));
        }
        let first = self.infix_after(first, at)?;
        self.unmark(before);
        self.rest_of_list(Kind::RBrack, first).map(TermKind::Array)
    }

    fn set_or_object(&mut self) -> Option<Term> {
        let location = self.location();
        let kind = self.nested(Self::set_or_object_kind)?;
        Some(Term::new(location, kind))
    }

    fn set_or_object_kind(&mut self) -> Option<TermKind> {
        self.scan();
        if self.is(Kind::RBrace) {
            return Some(TermKind::Object(vec![]));
        }
        let may_be_comprehension = self.skip_leading_comma();
        let (before, at) = (self.mark(), self.at());
        let first = self.term()?;
        let must_be_set = may_be_comprehension && self.is(Kind::Or);
        if may_be_comprehension && let Some(body) = self.comprehension_body(Kind::RBrace, true) {
            self.unmark(before);
            return Some(TermKind::SetComprehension(Box::new(first), body?));
        }
        let first = self.infix_after(first, at)?;
        self.unmark(before);
        match self.kind() {
            Kind::Colon if must_be_set => {
                self.illegal("expected \",\" or \"}\"");
                None
            }
            Kind::RBrace | Kind::Comma => {
                self.rest_of_list(Kind::RBrace, first).map(|items| TermKind::Set(order::set(items)))
            }
            Kind::Colon => self.object_kind(first, may_be_comprehension),
            _ => {
                self.illegal("non-terminated set");
                None
            }
        }
    }

    /// From the colon after the first key on.
    fn object_kind(&mut self, key: Term, may_be_comprehension: bool) -> Option<TermKind> {
        self.scan();
        let (before, at) = (self.mark(), self.at());
        let value = self.term()?;
        if may_be_comprehension && let Some(body) = self.comprehension_body(Kind::RBrace, false) {
            self.unmark(before);
            return Some(TermKind::ObjectComprehension(Box::new(key), Box::new(value), body?));
        }
        let value = self.infix_after(value, at)?;
        self.unmark(before);
        let mut entries = vec![(key, value)];
        loop {
            match self.kind() {
                Kind::RBrace => break,
                Kind::Comma => self.scan(),
                _ => {
                    self.illegal(if entries.len() == 1 { "non-terminated object" } else { "expected \",\" or \"}\"" });
                    return None;
                }
            }
            if self.is(Kind::RBrace) {
                break;
            }
            entries.push(self.entry()?);
        }
        Some(TermKind::Object(order::object(entries)))
    }

    fn entry(&mut self) -> Option<(Term, Term)> {
        let key = self.infix(false)?;
        if !self.is(Kind::Colon) {
            self.illegal("expected \":\"");
            return None;
        }
        self.scan();
        Some((key, self.infix(false)?))
    }

    /// OPA allows `[, x]`, though it regrets it. Whether there was none.
    fn skip_leading_comma(&mut self) -> bool {
        let comma = self.is(Kind::Comma);
        if comma {
            self.scan();
        }
        !comma
    }

    /// What follows `|`, if that is a comprehension's body; an error in it, if it can't be anything else. In a list, it may
    /// be something else only if a comma follows what was read.
    fn comprehension_body(&mut self, end: Kind, in_list: bool) -> Option<Option<super::ast::Body>> {
        let at = self.at();
        if !self.is(Kind::Or) {
            return None;
        }
        if let Some(leftover) = self.tried.comprehensions.get(&at).cloned() {
            self.leave(&leftover);
            return None;
        }
        let start = self.save();
        self.scan();
        let body = self.body(end);
        if body.is_some() || (in_list && !self.is(Kind::Comma)) {
            return Some(body);
        }
        let leftover = self.give_up(start, at);
        self.tried.comprehensions.insert(at, leftover);
        None
    }

    fn rest_of_list(&mut self, end: Kind, first: Term) -> Option<Vec<Term>> {
        let terms = vec![first];
        match self.kind() {
            Kind::Comma => {
                self.scan();
                self.list(end, terms)
            }
            kind if kind == end => Some(terms),
            _ => {
                self.illegal(&format!("expected \",\" or \"{}\"", end.name()));
                None
            }
        }
    }

    /// Terms up to `end`, after those there are.
    fn list(&mut self, end: Kind, mut terms: Vec<Term>) -> Option<Vec<Term>> {
        while !self.is(end) {
            terms.push(self.infix(false)?);
            match self.kind() {
                Kind::Comma => self.scan(),
                kind if kind == end => {}
                _ => {
                    self.illegal(&format!("expected \",\" or \"{}\"", end.name()));
                    return None;
                }
            }
        }
        Some(terms)
    }
}

/// `0` itself, `0.5` and `0e5` have none that is too many.
fn has_leading_zero(digits: &str) -> bool {
    match digits.as_bytes() {
        [b'0', b'.', ..] => false,
        [b'0', b'e' | b'E', rest @ ..] => rest.is_empty(),
        [b'0', _, ..] => true,
        _ => false,
    }
}
