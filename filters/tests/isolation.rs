//! Isolation under schedules nobody thought of: nothing leaks, nothing overflows, nobody is forgotten.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests are tests")]

mod support;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use outrigger_filters::clock::Nanos;
use outrigger_filters::isolation::{Bulkhead, Entry, Full, Gate, Permit, Process, Spec, Ticket};
use outrigger_filters::state::StateStore;
use outrigger_filters::unit::{Size, Timespan};
use support::Dice;

const PROCESS: Process = Process { max_in_flight: 8, max_buffered: 1_000, dependencies: 2 };

/// What has become of every call, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Waits(usize, Ticket),
    Settled,
}

/// Two workers, their gates, and what the test knows about everybody.
struct World {
    dice: Dice,
    store: StateStore,
    now: Nanos,
    bulkhead: Arc<Bulkhead>,
    gates: [Gate<u32>; 2],
    held: Vec<Permit>,
    fates: HashMap<u32, Fate>,
    calls: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        let (mut dice, store) = (Dice(seed), StateStore::new(2));
        let bulkhead = Bulkhead::build(&spec(&mut dice), "dependency/d", &PROCESS, &store);
        let gates = [(); 2].map(|()| Gate::new(Arc::clone(&bulkhead)));
        let (now, held, fates) = (Nanos(1), Vec::new(), HashMap::new());
        Self { dice, store, now, bulkhead, gates, held, fates, calls: 0 }
    }

    fn step(&mut self) {
        let worker = self.dice.roll(2) as usize;
        match self.dice.roll(10) {
            0..=3 => self.enter(worker),
            4 | 5 if !self.held.is_empty() => {
                let index = self.dice.roll(self.held.len() as u64) as usize;
                drop(self.held.swap_remove(index));
            }
            6 => self.next(worker),
            7 => self.leave(),
            8 => self.now = self.now.after(Duration::from_millis(self.dice.roll(40))),
            9 if self.dice.roll(8) == 0 => self.reload(),
            _ => self.bytes(),
        }
        self.check();
    }

    fn enter(&mut self, worker: usize) {
        self.calls += 1;
        let (name, deadline) = (self.calls, self.now.after(Duration::from_millis(self.dice.roll(200))));
        let before = self.bulkhead.occupied().in_flight;
        let fate = match self.gates[worker].enter(self.now, deadline, || name) {
            Entry::In(permit) => {
                self.admit(permit, before);
                Fate::Settled
            }
            Entry::Wait(ticket) => Fate::Waits(worker, ticket),
            Entry::Refused(_) => Fate::Settled,
        };
        self.fates.insert(name, fate);
    }

    fn admit(&mut self, permit: Permit, before: u64) {
        let occupied = self.bulkhead.occupied();
        assert!(permit.is_counted() && occupied.in_flight == before + 1);
        assert!(occupied.in_flight <= occupied.limit, "{occupied:?}");
        self.held.push(permit);
    }

    fn next(&mut self, worker: usize) {
        loop {
            let before = self.bulkhead.occupied().in_flight;
            let Some((name, verdict)) = self.gates[worker].next(self.now) else { return };
            self.settle(worker, name, verdict, before);
        }
    }

    fn settle(&mut self, worker: usize, name: u32, verdict: Result<Permit, Full>, before: u64) {
        let fate = self.fates.insert(name, Fate::Settled).unwrap();
        assert!(matches!(fate, Fate::Waits(at, _) if at == worker), "{name} was told twice, or elsewhere");
        if let Ok(permit) = verdict {
            self.admit(permit, before);
        }
    }

    fn leave(&mut self) {
        if self.calls == 0 {
            return;
        }
        let name = 1 + self.dice.roll(u64::from(self.calls)) as u32;
        if let Some(Fate::Waits(worker, ticket)) = self.fates.get(&name).copied() {
            assert_eq!(self.gates[worker].leave(ticket), Some(name));
            self.fates.insert(name, Fate::Settled);
        }
    }

    fn reload(&mut self) {
        self.bulkhead = Bulkhead::build(&spec(&mut self.dice), "dependency/d", &PROCESS, &self.store);
        for gate in &mut self.gates {
            gate.update(Arc::clone(&self.bulkhead));
        }
    }

    fn bytes(&mut self) {
        let mut bytes = Arc::clone(&self.bulkhead).bytes();
        for _ in 0..3 {
            let granted = bytes.grow(self.dice.roll(400)).is_ok();
            let occupied = self.bulkhead.occupied();
            assert!(!granted || occupied.buffered <= occupied.max_buffered);
            bytes.shrink(self.dice.roll(200));
        }
    }

    fn check(&self) {
        let occupied = self.bulkhead.occupied();
        assert_eq!(occupied.in_flight, self.held.len() as u64);
        assert_eq!(occupied.buffered, 0);
        let waiting = self.fates.values().filter(|fate| matches!(fate, Fate::Waits(..))).count();
        assert_eq!(occupied.queued, waiting as u64);
        assert_eq!(self.gates.iter().map(Gate::waiting).sum::<usize>(), waiting);
        assert!(occupied.queued <= 6, "{occupied:?}");
    }

    /// Everybody goes: after the longest wait nobody may be left.
    fn end(mut self) {
        self.now = self.now.after(Duration::from_millis(200));
        self.next(0);
        self.held.clear();
        self.next(1);
        self.check();
        assert!(self.fates.values().all(|fate| *fate == Fate::Settled), "somebody was forgotten");
        self.held.clear();
        assert_eq!(self.bulkhead.occupied().in_flight, 0);
    }
}

/// Small bounds, so that all of them are met.
fn spec(dice: &mut Dice) -> Spec {
    Spec {
        max_in_flight: NonZeroU32::new(1 + dice.roll(6) as u32).unwrap(),
        max_queue: dice.roll(7) as u32,
        queue_timeout: Timespan::from_millis(1 + dice.roll(150)),
        max_buffered: Size(500 + dice.roll(500)),
        ..Spec::default()
    }
}

#[test]
fn over_any_schedule_nothing_leaks_or_overflows_and_nobody_is_forgotten() {
    for seed in 0..120_000 {
        let mut world = World::new(seed);
        for _ in 0..20 {
            world.step();
        }
        world.end();
    }
}

#[test]
fn over_long_schedules_too() {
    for seed in 0..100 {
        let mut world = World::new(seed);
        for _ in 0..2_000 {
            world.step();
        }
        world.end();
    }
}
