//! Where and of what a run was.

use std::fs;
use std::process::Command;

use jiff::Timestamp;

/// What a reader needs to know to compare.
pub struct Machine {
    /// The day, as year, month and day.
    pub date: String,
    /// Processor, cores and system.
    pub hardware: String,
    /// What took part, with its version.
    pub versions: Vec<(&'static str, String)>,
}

impl Machine {
    /// This one, now. What can't be found out says so.
    pub fn here() -> Self {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let system = said("uname", &["-srm"]);
        let locked = include_str!("../Cargo.lock");
        let agt = include_str!("../agt/requirements.txt");
        Self {
            date: Timestamp::now().strftime("%Y-%m-%d").to_string(),
            hardware: format!("{}, {cores} cores, {system}", processor()),
            versions: vec![
                (
                    "this repository",
                    said("git", &["-C", env!("CARGO_MANIFEST_DIR"), "rev-parse", "--short=12", "HEAD"]),
                ),
                ("rustc", after("rustc ", said("rustc", &["--version"]))),
                ("regorus", version(locked, "regorus")),
                ("cedar-policy", version(locked, "cedar-policy")),
                ("OPA", opa(include_str!("../opa/go.mod"))),
                ("Go", said("go", &["env", "GOVERSION"])),
                ("agent-governance-toolkit-core", agt.trim().rsplit("==").next().unwrap_or_default().to_owned()),
                ("Python", after("Python ", said("python3", &["--version"]))),
                ("agentmesh", version(include_str!("../agentmesh/Cargo.lock"), "agentmesh")),
            ],
        }
    }
}

fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or_else(|| "unknown processor".to_owned(), |(_, name)| name.to_owned())
}

fn said(program: &str, arguments: &[&str]) -> String {
    let out = Command::new(program).args(arguments).output().ok().filter(|out| out.status.success());
    out.map_or_else(|| "unknown".to_owned(), |out| String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

/// Without the name, which stands before it anyway.
fn after(name: &str, said: String) -> String {
    said.strip_prefix(name).map_or(said.clone(), str::to_owned)
}

fn version(lock: &str, package: &str) -> String {
    let mut lines = lock.lines().skip_while(|line| *line != format!("name = \"{package}\""));
    let version = lines.nth(1).and_then(|line| line.strip_prefix("version = "));
    version.unwrap_or("unknown").trim_matches('"').to_owned()
}

fn opa(go_mod: &str) -> String {
    let required = go_mod.lines().find_map(|line| line.strip_prefix("require github.com/open-policy-agent/opa v"));
    required.unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found() {
        assert!(
            Machine::here().versions.iter().filter(|(name, _)| *name != "this repository").all(|(_, v)| !v.is_empty())
        );
        assert_eq!(version(include_str!("../Cargo.lock"), "regorus"), "0.14.1");
        assert!(opa(include_str!("../opa/go.mod")).starts_with("1.22."));
    }
}
