//! The main image of this process: where it is loaded, which of it is code, and which build it is.
//!
//! Read once, from what the loader itself knows. Function names are checked against the executable
//! ranges on both sides, and the handshake compares the builds: an offset means something only
//! between two processes that run the same file.

use std::ffi::{c_int, c_void};
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

/// What the loader says about the program, as opposed to its shared libraries.
#[derive(Debug, Default)]
pub(crate) struct Image {
    loaded: Vec<Range<usize>>,
    executable: Vec<Range<usize>>,
    note: Option<Vec<u8>>,
}

/// Tells two builds of a program apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum BuildId {
    /// The linker's own hash of its output (`.note.gnu.build-id`).
    Note(Vec<u8>),
    /// For a program linked without one: the identity of the file that is running.
    File {
        device: u64,
        inode: u64,
        size: u64,
        modified: (i64, i64),
    },
}

impl Image {
    /// The image of this process.
    pub(crate) fn main() -> &'static Image {
        static IMAGE: OnceLock<Image> = OnceLock::new();
        IMAGE.get_or_init(|| {
            let mut image = Image::default();
            // SAFETY: `read_first` has the signature that the loader calls and gets back exactly
            // the pointer passed here, to an `Image` that outlives the call.
            unsafe { libc::dl_iterate_phdr(Some(read_first), (&raw mut image).cast()) };
            image
        })
    }

    /// Whether `address` lies in code of the main image.
    pub(crate) fn is_code(&self, address: usize) -> bool {
        self.executable.iter().any(|range| range.contains(&address))
    }

    /// Whether `address` lies anywhere in the main image.
    pub(crate) fn contains(&self, address: usize) -> bool {
        self.loaded.iter().any(|range| range.contains(&address))
    }

    /// The identity of this build.
    pub(crate) fn build_id(&self) -> io::Result<BuildId> {
        if let Some(note) = &self.note {
            return Ok(BuildId::Note(note.clone()));
        }
        let file = std::fs::metadata(super::spawn::PROGRAM)?;
        Ok(BuildId::File {
            device: file.dev(),
            inode: file.ino(),
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
        })
    }
}

/// Reads the first object that the loader reports, which is the main program, and stops there.
unsafe extern "C" fn read_first(
    info: *mut libc::dl_phdr_info,
    _size: usize,
    image: *mut c_void,
) -> c_int {
    // SAFETY: `Image::main` passes a valid, unaliased `Image`; the loader a valid description.
    let (info, image) = unsafe { (&*info, &mut *image.cast::<Image>()) };
    if info.dlpi_phdr.is_null() {
        return 1;
    }
    // SAFETY: the loader says that this many program headers start here, and keeps them mapped.
    let headers =
        unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    // The fields are 32 or 64 bits wide as the target is, so `as` neither truncates nor extends.
    let range = |address, size| {
        let start = (info.dlpi_addr as usize).wrapping_add(address as usize);
        start..start.saturating_add(size as usize)
    };
    for header in headers
        .iter()
        .filter(|header| header.p_type == libc::PT_LOAD)
    {
        image.loaded.push(range(header.p_vaddr, header.p_memsz));
        if header.p_flags & libc::PF_X != 0 {
            image.executable.push(range(header.p_vaddr, header.p_memsz));
        }
    }
    for header in headers
        .iter()
        .filter(|header| header.p_type == libc::PT_NOTE)
    {
        let notes = range(header.p_vaddr, header.p_memsz);
        // A note segment that no load segment covers is in the file but not in memory.
        let mapped =
            (image.loaded.iter()).any(|load| load.start <= notes.start && notes.end <= load.end);
        if !mapped {
            continue;
        }
        // SAFETY: the range lies within a loaded segment of this program, and notes are constant.
        let bytes = unsafe {
            std::slice::from_raw_parts(
                std::ptr::with_exposed_provenance::<u8>(notes.start),
                notes.len(),
            )
        };
        image.note = image
            .note
            .take()
            .or_else(|| find_build_id(bytes, header.p_align as usize));
    }
    1
}

/// Finds the GNU build id among the notes of one segment.
fn find_build_id(mut notes: &[u8], align: usize) -> Option<Vec<u8>> {
    const NT_GNU_BUILD_ID: u32 = 3;
    let align = if align == 8 { 8 } else { 4 };
    loop {
        let word = |at: usize| Some(u32::from_ne_bytes(notes.get(at..at + 4)?.try_into().ok()?));
        let (name_len, desc_len, kind) = (word(0)? as usize, word(4)? as usize, word(8)?);
        let name = notes.get(12..12usize.checked_add(name_len)?)?;
        let desc_at = (12 + name_len).next_multiple_of(align);
        let end = desc_at.checked_add(desc_len)?;
        let desc = notes.get(desc_at..end)?;
        if kind == NT_GNU_BUILD_ID && name == b"GNU\0" && !desc.is_empty() {
            return Some(desc.to_vec());
        }
        notes = notes.get(end.next_multiple_of(align)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_told_from_data_stack_and_libraries() {
        static CONSTANT: u32 = 7;
        let image = Image::main();
        let local = 0_u32;
        assert!(image.is_code(code_is_told_from_data_stack_and_libraries as *const () as usize));
        assert!(image.contains((&raw const CONSTANT).addr()));
        assert!(!image.is_code((&raw const CONSTANT).addr()));
        assert!(!image.contains((&raw const local).addr()));
        assert!(
            !image.contains(libc::getpid as *const () as usize)
                || cfg!(target_feature = "crt-static")
        );
    }

    #[test]
    fn the_build_id_is_found_behind_other_notes_and_never_past_the_end() {
        let mut notes = Vec::new();
        for (kind, desc) in [(1_u32, &[9_u8; 5][..]), (3, b"build")] {
            notes.extend(4_u32.to_ne_bytes());
            notes.extend((desc.len() as u32).to_ne_bytes());
            notes.extend(kind.to_ne_bytes());
            notes.extend(b"GNU\0");
            notes.extend(desc);
            notes.resize(notes.len().next_multiple_of(4), 0);
        }
        assert_eq!(find_build_id(&notes, 4).as_deref(), Some(&b"build"[..]));
        let whole = notes.len() - 3;
        for cut in 0..whole {
            assert_eq!(find_build_id(&notes[..cut], 4), None, "cut at {cut}");
        }
    }

    #[test]
    fn one_build_has_one_identity() {
        assert_eq!(
            Image::main().build_id().unwrap(),
            Image::main().build_id().unwrap()
        );
    }
}
