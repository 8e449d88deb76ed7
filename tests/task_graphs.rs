//! Random graphs of tasks that start others and wait for others, in small pools: row F39.
//!
//! A node starts its children, and waits for them, for siblings that were started before it, and for such siblings of what
//! started it, in any order. So there is no circle, and every graph must end whatever the pool is like.

mod common;

use common::watchdog;
use latchwork::executor::{SharedFuture, TaskError, ThreadPoolExecutor};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(300);

type Value = SharedFuture<u64>;

/// George Marsaglia's.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % n
    }
}

/// What a task does.
struct Node {
    number: u64,
    panics: bool,
    children: Vec<Arc<Node>>,
    /// Which of what it can see it waits for, in this order: its children, then what `earlier` has.
    awaits: Vec<usize>,
    /// Which of its children it tries to cancel.
    cancels: Vec<usize>,
}

struct Shape {
    panics: bool,
    cancels: bool,
}

impl Node {
    /// `seen` were started before it, of those that it may wait for.
    fn random(dice: &mut Dice, shape: &Shape, depth: usize, seen: usize) -> Arc<Node> {
        let count = if depth == 0 { 0 } else { dice.below(4) };
        let children: Vec<_> = (0..count)
            .map(|nth| Node::random(dice, shape, depth - 1, seen + nth))
            .collect();
        let visible = count + seen;
        Arc::new(Node {
            number: dice.below(1000) as u64,
            panics: shape.panics && dice.below(8) == 0,
            awaits: match visible {
                0 => Vec::new(),
                _ => (0..dice.below(5)).map(|_| dice.below(visible)).collect(),
            },
            cancels: match (shape.cancels, count) {
                (true, 1..) => (0..dice.below(2)).map(|_| dice.below(count)).collect(),
                _ => Vec::new(),
            },
            children,
        })
    }

    fn count(&self) -> usize {
        1 + self
            .children
            .iter()
            .map(|child| child.count())
            .sum::<usize>()
    }

    /// What it comes to without a pool; none if it panics.
    fn evaluate(&self, seen: &[Option<u64>]) -> Option<u64> {
        let mut all: Vec<_> = seen.to_vec();
        let mut children = Vec::new();
        for child in &self.children {
            let value = child.evaluate(&all);
            children.push(value);
            all.push(value);
        }
        children.extend(seen);
        let values = self.awaits.iter().map(|&at| children[at]);
        let sum = values.fold(self.number, fold);
        (!self.panics).then_some(sum)
    }

    /// The same by tasks. Every future that there is goes into `all`.
    fn run(
        &self,
        pool: &Arc<ThreadPoolExecutor>,
        seen: &[Value],
        all: &Arc<Mutex<Vec<Value>>>,
    ) -> u64 {
        let mut before = seen.to_vec();
        let mut visible = Vec::new();
        for child in &self.children {
            let future = spawn(child, pool, &before, all);
            visible.push(future.clone());
            before.push(future);
        }
        for &child in &self.cancels {
            visible[child].cancel();
        }
        visible.extend_from_slice(seen);
        let sum = self.awaits.iter().fold(self.number, |sum, &at| {
            let value = match visible[at].result() {
                Ok(value) => Some(value),
                Err(TaskError::Panicked(_)) => None,
                // What it comes to is not compared then.
                Err(_) => Some(0),
            };
            fold(sum, value)
        });
        assert!(!self.panics, "a task that panics, on purpose");
        sum
    }
}

fn fold(sum: u64, value: Option<u64>) -> u64 {
    sum.wrapping_mul(31).wrapping_add(value.unwrap_or(7))
}

fn spawn(
    node: &Arc<Node>,
    pool: &Arc<ThreadPoolExecutor>,
    seen: &[Value],
    all: &Arc<Mutex<Vec<Value>>>,
) -> Value {
    let node = Arc::clone(node);
    let (inside, seen, others) = (Arc::clone(pool), seen.to_vec(), Arc::clone(all));
    let task = move || node.run(&inside, &seen, &others);
    let future = pool.spawn(task).unwrap().share();
    all.lock().unwrap().push(future.clone());
    future
}

/// Runs one graph.
fn check(seed: u64, workers: usize, spare: usize, shape: &Shape) {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let root = Node::random(&mut dice, shape, 4, 0);
    let builder = ThreadPoolExecutor::builder()
        .max_workers(workers)
        .spare_workers(spare);
    let pool = Arc::new(builder.build());
    let all = Arc::new(Mutex::new(Vec::new()));
    let what = format!(
        "seed {seed}, {workers} workers, {spare} spare, {} tasks",
        root.count()
    );

    let result = spawn(&root, &pool, &[], &all).result();
    let mut results = Vec::new();
    // Those that are waited for may start others.
    while let Some(next) = { all.lock().unwrap().pop() } {
        results.push(next.result());
    }
    let is_given_up = results.contains(&Err(TaskError::WouldDeadlock));
    assert!(spare < 8 || !is_given_up, "{what}");
    if !is_given_up && !shape.cancels {
        let expected = root.evaluate(&[]);
        match result {
            Ok(value) => assert_eq!(Some(value), expected, "{what}"),
            Err(TaskError::Panicked(_)) => assert_eq!(expected, None, "{what}"),
            Err(other) => panic!("{other}: {what}"),
        }
        assert_eq!(results.len(), root.count(), "{what}");
    }
    assert_eq!(pool.spawn(|| 7).unwrap().result(), Ok(7), "{what}");
}

fn check_all(shape: &Shape, spares: &[usize]) {
    for seed in 0..40 {
        for workers in 1..=4 {
            for &spare in spares {
                check(seed, workers, spare, shape);
            }
        }
    }
}

/// F39: no graph hangs, and all come to what they come to without threads.
#[test]
fn a_graph_of_tasks_ends_in_any_pool() {
    watchdog(LIMIT, "a_graph_of_tasks_ends_in_any_pool", || {
        let shape = Shape {
            panics: false,
            cancels: false,
        };
        check_all(&shape, &[0, 1, 2, 256]);
    });
}

/// F39: likewise when tasks panic and others wait for them.
#[test]
fn a_graph_of_tasks_that_panic_ends() {
    watchdog(LIMIT, "a_graph_of_tasks_that_panic_ends", || {
        std::panic::set_hook(Box::new(|_| {}));
        let shape = Shape {
            panics: true,
            cancels: false,
        };
        check_all(&shape, &[0, 256]);
    });
}

/// F39: likewise when tasks are cancelled, started or not, while others wait for them.
#[test]
fn a_graph_of_tasks_that_are_cancelled_ends() {
    watchdog(LIMIT, "a_graph_of_tasks_that_are_cancelled_ends", || {
        let shape = Shape {
            panics: false,
            cancels: true,
        };
        check_all(&shape, &[0, 1, 256]);
    });
}
