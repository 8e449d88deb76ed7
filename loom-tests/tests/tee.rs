//! Models of `tee` and `SharedIter`: nobody waits for an item that has come, and none is lost.

use latchwork::model::Deadline;
use latchwork::sync::{NextError, SharedIter, tee};
use latchwork::{CancelToken, GaveUp};
use latchwork_loom_tests::model;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// Two items, from an iterator that loom watches: advanced by two at once it is a race.
fn watched() -> impl Iterator<Item = usize> + Send + 'static {
    let next = UnsafeCell::new(0);
    std::iter::from_fn(move || {
        // SAFETY: a `&mut`, in effect. loom checks.
        next.with_mut(|next| unsafe {
            *next += 1;
            (*next <= 2).then_some(*next)
        })
    })
}

#[test]
fn the_end_of_an_advance() {
    model(
        "tee: a reader waits for an item, or an end, that has just come",
        || {
            let mut readers = tee(watched(), 2);
            let mine = readers.pop().unwrap();
            let yours = readers.pop().unwrap();
            let other = thread::spawn(move || assert!(yours.eq([1, 2])));
            assert!(mine.eq([1, 2]));
            other.join().unwrap();
        },
    );
}

#[test]
fn a_reader_gives_up() {
    model(
        "tee: a reader gives up waiting and loses what comes just then",
        || {
            let mut readers = tee(watched(), 2);
            let mut hasty = readers.pop().unwrap();
            let mine = readers.pop().unwrap();
            let (token, deadline) = (CancelToken::new(), Deadline::new());
            let other = {
                let (token, deadline) = (token.clone(), deadline.clone());
                thread::spawn(move || {
                    let first = hasty.next_within(&token);
                    let second = hasty.next_within(&deadline);
                    let mut seen = Vec::new();
                    for (item, why) in [(first, GaveUp::Cancelled), (second, GaveUp::TimedOut)] {
                        match item {
                            Ok(item) => seen.extend(item),
                            Err(error) => assert_eq!(error, NextError::GaveUp(why)),
                        }
                    }
                    seen.extend(hasty);
                    assert_eq!(seen, [1, 2]);
                })
            };
            token.cancel();
            deadline.pass();
            assert!(mine.eq([1, 2]));
            other.join().unwrap();
        },
    );
}

#[test]
fn a_reader_goes_away() {
    model(
        "tee: a reader goes away while others read what it has not",
        || {
            let mut readers = tee(watched(), 3);
            let gone = readers.pop().unwrap();
            let mine = readers.pop().unwrap();
            let yours = readers.pop().unwrap();
            let other = thread::spawn(move || {
                drop(gone);
                assert!(yours.eq([1, 2]));
            });
            assert!(mine.eq([1, 2]));
            other.join().unwrap();
        },
    );
}

#[test]
fn one_iterator_for_two() {
    model(
        "shared iterator: advanced by two at once, or an item lost",
        || {
            let shared = Arc::new(SharedIter::new(watched()));
            let other = {
                let shared = shared.clone();
                thread::spawn(move || shared.iter().collect::<Vec<_>>())
            };
            let mut seen: Vec<_> = shared.iter().collect();
            seen.extend(other.join().unwrap());
            seen.sort();
            assert_eq!(seen, [1, 2]);
        },
    );
}
