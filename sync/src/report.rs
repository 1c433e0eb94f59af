//! Says where the edge stands: after each outcome, and every minute or so. A lost report does no harm.

use std::sync::Arc;
use std::time::Duration;

use meshguard_engine::Engine;
use meshguard_proto::v1::{AgentReport, ReportDirective, report_directive};
use tokio::time::{Instant, sleep_until, timeout};

use crate::backoff::Backoff;
use crate::client::Gateway;
use crate::defer::Counts;
use crate::shared::{Directive, Shared};
use crate::wire::{self, Failure, Who};

/// How long one report may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How soon one that failed is tried again, if it had an outcome to tell.
const RETRY: Duration = Duration::from_secs(5);
/// How seldom to try a gateway that takes none, and the least frequent reports it may ask for.
const UNIMPLEMENTED: Duration = Duration::from_secs(600);
const LONGEST_INTERVAL: Duration = Duration::from_secs(3600);

/// Reports for one engine.
pub(crate) struct Reporter {
    pub(crate) engine: Arc<Engine>,
    pub(crate) gateway: Gateway,
    pub(crate) shared: Arc<Shared>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) who: Who,
    pub(crate) backoff: Backoff,
    pub(crate) interval: Duration,
}

impl Reporter {
    /// Reports forever.
    pub(crate) async fn run(mut self) {
        let mut next = Instant::now() + self.backoff.about(self.interval);
        loop {
            let due = tokio::select! {
                () = self.shared.report_now.notified() => false,
                () = sleep_until(next) => true,
            };
            let facts = self.shared.facts();
            // Without a stream nobody listens; the next one's hello wakes this task again.
            let wait = if !facts.connected {
                self.interval
            } else if facts.reports_unimplemented && !due {
                continue;
            } else {
                self.report().await
            };
            next = Instant::now() + self.backoff.about(wait);
        }
    }

    /// One report. Gives back when the next one is due.
    async fn report(&mut self) -> Duration {
        let facts = self.shared.facts();
        let told = facts.last_outcome.filter(|_| facts.unreported);
        let engine = Arc::clone(&self.engine);
        let Ok(status) = tokio::task::spawn_blocking(move || engine.status()).await else { return self.interval };
        let counts = self.counts.read();
        let report = wire::report(&status, &self.who, facts.session_id, facts.head, told.as_ref(), counts);
        match self.send(report).await {
            Ok(directive) => {
                self.shared.update(|facts| {
                    // Another attempt may have ended meanwhile, and is yet to be told.
                    facts.unreported &= facts.last_outcome != told;
                    facts.reports_unimplemented = false;
                });
                self.obey(directive)
            }
            Err(Failure::Unimplemented) => {
                self.shared.update(|facts| facts.reports_unimplemented = true);
                UNIMPLEMENTED
            }
            Err(_) if told.is_some() => RETRY.min(self.interval),
            Err(_) => self.interval,
        }
    }

    async fn send(&self, report: AgentReport) -> Result<ReportDirective, Failure> {
        let mut client = self.gateway.sync();
        match timeout(PATIENCE, client.report(report)).await {
            Ok(Ok(directive)) => Ok(directive.into_inner()),
            Ok(Err(status)) => {
                tracing::debug!(status = wire::words(&status), "a report wasn't taken");
                Err(wire::failure(&status))
            }
            Err(_) => Err(Failure::Transport),
        }
    }

    fn obey(&mut self, directive: ReportDirective) -> Duration {
        let after = Duration::from_millis(directive.after_ms);
        match directive.kind() {
            report_directive::Kind::Resubscribe => self.direct(Directive { after, snapshot: false }),
            report_directive::Kind::SendSnapshot => self.direct(Directive { after, snapshot: true }),
            report_directive::Kind::SlowReports => {
                self.interval = after.clamp(self.interval, LONGEST_INTERVAL.max(self.interval))
            }
            report_directive::Kind::Ok | report_directive::Kind::Unspecified => {}
        }
        self.interval
    }

    fn direct(&self, directive: Directive) {
        self.shared.update(|facts| facts.directive = Some(directive));
        self.shared.directed.notify_one();
    }
}
