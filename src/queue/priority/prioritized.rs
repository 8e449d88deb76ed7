//! [`Prioritized`]: an item with a priority beside it.

use super::{Heap, Ticket};

/// An item and its priority, which alone decides the order: the item itself need not be comparable.
///
/// The lowest priority leaves first; [`std::cmp::Reverse`] around it turns that round. Two of these are
/// equal when their priorities are.
///
/// # Source
///
/// The `PrioritizedItem` of Python's
/// [`queue.PriorityQueue`](https://docs.python.org/3/library/queue.html#queue.PriorityQueue), without which
/// tuples of equal priority compare their payload there.
///
/// ```
/// use latchwork::queue::{Prioritized, PriorityQueue};
///
/// let words = PriorityQueue::unbounded();
/// words.put_many(["banana", "fig", "kiwi"].map(|word| Prioritized::by_key(word, |word| word.len())))?;
/// assert_eq!(words.get().unwrap().item, "fig");
/// # Ok::<(), latchwork::queue::PutError<Vec<Prioritized<usize, &str>>>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Prioritized<P, T> {
    /// The lowest first.
    pub priority: P,
    /// What it is all about.
    pub item: T,
}

impl<P, T> Prioritized<P, T> {
    /// `item` with this priority.
    pub fn new(priority: P, item: T) -> Prioritized<P, T> {
        Prioritized { priority, item }
    }

    /// `item` with the priority that `key` finds in it, once and for all.
    pub fn by_key(item: T, key: impl FnOnce(&T) -> P) -> Prioritized<P, T> {
        Prioritized::new(key(&item), item)
    }
}

/// What is compared by one of its fields alone.
pub(in crate::queue) trait Keyed: Ord {
    type Key: Ord;
    fn key(&self) -> &Self::Key;
    fn key_mut(&mut self) -> &mut Self::Key;
}

/// Makes a type [`Keyed`] by a field: `Type<..>, field: its type, where its type: Bound`.
macro_rules! keyed {
    ($type:ty, $field:ident: $key:ty $(, $parameter:ident: $bound:ident)?) => {
        impl<$($parameter: $bound,)? T> crate::queue::priority::Keyed for $type {
            type Key = $key;

            #[inline]
            fn key(&self) -> &$key {
                &self.$field
            }

            fn key_mut(&mut self) -> &mut $key {
                &mut self.$field
            }
        }

        impl<$($parameter: $bound,)? T> Ord for $type {
            #[inline]
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.$field.cmp(&other.$field)
            }
        }

        impl<$($parameter: $bound,)? T> PartialOrd for $type {
            #[inline]
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl<$($parameter: $bound,)? T> PartialEq for $type {
            fn eq(&self, other: &Self) -> bool {
                self.cmp(other).is_eq()
            }
        }

        impl<$($parameter: $bound,)? T> Eq for $type {}
    };
}
#[cfg(not(loom))]
pub(in crate::queue) use keyed;

keyed!(Prioritized<P, T>, priority: P, P: Ord);

impl<P: Ord, T> Heap<Prioritized<P, T>> {
    /// Gives the item of this ticket another priority and returns the old one. The item keeps its
    /// age: among equals it leaves as if it had come with this priority.
    ///
    /// # Errors
    ///
    /// The new priority, if the item is not here any more.
    pub fn change_priority(&mut self, ticket: &Ticket, priority: P) -> Result<P, P> {
        self.change_key(ticket, priority)
    }
}
