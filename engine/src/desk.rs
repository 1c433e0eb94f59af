//! What a thread decides with: memory that one decision leaves to the next.

use std::cell::{OnceCell, RefCell};

use crate::bundle::DEFAULT_ENTRYPOINT;
use crate::context::{Context, Held};
use crate::eval::{
    Buffers, Entrypoint, Field, Judged, Parts, Program, Scanned, Scratch, Sources, Value, Verdicts, Wanted, built,
    emptied, request, scan,
};
use crate::identity::Identity;
use crate::request::BadInput;

thread_local! {
    static DESK: RefCell<Desk> = RefCell::default();
}

/// A thread's memory for deciding. Nothing in it outlives a decision but its capacity, and verdicts on constants.
#[derive(Default)]
pub(crate) struct Desk {
    fields: Vec<Field<'static>>,
    values: Vec<OnceCell<Value>>,
    scratch: Scratch,
    buffers: Buffers,
    verdicts: Verdicts,
}

/// Who asks, and for whom.
#[derive(Clone, Copy)]
pub(crate) struct Asking<'i> {
    pub(crate) tenant: &'i str,
    pub(crate) identity: Option<&'i Identity>,
}

/// A request that was read while its bytes were checked.
pub(crate) struct Page<'i> {
    pub(crate) names: Scanned<'i>,
    /// What is wanted of its context.
    pub(crate) fields: Vec<Field<'i>>,
}

/// Lets `work` have the thread's memory; some of its own if that is in use, or the thread is ending.
pub(crate) fn with<T>(work: impl FnOnce(&mut Desk) -> T) -> T {
    let taken = DESK.try_with(|desk| desk.try_borrow_mut().map(|mut desk| std::mem::take(&mut *desk)));
    let mut desk = taken.ok().and_then(Result::ok).unwrap_or_default();
    let done = work(&mut desk);
    let _ = DESK.try_with(|kept| kept.try_borrow_mut().map(|mut kept| *kept = desk));
    done
}

impl Desk {
    /// What an entrypoint says about a request; `document` makes the whole input, where it is needed.
    ///
    /// # Errors
    /// The request isn't strict.
    pub(crate) fn judge(
        &mut self,
        (program, entrypoint): (&Program, &Entrypoint),
        now_ns: i64,
        asking: Asking<'_>,
        parts: &Parts<'_>,
        context: &Context,
        document: impl FnOnce() -> Result<Value, BadInput>,
    ) -> Result<Judged, BadInput> {
        let Some(sources) = entrypoint.sources() else {
            return Ok(self.evaluate((program, entrypoint), now_ns, &[Field::of(&document()?)]));
        };
        let wanted = entrypoint.reads().wanted();
        let mut fields = lent(&mut self.fields, wanted.len());
        sources.fill(parts, asking.tenant, asking.identity, &mut fields)?;
        match (context.held(), sources.context()) {
            (Held::Text(text), at) => {
                scan::scan(text, wanted, at, &mut fields, &mut self.scratch)
                    .map_err(|e| BadInput(format!("context: {e}")))?;
            }
            (Held::Built(value), Some(at)) => built::fill(value, wanted, at, &mut fields),
            (Held::Built(_), None) => {}
        }
        let judged = self.evaluate((program, entrypoint), now_ns, &fields);
        self.fields = emptied(fields);
        Ok(judged)
    }

    /// Reads a request's bytes for whatever entrypoint it names. None if they are to be read another way.
    pub(crate) fn read<'i>(&mut self, program: &Program, json: &'i [u8]) -> Option<Page<'i>> {
        // Which entrypoint it names may only be known at its end.
        let usual = program.entrypoint(DEFAULT_ENTRYPOINT);
        let (nothing, at) = (Wanted::default(), usual.and_then(Entrypoint::sources).and_then(Sources::context));
        let wanted = usual.map_or(&nothing, |usual| usual.reads().wanted());
        let mut fields = lent(&mut self.fields, wanted.len());
        let names = request::request(json, wanted, at, &mut fields, &mut self.scratch)?;
        let named = match &*names.entrypoint {
            "" | DEFAULT_ENTRYPOINT => usual,
            path => program.entrypoint(path),
        };
        if let Some(entrypoint) = named {
            let sources = entrypoint.sources()?;
            if !usual.is_some_and(|usual| std::ptr::eq(usual, entrypoint)) {
                let wanted = entrypoint.reads().wanted();
                fields.clear();
                fields.resize_with(wanted.len(), Field::default);
                scan::scan(names.context, wanted, sources.context(), &mut fields, &mut self.scratch).ok()?;
            }
        }
        Some(Page { names, fields })
    }

    /// What the entrypoint that a page was read for says about it.
    ///
    /// # Errors
    /// The identity's claims aren't strict.
    pub(crate) fn judge_page<'i>(
        &mut self,
        policy: (&Program, &Entrypoint),
        now_ns: i64,
        asking: Asking<'i>,
        parts: &Parts<'i>,
        fields: &mut [Field<'i>],
    ) -> Result<Judged, BadInput> {
        if let Some(sources) = policy.1.sources() {
            sources.fill(parts, asking.tenant, asking.identity, fields)?;
        }
        Ok(self.evaluate(policy, now_ns, fields))
    }

    /// Takes the memory of a page back.
    pub(crate) fn put_back(&mut self, fields: Vec<Field<'_>>) {
        self.fields = emptied(fields);
    }

    fn evaluate(
        &mut self,
        (program, entrypoint): (&Program, &Entrypoint),
        now_ns: i64,
        fields: &[Field<'_>],
    ) -> Judged {
        self.values.clear();
        self.values.resize_with(fields.len(), OnceCell::new);
        program.decide(entrypoint, fields, &self.values, now_ns, &mut self.buffers, &mut self.verdicts)
    }
}

/// The memory of the last fields, for as many new ones.
fn lent<'i>(fields: &mut Vec<Field<'static>>, len: usize) -> Vec<Field<'i>> {
    let mut lent: Vec<Field<'i>> = emptied(std::mem::take(fields));
    lent.resize_with(len, Field::default);
    lent
}
