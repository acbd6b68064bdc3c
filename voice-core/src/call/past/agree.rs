//! Whether a folded record holds what the call holds: for simulated worlds, which ask all the time.

use std::time::Duration;

use crate::audio::FRAME;
use crate::id::ProviderId;

use super::super::{Call, Recording, playout};
use super::Past;

impl Call {
    /// In what the call and its folded record differ, if in anything that they should not.
    pub(crate) fn differs_from(&self, past: &Past) -> Option<String> {
        self.books_differ(past).or_else(|| self.state_differs(past)).or_else(|| self.words_differ(past))
    }

    fn books_differ(&self, past: &Past) -> Option<String> {
        let (books, people) = (&self.books, &past.people);
        let counts = |totals: &crate::record::Totals| {
            (totals.caller_turns, totals.replies, totals.barge_ins, totals.switches)
        };
        let barred = |own: &[ProviderId]| own.iter().all(|own| people.barred.contains(own));
        let checks = [
            ("number", books.seq == past.place.seq),
            ("attachments", books.attachments == people.attachments),
            ("met", books.met == people.met),
            // That a wish was for somebody who is barred is not told, if they did not come.
            ("barred", barred(&books.barred)),
            ("last", books.last == people.last),
            ("before", books.before == people.before),
            ("switches", books.switches.done == people.switches.done),
            ("totals", counts(&books.totals) == counts(&past.totals)),
        ];
        let differs = checks.iter().find(|(_, same)| !same);
        differs.map(|(what, _)| format!("{what}: {books:?} is folded as {people:?}, {:?}", past.totals))
    }

    fn state_differs(&self, past: &Past) -> Option<String> {
        let (recording, place) = self.recording();
        let runs = matches!(recording, Recording::On | Recording::Paused);
        let tape = runs.then_some((recording == Recording::Paused, place));
        let folded = past
            .tape
            .as_ref()
            .filter(|tape| !tape.ending && !tape.closed)
            .map(|tape| (tape.paused, tape.place));
        let tools: Vec<_> = past.tools.iter().map(|(id, _)| *id).collect();
        let checks = [
            ("hold", self.aside.is_on_hold() == past.aside.hold.is_some()),
            ("transfer", self.aside.transfers.is_under_way() == past.aside.transferring.is_some()),
            ("mute", self.aside.is_muted() == past.aside.muted),
            ("recording", tape == folded),
            ("recordings filed", self.books.filing == past.filing),
            ("tools", self.tools.running().eq(tools)),
            ("goodbye", self.timers.due(super::super::Timer::Goodbye).is_none() || self.leaves_for(past)),
        ];
        let differs = checks.iter().find(|(_, same)| !same);
        differs.map(|(what, _)| format!("{what} is not that of the call: {past:?}"))
    }

    fn leaves_for(&self, past: &Past) -> bool {
        past.due.goodbye || self.phase.is_leaving()
    }

    fn words_differ(&self, past: &Past) -> Option<String> {
        let (own, folded) = (self.transcript.keyed(), past.transcript.keyed());
        let keys = |turns: &[(String, &crate::conversation::Turn)]| -> Vec<String> {
            turns.iter().map(|(key, _)| key.clone()).collect()
        };
        if keys(&own) != keys(&folded) || self.transcript.summary() != past.transcript.summary() {
            return Some(format!("turns {:?} are folded as {:?}", keys(&own), keys(&folded)));
        }
        let in_the_air: Vec<String> = self.playout.under_way().map(|told| told.reply.to_string()).collect();
        let other = own.iter().zip(&folded).find(|((key, own), (_, folded))| {
            own != folded && !in_the_air.iter().any(|reply| key.ends_with(reply))
        });
        if let Some(((key, own), (_, folded))) = other {
            return Some(format!("{key}: {own:?} is folded as {folded:?}"));
        }
        self.playout.under_way().find_map(|told| reply_differs(&told, past))
    }
}

/// Of what was heard nothing may be missing but the last half second.
fn reply_differs(told: &playout::UnderWay<'_>, past: &Past) -> Option<String> {
    let open = past.open.iter().find(|open| open.reply == told.reply);
    if open.is_some() != told.started {
        return Some(format!("{}: begun is {}, folded is {open:?}", told.reply, told.started));
    }
    let open = open?;
    let missing = told.heard.saturating_sub(told.told_heard);
    let is_told = told.text.get(..open.text.len()) == Some(open.text.as_str()) && open.heard <= told.heard;
    let is_near = missing <= Duration::from_millis(500) + FRAME;
    (!is_told || !is_near)
        .then(|| format!("{}: {missing:?} are missing, or {open:?} is not of it", told.reply))
}
