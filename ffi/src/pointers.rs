//! Pointers that C passed in, checked once and in one place.

use std::ffi::c_char;
use std::mem::size_of;
use std::ptr::{self, NonNull};
use std::slice;

use crate::guard::Failure;
use crate::types::{MG_MAX_INPUT_BYTES, mg_decision, mg_effect, mg_result};

/// The input `(ptr, len)`, whatever its bytes. `(NULL, 0)` is empty.
///
/// # Safety
/// If `ptr` isn't NULL, `len` bytes can be read there and nobody writes them during `'a`.
pub(crate) unsafe fn bytes<'a>(name: &str, ptr: *const c_char, len: usize) -> Result<&'a [u8], Failure> {
    if len == 0 {
        return Ok(&[]);
    }
    if ptr.is_null() {
        return Err(null(name));
    }
    if isize::try_from(len).is_err() {
        return Err(too_long(name, len));
    }
    // SAFETY: `ptr` isn't NULL and `len` is a possible length of a slice, as just checked; bytes have no alignment;
    // that they can be read and stay as they are is this function's own condition.
    Ok(unsafe { slice::from_raw_parts(ptr.cast(), len) })
}

/// The input `(ptr, len)` as text of at most [`MG_MAX_INPUT_BYTES`].
///
/// # Safety
/// As for [`bytes`].
pub(crate) unsafe fn text<'a>(name: &str, ptr: *const c_char, len: usize) -> Result<&'a str, Failure> {
    if len > MG_MAX_INPUT_BYTES {
        return Err(too_long(name, len));
    }
    // SAFETY: the condition is the same.
    let bytes = unsafe { bytes(name, ptr, len) }?;
    str::from_utf8(bytes).map_err(|error| Failure::new(mg_result::MG_BAD_UTF8, format!("`{name}`: {error}")))
}

/// Where one output goes.
pub(crate) struct Out<T>(NonNull<T>);

impl<T: Copy> Out<T> {
    /// Writes `nothing`, before anything else is checked.
    ///
    /// # Safety
    /// If `ptr` isn't NULL, a `T` can be written there, and nobody else uses that memory while the `Out` lives.
    pub(crate) unsafe fn clear(name: &str, ptr: *mut T, nothing: T) -> Result<Self, Failure> {
        let out = Self(NonNull::new(ptr).ok_or_else(|| null(name))?);
        out.put(nothing);
        Ok(out)
    }

    /// Writes the result, which is the last thing an export does.
    pub(crate) fn put(&self, value: T) {
        // SAFETY: a `T` can be written here, by the condition of `clear`, the only constructor. Unaligned, because a
        // foreign host may have packed its memory.
        unsafe { ptr::write_unaligned(self.0.as_ptr(), value) };
    }
}

/// Where a decision goes. It denies from the start.
pub(crate) struct DecisionOut(NonNull<mg_decision>);

impl DecisionOut {
    /// Writes a deny, before anything else is checked.
    ///
    /// # Safety If `ptr` isn't NULL, an `mg_decision` of any version of this interface can be written there, its
    /// `struct_size` can be read, and nobody else uses that memory while the `DecisionOut` lives.
    pub(crate) unsafe fn deny(ptr: *mut mg_decision) -> Result<Self, Failure> {
        let out = Self(NonNull::new(ptr).ok_or_else(|| null("decision"))?);
        // INVARIANT (nothing older survives): whatever its size says, the struct is at least this large. This is the
        // first version; one that adds fields clears these fields first, and the added ones up to `struct_size`.
        out.put(mg_decision { effect: mg_effect::MG_EFFECT_DENY as u32, ..NOTHING });
        // SAFETY: `struct_size` can be read, by this function's own condition. It comes first, so its address is the
        // struct's; unaligned as in `put`.
        let size = unsafe { ptr::read_unaligned(ptr.cast::<u32>()) } as usize;
        if size < size_of::<mg_decision>() {
            let text = format!(
                "`struct_size` is {size}, and an mg_decision has {} bytes; begin with MG_DECISION_INIT",
                size_of::<mg_decision>()
            );
            return Err(Failure::new(mg_result::MG_BAD_STRUCT, text));
        }
        Ok(out)
    }

    /// Writes everything but `struct_size`, which is the caller's.
    pub(crate) fn put(&self, decision: mg_decision) {
        const HEAD: usize = size_of::<u32>();
        let from = (&raw const decision).cast::<u8>();
        let to = self.0.as_ptr().cast::<u8>();
        // SAFETY: an `mg_decision` can be written here, by the condition of `deny`, the only constructor, and
        // `decision` is a local, so the two don't overlap; both are `size_of::<mg_decision>()` bytes long, of which
        // the first `HEAD` are left out on both sides. The struct has no padding (see the test), so every byte read
        // is initialised.
        unsafe { ptr::copy_nonoverlapping(from.add(HEAD), to.add(HEAD), size_of::<mg_decision>() - HEAD) };
    }
}

/// A decision with nothing in it.
pub(crate) const NOTHING: mg_decision = mg_decision {
    struct_size: size_of::<mg_decision>() as u32,
    effect: 0,
    flags: 0,
    source: 0,
    would_be_effect: 0,
    obligations: 0,
    latency_ns: 0,
    at_ms: 0,
    policy_age_ms: 0,
    key_epoch: 0,
    version: 0,
    manifest: [0; 32],
    decision_id: [0; 16],
    reason: [0; crate::types::MG_REASON_BYTES],
};

fn null(name: &str) -> Failure {
    Failure::new(mg_result::MG_NULL_POINTER, format!("`{name}` is NULL"))
}

fn too_long(name: &str, len: usize) -> Failure {
    let text = format!("`{name}` is said to have {len} bytes; the limit is {MG_MAX_INPUT_BYTES}");
    Failure::new(mg_result::MG_BAD_LENGTH, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_has_no_padding() {
        let fields = 6 * size_of::<u32>() + 5 * size_of::<u64>() + 32 + 16 + crate::types::MG_REASON_BYTES;
        assert_eq!(size_of::<mg_decision>(), fields);
    }

    #[test]
    fn the_interface_and_the_engine_have_one_limit() {
        assert_eq!(MG_MAX_INPUT_BYTES, meshguard_engine::MAX_REQUEST_BYTES);
    }
}
