//! What the tests of this crate share: policies to chains, and requests told apart by their address.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use outrigger_filters::chain::{Action, Admitted, Chain};
use outrigger_filters::clock::Nanos;
use outrigger_filters::filter::Rejection;
use outrigger_filters::policies::RoutePolicies;
use outrigger_filters::rate_limits::{KeyPart, Limit};
use outrigger_filters::request::RequestView;
use outrigger_filters::state::StateStore;
use outrigger_filters::unit::Rate;

pub const SECOND: Duration = Duration::from_secs(1);

pub fn build(store: &StateStore, limits: &[Limit]) -> Arc<Chain> {
    RoutePolicies { rate_limits: limits.to_vec() }.build("inbound/route", store)
}

pub fn limit(name: &str, rate: Rate, burst: u64) -> Limit {
    Limit { burst: Some(burst), ..Limit::new(name, rate) }
}

pub fn per_client(limit: Limit) -> Limit {
    Limit { key: vec![KeyPart::ClientIp], ..limit }
}

pub fn request(headers: &HeaderMap, client: u32, worker: usize) -> RequestView<'_> {
    let client_ip = IpAddr::V4(Ipv4Addr::from(client));
    RequestView { query: Some("a=b"), worker, ..RequestView::get("/v1/orders", headers, client_ip) }
}

pub fn ask(chain: &Arc<Chain>, client: u32, now: Nanos) -> Result<Admitted, Rejection> {
    chain.admit(&request(&HeaderMap::new(), client, 0), now)
}

/// How many of so many tries pass at one moment.
pub fn passed(chain: &Arc<Chain>, client: u32, now: Nanos, tries: usize) -> usize {
    (0..tries).filter(|_| ask(chain, client, now).is_ok()).count()
}

pub fn counted(chain: &Chain, name: &str, action: Action) -> u64 {
    chain.rules().find(|(_, rule)| rule.name() == name).map_or(0, |(_, rule)| rule.count(action))
}

/// A token bucket as in textbooks, in floating point: refill, cap, take.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    pub left: f64,
    rate: f64,
    burst: f64,
    at: Nanos,
}

impl Model {
    /// Off by rounding, never by more.
    pub const SLACK: f64 = 1e-3;

    pub fn full(rate: Rate, burst: u64, now: Nanos) -> Self {
        let rate = rate.count as f64 / rate.per.as_secs_f64();
        Self { left: burst as f64, rate, burst: burst as f64, at: now }
    }

    pub fn refill(&mut self, now: Nanos) {
        self.left = (self.left + self.rate * now.since(self.at).as_secs_f64()).min(self.burst);
        self.at = self.at.max(now);
    }

    /// The tokens left stay, at most the new burst.
    pub fn change(&mut self, rate: Rate, burst: u64, now: Nanos) {
        self.refill(now);
        *self = Self { left: self.left.min(burst as f64), ..Self::full(rate, burst, now) };
    }

    /// Checks a decision and follows it.
    pub fn follow(&mut self, admitted: bool, now: Nanos) -> Result<(), String> {
        self.refill(now);
        match admitted {
            true if self.left < 1.0 - Self::SLACK => {
                return Err(format!("admitted beyond the bound: {self:?}"));
            }
            false if self.left > 1.0 + Self::SLACK => {
                return Err(format!("refused within the bound: {self:?}"));
            }
            true => self.left -= 1.0,
            false => {}
        }
        Ok(())
    }
}

/// Numbers that look random and are the same every time (splitmix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ mixed >> 31) % sides
    }
}
