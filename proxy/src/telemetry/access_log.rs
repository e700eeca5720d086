//! The access log: JSON lines, one for every request that was not `ok` and for a sample of those that were.
//!
//! Whether a line is due is decided before anything of it is built. The line is built in a buffer the worker keeps
//! and handed to a spool (`spool.rs`), so a slow disk or a full pipe costs lines, which are counted, never time.

use std::cell::{Cell, RefCell};
use std::io;
use std::time::Duration;

use outrigger_config::sidecar;

use super::line;
pub use super::line::Detail;
use super::names::Names;
use super::record::{Outcome, Record};
use super::spool::{Producer, Spool};

/// Bytes of lines that may wait or be on their way to the file, all workers together.
pub const WAITING_BYTES: usize = 4 * 1_024 * 1_024;

/// The log of the process.
#[derive(Debug)]
pub struct AccessLog {
    spool: Option<Spool>,
    ok_sample_millionths: u32,
}

impl AccessLog {
    /// Opens the log for `workers` workers.
    ///
    /// # Errors
    /// The file could not be opened or the writer's thread not be started.
    pub fn open(config: &sidecar::AccessLog, workers: usize) -> io::Result<Self> {
        let spool = Spool::start("access-log", &config.sink, workers, WAITING_BYTES)?;
        Ok(Self { spool, ok_sample_millionths: config.ok_sample_millionths })
    }

    /// Opens the file anew, after it was rotated.
    pub fn reopen(&self) {
        if let Some(spool) = &self.spool {
            spool.reopen();
        }
    }

    /// Waits until all lines so far are written, at most for `patience`; `false` if they were not.
    pub fn flush(&self, patience: Duration) -> bool {
        self.spool.as_ref().is_none_or(|spool| spool.flush(patience))
    }

    /// Lines dropped because the sink was too slow.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.spool.as_ref().map_or(0, Spool::dropped)
    }

    /// Writes that failed; what they held is lost.
    #[must_use]
    pub fn write_errors(&self) -> u64 {
        self.spool.as_ref().map_or(0, Spool::errors)
    }

    /// The end of worker `index`.
    pub(super) fn lines(&self, index: usize) -> Option<Lines> {
        let producer = self.spool.as_ref()?.producer(index);
        let seed = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(index as u64 + 1);
        Some(Lines {
            producer,
            ok_sample_millionths: self.ok_sample_millionths,
            random: Cell::new(seed),
            buffer: RefCell::default(),
        })
    }
}

/// One worker's end of the log.
#[derive(Debug)]
pub(super) struct Lines {
    producer: Producer,
    ok_sample_millionths: u32,
    random: Cell<u64>,
    buffer: RefCell<Vec<u8>>,
}

impl Lines {
    /// Writes the record's line if one is due.
    pub(super) fn write(&self, service: &str, names: &Names, record: &Record, detail: &Detail<'_>) {
        if record.outcome == Outcome::Ok && !self.sampled() {
            return;
        }
        let mut buffer = self.buffer.borrow_mut();
        buffer.clear();
        line::write(&mut buffer, service, names, record, detail);
        buffer.push(b'\n');
        self.producer.push(&buffer);
    }

    fn sampled(&self) -> bool {
        match self.ok_sample_millionths {
            0 => false,
            1_000_000.. => true,
            share => {
                // The upper half of the product of a uniform number and the range is uniform over the range.
                let draw = (u64::from(self.draw()) * 1_000_000) >> 32;
                draw < u64::from(share)
            }
        }
    }

    /// SplitMix64 (Steele, Lea, Flood 2014): enough to sample with, nothing more.
    fn draw(&self) -> u32 {
        let state = self.random.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.random.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 32) as u32
    }
}
