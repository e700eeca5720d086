//! Lines on their way to a file, for which no producer waits.
//!
//! A producer appends to a buffer in memory; a thread swaps the buffer for an empty one and writes. So a producer
//! waits for two pointers to be exchanged, never for a disk or a pipe. Buffers are bounded: when they are full the
//! newest lines are dropped and counted. The thread sleeps while there is nothing to write and gathers for
//! [`GATHER`] after each write, so a busy log costs a few hundred writes a second, not one a line.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use outrigger_config::sidecar::LogSink;
use outrigger_filters::clock::{Clock, Nanos, SystemClock};
use parking_lot::Mutex;

use super::log;

const GATHER: Duration = Duration::from_millis(5);

/// Dropped lines are reported at most this often.
const REPORT: Duration = Duration::from_secs(1);

/// What a burst may leave allocated in each buffer.
const KEPT: usize = 64 * 1_024;

/// Where the thread writes.
#[derive(Debug)]
enum Out {
    Stdout,
    Stderr,
    File { path: PathBuf, file: File },
}

impl Out {
    fn open(sink: &LogSink) -> io::Result<Option<Self>> {
        Ok(match sink {
            LogSink::Stdout => Some(Self::Stdout),
            LogSink::Stderr => Some(Self::Stderr),
            LogSink::File(path) => Some(Self::File { path: path.clone(), file: append_to(path)? }),
            LogSink::Off => None,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(bytes).and_then(|()| out.flush())
            }
            Self::Stderr => io::stderr().lock().write_all(bytes),
            Self::File { file, .. } => file.write_all(bytes),
        }
    }

    /// Opens the file's path anew, so that a rotated log goes on in a new file. The old one stays if that fails.
    fn reopen(&mut self) -> io::Result<()> {
        if let Self::File { path, file } = self {
            *file = append_to(path)?;
        }
        Ok(())
    }
}

fn append_to(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// What producers and the thread share.
#[derive(Debug)]
struct Shared {
    buffers: Box<[Mutex<Vec<u8>>]>,
    /// Bytes a buffer may hold.
    bound: usize,
    signalled: AtomicBool,
    reopen: AtomicBool,
    stopping: AtomicBool,
    dropped: AtomicU64,
    errors: AtomicU64,
    flushes: Mutex<Vec<mpsc::SyncSender<()>>>,
}

/// A log being written.
#[derive(Debug)]
pub(super) struct Spool {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

impl Spool {
    /// Starts writing to `sink` from `producers` buffers, which with what is being written hold at most `bytes`.
    /// `None` if the sink is off. A file that cannot be opened is an error now, not later.
    pub(super) fn start(
        name: &'static str,
        sink: &LogSink,
        producers: usize,
        bytes: usize,
    ) -> io::Result<Option<Self>> {
        let Some(out) = Out::open(sink)? else { return Ok(None) };
        let producers = producers.max(1);
        let shared = Arc::new(Shared {
            buffers: (0..producers).map(|_| Mutex::default()).collect(),
            bound: bytes / 2 / producers,
            signalled: AtomicBool::new(false),
            reopen: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            flushes: Mutex::default(),
        });
        let writer = Writer { shared: Arc::clone(&shared), out, batch: Vec::new(), drops: Drops::of(name) };
        let thread =
            thread::Builder::new().name(name.into()).stack_size(128 * 1_024).spawn(move || writer.run())?;
        Ok(Some(Self { shared, thread }))
    }

    /// A way to append to buffer `index`.
    pub(super) fn producer(&self, index: usize) -> Producer {
        Producer { shared: Arc::clone(&self.shared), thread: self.thread.thread().clone(), index }
    }

    /// Opens the file anew before the next write.
    pub(super) fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Release);
        self.thread.thread().unpark();
    }

    /// Waits until what was appended before is written, or `patience` is over; says which.
    pub(super) fn flush(&self, patience: Duration) -> bool {
        let (done, wait) = mpsc::sync_channel(1);
        self.shared.flushes.lock().push(done);
        self.thread.thread().unpark();
        wait.recv_timeout(patience).is_ok()
    }

    /// Lines that found no room.
    pub(super) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Writes that failed; their lines are lost.
    pub(super) fn errors(&self) -> u64 {
        self.shared.errors.load(Ordering::Relaxed)
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.thread.thread().unpark();
    }
}

/// Appends lines.
#[derive(Clone, Debug)]
pub(super) struct Producer {
    shared: Arc<Shared>,
    thread: Thread,
    index: usize,
}

impl Producer {
    /// Appends a line, or drops it if there is no room. Never waits for I/O.
    pub(super) fn push(&self, line: &[u8]) {
        let Some(buffer) = self.shared.buffers.get(self.index) else { return };
        {
            let mut buffer = buffer.lock();
            if buffer.len().saturating_add(line.len()) > self.shared.bound {
                self.shared.dropped.fetch_add(1, Ordering::Relaxed);
                return;
            }
            buffer.extend_from_slice(line);
        }
        if !self.shared.signalled.swap(true, Ordering::AcqRel) {
            self.thread.unpark();
        }
    }
}

/// The thread's side.
struct Writer {
    shared: Arc<Shared>,
    out: Out,
    batch: Vec<u8>,
    drops: Drops,
}

impl Writer {
    fn run(mut self) {
        loop {
            // Before looking: what comes after this look unparks the thread again. Requests to flush are taken
            // before the buffers, so that all that was appended before them is written before they are answered.
            self.shared.signalled.store(false, Ordering::Release);
            let stopping = self.shared.stopping.load(Ordering::Acquire);
            let flushes = std::mem::take(&mut *self.shared.flushes.lock());
            if self.shared.reopen.swap(false, Ordering::AcqRel) && self.out.reopen().is_err() {
                self.shared.errors.fetch_add(1, Ordering::Relaxed);
            }
            let wrote = self.write_all();
            for flush in flushes {
                let _ = flush.try_send(());
            }
            if stopping {
                return;
            }
            let unreported = self.drops.report(self.shared.dropped.load(Ordering::Relaxed));
            match (wrote, unreported) {
                (true, _) => thread::sleep(GATHER),
                (false, true) => thread::park_timeout(REPORT),
                (false, false) => thread::park(),
            }
        }
    }

    fn write_all(&mut self) -> bool {
        let mut wrote = false;
        for buffer in &self.shared.buffers {
            self.batch.clear();
            self.batch.shrink_to(KEPT);
            std::mem::swap(&mut *buffer.lock(), &mut self.batch);
            if !self.batch.is_empty() {
                wrote = true;
                if self.out.write(&self.batch).is_err() {
                    self.shared.errors.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        wrote
    }
}

/// What was said about dropped lines.
struct Drops {
    name: &'static str,
    clock: SystemClock,
    reported: u64,
    at: Option<Nanos>,
}

impl Drops {
    fn of(name: &'static str) -> Self {
        Self { name, clock: SystemClock::start(), reported: 0, at: None }
    }

    /// Says in the program's log how many more were dropped, at most once a [`REPORT`]; whether that is still due.
    fn report(&mut self, dropped: u64) -> bool {
        if dropped == self.reported {
            return false;
        }
        let now = self.clock.now();
        if self.at.is_some_and(|at| now.since(at) < REPORT) {
            return true;
        }
        let lines = dropped.wrapping_sub(self.reported);
        (self.reported, self.at) = (dropped, Some(now));
        log::warn("log lines dropped", &[("log", &self.name), ("lines", &lines)]);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn start(path: &std::path::Path, bytes: usize) -> Spool {
        Spool::start("test", &LogSink::File(path.into()), 1, bytes).unwrap().unwrap()
    }

    #[test]
    fn what_was_appended_is_written_by_the_time_flush_returns() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let spool = start(&path, 1_024);
        spool.producer(0).push(b"one\n");
        spool.producer(0).push(b"two\n");
        assert!(spool.flush(PATIENCE));
        assert_eq!(std::fs::read(&path).unwrap(), b"one\ntwo\n");
    }

    #[test]
    fn a_rotated_file_goes_on_in_a_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let (path, old) = (dir.path().join("log"), dir.path().join("log.1"));
        let spool = start(&path, 1_024);
        spool.producer(0).push(b"one\n");
        assert!(spool.flush(PATIENCE));
        std::fs::rename(&path, &old).unwrap();
        spool.reopen();
        spool.producer(0).push(b"two\n");
        assert!(spool.flush(PATIENCE));
        assert_eq!(std::fs::read(&old).unwrap(), b"one\n");
        assert_eq!(std::fs::read(&path).unwrap(), b"two\n");
    }

    #[test]
    fn drops_and_counts_what_does_not_fit() {
        let dir = tempfile::tempdir().unwrap();
        let spool = start(&dir.path().join("log"), 20);
        spool.producer(0).push(b"more than ten bytes\n");
        assert_eq!(spool.dropped(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_an_error_at_once() {
        let sink = LogSink::File("/nonexistent/dir/log".into());
        assert!(Spool::start("test", &sink, 1, 1_024).is_err());
    }

    #[test]
    fn a_full_pipe_costs_lines_but_no_time() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        // Open for reading and writing, so that opening for appending does not wait; nobody reads.
        let reader = OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
        let spool = start(&fifo, 256 * 1_024);
        let producer = spool.producer(0);
        let line = [b'x'; 1_024];
        // Pipe 64 KiB, batch and buffer 256 KiB: a thousand lines cannot fit, whatever the thread does.
        for _ in 0..1_000 {
            producer.push(&line);
        }
        assert!(spool.dropped() > 0);
        assert!(!spool.flush(Duration::from_millis(10)));
        drop(reader);
    }
}
