//! Rego's syntax: text to tree. Knows nothing of what a policy means.

mod annotations;
mod annotations_fields;
mod annotations_yaml;
pub(crate) mod ast;
mod check;
mod lexer;
mod module;
pub(crate) mod order;
mod parser;
mod parser_literal;
mod parser_logical;
mod parser_rule;
mod parser_statement;
mod parser_string;
mod parser_term;
mod readers;
#[cfg(test)]
mod tests;
mod tried;

#[cfg(feature = "internals")]
pub(crate) use self::parser::parse_query;
pub(crate) use self::parser::{RegoVersion, TOO_LARGE, parse_module};
