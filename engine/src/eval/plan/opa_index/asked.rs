//! What one definition asks, by its statements.

use std::collections::HashMap;
use std::sync::Arc;

use super::entries::{Alternated, Entries, Entry, Inserted, Wanted};
use super::{About, All, Way, is_scalar, scalar_value, split};
use crate::eval::compile::tree::RuleTree;
use crate::eval::plan::Membership;
use crate::eval::syntax::ast::{Body, Expr, ExprKind, Rule, Term, TermKind, Var, dotted};
use crate::eval::value::Value;

/// Ways in which a definition may be reached, beyond which OPA leaves alternatives out.
const MAX_WAYS: usize = 32;

/// Stands for what nothing else stands for.
const ANY: &str = "__any__";

/// Builtins that raise no error.
const HARMLESS: [&str; 10] =
    ["eq", "equal", "neq", "lt", "lte", "gt", "gte", "assign", "internal.member_2", "internal.member_3"];

/// What one definition asks.
pub(super) struct Asked {
    /// What always has to hold.
    pub(super) entries: Way,
    /// Of each, one alternative has to hold.
    pub(super) branches: Vec<Vec<Way>>,
    pub(super) memberships: Vec<Membership<About>>,
    /// See [`Indexed`](super::Indexed).
    pub(super) asks_ahead: bool,
    pub(super) may_raise: bool,
}

impl Asked {
    /// None if there are too many ways.
    pub(super) fn by(rule: &Rule, all: &mut All<'_>) -> Option<Self> {
        let mut scope = Scope { frame: Frame::default(), outer: vec![], exceeded: false, args: &rule.head.args, all };
        let raises = rule.body.iter().position(|expr| scope.may_raise(expr));
        let mut asks_ahead = false;
        for (at, expr) in rule.body.iter().enumerate() {
            let before = scope.frame.size();
            scope.update(expr);
            asks_ahead |= raises.is_some_and(|raises| at >= raises) && scope.frame.size() != before;
        }
        let Scope { frame, exceeded, .. } = scope;
        (!exceeded).then(|| Self { asks_ahead, may_raise: raises.is_some(), ..frame.into_asked() })
    }

    /// Every set of conditions that lead here; none if there is no `room` for them.
    pub(super) fn ways(&self, room: &mut usize) -> Option<Vec<Way>> {
        let mut count = 1;
        let mut longest = self.entries.len();
        for alternatives in &self.branches {
            count *= alternatives.len();
            longest += alternatives.iter().map(Vec::len).max().unwrap_or(0);
            if count > MAX_WAYS {
                return Some(vec![self.entries.clone()]);
            }
        }
        if count > 1 {
            *room = room.checked_sub(count * longest)?;
        }
        let mut ways = vec![self.entries.clone()];
        for alternatives in &self.branches {
            let both = |way: &Way, more: &Way| way.iter().chain(more).cloned().collect::<Way>();
            ways = ways.iter().flat_map(|way| alternatives.iter().map(move |more| both(way, more))).collect();
        }
        Some(ways)
    }
}

/// A definition while its statements are gone through.
struct Scope<'s, 'a> {
    /// Of its body, or of an operand of `and` or `or` that is gone through.
    frame: Frame,
    /// Those around it, the nearest last.
    outer: Vec<Frame>,
    /// Whether there are too many ways.
    exceeded: bool,
    args: &'s [Term],
    all: &'s mut All<'a>,
}

/// What a body asks.
#[derive(Default)]
struct Frame {
    entries: Entries,
    branches: Vec<Vec<Way>>,
    memberships: Vec<Membership<About>>,
    constants: HashMap<Var, Value>,
}

impl Frame {
    fn size(&self) -> ((usize, usize), usize, usize) {
        (self.entries.size(), self.branches.len(), self.memberships.len())
    }

    fn into_asked(self) -> Asked {
        let Self { entries, branches, memberships, .. } = self;
        Asked { entries: entries.into_list(), branches, memberships, asks_ahead: false, may_raise: false }
    }
}

impl Scope<'_, '_> {
    /// Whether evaluating a statement may raise an error or come upon a conflict.
    fn may_raise(&self, expr: &Expr) -> bool {
        if !expr.with.is_empty() || expr.negated {
            return true;
        }
        match &expr.kind {
            ExprKind::Term(term) => self.term_may_raise(term),
            ExprKind::Call(terms) => {
                let name = terms.first().and_then(|operator| dotted(operator.as_ref()?)).unwrap_or_default();
                !HARMLESS.contains(&name.as_str()) || terms.iter().skip(1).any(|term| self.term_may_raise(term))
            }
            _ => true,
        }
    }

    fn term_may_raise(&self, term: &Term) -> bool {
        match &term.kind {
            TermKind::Var(_) => false,
            TermKind::Ref(parts) => {
                let is_plain = |part: &Term| matches!(part.kind, TermKind::Var(_)) || scalar_value(part).is_some();
                self.is_virtual(parts) || !parts.iter().all(is_plain)
            }
            _ => term.to_value().is_none(),
        }
    }

    fn update(&mut self, expr: &Expr) {
        if !expr.with.is_empty() || expr.negated {
            return;
        }
        match &expr.kind {
            ExprKind::Term(term) => {
                let term = self.plugged(term);
                if let TermKind::Ref(reference) = &term.kind
                    && !self.collection_key(reference)
                {
                    self.equality(&term, &Term::var(term.location, Var::new(ANY)));
                }
            }
            ExprKind::Call(terms) => {
                let Some(name) = terms.first().and_then(|operator| dotted(operator.as_ref()?)) else { return };
                let operands: Vec<Term> = terms.iter().skip(1).map(|term| self.plugged(term)).collect();
                match (name.as_str(), operands.as_slice()) {
                    ("eq" | "equal", [a, b]) => self.equality_or_element(a, b),
                    ("glob.match", [pattern, delimiters, text]) => self.glob(pattern, delimiters, text),
                    ("internal.member_2", [member, collection]) => self.member(member, collection),
                    ("startswith", [text, base]) => self.end(text, base, Wanted::Prefix),
                    ("endswith", [text, base]) => self.end(text, base, Wanted::Suffix),
                    ("strings.any_prefix_match", [text, base]) => self.ends(text, base, Wanted::Prefix),
                    ("strings.any_suffix_match", [text, base]) => self.ends(text, base, Wanted::Suffix),
                    _ => {}
                }
            }
            ExprKind::And(left, right) => {
                let (left, right) = (self.operand(&left.body), self.operand(&right.body));
                self.require(left);
                self.require(right);
            }
            ExprKind::Or(left, right) => {
                let mut alternatives = self.operand(&left.body);
                if alternatives.is_empty() {
                    return;
                }
                let right = self.operand(&right.body);
                if right.is_empty() {
                    return;
                }
                alternatives.extend(right);
                self.require(alternatives);
            }
            ExprKind::Some(_) | ExprKind::Every(_) | ExprKind::Not(_) => {}
        }
    }

    // === `and`, `or` ===

    /// The ways in which an operand may hold; none if nothing is known of it.
    fn operand(&mut self, body: &Body) -> Vec<Way> {
        self.outer.push(std::mem::take(&mut self.frame));
        for expr in body {
            self.update(expr);
        }
        let outer = self.outer.pop().unwrap_or_default();
        let operand = std::mem::replace(&mut self.frame, outer).into_asked();
        let Some(mut ways) = operand.ways(self.all.room) else {
            self.exceeded = true;
            return vec![];
        };
        if let [way] = ways.as_slice()
            && way.is_empty()
        {
            return vec![];
        }
        // What it binds is nothing to the statements around it.
        for entry in ways.iter_mut().flatten().filter(|entry| entry.wanted.is_var()) {
            entry.wanted = Wanted::Any(Var::new(ANY));
        }
        ways
    }

    fn constant(&self, var: &Var) -> Option<&Value> {
        self.frames().find_map(|frame| frame.constants.get(var))
    }

    /// From the innermost on.
    fn frames(&self) -> impl Iterator<Item = &Frame> {
        std::iter::once(&self.frame).chain(self.outer.iter().rev())
    }

    fn require(&mut self, mut alternatives: Vec<Way>) {
        match alternatives.len() {
            0 => {}
            1 => alternatives.pop().into_iter().flatten().for_each(|entry| self.insert(entry)),
            _ => {
                for entry in alternatives.iter().flatten() {
                    self.all.count(entry.subject, 1);
                }
                self.frame.branches.push(alternatives);
            }
        }
    }

    // === Statements ===

    fn equality_or_element(&mut self, a: &Term, b: &Term) {
        if !self.element(a, b) && !self.element(b, a) {
            self.equality(a, b);
        }
    }

    fn equality(&mut self, a: &Term, b: &Term) {
        if !self.equality_of(a, b) {
            self.equality_of(b, a);
        }
    }

    fn equality_of(&mut self, a: &Term, b: &Term) -> bool {
        match &a.kind {
            TermKind::Var(var) => {
                let value = b.to_value().or_else(|| b.as_var().and_then(|other| self.constant(other)).cloned());
                if let Some(value) = value.filter(|_| var.as_str() != ANY) {
                    self.frame.constants.insert(var.clone(), value);
                }
                let (Some(wanted), Some(subject)) = (Wanted::of(b), self.subject_of_var(var)) else { return false };
                self.insert_at(subject, wanted);
                true
            }
            TermKind::Ref(reference) => {
                let Some(subject) = self.subject(reference) else { return false };
                let constant = b.as_var().and_then(|var| self.constant(var));
                let Some(wanted) = constant.map(Wanted::of_value).or_else(|| Wanted::of(b)) else { return false };
                self.insert_at(subject, wanted);
                true
            }
            _ => false,
        }
    }

    /// `input.xs[_] == "a"`: what lies there has this element.
    fn element(&mut self, a: &Term, b: &Term) -> bool {
        let TermKind::Ref(reference) = &a.kind else { return false };
        let Some((last, prefix)) = reference.split_last() else { return false };
        if prefix.is_empty()
            || last.to_value().is_some()
            || !prefix.iter().skip(1).all(|part| part.to_value().is_some())
        {
            return false;
        }
        let value = match b.as_var() {
            Some(var) => self.constant(var).cloned(),
            None => b.to_value(),
        };
        let (Some(value), Some(subject)) = (value.filter(is_scalar), self.subject(prefix)) else { return false };
        self.insert_at(subject, Wanted::Member(value));
        true
    }

    fn glob(&mut self, pattern: &Term, delimiters: &Term, text: &Term) {
        let TermKind::Array(items) = &delimiters.kind else { return };
        let Some(texts) = items.iter().map(Term::as_str).collect::<Option<Vec<_>>>() else { return };
        let delimiters = if texts.is_empty() { ".".to_owned() } else { texts.concat() };
        let (Some(pattern), Some(var)) = (pattern.as_str(), text.as_var()) else { return };
        let Some(parts) = glob_parts(pattern, &delimiters) else { return };
        if let Some(subject) = self.subject_of_var(var) {
            self.insert_at(subject, Wanted::Parts(parts, Arc::from(delimiters)));
        }
    }

    fn member(&mut self, member: &Term, collection: &Term) {
        if let Some(subject) = member.as_var().and_then(|var| self.subject_of_var(var)) {
            return self.among(subject, collection);
        }
        let constant = member.as_var().and_then(|var| self.constant(var)).cloned().or_else(|| member.to_value());
        let wanted = match (constant, member.as_var()) {
            (Some(value), _) if is_scalar(&value) => Wanted::Member(value),
            (None, Some(var)) => Wanted::Any(var.clone()),
            _ => return,
        };
        if let Some(subject) = self.resolved(collection) {
            self.insert_at(subject, wanted);
        }
    }

    /// What lies there is one of a collection's values.
    fn among(&mut self, subject: About, collection: &Term) {
        let constant = collection.as_var().and_then(|var| self.constant(var));
        let members: Option<Vec<Wanted>> = match (constant, &collection.kind) {
            (Some(Value::Array(items)), _) => Some(items.iter().map(Wanted::of_value).collect()),
            (Some(Value::Set(items)), _) => Some(items.iter().map(Wanted::of_value).collect()),
            (Some(Value::Object(object)), _) => Some(object.values().map(Wanted::of_value).collect()),
            (None, TermKind::Array(items) | TermKind::Set(items)) => Some(items.iter().map(member_of).collect()),
            (None, TermKind::Object(entries)) => Some(entries.iter().map(|(_, value)| member_of(value)).collect()),
            _ => None,
        };
        // One that isn't known may be anything.
        let Some(members) = members.filter(|members| !members.iter().any(Wanted::is_var)) else { return };
        let subject = self.all.intern(subject);
        let mut members = members.into_iter();
        if let Some(first) = members.next() {
            self.insert(Entry { subject, wanted: first });
        }
        self.insert_all(subject, members.collect(), Alternated::Values);
    }

    fn end(&mut self, text: &Term, base: &Term, wanted: fn(Arc<str>) -> Wanted) {
        let constant = base.as_var().and_then(|var| self.constant(var)).cloned().or_else(|| base.to_value());
        if let (Some(subject), Some(Value::String(base))) = (self.resolved(text), constant) {
            self.insert_at(subject, wanted(base));
        }
    }

    fn ends(&mut self, text: &Term, base: &Term, wanted: fn(Arc<str>) -> Wanted) {
        let constant = match base.as_var() {
            Some(var) => self.constant(var).cloned(),
            None => base.to_value(),
        };
        let Some(subject) = self.resolved(text) else { return };
        let bases: Vec<Value> = match constant {
            Some(Value::String(base)) => return self.insert_at(subject, wanted(base)),
            Some(Value::Array(bases)) => bases.iter().cloned().collect(),
            Some(Value::Set(bases)) => bases.iter().cloned().collect(),
            _ => return,
        };
        let text = |base: &Value| if let Value::String(base) = base { Some(wanted(Arc::clone(base))) } else { None };
        let Some(bases) = bases.iter().map(text).collect::<Option<Vec<_>>>() else { return };
        if !bases.is_empty() {
            let subject = self.all.intern(subject);
            self.insert_all(subject, bases, Alternated::Ends);
        }
    }

    /// `data.groups.admins[input.user]`: the collection there has this key.
    fn collection_key(&mut self, reference: &[Term]) -> bool {
        let Some((key, prefix)) = reference.split_last() else { return false };
        let is_data = prefix.first().is_some_and(|head| head.is_var("data"));
        if !is_data || self.is_virtual(prefix) {
            return false;
        }
        let key = match &key.kind {
            TermKind::Ref(reference) if !self.is_virtual(reference) => path_of(reference),
            TermKind::Var(var) => self.subject_of_var(var),
            _ => None,
        };
        let (Some(key), Some(collection)) = (key, path_of(prefix)) else { return false };
        let known = self.all.intern(key.clone());
        self.all.count(known, 1);
        self.frame.memberships.push(Membership { key, collection });
        true
    }

    // === Subjects ===

    /// What a reference to `input` or to data that no rule makes is about. It may begin with a variable that stands for
    /// such a reference.
    fn subject(&self, reference: &[Term]) -> Option<About> {
        let (head, rest) = reference.split_first()?;
        let var = head.as_var()?;
        if matches!(var.as_str(), "input" | "data") {
            return if self.is_virtual(reference) { None } else { path_of(reference) };
        }
        let rest: Vec<Value> = rest.iter().map(Term::to_value).collect::<Option<_>>()?;
        match self.subject_of_var(var)? {
            About::Input(path) => Some(About::Input(path.iter().cloned().chain(rest).collect())),
            About::Data(path) => {
                let path: Box<[Value]> = path.iter().cloned().chain(rest).collect();
                if self.is_virtual_path(&path) { None } else { Some(About::Data(path)) }
            }
            About::Argument(_) => None,
        }
    }

    /// The same for a term that may be a variable.
    fn resolved(&self, term: &Term) -> Option<About> {
        match &term.kind {
            TermKind::Ref(reference)
                if reference.first().is_some_and(|head| head.is_var("input") || head.is_var("data")) =>
            {
                self.subject(reference)
            }
            TermKind::Var(var) => match self.subject_of_var(var)? {
                About::Argument(_) => None,
                subject => Some(subject),
            },
            _ => None,
        }
    }

    /// What a variable stands for: the reference that it was first made equal to, or a parameter.
    fn subject_of_var(&self, var: &Var) -> Option<About> {
        if let Some(subject) = self.frames().find_map(|frame| frame.entries.subject_of(var)) {
            return self.all.subjects.get(subject).cloned();
        }
        let at = self.args.iter().position(|arg| arg.as_var() == Some(var))?;
        u32::try_from(at).ok().map(About::Argument)
    }

    fn is_virtual(&self, reference: &[Term]) -> bool {
        if !reference.first().is_some_and(|head| head.is_var("data")) {
            return false;
        }
        self.is_virtual_path(&reference.iter().skip(1).map_while(Term::to_value).collect::<Vec<_>>())
    }

    fn is_virtual_path(&self, path: &[Value]) -> bool {
        let mut at = RuleTree::ROOT;
        for key in path {
            match self.all.tree.child(at, key) {
                None => return false,
                Some(child) if self.all.tree.node(child).is_some_and(|node| !node.rules.is_empty()) => return true,
                Some(child) => at = child,
            }
        }
        true
    }

    /// The term with variables in its reference replaced by the scalars that they have.
    fn plugged(&self, term: &Term) -> Term {
        let TermKind::Ref(parts) = &term.kind else { return term.clone() };
        let plug = |(at, part): (usize, &Term)| {
            let value = part.as_var().filter(|_| at > 0).and_then(|var| self.constant(var));
            match value.filter(|value| is_scalar(value)) {
                Some(value) => Term::new(part.location, scalar_term(value)),
                None => part.clone(),
            }
        };
        Term::new(term.location, TermKind::Ref(parts.iter().enumerate().map(plug).collect()))
    }

    // === Entries ===

    fn insert_at(&mut self, subject: About, wanted: Wanted) {
        let subject = self.all.intern(subject);
        self.insert(Entry { subject, wanted });
    }

    fn insert(&mut self, entry: Entry) {
        let subject = entry.subject;
        let Inserted { is_first, alternated } = self.frame.entries.insert(entry);
        self.all.alternate(subject, alternated);
        if is_first {
            self.all.count(subject, 1);
        }
    }

    fn insert_all(&mut self, subject: usize, wanted: Vec<Wanted>, how: Alternated) {
        self.all.count(subject, wanted.len());
        if self.frame.entries.insert_all(subject, wanted) {
            self.all.alternate(subject, how);
        }
    }
}

/// A member of a collection that is written out.
fn member_of(term: &Term) -> Wanted {
    match &term.kind {
        TermKind::Var(var) => Wanted::Any(var.clone()),
        TermKind::Array(items) => Wanted::Array(items.iter().map(scalar_value).collect()),
        _ => match scalar_value(term) {
            Some(value) => Wanted::Value(value),
            None => Wanted::Composite(Value::Null),
        },
    }
}

/// The path of a reference whose parts are constants.
fn path_of(reference: &[Term]) -> Option<About> {
    let (head, rest) = reference.split_first()?;
    let path: Box<[Value]> = rest.iter().map(Term::to_value).collect::<Option<_>>()?;
    match head.as_var()?.as_str() {
        "input" => Some(About::Input(path)),
        "data" => Some(About::Data(path)),
        _ => None,
    }
}

fn scalar_term(value: &Value) -> TermKind {
    match value {
        Value::Bool(value) => TermKind::Bool(*value),
        Value::Number(number) => TermKind::Number(number.clone()),
        Value::String(text) => TermKind::String(Arc::clone(text)),
        _ => TermKind::Null,
    }
}

/// What the parts of a text have to be for a pattern to match; none if the pattern has more than plain parts and `*`.
fn glob_parts(pattern: &str, delimiters: &str) -> Option<Vec<Option<Value>>> {
    let part = |part: String| {
        if part == "*" {
            return Some(None);
        }
        let mut escaped = false;
        for char in part.chars() {
            match char {
                '\\' => {
                    escaped = !escaped;
                    continue;
                }
                '[' | '?' | '{' | '*' if !escaped => return None,
                _ => {}
            }
            escaped = false;
        }
        Some(Some(Value::from(part)))
    };
    split(pattern, delimiters).into_iter().map(part).collect()
}
