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
        /// Start after this cursor, as an earlier call with --json printed it
        #[arg(long, value_name = "CURSOR")]
        after: Option<String>,
        /// How many at most
        #[arg(short = 'n', long, default_value_t = 1000)]
        limit: usize,
        /// Go on as records arrive
        #[arg(short, long)]
        follow: bool,
    },
}

/// Records asked for at once.
const PAGE: usize = 1000;

/// How long to wait for news.
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) fn run(global: &Global, command: Command) -> Result<(), Failure> {
    let Command::Tail { tenant, after, limit, follow } = command;
    let admin = Admin::new(global)?;
    let mut cursor = after.unwrap_or_default();
    let mut left = limit;
    loop {
        let page = left.min(PAGE).to_string();
        let answer = admin.get("audit", &[("tenant", &tenant), ("after", &cursor), ("limit", &page)])?;
        let records: &[Value] = answer.pointer("/records").and_then(Value::as_array).map_or(&[], Vec::as_slice);
        for record in records {
            print_line(&if global.json { record.to_string() } else { line(record) })?;
        }
        if let Some(next) = answer.pointer("/next").and_then(Value::as_str) {
            cursor = next.to_owned();
        }
        left = if follow { usize::MAX } else { left.saturating_sub(records.len()) };
        match (records.is_empty(), follow) {
            (true, true) => std::thread::sleep(PAUSE),
            (true, false) => return Ok(()),
            (false, _) if left == 0 => return Ok(()),
            (false, _) => {}
        }
    }
}

fn line(record: &Value) -> String {
    let text = |pointer: &str| plain(record.pointer(pointer));
    match record.pointer("/kind").and_then(Value::as_str) {
        Some("decision" | "fail_open") => {
            let reasons: Vec<String> = record
                .pointer("/reasons")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .map(|r| plain(Some(r)))
                .collect();
            format!(
                "{}  {:16}  {}  {}  {}  {}",
                text("/at_ms"),
                text("/effect"),
                text("/plain/~1actor~1id"),
                text("/plain/~1action"),
                text("/rule"),
                reasons.join(",")
            )
        }
        _ => format!("{}  {:16}  {}", text("/at_ms"), text("/kind"), record),
    }
}
