//! Which parts of an input are read, and the input as far as it is.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::fields::{Field, Wanted};
use crate::eval::value::{Number, Value};

/// A path of keys.
pub(crate) type Path = Box<[Arc<str>]>;

/// The parts of an input that an evaluation can read, and where each path of the plan is found among them.
#[derive(Debug)]
pub(crate) struct ReadSet {
    wanted: Wanted,
    fields: Vec<Path>,
    /// By the path's number; none if nothing reads it.
    places: Vec<Option<Place>>,
}

/// A path leads to a field, or into it.
#[derive(Debug, Clone, Copy)]
struct Place {
    field: u32,
    /// How much of the path leads to the field.
    skip: u32,
}

/// A path that isn't in the read set was asked for: our own bug.
#[derive(Debug)]
pub(crate) struct NotRead;

/// An input, as far as it is read.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'i> {
    /// The plan's paths.
    pub(crate) paths: &'i [Path],
    pub(crate) reads: &'i ReadSet,
    pub(crate) fields: &'i [Field<'i>],
    /// The fields as values, made when they are needed: as many as there are fields.
    pub(crate) values: &'i [OnceCell<Value>],
}

/// What lies somewhere in an input.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Seen<'i> {
    Absent,
    Null,
    Bool(bool),
    Number(&'i Number),
    Text(&'i str),
    /// An array, an object or a set.
    Tree(&'i Value),
}

impl ReadSet {
    /// Of everything, as one field.
    pub(crate) fn whole(paths: &[Path]) -> Self {
        let fields = vec![Path::from([])];
        Self { wanted: Wanted::new(&fields), fields, places: vec![Some(Place { field: 0, skip: 0 }); paths.len()] }
    }

    /// Of some of the plan's paths, by number.
    pub(crate) fn of(paths: &[Path], read: &BTreeSet<u32>) -> Self {
        let path = |number: &u32| paths.get(*number as usize);
        let mut sorted: Vec<&Path> = read.iter().filter_map(path).collect();
        // A path stands before those that it leads into.
        sorted.sort();
        let mut fields: Vec<Path> = vec![];
        for path in sorted {
            if !fields.last().is_some_and(|last| path.starts_with(last)) {
                fields.push(path.clone());
            }
        }
        let place = |number: u32| {
            let path = path(&number).filter(|_| read.contains(&number))?;
            let at = fields.partition_point(|field| field <= path).checked_sub(1)?;
            let field = fields.get(at).filter(|field| path.starts_with(field))?;
            Some(Place { field: u32::try_from(at).ok()?, skip: u32::try_from(field.len()).ok()? })
        };
        let places = (0..).take(paths.len()).map(place).collect();
        Self { wanted: Wanted::new(&fields), fields, places }
    }

    pub(crate) fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// The paths of the fields, none of which leads into another.
    pub(crate) fn fields(&self) -> &[Path] {
        &self.fields
    }
}

impl<'i> Inputs<'i> {
    /// What lies at one of the plan's paths.
    ///
    /// # Errors
    /// The path isn't in the read set.
    pub(crate) fn value(&self, path: u32) -> Result<Option<&'i Value>, NotRead> {
        let place = self.place(path)?;
        let Some(field) = self.field(place) else { return Ok(None) };
        let rest = self.rest(path, place);
        Ok(rest.iter().try_fold(field, |value, name| value.get_str(name)))
    }

    /// The whole of it.
    ///
    /// # Errors
    /// Only parts are read.
    pub(crate) fn root(&self) -> Result<Option<&'i Value>, NotRead> {
        match self.reads.fields.first() {
            Some(path) if path.is_empty() => Ok(self.field(Place { field: 0, skip: 0 })),
            _ => Err(NotRead),
        }
    }

    /// What lies at one of the plan's paths and, from there, at `rest`, without making a value of it.
    ///
    /// # Errors
    /// The path isn't in the read set.
    #[inline]
    pub(crate) fn seen(&self, path: u32, rest: &[Value]) -> Result<Seen<'i>, NotRead> {
        let place = self.place(path)?;
        let Some(field) = self.fields.get(place.field as usize) else { return Ok(Seen::Absent) };
        let names = self.rest(path, place);
        match field {
            Field::Tree(tree) => {
                let found = names.iter().try_fold(tree, |value, name| value.get_str(name));
                let found = rest.iter().fold(found, |found, key| found?.get(key));
                Ok(found.map_or(Seen::Absent, Seen::of))
            }
            // A scalar has nothing in it.
            _ if !names.is_empty() || !rest.is_empty() => Ok(Seen::Absent),
            Field::Absent => Ok(Seen::Absent),
            Field::Null => Ok(Seen::Null),
            Field::Bool(value) => Ok(Seen::Bool(*value)),
            Field::Number(number) => Ok(Seen::Number(number)),
            Field::Text(text) => Ok(Seen::Text(text)),
        }
    }

    fn place(&self, path: u32) -> Result<Place, NotRead> {
        self.reads.places.get(path as usize).copied().flatten().ok_or(NotRead)
    }

    fn rest(&self, path: u32, place: Place) -> &'i [Arc<str>] {
        self.paths.get(path as usize).and_then(|path| path.get(place.skip as usize..)).unwrap_or_default()
    }

    fn field(&self, place: Place) -> Option<&'i Value> {
        let (field, cell) = (self.fields.get(place.field as usize)?, self.values.get(place.field as usize)?);
        let value = match field {
            Field::Absent => return None,
            Field::Tree(tree) => return Some(tree),
            Field::Null => Value::Null,
            Field::Bool(value) => Value::Bool(*value),
            Field::Number(number) => Value::Number(number.clone()),
            Field::Text(text) => return Some(cell.get_or_init(|| Value::from(&**text))),
        };
        Some(cell.get_or_init(|| value))
    }
}

impl<'i> Seen<'i> {
    pub(crate) fn of(value: &'i Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(number),
            Value::String(text) => Self::Text(text),
            tree => Self::Tree(tree),
        }
    }
}

impl<'i> Field<'i> {
    /// A document that is held.
    pub(crate) fn of(value: &'i Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(text) => Self::Text(std::borrow::Cow::Borrowed(text)),
            tree => Self::Tree(tree.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(dotted: &str) -> Path {
        dotted.split('.').filter(|name| !name.is_empty()).map(Arc::from).collect()
    }

    fn fields(reads: &ReadSet) -> Vec<String> {
        reads.fields().iter().map(|path| path.join(".")).collect()
    }

    #[test]
    fn longer_paths_lead_into_shorter_ones() {
        let paths = ["a.b", "a", "a-x", "a.b.c", "d.e", "d.f", "g"].map(path);
        let all: BTreeSet<u32> = (0..6).collect();
        assert_eq!(fields(&ReadSet::of(&paths, &all)), ["a", "a-x", "d.e", "d.f"]);
        assert_eq!(fields(&ReadSet::of(&paths, &[0, 3].into())), ["a.b"]);
        assert_eq!(fields(&ReadSet::whole(&paths)), [""]);
    }

    #[test]
    fn each_path_is_found_whatever_else_is_read() {
        let paths = ["a.b", "a", "a.b.c", "x"].map(path);
        let text = r#"{"a": {"b": {"c": "deep"}}, "x": 1}"#;
        let root = crate::eval::value::json::read(text, crate::eval::value::json::STRICT).unwrap();
        let follow = |number: u32| {
            let path = paths.get(number as usize).unwrap();
            path.iter().try_fold(&root, |value, name| value.get_str(name)).cloned()
        };
        for read in [vec![0, 1, 2, 3], vec![2, 3], vec![0, 2], vec![3]] {
            let reads = ReadSet::of(&paths, &read.iter().copied().collect());
            let found = |path: &Path| path.iter().try_fold(&root, |value, name| value.get_str(name));
            let fields: Vec<Field<'_>> =
                reads.fields().iter().map(|path| found(path).map_or(Field::Absent, Field::of)).collect();
            let values = vec![OnceCell::new(); fields.len()];
            let inputs = Inputs { paths: &paths, reads: &reads, fields: &fields, values: &values };
            for number in 0..4 {
                match inputs.value(number) {
                    Ok(value) => assert_eq!(value.cloned(), follow(number), "{number} of {read:?}"),
                    Err(NotRead) => assert!(!read.contains(&number), "{number} of {read:?}"),
                }
            }
        }
    }
}
