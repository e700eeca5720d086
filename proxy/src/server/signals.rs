//! What the two ends of a connection's life tell each other: the layer that reads its bytes, and the pipeline that
//! answers its requests. They may not share a thread's cells, since an upgraded connection has to be `Send`.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::Waker;

use outrigger_filters::clock::Nanos;
use parking_lot::Mutex;

use crate::hygiene::Malformed;

/// Bytes of interim answers that may wait for a client.
const MOST_FIRST: usize = 64 * 1024;

/// What the byte layer and the pipeline tell each other about a connection.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    /// Requests of this connection that have no complete answer yet.
    in_flight: AtomicU32,
    /// When the last of them was over.
    ended: AtomicU64,
    /// Heads released before the malformed one; what follows them is the stand-in.
    good_heads: AtomicU64,
    /// To be written before the answer that is being waited for.
    first: Mutex<Vec<u8>>,
    has_first: AtomicBool,
    /// Bytes of an answer may be waiting to be written.
    writes: AtomicBool,
    trouble: Mutex<Option<Trouble>>,
    has_trouble: AtomicBool,
    tunnel: AtomicBool,
    resume: AtomicBool,
    /// Who reads the connection while it is held: nothing else would tell it to look again.
    reader: Mutex<Option<Waker>>,
}

/// Why a connection cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Malformed(Malformed),
    /// The head did not come in time.
    SlowHead,
}

impl Signals {
    /// A request begins. It and its end come from one thread, so nothing is lost between looking and writing.
    pub(crate) fn begin(&self) {
        self.in_flight.store(self.in_flight().wrapping_add(1), Ordering::Relaxed);
    }

    /// A request is over.
    pub(crate) fn end(&self, now: Nanos) {
        self.in_flight.store(self.in_flight().wrapping_sub(1), Ordering::Relaxed);
        self.ended.store(now.0, Ordering::Relaxed);
    }

    /// Requests that have begun and are not over.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// When a request was over last, if there was one.
    pub(super) fn ended(&self) -> Option<Nanos> {
        Some(Nanos(self.ended.load(Ordering::Relaxed))).filter(|ended| ended.0 > 0)
    }

    /// Has `text` written before the answer that is being waited for, unless something of an earlier one is still being
    /// written or more waits already than is worth keeping.
    pub(crate) fn say_first(&self, text: &[u8]) {
        let mut first = self.first.lock();
        if !self.writes.load(Ordering::Relaxed) && first.len().saturating_add(text.len()) <= MOST_FIRST {
            first.extend_from_slice(text);
            self.has_first.store(true, Ordering::Relaxed);
        }
    }

    /// What is to be written before anything else.
    pub(super) fn take_first(&self) -> Option<Vec<u8>> {
        // Looked at for every write, and hardly ever there.
        self.has_first.load(Ordering::Relaxed).then(|| {
            self.has_first.store(false, Ordering::Relaxed);
            std::mem::take(&mut *self.first.lock())
        })
    }

    /// Whether bytes of an answer may be waiting to be written.
    pub(super) fn set_writes(&self, writes: bool) {
        self.writes.store(writes, Ordering::Relaxed);
    }

    /// What is wrong, if the `nth` request (from 1) of the connection is the stand-in.
    pub(crate) fn trouble_at(&self, nth: u64) -> Option<Trouble> {
        if !self.has_trouble.load(Ordering::Acquire) || nth <= self.good_heads.load(Ordering::Acquire) {
            return None;
        }
        *self.trouble.lock()
    }

    /// What is wrong with the body being read, if anything.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        self.has_trouble.load(Ordering::Acquire).then(|| *self.trouble.lock()).flatten()
    }

    /// The upstream has switched protocols: bytes are no longer HTTP.
    pub(crate) fn tunnel(&self) {
        self.tunnel.store(true, Ordering::Release);
        self.wake_reader();
    }

    /// The upstream has not switched: what was held back is the next request.
    pub(crate) fn resume(&self) {
        self.resume.store(true, Ordering::Release);
        self.wake_reader();
    }

    fn wake_reader(&self) {
        if let Some(reader) = self.reader.lock().take() {
            reader.wake();
        }
    }

    pub(super) fn set_trouble(&self, trouble: Trouble, good_heads: u64) {
        *self.trouble.lock() = Some(trouble);
        self.good_heads.store(good_heads, Ordering::Release);
        self.has_trouble.store(true, Ordering::Release);
    }

    pub(super) fn is_tunnel(&self) -> bool {
        self.tunnel.load(Ordering::Acquire)
    }

    /// Whether there is leave to read on; it is good for once.
    pub(super) fn take_resume(&self) -> bool {
        self.resume.swap(false, Ordering::AcqRel)
    }

    /// The reader of held-back bytes is to be woken when the upstream has answered.
    pub(super) fn await_answer(&self, reader: &Waker) {
        *self.reader.lock() = Some(reader.clone());
    }
}
