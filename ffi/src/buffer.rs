//! Text that goes out and comes back to be freed.

use std::ffi::c_char;
use std::ptr;

use crate::guard::Failure;
use crate::types::{mg_buffer, mg_result};

/// No text.
pub(crate) const EMPTY: mg_buffer = mg_buffer { data: ptr::null_mut(), len: 0, seal: 0 };

/// Gives `text` away.
pub(crate) fn give(mut text: Vec<u8>) -> mg_buffer {
    let len = text.len();
    text.push(0);
    let data = Box::into_raw(text.into_boxed_slice()).cast::<c_char>();
    mg_buffer { data, len, seal: seal(data, len) }
}

/// Takes a text back and frees it. What isn't one of ours, or was changed, is refused and leaks.
///
/// # Safety
/// A buffer that [`give`] gave is taken back once, copies of the struct included.
pub(crate) unsafe fn take_back(buffer: mg_buffer) -> Result<(), Failure> {
    if buffer == EMPTY {
        return Ok(());
    }
    if buffer.seal != seal(buffer.data, buffer.len) {
        let text = "not a buffer of this library, or one whose fields were changed; it isn't freed";
        return Err(Failure::new(mg_result::MG_BAD_HANDLE, text));
    }
    let slice = ptr::slice_from_raw_parts_mut(buffer.data.cast::<u8>(), buffer.len + 1);
    // SAFETY: the seal says that `give` made this pair, so `data` came out of `Box::into_raw` of a slice of `len`
    // bytes and the NUL; that it wasn't freed since is this function's own condition.
    drop(unsafe { Box::from_raw(slice) });
    Ok(())
}

/// A mark that memory which isn't one of our buffers hardly bears by accident. It finds mistakes, not attackers:
/// those have the host's memory already.
fn seal(data: *const c_char, len: usize) -> u64 {
    // The finish of MurmurHash3, over both fields.
    let mut mixed = (data.addr() as u64) ^ (len as u64).rotate_left(32) ^ 0x6d65_7368_6775_6172;
    for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
        mixed = (mixed ^ mixed >> 33).wrapping_mul(factor);
    }
    mixed | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_buffer_is_not_freed() {
        let buffer = give(b"text".to_vec());
        let longer = mg_buffer { len: 5, ..buffer };
        let elsewhere = mg_buffer { data: buffer.data.wrapping_add(1), ..buffer };
        for changed in [longer, elsewhere, mg_buffer { seal: 0, ..buffer }] {
            // SAFETY: not taken back before, and refused.
            assert!(unsafe { take_back(changed) }.is_err(), "{changed:?}");
        }
        // SAFETY: taken back for the first time.
        assert!(unsafe { take_back(buffer) }.is_ok());
    }
}
