//! A fake account at Twilio whose calls come true, and the real server that commands it.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use voice_bin::server::{OutboundParts, Parts, TwilioLine};
use voice_bin::sim_net::{CallsIn, serve_twilio};
use voice_core::driver::Clock;
use voice_core::sensitive::Secret;
use voice_core::time::MonoTime;
use voice_providers::dial::Dialer;
use voice_telephony::rest::Rest;
use voice_telephony::sim::{CallReport, Rooms, TwilioApiPlan, TwilioCallPlan};
use voice_telephony::twilio::rest::{Credentials, TwilioApi};

use crate::world::{Server, Silent, TOKEN};

pub(crate) const ACCOUNT: &str = "AC00112233445566778899aabbccddeeff";

/// Both of them.
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) rooms: Rooms,
    /// The account, for those who want something of it beside the server.
    pub(crate) api: TwilioApi,
    /// What became of calls that the server placed.
    pub(crate) over: mpsc::Receiver<CallReport>,
    calls: mpsc::Sender<CallsIn>,
}

/// An account like that, and a server with these parts; its voice says nothing unless they say otherwise.
pub(crate) async fn world(plan: impl FnOnce(&mut TwilioApiPlan), parts: impl FnOnce(&mut Parts)) -> World {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let clock = Clock::start();
    let mut account = TwilioApiPlan::new(ACCOUNT, Secret::new(TOKEN.to_owned()));
    account.unix = clock.unix(MonoTime::ZERO);
    plan(&mut account);
    let rooms = account.rooms.clone();
    let (calls, incoming) = mpsc::channel(4);
    let (outgoing, over) = mpsc::channel(4);
    let dial = Arc::new(Dialer::plain());
    // Ends with the test.
    tokio::spawn(serve_twilio(listener, clock, (account, incoming, outgoing), dial, std::future::pending()));
    let credentials = Credentials::AuthToken(Secret::new(TOKEN.to_owned()));
    let api = TwilioApi::new(ACCOUNT.parse().unwrap(), credentials).with_url(&url).unwrap();
    let server = Server::with(|all| {
        all.world.fleet = Silent::fleet();
        all.outbound = OutboundParts {
            http: Some(Arc::new(Rest::plain())),
            twilio: Some(TwilioLine { api: api.clone(), from: "+15005550009".parse().unwrap() }),
            ..OutboundParts::default()
        };
        parts(all);
    })
    .await;
    World { server, rooms, api, over, calls }
}

impl World {
    /// Somebody calls; what happened is told in the end.
    pub(crate) async fn call(
        &self,
        plan: impl FnOnce(TwilioCallPlan) -> TwilioCallPlan,
    ) -> oneshot::Receiver<CallReport> {
        let (told, report) = oneshot::channel();
        let plan = plan(self.server.plan().in_rooms(self.rooms.clone()));
        assert!(self.calls.send((plan, told)).await.is_ok());
        report
    }
}
