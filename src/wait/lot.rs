//! The lot: where waiters are parked, keyed by the address of the word they wait on.
//!
//! A fixed table of cache-padded buckets; each holds one doubly linked FIFO list of the waiters of
//! all words that hash to it. Invariants:
//!
//! 1. A node is linked only while its owner is inside a wait, and only its bucket's lock allows
//!    linking or unlinking; so under that lock every linked node is alive.
//! 2. A primitive's has-waiters bit is set, cleared and acted upon under the bucket's lock of its
//!    own address (by the callbacks of [`enlist`], [`withdraw`] and [`line`]), so it is never
//!    wrong while the lock is free: a waiter in the line implies the bit.
//! 3. Nothing of the user's runs while a bucket is locked; wake-ups are collected and fired after.

use super::decision::CANCELLED;
use super::waiter::{Waiter, Wake};
use super::{Request, TASK};
#[cfg(not(loom))]
use crate::platform::atomic::{AtomicBool, Ordering};
use crate::platform::{Moment, Mutex, forked, thread_local};
use crossbeam_utils::CachePadded;
use smallvec::SmallVec;
use std::cell::Cell;
use std::ptr;
use std::task::Waker;
use std::time::Duration;

struct Bucket {
    head: *const Waiter,
    tail: *const Waiter,
    /// The last turns that were given here, one for a word: see [`Line::is_due`]. Two words that are
    /// both fought over rarely meet in a bucket, three hardly ever.
    turns: [Turn; 2],
}

/// Somebody who had been overtaken for too long got what they wanted.
///
/// With a tag of its own (`repr`), so that a bucket without turns is all zeros.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Turn {
    Never = 0,
    Given { address: usize, at: Moment },
}

impl Turn {
    fn is_of(self, word: usize) -> bool {
        matches!(self, Turn::Given { address, .. } if address == word)
    }

    /// For how long nobody has had a turn since.
    fn age(self) -> Duration {
        match self {
            Turn::Never => Duration::MAX,
            Turn::Given { at, .. } => at.elapsed(),
        }
    }
}

// SAFETY: the pointers are followed only under the bucket's lock (invariant 1).
unsafe impl Send for Bucket {}

impl Bucket {
    const EMPTY: Bucket = Bucket {
        head: ptr::null(),
        tail: ptr::null(),
        turns: [Turn::Never; 2],
    };
}

/// 16,384 buckets of 128 bytes in zeroed memory: pages nobody waits in are never touched. So many, because a hundred
/// thousand tasks that sleep all stand in them: with a thousand buckets that cost six times as much.
#[cfg(not(loom))]
const BITS: u32 = 14;
#[cfg(not(loom))]
static LOT: [CachePadded<Place>; 1 << BITS] = [const { CachePadded::new(Place::new()) }; 1 << BITS];

/// A bucket, and whether it has ever been used: whoever forks takes those that have.
#[cfg(not(loom))]
struct Place {
    bucket: Mutex<Bucket>,
    is_known: AtomicBool,
}

#[cfg(not(loom))]
impl Place {
    const fn new() -> Place {
        Place {
            bucket: Mutex::new(Bucket::EMPTY),
            is_known: AtomicBool::new(false),
        }
    }
}

/// The numbers of the buckets that have been used, as bits. Nobody locks a bucket that is not here.
#[cfg(not(loom))]
static KNOWN: Mutex<[u64; 1 << (BITS - 6)]> = Mutex::new([0; 1 << (BITS - 6)]);

#[cfg(not(loom))]
#[cold]
fn make_known(number: usize) {
    crate::fork::install();
    let mut known = KNOWN.lock();
    known[number / 64] |= 1 << (number % 64);
    // Relaxed: whoever sees it may lock the bucket, and whoever forks looks under the lock.
    LOT[number].is_known.store(true, Ordering::Relaxed);
}

// One bucket: every collision that can happen does.
#[cfg(loom)]
loom::lazy_static! {
    static ref LOT: [CachePadded<Mutex<Bucket>>; 1] = [CachePadded::new(Mutex::new(Bucket::EMPTY))];
}

#[cfg(not(loom))]
fn bucket(address: usize) -> &'static Mutex<Bucket> {
    // Fibonacci hashing: words are at least 4 bytes apart and often in arrays.
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    let number = (address as u64).wrapping_mul(GOLDEN) >> (64 - BITS);
    let place = &LOT[number as usize];
    if !place.is_known.load(Ordering::Relaxed) {
        make_known(number as usize);
    }
    &place.bucket
}
#[cfg(loom)]
fn bucket(_address: usize) -> &'static Mutex<Bucket> {
    &LOT[0]
}

/// How long a waiter may be overtaken by newcomers.
const TURN: Duration = Duration::from_micros(500);

#[cfg(not(loom))]
fn is_long_after() -> bool {
    false
}
#[cfg(loom)]
fn is_long_after() -> bool {
    LONG_AFTER.load(std::sync::atomic::Ordering::Relaxed)
}

#[cfg(loom)]
loom::lazy_static! {
    static ref LONG_AFTER: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
}

/// From now on, in this execution of a model, whoever waits has waited for long.
#[cfg(loom)]
pub(crate) fn let_time_pass() {
    LONG_AFTER.store(true, std::sync::atomic::Ordering::Relaxed);
}

/// While a called waiter is trying, nobody else is called. Every so often whoever lets go looks at the
/// line all the same: once in so many times.
const LOOK_EVERY: u32 = if cfg!(loom) { 2 } else { 64 };

thread_local! {
    static DICE: Cell<u32> = const { Cell::new(1) };
}

/// True once in a while: often enough to find who is overdue in time, too rarely to cost anything.
///
/// At random: a thread that goes round and asks at several words in turn must hear it at each of them. Of
/// every 64th time two words would share none: that is always at the second.
pub(crate) fn is_time_to_look() -> bool {
    DICE.with(|dice| {
        let last = dice.get();
        let next = if cfg!(loom) { !last } else { xorshift(last) };
        dice.set(next);
        next < u32::MAX / LOOK_EVERY
    })
}

/// George Marsaglia's: goes through all numbers but 0.
fn xorshift(mut x: u32) -> u32 {
    x ^= x << 13;
    x ^= x >> 17;
    x ^ x << 5
}

type Wakes = SmallVec<[Wake; 4]>;

/// The waiters of one word, oldest first, with their bucket locked.
pub(crate) struct Line<'a> {
    bucket: &'a mut Bucket,
    address: usize,
    wakes: Wakes,
}

/// What a granter may know of a parked waiter.
pub(crate) struct Front {
    pub(crate) thread: u32,
    pub(crate) since: Moment,
    pub(crate) again: bool,
    pub(crate) tag: usize,
}

impl Line<'_> {
    /// The first waiter of this word at or after `from`.
    fn find(&self, mut from: *const Waiter) -> *const Waiter {
        while !from.is_null() {
            // SAFETY: linked nodes are alive under the bucket's lock (invariant 1).
            let waiter = unsafe { &*from };
            if waiter.ticket.address == self.address {
                break;
            }
            from = next(waiter);
        }
        from
    }

    fn first(&self) -> *const Waiter {
        self.find(self.bucket.head)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first().is_null()
    }

    /// Whether somebody is parked behind the front one.
    pub(crate) fn has_second(&self) -> bool {
        let first = self.first();
        // SAFETY: linked nodes are alive under the bucket's lock (invariant 1).
        !first.is_null() && !self.find(next(unsafe { &*first })).is_null()
    }

    pub(crate) fn front(&self) -> Option<Front> {
        let first = self.first();
        if first.is_null() {
            return None;
        }
        // SAFETY: linked nodes are alive under the bucket's lock (invariant 1).
        let waiter = unsafe { &*first };
        Some(Front {
            thread: waiter.ticket.thread,
            since: waiter.ticket.since,
            again: waiter.ticket.again,
            // SAFETY: `links` belongs to whoever holds the bucket's lock, which is us.
            tag: waiter.links.with(|links| unsafe { (*links).tag }),
        })
    }

    /// Has the front waiter been overtaken for so long that it must not be any more?
    ///
    /// That is, it has waited for half a millisecond, and nobody in this line was given a turn for half a
    /// millisecond: no more often than that, because while what is waited for goes to somebody who
    /// sleeps, nobody has it. So who waits behind `n` others is due after `n + 1` half milliseconds.
    /// When it says true it notes the turn, which the caller gives.
    pub(crate) fn is_due(&mut self, front: &Front) -> bool {
        if cfg!(loom) {
            // There is no time in a model: overtaken once is enough, or the model says so.
            return front.again || is_long_after();
        }
        if front.since.elapsed() < TURN {
            return false;
        }
        let turns = &mut self.bucket.turns;
        // This line's last turn, or the older one of two others'.
        let last = match turns.iter().position(|turn| turn.is_of(self.address)) {
            Some(ours) => ours,
            None => usize::from(turns[0].age() < turns[1].age()),
        };
        if turns[last].is_of(self.address) && turns[last].age() < TURN {
            return false;
        }
        turns[last] = Turn::Given {
            address: self.address,
            at: Moment::now(),
        };
        true
    }

    /// How many wait.
    pub(crate) fn count(&self) -> usize {
        let mut count = 0;
        let mut at = self.first();
        while !at.is_null() {
            count += 1;
            // SAFETY: linked nodes are alive under the bucket's lock (invariant 1).
            at = self.find(next(unsafe { &*at }));
        }
        count
    }

    /// Takes the front waiter out and grants it `token`. False when it had given up, or when
    /// nobody was there; either way the grant is still the caller's to give.
    pub(crate) fn grant_front(&mut self, token: usize) -> bool {
        let first = self.first();
        !first.is_null() && self.grant(first, token)
    }

    /// Grants every waiter the token that `token_for` has for its tag, if it has one.
    pub(crate) fn grant_where(&mut self, token_for: impl Fn(usize) -> Option<usize>) {
        let mut at = self.first();
        while !at.is_null() {
            // SAFETY: `at` is linked, so alive, until the grant below.
            let waiter = unsafe { &*at };
            let following = self.find(next(waiter));
            // SAFETY: `links` belongs to whoever holds the bucket's lock, which is us.
            let tag = waiter.links.with(|links| unsafe { (*links).tag });
            if let Some(token) = token_for(tag) {
                // One that has given up needs no grant: it finds out for itself.
                self.grant(at, token);
            }
            at = following;
        }
    }

    /// Unlinks first and decides second: after the CAS the node is not ours to touch.
    fn grant(&mut self, waiter: *const Waiter, token: usize) -> bool {
        // SAFETY: the caller found it linked under this lock, so it is alive until it is settled.
        let waiter = unsafe { &*waiter };
        unlink(self.bucket, waiter);
        // SAFETY: `links` belongs to whoever holds the bucket's lock, which is us.
        let waker = waiter.links.with_mut(|links| unsafe {
            (*links).token = token;
            (*links).waker.take()
        });
        match waiter.grant() {
            Ok(wake) => {
                self.wakes.extend(wake.or(waker.map(Wake::Task)));
                true
            }
            Err(()) => {
                // Not dropped here, under the lock; and a stray wake-up does no harm.
                self.wakes.extend(waker.map(Wake::Task));
                false
            }
        }
    }
}

fn next(waiter: &Waiter) -> *const Waiter {
    // SAFETY: callers hold the bucket's lock, to which `links` belongs.
    waiter.links.with(|links| unsafe { (*links).next })
}

/// Links `waiter` at the end, or at the front when it has been woken in vain before.
fn link(bucket: &mut Bucket, waiter: &Waiter, tag: usize) {
    let this: *const Waiter = waiter;
    let (prev, next) = if waiter.ticket.again {
        (ptr::null(), bucket.head)
    } else {
        (bucket.tail, ptr::null())
    };
    waiter.links.with_mut(|links| {
        // SAFETY: the node is ours and not linked yet; nobody else knows it.
        let links = unsafe { &mut *links };
        links.prev = prev;
        links.next = next;
        links.linked = true;
        links.tag = tag;
    });
    // SAFETY: neighbours are linked, so alive, and their links are ours under the bucket's lock.
    unsafe {
        match prev.as_ref() {
            Some(prev) => prev.links.with_mut(|links| (*links).next = this),
            None => bucket.head = this,
        }
        match next.as_ref() {
            Some(next) => next.links.with_mut(|links| (*links).prev = this),
            None => bucket.tail = this,
        }
    }
}

/// Takes `waiter` out of its bucket's list if it is still in it.
fn unlink(bucket: &mut Bucket, waiter: &Waiter) {
    let (prev, next) = waiter.links.with_mut(|links| {
        // SAFETY: `links` belongs to whoever holds the bucket's lock.
        let links = unsafe { &mut *links };
        if !links.linked {
            return (None, None);
        }
        links.linked = false;
        (Some(links.prev), Some(links.next))
    });
    let (Some(prev), Some(next)) = (prev, next) else {
        return;
    };
    // SAFETY: neighbours are linked, so alive, and their links are ours under the bucket's lock.
    unsafe {
        match prev.as_ref() {
            Some(prev) => prev.links.with_mut(|links| (*links).next = next),
            None => bucket.head = next,
        }
        match next.as_ref() {
            Some(next) => next.links.with_mut(|links| (*links).prev = prev),
            None => bucket.tail = prev,
        }
    }
}

/// Runs `f` on the line of waiters at `address`, then wakes whoever it granted.
pub(crate) fn line<R>(address: usize, f: impl FnOnce(&mut Line<'_>) -> R) -> R {
    let mut locked = bucket(address).lock();
    let mut line = Line {
        bucket: &mut locked,
        address,
        wakes: Wakes::new(),
    };
    let result = f(&mut line);
    let wakes = line.wakes;
    drop(locked);
    wakes.into_iter().for_each(Wake::fire);
    result
}

/// Asks the request, under the bucket's lock, whether it still has to wait, and links if so.
///
/// The caller keeps `waiter` in place until it is decided and, unless granted, withdrawn.
pub(crate) fn enlist<R: Request>(waiter: &Waiter, request: &mut R) -> bool {
    let is_in_line = line(waiter.ticket.address, |line| {
        let tag = request.enlist(line);
        if let Some(tag) = tag {
            link(line.bucket, waiter, tag);
        }
        tag.is_some()
    });
    if is_in_line && forked::is_child() {
        request.mend();
    }
    is_in_line
}

/// Takes a waiter that gave up out of the line and lets the request repair the word.
pub(crate) fn withdraw<R: Request>(waiter: &Waiter, request: &mut R) {
    line(waiter.ticket.address, |line| {
        unlink(line.bucket, waiter);
        // SAFETY: `links` belongs to whoever holds the bucket's lock, which is us.
        let tag = waiter.links.with(|links| unsafe { (*links).tag });
        request.leave(line, tag);
    });
}

/// Gives up on behalf of a future that is dropped. False when a grant came first.
pub(crate) fn abandon<R: Request>(waiter: &Waiter, request: &mut R) -> bool {
    if waiter.decision().settle(CANCELLED).is_err() {
        return false;
    }
    withdraw(waiter, request);
    true
}

/// Makes `waker` the one to be woken, unless the wait has been decided already.
pub(crate) fn set_waker(waiter: &Waiter, waker: &Waker) {
    // Cloned before and dropped after the lock is held: both are the user's code.
    let mut other = Some(waker.clone());
    let locked = bucket(waiter.ticket.address).lock();
    waiter.links.with_mut(|links| {
        // SAFETY: `links` belongs to whoever holds the bucket's lock, which is us. A granter that
        // has taken the old waker out has also unlinked the node.
        let links = unsafe { &mut *links };
        if links.linked {
            std::mem::swap(&mut links.waker, &mut other);
        }
    });
    drop(locked);
    drop(other);
}

/// Calls `see` for every parked waiter with the owner of what it waits on (0 for a task's); one bucket
/// at a time, so the picture as a whole may never have been true at one instant.
pub(crate) fn survey(mut see: impl FnMut(&super::waiter::Ticket, u32)) {
    for bucket in used() {
        let locked = bucket.lock();
        let mut at = locked.head;
        while !at.is_null() {
            // SAFETY: linked nodes are alive under the bucket's lock (invariant 1).
            let waiter = unsafe { &*at };
            // A future may have been forgotten, and what it borrowed be gone; a thread cannot
            // leave its wait otherwise than through the line.
            let owner = match waiter.ticket.kind.owner {
                // SAFETY: the thread is inside a call that borrows the primitive, so the word of
                // this kind at the ticket's address is alive.
                Some(read) if waiter.ticket.thread != TASK => unsafe {
                    read(waiter.ticket.address)
                },
                _ => 0,
            };
            see(&waiter.ticket, owner);
            at = next(waiter);
        }
    }
}

/// The buckets that have ever been used.
#[cfg(not(loom))]
fn used() -> impl Iterator<Item = &'static Mutex<Bucket>> {
    in_use(*KNOWN.lock())
}

/// Those whose bit is set. Most words have none.
#[cfg(not(loom))]
fn in_use(known: [u64; 1 << (BITS - 6)]) -> impl Iterator<Item = &'static Mutex<Bucket>> {
    known.into_iter().enumerate().flat_map(|(at, mut word)| {
        std::iter::from_fn(move || {
            let bit = (word != 0).then(|| word.trailing_zeros() as usize)?;
            word &= word - 1;
            Some(&LOT[64 * at + bit].bucket)
        })
    })
}
#[cfg(loom)]
fn used() -> impl Iterator<Item = &'static Mutex<Bucket>> {
    LOT.iter().map(|bucket| &**bucket)
}

/// What a fork does to the lot: it is held while that happens, and the child forgets who did not come along.
#[cfg(all(unix, not(loom)))]
pub(crate) mod fork {
    use super::*;

    pub(crate) fn hold() {
        KNOWN.hold();
        held().for_each(Mutex::hold);
    }

    pub(crate) fn let_go() {
        // SAFETY: by `hold`, in this thread; in the child it is the same thread.
        unsafe {
            held().for_each(|bucket| bucket.let_go());
            KNOWN.let_go();
        }
    }

    /// The buckets that `hold` takes, while it holds the list of them.
    fn held() -> impl Iterator<Item = &'static Mutex<Bucket>> {
        // SAFETY: held by this thread, which does not change it meanwhile.
        in_use(unsafe { *KNOWN.get() })
    }

    /// Takes out the waiters whose frames are nobody's any more: those of other threads than `this`, and
    /// those of tasks that lie `in_vanished_frame`. What they waited for keeps its mark, at worst for
    /// somebody who looks at an empty line.
    pub(crate) fn forget_others(this: u32, in_vanished_frame: impl Fn(usize) -> bool) {
        for bucket in held() {
            // SAFETY: held by this thread, by `hold`.
            let bucket = unsafe { &mut *bucket.get() };
            let mut at = bucket.head;
            while !at.is_null() {
                // SAFETY: linked, and alive: the frames of vanished threads are still as they were
                // while the child has not started another thread.
                let waiter = unsafe { &*at };
                at = next(waiter);
                let stays = match waiter.ticket.thread {
                    TASK => !in_vanished_frame(ptr::from_ref(waiter).addr()),
                    thread => thread == this,
                };
                if !stays {
                    unlink(bucket, waiter);
                }
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn front_since(since: Moment) -> Front {
        Front {
            thread: TASK,
            since,
            again: false,
            tag: 0,
        }
    }

    /// Two words, never looked at, whose lines are in one bucket.
    fn in_one_bucket() -> [usize; 2] {
        // Where nobody's words are.
        let first = usize::MAX - 3;
        let meets = |address: &usize| std::ptr::eq(bucket(*address), bucket(first));
        let second = (1..1 << 20).map(|n| first - 4 * n).find(meets);
        [first, second.expect("a thousandth of them")]
    }

    #[test]
    fn whoever_asks_is_told_to_look_once_in_a_while() {
        const TIMES: usize = 20_000;
        let expected = TIMES / LOOK_EVERY as usize;
        for places in 1..20 {
            let mut looks = vec![0; places];
            for n in 0..places * TIMES {
                looks[n % places] += usize::from(is_time_to_look());
            }
            let is_fair = |looks: &usize| (expected / 2..expected * 2).contains(looks);
            assert!(looks.iter().all(is_fair), "{places} places: {looks:?}");
        }
    }

    #[test]
    fn a_turn_in_half_a_millisecond_for_each_word_and_not_for_each_bucket() {
        let is_due = |word, front: &Front| line(word, |line| line.is_due(front));
        let [a, b] = in_one_bucket();
        assert!(!is_due(a, &front_since(Moment::now())), "came just now");

        let patient = front_since(Moment::now());
        while patient.since.elapsed() < TURN {}
        let begin = Moment::now();
        assert!(is_due(a, &patient));
        assert!(is_due(b, &patient), "another word's turn is not its own");
        let again = is_due(a, &patient) || is_due(b, &patient);
        assert!(!again || begin.elapsed() >= TURN, "too soon");

        while begin.elapsed() < 3 * TURN {}
        assert!(is_due(b, &patient) && is_due(a, &patient), "late enough");
    }
}
