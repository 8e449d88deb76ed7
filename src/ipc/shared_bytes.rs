//! `ipc::SharedBytes`: an array of bytes that may hold a string ended by a NUL.

use super::{Array, ArrayGuard, OutOfBounds};
use std::ffi::CStr;

/// Bytes that the processes of a tree share, under one lock.
///
/// The guard is all of them, `&mut [u8]`; beside that it reads and writes a string that ends with the
/// first NUL, or with the array if there is none, which is how C keeps text in a field of fixed size.
///
/// ```
/// use latchwork::ipc::SharedBytes;
///
/// # fn main() -> std::io::Result<()> {
/// let state = SharedBytes::zeroed(8)?;
/// let mut guard = state.lock().unwrap();
/// guard.set_text(b"running").unwrap();
/// guard.set_text(b"done").unwrap();
/// assert_eq!(guard.text(), b"done");
/// assert_eq!(guard.as_cstr(), Some(c"done"));
/// assert_eq!(guard[..], *b"done\0ng\0");
/// # Ok(())
/// # }
/// ```
///
/// Python: `multiprocessing.Array('c', ...)`, with its `value` and `raw`.
pub type SharedBytes = Array<u8>;

impl ArrayGuard<'_, u8> {
    /// The bytes before the first NUL: all of them, if there is none.
    #[doc(alias = "value")]
    pub fn text(&self) -> &[u8] {
        let end = self.iter().position(|&byte| byte == 0);
        &self[..end.unwrap_or(self.len())]
    }

    /// The bytes up to the first NUL; `None` if there is none.
    pub fn as_cstr(&self) -> Option<&CStr> {
        CStr::from_bytes_until_nul(self).ok()
    }

    /// Replaces the first bytes by `text`, and the one after them, if there is one, by a NUL.
    ///
    /// The bytes after that stay as they are. Text that contains a NUL is written as a whole, and ends
    /// there when it is read.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`] if `text` is longer than the array, which stays as it is.
    pub fn set_text(&mut self, text: &[u8]) -> Result<(), OutOfBounds> {
        let len = self.len();
        let place = self.get_mut(..text.len()).ok_or(OutOfBounds { len })?;
        place.copy_from_slice(text);
        if let Some(next) = self.get_mut(text.len()) {
            *next = 0;
        }
        Ok(())
    }
}
