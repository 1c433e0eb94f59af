//! `meshguard audit`: what was recorded.

use std::time::Duration;

use serde_json::Value;

use super::policy::plain;
use crate::Global;
use crate::admin::Admin;
use crate::failure::Failure;
use crate::output::print_line;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Print the records that the control plane holds, one a line
    Tail {
        /// Whose
        #[arg(long, env = "MESHGUARD_TENANT_ID")]
        tenant: String,
        /// How many of the newest
        #[arg(short = 'n', long, default_value_t = 1000)]
        limit: u64,
        /// Go on as records arrive
        #[arg(short, long)]
        follow: bool,
    },
}

/// Records asked for at once.
const PAGE: &str = "1000";

/// How long to wait for news.
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) fn run(global: &Global, command: Command) -> Result<(), Failure> {
    let Command::Tail { tenant, limit, follow } = command;
    let admin = Admin::new(global)?;
    let start = admin.get("audit", &[("tenant", &tenant), ("newest", &limit.to_string()), ("limit", "0")])?;
    let mut cursor = plain(start.pointer("/next"));
    loop {
        let answer = admin.get("audit", &[("tenant", &tenant), ("after", &cursor), ("limit", PAGE)])?;
        let records: &[Value] = answer.pointer("/records").and_then(Value::as_array).map_or(&[], Vec::as_slice);
        for record in records {
            print_line(&if global.json { record.to_string() } else { line(record) })?;
        }
        cursor = plain(answer.pointer("/next"));
        match (records.is_empty(), follow) {
            (false, _) => {}
            (true, true) => std::thread::sleep(PAUSE),
            (true, false) => return Ok(()),
        }
    }
}

fn line(record: &Value) -> String {
    let text = |pointer: &str| plain(record.pointer(pointer));
    let head = format!("{}  {}", time(record.pointer("/at_ms")), text("/agent_id"));
    match record.pointer("/kind").and_then(Value::as_str) {
        Some(kind @ ("decision" | "fail_open")) => {
            let reasons = record.pointer("/reasons").and_then(Value::as_array).into_iter().flatten();
            let reasons: Vec<String> = reasons.map(|reason| plain(Some(reason))).collect();
            let (actor, action) = (text("/plain/~1actor~1id"), text("/plain/~1action"));
            let opened = if kind == "fail_open" { "  FAILED OPEN" } else { "" };
            format!("{head}  {}  {actor} {action}  {}  {}{opened}", text("/effect"), text("/rule"), reasons.join(","))
        }
        Some("activated") => {
            format!("{head}  activated  version {}.{}", text("/revision/key_epoch"), text("/revision/version"))
        }
        Some("refused") => format!("{head}  refused  {} {}", text("/stage"), text("/code")),
        _ => format!("{head}  {}", text("/kind")),
    }
}

/// The time of day in UTC, which is what a person following along needs; the JSON form has the whole time.
fn time(at_ms: Option<&Value>) -> String {
    let ms = at_ms.and_then(Value::as_u64).unwrap_or(0);
    let (seconds, ms) = (ms / 1000 % 86_400, ms % 1000);
    format!("{:02}:{:02}:{:02}.{ms:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
