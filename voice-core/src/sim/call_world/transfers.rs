//! Transfers in the world of one call: somebody orders them, and a rude operator tells how they go.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::call::Control;
use crate::record::{CallEvent, EndReason};
use crate::sim::rng::Rng;
use crate::transfer::{Operation, TransferFailure, TransferId, TransferKind, TransferNews, TransferOrder};

use super::checks::require;

/// What the operator does, and when.
pub(super) enum Tells {
    /// Tells this.
    News(Control),
    /// Joins the two: the caller's stream ends.
    Stream,
}

/// Orders of a whole call.
pub(super) fn plan(rng: &mut Rng) -> Vec<(Duration, Control)> {
    if !rng.percent(30) {
        return Vec::new();
    }
    let orders = rng.range(1..4);
    (0..orders)
        .map(|_| {
            let kind = *rng.pick(&[TransferKind::Warm, TransferKind::Blind, TransferKind::Conference]);
            let order = TransferOrder::new(kind, "support", "+15550103");
            (rng.millis(500..30_000), Control::Transfer(order))
        })
        .collect()
}

/// What comes of an order.
pub(super) fn operate(operation: &Operation, rng: &mut Rng) -> Vec<(Duration, Tells)> {
    let Operation::Transfer(id, _) = operation else { return Vec::new() };
    let mut tells = Vec::new();
    let mut at = Duration::ZERO;
    let mut tell = |at, id, news| tells.push((at, Tells::News(Control::Transferred(id, news))));
    if rng.percent(30) {
        // Of one that is over, or never was.
        tell(rng.millis(0..5_000), TransferId(rng.range(0..4) as u32), TransferNews::Answered);
    }
    if rng.percent(40) {
        let failure = TransferNews::Failed(*rng.pick(&TransferFailure::ALL));
        let times = if rng.percent(20) { 2 } else { 1 };
        at += rng.millis(0..9_000);
        (0..times).for_each(|_| tell(at, *id, failure));
        return tells;
    }
    if rng.percent(10) {
        return tells;
    }
    for news in [TransferNews::Answered, TransferNews::Joining] {
        at += rng.millis(50..4_000);
        tell(at, *id, news);
    }
    let verdict = at + rng.millis(10..2_000);
    let is_done = rng.percent(75);
    let news = if is_done { TransferNews::Done } else { TransferNews::Failed(TransferFailure::Carrier) };
    if !rng.percent(10) {
        tell(verdict, *id, news);
    }
    if rng.percent(50) {
        tells.push((at + rng.millis(0..3_000), Tells::Stream));
    }
    tells
}

/// What is known of them from the record: each ends once, and the last one perhaps with the call.
#[derive(Default)]
pub(super) struct Transfers {
    open: BTreeMap<TransferId, u32>,
    over: u32,
}

impl Transfers {
    pub(super) fn is_under_way(&self) -> bool {
        !self.open.is_empty()
    }

    pub(super) fn entry(&mut self, event: &CallEvent) -> Result<Option<&'static str>, String> {
        Ok(if let CallEvent::Transferring { id, .. } = event {
            require(self.open.insert(*id, 0).is_none(), || format!("{id:?} begins twice"))?;
            require(id.0 == self.open.len() as u32 + self.over, || format!("{id:?} is out of turn"))?;
            Some("transfers")
        } else if let CallEvent::TransferAnswered { id } = event {
            let answers = self.open.get_mut(id).ok_or_else(|| format!("{id:?} is answered after its end"))?;
            *answers += 1;
            require(*answers == 1, || format!("{id:?} is answered twice"))?;
            Some("transfers answered")
        } else if let CallEvent::TransferFailed { id, .. } = event {
            require(self.open.remove(id).is_some(), || format!("{id:?} failed after its end"))?;
            self.over += 1;
            Some("transfers failed")
        } else if let CallEvent::Ended { reason, .. } = event {
            let left = std::mem::take(&mut self.open).len();
            let done = matches!(reason, EndReason::Transfer { .. });
            require(left == 0 || (left == 1 && done), || format!("{left} transfers have no end"))?;
            (left == 1).then_some("transfers done")
        } else {
            None
        })
    }

    /// Whoever was asked is told when nobody wants it any more, and only then.
    pub(super) fn asked(&self, operation: &Operation) -> Result<(), String> {
        let Operation::Withdraw(id) = operation else { return Ok(()) };
        require(self.open.contains_key(id), || format!("{id:?} is withdrawn after its end"))
    }
}
