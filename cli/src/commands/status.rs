//! `meshguard status`: of an edge's folder, or of a control plane with every edge.

use std::path::{Path, PathBuf};

use meshguard_engine::{Engine, PublicKey};
use serde_json::Value;

use super::policy::plain;
use super::public_key;
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
                status.policy_age_ms.map_or_else(|| "never".to_owned(), |age| format!("{} s ago", age / 1000)),
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
                text("/connected"),
                text("/state"),
                revision,
                text("/behind"),
                text("/audit/pending"),
            ]
        };
        let rows: Vec<_> = edges.as_array().into_iter().flatten().map(row).collect();
        table(&["tenant", "agent", "instance", "connected", "state", "version", "behind", "records waiting"], &rows)
    })
}
