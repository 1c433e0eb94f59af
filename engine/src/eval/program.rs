//! A bundle's policy, compiled: what is asked for decisions.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::admission::{Admitted, admit, path_of};
use super::builtins::budget::Limits;
use super::index::{Cell, Decided, Index};
use super::input::fields::Field;
use super::input::parts::Sources;
use super::input::reads::{Inputs, ReadSet};
use super::machine::{Answer, Buffers, Entry, Findings, Halt, HaltKind, Known, Query, Swallowed};
use super::plan::{Plan, Subject};
use super::value::Value;
use super::verdict::{Judged, Verdicts, judge};
use crate::bundle::{self, BuiltinErrors, Bundle, Settings};
use crate::digest::Digest;
use crate::error::Refusal;

/// What one evaluation may take. Time is the thread's own, so that a busy machine doesn't deny; an answer later than that
/// is of no use to anybody. Memory is all that is allocated, freed or not.
pub(super) const DECISION: Limits = Limits { steps: 5_000_000, bytes: 32 << 20, time: Duration::from_millis(40) };

/// For smoke vectors: nobody waits for them.
const PATIENT: Limits = Limits { steps: 50_000_000, bytes: 32 << 20, time: Duration::from_millis(200) };

static PROGRAMS: AtomicU64 = AtomicU64::new(1);

/// Data under the remote roots.
#[derive(Debug, Clone, Default)]
pub enum RemoteData {
    /// Not held: what depends on it isn't certain. What an edge has.
    #[default]
    Unheld,
    /// Held, as one JSON object of what lies under `data`. What the control plane has.
    Held(serde_json::Value),
}

/// A bundle compiled. Immutable; any number of threads may evaluate it.
pub(crate) struct Program {
    /// Names it in this process.
    number: u64,
    settings: Settings,
    digest: Digest,
    plan: Plan,
    /// By the plan's selections.
    indexes: Vec<Option<Index>>,
    data: Value,
    entrypoints: BTreeMap<String, Entrypoint>,
    /// Of whatever else is asked.
    whole: ReadSet,
    rules: usize,
}

/// A rule that may be asked for decisions.
pub(crate) struct Entrypoint {
    entry: Entry,
    reads: ReadSet,
    /// Where the fields come from; none if the whole input is one.
    sources: Option<Sources>,
    /// Which of the program's indexes chooses among its definitions.
    index: Option<usize>,
    pub(crate) reads_time: bool,
    /// As the manifest has it.
    pub(crate) asked: bundle::Entrypoint,
}

/// What an evaluation came to.
#[derive(Debug, PartialEq)]
pub(crate) enum Evaluated {
    /// A value.
    Value(Value),
    /// No value for this input.
    Undefined,
    /// The value depends on data that isn't held.
    Unknown {
        /// The first remote root that was read.
        root: String,
        /// The values it may be, if they are known, and whether it may have none.
        candidates: Option<Vec<Value>>,
        undefined: bool,
    },
    /// Two definitions disagree.
    Conflict(String),
    /// OPA has an answer that can't be given here.
    Unsupported(String),
    /// The evaluation took more than it may; what of.
    Budget(String),
    /// The evaluator panicked. Nothing of it is left; the next evaluation starts anew.
    Panic,
}

/// An evaluation, and what was found on the way.
#[derive(Debug)]
pub(crate) struct Evaluation {
    pub(crate) value: Evaluated,
    /// The first error of a builtin that OPA's default mode takes for undefined.
    pub(crate) swallowed: Option<Swallowed>,
    /// Whether errors of builtins, or others, may be raised depending on data that isn't held.
    pub(crate) may_swallow: bool,
    pub(crate) may_halt: bool,
}

impl Evaluation {
    /// Without findings.
    pub(super) fn plain(value: Evaluated) -> Self {
        Self { value, swallowed: None, may_swallow: false, may_halt: false }
    }

    pub(super) fn panicked() -> Self {
        Self::plain(Evaluated::Panic)
    }
}

impl Entrypoint {
    /// The parts of an input that it reads.
    pub(crate) fn reads(&self) -> &ReadSet {
        &self.reads
    }

    /// Where these come from; none if the whole input is one.
    pub(crate) fn sources(&self) -> Option<&Sources> {
        self.sources.as_ref()
    }
}

impl Program {
    /// Compiles `bundle` and runs its smoke vectors.
    ///
    /// # Errors
    /// Anything that can't be served as OPA would answer it, or could hurt the host, named with its place.
    pub(crate) fn compile(bundle: &Bundle, remote_data: &RemoteData) -> Result<Self, Refusal> {
        #[cfg(test)]
        super::fault::arm(bundle);
        let Admitted { plan, data, rules, entrypoints } = admit(bundle, remote_data)?;
        let entrypoints = entrypoints.into_iter().map(|(dotted, entry, reachable)| {
            let reads_time = reachable.builtins.contains("time.now_ns");
            let reads =
                reachable.input.map_or_else(|| ReadSet::whole(&plan.inputs), |read| ReadSet::of(&plan.inputs, &read));
            let asked = bundle.settings.entrypoints.get(&dotted).cloned().unwrap_or_default();
            let group = entry.whole_group();
            let index = plan.selections.iter().position(|selection| group == Some(selection.group));
            (dotted, Entrypoint { entry, sources: Sources::of(&reads), index, reads, reads_time, asked })
        });
        let program = Self {
            number: PROGRAMS.fetch_add(1, Ordering::Relaxed),
            settings: bundle.settings.clone(),
            digest: bundle.digest(),
            entrypoints: entrypoints.collect(),
            whole: ReadSet::whole(&plan.inputs),
            indexes: plan.selections.iter().map(|selection| Index::new(&plan, selection)).collect(),
            plan,
            data,
            rules,
        };
        program.run_vectors(bundle, remote_data)?;
        Ok(program)
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Of everything that decides.
    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    /// The rule at a dotted path, if it may be asked for decisions.
    pub(crate) fn entrypoint(&self, path: &str) -> Option<&Entrypoint> {
        self.entrypoints.get(path)
    }

    /// How many definitions of rules it holds.
    pub(crate) fn rules(&self) -> usize {
        self.rules
    }

    /// Evaluates the document at a dotted path, `data.a.b`.
    pub(crate) fn evaluate(&self, path: &str, input: Option<&Value>, now_ns: i64) -> Evaluation {
        self.run(path, input, now_ns, DECISION)
    }

    /// Evaluates with more time.
    pub(super) fn evaluate_patiently(&self, path: &str, input: &Value, now_ns: i64) -> Evaluation {
        self.run(path, Some(input), now_ns, PATIENT)
    }

    /// What an entrypoint says about an input of which its fields are filled; there is a cell in `values` for each.
    pub(crate) fn decide(
        &self,
        entrypoint: &Entrypoint,
        fields: &[Field<'_>],
        values: &[OnceCell<Value>],
        now_ns: i64,
        buffers: &mut Buffers,
        verdicts: &mut Verdicts,
    ) -> Judged {
        let inputs = Inputs { paths: &self.plan.inputs, reads: &entrypoint.reads, fields, values };
        let errors = entrypoint.asked.builtin_errors;
        if let Some(decided) = entrypoint.index.and_then(|index| self.decided(index, &inputs, buffers)) {
            return match decided {
                Decided::Constant(constant) => self.verdict_on(constant, errors, verdicts),
                Decided::Undefined => judge(Evaluation::plain(Evaluated::Undefined), errors),
            };
        }
        let Some(answer) = self.answer(&entrypoint.entry, inputs, now_ns, DECISION, buffers) else {
            return judge(Evaluation::panicked(), errors);
        };
        if answer.findings == Findings::default()
            && let Known::Value(Cow::Borrowed(value)) = &answer.value
            && let Some(constant) = self.plan.constant_number(value)
        {
            return self.verdict_on(constant, errors, verdicts);
        }
        judge(self.evaluation(answer), errors)
    }

    /// What an index says by itself.
    fn decided(&self, index: usize, inputs: &Inputs<'_>, buffers: &mut Buffers) -> Option<Decided> {
        let index = self.indexes.get(index)?.as_ref()?;
        let mut cell = |subject: &Subject| match subject {
            Subject::Input { path, rest } => inputs.seen(*path, rest).map_or(Cell::Unknown, Cell::Known),
            Subject::Data(_) | Subject::Argument(_) => Cell::Unknown,
        };
        index.decide(&mut cell, buffers.scratch())
    }

    /// What an index says by itself about the document at a path.
    #[cfg(any(test, feature = "internals"))]
    pub(super) fn decided_about(&self, path: &str, input: Option<&Value>) -> Option<Decided> {
        let (fields, values) = ([input.map_or(Field::Absent, Field::of)], [OnceCell::new()]);
        let inputs = Inputs { paths: &self.plan.inputs, reads: &self.whole, fields: &fields, values: &values };
        self.decided(self.index_of(&Entry::new(&self.plan, &path_of(path)))?, &inputs, &mut Buffers::default())
    }

    #[cfg(any(test, feature = "internals"))]
    pub(super) fn constant(&self, number: u32) -> Option<&Value> {
        self.plan.constants.get(number as usize)
    }

    #[cfg(any(test, feature = "internals"))]
    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    #[cfg(any(test, feature = "internals"))]
    pub(super) fn indexes(&self) -> &[Option<Index>] {
        &self.indexes
    }

    #[cfg(any(test, feature = "internals"))]
    fn index_of(&self, entry: &Entry) -> Option<usize> {
        self.plan.selections.iter().position(|selection| entry.whole_group() == Some(selection.group))
    }

    fn verdict_on(&self, constant: u32, errors: BuiltinErrors, verdicts: &mut Verdicts) -> Judged {
        verdicts.of(self.number, constant, || {
            let value =
                self.plan.constants.get(constant as usize).cloned().map_or(Evaluated::Undefined, Evaluated::Value);
            judge(Evaluation::plain(value), errors)
        })
    }

    fn run(&self, path: &str, input: Option<&Value>, now_ns: i64, limits: Limits) -> Evaluation {
        let found;
        let entry = match self.entrypoints.get(path) {
            Some(entrypoint) => &entrypoint.entry,
            None => {
                found = Entry::new(&self.plan, &path_of(path));
                &found
            }
        };
        let fields = [input.map_or(Field::Absent, Field::of)];
        let values = [OnceCell::new()];
        let inputs = Inputs { paths: &self.plan.inputs, reads: &self.whole, fields: &fields, values: &values };
        let answer = self.answer(entry, inputs, now_ns, limits, &mut Buffers::default());
        answer.map_or_else(Evaluation::panicked, |answer| self.evaluation(answer))
    }

    /// None if the evaluator panicked.
    fn answer<'p>(
        &'p self,
        entry: &Entry,
        input: Inputs<'p>,
        now_ns: i64,
        limits: Limits,
        buffers: &mut Buffers,
    ) -> Option<Answer<'p>> {
        self.answer_by(&self.indexes, entry, input, now_ns, limits, buffers)
    }

    /// With these indexes; none of a plan's selections needs one.
    pub(super) fn answer_by<'p>(
        &'p self,
        indexes: &'p [Option<Index>],
        entry: &Entry,
        input: Inputs<'p>,
        now_ns: i64,
        limits: Limits,
        buffers: &mut Buffers,
    ) -> Option<Answer<'p>> {
        let query = Query { plan: &self.plan, indexes, data: &self.data, input, limits, now_ns };
        catch_unwind(AssertUnwindSafe(|| query.run(entry, buffers))).ok()
    }

    pub(super) fn evaluation(&self, answer: Answer<'_>) -> Evaluation {
        let Findings { swallowed, may_swallow, may_halt, remote } = answer.findings;
        let value = match answer.value {
            Known::Value(value) => Evaluated::Value(value.into_owned()),
            Known::Undefined => Evaluated::Undefined,
            Known::Unknown { candidates, undefined } => {
                let root = remote.and_then(|root| self.settings.remote_roots.get(root)).cloned();
                Evaluated::Unknown { root: root.unwrap_or_default(), candidates, undefined }
            }
            Known::Halted(Halt { kind: HaltKind::Conflict, message, location }) => {
                Evaluated::Conflict(format!("line {}: {message}", location.row))
            }
            Known::Halted(Halt { message, location, .. }) => {
                Evaluated::Unsupported(format!("line {}: {message}", location.row))
            }
            Known::Stopped(limit) => Evaluated::Budget(limit.to_string()),
        };
        Evaluation { value, swallowed, may_swallow, may_halt }
    }
}
