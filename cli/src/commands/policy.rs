//! `meshguard policy`: what a control plane serves.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};

use meshguard_engine::bundle::{MANIFEST_TYPE, Signature};
use meshguard_engine::{Bundle, Envelope, PublicKey, SignedBundle};
use serde_json::Value;

use super::bundle::{TargetArgs, check, signed};
use super::public_key;
use crate::Global;
use crate::admin::Admin;
use crate::failure::{Failure, Kind};
use crate::output::{note, print, table};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Sign a folder and publish it: every edge of the tenant serves it next
    Apply(Apply),
    /// List what the control plane holds
    List {
        /// Only this tenant's
        #[arg(long, env = "MESHGUARD_TENANT_ID")]
        tenant: Option<String>,
    },
    /// Show the manifest that is served
    Show {
        /// Whose
        #[arg(long, env = "MESHGUARD_TENANT_ID")]
        tenant: String,
        /// Which of the tenant's bundles
        #[arg(long, default_value = "default")]
        scope: String,
    },
    /// Say whose signatures a tenant's policies need
    Trust {
        /// Whose
        #[arg(long, env = "MESHGUARD_TENANT_ID")]
        tenant: String,
        /// Public keys; they replace those before
        #[arg(required = true)]
        keys: Vec<PathBuf>,
    },
    /// Set the data that only the control plane holds, e.g. approvals
    Data {
        /// Whose
        #[arg(long, env = "MESHGUARD_TENANT_ID")]
        tenant: String,
        /// A JSON object: what lies under `data`
        file: PathBuf,
    },
}

#[derive(clap::Args)]
pub(crate) struct Apply {
    /// A folder or an archive; a signed bundle is published as it is
    path: PathBuf,
    #[command(flatten)]
    target: TargetArgs,
    /// The publisher's secret key
    #[arg(long, value_name = "FILE", required_unless_present = "signer", conflicts_with = "signer")]
    key: Option<PathBuf>,
    /// A command that signs: reads the bytes from standard input, writes 64 bytes of Ed25519 to standard output
    #[arg(long, value_name = "COMMAND", requires = "signer_key")]
    signer: Option<String>,
    /// The public key that the signer's signatures verify with
    #[arg(long, value_name = "FILE")]
    signer_key: Option<PathBuf>,
    /// The version; unless said, one more than what is served
    #[arg(long)]
    version: Option<u64>,
}

pub(crate) fn run(global: &Global, command: Command) -> Result<(), Failure> {
    let admin = Admin::new(global)?;
    match command {
        Command::Apply(apply) => publish(global, &admin, &apply),
        Command::List { tenant } => {
            let query: Vec<(&str, &str)> = tenant.iter().map(|tenant| ("tenant", tenant.as_str())).collect();
            let list = admin.get("policies", &query)?;
            print(global, &list, || {
                let row = |policy: &Value| {
                    let text = |pointer: &str| plain(policy.pointer(pointer));
                    let served = if policy.pointer("/active") == Some(&Value::Bool(true)) { "served" } else { "" };
                    vec![
                        text("/tenant"),
                        text("/scope"),
                        format!("{}.{}", text("/revision/key_epoch"), text("/revision/version")),
                        text("/files"),
                        served.to_owned(),
                    ]
                };
                let rows: Vec<_> = list.as_array().into_iter().flatten().map(row).collect();
                table(&["tenant", "scope", "version", "files", ""], &rows)
            })
        }
        Command::Show { tenant, scope } => {
            let manifest = admin.get(&format!("policies/{tenant}/{scope}"), &[])?;
            print(global, &manifest, || serde_json::to_string_pretty(&manifest).unwrap_or_default())
        }
        Command::Trust { tenant, keys } => {
            let keys = keys.iter().map(|path| public_key(path)).collect::<Result<Vec<_>, _>>()?;
            let pems: Vec<String> = keys.iter().map(PublicKey::to_pem).collect();
            let answer = admin.set_publishers(&tenant, &pems)?;
            note(
                global,
                "warning: policies signed by other keys are no longer served until they are published anew, signed by these",
            );
            print(global, &answer, || {
                format!(
                    "{tenant}: policies signed by {}",
                    keys.iter().map(PublicKey::id).collect::<Vec<_>>().join(" or ")
                )
            })
        }
        Command::Data { tenant, file } => {
            let answer = admin.set_data(&tenant, super::read(&file)?.into_bytes())?;
            print(global, &answer, || format!("{tenant}: data of {} in force", file.display()))
        }
    }
}

fn publish(global: &Global, admin: &Admin, apply: &Apply) -> Result<(), Failure> {
    let already = std::fs::read(&apply.path).ok().and_then(|bytes| SignedBundle::from_tar_gz(&bytes).ok());
    let bundle = match already {
        Some(signed) => signed,
        None => {
            let version = match apply.version {
                Some(version) => version,
                None => next_version(admin, &apply.target)?,
            };
            let target = apply.target.target(version);
            match (&apply.key, &apply.signer, &apply.signer_key) {
                (Some(key), ..) => signed(&apply.path, &target, key)?,
                (None, Some(command), Some(public)) => {
                    let bundle = Bundle::from_path(&apply.path)?;
                    check(&bundle)?;
                    let manifest = bundle.manifest(&target).to_bytes()?;
                    let envelope = sign_by_command(manifest, command, public)?;
                    SignedBundle { envelope, files: bundle.files }
                }
                _ => {
                    return Err(Failure::arguments("name the key: --key FILE, or --signer COMMAND --signer-key FILE"));
                }
            }
        }
    };
    let manifest = bundle.manifest()?;
    let answer = admin.publish(&bundle.to_tar_gz()?)?;
    note(global, &format!("published to {}/{}", manifest.tenant, manifest.scope));
    print(global, &answer, || {
        format!("version {}.{}: {} files, in force", manifest.key_epoch, manifest.version, manifest.files.len())
    })
}

fn next_version(admin: &Admin, target: &TargetArgs) -> Result<u64, Failure> {
    let list = admin.get("policies", &[("tenant", &target.tenant)])?;
    let versions = list.as_array().into_iter().flatten().filter_map(|policy| {
        let ours = policy.pointer("/scope").and_then(Value::as_str) == Some(target.scope.as_str())
            && policy.pointer("/revision/key_epoch").and_then(Value::as_u64) == Some(target.key_epoch);
        if ours { policy.pointer("/revision/version").and_then(Value::as_u64) } else { None }
    });
    Ok(versions.max().unwrap_or(0) + 1)
}

/// Signs without holding the key: a KMS or a smart card behind a command.
fn sign_by_command(manifest: Vec<u8>, command: &str, public: &Path) -> Result<Envelope, Failure> {
    let failed = |what: String| Failure::new(Kind::General, format!("the signer `{command}` {what}"));
    let mut process = Process::new("sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| failed(format!("can't be started: {e}")))?;
    let message = Envelope::to_be_signed(MANIFEST_TYPE, &manifest);
    if let Some(mut stdin) = process.stdin.take() {
        // A signer that ends without reading says why by its status, which comes next.
        let written = stdin.write_all(&message);
        written.or_else(|e| {
            if e.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(failed(format!("doesn't read: {e}"))) }
        })?;
    }
    let output = process.wait_with_output()?;
    if !output.status.success() {
        return Err(failed(format!("ended with {}", output.status)));
    }
    let key = public_key(public)?;
    if !key.verifies(&message, &output.stdout) {
        return Err(failed(format!(
            "gave {} bytes, which are no signature of {}",
            output.stdout.len(),
            public.display()
        )));
    }
    let signature = Signature { key_id: key.id(), sig: output.stdout.into() };
    Ok(Envelope { payload_type: MANIFEST_TYPE.to_owned(), payload: manifest.into(), signatures: vec![signature] })
}

/// A JSON value as a person writes it.
pub(crate) fn plain(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
