//! `and`, `or` and plain `not`: their operands, and the parentheses that group them.

use super::ast::{Body, Expr, ExprKind, Location, Operand};
use super::lexer::Kind;
use super::parser::{Parser, State};
use super::parser_literal::negation_of;

/// What a parenthesis opens.
pub(super) enum Group {
    /// A term, so far as can be said.
    No,
    /// A group, with an error in it.
    Failed,
    /// A group's statement; and where the group is.
    Found(Box<Expr>, Location),
}

const AMBIGUOUS_UNION: &str =
    "ambiguous `{ ... | ... }` operand: read as a body holding a set-union expression, not as a comprehension";

/// An operand, and where it is.
type Placed = (Operand, Location);

impl Parser<'_> {
    /// `{ … } and …`. Gives nothing if the braces hold no body, or if neither `and` nor `or` follows them.
    pub(super) fn logical_after_braces(&mut self) -> Option<Option<Expr>> {
        let at = self.at();
        if self.tried.bodies.contains(&at) {
            return None;
        }
        let (start, location, mark) = (self.save(), self.location(), self.tried.mark());
        if let Some(body) = self.braced_body()
            && self.at_logical()
        {
            self.tried.keep();
            if self.is_ambiguous_union(&body) {
                self.error_ambiguous_union(location);
                return Some(None);
            }
            let outer = self.logical_chain(Operand { body, explicit: true }, location);
            return Some(outer.and_then(|outer| self.modified(outer)));
        }
        self.restore(start);
        self.tried.undo(mark);
        self.tried.bodies.insert(at);
        None
    }

    /// What follows a statement that is complete as an operand.
    pub(super) fn logical_tail(&mut self, mut expr: Expr, location: Location) -> Option<Expr> {
        if self.at_logical() {
            expr = self.logical_chain(Operand::implicit(expr), location)?;
        }
        self.modified(expr)
    }

    /// From the first operator on; `and` binds tighter.
    pub(super) fn logical_chain(&mut self, left: Operand, location: Location) -> Option<Expr> {
        let mut left = self.and_chain(left, location)?;
        while self.is(Kind::LogicalOr) {
            self.scan();
            let (right, right_location) = self.operand()?;
            let right = self.nested(|parser| parser.and_chain(right, right_location))?;
            self.check_void_calls(&left, &right, "or");
            left = Operand::implicit(Expr::new(location, ExprKind::Or(left, right)));
            self.sink(1)?;
        }
        left.body.pop()
    }

    fn and_chain(&mut self, mut left: Operand, location: Location) -> Option<Operand> {
        while self.is(Kind::LogicalAnd) {
            self.scan();
            let (right, _) = self.operand()?;
            self.check_void_calls(&left, &right, "and");
            left = Operand::implicit(Expr::new(location, ExprKind::And(left, right)));
            self.sink(1)?;
        }
        Some(left)
    }

    /// `{ … }` after `not`.
    pub(super) fn not_body(&mut self, not: Location) -> Option<Expr> {
        let location = self.location();
        let body = self.braced_body()?;
        if self.is_ambiguous_union(&body) {
            self.error_ambiguous_union(location);
            return None;
        }
        Some(Expr::new(not, ExprKind::Not(Operand { body, explicit: true })))
    }

    /// One operand of `and` or `or`.
    fn operand(&mut self) -> Option<Placed> {
        self.nested(Self::nested_operand)
    }

    fn nested_operand(&mut self) -> Option<Placed> {
        if self.is(Kind::LBrace) {
            return self.braced_operand();
        }
        let not = self.negation();
        if let Some(not) = not.filter(|_| self.plain_negation && self.is(Kind::LBrace)) {
            return Some((Operand::implicit(self.not_body(not)?), not));
        }
        if self.is(Kind::LParen) && self.logical_keywords() && (not.is_none() || self.plain_negation) {
            match (self.group(true), not) {
                (Group::No, _) => {}
                (Group::Failed, _) => return None,
                (Group::Found(expr, location), None) => return Some((Operand::implicit(*expr), location)),
                (Group::Found(expr, _), Some(not)) => {
                    return Some((Operand::implicit(negation_of(not, *expr)), not));
                }
            }
        }
        let location = self.location();
        let mut expr = self.expression()?;
        expr.location = location;
        match not {
            Some(not) if self.plain_negation => expr = negation_of(not, expr),
            _ => expr.negated = not.is_some(),
        }
        let location = expr.location;
        Some((Operand::implicit(expr), location))
    }

    fn braced_operand(&mut self) -> Option<Placed> {
        let location = self.location();
        let body = self.braced_body()?;
        if self.is_ambiguous_union(&body) {
            // An error, unless the group this is in turns out to be a term.
            self.error_ambiguous_union(location);
        }
        Some((Operand { body, explicit: true }, location))
    }

    /// Goes past `not`, if it is one rather than a reference's name.
    fn negation(&mut self) -> Option<Location> {
        if !self.is(Kind::Not) || matches!(self.peek_tight(), Kind::Dot | Kind::LBrack) {
            return None;
        }
        let location = self.location();
        self.scan();
        Some(location)
    }

    // === Groups ===

    /// What the parenthesis here opens; `operand`, if it is an operand of `and`, `or` or `not` already.
    pub(super) fn group(&mut self, operand: bool) -> Group {
        let key = (self.at(), operand);
        if let Some(leftover) = self.tried.groups.get(&key).cloned() {
            self.leave(&leftover);
            return Group::No;
        }
        let start = self.save();
        let group = self.nested(|parser| Some(parser.tried_group(operand))).unwrap_or(Group::Failed);
        if matches!(group, Group::No) {
            let leftover = self.give_up(start, key.0);
            self.tried.groups.insert(key, leftover);
        }
        group
    }

    fn tried_group(&mut self, operand: bool) -> Group {
        let (open, start) = (self.location(), self.save());
        self.scan();
        if self.is(Kind::RParen) {
            if !operand {
                return Group::No;
            }
            self.error(open, "empty parenthesized group");
            return Group::Failed;
        }
        let Some((mut left, location)) = self.operand() else { return Group::No };
        if self.at_logical() {
            let expr = self.logical_chain(left, location).and_then(|expr| self.modified(expr));
            return self.closed_group(expr, open);
        }
        if left.explicit {
            return self.braced_group(start, open);
        }
        let Some(expr) = left.body.pop() else { return Group::No };
        if self.is(Kind::With) {
            return self.modified_group(expr, operand, open);
        }
        if expr.negated || matches!(expr.kind, ExprKind::And(..) | ExprKind::Or(..) | ExprKind::Not(_)) {
            return self.closed_group(Some(expr), open);
        }
        Group::No
    }

    fn closed_group(&mut self, expr: Option<Expr>, open: Location) -> Group {
        let Some(expr) = expr else { return Group::Failed };
        if !self.is(Kind::RParen) {
            self.error(self.location(), "expected ) to close parenthesized group");
            return Group::Failed;
        }
        self.scan();
        Group::Found(Box::new(expr), open)
    }

    /// `(x with …)`
    fn modified_group(&mut self, expr: Expr, operand: bool, open: Location) -> Group {
        let with = self.location();
        let Some(expr) = self.modified(expr) else { return Group::Failed };
        if self.at_logical() {
            self.error_modified_operand(with, self.kind().name());
            return Group::Failed;
        }
        match self.closed_group(Some(expr), open) {
            Group::Found(..) if !operand && !self.at_logical() => Group::No,
            group => group,
        }
    }

    /// `({ … })`: parentheses hold no body, so this must be a value.
    fn braced_group(&mut self, start: State, open: Location) -> Group {
        self.restore(start);
        self.scan();
        if self.term().is_some() {
            return Group::No;
        }
        self.error(open, "`(...)` in an operand position cannot contain a body");
        Group::Failed
    }

    // === What operands may not be ===

    /// Whether a body in braces reads like a comprehension: `{ a | b }`.
    fn is_ambiguous_union(&self, body: &Body) -> bool {
        let Some(first) = body.first() else { return false };
        let ExprKind::Call(terms) = &first.kind else { return false };
        let Some(operator) = terms.first() else { return false };
        let starts_with = |location, kind| self.tokens.at(location).is_some_and(|at| self.tokens.get(at).kind == kind);
        first.is_call_of("or") && starts_with(operator.location, Kind::Or) && !starts_with(first.location, Kind::LParen)
    }

    fn error_ambiguous_union(&mut self, location: Location) {
        self.hint("write `({...})` for the comprehension, or parenthesize the set union");
        self.error(location, AMBIGUOUS_UNION);
    }

    fn check_void_calls(&mut self, left: &Operand, right: &Operand, operator: &str) {
        for (name, location) in [void_call(&left.body), void_call(&right.body)].into_iter().flatten() {
            self.hint(format!(
                "`{name}` produces no value and always succeeds, so the operand can never fail; move it out of the \
                 operand, or add an expression that can fail"
            ));
            self.error(location, format!("operand of `{operator}` cannot consist only of calls to `{name}`"));
        }
    }
}

/// The first call of a body that has only calls of functions without a value.
fn void_call(body: &Body) -> Option<(&'static str, Location)> {
    let mut first = None;
    for expr in body {
        let called = if expr.negated { None } else { expr.as_call().map(|(name, _)| name) };
        let names = ["print", "internal.print", "internal.test_case"];
        let name = names.into_iter().find(|void| called.as_deref() == Some(void))?;
        first.get_or_insert((name, expr.location));
    }
    first
}
