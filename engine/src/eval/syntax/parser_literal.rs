//! Statements of a body: expressions and their modifiers, `not`, `some`, `every`.

use super::ast::{Body, Every, Expr, ExprKind, Location, Operand, Term, TermKind, With, dotted};
use super::lexer::Kind;
use super::parser::Parser;
use super::parser_logical::Group;

impl Parser<'_> {
    /// What stands in braces or brackets, up to `end`.
    pub(super) fn body(&mut self, end: Kind) -> Option<Body> {
        self.nested(|parser| parser.query(false, end))
    }

    /// Statements up to `end`; or only those up to a line's end, if they have to be on one line.
    pub(super) fn query(&mut self, one_line: bool, end: Kind) -> Option<Body> {
        if self.is(end) {
            self.error(self.location(), "found empty body");
            return None;
        }
        let mut body = vec![];
        loop {
            body.push(self.literal()?);
            if self.is(Kind::Semicolon) {
                self.scan();
                continue;
            }
            if one_line || self.is(end) {
                return Some(body);
            }
            if !self.after_newline() {
                // One error is enough.
                if self.has_no_errors() {
                    self.hint_missing_keyword();
                    self.illegal(&format!("expected \\n or ; or {}", end.name()));
                }
                return None;
            }
        }
    }

    fn hint_missing_keyword(&mut self) {
        if self.has_hints() {
            return;
        }
        let (keyword, example) = match (self.kind(), self.word()) {
            (Kind::Ident, "in") => ("in", "x in xs"),
            (Kind::Ident, "and") => ("and", "x and y"),
            (Kind::Ident, "or") => ("or", "x or y"),
            (Kind::Comma, _) if self.tokens.word(self.at().saturating_add(2)) == "in" => ("in", "x in xs"),
            _ => return,
        };
        self.hint(format!("`import future.keywords.{keyword}` for `{example}` expressions"));
    }

    /// One statement.
    pub(super) fn literal(&mut self) -> Option<Expr> {
        let location = self.location();
        let before = self.mark();
        let expr = self.unplaced_literal();
        self.unmark(before);
        let mut expr = expr?;
        expr.location = location;
        if let ExprKind::Not(Operand { body, explicit: false }) = &mut expr.kind {
            body.iter_mut().for_each(|inner| inner.location = location);
        }
        Some(expr)
    }

    fn unplaced_literal(&mut self) -> Option<Expr> {
        if self.is(Kind::LBrace)
            && self.logical_keywords()
            && let Some(expr) = self.logical_after_braces()
        {
            return expr;
        }
        if self.is(Kind::LParen) && self.logical_keywords() {
            match self.group(false) {
                Group::No => {}
                Group::Failed => return None,
                Group::Found(expr, location) => return self.logical_tail(*expr, location),
            }
        }
        if self.name_if_reference() {
            return self.expression_literal(None);
        }
        if !self.is(Kind::Not) {
            return match self.kind() {
                Kind::Some => self.some(),
                Kind::Every => self.every(),
                _ => self.expression_literal(None),
            };
        }
        let not = self.location();
        self.scan();
        match self.kind() {
            Kind::LBrace if self.plain_negation => {
                let negated = self.not_body(not)?;
                self.logical_tail(negated, not)
            }
            kind @ (Kind::Some | Kind::Every) => {
                self.illegal(&format!("illegal negation of '{}'", kind.name()));
                None
            }
            _ => self.expression_literal(Some(not)),
        }
    }

    /// An expression, its modifiers, and what `and` and `or` add; `not` is where a negation before it is.
    fn expression_literal(&mut self, not: Option<Location>) -> Option<Expr> {
        if let Some(not) = not.filter(|_| self.plain_negation && self.is(Kind::LParen)) {
            match self.group(true) {
                Group::No => {}
                Group::Failed => return None,
                Group::Found(expr, _) => return self.logical_tail(negation_of(not, *expr), not),
            }
        }
        let (start, braced) = (self.location(), self.is(Kind::LBrace));
        let mut expr = self.expression()?;
        expr.location = start;
        let with = self.is(Kind::With).then(|| self.location());
        if with.is_some() {
            expr.with = self.modifiers()?;
        }
        self.hint_every(&expr);
        match not {
            Some(not) if self.plain_negation => {
                let with = std::mem::take(&mut expr.with);
                expr = Expr { with, ..negation_of(not, expr) };
            }
            _ => expr.negated = not.is_some(),
        }
        if !self.at_logical() {
            return Some(expr);
        }
        let operator = self.kind().name();
        if let Some(with) = with {
            self.error_modified_operand(with, operator);
            return None;
        }
        if not.is_none() && braced {
            self.error(start, format!("operand of `{operator}` cannot begin with `{{` unless the braces hold a body"));
            return None;
        }
        let location = expr.location;
        let outer = self.logical_chain(Operand::implicit(expr), location)?;
        self.modified(outer)
    }

    fn hint_every(&mut self, expr: &Expr) {
        if let ExprKind::Term(Term { kind: TermKind::Var(var), .. }) = &expr.kind
            && var.as_str() == "every"
            && self.is(Kind::Ident)
        {
            self.hint("`import future.keywords.every` for `every x in xs { ... }` expressions");
        }
    }

    pub(super) fn error_modified_operand(&mut self, with: Location, operator: &str) {
        self.hint(format!(
            "Wrap the operand in `(...)` or `{{...}}` to scope, or move `with` after the `{operator}` expression to \
             apply it to the whole expression"
        ));
        self.error(with, format!("`with` modifier is not allowed on operand of `{operator}`"));
    }

    /// An expression; where it stands, the caller knows.
    pub(super) fn expression(&mut self) -> Option<Expr> {
        let left = self.infix(true)?;
        let location = left.location;
        if matches!(self.kind(), Kind::Assign | Kind::Unify) {
            let operator = self.operator();
            let right = self.nested(|parser| parser.infix(true))?;
            return Some(Expr::new(location, ExprKind::Call(vec![operator, left, right])));
        }
        Some(Expr::new(
            location,
            match left.kind {
                TermKind::Call(terms) => ExprKind::Call(terms),
                _ => ExprKind::Term(left),
            },
        ))
    }

    /// Adds the modifiers that follow.
    pub(super) fn modified(&mut self, mut expr: Expr) -> Option<Expr> {
        if self.is(Kind::With) {
            expr.with = self.modifiers()?;
        }
        Some(expr)
    }

    fn modifiers(&mut self) -> Option<Vec<With>> {
        let mut modifiers = vec![];
        while self.is(Kind::With) {
            let location = self.location();
            self.scan();
            if !self.is(Kind::Ident) {
                self.illegal("expected ident");
                return None;
            }
            let target = self.nested(Self::term)?;
            if !matches!(target.kind, TermKind::Ref(_) | TermKind::Var(_)) {
                self.illegal("expected with target path");
            }
            if !self.is(Kind::As) {
                self.illegal("expected as keyword");
                return None;
            }
            self.scan();
            let value = self.nested(|parser| parser.infix(true))?;
            modifiers.push(With { location, target, value });
        }
        Some(modifiers)
    }

    fn some(&mut self) -> Option<Expr> {
        let location = self.location();
        let start = self.save();
        self.scan();
        if let Some(term) = self.nested(|parser| parser.infix(true))
            && matches!(term.kind, TermKind::Call(_))
        {
            if membership(&term).is_none() {
                self.illegal("expected `x in xs` or `x, y in xs` expression");
                return None;
            }
            return self.modified(Expr::new(location, ExprKind::Some(vec![term])));
        }
        self.restore(start);
        self.hint_some_in();
        let mut vars = vec![];
        loop {
            self.scan();
            if !self.is(Kind::Ident) {
                self.illegal("expected var");
                return None;
            }
            vars.push(self.var());
            self.scan();
            if !self.is(Kind::Comma) {
                return Some(Expr::new(location, ExprKind::Some(vars)));
            }
        }
    }

    /// `some x in xs` without the import.
    fn hint_some_in(&mut self) {
        let at = self.at();
        let is_in = |by: u32| self.tokens.word(at.saturating_add(by)) == "in";
        let is_comma = self.tokens.get(at.saturating_add(2)).kind == Kind::Comma;
        if !self.keywords.is_in && (is_in(2) || is_comma && is_in(4)) {
            self.hint("`import future.keywords.in` for `some x in xs` expressions");
        }
    }

    fn every(&mut self) -> Option<Expr> {
        let location = self.location();
        self.scan();
        let term = self.nested(|parser| parser.infix(true))?;
        let Some((key, value, domain)) = membership(&term) else {
            self.illegal("expected `x[, y] in xs { ... }` expression");
            return None;
        };
        if key.is_some_and(|key| key.as_var().is_none()) {
            self.illegal("expected key to be a variable");
            return None;
        }
        if value.as_var().is_none() {
            self.illegal("expected value to be a variable");
            return None;
        }
        let (key, value, domain) = (key.cloned(), value.clone(), domain.clone());
        if !self.is(Kind::LBrace) {
            self.illegal("missing body");
            return None;
        }
        let body = self.braced_body()?;
        self.modified(Expr::new(location, ExprKind::Every(Box::new(Every { key, value, domain, body }))))
    }
}

/// Plain negation, with `not` at a place.
pub(super) fn negation_of(not: Location, expr: Expr) -> Expr {
    Expr::new(not, ExprKind::Not(Operand::implicit(expr)))
}

/// Key, value and collection of a call of `internal.member_2` or `internal.member_3`.
fn membership(term: &Term) -> Option<(Option<&Term>, &Term, &Term)> {
    let TermKind::Call(terms) = &term.kind else { return None };
    let name = dotted(terms.first()?.as_ref()?)?;
    match (name.as_str(), terms.as_slice()) {
        ("internal.member_2", [_, value, collection]) => Some((None, value, collection)),
        ("internal.member_3", [_, key, value, collection]) => Some((Some(key), value, collection)),
        _ => None,
    }
}
