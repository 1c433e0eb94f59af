//! Rules: heads, bodies and what else.

use super::ast::{Body, Expr, ExprKind, Head, Location, Rule, Term, TermKind, Var, dotted};
use super::check;
use super::lexer::Kind;
use super::parser::Parser;

impl Parser<'_> {
    /// A rule, and one more for each further body in braces. Gives nothing, and leaves no error, if this is no rule.
    pub(super) fn rules(&mut self) -> Option<Vec<Rule>> {
        let location = self.location();
        self.name_if_reference();
        let default = self.is(Kind::Default);
        if default {
            self.scan();
            self.name_if_reference();
        }
        if !self.is(Kind::Ident) {
            if default {
                self.keyword_as_rule_name(true);
            }
            return None;
        }
        let mut head = self.head(default)?;
        if default {
            return Some(vec![self.default_rule(location, head)?]);
        }
        let has_if = self.is(Kind::If);
        if has_if && !head.contains && head.reference.len() == 2 {
            set_key_for_if(&mut head)?;
        }
        if !has_if && !head.contains && head.args.is_empty() && head.reference.len() == 2 {
            set_key(&mut head)?;
        }
        let body = if has_if {
            head.has_if = true;
            self.body_after_if()?
        } else if self.is(Kind::LBrace) {
            self.braced_body()?
        } else if head.contains {
            self.count_rule();
            let (location, body) = (head.location, true_body(location));
            return Some(vec![Rule { location, default, head, body, otherwise: None, generated_body: true }]);
        } else {
            return None;
        };
        self.count_rule();
        let mut rule = Rule { location, default, head, body, otherwise: None, generated_body: false };
        // It may also be the next rule's name.
        if self.is(Kind::Else) && !self.name_if_reference() {
            rule.otherwise = Some(Box::new(self.first_otherwise(&rule.head)?));
        }
        self.further_bodies(rule)
    }

    fn default_rule(&mut self, location: Location, head: Head) -> Option<Rule> {
        let problem = check::default_rule(&head);
        if !problem.is_empty() {
            for message in problem {
                self.error(location, message);
            }
            return None;
        }
        self.count_rule();
        let body = true_body(location);
        Some(Rule { location, default: true, head, body, otherwise: None, generated_body: false })
    }

    /// After `if`: a statement, or statements in braces.
    fn body_after_if(&mut self) -> Option<Body> {
        self.scan();
        let (start, braced) = (self.save(), self.is(Kind::LBrace));
        if let Some(expr) = self.nested(Self::literal) {
            // A set is always true, so `{ true }` must be meant as a body.
            let is_set = matches!(&expr.kind, ExprKind::Term(Term { kind: TermKind::Set(_), .. }));
            if !(braced && is_set) {
                return Some(vec![expr]);
            }
        }
        if !braced {
            return None;
        }
        self.restore(start);
        self.braced_body()
    }

    pub(super) fn braced_body(&mut self) -> Option<Body> {
        self.scan();
        let body = self.body(Kind::RBrace)?;
        self.scan();
        Some(body)
    }

    fn first_otherwise(&mut self, head: &Head) -> Option<Rule> {
        if head.reference.iter().skip(1).any(|term| !term.is_ground()) {
            self.error(self.location(), "else keyword cannot be used on rules with variables in head");
            return None;
        }
        if head.key.is_some() {
            self.error(self.location(), "else keyword cannot be used on multi-value rules");
            return None;
        }
        self.nested(|parser| parser.otherwise(head))
    }

    /// From `else` on. `first` is the head of the rule this belongs to.
    fn otherwise(&mut self, first: &Head) -> Option<Rule> {
        self.count_rule();
        let location = self.location();
        let mut head = Head { location, generated_value: false, contains: false, has_if: false, ..first.clone() };
        self.renew_wildcards(&mut head.args);
        self.scan();
        match self.kind() {
            Kind::LBrace | Kind::If => {
                head.generated_value = true;
                head.value = Some(Term::bool(location, true));
            }
            Kind::Assign | Kind::Unify => {
                head.assign = self.is(Kind::Assign);
                self.scan();
                head.value = Some(self.infix(true)?);
            }
            _ => {
                self.illegal("expected else value term or rule body");
                return None;
            }
        }
        head.has_if = self.is(Kind::If);
        if !head.has_if && !self.is(Kind::LBrace) {
            let body = true_body(location);
            return Some(Rule { location, default: false, head, body, otherwise: None, generated_body: true });
        }
        if head.has_if {
            self.scan();
        }
        let body = self.otherwise_body(location)?;
        let mut rule = Rule { location, default: false, head, body, otherwise: None, generated_body: false };
        if self.is(Kind::Else) {
            rule.otherwise = Some(Box::new(self.nested(|parser| parser.otherwise(first))?));
        }
        Some(rule)
    }

    fn otherwise_body(&mut self, location: Location) -> Option<Body> {
        if self.is(Kind::LBrace) {
            return self.braced_body();
        }
        if self.is(Kind::Eof) {
            self.illegal("rule body expected");
            return None;
        }
        let mut expr = self.nested(Self::literal)?;
        move_expr(&mut expr, location);
        Some(vec![expr])
    }

    /// `p { … } { … }`: each body is a rule with the same head.
    fn further_bodies(&mut self, rule: Rule) -> Option<Vec<Rule>> {
        let mut rules = vec![rule];
        while self.is(Kind::LBrace) && !self.at_limit() {
            self.count_rule();
            let first = rules.first()?;
            if first.otherwise.is_some() {
                self.error(self.location(), "expected else keyword");
                return None;
            }
            let mut head = first.head.clone();
            let location = self.location();
            let body = self.braced_body()?;
            self.renew_wildcards(&mut head.args);
            move_head(&mut head, location);
            rules.push(Rule { location, default: false, head, body, otherwise: None, generated_body: false });
        }
        Some(rules)
    }

    /// Another rule's `_` is another variable.
    fn renew_wildcards(&mut self, args: &mut [Term]) {
        for arg in args {
            if arg.as_var().is_some_and(Var::is_wildcard) {
                arg.kind = TermKind::Var(self.new_wildcard());
            }
        }
    }

    /// Gives nothing, and may leave no error, if this is no head.
    fn head(&mut self, default: bool) -> Option<Head> {
        let location = self.location();
        let name = self.var();
        let Some(term) = self.head_end(name) else {
            self.illegal("expected rule head name");
            return None;
        };
        let mut head = Head {
            location,
            reference: vec![],
            args: vec![],
            key: None,
            value: None,
            assign: false,
            generated_value: false,
            contains: false,
            has_if: false,
        };
        let is_function = matches!(term.kind, TermKind::Call(_));
        match term.kind {
            TermKind::Var(_) => head.reference = vec![term],
            TermKind::Ref(reference) => head.reference = reference,
            TermKind::Call(mut terms) => {
                head.args = terms.split_off(1);
                let Some(Term { kind: TermKind::Ref(reference), .. }) = terms.pop() else { return None };
                if reference.first().and_then(Term::as_var).is_none() {
                    self.illegal("rule head ref invalid");
                    return None;
                }
                head.reference = reference;
            }
            _ => return None,
        }
        self.head_value(&mut head, is_function, default);
        Some(head)
    }

    fn head_value(&mut self, head: &mut Head, is_function: bool, default: bool) {
        let name = dotted(&head.reference).unwrap_or_default();
        match self.kind() {
            Kind::Contains => {
                if is_function {
                    self.illegal(&format!(
                        "the contains keyword can only be used with multi-value rule definitions (e.g., {name} \
                         contains <VALUE> {{ ... }})"
                    ));
                }
                self.scan();
                head.contains = true;
                head.key = self.infix(true);
                if head.key.is_none() {
                    self.illegal(&format!("expected rule key term (e.g., {name} contains <VALUE> {{ ... }})"));
                }
                return;
            }
            Kind::Unify => {
                self.scan();
                head.value = self.infix(true);
                if head.value.is_none() {
                    self.illegal(&format!("expected rule value term (e.g., {name} = <VALUE> {{ ... }})"));
                }
            }
            Kind::Assign => {
                self.scan();
                head.assign = true;
                head.value = self.infix(true);
                if head.value.is_none() {
                    self.illegal(&match (head.args.is_empty(), default) {
                        (false, _) => format!("expected function value term (e.g., {name}(...) := <VALUE> {{ ... }})"),
                        (true, true) => format!("expected default rule value term (e.g., default {name} := <VALUE>)"),
                        (true, false) => format!("expected rule value term (e.g., {name} := <VALUE> {{ ... }})"),
                    });
                }
            }
            _ => {}
        }
        if head.value.is_none() && (head.reference.len() != 2 || !head.args.is_empty()) {
            head.generated_value = true;
            head.value = Some(Term::bool(head.location, true));
        }
    }

    /// A head may have space within it where a term may not, but no operator after it.
    fn head_end(&mut self, name: Term) -> Option<Term> {
        self.scan_tight();
        match self.kind() {
            Kind::Plus
            | Kind::Minus
            | Kind::Mul
            | Kind::Div
            | Kind::Rem
            | Kind::And
            | Kind::Or
            | Kind::Equal
            | Kind::Neq
            | Kind::Gt
            | Kind::Gte
            | Kind::Lt
            | Kind::Lte => self.illegal(""),
            Kind::Whitespace => self.scan(),
            _ => {}
        }
        match self.kind() {
            Kind::LParen | Kind::Dot | Kind::LBrack => self.reference(name),
            _ => Some(name.or_root()),
        }
    }
}

/// `p[x] if …` is a partial object's rule, or with a constant `x` one of a complete rule `p.x`.
fn set_key_for_if(head: &mut Head) -> Option<()> {
    let last = head.reference.get(1)?;
    if head.args.is_empty() && (!last.is_ground() || last.as_ref().is_some()) {
        head.key = Some(last.clone());
    }
    if head.value.is_none() {
        head.generated_value = true;
        head.value = Some(Term::bool(head.location, true));
        return Some(());
    }
    head.reference.first()?.as_var().map(|_| ())
}

/// `p[x]` is a partial set's rule, `p[x] = y` a partial object's.
fn set_key(head: &mut Head) -> Option<()> {
    head.reference.first()?.as_var()?;
    head.key = head.reference.get(1).cloned();
    if head.value.is_none() {
        head.reference.truncate(1);
    }
    Some(())
}

/// The body of what has none.
pub(super) fn true_body(location: Location) -> Body {
    let mut expr = Expr::new(location, ExprKind::Term(Term::bool(location, true)));
    expr.generated = true;
    vec![expr]
}

// === Moving what was copied, or what stands for something else ===

fn move_head(head: &mut Head, location: Location) {
    head.location = location;
    head.args.iter_mut().chain(&mut head.key).chain(&mut head.value).for_each(|term| move_term(term, location));
}

fn move_body(body: &mut Body, location: Location) {
    body.iter_mut().for_each(|expr| move_expr(expr, location));
}

fn move_expr(expr: &mut Expr, location: Location) {
    expr.location = location;
    match &mut expr.kind {
        ExprKind::Term(term) => move_term(term, location),
        ExprKind::Call(terms) | ExprKind::Some(terms) => terms.iter_mut().for_each(|term| move_term(term, location)),
        ExprKind::Every(every) => {
            every.key.iter_mut().for_each(|key| move_term(key, location));
            move_term(&mut every.value, location);
            move_term(&mut every.domain, location);
            move_body(&mut every.body, location);
        }
        ExprKind::Not(operand) => move_body(&mut operand.body, location),
        ExprKind::And(left, right) | ExprKind::Or(left, right) => {
            move_body(&mut left.body, location);
            move_body(&mut right.body, location);
        }
    }
    for with in &mut expr.with {
        with.location = location;
        move_term(&mut with.target, location);
        move_term(&mut with.value, location);
    }
}

fn move_term(term: &mut Term, location: Location) {
    use super::ast::TemplatePart;

    term.location = location;
    match &mut term.kind {
        TermKind::Null | TermKind::Bool(_) | TermKind::Number(_) | TermKind::String(_) | TermKind::Var(_) => {}
        TermKind::Template(parts) => {
            for part in parts {
                if let TemplatePart::Expr(expr) = part {
                    move_expr(expr, location);
                }
            }
        }
        TermKind::Ref(terms) | TermKind::Array(terms) | TermKind::Set(terms) | TermKind::Call(terms) => {
            terms.iter_mut().for_each(|term| move_term(term, location));
        }
        TermKind::Object(entries) => {
            for (key, value) in entries {
                move_term(key, location);
                move_term(value, location);
            }
        }
        TermKind::ArrayComprehension(term, body) | TermKind::SetComprehension(term, body) => {
            move_term(term, location);
            move_body(body, location);
        }
        TermKind::ObjectComprehension(key, value, body) => {
            move_term(key, location);
            move_term(value, location);
            move_body(body, location);
        }
    }
}
