//! Holds the quick readers against the slow ones, for tests and fuzzing: they take and refuse the same, and find the same.

use std::sync::Arc;

use super::fields::{Field, Wanted};
use super::request::{Scanned, request};
use super::scan::scan;
use super::scratch::Scratch;
use super::{built, read_strict};
use crate::context::{Context, Held};
use crate::eval::value::{Value, json};
use crate::request::Request;

type Path = Box<[Arc<str>]>;

/// How many choices of what is wanted are tried for each document.
const CHOICES: u64 = 4;

/// Reads `bytes` in all ways, as a document and as a request.
///
/// # Errors
/// What is read differently.
pub(crate) fn readers(bytes: &[u8]) -> Result<(), String> {
    let mut scratch = Scratch::default();
    if let Ok(text) = std::str::from_utf8(bytes) {
        document(text, &mut scratch)?;
    }
    whole_request(bytes, &mut scratch).map(|_| ())
}

/// Reads `text` as a document, and as a value that a host has built from it.
pub(super) fn document(text: &str, scratch: &mut Scratch) -> Result<(), String> {
    let read = json::read(text, json::STRICT);
    for choice in 0..CHOICES {
        let paths = read.as_ref().map_or_else(|_| guesses(choice), |value| paths(value, choice));
        let wanted = Wanted::new(&paths);
        let mut fields = vec![Field::Absent; wanted.len()];
        let scanned = scan(text, &wanted, Some(Wanted::ROOT), &mut fields, scratch);
        match (&read, scanned) {
            (Ok(value), Ok(())) => same(value, &paths, &fields)?,
            (Err(_), Err(_)) => {}
            (read, scanned) => return Err(format!("read: {:?}, scanned: {scanned:?}", read.as_ref().err())),
        }
    }
    serde_json::from_str(text).map_or(Ok(()), |value| built_value(value, scratch))
}

fn built_value(value: serde_json::Value, scratch: &mut Scratch) -> Result<(), String> {
    let text = value.to_string();
    let read = json::read(&text, json::STRICT);
    let context = Context::from_value(value);
    if read.is_ok() != context.is_ok() {
        return Err(format!("read: {:?}, built: {:?}", read.err(), context.err()));
    }
    let (Ok(read), Ok(context)) = (read, context) else { return Ok(()) };
    let Held::Built(value) = context.held() else { return Err("not held as it was built".into()) };
    if built::tree(value).is_none_or(|tree| tree.to_json() != read.to_json()) {
        return Err("the built value is another document".into());
    }
    for choice in 0..CHOICES {
        let paths = paths(&read, choice);
        let wanted = Wanted::new(&paths);
        let mut scanned = vec![Field::Absent; wanted.len()];
        scan(&text, &wanted, Some(Wanted::ROOT), &mut scanned, scratch).map_err(|e| e.to_string())?;
        let mut filled = vec![Field::Absent; wanted.len()];
        built::fill(value, &wanted, Wanted::ROOT, &mut filled);
        same(&read, &paths, &scanned)?;
        same(&read, &paths, &filled)?;
    }
    Ok(())
}

/// Reads `bytes` as a request; whether the quick way is sure of it.
pub(super) fn whole_request(bytes: &[u8], scratch: &mut Scratch) -> Result<bool, String> {
    let slow = Request::from_json(bytes);
    let context = slow.as_ref().ok().and_then(|slow| read_strict(&slow.context.as_json()).ok()).unwrap_or(Value::Null);
    let mut sure = false;
    for choice in 0..CHOICES {
        let paths = paths(&context, choice);
        let under: Vec<Path> = paths.iter().map(|path| [&["context".into()], &**path].concat().into()).collect();
        let wanted = Wanted::new(&under);
        let mut fields = vec![Field::Absent; wanted.len()];
        let place = wanted.child(Wanted::ROOT, "context");
        let Some(quick) = request(bytes, &wanted, place, &mut fields, scratch) else { continue };
        sure = true;
        let slow = slow.as_ref().map_err(|e| format!("read quickly, but {e}"))?;
        let read = read_strict(&slow.context.as_json()).map_err(|e| format!("read quickly, but {e}"))?;
        same(&read, &paths, &fields)?;
        if quick != names(slow, quick.context) || quick.context != slow.context.as_json() {
            return Err(format!("{quick:?} isn't {slow:?}"));
        }
    }
    Ok(sure)
}

fn names<'a>(request: &'a Request, context: &'a str) -> Scanned<'a> {
    Scanned {
        tenant_id: request.tenant_id.as_str().into(),
        request_id: request.request_id.as_str().into(),
        actor_id: request.actor.id.as_str().into(),
        action: request.action.as_str().into(),
        resource: request.resource.as_str().into(),
        trace_id: request.trace_id.as_str().into(),
        timestamp: request.timestamp.as_str().into(),
        delegation: request.delegation.as_str().into(),
        approval_id: request.approval_id.as_str().into(),
        context_hash: request.context_hash.as_str().into(),
        stage: request.stage.as_str().into(),
        mcp_tool: request.mcp_tool.as_str().into(),
        idempotency_key: request.idempotency_key.as_str().into(),
        entrypoint: request.entrypoint.as_str().into(),
        context,
    }
}

/// Whether each field is what lies at its path.
fn same(value: &Value, paths: &[Path], fields: &[Field<'_>]) -> Result<(), String> {
    paths.iter().zip(fields).try_for_each(|(path, field)| {
        let due = path.iter().try_fold(value, |at, key| at.get_str(key)).map(Value::to_json);
        let found = match field {
            Field::Absent => None,
            Field::Null => Some(Value::Null.to_json()),
            Field::Bool(value) => Some(Value::from(*value).to_json()),
            Field::Number(number) => Some(Value::from(number.clone()).to_json()),
            Field::Text(text) => Some(Value::from(&**text).to_json()),
            Field::Tree(value) => Some(value.to_json()),
        };
        if due == found { Ok(()) } else { Err(format!("at {path:?}: {found:?} instead of {due:?}")) }
    })
}

/// Paths into `value`, none of which leads into another, and some that lead nowhere. The first choice is all of it.
fn paths(value: &Value, choice: u64) -> Vec<Path> {
    let mut paths = vec![];
    if choice == 0 {
        paths.push([].into());
    } else {
        choose(value, &mut vec![], choice, &mut paths);
        paths.extend(elsewhere());
    }
    paths
}

fn choose(value: &Value, path: &mut Vec<Arc<str>>, choice: u64, paths: &mut Vec<Path>) {
    let entries = value.as_object().into_iter().flat_map(|object| object.iter());
    for (i, (key, value)) in (0..).zip(entries) {
        let Some(key) = key.as_str() else { continue };
        path.push(key.into());
        // One in three is wanted itself, one in three as far as something in it is, and one isn't.
        match (choice + i + path.len() as u64) % 3 {
            0 => paths.push(path.as_slice().into()),
            1 if value.as_object().is_some() => choose(value, path, choice, paths),
            1 => paths.push([path.as_slice(), &["in a scalar".into()]].concat().into()),
            _ => {}
        }
        path.pop();
    }
}

fn elsewhere() -> Vec<Path> {
    vec![["no such key".into()].into(), ["no such object".into(), "a".into()].into()]
}

/// Paths into a document that can't be read.
fn guesses(choice: u64) -> Vec<Path> {
    match choice {
        0 => vec![[].into()],
        1 => vec![["a".into()].into()],
        2 => vec![["a".into(), "b".into()].into()],
        _ => elsewhere(),
    }
}
