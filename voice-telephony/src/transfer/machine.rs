//! One transfer, from the request to call somebody until the two are joined or the leg is gone.

use std::collections::VecDeque;
use std::time::Duration;

use voice_core::time::MonoTime;
use voice_core::transfer::{TransferFailure, TransferKind, TransferNews, TransferOrder};

use super::{Abilities, Act, Conferences, Input, LegNews, Output, Scene};
use crate::carrier_error::{CarrierError, Cause};
use crate::limits::{
    LEG_ENDS_MAX, LEG_JOIN_WAIT, LEG_KEY_WAIT, LEG_LOST_WAIT, LEG_RING_SLACK, LEG_SPEECH_MAX, LEG_STRAY_WAIT,
    LEG_WAY_WAIT,
};

/// See the module above.
#[derive(Debug)]
pub struct Transfer {
    kind: TransferKind,
    accept: bool,
    abilities: Abilities,
    leg: Leg,
    /// The carrier's name for the conference that is joined.
    room: Option<String>,
    /// The call has made way.
    may_join: bool,
    /// A later transfer has the caller: this one moves them no more.
    is_superseded: bool,
    stage: Stage,
    outbox: VecDeque<Output>,
}

/// The leg to somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Leg {
    /// There is none, as far as anybody knows.
    None,
    /// It was asked for.
    Asked,
    /// It exists, and this is its name.
    Up(String),
    /// It is over.
    Over,
}

#[derive(Debug)]
enum Stage {
    /// It rings.
    Calling {
        until: MonoTime,
    },
    /// The conference is looked for, for the so manieth time.
    Looking {
        tries: u32,
        until: MonoTime,
    },
    /// They hear the summary.
    Speaking {
        until: MonoTime,
    },
    /// They may press a key.
    Deciding {
        until: MonoTime,
    },
    /// The call makes way for it, that so manieth time.
    Clearing {
        tries: u32,
        until: MonoTime,
    },
    /// The two are being joined: so often it was asked for, and whether that was accepted.
    Joining {
        tries: u32,
        accepted: bool,
        until: MonoTime,
    },
    /// Nobody knows whether a conference was begun, so it is looked for, to leave it: the so manieth time.
    Searching {
        tries: u32,
        until: MonoTime,
    },
    /// The result is known. This is still to be done, or a leg may still turn up.
    Closing {
        act: Option<Act>,
        tries: u32,
        until: MonoTime,
    },
    Over,
}

impl Transfer {
    /// Begins at once.
    pub fn new(now: MonoTime, order: &TransferOrder, abilities: Abilities) -> Self {
        let mut transfer = Self {
            kind: order.kind,
            accept: order.accept && order.kind == TransferKind::Warm,
            abilities,
            leg: Leg::None,
            room: None,
            may_join: false,
            is_superseded: false,
            stage: Stage::Calling { until: now + order.ring + LEG_RING_SLACK },
            outbox: VecDeque::new(),
        };
        match order.kind {
            TransferKind::Conference => match abilities.conferences {
                Conferences::ByName => transfer.join(now, 1),
                Conferences::ByLooking => transfer.look(now, 1),
                Conferences::None => transfer.fail(now, TransferFailure::Unsupported),
            },
            TransferKind::Warm | TransferKind::Blind => {
                transfer.leg = Leg::Asked;
                transfer.outbox.push_back(Output::Dial);
            }
        }
        transfer
    }

    /// The only way in. Cannot fail; what makes no sense is ignored.
    pub fn handle(&mut self, now: MonoTime, input: Input) {
        match input {
            Input::Dialled(answer) => self.dialled(now, answer),
            Input::Found(answer) => self.found(now, answer),
            Input::Acted(act, answer) => self.acted(now, act, answer.err()),
            Input::Told(leg, news) => self.told(now, leg, news),
            Input::Withdraw => self.withdraw(now),
            Input::Superseded => self.supersede(),
            Input::Proceed => self.proceed(now),
            Input::Tick => {}
        }
        self.look_at(now);
    }

    /// The only way out.
    pub fn poll(&mut self) -> Output {
        if let Some(output) = self.outbox.pop_front() {
            return output;
        }
        self.wakes_at().map_or(Output::Finished, Output::WaitUntil)
    }

    /// What a leg that asks should do now.
    pub fn scene(&self) -> Scene {
        match self.stage {
            Stage::Speaking { .. } | Stage::Deciding { .. } => Scene::Summary { accept: self.accept },
            Stage::Clearing { .. } | Stage::Joining { .. } => Scene::Join,
            Stage::Calling { .. }
            | Stage::Looking { .. }
            | Stage::Searching { .. }
            | Stage::Closing { .. }
            | Stage::Over => Scene::HangUp,
        }
    }

    /// The carrier's name for the leg, or for the conference, if it is there.
    pub fn leg(&self) -> Option<&str> {
        if let Leg::Up(name) = &self.leg { Some(name) } else { self.room.as_deref() }
    }

    fn look(&mut self, now: MonoTime, tries: u32) {
        self.stage = Stage::Looking { tries, until: now + LEG_JOIN_WAIT };
        self.outbox.push_back(Output::Find);
    }

    fn found(&mut self, now: MonoTime, answer: Result<Option<String>, CarrierError>) {
        if let Stage::Searching { tries, .. } = self.stage {
            return self.searched(now, tries, answer);
        }
        let Stage::Looking { tries, .. } = self.stage else { return };
        match answer {
            Ok(room) => {
                self.room = room;
                self.join(now, tries);
            }
            Err(error) if error.is_passing() && tries < LEG_ENDS_MAX => self.look(now, tries + 1),
            Err(_) => self.fail(now, TransferFailure::Carrier),
        }
    }

    fn withdraw(&mut self, now: MonoTime) {
        match self.stage {
            Stage::Calling { .. }
            | Stage::Looking { .. }
            | Stage::Speaking { .. }
            | Stage::Deciding { .. }
            | Stage::Clearing { .. } => self.close(now),
            Stage::Searching { .. } => self.stage = Stage::Over,
            // Whoever is being joined cannot be had back.
            Stage::Joining { .. } | Stage::Closing { .. } | Stage::Over => {}
        }
    }

    /// The conference that would be left may be the one to which the later transfer leads.
    fn supersede(&mut self) {
        self.is_superseded = true;
        if matches!(&self.stage, Stage::Searching { .. } | Stage::Closing { act: Some(Act::BringBack), .. }) {
            self.stage = Stage::Over;
        }
        self.outbox.retain(|output| *output != Output::Act(Act::BringBack));
    }

    fn dialled(&mut self, now: MonoTime, answer: Result<String, CarrierError>) {
        if self.leg != Leg::Asked {
            // A webhook was faster than the answer.
            return;
        }
        match answer {
            Ok(name) => self.is_up(now, name),
            Err(error) if error.may_have_happened => {
                // If it was taken, the telephone rings and a webhook will say so.
                if let Stage::Calling { until } = &mut self.stage {
                    *until = (*until).min(now + LEG_LOST_WAIT);
                }
            }
            Err(error) => {
                self.leg = Leg::None;
                let why = match error.cause {
                    Cause::Number | Cause::Invalid => TransferFailure::Unreachable,
                    Cause::Network
                    | Cause::Server { .. }
                    | Cause::Throttled { .. }
                    | Cause::Credentials
                    | Cause::Balance
                    | Cause::CallGone => TransferFailure::Carrier,
                };
                self.stop(now, why);
            }
        }
    }

    fn is_up(&mut self, now: MonoTime, name: String) {
        self.leg = Leg::Up(name);
        if matches!(self.stage, Stage::Closing { .. }) {
            self.close(now);
        }
    }

    fn told(&mut self, now: MonoTime, leg: String, news: LegNews) {
        match &self.leg {
            Leg::Asked => self.is_up(now, leg),
            Leg::Up(name) if *name == leg => {}
            Leg::Up(_) | Leg::None | Leg::Over => return,
        }
        match (news, &self.stage) {
            (LegNews::Over(end), _) => {
                self.leg = Leg::Over;
                self.leg_over(now, end.failure());
            }
            (LegNews::Answered, Stage::Calling { .. }) => self.answered(now),
            (
                LegNews::Machine,
                Stage::Calling { .. }
                | Stage::Speaking { .. }
                | Stage::Deciding { .. }
                | Stage::Clearing { .. },
            ) => self.fail(now, TransferFailure::Machine),
            (LegNews::Said, Stage::Speaking { .. }) => self.said(now),
            (LegNews::Key(key), Stage::Speaking { .. } | Stage::Deciding { .. }) if self.accept => {
                if key == Some('1') {
                    self.join(now, 1);
                } else {
                    self.fail(now, TransferFailure::Declined);
                }
            }
            (LegNews::Bridged, Stage::Joining { .. }) if self.abilities.tells_bridged => self.done(),
            // Late, twice, or of no interest.
            (
                LegNews::Answered | LegNews::Said | LegNews::Key(_) | LegNews::Machine | LegNews::Bridged,
                _,
            ) => {}
        }
    }

    fn answered(&mut self, now: MonoTime) {
        self.outbox.push_back(Output::Tell(TransferNews::Answered));
        if self.kind != TransferKind::Warm {
            return self.join(now, 1);
        }
        self.stage = Stage::Speaking { until: now + LEG_SPEECH_MAX };
        self.outbox.push_back(Output::Act(Act::Speak));
    }

    fn said(&mut self, now: MonoTime) {
        if self.accept {
            self.stage = Stage::Deciding { until: now + LEG_KEY_WAIT };
        } else {
            self.join(now, 1);
        }
    }

    /// As soon as the call has made way, which it is asked for once.
    fn join(&mut self, now: MonoTime, tries: u32) {
        self.stage = Stage::Clearing { tries, until: now + LEG_WAY_WAIT };
        if self.may_join {
            return self.proceed(now);
        }
        self.outbox.push_back(Output::Tell(TransferNews::Joining));
    }

    fn proceed(&mut self, now: MonoTime) {
        let Stage::Clearing { tries, .. } = self.stage else { return };
        self.may_join = true;
        self.stage = Stage::Joining { tries, accepted: false, until: now + LEG_JOIN_WAIT };
        self.outbox.push_back(Output::Act(Act::Join));
    }

    fn leg_over(&mut self, now: MonoTime, why: TransferFailure) {
        match self.stage {
            Stage::Calling { .. }
            | Stage::Looking { .. }
            | Stage::Speaking { .. }
            | Stage::Deciding { .. }
            | Stage::Clearing { .. } => self.fail(now, why),
            // The request to join them is under way: its answer says where the caller is.
            Stage::Joining { accepted: false, .. } => {}
            Stage::Joining { accepted: true, .. } => self.fail(now, TransferFailure::HungUp),
            Stage::Searching { .. } | Stage::Closing { .. } | Stage::Over => self.stage = Stage::Over,
        }
    }

    fn acted(&mut self, now: MonoTime, act: Act, error: Option<CarrierError>) {
        match (act, &mut self.stage) {
            (Act::Speak, Stage::Speaking { .. }) => {
                // Who cannot be told what it is about is put through all the same.
                if error.is_some() {
                    self.said(now);
                }
            }
            (Act::Join, Stage::Joining { .. }) => self.joined(now, error),
            (Act::EndLeg | Act::BringBack, Stage::Closing { tries, until, .. }) => match error {
                Some(error) if error.is_passing() && *tries < LEG_ENDS_MAX => {
                    // A second, two, four.
                    *until = now + Duration::from_secs(1) * (1 << (*tries - 1));
                }
                // Done, or gone, or left to the carrier's own limits.
                Some(_) | None => self.stage = Stage::Over,
            },
            (Act::Speak | Act::Join | Act::EndLeg | Act::BringBack, _) => {}
        }
    }

    fn joined(&mut self, now: MonoTime, error: Option<CarrierError>) {
        let looks = self.looks_for_rooms();
        let Stage::Joining { tries, accepted, until } = &mut self.stage else { return };
        let is_last = *tries >= LEG_ENDS_MAX || self.is_superseded;
        let is_alone = self.leg == Leg::Over;
        match error {
            // Who is in a conference need not wait for anybody.
            None if self.kind == TransferKind::Conference => self.done(),
            // It began, or ended, since it was looked for.
            Some(error) if looks && is_stale(&error) && !is_last => {
                let tries = *tries + 1;
                self.look(now, tries);
            }
            None if is_alone => self.left_alone(now),
            Some(error) if is_alone && error.may_have_happened => self.left_alone(now),
            None if self.abilities.tells_bridged => {
                *accepted = true;
                *until = now + LEG_JOIN_WAIT;
            }
            None => self.done(),
            Some(error) if error.is_passing() && !is_last && !is_alone => {
                // The same once more does no harm: they are joined again.
                *tries += 1;
                *until = now + LEG_JOIN_WAIT;
                self.outbox.push_back(Output::Act(Act::Join));
            }
            Some(error) if looks && error.may_have_happened => self.leave_room(now),
            Some(error) => {
                let is_gone = error.cause == Cause::CallGone && !is_alone;
                let why = if is_alone { TransferFailure::HungUp } else { TransferFailure::Carrier };
                self.fail(now, if is_gone { TransferFailure::CallOver } else { why });
            }
        }
    }

    /// The caller was led to where nobody is any more.
    fn left_alone(&mut self, now: MonoTime) {
        self.fail(now, TransferFailure::HungUp);
        if !self.abilities.tells_bridged {
            self.bring_back(now);
        }
    }

    /// What has become due.
    fn look_at(&mut self, now: MonoTime) {
        if self.wakes_at().is_none_or(|at| now < at) {
            return;
        }
        let looks = self.looks_for_rooms();
        match &mut self.stage {
            Stage::Calling { .. } => {
                let is_lost = self.leg == Leg::Asked;
                let why = if is_lost { TransferFailure::Carrier } else { TransferFailure::NoAnswer };
                self.fail(now, why);
            }
            // The word that it was said is late, or lost.
            Stage::Speaking { .. } => self.said(now),
            Stage::Deciding { .. } => self.fail(now, TransferFailure::Declined),
            Stage::Looking { .. } => self.fail(now, TransferFailure::Carrier),
            // Nobody has said anything: they wait no longer.
            Stage::Clearing { .. } => self.proceed(now),
            Stage::Searching { tries, .. } => {
                let tries = *tries;
                self.search(now, tries + 1);
            }
            // Nobody knows whether they are in there.
            Stage::Joining { .. } if looks => self.leave_room(now),
            Stage::Joining { .. } => self.fail(now, TransferFailure::Carrier),
            Stage::Closing { act: Some(act), tries, until } if *tries < LEG_ENDS_MAX => {
                *tries += 1;
                *until = now + LEG_STRAY_WAIT;
                self.outbox.push_back(Output::Act(*act));
            }
            // A leg that nobody has heard of for so long was never called.
            Stage::Closing { .. } => self.stage = Stage::Over,
            Stage::Over => {}
        }
    }

    const fn wakes_at(&self) -> Option<MonoTime> {
        match &self.stage {
            Stage::Calling { until }
            | Stage::Looking { until, .. }
            | Stage::Speaking { until }
            | Stage::Deciding { until }
            | Stage::Clearing { until, .. }
            | Stage::Joining { until, .. }
            | Stage::Searching { until, .. }
            | Stage::Closing { until, .. } => Some(*until),
            Stage::Over => None,
        }
    }

    fn looks_for_rooms(&self) -> bool {
        self.kind == TransferKind::Conference && self.abilities.conferences == Conferences::ByLooking
    }

    /// The caller is ours, wherever they are: if they are in the conference, they leave it.
    fn leave_room(&mut self, now: MonoTime) {
        self.fail(now, TransferFailure::Carrier);
        if self.room.is_some() {
            self.bring_back(now);
        } else if !self.is_superseded {
            self.search(now, 1);
        }
    }

    /// What was begun, perhaps, is known by its name only.
    fn search(&mut self, now: MonoTime, tries: u32) {
        if tries > LEG_ENDS_MAX {
            // Nothing of that name: it was never begun.
            self.stage = Stage::Over;
            return;
        }
        self.stage = Stage::Searching { tries, until: now + LEG_JOIN_WAIT };
        self.outbox.push_back(Output::Find);
    }

    fn searched(&mut self, now: MonoTime, tries: u32, answer: Result<Option<String>, CarrierError>) {
        if let Ok(Some(room)) = answer {
            self.room = Some(room);
            return self.bring_back(now);
        }
        // It may come up late: after a second, two, four.
        self.stage = Stage::Searching { tries, until: now + Duration::from_secs(1) * (1 << (tries - 1)) };
    }

    fn bring_back(&mut self, now: MonoTime) {
        if self.is_superseded {
            return;
        }
        let act = Act::BringBack;
        self.stage = Stage::Closing { act: Some(act), tries: 1, until: now + LEG_STRAY_WAIT };
        self.outbox.push_back(Output::Act(act));
    }

    fn done(&mut self) {
        self.outbox.push_back(Output::Tell(TransferNews::Done));
        self.stage = Stage::Over;
    }

    /// A failure while somebody may still want to know.
    fn stop(&mut self, now: MonoTime, why: TransferFailure) {
        if matches!(self.stage, Stage::Searching { .. } | Stage::Closing { .. } | Stage::Over) {
            self.stage = Stage::Over;
        } else {
            self.fail(now, why);
        }
    }

    fn fail(&mut self, now: MonoTime, why: TransferFailure) {
        self.outbox.push_back(Output::Tell(TransferNews::Failed(why)));
        self.close(now);
    }

    fn close(&mut self, now: MonoTime) {
        self.stage = match &self.leg {
            Leg::None | Leg::Over => Stage::Over,
            Leg::Asked => Stage::Closing { act: None, tries: 0, until: now + LEG_STRAY_WAIT },
            Leg::Up(_) => {
                self.outbox.push_back(Output::Act(Act::EndLeg));
                Stage::Closing { act: Some(Act::EndLeg), tries: 1, until: now + LEG_STRAY_WAIT }
            }
        };
    }
}

/// Whether a refusal says that the conference is not what it was when it was looked for: one of that name has
/// begun, or the one that was found is over.
const fn is_stale(error: &CarrierError) -> bool {
    matches!(error.cause, Cause::Invalid | Cause::CallGone)
}
