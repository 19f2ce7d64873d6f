//! Bytes that cross without being copied.

use std::ffi::c_void;
use std::panic::{self, AssertUnwindSafe};
use std::{fmt, slice};

use abi_stable::StableAbi;
use bytes::Bytes;

/// A buffer owned by the side that made it; the other side reads it and gives it back by dropping.
///
/// The fields are private on purpose: a closure that captured them one by one would free the
/// owner while the pointer is still in use.
#[repr(C)]
#[derive(StableAbi)]
pub struct AbiBytes {
    data: *const u8,
    length: usize,
    owner: *mut c_void,
    release: unsafe extern "C" fn(*mut c_void),
}

// SAFETY: the bytes are never written after construction, and the owner is a `Bytes`, which may
// be read and dropped on any thread.
unsafe impl Send for AbiBytes {}
// SAFETY: as above; shared access only reads.
unsafe impl Sync for AbiBytes {}

// === impl AbiBytes ===

impl AbiBytes {
    /// No bytes, no allocation.
    pub fn empty() -> Self {
        Self {
            data: std::ptr::NonNull::<u8>::dangling().as_ptr(),
            length: 0,
            owner: std::ptr::null_mut(),
            release: release_nothing,
        }
    }

    /// The bytes, for as long as the owner is kept.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: `data` and `length` describe the buffer that `owner` keeps alive.
        unsafe { slice::from_raw_parts(self.data, self.length) }
    }

    /// The same memory as a `Bytes` of this side.
    pub fn into_bytes(self) -> Bytes {
        if self.length == 0 {
            Bytes::new()
        } else {
            Bytes::from_owner(self)
        }
    }
}

impl From<Bytes> for AbiBytes {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            return Self::empty();
        }
        let (data, length) = (bytes.as_ptr(), bytes.len());
        let owner = Box::into_raw(Box::new(bytes)).cast();
        Self {
            data,
            length,
            owner,
            release: release_bytes,
        }
    }
}

impl From<Vec<u8>> for AbiBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for AbiBytes {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl AsRef<[u8]> for AbiBytes {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl fmt::Debug for AbiBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AbiBytes({} bytes)", self.length)
    }
}

impl Drop for AbiBytes {
    fn drop(&mut self) {
        // SAFETY: `release` was made for this `owner`, and this is the only place that calls it.
        unsafe { (self.release)(self.owner) }
    }
}

unsafe extern "C" fn release_nothing(_owner: *mut c_void) {}

unsafe extern "C" fn release_bytes(owner: *mut c_void) {
    // SAFETY: `owner` came from `Box::into_raw` of a `Box<Bytes>` in `From<Bytes>`.
    let bytes = unsafe { Box::from_raw(owner.cast::<Bytes>()) };
    // Their owner may be a type of the author's whose drop panics, and so may what it panics with.
    // The panic hook tells of it.
    if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(|| drop(bytes))) {
        std::mem::forget(payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_cross_and_come_back_without_a_copy() {
        let bytes = Bytes::from(vec![7_u8; 4096]);
        let pointer = bytes.as_ptr();
        let back = AbiBytes::from(bytes).into_bytes();
        assert_eq!(back.as_ptr(), pointer);
        assert_eq!(back.len(), 4096);
    }

    #[test]
    fn no_bytes_are_no_bytes() {
        assert_eq!(AbiBytes::from(Vec::new()).as_slice(), b"");
        assert!(AbiBytes::empty().into_bytes().is_empty());
    }
}
