//! What the service says, and what it means for the call.

use std::time::Duration;

use voice_core::conversation::ToolCall;
use voice_core::failure::{Failure, Verdict};
use voice_core::limits;
use voice_core::provider::{ProviderEvent, ReplyEnd, Usage};
use voice_core::sensitive::Pii;
use voice_core::time::{MonoTime, UnixMillis};
use voice_core::wire::WireMessage;

use super::{ANSWERS_WITHIN, Errand, Floor, Phase, Session, Welcome};
use crate::base64;
use crate::openai::SESSION_MAX;
use crate::openai::errors::{self, ALREADY_RESPONDING, Occasion};
use crate::openai::shape;
use crate::openai::wire::{
    self, ErrorBody, FromServer, ItemBody, Piece, ResponseBody, SessionBody, UsageBody,
};

impl Session {
    pub(super) fn on_message(&mut self, now: MonoTime, message: &WireMessage) {
        match (wire::read(message.as_bytes()), &self.phase) {
            (_, Phase::New | Phase::Dialling | Phase::Over) => {}
            (Err(wire::Unreadable), _) => self.on_unreadable("message"),
            (Ok(FromServer::Dull), _) => {}
            (Ok(FromServer::Unknown(kind)), _) => self.on_unknown(&kind),
            (Ok(FromServer::Error(error)), _) => self.on_error(&error),
            (Ok(FromServer::SessionCreated(session)), Phase::Greeting) => {
                let expires = session.expires_at.map(|at| self.expiry(now, at));
                self.configure(Welcome { session: session.id, expires });
            }
            (Ok(FromServer::SessionUpdated(session)), Phase::Configuring(welcome)) => {
                let welcome = welcome.clone();
                self.on_configured(now, &session, welcome);
            }
            (Ok(FromServer::SessionCreated(_) | FromServer::SessionUpdated(_)), _) => {}
            (Ok(FromServer::ItemAccepted(item)), _) => self.on_item_accepted(&item),
            (Ok(message), Phase::Telling(..) | Phase::Talking { .. }) => self.on_talk(now, message),
            // Nobody was asked to talk yet.
            (Ok(_), Phase::Greeting | Phase::Configuring(_)) => self.on_unknown("early"),
        }
    }

    fn on_talk(&mut self, now: MonoTime, message: FromServer<'_>) {
        match message {
            FromServer::SpeechStarted(item) => {
                self.talk.floor = Floor::Caller;
                if self.settings.interrupts {
                    // What of it has not begun to sound will not: its first sound may be under way, and
                    // nobody would cut what nobody has heard of.
                    if let Some(response) = self.talk.responses.running() {
                        self.talk.replies.close(response);
                    }
                    self.talk.responses.stops_itself();
                }
                let started = self.talk.utterances.started(&item);
                self.report(started.map(ProviderEvent::CallerSpoke));
            }
            FromServer::SpeechStopped(item) | FromServer::Committed(item) => {
                if self.talk.floor == Floor::Caller {
                    self.talk.floor = Floor::Service { until: now + ANSWERS_WITHIN };
                }
                let paused = self.talk.utterances.paused(&item);
                self.report(paused.map(ProviderEvent::CallerPaused));
            }
            FromServer::Transcribed { item, transcript } => self.on_transcribed(&item, transcript.trim()),
            FromServer::TranscriptionFailed(item) => self.on_transcribed(&item, ""),
            FromServer::ResponseCreated(response) => {
                // It knows all answers of tools that were accepted before it.
                self.talk.calls.forget_known();
                self.talk.responses.created(&response.id);
                if self.talk.floor != Floor::Caller {
                    self.talk.floor = Floor::Anybody;
                }
            }
            FromServer::ResponseDone(response) => self.on_response_done(&response),
            FromServer::OutputItemDone { response, item } => self.on_item_done(&response, item),
            FromServer::Audio(piece) => self.on_audio(&piece),
            FromServer::Words(piece) => self.on_words(&piece, false),
            FromServer::WordsDone(piece) => self.on_words(&piece, true),
            FromServer::SessionCreated(_)
            | FromServer::SessionUpdated(_)
            | FromServer::Error(_)
            | FromServer::ItemAccepted(_)
            | FromServer::Dull
            | FromServer::Unknown(_) => {}
        }
    }

    fn on_configured(&mut self, now: MonoTime, session: &SessionBody, welcome: Welcome) {
        // It has been seen that a service takes the settings and then speaks something else, which
        // would be noise in the caller's ear.
        let (hears, speaks) = (shape::format(self.setup.hears), shape::format(self.setup.speaks));
        let differs = |said: Option<&str>, wanted| said.is_some_and(|said| said != wanted);
        if differs(session.input_format(), hears.kind) {
            return self.fail(Failure::Settings { code: "audio.input.format".to_owned() });
        }
        if differs(session.output_format(), speaks.kind) {
            return self.fail(Failure::Settings { code: "audio.output.format".to_owned() });
        }
        self.tell_history(now, welcome);
    }

    fn on_error(&mut self, error: &ErrorBody) {
        let errand = error.event_id.as_deref().and_then(Errand::of);
        let is_setup = matches!(self.phase, Phase::Greeting | Phase::Configuring(_));
        let occasion = if is_setup { Occasion::Setup } else { Occasion::Talk };
        let failure = errors::judge(error, occasion);
        if failure.verdict() != Verdict::Ignore {
            return self.fail(failure);
        }
        if error.code.as_deref() == Some(ALREADY_RESPONDING) {
            self.talk.responses.lost_race();
        } else if errand == Some(Errand::Respond) {
            self.talk.responses.refused();
        }
        self.outbox.event(ProviderEvent::Failed(failure));
        self.respond_if_free();
    }

    fn on_transcribed(&mut self, item: &str, text: &str) {
        let said = self.talk.utterances.said(item);
        self.report(said.map(|utterance| ProviderEvent::CallerSaid { utterance, text: text.into() }));
    }

    fn on_audio(&mut self, piece: &Piece<'_>) {
        let Some(audio) = base64::decode(&piece.delta) else {
            return self.on_unreadable("audio");
        };
        let mut events = std::mem::take(&mut self.talk.events);
        self.talk.replies.audio(piece, audio, &mut events);
        self.report(events.drain(..));
        self.talk.events = events;
    }

    fn on_words(&mut self, piece: &Piece<'_>, whole: bool) {
        let mut events = Vec::new();
        self.talk.replies.words(piece, whole, &mut events);
        self.report(events);
    }

    fn on_item_done(&mut self, response: &str, item: ItemBody) {
        if item.is_whole_call() {
            return self.on_call(response, item);
        }
        if let Some(id) = &item.id
            && item.is_whole()
        {
            let mut events = Vec::new();
            self.talk.replies.item_done(id, ReplyEnd::Completed, &mut events);
            self.report(events);
        }
    }

    fn on_call(&mut self, response: &str, item: ItemBody) {
        let (Some(call_id), Some(name)) = (item.call_id, item.name) else {
            return self.on_unreadable("tool call");
        };
        let Some(id) = self.talk.calls.called(response, &call_id) else { return };
        let arguments = Pii::new(item.arguments.unwrap_or_default());
        self.outbox.event(ProviderEvent::ToolCall(ToolCall { id, name, arguments }));
    }

    fn on_response_done(&mut self, response: &ResponseBody) {
        let end = match response.status.as_deref() {
            Some("cancelled") => ReplyEnd::Cancelled,
            Some("incomplete") => ReplyEnd::Incomplete,
            Some("failed") => ReplyEnd::Failed,
            _ => ReplyEnd::Completed,
        };
        let was_running = self.talk.responses.done(&response.id);
        let mut events = Vec::new();
        self.talk.replies.response_done(&response.id, end, &mut events);
        self.report(events);
        self.settle_calls(response, end);
        let silent = !self.talk.replies.any_of(&response.id) && !self.talk.calls.any_of(&response.id);
        if was_running && silent && matches!(end, ReplyEnd::Completed | ReplyEnd::Incomplete) {
            let mut events = Vec::new();
            self.talk.replies.said_nothing(end, &mut events);
            self.report(events);
        }
        let used = response.usage.as_ref().map(usage).filter(|used| *used != Usage::default());
        self.report(used.map(ProviderEvent::Used));
        if end == ReplyEnd::Failed {
            let unexplained = ErrorBody::default();
            let failure = errors::judge(response.error().unwrap_or(&unexplained), Occasion::Response);
            if failure.verdict() != Verdict::Ignore {
                return self.fail(failure);
            }
            self.outbox.event(ProviderEvent::Failed(failure));
        }
        self.respond_if_free();
    }

    /// Calls that were told in no other way begin; calls that were cut are over.
    fn settle_calls(&mut self, response: &ResponseBody, end: ReplyEnd) {
        let whole = |call_id: &str| {
            let mut calls = response.output.iter().filter(|item| item.is_whole_call());
            calls.any(|item| item.call_id.as_deref() == Some(call_id))
        };
        match end {
            ReplyEnd::Completed => {
                let told = response.output.iter().filter(|item| item.is_whole_call());
                for item in told.cloned() {
                    self.on_call(&response.id, item);
                }
            }
            ReplyEnd::Cancelled | ReplyEnd::Incomplete | ReplyEnd::Failed => {
                let void = self.talk.calls.cut(&response.id, whole);
                self.report(void.into_iter().map(ProviderEvent::ToolCancelled));
            }
        }
    }

    fn on_unknown(&mut self, kind: &str) {
        self.outbox.event(ProviderEvent::Unknown { kind: Failure::clean_code(kind) });
    }

    fn on_unreadable(&mut self, what: &'static str) {
        self.unreadable += 1;
        self.on_unknown("unreadable");
        if self.unreadable >= limits::UNREADABLE_MAX {
            self.fail(Failure::Unreadable(what));
        }
    }

    fn report(&mut self, events: impl IntoIterator<Item = ProviderEvent>) {
        for event in events {
            self.outbox.event(event);
        }
    }

    /// The announced end in our time. One in the past means that a clock is wrong: then it is the
    /// longest session the service documents.
    fn expiry(&self, now: MonoTime, at_secs: i64) -> MonoTime {
        let born = self.born.unwrap_or(now);
        let UnixMillis(at) = UnixMillis::from_secs(at_secs);
        let left = at.saturating_sub(self.setup.unix.0);
        match u64::try_from(left) {
            Ok(left) if left > 0 => born + Duration::from_millis(left),
            Ok(_) | Err(_) => now + SESSION_MAX,
        }
    }
}

/// The service counts cached tokens among those it read; we count them apart.
fn usage(body: &UsageBody) -> Usage {
    let (mut text_in, mut audio_in, mut cached_in) = (body.input_tokens.unwrap_or(0), 0, 0);
    if let Some(read) = &body.input_token_details {
        let cached = read.cached_tokens.unwrap_or(0);
        let details = read.cached_tokens_details.as_ref();
        let cached_audio = details.and_then(|details| details.audio_tokens).unwrap_or(0).min(cached);
        let text = read.text_tokens.unwrap_or(0).saturating_add(read.image_tokens.unwrap_or(0));
        text_in = text.saturating_sub(cached - cached_audio);
        audio_in = read.audio_tokens.unwrap_or(0).saturating_sub(cached_audio);
        cached_in = cached;
    }
    let (mut text_out, mut audio_out) = (body.output_tokens.unwrap_or(0), 0);
    if let Some(written) = &body.output_token_details {
        text_out = written.text_tokens.unwrap_or(0);
        audio_out = written.audio_tokens.unwrap_or(0);
    }
    Usage { text_in, audio_in, cached_in, text_out, audio_out }
}
