//! Tokens to tree: where the parser stands, how it tries and takes back, and what it refuses for its size.
//!
//! OPA's grammar is not decided by a few tokens ahead: braces may be a set, an object, a comprehension or a body, and
//! parentheses a term or a group of statements. OPA tries one after the other, so this parser does in the same order, and
//! takes back what failed. What failed once is remembered by its place ([`Tried`]), so that nothing nested is tried anew
//! with each level around it.
//!
//! A function that gives nothing has left an error, unless it says otherwise. One that gives something may have left an
//! error too: the text is refused all the same.

use std::cell::Cell;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

use super::ast::{Body, Location, Module, Var};
use super::lexer::{Kind, Tokens};
use super::tried::{Leftover, Tried, TriedTerm};
use super::{annotations, module, parser_statement};

/// Levels that a tree may have.
pub(crate) const MAX_TREE_DEPTH: u32 = 200;

/// Steps over a token that the parser takes for each one there is, before it gives up.
const MAX_STEPS_PER_TOKEN: usize = 64;

/// What a rule and a token take until they are compiled, estimated, in bytes. A rule's share is what it takes empty.
const RULE: usize = 2_350;
const TOKEN: usize = 130;

/// Said of what would take more than it may.
pub(crate) const TOO_LARGE: &str = "the policy is too large to compile within a host's memory (about 10,000 rules of 30 \
     tokens are possible); split the bundle into several, or move tables into data";

/// Errors that are told of one text.
const MAX_ERRORS: usize = 100;

/// Which Rego a text is, if its imports don't say more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RegoVersion {
    V0,
    V1,
}

/// Why a text isn't a policy, or isn't one here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) location: Location,
    /// OPA's; or for what only we refuse: `nesting`, `size`, `metadata`, and `ambiguous` for what OPA takes for something
    /// else than it says.
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl SyntaxError {
    pub(super) fn new(location: Location, message: impl Into<String>) -> Self {
        Self { location, code: "rego_parse_error", message: message.into() }
    }
}

/// Reads a module, its metadata blocks included, and makes the checks OPA makes when it reads one.
///
/// # Errors
/// Whatever OPA refuses to parse, and what exceeds a limit: among them a [`size`](Module::size) over `room`, in bytes.
pub(crate) fn parse_module(
    file: u32,
    text: &str,
    version: RegoVersion,
    room: usize,
) -> Result<Module, Vec<SyntaxError>> {
    let tokens = Tokens::of(file, text).map_err(|error| vec![error])?;
    let mut parser = Parser::new(&tokens, version);
    parser.room = room;
    parser.grow(tokens.len().saturating_mul(TOKEN));
    let statements = parser_statement::statements(&mut parser);
    let annotations = annotations::read(file, &tokens.comments);
    let size = parser.size;
    let mut errors = parser.into_errors();
    let annotations = match annotations {
        Ok(annotations) => annotations,
        Err(more) => {
            errors.extend(more);
            vec![]
        }
    };
    if errors.is_empty() {
        match module::from_statements(file, statements, annotations, version) {
            Ok(module) => return Ok(Module { size, ..module }),
            Err(found) => errors = found,
        }
    }
    errors.truncate(MAX_ERRORS);
    Err(errors)
}

/// Reads a query.
///
/// # Errors
/// Whatever OPA refuses to parse as a query, and what exceeds a limit.
#[cfg(any(test, feature = "internals"))]
pub(crate) fn parse_query(file: u32, text: &str, version: RegoVersion) -> Result<Body, Vec<SyntaxError>> {
    let tokens = Tokens::of(file, text).map_err(|error| vec![error])?;
    let mut parser = Parser::new(&tokens, version);
    query(&mut parser).ok_or_else(|| parser.into_errors())
}

/// Reads a text that may not have rules, in the version that texts within metadata are read in.
pub(super) fn parse_body(file: u32, text: &str) -> Result<Body, Vec<SyntaxError>> {
    let tokens = Tokens::of(file, text).map_err(|error| vec![error])?;
    let mut parser = Parser::new(&tokens, RegoVersion::V1);
    parser.skip_rules = true;
    query(&mut parser).ok_or_else(|| parser.into_errors())
}

fn query(parser: &mut Parser<'_>) -> Option<Body> {
    use parser_statement::Statement;

    let mut body = vec![];
    for statement in parser_statement::statements(parser) {
        let location = statement.location();
        match statement {
            Statement::Body(statements) => body.extend(statements),
            Statement::Package(_) => parser.error(location, "expected body but got package"),
            Statement::Import(_) => parser.error(location, "expected body but got import"),
            Statement::Rule(_) => parser.error(location, "expected body but got rule"),
        }
    }
    parser.has_no_errors().then_some(body)
}

/// Words that are keywords by import or by version; and `not`, which is none within an import's path.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Keywords {
    pub(super) not: bool,
    pub(super) is_in: bool,
    pub(super) every: bool,
    pub(super) contains: bool,
    pub(super) is_if: bool,
    pub(super) and: bool,
    pub(super) or: bool,
}

impl Keywords {
    pub(super) fn add(&mut self, kind: Kind) {
        match kind {
            Kind::In => self.is_in = true,
            // With `every` comes `in`.
            Kind::Every => (self.every, self.is_in) = (true, true),
            Kind::Contains => self.contains = true,
            Kind::If => self.is_if = true,
            Kind::LogicalAnd => self.and = true,
            Kind::LogicalOr => self.or = true,
            _ => {}
        }
    }

    fn has(self, kind: Kind) -> bool {
        match kind {
            Kind::In => self.is_in,
            Kind::Every => self.every,
            Kind::Contains => self.contains,
            Kind::If => self.is_if,
            Kind::LogicalAnd => self.and,
            Kind::LogicalOr => self.or,
            Kind::Not => self.not,
            _ => true,
        }
    }
}

/// Errors, the last one first. Shared, so that going back is to forget the new ones.
type Errors = Option<Rc<ErrorNode>>;

#[derive(Debug)]
struct ErrorNode {
    error: SyntaxError,
    before: Errors,
}

/// Where the parser is. Going back is to put an old one in place.
#[derive(Debug, Clone)]
pub(super) struct State {
    /// Index of the token that is next.
    pub(super) at: u32,
    /// What it counts as.
    pub(super) kind: Kind,
    wildcards: u32,
    errors: Errors,
    /// The deepest level since the last [`mark`](Parser::mark).
    deepest: u32,
}

pub(super) struct Parser<'t> {
    pub(super) tokens: &'t Tokens<'t>,
    pub(super) version: RegoVersion,
    pub(super) skip_rules: bool,
    pub(super) keywords: Keywords,
    /// Whether `not` makes a body.
    pub(super) plain_negation: bool,
    pub(super) tried: Tried,
    state: State,
    /// The names so far: each is kept once, however often it stands in the text.
    names: HashSet<Arc<str>>,
    /// What OPA loses if the parser goes on from here.
    lent: Option<Rc<Cell<bool>>>,
    /// What the next error should add.
    hints: Vec<String>,
    depth: u32,
    steps: usize,
    /// What compiling this takes so far, and what it may take, in bytes.
    size: usize,
    room: usize,
    /// A limit was reached: whatever is tried fails.
    limit: Option<SyntaxError>,
}

impl<'t> Parser<'t> {
    fn new(tokens: &'t Tokens<'t>, version: RegoVersion) -> Self {
        let mut keywords = Keywords { not: true, ..Keywords::default() };
        if version == RegoVersion::V1 {
            [Kind::In, Kind::Every, Kind::Contains, Kind::If].into_iter().for_each(|kind| keywords.add(kind));
        }
        let mut parser = Self {
            tokens,
            version,
            skip_rules: false,
            keywords,
            plain_negation: false,
            tried: Tried::default(),
            state: State { at: 0, kind: Kind::Eof, wildcards: 0, errors: None, deepest: 0 },
            names: HashSet::new(),
            lent: None,
            hints: vec![],
            depth: 0,
            steps: 0,
            size: 0,
            room: usize::MAX,
            limit: None,
        };
        parser.enter(0);
        parser
    }

    // === The current token ===

    pub(super) fn kind(&self) -> Kind {
        self.state.kind
    }

    pub(super) fn is(&self, kind: Kind) -> bool {
        self.state.kind == kind
    }

    pub(super) fn at(&self) -> u32 {
        self.state.at
    }

    pub(super) fn location(&self) -> Location {
        self.tokens.location(self.state.at)
    }

    pub(super) fn word(&self) -> &'t str {
        self.tokens.word(self.state.at)
    }

    /// `text` as a name.
    pub(super) fn name(&mut self, text: &str) -> Arc<str> {
        if let Some(name) = self.names.get(text) {
            return Arc::clone(name);
        }
        let name: Arc<str> = Arc::from(text);
        self.names.insert(Arc::clone(&name));
        name
    }

    /// Lets the current token count as a name.
    pub(super) fn as_name(&mut self) {
        self.state.kind = Kind::Ident;
    }

    /// Whether a line's end stands before the current token.
    pub(super) fn after_newline(&self) -> bool {
        self.tokens.get(self.state.at).newline_before
    }

    /// Goes to the next token.
    pub(super) fn scan(&mut self) {
        if self.is(Kind::Whitespace) {
            self.enter(self.state.at);
        } else {
            self.enter(self.state.at.saturating_add(1));
        }
    }

    /// Goes to the whitespace after the current token, or to the next one if there is none.
    pub(super) fn scan_tight(&mut self) {
        let next = self.state.at.saturating_add(1);
        if !self.is(Kind::Whitespace) && self.tokens.get(next).space_before {
            if let Some(lost) = self.lent.take() {
                lost.set(true);
            }
            (self.state.at, self.state.kind) = (next, Kind::Whitespace);
        } else {
            self.scan();
        }
    }

    /// What [`scan`](Self::scan) would go to.
    pub(super) fn peek(&self) -> Kind {
        self.kind_at(self.state.at.saturating_add(1))
    }

    /// What [`scan_tight`](Self::scan_tight) would go to.
    pub(super) fn peek_tight(&self) -> Kind {
        let next = self.state.at.saturating_add(1);
        if self.tokens.get(next).space_before { Kind::Whitespace } else { self.kind_at(next) }
    }

    fn kind_at(&self, at: u32) -> Kind {
        let kind = self.tokens.get(at).kind;
        if self.keywords.has(kind) { kind } else { Kind::Ident }
    }

    fn enter(&mut self, at: u32) {
        if let Some(lost) = self.lent.take() {
            lost.set(true);
        }
        self.steps += 1;
        if self.steps > self.tokens.len().saturating_mul(MAX_STEPS_PER_TOKEN).saturating_add(100_000) {
            self.exceeds(
                "size",
                "too many ways to read this: write nested sets, objects and groups in rules of their own",
            );
        }
        (self.state.at, self.state.kind) = (at, self.kind_at(at));
        if self.is(Kind::Illegal) {
            let location = self.location();
            for message in self.tokens.errors(at) {
                self.error(location, message);
            }
        }
    }

    /// After an import that made keywords: the token ahead may be one.
    pub(super) fn classify_again(&mut self) {
        if self.is(Kind::Ident) {
            self.state.kind = self.kind_at(self.state.at);
        }
    }

    /// Whether the current token may be part of a reference though it is a keyword.
    pub(super) fn is_keyword_in_references(&self) -> bool {
        match self.state.kind {
            Kind::If | Kind::Contains | Kind::In | Kind::Every => {
                self.version == RegoVersion::V1 || self.keywords.has(self.state.kind)
            }
            // A quirk of OPA's: it goes by name, and these signs have the names of the keywords.
            Kind::And => self.keywords.and,
            Kind::Or => self.keywords.or,
            kind => kind.is_keyword(),
        }
    }

    /// Lets a keyword count as a name if a reference goes on after it.
    pub(super) fn name_if_reference(&mut self) -> bool {
        let is = self.is_keyword_in_references() && matches!(self.peek_tight(), Kind::Dot | Kind::LBrack);
        if is {
            self.as_name();
        }
        is
    }

    pub(super) fn logical_keywords(&self) -> bool {
        self.keywords.and || self.keywords.or
    }

    pub(super) fn at_logical(&self) -> bool {
        matches!(self.state.kind, Kind::LogicalAnd | Kind::LogicalOr)
    }

    pub(super) fn new_wildcard(&mut self) -> Var {
        let name = format!("${}", self.state.wildcards);
        self.state.wildcards += 1;
        Var::new(&name)
    }

    // === Trying ===

    pub(super) fn save(&self) -> State {
        self.state.clone()
    }

    pub(super) fn restore(&mut self, state: State) {
        self.state = state;
        self.lent = None;
    }

    /// Whether a term was read here before; and then the parser is where it was after it, if it was none.
    pub(super) fn recall(&mut self) -> Option<TriedTerm> {
        let known = self.tried.term(self.state.at)?.clone();
        if known.lost.get() {
            self.exceeds_ambiguity();
        }
        if !known.found {
            self.restore(known.end.clone());
        }
        Some(known)
    }

    /// Goes on after a term that was recalled and has been read again.
    pub(super) fn restore_after(&mut self, known: TriedTerm) {
        if self.state.at != known.end.at {
            self.exceeds_ambiguity();
        }
        self.restore(State { deepest: self.state.deepest, ..known.end });
        self.lent = Some(known.lost);
    }

    /// Goes on after the term that started at `at`, as if it had been recalled.
    pub(super) fn stay_after(&mut self, at: u32) {
        let Some(known) = self.tried.term(at) else { return };
        if known.lost.get() {
            return self.exceeds_ambiguity();
        }
        self.lent = Some(Rc::clone(&known.lost));
    }

    fn exceeds_ambiguity(&mut self) {
        self.exceeds("ambiguous", "OPA misreads this: give the set in parentheses a name, in a rule of its own");
    }

    /// Keeps what is known of the term that started at `at`.
    pub(super) fn remember(&mut self, at: u32, kind: Kind, found: bool) {
        self.tried.add(TriedTerm { at, kind, found, end: self.save(), lost: Rc::default() });
    }

    /// Goes back to `start`, and gives what was left behind `at` since.
    pub(super) fn give_up(&mut self, start: State, at: u32) -> Leftover {
        let is_clean = |term: &TriedTerm| match (&term.end.errors, &start.errors) {
            (None, None) => true,
            (Some(a), Some(b)) => Rc::ptr_eq(a, b),
            _ => false,
        };
        let known = self.tried.terms_behind(at).iter();
        let leftover: Leftover = known
            .map(|term| {
                // Nothing of what was wrong before the attempt.
                let errors = if is_clean(term) { None } else { term.end.errors.clone() };
                TriedTerm { end: State { errors, ..term.end.clone() }, ..term.clone() }
            })
            .collect();
        self.steps += leftover.len();
        self.restore(start);
        leftover
    }

    /// Leaves behind what an attempt would leave that is not made again.
    pub(super) fn leave(&mut self, leftover: &Leftover) {
        self.steps += leftover.len();
        for term in leftover.iter() {
            let before = self.state.errors.clone();
            let errors = match &term.end.errors {
                None => before,
                Some(node) => Some(Rc::new(ErrorNode { error: node.error.clone(), before })),
            };
            let end = State { errors, ..term.end.clone() };
            self.tried.add(TriedTerm { end, lost: Rc::default(), ..term.clone() });
        }
    }

    // === Errors ===

    pub(super) fn hint(&mut self, hint: impl Into<String>) {
        self.hints.push(hint.into());
    }

    pub(super) fn has_hints(&self) -> bool {
        !self.hints.is_empty()
    }

    pub(super) fn error(&mut self, location: Location, message: impl Into<String>) {
        let mut message = message.into();
        match self.hints.as_slice() {
            [] => {}
            [hint] => message.push_str(&format!(" (hint: {hint})")),
            hints => message.push_str(&format!(" (hints: {})", hints.join(", "))),
        }
        self.hints.clear();
        let before = self.state.errors.take();
        self.state.errors = Some(Rc::new(ErrorNode { error: SyntaxError::new(location, message), before }));
    }

    /// The current token is not one that can be here.
    pub(super) fn illegal(&mut self, note: &str) {
        let (kind, location) = (self.state.kind, self.location());
        if kind == Kind::Illegal {
            return self.error(location, "illegal token");
        }
        let what = if kind.is_keyword() { "keyword" } else { "token" };
        let colon = if note.is_empty() { "" } else { ": " };
        self.error(location, format!("unexpected {} {what}{colon}{note}", kind.name()));
    }

    pub(super) fn has_no_errors(&self) -> bool {
        self.state.errors.is_none() && self.limit.is_none()
    }

    fn exceeds(&mut self, code: &'static str, message: impl Into<String>) {
        let location = self.location();
        self.limit.get_or_insert_with(|| SyntaxError { location, code, message: message.into() });
    }

    /// For each rule that there is, so that one too many is never parsed.
    pub(super) fn count_rule(&mut self) {
        self.grow(RULE);
    }

    fn grow(&mut self, by: usize) {
        self.size = self.size.saturating_add(by);
        if self.size > self.room {
            self.exceeds_size(TOO_LARGE);
        }
    }

    pub(super) fn exceeds_size(&mut self, message: impl Into<String>) {
        self.exceeds("size", message);
    }

    pub(super) fn at_limit(&self) -> bool {
        self.limit.is_some()
    }

    /// In the order in which they were found.
    fn into_errors(self) -> Vec<SyntaxError> {
        if let Some(limit) = self.limit {
            return vec![limit];
        }
        let mut errors = vec![];
        let mut rest = &self.state.errors;
        while let Some(node) = rest {
            errors.push(node.error.clone());
            rest = &node.before;
        }
        errors.reverse();
        errors
    }

    // === Depth ===

    /// One level down. Gives nothing if that is one too many.
    pub(super) fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        self.depth += 1;
        self.state.deepest = self.state.deepest.max(self.depth);
        let parsed = if self.within_depth() { parse(self) } else { None };
        self.depth -= 1;
        parsed
    }

    /// Begins to count how deep what follows is; [`unmark`](Self::unmark) with what this gave ends it.
    pub(super) fn mark(&mut self) -> u32 {
        std::mem::replace(&mut self.state.deepest, self.depth)
    }

    pub(super) fn unmark(&mut self, before: u32) {
        self.state.deepest = self.state.deepest.max(before);
    }

    /// What was parsed since the last mark comes to stand `levels` deeper.
    pub(super) fn sink(&mut self, levels: u32) -> Option<()> {
        self.state.deepest += levels;
        self.within_depth().then_some(())
    }

    fn within_depth(&mut self) -> bool {
        if self.state.deepest > MAX_TREE_DEPTH {
            self.exceeds(
                "nesting",
                format!(
                    "nested more than {MAX_TREE_DEPTH} levels deep: give the inner parts names, in rules of their own"
                ),
            );
        }
        self.limit.is_none()
    }
}

/// Dropping a long chain must not recurse.
impl Drop for ErrorNode {
    fn drop(&mut self) {
        let mut next = self.before.take();
        while let Some(mut node) = next.take().and_then(Rc::into_inner) {
            next = node.before.take();
        }
    }
}
