//! Reading what the service says: several keys in one message, in any combination.

use std::time::Duration;

use voice_core::failure::Failure;
use voice_core::limits;
use voice_core::provider::{ProviderEvent, Usage};
use voice_core::time::MonoTime;
use voice_core::wire::WireMessage;

use crate::base64;

use super::failure;
use super::mouth::{Events, TurnEnd};
use super::session::{GeminiSession, NUDGE, Timer};
use super::wire::{self, FromGemini, ModalityTokens, Part, ServerContent, UsageMetadata};

/// Words may come after the last audio of a reply; so long they are waited for.
const LATE_WORDS: Duration = Duration::from_millis(400);

/// Pieces of what the caller said may come after the answer to it has begun; so long they are waited for.
const LATE_CALLER_WORDS: Duration = Duration::from_secs(1);

impl GeminiSession {
    pub(super) fn read(&mut self, now: MonoTime, message: &WireMessage) {
        let Some(read) = wire::read(message) else { return self.on_unreadable() };
        if read.is_empty() {
            return self.unknown(&wire::first_key(message));
        }
        self.on_message(now, read);
    }

    fn on_message(&mut self, now: MonoTime, message: FromGemini<'_>) {
        if let Some(complete) = message.setup_complete {
            self.on_accepted(now, complete.session_id.map(|id| Failure::clean_code(&id)));
        }
        if let Some(update) = message.session_resumption_update {
            self.on_handle(update.new_handle.as_deref().unwrap_or_default(), update.resumable);
        }
        if self.link.is_talking() {
            if let Some(content) = message.server_content {
                self.on_content(now, &content);
            }
            if let Some(call) = message.tool_call {
                self.on_tool_calls(now, &call.function_calls.unwrap_or_default());
            }
            for id in message.tool_call_cancellation.and_then(|c| c.ids).unwrap_or_default() {
                if let Some(id) = self.calls.cancelled(&id) {
                    self.told(ProviderEvent::ToolCancelled(id));
                }
            }
        } else if message.server_content.is_some() || message.tool_call.is_some() {
            self.unknown("before.setupComplete");
        }
        if let Some(usage) = message.usage_metadata {
            match serde_json::from_str(usage.get()) {
                Ok(usage) => self.told(ProviderEvent::Used(used(&usage))),
                Err(_) => self.unknown("usageMetadata"),
            }
        }
        if let Some(error) = message.error {
            let (status, text) = (error.status.unwrap_or_default(), error.message.unwrap_or_default());
            let failure = failure::of_error(error.code, &status, &text, self.link.stage());
            return self.lost(now, failure);
        }
        if let Some(go_away) = message.go_away {
            let left = go_away.time_left.as_deref().and_then(wire::seconds).unwrap_or_default();
            let at = self.link.leaves(now, left);
            self.timers.set(Timer::Leave, at);
        }
    }

    /// The caller's words, then speech and words, then what ends them.
    fn on_content(&mut self, now: MonoTime, content: &ServerContent<'_>) {
        if let Some(transcription) = &content.input_transcription {
            if !self.caller.is_waiting() {
                self.told.recent.caller_speaks();
            }
            self.caller.push(transcription.text.as_deref().unwrap_or_default());
            if transcription.finished == Some(true) {
                self.flush_caller();
            }
            if !self.mouth.is_generating() {
                self.timers.set(Timer::Nudge, now + NUDGE);
            }
        }
        for part in content.model_turn.iter().flat_map(|turn| turn.parts.iter().flatten()) {
            self.on_part(now, part);
        }
        let words = content.output_transcription.as_ref().and_then(|words| words.text.as_deref());
        if let Some(words) = words {
            let mut events = Events::new();
            let begins = self.mouth.words(words, &mut events);
            self.tell(events);
            self.on_reply(now, begins);
        }
        if content.interrupted == Some(true) {
            self.on_interrupted(now);
        }
        if content.generation_complete == Some(true) && self.mouth.generated() {
            self.timers.set(Timer::LateWords, now + LATE_WORDS);
        }
        if content.turn_complete == Some(true) {
            let reason = content.turn_complete_reason.as_deref().unwrap_or_default();
            let more = content.interaction_status.as_deref() == Some("IN_PROGRESS");
            self.on_turn_complete(now, reason, more);
        }
    }

    fn on_part(&mut self, now: MonoTime, part: &Part<'_>) {
        let Some(blob) = &part.inline_data else { return };
        let mime = if blob.mime_type.is_empty() { "audio/pcm" } else { &blob.mime_type };
        let Some(rate) = wire::rate_hz(mime) else { return self.unknown("inlineData") };
        let Some(audio) = base64::decode(&blob.data) else { return self.on_unreadable() };
        let mut events = Events::new();
        let begins = self.mouth.speech(rate, audio, &mut events);
        self.tell(events);
        self.on_reply(now, begins);
    }

    /// The model answers: nobody has to wait for it any more, and the caller's turn is nearly written.
    fn on_reply(&mut self, now: MonoTime, begins: bool) {
        if begins {
            self.link.outdate();
            self.timers.clear(Timer::Nudge);
            self.timers.clear(Timer::LateWords);
            self.timers.set(Timer::CallerWords, now + LATE_CALLER_WORDS);
        }
    }

    fn on_interrupted(&mut self, now: MonoTime) {
        self.timers.clear(Timer::LateWords);
        self.timers.set(Timer::Nudge, now + NUDGE);
        // What was heard so far was answered by what is interrupted now.
        self.flush_caller();
        let mut events = Events::new();
        // First that the caller spoke, so that the call cuts what it has; then how the reply ended.
        let mut ends = Events::new();
        if self.mouth.interrupted(&mut ends) {
            self.caller.noticed(&mut events);
        }
        events.append(&mut ends);
        self.tell(events);
    }

    fn on_turn_complete(&mut self, now: MonoTime, reason: &str, more: bool) {
        let mut events = Events::new();
        let end = self.mouth.turn_complete(reason, more, &mut events);
        if end != TurnEnd::Stale {
            self.timers.clear(Timer::LateWords);
            self.timers.clear(Timer::Nudge);
            self.flush_caller();
        }
        self.tell(events);
        if end == TurnEnd::CutOff {
            self.unknown(&format!("turnComplete.{reason}"));
            self.timers.set(Timer::Nudge, now + NUDGE);
        }
    }

    fn on_tool_calls(&mut self, now: MonoTime, calls: &[wire::FunctionCall<'_>]) {
        self.link.outdate();
        self.timers.clear(Timer::Nudge);
        self.timers.set(Timer::CallerWords, now + LATE_CALLER_WORDS);
        self.mouth.tool_called();
        for call in calls {
            match self.calls.called(call) {
                Some(call) => self.told(ProviderEvent::ToolCall(call)),
                None => self.unknown("toolCall.double"),
            }
        }
        // What it said before it waits is a reply of its own.
        if self.settings.tools_block() && self.mouth.pauses() {
            self.timers.set(Timer::LateWords, now + LATE_WORDS);
        }
    }

    fn on_handle(&mut self, handle: &str, resumable: Option<bool>) {
        if self.link.offered(handle, resumable == Some(true)) {
            self.told.recent.forget();
        }
    }

    /// Counted by the call, and fatal only if there is no end to it.
    fn on_unreadable(&mut self) {
        self.unknown("unreadable");
        if self.link.count_unreadable() > limits::UNREADABLE_MAX {
            self.fail(Failure::Unreadable("message"));
        }
    }

    fn unknown(&mut self, kind: &str) {
        self.told(ProviderEvent::Unknown { kind: Failure::clean_code(kind) });
    }
}

/// Tokens as they are billed. What the details leave out of the totals is text, as far as anybody knows
/// (protocol notes, Gemini Live §11).
fn used(usage: &UsageMetadata) -> Usage {
    let of = |details: &[ModalityTokens], modality: &str| {
        let tokens = details.iter().filter(|detail| detail.modality == modality);
        tokens.fold(0u32, |sum, detail| sum.saturating_add(detail.token_count))
    };
    let prompt = usage.prompt_token_count.saturating_add(usage.tool_use_prompt_token_count);
    let audio = of(&usage.prompt_tokens_details, "AUDIO");
    let cached_audio = of(&usage.cache_tokens_details, "AUDIO");
    let cached = usage.cached_content_token_count;
    let audio_out = of(&usage.response_tokens_details, "AUDIO");
    let text_out = usage.response_token_count.saturating_sub(audio_out);
    Usage {
        text_in: prompt.saturating_sub(audio).saturating_sub(cached.saturating_sub(cached_audio)),
        audio_in: audio.saturating_sub(cached_audio),
        cached_in: cached,
        text_out: text_out.saturating_add(usage.thoughts_token_count),
        audio_out,
    }
}
