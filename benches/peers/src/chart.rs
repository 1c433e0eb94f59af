//! `results.svg`: what a decision costs as rules get more, both axes logarithmic.

use std::fmt::Write;

use crate::contestant::Who;
use crate::measure::Results;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 440.0;
/// The plot's edges; labels of the lines stand right of it.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 560.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 390.0;
/// Lines of text are at least so far apart.
const LINE: f64 = 15.0;

/// Whose lines are drawn, with their colour, which colour-blind readers tell apart as well.
const LINES: [(Who, &str); 8] = [
    (Who::OursBuilt, "#0072b2"),
    (Who::OursJson, "#56b4e9"),
    (Who::InterpreterParsed, "#8c510a"),
    (Who::RvmParsed, "#d55e00"),
    (Who::RvmJson, "#e69f00"),
    (Who::Cedar, "#009e73"),
    (Who::OpaParsed, "#7f7f7f"),
    (Who::OpaJson, "#222222"),
];

/// The rows of the horizontal axis.
const SIZES: [(u32, &str); 4] = [(10, "many_10"), (100, "many_100"), (1_000, "many_1000"), (10_000, "many_10000")];

struct Line {
    who: Who,
    colour: &'static str,
    /// Rules, and nanoseconds.
    points: Vec<(f64, f64)>,
}

/// The chart; none where no row of it was run.
pub fn svg(results: &[Results]) -> Option<String> {
    let lines: Vec<Line> =
        LINES.iter().map(|&(who, colour)| Line { who, colour, points: points(results, who) }).collect();
    let lines: Vec<Line> = lines.into_iter().filter(|line| !line.points.is_empty()).collect();
    let times = || lines.iter().flat_map(|line| &line.points).map(|(_, nanos)| nanos.log10());
    let (low, high) = (times().reduce(f64::min)?.floor(), times().reduce(f64::max)?.ceil());
    let mut out = String::new();
    // Writing to a string can't fail.
    let _ = draw(&lines, (low, high.max(low + 1.0)), &mut out);
    Some(out)
}

fn points(results: &[Results], who: Who) -> Vec<(f64, f64)> {
    let point = |&(rules, id): &(u32, &str)| {
        let row = results.iter().find(|row| row.id == id)?;
        Some((f64::from(rules), row.by.get(&who)?.as_ref().ok()?.best_ns))
    };
    SIZES.iter().filter_map(point).collect()
}

fn draw(lines: &[Line], (low, high): (f64, f64), out: &mut String) -> std::fmt::Result {
    let x = |rules: f64| LEFT + (rules.log10() - 1.0) / 3.0 * (RIGHT - LEFT);
    let y = |nanos: f64| BOTTOM - (nanos.log10() - low) / (high - low) * (BOTTOM - TOP);
    writeln!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12" fill="#333">
<title>Time of a decision by number of rules</title>
<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>
<text x="{LEFT}" y="24" font-size="15" font-weight="bold">Time of a decision, by number of rules (both logarithmic; lower is better)</text>"##
    )?;
    let mut decade = low;
    while decade <= high {
        let (at, name) = (y(10_f64.powf(decade)), unit(10_f64.powf(decade)));
        writeln!(out, r##"<line x1="{LEFT}" x2="{RIGHT}" y1="{at:.1}" y2="{at:.1}" stroke="#ddd"/>"##)?;
        writeln!(out, r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{name}</text>"#, LEFT - 8.0, at + 4.0)?;
        decade += 1.0;
    }
    for (rules, _) in SIZES {
        let at = x(f64::from(rules));
        writeln!(out, r#"<text x="{at:.1}" y="{:.1}" text-anchor="middle">{rules} rules</text>"#, BOTTOM + 22.0)?;
    }
    for line in lines {
        let width = if line.who.is_ours() { 3.5 } else { 2.0 };
        let places: Vec<String> =
            line.points.iter().map(|(rules, nanos)| format!("{:.1},{:.1}", x(*rules), y(*nanos))).collect();
        let (colour, places) = (line.colour, places.join(" "));
        writeln!(out, r#"<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="{width}"/>"#)?;
        for (rules, nanos) in &line.points {
            writeln!(out, r#"<circle cx="{:.1}" cy="{:.1}" r="{width}" fill="{colour}"/>"#, x(*rules), y(*nanos))?;
        }
    }
    for (line, at) in labels(lines, y) {
        let (colour, who) = (line.colour, line.who);
        let from = line.points.last().map_or((RIGHT, at), |(rules, nanos)| (x(*rules) + 5.0, y(*nanos)));
        writeln!(
            out,
            r##"<line x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{at:.1}" stroke="#ccc"/>"##,
            from.0,
            from.1,
            RIGHT + 14.0
        )?;
        let weight = if who.is_ours() { "bold" } else { "normal" };
        writeln!(
            out,
            r#"<text x="{:.1}" y="{:.1}" fill="{colour}" font-weight="{weight}">{who}</text>"#,
            RIGHT + 18.0,
            at + 4.0
        )?;
    }
    writeln!(out, "</svg>")
}

/// Where the names of the lines stand: beside their ends, but not upon each other.
fn labels(lines: &[Line], y: impl Fn(f64) -> f64) -> Vec<(&Line, f64)> {
    let end = |line: &Line| line.points.last().map_or(BOTTOM, |(_, nanos)| y(*nanos));
    let mut labels: Vec<(&Line, f64)> = lines.iter().map(|line| (line, end(line))).collect();
    labels.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut below = f64::INFINITY;
    for (_, at) in &mut labels {
        *at = at.min(below - LINE);
        below = *at;
    }
    labels
}

fn unit(nanos: f64) -> String {
    match nanos {
        _ if nanos >= 1e6 => format!("{} ms", nanos / 1e6),
        _ if nanos >= 1e3 => format!("{} µs", nanos / 1e3),
        _ => format!("{nanos} ns"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Measured;

    #[test]
    fn names_do_not_overlap() {
        let line = |who, nanos| Line { who, colour: "#000", points: vec![(10.0, nanos)] };
        let lines = [line(Who::OursBuilt, 100.0), line(Who::OursJson, 101.0), line(Who::Cedar, 102.0)];
        let mut at: Vec<f64> = labels(&lines, |nanos| 300.0 - nanos).into_iter().map(|(_, at)| at).collect();
        at.sort_by(f64::total_cmp);
        assert!(at.windows(2).all(|pair| pair[1] - pair[0] >= LINE), "{at:?}");
    }

    #[test]
    fn nothing_to_draw_and_something() {
        assert!(svg(&[]).is_none());
        let by = [(Who::OursBuilt, Ok(Measured { best_ns: 400.0, ..Measured::default() }))].into();
        let row = Results { id: "many_10".into(), requests: 1, by, records: 0 };
        let drawn = svg(&[row]).unwrap();
        assert!(drawn.contains("ours, built") && drawn.ends_with("</svg>\n"), "{drawn}");
    }
}
