use super::*;
use crate::meter::gcra::{Pace, Segment, TOKEN};
use crate::unit::Rate;

const SECOND: u64 = 1_000_000_000;

fn segment(burst: u64) -> Segment {
    Segment::first(1, Pace::new(Rate::per_second(1), burst), 0)
}

fn room(max_keys: usize, on_overflow: OnOverflow) -> Room {
    Room { max_keys, on_overflow }
}

/// A hash as a good hash function would give it.
fn hash(key: u64) -> u64 {
    let mixed = (key + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ mixed >> 31).wrapping_mul(0xBF58_476D_1CE4_E5B9)
}

#[test]
fn remembers_exactly_so_many_keys() {
    for max_keys in [1, 2, 50, 3_000] {
        let (table, at) = (Table::new(max_keys), segment(2).at(0));
        let room = room(max_keys, OnOverflow::Shared);
        let own = (0..4 * max_keys as u64)
            .filter(|key| matches!(table.take(hash(*key), &at, TOKEN, 0, room), Ok((_, Place::Own))))
            .count();
        assert_eq!((own, table.keys()), (max_keys, max_keys));
    }
}

#[test]
fn evicts_only_what_is_idle() {
    let (table, segment) = (Table::new(1), segment(2));
    let room = room(1, OnOverflow::Deny);
    assert!(table.take(hash(0), &segment.at(0), TOKEN, 0, room).is_ok());
    assert_eq!(table.take(hash(1), &segment.at(SECOND / 2), TOKEN, 0, room), Err(Refused::NoRoom));
    // Idle after a second; the search may take some turns to come by.
    let at = segment.at(SECOND + 1_000);
    let turns = (0..200).take_while(|_| table.take(hash(1), &at, TOKEN, 0, room).is_err()).count();
    assert!(turns < 200, "found room after {turns}");
    assert_eq!(table.keys(), 1);
}

#[test]
fn a_key_that_finds_room_carries_its_overflow_bucket() {
    let (table, segment) = (Table::new(1), segment(3));
    let room = room(1, OnOverflow::Shared);
    let at = segment.at(0);
    table.take(hash(0), &at, TOKEN, 0, room).unwrap();
    let places: Vec<_> = (0..3).map(|_| table.take(hash(1), &at, TOKEN, 0, room).unwrap().1).collect();
    assert_eq!(places, [Place::Overflow; 3]);
    assert!(matches!(table.take(hash(1), &at, TOKEN, 0, room), Err(Refused::Empty(_))));
    let later = segment.at(SECOND + 1_000);
    table.sweep(&later);
    assert_eq!(table.keys(), 0);
    let (_, place) = table.take(hash(1), &later, TOKEN, 0, room).unwrap();
    assert_eq!(place, Place::Own);
    assert!(table.take(hash(1), &later, TOKEN, 0, room).is_err(), "one second grants one, not a new burst");
}

#[test]
fn allow_lets_strangers_pass_uncounted() {
    let (table, at) = (Table::new(1), segment(1).at(0));
    let room = room(1, OnOverflow::Allow);
    table.take(hash(0), &at, TOKEN, 0, room).unwrap();
    for _ in 0..9 {
        assert_eq!(table.take(hash(1), &at, TOKEN, 0, room).unwrap().1, Place::Nowhere);
    }
    assert!(table.take(hash(0), &at, TOKEN, 0, room).is_err(), "but not those it knows");
}

#[test]
fn a_refusal_remembers_nothing() {
    let table = Table::new(8);
    let at = segment(1).at(0);
    let room = room(8, OnOverflow::Shared);
    assert!(table.take(hash(0), &at, 2 * TOKEN, 0, room).is_err());
    assert_eq!(table.keys(), 0);
}

#[test]
fn a_charge_taken_back_was_never_there() {
    let (table, at) = (Table::new(1), segment(1).at(0));
    let room = room(1, OnOverflow::Shared);
    for key in [0, 1] {
        let (charge, place) = table.take(hash(key), &at, TOKEN, 0, room).unwrap();
        assert!(table.peek(hash(key), &at, TOKEN, 0).is_err());
        table.untake(hash(key), charge, place, TOKEN);
        assert!(table.take(hash(key), &at, TOKEN, 0, room).is_ok(), "{place:?}");
    }
}

#[test]
fn takes_more_keys_when_told_to() {
    let (table, at) = (Table::new(4), segment(1).at(0));
    for key in 0..4 {
        table.take(hash(key), &at, TOKEN, 0, room(4, OnOverflow::Shared)).unwrap();
    }
    table.provide_for(10_000);
    let room = room(10_000, OnOverflow::Deny);
    for key in 0..4 {
        assert!(table.take(hash(key), &at, TOKEN, 0, room).is_err(), "kept");
    }
    for key in 4..10_000 {
        assert!(table.take(hash(key), &at, TOKEN, 0, room).is_ok(), "key {key}");
    }
}

#[test]
fn shrinks_to_a_lower_bound_as_keys_fall_idle() {
    let (table, segment) = (Table::new(100), segment(1));
    for key in 0..100 {
        table.take(hash(key), &segment.at(0), TOKEN, 0, room(100, OnOverflow::Deny)).unwrap();
    }
    let fewer = room(10, OnOverflow::Deny);
    let later = segment.at(2 * SECOND);
    assert_eq!(table.take(hash(200), &later, TOKEN, 0, fewer), Err(Refused::NoRoom));
    table.sweep(&later);
    assert!(table.take(hash(200), &later, TOKEN, 0, fewer).is_ok());
    assert_eq!(table.keys(), 1);
}
