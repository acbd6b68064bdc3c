//! One phone call, as a value: fed with inputs and time, drained for outputs. It opens no socket, reads
//! no clock, spawns nothing and cannot fail.
//!
//! After every [`Call::handle`], call [`Call::poll`] until it answers [`Output::WaitUntil`] or
//! [`Output::Finished`].
//!
//! | file | subject |
//! |---|---|
//! | `phase.rs`, `phase/` | every transition: attach, go live, switch, fail over, end |
//! | `backoff.rs` | how long to wait before everybody is asked again |
//! | `voice.rs` | what the live provider says: speech, barge-in, tools |
//! | `playout.rs` | the ledger: what was sent, what was heard |
//! | `transcript.rs` | what was said, as it was heard |
//! | `past.rs`, `returning.rs` | a call that comes back: its record folded, and how it goes on |
//! | `held.rs` | what the caller says while nobody hears them |
//! | `covers.rs`, `prompts.rs` | what the caller hears when nobody has anything to say |
//! | `aside.rs` | the caller on hold, or muted |
//! | `transfer.rs` | the caller is led to somebody else, or comes back |
//! | `keys.rs` | keys that are pressed for the caller |
//! | `tools.rs` | tools under way |
//! | `tape.rs` | what is told to a recorder |
//! | `gauges.rs` | what is measured: the parts of an answer's latency, how well sound gets through |

mod aside;
mod backoff;
mod config;
mod covers;
mod gauges;
mod held;
mod input;
mod keys;
mod output;
mod past;
mod phase;
mod playout;
mod prompts;
mod returning;
mod status;
mod tape;
mod tools;
mod transcript;
mod transfer;
mod voice;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::audio::{AudioFormat, AudioFrame, speech};
use crate::carrier::{CarrierCommand, CarrierEvent};
use crate::id::{AttachmentId, CarrierId, CorrelationId, ProviderId, UtteranceId};
use crate::limits;
use crate::provider::ProviderCommand;
use crate::record::{CallEvent, EndReason, Entry, Loss, Party, Totals, Why};
use crate::sensitive::Pii;
use crate::time::{MonoTime, Timers};

pub use config::{
    CallConfig, CallConfigBuilder, CallLimits, ConfigError, Greeting, Patience, Standby, WhenNobody,
    WhenRecorded,
};
pub use input::{Control, Input};
pub use output::{Outcome, Output, Timer};
pub use past::Past;
pub use prompts::Prompts;
pub use returning::Return;
pub use status::{Attached, Attempt, CallStatus, FailedSwitch, Recording, Standing, SwitchCause, Switches};

use aside::Aside;
use covers::Covers;
use gauges::Gauges;
use held::Lost;
use phase::Phase;
use playout::{Cut, Playout, Progress, Release};
use tape::{Filing, Tape};
use tools::Tools;
use transcript::Transcript;

/// What is known of a call when its media arrives.
#[derive(Clone, Debug)]
pub struct CallStart {
    /// Who carries it.
    pub carrier: CarrierId,
    /// The carrier's own name for it.
    pub carrier_call: String,
    /// Format of the caller's line, both ways.
    pub format: AudioFormat,
    /// Who calls.
    pub from: Pii<String>,
    /// The number that was called.
    pub to: Pii<String>,
    /// Finds the call in everybody's logs.
    pub correlation: CorrelationId,
}

/// See the module.
#[derive(Debug)]
pub struct Call {
    config: Arc<CallConfig>,
    phase: Phase,
    playout: Playout,
    transcript: Transcript,
    tools: Tools,
    timers: Timers<Timer>,
    caller: Caller,
    covers: Covers,
    aside: Aside,
    books: Books,
    outbox: VecDeque<Output>,
    /// The recording, while there is one.
    tape: Option<Box<Tape>>,
}

/// What we know of the person on the line.
#[derive(Debug, Default)]
struct Caller {
    /// They are speaking, says the provider.
    speaking: Option<UtteranceId>,
    /// When their voice was last heard, by our own ear.
    last_voiced: Option<MonoTime>,
    /// Frames in which they spoke, by our own ear, since the one who hears them last said anything.
    unheeded: u32,
    /// They fell silent then and are waiting for an answer; for the latency of the reply.
    waiting_since: Option<MonoTime>,
    /// They are owed an answer, whoever gives it.
    owed: bool,
    /// In which words the model was asked for it, if it was asked.
    cue: Option<String>,
    /// The live provider was reminded that an answer is due.
    reminded: bool,
    /// Nothing has come of the live provider since then, although something is due.
    unanswered_since: Option<MonoTime>,
    /// When their last audio came, voiced or not.
    last_frame: Option<MonoTime>,
    /// Nothing comes from the carrier any more.
    is_cut_off: bool,
}

/// Numbers that the record needs.
#[derive(Debug, Default)]
struct Books {
    started: MonoTime,
    /// How long the call had been when it came back.
    spent: Duration,
    seq: u64,
    totals: Totals,
    carrier_oddities: u32,
    provider_oddities: u32,
    attachments: u32,
    /// Those of them that were not granted anew yet, and until when that was reckoned.
    asked: u32,
    reckoned: MonoTime,
    /// Live providers that failed almost at once, in a row.
    quick_failures: u32,
    /// Whose reply the caller last heard to its end.
    heard_out: Option<AttachmentId>,
    /// How often all were asked again since somebody last talked for a while.
    rounds: u32,
    /// Makes the waits of this call differ from those of others.
    seed: u64,
    /// Everybody who was ever chosen for this call.
    met: Vec<ProviderId>,
    /// Who talks, or talked last.
    last: Option<ProviderId>,
    /// Who talked before that one: a switch can be taken back.
    before: Option<ProviderId>,
    /// What became of switches.
    switches: Switches,
    /// Times in a row that nobody could stand by.
    standby_failures: u32,
    /// Providers that will fail the same way until a human acts.
    barred: Vec<ProviderId>,
    /// What the carrier has told of its recordings.
    filing: Filing,
    /// What is measured on the way.
    gauges: Gauges,
}

impl Call {
    /// A call whose media has just arrived; it begins to look for a provider at once.
    pub fn new(now: MonoTime, config: Arc<CallConfig>, start: CallStart) -> Self {
        let mut call = Self::blank(now, config, &start);
        call.report(
            now,
            CallEvent::Started {
                carrier: start.carrier,
                carrier_call: start.carrier_call,
                format: start.format,
                from: start.from,
                to: start.to,
                correlation: start.correlation,
            },
        );
        call.seek(now, Why::CallStart, None);
        call.mind_silence(now);
        call
    }

    /// Before anything has happened in it.
    fn blank(now: MonoTime, config: Arc<CallConfig>, start: &CallStart) -> Self {
        let lead = config.limits.lead;
        let mut timers = Timers::default();
        timers.set(Timer::Limit, now + config.limits.call);
        Self {
            config,
            phase: Phase::initial(now, Why::CallStart),
            playout: Playout::new(start.format, lead),
            transcript: Transcript::default(),
            tools: Tools::default(),
            timers,
            caller: Caller::default(),
            covers: Covers::default(),
            aside: Aside::default(),
            books: Books::new(now, backoff::seed(start.correlation.as_str())),
            outbox: VecDeque::new(),
            tape: None,
        }
    }

    /// The only way in. Cannot fail; what makes no sense is counted and ignored.
    pub fn handle(&mut self, now: MonoTime, input: Input) {
        if self.phase.is_ended() {
            return;
        }
        match input {
            Input::Carrier(event) => self.on_carrier(now, event),
            Input::Provider(id, event) => self.on_provider(now, id, event),
            Input::Assigned(id, provider) => self.on_assigned(now, id, provider),
            Input::Control(control) => self.on_control(now, control),
            Input::Tick => {}
        }
        while !self.phase.is_ended()
            && let Some(timer) = self.timers.expired(now)
        {
            self.on_timer(now, timer);
        }
        if self.phase.is_ended() {
            return;
        }
        self.press_keys();
        self.play(now);
        self.hold_for_transfer(now);
        self.leave_when_said(now);
        self.cut_over_if_quiet(now);
        if self.phase.is_ended() {
            return;
        }
        self.feed_standby();
        self.mind_silence(now);
        self.set_or_clear(Timer::Playout, self.playout.wakes_at());
        self.set_or_clear(Timer::Tool, self.tools.wakes_at());
        self.give_recording(now);
    }

    /// The only way out.
    pub fn poll(&mut self) -> Output {
        if let Some(output) = self.outbox.pop_front() {
            return output;
        }
        match self.phase.end_reason() {
            Some(reason) => Output::Finished(reason.clone()),
            None => Output::WaitUntil(self.timers.next().map(|(timer, at)| (at, timer))),
        }
    }

    /// The attachment that hears the caller, if any.
    pub fn live(&self) -> Option<AttachmentId> {
        self.phase.live()
    }

    /// Entries of the record so far: as long as it stays the same, so does [`Self::status`].
    pub fn entries(&self) -> u64 {
        self.books.seq
    }

    /// The settings this call was made with.
    pub fn config(&self) -> &CallConfig {
        &self.config
    }

    fn on_carrier(&mut self, now: MonoTime, event: CarrierEvent) {
        match event {
            CarrierEvent::Audio(frame) => self.on_caller_audio(now, frame),
            CarrierEvent::Lost(duration) => {
                self.books.gauges.line.lost(duration);
                self.report(now, CallEvent::AudioLost { what: Loss::Carrier, duration })
            }
            CarrierEvent::Digit(digit) => {
                self.report(now, CallEvent::Digit { digit: Pii::new(digit) });
                self.note(transcript::pressed(digit));
            }
            CarrierEvent::Played(mark) => {
                self.playout.played(now, mark);
                self.on_first_heard(now);
            }
            CarrierEvent::Oddity(oddity) => {
                self.books.carrier_oddities += 1;
                let count = self.books.carrier_oddities;
                if is_worth_telling(count) {
                    self.report(now, CallEvent::CarrierOddity { oddity, count });
                }
            }
            CarrierEvent::Ended(end) => self.on_carrier_ended(now, end),
        }
    }

    fn on_caller_audio(&mut self, now: MonoTime, frame: AudioFrame) {
        self.books.totals.frames_in += 1;
        self.books.gauges.line.arrived(now, frame.duration());
        self.tell_sound(now, false);
        self.on_carrier_alive(now);
        self.tape_caller(now, &frame);
        if self.aside.is_shut() && !self.phase.is_leaving() {
            return self.withhold(now, &frame);
        }
        if speech::is_voiced(frame.format.encoding, &frame.data) {
            self.caller.last_voiced = Some(now);
            self.caller.unheeded = self.caller.unheeded.saturating_add(1);
            self.doubt_the_unheeding();
        }
        self.heed(now);
        match self.phase.ear(frame) {
            phase::Ear::Live(id, frame) => self.hear(id, frame),
            phase::Ear::Held(lost) => self.lose(now, Loss::Held, lost.unwrap_or_default()),
        }
    }

    /// A carrier sends frames without a pause, speech or not.
    fn on_carrier_alive(&mut self, now: MonoTime) {
        let last = self.caller.last_frame.replace(now);
        if let Some(last) = last.filter(|_| std::mem::take(&mut self.caller.is_cut_off)) {
            let over = Some(now.since(last));
            self.report(now, CallEvent::Silence { of: Party::Caller, over });
        }
        if self.timers.due(Timer::CarrierSilence).is_none() {
            self.timers.set(Timer::CarrierSilence, now + self.config.limits.silence);
        }
    }

    fn on_carrier_silent(&mut self, now: MonoTime) {
        let Some(last) = self.caller.last_frame else { return };
        let due = last + self.config.limits.silence;
        // Moved only when it rings: setting it with each frame would cost more.
        if due > now {
            return self.timers.set(Timer::CarrierSilence, due);
        }
        self.caller.is_cut_off = true;
        self.report(now, CallEvent::Silence { of: Party::Caller, over: None });
    }

    fn on_control(&mut self, now: MonoTime, control: Control) {
        match control {
            Control::HangUp => self.end(now, EndReason::HungUp),
            Control::HangUpAfterReply => self.say_goodbye(now),
            Control::Switch(wish) => self.switch(now, Why::Wish, wish),
            Control::ToolAnswered { id, result } => self.on_tool_answered(now, id, result),
            Control::Say { cue } => {
                self.report(now, CallEvent::Cued { cue: cue.clone().into() });
                self.ask(now, Some(cue));
            }
            Control::SwitchBack => self.switch_back(now),
            Control::FailOver { force } => self.fail_over(now, force),
            Control::LeaveProvider(provider) => self.leave_provider(now, &provider),
            Control::Note(text) => {
                self.report(now, CallEvent::Noted { text: text.clone() });
                self.note(text);
            }
            Control::Summary(text) => {
                self.report(now, CallEvent::Summarised { text: text.clone() });
                self.transcript.summarise(text);
            }
            Control::Hold { music } => self.hold(now, music),
            Control::Resume => self.take_off_hold(now, false),
            Control::Transfer(order) => self.transfer(now, order),
            Control::Transferred(id, news) => self.on_transferred(now, id, news),
            Control::SendDigits(digits) => self.send_digits(now, &digits),
            Control::Mute(muted) => self.mute(now, muted),
            Control::Record(command) => self.on_record(now, command),
            Control::Shutdown => self.end(now, EndReason::Shutdown),
        }
    }

    fn on_timer(&mut self, now: MonoTime, timer: Timer) {
        match timer {
            Timer::Attach => self.on_attach_timeout(now),
            Timer::CutOver => self.cut_over(now),
            Timer::Leave => self.on_leave_due(now),
            Timer::Standby => self.on_standby_due(now),
            Timer::Stall => self.on_stall(now),
            Timer::Silence => self.on_provider_silent(now),
            Timer::Doubt => self.on_doubt(now),
            Timer::CarrierSilence => self.on_carrier_silent(now),
            Timer::Hold => self.take_off_hold(now, true),
            Timer::Transfer => self.on_transfer_due(now),
            Timer::Cover => self.on_quiet(),
            Timer::Tool => self.on_tool_timeout(now),
            Timer::Retry => {
                self.ask_again(now, None);
            }
            Timer::Goodbye => self.leave(now),
            Timer::SessionLimit => self.roll_over(now),
            Timer::Limit => self.end(now, EndReason::Limit),
            Timer::Playout | Timer::Recording => {}
        }
    }

    /// Sends what is due, and notes what has been heard.
    fn play(&mut self, now: MonoTime) {
        self.keep_music();
        while let Some(release) = self.playout.release(now) {
            match release {
                Release::Frame(data) => {
                    self.books.totals.frames_out += 1;
                    self.tape_voice(&data);
                    let frame = AudioFrame::new(self.playout.format(), data);
                    self.outbox.push_back(Output::Carrier(CarrierCommand::Play(frame)));
                }
                Release::Mark(mark) => self.outbox.push_back(Output::Carrier(CarrierCommand::Mark(mark))),
                Release::Starts(reply) if covers::is_cover(reply) => self.on_cover_starts(now, reply),
                Release::Starts(reply) => {
                    self.transcript.voice_speaks(reply);
                    self.books.totals.replies += 1;
                    self.covers.on_voice_heard();
                    self.books.gauges.sent(now, reply);
                    let latency = self.caller.waiting_since.take().map(|since| now.since(since));
                    self.report(now, CallEvent::ReplyStarted { reply, latency });
                }
            }
        }
        while let Some(finished) = self.playout.settle(now) {
            self.on_finished(now, finished);
        }
        while let Some(Progress { reply, more, heard }) = self.playout.progress() {
            self.report(now, CallEvent::ReplyProgress { reply, more: more.into(), heard });
        }
    }

    /// Everything not heard yet is thrown away.
    fn cut(&mut self, now: MonoTime) -> Cut {
        let cut = self.playout.cut(now);
        self.tape_cut(cut.heard_until);
        cut
    }

    fn hear(&mut self, id: AttachmentId, frame: AudioFrame) {
        self.books.totals.frames_heard += 1;
        self.books.gauges.heard_caller(id);
        self.tell(id, ProviderCommand::Hear(frame));
    }

    /// A mark came back: was it the first of an answer?
    fn on_first_heard(&mut self, now: MonoTime) {
        let told =
            self.playout.take_first_heard().and_then(|(reply, ear)| self.books.gauges.reached(ear, reply));
        if let Some(told) = told {
            self.report(now, CallEvent::FirstSound(told));
        }
    }

    /// Tells how well sound gets through: if it is time, or somebody else is about to talk, or the call ends.
    fn tell_sound(&mut self, now: MonoTime, at_once: bool) {
        let (gauges, way) = (&mut self.books.gauges, self.playout.lag());
        let sound = if at_once { gauges.tell(now, way) } else { gauges.due(now, way) };
        if let Some(sound) = sound {
            self.report(now, CallEvent::Sound(sound));
        }
    }

    fn lose(&mut self, now: MonoTime, what: Loss, lost: Lost) {
        if lost.frames == 0 {
            return;
        }
        self.books.totals.frames_lost += lost.frames;
        self.report(now, CallEvent::AudioLost { what, duration: lost.duration });
    }

    /// The call is to end once the caller has heard what is being said.
    fn say_goodbye(&mut self, now: MonoTime) {
        self.report(now, CallEvent::GoodbyeWanted);
        self.timers.set(Timer::Goodbye, now + self.config.limits.goodbye);
    }

    fn note(&mut self, text: Pii<String>) {
        self.transcript.note(text.clone());
        if let Some(live) = self.phase.live() {
            self.tell(live, ProviderCommand::Note(text));
        }
    }

    /// The voice is to say something: the live one now, or else whoever is next.
    fn ask(&mut self, now: MonoTime, cue: Option<String>) {
        self.caller.want(cue.as_deref());
        if let Some(live) = self.phase.live().filter(|_| !self.aside.is_on_hold()) {
            self.expect(now);
            self.tell(live, ProviderCommand::Speak { cue });
        }
    }

    fn tell(&mut self, id: AttachmentId, command: ProviderCommand) {
        self.outbox.push_back(Output::Provider(id, command));
    }

    fn report(&mut self, now: MonoTime, event: CallEvent) {
        self.books.seq += 1;
        self.books.filing.take(&event);
        self.outbox.push_back(Output::Report(Entry { seq: self.books.seq, at: now, event }));
    }

    fn set_or_clear(&mut self, timer: Timer, at: Option<MonoTime>) {
        match at {
            Some(at) => self.timers.set(timer, at),
            None => self.timers.clear(timer),
        }
    }
}

impl Caller {
    /// An answer is owed, in these words for the model: besides those in which one was asked for before, if
    /// nobody has answered since.
    fn want(&mut self, cue: Option<&str>) {
        self.owed = true;
        let Some(cue) = cue else { return };
        let wanted = self.cue.get_or_insert_default();
        if !wanted.is_empty() {
            wanted.push('\n');
        }
        wanted.push_str(cue);
        if let Some(excess) = wanted.len().checked_sub(limits::CUE_BYTES_MAX) {
            // The latest wish is the one that counts.
            let begin = (excess..wanted.len()).find(|at| wanted.is_char_boundary(*at));
            wanted.drain(..begin.unwrap_or_default());
        }
    }
}

impl Books {
    fn new(started: MonoTime, seed: u64) -> Self {
        Self { started, reckoned: started, seed, gauges: Gauges::new(started), ..Self::default() }
    }

    /// The number of the next attachment; `None` if this call has asked for too many of late.
    fn next_attachment(&mut self, now: MonoTime) -> Option<AttachmentId> {
        if self.asked_of_late(now) >= limits::ATTACHMENTS_MAX {
            return None;
        }
        self.asked += 1;
        self.attachments += 1;
        Some(AttachmentId(self.attachments))
    }

    /// Attachments that were asked for faster than they are granted.
    fn asked_of_late(&mut self, now: MonoTime) -> u32 {
        while self.asked > 0 && now.since(self.reckoned) >= limits::ATTACHMENT_EVERY {
            self.asked -= 1;
            self.reckoned += limits::ATTACHMENT_EVERY;
        }
        if self.asked == 0 {
            self.reckoned = now;
        }
        self.asked
    }

    fn meet(&mut self, provider: &ProviderId) {
        if !self.met.contains(provider) {
            self.met.push(provider.clone());
        }
    }

    fn bar(&mut self, provider: Option<&ProviderId>) {
        if let Some(provider) = provider.filter(|provider| !self.barred.contains(provider)) {
            self.barred.push(provider.clone());
        }
    }

    /// Whoever could be asked would fail the same way: asking again changes nothing. Only those who were met are
    /// known; somebody who was just not let in yet is given one round to be met.
    fn is_hopeless(&self) -> bool {
        let all_barred = !self.barred.is_empty() && self.met.iter().all(|met| self.barred.contains(met));
        all_barred && self.rounds >= backoff::ROUNDS_FOR_STRANGERS
    }
}

/// The first, the tenth, the hundredth: enough to know, too few to fill a disk.
fn is_worth_telling(count: u32) -> bool {
    count > 0 && 10_u32.pow(count.ilog10()) == count
}

#[cfg(test)]
mod tests;
