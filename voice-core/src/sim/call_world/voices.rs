//! Providers as they are on a bad day: slow, sudden, talking on after they were interrupted.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use crate::conversation::ToolCall;
use crate::failure::Failure;
use crate::id::{AttachmentId, ReplyId, ToolCallId, UtteranceId};
use crate::provider::{ProviderCommand, ProviderEvent, ReplyEnd};
use crate::sim::rng::Rng;
use crate::time::MonoTime;

/// One attached provider.
pub(super) struct Voice {
    id: AttachmentId,
    /// Replies planned, and those that have begun with the numbers they got.
    planned: u32,
    begun: BTreeMap<ReplyId, u32>,
    utterances: u32,
    tools: u32,
    /// Up to this one, replies were interrupted.
    cut: Option<ReplyId>,
    /// Whether it keeps talking after it was interrupted, and how often.
    stray_percent: u64,
    failed: bool,
}

type Says = Vec<(Duration, ProviderEvent)>;

impl Voice {
    /// A session that was just opened, and what it will say about that.
    pub(super) fn open(now: MonoTime, id: AttachmentId, out: bool, rng: &mut Rng) -> (Self, Says) {
        let voice = Self {
            id,
            planned: 0,
            begun: BTreeMap::new(),
            utterances: 0,
            tools: 0,
            cut: None,
            stray_percent: if rng.percent(30) { 60 } else { 0 },
            failed: false,
        };
        let ready_in = rng.millis(50..1_500);
        // Some services end a session after a while, and say so.
        let ends_in = rng.percent(20).then(|| ready_in + rng.millis(8_000..40_000));
        let expires = ends_in.map(|ends_in| now + ends_in);
        let ready = ProviderEvent::Ready { session: Some("sim".into()), expires };
        let mut says = match rng.range(0..100) {
            _ if out => vec![(ready_in / 4, ProviderEvent::Failed(some_failure(rng)))],
            0..6 => vec![(ready_in, ProviderEvent::Failed(some_failure(rng)))],
            6..10 => vec![],
            10..13 => vec![(ready_in, ready.clone()), (ready_in + rng.millis(0..500), ready)],
            // It talks before it is ready.
            13..15 => vec![(ready_in / 2, speech(ReplyId::new(id, 900), 0)), (ready_in, ready)],
            _ => vec![(ready_in, ready)],
        };
        says.extend(ends_in.map(|ends_in| (ends_in, ProviderEvent::Failed(Failure::SessionLimit))));
        (voice, says)
    }

    /// It is live: the rest of its life, if nobody interrupts.
    pub(super) fn begin(&mut self, rng: &mut Rng) -> Says {
        let mut says = self.turn(rng.millis(200..4_000), rng);
        if rng.percent(35) {
            says.push((rng.millis(100..30_000), ProviderEvent::Failed(some_failure(rng))));
        }
        if rng.percent(5) {
            says.push((rng.millis(0..10_000), ProviderEvent::Unknown { kind: "session.poem".into() }));
        }
        if rng.percent(5) {
            let harmless = Failure::Harmless { code: "lost_race".into() };
            says.push((rng.millis(0..10_000), ProviderEvent::Failed(harmless)));
        }
        says
    }

    /// A command reached it.
    pub(super) fn hears(&mut self, command: &ProviderCommand, rng: &mut Rng) -> Says {
        match command {
            ProviderCommand::Interrupt(heard) => {
                self.cut = self.cut.max(heard.iter().map(|h| h.reply).max());
                Says::new()
            }
            ProviderCommand::Speak { .. } | ProviderCommand::Answer { .. } => {
                let delay = rng.millis(50..1_500);
                self.reply(delay, rng)
            }
            ProviderCommand::Hear(_)
            | ProviderCommand::CatchUp(_)
            | ProviderCommand::Note(_)
            | ProviderCommand::Close => Says::new(),
        }
    }

    /// What is still said of a plan when its time comes. Only now do replies get their ids, because
    /// those rise in the order in which replies begin, whatever was planned first.
    pub(super) fn says(&mut self, mut event: ProviderEvent, rng: &mut Rng) -> Option<ProviderEvent> {
        if self.failed {
            return None;
        }
        if let ProviderEvent::Failed(failure) = &event {
            self.failed = failure.verdict() != crate::failure::Verdict::Ignore;
        }
        if let ProviderEvent::Speech { reply, .. }
        | ProviderEvent::Words { reply, .. }
        | ProviderEvent::ReplyDone { reply, .. } = &mut event
        {
            *reply = self.begun(*reply);
            let cut = self.cut.is_some_and(|cut| *reply <= cut);
            if cut && !rng.percent(self.stray_percent) {
                return None;
            }
        }
        if let ProviderEvent::Speech { reply, audio } = &mut event {
            *audio = with_id(*reply, audio);
        }
        Some(event)
    }

    fn begun(&mut self, planned: ReplyId) -> ReplyId {
        let next = self.begun.len() as u32 + 1;
        ReplyId::new(self.id, *self.begun.entry(planned).or_insert(next))
    }

    /// The caller speaks, pauses, is answered; then the same again.
    fn turn(&mut self, delay: Duration, rng: &mut Rng) -> Says {
        let mut says = Says::new();
        let mut at = delay;
        for _ in 0..rng.range(1..8) {
            self.utterances += 1;
            let utterance = UtteranceId::new(self.id, self.utterances);
            says.push((at, ProviderEvent::CallerSpoke(utterance)));
            at += rng.millis(200..2_500);
            if !rng.percent(3) {
                says.push((at, ProviderEvent::CallerPaused(utterance)));
            }
            if !rng.percent(10) {
                let rest = " and so on".repeat(rng.range(0..20) as usize);
                let text = format!("words {} of {}{rest}", self.utterances, self.id).into();
                says.push((at + rng.millis(0..3_000), ProviderEvent::CallerSaid { utterance, text }));
            }
            at += rng.millis(100..1_500);
            if rng.percent(15) {
                says.push((at, ProviderEvent::ToolCall(self.tool(rng))));
            }
            if !rng.percent(5) {
                let reply = self.reply(at, rng);
                says.extend(reply);
            }
            // The next turn begins before, while or after this reply is heard.
            at += rng.millis(300..9_000);
        }
        says
    }

    /// One reply: words ahead of sound, sound faster than it can be spoken.
    fn reply(&mut self, delay: Duration, rng: &mut Rng) -> Says {
        let mut says = Says::new();
        let mut at = delay;
        for _ in 0..rng.range(1..3) {
            self.planned += 1;
            let reply = ReplyId::new(self.id, self.planned);
            for n in 0..rng.range(1..300) as u32 {
                if n % 12 == 0 {
                    says.push((at, ProviderEvent::Words { reply, text: format!("word{n} ").into() }));
                }
                says.push((at, speech(reply, n)));
                at += rng.millis(0..8);
            }
            let end = match rng.range(0..20) {
                0 => ReplyEnd::Failed,
                1 => ReplyEnd::Incomplete,
                2 => ReplyEnd::Cancelled,
                _ => ReplyEnd::Completed,
            };
            if !rng.percent(2) {
                says.push((at, ProviderEvent::ReplyDone { reply, end }));
            }
            if rng.percent(4) {
                says.push((at + rng.millis(0..200), speech(reply, 9_999)));
                says.push((at + rng.millis(0..200), ProviderEvent::ReplyDone { reply, end }));
            }
        }
        says
    }

    fn tool(&mut self, rng: &mut Rng) -> ToolCall {
        if !rng.percent(5) {
            self.tools += 1;
        }
        let name = if rng.percent(10) { "nonesuch" } else { "look" };
        ToolCall { id: ToolCallId::new(self.id, self.tools), name: name.into(), arguments: "{}".into() }
    }
}

fn speech(reply: ReplyId, number: u32) -> ProviderEvent {
    let mut data = vec![0x55; 160];
    data[8..12].copy_from_slice(&number.to_le_bytes());
    ProviderEvent::Speech { reply, audio: Bytes::from(data) }
}

fn with_id(reply: ReplyId, audio: &[u8]) -> Bytes {
    let mut data = audio.to_vec();
    data[..8].copy_from_slice(&reply.as_u64().to_le_bytes());
    Bytes::from(data)
}

/// Which reply a frame of [`speech`] belongs to.
pub(super) fn reply_of(data: &[u8]) -> ReplyId {
    let mut id = [0; 8];
    id.copy_from_slice(&data[..8]);
    ReplyId::from_u64(u64::from_le_bytes(id))
}

fn some_failure(rng: &mut Rng) -> Failure {
    match rng.range(0..8) {
        0 => Failure::Closed { code: 1011 },
        1 => Failure::Throttled { retry_after: None },
        2 => Failure::Credentials,
        3 => Failure::SessionLimit,
        4 => Failure::Service { code: "server_error".into() },
        5 => Failure::Unreadable("json"),
        _ => Failure::Cut,
    }
}
