//! What metadata blocks need of YAML, of URLs and of Go's numbers, which the builtins know how to read.

use std::time::Duration;

use crate::eval::builtins::budget::Limits;
use crate::eval::builtins::encoding::{go_float, yaml};
use crate::eval::builtins::uri::url::Url;
use crate::eval::builtins::{Budget, Failure};

pub(super) use yaml::document::{Content, Id, Node, Stream};
pub(super) use yaml::scalar::Scalar;

/// For a block of the largest size, many times over.
const READING: Limits = Limits { steps: 50_000_000, bytes: 256 << 20, time: Duration::from_secs(1) };

pub(super) fn first_document(text: &str) -> Result<Stream, String> {
    yaml::first_document(&mut Budget::new(READING), text).map_err(told)
}

pub(super) fn resolve(tag: &str, text: &str) -> Result<Scalar, String> {
    yaml::scalar::resolve(tag, text).map_err(|problem| told(problem.into()))
}

/// As Go's `strconv.FormatFloat(value, 'g', -1, 64)`.
pub(super) fn general_float(value: f64) -> String {
    go_float::general(value)
}

/// As Go's `url.Parse(text)` and `String()`.
pub(super) fn normal_url(text: &str) -> Result<String, String> {
    Url::parse(text).map(|url| url.to_string()).map_err(|error| error.to_string())
}

fn told(failure: Failure) -> String {
    match failure {
        Failure::Operand(text) | Failure::Error(text) | Failure::Unsupported(text) => text,
        Failure::Limit(limit) => limit.to_string(),
        Failure::Undefined => "no value".to_owned(),
    }
}
