//! JSON text written without building a tree, for lines that must be cheap. Only what the log needs: an object
//! whose keys are ours and whose strings may hold anything.

use std::fmt::{self, Write as _};

/// One JSON object being written to the end of a buffer.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Object<'a> {
    /// Opens an object.
    pub(super) fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    /// Closes it.
    pub(super) fn close(self) {
        self.out.push(b'}');
    }

    /// Writes the key, which must need no escaping, and gives the buffer for the value.
    pub(super) fn key(&mut self, key: &str) -> &mut Vec<u8> {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// A string of at most `cap` bytes before escaping.
    pub(super) fn text(&mut self, key: &str, value: &[u8], cap: usize) {
        string(self.key(key), value, cap);
    }

    /// A string that is left out when empty.
    pub(super) fn text_if(&mut self, key: &str, value: &[u8], cap: usize) {
        if !value.is_empty() {
            self.text(key, value, cap);
        }
    }

    /// A string of ours: printed within quotes as it is, so it must need no escaping.
    pub(super) fn plain(&mut self, key: &str, value: impl fmt::Display) {
        let out = self.key(key);
        out.push(b'"');
        print(out, format_args!("{value}"));
        out.push(b'"');
    }

    /// A number.
    pub(super) fn number(&mut self, key: &str, value: impl fmt::Display) {
        print(self.key(key), format_args!("{value}"));
    }
}

/// Appends formatted text; a buffer in memory never refuses it.
pub(super) fn print(out: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    struct Bytes<'a>(&'a mut Vec<u8>);
    impl fmt::Write for Bytes<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.extend_from_slice(text.as_bytes());
            Ok(())
        }
    }
    let _ = Bytes(out).write_fmt(text);
}

/// Appends `value` as a JSON string. Control characters (also DEL and C1), quotes and backslashes are escaped;
/// what is not UTF-8 becomes U+FFFD; more than `cap` bytes are cut and end in `…`.
pub(super) fn string(out: &mut Vec<u8>, value: &[u8], cap: usize) {
    out.push(b'"');
    for chunk in value.get(..cap).unwrap_or(value).utf8_chunks() {
        escape(out, chunk.valid());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{FFFD}".as_bytes());
        }
    }
    if value.len() > cap {
        out.extend_from_slice("…".as_bytes());
    }
    out.push(b'"');
}

fn escape(out: &mut Vec<u8>, text: &str) {
    for part in text.split_inclusive(must_escape) {
        match part.char_indices().next_back().filter(|(_, last)| must_escape(*last)) {
            None => out.extend_from_slice(part.as_bytes()),
            Some((at, last)) => {
                out.extend_from_slice(part.get(..at).unwrap_or_default().as_bytes());
                escaped(out, last);
            }
        }
    }
}

/// Besides what RFC 8259 demands: DEL, C1 controls, line separators and the bidirectional overrides, which can
/// rewrite what a terminal or a log viewer shows.
fn must_escape(c: char) -> bool {
    c.is_control()
        || matches!(c, '"' | '\\' | '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

fn escaped(out: &mut Vec<u8>, c: char) {
    match c {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        // All that is escaped lies in the Basic Multilingual Plane: four digits are enough.
        _ => print(out, format_args!("\\u{:04x}", u32::from(c))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quoted(value: &[u8]) -> String {
        let mut out = Vec::new();
        string(&mut out, value, 1_024);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn escapes_what_could_break_a_line_or_a_terminal() {
        assert_eq!(quoted(b"a\"b\\c\n\x1b[31m\x7f\0"), r#""a\"b\\c\n\u001b[31m\u007f\u0000""#);
        assert_eq!(quoted("\u{85}\u{202e}".as_bytes()), r#""\u0085\u202e""#);
        assert_eq!(quoted("订单".as_bytes()), "\"订单\"");
    }

    #[test]
    fn replaces_what_is_not_text() {
        assert_eq!(quoted(b"a\xff\xfeb"), "\"a\u{FFFD}\u{FFFD}b\"");
    }

    #[test]
    fn cuts_what_is_too_long() {
        let mut out = Vec::new();
        string(&mut out, b"abcdef", 3);
        assert_eq!(out, "\"abc…\"".as_bytes());
    }

    proptest! {
        #[test]
        fn any_bytes_make_one_valid_json_string_on_one_line(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let text = quoted(&bytes);
            prop_assert!(!text.chars().any(char::is_control));
            let back: String = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(back, String::from_utf8_lossy(&bytes));
        }
    }
}
