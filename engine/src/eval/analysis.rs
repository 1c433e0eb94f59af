//! What can be said of a bundle without asking it anything: for whoever writes policies, and wants them fast and local.

use std::collections::BTreeSet;

use serde::Serialize;

use super::admission::{IMPURE, admit};
use super::index::{Index, Left, describe};
use super::input::reads::ReadSet;
use super::plan::{GroupKind, Plan};
use super::program::RemoteData;
use super::value::Value;
use crate::bundle::Bundle;
use crate::error::Refusal;

/// What a bundle's entrypoints read, and how its rules are decided.
#[derive(Debug, Clone, Serialize)]
pub struct Analysis {
    /// Each entrypoint, by path.
    pub entrypoints: Vec<Reads>,
    /// Each definition of a rule, by place; an `else` branch is one of its own.
    pub rules: Vec<RuleTier>,
    /// About how many bytes the indexes take.
    pub index_bytes: usize,
}

/// All that an entrypoint can read.
#[derive(Debug, Clone, Serialize)]
pub struct Reads {
    /// The entrypoint's path.
    pub entrypoint: String,
    /// Paths below `input`; `input` itself if the whole of it may be read.
    pub input: Vec<String>,
    /// Paths below `data`, rules not among them; `data` with what stands behind a path that isn't constant.
    pub data: Vec<String>,
    /// Remote roots that the answer may depend on.
    pub remote: Vec<String>,
    /// Whether it asks what time it is.
    pub time: bool,
    /// Whether its answer depends on nothing but these.
    pub pure: bool,
}

/// How a definition is decided.
#[derive(Debug, Clone, Serialize)]
pub struct RuleTier {
    /// The rule's path.
    pub rule: String,
    /// The file it stands in.
    pub file: String,
    /// Its line, from 1.
    pub line: u32,
    /// How.
    pub tier: RuleTierName,
    /// Why it isn't decided by looking it up alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// How a definition is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleTierName {
    /// By looking its conditions up. What it costs doesn't depend on how many others there are.
    Indexed,
    /// Looked up, and run where it isn't ruled out.
    Narrowed,
    /// Run for each input that its document is asked about.
    Run,
}

impl RuleTierName {
    /// The name used in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Indexed => "indexed",
            Self::Narrowed => "narrowed",
            Self::Run => "run",
        }
    }
}

impl Bundle {
    /// What its entrypoints read, and how its rules are decided.
    ///
    /// ```
    /// use meshguard_engine::Bundle;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let policy = "package meshguard\ndefault decision := false\ndecision if input.action == \"files.read\"\n";
    /// let analysis = Bundle::from_files([("agent.rego".to_owned(), policy.into())].into())?.analyze()?;
    /// assert_eq!(analysis.entrypoints[0].input, ["input.action"]);
    /// assert_eq!(analysis.rules[0].tier.as_str(), "indexed");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// It is refused.
    pub fn analyze(&self) -> Result<Analysis, Refusal> {
        let admitted = admit(self, &RemoteData::Unheld)?;
        let plan = &admitted.plan;
        let reads = admitted.entrypoints.iter().map(|(dotted, _, reachable)| {
            let set = reachable
                .input
                .as_ref()
                .map_or_else(|| ReadSet::whole(&plan.inputs), |read| ReadSet::of(&plan.inputs, read));
            let whole =
                |id: &&u32| plan.groups.get(**id as usize).is_some_and(|group| group.kind == GroupKind::Document);
            let documents = reachable.groups.iter().filter(whole).filter_map(|id| plan.groups.get(*id as usize));
            let paths = reachable.data.iter().filter_map(|path| plan.paths.get(*path as usize));
            let data: BTreeSet<String> = paths
                .map(|path| dotted_path("data", path.iter().map(|name| &**name)))
                .chain(documents.map(|group| dotted_path("data", group.path.iter().filter_map(Value::as_str))))
                .collect();
            let leads = |root: &&String| data.iter().any(|path| lead_into_each_other(path, root));
            Reads {
                entrypoint: dotted.clone(),
                input: set.fields().iter().map(|path| dotted_path("input", path.iter().map(|name| &**name))).collect(),
                remote: self.settings.remote_roots.iter().filter(leads).cloned().collect(),
                data: data.iter().cloned().collect(),
                time: reachable.builtins.contains("time.now_ns"),
                pure: !IMPURE.iter().any(|name| reachable.builtins.contains(name)),
            }
        });
        let indexes = plan.selections.iter().filter_map(|selection| Index::new(plan, selection));
        Ok(Analysis {
            entrypoints: reads.collect(),
            index_bytes: indexes.map(|index| index.bytes()).sum(),
            rules: self.tiers(plan),
        })
    }

    fn tiers(&self, plan: &Plan) -> Vec<RuleTier> {
        let files: Vec<&String> = self.files.keys().filter(|path| path.ends_with(".rego")).collect();
        let mut rules = vec![];
        for selection in &plan.selections {
            let Some(group) = plan.groups.get(selection.group as usize) else { continue };
            let rule = dotted_path("data", group.path.iter().filter_map(Value::as_str));
            for (start, looked_up, left) in describe(plan, selection) {
                let at = (start as usize).saturating_sub(1);
                let location = plan.locations.get(at).copied().unwrap_or_default();
                rules.push(RuleTier {
                    rule: rule.clone(),
                    file: files.get(location.file as usize).map_or_else(String::new, |file| (*file).clone()),
                    line: location.row,
                    tier: match (left, looked_up) {
                        (None, _) => RuleTierName::Indexed,
                        (Some(_), true) => RuleTierName::Narrowed,
                        (Some(_), false) => RuleTierName::Run,
                    },
                    why: left.map(|left| left.words(plan)),
                });
            }
        }
        rules.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        rules
    }
}

fn dotted_path<'a>(root: &str, names: impl Iterator<Item = &'a str>) -> String {
    names.fold(root.to_owned(), |mut path, name| {
        path.push('.');
        path.push_str(name);
        path
    })
}

/// Whether one of two dotted paths leads into the other.
fn lead_into_each_other(a: &str, b: &str) -> bool {
    a.split('.').zip(b.split('.')).all(|(a, b)| a == b)
}

impl Left {
    fn words(self, plan: &Plan) -> String {
        match self {
            Self::Call => "it uses another rule or a function".to_owned(),
            Self::Builtin(builtin) => {
                let name = plan.builtins.get(builtin as usize).map_or("a builtin", |builtin| builtin.name);
                format!("it calls `{name}`")
            }
            Self::With => "it uses `with`".to_owned(),
            Self::Loop => "it goes through a collection".to_owned(),
            Self::Join => "it compares parts of the input with each other, or with data".to_owned(),
            Self::Pattern => "it matches a pattern".to_owned(),
            Self::Value => "its value isn't constant".to_owned(),
        }
    }
}
