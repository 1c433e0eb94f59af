//! What was promised, as data, and whether it was reached.

use std::collections::BTreeMap;

use crate::contestant::Who;
use crate::measure::{Measured, Results};
use crate::threads::Threads;

/// A promise, and the figure it is held against.
pub struct Bar {
    /// What is compared, for people.
    pub what: String,
    /// The figure: a ratio, or microseconds.
    pub figure: Result<f64, NoFigure>,
    /// What it must be.
    pub need: Need,
}

/// Why there is no figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoFigure {
    /// Ours can't serve the row, so that the promise isn't kept.
    Ours(String),
    /// There is nothing to compare with.
    Peer(String),
}

/// What a figure must be.
#[derive(Debug, Clone, Copy)]
pub enum Need {
    /// So many times faster, at least.
    Faster(f64),
    /// A ratio of at most this.
    AtMost(f64),
    /// A ratio of at least this.
    AtLeast(f64),
    /// So many microseconds, at most.
    Micros(f64),
}

impl Bar {
    /// Whether the promise is kept; none if that wasn't measured.
    pub fn is_met(&self) -> Option<bool> {
        match &self.figure {
            Ok(figure) => Some(self.need.is_met(*figure)),
            Err(NoFigure::Ours(_)) => Some(false),
            Err(NoFigure::Peer(_)) => None,
        }
    }
}

impl Need {
    /// Whether `figure` is what is needed.
    fn is_met(self, figure: f64) -> bool {
        match self {
            Self::Faster(bound) | Self::AtLeast(bound) => figure >= bound,
            Self::AtMost(bound) | Self::Micros(bound) => figure <= bound,
        }
    }
}

/// A figure of one row.
#[derive(Debug, Clone, Copy)]
enum Of {
    Best,
    /// Per mille, of distinct requests.
    Percentile(usize),
    /// Per mille, by a pinned thread.
    Pinned(usize),
}

/// How many times faster than which peer, on which row.
const FASTER: [(&str, Who, f64); 26] = [
    ("many_10", Who::RvmParsed, 7.0),
    ("many_100", Who::RvmParsed, 70.0),
    ("many_1000", Who::RvmParsed, 600.0),
    ("many_10", Who::RvmJson, 6.0),
    ("many_100", Who::RvmJson, 35.0),
    ("many_1000", Who::RvmJson, 300.0),
    ("many_10", Who::OpaParsed, 10.0),
    ("many_100", Who::OpaParsed, 10.0),
    ("many_1000", Who::OpaParsed, 10.0),
    ("many_10000", Who::OpaParsed, 10.0),
    ("many_10", Who::OpaJson, 10.0),
    ("many_100", Who::OpaJson, 10.0),
    ("many_1000", Who::OpaJson, 10.0),
    ("many_10000", Who::OpaJson, 10.0),
    ("many_10", Who::Cedar, 12.0),
    ("many_1000", Who::Cedar, 1_000.0),
    ("atr_1555_60", Who::Agt, 5_000.0),
    ("atr_1555_4k", Who::Agt, 500.0),
    ("small", Who::RvmJson, 3.0),
    // At the median, since requests differ.
    ("mixed", Who::InterpreterParsed, 10.0),
    ("mixed", Who::InterpreterJson, 10.0),
    ("mixed", Who::RvmParsed, 10.0),
    ("mixed", Who::RvmJson, 10.0),
    ("mixed", Who::Cedar, 10.0),
    ("mixed", Who::OpaParsed, 10.0),
    ("mixed", Who::OpaJson, 10.0),
];

/// All of them, in the order of the report.
pub fn bars(results: &[Results], threads: Option<Threads>) -> Vec<Bar> {
    let table = Table(results.iter().map(|row| (row.id.as_str(), row)).collect());
    let faster = FASTER.iter().map(|&(row, peer, times)| {
        let (of, at) = if row == "mixed" { (Of::Percentile(500), " at p50") } else { (Of::Best, "") };
        Bar {
            what: format!("`{row}`: {} against {peer}{at}", peer.counterpart()),
            figure: table.ratio((row, peer, of), (row, peer.counterpart(), of)),
            need: Need::Faster(times),
        }
    });
    let mut bars: Vec<Bar> = faster.collect();
    let mut add = |what: &str, figure, need| bars.push(Bar { what: what.to_owned(), figure, need });
    let (built, json) = (Who::OursBuilt, Who::OursJson);
    add(
        "ours, JSON: `many_10000` against `many_10`",
        table.ratio(("many_10000", json, Of::Best), ("many_10", json, Of::Best)),
        Need::AtMost(1.3),
    );
    add(
        "ours, built: p99.9 of `many_1000` against its p50, pinned",
        table.ratio(("many_1000", built, Of::Pinned(999)), ("many_1000", built, Of::Pinned(500))),
        Need::AtMost(5.0),
    );
    add(
        "ours, built: `first_match_1000` against `set_form_1000`",
        table.ratio(("first_match_1000", built, Of::Best), ("set_form_1000", built, Of::Best)),
        Need::AtMost(1.3),
    );
    for (name, per_mille, micros) in [("p50", 500, 5.0), ("p99", 990, 50.0)] {
        let figure = table.nanos("mixed_10000", built, Of::Percentile(per_mille)).map(|nanos| nanos / 1e3);
        add(&format!("ours, built: `mixed_10000`, {name}, each request once"), figure, Need::Micros(micros));
    }
    let threads = threads.map(Threads::ratio).ok_or_else(|| NoFigure::Peer("not run".to_owned()));
    add("two threads: throughput of one engine against two", threads, Need::AtLeast(0.95));
    bars
}

struct Table<'a>(BTreeMap<&'a str, &'a Results>);

impl Table<'_> {
    fn ratio(&self, dividend: (&str, Who, Of), divisor: (&str, Who, Of)) -> Result<f64, NoFigure> {
        let nanos = |(row, who, of)| self.nanos(row, who, of);
        match (nanos(dividend), nanos(divisor)) {
            (Ok(dividend), Ok(divisor)) => Ok(dividend / divisor),
            // What ours can't do isn't hidden behind what a peer can't either.
            (Err(ours @ NoFigure::Ours(_)), _) | (_, Err(ours @ NoFigure::Ours(_))) => Err(ours),
            (Err(peer), _) | (_, Err(peer)) => Err(peer),
        }
    }

    fn nanos(&self, row: &str, who: Who, of: Of) -> Result<f64, NoFigure> {
        let not_run = || NoFigure::Peer("not run".to_owned());
        let measured = match self.0.get(row).and_then(|row| row.by.get(&who)).ok_or_else(not_run)? {
            Ok(measured) => measured,
            Err(why) if who.is_ours() => return Err(NoFigure::Ours(format!("{who}: {why}"))),
            Err(why) => return Err(NoFigure::Peer(format!("{who}: {why}"))),
        };
        let figure = match of {
            Of::Best => Some(measured.best_ns),
            Of::Percentile(per_mille) => Measured::percentile(&measured.latencies, per_mille),
            Of::Pinned(per_mille) => Measured::percentile(&measured.pinned, per_mille),
        };
        figure.ok_or_else(not_run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn results(ours_ns: f64, rvm_ns: f64) -> Results {
        let measured = |best_ns| Ok(Measured { best_ns, ..Measured::default() });
        let by = BTreeMap::from([
            (Who::OursBuilt, measured(ours_ns)),
            (Who::RvmParsed, measured(rvm_ns)),
            (Who::Cedar, Err("it can't".to_owned())),
        ]);
        Results { id: "many_10".into(), requests: 1, by, records: 0 }
    }

    fn peer(why: &str) -> Result<f64, NoFigure> {
        Err(NoFigure::Peer(why.to_owned()))
    }

    fn figure(bars: &[Bar], what: &str) -> Result<f64, NoFigure> {
        bars.iter().find(|bar| bar.what == what).unwrap().figure.clone()
    }

    #[test]
    fn a_bar_is_met_missed_or_without_a_figure() {
        let bars = bars(&[results(100.0, 650.0)], None);
        let ratio = figure(&bars, "`many_10`: ours, built against regorus RVM, parsed").unwrap();
        assert!(!Need::Faster(7.0).is_met(ratio) && Need::Faster(6.5).is_met(ratio), "{ratio}");
        assert_eq!(figure(&bars, "`many_10`: ours, built against Cedar, built"), peer("Cedar, built: it can't"));
        assert_eq!(figure(&bars, "two threads: throughput of one engine against two"), peer("not run"));
    }

    #[test]
    fn a_shared_engine_that_takes_longer_is_below_one() {
        let threads = Threads { shared: Duration::from_micros(110), apart: Duration::from_micros(100) };
        assert!(!Need::AtLeast(0.95).is_met(threads.ratio()));
    }
}
