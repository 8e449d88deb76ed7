//! `queue::PriorityQueue` and `queue::Heap`: rows Q3, Q24, Q25 (an order with more to it), Q40 (peek).

mod common;

use common::{block_on, poll, watchdog};
use latchwork::queue::{GetError, Heap, Prioritized, PriorityQueue, PutError, Ticket};
use latchwork::{Shutdown, debug};
use proptest::prelude::*;
use std::cell::Cell;
use std::cmp::Ordering;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// Waits until `n` callers are parked at this line.
fn until_waiting(kind: &str, place_line: u32, n: usize) {
    let is_it = |wait: &&debug::Wait| wait.kind == kind && wait.place.line() == place_line;
    while debug::waits().iter().filter(is_it).count() != n {
        thread::yield_now();
    }
}

#[test]
fn the_smallest_leaves_first_and_the_older_among_equals() {
    let queue = PriorityQueue::unbounded();
    for (n, priority) in [3, 1, 2, 1, 3, 1, 2].into_iter().enumerate() {
        queue.put_with_priority(priority, n).unwrap();
    }
    assert_eq!(queue.peek(|first| first.item), Some(1));
    assert_eq!(queue.len(), 7, "looked at, not taken");
    let order: Vec<_> = queue.try_iter().map(|job| job.item).collect();
    assert_eq!(order, [1, 3, 5, 2, 6, 0, 4]);
    assert_eq!(queue.peek(|first| first.item), None);
}

#[test]
fn a_payload_needs_no_order() {
    struct Unordered;
    let queue = PriorityQueue::bounded(2);
    queue.try_put_with_priority("b", Unordered).unwrap();
    let put = queue.put_with_priority_within("a", Unordered, Duration::ZERO);
    assert!(put.is_ok());
    let Err(full) = queue.try_put_with_priority("c", Unordered) else {
        panic!("there is no room");
    };
    assert!(full.is_full());
    assert_eq!(full.into_inner().priority, "c");
    assert_eq!(queue.get().unwrap().priority, "a");
    assert!(block_on(queue.put_with_priority_async("0", Unordered)).is_ok());
    assert_eq!(queue.get().unwrap().priority, "0");
}

#[test]
#[should_panic(expected = "room for at least one item")]
fn a_bound_of_nothing_is_refused() {
    let _ = PriorityQueue::<u8>::bounded(0);
}

#[test]
fn a_putter_waits_for_room_and_the_getter_for_an_item() {
    watchdog(LIMIT, "a_putter_waits_for_room", || {
        let queue = PriorityQueue::bounded(1);
        queue.put(2).unwrap();
        thread::scope(|s| {
            let line = line!() + 1;
            s.spawn(|| queue.put(1).unwrap());
            until_waiting("Queue::put", line, 1);
            assert_eq!((queue.get(), queue.get()), (Ok(2), Ok(1)));
            let line = line!() + 1;
            let getter = s.spawn(|| queue.get());
            until_waiting("Queue::get", line, 1);
            queue.put(3).unwrap();
            assert_eq!(getter.join().unwrap(), Ok(3));
        });
    });
}

#[test]
fn many_threads_lose_nothing_and_each_gets_rising_numbers() {
    watchdog(LIMIT, "many_threads_lose_nothing", || {
        const EACH: u32 = 2000;
        let queue = PriorityQueue::bounded(100);
        let mut all: Vec<u32> = thread::scope(|s| {
            let getters = [(); 3].map(|()| s.spawn(|| queue.iter().collect::<Vec<_>>()));
            thread::scope(|s| {
                for producer in 0..3 {
                    let queue = &queue;
                    s.spawn(move || (0..EACH).for_each(|n| queue.put(n * 3 + producer).unwrap()));
                }
            });
            assert!(queue.shutdown(Shutdown::Drain).is_empty());
            getters
                .into_iter()
                .flat_map(|g| g.join().unwrap())
                .collect()
        });
        all.sort_unstable();
        assert!(all.into_iter().eq(0..3 * EACH));
    });
}

#[test]
fn tickets_take_out_replace_and_change() {
    let queue = PriorityQueue::bounded(8);
    let tickets: Vec<Ticket> = (0..6)
        .map(|n| queue.ticketed().put(Prioritized::new(n * 10, n)).unwrap())
        .collect();
    assert_eq!(queue.remove(&tickets[0]).map(|job| job.item), Some(0));
    assert_eq!(queue.change_priority(&tickets[4], 5), Ok(40));
    assert_eq!(queue.change_priority(&tickets[1], 99), Ok(10));
    let replaced = queue.replace(&tickets[2], Prioritized::new(1, 7));
    assert_eq!(replaced.map(|job| job.item), Ok(2));
    let order: Vec<_> = queue.drain().map(|job| job.item).collect();
    assert_eq!(order, [7, 4, 3, 5, 1]);
    for ticket in &tickets {
        assert_eq!(queue.remove(ticket).map(|job| job.item), None);
        assert_eq!(queue.change_priority(ticket, 0), Err(0));
        let refused = queue.replace(ticket, Prioritized::new(1, 8));
        assert_eq!(refused.map_err(|job| job.item), Err(8));
    }
}

#[test]
fn a_ticket_is_good_for_one_item_of_one_queue() {
    let (queue, other) = (PriorityQueue::unbounded(), PriorityQueue::unbounded());
    // In both queues the second ticket uses the slot of the first again.
    let [stale, _] = [&queue, &other].map(|queue| queue.ticketed().put(1).unwrap());
    assert_eq!((queue.get(), other.get()), (Ok(1), Ok(1)));
    let [fresh, foreign] = [&queue, &other].map(|queue| queue.ticketed().put(2).unwrap());
    assert!(fresh != stale && fresh != foreign);
    for wrong in [stale, foreign, Ticket::default()] {
        assert_eq!(queue.remove(&wrong), None);
        assert_eq!(queue.replace(&wrong, 0), Err(0));
    }
    assert_eq!(queue.clone().remove(&fresh), Some(2));
    // With a free slot to be mistaken for.
    for wrong in [stale, fresh, Ticket::default()] {
        assert_eq!(queue.remove(&wrong), None);
    }
    assert_eq!(Heap::<u8>::new().get(&Ticket::default()), None);
}

#[test]
fn what_is_taken_out_by_ticket_makes_room_and_is_acknowledged() {
    watchdog(LIMIT, "what_is_taken_out_by_ticket", || {
        let queue = PriorityQueue::bounded(1);
        let ticket = queue.ticketed().put(1).unwrap();
        thread::scope(|s| {
            let line = line!() + 1;
            let putter = s.spawn(|| queue.ticketed().put(2));
            until_waiting("Queue::put", line, 1);
            assert_eq!(queue.remove(&ticket), Some(1));
            let second = putter.join().unwrap().unwrap();
            assert_eq!(queue.unfinished(), 1);
            assert_eq!(queue.remove(&second), Some(2));
        });
        queue.join();
    });
}

#[test]
fn an_evicting_put_drives_the_worst_out() {
    watchdog(LIMIT, "an_evicting_put", || {
        let queue = PriorityQueue::bounded(3);
        let evicting = queue.evicting();
        for n in 0..3 {
            assert!(matches!(evicting.put(Prioritized::new(5, n)), Ok(None)));
        }
        let evicted = |put: Result<Option<_>, PutError<_>>| {
            put.unwrap().map(|job: Prioritized<_, _>| job.item)
        };
        assert_eq!(
            evicted(evicting.put(Prioritized::new(4, 3))),
            Some(2),
            "the youngest"
        );
        assert_eq!(evicted(evicting.try_put(Prioritized::new(4, 4))), Some(1));
        let within = evicting.put_within(Prioritized::new(4, 5), Duration::ZERO);
        assert_eq!(evicted(within), Some(0));
        let refused = block_on(evicting.put_async(Prioritized::new(4, 6))).unwrap_err();
        assert!(refused.is_full());
        assert_eq!(refused.into_inner().item, 6, "the youngest of the worst");
        assert_eq!(
            queue.unfinished(),
            3,
            "who had to go needs no acknowledgement"
        );
        assert_eq!(queue.stats().high_water, 3);

        queue.set_capacity(1);
        assert_eq!(evicted(evicting.put(Prioritized::new(0, 7))), Some(5));
        assert_eq!(queue.len(), 3, "one goes for one that comes");
        assert!(queue.shutdown(Shutdown::Drain).is_empty());
        assert!(
            evicting
                .put(Prioritized::new(0, 8))
                .unwrap_err()
                .is_shutdown()
        );
        assert_eq!(
            queue.drain().map(|job| job.item).collect::<Vec<_>>(),
            [7, 3, 4]
        );
    });
}

#[test]
fn the_ticket_of_what_had_to_go_is_stale() {
    let queue = PriorityQueue::bounded(2);
    let tickets = [7, 9].map(|n| queue.ticketed().put(n).unwrap());
    assert_eq!(queue.evicting().put(8), Ok(Some(9)));
    assert_eq!(queue.remove(&tickets[1]), None);
    assert_eq!(queue.remove(&tickets[0]), Some(7));
}

#[test]
fn shutdown_hands_back_in_order() {
    let queue = PriorityQueue::unbounded();
    let ticket = queue.ticketed().put(3).unwrap();
    queue.put_many([5, 1, 4]).unwrap();
    assert_eq!(queue.shutdown(Shutdown::Immediate), [1, 3, 4, 5]);
    assert_eq!(queue.remove(&ticket), None);
    assert_eq!(queue.ticketed().put(1), Err(PutError::ShutDown(1)));
    assert_eq!(queue.get(), Err(GetError::ShutDown));
}

#[test]
fn a_future_waits_for_an_item() {
    watchdog(LIMIT, "a_future_waits_for_an_item", || {
        let queue = PriorityQueue::bounded(1);
        let mut getting = pin!(queue.get_async());
        assert_eq!(poll(getting.as_mut(), Waker::noop()), Poll::Pending);
        queue.put(1).unwrap();
        assert_eq!(poll(getting.as_mut(), Waker::noop()), Poll::Ready(Ok(1)));
        queue.put(1).unwrap();
        let mut putting = pin!(queue.ticketed().put_async(2));
        assert!(poll(putting.as_mut(), Waker::noop()).is_pending());
        assert_eq!(queue.get(), Ok(1));
        let Poll::Ready(Ok(ticket)) = poll(putting.as_mut(), Waker::noop()) else {
            panic!("there is room");
        };
        assert_eq!(queue.remove(&ticket), Some(2));
    });
}

thread_local! {
    /// So many comparisons more, then one panics.
    static FUSE: Cell<Option<u32>> = const { Cell::new(None) };
}

/// What a comparison panics with, and no panic hook is told.
struct BurntDown;

/// Compares until the fuse has burnt down.
#[derive(Clone, Copy, Debug)]
struct Key(u8);

impl Ord for Key {
    fn cmp(&self, other: &Key) -> Ordering {
        FUSE.with(|fuse| match fuse.get() {
            Some(0) => resume_unwind(Box::new(BurntDown)),
            Some(left) => fuse.set(Some(left - 1)),
            None => {}
        });
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Key {}

#[test]
fn a_comparison_that_panics_leaves_the_queue_as_it_was() {
    watchdog(LIMIT, "a_comparison_that_panics", || {
        let queue = PriorityQueue::bounded(3);
        queue.put(Key(1)).unwrap();
        let ticket = queue.ticketed().put(Key(2)).unwrap();
        let evil: [fn(&PriorityQueue<Key>, &Ticket); 6] = [
            |queue, _| queue.put(Key(0)).unwrap(),
            |queue, _| queue.put_many([Key(3), Key(0)]).unwrap(),
            |queue, _| assert!(queue.ticketed().put(Key(0)).is_ok()),
            |queue, ticket| assert!(queue.replace(ticket, Key(0)).is_ok()),
            |queue, _| drop(queue.drain()),
            |queue, _| drop(queue.shutdown(Shutdown::Immediate)),
        ];
        for evil in evil {
            FUSE.set(Some(0));
            let panic = catch_unwind(AssertUnwindSafe(|| evil(&queue, &ticket))).unwrap_err();
            assert!(panic.is::<BurntDown>());
            FUSE.set(None);
            assert_eq!((queue.len(), queue.unfinished()), (2, 2));
            assert_eq!(queue.peek(|key| key.0), Some(1));
        }
        assert!(queue.shutdown(Shutdown::Drain).is_empty());
        assert_eq!(queue.get(), Ok(Key(1)));
        assert_eq!(queue.remove(&ticket), Some(Key(2)));
        assert_eq!(queue.get(), Err(GetError::ShutDown));
    });
}

#[test]
fn a_comparison_that_panics_in_a_called_thread_leaves_nobody_waiting() {
    watchdog(LIMIT, "a_panic_when_called", || {
        let queue = PriorityQueue::bounded(5);
        let has_panicked = |result: thread::Result<()>| {
            assert!(result.unwrap_err().is::<BurntDown>());
        };
        let (getter, good_getter) = (line!() + 4, line!() + 10);
        thread::scope(|s| {
            let bad = s.spawn(|| {
                FUSE.set(Some(0));
                queue.get().map(drop).unwrap();
            });
            until_waiting("Queue::get", getter, 1);
            queue.put_many((1..=5).map(Key)).unwrap();
            has_panicked(bad.join());
            while queue.try_get().is_ok() {}
            let good = s.spawn(|| queue.get());
            until_waiting("Queue::get", good_getter, 1);
            queue.put(Key(6)).unwrap();
            assert_eq!(good.join().unwrap(), Ok(Key(6)));
        });
        queue.put_many((1..=5).map(Key)).unwrap();
        let (putter, good_putter) = (line!() + 4, line!() + 10);
        thread::scope(|s| {
            let bad = s.spawn(|| {
                FUSE.set(Some(0));
                queue.put(Key(0)).unwrap();
            });
            until_waiting("Queue::put", putter, 1);
            assert_eq!(queue.get(), Ok(Key(1)));
            has_panicked(bad.join());
            queue.put(Key(1)).unwrap();
            let good = s.spawn(|| queue.put(Key(0)));
            until_waiting("Queue::put", good_putter, 1);
            assert_eq!(queue.get(), Ok(Key(1)));
            assert_eq!(good.join().unwrap(), Ok(()));
        });
    });
}

/// What is done to a heap; numbers choose among the tickets there have been.
#[derive(Clone, Debug)]
enum Step {
    Push(u8),
    Ticketed(u8),
    Evicting(u8),
    Pop,
    PopWorst,
    Remove(usize),
    Replace(usize, u8),
    Change(usize, u8),
    TakeAll,
}

fn step() -> impl Strategy<Value = Step> {
    // Few priorities and many, so that there are ties and none.
    let key = prop_oneof![0..3u8, any::<u8>()];
    prop_oneof![
        6 => key.clone().prop_map(Step::Push),
        4 => key.clone().prop_map(Step::Ticketed),
        1 => key.clone().prop_map(Step::Evicting),
        4 => Just(Step::Pop),
        1 => Just(Step::PopWorst),
        1 => any::<usize>().prop_map(Step::Remove),
        2 => (any::<usize>(), key.clone()).prop_map(|(n, key)| Step::Replace(n, key)),
        3 => (any::<usize>(), key).prop_map(|(n, key)| Step::Change(n, key)),
        1 => Just(Step::TakeAll),
    ]
}

/// A payload that is alive as long as somebody has it.
type Alive = Rc<()>;
type Item = Prioritized<Key, (u32, Alive)>;

/// What the heap should be: items with their ages, which are their numbers.
#[derive(Clone, Default)]
struct Model {
    items: Vec<(u8, u32)>,
    /// With the number of the item, by which its age goes on.
    tickets: Vec<(Ticket, u32)>,
    /// Of each item number: the age of the first item in its place.
    ages: Vec<u32>,
}

impl Model {
    fn sort(&mut self) {
        let ages = &self.ages;
        self.items
            .sort_by_key(|&(key, number)| (key, ages[number as usize]));
    }

    /// A new item, with the age of another one or its own.
    fn new_item(&mut self, key: u8, age: Option<u32>) -> u32 {
        let number = self.ages.len() as u32;
        self.ages.push(age.unwrap_or(number));
        self.items.push((key, number));
        self.sort();
        number
    }

    fn take(&mut self, number: u32) -> Option<(u8, u32)> {
        let at = self.items.iter().position(|item| item.1 == number)?;
        Some(self.items.remove(at))
    }

    fn chosen(&self, choice: usize) -> Option<(usize, Ticket, u32)> {
        let at = choice.checked_rem(self.tickets.len())?;
        let (ticket, number) = self.tickets[at];
        Some((at, ticket, number))
    }
}

fn seen(item: Item) -> (u8, u32) {
    (item.priority.0, item.item.0)
}

/// Does one step with both and compares; a panic of a comparison is let through.
fn run(step: &Step, heap: &mut Heap<Item>, model: &mut Model, alive: &Alive) {
    let item = |key: u8, model: &Model| {
        let number = model.ages.len() as u32;
        Prioritized::new(Key(key), (number, Rc::clone(alive)))
    };
    match *step {
        Step::Push(key) => {
            heap.push(item(key, model));
            model.new_item(key, None);
        }
        Step::Ticketed(key) => {
            let ticket = heap.push_ticketed(item(key, model));
            let number = model.new_item(key, None);
            model.tickets.push((ticket, number));
        }
        Step::Evicting(key) => {
            let outcome = heap.push_evicting(item(key, model)).map(seen).map_err(seen);
            let number = model.new_item(key, None);
            let worst = model.items.pop().unwrap();
            let expected = if worst.1 == number {
                Err(worst)
            } else {
                Ok(worst)
            };
            assert_eq!(outcome, expected);
        }
        Step::Pop => {
            let popped = heap.pop().map(seen);
            assert_eq!(
                popped,
                (!model.items.is_empty()).then(|| model.items.remove(0))
            );
        }
        Step::PopWorst => {
            let peeked = heap.peek_worst().map(|item| item.item.0);
            let popped = heap.pop_worst().map(seen);
            assert_eq!(popped.map(|item| item.1), peeked);
            assert_eq!(popped, model.items.pop());
        }
        Step::Remove(choice) => {
            let Some((_, ticket, number)) = model.chosen(choice) else {
                return;
            };
            assert_eq!(heap.remove(&ticket).map(seen), model.take(number));
        }
        Step::Replace(choice, key) => {
            let Some((at, ticket, number)) = model.chosen(choice) else {
                return;
            };
            let outcome = heap
                .replace(&ticket, item(key, model))
                .map(seen)
                .map_err(seen);
            match model.take(number) {
                None => assert_eq!(outcome, Err((key, model.ages.len() as u32))),
                Some(old) => {
                    assert_eq!(outcome, Ok(old));
                    let age = model.ages[number as usize];
                    model.tickets[at].1 = model.new_item(key, Some(age));
                }
            }
        }
        Step::Change(choice, key) => {
            let Some((_, ticket, number)) = model.chosen(choice) else {
                return;
            };
            let outcome = heap.change_priority(&ticket, Key(key)).map(|old| old.0);
            match model.items.iter_mut().find(|item| item.1 == number) {
                None => assert_eq!(outcome.map_err(|new| new.0), Err(key)),
                Some(item) => {
                    let old = std::mem::replace(&mut item.0, key);
                    assert_eq!(outcome.map_err(|new| new.0), Ok(old));
                    model.sort();
                }
            }
        }
        Step::TakeAll => {
            let all: Vec<_> = heap.take_all().into_iter().map(seen).collect();
            assert_eq!(all, std::mem::take(&mut model.items));
        }
    }
}

fn check(heap: &Heap<Item>, model: &Model, alive: &Alive) {
    assert_eq!(heap.len(), model.items.len());
    assert_eq!(
        Rc::strong_count(alive),
        1 + model.items.len(),
        "nothing lost or doubled"
    );
    let see = |item: &Item| (item.priority.0, item.item.0);
    assert_eq!(heap.peek().map(see), model.items.first().copied());
    assert_eq!(heap.iter().len(), model.items.len());
    for (ticket, number) in &model.tickets {
        let expected = model.items.iter().find(|item| item.1 == *number).copied();
        assert_eq!(heap.get(ticket).map(see), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_heap_is_a_sorted_list(
        steps in prop::collection::vec((step(), prop::option::weighted(0.3, 0..12u32)), 1..150),
    ) {
        let alive = Rc::new(());
        let (mut heap, mut model) = (Heap::new(), Model::default());
        for (step, fuse) in &steps {
            let mut tried = model.clone();
            FUSE.set(*fuse);
            let outcome = catch_unwind(AssertUnwindSafe(|| run(step, &mut heap, &mut tried, &alive)));
            FUSE.set(None);
            match outcome {
                Ok(()) => model = tried,
                // The heap is as it was, so it has to agree with the old model from here on.
                Err(panic) if panic.is::<BurntDown>() => {}
                Err(panic) => resume_unwind(panic),
            }
            check(&heap, &model, &alive);
        }
        while let Some(item) = heap.pop() {
            assert_eq!(seen(item), model.items.remove(0));
        }
        assert!(model.items.is_empty());
    }
}
