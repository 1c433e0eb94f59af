//! Counters, in Prometheus' text form. No tenant's name is in them: whoever scrapes needs no credential.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the decision histogram, in microseconds.
const BUCKETS_US: [u64; 10] = [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000];

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

/// A number that goes up and down.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicI64);

/// Counts itself in a gauge while it lives.
pub(crate) struct Counted(std::sync::Arc<Metrics>, fn(&Metrics) -> &Gauge);

/// Everything that is counted.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) connections: Gauge,
    pub(crate) connections_refused: Counter,
    pub(crate) subscriptions: Gauge,
    pub(crate) allowed: Counter,
    pub(crate) denied: Counter,
    pub(crate) approvals: Counter,
    pub(crate) undecided: Counter,
    pub(crate) busy: Counter,
    pub(crate) unauthenticated: Counter,
    pub(crate) published: Counter,
    pub(crate) refused: Counter,
    pub(crate) updates_sent: Counter,
    pub(crate) acks: Counter,
    pub(crate) nacks: Counter,
    pub(crate) audit_records: Counter,
    pub(crate) audit_duplicates: Counter,
    pub(crate) audit_gaps: Counter,
    pub(crate) audit_lost: Counter,
    pub(crate) audit_rejects: Counter,
    decided: Histogram,
}

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counted {
    pub(crate) fn new(metrics: &std::sync::Arc<Metrics>, gauge: fn(&Metrics) -> &Gauge) -> Self {
        gauge(metrics).0.fetch_add(1, Ordering::Relaxed);
        Self(std::sync::Arc::clone(metrics), gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.1)(&self.0).0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    /// How long a decision took, its turn not counted.
    pub(crate) fn decided_in(&self, took: Duration) {
        self.decided.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// The text form.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        let gauges = [
            ("connections", "open connections", &self.connections),
            ("subscriptions", "open Subscribe streams", &self.subscriptions),
        ];
        for (name, help, gauge) in gauges {
            head(&mut text, name, "gauge", help);
            line(&mut text, name, "", gauge.0.load(Ordering::Relaxed).max(0).cast_unsigned());
        }
        head(&mut text, "decisions_total", "counter", "requests answered, by effect");
        for (effect, counter) in [
            ("allow", &self.allowed),
            ("deny", &self.denied),
            ("require_approval", &self.approvals),
            ("error", &self.undecided),
        ] {
            line(&mut text, "decisions_total", &format!("{{effect=\"{effect}\"}}"), counter.get());
        }
        for (name, help, counter) in [
            ("connections_refused_total", "connections refused over the limit", &self.connections_refused),
            ("busy_total", "calls refused because too many were under way", &self.busy),
            ("unauthenticated_total", "calls without an acceptable credential", &self.unauthenticated),
            ("published_total", "bundles published", &self.published),
            ("publish_refused_total", "bundles refused", &self.refused),
            ("updates_sent_total", "revisions sent to edges", &self.updates_sent),
            ("acks_total", "revisions that edges put in force", &self.acks),
            ("nacks_total", "revisions that edges refused", &self.nacks),
            ("audit_records_total", "audit records stored", &self.audit_records),
            ("audit_duplicates_total", "audit records that were stored before", &self.audit_duplicates),
            ("audit_gaps_total", "audit batches that left a gap and were refused", &self.audit_gaps),
            ("audit_lost_total", "audit records that nobody has any more; gaps stand for them", &self.audit_lost),
            ("audit_rejects_total", "audit records that can't be taken", &self.audit_rejects),
        ] {
            head(&mut text, name, "counter", help);
            line(&mut text, name, "", counter.get());
        }
        self.decided.render(&mut text, "decision_seconds", "how long deciding took");
        text
    }
}

// === impl Histogram ===

#[derive(Debug, Default)]
struct Histogram {
    /// One more than there are bounds: the last is for everything above.
    buckets: [Counter; BUCKETS_US.len() + 1],
    sum_us: Counter,
}

impl Histogram {
    fn add(&self, us: u64) {
        let at = BUCKETS_US.iter().position(|bound| us <= *bound).unwrap_or(BUCKETS_US.len());
        if let Some(bucket) = self.buckets.get(at) {
            bucket.add(1);
        }
        self.sum_us.add(us);
    }

    fn render(&self, text: &mut String, name: &str, help: &str) {
        head(text, name, "histogram", help);
        let mut count = 0;
        let bounds = BUCKETS_US.iter().map(|us| seconds(*us)).chain(["+Inf".to_owned()]);
        for (bucket, bound) in self.buckets.iter().zip(bounds) {
            count += bucket.get();
            line(text, &format!("{name}_bucket"), &format!("{{le=\"{bound}\"}}"), count);
        }
        let _ = writeln!(text, "meshguard_pdp_{name}_sum {}", seconds(self.sum_us.get()));
        line(text, &format!("{name}_count"), "", count);
    }
}

fn seconds(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP meshguard_pdp_{name} {help}\n# TYPE meshguard_pdp_{name} {kind}");
}

fn line(text: &mut String, name: &str, labels: &str, value: u64) {
    let _ = writeln!(text, "meshguard_pdp_{name}{labels} {value}");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn text_form() {
        let metrics = Arc::new(Metrics::default());
        metrics.allowed.add(2);
        metrics.decided_in(Duration::from_micros(60));
        metrics.decided_in(Duration::from_secs(3));
        let counted = Counted::new(&metrics, |metrics| &metrics.connections);
        let text = metrics.render();
        for line in [
            "meshguard_pdp_connections 1",
            "meshguard_pdp_decisions_total{effect=\"allow\"} 2",
            "meshguard_pdp_decision_seconds_bucket{le=\"0.000050\"} 0",
            "meshguard_pdp_decision_seconds_bucket{le=\"0.000100\"} 1",
            "meshguard_pdp_decision_seconds_bucket{le=\"+Inf\"} 2",
            "meshguard_pdp_decision_seconds_sum 3.000060",
            "meshguard_pdp_decision_seconds_count 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        drop(counted);
        assert!(metrics.render().contains("meshguard_pdp_connections 0\n"));
    }
}
