//! Shared elements as arrays of several dimensions, for the crate `ndarray`.
//!
//! Nothing is copied: a view is the shared memory, with a shape. A guard lends it as long as it is borrowed;
//! without a lock, the caller promises what the lock would.

use super::{ArrayGuard, SharedSlice};
use ::ndarray::{ArrayView, ArrayViewMut, Dimension, ShapeError, StrideShape};
use bytemuck::Pod;

/// With the feature `ndarray`.
impl<T: Pod> ArrayGuard<'_, T> {
    /// The locked elements in a shape: `guard.view((rows, columns))`.
    ///
    /// # Errors
    ///
    /// A `ShapeError` if the shape needs more elements than there are, or reaches one of them twice.
    ///
    /// ```
    /// use latchwork::ipc::Array;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let matrix = Array::<f64>::zeroed(6)?;
    /// let mut guard = matrix.lock().unwrap();
    /// guard.view_mut((2, 3))?.row_mut(1).fill(0.5);
    /// assert_eq!(guard.view((2, 3))?.sum(), 1.5);
    /// assert_eq!(guard[3..], [0.5; 3]);
    /// assert!(guard.view((2, 4)).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn view<D: Dimension>(
        &self,
        shape: impl Into<StrideShape<D>>,
    ) -> Result<ArrayView<'_, T, D>, ShapeError> {
        ArrayView::from_shape(shape, self)
    }

    /// The locked elements in a shape, to be changed there.
    ///
    /// # Errors
    ///
    /// As for [`view`](ArrayGuard::view).
    pub fn view_mut<D: Dimension>(
        &mut self,
        shape: impl Into<StrideShape<D>>,
    ) -> Result<ArrayViewMut<'_, T, D>, ShapeError> {
        ArrayViewMut::from_shape(shape, self)
    }
}

/// With the feature `ndarray`.
impl<'a, T: Pod> SharedSlice<'a, T> {
    /// The elements in a shape.
    ///
    /// # Errors
    ///
    /// A `ShapeError` if the shape needs more elements than there are, or reaches one of them twice.
    ///
    /// # Safety
    ///
    /// As for [`as_slice`](SharedSlice::as_slice): nobody writes them meanwhile.
    pub unsafe fn view<D: Dimension>(
        &self,
        shape: impl Into<StrideShape<D>>,
    ) -> Result<ArrayView<'a, T, D>, ShapeError> {
        // SAFETY: by the caller's promise.
        ArrayView::from_shape(shape, unsafe { self.as_slice() })
    }

    /// The elements in a shape, to be changed there.
    ///
    /// # Errors
    ///
    /// As for [`view`](SharedSlice::view).
    ///
    /// # Safety
    ///
    /// As for [`as_mut_slice`](SharedSlice::as_mut_slice): nobody else reads or writes them meanwhile.
    pub unsafe fn view_mut<D: Dimension>(
        &self,
        shape: impl Into<StrideShape<D>>,
    ) -> Result<ArrayViewMut<'a, T, D>, ShapeError> {
        // SAFETY: by the caller's promise.
        ArrayViewMut::from_shape(shape, unsafe { self.as_mut_slice() })
    }
}
