//! `meshguard status`: of an edge's folder, or of a control plane with every edge.

use std::path::{Path, PathBuf};

use meshguard_engine::{Engine, PublicKey};
use serde_json::Value;

use super::policy::plain;
use super::{now_ms, public_key};
use crate::Global;
use crate::admin::Admin;
use crate::failure::Failure;
use crate::output::{print, table};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// An edge's state folder, while the edge isn't running; without it, the control plane is asked
    #[arg(long, value_name = "DIR", requires = "trust_key")]
    state: Option<PathBuf>,
    /// The publisher's public key, to verify what the folder holds
    #[arg(long, value_name = "FILE")]
    trust_key: Vec<PathBuf>,
    /// Whose
    #[arg(long, env = "MESHGUARD_TENANT_ID")]
    tenant: Option<String>,
    /// Which of the tenant's bundles
    #[arg(long, default_value = "default")]
    scope: String,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<(), Failure> {
    match &args.state {
        Some(dir) => of_folder(global, args, dir),
        None => of_control_plane(global, args.tenant.as_deref()),
    }
}

fn of_folder(global: &Global, args: &Args, dir: &Path) -> Result<(), Failure> {
    let tenant = args.tenant.as_deref().ok_or_else(|| Failure::arguments("name the tenant: --tenant"))?;
    if !dir.is_dir() {
        return Err(Failure::arguments(format!("`{}` is no folder", dir.display())));
    }
    let keys = args.trust_key.iter().map(|path| public_key(path)).collect::<Result<Vec<PublicKey>, _>>()?;
    let mut builder = Engine::builder(tenant).scope(args.scope.as_str()).state_dir(dir);
    for key in keys {
        builder = builder.trust(key);
    }
    let status = builder.open()?.status();
    print(global, &status, || {
        let revision = status.revision.map_or_else(|| "-".to_owned(), |revision| revision.to_string());
        let mut rows = vec![
            vec!["serves".to_owned(), format!("{tenant}/{} revision {revision}, {} rules", args.scope, status.rules)],
            vec!["floor".to_owned(), status.floor.to_string()],
            vec![
                "last heard".to_owned(),
                status
                    .policy_age_ms
                    .map_or_else(|| "never".to_owned(), |age| ago(i64::try_from(age).unwrap_or(i64::MAX))),
            ],
            vec!["records waiting".to_owned(), status.audit.pending.to_string()],
        ];
        if let Some(refusal) = &status.behind {
            rows.push(vec!["behind".to_owned(), refusal.to_string()]);
        }
        table(&["state", status.state.as_str()], &rows)
    })
}

fn of_control_plane(global: &Global, tenant: Option<&str>) -> Result<(), Failure> {
    let query: Vec<(&str, &str)> = tenant.iter().map(|tenant| ("tenant", *tenant)).collect();
    let edges = Admin::new(global)?.get("edges", &query)?;
    let now_ms = now_ms();
    print(global, &edges, || {
        let row = |edge: &Value| {
            let text = |pointer: &str| plain(edge.pointer(pointer));
            let revision = match edge.pointer("/revision") {
                Some(Value::Object(_)) => format!("{}.{}", text("/revision/key_epoch"), text("/revision/version")),
                _ => "-".to_owned(),
            };
            vec![
                text("/tenant"),
                text("/agent_id"),
                text("/instance_id").chars().take(8).collect(),
                match edge.pointer("/connected") {
                    Some(Value::Bool(false)) => "gone".to_owned(),
                    _ => text("/state"),
                },
                edge.pointer("/last_seen_ms")
                    .and_then(Value::as_i64)
                    .map_or_else(|| "-".to_owned(), |at| ago(now_ms - at)),
                revision,
                text("/behind"),
                text("/audit/pending"),
            ]
        };
        let rows: Vec<_> = edges.as_array().into_iter().flatten().map(row).collect();
        table(&["tenant", "agent", "instance", "state", "last seen", "version", "behind", "records waiting"], &rows)
    })
}

/// A time that has passed, in the unit that suits it. Clocks that differ a little make it none.
fn ago(ms: i64) -> String {
    match ms.max(0) / 1000 {
        seconds @ 0..120 => format!("{seconds} s ago"),
        seconds @ 120..7200 => format!("{} min ago", seconds / 60),
        seconds => format!("{} h ago", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::ago;

    #[test]
    fn times_ago() {
        assert_eq!([-5, 119_999, 120_000, 7_200_000].map(ago), ["0 s ago", "119 s ago", "2 min ago", "2 h ago"]);
    }
}
