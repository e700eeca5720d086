//! Judges the bytes of an inbound HTTP/1 connection before the HTTP parser sees them.
//!
//! A parser that forgives is how requests are smuggled: two programs in a row read the same bytes as different
//! requests. The parser behind us accepts a few spellings (odd Host, Content-Length, Transfer-Encoding, targets,
//! bare LF) that others read differently. So a small, strict reader stands in front of it and follows the
//! framing of the whole connection, pipelining included: heads, bodies by length, chunks, trailers. A head, a
//! chunk-size line or a trailer section is handed on only once all of it has been verified; body bytes are
//! handed on as they come. Nothing is ever changed: what the parser reads is what the client sent.
//!
//! The bytes behind a request that asks for an upgrade (or behind CONNECT) are held until the caller knows the
//! answer: [`Guard::tunnel`] after a 101 releases everything, [`Guard::resume`] reads on as HTTP.
//!
//! The verdict depends only on the bytes, never on how they were split into reads, and each byte is looked at
//! once however slowly it drips. Rules: RFC 9112 §2.2, §3, §5.1, §5.2, §6, §7; RFC 9110 §6.5.1, §7.2, §10.1.1.
//!
//! Limits: a message that is complete and followed by garbage is released and served; the garbage is then
//! refused. HTTP/2 is not for this guard: recognise its preface first.
//!
//! Cost: as much as a vectorised HTTP parser (0.5 ns a byte of a browser's head, 1 ns of a very short one), next
//! to nothing for bodies, no allocation.
use super::Malformed;
use super::chunk::{self, Chunk};
use super::field;
use super::head::{Body, Facts, Head};
use super::lines::Lines;

/// How large a head, or a trailer section, may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes from the first byte of the request line to the end of the empty line.
    pub max_bytes: usize,
    /// Field lines.
    pub max_headers: usize,
}

impl Default for HeadLimits {
    /// 32 KiB and 100 fields.
    fn default() -> Self {
        Self { max_bytes: 32 * 1024, max_headers: 100 }
    }
}

/// What may be done with the bytes shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inspected {
    /// How many bytes from the start may be handed to the parser now. They are good whatever the verdict.
    pub release: usize,
    /// Whether the connection can be read any further.
    pub verdict: Verdict,
}

/// Whether the connection can be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing wrong so far.
    Continue,
    /// Answer the requests released so far, then this, then close. Final: later calls say the same.
    Malformed(Malformed),
}

/// The guard of one connection.
#[derive(Debug)]
pub struct Guard {
    limits: HeadLimits,
    phase: Phase,
    lines: Lines,
    head: Head,
    trailer_fields: usize,
    extension_bytes: usize,
    heads_verified: u64,
    expects_continue: bool,
    held: usize,
    /// What was refused was part of a body.
    broke_off: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Head,
    Length(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    Held,
    Tunnel,
    Refused(Malformed),
}

impl Guard {
    /// A guard for a connection on which nothing has been read.
    pub fn new(limits: HeadLimits) -> Self {
        Self {
            limits,
            phase: Phase::Head,
            lines: Lines::default(),
            head: Head::default(),
            trailer_fields: 0,
            extension_bytes: 0,
            heads_verified: 0,
            expects_continue: false,
            held: 0,
            broke_off: false,
        }
    }

    /// Judges what has arrived. `pending` is every byte not yet released, in one piece: it begins where the
    /// last release ended and only ever grows at its end.
    #[inline]
    pub fn inspect(&mut self, pending: &[u8]) -> Inspected {
        let mut release = 0;
        let verdict = loop {
            let unit = pending.get(release..).unwrap_or_default();
            if unit.is_empty() {
                break Verdict::Continue;
            }
            match self.advance(unit) {
                Ok(0) => break Verdict::Continue,
                Ok(taken) => release += taken,
                Err(fault) => {
                    self.broke_off = self.in_body();
                    self.phase = Phase::Refused(fault);
                    break Verdict::Malformed(fault);
                }
            }
        };
        self.held = pending.len() - release;
        Inspected { release, verdict }
    }

    /// Request heads verified and released since the connection began.
    pub const fn heads_verified(&self) -> u64 {
        self.heads_verified
    }

    /// The head verified last has `Expect: 100-continue`, in a version where that means something.
    pub const fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// The head verified last asks for another protocol (Upgrade, CONNECT); what follows is not released until
    /// [`tunnel`](Self::tunnel) or [`resume`](Self::resume).
    pub const fn holding_for_upgrade(&self) -> bool {
        matches!(self.phase, Phase::Held)
    }

    /// A 101 was sent: whatever comes is released. Without a request that asked for it this does nothing.
    pub const fn tunnel(&mut self) {
        if self.holding_for_upgrade() {
            self.phase = Phase::Tunnel;
        }
    }

    /// The upgrade was refused: what was held is the next request. Call [`inspect`](Self::inspect) again.
    pub const fn resume(&mut self) {
        if self.holding_for_upgrade() {
            self.phase = Phase::Head;
        }
    }

    /// Idle: the last message is over and nothing of a next one has come (one empty line does not count).
    pub const fn between_messages(&self) -> bool {
        matches!(self.phase, Phase::Head) && self.held <= self.head.blank_bytes()
    }

    /// A head has begun and is not finished.
    pub const fn in_head(&self) -> bool {
        matches!(self.phase, Phase::Head) && !self.between_messages()
    }

    /// A head was released and its body, trailers included, is not finished; it never will be if it is malformed.
    pub const fn in_body(&self) -> bool {
        self.broke_off
            || matches!(
                self.phase,
                Phase::Length(_) | Phase::ChunkSize | Phase::ChunkData(_) | Phase::ChunkEnd | Phase::Trailers
            )
    }

    /// Reads one unit from its start. Returns how many bytes of it may go, 0 for "not yet".
    #[inline]
    fn advance(&mut self, unit: &[u8]) -> Result<usize, Malformed> {
        match self.phase {
            Phase::Head => self.read_head(unit),
            Phase::Length(left) => Ok(self.pass(unit, left, Phase::Length, Phase::Head)),
            Phase::ChunkSize => self.read_chunk_size(unit),
            Phase::ChunkData(left) => Ok(self.pass(unit, left, Phase::ChunkData, Phase::ChunkEnd)),
            Phase::ChunkEnd => self.read_chunk_end(unit),
            Phase::Trailers => self.read_trailers(unit),
            Phase::Held => Ok(0),
            Phase::Tunnel => Ok(unit.len()),
            Phase::Refused(fault) => Err(fault),
        }
    }

    fn read_head(&mut self, unit: &[u8]) -> Result<usize, Malformed> {
        let blank = if unit.starts_with(b"\r\n") { 2 } else { 0 };
        let window = unit.get(..self.limits.max_bytes.saturating_add(blank)).unwrap_or(unit);
        while let Some(line) = self.lines.next(window)? {
            if let Some(facts) = self.head.line(window, &line, self.limits.max_headers)? {
                self.begin_body(facts);
                return Ok(self.end_lines());
            }
        }
        if unit.len() > window.len() { Err(self.head.too_large()) } else { Ok(0) }
    }

    fn begin_body(&mut self, facts: Facts) {
        self.head = Head::default();
        self.heads_verified += 1;
        self.expects_continue = facts.expects_continue;
        self.extension_bytes = 0;
        self.trailer_fields = 0;
        self.phase = match facts.body {
            _ if facts.switches_protocol => Phase::Held,
            Body::None => Phase::Head,
            Body::Length(length) => Phase::Length(length),
            Body::Chunked => Phase::ChunkSize,
        };
    }

    fn read_chunk_size(&mut self, unit: &[u8]) -> Result<usize, Malformed> {
        let window = unit.get(..chunk::MAX_LINE + 2).unwrap_or(unit);
        let Some(line) = self.lines.next(window)? else {
            return if unit.len() > window.len() { Err(Malformed::ChunkExtension) } else { Ok(0) };
        };
        let Chunk { size, extensions } = chunk::parse(line.bytes)?;
        self.extension_bytes += extensions;
        if self.extension_bytes > chunk::MAX_EXTENSIONS {
            return Err(Malformed::ChunkExtension);
        }
        self.phase = if size == 0 { Phase::Trailers } else { Phase::ChunkData(size) };
        Ok(self.end_lines())
    }

    fn read_chunk_end(&mut self, unit: &[u8]) -> Result<usize, Malformed> {
        match unit {
            [b'\r', b'\n', ..] => {
                self.phase = Phase::ChunkSize;
                Ok(2)
            }
            [b'\r'] => Ok(0),
            _ => Err(Malformed::ChunkEnd),
        }
    }

    fn read_trailers(&mut self, unit: &[u8]) -> Result<usize, Malformed> {
        let window = unit.get(..self.limits.max_bytes).unwrap_or(unit);
        while let Some(line) = self.lines.next(window)? {
            if line.bytes.is_empty() {
                self.phase = Phase::Head;
                return Ok(self.end_lines());
            }
            self.trailer_fields += 1;
            if self.trailer_fields > self.limits.max_headers {
                return Err(Malformed::TooManyFields);
            }
            field::parse(line.bytes).and_then(|(name, _)| field::check_trailer(name))?;
        }
        if unit.len() > window.len() { Err(Malformed::HeadTooLarge) } else { Ok(0) }
    }

    /// Passes body bytes on; `rest` or `done` is the phase after them.
    fn pass(&mut self, unit: &[u8], left: u64, rest: fn(u64) -> Phase, done: Phase) -> usize {
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(unit.len());
        let left = left - here as u64;
        self.phase = if left == 0 { done } else { rest(left) };
        here
    }

    /// Ends a unit of lines: the next byte begins a new one.
    fn end_lines(&mut self) -> usize {
        std::mem::take(&mut self.lines).taken()
    }
}
