//! Data that isn't held here.
//!
//! A reference to a remote root, `data.approvals`, is rewritten at its span into a call of [`UNHELD`], which notes that it
//! was reached and raises an error. So an evaluation that never gets there is certain, and one that does is uncertain,
//! whatever it would have made of the value. This is coarser than three-valued evaluation (a body that fails either way
//! still counts as uncertain), and errs on the side of asking.

use std::cell::RefCell;
use std::collections::BTreeMap;

use anyhow::bail;
use regorus::{Engine, Value};

use super::syntax::{Facts, Reference, Step};
use crate::error::{Refusal, Stage};

/// The function that stands in for unheld data. Its package can't be written by a policy: see
/// [`compile`](super::compile).
pub(super) const UNHELD: &str = "__meshguard.unheld";

thread_local! {
    /// The remote root that the evaluation running on this thread read, if any.
    static TOUCHED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Forgets what an earlier evaluation on this thread read.
pub(super) fn forget() {
    TOUCHED.with(|touched| *touched.borrow_mut() = None);
}

/// What this thread's evaluation read of what isn't held.
pub(super) fn touched() -> Option<String> {
    TOUCHED.with(|touched| touched.borrow_mut().take())
}

/// Teaches `engine` the stand-in.
pub(super) fn register(engine: &mut Engine) -> anyhow::Result<()> {
    engine.add_extension(
        UNHELD.to_owned(),
        1,
        Box::new(|arguments: Vec<Value>| {
            let root = match arguments.first() {
                Some(Value::String(root)) => root.to_string(),
                _ => "data".to_owned(),
            };
            TOUCHED.with(|touched| *touched.borrow_mut() = Some(root.clone()));
            bail!("`{root}` is not held here")
        }),
    )
}

/// Where references to remote roots stand; or why they can't be told apart from others.
pub(super) fn check_remote<'a>(
    facts: &Facts,
    roots: &'a [String],
) -> Result<Vec<(std::ops::Range<usize>, &'a str)>, Refusal> {
    let mut rewrites = BTreeMap::new();
    for root in roots {
        let names: Vec<&str> = root.split('.').collect();
        let refuse = |reference: &Reference, what: &str| {
            let detail = format!("line {}: {what} `{root}`, which is remote", reference.span.line);
            Err(Refusal::new(Stage::Compile, "remote_root", detail))
        };
        for import in &facts.import_references {
            if meets(import, &names).is_some() {
                return refuse(import, "an import that covers data; write references in full instead. It covers");
            }
        }
        for rule in &facts.rules {
            let path: Vec<&str> = std::iter::once("data").chain(rule.path.iter().map(String::as_str)).collect();
            if path.iter().zip(&names).all(|(a, b)| a == b) {
                let detail = format!("line {}: a rule at or around `{root}`, which is remote", rule.span.line);
                return Err(Refusal::new(Stage::Compile, "remote_root", detail));
            }
            for target in &rule.replaced {
                if meets(target, &names).is_some() {
                    return refuse(target, "`with` replaces data that includes");
                }
            }
            for reference in &rule.references {
                match meets(reference, &names) {
                    None => {}
                    Some(Meets::Below(span)) => {
                        rewrites.insert(span.start as usize, (span.start as usize..span.end as usize, root.as_str()));
                    }
                    Some(Meets::Around) => {
                        return refuse(reference, "this reads more than can be told from data that includes");
                    }
                }
            }
        }
    }
    Ok(rewrites.into_values().collect())
}

enum Meets<'a> {
    /// The reference is the root or something under it; the root's own text is here.
    Below(&'a regorus::unstable::Span),
    /// The reference is, or may be, a parent of the root.
    Around,
}

fn meets<'a>(reference: &'a Reference, root: &[&str]) -> Option<Meets<'a>> {
    let (first, rest) = root.split_first()?;
    if reference.base != *first {
        return None;
    }
    let mut steps = reference.steps.iter();
    for name in rest {
        match steps.next() {
            Some(Step::Name(step)) if step == name => {}
            Some(Step::Name(_)) => return None,
            Some(Step::Computed) | None => return Some(Meets::Around),
        }
    }
    reference.spans.get(rest.len().checked_sub(1)?).map(Meets::Below)
}

/// Replaces spans by calls of the stand-in; lines stay where they are, so messages still point at the source.
pub(super) fn rewritten(text: &str, rewrites: Vec<(std::ops::Range<usize>, &str)>) -> Result<String, Refusal> {
    let mut result = text.to_owned();
    for (range, root) in rewrites.into_iter().rev() {
        if !result.get(range.clone()).is_some_and(|reference| reference.starts_with("data")) {
            let detail = format!("a reference to `{root}` can't be found in the text; write it on one line");
            return Err(Refusal::new(Stage::Compile, "remote_root", detail));
        }
        result.replace_range(range, &format!("{UNHELD}(\"{root}\")"));
    }
    Ok(result)
}
