//! Everything that a scenario needs: two services, a server, callers, and its API.

use std::io;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;
use voice_core::driver::Clock;
use voice_core::time::MonoTime;

use super::api::{Api, Session, Switched};
use super::caller::{self, Conductor, Notes, Signal};
use super::echo::{Echo, Fate};
use crate::load::echo::Service;
use crate::load::stream::Target;
use crate::load::system;

/// In this variable the harness tells a copy of itself to be the server.
pub const ROLE: &str = "VOICE_SWITCHING_ROLE";

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Nothing that is waited for takes longer.
const LONGEST: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub struct Stage {
    /// The server's API.
    pub api: Api,
    /// The time of all notes.
    pub clock: Clock,
    echoes: [Echo; 2],
    conductor: Arc<Conductor>,
    callers: JoinSet<io::Result<Notes>>,
    calls: usize,
    server: Server,
    _directory: TempDir,
}

/// Its process ends with its owner.
#[derive(Debug)]
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        let _unknown = self.0.wait();
    }
}

/// How a stage is set.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Calls at the same time.
    pub calls: usize,
    /// Between the server and its services.
    pub round_trip: Duration,
    /// `off`, `ready` or `fed`.
    pub standby: &'static str,
}

impl Stage {
    /// Starts all, and waits until every caller is talked with.
    ///
    /// # Errors
    /// If something cannot be started.
    pub async fn set(setting: Setting) -> io::Result<Self> {
        let Setting { calls, round_trip, standby } = setting;
        let echoes = [
            Echo::start(Service::OpenAi, round_trip).await?,
            Echo::start(Service::Gemini, round_trip).await?,
        ];
        let directory = tempfile::tempdir()?;
        let address = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let server = serve(address, &echoes, standby, &directory)?;
        let _unpinned = system::pin(server.0.id(), 0) && system::pin(std::process::id(), 1);
        let mut stage = Self {
            api: Api(address),
            clock: Clock::start(),
            echoes,
            conductor: Arc::default(),
            callers: JoinSet::new(),
            calls,
            server,
            _directory: directory,
        };
        stage.wait("a listening server", async |_| TcpStream::connect(address).await.is_ok()).await?;
        for number in 0..calls as u64 {
            let target = Target::Voice { address, token: TOKEN.to_owned() };
            let (conductor, clock) = (stage.conductor.clone(), stage.clock);
            // One task for each caller.
            stage.callers.spawn(async move { caller::call(target, number, conductor, clock).await });
            sleep(Duration::from_millis(40)).await;
        }
        stage.all("calls with a voice", |session| session.status == "active").await?;
        Ok(stage)
    }

    /// What all callers do from now on.
    pub fn order(&self, signal: Signal) {
        self.conductor.order(signal);
    }

    /// The sockets of all who hear a caller die, whichever service they belong to. When that was.
    pub fn kill(&self, fate: Fate) -> MonoTime {
        let now = self.clock.now();
        self.echoes.iter().for_each(|echo| echo.kill(fate));
        now
    }

    /// Whether both services close new connections at once. When that was.
    pub fn refuse(&self, refuses: bool) -> MonoTime {
        self.echoes.iter().for_each(|echo| echo.refuse(refuses));
        self.clock.now()
    }

    /// Breakers forget; what is measured is a failure out of the blue.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn reset(&self) -> io::Result<()> {
        for echo in &self.echoes {
            self.api.reset(echo.service.name()).await?;
        }
        Ok(())
    }

    /// Waits until this is so of every call.
    ///
    /// # Errors
    /// If it does not come to be, or a call is gone.
    pub async fn all(&mut self, what: &str, is_so: impl Fn(&Session) -> bool) -> io::Result<()> {
        let calls = self.calls;
        self.wait(what, async |api: Api| {
            let sessions = api.sessions().await.unwrap_or_default();
            sessions.len() == calls && sessions.iter().all(&is_so)
        })
        .await
    }

    /// The last switch of every call, and how many calls there are.
    ///
    /// # Errors
    /// If the server does not answer as it should.
    pub async fn last_switches(&self) -> io::Result<Vec<Switched>> {
        let mut last = Vec::new();
        for session in self.api.sessions().await? {
            last.extend(self.api.history(&session.session_id).await?.pop());
        }
        Ok(last)
    }

    /// All hang up. What they noted, and how many calls broke before.
    pub async fn end(self) -> (Vec<Notes>, usize) {
        self.order(Signal::HangUp);
        let (mut notes, mut broken) = (Vec::new(), 0);
        for call in self.callers.join_all().await {
            match call {
                Ok(call) => notes.push(call),
                Err(_) => broken += 1,
            }
        }
        (notes, broken)
    }

    async fn wait(&mut self, what: &str, mut is_so: impl AsyncFnMut(Api) -> bool) -> io::Result<()> {
        let begun = self.clock.now();
        while !is_so(self.api).await {
            if let Some(status) = self.server.0.try_wait()? {
                return Err(io::Error::other(format!("the server ended with {status}")));
            }
            if self.clock.now().since(begun) > LONGEST {
                return Err(io::Error::other(format!("waited in vain for {what}")));
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

fn serve(address: SocketAddr, echoes: &[Echo], standby: &str, directory: &TempDir) -> io::Result<Server> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("serve")
        .env_clear()
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .env(ROLE, "server")
        .env("PORT", address.port().to_string())
        .env("TWILIO_AUTH_TOKEN", TOKEN)
        .env("MAX_CALLS", "10000")
        .env("AGENT_GREETING", "off")
        .env("VOICE_PROVIDERS", "openai,gemini")
        .env("VOICE_PROBE_SECONDS", "0")
        .env("VOICE_STANDBY", standby);
    for echo in echoes {
        command.envs(echo.service.settings(echo.origin));
    }
    command.spawn().map(Server)
}
