//! A load balancer: whatever comes is led to one server or the other, and to whichever lives.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// Of two servers, the first choice for requests and the one for media sockets.
#[derive(Debug)]
pub(crate) struct Balancer {
    /// Where everybody connects.
    pub(crate) address: SocketAddr,
    preferred: Arc<(AtomicUsize, AtomicUsize)>,
}

impl Balancer {
    /// Requests go to the first of `servers`, media sockets to the second.
    pub(crate) async fn start(servers: [SocketAddr; 2]) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let preferred = Arc::new((AtomicUsize::new(0), AtomicUsize::new(1)));
        let choice = preferred.clone();
        // It answers as long as the test runs; one task for each connection.
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let choice = choice.clone();
                tokio::spawn(async move { lead(client, servers, &choice).await });
            }
        });
        Ok(Self { address, preferred })
    }

    /// From here on everything goes to this server, as long as it takes connections.
    pub(crate) fn prefer(&self, server: usize) {
        self.preferred.0.store(server, Ordering::Relaxed);
        self.preferred.1.store(server, Ordering::Relaxed);
    }
}

async fn lead(mut client: TcpStream, servers: [SocketAddr; 2], choice: &(AtomicUsize, AtomicUsize)) {
    let mut head = [0; 256];
    let Ok(length) = client.peek(&mut head).await else { return };
    let is_media = String::from_utf8_lossy(&head[..length]).contains("/media/");
    let first = if is_media { &choice.1 } else { &choice.0 }.load(Ordering::Relaxed);
    for server in [servers[first], servers[1 - first]] {
        if let Ok(mut server) = TcpStream::connect(server).await {
            let _either_side_ended_it = copy_bidirectional(&mut client, &mut server).await;
            return;
        }
    }
}
