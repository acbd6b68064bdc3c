//! A TCP stream that does not wait for ever for a peer that neither reads nor writes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// No request under way, or one that does not come to its end. Proxies keep idle connections for about a
/// minute, and must not find one closed that they are about to use.
pub(super) const IDLE_MAX: Duration = Duration::from_secs(75);

/// An answer that the peer does not take. Answers fit into socket buffers, so a peer that reads at all
/// never notices.
const UNREAD_MAX: Duration = Duration::from_secs(10);

/// The stream of an HTTP connection. Media sockets take the TCP stream out and have limits of their own.
#[derive(Debug)]
pub(crate) struct Patient {
    stream: TcpStream,
    /// Ends a silence. Moved when something happens, not when it is asked.
    idle: Pin<Box<Sleep>>,
    /// Since when the peer takes nothing, and when that is enough.
    unread: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, idle: Box::pin(sleep(IDLE_MAX)), unread: None }
    }

    pub(crate) fn into_inner(self) -> TcpStream {
        self.stream
    }

    fn something_happened(&mut self) {
        self.idle.as_mut().reset(Instant::now() + IDLE_MAX);
    }

    fn written<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.unread = None;
            self.something_happened();
            return outcome;
        }
        let unread = self.unread.get_or_insert_with(|| Box::pin(sleep(UNREAD_MAX)));
        ready!(unread.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Poll::Ready(outcome) = Pin::new(&mut this.stream).poll_read(cx, buf) {
            this.something_happened();
            return Poll::Ready(outcome);
        }
        ready!(this.idle.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Patient {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.written(cx, outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.written(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (Patient, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        (Patient::new(stream), peer)
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_let_go() {
        let (mut patient, mut peer) = pair().await;
        peer.write_all(b"a").await.unwrap();
        assert_eq!(patient.read_u8().await.unwrap(), b'a');
        let error = patient.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_nothing_is_let_go() {
        let (mut patient, _peer) = pair().await;
        // Beyond what socket buffers take.
        let error = patient.write_all(&vec![0; 64 << 20]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
