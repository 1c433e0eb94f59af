//! `RESULTS.md`.

use std::fmt::Write;

use crate::atr::Atr;
use crate::bars::{Bar, Need, NoFigure};
use crate::cold::Started;
use crate::contestant::Who;
use crate::machine::Machine;
use crate::measure::{Effort, Measured, Results, nanos};
use crate::threads::Threads;

/// All that a run found.
pub struct Run<'a> {
    /// Where.
    pub machine: Machine,
    /// How thoroughly.
    pub effort: Effort,
    /// The rows, in order.
    pub results: &'a [Results],
    /// The promises.
    pub bars: &'a [Bar],
    /// AGT's policy, if it was at hand.
    pub atr: Result<&'a Atr, String>,
    /// Two threads, if they were run.
    pub threads: Option<Threads>,
    /// Cold starts, if they were run.
    pub cold: &'a [Started],
    /// Why no instructions were counted, if so.
    pub uncounted: Option<String>,
}

/// The whole document.
pub fn markdown(run: &Run<'_>) -> String {
    let mut out = String::new();
    // Writing to a string can't fail.
    let _ = write(run, &mut out);
    out
}

fn write(run: &Run<'_>, out: &mut String) -> std::fmt::Result {
    head(run, out)?;
    bars(run.bars, out)?;
    writeln!(out, "## Rows\n")?;
    writeln!(
        out,
        "Microseconds a decision. *Ours* is how many times faster the one of ours is that is given as much: built \
        requests beside inputs parsed before, bytes beside bytes. Percentiles are of each request by itself, asked once{}.\n",
        run.uncounted.as_ref().map_or_else(String::new, |why| format!("; instructions weren't counted ({why})"))
    )?;
    for row in run.results {
        self::row(row, out)?;
    }
    if let Some(threads) = run.threads {
        let millis = |duration: std::time::Duration| duration.as_secs_f64() * 1e3;
        writeln!(
            out,
            "### two threads\n\n`many_1000`, built, 4,096 decisions by each thread: {:.2} ms on one engine, {:.2} ms \
            on an engine each; {:.2} of the throughput. Each engine brings \
             its journal's threads along, so that two of them need more cores.\n",
            millis(threads.shared),
            millis(threads.apart),
            threads.ratio()
        )?;
    }
    if !run.cold.is_empty() {
        writeln!(
            out,
            "### cold start\n\nFrom a bundle of one mebibyte (1,000 rules, 9,500 entries of data) to the first \
            decision.\n\n| | ms |\n|---|--:|"
        )?;
        for (name, took) in run.cold {
            match took {
                Ok(took) => writeln!(out, "| {name} | {:.1} |", took.as_secs_f64() * 1e3)?,
                Err(why) => writeln!(out, "| {name} | – ({}) |", one_line(why))?,
            }
        }
        writeln!(out)?;
    }
    left_out(run, out)
}

fn head(run: &Run<'_>, out: &mut String) -> std::fmt::Result {
    let records: u64 = run.results.iter().map(|row| row.records).sum();
    writeln!(out, "# Ours beside its peers\n")?;
    writeln!(out, "Written by `make bench-peers`; don't edit. Ratios travel between machines, nanoseconds don't.\n")?;
    writeln!(out, "![decisions upon many rules](results.svg)\n")?;
    writeln!(out, "- {}, {}", run.machine.date, run.machine.hardware)?;
    let versions: Vec<String> =
        run.machine.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    writeln!(out, "- {}", versions.join(" · "))?;
    writeln!(
        out,
        "- The best of {} measurements of about {} ms, taken in turn; rows, contestants and their fairness: \
         [README](README.md#peers). Release builds with fat LTO and one codegen unit for all contestants in Rust.",
        run.effort.turns,
        run.effort.turn.as_millis()
    )?;
    writeln!(out, "- Every contestant answered every request of a row as the others did, before anything was timed.")?;
    writeln!(
        out,
        "- Ours includes its checks, the decision and its record. {records} records were left, and all of them arrived.\n"
    )
}

fn bars(bars: &[Bar], out: &mut String) -> std::fmt::Result {
    let count = |wanted| bars.iter().filter(|bar| bar.is_met() == Some(wanted)).count();
    writeln!(out, "## Bars\n\n{} met, {} missed, of {}.\n", count(true), count(false), bars.len())?;
    writeln!(out, "| | bar | measured | |\n|---|--:|--:|---|")?;
    for bar in bars {
        let figure = bar.figure.as_ref().map_or_else(|_| "–".to_owned(), |figure| shown(bar.need, *figure));
        let verdict = match bar.is_met() {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "not measured",
        };
        let why = match &bar.figure {
            Err(NoFigure::Ours(why) | NoFigure::Peer(why)) => format!(": {}", one_line(why)),
            Ok(_) => String::new(),
        };
        writeln!(out, "| {} | {} | {figure} | {verdict}{why} |", bar.what, needed(bar.need))?;
    }
    writeln!(out, "\nAgainst OPA the aim is twice the bar, 20×.\n")
}

fn needed(need: Need) -> String {
    match need {
        Need::Faster(times) => format!("≥ {times}×"),
        Need::AtMost(ratio) => format!("≤ {ratio}×"),
        Need::AtLeast(ratio) => format!("≥ {ratio}×"),
        Need::Micros(micros) => format!("≤ {micros} µs"),
    }
}

fn shown(need: Need, figure: f64) -> String {
    match need {
        Need::Micros(_) => format!("{figure:.1} µs"),
        _ => times(figure),
    }
}

fn times(ratio: f64) -> String {
    match ratio {
        _ if ratio >= 100.0 => format!("{ratio:.0}×"),
        _ if ratio >= 10.0 => format!("{ratio:.1}×"),
        _ => format!("{ratio:.2}×"),
    }
}

fn row(row: &Results, out: &mut String) -> std::fmt::Result {
    let requests = if row.requests == 1 { "request" } else { "distinct requests" };
    writeln!(out, "### {}\n\n{} {requests}.\n", row.id, row.requests)?;
    let best = |who: Who| row.by.get(&who).and_then(|measured| measured.as_ref().ok());
    let measured: Vec<(Who, &Measured)> = Who::ALL.into_iter().filter_map(|who| Some((who, best(who)?))).collect();
    let each = measured.iter().any(|(_, measured)| !measured.latencies.is_empty());
    let counted = measured.iter().any(|(_, measured)| measured.instructions.is_some());
    let column = |wanted: bool, text: &str| if wanted { text.to_owned() } else { String::new() };
    writeln!(
        out,
        "| | best mean | ours |{}{}",
        column(each, " p50 | p99 | ours, geometric mean |"),
        column(counted, " instructions |")
    )?;
    writeln!(out, "|---|--:|--:|{}{}", column(each, "--:|--:|--:|"), column(counted, "--:|"))?;
    for (who, figures) in &measured {
        let ours = best(who.counterpart());
        let ratio = match ours {
            Some(ours) if !who.is_ours() => times(figures.best_ns / ours.best_ns),
            _ => String::new(),
        };
        write!(out, "| {who} | {} | {ratio} |", micros(figures.best_ns))?;
        if each {
            let percentile =
                |per_mille| Measured::percentile(&figures.latencies, per_mille).map_or_else(String::new, micros);
            let mean = ours.filter(|_| !who.is_ours()).and_then(|ours| geometric_mean(figures, ours));
            write!(out, " {} | {} | {} |", percentile(500), percentile(990), mean.map_or_else(String::new, times))?;
        }
        if counted {
            write!(out, " {} |", figures.instructions.map_or_else(String::new, |count| count.to_string()))?;
        }
        writeln!(out)?;
    }
    writeln!(out)?;
    for (who, figures) in &measured {
        if let (Some(p50), Some(p999)) =
            (Measured::percentile(&figures.pinned, 500), Measured::percentile(&figures.pinned, 999))
        {
            writeln!(out, "Pinned to a core, {who}: p50 {} µs, p99.9 {} µs.\n", micros(p50), micros(p999))?;
        }
    }
    let mut absent: Vec<(String, Vec<&str>)> = vec![];
    for who in Who::ALL {
        let Some(Err(why)) = row.by.get(&who) else { continue };
        let why = one_line(why);
        match absent.iter_mut().find(|(other, _)| *other == why) {
            Some((_, together)) => together.push(who.label()),
            None => absent.push((why, vec![who.label()])),
        }
    }
    for (why, together) in &absent {
        writeln!(out, "- Without {}: {why}", together.join("; "))?;
    }
    if !absent.is_empty() {
        writeln!(out)?;
    }
    Ok(())
}

/// Of how many times faster `ours` is on each request.
fn geometric_mean(theirs: &Measured, ours: &Measured) -> Option<f64> {
    let pairs = theirs.latencies.iter().zip(&ours.latencies);
    let logarithms = pairs.map(|(theirs, ours)| (nanos(theirs).max(1.0) / nanos(ours).max(1.0)).ln());
    let (count, sum) = logarithms.fold((0_u32, 0.0), |(count, sum), logarithm| (count + 1, sum + logarithm));
    (count > 0).then(|| (sum / f64::from(count)).exp())
}

fn micros(nanos: f64) -> String {
    let micros = nanos / 1e3;
    match micros {
        _ if micros >= 100.0 => format!("{micros:.0}"),
        _ if micros >= 10.0 => format!("{micros:.1}"),
        _ => format!("{micros:.2}"),
    }
}

/// What peers say may have lines, and bars that would end a table's cell.
fn one_line(text: &str) -> String {
    const MOST: usize = 160;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
    if line.chars().count() <= MOST { line } else { line.chars().take(MOST).chain(['…']).collect() }
}

fn left_out(run: &Run<'_>, out: &mut String) -> std::fmt::Result {
    match &run.atr {
        Err(why) => writeln!(out, "The rows on AGT's regexes weren't run: {}.", one_line(why)),
        Ok(atr) => {
            writeln!(
                out,
                "## Patterns left out\n\n{} of AGT's 1,555 rules are measured. The others have patterns that RE2 or the crate \
                 `regex` don't take (look-around, backreferences, `\\u`), and were left out for every evaluator:\n",
                atr.rules()
            )?;
            for (name, why) in atr.left_out() {
                writeln!(out, "- `{name}`: {}", one_line(why))?;
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_geometric_mean_is_of_each_request() {
        let each = |micros: &[u64]| Measured {
            latencies: micros.iter().copied().map(Duration::from_micros).collect(),
            ..Measured::default()
        };
        let mean = geometric_mean(&each(&[4, 900]), &each(&[1, 100])).unwrap();
        assert!((mean - 6.0).abs() < 1e-9, "{mean}");
        assert!(geometric_mean(&each(&[]), &each(&[1])).is_none());
    }

    #[test]
    fn a_missed_bar_is_shown() {
        let bar = |figure| Bar { what: "this".into(), figure, need: Need::Faster(10.0) };
        let mut out = String::new();
        bars(
            &[
                bar(Ok(9.9)),
                bar(Ok(10.0)),
                bar(Err(NoFigure::Peer("a|b\nc".into()))),
                bar(Err(NoFigure::Ours("refused".into()))),
            ],
            &mut out,
        )
        .unwrap();
        assert!(out.contains("1 met, 2 missed, of 4"), "{out}");
        assert!(out.contains("| this | ≥ 10× | 9.90× | **missed** |"), "{out}");
        assert!(out.contains("| – | **missed**: refused |"), "{out}");
        assert!(out.contains("not measured: a\\|b c |"), "{out}");
    }
}
