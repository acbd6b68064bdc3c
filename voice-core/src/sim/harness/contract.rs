//! The contract of a provider's session, checked with every output.

use std::collections::{BTreeMap, BTreeSet};

use crate::failure::Verdict;
use crate::id::{AttachmentId, LineId, ReplyId, ToolCallId, UtteranceId};
use crate::provider::{ProviderCommand, ProviderEvent};

/// What a session has said so far, as far as later outputs depend on it.
pub(super) struct Contract {
    attachment: AttachmentId,
    is_ready: bool,
    is_over: bool,
    is_closed: bool,
    /// The service tells when the caller speaks.
    is_caller_told: bool,
    /// Replies, and whether each is done.
    replies: BTreeMap<ReplyId, bool>,
    tools: BTreeSet<ToolCallId>,
    utterances: BTreeSet<UtteranceId>,
    lines: BTreeSet<LineId>,
}

impl Contract {
    pub(super) fn new(attachment: AttachmentId) -> Self {
        Self {
            attachment,
            is_ready: false,
            is_over: false,
            is_closed: false,
            is_caller_told: true,
            replies: BTreeMap::new(),
            tools: BTreeSet::new(),
            utterances: BTreeSet::new(),
            lines: BTreeSet::new(),
        }
    }

    pub(super) fn caller_is_detected(&mut self) {
        self.is_caller_told = false;
    }

    pub(super) fn dialled(&mut self, line: LineId) {
        assert!(self.lines.insert(line), "a line is dialled once ({line})");
        assert!(!self.is_over && !self.is_closed, "nothing is dialled after the end ({line})");
    }

    pub(super) fn commanded(&mut self, command: &ProviderCommand) {
        self.is_closed |= *command == ProviderCommand::Close;
    }

    pub(super) fn sent(&self, line: LineId, is_up: bool) {
        assert!(is_up, "nothing is sent on a line that is not up ({line})");
        assert!(!self.is_over, "nothing is sent after the end");
    }

    pub(super) fn reported(&mut self, event: &ProviderEvent) {
        assert!(!self.is_over, "nothing is reported after a failure: {event:?}");
        assert!(!self.is_closed, "nothing is reported after the close: {event:?}");
        match event {
            ProviderEvent::Ready { .. } => {
                assert!(!self.is_ready, "ready comes once");
                self.is_ready = true;
            }
            ProviderEvent::Failed(failure) => self.is_over = failure.verdict() != Verdict::Ignore,
            ProviderEvent::CallerSpoke(id) => {
                self.ready(event);
                assert_eq!(id.attachment(), self.attachment, "ids carry the attachment");
                assert!(self.utterances.insert(*id), "a turn begins once: {id}");
            }
            // Words may be all that a service tells of a turn, where the bridge hears the caller by itself.
            ProviderEvent::CallerSaid { utterance, .. } if !self.is_caller_told => {
                self.utterances.insert(*utterance);
            }
            ProviderEvent::CallerPaused(id) | ProviderEvent::CallerSaid { utterance: id, .. } => {
                assert!(self.utterances.contains(id), "only a turn that has begun ends: {id}");
            }
            ProviderEvent::Speech { reply, audio } => {
                assert!(!audio.is_empty(), "speech is not empty");
                self.reply(*reply, false);
            }
            ProviderEvent::Words { reply, .. } => self.reply(*reply, false),
            ProviderEvent::ReplyDone { reply, .. } => self.reply(*reply, true),
            ProviderEvent::ToolCall(call) => {
                self.ready(event);
                assert_eq!(call.id.attachment(), self.attachment, "ids carry the attachment");
                assert!(self.tools.insert(call.id), "a tool is called once: {}", call.id);
            }
            ProviderEvent::ToolCancelled(id) => {
                assert!(self.tools.remove(id), "only a call that was made is cancelled: {id}");
            }
            ProviderEvent::Unheard(_) | ProviderEvent::Used(_) | ProviderEvent::Unknown { .. } => {}
        }
    }

    fn ready(&self, event: &ProviderEvent) {
        assert!(self.is_ready, "nothing is said before it is ready: {event:?}");
    }

    fn reply(&mut self, id: ReplyId, done: bool) {
        assert!(self.is_ready, "nothing is said before it is ready: {id}");
        assert_eq!(id.attachment(), self.attachment, "ids carry the attachment");
        if let Some(is_done) = self.replies.get_mut(&id) {
            assert!(!*is_done, "nothing follows the end of a reply: {id}");
            *is_done = done;
            return;
        }
        let last = self.replies.keys().next_back();
        assert!(last.is_none_or(|last| *last < id), "ids of replies rise: {id}");
        self.replies.insert(id, done);
    }
}
