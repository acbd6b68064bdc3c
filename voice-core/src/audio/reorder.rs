//! Putting pieces in the order of their numbers, for carriers that send them out of order.

use std::collections::BTreeMap;

/// What comes out, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ordered<T> {
    /// The next piece.
    Piece(T),
    /// So many pieces before the next one did not come in time.
    Lost(u64),
}

/// A small window over numbered pieces. Push each piece as it comes, then take what is in order (it is
/// an iterator).
///
/// A missing piece is waited for until more than `window` later ones wait for it, or until
/// [`Reorder::give_up`] is called, because its owner's clock says so. It holds `window` pieces at most
/// between pushes, provided that what is in order was taken.
///
/// ```
/// use voice_core::audio::reorder::{Ordered, Reorder};
///
/// let mut reorder = Reorder::new(3);
/// let mut order = Vec::new();
/// for number in [1, 3, 2, 2, 5, 6, 7, 8] {
///     reorder.push(number, number);
///     order.extend(reorder.by_ref());
/// }
/// use Ordered::{Lost, Piece};
/// assert_eq!(order, [Piece(1), Piece(2), Piece(3), Lost(1), Piece(5), Piece(6), Piece(7), Piece(8)]);
/// ```
#[derive(Clone, Debug)]
pub struct Reorder<T> {
    window: usize,
    /// The number that is due; `None` before the first piece.
    due: Option<u64>,
    waiting: BTreeMap<u64, T>,
    /// Whether the piece that is due is not waited for any longer.
    given_up: bool,
    counts: Counts,
}

/// What happened to the pieces of a stream so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Never came, or came too late.
    pub lost: u64,
    /// Dropped because their number had been there before, or had been declared lost.
    pub dropped: u64,
    /// Came before one that should have come earlier.
    pub early: u64,
}

impl<T> Reorder<T> {
    /// A window of so many pieces; the stream begins with whichever number comes first.
    pub const fn new(window: usize) -> Self {
        Self {
            window,
            due: None,
            waiting: BTreeMap::new(),
            given_up: false,
            counts: Counts { lost: 0, dropped: 0, early: 0 },
        }
    }

    /// A window for a stream that begins with this number, even if a later one comes first.
    pub const fn starting_at(window: usize, first: u64) -> Self {
        let mut reorder = Self::new(window);
        reorder.due = Some(first);
        reorder
    }

    /// Takes a piece, in whatever order.
    pub fn push(&mut self, number: u64, piece: T) {
        let due = *self.due.get_or_insert(number);
        if number < due || self.waiting.contains_key(&number) {
            self.counts.dropped += 1;
            return;
        }
        self.counts.early += u64::from(number > due);
        self.waiting.insert(number, piece);
    }

    /// Waits no longer for what is missing before the pieces that wait.
    pub fn give_up(&mut self) {
        self.given_up = self.is_waiting();
    }

    /// Whether pieces wait for a missing one: the time to start a clock.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What happened so far.
    pub const fn counts(&self) -> Counts {
        self.counts
    }
}

/// What is in order. After `None` there may be more, once something was pushed or given up.
impl<T> Iterator for Reorder<T> {
    type Item = Ordered<T>;

    fn next(&mut self) -> Option<Ordered<T>> {
        let due = self.due?;
        let first = *self.waiting.first_key_value()?.0;
        if first == due {
            // The last possible number is not followed by another.
            self.due = Some(due.saturating_add(1));
            self.given_up = false;
            return self.waiting.pop_first().map(|(_, piece)| Ordered::Piece(piece));
        }
        if !self.given_up && self.waiting.len() <= self.window {
            return None;
        }
        let lost = first - due;
        self.counts.lost = self.counts.lost.saturating_add(lost);
        self.due = Some(first);
        Some(Ordered::Lost(lost))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_gap_is_waited_for_only_so_long() {
        let mut reorder = Reorder::new(2);
        assert_eq!(take(&mut reorder, &[10, 12, 13]), [Ordered::Piece(10)]);
        assert!(reorder.is_waiting());
        let rest = [Ordered::Lost(1), Ordered::Piece(12), Ordered::Piece(13), Ordered::Piece(14)];
        assert_eq!(take(&mut reorder, &[14]), rest);
        assert_eq!(take(&mut reorder, &[11]), []);
        assert_eq!(reorder.counts(), Counts { lost: 1, dropped: 1, early: 3 });
    }

    #[test]
    fn the_clock_may_end_the_wait() {
        let mut reorder = Reorder::starting_at(5, 1);
        assert_eq!(take(&mut reorder, &[3, 5]), []);
        reorder.give_up();
        assert_eq!(take(&mut reorder, &[]), [Ordered::Lost(2), Ordered::Piece(3)]);
        assert_eq!(take(&mut reorder, &[4]), [Ordered::Piece(4), Ordered::Piece(5)]);
        reorder.give_up();
        assert_eq!(take(&mut reorder, &[7]), [], "giving up on nothing is not remembered");
    }

    #[test]
    fn wild_numbers_do_no_harm() {
        let mut reorder = Reorder::new(0);
        assert_eq!(
            take(&mut reorder, &[0, u64::MAX, 5]),
            [Ordered::Piece(0), Ordered::Lost(u64::MAX - 1), Ordered::Piece(u64::MAX)]
        );
        assert_eq!(reorder.counts().dropped, 1);
    }

    proptest! {
        #[test]
        fn what_comes_out_is_in_order_and_complete(
            window in 0..6_usize,
            numbers in prop::collection::vec(0..40_u64, 0..60),
        ) {
            let mut reorder = Reorder::starting_at(window, 0);
            let mut due = 0;
            let mut pieces = 0;
            for number in &numbers {
                for ordered in take(&mut reorder, &[*number]) {
                    match ordered {
                        Ordered::Lost(lost) => due += lost,
                        Ordered::Piece(number) => {
                            prop_assert_eq!(number, due);
                            due += 1;
                            pieces += 1;
                        }
                    }
                }
                prop_assert!(reorder.waiting.len() <= window);
            }
            prop_assert_eq!(pieces + reorder.counts().dropped + reorder.waiting.len() as u64, numbers.len() as u64);
        }
    }

    fn take(reorder: &mut Reorder<u64>, numbers: &[u64]) -> Vec<Ordered<u64>> {
        let mut order = Vec::new();
        for number in numbers {
            reorder.push(*number, *number);
            order.extend(reorder.by_ref());
        }
        order.extend(reorder.by_ref());
        order
    }
}
