//! A request to a carrier together with the one way to read its answer.

use bytes::Bytes;
use http::{Request, Response};

use crate::carrier_error::CarrierError;

/// What an answer means.
type Read<T> = dyn Fn(&Response<Bytes>) -> Result<T, CarrierError> + Send + Sync;

/// One request as data. Send [`Self::request`] however you like, then give the answer to
/// [`Self::read`]: the wrong reader cannot be picked, because there is only this one.
///
/// With the feature `rest`, `Rest::ask` does both.
pub struct Ask<T> {
    request: Request<Bytes>,
    read: Box<Read<T>>,
}

impl<T: 'static> Ask<T> {
    /// A request and what reads its answer.
    pub fn new(
        request: Request<Bytes>,
        read: impl Fn(&Response<Bytes>) -> Result<T, CarrierError> + Send + Sync + 'static,
    ) -> Self {
        Self { request, read: Box::new(read) }
    }

    /// The same request, of whose answer something else is wanted.
    #[must_use]
    pub fn map<U: 'static>(self, further: impl Fn(T) -> U + Send + Sync + 'static) -> Ask<U> {
        let read = self.read;
        Ask::new(self.request, move |answer| read(answer).map(&further))
    }
}

impl<T> Ask<T> {
    /// What is to be sent. It holds a key and telephone numbers: for the socket, not for a log.
    pub const fn request(&self) -> &Request<Bytes> {
        &self.request
    }

    /// What the answer means.
    ///
    /// # Errors
    /// The carrier refused, or answered something that cannot be read.
    pub fn read(&self, answer: &Response<Bytes>) -> Result<T, CarrierError> {
        (self.read)(answer)
    }
}

/// Prints the method only: paths, headers and bodies carry keys and numbers.
impl<T> std::fmt::Debug for Ask<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ask({}, {} bytes)", self.request.method(), self.request.body().len())
    }
}
