//! What stands against each provider for a call, and in which order they are asked.

use std::cmp::Reverse;

use crate::breaker::Refusal;
use crate::time::MonoTime;

use super::Roster;
use super::decision::Obstacle;
use super::member::Member;
use super::needs::{Assignment, Needs, speaks};
use super::strategy::{self, Strategy, View};

impl<T> Roster<T> {
    /// Everybody, best first, with the worst that stands against them.
    pub(super) fn rank(&self, now: MonoTime, wanted: &Assignment) -> Vec<(usize, Obstacle)> {
        let mut views: Vec<View> =
            self.members.iter().enumerate().map(|(index, member)| member.view(now, index)).collect();
        strategy::order(self.config.strategy, &mut views);
        let mut ranked: Vec<(usize, Obstacle)> =
            views.iter().map(|view| (view.index, obstacle(&self.members[view.index], now, wanted))).collect();
        let remembered = self.remembered(wanted);
        // Stable: among equals the strategy's order stays, with the remembered one before it.
        ranked.sort_by_key(|(index, obstacle)| (rank(*obstacle), Reverse(remembered == Some(*index))));
        ranked
    }

    /// Under weighted turns, everybody who could have been chosen gains their weight, and whoever was
    /// chosen pays for all of them.
    pub(super) fn pay(&mut self, chosen: usize, ranked: &[(usize, Obstacle)]) {
        if self.config.strategy != Strategy::Weighted {
            return;
        }
        let could = ranked.iter().filter(|(_, obstacle)| *obstacle == Obstacle::Outranked);
        let mut all = 0;
        for (index, _) in could {
            let weight = i64::from(self.members[*index].candidate.weight);
            self.members[*index].credit += weight;
            all += weight;
        }
        self.members[chosen].credit -= all;
    }
}

/// Refusals differ in how long they last, which must not change anybody's place.
fn rank(obstacle: Obstacle) -> Obstacle {
    if let Obstacle::Refused(_) = obstacle { Obstacle::Refused(None) } else { obstacle }
}

fn obstacle<T>(member: &Member<T>, now: MonoTime, wanted: &Assignment) -> Obstacle {
    let candidate = &member.candidate;
    let id = &candidate.id;
    let never = [
        (wanted.wish.as_ref().is_some_and(|wish| wish != id), Obstacle::NotWished),
        (wanted.tried.contains(id), Obstacle::Tried),
        (member.drained, Obstacle::Drained),
        (member.is_forced_open(), Obstacle::Forced),
    ];
    let unable = || lacks(member, &wanted.needs);
    if let Some(last) = never.iter().find(|(holds, _)| *holds).map(|(_, what)| *what).or_else(unable) {
        return last;
    }
    let cost = candidate.skills.cost_per_minute.zip(wanted.needs.cost_max);
    let rather_not = [
        (wanted.last_resort.as_ref() == Some(id), Obstacle::FailedJustNow),
        (cost.is_some_and(|(cost, max)| cost > max), Obstacle::Cost),
        (candidate.calls_max.is_some_and(|max| member.live >= max), Obstacle::Full),
        (member.health.is_doubtful(now), Obstacle::Confidence),
        (member.health.ails(now), Obstacle::Ailing),
    ];
    let worst = rather_not.iter().filter(|(holds, _)| *holds).map(|(_, what)| *what).max();
    match member.would_admit(now) {
        Err(Refusal { retry_after }) => Obstacle::Refused(retry_after),
        Ok(()) => worst.unwrap_or(Obstacle::Outranked),
    }
}

/// What it cannot do that the call needs.
pub(super) fn lacks<T>(member: &Member<T>, needs: &Needs) -> Option<Obstacle> {
    let candidate = &member.candidate;
    let skills = &candidate.skills;
    let missing = [
        (needs.label.as_ref().is_some_and(|label| !candidate.labels.contains(label)), Obstacle::Label),
        (
            needs.language.as_ref().is_some_and(|wanted| !speaks(&skills.languages, wanted)),
            Obstacle::Language,
        ),
        (needs.tools && !skills.tools, Obstacle::Tools),
        (needs.images && !skills.images, Obstacle::Images),
        (needs.format.is_some_and(|format| !skills.formats.contains(&format)), Obstacle::Codec),
    ];
    missing.iter().find(|(holds, _)| *holds).map(|(_, what)| *what)
}
