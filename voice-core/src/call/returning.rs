//! A call that comes back goes on where it stopped: the same mechanism as answering, with a past.

use std::sync::Arc;
use std::time::Duration;

use crate::record::{Away, CallEvent, Why};
use crate::recording::{RecordingEnd, RecordingPlace};
use crate::sensitive::Pii;
use crate::time::MonoTime;

use super::config::Greeting;
use super::past::{self, Past, PastTape};
use super::phase::Phase;
use super::{Books, Call, CallConfig, CallStart, Timer};

/// How a call comes back.
#[derive(Clone, Debug)]
pub struct Return {
    /// What it was.
    pub past: Past,
    /// Which of its media sockets this is, as the carrier was given them. Above [`Past::leg`].
    pub leg: u32,
    /// From the past's last entry until now, as far as clocks can tell.
    pub after: Duration,
    /// Why it was away.
    pub why: Away,
}

impl Call {
    /// A call whose media is here again; it looks at once for somebody who is given the conversation so far,
    /// first of all for whoever talked last.
    ///
    /// The record goes on with [`CallEvent::Returned`]; then what was under way is closed: half a reply was
    /// cut, a tool has failed, a recording of ours is a new one (the carrier's has gone on). Nobody is greeted who was greeted, and whoever was
    /// owed an answer is given it. Hold, mute and the limits of the whole call go on; the waits of a search
    /// for somebody begin anew. `start` is told by the carrier again; who calls whom stands in the past.
    pub fn resume(now: MonoTime, config: Arc<CallConfig>, start: &CallStart, back: Return) -> Self {
        let Return { past, leg, after, why } = back;
        let mut call = Self::blank(now, config, start);
        call.phase = Phase::initial(now, Why::Return);
        let spent = past.elapsed() + after;
        let greeted = past.totals.replies > 0 || past.totals.caller_turns > 0;
        call.caller.owed = past.is_owed();
        call.caller.cue = past.due.cue.clone().map(Pii::into_inner);
        if let (Greeting::Voice(greeting), false) = (&call.config.greeting, greeted) {
            call.caller.owed = true;
            call.caller.cue = call.caller.cue.take().or_else(|| greeting.clone());
        }
        call.remember(&past, spent);
        let goodbye = past.due.goodbye && past.ended().is_none();
        let aside = past.aside.clone();
        call.report(now, CallEvent::Returned { leg, format: start.format, after, why });
        let tape = call.close(now, past, spent);
        let hold = aside.hold.map(|(since, music)| (spent.saturating_sub(since), music));
        call.put_aside_again(now, hold, aside.muted);
        call.forget_transfer(now, aside.transfers, aside.transferring);
        if let Some(tape) = tape {
            call.record_again(now, tape);
        }
        if goodbye {
            call.say_goodbye(now);
        }
        let last = call.books.last.clone();
        call.seek(now, Why::Return, last);
        call.mind_silence(now);
        call
    }

    /// Numbers go on, so that no id is ever used twice.
    fn remember(&mut self, past: &Past, spent: Duration) {
        let left = self.config.limits.call.saturating_sub(spent);
        self.timers.set(Timer::Limit, self.books.started + left);
        self.books.spent = spent;
        self.books.seq = past.place.seq;
        self.books.totals = past.totals;
        self.books.attachments = past.people.attachments;
        self.books.met.clone_from(&past.people.met);
        self.books.barred.clone_from(&past.people.barred);
        self.books.last.clone_from(&past.people.last);
        self.books.before.clone_from(&past.people.before);
        self.books.switches.clone_from(&past.people.switches);
        self.books.filing.clone_from(&past.filing);
    }

    /// What was under way is over, and the record says so. The recording that is to go on, if any.
    fn close(&mut self, now: MonoTime, past: Past, spent: Duration) -> Option<PastTape> {
        self.transcript = past.transcript;
        for open in past.open {
            self.transcript.voice_said(open.reply, open.text.clone(), true, true);
            let (reply, text, heard) = (open.reply, open.text.into(), open.heard);
            // Nobody knows how much more there was.
            let unheard = Duration::ZERO;
            self.report(now, CallEvent::ReplyHeard { reply, text, heard, unheard, cut: true });
        }
        for (id, since) in past.tools {
            let answer = past::restarted();
            self.transcript.tool_answered(id, answer.clone());
            let (output, took) = (answer.output, spent.saturating_sub(since));
            self.report(now, CallEvent::ToolAnswered { id, output, failed: true, took });
        }
        let tape = past.tape?;
        if !tape.closed && tape.place == RecordingPlace::Server {
            let (reason, length) = (RecordingEnd::Interrupted, spent.saturating_sub(tape.since));
            self.report(now, CallEvent::RecordingStopped { reason, length });
        }
        Some(tape)
    }
}

impl Books {
    /// How long the call has been, with what it was before it came back.
    pub(super) fn elapsed(&self, now: MonoTime) -> Duration {
        self.spent + now.since(self.started)
    }
}
