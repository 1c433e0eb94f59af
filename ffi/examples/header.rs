//! Writes `include/meshguard.h`: `cargo run -p meshguard-ffi --example header`. With `-- --check` it only compares, and
//! fails if the header isn't what the sources say.

use std::path::Path;
use std::process::ExitCode;

use cbindgen::{Builder, Config};

/// Where the header lies, from this crate's folder.
const HEADER: &str = "include/meshguard.h";

/// What cbindgen can't know.
const MACROS: &str = r#"
#if defined(__GNUC__) || defined(__clang__)
#define MG_MUST_USE __attribute__((warn_unused_result))
#else
#define MG_MUST_USE
#endif

/* How an mg_decision and an mg_buffer begin: `mg_decision decision = MG_DECISION_INIT;` */
#define MG_DECISION_INIT { sizeof(mg_decision), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, { 0 }, { 0 }, { 0 } }
#define MG_BUFFER_INIT { NULL, 0, 0 }"#;

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = folder.join(HEADER);
    let header = generate(folder)?;
    if std::env::args().any(|arg| arg == "--check") {
        if std::fs::read_to_string(&path).is_ok_and(|current| current == header) {
            return Ok(ExitCode::SUCCESS);
        }
        eprintln!("ffi/{HEADER} isn't what ffi/src and ffi/README.md say; run `make header` and commit the result");
        return Ok(ExitCode::FAILURE);
    }
    std::fs::write(&path, header)?;
    Ok(ExitCode::SUCCESS)
}

/// The header's text, from this crate's sources in `folder`.
pub(crate) fn generate(folder: &Path) -> Result<String, Box<dyn std::error::Error>> {
    let mut config = Config::from_file(folder.join("cbindgen.toml"))?;
    config.header = Some(comment(&std::fs::read_to_string(folder.join("README.md"))?)?);
    config.after_includes = Some(format!(
        "\n/* The version of the library that this header came with. */\n#define MG_VERSION \"{}\"\n{MACROS}",
        env!("CARGO_PKG_VERSION")
    ));
    let bindings = Builder::new()
        .with_config(config)
        .with_src(folder.join("src/types.rs"))
        .with_src(folder.join("src/exports.rs"))
        .generate()?;
    let mut header = Vec::new();
    bindings.write(&mut header);
    Ok(String::from_utf8(header)?)
}

/// The comment at the top: the conventions, which README.md has too.
fn comment(readme: &str) -> Result<String, Box<dyn std::error::Error>> {
    let conventions = readme
        .split_once("## Conventions\n")
        .and_then(|(_, rest)| rest.split_once("\n## "))
        .map(|(conventions, _)| conventions.trim())
        .ok_or("README.md has no section `Conventions`")?;
    let mut comment =
        String::from("/*\n * meshguard.h: a policy decision point in your process.\n *\n * CONVENTIONS\n *\n");
    for line in conventions.lines() {
        let line = format!(" * {}", line.replace("**", ""));
        comment.push_str(line.trim_end());
        comment.push('\n');
    }
    comment.push_str(" *\n * Generated from ffi/src and ffi/README.md by `make header`. Don't edit it here.\n */");
    Ok(comment)
}
