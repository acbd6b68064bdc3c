//! TLS for REST: which certificates are trusted, and the provider by name.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A root certificate that was given cannot be used.
    #[error("root certificate number {index} is not usable")]
    Root {
        /// Its place in the list, from zero.
        index: usize,
    },
    /// The TLS library refused its own provider: a build without a usable set of ciphers.
    #[error("the tls library cannot be set up")]
    Setup(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A TLS library set up once, shared by all connections.
#[derive(Clone)]
pub(super) struct Connector(TlsConnector);

impl Connector {
    /// The provider is named explicitly (aws-lc-rs), so other crates' choices cannot disturb it.
    pub(super) fn new(extra: &[Vec<u8>]) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Setup(error.into()))?
            .with_root_certificates(roots(extra)?)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    pub(super) async fn connect(&self, host: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = match host.parse::<IpAddr>() {
            Ok(ip) => ServerName::from(ip),
            Err(_) => ServerName::try_from(host.to_owned())
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?,
        };
        self.0.connect(name, stream).await
    }
}

fn roots(extra: &[Vec<u8>]) -> Result<rustls::RootCertStore, TlsError> {
    let mut store = rustls::RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::debug!(%error, "a root certificate of the machine cannot be read");
    }
    store.add_parsable_certificates(native.certs);
    if store.is_empty() {
        // Containers without a certificate package.
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    for (index, certificate) in extra.iter().enumerate() {
        store.add(certificate.clone().into()).map_err(|_| TlsError::Root { index })?;
    }
    Ok(store)
}
