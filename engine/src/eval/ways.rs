//! Holds the ways of evaluating against each other: with indexes and without, from a whole input and from the fields that
//! are read. What they answer mustn't differ. For tests, oracles and fuzzing.

use std::cell::OnceCell;

use super::Value;
use super::admission::path_of;
use super::index::Decided;
use super::input::fields::Field;
use super::input::reads::{Inputs, Path, ReadSet};
use super::machine::{Buffers, Entry};
use super::plan::reachable;
use super::program::{DECISION, Evaluated, Evaluation, Program};

impl Program {
    /// Evaluates in every way.
    ///
    /// # Errors
    /// Two of them differ; which.
    pub(crate) fn evaluate_every_way(
        &self,
        path: &str,
        input: Option<&Value>,
        now_ns: i64,
    ) -> Result<Evaluation, String> {
        let evaluation = self.evaluate(path, input, now_ns);
        let entry = Entry::new(self.plan(), &path_of(path));
        let root = [input.map_or(Field::Absent, Field::of)];
        let whole = ReadSet::whole(&self.plan().inputs);
        let run = |reads: &ReadSet, fields: &[Field<'_>], indexed: bool| {
            let values = vec![OnceCell::new(); fields.len()];
            let inputs = Inputs { paths: &self.plan().inputs, reads, fields, values: &values };
            let indexes = if indexed { self.indexes() } else { &[] };
            let answer = self.answer_by(indexes, &entry, inputs, now_ns, DECISION, &mut Buffers::default());
            answer.map_or_else(Evaluation::panicked, |answer| self.evaluation(answer))
        };
        same("without an index", &evaluation, &run(&whole, &root, false))?;
        let read = reachable(self.plan(), &entry).input;
        if let Some(read) = read {
            let reads = ReadSet::of(&self.plan().inputs, &read);
            let at = |path: &Path| path.iter().try_fold(input?, |value, name| value.get_str(name)).map(Field::of);
            let fields: Vec<Field<'_>> = reads.fields().iter().map(|path| at(path).unwrap_or_default()).collect();
            same("from its fields", &evaluation, &run(&reads, &fields, true))?;
        }
        if let Some(decided) = self.decided_about(path, input) {
            let value = match decided {
                Decided::Constant(number) => {
                    self.constant(number).cloned().map_or(Evaluated::Undefined, Evaluated::Value)
                }
                Decided::Undefined => Evaluated::Undefined,
            };
            same("by the index alone", &evaluation, &Evaluation::plain(value))?;
        }
        Ok(evaluation)
    }
}

/// Which remote root was met first, and where a budget ended, aren't answers.
fn same(way: &str, a: &Evaluation, b: &Evaluation) -> Result<(), String> {
    let values = match (&a.value, &b.value) {
        (Evaluated::Budget(_), _) | (_, Evaluated::Budget(_)) => return Ok(()),
        (
            Evaluated::Unknown { candidates: a, undefined: x, .. },
            Evaluated::Unknown { candidates: b, undefined: y, .. },
        ) => a == b && x == y,
        (Evaluated::Value(a), Evaluated::Value(b)) => a.to_string() == b.to_string(),
        (a, b) => a == b,
    };
    let findings = |of: &Evaluation| (of.swallowed.clone(), of.may_swallow, of.may_halt);
    if values && findings(a) == findings(b) { Ok(()) } else { Err(format!("{a:?} and, {way}, {b:?}")) }
}
