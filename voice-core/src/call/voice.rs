//! What the live provider says and does: speech, words, tools; and what a barge-in does to them.

use std::time::Duration;

use crate::audio::FRAME;
use crate::carrier::CarrierCommand;
use crate::conversation::{Heard, ToolCall, ToolResult, Turn};
use crate::failure::{Failure, Verdict};
use crate::id::{AttachmentId, ReplyId, ToolCallId, UtteranceId};
use crate::provider::{ProviderCommand, ProviderEvent, ReplyEnd};
use crate::record::{CallEvent, Loss, Party};
use crate::sensitive::Pii;
use crate::time::MonoTime;

use super::covers::is_cover;
use super::held::Lost;
use super::playout::Finished;
use super::tools::{self, Admission};
use super::{Call, CallLimits, Caller, Output, Timer, is_worth_telling};

/// Who has spoken for a second has said something; a cough is shorter.
const UNHEEDED_FRAMES: u32 = 50;

/// Nothing for so long, although something is due, is worth a ping.
const DOUBT: Duration = Duration::from_millis(500);

/// And another, as long as nothing comes.
const DOUBT_AGAIN: Duration = Duration::from_secs(1);

/// A service that hears says so within a second of the pause, whatever it makes of it.
const UNHEEDED_PAUSE: Duration = Duration::from_secs(2);

impl Call {
    pub(super) fn on_voice(&mut self, now: MonoTime, live: AttachmentId, event: ProviderEvent) {
        self.caller.unheeded = 0;
        match event {
            ProviderEvent::CallerSpoke(utterance) => self.on_caller_spoke(now, live, utterance),
            ProviderEvent::CallerPaused(utterance) => self.on_caller_paused(now, utterance),
            ProviderEvent::CallerSaid { utterance, text } => {
                self.transcript.caller_said(utterance, text.clone());
                self.report(now, CallEvent::CallerSaid { utterance, text });
            }
            // What still comes of a reply that was cut answers nobody.
            ProviderEvent::Speech { reply, .. }
            | ProviderEvent::Words { reply, .. }
            | ProviderEvent::ReplyDone { reply, .. }
                if self.playout.is_history(reply) => {}
            ProviderEvent::Speech { reply, .. } if self.aside.is_on_hold() => {
                self.refuse_reply(now, live, reply);
            }
            ProviderEvent::Words { .. } if self.aside.is_on_hold() => {}
            ProviderEvent::Speech { reply, audio } => {
                self.answered();
                self.books.gauges.came(now, reply);
                self.playout.push(reply, audio);
                self.watch(now);
            }
            ProviderEvent::Words { reply, text } => {
                self.playout.words(reply, text.expose());
                self.watch(now);
            }
            ProviderEvent::ReplyDone { reply, end } => self.on_reply_done(now, reply, end),
            ProviderEvent::ToolCall(call) => self.on_tool_call(now, live, call),
            ProviderEvent::ToolCancelled(id) => self.on_tool_cancelled(now, id),
            ProviderEvent::Unheard(duration) => {
                let frames = duration.as_micros() / FRAME.as_micros();
                let frames = u64::try_from(frames).unwrap_or(u64::MAX);
                self.lose(now, Loss::Unheard, Lost { frames, duration });
            }
            ProviderEvent::Used(usage) => self.report(now, CallEvent::Used { attachment: live, usage }),
            ProviderEvent::Unknown { kind } => self.count_oddity(now, live, kind),
            ProviderEvent::Failed(failure) if failure.verdict() == Verdict::Ignore => {
                self.report(now, CallEvent::Problem { attachment: live, failure });
            }
            ProviderEvent::Failed(failure) => self.on_live_failed(now, failure),
            // It has been ready once; a second time means nothing.
            ProviderEvent::Ready { .. } => {}
        }
    }

    /// A barge-in is decided here: if anything was being said, the caller hears no more of it.
    fn on_caller_spoke(&mut self, now: MonoTime, live: AttachmentId, utterance: UtteranceId) {
        // A service that took a noise for the caller may never say that they paused.
        self.timers.set(Timer::Stall, now + self.config.limits.stall);
        self.timers.clear(Timer::Silence);
        self.timers.clear(Timer::Doubt);
        self.caller.speaking = Some(utterance);
        self.books.gauges.caller_spoke();
        self.books.totals.caller_turns += 1;
        self.report(now, CallEvent::CallerSpoke { utterance });
        // A menu that talks must not swallow the keys that are its answer.
        if !self.aside.is_on_hold() && !self.covers.keys.are_pressed() {
            self.barge_in(now, live);
        }
        // Only now: what was cut stands before what cut it.
        self.transcript.caller_speaks(utterance);
    }

    fn barge_in(&mut self, now: MonoTime, live: AttachmentId) {
        let cut = self.cut(now);
        if !cut.heard.is_empty() {
            self.outbox.push_back(Output::Carrier(CarrierCommand::Clear));
        }
        // What we said ourselves is not the provider's business.
        let heard: Vec<Heard> = cut.heard.into_iter().filter(|heard| !is_cover(heard.reply)).collect();
        if let Some(first) = heard.first().copied() {
            self.books.totals.barge_ins += 1;
            self.tell(live, ProviderCommand::Interrupt(heard));
            self.report(
                now,
                CallEvent::BargeIn { reply: first.reply, heard: first.heard, unheard: first.unheard },
            );
        }
        for finished in cut.finished {
            self.on_finished(now, finished);
        }
    }

    fn on_caller_paused(&mut self, now: MonoTime, utterance: UtteranceId) {
        if self.caller.speaking == Some(utterance) {
            self.caller.speaking = None;
        }
        self.caller.owed = true;
        self.caller.waiting_since = self.caller.last_voiced;
        self.books.gauges.caller_paused(now, self.caller.last_voiced);
        self.expect(now);
        self.report(now, CallEvent::CallerPaused { utterance });
    }

    fn on_reply_done(&mut self, now: MonoTime, reply: ReplyId, end: ReplyEnd) {
        // A voice that declines to answer has answered: nobody waits for more.
        if end == ReplyEnd::Completed && self.tools.is_idle() {
            self.answered();
        }
        // Half a sentence is no answer.
        self.caller.owed |= end == ReplyEnd::Failed;
        self.playout.done(reply, end);
        self.watch(now);
    }

    /// A reply is over as far as the caller is concerned: its words are what was heard.
    pub(super) fn on_finished(&mut self, now: MonoTime, finished: Finished) {
        let Finished { reply, text, heard, unheard, dropped, cut } = finished;
        if !dropped.is_zero() {
            self.report(now, CallEvent::AudioLost { what: Loss::Playout, duration: dropped });
        }
        if is_cover(reply) {
            return self.on_cover_over(reply);
        }
        self.transcript.voice_said(reply, text.clone(), cut, true);
        if !cut && !heard.is_zero() {
            self.books.heard_out = Some(reply.attachment());
        }
        if !heard.is_zero() || !unheard.is_zero() {
            self.report(now, CallEvent::ReplyHeard { reply, text: Pii::new(text), heard, unheard, cut });
        }
    }

    /// Somebody is about to be told the conversation: what is still in the air counts as said.
    pub(super) fn note_pending_words(&mut self, now: MonoTime) {
        let pending: Vec<_> = self.playout.pending_words().filter(|(reply, ..)| !is_cover(*reply)).collect();
        for (reply, text, cut) in pending {
            // One that waits behind a prompt will be heard, too, and whoever is next must know.
            if self.transcript.voice_speaks(reply) {
                let heard = Duration::ZERO;
                self.report(now, CallEvent::ReplyProgress { reply, more: Pii::default(), heard });
            }
            self.transcript.voice_said(reply, text, cut, false);
        }
    }

    fn on_tool_call(&mut self, now: MonoTime, live: AttachmentId, call: ToolCall) {
        self.caller.owed = true;
        self.watch(now);
        self.report(now, CallEvent::ToolCalled(call.clone()));
        self.transcript.tool_called(call.clone());
        match self.tools.admit(now, &call, &self.config.tools, self.config.limits.tool) {
            Admission::Run => self.outbox.push_back(Output::RunTool(call)),
            Admission::Refuse(why) => {
                let result = tools::failed(why);
                let output = result.output.clone();
                self.report(
                    now,
                    CallEvent::ToolAnswered { id: call.id, output, failed: true, took: Duration::ZERO },
                );
                self.transcript.tool_answered(call.id, result.clone());
                self.tell(live, ProviderCommand::Answer { id: call.id, result });
            }
        }
    }

    pub(super) fn on_tool_answered(&mut self, now: MonoTime, id: ToolCallId, result: ToolResult) {
        let Some(took) = self.tools.finish(now, id) else { return };
        let result = tools::bounded(result);
        let (output, failed) = (result.output.clone(), result.failed);
        self.report(now, CallEvent::ToolAnswered { id, output, failed, took });
        let turn = self.transcript.tool_answered(id, result.clone());
        self.caller.owed = true;
        let Some(live) = self.phase.live() else {
            self.tools.late_answers.extend(turn);
            return;
        };
        self.watch(now);
        if id.attachment() == live {
            self.tell(live, ProviderCommand::Answer { id, result });
        } else if let Some(turn @ Turn::Tool { .. }) = turn {
            // Whoever asked is gone; whoever talks now must know, and go on.
            self.tell(live, ProviderCommand::CatchUp(vec![turn]));
            self.tell(live, ProviderCommand::Speak { cue: None });
        }
    }

    pub(super) fn on_tool_timeout(&mut self, now: MonoTime) {
        while let Some(id) = self.tools.overdue(now) {
            self.outbox.push_back(Output::AbandonTool(id));
            self.on_tool_answered(now, id, tools::failed("the tool did not answer in time"));
        }
    }

    fn on_tool_cancelled(&mut self, now: MonoTime, id: ToolCallId) {
        if self.tools.finish(now, id).is_some() {
            self.transcript.tool_cancelled(id);
            self.outbox.push_back(Output::AbandonTool(id));
            self.report(now, CallEvent::ToolCancelled { id });
        }
    }

    pub(super) fn on_stall(&mut self, now: MonoTime) {
        if self.aside.is_on_hold() {
            // What it says is refused anyway; it is asked for an answer afterwards.
            return;
        }
        if !self.tools.is_idle() || self.caller.is_cut_off {
            // While a tool runs, or nothing comes from the carrier, silence is not the provider's fault.
            return self.expect_if_due(now);
        }
        let stall = self.config.limits.stall;
        if self.caller.speaking.is_some() {
            // The provider believes so. Our own ear knows better.
            let heard = self.caller.last_voiced.map(|voiced| voiced + stall).filter(|due| *due > now);
            if let Some(due) = heard {
                return self.timers.set(Timer::Stall, due);
            }
            self.caller.speaking = None;
        }
        if self.playout.is_open() || std::mem::replace(&mut self.caller.reminded, true) {
            return self.on_live_failed(now, Failure::Stalled(stall));
        }
        // It may have taken for a noise what we took for the caller, or the other way round.
        let cue = self.caller.cue.take();
        self.ask(now, cue);
    }

    pub(super) fn count_oddity(&mut self, now: MonoTime, attachment: AttachmentId, kind: String) {
        self.books.provider_oddities += 1;
        let count = self.books.provider_oddities;
        if is_worth_telling(count) {
            self.report(now, CallEvent::ProviderOddity { attachment, kind, count });
        }
    }

    /// The voice speaks: nobody waits for it any more.
    fn answered(&mut self) {
        self.caller.owed = false;
        self.caller.cue = None;
        self.caller.reminded = false;
    }

    /// A sign of life. While something of the voice is due, the clock runs from the last one.
    fn watch(&mut self, now: MonoTime) {
        if let Some(since) = self.caller.unanswered_since.take() {
            let over = Some(now.since(since));
            self.report(now, CallEvent::Silence { of: Party::Provider, over });
        }
        self.expect_if_due(now);
    }

    /// The caller has spoken, by our own ear, and has fallen silent, and whoever hears them has not even
    /// said that somebody spoke: a connection half open, or a deaf service. An answer is due.
    pub(super) fn heed(&mut self, now: MonoTime) {
        let Caller { last_voiced: Some(voiced), unheeded: UNHEEDED_FRAMES.., .. } = self.caller else {
            return;
        };
        let is_idle = !self.caller.owed && self.caller.speaking.is_none() && !self.playout.is_open();
        if is_idle && now.since(voiced) >= UNHEEDED_PAUSE && self.phase.live().is_some() {
            self.caller.unheeded = 0;
            self.caller.owed = true;
            self.expect(now);
        }
    }

    fn expect_if_due(&mut self, now: MonoTime) {
        if self.caller.owed || self.playout.is_open() {
            return self.expect(now);
        }
        self.timers.clear(Timer::Silence);
        self.timers.clear(Timer::Doubt);
        // Who took a noise for the caller is still watched: they may never say that the caller paused.
        if self.caller.speaking.is_none() {
            self.timers.clear(Timer::Stall);
        }
    }

    /// Something of the voice is due from now on.
    pub(super) fn expect(&mut self, now: MonoTime) {
        let CallLimits { stall, silence, .. } = self.config.limits;
        self.timers.set(Timer::Stall, now + stall);
        self.timers.set(Timer::Silence, now + silence);
        self.timers.set(Timer::Doubt, now + DOUBT);
    }

    /// Nothing has come of the voice for a moment, although it is due: it thinks, or is not there any more.
    pub(super) fn on_doubt(&mut self, now: MonoTime) {
        let Some(live) = self.phase.live().filter(|_| !self.is_excused()) else { return };
        if !self.playout.is_dry() {
            return self.timers.set(Timer::Doubt, self.playout.ends(now) + DOUBT);
        }
        self.outbox.push_back(Output::Doubt(live));
        self.timers.set(Timer::Doubt, now + DOUBT_AGAIN);
    }

    /// The caller speaks on and on, by our own ear, and whoever hears them says nothing to that.
    pub(super) fn doubt_the_unheeding(&mut self) {
        let Some(live) = self.phase.live().filter(|_| !self.is_excused()) else { return };
        if self.caller.unheeded > 0 && self.caller.unheeded.is_multiple_of(UNHEEDED_FRAMES) {
            self.outbox.push_back(Output::Doubt(live));
        }
    }

    /// Nothing can be due: something else is under way, or the fault is on the other side.
    fn is_excused(&self) -> bool {
        !self.tools.is_idle() || self.aside.is_on_hold() || self.caller.is_cut_off
    }

    /// Nothing has come of the voice although it is due. What is being heard hides it.
    pub(super) fn on_provider_silent(&mut self, now: MonoTime) {
        if self.is_excused() || self.phase.live().is_none() || self.caller.unanswered_since.is_some() {
            return;
        }
        let silence = self.config.limits.silence;
        if !self.playout.is_dry() {
            return self.timers.set(Timer::Silence, self.playout.ends(now) + silence);
        }
        self.caller.unanswered_since = Some(now.saturating_sub(silence));
        self.report(now, CallEvent::Silence { of: Party::Provider, over: None });
    }
}
