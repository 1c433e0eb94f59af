//! Metadata blocks: which comments they are, what they say, and what they stand before.

use std::sync::Arc;

use super::annotations_fields::{Fields, read_fields};
use super::annotations_yaml::Problem;
use super::ast::{Annotation, Location, Module};
use super::lexer::Comment;
use super::parser::SyntaxError;
use crate::eval::value::Value;

/// Bytes that a block may have.
const MAX_BLOCK: usize = 256 << 10;

/// Reads all blocks of a text.
///
/// # Errors
/// OPA refuses one, or its fields exceed a limit.
pub(super) fn read(file: u32, comments: &[Comment<'_>]) -> Result<Vec<Annotation>, Vec<SyntaxError>> {
    let mut annotations = vec![];
    let mut errors = vec![];
    for (i, start) in comments.iter().enumerate().filter(|(_, comment)| is_start(comment)) {
        let location = Location { file, row: start.row, col: start.col };
        let block = block(comments.get(i..).unwrap_or_default());
        match fields(block) {
            Ok(fields) => {
                annotations.push(annotation(location, fields));
            }
            Err(problem) => {
                errors.push(SyntaxError { location, code: problem.code, message: problem.message });
            }
        }
    }
    if errors.is_empty() { Ok(annotations) } else { Err(errors) }
}

fn is_start(comment: &Comment<'_>) -> bool {
    comment.col == 1 && comment.text.trim().starts_with("METADATA")
}

/// The comments right below the first one, up to where another block or something else begins.
fn block<'c, 't>(comments: &'c [Comment<'t>]) -> &'c [Comment<'t>] {
    let goes_on = |pair: &[Comment<'t>]| {
        let [before, comment] = pair else { return false };
        comment.col == 1 && comment.row == before.row + 1 && !is_start(comment)
    };
    let len = comments.windows(2).take_while(|pair| goes_on(pair)).count();
    comments.get(1..=len).unwrap_or_default()
}

fn fields(comments: &[Comment<'_>]) -> Result<Fields, Problem> {
    let mut text = String::new();
    for comment in comments {
        text.push_str(comment.text.strip_prefix(' ').unwrap_or(comment.text));
        text.push('\n');
    }
    if text.len() > MAX_BLOCK {
        return Err(Problem::limit(format!("a metadata block of more than {MAX_BLOCK} bytes")));
    }
    read_fields(&text)
}

fn annotation(location: Location, fields: Fields) -> Annotation {
    let value = Value::object(fields.entries);
    Annotation { location, scope: Arc::from(fields.scope), value, entrypoint: fields.entrypoint }
}

// === What a block stands before ===

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Package,
    Import,
    Rule,
}

/// Gives each block its scope, and checks that it may stand where it stands.
pub(super) fn attach(module: &mut Module) -> Vec<SyntaxError> {
    let mut targets = vec![(module.package.location.row, Target::Package)];
    targets.extend(module.imports.iter().map(|import| (import.location.row, Target::Import)));
    targets.extend(module.rules.iter().map(|rule| (rule.location.row, Target::Rule)));
    targets.sort_by_key(|(row, _)| *row);
    let mut errors = vec![];
    for annotation in &mut module.annotations {
        let below = targets.partition_point(|(row, _)| *row <= annotation.location.row);
        let target = targets.get(below).map(|(_, target)| *target);
        set_scope(annotation, target);
        errors.extend(problem(annotation, target).map(|message| SyntaxError::new(annotation.location, message)));
    }
    errors
}

fn set_scope(annotation: &mut Annotation, target: Option<Target>) {
    if annotation.scope.is_empty() {
        annotation.scope = Arc::from(match target {
            Some(Target::Rule) if annotation.entrypoint => "document",
            Some(Target::Rule) => "rule",
            Some(Target::Package) => "package",
            Some(Target::Import) => "import",
            None => "",
        });
    }
    let mut entries = annotation.value.as_object().map(|object| object.entries().to_vec()).unwrap_or_default();
    entries.push((Value::from("scope"), Value::from(&*annotation.scope)));
    annotation.value = Value::object(entries);
}

fn problem(annotation: &Annotation, target: Option<Target>) -> Option<String> {
    let scope = &*annotation.scope;
    let (wanted, name) = match scope {
        "rule" | "document" => (Target::Rule, "rule"),
        "package" | "subpackages" => (Target::Package, "package"),
        _ => {
            return Some(format!(
                "invalid annotation scope '{scope}'. Use one of 'rule', 'document', 'package', or 'subpackages'"
            ));
        }
    };
    if target != Some(wanted) {
        return Some(format!("annotation scope '{scope}' must be applied to {name}"));
    }
    if annotation.entrypoint && !matches!(scope, "document" | "package") {
        return Some(format!("annotation entrypoint applied to non-document or package scope '{scope}'"));
    }
    None
}
