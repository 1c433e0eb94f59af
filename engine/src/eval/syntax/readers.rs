//! What metadata blocks need of YAML, of URLs and of Go's numbers, which the builtins know how to read.
//!
//! Not connected to them yet: a block is refused until then.

pub(super) type Id = usize;

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) tag: String,
    pub(super) content: Content,
    pub(super) line: usize,
}

#[derive(Debug, Clone)]
pub(super) enum Content {
    Scalar(String),
    Sequence(Vec<Id>),
    Mapping(Vec<Id>),
    Alias { name: String, target: Id },
}

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) nodes: Vec<Node>,
    pub(super) first: Option<Id>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Text(String),
    Time(Option<String>),
}

pub(super) fn first_document(_text: &str) -> Result<Stream, String> {
    Err("metadata blocks are not supported yet".to_owned())
}

pub(super) fn resolve(_tag: &str, text: &str) -> Result<Scalar, String> {
    Ok(Scalar::Text(text.to_owned()))
}

/// As Go's `strconv.FormatFloat(value, 'g', -1, 64)`.
pub(super) fn general_float(value: f64) -> String {
    value.to_string()
}

/// As Go's `url.Parse(text)` and `String()`.
pub(super) fn normal_url(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}
