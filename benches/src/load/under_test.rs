//! The system under test, as a process of its own on a core of its own.

use std::io;
use std::net::SocketAddr;
use std::process::{Child, ExitCode, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};

use super::echo::Service;
use super::relay;
use super::stream::Target;
use super::system;
use super::tls::{Authority, Dialler, Origin};

/// In this variable the harness tells a copy of itself what to be.
const ROLE: &str = "VOICE_LOAD_ROLE";

/// Where trust is found, by the server as by the relays.
const TRUSTED: &str = "SSL_CERT_FILE";

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub enum System {
    /// The server, with all that it does.
    Voice,
    /// The same without metrics and log.
    Blind,
    /// A relay, which decides nothing.
    Relay(relay::Kind),
}

impl System {
    /// As it stands in reports, with this service on the other side of it.
    pub fn name(self, service: Service, is_tls: bool) -> String {
        let name = match self {
            Self::Voice => format!("voice ({})", service.name()),
            Self::Blind => format!("voice ({}), blind", service.name()),
            Self::Relay(kind) => format!("relay, {}", kind.name()),
        };
        if is_tls { format!("{name}, tls") } else { name }
    }

    /// Whether it can be had with this service: relays know one.
    pub fn knows(self, service: Service) -> bool {
        !matches!(self, Self::Relay(_)) || service == Service::OpenAi
    }
}

/// What it finds when it starts.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// Which service talks.
    pub service: Service,
    /// Where.
    pub origin: Origin,
    /// Who is to be trusted, where that speaks TLS.
    pub authority: Option<&'a Authority>,
    /// Whether the voice speaks first.
    pub greets: bool,
}

/// One that runs. Its process ends with its owner.
#[derive(Debug)]
pub struct UnderTest {
    child: Child,
    address: SocketAddr,
    system: System,
    is_pinned: bool,
    _directory: TempDir,
}

impl Drop for UnderTest {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _unknown = self.child.wait();
    }
}

impl UnderTest {
    /// Starts it, and waits until it listens.
    ///
    /// # Errors
    /// If it does not.
    pub async fn start(system: System, around: Surroundings<'_>) -> io::Result<Self> {
        let address = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let directory = tempfile::tempdir()?;
        let mut command = system::on_core(0, std::env::current_exe()?);
        command
            .env_clear()
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(authority) = around.authority {
            command.env(TRUSTED, authority.file());
        }
        match system {
            System::Relay(kind) => {
                command.env(ROLE, format!("{} {address} {}", kind.name(), around.origin));
            }
            System::Blind => {
                command.env("ENABLE_METRICS", "off").env("LOG_LEVEL", "off");
            }
            System::Voice => {}
        }
        if !matches!(system, System::Relay(_)) {
            command
                .arg("serve")
                .env(ROLE, "server")
                .env("PORT", address.port().to_string())
                .env("TWILIO_AUTH_TOKEN", TOKEN)
                .env("MAX_CALLS", "10000")
                .envs(around.service.settings(around.origin));
            if !around.greets {
                command.env("AGENT_GREETING", "off");
            }
        }
        // A process of its own, so that what it uses is its own.
        let child = command.spawn()?;
        let mut started = Self { child, address, system, is_pinned: false, _directory: directory };
        started.is_pinned = system::pin(std::process::id(), 1) && system::is_pinned(started.child.id());
        started.reachable().await?;
        Ok(started)
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it has a core of its own.
    pub fn is_pinned(&self) -> bool {
        self.is_pinned
    }

    /// How it is called.
    pub fn target(&self) -> Target {
        match self.system {
            System::Voice | System::Blind => Target::Voice { address: self.address, token: TOKEN.to_owned() },
            System::Relay(_) => Target::Relay(self.address),
        }
    }

    async fn reachable(&mut self) -> io::Result<()> {
        for _ in 0..500 {
            if TcpStream::connect(self.address).await.is_ok() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("the system under test ended with {status}")));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(io::Error::other("the system under test does not listen"))
    }
}

/// If this process is the copy that is measured, it is that until its end.
pub fn be_it() -> Option<ExitCode> {
    let role = std::env::var(ROLE).ok()?;
    if role == "server" {
        return Some(voice_bin::cli::main());
    }
    let served = be_relay(&role).inspect_err(|error| tracing::error!(%error, "no relay"));
    Some(if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn be_relay(role: &str) -> io::Result<()> {
    let wrong = || io::Error::other("no such role");
    let mut parts = role.split(' ');
    let mut part = || parts.next().ok_or_else(wrong);
    let kind: relay::Kind = part()?.parse().map_err(io::Error::other)?;
    let address: SocketAddr = part()?.parse().map_err(io::Error::other)?;
    let origin: Origin = part()?.parse().map_err(io::Error::other)?;
    let authority = std::env::var_os(TRUSTED);
    let dialler = Dialler::new(origin, authority.as_deref().map(AsRef::as_ref))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async { relay::serve(kind, TcpListener::bind(address).await?, dialler).await })
}
