//! The failure mode: what becomes of an uncertain decision that nobody answered.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use meshguard_engine::{Clock, Engine, Outcome, Reason, ReasonCode};

use crate::config::FailureMode;

/// Why nobody answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The gateway couldn't be reached, or didn't answer in time. The only cause that fail-open knows.
    Unavailable(String),
    /// Too many questions wait already, here or there; or the gateway is so slow that it isn't asked for a moment.
    Busy(String),
    /// It answered, but not with a decision; or it refused to.
    Error(String),
}

impl Cause {
    fn reason(self) -> Reason {
        match self {
            Self::Unavailable(why) => Reason::new(ReasonCode::RemoteUnavailable, why),
            Self::Busy(why) => Reason::new(ReasonCode::RemoteBusy, why),
            Self::Error(why) => Reason::new(ReasonCode::RemoteError, why),
        }
    }
}

/// The configured mode, and how much of fail-open's time is left.
#[derive(Debug)]
pub(crate) struct FailureModes {
    mode: FailureMode,
    time_ms: i64,
    used: OnceLock<Used>,
    /// Until when fail-open allows; for status. `i64::MAX` before its first use.
    until_ms: AtomicI64,
}

/// When fail-open was first used here, and when this process learned it.
#[derive(Debug, Clone, Copy)]
struct Used {
    since_ms: i64,
    seen_wall_ms: i64,
    seen_boot_ms: u64,
}

impl FailureModes {
    pub(crate) fn new(mode: FailureMode, time: Duration) -> Self {
        let time_ms = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        Self { mode, time_ms, used: OnceLock::new(), until_ms: AtomicI64::new(i64::MAX) }
    }

    pub(crate) fn mode(&self) -> FailureMode {
        self.mode
    }

    pub(crate) fn until_ms(&self) -> Option<i64> {
        Some(self.until_ms.load(Ordering::Relaxed)).filter(|until| *until != i64::MAX)
    }

    /// What becomes of `outcome`, and whether fail-open allowed it.
    pub(crate) fn settle(&self, engine: &Engine, outcome: Outcome, cause: Cause) -> (Outcome, bool) {
        let applies = self.mode == FailureMode::Open
            && matches!(cause, Cause::Unavailable(_))
            && outcome.may_fail_open()
            && self.has_time(engine);
        let reason = cause.reason();
        if applies { (outcome.failed_open(reason), true) } else { (outcome.unanswered(reason), false) }
    }

    fn has_time(&self, engine: &Engine) -> bool {
        let clock = engine.clock().as_ref();
        let used = match self.used.get() {
            Some(used) => *used,
            None => match engine.fail_open_since() {
                Ok(since_ms) => {
                    self.until_ms.store(since_ms.saturating_add(self.time_ms), Ordering::Relaxed);
                    let seen = Used { since_ms, seen_wall_ms: clock.wall_ms(), seen_boot_ms: clock.boot_ms() };
                    *self.used.get_or_init(|| seen)
                }
                Err(error) => {
                    tracing::error!(%error, "fail-open can't be dated, and so doesn't apply");
                    return false;
                }
            },
        };
        used.has_time(clock, self.time_ms)
    }
}

impl Used {
    /// The larger of what two clocks say has passed, so that setting one back gains nothing; a wall clock from before the
    /// first use tells nothing at all.
    fn has_time(&self, clock: &dyn Clock, time_ms: i64) -> bool {
        let by_wall = clock.wall_ms().saturating_sub(self.since_ms);
        let since_seen = i64::try_from(clock.boot_ms().saturating_sub(self.seen_boot_ms)).unwrap_or(i64::MAX);
        let by_boot = self.seen_wall_ms.saturating_sub(self.since_ms).saturating_add(since_seen);
        by_wall >= 0 && by_boot >= 0 && by_wall.max(by_boot) < time_ms
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use meshguard_engine::store::{FloorFiles, MemoryStore};
    use meshguard_engine::{Effect, ManualClock, Request, Source};

    use super::*;
    use crate::testing;

    const HOUR: Duration = Duration::from_secs(3600);

    /// `stale` may be a minute old, `approved` depends on what isn't held, `always` defers whatever happens.
    const POLICY: &str = r#"package meshguard
default decision := false
decision if input.action == "read"
stale := {"effect": "allow", "rule": "stale-allow"}
approved if data.approvals[input.actor.id]
always := true
"#;
    const SETTINGS: &str = r#"{"roots":["meshguard"],"metadata":{"meshguard":{"remote_roots":["data.approvals"],
        "entrypoints":{"data.meshguard.decision":{},"data.meshguard.stale":{"max_staleness_ms":60000},
        "data.meshguard.approved":{},"data.meshguard.always":{"defer":"always"}}}}}"#;

    struct Rig {
        clock: Arc<ManualClock>,
        store: Arc<MemoryStore>,
        engine: Engine,
    }

    fn open(clock: &Arc<ManualClock>, store: &Arc<MemoryStore>) -> Engine {
        Engine::builder("acme")
            .trust(testing::key().public().unwrap())
            .clock(Arc::clone(clock) as Arc<dyn Clock>)
            .store(Arc::clone(store) as Arc<_>, FloorFiles::in_memory())
            .open()
            .unwrap()
    }

    fn rig() -> Rig {
        let signed = testing::signed(&[(".manifest", SETTINGS), ("a.rego", POLICY)], 1);
        let clock = Arc::new(ManualClock::at(signed.manifest().unwrap().issued_at_ms));
        let store = Arc::new(MemoryStore::new());
        let engine = open(&clock, &store);
        testing::apply(&engine, &signed);
        // Long ago enough for `stale`, not for the bundle's hard TTL.
        clock.advance_ms(120_000);
        Rig { clock, store, engine }
    }

    fn outcome(engine: &Engine, entrypoint: &str) -> Outcome {
        engine.outcome(&Request::new("agent-7", "read").entrypoint(format!("data.meshguard.{entrypoint}")))
    }

    fn unavailable() -> Cause {
        Cause::Unavailable("no route".into())
    }

    #[test]
    fn cause_by_mode_by_reason() {
        let Rig { engine, .. } = rig();
        let withdrawn = rig().engine;
        withdrawn.withdraw();
        let empty = testing::engine(&[], 0);
        let causes =
            [(unavailable(), true), (Cause::Busy("256 wait".into()), false), (Cause::Error("garbage".into()), false)];
        let outcomes = [
            ("stale", outcome(&engine, "stale"), true),
            ("remote data", outcome(&engine, "approved"), true),
            ("policy defers", outcome(&engine, "always"), false),
            ("withdrawn", outcome(&withdrawn, "stale"), false),
            ("no bundle", outcome(&empty, "decision"), false),
        ];
        for mode in [FailureMode::Closed, FailureMode::Open] {
            for (cause, cause_counts) in &causes {
                for (name, outcome, reason_counts) in &outcomes {
                    assert!(outcome.may_defer(), "{name} must be uncertain");
                    let modes = FailureModes::new(mode, HOUR);
                    let (settled, opened) = modes.settle(&engine, outcome.clone(), cause.clone());
                    let expected = mode == FailureMode::Open && *cause_counts && *reason_counts;
                    assert_eq!(opened, expected, "{mode:?}, {cause:?}, {name}");
                    let effect = if expected { Effect::Allow } else { Effect::Deny };
                    assert_eq!(settled.verdict().effect, effect, "{mode:?}, {cause:?}, {name}");
                    let codes: Vec<_> = settled.verdict().reasons.iter().map(|reason| reason.code).collect();
                    assert!(codes.contains(&cause.clone().reason().code), "{codes:?}");
                    assert_eq!(codes.contains(&ReasonCode::FailOpen), expected, "{codes:?}");
                }
            }
        }
    }

    #[test]
    fn what_fail_open_allows_is_recorded_as_such() {
        let Rig { engine, .. } = rig();
        let modes = FailureModes::new(FailureMode::Open, HOUR);
        let (settled, _) = modes.settle(&engine, outcome(&engine, "stale"), unavailable());
        let decision = engine.record(&Request::new("agent-7", "read"), settled);
        assert!(decision.is_allowed() && decision.recorded && decision.source == Source::FailureMode);
        assert_eq!(decision.verdict.rule.as_deref(), Some("stale-allow"));
        let last = engine.journal().tail(1).unwrap().remove(0);
        assert!(String::from_utf8(last).unwrap().contains("fail_open"));
    }

    #[test]
    fn its_time_ends_and_neither_a_restart_nor_a_clock_set_back_renews_it() {
        let Rig { clock, store, engine } = rig();
        let opens =
            |modes: &FailureModes, engine: &Engine| modes.settle(engine, outcome(engine, "stale"), unavailable()).1;
        let modes = FailureModes::new(FailureMode::Open, HOUR);
        assert_eq!(modes.until_ms(), None);
        assert!(opens(&modes, &engine));
        assert_eq!(modes.until_ms(), Some(clock.wall_ms() + 3_600_000));
        clock.advance_ms(3_599_999);
        assert!(opens(&modes, &engine));
        drop(engine);

        let engine = open(&clock, &store);
        let restarted = FailureModes::new(FailureMode::Open, HOUR);
        assert!(opens(&restarted, &engine));
        clock.advance_ms(1);
        assert!(!opens(&restarted, &engine) && !opens(&modes, &engine));
        clock.step_wall_ms(-1_800_000);
        assert!(!opens(&modes, &engine), "a clock set back gains nothing");
        clock.step_wall_ms(-7_200_000);
        let suspicious = FailureModes::new(FailureMode::Open, HOUR);
        assert!(!suspicious.has_time(&engine), "a clock from before the first use tells nothing");
    }
}
