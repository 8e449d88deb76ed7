//! What a [`Select`](crate::select::Select) needs of a queue: its requests, to be waited for beside others.

use super::operations::{Get, Put};
use super::placing::InTurn;
use super::request::QueueRequest;
use super::{BlockingQueue, Discipline, GetError, PutError};
use crate::wait::Request;

/// A request that has an item to give.
pub trait Giving<T> {
    /// The item, if it has not been given.
    fn take_item(&mut self) -> Option<T>;
}

impl<D: Discipline> Giving<D::Item> for QueueRequest<'_, D, Put<D, InTurn>> {
    fn take_item(&mut self) -> Option<D::Item> {
        self.operation.take_item()
    }
}

impl<D: Discipline> BlockingQueue<D> {
    pub(crate) fn get_request(
        &self,
    ) -> impl Request<Output = Result<D::Item, GetError>> + use<'_, D> {
        QueueRequest::new(self.shared(), Get)
    }

    /// Not for a rendezvous: an item that is held out there can be taken before a select has decided.
    pub(crate) fn put_request(
        &self,
        item: D::Item,
    ) -> impl Giving<D::Item> + Request<Output = Result<(), PutError<D::Item>>> + use<'_, D> {
        QueueRequest::new(self.shared(), Put::new(item, InTurn))
    }
}
