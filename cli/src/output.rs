//! What people and scripts read.

use std::io::Write;

use serde::Serialize;

use crate::Global;
use crate::failure::Failure;

/// Prints `value` as one line of JSON, or `text` for people.
pub(crate) fn print(global: &Global, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
    let line = if global.json { serde_json::to_string(value)? } else { text() };
    print_line(&line)
}

/// Prints one line. A reader that went away is no error: `meshguard audit tail | head` is ordinary use.
pub(crate) fn print_line(line: &str) -> Result<(), Failure> {
    match writeln!(std::io::stdout().lock(), "{line}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// Tells people what is going on, on standard error.
pub(crate) fn note(global: &Global, text: &str) {
    if !global.quiet {
        eprintln!("{text}");
    }
}

/// A table with columns as wide as their widest cell.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let header: Vec<String> = header.iter().map(|cell| (*cell).to_owned()).collect();
    let all: Vec<&Vec<String>> = std::iter::once(&header).chain(rows).collect();
    let width = |column: usize| {
        all.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    all.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Nanoseconds in the unit that suits them.
pub(crate) fn duration(ns: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let value = ns as f64;
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{:.1} µs", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", value / 1e6),
        _ => format!("{:.2} s", value / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".to_owned(), "b".to_owned()], vec!["longer".to_owned(), "ü".to_owned()]];
        assert_eq!(table(&["x", "y"], &rows), "x       y\na       b\nlonger  ü");
    }

    #[test]
    fn durations() {
        assert_eq!(duration(999), "999 ns");
        assert_eq!(duration(1_500), "1.5 µs");
        assert_eq!(duration(2_000_000), "2.0 ms");
        assert_eq!(duration(1_250_000_000), "1.25 s");
    }
}
