//! CRLF-ended lines in a buffer that grows, each byte looked at once however it arrives.
use super::Malformed;

/// Where the next line begins and how far the search for its end has come, from the start of the unit
/// (a head, a chunk line, a trailer section) the lines belong to.
#[derive(Debug, Default)]
pub(super) struct Lines {
    start: usize,
    searched: usize,
}

/// A finished line without its CRLF, and where it began.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) start: usize,
    pub(super) bytes: &'a [u8],
}

impl Lines {
    /// The next line of `unit`, or `None` while it has no end. A lone CR or LF is an error at once.
    #[inline]
    pub(super) fn next<'a>(&mut self, unit: &'a [u8]) -> Result<Option<Line<'a>>, Malformed> {
        let Some(fresh) = unit.get(self.searched..) else { return Ok(None) };
        let Some(found) = memchr::memchr2(b'\r', b'\n', fresh) else {
            self.searched = unit.len();
            return Ok(None);
        };
        let end = self.searched + found;
        match (fresh.get(found), fresh.get(found + 1)) {
            (Some(b'\n'), _) => Err(Malformed::BareLf),
            (_, Some(b'\n')) => {
                let line = Line { start: self.start, bytes: unit.get(self.start..end).unwrap_or_default() };
                (self.start, self.searched) = (end + 2, end + 2);
                Ok(Some(line))
            }
            (_, Some(_)) => Err(Malformed::BareCr),
            (_, None) => {
                self.searched = end;
                Ok(None)
            }
        }
    }

    /// Bytes of the unit that belong to finished lines.
    pub(super) const fn taken(&self) -> usize {
        self.start
    }
}
