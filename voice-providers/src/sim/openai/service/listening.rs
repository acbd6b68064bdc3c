//! The fake listens: the caller's audio, where a turn begins and ends, and what was said.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use voice_core::sim::speech::{self, Hearing};
use voice_core::time::MonoTime;

use super::super::check::{Checked, Fault, only};
use super::super::config::Rudeness;
use super::super::conversation::{Item, Kind};
use super::super::ears;
use super::super::log::TurnHeard;
use super::{Deed, FakeOpenAi};

impl FakeOpenAi {
    pub(super) fn on_append(&mut self, now: MonoTime, event: &Value) -> Checked {
        only("", event, &["type", "event_id", "audio"])?;
        let audio = event["audio"].as_str().and_then(|audio| STANDARD.decode(audio).ok());
        let Some(audio) = audio else { return Err(Fault::invalid("audio")) };
        let format = self.hearing.format;
        if audio.is_empty()
            || audio.len() > APPEND_MAX
            || audio.len() % format.encoding.bytes_per_sample() != 0
        {
            return Err(Fault::invalid("audio"));
        }
        self.hearing.bytes += audio.len() as u64;
        let heard_ms = self.hearing.bytes / format.bytes_per_ms() as u64;
        self.log.note(|seen| seen.audio_ms = heard_ms);
        let mulaw = ears::to_mulaw(format, &audio);
        let mut noticed = Vec::new();
        match &mut self.hearing.listener {
            Some(listener) => listener.push(&mulaw, &mut noticed),
            None => self.hearing.buffer.extend_from_slice(&mulaw),
        }
        for hearing in noticed {
            match hearing {
                Hearing::Began { at } => self.on_speech(at.as_millis() as u64),
                Hearing::Ended { at, audio } => self.on_silence(now, at.as_millis() as u64, &audio),
            }
        }
        Ok(())
    }

    pub(super) fn on_commit(&mut self, now: MonoTime) -> Checked {
        if self.hearing.buffer.len() < 800 {
            let message = "Error committing input audio buffer: buffer too small.";
            return Err(Fault {
                code: "input_audio_buffer_commit_empty",
                param: None,
                message: message.to_owned(),
            });
        }
        let audio = std::mem::take(&mut self.hearing.buffer);
        let item = self.fresh_id("item");
        self.commit(now, item, &audio);
        Ok(())
    }

    /// The caller begins to speak; whoever is speaking stops.
    fn on_speech(&mut self, at_ms: u64) {
        let item = self.fresh_id("item");
        let padding = self.detection()["prefix_padding_ms"].as_u64().unwrap_or(0);
        let fields = json!({"audio_start_ms": at_ms.saturating_sub(padding), "item_id": item});
        self.events.emit("input_audio_buffer.speech_started", &fields);
        self.hearing.item = Some(item);
        let interrupts = self.detection()["interrupt_response"] != false;
        if interrupts && !self.config.is(Rudeness::KeepsTalking) {
            self.stop("turn_detected");
        }
    }

    /// The caller's turn is over.
    fn on_silence(&mut self, now: MonoTime, at_ms: u64, audio: &[u8]) {
        let Some(item) = self.hearing.item.take() else { return };
        let silence = self.detection()["silence_duration_ms"].as_u64().unwrap_or(600);
        let fields = json!({"audio_end_ms": at_ms + silence, "item_id": item});
        self.events.emit("input_audio_buffer.speech_stopped", &fields);
        self.commit(now, item, audio);
        if self.detection()["create_response"] != false && self.speaking.is_none() {
            self.respond(now, None);
        }
    }

    fn commit(&mut self, now: MonoTime, item: String, audio: &[u8]) {
        let text = speech::recognise(audio).map(|clip| clip.text);
        self.log.note(|seen| seen.turns.push(TurnHeard { item: item.clone(), text }));
        let previous = self.conversation.last().map(|item| item.id.clone());
        let fields = json!({"item_id": item, "previous_item_id": previous});
        self.events.emit("input_audio_buffer.committed", &fields);
        let mut user = Item::new(item.clone(), Kind::User { text: text.unwrap_or_default().to_owned() });
        user.audio_ms = (audio.len() as u64 / 8).max(1);
        self.conversation.push(user);
        self.show_item("conversation.item.added", &item, "completed");
        self.show_item("conversation.item.done", &item, "completed");
        if self.session["audio"]["input"]["transcription"].is_null() {
            return;
        }
        if self.config.is(Rudeness::LateTranscript) {
            self.hearing.late.push((item, text));
        } else {
            let at = now + self.rng.millis(self.config.transcript_ms.clone());
            self.agenda.push((at, Deed::Transcribe { item, text }));
        }
    }

    pub(super) fn transcribe(&mut self, item: &str, text: Option<&'static str>) {
        let kind = "conversation.item.input_audio_transcription";
        if self.config.is(Rudeness::TranscriptionFails) {
            let error = json!({"type": "transcription_error", "code": "audio_unintelligible",
                "message": "The audio could not be transcribed.", "param": null});
            let fields = json!({"item_id": item, "content_index": 0, "error": error});
            return self.events.emit(&format!("{kind}.failed"), &fields);
        }
        let text = text.unwrap_or("[unintelligible]");
        let fields = json!({"item_id": item, "content_index": 0, "delta": text});
        self.events.emit(&format!("{kind}.delta"), &fields);
        let usage = json!({"type": "duration", "seconds": 2});
        let fields = json!({"item_id": item, "content_index": 0, "transcript": text, "usage": usage});
        self.events.emit(&format!("{kind}.completed"), &fields);
    }

    fn detection(&self) -> &Value {
        &self.session["audio"]["input"]["turn_detection"]
    }
}

/// 15 MiB (protocol notes, OpenAI Realtime §4).
const APPEND_MAX: usize = 15 << 20;
