#![doc = include_str!("../README.md")]
#![allow(unsafe_code, reason = "a C interface reads and writes through the pointers it is given")]
#![deny(clippy::undocumented_unsafe_blocks)]

#[cfg(panic = "abort")]
compile_error!(
    "meshguard-ffi must be built with unwinding panics: under `panic = \"abort\"` a bug in this library would end its \
     host. Remove `panic = \"abort\"` from the profile."
);

mod answer;
mod buffer;
mod exports;
mod guard;
mod pointers;
mod table;
mod types;

pub use self::exports::*;
pub use self::types::*;
