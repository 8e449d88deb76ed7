//! The faces of acquiring: one or many permits; borrowed or owned; blocking, trying, limited, async.

/// The methods by which a [`Semaphore`](super::Semaphore) and a
/// [`BoundedSemaphore`](super::BoundedSemaphore) acquire alike, once for both.
macro_rules! acquire_faces {
    ($semaphore:ident, $permit:ty, $owned:ty) => {
        impl $semaphore {
            /// Takes one permit; blocks while there is none.
            ///
            /// # Errors
            ///
            /// [`AcquireError::Closed`], if the semaphore is closed before the permit is ours;
            /// [`OverCapacity`](AcquireError::OverCapacity), if there can be none.
            #[inline]
            #[track_caller]
            #[doc(alias = "wait")]
            pub fn acquire(&self) -> Result<$permit, AcquireError> {
                self.acquire_many(1)
            }

            /// Takes one permit if there is one; never blocks.
            ///
            /// # Errors
            ///
            /// `NoPermits`, also when the permits there are have been kept for somebody who waits;
            /// `Closed`; `OverCapacity`.
            #[inline]
            #[doc(alias = "try_wait")]
            pub fn try_acquire(&self) -> Result<$permit, TryAcquireError> {
                self.try_acquire_many(1)
            }

            /// Takes one permit; blocks at most as long as `limit` says.
            ///
            /// # Errors
            ///
            /// Why it gave up, and then no permit is lost; `Closed`; `OverCapacity`.
            #[inline]
            #[track_caller]
            #[doc(alias = "acquire_timeout")]
            pub fn acquire_within<'l>(
                &self,
                limit: impl Into<Limit<'l>>,
            ) -> Result<$permit, AcquireError> {
                self.acquire_many_within(1, limit)
            }

            /// Takes one permit without blocking a thread.
            ///
            /// Dropping the future gives up; a permit that was on its way goes to the next in line.
            #[track_caller]
            pub fn acquire_async(&self) -> impl Future<Output = Result<$permit, AcquireError>> {
                self.acquire_many_async(1)
            }

            /// Takes `n` permits, all or none; blocks while there are fewer. None of them wanted:
            /// returns at once.
            ///
            /// # Errors
            ///
            /// [`AcquireError::Closed`], if the semaphore is closed before all are ours;
            /// [`OverCapacity`](AcquireError::OverCapacity), if there can never be so many.
            #[inline]
            #[track_caller]
            pub fn acquire_many(&self, n: usize) -> Result<$permit, AcquireError> {
                request::acquire(self, n, Location::caller())?;
                Ok(Permit::new(self, n))
            }

            /// Takes `n` permits if there are as many; never blocks.
            ///
            /// # Errors
            ///
            /// `NoPermits`, also when the permits there are have been kept for somebody who waits;
            /// `Closed`; `OverCapacity`.
            #[inline]
            pub fn try_acquire_many(&self, n: usize) -> Result<$permit, TryAcquireError> {
                request::try_acquire(self, n)?;
                Ok(Permit::new(self, n))
            }

            /// Takes `n` permits, all or none; blocks at most as long as `limit` says.
            ///
            /// # Errors
            ///
            /// Why it gave up, and then what was kept for it is kept for the next; `Closed`;
            /// `OverCapacity`.
            #[inline]
            #[track_caller]
            pub fn acquire_many_within<'l>(
                &self,
                n: usize,
                limit: impl Into<Limit<'l>>,
            ) -> Result<$permit, AcquireError> {
                request::acquire_within(self, n, &limit.into(), Location::caller())?;
                Ok(Permit::new(self, n))
            }

            /// Takes `n` permits, all or none, without blocking a thread.
            ///
            /// Dropping the future gives up; permits that were on their way go to the next in line.
            #[track_caller]
            pub fn acquire_many_async(
                &self,
                n: usize,
            ) -> impl Future<Output = Result<$permit, AcquireError>> {
                let acquired = request::acquire_async(self, n);
                async move { acquired.await.map(|of| Permit::new(of, n)) }
            }

            /// As [`acquire`](Self::acquire), with a permit that keeps the semaphore alive.
            ///
            /// # Errors
            ///
            /// As `acquire`.
            #[inline]
            #[track_caller]
            pub fn acquire_owned(self: &Arc<Self>) -> Result<$owned, AcquireError> {
                self.acquire_many_owned(1)
            }

            /// As [`try_acquire`](Self::try_acquire), with a permit that keeps the semaphore alive.
            ///
            /// # Errors
            ///
            /// As `try_acquire`.
            #[inline]
            pub fn try_acquire_owned(self: &Arc<Self>) -> Result<$owned, TryAcquireError> {
                self.try_acquire_many_owned(1)
            }

            /// As [`acquire_within`](Self::acquire_within), with a permit that keeps the semaphore
            /// alive.
            ///
            /// # Errors
            ///
            /// As `acquire_within`.
            #[inline]
            #[track_caller]
            pub fn acquire_owned_within<'l>(
                self: &Arc<Self>,
                limit: impl Into<Limit<'l>>,
            ) -> Result<$owned, AcquireError> {
                self.acquire_many_owned_within(1, limit)
            }

            /// As [`acquire_async`](Self::acquire_async), with a permit that keeps the semaphore
            /// alive. The future borrows nothing.
            #[track_caller]
            pub fn acquire_owned_async(
                self: &Arc<Self>,
            ) -> impl Future<Output = Result<$owned, AcquireError>> + use<> {
                self.acquire_many_owned_async(1)
            }

            /// As [`acquire_many`](Self::acquire_many), with a permit that keeps the semaphore alive.
            ///
            /// # Errors
            ///
            /// As `acquire_many`.
            #[inline]
            #[track_caller]
            pub fn acquire_many_owned(self: &Arc<Self>, n: usize) -> Result<$owned, AcquireError> {
                request::acquire(&**self, n, Location::caller())?;
                Ok(OwnedPermit::new(Arc::clone(self), n))
            }

            /// As [`try_acquire_many`](Self::try_acquire_many), with a permit that keeps the
            /// semaphore alive.
            ///
            /// # Errors
            ///
            /// As `try_acquire_many`.
            #[inline]
            pub fn try_acquire_many_owned(
                self: &Arc<Self>,
                n: usize,
            ) -> Result<$owned, TryAcquireError> {
                request::try_acquire(&**self, n)?;
                Ok(OwnedPermit::new(Arc::clone(self), n))
            }

            /// As [`acquire_many_within`](Self::acquire_many_within), with a permit that keeps the
            /// semaphore alive.
            ///
            /// # Errors
            ///
            /// As `acquire_many_within`.
            #[inline]
            #[track_caller]
            pub fn acquire_many_owned_within<'l>(
                self: &Arc<Self>,
                n: usize,
                limit: impl Into<Limit<'l>>,
            ) -> Result<$owned, AcquireError> {
                request::acquire_within(&**self, n, &limit.into(), Location::caller())?;
                Ok(OwnedPermit::new(Arc::clone(self), n))
            }

            /// As [`acquire_many_async`](Self::acquire_many_async), with a permit that keeps the
            /// semaphore alive. The future borrows nothing.
            #[track_caller]
            pub fn acquire_many_owned_async(
                self: &Arc<Self>,
                n: usize,
            ) -> impl Future<Output = Result<$owned, AcquireError>> + use<> {
                let acquired = request::acquire_async(Arc::clone(self), n);
                async move { acquired.await.map(|of| OwnedPermit::new(of, n)) }
            }

            /// How many permits could be taken right now: none while they are kept for somebody who
            /// waits. For reports: the answer may be old on arrival.
            #[doc(alias = "value")]
            #[doc(alias = "available_permits")]
            pub fn available(&self) -> usize {
                self.raw.available()
            }

            /// Is who waits never overtaken?
            pub fn is_fair(&self) -> bool {
                self.raw.is_fair()
            }

            /// Gives out no more permits, for ever: waiting and later acquires fail with `Closed`.
            ///
            /// Permits that are out stay valid and may be given back. Returns whether this call
            /// closed it.
            pub fn close(&self) -> bool {
                self.raw.close()
            }

            /// Has it been closed? If so, what happened before that is visible.
            pub fn is_closed(&self) -> bool {
                self.raw.is_closed()
            }
        }
    };
}
pub(super) use acquire_faces;
