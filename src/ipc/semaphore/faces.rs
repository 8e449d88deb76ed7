//! What a [`Semaphore`](super::Semaphore) and a [`BoundedSemaphore`](super::BoundedSemaphore) do
//! alike, once for both.

macro_rules! faces {
    ($semaphore:ident) => {
        /// Taking and counting.
        impl $semaphore {
            /// Takes one permit, waiting as long as there is none.
            ///
            /// # Errors
            ///
            /// [`OverCapacity`](AcquireError::OverCapacity) if there can be none; otherwise the
            /// [error](AcquireError) says why the semaphore is of no use any more.
            #[inline]
            #[doc(alias = "wait")]
            pub fn acquire(&self) -> Result<Permit<'_>, AcquireError> {
                self.acquire_many(1)
            }

            /// Takes one permit if there is one, and returns `None` otherwise. Never waits.
            ///
            /// Before it says no, it takes back what the dead held.
            ///
            /// # Errors
            ///
            #[doc = concat!("As for [`acquire`](", stringify!($semaphore), "::acquire).")]
            #[inline]
            #[doc(alias = "try_wait")]
            pub fn try_acquire(&self) -> Result<Option<Permit<'_>>, AcquireError> {
                self.try_acquire_many(1)
            }

            /// Takes one permit, waiting as long as `limit` says. A cancellation is noticed within
            /// 50 ms.
            ///
            /// # Errors
            ///
            /// [`Access`](AcquireError::Access) with
            /// [`GaveUp`](crate::ipc::AccessError::GaveUp) when the limit is reached, else
            #[doc = concat!("as for [`acquire`](", stringify!($semaphore), "::acquire).")]
            #[inline]
            #[doc(alias = "acquire_timeout")]
            pub fn acquire_within<'l>(
                &self,
                limit: impl Into<Limit<'l>>,
            ) -> Result<Permit<'_>, AcquireError> {
                self.acquire_many_within(1, limit)
            }

            /// Takes one permit without blocking a thread, on any runtime.
            ///
            /// The waiting is done by one thread of the process for all its futures. Dropping the future
            /// gives up, and loses no permit.
            ///
            /// # Errors
            ///
            #[doc = concat!("As for [`acquire`](", stringify!($semaphore), "::acquire).")]
            pub async fn acquire_async(&self) -> Result<Permit<'_>, AcquireError> {
                self.acquire_many_async(1).await
            }

            /// Takes `n` permits, all or none, waiting as long as there are fewer. With none wanted
            /// it does not wait.
            ///
            /// # Errors
            ///
            /// [`OverCapacity`](AcquireError::OverCapacity) if there can never be so many, else
            #[doc = concat!("as for [`acquire`](", stringify!($semaphore), "::acquire).")]
            #[inline]
            pub fn acquire_many(&self, n: u32) -> Result<Permit<'_>, AcquireError> {
                self.0.acquire(n, Limit::none())
            }

            /// Takes `n` permits if there are as many, and returns `None` otherwise. Never waits.
            ///
            /// Before it says no, it takes back what the dead held.
            ///
            /// # Errors
            ///
            #[doc = concat!("As for [`acquire_many`](", stringify!($semaphore), "::acquire_many).")]
            #[inline]
            pub fn try_acquire_many(&self, n: u32) -> Result<Option<Permit<'_>>, AcquireError> {
                self.0.try_acquire(n)
            }

            /// Takes `n` permits, all or none, waiting as long as `limit` says. A cancellation is
            /// noticed within 50 ms.
            ///
            /// # Errors
            ///
            /// [`Access`](AcquireError::Access) with
            /// [`GaveUp`](crate::ipc::AccessError::GaveUp) when the limit is reached, else
            #[doc = concat!("as for [`acquire_many`](", stringify!($semaphore), "::acquire_many).")]
            #[inline]
            pub fn acquire_many_within<'l>(
                &self,
                n: u32,
                limit: impl Into<Limit<'l>>,
            ) -> Result<Permit<'_>, AcquireError> {
                self.0.acquire(n, limit.into())
            }

            /// Takes `n` permits, all or none, without blocking a thread, on any runtime; as
            #[doc = concat!("[`acquire_async`](", stringify!($semaphore), "::acquire_async).")]
            ///
            /// # Errors
            ///
            #[doc = concat!("As for [`acquire_many`](", stringify!($semaphore), "::acquire_many).")]
            pub async fn acquire_many_async(&self, n: u32) -> Result<Permit<'_>, AcquireError> {
                self.0.acquire_async(n).await
            }

            /// How many permits could be taken right now, those included that the dead held. The
            /// answer may be outdated when it arrives.
            ///
            /// # Errors
            ///
            /// The [error](crate::ipc::AccessError) says why the semaphore is of no use any more.
            #[doc(alias = "get_value")]
            #[doc(alias = "available_permits")]
            pub fn available(&self) -> Result<u32, AccessError> {
                self.0.available()
            }
        }

        /// The permits that are available, and those that exist; what the dead hold is not looked for.
        impl fmt::Debug for $semaphore {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(stringify!($semaphore), f)
            }
        }

        impl Serialize for $semaphore {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.0.serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $semaphore {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                RawSemaphore::deserialize(deserializer).map($semaphore)
            }
        }
    };
}
pub(super) use faces;
