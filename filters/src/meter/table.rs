//! A bucket for each key, for so many keys and no more, without ever granting a key more than its bound.
//!
//! A full bucket holds no information, so only full (idle) buckets may be evicted. When none is found within a
//! bounded search, the newcomer shares one of 1,024 overflow buckets, each with the rate of one key. A key that
//! later finds room starts from its overflow bucket's value. So for every key and every span `t`, under any
//! churn: admitted ≤ burst + rate·t. (Dropping the least recently used key instead would hand out fresh bursts
//! to whoever brings enough keys.)
//!
//! Cost: one uncontended lock and one probe, ~40 ns; while full, a search of at most [`SEARCH`] slots. All
//! memory is taken when policy is compiled. Keys are 64-bit keyed hashes: two keys collide once in 2^64 pairs and
//! would then share a bucket, which only ever refuses more.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::gcra::{At, Charge, uncharge};
use super::slots::{Key, Slots};
use crate::rate_limits::OnOverflow;

const SHARDS: usize = 16;
const OVERFLOW_PER_SHARD: usize = 64;

/// How many slots are looked at for an idle bucket before a newcomer overflows.
const SEARCH: usize = 32;

/// How many slots a sweep looks at before it lets others have the lock.
const SWEEP_STEP: usize = 1024;

/// The buckets of one keyed limit.
pub(crate) struct Table {
    shards: Box<[Padded]>,
    keys: AtomicUsize,
    /// Which shard a search turns to after the newcomer's own.
    hand: AtomicUsize,
}

/// Apart from its neighbours, so that two cores do not fight over one line.
#[repr(align(128))]
struct Padded(Mutex<Shard>);

struct Shard {
    slots: Slots,
    overflow: [u64; OVERFLOW_PER_SHARD],
    hand: usize,
}

/// How many keys, and what becomes of the rest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) max_keys: usize,
    pub(crate) on_overflow: OnOverflow,
}

/// Where a charge went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// To the key's own bucket.
    Own,
    /// To a shared overflow bucket.
    Overflow,
    /// Nowhere: the key passes uncounted.
    Nowhere,
}

/// Why nothing was charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The bucket will cover it after so many nanoseconds.
    Empty(u64),
    /// There is no room for the key.
    NoRoom,
}

impl Table {
    pub(crate) fn new(max_keys: usize) -> Self {
        let shard = || Shard { slots: Slots::with_room_for(share(max_keys)), overflow: [0; _], hand: 0 };
        let shards = (0..SHARDS).map(|_| Padded(Mutex::new(shard()))).collect();
        Self { shards, keys: AtomicUsize::new(0), hand: AtomicUsize::new(0) }
    }

    /// Takes the memory for `max_keys`, if that is more than before. For compiling, not for requests.
    pub(crate) fn provide_for(&self, max_keys: usize) {
        for Padded(shard) in &self.shards {
            let mut shard = shard.lock();
            if shard.slots.span() < Slots::span_for(share(max_keys)) {
                shard.slots = shard.slots.grown_to(share(max_keys));
            }
        }
    }

    /// Keys that have a bucket of their own.
    pub(crate) fn keys(&self) -> usize {
        self.keys.load(Ordering::Relaxed)
    }

    /// Whether [`Table::take`] would find the cost covered, without charging it.
    #[inline]
    pub(crate) fn peek(&self, hash: u64, at: &At, cost: u64, max_wait: u64) -> Result<(), Refused> {
        let Some(Padded(shard)) = self.shard(hash) else { return Ok(()) };
        let shard = shard.lock();
        let emptied = shard.slots.get(Key::new(hash)).unwrap_or_else(|| shard.carried(hash));
        at.charge(emptied, cost, max_wait).map(|_| ()).map_err(Refused::Empty)
    }

    /// Charges the key's bucket, or says why not; then nothing has changed.
    #[inline]
    pub(crate) fn take(
        &self,
        hash: u64,
        at: &At,
        cost: u64,
        max_wait: u64,
        room: Room,
    ) -> Result<(Charge, Place), Refused> {
        let Some(Padded(shard)) = self.shard(hash) else { return Err(Refused::NoRoom) };
        let mut shard = shard.lock();
        if let Some(emptied) = shard.slots.get_mut(Key::new(hash)) {
            let charge = at.charge(*emptied, cost, max_wait).map_err(Refused::Empty)?;
            *emptied = charge.emptied;
            return Ok((charge, Place::Own));
        }
        self.admit_newcomer(&mut shard, hash, at, cost, max_wait, room)
    }

    /// Takes a charge back.
    pub(crate) fn untake(&self, hash: u64, charge: Charge, place: Place, cost: u64) {
        let Some(Padded(shard)) = self.shard(hash) else { return };
        let mut shard = shard.lock();
        let bucket = match place {
            Place::Own => shard.slots.get_mut(Key::new(hash)),
            Place::Overflow => shard.overflow.get_mut(overflow_index(hash)),
            Place::Nowhere => None,
        };
        if let Some(emptied) = bucket {
            *emptied = uncharge(*emptied, charge, cost);
        }
    }

    /// Evicts every idle bucket and brings idle overflow buckets up to date.
    pub(crate) fn sweep(&self, at: &At) {
        for Padded(shard) in &self.shards {
            shard.lock().refresh_overflow(at);
            let mut from = 0;
            while from < shard.lock().slots.span() {
                let evicted = shard.lock().evict_idle(from, SWEEP_STEP, usize::MAX, at);
                self.keys.fetch_sub(evicted, Ordering::Relaxed);
                from = from.saturating_add(SWEEP_STEP);
            }
        }
    }

    #[cold]
    fn admit_newcomer(
        &self,
        shard: &mut Shard,
        hash: u64,
        at: &At,
        cost: u64,
        max_wait: u64,
        room: Room,
    ) -> Result<(Charge, Place), Refused> {
        let charge = at.charge(shard.carried(hash), cost, max_wait).map_err(Refused::Empty)?;
        if self.make_room(shard, at, room.max_keys) {
            shard.slots.insert(Key::new(hash), charge.emptied);
            return Ok((charge, Place::Own));
        }
        match room.on_overflow {
            OnOverflow::Deny => Err(Refused::NoRoom),
            OnOverflow::Allow => Ok((Charge { wait: 0, ..charge }, Place::Nowhere)),
            OnOverflow::Shared => {
                if let Some(bucket) = shard.overflow.get_mut(overflow_index(hash)) {
                    *bucket = charge.emptied;
                }
                Ok((charge, Place::Overflow))
            }
        }
    }

    /// Counts one more key in if there is room for it in `shard`, evicting an idle one if it must.
    fn make_room(&self, shard: &mut Shard, at: &At, max_keys: usize) -> bool {
        let count = |keys: usize| (keys < max_keys).then(|| keys.wrapping_add(1));
        if !shard.slots.is_full()
            && self.keys.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count).is_ok()
        {
            return true;
        }
        // An entry for an entry: the number of keys stays, unless it is over a bound that was lowered.
        if self.keys() > max_keys {
            return false;
        }
        if shard.evict_at_hand(SEARCH / 2, at) {
            return true;
        }
        !shard.slots.is_full() && self.evict_elsewhere(at)
    }

    /// Looks through other shards, never waiting for one: their owners may be waiting for ours.
    fn evict_elsewhere(&self, at: &At) -> bool {
        let first = self.hand.fetch_add(1, Ordering::Relaxed);
        let mut budget = SEARCH / 2;
        for offset in 0..SHARDS {
            let Some(Padded(other)) = self.shards.get(first.wrapping_add(offset) % SHARDS) else { continue };
            let Some(mut other) = other.try_lock() else { continue };
            if other.slots.len() == 0 {
                continue;
            }
            let step = budget.min(other.slots.span()).min(8);
            if other.evict_at_hand(step, at) {
                return true;
            }
            budget = budget.saturating_sub(step);
            if budget == 0 {
                break;
            }
        }
        false
    }

    /// The bits in the middle choose the shard; the low ones choose the slot in it.
    #[inline]
    fn shard(&self, hash: u64) -> Option<&Padded> {
        self.shards.get((hash >> 32) as usize % SHARDS)
    }
}

impl Shard {
    /// What a key without a bucket of its own starts from.
    fn carried(&self, hash: u64) -> u64 {
        self.overflow.get(overflow_index(hash)).copied().unwrap_or_default()
    }

    fn evict_at_hand(&mut self, steps: usize, at: &At) -> bool {
        let found = self.evict_idle(self.hand, steps, 1, at);
        self.hand = self.hand.wrapping_add(steps);
        found > 0
    }

    /// Evicts up to `most` idle buckets among `steps` slots; says how many.
    fn evict_idle(&mut self, from: usize, steps: usize, most: usize, at: &At) -> usize {
        let mut evicted: usize = 0;
        for slot in (from..from.saturating_add(steps)).take(self.slots.span()) {
            // Again at the same slot: what was behind it may have moved into it.
            while evicted < most && self.slots.entry(slot).is_some_and(|emptied| at.is_idle(emptied)) {
                self.slots.vacate(slot);
                evicted = evicted.wrapping_add(1);
            }
        }
        evicted
    }

    fn refresh_overflow(&mut self, at: &At) {
        for bucket in self.overflow.iter_mut().filter(|bucket| at.is_idle(**bucket)) {
            *bucket = at.untouched();
        }
    }
}

/// A shard's part of the keys, with room for chance: six standard deviations of a fair spread.
fn share(max_keys: usize) -> usize {
    let mean = max_keys / SHARDS;
    mean.saturating_add(mean.isqrt().saturating_mul(6)).saturating_add(32).min(max_keys)
}

const fn overflow_index(hash: u64) -> usize {
    (hash >> 40) as usize % OVERFLOW_PER_SHARD
}

#[cfg(test)]
mod tests;
