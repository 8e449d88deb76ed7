//! The word of a reader-writer lock: what its bits mean, and every way to take and to leave it that
//! needs nobody's help.
//!
//! Who waits is served in `serve.rs`; what the engine calls back is in `request.rs`.

use super::Policy;
use super::request::{ReadRequest, WriteRequest, run};
use crate::platform::atomic::{AtomicUsize, Ordering};
use crate::platform::{const_fn, spin_hint};
use crate::wait::Kind;
use crate::wait::lot::is_time_to_look;
use std::panic::Location;
use std::ptr;

/// Somebody may be parked who wants to read, upgradably or not. Set and cleared, as the next two, only
/// under the bucket's lock.
pub(super) const READERS_ASLEEP: usize = 1;
/// A writer that has no claim yet is parked.
pub(super) const WRITERS_ASLEEP: usize = 1 << 1;
/// Whoever has the claim is parked until the readers inside have left.
pub(super) const CLAIMANT_ASLEEP: usize = 1 << 2;
/// Somebody who wants the claim has been called, is awake and is trying: nobody else need be called for
/// it. Set under the bucket's lock; cleared by a called one in the step by which it has its way, lines up
/// again, or resigns.
pub(super) const CALLED: usize = 1 << 3;
/// The front waiter must not be overtaken any more: no newcomer writes, or reads upgradably. Only
/// together with somebody asleep; set under the bucket's lock.
pub(super) const RESERVED: usize = 1 << 4;
/// Somebody is the next to write and waits for the readers inside to leave; new ones are kept out.
pub(super) const CLAIMED: usize = 1 << 5;
/// The one reader who may become a writer is inside. It is not among the counted ones.
pub(super) const UPGRADABLE: usize = 1 << 6;
/// A writer is inside.
pub(super) const WRITER: usize = 1 << 7;
/// Where the policy's two bits begin. They never change.
const POLICY: u32 = 8;
const PREFER_WRITERS: usize = (Policy::PreferWriters as usize) << POLICY;
/// One reader; the count follows.
pub(super) const READER: usize = 1 << 10;
/// Where the writer's id begins. A word of 32 bits ends before: its writers have no name.
const OWNER: u32 = 35;
/// All bits of the count.
pub(super) const READERS: usize = ((1_u64 << OWNER) - 1) as usize & !(READER - 1);
/// The count's highest bit is room for the readers that come in vain: with it set, none are let in.
const FULL: usize = READERS & !(READERS >> 1);

/// What keeps readers out.
pub(super) const SHUT: usize = WRITER | CLAIMED;
/// What at most one has: it writes, is the next to write, or may be the next to write.
pub(super) const TAKEN: usize = WRITER | CLAIMED | UPGRADABLE;
/// Somebody reads, or is on the way out after having come in vain.
pub(super) const SHARED: usize = READERS | UPGRADABLE;
/// Somebody waits for whoever has taken it to leave.
const ASLEEP: usize = READERS_ASLEEP | WRITERS_ASLEEP;

/// The word of a reader-writer lock: a lock that at most one has (TAKEN), and a count of readers.
///
/// ```text
///   owner << 35 | readers << 10 | policy << 8 | WRITER | UPGRADABLE | CLAIMED
///               | RESERVED | CALLED | CLAIMANT_ASLEEP | WRITERS_ASLEEP | READERS_ASLEEP
///
///   free:     nothing TAKEN, no readers
///   read:     readers > 0, or UPGRADABLE, or both
///   claimed:  CLAIMED, by a writer or (with UPGRADABLE) by the upgradable reader; readers are leaving
///   written:  WRITER and its owner; readers are then some that came in vain
///
///   write:    free -> written, or read -> claimed -> written      (PreferReaders: only free -> written)
///   upgrade:  UPGRADABLE -> UPGRADABLE | CLAIMED -> written
/// ```
///
/// * A reader adds itself before it knows whether it may: one `fetch_add`, which cannot fail and
///   takes the cache line once. When a bit of SHUT was set, it leaves again as any reader does. Until
///   then it is counted, and whoever finds the lock taken because of it is served by its leaving.
/// * WRITER is set by a compare-and-swap that finds no readers.
/// * Whoever gives up what it had TAKEN serves those who sleep: it wakes readers, and calls who wants to
///   take it next unless somebody has been CALLED already.
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

/// Will somebody who has been called see to those who want to take it? Not if one must not be overtaken.
fn is_looked_after(word: usize) -> bool {
    word & (CALLED | RESERVED) == CALLED
}

/// What keeps a newcomer out who wants to read.
pub(super) fn shut_to_readers(word: usize) -> usize {
    if word & PREFER_WRITERS != 0 {
        SHUT | WRITERS_ASLEEP | CALLED
    } else {
        SHUT
    }
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
        if seen & (SHUT | PREFER_WRITERS | FULL) != 0 {
            self.read_slow(seen, place);
        }
    }

    /// We are counted already, and the word was `seen` before.
    #[cold]
    fn read_slow(&self, seen: usize, place: &'static Location<'static>) {
        if seen & (shut_to_readers(seen) | FULL) != 0 {
            self.unlock_read();

            run(ReadRequest::new(self), place);
        }
    }

    /// Reads, unless a bit of what `shut` says for the word is set. Leaves no trace when it fails.
    #[inline]
    pub(super) fn try_read(&self, shut: impl Fn(usize) -> usize) -> bool {
        self.take(shut, one_more)
    }

    pub(super) fn try_upgradable(&self) -> bool {
        let shut = |word| TAKEN | RESERVED | shut_to_readers(word);
        self.take(shut, |word| word | UPGRADABLE)
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
        if self
            .word
            .compare_exchange(0, written_by(owner), Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            self.write_slow(owner, place);
        }
    }

    #[cold]
    fn write_slow(&self, owner: u32, place: &'static Location<'static>) {
        run(WriteRequest::new(self, owner), place);
    }

    /// As `try_write`, also with another policy than the default and when somebody is parked.
    #[cold]
    fn try_write_slow(&self, owner: u32) -> bool {
        let shut = |_| TAKEN | RESERVED | READERS;
        self.take(shut, |word| word | written_by(owner))
    }

    /// Makes the upgradable reader, which the caller is, the writer, if nobody else reads.
    pub(super) fn try_upgrade(&self, owner: u32) -> bool {
        let upgraded = |word| word & !UPGRADABLE | written_by(owner);
        self.take(|_| READERS, upgraded)
    }

    /// Stays for less than a microsecond until none of `bits` is set: long enough for most that is done
    /// under such a lock, and with shorter pauses than a wait begins with.
    pub(super) fn watch(&self, bits: usize) {
        for _ in 0..LOOKS {
            if self.load() & bits == 0 {
                return;
            }
            (0..PAUSES).for_each(|_| spin_hint());
        }
    }

    /// Makes `change` of the word unless a bit of what `shut` says for it is set. Acquires what those
    /// before have done.
    #[inline]
    pub(super) fn take(
        &self,
        shut: impl Fn(usize) -> usize,
        change: impl Fn(usize) -> usize,
    ) -> bool {
        self.change(Ordering::Acquire, |word| {
            (word & shut(word) == 0).then(|| change(word))
        })
    }

    /// Makes what `change` says of the word, if it says something.
    #[inline]
    pub(super) fn change(
        &self,
        success: Ordering,
        mut change: impl FnMut(usize) -> Option<usize>,
    ) -> bool {
        let mut seen = self.load();
        while let Some(wanted) = change(seen) {
            match self
                .word
                .compare_exchange_weak(seen, wanted, success, Ordering::Relaxed)
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
        if before & READERS == READER && before & (CLAIMANT_ASLEEP | WRITERS_ASLEEP) != 0 {
            self.last_reader_left(before);
        }
    }

    /// Only by `PreferReaders` does a writer without a claim wait for readers.
    #[cold]
    fn last_reader_left(&self, before: usize) {
        let claimant = before & CLAIMANT_ASLEEP != 0;
        if claimant || (before & TAKEN == 0 && !is_looked_after(before)) {
            self.serve_line();
        }
    }

    /// The upgradable reader leaves.
    #[inline]
    pub(super) fn unlock_upgradable(&self) {
        self.has_left(self.word.fetch_sub(UPGRADABLE, Ordering::Release));
    }

    /// The upgradable reader becomes a plain one.
    pub(super) fn upgradable_to_read(&self) {
        let change = READER.wrapping_sub(UPGRADABLE);
        self.has_left(self.word.fetch_add(change, Ordering::Release));
    }

    /// The writer, `owner`, leaves.
    #[inline]
    pub(super) fn unlock_write(&self, owner: u32) {
        self.step_down(owner, 0);
    }

    /// The writer, `owner`, becomes what `stays` says: a READER, the UPGRADABLE one, or nothing.
    ///
    /// One read-modify-write, so no other writer comes in between.
    #[inline]
    pub(super) fn step_down(&self, owner: u32, stays: usize) {
        let change = stays.wrapping_sub(written_by(owner));
        self.has_left(self.word.fetch_add(change, Ordering::Release));
    }

    /// What whoever has given up what it had taken owes those who wait, given the word before.
    #[inline]
    pub(super) fn has_left(&self, before: usize) {
        if before & ASLEEP != 0 {
            self.serve_after(before);
        }
    }

    /// While a called waiter is trying, and no reader sleeps, the line is only looked at now and then.
    #[cold]
    fn serve_after(&self, before: usize) {
        if before & READERS_ASLEEP != 0 || !is_looked_after(before) || is_time_to_look() {
            self.serve_line();
        }
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

/// So often and with so many pauses between does [`RawRwLock::watch`] look.
const LOOKS: u32 = if cfg!(loom) { 0 } else { 4 };
const PAUSES: u32 = 8;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn the_fields_of_the_word_do_not_overlap() {
        let asleep = READERS_ASLEEP | WRITERS_ASLEEP | CLAIMANT_ASLEEP;
        let flags = asleep | CALLED | RESERVED | CLAIMED | UPGRADABLE | WRITER | 3 << POLICY;
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
        assert!(refused(&|| assert!(lock.try_read(shut_to_readers))));
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
