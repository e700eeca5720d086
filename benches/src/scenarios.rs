//! The parts of a request's way that are measured by themselves, each as the sidecar does it.
//!
//! A scenario is set up once and then run many times; every run does the same work, so a count for one run is
//! the difference between many runs and none, divided by how many.

mod fields;
mod policies;
mod record;
mod routes;

use std::net::{IpAddr, Ipv4Addr};

/// A part of the way.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// How it is called on command lines and in `reference.json`.
    pub name: &'static str,
    /// What one run does.
    pub what: &'static str,
    /// Allocations one run may make, by the design.
    pub allocations: u64,
    /// Nanoseconds one run may take, where the design names a time.
    pub nanoseconds: Option<u32>,
    /// Prepares it.
    pub prepare: fn() -> anyhow::Result<Run>,
}

/// One run of a prepared scenario.
pub type Run = Box<dyn FnMut()>;

/// All of them.
pub const ALL: &[Scenario] = &[
    Scenario {
        name: ROUTER_SMALL,
        what: "find a route among 10",
        allocations: 0,
        nanoseconds: None,
        prepare: routes::ten,
    },
    Scenario {
        name: ROUTER_LARGE,
        what: "find a route among 10,000",
        allocations: 0,
        nanoseconds: None,
        prepare: routes::ten_thousand,
    },
    Scenario {
        name: "limit_unkeyed",
        what: "a chain of one limit for all: ask, settle",
        allocations: 1,
        nanoseconds: Some(2000),
        prepare: policies::unkeyed,
    },
    Scenario {
        name: "limit_keyed",
        what: "a chain of one limit by client, 1,000 clients in turn: ask, settle",
        allocations: 1,
        nanoseconds: Some(2000),
        prepare: policies::keyed,
    },
    Scenario {
        name: "chain_of_four",
        what: "a chain of four limits with keys of several parts: ask, settle",
        allocations: 1,
        nanoseconds: Some(2000),
        prepare: policies::four,
    },
    Scenario {
        name: "guard",
        what: "judge a request head of 108 bytes",
        allocations: 0,
        nanoseconds: None,
        prepare: fields::guard,
    },
    Scenario {
        name: "path",
        what: "refuse an ambiguous path, had it been one",
        allocations: 0,
        nanoseconds: None,
        prepare: fields::path,
    },
    Scenario {
        name: "hop_strip",
        what: "take the hop-by-hop fields off a request that has one",
        allocations: 0,
        nanoseconds: None,
        prepare: fields::hop,
    },
    Scenario {
        name: "untrusted_strip",
        what: "look for claims an untrusted peer may not make",
        allocations: 0,
        nanoseconds: None,
        prepare: fields::untrusted,
    },
    Scenario {
        name: "forwarded",
        what: "say who asked and that we were here",
        allocations: 0,
        nanoseconds: None,
        prepare: fields::forwarded,
    },
    Scenario {
        name: "identify",
        what: "give a request its id and its place in a trace",
        // The two values.
        allocations: 2,
        nanoseconds: None,
        prepare: fields::identify,
    },
    Scenario {
        name: "telemetry",
        what: "count a finished request, unsampled, and keep its record",
        allocations: 0,
        nanoseconds: Some(100),
        prepare: record::telemetry,
    },
    Scenario {
        name: "decision",
        what: "find the route, ask four limits, settle, record",
        allocations: 1,
        nanoseconds: None,
        prepare: record::decision,
    },
];

/// The scenario that the large one is compared with.
pub const ROUTER_SMALL: &str = "router_10";
/// Must cost what the small one does.
pub const ROUTER_LARGE: &str = "router_10000";

/// The scenario called `name`.
#[must_use]
pub fn find(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}

/// The `n`th of the clients that take turns.
fn client(n: u32) -> IpAddr {
    Ipv4Addr::from(0x0a00_0000 | n).into()
}

/// The numbers below `limit` in turn, in an order that is the same every time.
fn in_turn(limit: u32) -> impl FnMut() -> u32 {
    let mut next = 0;
    move || {
        let now = next;
        next = if now + 1 < limit { now + 1 } else { 0 };
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_runs_and_is_found_by_its_name() {
        for scenario in ALL {
            assert_eq!(find(scenario.name).unwrap().what, scenario.what);
            let mut run = (scenario.prepare)().unwrap();
            (0..3).for_each(|_| run());
        }
    }

    #[test]
    fn turns_come_round() {
        let mut turn = in_turn(2);
        assert_eq!([turn(), turn(), turn()], [0, 1, 0]);
    }
}
