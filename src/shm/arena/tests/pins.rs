//! Objects that are used without their lock, and those that belong to no process.

use super::*;

#[test]
fn what_is_pinned_stays_when_it_is_freed() {
    let living = Living::default();
    let (me, user) = (name(0, 1), name(1, 1));
    for len in [100, 1 << 20] {
        let arena = arena();
        let request = plain(len).pinned();
        let object = put(&arena, me, &living, request, 9).unwrap();
        let (index, generation) = (object.index, object.generation);
        let pin = |who| arena.pin(index, generation, who, &living, &mut Never);
        pin(user).unwrap();
        pin(user).unwrap();
        assert_eq!(arena.ledger(index).unwrap().of(user), 2);
        let other = Request::new(1, 1);
        let unpinnable = put(&arena, me, &living, other, 1).unwrap();
        assert!(arena.ledger(unpinnable.index).is_none());
        assert!(matches!(
            arena.pin(
                unpinnable.index,
                unpinnable.generation,
                user,
                &living,
                &mut Never
            ),
            Err(NotPinned::Corrupt)
        ));
        arena.free(index, generation, me, &living);
        assert!(matches!(pin(user), Err(NotPinned::Gone)));
        // A forked child has the handle, another name, and no pin to remove.
        arena.unpin(index, name(2, 1), &living);
        arena.unpin(index, user, &living);
        let next = put(&arena, me, &living, request, 4).unwrap();
        assert_ne!(next.index, index);
        assert!(is_marked(&arena, index, request, 9));
        let before = arena.usage().unwrap().bytes_real;
        arena.unpin(index, user, &living);
        if len >= BIG {
            assert!(arena.usage().unwrap().bytes_real < before - len as u64);
        }
        let heir = put(&arena, me, &living, request, 3).unwrap();
        assert_eq!((heir.index, heir.generation), (index, generation + 1));
        assert_eq!(arena.ledger(index).unwrap().total(), 0);
        assert!(matches!(pin(user), Err(NotPinned::Gone)));
    }
}

#[test]
fn a_pin_ends_with_its_process_and_outlives_the_maker() {
    let (arena, mut living) = (arena(), Living::default());
    let (maker, user) = (name(0, 1), name(1, 1));
    let request = plain(1 << 20).pinned();
    let object = put(&arena, maker, &living, request, 9).unwrap();
    let pin =
        |who, living: &Living| arena.pin(object.index, object.generation, who, living, &mut Never);
    pin(user, &living).unwrap();
    living.dead.insert(maker.bits());
    let reap = |living: &Living| arena.reap(1, name(2, 1), living).unwrap() > 0;
    assert!(!reap(&living));
    assert!(is_marked(&arena, object.index, request, 9));
    // The heir of the user's place pins it, too: what its predecessor had does not keep it from it.
    living.dead.insert(user.bits());
    pin(name(1, 2), &living).unwrap();
    assert!(!reap(&living));
    living.dead.insert(name(1, 2).bits());
    assert!(reap(&living));
    assert!(arena.usage().unwrap().bytes_real < 1 << 20);
}

#[test]
fn a_block_that_somebody_stopped_with_cannot_be_pinned_now() {
    let (arena, living, me) = (arena(), Living::default(), name(0, 1));
    let request = plain(1).pinned();
    let object = put(&arena, me, &living, request, 9).unwrap();
    let word = &arena.block(object.index).unwrap().word;
    assert!(word.try_lock(name(1, 1), &living).unwrap().is_some());
    let pin = || arena.pin(object.index, object.generation, me, &living, &mut Never);
    assert!(matches!(pin(), Err(NotPinned::GaveUp(GaveUp::TimedOut))));
    assert_eq!(arena.ledger(object.index).unwrap().total(), 0);
    word.unlock(true);
    pin().unwrap();
    // Unpinning needs no lock.
    assert!(word.try_lock(name(1, 1), &living).unwrap().is_some());
    arena.unpin(object.index, me, &living);
    assert_eq!(arena.ledger(object.index).unwrap().total(), 0);
}

#[test]
fn what_is_for_ever_belongs_to_nobody_who_dies() {
    let (arena, mut living) = (small_arena(), Living::default());
    let me = name(0, 1);
    let request = plain(100).for_ever();
    let object = put(&arena, me, &living, request, 9).unwrap();
    assert_eq!(Owner::from_bits(FOR_EVER), None);
    living.dead.insert(me.bits());
    let heir = name(1, 1);
    while put(&arena, heir, &living, plain(100), 1).is_ok() {}
    assert!(is_marked(&arena, object.index, request, 9));
    arena.free(object.index, object.generation, me, &living);
    assert!(put(&arena, heir, &living, plain(100), 1).is_err());
    let word = &arena.block(object.index).unwrap().word;
    assert!(word.try_lock(heir, &living).unwrap().is_some());
    assert!(!arena.free_for_ever(object.index, object.generation + 1, &living));
    assert!(arena.free_for_ever(object.index, object.generation, &living));
    assert!(!arena.free_for_ever(object.index, object.generation, &living));
    word.unlock(true);
    let next = put(&arena, heir, &living, plain(100), 1).unwrap();
    assert_eq!(
        (next.index, next.generation),
        (object.index, object.generation + 1)
    );
}

struct Soon(u32);

impl Patience for Soon {
    fn slice(&mut self, longest: Duration) -> Result<Duration, GaveUp> {
        self.0 = self.0.checked_sub(1).ok_or(GaveUp::TimedOut)?;
        Ok(longest)
    }
}

/// The block may be another's by then, who keeps the lock for as long as it likes.
#[test]
fn who_waits_to_pin_what_is_freed_is_told() {
    let (arena, living, me) = (arena(), Living::default(), name(0, 1));
    let object = put(&arena, me, &living, plain(1).pinned(), 9).unwrap();
    let (index, generation) = (object.index, object.generation);
    let word = &arena.block(index).unwrap().word;
    assert!(word.grab(name(1, 1)));
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| arena.pin(index, generation, me, &living, &mut Soon(200)));
        while !word.state().has_waiters() {
            std::thread::yield_now();
        }
        arena.free(index, generation, me, &living);
        assert!(matches!(waits.join().unwrap(), Err(NotPinned::Gone)));
    });
    assert_eq!(word.state().owner(), Some(name(1, 1)));
}

#[test]
fn who_gets_the_lock_of_the_next_object_does_not_pin_it() {
    let (arena, living, me) = (arena(), Living::default(), name(0, 1));
    let object = put(&arena, me, &living, plain(1).pinned(), 9).unwrap();
    let (index, generation) = (object.index, object.generation);
    let block = arena.block(index).unwrap();
    assert!(block.word.grab(name(1, 1)));
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| arena.pin(index, generation, me, &living, &mut Soon(200)));
        while !block.word.state().has_waiters() {
            std::thread::yield_now();
        }
        arena.free(index, generation, me, &living);
        // As whoever takes it does.
        block.owner.store(name(2, 1).bits(), Ordering::SeqCst);
        block.word.unlock(true);
        assert!(matches!(waits.join().unwrap(), Err(NotPinned::Gone)));
    });
    assert_eq!(arena.ledger(index).unwrap().total(), 0);
}
