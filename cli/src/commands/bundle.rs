//! `meshguard bundle`: from a folder of policies to something that can be served.

use std::fs;
use std::path::{Path, PathBuf};

use meshguard_engine::{
    Analysis, Bundle, Digest, Engine, Manifest, RemoteData, RuleTier, RuleTierName, SignedBundle, Target,
    VerifiedBundle,
};
use serde_json::json;

use super::policy::plain;
use super::{now_ms, public_key, signing_key};
use crate::Global;
use crate::failure::{Failure, Kind};
use crate::output::{print, table};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Check a folder and pack it, unsigned, as an OPA bundle
    Build {
        /// A folder of .rego and data.json files
        dir: PathBuf,
        /// The archive to write
        #[arg(short, long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Sign a folder or an archive for a tenant
    Sign(Sign),
    /// Check that a signed bundle may serve: signature, digests, compilation, smoke vectors
    Verify {
        /// The signed bundle
        file: PathBuf,
        /// A public key to trust
        #[arg(long, required = true, value_name = "FILE")]
        key: Vec<PathBuf>,
    },
    /// Show what a bundle holds
    Inspect {
        /// A folder or an archive
        path: PathBuf,
    },
    /// Show what changes from one bundle to another
    Diff {
        /// A folder or an archive
        old: PathBuf,
        /// A folder or an archive
        new: PathBuf,
    },
}

#[derive(clap::Args)]
pub(crate) struct Sign {
    /// A folder or an archive
    path: PathBuf,
    /// The signed bundle to write
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// The publisher's secret key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    target: TargetArgs,
    /// The version; must be higher than any published before
    #[arg(long)]
    version: u64,
}

/// For whom, and until when.
#[derive(clap::Args)]
pub(crate) struct TargetArgs {
    /// Whose bundle
    #[arg(long, env = "MESHGUARD_TENANT_ID")]
    pub(crate) tenant: String,
    /// Which of the tenant's bundles
    #[arg(long, default_value = "default")]
    pub(crate) scope: String,
    /// The epoch of the tenant's root keys
    #[arg(long, default_value_t = 1)]
    pub(crate) key_epoch: u64,
    /// Hours after which an edge that can't renew it denies everything
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(i64).range(1..=24 * 366))]
    pub(crate) hard_ttl_hours: i64,
    /// Seconds for which the control plane's word is fresh
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) soft_ttl_seconds: u64,
}

impl TargetArgs {
    pub(crate) fn target(&self, version: u64) -> Target {
        Target {
            scope: self.scope.clone(),
            key_epoch: self.key_epoch,
            hard_ttl_ms: self.hard_ttl_hours.saturating_mul(3_600_000),
            soft_ttl_ms: self.soft_ttl_seconds.saturating_mul(1000),
            ..Target::new(self.tenant.as_str(), version, now_ms())
        }
    }
}

pub(crate) fn run(global: &Global, command: Command) -> Result<(), Failure> {
    match command {
        Command::Build { dir, out } => {
            let bundle = Bundle::from_path(&dir)?;
            check(&bundle)?;
            fs::write(&out, bundle.to_tar_gz()?)?;
            let (files, digest) = (bundle.files.len(), bundle.digest());
            print(global, &json!({ "out": out, "files": files, "digest": digest }), || {
                format!("{}: {files} files, digest {}", out.display(), digest.short())
            })
        }
        Command::Sign(sign) => {
            let bundle = Bundle::from_path(&sign.path)?;
            check(&bundle)?;
            let signed = bundle.sign(&sign.target.target(sign.version), &signing_key(&sign.key)?)?;
            fs::write(&sign.out, signed.to_tar_gz()?)?;
            let revision = signed.manifest()?.revision(Digest::of(&signed.envelope.payload));
            print(global, &json!({ "out": sign.out, "revision": revision }), || {
                format!("{}: revision {revision}", sign.out.display())
            })
        }
        Command::Verify { file, key } => verify(global, &file, &key),
        Command::Inspect { path } => inspect(global, &path),
        Command::Diff { old, new } => {
            let changes = meshguard_policy::diff(&Bundle::from_path(&old)?, &Bundle::from_path(&new)?);
            print(global, &changes, || match changes.as_slice() {
                [] => "no difference".to_owned(),
                changes => changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
            })
        }
    }
}

/// Whether the engine would serve it: compiles it, and runs its smoke vectors.
pub(crate) fn check(bundle: &Bundle) -> Result<(), Failure> {
    Engine::builder("check").unsigned_bundle(bundle.clone()).open()?;
    Ok(())
}

fn verify(global: &Global, file: &Path, keys: &[PathBuf]) -> Result<(), Failure> {
    let signed = SignedBundle::from_tar_gz(&fs::read(file)?)?;
    let keys = keys.iter().map(|path| public_key(path)).collect::<Result<Vec<_>, _>>()?;
    let Manifest { tenant, scope, .. } = signed.manifest()?;
    let bundle = VerifiedBundle::new(&signed, &keys, &tenant, &scope)?;
    // An engine of its own, with an empty floor: everything that an edge checks but what depends on the edge.
    let mut builder = Engine::builder(tenant.as_str()).scope(scope.as_str()).remote_data(RemoteData::Unheld);
    for key in keys {
        builder = builder.trust(key);
    }
    builder.open()?.apply(&bundle)?;
    let revision = bundle.revision();
    print(global, &json!({ "ok": true, "tenant": tenant, "scope": scope, "revision": revision }), || {
        format!("ok: {tenant}/{scope} revision {revision}, {} files", bundle.bundle().files.len())
    })
}

fn inspect(global: &Global, path: &Path) -> Result<(), Failure> {
    let signed = if path.is_file() { SignedBundle::from_tar_gz(&fs::read(path)?).ok() } else { None };
    let manifest = signed.as_ref().map(SignedBundle::manifest).transpose()?;
    let bundle = Bundle::from_path(path)?;
    let signers: Vec<&str> = signed.iter().flat_map(|s| &s.envelope.signatures).map(|s| s.key_id.as_str()).collect();
    let files: Vec<_> = bundle
        .files
        .iter()
        .map(|(path, body)| json!({ "path": path, "size": body.len(), "digest": Digest::of(body) }))
        .collect();
    // A bundle that would be refused can still be looked at.
    let analysis = bundle.analyze();
    let data = json!({
        "digest": bundle.digest(),
        "signed": manifest.as_ref().map(|m| json!({
            "tenant": m.tenant, "scope": m.scope, "key_epoch": m.key_epoch, "version": m.version,
            "issued_at_ms": m.issued_at_ms, "expires_at_ms": m.expires_at_ms, "signatures": signers,
        })),
        "settings": bundle.settings,
        "files": files,
        "analysis": analysis.as_ref().ok(),
        "refused": analysis.as_ref().err(),
    });
    print(global, &data, || {
        let mut text = match &manifest {
            Some(m) => format!(
                "{}/{} version {}.{}, signed by {} (not verified here)",
                m.tenant,
                m.scope,
                m.key_epoch,
                m.version,
                signers.join(", ")
            ),
            None => "not signed".to_owned(),
        };
        for (path, entrypoint) in &bundle.settings.entrypoints {
            text.push_str(&format!(
                "\nentrypoint {path}  defer {}, durable {}",
                plain(serde_json::to_value(entrypoint.defer).ok().as_ref()),
                if entrypoint.durable { "yes" } else { "no" }
            ));
        }
        for root in &bundle.settings.remote_roots {
            text.push_str(&format!("\nremote {root}"));
        }
        let row = |(path, body): (&String, &_)| {
            vec![
                path.clone(),
                AsRef::<[u8]>::as_ref(body).len().to_string(),
                Digest::of(AsRef::<[u8]>::as_ref(body)).short(),
            ]
        };
        let rows: Vec<_> = bundle.files.iter().map(row).collect();
        let tiers = match &analysis {
            Ok(analysis) => described(analysis),
            Err(refusal) => format!("refused: {refusal}"),
        };
        format!("{text}\n\n{}\n\n{tiers}", table(&["file", "bytes", "digest"], &rows))
    })
}

/// Rules listed for people; JSON has them all.
const MAX_LISTED: usize = 20;

/// What each entrypoint reads, and which rules aren't simply looked up, and why.
fn described(analysis: &Analysis) -> String {
    let mut text = String::new();
    let list = |paths: &[String]| if paths.is_empty() { "nothing".to_owned() } else { paths.join(", ") };
    for reads in &analysis.entrypoints {
        let time = if reads.time { ", the time" } else { "" };
        let remote = if reads.remote.is_empty() { String::new() } else { format!("; remote: {}", list(&reads.remote)) };
        let pure = if reads.pure { "" } else { "; not pure" };
        let paths: Vec<String> = reads.input.iter().chain(&reads.data).cloned().collect();
        text.push_str(&format!("{} reads {}{time}{remote}{pure}\n", reads.entrypoint, list(&paths)));
    }
    let of = |tier| analysis.rules.iter().filter(|rule| rule.tier == tier).count();
    let (indexed, narrowed, run) = (of(RuleTierName::Indexed), of(RuleTierName::Narrowed), of(RuleTierName::Run));
    text.push_str(&format!(
        "{indexed} rules looked up, {narrowed} narrowed down and run, {run} always run; about {} KiB of indexes",
        analysis.index_bytes.div_ceil(1024)
    ));
    let rest: Vec<&RuleTier> = analysis.rules.iter().filter(|rule| rule.tier != RuleTierName::Indexed).collect();
    let row = |rule: &&RuleTier| {
        let place = format!("{}:{}", rule.file, rule.line);
        vec![place, rule.rule.clone(), rule.tier.as_str().to_owned(), rule.why.clone().unwrap_or_default()]
    };
    if !rest.is_empty() {
        let rows: Vec<_> = rest.iter().take(MAX_LISTED).map(row).collect();
        text.push_str(&format!("\n\n{}", table(&["place", "rule", "tier", "why it isn't only looked up"], &rows)));
    }
    if rest.len() > MAX_LISTED {
        text.push_str(&format!("\n… and {} more; --json has all of them", rest.len() - MAX_LISTED));
    }
    text
}

/// The signed bundle of a folder or archive, or the one that `path` already is.
pub(crate) fn signed(path: &Path, target: &Target, key: &Path) -> Result<SignedBundle, Failure> {
    let bundle = Bundle::from_path(path)?;
    check(&bundle)?;
    bundle.sign(target, &signing_key(key)?).map_err(|e| Failure::new(Kind::General, e))
}
