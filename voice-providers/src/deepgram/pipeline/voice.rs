//! The voice: one line to Aura, sentences into it, speech out of it, and whose speech it is.
//!
//! Nothing in the service's messages says which audio belongs to which text. What it does say is when a
//! flush is done, and flushes are done in order: so text is gathered in groups that end with a flush, and
//! audio belongs to the oldest group that is not done (protocol notes, Speak v1 §4).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use voice_core::audio::AudioFormat;
use voice_core::failure::{Blame, Failure};
use voice_core::id::{LineId, ReplyId};
use voice_core::provider::{ProviderEvent, ReplyEnd, SessionOutput};
use voice_core::sensitive::Pii;
use voice_core::time::{MonoTime, Timers};
use voice_core::wire::{Endpoint, LineEnd, WireMessage};

use super::failures;
use super::part::{LineIds, Part, Told, Unreadable};
use super::settings::PipelineSettings;
use super::wire::{self, FromSpeak};

/// What the voice tells the rest, beside the events of replies.
pub(super) enum VoiceEvent {
    /// It can speak.
    Ready,
    /// So much of this group is sound now.
    Sounded { reply: ReplyId, group: u32, duration: Duration },
    /// All of this group is sound.
    Spoken { reply: ReplyId, group: u32 },
}

/// See the module.
pub(super) struct Voice {
    settings: Arc<PipelineSettings>,
    format: AudioFormat,
    ids: LineIds,
    line: Line,
    /// Text on its way to sound, oldest first.
    groups: VecDeque<Group>,
    groups_made: u32,
    /// Replies that are not done, oldest first.
    replies: VecDeque<Open>,
    /// When the last flushes were sent; the service counts them.
    flushes: VecDeque<MonoTime>,
    timers: Timers<Timer>,
    unreadable: Unreadable,
    outbox: VecDeque<Told<VoiceEvent>>,
}

/// The line as it stands.
#[derive(Debug)]
struct Line {
    id: LineId,
    state: State,
    /// Since when it is up.
    since: MonoTime,
    /// An odd byte of a sample of two, until its other half comes.
    odd: BytesMut,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Dialling,
    Speaking,
    /// What comes is old, until the service says that it has cleared.
    Clearing,
    Gone,
}

/// Text that was, or will be, flushed together.
struct Group {
    reply: ReplyId,
    number: u32,
    /// Text that has not been reported as words, because nothing of the group has sounded yet.
    unreported: String,
    chars: usize,
    /// Text that could not be sent yet.
    unsent: Vec<String>,
    sounded: bool,
    flush: Flush,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flush {
    NotYet,
    Wanted,
    Sent,
}

/// A reply that is not done.
#[derive(Debug)]
struct Open {
    reply: ReplyId,
    /// Whether anybody outside knows of it.
    announced: bool,
    end: Option<ReplyEnd>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timer {
    /// A flush was sent, and neither sound nor its end has come.
    Stall,
    /// The service was told to clear, and has not said so.
    Clear,
    /// The socket nears the longest time that it may stand.
    Recycle,
    /// A flush may be sent again.
    Flush,
}

/// The service takes 20 flushes in 60 s and ignores more (protocol notes, Speak v1 §4), so that one
/// minute is left before its edge…
const FLUSHES_MAX: usize = 20;
const FLUSH_WINDOW: Duration = Duration::from_secs(61);
/// …and those that only make things faster leave room for those that are needed.
const FLUSHES_FOR_SPEED: usize = 12;

/// A group of so much text is flushed although its reply goes on.
const GROUP_CHARS: usize = 200;

/// First sound comes 0.1–0.25 s after a flush, the rest faster than it is spoken.
const STALL_AFTER: Duration = Duration::from_secs(5);
const CLEAR_WITHIN: Duration = Duration::from_secs(2);

/// The service cuts a socket after an hour (NET-0003).
pub(super) const RECYCLE_AFTER: Duration = Duration::from_secs(55 * 60);
/// While it speaks, recycling waits so long.
const RECYCLE_AGAIN: Duration = Duration::from_secs(10);

/// A line that was cut while idle is made anew, unless it was as short-lived as this.
const WORTH_REDIALLING: Duration = Duration::from_secs(30);

impl Voice {
    pub(super) fn new(settings: Arc<PipelineSettings>, format: AudioFormat) -> Self {
        let mut ids = LineIds::of(Part::Voice);
        let line =
            Line { id: ids.next(), state: State::Dialling, since: MonoTime::ZERO, odd: BytesMut::new() };
        let mut voice = Self {
            settings,
            format,
            ids,
            line,
            groups: VecDeque::new(),
            groups_made: 0,
            replies: VecDeque::new(),
            flushes: VecDeque::new(),
            timers: Timers::default(),
            unreadable: Unreadable::default(),
            outbox: VecDeque::new(),
        };
        voice.dial();
        voice
    }

    /// Speaks more of a reply. Answers with the group that the text went to.
    pub(super) fn say(&mut self, now: MonoTime, reply: ReplyId, text: &str) -> u32 {
        let first = !self.replies.iter().any(|open| open.reply == reply);
        if first {
            self.replies.push_back(Open { reply, announced: false, end: None });
        }
        let open = self.groups.back().filter(|g| g.reply == reply && g.flush == Flush::NotYet);
        if open.is_none() {
            self.groups_made += 1;
            self.groups.push_back(Group {
                reply,
                number: self.groups_made,
                unreported: String::new(),
                chars: 0,
                unsent: Vec::new(),
                sounded: false,
                flush: Flush::NotYet,
            });
        }
        let quick = self.flushes_left(now) > FLUSHES_MAX - FLUSHES_FOR_SPEED;
        let group = self.groups.back_mut().expect("one was pushed if there was none");
        group.chars += text.chars().count();
        group.unsent.push(text.to_owned());
        if quick && (first || group.chars >= GROUP_CHARS) {
            group.flush = Flush::Wanted;
        }
        let number = group.number;
        // The pieces of a reply come without the white space between them.
        let text = if first { text.to_owned() } else { format!(" {text}") };
        if group.sounded {
            self.words(reply, text);
        } else {
            group.unreported.push_str(&text);
        }
        self.send_unsent(now);
        number
    }

    /// Nothing more will be said in this reply.
    pub(super) fn finish(&mut self, now: MonoTime, reply: ReplyId, end: ReplyEnd) {
        match self.replies.iter_mut().find(|open| open.reply == reply) {
            Some(open) => open.end = Some(end),
            None => self.replies.push_back(Open { reply, announced: false, end: Some(end) }),
        }
        if let Some(group) = self.groups.back_mut().filter(|g| g.reply == reply && g.flush == Flush::NotYet) {
            group.flush = Flush::Wanted;
        }
        self.send_unsent(now);
        self.settle();
    }

    /// Stops at once. Nothing of any reply before this will be told any more but its end. Answers with
    /// the replies that were not done, and whether anybody outside knows of them.
    pub(super) fn cut(&mut self, now: MonoTime) -> Vec<(ReplyId, bool)> {
        let speaking = self.groups.iter().any(|group| group.unsent.is_empty());
        self.groups.clear();
        self.timers.clear(Timer::Stall);
        self.timers.clear(Timer::Flush);
        self.line.odd.clear();
        if speaking && self.line.state == State::Speaking {
            self.line.state = State::Clearing;
            self.timers.set(Timer::Clear, now + CLEAR_WITHIN);
            self.outbox.push_back(Told::text(self.line.id, wire::CLEAR));
        }
        let cut = self.replies.drain(..).map(|open| (open.reply, open.announced)).collect::<Vec<_>>();
        for (reply, _) in cut.iter().filter(|(_, announced)| *announced) {
            self.done(*reply, ReplyEnd::Cancelled);
        }
        cut
    }

    /// Whether anything is being said that nobody outside knows of yet.
    pub(super) fn is_unannounced(&self) -> bool {
        self.replies.iter().any(|open| !open.announced)
    }

    /// Whether nothing is left to be said.
    pub(super) fn is_silent(&self) -> bool {
        self.replies.is_empty()
    }

    pub(super) fn on_up(&mut self, now: MonoTime, line: LineId) {
        if line != self.line.id || self.line.state != State::Dialling {
            return;
        }
        self.line.state = State::Speaking;
        self.line.since = now;
        self.timers.set(Timer::Recycle, now + RECYCLE_AFTER);
        self.outbox.push_back(Told::Own(VoiceEvent::Ready));
        self.send_unsent(now);
    }

    pub(super) fn on_wire(&mut self, now: MonoTime, line: LineId, message: &WireMessage) {
        if line != self.line.id || self.line.state == State::Gone {
            return;
        }
        match message {
            WireMessage::Binary(audio) => self.on_audio(now, audio.clone()),
            WireMessage::Text(text) => match wire::from_speak(text.as_bytes()) {
                Ok(said) => self.on_message(now, said),
                Err(_) => {
                    let told = self.unreadable.count("message of the voice");
                    self.outbox.push_back(told);
                }
            },
        }
    }

    /// A line that was idle and had proven itself is made anew; any other end is a failure.
    pub(super) fn on_down(&mut self, now: MonoTime, line: LineId, end: &LineEnd) {
        if line != self.line.id || self.line.state == State::Gone {
            return;
        }
        let failure = failures::of_line(end);
        let proven = self.line.state != State::Dialling && now.since(self.line.since) >= WORTH_REDIALLING;
        let ours = failure.blame() == Blame::Us;
        if proven && !ours && self.groups.iter().all(|group| !group.unsent.is_empty()) {
            self.outbox.push_back(Told::harmless(&format!("voice.redial.{}", failure.kind())));
            return self.redial();
        }
        self.fail(failure);
    }

    pub(super) fn tick(&mut self, now: MonoTime) {
        while let Some(timer) = self.timers.expired(now) {
            match timer {
                Timer::Stall => self.fail(Failure::Stalled(STALL_AFTER)),
                // What comes now may be old or new, and nothing says which: a new line knows.
                Timer::Clear => {
                    self.outbox.push_back(Told::harmless("voice.redial.not_cleared"));
                    self.hang_up_politely();
                    self.redial();
                }
                Timer::Recycle if self.groups.is_empty() && self.line.state == State::Speaking => {
                    self.hang_up_politely();
                    self.redial();
                }
                Timer::Recycle => self.timers.set(Timer::Recycle, now + RECYCLE_AGAIN),
                Timer::Flush => self.send_unsent(now),
            }
        }
    }

    /// Says goodbye.
    pub(super) fn close(&mut self) {
        if self.line.state != State::Gone {
            self.hang_up_politely();
        }
        self.line.state = State::Gone;
        self.timers = Timers::default();
    }

    pub(super) fn poll(&mut self) -> Option<Told<VoiceEvent>> {
        self.outbox.pop_front()
    }

    /// What is left for the lines themselves, when nothing else is of interest any more.
    pub(super) fn poll_wires(&mut self) -> Vec<SessionOutput> {
        self.outbox.drain(..).filter_map(Told::into_wire).collect()
    }

    pub(super) fn wakes_at(&self) -> Option<MonoTime> {
        self.timers.next().map(|(_, at)| at)
    }

    fn on_audio(&mut self, now: MonoTime, audio: Bytes) {
        if self.line.state != State::Speaking {
            return;
        }
        let audio = self.whole_samples(audio);
        let Some(group) = self.groups.front_mut() else { return };
        if audio.is_empty() {
            return;
        }
        let (reply, number) = (group.reply, group.number);
        group.sounded = true;
        let words = std::mem::take(&mut group.unreported);
        if !words.is_empty() {
            self.words(reply, words);
        }
        self.watch(now);
        let duration = self.format.duration_of(audio.len());
        self.outbox.push_back(Told::Own(VoiceEvent::Sounded { reply, group: number, duration }));
        self.announce(reply);
        self.event(ProviderEvent::Speech { reply, audio });
    }

    fn on_message(&mut self, now: MonoTime, said: FromSpeak) {
        match said {
            FromSpeak::Metadata => {}
            FromSpeak::Flushed => self.on_flushed(now),
            FromSpeak::Cleared => {
                if self.line.state == State::Clearing {
                    self.line.state = State::Speaking;
                    self.timers.clear(Timer::Clear);
                    self.send_unsent(now);
                }
            }
            FromSpeak::Warning { code } => self.outbox.push_back(Told::harmless(&code)),
            FromSpeak::Error { code } => self.fail(failures::of_message(&code)),
            FromSpeak::Unknown(kind) => self.outbox.push_back(Told::unknown(&kind)),
        }
    }

    fn on_flushed(&mut self, now: MonoTime) {
        let flushed = self.groups.front().is_some_and(|group| group.flush == Flush::Sent);
        if self.line.state != State::Speaking || !flushed {
            return;
        }
        let Some(group) = self.groups.pop_front() else { return };
        self.line.odd.clear();
        if !group.unreported.is_empty() {
            // Text without sound is text that nobody heard: it is not reported as words.
            self.outbox.push_back(Told::harmless("voice.no_audio"));
        }
        self.outbox.push_back(Told::Own(VoiceEvent::Spoken { reply: group.reply, group: group.number }));
        self.watch(now);
        self.settle();
    }

    /// Something must come as long as a flush is not done. What was not flushed may wait for ever.
    fn watch(&mut self, now: MonoTime) {
        if self.groups.iter().any(|group| group.flush == Flush::Sent) {
            self.timers.set(Timer::Stall, now + STALL_AFTER);
        } else {
            self.timers.clear(Timer::Stall);
        }
    }

    /// Tells of the replies that are done, in order.
    fn settle(&mut self) {
        while let Some(open) = self.replies.front() {
            let (reply, Some(end)) = (open.reply, open.end) else { return };
            if self.groups.iter().any(|group| group.reply == reply) {
                return;
            }
            self.replies.pop_front();
            self.done(reply, end);
        }
    }

    /// Sends what the state of the line and the number of flushes allow.
    fn send_unsent(&mut self, now: MonoTime) {
        if self.line.state != State::Speaking {
            return;
        }
        let mut left = self.flushes_left(now);
        let line = self.line.id;
        for group in &mut self.groups {
            for text in group.unsent.drain(..) {
                self.outbox.push_back(Told::text(line, wire::speak(&text)));
            }
            if group.flush == Flush::Wanted {
                if left == 0 {
                    let oldest = self.flushes.front().copied().unwrap_or(now);
                    self.timers.set(Timer::Flush, oldest + FLUSH_WINDOW);
                    // What comes behind would be spoken as part of this group.
                    return;
                }
                left -= 1;
                group.flush = Flush::Sent;
                self.flushes.push_back(now);
                self.timers.set(Timer::Stall, now + STALL_AFTER);
                self.outbox.push_back(Told::text(line, wire::FLUSH));
            }
        }
    }

    fn flushes_left(&mut self, now: MonoTime) -> usize {
        while self.flushes.front().is_some_and(|at| *at + FLUSH_WINDOW <= now) {
            self.flushes.pop_front();
        }
        FLUSHES_MAX.saturating_sub(self.flushes.len())
    }

    /// Whole samples only: a message may end in the middle of one.
    fn whole_samples(&mut self, audio: Bytes) -> Bytes {
        let width = self.format.encoding.bytes_per_sample();
        if width == 1 || (self.line.odd.is_empty() && audio.len().is_multiple_of(width)) {
            return audio;
        }
        let mut joined = std::mem::take(&mut self.line.odd);
        joined.extend_from_slice(&audio);
        self.line.odd = joined.split_off(joined.len() - joined.len() % width);
        joined.freeze()
    }

    fn announce(&mut self, reply: ReplyId) {
        if let Some(open) = self.replies.iter_mut().find(|open| open.reply == reply) {
            open.announced = true;
        }
    }

    fn words(&mut self, reply: ReplyId, text: String) {
        self.announce(reply);
        self.event(ProviderEvent::Words { reply, text: Pii::new(text) });
    }

    fn done(&mut self, reply: ReplyId, end: ReplyEnd) {
        self.event(ProviderEvent::ReplyDone { reply, end });
    }

    fn event(&mut self, event: ProviderEvent) {
        self.outbox.push_back(Told::Out(SessionOutput::Event(event)));
    }

    fn dial(&mut self) {
        let endpoint = Endpoint::web_socket(self.settings.voice_url(self.format))
            .header("authorization", self.settings.authorization());
        self.outbox.push_back(Told::Out(SessionOutput::Dial(self.line.id, endpoint)));
    }

    fn redial(&mut self) {
        self.line =
            Line { id: self.ids.next(), state: State::Dialling, since: MonoTime::ZERO, odd: BytesMut::new() };
        self.timers = Timers::default();
        self.flushes.clear();
        self.dial();
    }

    fn hang_up_politely(&mut self) {
        if matches!(self.line.state, State::Speaking | State::Clearing) {
            self.outbox.push_back(Told::text(self.line.id, wire::CLOSE));
        }
        self.outbox.push_back(Told::Out(SessionOutput::HangUp(self.line.id)));
    }

    fn fail(&mut self, failure: Failure) {
        self.line.state = State::Gone;
        self.timers = Timers::default();
        self.outbox.push_back(Told::failed(failure));
    }
}
