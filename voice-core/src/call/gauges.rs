//! What is measured in a call and told in its record: how long an answer took, and in whose hands; how well sound
//! gets through.

use std::time::Duration;

use crate::audio::FRAME;
use crate::audio::quality::Meter;
use crate::id::{AttachmentId, ReplyId};
use crate::record::{Sound, VoiceToVoice};
use crate::time::MonoTime;

/// How often the record tells how well sound gets through.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    turn: Option<Turn>,
    pub(super) line: Meter,
    told_at: MonoTime,
    /// Who heard the caller last.
    pub(super) hears: Option<AttachmentId>,
    to_provider: u32,
    from_provider: u32,
}

/// One answer under way, from the caller's last word on.
#[derive(Debug)]
struct Turn {
    voiced: MonoTime,
    paused: MonoTime,
    /// The first sound of the reply came then.
    came: Option<(ReplyId, MonoTime)>,
    /// It was sent to the carrier then.
    sent: Option<MonoTime>,
}

impl Gauges {
    pub(super) fn new(now: MonoTime) -> Self {
        Self { told_at: now, ..Self::default() }
    }

    /// The caller fell silent, says the provider; by our own ear they did at `voiced`.
    pub(super) fn caller_paused(&mut self, now: MonoTime, voiced: Option<MonoTime>) {
        self.turn = voiced.map(|voiced| Turn { voiced, paused: now, came: None, sent: None });
    }

    /// The caller speaks again: what was on its way answers nothing.
    pub(super) fn caller_spoke(&mut self) {
        self.turn = None;
    }

    pub(super) fn heard_caller(&mut self, by: AttachmentId) {
        self.hears = Some(by);
        self.to_provider += 1;
    }

    pub(super) fn came(&mut self, now: MonoTime, reply: ReplyId) {
        self.from_provider += 1;
        if let Some(turn) = &mut self.turn {
            turn.came.get_or_insert((reply, now));
        }
    }

    pub(super) fn sent(&mut self, now: MonoTime, reply: ReplyId) {
        if let Some(turn) = self.turn.as_mut().filter(|turn| turn.came.is_some_and(|(came, _)| came == reply))
        {
            turn.sent.get_or_insert(now);
        }
    }

    /// The carrier's mark says that the first sound of this reply reached the ear then.
    pub(super) fn reached(&mut self, ear: MonoTime, reply: ReplyId) -> Option<VoiceToVoice> {
        let turn = self.turn.take_if(|turn| turn.came.is_some_and(|(came, _)| came == reply))?;
        let ((_, came), sent) = (turn.came?, turn.sent?);
        Some(VoiceToVoice {
            reply,
            detection: turn.paused.since(turn.voiced),
            provider: came.since(turn.paused),
            pacing: sent.since(came),
            network: ear.since(sent),
        })
    }

    /// What is to be told now, if it is time.
    pub(super) fn due(&mut self, now: MonoTime, way: Duration) -> Option<Sound> {
        (now.since(self.told_at) >= TELL_EVERY).then(|| self.tell(now, way))?
    }

    /// What there is to tell, whether or not it is time. `None` if nothing passed either way.
    pub(super) fn tell(&mut self, now: MonoTime, way: Duration) -> Option<Sound> {
        let span = now.since(std::mem::replace(&mut self.told_at, now));
        let line = self.line.read();
        let (to_provider, from_provider) =
            (std::mem::take(&mut self.to_provider), std::mem::take(&mut self.from_provider));
        let is_rated = line.received + line.lost >= FRAME * 50;
        let rating = is_rated.then(|| line.rating(way));
        let something = !line.received.is_zero() || to_provider > 0 || from_provider > 0;
        let attachment = self.hears;
        something.then_some(Sound { attachment, span, line, way, rating, to_provider, from_provider })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: fn(u64) -> MonoTime = MonoTime::from_millis;

    fn reply(n: u32) -> ReplyId {
        ReplyId::new(AttachmentId(1), n)
    }

    #[test]
    fn the_parts_of_an_answer_add_up() {
        let mut gauges = Gauges::new(AT(0));
        gauges.caller_paused(AT(1_500), Some(AT(1_000)));
        gauges.came(AT(1_900), reply(1));
        gauges.came(AT(1_920), reply(1));
        gauges.sent(AT(1_950), reply(1));
        assert_eq!(gauges.reached(AT(2_050), reply(2)), None);
        let told = gauges.reached(AT(2_050), reply(1)).expect("it was acknowledged");
        let ms = Duration::from_millis;
        let parts = (told.detection, told.provider, told.pacing, told.network);
        assert_eq!((parts, told.total()), ((ms(500), ms(400), ms(50), ms(100)), ms(1_050)));
        assert_eq!(gauges.reached(AT(2_100), reply(1)), None, "once");
    }

    #[test]
    fn who_speaks_on_is_answered_anew() {
        let mut gauges = Gauges::new(AT(0));
        gauges.caller_paused(AT(1_500), Some(AT(1_000)));
        gauges.came(AT(1_900), reply(1));
        gauges.caller_spoke();
        gauges.sent(AT(1_950), reply(1));
        assert_eq!(gauges.reached(AT(2_050), reply(1)), None);
    }

    #[test]
    fn sound_is_told_in_its_time_and_never_about_nothing() {
        let mut gauges = Gauges::new(AT(0));
        assert_eq!(gauges.due(AT(20_000), Duration::ZERO), None);
        gauges.line.arrived(AT(20_020), FRAME);
        gauges.heard_caller(AttachmentId(1));
        assert_eq!(gauges.due(AT(29_999), Duration::ZERO), None);
        let sound = gauges.due(AT(30_000), Duration::ZERO).expect("it is time");
        assert_eq!(
            (sound.attachment, sound.to_provider, sound.rating),
            (Some(AttachmentId(1)), 1, None),
            "one frame says nothing about a line"
        );
        assert_eq!(gauges.tell(AT(30_000), Duration::ZERO), None);
    }
}
