//! The kinds of requests that are measured.

use std::fmt;

use clap::ValueEnum;

/// One kind of request and the way it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Workload {
    /// GET of 128 bytes, HTTP/1.1.
    Get128,
    /// GET of 16 KiB, HTTP/1.1.
    Get16k,
    /// POST of 1 KiB answered with 128 bytes, HTTP/1.1.
    Post1k,
    /// GET of 128 bytes, h2 with prior knowledge, 8 connections of 16 streams.
    H2,
    /// GET of 128 bytes over 4 connections, against asking the upstream directly: the latency a proxy adds.
    Light,
}

impl Workload {
    /// The path asked for.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Get16k => "/16k",
            Self::Get128 | Self::Post1k | Self::H2 | Self::Light => "/",
        }
    }

    /// The program that makes the load.
    pub(crate) const fn tool(self) -> &'static str {
        match self {
            Self::H2 => "h2load",
            Self::Get128 | Self::Get16k | Self::Post1k | Self::Light => "wrk",
        }
    }

    /// How it is called in JSON and on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Get128 => "get128",
            Self::Get16k => "get16k",
            Self::Post1k => "post1k",
            Self::H2 => "h2",
            Self::Light => "light",
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Get128 => "GET 128 B, HTTP/1.1",
            Self::Get16k => "GET 16 KiB, HTTP/1.1",
            Self::Post1k => "POST 1 KiB, HTTP/1.1",
            Self::H2 => "GET 128 B, h2, 8 × 16 streams",
            Self::Light => "GET 128 B, HTTP/1.1, 4 connections",
        })
    }
}
