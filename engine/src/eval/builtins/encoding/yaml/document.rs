//! Documents of YAML: trees of nodes made of tokens by the grammar of libyaml, which go-yaml v3 has too. Doesn't
//! recurse.

use std::borrow::Cow;
use std::collections::HashMap;
use std::iter::Peekable;
use std::vec::IntoIter;

use super::super::super::{Budget, Failure};
use super::scanner::{Kind, Token};
use super::{Problem, Stage, scalar};

/// A node by its place among the nodes.
pub(crate) type Id = usize;

#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// A short tag such as `!!str`; empty for an alias.
    pub(crate) tag: Cow<'static, str>,
    pub(crate) content: Content,
    /// Whether it has neither quotes nor a tag of its own.
    pub(super) bare: bool,
    pub(crate) line: usize,
}

#[derive(Debug, Clone)]
pub(crate) enum Content {
    Scalar(String),
    Sequence(Vec<Id>),
    /// Keys and values in turn.
    Mapping(Vec<Id>),
    Alias {
        name: String,
        target: Id,
    },
}

/// All nodes of a stream, and the root of its first document.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) nodes: Vec<Node>,
    pub(crate) first: Option<Id>,
}

/// Reads all documents, or, for who looks at the first one only, no more than that.
///
/// # Errors
/// The tokens don't make documents, or the budget ends.
pub(super) fn stream(budget: &mut Budget, tokens: Vec<Token>, first_only: bool) -> Result<Stream, Failure> {
    let mut builder = Builder { nodes: vec![], anchors: HashMap::new(), open: vec![], root: None, first: None };
    let mut parser = Parser::new(tokens);
    loop {
        budget.alloc(size_of::<Node>())?;
        match parser.event()? {
            Event::StreamEnd => break,
            Event::DocumentEnd => {
                if builder.first.is_none() {
                    builder.first = builder.root;
                }
                builder.root = None;
                if first_only {
                    break;
                }
            }
            event => builder.add(event)?,
        }
    }
    Ok(Stream { nodes: builder.nodes, first: builder.first })
}

struct Builder {
    nodes: Vec<Node>,
    /// They outlive their documents.
    anchors: HashMap<String, Id>,
    /// Collections that aren't complete.
    open: Vec<Id>,
    root: Option<Id>,
    first: Option<Id>,
}

impl Builder {
    fn add(&mut self, event: Event) -> Result<(), Problem> {
        match event {
            Event::DocumentStart => {}
            Event::End => drop(self.open.pop()),
            Event::Alias { name, line } => {
                let target = self.anchors.get(&name).copied();
                let target = target.ok_or_else(|| Problem::new(format!("unknown anchor '{name}' referenced")))?;
                let content = Content::Alias { name, target };
                self.push(Node { tag: Cow::Borrowed(""), content, bare: false, line }, None);
            }
            Event::Scalar { properties, text, plain } => {
                let default = match (plain, text.as_str()) {
                    (false, _) => "!!str",
                    (true, "<<") => "!!merge",
                    (true, text) => scalar::implicit_tag(text),
                };
                self.push(properties.node(Content::Scalar(text), default, !plain), properties.anchor);
            }
            Event::Sequence(properties) => {
                let id = self.push(properties.node(Content::Sequence(vec![]), "!!seq", false), properties.anchor);
                self.open.push(id);
            }
            Event::Mapping(properties) => {
                let id = self.push(properties.node(Content::Mapping(vec![]), "!!map", false), properties.anchor);
                self.open.push(id);
            }
            Event::DocumentEnd | Event::StreamEnd => {}
        }
        Ok(())
    }

    fn push(&mut self, node: Node, anchor: Option<String>) -> Id {
        let id = self.nodes.len();
        self.nodes.push(node);
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, id);
        }
        match self.open.last().and_then(|open| self.nodes.get_mut(*open)).map(|node| &mut node.content) {
            Some(Content::Sequence(items) | Content::Mapping(items)) => items.push(id),
            _ => self.root = self.root.or(Some(id)),
        }
        id
    }
}

#[derive(Debug)]
enum Event {
    StreamEnd,
    DocumentStart,
    DocumentEnd,
    Alias {
        name: String,
        line: usize,
    },
    Scalar {
        properties: Properties,
        text: String,
        plain: bool,
    },
    Sequence(Properties),
    Mapping(Properties),
    /// Of a sequence or a mapping.
    End,
}

#[derive(Debug, Default)]
struct Properties {
    anchor: Option<String>,
    /// In full; empty if there is none.
    tag: String,
    line: usize,
}

impl Properties {
    fn node(&self, content: Content, default: &'static str, quoted: bool) -> Node {
        let tagged = !self.tag.is_empty() && self.tag != "!";
        let tag = match self.tag.strip_prefix("tag:yaml.org,2002:") {
            _ if !tagged => Cow::Borrowed(default),
            Some(short) => Cow::Owned(format!("!!{short}")),
            None => Cow::Owned(self.tag.clone()),
        };
        Node { tag, content, bare: !tagged && !quoted, line: self.line }
    }
}

// === The grammar ===

/// What is expected next.
#[derive(Debug, Clone, Copy)]
enum State {
    ImplicitDocumentStart,
    DocumentStart,
    DocumentContent,
    DocumentEnd,
    BlockNode,
    BlockSequenceFirst,
    BlockSequence,
    IndentlessSequence,
    BlockMappingFirst,
    BlockMappingKey,
    BlockMappingValue,
    FlowSequenceFirst,
    FlowSequence,
    FlowSequencePairKey,
    FlowSequencePairValue,
    FlowSequencePairEnd,
    FlowMappingFirst,
    FlowMappingKey,
    FlowMappingValue,
    FlowMappingEmptyValue,
    End,
}

struct Parser {
    tokens: Peekable<IntoIter<Token>>,
    /// Behind all tokens.
    end: Token,
    state: State,
    /// To go back to.
    states: Vec<State>,
    /// Where collections began.
    lines: Vec<usize>,
    tag_directives: HashMap<String, String>,
}

impl Parser {
    fn new(tokens: Vec<Token>) -> Self {
        let mut tokens = tokens.into_iter().peekable();
        tokens.next_if(|token| token.kind == Kind::StreamStart);
        let end = Token { kind: Kind::StreamEnd, line: 0 };
        Self {
            tokens,
            end,
            state: State::ImplicitDocumentStart,
            states: vec![],
            lines: vec![],
            tag_directives: HashMap::new(),
        }
    }

    fn event(&mut self) -> Result<Event, Problem> {
        if *self.kind() == Kind::Broken {
            return Err(self.problem("found what is no token", 0));
        }
        match self.state {
            State::ImplicitDocumentStart => self.document_start(true),
            State::DocumentStart => self.document_start(false),
            State::DocumentContent => self.document_content(),
            State::DocumentEnd => {
                self.skip_if(&Kind::DocumentEnd);
                self.tag_directives.clear();
                self.state = State::DocumentStart;
                Ok(Event::DocumentEnd)
            }
            State::BlockNode => self.node(true, false),
            State::BlockSequenceFirst => {
                self.open();
                self.block_sequence()
            }
            State::BlockSequence => self.block_sequence(),
            State::IndentlessSequence => self.indentless_sequence(),
            State::BlockMappingFirst => {
                self.open();
                self.block_mapping_key()
            }
            State::BlockMappingKey => self.block_mapping_key(),
            State::BlockMappingValue => self.block_mapping_value(),
            State::FlowSequenceFirst => {
                self.open();
                self.flow_sequence(true)
            }
            State::FlowSequence => self.flow_sequence(false),
            State::FlowSequencePairKey => self.flow_sequence_pair_key(),
            State::FlowSequencePairValue => self.flow_sequence_pair_value(),
            State::FlowSequencePairEnd => {
                self.state = State::FlowSequence;
                Ok(Event::End)
            }
            State::FlowMappingFirst => {
                self.open();
                self.flow_mapping_key(true)
            }
            State::FlowMappingKey => self.flow_mapping_key(false),
            State::FlowMappingValue => self.flow_mapping_value(),
            State::FlowMappingEmptyValue => Ok(self.empty(State::FlowMappingKey)),
            State::End => Ok(Event::StreamEnd),
        }
    }

    // === Documents ===

    fn document_start(&mut self, implicit: bool) -> Result<Event, Problem> {
        if !implicit {
            while self.skip_if(&Kind::DocumentEnd) {}
        }
        match self.kind() {
            Kind::StreamEnd => {
                self.state = State::End;
                Ok(Event::StreamEnd)
            }
            Kind::Version { .. } | Kind::TagDirective { .. } | Kind::DocumentStart => self.explicit_document(),
            _ if implicit => {
                self.directives()?;
                self.states.push(State::DocumentEnd);
                self.state = State::BlockNode;
                Ok(Event::DocumentStart)
            }
            _ => self.explicit_document(),
        }
    }

    fn explicit_document(&mut self) -> Result<Event, Problem> {
        self.directives()?;
        if !self.skip_if(&Kind::DocumentStart) {
            return Err(self.problem("did not find expected <document start>", 0));
        }
        self.states.push(State::DocumentEnd);
        self.state = State::DocumentContent;
        Ok(Event::DocumentStart)
    }

    fn document_content(&mut self) -> Result<Event, Problem> {
        match self.kind() {
            Kind::Version { .. }
            | Kind::TagDirective { .. }
            | Kind::DocumentStart
            | Kind::DocumentEnd
            | Kind::StreamEnd => {
                let state = self.back();
                Ok(self.empty(state))
            }
            _ => self.node(true, false),
        }
    }

    fn directives(&mut self) -> Result<(), Problem> {
        let mut has_version = false;
        let is_directive = |token: &Token| matches!(token.kind, Kind::Version { .. } | Kind::TagDirective { .. });
        while is_directive(self.peek()) {
            match self.peek().kind.clone() {
                Kind::Version { .. } if has_version => {
                    return Err(self.problem("found duplicate %YAML directive", 0));
                }
                Kind::Version { major: 1, minor: 1 } => has_version = true,
                Kind::TagDirective { handle, prefix } => {
                    if self.tag_directives.insert(handle, prefix).is_some() {
                        return Err(self.problem("found duplicate %TAG directive", 0));
                    }
                }
                _ => return Err(self.problem("found incompatible YAML document", 0)),
            }
            self.tokens.next();
        }
        for (handle, prefix) in [("!", "!"), ("!!", "tag:yaml.org,2002:")] {
            self.tag_directives.entry(handle.to_owned()).or_insert_with(|| prefix.to_owned());
        }
        Ok(())
    }

    // === Nodes ===

    fn node(&mut self, block: bool, indentless: bool) -> Result<Event, Problem> {
        let line = self.line();
        if let Kind::Alias(name) = self.kind() {
            let name = std::mem::take(name);
            self.tokens.next();
            self.state = self.back();
            return Ok(Event::Alias { name, line });
        }
        let (mut properties, tagged) = self.properties()?;
        properties.line = line;
        let anchored = properties.anchor.is_some();
        match self.kind() {
            Kind::BlockEntry if indentless => {
                self.state = State::IndentlessSequence;
                Ok(Event::Sequence(properties))
            }
            Kind::Scalar { text, plain } => {
                let (text, plain) = (std::mem::take(text), *plain);
                self.tokens.next();
                self.state = self.back();
                Ok(Event::Scalar { properties, text, plain })
            }
            Kind::FlowSequenceStart => {
                self.state = State::FlowSequenceFirst;
                Ok(Event::Sequence(properties))
            }
            Kind::FlowMappingStart => {
                self.state = State::FlowMappingFirst;
                Ok(Event::Mapping(properties))
            }
            Kind::BlockSequenceStart if block => {
                self.state = State::BlockSequenceFirst;
                Ok(Event::Sequence(properties))
            }
            Kind::BlockMappingStart if block => {
                self.state = State::BlockMappingFirst;
                Ok(Event::Mapping(properties))
            }
            _ if anchored || tagged => {
                self.state = self.back();
                Ok(Event::Scalar { properties, text: String::new(), plain: true })
            }
            _ => Err(self.problem("did not find expected node content", line)),
        }
    }

    /// An anchor and a tag, in either order, and whether there is a tag.
    fn properties(&mut self) -> Result<(Properties, bool), Problem> {
        let mut properties = Properties::default();
        let mut tag = None;
        for _ in 0..2 {
            match self.kind() {
                Kind::Anchor(name) if properties.anchor.is_none() => properties.anchor = Some(std::mem::take(name)),
                Kind::Tag { handle, suffix } if tag.is_none() => {
                    tag = Some((std::mem::take(handle), std::mem::take(suffix)));
                }
                _ => break,
            }
            self.tokens.next();
        }
        let tagged = tag.is_some();
        if let Some((handle, suffix)) = tag {
            let suffix = String::from_utf8_lossy(&suffix).into_owned();
            properties.tag = match self.tag_directives.get(&handle) {
                _ if handle.is_empty() => suffix,
                Some(prefix) if !prefix.is_empty() || !suffix.is_empty() => format!("{prefix}{suffix}"),
                _ => return Err(self.problem("found undefined tag handle", 0)),
            };
        }
        Ok((properties, tagged))
    }

    fn empty(&mut self, state: State) -> Event {
        let properties = Properties { line: self.line(), ..Properties::default() };
        self.state = state;
        Event::Scalar { properties, text: String::new(), plain: true }
    }

    // === Blocks ===

    fn block_sequence(&mut self) -> Result<Event, Problem> {
        if self.skip_if(&Kind::BlockEntry) {
            return match self.kind() {
                Kind::BlockEntry | Kind::BlockEnd => Ok(self.empty(State::BlockSequence)),
                _ => {
                    self.states.push(State::BlockSequence);
                    self.node(true, false)
                }
            };
        }
        self.close(&Kind::BlockEnd, "did not find expected '-' indicator")
    }

    fn indentless_sequence(&mut self) -> Result<Event, Problem> {
        if self.skip_if(&Kind::BlockEntry) {
            return match self.kind() {
                Kind::BlockEntry | Kind::Key | Kind::Value | Kind::BlockEnd => {
                    Ok(self.empty(State::IndentlessSequence))
                }
                _ => {
                    self.states.push(State::IndentlessSequence);
                    self.node(true, false)
                }
            };
        }
        self.state = self.back();
        Ok(Event::End)
    }

    fn block_mapping_key(&mut self) -> Result<Event, Problem> {
        if self.skip_if(&Kind::Key) {
            return self.block_mapping_node(State::BlockMappingValue);
        }
        self.close(&Kind::BlockEnd, "did not find expected key")
    }

    fn block_mapping_value(&mut self) -> Result<Event, Problem> {
        if self.skip_if(&Kind::Value) {
            return self.block_mapping_node(State::BlockMappingKey);
        }
        Ok(self.empty(State::BlockMappingKey))
    }

    fn block_mapping_node(&mut self, next: State) -> Result<Event, Problem> {
        match self.kind() {
            Kind::Key | Kind::Value | Kind::BlockEnd => Ok(self.empty(next)),
            _ => {
                self.states.push(next);
                self.node(true, true)
            }
        }
    }

    // === Flows ===

    fn flow_sequence(&mut self, first: bool) -> Result<Event, Problem> {
        if *self.kind() != Kind::FlowSequenceEnd {
            if !first && !self.skip_if(&Kind::FlowEntry) {
                let line = self.lines.last().copied().unwrap_or(0);
                return Err(self.problem("did not find expected ',' or ']'", line));
            }
            let line = self.line();
            if self.skip_if(&Kind::Key) {
                self.state = State::FlowSequencePairKey;
                return Ok(Event::Mapping(Properties { line, ..Properties::default() }));
            }
            if *self.kind() != Kind::FlowSequenceEnd {
                self.states.push(State::FlowSequence);
                return self.node(false, false);
            }
        }
        self.close(&Kind::FlowSequenceEnd, "")
    }

    fn flow_sequence_pair_key(&mut self) -> Result<Event, Problem> {
        match self.kind() {
            Kind::Value | Kind::FlowEntry | Kind::FlowSequenceEnd => {
                // What is next is passed over, whatever it is.
                self.tokens.next();
                Ok(self.empty(State::FlowSequencePairValue))
            }
            _ => {
                self.states.push(State::FlowSequencePairValue);
                self.node(false, false)
            }
        }
    }

    fn flow_sequence_pair_value(&mut self) -> Result<Event, Problem> {
        if self.skip_if(&Kind::Value) && !matches!(self.kind(), Kind::FlowEntry | Kind::FlowSequenceEnd) {
            self.states.push(State::FlowSequencePairEnd);
            return self.node(false, false);
        }
        Ok(self.empty(State::FlowSequencePairEnd))
    }

    fn flow_mapping_key(&mut self, first: bool) -> Result<Event, Problem> {
        if *self.kind() != Kind::FlowMappingEnd {
            if !first && !self.skip_if(&Kind::FlowEntry) {
                let line = self.lines.last().copied().unwrap_or(0);
                return Err(self.problem("did not find expected ',' or '}'", line));
            }
            if self.skip_if(&Kind::Key) {
                return match self.kind() {
                    Kind::Value | Kind::FlowEntry | Kind::FlowMappingEnd => Ok(self.empty(State::FlowMappingValue)),
                    _ => {
                        self.states.push(State::FlowMappingValue);
                        self.node(false, false)
                    }
                };
            }
            if *self.kind() != Kind::FlowMappingEnd {
                self.states.push(State::FlowMappingEmptyValue);
                return self.node(false, false);
            }
        }
        self.close(&Kind::FlowMappingEnd, "")
    }

    fn flow_mapping_value(&mut self) -> Result<Event, Problem> {
        if self.skip_if(&Kind::Value) && !matches!(self.kind(), Kind::FlowEntry | Kind::FlowMappingEnd) {
            self.states.push(State::FlowMappingKey);
            return self.node(false, false);
        }
        Ok(self.empty(State::FlowMappingKey))
    }

    // === Tokens ===

    fn peek(&mut self) -> &mut Token {
        self.tokens.peek_mut().unwrap_or(&mut self.end)
    }

    fn kind(&mut self) -> &mut Kind {
        &mut self.peek().kind
    }

    fn line(&mut self) -> usize {
        self.peek().line
    }

    fn skip_if(&mut self, kind: &Kind) -> bool {
        self.tokens.next_if(|token| token.kind == *kind).is_some()
    }

    /// Behind the token that a collection begins with.
    fn open(&mut self) {
        let line = self.line();
        self.lines.push(line);
        self.tokens.next();
    }

    /// Ends a collection.
    fn close(&mut self, kind: &Kind, problem: &'static str) -> Result<Event, Problem> {
        let line = self.lines.pop().unwrap_or(0);
        if !self.skip_if(kind) {
            return Err(self.problem(problem, line));
        }
        self.state = self.back();
        Ok(Event::End)
    }

    fn back(&mut self) -> State {
        self.states.pop().unwrap_or(State::End)
    }

    fn problem(&mut self, what: &'static str, context: usize) -> Problem {
        Problem { stage: Stage::Parser, what: what.into(), context, line: self.line() }
    }
}
