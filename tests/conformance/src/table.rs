//! What engines make of the cases, counted by folder.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::case::Case;
use crate::verdict::Verdict;

/// Folders that the second sum leaves out: builtins that no policy of an agent calls, or that use the network.
pub const LEFT_OUT: [&str; 3] = ["graphql", "providers-aws", "netlookupipaddr"];

/// How many cases an engine passed, refused and answered wrongly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: usize,
    pub refused: usize,
    pub wrong: usize,
}

/// One engine's results.
pub struct Column<'a> {
    pub name: &'a str,
    pub results: Vec<(&'a Case, Verdict)>,
}

impl Counts {
    fn add(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Refused { .. } => self.refused += 1,
            Verdict::Wrong(_) => self.wrong += 1,
        }
    }
}

impl Column<'_> {
    /// The sum over all cases, or without those in [`LEFT_OUT`].
    pub fn sum(&self, all: bool) -> Counts {
        let mut counts = Counts::default();
        for (_, verdict) in self.results.iter().filter(|(case, _)| all || !LEFT_OUT.contains(&case.folder.as_str())) {
            counts.add(verdict);
        }
        counts
    }

    fn by_folder(&self) -> BTreeMap<String, Counts> {
        let mut folders = BTreeMap::<String, Counts>::new();
        for (case, verdict) in &self.results {
            folders.entry(case.topic()).or_default().add(verdict);
        }
        folders
    }
}

/// A row for each folder, and two sums.
pub fn render(columns: &[Column<'_>]) -> String {
    let mut text = format!("{:40} {:>5}", "passed / refused / wrong", "cases");
    for column in columns {
        let _ = write!(text, "  {:>18}", column.name);
    }
    text.push('\n');
    let folders: Vec<_> = columns.iter().map(Column::by_folder).collect();
    for folder in folders.first().into_iter().flat_map(BTreeMap::keys) {
        let counts = folders.iter().map(|folders| folders.get(folder).copied().unwrap_or_default());
        row(&mut text, folder, &counts.collect::<Vec<_>>());
    }
    for (title, all) in [("all cases".to_owned(), true), (format!("without {}", LEFT_OUT.join(", ")), false)] {
        let counts: Vec<_> = columns.iter().map(|column| column.sum(all)).collect();
        row(&mut text, &title, &counts);
        let _ = write!(text, "{:46}", "");
        for count in counts {
            let _ = write!(text, "  {:>18}", share(count));
        }
        text.push('\n');
    }
    text
}

fn row(text: &mut String, title: &str, counts: &[Counts]) {
    let cases = counts.first().map_or(0, |count| count.passed + count.refused + count.wrong);
    // A title that is too long gets a line of its own.
    if title.len() > 40 {
        let _ = writeln!(text, "{title}");
    }
    let _ = write!(text, "{:40} {cases:>5}", if title.len() > 40 { "" } else { title });
    for Counts { passed, refused, wrong } in counts {
        let _ = write!(text, "  {passed:>6}{refused:>6}{wrong:>6}");
    }
    text.push('\n');
}

/// How much of the cases was passed, rounded down: 100 % is all of them.
fn share(Counts { passed, refused, wrong }: Counts) -> String {
    let all = (passed + refused + wrong).max(1);
    let permille = passed * 1000 / all;
    format!("{}.{} % passed", permille / 10, permille % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(folder: &str) -> Case {
        serde_json::from_str(&format!(r#"{{"rego": "v1", "folder": "{folder}", "case": {{"note": "", "query": ""}}}}"#))
            .unwrap()
    }

    #[test]
    fn sums_with_and_without() {
        let (a, b) = (case("a"), case("graphql"));
        let refused = Verdict::Refused { code: String::new(), message: String::new() };
        let results =
            vec![(&a, Verdict::Passed), (&a, Verdict::Wrong(String::new())), (&b, refused), (&a, Verdict::Passed)];
        let column = Column { name: "x", results };
        assert_eq!(column.sum(true), Counts { passed: 2, refused: 1, wrong: 1 });
        assert_eq!(column.sum(false), Counts { passed: 2, refused: 0, wrong: 1 });
        let text = render(&[column]);
        assert!(
            text.contains("v1/graphql") && text.contains("50.0 % passed") && text.contains("66.6 % passed"),
            "{text}"
        );
    }
}
