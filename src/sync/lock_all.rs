//! Several locks in one call: [`lock_all`] and its faces.
//!
//! Every call takes its locks in the order of their addresses, one order for the whole process. A
//! call that waits holds only locks before the one it waits for; so no circle of calls can wait for
//! each other, whatever the order of their arguments. A call that ends without all of them, by a
//! limit, a drop or a panic, frees what it had taken.

use super::lock::indirect::{Beside, Indirect};
use super::lock::{ByTask, ByThread, Holder, Id, Lock, LockGuard, RawLock};
use crate::GaveUp;
use crate::wait::{Limit, WaitFuture};
use sealed::Sealed;
use smallvec::SmallVec;
use std::convert::Infallible;
use std::future::Future;
use std::panic::Location;
use std::pin::pin;
use std::ptr;

/// Locks to be taken together: a tuple of two to six `&Lock`, which may protect different types; an
/// array `[&Lock<T>; N]`; or a slice `&[&Lock<T>]`, whose guards come in a `Vec`.
///
/// More than eight in an array or a slice make one allocation for their order, and the guards of a
/// slice make one for themselves.
pub trait LockSet<'a>: Sealed<'a> {}

/// The words of a set of locks.
///
/// Public because a public trait's method returns them; nobody else can name them.
pub struct Words<'a>(SmallVec<[&'a RawLock; 8]>);

mod sealed {
    use super::{Holder, Words};

    pub trait Sealed<'a> {
        /// The guards of all of them, in the order of the locks in the set.
        type Guards<H: Holder>;

        /// In the order of the set.
        fn words(&self) -> Words<'a>;

        /// The guards of locks that have just been taken for `by`, once each.
        fn guards<H: Holder>(self, by: H) -> Self::Guards<H>;
    }
}

/// Takes all the locks of a set; blocks until it has them.
///
/// They are taken in one order, whatever the order of the arguments, so two such calls cannot wait
/// for each other in a circle. That is a matter between such calls: a caller that holds a guard
/// already, of one of these or of another lock, can still be part of a circle.
///
/// The guards come back in the order of the arguments, and are independent of each other. While it
/// waits for one lock, the call holds those before it. A panic on the way frees them.
///
/// # Fairness
///
/// That of each [`Lock`].
///
/// # Panics
///
/// If a lock is in the set twice, before anything is taken: it would wait for itself.
///
/// # Cost
///
/// A lock and an unlock for each, and putting two to six addresses in order; for allocations see
/// [`LockSet`].
///
/// # Source
///
/// C++'s [`std::scoped_lock`](https://en.cppreference.com/w/cpp/thread/scoped_lock), with an order
/// instead of trying and backing off, so that it never spins.
///
/// ```
/// use latchwork::sync::{Lock, lock_all};
///
/// fn transfer(from: &Lock<u64>, to: &Lock<u64>, cents: u64) {
///     let (mut from, mut to) = lock_all((from, to));
///     *from -= cents;
///     *to += cents;
/// }
///
/// let (ada, bob) = (Lock::new(100), Lock::new(100));
/// std::thread::scope(|s| {
///     s.spawn(|| transfer(&ada, &bob, 10));
///     s.spawn(|| transfer(&bob, &ada, 30));
/// });
/// let sum: u64 = lock_all([&ada, &bob]).iter().map(|account| **account).sum();
/// assert_eq!(sum, 200);
/// ```
#[track_caller]
#[doc(alias = "scoped_lock")]
pub fn lock_all<'a, S: LockSet<'a>>(locks: S) -> S::Guards<ByThread> {
    let (by, place) = (ByThread::current(), Location::caller());
    let Ok(()) = Taking::new(&locks, by).each(|word| {
        word.lock(by.id(), place);
        Ok::<(), Infallible>(())
    });
    locks.guards(by)
}

/// Takes all the locks of a set if all are free, else none; never blocks.
///
/// # Panics
///
/// If a lock is in the set twice.
///
/// ```
/// use latchwork::sync::{Lock, try_lock_all};
///
/// let (a, b) = (Lock::new(1), Lock::new("two"));
/// let held = b.lock();
/// assert!(try_lock_all((&a, &b)).is_none());
/// drop(held);
/// let (one, two) = try_lock_all((&a, &b)).unwrap();
/// assert_eq!((*one, *two), (1, "two"));
/// ```
#[track_caller]
pub fn try_lock_all<'a, S: LockSet<'a>>(locks: S) -> Option<S::Guards<ByThread>> {
    let by = ByThread::current();
    Taking::new(&locks, by)
        .each(|word| word.try_lock(by.id()).then_some(()).ok_or(()))
        .ok()?;
    Some(locks.guards(by))
}

/// As [`lock_all`]; blocks at most as long as `limit` says, which is one limit over all of them.
///
/// # Errors
///
/// Why it gave up. The locks are as if the call had not been made.
///
/// # Panics
///
/// If a lock is in the set twice.
///
/// ```
/// use latchwork::sync::{Lock, lock_all_within};
/// use std::time::Duration;
///
/// let (a, b) = (Lock::new(1), Lock::new(2));
/// let held = b.lock();
/// assert!(lock_all_within([&a, &b], Duration::from_millis(1)).is_err());
/// assert!(!a.is_locked());
/// # drop(held);
/// ```
#[track_caller]
pub fn lock_all_within<'a, 'l, S: LockSet<'a>>(
    locks: S,
    limit: impl Into<Limit<'l>>,
) -> Result<S::Guards<ByThread>, GaveUp> {
    let (by, place, limit) = (ByThread::current(), Location::caller(), limit.into());
    Taking::new(&locks, by).each(|word| word.lock_within(by.id(), &limit, place))?;
    Ok(locks.guards(by))
}

/// As [`lock_all`], without blocking a thread: resolves to task guards when all are ours.
///
/// Dropping the future before it resolves gives up, and frees those it has taken. A future that is
/// neither polled nor dropped keeps them from everybody.
///
/// # Panics
///
/// If a lock is in the set twice; at the call, not at the first poll.
///
/// ```
/// use latchwork::sync::{Lock, lock_all_async};
///
/// async fn swap(a: &Lock<u8>, b: &Lock<u8>) {
///     let (mut a, mut b) = lock_all_async((a, b)).await;
///     std::mem::swap(&mut *a, &mut *b);
/// }
/// ```
#[track_caller]
pub fn lock_all_async<'a, S: LockSet<'a>>(locks: S) -> impl Future<Output = S::Guards<ByTask>> {
    let taking = Taking::new(&locks, ByTask::HOLDER);
    let count = taking.words.len();
    #[expect(
        clippy::manual_map,
        reason = "in a closure the place would not be the caller's"
    )]
    let next = match taking.words.first().copied() {
        Some(first) => Some(WaitFuture::new(Indirect::new(first, taking))),
        None => None,
    };
    async move {
        if let Some(next) = next {
            let mut next = pin!(next);
            for _ in 0..count {
                // Polled after its end it begins anew, with the next lock.
                next.as_mut().await;
            }
        }
        locks.guards(ByTask::HOLDER)
    }
}

/// The locks of a set while they are being taken, in order. Dropped before it has all of them, it
/// frees those it has.
struct Taking<'a> {
    words: SmallVec<[&'a RawLock; 8]>,
    /// How many of them, from the front, are ours to free. None when all have been taken: then the
    /// guards will.
    taken: usize,
    owner: u32,
}

impl<'a> Taking<'a> {
    #[track_caller]
    fn new(locks: &impl LockSet<'a>, by: impl Holder) -> Taking<'a> {
        let Words(mut words) = locks.words();
        words.sort_unstable_by_key(|word| ptr::from_ref(*word).addr());
        let twice = words.windows(2).any(|pair| ptr::eq(pair[0], pair[1]));
        assert!(
            !twice,
            "the same lock twice in one call: it would wait for itself"
        );
        Taking {
            words,
            taken: 0,
            owner: by.id(),
        }
    }

    /// Takes one after the other.
    fn each<E>(mut self, mut take: impl FnMut(&RawLock) -> Result<(), E>) -> Result<(), E> {
        let mut next = self.words.first().copied();
        while let Some(word) = next {
            take(word)?;
            next = self.taken();
        }
        Ok(())
    }
}

impl<'a> Beside<'a> for Taking<'a> {
    fn taken(&mut self) -> Option<&'a RawLock> {
        self.taken += 1;
        let next = self.words.get(self.taken).copied();
        if next.is_none() {
            self.taken = 0;
        }
        next
    }
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        for word in self.words[..self.taken].iter().rev() {
            word.unlock(self.owner);
        }
    }
}

macro_rules! tuple_of_locks {
    ($($value:ident $lock:ident),+) => {
        impl<'a, $($value: ?Sized),+> LockSet<'a> for ($(&'a Lock<$value>,)+) {}

        impl<'a, $($value: ?Sized),+> Sealed<'a> for ($(&'a Lock<$value>,)+) {
            type Guards<H: Holder> = ($(LockGuard<'a, $value, H>,)+);

            fn words(&self) -> Words<'a> {
                let ($($lock,)+) = *self;
                Words(SmallVec::from_iter([$($lock.word()),+]))
            }

            fn guards<H: Holder>(self, by: H) -> Self::Guards<H> {
                let ($($lock,)+) = self;
                ($(LockGuard::new($lock, by),)+)
            }
        }
    };
}

tuple_of_locks!(A a, B b);
tuple_of_locks!(A a, B b, C c);
tuple_of_locks!(A a, B b, C c, D d);
tuple_of_locks!(A a, B b, C c, D d, E e);
tuple_of_locks!(A a, B b, C c, D d, E e, F f);

impl<'a, T: ?Sized, const N: usize> LockSet<'a> for [&'a Lock<T>; N] {}

impl<'a, T: ?Sized, const N: usize> Sealed<'a> for [&'a Lock<T>; N] {
    type Guards<H: Holder> = [LockGuard<'a, T, H>; N];

    fn words(&self) -> Words<'a> {
        Words(self.iter().map(|lock| lock.word()).collect())
    }

    fn guards<H: Holder>(self, by: H) -> [LockGuard<'a, T, H>; N] {
        self.map(|lock| LockGuard::new(lock, by))
    }
}

impl<'a, T: ?Sized> LockSet<'a> for &[&'a Lock<T>] {}

impl<'a, T: ?Sized> Sealed<'a> for &[&'a Lock<T>] {
    type Guards<H: Holder> = Vec<LockGuard<'a, T, H>>;

    fn words(&self) -> Words<'a> {
        Words(self.iter().map(|lock| lock.word()).collect())
    }

    fn guards<H: Holder>(self, by: H) -> Vec<LockGuard<'a, T, H>> {
        self.iter().map(|lock| LockGuard::new(lock, by)).collect()
    }
}
