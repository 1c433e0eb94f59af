//! How large a bundle may be. Checked before anything is built from it.

/// Bytes of a manifest.
pub(super) const MAX_MANIFEST_BYTES: usize = 4 * 1024 * 1024;
/// Files in a bundle.
pub(super) const MAX_FILES: usize = 4096;
/// Bytes of one file. Lifted policies are large; data is larger and should be sharded.
pub(super) const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes of all files together.
pub(super) const MAX_BUNDLE_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes of a path.
pub(super) const MAX_PATH_BYTES: usize = 255;
