//! Orders that were sent and not answered, and when to send them again.

use std::time::Duration;

use voice_core::time::MonoTime;

use crate::limits::{ORDER_TRIES_MAX, ORDERS_WAITING_MAX};
use crate::telnyx::answer::{Answer, Cause, CommandError};
use crate::telnyx::command::{Command, CommandId, Dial, Order};
use crate::telnyx::id::CallControlId;

/// All orders of one call that are under way.
#[derive(Debug)]
pub(super) struct Flight {
    /// The number of the next order.
    number: u32,
    under_way: Vec<UnderWay>,
}

#[derive(Debug)]
struct UnderWay {
    id: CommandId,
    what: What,
    tries: u32,
    /// When to send it again; while it is being sent, nothing.
    again_at: Option<MonoTime>,
}

#[derive(Debug)]
enum What {
    Dial(Box<Dial>),
    /// A step of the call's own way.
    Step(Order),
    /// Somebody asked for it, and wants to know.
    Asked(Order),
}

/// What an answer means.
#[derive(Debug)]
pub(super) enum Landing {
    /// Nobody waits for it.
    Unknown,
    /// It will be sent again.
    Repeats,
    Dialled(Result<Answer, CommandError>),
    /// And whether it was sent more than once.
    Step(Command, Result<Answer, CommandError>, bool),
    Asked(Result<Answer, CommandError>),
}

/// What has to be sent again.
#[derive(Debug)]
pub(super) enum Again {
    Dial(CommandId, Box<Dial>),
    Order(Order),
}

impl Flight {
    pub(super) const fn beginning_at(number: u32) -> Self {
        Self { number, under_way: Vec::new() }
    }

    pub(super) fn dial(&mut self, name: &[u8], dial: Dial) -> CommandId {
        let id = CommandId::new(&String::from_utf8_lossy(name), self.next_number());
        self.add(id.clone(), What::Dial(Box::new(dial)));
        id
    }

    pub(super) fn step(
        &mut self,
        call: &CallControlId,
        command: Command,
        client_state: Option<Vec<u8>>,
    ) -> Order {
        let order = self.order(call, command, client_state);
        self.add(order.id.clone(), What::Step(order.clone()));
        order
    }

    pub(super) fn asked(&mut self, call: &CallControlId, command: Command) -> Order {
        let order = self.order(call, command, None);
        self.add(order.id.clone(), What::Asked(order.clone()));
        order
    }

    /// The steps that led somewhere where nobody wants to go any more are not repeated.
    pub(super) fn forget_steps(&mut self) {
        self.under_way.retain(|one| !matches!(one.what, What::Step(_)));
    }

    /// Whether the order of that id is such a command.
    pub(super) fn is(&self, id: &CommandId, is_such: impl Fn(&Command) -> bool) -> bool {
        self.under_way.iter().filter(|one| one.id == *id).any(|one| match &one.what {
            What::Dial(_) => false,
            What::Step(order) | What::Asked(order) => is_such(&order.command),
        })
    }

    /// An answer came. Where the failure passes, the order is sent again, the same in every respect.
    pub(super) fn land(
        &mut self,
        now: MonoTime,
        id: &CommandId,
        answer: Result<Answer, CommandError>,
        may_repeat: bool,
    ) -> Landing {
        let Some(at) = self.under_way.iter().position(|one| one.id == *id) else { return Landing::Unknown };
        let one = &mut self.under_way[at];
        if let Err(error) = &answer
            && may_repeat
            && one.tries < ORDER_TRIES_MAX
            && one.passes(error.cause)
        {
            // Half a second, one, two, four: within the sixty seconds in which Telnyx knows the id.
            let pause = Duration::from_millis(500) * (1 << (one.tries - 1));
            one.tries += 1;
            one.again_at = Some(now + error.retry_after.unwrap_or(pause));
            return Landing::Repeats;
        }
        let is_repeated = one.tries > 1;
        match self.under_way.swap_remove(at).what {
            What::Dial(_) => Landing::Dialled(answer),
            What::Step(order) => Landing::Step(order.command, answer, is_repeated),
            What::Asked(_) => Landing::Asked(answer),
        }
    }

    /// The next one that has to be sent again by now.
    pub(super) fn due(&mut self, now: MonoTime) -> Option<Again> {
        let one = self.under_way.iter_mut().find(|one| one.again_at.is_some_and(|at| at <= now))?;
        one.again_at = None;
        Some(match &one.what {
            What::Dial(dial) => Again::Dial(one.id.clone(), dial.clone()),
            What::Step(order) | What::Asked(order) => Again::Order(order.clone()),
        })
    }

    pub(super) fn next_due(&self) -> Option<MonoTime> {
        self.under_way.iter().filter_map(|one| one.again_at).min()
    }

    fn order(&mut self, call: &CallControlId, command: Command, client_state: Option<Vec<u8>>) -> Order {
        let id = CommandId::new(call.as_str(), self.next_number());
        Order { call: call.clone(), id, command, client_state }
    }

    fn next_number(&mut self) -> u32 {
        let number = self.number;
        self.number = number.wrapping_add(1);
        number
    }

    /// Answers that never come must not pile up: the oldest is not waited for any longer.
    fn add(&mut self, id: CommandId, what: What) {
        if self.under_way.len() >= ORDERS_WAITING_MAX {
            self.under_way.remove(0);
        }
        self.under_way.push(UnderWay { id, what, tries: 1, again_at: None });
    }
}

impl UnderWay {
    /// Whether the same order may work a little later, without any harm if it did already.
    const fn passes(&self, cause: Cause) -> bool {
        match self.what {
            // Telnyx knows a repetition by the call, and there is none yet.
            What::Dial(_) => matches!(cause, Cause::Throttled),
            What::Step(_) | What::Asked(_) => cause.is_passing() || matches!(cause, Cause::NotAnswered),
        }
    }
}
