//! W3C Trace Context: which trace a request belongs to (`traceparent`, `tracestate`).
//!
//! A valid `traceparent` is continued: the trace id and the flags stay bit for bit, our span becomes the parent.
//! Anything else starts a new trace and takes `tracestate` with it, which would belong to nothing. Versions
//! above 00 are read as the specification says: their first four fields, of the flags only the bits we know.
//!
//! Source: W3C Trace Context Level 2, §3.2, §3.3, §4. Cost: one allocation, for the field's value.
use http::header::{HeaderMap, HeaderName};

use super::hex;
use super::random::Random;

/// The field's name.
pub static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Length of a version 00 `traceparent`.
const LENGTH: usize = 55;

/// The place of a request in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// The trace, never all zero.
    pub trace_id: [u8; 16],
    /// The caller's span in what was received, our own in what is sent. Never all zero.
    pub span_id: [u8; 8],
    /// Bit 0: the caller may have recorded this trace. Bit 1: the trace id is random.
    pub flags: u8,
}

impl TraceContext {
    /// The bit that says the caller may have recorded the trace.
    pub const SAMPLED: u8 = 0x01;
    /// The bit that says at least seven bytes of the trace id are random.
    pub const RANDOM: u8 = 0x02;

    /// Reads the request's only `traceparent`, or nothing if it is missing, repeated or wrong in any way.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(&TRACEPARENT).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => Self::parse(value.as_bytes()),
            _ => None,
        }
    }

    /// Reads the value of a `traceparent`.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (fields, rest) = value.split_at_checked(LENGTH)?;
        let (version, fields) = fields.split_first_chunk::<2>()?;
        let (trace_id, fields) = fields.strip_prefix(b"-")?.split_first_chunk::<32>()?;
        let (span_id, fields) = fields.strip_prefix(b"-")?.split_first_chunk::<16>()?;
        let (flags, _) = fields.strip_prefix(b"-")?.split_first_chunk::<2>()?;
        let [version] = hex::read::<1, 2>(version)?;
        let [flags] = hex::read::<1, 2>(flags)?;
        let flags = match (version, rest) {
            (0, []) => flags,
            (1..=254, [] | [b'-', ..]) => flags & (Self::SAMPLED | Self::RANDOM),
            _ => return None,
        };
        let parsed = Self { trace_id: hex::read(trace_id)?, span_id: hex::read(span_id)?, flags };
        (parsed.trace_id != [0; 16] && parsed.span_id != [0; 8]).then_some(parsed)
    }

    /// Starts a trace.
    pub fn start(random: &mut Random, sampled: bool) -> Self {
        let sampled = if sampled { Self::SAMPLED } else { 0 };
        Self {
            trace_id: random.next_u128().to_be_bytes(),
            span_id: new_span_id(random),
            flags: Self::RANDOM | sampled,
        }
    }

    /// The same trace, with a span of our own.
    pub fn child(self, random: &mut Random) -> Self {
        Self { span_id: new_span_id(random), ..self }
    }

    /// Whether the caller may have recorded the trace.
    pub const fn is_sampled(self) -> bool {
        self.flags & Self::SAMPLED != 0
    }

    /// A `traceparent` that names this span as the parent.
    pub fn to_text(self) -> [u8; LENGTH] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        let (_, fields) = text.split_at_mut(3);
        let (trace_id, fields) = fields.split_at_mut(33);
        let (span_id, flags) = fields.split_at_mut(17);
        hex::write(&self.trace_id, trace_id);
        hex::write(&self.span_id, span_id);
        hex::write(&[self.flags], flags);
        text
    }
}

/// Continues the trace of a request, or starts one, and takes what belongs to the caller's span out of its fields:
/// [`TraceContext::to_text`] of what is returned goes on as `traceparent`. `sample_root` decides whether a new
/// trace is recorded.
pub fn enter(
    headers: &mut HeaderMap,
    random: &mut Random,
    sample_root: impl FnOnce(&[u8; 16]) -> bool,
) -> (Option<TraceContext>, TraceContext) {
    let parent = TraceContext::from_headers(headers);
    headers.remove(&TRACEPARENT);
    if parent.is_none() {
        headers.remove(&TRACESTATE);
    }
    let own = match parent {
        Some(parent) => parent.child(random),
        None => root(random, sample_root),
    };
    (parent, own)
}

/// A new trace.
pub fn root(random: &mut Random, sample: impl FnOnce(&[u8; 16]) -> bool) -> TraceContext {
    let mut root = TraceContext::start(random, false);
    if sample(&root.trace_id) {
        root.flags |= TraceContext::SAMPLED;
    }
    root
}

fn new_span_id(random: &mut Random) -> [u8; 8] {
    random.next_u64().max(1).to_be_bytes()
}
