//! Asks the remote PDP where the local answer isn't certain. The only place where a decision waits for the network, and
//! never longer than its budget.
//!
//! The deciding thread may be anybody's, a tokio worker of the host's included: it only ever waits on a condition
//! variable. The call itself runs on the edge's own runtime.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use meshguard_engine::{AtLeast, Digest, Effect, Outcome, Request, Revision};
use meshguard_proto::v1;
use prost::Message;
use tokio::runtime::Handle;
use tokio::time::timeout_at;

use crate::breaker::{Breaker, Miss};
use crate::client::Gateway;
use crate::failure::Cause;
use crate::shared::Shared;
use crate::status::Deferred;
use crate::wire::{self, Answer, Failure};

/// Questions under way at once.
const MAX_QUESTIONS: usize = 256;

/// The largest question put, encoded, in bytes.
const MAX_QUESTION_BYTES: usize = 256 * 1024;

/// Whom to ask.
pub(crate) trait Ask: Send + Sync + 'static {
    /// Puts one question.
    fn ask(&self, question: v1::PolicyRequest, patience: Duration) -> Asking;
}

/// A question under way.
pub(crate) type Asking = Pin<Box<dyn Future<Output = Result<v1::PolicyResponse, tonic::Status>> + Send>>;

impl Ask for Gateway {
    fn ask(&self, question: v1::PolicyRequest, patience: Duration) -> Asking {
        let mut client = self.pdp();
        let mut request = self.question(question);
        request.set_timeout(patience);
        Box::pin(async move { client.evaluate(request).await.map(tonic::Response::into_inner) })
    }
}

/// Puts questions to the remote PDP, each only once at a time.
pub(crate) struct Deferrer {
    tenant: String,
    budget: Duration,
    handle: Handle,
    remote: Arc<dyn Ask>,
    breaker: Arc<Breaker>,
    flights: Arc<Flights>,
    counts: Arc<Counts>,
    shared: Arc<Shared>,
    closed: AtomicBool,
}

impl Deferrer {
    pub(crate) fn new(
        tenant: String,
        budget: Duration,
        handle: Handle,
        remote: Arc<dyn Ask>,
        counts: Arc<Counts>,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            tenant,
            budget,
            handle,
            remote,
            breaker: Arc::new(Breaker::new()),
            flights: Arc::default(),
            counts,
            shared,
            closed: AtomicBool::new(false),
        }
    }

    /// Puts no more questions.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(crate) fn breaker(&self) -> &'static str {
        self.breaker.name()
    }

    /// What the remote PDP decides. Blocks the calling thread, within the budget.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(crate) fn ask(&self, request: &Request, outcome: &Outcome) -> Result<Answer, Cause> {
        let started = Instant::now();
        self.counts.asked.fetch_add(1, Ordering::Relaxed);
        let held = outcome.revision();
        let answer = self.answer(request, outcome.program(), held, started).and_then(|answer| self.weigh(held, answer));
        self.counts.count(&answer);
        answer
    }

    fn answer(
        &self,
        request: &Request,
        program: Option<Digest>,
        held: Option<Revision>,
        started: Instant,
    ) -> Result<Answer, Cause> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Cause::Error("the edge is closed".into()));
        }
        let question = wire::request(request, &self.tenant, held.map(|revision| revision.order()));
        let size = question.encoded_len();
        if size > MAX_QUESTION_BYTES {
            let text = format!("the question has {size} bytes; the gateway is asked up to {MAX_QUESTION_BYTES}");
            return Err(Cause::Error(text));
        }
        let key = key(&self.tenant, program, &question);
        let flight = match self.flights.board(key, started, self.budget) {
            Boarded::Joined(flight) => {
                self.counts.shared.fetch_add(1, Ordering::Relaxed);
                flight
            }
            Boarded::Full => return Err(Cause::Busy(format!("{MAX_QUESTIONS} questions wait already"))),
            Boarded::Own(flight) => {
                self.depart(key, Arc::clone(&flight), question, started);
                flight
            }
        };
        flight
            .wait(started + self.budget)
            .unwrap_or_else(|| Err(Cause::Unavailable(format!("no answer within {} ms", self.budget.as_millis()))))
    }

    /// Puts a question of one's own.
    fn depart(&self, key: Digest, flight: Arc<Flight>, question: v1::PolicyRequest, started: Instant) {
        let landing = Landing { key, flight, flights: Arc::clone(&self.flights), is_down: false };
        if let Err(miss) = self.breaker.admit(Instant::now()) {
            landing.land(Err(match miss {
                Miss::Unreachable => {
                    Cause::Unavailable("the gateway wasn't reached lately, and isn't asked for a moment".into())
                }
                Miss::Late => {
                    Cause::Busy("the gateway didn't answer in time lately, and isn't asked for a moment".into())
                }
            }));
            return;
        }
        let call = Call {
            landing,
            breaker: Verdictless { breaker: Arc::clone(&self.breaker), told: false },
            remote: Arc::clone(&self.remote),
            question,
            started,
            budget: self.budget,
        };
        // On a runtime that has ended, the task is dropped at once, and with it the call, which lands it.
        self.handle.spawn(call.run());
    }

    /// An answer from an older revision than what is held here can't allow what this one was unsure of. One from a newer
    /// revision says that there is something to fetch.
    fn weigh(&self, held: Option<Revision>, answer: Answer) -> Result<Answer, Cause> {
        let Answer { verdict, revision } = &answer;
        if let (Some(held), Some(theirs)) = (held, *revision) {
            let (ours, theirs_order) = (held.order(), theirs.order());
            let is_behind = theirs_order < ours;
            let is_another = theirs_order == ours && theirs.manifest != held.manifest;
            if verdict.effect != Effect::Deny && (is_behind || is_another) {
                let how = if is_behind { "an older revision" } else { "another bundle of the same version" };
                return Err(Cause::Error(format!("the gateway answered from {how} ({theirs}; held here: {held})")));
            }
        }
        if let Some(theirs) = revision.map(|revision| revision.order())
            && Some(theirs) > held.map(|held| held.order())
        {
            self.nudge(theirs);
        }
        Ok(answer)
    }

    fn nudge(&self, newer: AtLeast) {
        let is_connected = self.shared.update(|facts| {
            facts.head = facts.head.max(Some(newer));
            facts.connected
        });
        if !is_connected {
            self.shared.try_now.notify_one();
        }
    }
}

/// Equal for questions that must have equal answers: of one tenant, about one program, and equal to the byte.
fn key(tenant: &str, program: Option<Digest>, question: &v1::PolicyRequest) -> Digest {
    let program = program.map(|program| *program.as_bytes()).unwrap_or_default();
    Digest::of_parts([tenant.as_bytes(), &program, question.entrypoint.as_bytes(), &question.encode_to_vec()])
}

// === impl Call ===

/// One call to the remote PDP. However it ends, it lands.
struct Call {
    landing: Landing,
    breaker: Verdictless,
    remote: Arc<dyn Ask>,
    question: v1::PolicyRequest,
    started: Instant,
    budget: Duration,
}

impl Call {
    async fn run(self) {
        let Self { landing, breaker, remote, question, started, budget } = self;
        // Whoever joins a flight does so in its first half, and then has a whole budget.
        let patience = budget + budget / 2;
        let result = timeout_at((started + patience).into(), remote.ask(question.clone(), patience)).await;
        let in_time = started.elapsed() <= budget;
        let miss = miss(&result, in_time);
        let result = match result {
            Ok(Ok(response)) => wire::answer(&question, response)
                .map_err(|why| Cause::Error(format!("the gateway's answer is no decision: {why}"))),
            Ok(Err(status)) => Err(cause(&status)),
            Err(_) => Err(Cause::Unavailable("no answer in time".into())),
        };
        breaker.tell(miss);
        landing.land(result);
    }
}

/// What a call's end says about the gateway; none if it was reached in time.
fn miss<T, E>(result: &Result<Result<T, tonic::Status>, E>, in_time: bool) -> Option<Miss> {
    use tonic::Code;
    match result {
        // The other side's clock, or ours, ran out on it: nothing says that it wasn't reached.
        Ok(Err(status)) if matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled) => Some(Miss::Late),
        Ok(Err(status)) if wire::failure(status) == Failure::Transport => Some(Miss::Unreachable),
        Ok(_) if in_time => None,
        Ok(_) | Err(_) => Some(Miss::Late),
    }
}

fn cause(status: &tonic::Status) -> Cause {
    let words = wire::words(status);
    match wire::failure(status) {
        Failure::Transport => Cause::Unavailable(words),
        Failure::Busy => Cause::Busy(words),
        Failure::Judged | Failure::Unimplemented | Failure::Other => Cause::Error(words),
    }
}

/// Owes the breaker a word; dropped without one, the gateway counts as missed, or a half-open breaker would never close.
struct Verdictless {
    breaker: Arc<Breaker>,
    told: bool,
}

impl Verdictless {
    fn tell(mut self, miss: Option<Miss>) {
        self.told = true;
        match miss {
            None => self.breaker.reached(),
            Some(how) => self.breaker.missed(Instant::now(), how),
        }
    }
}

impl Drop for Verdictless {
    fn drop(&mut self) {
        if !self.told {
            self.breaker.missed(Instant::now(), Miss::Late);
        }
    }
}

// === impl Flights ===

/// Questions under way, by what they ask.
#[derive(Default)]
struct Flights(Mutex<InTheAir>);

#[derive(Default)]
struct InTheAir {
    by_key: HashMap<Digest, Arc<Flight>>,
    count: usize,
}

enum Boarded {
    Own(Arc<Flight>),
    Joined(Arc<Flight>),
    Full,
}

impl Flights {
    fn board(&self, key: Digest, now: Instant, budget: Duration) -> Boarded {
        let mut air = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = air.by_key.get(&key)
            && now.saturating_duration_since(flight.started) < budget / 2
        {
            return Boarded::Joined(Arc::clone(flight));
        }
        if air.count >= MAX_QUESTIONS {
            return Boarded::Full;
        }
        air.count += 1;
        let flight = Arc::new(Flight { started: now, result: Mutex::default(), landed: Condvar::new() });
        air.by_key.insert(key, Arc::clone(&flight));
        Boarded::Own(flight)
    }
}

/// One question under way, and those who wait for it.
struct Flight {
    started: Instant,
    result: Mutex<Option<Result<Answer, Cause>>>,
    landed: Condvar,
}

impl Flight {
    /// The result, or none if the deadline comes first.
    fn wait(&self, deadline: Instant) -> Option<Result<Answer, Cause>> {
        let mut result = self.lock();
        loop {
            if result.is_some() {
                return result.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            result = self.landed.wait_timeout(result, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Result<Answer, Cause>>> {
        self.result.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Owes a flight its result, and takes it out of the air.
struct Landing {
    key: Digest,
    flight: Arc<Flight>,
    flights: Arc<Flights>,
    is_down: bool,
}

impl Landing {
    fn land(mut self, result: Result<Answer, Cause>) {
        self.set(result);
    }

    fn set(&mut self, result: Result<Answer, Cause>) {
        self.is_down = true;
        let mut air = self.flights.0.lock().unwrap_or_else(PoisonError::into_inner);
        air.count = air.count.saturating_sub(1);
        // A later flight of the same question may have taken its place.
        if air.by_key.get(&self.key).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight)) {
            air.by_key.remove(&self.key);
        }
        drop(air);
        *self.flight.lock() = Some(result);
        self.flight.landed.notify_all();
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if !self.is_down {
            self.set(Err(Cause::Error("the edge is closing".into())));
        }
    }
}

// === impl Counts ===

/// How questions went.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    asked: AtomicU64,
    shared: AtomicU64,
    answered: AtomicU64,
    unavailable: AtomicU64,
    errors: AtomicU64,
    busy: AtomicU64,
    pub(crate) failed_open: AtomicU64,
}

impl Counts {
    fn count(&self, answer: &Result<Answer, Cause>) {
        let counter = match answer {
            Ok(_) => &self.answered,
            Err(Cause::Unavailable(_)) => &self.unavailable,
            Err(Cause::Error(_)) => &self.errors,
            Err(Cause::Busy(_)) => &self.busy,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Deferred {
        Deferred {
            asked: self.asked.load(Ordering::Relaxed),
            shared: self.shared.load(Ordering::Relaxed),
            answered: self.answered.load(Ordering::Relaxed),
            unavailable: self.unavailable.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
            busy: self.busy.load(Ordering::Relaxed),
            failed_open: self.failed_open.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use meshguard_engine::Engine;
    use tokio::sync::oneshot;
    use tonic::Status;

    use super::*;
    use crate::runtime::Runtime;
    use crate::testing;

    /// A remote PDP under the test's control: it hears each question and answers when it likes.
    struct Remote(Mutex<mpsc::Sender<Question>>);

    struct Question {
        asked: v1::PolicyRequest,
        answer: oneshot::Sender<Result<v1::PolicyResponse, Status>>,
    }

    impl Ask for Remote {
        fn ask(&self, asked: v1::PolicyRequest, _patience: Duration) -> Asking {
            let (answer, answered) = oneshot::channel();
            let sent = self.0.lock().unwrap().send(Question { asked, answer });
            Box::pin(async move {
                sent.map_err(|_| Status::unavailable("the test is over"))?;
                answered.await.unwrap_or_else(|_| Err(Status::unavailable("the connection broke")))
            })
        }
    }

    struct Rig {
        engine: Arc<Engine>,
        deferrer: Arc<Deferrer>,
        questions: mpsc::Receiver<Question>,
        runtime: Runtime,
    }

    const LONG: Duration = Duration::from_secs(30);

    /// For what another thread does and nobody announces.
    fn eventually(holds: impl Fn() -> bool) {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < LONG / 2, "it didn't happen");
            thread::yield_now();
        }
    }

    fn rig(budget: Duration) -> Rig {
        let (sender, questions) = mpsc::channel();
        let runtime = Runtime::start().unwrap();
        let deferrer = Deferrer::new(
            "acme".into(),
            budget,
            runtime.handle().clone(),
            Arc::new(Remote(Mutex::new(sender))),
            Arc::default(),
            Arc::default(),
        );
        Rig { engine: testing::engine(&testing::REMOTE, 5), deferrer: Arc::new(deferrer), questions, runtime }
    }

    impl Rig {
        /// Asks on a thread of its own.
        fn ask(&self, request: Request) -> thread::JoinHandle<Result<Answer, Cause>> {
            let (deferrer, outcome) = (Arc::clone(&self.deferrer), self.engine.outcome(&request));
            assert!(outcome.may_defer());
            thread::spawn(move || deferrer.ask(&request, &outcome))
        }

        fn question(&self) -> Question {
            self.questions.recv_timeout(LONG).unwrap()
        }

        fn held(&self) -> Revision {
            self.engine.status().revision.unwrap()
        }

        fn answered(
            &self,
            response: impl FnOnce(Question) -> Result<v1::PolicyResponse, Status>,
        ) -> Result<Answer, Cause> {
            let waiting = self.ask(testing::uncertain());
            let question = self.question();
            let (answer, held) = oneshot::channel();
            let result = response(Question { asked: question.asked, answer });
            drop(held);
            question.answer.send(result).unwrap();
            waiting.join().unwrap()
        }
    }

    fn says(effect: v1::Effect, revision: Revision) -> v1::PolicyResponse {
        v1::PolicyResponse {
            effect: effect.into(),
            revision: Some(wire::to_revision(revision)),
            ..v1::PolicyResponse::default()
        }
    }

    fn effect(result: Result<Answer, Cause>) -> Result<Effect, &'static str> {
        result.map(|answer| answer.verdict.effect).map_err(|cause| match cause {
            Cause::Unavailable(_) => "unavailable",
            Cause::Busy(_) => "busy",
            Cause::Error(_) => "error",
        })
    }

    #[test]
    fn an_answer_decides_and_anything_else_does_not() {
        let rig = rig(LONG);
        let held = rig.held();
        assert_eq!(effect(rig.answered(|_| Ok(says(v1::Effect::Allow, held)))), Ok(Effect::Allow));
        assert_eq!(effect(rig.answered(|_| Ok(says(v1::Effect::Deny, held)))), Ok(Effect::Deny));
        assert_eq!(effect(rig.answered(|_| Ok(says(v1::Effect::Error, held)))), Err("error"));
        assert_eq!(effect(rig.answered(|_| Ok(says(v1::Effect::Unspecified, held)))), Err("error"));
        assert_eq!(effect(rig.answered(|_| Err(Status::unavailable("restarting")))), Err("unavailable"));
        assert_eq!(effect(rig.answered(|_| Err(Status::deadline_exceeded("slow")))), Err("unavailable"));
        assert_eq!(effect(rig.answered(|_| Err(Status::resource_exhausted("too much")))), Err("busy"));
        assert_eq!(effect(rig.answered(|_| Err(Status::permission_denied("no")))), Err("error"));
        assert_eq!(effect(rig.answered(|_| Err(Status::invalid_argument("what?")))), Err("error"));
        let counts = rig.deferrer.counts.read();
        assert_eq!((counts.asked, counts.answered, counts.unavailable, counts.busy, counts.errors), (9, 2, 2, 1, 4));
    }

    #[test]
    fn the_question_asks_for_what_is_held_here_or_newer() {
        let rig = rig(LONG);
        let held = rig.held();
        rig.answered(|question| {
            assert_eq!(question.asked.at_least_revision.unwrap().version, held.version);
            assert_eq!(question.asked.tenant_id, "acme");
            Ok(says(v1::Effect::Allow, held))
        })
        .unwrap();
    }

    #[test]
    fn an_older_or_another_revision_cannot_allow() {
        let rig = rig(LONG);
        let held = rig.held();
        let older = Revision { version: held.version - 1, ..held };
        let another = Revision { manifest: Digest::of(b"another"), ..held };
        for revision in [older, another] {
            assert_eq!(effect(rig.answered(|_| Ok(says(v1::Effect::Allow, revision)))), Err("error"));
            assert_eq!(effect(rig.answered(|_| Ok(says(v1::Effect::RequireApproval, revision)))), Err("error"));
            assert_eq!(effect(rig.answered(|_| Ok(says(v1::Effect::Deny, revision)))), Ok(Effect::Deny));
        }
        assert_eq!(rig.deferrer.shared.facts().head, None);
        let newer = Revision { version: held.version + 1, manifest: Digest::of(b"newer"), ..held };
        assert_eq!(effect(rig.answered(|_| Ok(says(v1::Effect::Allow, newer)))), Ok(Effect::Allow));
        assert_eq!(rig.deferrer.shared.facts().head, Some(newer.order()), "and the watch is told");
    }

    #[test]
    fn equal_questions_are_asked_once() {
        let rig = rig(LONG);
        let first = rig.ask(testing::uncertain());
        let question = rig.question();
        let others: Vec<_> = (0..7).map(|_| rig.ask(testing::uncertain())).collect();
        eventually(|| rig.deferrer.counts.read().shared == 7);
        question.answer.send(Ok(says(v1::Effect::Allow, rig.held()))).unwrap();
        for waiting in others.into_iter().chain([first]) {
            assert_eq!(effect(waiting.join().unwrap()), Ok(Effect::Allow));
        }
        assert!(rig.questions.try_recv().is_err(), "nothing else was asked");
        assert_eq!(rig.deferrer.flights.0.lock().unwrap().count, 0);

        // After it has landed, the same question is a new one; and so is one that differs in anything.
        let again = rig.ask(testing::uncertain());
        let mut named = testing::uncertain();
        named.request_id = "r-1".into();
        let named = rig.ask(named);
        for _ in 0..2 {
            let question = rig.question();
            let request_id = question.asked.request_id;
            let response = v1::PolicyResponse { request_id, ..says(v1::Effect::Deny, rig.held()) };
            question.answer.send(Ok(response)).unwrap();
        }
        assert_eq!(effect(again.join().unwrap()), Ok(Effect::Deny));
        assert_eq!(effect(named.join().unwrap()), Ok(Effect::Deny));
    }

    #[test]
    fn a_flight_is_joined_only_while_a_whole_budget_is_left() {
        let flights = Flights::default();
        let (start, budget) = (Instant::now(), Duration::from_millis(50));
        let key = Digest::of(b"question");
        assert!(matches!(flights.board(key, start, budget), Boarded::Own(_)));
        assert!(matches!(flights.board(key, start + Duration::from_millis(24), budget), Boarded::Joined(_)));
        assert!(matches!(flights.board(key, start + Duration::from_millis(25), budget), Boarded::Own(_)));
        assert_eq!(flights.0.lock().unwrap().count, 2);
    }

    #[test]
    fn no_more_than_256_questions_at_once() {
        let rig = rig(LONG);
        let now = Instant::now();
        for at in 0..MAX_QUESTIONS {
            let boarded = rig.deferrer.flights.board(Digest::of(&at.to_le_bytes()), now, LONG);
            assert!(matches!(boarded, Boarded::Own(_)));
        }
        assert_eq!(effect(rig.ask(testing::uncertain()).join().unwrap()), Err("busy"));
        assert!(rig.questions.try_recv().is_err());
    }

    #[test]
    fn silence_costs_the_budget_and_then_nothing() {
        let rig = rig(Duration::from_millis(20));
        for _ in 0..5 {
            let began = Instant::now();
            assert_eq!(effect(rig.ask(testing::uncertain()).join().unwrap()), Err("unavailable"));
            assert!(began.elapsed() >= Duration::from_millis(20));
        }
        // Calls end at one and a half budgets; the breaker opens with the fifth.
        let asked: Vec<Question> = rig.questions.iter().take(5).collect();
        eventually(|| rig.deferrer.breaker() == "open");
        let mut other = testing::uncertain();
        other.request_id = "another".into();
        for request in [testing::uncertain(), other] {
            assert_eq!(effect(rig.ask(request).join().unwrap()), Err("busy"), "slow isn't gone: nothing may open");
        }
        assert!(rig.questions.try_recv().is_err(), "an open breaker asks nobody");
        for late in asked {
            assert!(late.answer.send(Ok(says(v1::Effect::Allow, rig.held()))).is_err(), "a late answer has no reader");
        }
    }

    #[test]
    fn a_gateway_that_is_gone_is_unavailable_also_to_who_is_not_let_ask() {
        let rig = rig(LONG);
        for _ in 0..5 {
            assert_eq!(effect(rig.answered(|_| Err(Status::unavailable("gone")))), Err("unavailable"));
        }
        eventually(|| rig.deferrer.breaker() == "open");
        assert_eq!(effect(rig.ask(testing::uncertain()).join().unwrap()), Err("unavailable"));
        assert!(rig.questions.try_recv().is_err());
    }

    #[test]
    fn a_large_question_is_not_put() {
        let rig = rig(LONG);
        let large = format!(r#"{{"text":"{}"}}"#, "x".repeat(MAX_QUESTION_BYTES));
        let waiting = rig.ask(testing::uncertain().context(&large).unwrap());
        assert_eq!(effect(waiting.join().unwrap()), Err("error"));
        assert!(rig.questions.try_recv().is_err());
        let held = rig.held();
        let fits = format!(r#"{{"text":"{}"}}"#, "x".repeat(MAX_QUESTION_BYTES - 1024));
        let waiting = rig.ask(testing::uncertain().context(&fits).unwrap());
        rig.question().answer.send(Ok(says(v1::Effect::Allow, held))).unwrap();
        assert_eq!(effect(waiting.join().unwrap()), Ok(Effect::Allow));
    }

    #[test]
    fn a_deciding_thread_may_be_a_tokio_worker() {
        let rig = rig(LONG);
        let outcome = rig.engine.outcome(&testing::uncertain());
        let deferrer = Arc::clone(&rig.deferrer);
        let decided = thread::spawn(move || {
            let host = tokio::runtime::Builder::new_current_thread().build().unwrap();
            host.block_on(async { deferrer.ask(&testing::uncertain(), &outcome) })
        });
        rig.question().answer.send(Ok(says(v1::Effect::Allow, rig.held()))).unwrap();
        assert_eq!(effect(decided.join().unwrap()), Ok(Effect::Allow));
    }

    #[test]
    fn an_ending_edge_lets_nobody_wait_and_nothing_open() {
        let rig = rig(LONG);
        let waiting = rig.ask(testing::uncertain());
        let _question = rig.question();
        rig.runtime.stop(Duration::from_secs(5));
        assert_eq!(effect(waiting.join().unwrap()), Err("error"));
        assert_eq!(effect(rig.ask(testing::uncertain()).join().unwrap()), Err("error"));
        rig.deferrer.close();
        assert_eq!(effect(rig.ask(testing::uncertain()).join().unwrap()), Err("error"));
    }
}
