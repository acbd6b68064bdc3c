//! Where a service listens: in the clear, or behind TLS with a certificate of an authority that lives as long
//! as the run.
//!
//! The system under test trusts it the way an operator would make it trust one: by the file that
//! `SSL_CERT_FILE` names.

use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

/// The address of a service, and whether it speaks TLS. Written as `ws://…` or `wss://…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Where it listens.
    pub address: SocketAddr,
    /// Behind TLS.
    pub is_tls: bool,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.is_tls { "wss" } else { "ws" }, self.address)
    }
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, address) = text.split_once("://").ok_or("no scheme")?;
        let address = address.parse().map_err(|_| format!("{address:?} is no address"))?;
        Ok(Self { address, is_tls: scheme == "wss" })
    }
}

/// Begins to serve, a task for each connection. How one ended is for the other side to tell.
///
/// # Errors
/// If no port can be had.
pub async fn listen<F>(
    tls: Option<&Authority>,
    serve: impl Fn(Stream) -> F + Send + Sync + 'static,
) -> io::Result<Origin>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let origin = Origin { address: listener.local_addr()?, is_tls: tls.is_some() };
    let acceptor = tls.map(|authority| authority.acceptor.clone());
    let serve = Arc::new(serve);
    // The harness goes on while it accepts.
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, serve) = (acceptor.clone(), serve.clone());
            // One task for each connection.
            tokio::spawn(async move {
                stream.set_nodelay(true)?;
                let stream = match acceptor {
                    Some(acceptor) => Stream::Tls(Box::new(acceptor.accept(stream).await?.into())),
                    None => Stream::Plain(stream),
                };
                serve(stream).await
            });
        }
    });
    Ok(origin)
}

/// Signs the service's certificate.
pub struct Authority {
    acceptor: TlsAcceptor,
    directory: TempDir,
}

impl Authority {
    /// A new one, whom nobody knows yet.
    ///
    /// # Errors
    /// If its file cannot be written.
    pub fn new() -> io::Result<Self> {
        let (pem, acceptor) = certify().map_err(io::Error::other)?;
        let authority = Self { acceptor, directory: tempfile::tempdir()? };
        fs::write(authority.file(), pem)?;
        Ok(authority)
    }

    /// The file in which its certificate stands.
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("authority.pem")
    }
}

/// The authority's certificate, and a service that shows one signed by it.
fn certify() -> Result<(String, TlsAcceptor), Box<dyn std::error::Error + Send + Sync>> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?
        .signed_by(&key, &authority)?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )?;
    Ok((authority.pem(), TlsAcceptor::from(Arc::new(config))))
}

/// Reaches services, as the bare relays do.
#[derive(Clone)]
pub struct Dialler {
    origin: Origin,
    connector: Option<TlsConnector>,
}

impl Dialler {
    /// Trusts the authority in that file, if the service speaks TLS.
    ///
    /// # Errors
    /// If there is none to be trusted.
    pub fn new(origin: Origin, authority: Option<&Path>) -> io::Result<Self> {
        if !origin.is_tls {
            return Ok(Self { origin, connector: None });
        }
        let file = authority.ok_or_else(|| io::Error::other("TLS, and nobody to be trusted"))?;
        let found = rustls_native_certs::load_certs_from_paths(Some(file), None);
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { origin, connector: Some(TlsConnector::from(Arc::new(config))) })
    }

    /// A connection.
    ///
    /// # Errors
    /// If the service is not there, or not trusted.
    pub async fn dial(&self) -> io::Result<Stream> {
        let stream = TcpStream::connect(self.origin.address).await?;
        stream.set_nodelay(true)?;
        let Some(connector) = &self.connector else { return Ok(Stream::Plain(stream)) };
        let name = ServerName::from(self.origin.address.ip());
        Ok(Stream::Tls(Box::new(connector.connect(name, stream).await?.into())))
    }

    /// Where it leads.
    pub fn origin(&self) -> Origin {
        self.origin
    }
}

/// A connection, of either kind.
#[derive(Debug)]
pub enum Stream {
    /// In the clear.
    Plain(TcpStream),
    /// Boxed, because its state is far larger.
    Tls(Box<TlsStream<TcpStream>>),
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self::Plain(stream)
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, out),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, out),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
