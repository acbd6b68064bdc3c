//! Voices that say recorded clips. They need no line.

use std::sync::Arc;

use voice_core::audio::AudioFormat;
use voice_core::driver::InOrder;
use voice_core::id::{AttachmentId, ProviderId, ReplyId};
use voice_core::provider::{
    CallerSpeech, Capabilities, Provider, ProviderEvent, ProviderSession, ReplyEnd, SessionOutput, Setup,
};
use voice_core::sim::speech::voice;
use voice_core::time::MonoTime;

/// One provider of this name, whose conversations are opened so. The bridge listens for whoever speaks.
pub(crate) fn fleet(name: &'static str, open: Open) -> Arc<InOrder> {
    let formats = || vec![AudioFormat::MULAW_8K];
    let mut capabilities = Capabilities::new(formats(), formats());
    (capabilities.caller_speech, capabilities.caller_pause) =
        (CallerSpeech::Detected, CallerSpeech::Detected);
    let speaker: Arc<dyn Provider> = Arc::new(Speaker { capabilities, open });
    Arc::new(InOrder::new(vec![(ProviderId::from_static(name), speaker)]))
}

type Open = fn(Clips) -> Box<dyn ProviderSession>;

struct Speaker {
    capabilities: Capabilities,
    open: Open,
}

impl Provider for Speaker {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn open(&self, setup: Setup) -> Box<dyn ProviderSession> {
        let ready = ProviderEvent::Ready { session: None, expires: None };
        (self.open)(Clips { attachment: setup.attachment, said: 0, events: vec![ready] })
    }
}

/// What one conversation has said and is about to.
pub(crate) struct Clips {
    attachment: AttachmentId,
    said: u32,
    events: Vec<ProviderEvent>,
}

impl Clips {
    pub(crate) fn say(&mut self, clip: &str) {
        self.said += 1;
        let reply = ReplyId::new(self.attachment, self.said);
        let audio = voice(clip).unwrap().mulaw.into();
        self.events.push(ProviderEvent::Speech { reply, audio });
        self.events.push(ProviderEvent::ReplyDone { reply, end: ReplyEnd::Completed });
    }

    /// The next output of the session, which wakes then.
    pub(crate) fn poll(&mut self, wakes_at: Option<MonoTime>) -> SessionOutput {
        if self.events.is_empty() {
            return SessionOutput::WaitUntil(wakes_at);
        }
        SessionOutput::Event(self.events.remove(0))
    }
}
