//! Who waits for what, right now; and what to do when they wait for each other.

pub use crate::thread::dump::{assert_no_leaked_threads, dump_threads, live_threads};
pub use crate::wait::report::{Deadlock, OnDeadlock, Thread, Wait, on_deadlock, waits};

use crate::wait::TASK;
use std::collections::BTreeMap;
use std::fmt;

/// The calling thread, as it appears in [`waits`] and in the `Debug` form of what it holds.
///
/// Its number is no other living thread's, and is given out again after the thread has ended.
///
/// ```
/// let worker = std::thread::Builder::new().name("worker".to_owned());
/// let label = worker.spawn(|| latchwork::debug::current_thread().to_string()).unwrap().join().unwrap();
/// assert!(label.ends_with("`worker`"));
/// ```
pub fn current_thread() -> Thread {
    Thread::new(crate::platform::thread_id())
        .expect("a thread's id is neither nobody's nor a task's")
}

/// All waits of this process at one moment: who waits for what, and who holds it.
///
/// See [`wait_graph`].
#[derive(Clone, Debug)]
pub struct WaitGraph {
    waits: Vec<Wait>,
}

/// Reads the wait graph while the program runs; from a signal-driven thread, an admin page, or a test's
/// watchdog.
///
/// As text ([`Display`](fmt::Display)): one line a wait, longest first, and below it what each thread
/// holds that others wait for. As [DOT](WaitGraph::to_dot) for Graphviz, as [JSON](WaitGraph::to_json)
/// for tools.
///
/// It knows those who sleep or are about to; the holder of a lock that nobody waits for is not in it.
/// Like [`waits`], it may mix moments that are some microseconds apart.
///
/// ```
/// use latchwork::{debug, sync::Lock};
///
/// let lock = Lock::new(());
/// std::thread::scope(|s| {
///     let held = lock.lock();
///     s.spawn(|| drop(lock.lock()));
///     let graph = loop {
///         let graph = debug::wait_graph();
///         if !graph.waits().is_empty() {
///             break graph;
///         }
///         std::thread::yield_now();
///     };
///     let me = debug::current_thread();
///     assert!(graph.to_string().contains(&format!("held by {me}")));
///     assert!(graph.to_dot().starts_with("digraph waits {"));
///     assert!(graph.to_json().contains("\"kind\":\"Lock\""));
///     drop(held);
/// });
/// ```
pub fn wait_graph() -> WaitGraph {
    let mut waits = waits();
    waits.sort_by_key(|wait| std::cmp::Reverse(wait.waited));
    WaitGraph { waits }
}

impl WaitGraph {
    /// The waits, longest first.
    pub fn waits(&self) -> &[Wait] {
        &self.waits
    }

    /// What each thread holds that others wait for.
    fn holdings(&self) -> BTreeMap<u32, (&Thread, Vec<&Wait>)> {
        let mut holdings = BTreeMap::new();
        for wait in &self.waits {
            if let Some(owner) = &wait.owner {
                let (_, held) = holdings
                    .entry(owner.id)
                    .or_insert_with(|| (owner, Vec::<&Wait>::new()));
                if held.iter().all(|other| other.address != wait.address) {
                    held.push(wait);
                }
            }
        }
        holdings
    }

    /// In the language of Graphviz: threads are boxes, primitives are ellipses, an arrow leads from who
    /// waits to what it waits for, and from there to who holds it.
    pub fn to_dot(&self) -> String {
        let mut dot = String::from("digraph waits {\n");
        for (number, wait) in self.waits.iter().enumerate() {
            let waiter = match &wait.thread {
                Some(thread) => thread_node(&mut dot, thread),
                None => {
                    let node = format!("task{number}");
                    dot += &format!("  {node} [shape=box, label=\"a task\"];\n");
                    node
                }
            };
            let Wait {
                kind,
                address,
                place,
                waited,
                ..
            } = wait;
            let thing = format!("x{address:x}");
            dot += &format!("  {thing} [label=\"{kind} {address:#x}\"];\n");
            let label = escaped(&format!("{place}, {waited:?}"));
            dot += &format!("  {waiter} -> {thing} [label=\"{label}\"];\n");
            if let Some(owner) = &wait.owner {
                let owner = thread_node(&mut dot, owner);
                dot += &format!("  {thing} -> {owner} [label=\"held by\"];\n");
            }
        }
        dot + "}\n"
    }

    /// As JSON: an array with one object a wait, its keys named as the fields of [`Wait`]; threads are
    /// objects with `id` and `name`, `waited` is in seconds.
    pub fn to_json(&self) -> String {
        let thread = |thread: &Option<Thread>| match thread {
            Some(Thread { id, name }) => {
                let name = name.as_deref().map_or("null".to_owned(), json_string);
                format!("{{\"id\":{id},\"name\":{name}}}")
            }
            None => "null".to_owned(),
        };
        let waits = self.waits.iter().map(|wait| {
            format!(
                "{{\"kind\":{},\"address\":{},\"thread\":{},\"owner\":{},\"place\":{},\"waited\":{}}}",
                json_string(wait.kind),
                wait.address,
                thread(&wait.thread),
                thread(&wait.owner),
                json_string(&wait.place.to_string()),
                wait.waited.as_secs_f64(),
            )
        });
        format!("[{}]", waits.collect::<Vec<_>>().join(","))
    }
}

/// By hand, since serde_json's many comparisons with its own `Value` make `==` ambiguous in programs
/// that have nothing to do with it.
fn json_string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c < ' ' => quoted += &format!("\\u{:04x}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// Names a thread's node after making sure that it is there; saying it twice does no harm.
fn thread_node(dot: &mut String, thread: &Thread) -> String {
    let node = format!("thread{}", thread.id);
    let label = escaped(&thread.to_string());
    *dot += &format!("  {node} [shape=box, label=\"{label}\"];\n");
    node
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

impl fmt::Display for WaitGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.waits.is_empty() {
            return f.write_str("nobody waits");
        }
        for wait in &self.waits {
            writeln!(f, "{wait}")?;
        }
        for (owner, held) in self.holdings().into_values() {
            write!(f, "{owner} holds")?;
            for (n, wait) in held.iter().enumerate() {
                let comma = if n == 0 { "" } else { "," };
                write!(f, "{comma} {} {:#x}", wait.kind, wait.address)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// A lock's owner in words.
pub(crate) struct Owner(pub(crate) u32);

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Thread::new(self.0) {
            Some(thread) => fmt::Display::fmt(&thread, f),
            None if self.0 == TASK => f.write_str("a task"),
            None => f.write_str("nobody"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Thread, Wait, WaitGraph, json_string};
    use std::panic::Location;
    use std::time::Duration;

    #[test]
    fn odd_names_break_neither_lines_nor_quotes() {
        let name = "a\nb\"c\\d`e\u{7f}";
        let thread = |id| {
            let name = Some(name.to_owned());
            Some(Thread { id, name })
        };
        let wait = Wait {
            kind: "Lock",
            address: 64,
            thread: thread(7),
            owner: thread(8),
            place: Location::caller(),
            waited: Duration::from_millis(1),
        };
        let graph = WaitGraph { waits: vec![wait] };

        let text = graph.to_string();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.starts_with("thread 7 `a\\nb\"c"), "{text}");

        let json: serde_json::Value = serde_json::from_str(&graph.to_json()).unwrap();
        assert_eq!(json[0]["thread"]["name"], name);

        // A statement a line, and every quote that isn't escaped belongs to a pair.
        let dot = graph.to_dot();
        assert_eq!(dot.lines().count(), 7, "{dot}");
        for line in dot.lines() {
            let unescaped = line.replace("\\\\", "").replace("\\\"", "");
            assert_eq!(unescaped.matches('"').count() % 2, 0, "{line}");
        }
    }

    #[test]
    fn strings_are_quoted_as_json_wants_it() {
        for text in [
            "",
            "plain",
            "\"\\/",
            "a\nb\t\u{1}\u{1f}",
            "ümläut \u{1f600}",
        ] {
            let read: String = serde_json::from_str(&json_string(text)).unwrap();
            assert_eq!(read, text);
        }
    }
}
