//! Who died: whoever has given no sign of life for too long, by our own clock.

use std::collections::BTreeMap;
use std::time::Duration;

use voice_core::time::MonoTime;

use crate::store::Node;

/// Without a new beat for this long a node is dead, if its lease in Redis is gone as well.
const PATIENCE: Duration = Duration::from_secs(6);

/// The same where nobody can say whether there is a lease.
const PATIENCE_ALONE: Duration = Duration::from_secs(15);

/// What one server saw of the others. Counts are compared, never clocks of two machines; and two witnesses
/// must agree, so that a node which loses its Redis, or a database that stands still, costs nobody their calls.
#[derive(Debug, Default)]
pub struct Watch {
    nodes: BTreeMap<Node, Seen>,
}

#[derive(Debug)]
struct Seen {
    beats: u64,
    /// When that count was first seen.
    since: MonoTime,
    is_told: bool,
}

impl Watch {
    /// Takes note of each node's beats, and whether it has a lease if that is known. Answers those that died
    /// since the last time.
    pub fn look(
        &mut self,
        now: MonoTime,
        nodes: impl IntoIterator<Item = (Node, u64, Option<bool>)>,
    ) -> Vec<Node> {
        let mut dead = Vec::new();
        let nodes: Vec<_> = nodes.into_iter().collect();
        // Whoever went in good order has taken its name along.
        self.nodes.retain(|known, _| nodes.iter().any(|(node, ..)| node == known));
        for (node, beats, leased) in nodes {
            let seen = self.nodes.entry(node.clone()).or_insert(Seen { beats, since: now, is_told: false });
            if seen.beats != beats {
                *seen = Seen { beats, since: now, is_told: false };
            }
            let patience = match leased {
                Some(true) => continue,
                Some(false) => PATIENCE,
                None => PATIENCE_ALONE,
            };
            if !seen.is_told && now.since(seen.since) >= patience {
                seen.is_told = true;
                dead.push(node);
            }
        }
        dead
    }

    /// How many of them live.
    pub fn living(&self) -> usize {
        self.nodes.values().filter(|seen| !seen.is_told).count()
    }

    /// Nothing could be seen: what is known of everybody's silence is worth nothing.
    pub fn lose_sight(&mut self) {
        self.nodes.retain(|_, seen| seen.is_told);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> MonoTime {
        MonoTime::from_millis(secs * 1_000)
    }

    fn look(watch: &mut Watch, secs: u64, beats: u64, leased: Option<bool>) -> bool {
        !watch.look(at(secs), [(Node::new("other"), beats, leased)]).is_empty()
    }

    #[test]
    fn whoever_beats_lives() {
        let mut watch = Watch::default();
        assert!((0..100).all(|secs| !look(&mut watch, secs, secs / 4, None)));
    }

    #[test]
    fn two_witnesses_must_agree() {
        let mut watch = Watch::default();
        assert!((0..60).all(|secs| !look(&mut watch, secs, 1, Some(true))), "it renews its lease");
        assert!(look(&mut watch, 60, 1, Some(false)), "and then it does not");
        assert!(!look(&mut watch, 61, 1, Some(false)), "told once");
        assert!(!look(&mut watch, 62, 2, Some(false)), "it lives again");
        assert!(!look(&mut watch, 67, 2, Some(false)) && look(&mut watch, 68, 2, Some(false)));
    }

    #[test]
    fn without_redis_it_takes_longer() {
        let mut watch = Watch::default();
        assert!((0..15).all(|secs| !look(&mut watch, secs, 1, None)));
        assert!(look(&mut watch, 15, 1, None));
    }

    #[test]
    fn a_database_that_stood_still_kills_nobody() {
        let mut watch = Watch::default();
        assert!(!look(&mut watch, 0, 1, None));
        watch.lose_sight();
        assert!(!look(&mut watch, 60, 1, None) && !look(&mut watch, 74, 1, None));
        assert!(look(&mut watch, 75, 1, None));
        watch.lose_sight();
        assert!(!look(&mut watch, 90, 1, None), "the dead stay dead");
    }
}
