//! Regenerates `proto/src/generated` from `proto/proto`, without `protoc`.
//!
//! `meshguard-proto-codegen` writes the files; with `--check` it only compares, and fails if the checked-in code is out of date.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use protox::prost_reflect::prost_types::{DescriptorProto, FileDescriptorSet};

/// Contents of bytes fields that may be large are `bytes::Bytes`, so that they are shared and not copied. What has a fixed size
/// (digests, signatures) stays a `Vec<u8>`.
const SHARED_BYTES: &[&str] = &[
    ".meshguard.pdp.v1.AuditBatch.events",
    ".meshguard.pdp.v1.Chunk.data",
    ".meshguard.pdp.v1.Envelope.payload",
    ".meshguard.pdp.v1.FileOp.inline",
    ".meshguard.pdp.v1.KeysResponse.jwks_json",
    ".meshguard.pdp.v1.McpTool.input_schema_json",
    ".meshguard.pdp.v1.Obligation.params_json",
    ".meshguard.pdp.v1.PolicyRequest.context_json",
];

/// Messages that carry a secret: their `Debug` is written by hand in `proto/src/redact.rs`.
const SECRETS: &[&str] = &[".meshguard.pdp.v1.AgentToken", ".meshguard.pdp.v1.ExchangeRequest"];

/// Field numbers kept free in every message, end exclusive.
const KEPT_FREE: (i32, i32) = (100, 200);

type Files = BTreeMap<PathBuf, Vec<u8>>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => write(),
        ["--check"] => check(),
        _ => {
            eprintln!("usage: meshguard-proto-codegen [--check]");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

// === The two commands ===

fn write() -> Result<(), Box<dyn Error>> {
    let (generated, dir) = (generate()?, generated_dir());
    fs::create_dir_all(&dir)?;
    for stale in files(&dir, "rs")?.into_keys().filter(|name| !generated.contains_key(name)) {
        fs::remove_file(dir.join(stale))?;
    }
    for (name, content) in generated {
        fs::write(dir.join(name), content)?;
    }
    Ok(())
}

fn check() -> Result<(), Box<dyn Error>> {
    let (generated, present) = (generate()?, files(&generated_dir(), "rs")?);
    let names = generated.keys().chain(present.keys()).collect::<std::collections::BTreeSet<_>>();
    let stale: Vec<String> = names
        .into_iter()
        .filter(|name| generated.get(*name) != present.get(*name))
        .map(|name| name.display().to_string())
        .collect();
    if stale.is_empty() {
        return Ok(());
    }
    Err(format!(
        "out of date in proto/src/generated: {}; run `cargo run -p meshguard-proto-codegen` and commit the result",
        stale.join(", ")
    )
    .into())
}

// === Generating ===

fn generate() -> Result<Files, Box<dyn Error>> {
    let root = proto_room().join("proto");
    let package = Path::new("meshguard/pdp/v1");
    let sources: Vec<PathBuf> =
        files(&root.join(package), "proto")?.into_keys().map(|name| package.join(name)).collect();
    let descriptors = protox::compile(&sources, [&root])?;
    check_kept_free(&descriptors)?;

    let out = tempfile::tempdir()?;
    let mut config = prost_build::Config::new();
    config.bytes(SHARED_BYTES).skip_debug(SECRETS);
    tonic_prost_build::configure().out_dir(out.path()).compile_fds_with_config(descriptors, config)?;
    Ok(files(out.path(), "rs")?)
}

fn check_kept_free(descriptors: &FileDescriptorSet) -> Result<(), Box<dyn Error>> {
    let (first, end) = KEPT_FREE;
    let is_kept_free = |message: &DescriptorProto| {
        message.reserved_range.iter().any(|range| range.start() == first && range.end() == end)
    };
    let mut open: Vec<&DescriptorProto> = descriptors.file.iter().flat_map(|file| &file.message_type).collect();
    while let Some(message) = open.pop() {
        if !is_kept_free(message) {
            return Err(format!("message {} lacks `reserved {first} to {};`, add it", message.name(), end - 1).into());
        }
        open.extend(&message.nested_type);
    }
    Ok(())
}

// === Files ===

/// Every file of a folder that ends in `extension`, by name, in order. A folder that doesn't exist has none.
fn files(dir: &Path, extension: &str) -> io::Result<Files> {
    let mut found = Files::new();
    if !dir.exists() {
        return Ok(found);
    }
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if let (Some(name), true) = (path.file_name(), path.extension().is_some_and(|e| e == extension)) {
            found.insert(name.into(), fs::read(&path)?);
        }
    }
    Ok(found)
}

fn generated_dir() -> PathBuf {
    proto_room().join("src/generated")
}

fn proto_room() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
