//! The word of a reader-writer lock: what its bits mean, and every way to take and to leave it that
//! needs nobody's help.
//!
//! Who waits is served in `serve.rs`; what the engine calls back is in `request.rs`.

use super::Policy;
use super::request::{ReadRequest, WriteRequest};
use crate::platform::atomic::{AtomicUsize, Ordering};
use crate::platform::const_fn;
use crate::wait::lot;
use crate::wait::{Kind, wait_for_ever};
use std::panic::Location;
use std::ptr;

/// Somebody is parked. Set and cleared only under the bucket's lock.
pub(super) const WAITERS: usize = 1;
/// A writer is inside.
pub(super) const WRITER: usize = 1 << 1;
/// The one reader who may become a writer is inside. It is not among the counted ones.
pub(super) const UPGRADABLE: usize = 1 << 2;
/// Newcomers wait behind who is parked. Only together with WAITERS; changed only under the bucket's
/// lock.
pub(super) const BARRED: usize = 1 << 3;
/// The upgradable reader is parked until the others have left. Only together with WAITERS and
/// UPGRADABLE; changed only under the bucket's lock.
pub(super) const UPGRADING: usize = 1 << 4;
/// Somebody has been called, is awake and is trying: whoever leaves a free lock need not call another.
/// Set under the bucket's lock; cleared by a called one in the step by which it comes in, lines up again,
/// or resigns.
pub(super) const CALLED: usize = 1 << 5;
/// Where the policy's two bits begin. They never change.
const POLICY: u32 = 6;
/// One reader; the count follows.
pub(super) const READER: usize = 1 << 8;
/// Where the writer's id begins. A word of 32 bits ends before: its writers have no name.
const OWNER: u32 = 35;
/// All bits of the count.
pub(super) const READERS: usize = ((1_u64 << OWNER) - 1) as usize & !(READER - 1);
/// The count's highest bit is room for the readers that come in vain: with it set, none are let in.
const FULL: usize = READERS & !(READERS >> 1);

/// What keeps a newcomer out who wants to read.
pub(super) const SHUT: usize = WRITER | BARRED | UPGRADING;
/// Somebody reads, or is on the way out after having come in vain.
pub(super) const SHARED: usize = READERS | UPGRADABLE;

/// The word of a reader-writer lock.
///
/// ```text
///   owner << 35 | readers << 8 | policy << 6
///               | CALLED | UPGRADING | BARRED | UPGRADABLE | WRITER | WAITERS
///
///   free:       no WRITER, no UPGRADABLE, no readers
///   read:       readers > 0, or UPGRADABLE, or both
///   written:    WRITER and its owner; readers are then some that came in vain
/// ```
///
/// * A reader adds itself before it knows whether it may: one `fetch_add`, which cannot fail and
///   takes the cache line once. When a bit of SHUT was set, it leaves again as any reader does. Until
///   then it is counted, and whoever finds the lock taken because of it is served by its leaving.
/// * WRITER is set by a compare-and-swap that finds the lock free, and UPGRADABLE becomes WRITER by
///   one that finds no readers.
/// * Whoever leaves with WAITERS set serves the line, unless somebody who was CALLED will. Between the
///   moment at which the lock became free and that service it is BARRED, if anybody's turn had come.
pub(crate) struct RawRwLock {
    pub(super) word: AtomicUsize,
}

pub(super) static KIND: Kind = Kind {
    name: "RwLock",
    owner: Some(owner_at),
};

/// Safety: a live [`RawRwLock`]'s word is at `address`.
unsafe fn owner_at(address: usize) -> u32 {
    let word = ptr::with_exposed_provenance::<AtomicUsize>(address);
    // SAFETY: by the caller's promise.
    owner_of(unsafe { &*word }.load(Ordering::Relaxed))
}

fn owner_of(word: usize) -> u32 {
    (word as u64 >> OWNER) as u32
}

/// The bits of a lock that `owner` writes to.
#[inline]
pub(super) fn written_by(owner: u32) -> usize {
    (u64::from(owner) << OWNER) as usize | WRITER
}

/// `word` without its writer.
pub(super) fn unwritten(word: usize) -> usize {
    word & !written_by(u32::MAX)
}

/// `word` with one reader more.
///
/// # Panics
///
/// If there is no room for it.
pub(super) fn one_more(word: usize) -> usize {
    assert!(word & FULL == 0, "too many readers of an RwLock");
    word + READER
}

/// Will somebody who has been called see to those who wait? Not if somebody must not be overtaken.
fn is_looked_after(word: usize) -> bool {
    word & (CALLED | BARRED | UPGRADING) == CALLED
}

pub(super) fn is_full(word: usize) -> bool {
    word & FULL != 0
}

/// How many read, the upgradable reader included.
pub(super) fn readers(word: usize) -> usize {
    (word & READERS) / READER + usize::from(word & UPGRADABLE != 0)
}

impl RawRwLock {
    const_fn! {
        pub(crate) fn new(policy: Policy) -> RawRwLock {
            RawRwLock { word: AtomicUsize::new((policy as usize) << POLICY) }
        }
    }

    /// Blocks until no writer is inside or before us, and reads.
    #[inline]
    pub(super) fn read(&self, place: &'static Location<'static>) {
        // Acquire pairs with the Release of the writer that left.
        let seen = self.word.fetch_add(READER, Ordering::Acquire);
        if seen & (SHUT | FULL) != 0 {
            self.read_slow(place);
        }
    }

    #[cold]
    fn read_slow(&self, place: &'static Location<'static>) {
        self.unlock_read();
        wait_for_ever(&mut ReadRequest::new(self, SHUT), place);
    }

    /// Reads, unless a bit of `shut` is set. Leaves no trace when it fails.
    #[inline]
    pub(super) fn try_read(&self, shut: usize) -> bool {
        self.take(shut, one_more)
    }

    pub(super) fn try_upgradable(&self) -> bool {
        self.take(SHUT | UPGRADABLE, |word| word | UPGRADABLE)
    }

    /// Writes for `owner` unless somebody is inside.
    #[inline]
    pub(super) fn try_write(&self, owner: u32) -> bool {
        self.word
            .compare_exchange(0, written_by(owner), Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
            || self.try_write_slow(owner)
    }

    /// Blocks until nobody is inside, and writes for `owner`.
    #[inline]
    pub(super) fn write(&self, owner: u32, place: &'static Location<'static>) {
        if !self.try_write(owner) {
            wait_for_ever(&mut WriteRequest::new(self, owner), place);
        }
    }

    /// As `try_write`, also with another policy than the default and when somebody is parked.
    #[cold]
    fn try_write_slow(&self, owner: u32) -> bool {
        self.take(SHUT | SHARED, |word| word | written_by(owner))
    }

    /// Makes the upgradable reader, which the caller is, the writer, if nobody else reads.
    pub(super) fn try_upgrade(&self, owner: u32) -> bool {
        self.take(READERS, |word| upgraded(word, owner))
    }

    /// Makes `change` of the word unless a bit of `shut` is set. Acquires what those before have done.
    #[inline]
    pub(super) fn take(&self, shut: usize, change: impl Fn(usize) -> usize) -> bool {
        self.change_unless(shut, Ordering::Acquire, change)
    }

    /// Makes `change` of the word unless a bit of `shut` is set.
    #[inline]
    pub(super) fn change_unless(
        &self,
        shut: usize,
        success: Ordering,
        change: impl Fn(usize) -> usize,
    ) -> bool {
        let mut seen = self.word.load(Ordering::Relaxed);
        while seen & shut == 0 {
            match self
                .word
                .compare_exchange_weak(seen, change(seen), success, Ordering::Relaxed)
            {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// A reader leaves. Release pairs with the Acquire of the writer that comes after.
    #[inline]
    pub(super) fn unlock_read(&self) {
        let before = self.word.fetch_sub(READER, Ordering::Release);
        if before & (READERS | WAITERS) == READER | WAITERS {
            self.last_reader_left(before);
        }
    }

    #[cold]
    fn last_reader_left(&self, before: usize) {
        // A writer serves the line when it leaves, and so does an upgradable reader, unless it is
        // what we kept waiting.
        let is_free = before & WRITER == 0 && before & (UPGRADABLE | UPGRADING) != UPGRADABLE;
        if is_free && !is_looked_after(before) {
            self.serve_line();
        }
    }

    /// The upgradable reader leaves.
    #[inline]
    pub(super) fn unlock_upgradable(&self) {
        let before = self.word.fetch_sub(UPGRADABLE, Ordering::Release);
        if before & WAITERS != 0 && !is_looked_after(before) {
            self.serve_line();
        }
    }

    /// The upgradable reader becomes a plain one.
    pub(super) fn upgradable_to_read(&self) {
        let before = self.word.fetch_add(READER - UPGRADABLE, Ordering::Release);
        if before & WAITERS != 0 {
            self.serve_line();
        }
    }

    /// The writer, `owner`, leaves.
    #[inline]
    pub(super) fn unlock_write(&self, owner: u32) {
        if self
            .word
            .compare_exchange(written_by(owner), 0, Ordering::Release, Ordering::Relaxed)
            .is_err()
        {
            self.step_down(0);
        }
    }

    /// The writer becomes what `stays` says: a READER, the UPGRADABLE one, or nothing.
    ///
    /// One read-modify-write, so no other writer comes in between.
    #[cold]
    pub(super) fn step_down(&self, stays: usize) {
        let mut seen = self.word.load(Ordering::Relaxed);
        while seen & WAITERS == 0 || (stays == 0 && is_looked_after(seen)) {
            match self.word.compare_exchange_weak(
                seen,
                unwritten(seen) + stays,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
        lot::line(self.address(), |line| {
            // Kept shut until the line is served, if somebody's turn has come.
            let bar = if self.turn_has_come(line) { BARRED } else { 0 };
            self.update(|word| (unwritten(word) & !BARRED | bar) + stays);
            self.serve(line);
        });
    }

    /// Makes `change` of the word. AcqRel: passes on to an heir what those before have done.
    pub(super) fn update(&self, change: impl Fn(usize) -> usize) {
        self.change_unless(0, Ordering::AcqRel, change);
    }

    pub(super) fn address(&self) -> usize {
        ptr::from_ref(&self.word).expose_provenance()
    }

    pub(super) fn load(&self) -> usize {
        self.word.load(Ordering::Relaxed)
    }

    /// Who writes; 0 when nobody does.
    pub(super) fn owner(&self) -> u32 {
        owner_of(self.load())
    }
}

pub(super) fn policy_of(word: usize) -> Policy {
    match word >> POLICY & 3 {
        0 => Policy::Balanced,
        1 => Policy::PreferReaders,
        _ => Policy::PreferWriters,
    }
}

/// `word` after its upgradable reader has become the writer `owner`.
pub(super) fn upgraded(word: usize, owner: u32) -> usize {
    word & !(UPGRADABLE | UPGRADING) | written_by(owner)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn the_fields_of_the_word_do_not_overlap() {
        let flags = WAITERS | WRITER | UPGRADABLE | BARRED | UPGRADING | CALLED | 3 << POLICY;
        assert_eq!(flags, READER - 1);
        assert_eq!(flags & READERS, 0);
        assert_eq!(written_by(u32::MAX) & (READERS | flags), WRITER);
        let largest_id = (1 << 29) - 1;
        #[cfg(target_pointer_width = "64")]
        assert_eq!(owner_of(written_by(largest_id)), largest_id);
        #[cfg(not(target_pointer_width = "64"))]
        assert_eq!(owner_of(written_by(largest_id)), 0);
    }

    #[test]
    fn one_reader_too_many_panics_and_changes_nothing() {
        let lock = RawRwLock::new(Policy::Balanced);
        lock.word.store(FULL, Ordering::Relaxed);
        let refused = |read: &dyn Fn()| catch_unwind(AssertUnwindSafe(read)).is_err();
        assert!(refused(&|| lock.read(Location::caller())));
        assert!(refused(&|| assert!(lock.try_read(SHUT))));
        assert_eq!(lock.load(), FULL);
        // The last one that there is room for.
        lock.word.store(FULL - READER, Ordering::Relaxed);
        lock.read(Location::caller());
        lock.unlock_read();
        assert_eq!(lock.load(), FULL - READER);
    }

    #[test]
    fn a_policy_is_kept() {
        for policy in [
            Policy::Balanced,
            Policy::PreferReaders,
            Policy::PreferWriters,
        ] {
            let lock = RawRwLock::new(policy);
            assert!(lock.try_write(7));
            lock.unlock_write(7);
            assert_eq!(policy_of(lock.load()), policy);
        }
    }
}
