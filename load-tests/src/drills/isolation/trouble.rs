//! The ways in which the neighbour fails, each beside the same load on a neighbour that is well.

use std::net::SocketAddr;

use crate::drills::caller::{Ask, Caller};
use crate::drills::load::Load;
use crate::upstream::{Manner, Upstream};

/// The neighbour, and the same with TLS that never comes about.
pub(super) const NEIGHBOUR: &str = "neighbour.internal";
pub(super) const SECURED: &str = "secured.internal";

/// Calls a second on the neighbour.
const RATE: u32 = 300;

/// What the neighbour does, and how it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trouble {
    /// Nothing: what the others are compared with.
    None,
    /// It accepts and never answers.
    BlackHole,
    /// Its bodies come a byte a second.
    Drip,
    /// Its TLS handshakes fail.
    Tls,
    /// Nothing, called by thousands on connections of their own.
    Crowd,
    /// It never answers thousands on connections of their own.
    Storm,
}

impl Trouble {
    pub(super) const ALL: [Self; 6] =
        [Self::None, Self::BlackHole, Self::Drip, Self::Tls, Self::Crowd, Self::Storm];

    /// The same load on a neighbour that is well; absent: this is such a load.
    pub(super) const fn beside(self) -> Option<Self> {
        match self {
            Self::None | Self::Crowd => None,
            Self::BlackHole | Self::Drip | Self::Tls => Some(Self::None),
            Self::Storm => Some(Self::Crowd),
        }
    }

    pub(super) const fn told(self) -> &'static str {
        match self {
            Self::None => "neighbour well",
            Self::BlackHole => "neighbour black-holed",
            Self::Drip => "neighbour drips a byte a second",
            Self::Tls => "neighbour fails TLS handshakes",
            Self::Crowd => "neighbour well, 2,000 new connections",
            Self::Storm => "neighbour black-holed, 2,000 new connections",
        }
    }

    /// Whether the neighbour's calls never end by themselves, so that its limit is reached.
    pub(super) const fn fills(self) -> bool {
        matches!(self, Self::BlackHole | Self::Drip | Self::Storm)
    }

    /// Brings it about: how the neighbour answers, and the load on it.
    pub(super) fn begin(self, outbound: SocketAddr, neighbour: &Upstream, crowd: u32) -> Load {
        neighbour.turn(match self {
            Self::BlackHole | Self::Storm => Manner::Hanging,
            Self::None | Self::Drip | Self::Tls | Self::Crowd => Manner::Scripted,
        });
        let (host, path) = match self {
            Self::Drip => (NEIGHBOUR, "/slow-body?chunks=60&gap=1000&size=1"),
            Self::Tls => (SECURED, "/"),
            Self::None | Self::BlackHole | Self::Crowd | Self::Storm => (NEIGHBOUR, "/"),
        };
        let ask = move |_| Ask::get(host, path);
        match self {
            Self::Crowd | Self::Storm => Load::start(Caller::fresh(outbound), crowd, ask),
            _ => Load::start(Caller::kept(outbound), RATE, ask),
        }
    }
}
