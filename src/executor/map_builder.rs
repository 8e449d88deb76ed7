//! [`MapBuilder`]: how a map is to be made; and [`BufferedMap`], which submits as it goes.

use super::callable::Callable;
use super::chunk::{ChunkCall, fitting, run_chunk};
use super::{Executor, Map, Portable, SubmitError, SubmitRefusal, TaskError};
use crate::Limit;
use crate::wait::OwnedLimit;
use std::fmt;
use std::num::NonZeroUsize;

/// Settings of a map, to be changed before the first task is submitted. From [`Executor::map_with`].
///
/// ```
/// use latchwork::executor::{Executor, ThreadPoolExecutor};
///
/// let pool = ThreadPoolExecutor::new(2);
/// let squares = pool.map_with(|n: u64| n * n);
/// let first: Vec<_> = squares.chunk(8).buffer(64).over(0..).take(4).map(Result::unwrap).collect();
/// assert_eq!(first, [0, 1, 4, 9]);
/// ```
#[must_use = "a builder does nothing until it is given items"]
pub struct MapBuilder<'e, E: ?Sized, A, R> {
    executor: &'e E,
    function: fn(A) -> R,
    chunk: Chunk,
    limit: OwnedLimit,
    ends_early: bool,
}

#[derive(Clone, Copy)]
enum Chunk {
    /// No chunks: an item is a task.
    None,
    Of(NonZeroUsize),
    /// As many as fit the number of items.
    Fitting,
}

impl Chunk {
    fn size(self, items: usize) -> usize {
        match self {
            Chunk::None => 1,
            Chunk::Of(size) => size.get(),
            Chunk::Fitting => fitting(items),
        }
    }
}

impl<'e, E: Executor + ?Sized, A: Portable, R: Portable> MapBuilder<'e, E, A, R> {
    pub(super) fn new(executor: &'e E, function: fn(A) -> R) -> MapBuilder<'e, E, A, R> {
        MapBuilder {
            executor,
            function,
            chunk: Chunk::None,
            limit: OwnedLimit::new(Limit::none()),
            ends_early: false,
        }
    }

    /// Puts one limit over the whole iteration, counted from this call. When it is reached, the next item
    /// is [`TaskError::GaveUp`], what has not started is cancelled, and the iteration ends.
    #[doc(alias = "timeout")]
    pub fn within<'l>(mut self, limit: impl Into<Limit<'l>>) -> Self {
        self.limit = OwnedLimit::new(limit.into());
        self
    }

    /// Ends the iteration with the first error; what has not started then is cancelled.
    pub fn fail_fast(mut self) -> Self {
        self.ends_early = true;
        self
    }

    /// Makes a task of each `size` items. Each item still has its own result: a panic costs the item alone. The death of
    /// a process costs the chunk.
    ///
    /// For short calls: to a process, a chunk is one message each way.
    ///
    /// # Panics
    ///
    /// If `size` is 0.
    #[doc(alias = "chunksize")]
    pub fn chunk(mut self, size: usize) -> Self {
        let size = NonZeroUsize::new(size).expect("a chunk has an item at least");
        self.chunk = Chunk::Of(size);
        self
    }

    /// As [`chunk`](MapBuilder::chunk), with a size by which there are four tasks for each that can run at once. In a
    /// [buffered](MapBuilder::buffer) map, that many for a bufferful.
    pub fn chunk_auto(mut self) -> Self {
        self.chunk = Chunk::Fitting;
        self
    }

    /// Submits at most so many items beyond those whose results have been given out, and at least a chunk of them. The rest
    /// is taken from the source during the iteration, in the thread that iterates: so the source may be endless,
    /// and too large for the memory.
    ///
    /// # Panics
    ///
    /// If `items` is 0.
    #[doc(alias = "buffersize")]
    pub fn buffer(self, items: usize) -> Buffered<'e, E, A, R> {
        let most = NonZeroUsize::new(items).expect("a buffer has room for an item at least");
        Buffered {
            builder: self,
            most: most.get(),
        }
    }

    /// Submits all items.
    ///
    /// # Errors
    ///
    /// [`SubmitError`] with the first item that was not accepted; those before it are cancelled.
    pub fn over(self, items: impl IntoIterator<Item = A>) -> Result<Map<R>, SubmitError<A>> {
        let mut map = Map::new(self.limit.clone(), self.ends_early);
        let mut items = items.into_iter();
        let size = match self.chunk {
            Chunk::Fitting => {
                let all: Vec<_> = items.collect();
                let size = fitting(all.len());
                let mut items = all.into_iter();
                while self.submit(&mut map, &mut items, size).map_err(whole)? > 0 {}
                return Ok(map);
            }
            chunk => chunk.size(0),
        };
        while self.submit(&mut map, &mut items, size).map_err(whole)? > 0 {}
        Ok(map)
    }

    /// Submits the next item, or chunk; says how many items these were, also if they are not accepted.
    fn submit(
        &self,
        map: &mut Map<R>,
        items: &mut impl Iterator<Item = A>,
        size: usize,
    ) -> Result<usize, (SubmitError<A>, usize)> {
        if let Chunk::None = self.chunk {
            let Some(item) = items.next() else {
                return Ok(0);
            };
            let submitted = self.executor.submit(self.function, item);
            map.push(submitted.map_err(|refused| (refused, 1))?);
            return Ok(1);
        }
        let chunk: Vec<A> = items.take(size).collect();
        let len = chunk.len();
        if len == 0 {
            return Ok(0);
        }
        let call: ChunkCall<A, R> = (Callable(self.function), chunk);
        let submitted = self.executor.submit(run_chunk::<A, R>, call);
        let future = submitted.map_err(|refused| {
            let first = refused.value.1.into_iter().next();
            let first = first.expect("it is not empty");
            (SubmitError::new(first, refused.reason), len)
        })?;
        map.push_chunk(future, len);
        Ok(len)
    }
}

/// What a map as a whole says of items that are not accepted.
fn whole<A>((refused, _items): (SubmitError<A>, usize)) -> SubmitError<A> {
    refused
}

impl<E: ?Sized, A, R> fmt::Debug for MapBuilder<'_, E, A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapBuilder")
            .field("limit", &self.limit)
            .field("ends_early", &self.ends_early)
            .finish_non_exhaustive()
    }
}

/// Settings of a map that submits as it goes. From [`MapBuilder::buffer`].
#[must_use = "a builder does nothing until it is given items"]
pub struct Buffered<'e, E: ?Sized, A, R> {
    builder: MapBuilder<'e, E, A, R>,
    most: usize,
}

impl<'e, E: Executor + ?Sized, A: Portable, R: Portable> Buffered<'e, E, A, R> {
    /// Submits a bufferful of items.
    ///
    /// Of an item that is not accepted because it cannot be encoded, the error is that item's, or that of all items of its
    /// chunk, and the iteration goes on. If none are accepted any
    /// more, the iteration ends with that error as an item, after the results of those that were, and
    /// [`BufferedMap::refused`] has the item.
    pub fn over<I: IntoIterator<Item = A>>(
        self,
        items: I,
    ) -> BufferedMap<'e, E, A, R, I::IntoIter> {
        let builder = self.builder;
        let mut map = BufferedMap {
            map: Map::new(builder.limit.clone(), builder.ends_early),
            // More than the buffer would never be in it.
            size: builder.chunk.size(self.most).min(self.most),
            builder,
            most: self.most,
            source: Some(items.into_iter()),
            refused: None,
        };
        map.refill();
        map
    }
}

impl<E: ?Sized, A, R> fmt::Debug for Buffered<'_, E, A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffered")
            .field("most", &self.most)
            .finish_non_exhaustive()
    }
}

/// Results in the order of the items, of which at most a bufferful has been submitted ahead. From [`Buffered::over`].
///
/// Dropping it cancels the tasks that have not started.
#[must_use = "dropping it cancels the tasks that have not started"]
pub struct BufferedMap<'e, E: ?Sized, A, R, I> {
    builder: MapBuilder<'e, E, A, R>,
    map: Map<R>,
    size: usize,
    most: usize,
    /// Nothing once it is exhausted, or nothing is accepted any more.
    source: Option<I>,
    /// The item that was not accepted; it is told of when what was accepted has been given out.
    refused: Option<(SubmitError<A>, bool)>,
}

impl<E, A, R, I> BufferedMap<'_, E, A, R, I>
where
    E: Executor + ?Sized,
    A: Portable,
    R: Portable,
    I: Iterator<Item = A>,
{
    fn refill(&mut self) {
        while let Some(source) = &mut self.source
            && self.refused.is_none()
            && self.map.left() + self.size <= self.most
        {
            match self.builder.submit(&mut self.map, source, self.size) {
                Ok(0) => self.source = None,
                Ok(_) => {}
                Err((refused, items)) => match refused.reason {
                    SubmitRefusal::Encode(why) => {
                        self.map.push_refused(TaskError::Encode(why), items);
                    }
                    _ => self.refused = Some((refused, false)),
                },
            }
        }
    }

    /// The item because of which nothing more was submitted, and why.
    pub fn refused(&self) -> Option<&SubmitError<A>> {
        self.refused.as_ref().map(|(refused, _)| refused)
    }

    /// The error of the item that was refused, once.
    fn tell_refusal(&mut self) -> Option<TaskError> {
        let (refused, is_told) = self.refused.as_mut()?;
        if std::mem::replace(is_told, true) {
            return None;
        }
        let error = match &refused.reason {
            SubmitRefusal::Broken(why) => TaskError::Broken(why.clone()),
            other => TaskError::Broken(other.to_string().into()),
        };
        self.source = None;
        Some(error)
    }

    fn end(&mut self) {
        self.source = None;
        self.map.cancel_rest();
    }
}

impl<E, A, R, I> Iterator for BufferedMap<'_, E, A, R, I>
where
    E: Executor + ?Sized,
    A: Portable,
    R: Portable,
    I: Iterator<Item = A>,
{
    type Item = Result<R, TaskError>;

    #[track_caller]
    fn next(&mut self) -> Option<Result<R, TaskError>> {
        let result = match self.map.next() {
            Some(result) => result,
            None => Err(self.tell_refusal()?),
        };
        let is_over = match &result {
            Err(TaskError::GaveUp(_)) => true,
            Err(_) => self.builder.ends_early,
            Ok(_) => false,
        };
        match is_over {
            true => self.end(),
            false => self.refill(),
        }
        Some(result)
    }
}

impl<E: ?Sized, A, R, I> fmt::Debug for BufferedMap<'_, E, A, R, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferedMap")
            .field("most", &self.most)
            .field("submitted", &self.map.left())
            .field("is_refused", &self.refused.is_some())
            .finish_non_exhaustive()
    }
}
