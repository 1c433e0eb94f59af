//! The library as C sees it: the header compiles, the example runs against both libraries, nothing else is exported.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on fails")]

mod common;
#[path = "../examples/header.rs"]
#[allow(dead_code, reason = "its `main` is for cargo")]
mod header;

use std::path::{Path, PathBuf};
use std::process::Command;

/// What README.md tells to link the static library with.
const STATIC_LIBS: &str = "-lstdc++ -lm -lpthread -ldl";

const FLAGS: [&str; 5] = ["-pedantic", "-Wall", "-Wextra", "-Werror", "-Wmissing-field-initializers"];

#[test]
fn the_header_is_what_the_sources_say() {
    let current = std::fs::read_to_string(crate_dir().join("include/meshguard.h")).unwrap_or_default();
    let generated = header::generate(&crate_dir()).unwrap();
    assert!(current == generated, "ffi/include/meshguard.h is out of date; run `make header` and commit the result");
    let version = format!("#define MG_VERSION \"{}\"\n", env!("CARGO_PKG_VERSION"));
    assert!(generated.contains(&version) && generated.contains("#define MG_ABI_VERSION 1\n"), "{generated}");
}

#[test]
fn the_header_compiles_alone_as_c99_and_as_cpp() {
    let dir = tempfile::tempdir().unwrap();
    // Twice, and with the sizes and places that Rust has.
    let source = "#include \"meshguard.h\"\n#include \"meshguard.h\"\n#include <stddef.h>\n\
        typedef char decision_is_144_bytes[sizeof(mg_decision) == 144 ? 1 : -1];\n\
        typedef char latency_is_at_24[offsetof(mg_decision, latency_ns) == 24 ? 1 : -1];\n\
        typedef char reason_is_at_112[offsetof(mg_decision, reason) == 112 ? 1 : -1];\n\
        typedef char result_is_4_bytes[sizeof(mg_result) == 4 && sizeof(mg_edge) == 8 ? 1 : -1];\n\
        int main(void) { mg_decision d = MG_DECISION_INIT; mg_buffer b = MG_BUFFER_INIT;\n\
        return mg_is_allowed(&d) + (b.data != NULL) + (d.effect == MG_EFFECT_ALLOW); }\n";
    for (compiler, name, standard) in [("gcc", "alone.c", "-std=c99"), ("g++", "alone.cc", "-std=c++11")] {
        let Some(mut command) = tool(compiler) else { continue };
        let path = dir.path().join(name);
        std::fs::write(&path, source).unwrap();
        run(command.arg(standard).args(FLAGS).arg("-fsyntax-only").arg(include()).arg(path));
    }
}

#[test]
fn ignoring_a_result_is_a_warning() {
    let Some(mut gcc) = tool("gcc") else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ignore.c");
    std::fs::write(&path, "#include \"meshguard.h\"\nvoid f(mg_edge e);\nvoid f(mg_edge e) { mg_close(e); }\n")
        .unwrap();
    let output = gcc
        .args(["-std=c99", "-Wall", "-Werror", "-c", "-o"])
        .arg(dir.path().join("ignore.o"))
        .arg(include())
        .arg(path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("warn_unused_result"), "{said}");
}

#[test]
fn the_example_runs_against_the_shared_library() {
    let Some(mut gcc) = tool("gcc") else { return };
    let dir = tempfile::tempdir().unwrap();
    let library = artefact("libmeshguard.so");
    // As it is installed: hosts find it by the name that carries the ABI's number.
    let installed = dir.path().join("libmeshguard.so.0");
    std::os::unix::fs::symlink(&library, &installed).unwrap();
    let program = dir.path().join("decide");
    let rpath = format!("-Wl,-rpath,{}", dir.path().display());
    run(gcc
        .arg("-std=c99")
        .args(FLAGS)
        .arg(include())
        .arg(example())
        .arg(&installed)
        .arg(rpath)
        .arg("-o")
        .arg(&program));
    tells_the_story(&program);
}

#[test]
fn the_example_runs_against_the_static_library() {
    let readme = std::fs::read_to_string(crate_dir().join("README.md")).unwrap();
    assert!(readme.contains(&format!("libmeshguard.a {STATIC_LIBS} ")), "README.md names other libraries");
    let Some(mut gcc) = tool("gcc") else { return };
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("decide");
    let library = artefact("libmeshguard.a");
    let libs = STATIC_LIBS.split(' ');
    run(gcc.arg("-std=c99").args(FLAGS).arg(include()).arg(example()).arg(library).args(libs).arg("-o").arg(&program));
    tells_the_story(&program);
}

#[test]
fn only_our_names_are_exported() {
    let Some(mut nm) = tool("nm") else { return };
    let listed = run(nm.args(["-D", "--defined-only", "--format=posix"]).arg(artefact("libmeshguard.so")));
    let mut exported: Vec<&str> = listed.lines().filter_map(|line| line.split(' ').next()).collect();
    exported.sort_unstable();
    let sources = std::fs::read_to_string(crate_dir().join("src/exports.rs")).unwrap();
    let mut promised: Vec<&str> =
        sources.split("extern \"C\" fn ").skip(1).filter_map(|rest| rest.split('(').next()).collect();
    promised.sort_unstable();
    assert!(promised.iter().all(|name| name.starts_with("mg_")), "{promised:?}");
    assert_eq!(exported, promised);
    // And each is a guard around its body.
    for function in sources.split("extern \"C\" fn ").skip(1) {
        let body = function.split_once("{\n").map_or("", |(_, body)| body.trim_start());
        let guarded = ["guard(|| {", "guard_or(", "let _ = guard(|| {"].iter().any(|start| body.starts_with(start));
        assert!(guarded, "{function}");
    }
}

#[test]
fn the_shared_library_says_its_name_and_stays_loaded() {
    let Some(mut readelf) = tool("readelf") else { return };
    let dynamic = run(readelf.args(["-d", "-W"]).arg(artefact("libmeshguard.so")));
    assert!(dynamic.contains("[libmeshguard.so.0]"), "{dynamic}");
    assert!(dynamic.contains("NODELETE"), "{dynamic}");
}

// === helpers ===

/// Runs the example as a user does, and reads what it says.
fn tells_the_story(program: &Path) {
    let fixture = common::fixture();
    let config = fixture.dir.path().join("config.json");
    std::fs::write(&config, &fixture.config).unwrap();
    let said = run(Command::new(program).arg(config));
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines.get(..5).unwrap_or_default(),
        [
            "allowed (policy): reading the file",
            "denied (policy)",
            "ask first (policy): approvers are named",
            "nonsense: denied (bad_input)",
            "evaluated: defined",
        ],
        "{said}"
    );
}

fn crate_dir() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

fn example() -> PathBuf {
    crate_dir().join("examples/c/decide.c")
}

fn include() -> String {
    format!("-I{}", crate_dir().join("include").display())
}

/// A library as cargo built it. It is part of the crate under test, so it lies beside this test and is as new.
fn artefact(name: &str) -> PathBuf {
    let beside = std::env::current_exe().unwrap().with_file_name(name);
    assert!(beside.exists(), "{} is missing; run this test with cargo", beside.display());
    beside
}

/// A command of the system, or none after saying that a test is left out. In CI none may be.
fn tool(name: &str) -> Option<Command> {
    if Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success()) {
        return Some(Command::new(name));
    }
    println!("skipped: a test of the C interface (no {name})");
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "CI needs {name}");
    None
}

/// Runs a command that must succeed, and gives what it printed.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{printed}\n{complained}");
    printed
}
