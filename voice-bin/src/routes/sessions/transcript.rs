//! What was said in a call, in spoken order, folded from its record.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;
use voice_core::id::{AttachmentId, CallId, ProviderId, ReplyId, UtteranceId};
use voice_core::record::CallEvent;
use voice_core::time::UnixMillis;

use super::super::problem::Problem;
use super::history;
use super::time::rfc3339;
use super::told::Told;
use crate::server::App;

/// Entries that are read at once.
const ENTRIES_MAX: usize = 1_024;

/// One turn.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Turn {
    /// The entry that tells the words.
    seq: u64,
    speaker: Speaker,
    /// What was said; of a reply that was cut, what was heard of it.
    text: String,
    /// When they began to speak.
    #[schema(format = DateTime)]
    started_at: String,
    /// Whose voice it was.
    provider: Option<String>,
    /// Whether the caller cut it short.
    cut: bool,
}

/// Who spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Speaker {
    Caller,
    Voice,
}

/// All that was said so far.
pub(super) async fn turns(app: &App, call: CallId) -> Result<Vec<Turn>, Problem> {
    let (mut script, mut after) = (Script::default(), 0);
    loop {
        let told = history::entries(app, call, after, ENTRIES_MAX).await?;
        let Some(last) = told.last() else { return Ok(script.turns()) };
        after = last.seq;
        told.iter().for_each(|told| script.take(told));
    }
}

#[derive(Default)]
struct Script {
    spoke: BTreeMap<UtteranceId, UnixMillis>,
    began: BTreeMap<ReplyId, UnixMillis>,
    providers: BTreeMap<AttachmentId, ProviderId>,
    turns: Vec<(UnixMillis, Turn)>,
}

impl Script {
    #[allow(clippy::wildcard_enum_match_arm, reason = "of all that can be told, only this matters here")]
    fn take(&mut self, told: &Told) {
        let Some(event) = &told.event else { return };
        match event {
            CallEvent::Assigned { attachment, provider } => {
                self.providers.insert(*attachment, provider.clone());
            }
            CallEvent::CallerSpoke { utterance } => {
                self.spoke.insert(*utterance, told.at);
            }
            CallEvent::ReplyStarted { reply, .. } => {
                self.began.insert(*reply, told.at);
            }
            CallEvent::CallerSaid { utterance, text } if !text.expose().is_empty() => {
                let began = self.spoke.get(utterance).copied().unwrap_or(told.at);
                let text = text.expose().clone();
                self.add(began, told.seq, (Speaker::Caller, None), text, false);
            }
            CallEvent::ReplyHeard { reply, text, cut, .. } if !text.expose().is_empty() => {
                let began = self.began.get(reply).copied().unwrap_or(told.at);
                // The upper half of the id is the attachment.
                let attachment = u32::try_from(reply.as_u64() >> 32).unwrap_or_default();
                let provider = self.providers.get(&AttachmentId(attachment)).map(ToString::to_string);
                self.add(began, told.seq, (Speaker::Voice, provider), text.expose().clone(), *cut);
            }
            _nothing_was_said => {}
        }
    }

    fn add(
        &mut self,
        began: UnixMillis,
        seq: u64,
        (speaker, provider): (Speaker, Option<String>),
        text: String,
        cut: bool,
    ) {
        let turn = Turn { seq, speaker, text, started_at: rfc3339(began), provider, cut };
        self.turns.push((began, turn));
    }

    /// Transcriptions come late, some after the reply to what was said.
    fn turns(mut self) -> Vec<Turn> {
        self.turns.sort_by_key(|(began, turn)| (*began, turn.seq));
        self.turns.into_iter().map(|(_, turn)| turn).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use voice_core::time::MonoTime;

    use super::*;

    #[test]
    fn words_that_are_known_late_stand_where_they_were_spoken() {
        let mut script = Script::default();
        let attachment = AttachmentId(1);
        let (reply, utterance) = (ReplyId::from_u64(1 << 32 | 1), UtteranceId::from_u64(1 << 32 | 1));
        let events = [
            CallEvent::Assigned { attachment, provider: ProviderId::from_static("ada") },
            CallEvent::CallerSpoke { utterance },
            CallEvent::ReplyStarted { reply, latency: None },
            CallEvent::ReplyHeard {
                reply,
                text: "We are".into(),
                heard: Duration::ZERO,
                unheard: Duration::ZERO,
                cut: true,
            },
            CallEvent::CallerSaid { utterance, text: "Are you open?".into() },
            CallEvent::CallerSaid { utterance, text: "".into() },
        ];
        for (seq, event) in (1..).zip(events) {
            let (at, offset) = (UnixMillis(seq), MonoTime::ZERO);
            script.take(&Told { seq: seq.cast_unsigned(), at, offset, event: Some(event) });
        }
        let turns = script.turns();
        let shown: Vec<_> = turns
            .iter()
            .map(|turn| (turn.speaker, turn.text.as_str(), turn.provider.as_deref(), turn.cut))
            .collect();
        assert_eq!(
            shown,
            [(Speaker::Caller, "Are you open?", None, false), (Speaker::Voice, "We are", Some("ada"), true)]
        );
    }
}
