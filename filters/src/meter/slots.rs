//! A hash table of fixed size: keys to words, open addressing, linear probing, no tombstones.
//!
//! General hash tables grow or rehash while inserting, which costs an allocation and a pause in the middle of a
//! request. This one is sized when policy is compiled, finds its memory untouched (zero pages cost nothing until
//! used), and removes by shifting back (Knuth, TAOCP vol. 3, 6.4, algorithm R), so it never needs cleaning.

/// An entry: the key, never zero, and its value.
type Slot = [u64; 2];

const VACANT: Slot = [0, 0];

/// Keys are hashes already; they only must not be zero, which marks a vacant slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(u64);

impl Key {
    pub(super) const fn new(hash: u64) -> Self {
        Self(if hash == 0 { 1 } else { hash })
    }
}

#[derive(Debug)]
pub(super) struct Slots {
    /// A power of two; at least one is always vacant, which ends every probe.
    slots: Vec<Slot>,
    mask: usize,
    len: usize,
}

impl Slots {
    /// Room for at least `entries`.
    pub(super) fn with_room_for(entries: usize) -> Self {
        let slots = Self::span_for(entries);
        Self { slots: vec![VACANT; slots], mask: slots.wrapping_sub(1), len: 0 }
    }

    /// How many slots that takes.
    pub(super) fn span_for(entries: usize) -> usize {
        entries.saturating_add(entries / 2).max(8).next_power_of_two()
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// How many slots there are to walk through.
    pub(super) const fn span(&self) -> usize {
        self.mask.wrapping_add(1)
    }

    /// Probes stay short up to three quarters.
    pub(super) const fn is_full(&self) -> bool {
        self.len >= self.span() / 4 * 3
    }

    #[inline]
    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut u64> {
        let at = self.find(key).ok()?;
        self.slots.get_mut(at).map(|slot| &mut slot[1])
    }

    #[inline]
    pub(super) fn get(&self, key: Key) -> Option<u64> {
        let at = self.find(key).ok()?;
        self.slots.get(at).map(|slot| slot[1])
    }

    /// Puts an entry in, or a new value to it. Does nothing when full; ask first.
    pub(super) fn insert(&mut self, key: Key, value: u64) {
        let (at, is_new) = match self.find(key) {
            Ok(at) => (at, false),
            Err(_) if self.is_full() => return,
            Err(at) => (at, true),
        };
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = [key.0, value];
            self.len = self.len.wrapping_add(usize::from(is_new));
        }
    }

    /// The entry in a slot (counted around the table), if there is one.
    pub(super) fn entry(&self, at: usize) -> Option<u64> {
        self.slots.get(at & self.mask).filter(|slot| slot[0] != 0).map(|slot| slot[1])
    }

    /// Empties a slot, and moves those back that had to probe past it.
    pub(super) fn vacate(&mut self, at: usize) {
        let mut hole = at & self.mask;
        if self.at(hole) == VACANT {
            return;
        }
        let mut next = hole;
        loop {
            next = next.wrapping_add(1) & self.mask;
            let moved = self.at(next);
            if moved == VACANT {
                break;
            }
            // It may move to the hole if its home is not between the hole and where it stands.
            let home = self.home(Key(moved[0]));
            let from_home = next.wrapping_sub(home) & self.mask;
            let from_hole = next.wrapping_sub(hole) & self.mask;
            if from_home >= from_hole {
                self.put(hole, moved);
                hole = next;
            }
        }
        self.put(hole, VACANT);
        self.len = self.len.wrapping_sub(1);
    }

    /// A copy with room for more.
    pub(super) fn grown_to(&self, entries: usize) -> Self {
        let mut grown = Self::with_room_for(entries.max(self.len));
        for slot in self.slots.iter().filter(|slot| slot[0] != 0) {
            grown.insert(Key(slot[0]), slot[1]);
        }
        grown
    }

    /// Where the key is, else where it would go.
    #[inline]
    fn find(&self, key: Key) -> Result<usize, usize> {
        let mut at = self.home(key);
        loop {
            match self.slots.get(at) {
                Some(slot) if slot[0] == key.0 => return Ok(at),
                Some(slot) if slot[0] != 0 => at = at.wrapping_add(1) & self.mask,
                _ => return Err(at),
            }
        }
    }

    const fn home(&self, key: Key) -> usize {
        key.0 as usize & self.mask
    }

    fn at(&self, at: usize) -> Slot {
        self.slots.get(at).copied().unwrap_or(VACANT)
    }

    fn put(&mut self, at: usize, value: Slot) {
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_as_a_map(steps in prop::collection::vec((any::<bool>(), 0u64..64, any::<u64>()), 0..400)) {
            let mut slots = Slots::with_room_for(64);
            let mut model = HashMap::new();
            for (insert, key, value) in steps {
                // Few low bits, so that probes are long and wrap around.
                let key = Key::new(key.wrapping_mul(0x9E37_79B9_0000_003C));
                if insert {
                    slots.insert(key, value);
                    model.insert(key.0, value);
                } else if let Ok(at) = slots.find(key) {
                    slots.vacate(at);
                    model.remove(&key.0);
                }
                prop_assert_eq!(slots.len(), model.len());
            }
            for (key, value) in &model {
                prop_assert_eq!(slots.get(Key(*key)), Some(*value));
            }
            let grown = slots.grown_to(500);
            prop_assert_eq!(grown.len(), model.len());
            prop_assert!(model.iter().all(|(key, value)| grown.get(Key(*key)) == Some(*value)));
        }
    }

    #[test]
    fn takes_what_it_was_made_for_and_stops_when_full() {
        let mut slots = Slots::with_room_for(100);
        for key in 1..=10_000 {
            slots.insert(Key::new(key), key);
        }
        assert!(slots.is_full() && (100..slots.span()).contains(&slots.len()));
        assert_eq!(slots.get(Key::new(1)), Some(1));
        assert_eq!(slots.get(Key::new(9_999)), None);
    }
}
