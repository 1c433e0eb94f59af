//! How the shared library is linked.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let args: &[&str] = match std::env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("linux") => &[
            // The name that hosts are linked against; the number is the ABI's, see README.md.
            "-Wl,-soname,libmeshguard.so.0",
            // What comes from static archives (RocksDB, aws-lc) is nobody else's: no symbol of it may meet the host's.
            "-Wl,--exclude-libs,ALL",
            // Threads of the library outlive a `dlclose`; its code must too.
            "-Wl,-z,nodelete",
        ],
        Ok("macos") => &["-Wl,-install_name,@rpath/libmeshguard.0.dylib"],
        _ => &[],
    };
    for arg in args {
        println!("cargo:rustc-cdylib-link-arg={arg}");
    }
}
