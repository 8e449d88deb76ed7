//! What a thread is called that has not been given a name: `Thread-7 (work)`.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The next such name, for what has this type.
pub(super) fn default_name(type_name: &str) -> String {
    // Only numbers things.
    static LAST: AtomicUsize = AtomicUsize::new(0);
    let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
    format!("Thread-{number} ({})", short(type_name))
}

/// The last part of a type's path: of a closure, the function that it is written in.
fn short(type_name: &str) -> &str {
    let mut path = type_name;
    while let Some(outer) = path.strip_suffix("::{{closure}}") {
        path = outer;
    }
    // Arguments have paths of their own.
    let end = path.find(['<', '(', '[', ' ', '&']).unwrap_or(path.len());
    if end == 0 || path.starts_with("fn(") {
        // `<T as Trait>::method`, a pointer, a tuple ...
        let last = path.rsplit("::").next().unwrap_or(path);
        return if last.starts_with(|c: char| c.is_alphanumeric() || c == '_') && end == 0 {
            last
        } else {
            path
        };
    }
    let head = &path[..end];
    head.rsplit("::").next().unwrap_or(head)
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn types_in_short() {
        for (long, expected) in [
            ("program::work", "work"),
            ("program::main::{{closure}}", "main"),
            ("program::a::b::{{closure}}::{{closure}}", "b"),
            ("alloc::boxed::Box<dyn core::ops::Fn()>", "Box"),
            ("program::Job<alloc::string::String>", "Job"),
            ("<program::Job as program::Run>::run", "run"),
            ("<program::Job as program::Run>::run::{{closure}}", "run"),
            ("fn() -> i32", "fn() -> i32"),
            ("work", "work"),
            ("", ""),
        ] {
            assert_eq!(short(long), expected, "{long}");
        }
    }
}
