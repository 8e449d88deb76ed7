//! Which files are pictures: those that look like it by name, wherever they lie in the folder.
//!
//! Keeps: a picture is called by its path below the folder, the same on the way in and on the way
//! out, upper case and sub-folders included. Used by `main`, which also compares two outputs.

use std::path::Path;
use std::sync::Arc;
use std::{fs, io};
use walkdir::WalkDir;

/// A picture's path below its folder; cheap to hand from thread to thread.
pub type Name = Arc<Path>;

const EXTENSIONS: [&str; 3] = ["png", "jpg", "jpeg"];

/// The pictures in and below `folder`, in order of their names.
///
/// A link that leads nowhere is a picture too, one that will fail: better than leaving it out
/// without a word.
pub fn find(folder: &Path) -> io::Result<Vec<Name>> {
    let mut names = Vec::new();
    for entry in WalkDir::new(folder).follow_links(true).sort_by_file_name() {
        let path = match entry {
            Ok(entry) if entry.file_type().is_file() => entry.into_path(),
            Ok(_) => continue,
            Err(error) => match error.path() {
                Some(path) if path.is_symlink() && !path.exists() => path.to_owned(),
                _ => return Err(error.into()),
            },
        };
        if is_picture(&path) {
            let name = path.strip_prefix(folder).map_err(io::Error::other)?;
            names.push(Arc::from(name));
        }
    }
    Ok(names)
}

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    EXTENSIONS
        .iter()
        .any(|known| extension.eq_ignore_ascii_case(known))
}

/// Those of `names` under which two folders do not hold the same bytes; nothing in both is the same.
pub fn differences<'a>(names: &'a [Name], one: &Path, other: &Path) -> io::Result<Vec<&'a Name>> {
    let mut differing = Vec::new();
    for name in names {
        if read(&one.join(name))? != read(&other.join(name))? {
            differing.push(name);
        }
    }
    Ok(differing)
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}
