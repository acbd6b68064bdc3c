//! Who talked with a caller last, for a bounded number of callers.

use std::collections::BTreeMap;

use super::needs::StickyKey;

/// Remembers so many keys; the one that was used least recently is forgotten first.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    max: usize,
    used: u64,
    by_key: BTreeMap<StickyKey, (usize, u64)>,
    by_use: BTreeMap<u64, StickyKey>,
}

impl Memory {
    pub(super) fn new(max: usize) -> Self {
        Self { max, ..Self::default() }
    }

    pub(super) fn recall(&self, key: StickyKey) -> Option<usize> {
        self.by_key.get(&key).map(|(member, _)| *member)
    }

    pub(super) fn remember(&mut self, key: StickyKey, member: usize) {
        self.used += 1;
        if let Some((_, used)) = self.by_key.insert(key, (member, self.used)) {
            self.by_use.remove(&used);
        }
        self.by_use.insert(self.used, key);
        if self.by_key.len() > self.max
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.by_key.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_is_forgotten() {
        let key = |n: u32| StickyKey::of(&n.to_string());
        let mut memory = Memory::new(2);
        memory.remember(key(1), 10);
        memory.remember(key(2), 20);
        memory.remember(key(1), 11);
        memory.remember(key(3), 30);
        assert_eq!([1, 2, 3].map(|n| memory.recall(key(n))), [Some(11), None, Some(30)]);
        (0..1_000).for_each(|n| memory.remember(key(n), 0));
        assert_eq!((memory.by_key.len(), memory.by_use.len()), (2, 2));
    }
}
