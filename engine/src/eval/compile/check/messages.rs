//! What type errors say.

use std::fmt::{self, Write};

use super::{Checker, Failure};
use crate::eval::compile::error::{CompileError, TYPE};
use crate::eval::compile::types::{Type, line, write_operands};
use crate::eval::syntax::ast::{Location, Term, TermKind};
use crate::eval::value::Value;

/// Keys that a message lists.
const MAX_KEYS: usize = 20;

/// Bytes of a term that a message shows.
const MAX_TERM: usize = 200;

/// A message that goes on in further lines.
pub(super) trait Detail {
    /// Adds a line of types.
    fn detail(&mut self, before: &str, write: impl Fn(&mut dyn Write, usize) -> fmt::Result);
}

impl Detail for String {
    fn detail(&mut self, before: &str, write: impl Fn(&mut dyn Write, usize) -> fmt::Result) {
        self.push_str("\n\t");
        self.push_str(&line(before, write));
    }
}

impl Checker<'_> {
    /// A call has other operands than its function takes.
    pub(super) fn operand_failure(
        &self,
        location: Location,
        operator: &[Term],
        what: &str,
        have: &[Type],
        want: &[&Type],
        variadic: &Type,
    ) -> Failure {
        let mut message = format!("{}: {what}", self.ref_text(operator));
        message.detail("have: ", |out, depth| write_operands(out, have.iter(), &Type::Unknown, depth));
        message.detail("want: ", |out, depth| write_operands(out, want.iter().copied(), variadic, depth));
        Failure { of_unknown: have.iter().any(Type::has_unknown), ..Failure::new(location, message) }
    }

    /// What the reference leads to has nothing in it.
    pub(super) fn no_collection(&self, reference: &[Term], kind: &Type) -> CompileError {
        let text = self.ref_text(reference);
        let mut message = match kind {
            Type::Function(_) => format!("function {text} used as reference, not called"),
            _ => format!("undefined ref: {text}"),
        };
        message.detail("have: ", |out, depth| kind.write(out, depth));
        CompileError::new(location(reference), TYPE, message)
    }

    /// What the reference leads to can't have what it asks for at `at`.
    pub(super) fn no_such_key(
        &self,
        reference: &[Term],
        at: usize,
        have: &Type,
        want: &Type,
        keys: &[Value],
    ) -> CompileError {
        let mut message = format!("undefined ref: {}", self.ref_text(reference));
        match have {
            Type::Unknown => {
                let key = reference.get(at).map(|term| self.term_text(term)).unwrap_or_default();
                message.detail("have: ", |out, _| out.write_str(&key));
            }
            known => message.detail("have (type): ", |out, depth| known.write(out, depth)),
        }
        if keys.is_empty() && !want.is_unknown() {
            message.detail("want (type): ", |out, depth| want.write(out, depth));
        } else {
            let some: Vec<_> = keys.iter().take(MAX_KEYS).map(Value::to_string).collect();
            let more = if keys.len() > MAX_KEYS { " ..." } else { "" };
            message.detail("want (one of): ", |out, _| write!(out, "[{}{more}]", some.join(" ")));
        }
        CompileError::new(location(reference), TYPE, message)
    }

    /// A reference as a policy would write it.
    pub(super) fn ref_text(&self, reference: &[Term]) -> String {
        let mut text = String::new();
        for (at, term) in reference.iter().enumerate() {
            if text.len() > MAX_TERM {
                text.push_str("...");
                break;
            }
            match (at, &term.kind) {
                (0, _) => text.push_str(&self.term_text(term)),
                (_, TermKind::String(part)) if is_name(part) => {
                    text.push('.');
                    text.push_str(part);
                }
                _ => {
                    text.push('[');
                    text.push_str(&self.term_text(term));
                    text.push(']');
                }
            }
        }
        text
    }

    fn term_text(&self, term: &Term) -> String {
        let text = match &term.kind {
            TermKind::Var(var) => (self.surroundings.name_of)(var).unwrap_or_else(|| var.clone()).to_string(),
            TermKind::Ref(reference) => self.ref_text(reference),
            _ => term.to_value().map_or_else(|| "...".to_owned(), |value| value.to_string()),
        };
        match text.char_indices().find(|(at, _)| *at > MAX_TERM) {
            Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
            None => text,
        }
    }
}

fn location(reference: &[Term]) -> Location {
    reference.first().map(|term| term.location).unwrap_or_default()
}

fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}
