//! The program's own log: what it did, to people. One line an event on standard error.
//!
//! Requests are not logged here (see [`super::access_log`]); this is for changes of state: a policy applied or
//! refused, a certificate reloaded, a port bound, a drain begun. Messages are lowercase without a full stop, facts
//! are fields. Until [`init`] lines go straight to standard error; after it they go through a thread, so that a
//! full pipe never stops whoever has something to say. The level can be changed while running.
//!
//! ```text
//! ts=2026-02-03T04:05:06.789Z level=info event="policy applied" generation=7 source=file
//! {"ts":"2026-02-03T04:05:06.789Z","level":"info","event":"policy applied","generation":"7","source":"file"}
//! ```

use std::fmt::{Display, Write as _};
use std::io::{self, Write as _};
use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::Duration;

use outrigger_config::sidecar::LogSink;

use super::json::{self, Object};
use super::spool::{Producer, Spool};
use super::stamp::Stamp;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Something is broken and needs a person.
    Error = 0,
    /// Something is not as it should be.
    Warn = 1,
    /// A change of state.
    Info = 2,
    /// What helps to find out why.
    Debug = 3,
}

const LEVELS: [Level; 4] = [Level::Error, Level::Warn, Level::Info, Level::Debug];

impl Level {
    /// As it is written.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        LEVELS.into_iter().find(|level| level.label() == text).ok_or(UnknownLevel)
    }
}

/// Not one of the levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownLevel;

impl Display for UnknownLevel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("level is one of error, warn, info, debug")
    }
}

impl std::error::Error for UnknownLevel {}

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// `key=value`, for people.
    #[default]
    Logfmt,
    /// JSON objects, for collectors.
    Json,
}

/// Named facts of a line.
pub type Fields<'a> = &'a [(&'a str, &'a dyn Display)];

static LEVEL: AtomicU8 = AtomicU8::new(Level::Info as u8);
static LOG: OnceLock<Log> = OnceLock::new();

struct Log {
    style: Style,
    spool: Spool,
    producer: Producer,
}

/// Bytes of lines that may wait.
const WAITING_BYTES: usize = 512 * 1_024;

/// Bytes of a field's value that are kept.
const FIELD: usize = 4 * 1_024;

/// From now on lines go through a thread. A second call changes nothing.
///
/// # Errors
/// The thread could not be started.
pub fn init(style: Style) -> io::Result<()> {
    if LOG.get().is_none()
        && let Some(spool) = Spool::start("log", &LogSink::Stderr, 1, WAITING_BYTES)?
    {
        let producer = spool.producer(0);
        let _ = LOG.set(Log { style, spool, producer });
    }
    Ok(())
}

/// Waits until all lines so far are written, at most for `patience`. Call it before the process ends.
pub fn flush(patience: Duration) {
    if let Some(log) = LOG.get() {
        log.spool.flush(patience);
    }
}

/// What is written from now on.
pub fn set_level(level: Level) {
    LEVEL.store(level as u8, Relaxed);
}

/// What is written now.
#[must_use]
pub fn level() -> Level {
    let code = LEVEL.load(Relaxed);
    LEVELS.into_iter().find(|level| *level as u8 == code).unwrap_or(Level::Info)
}

/// Whether lines of this level are written; ask before gathering costly fields.
#[must_use]
pub fn enabled(of: Level) -> bool {
    of as u8 <= LEVEL.load(Relaxed)
}

/// Something is broken and needs a person.
pub fn error(event: &str, fields: Fields<'_>) {
    write(Level::Error, event, fields);
}

/// Something is not as it should be.
pub fn warn(event: &str, fields: Fields<'_>) {
    write(Level::Warn, event, fields);
}

/// A change of state.
pub fn info(event: &str, fields: Fields<'_>) {
    write(Level::Info, event, fields);
}

/// What helps to find out why.
pub fn debug(event: &str, fields: Fields<'_>) {
    write(Level::Debug, event, fields);
}

fn write(level: Level, event: &str, fields: Fields<'_>) {
    if !enabled(level) {
        return;
    }
    match LOG.get() {
        Some(log) => log.producer.push(&line(log.style, Stamp::now(), level, event, fields)),
        None => {
            // Nowhere to say that standard error is gone.
            let _ = io::stderr().write_all(&line(Style::default(), Stamp::now(), level, event, fields));
        }
    }
}

fn line(style: Style, at: Stamp, level: Level, event: &str, fields: Fields<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    match style {
        Style::Logfmt => logfmt(&mut out, at, level, event, fields),
        Style::Json => {
            let mut object = Object::open(&mut out);
            object.plain("ts", at);
            object.plain("level", level.label());
            object.text("event", event.as_bytes(), FIELD);
            for (name, value) in fields {
                object.text(name, value.to_string().as_bytes(), FIELD);
            }
            object.close();
        }
    }
    out.push(b'\n');
    out
}

fn logfmt(out: &mut Vec<u8>, at: Stamp, level: Level, event: &str, fields: Fields<'_>) {
    json::print(out, format_args!("ts={at} level={} event=", level.label()));
    value(out, event);
    let mut text = String::new();
    for (name, display) in fields {
        json::print(out, format_args!(" {name}="));
        text.clear();
        let _ = write!(text, "{display}");
        value(out, &text);
    }
}

/// Bare if it is one plain word, else quoted and escaped as in JSON.
fn value(out: &mut Vec<u8>, text: &str) {
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'=' | b'\\');
    if !text.is_empty() && text.len() <= FIELD && text.bytes().all(plain) {
        out.extend_from_slice(text.as_bytes());
    } else {
        json::string(out, text.as_bytes(), FIELD);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(style: Style, fields: Fields<'_>) -> String {
        String::from_utf8(line(style, Stamp(1_000), Level::Warn, "policy refused", fields)).unwrap()
    }

    #[test]
    fn writes_facts_as_fields() {
        assert_eq!(
            text(Style::Logfmt, &[("generation", &7), ("file", &"a b.yaml")]),
            "ts=1970-01-01T00:00:01.000Z level=warn event=\"policy refused\" generation=7 file=\"a b.yaml\"\n"
        );
        assert_eq!(
            text(Style::Json, &[("generation", &7)]),
            "{\"ts\":\"1970-01-01T00:00:01.000Z\",\"level\":\"warn\",\"event\":\"policy refused\",\"generation\":\"7\"}\n"
        );
    }

    #[test]
    fn a_value_cannot_forge_a_line_or_a_field() {
        let hostile = "x\nlevel=error event=\"owned\" \x1b[2J";
        for style in [Style::Logfmt, Style::Json] {
            let line = text(style, &[("error", &hostile)]);
            assert_eq!(line.lines().count(), 1);
            assert!(!line.trim_end().contains(char::is_control), "{line:?}");
        }
        assert!(
            text(Style::Logfmt, &[("error", &hostile)]).contains(r#"error="x\nlevel=error event=\"owned\""#)
        );
    }

    #[test]
    fn levels_are_read_as_they_are_written() {
        for level in LEVELS {
            assert_eq!(level.label().parse(), Ok(level));
        }
        assert_eq!("loud".parse::<Level>(), Err(UnknownLevel));
    }
}
