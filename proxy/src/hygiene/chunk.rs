//! A chunk-size line (RFC 9112 §7.1), stricter than the grammar where readers are known to differ.
//!
//! At most 16 hexadecimal digits, no white space, extensions only as `;name`, `;name=token` or
//! `;name="quoted"`. The white space the RFC lets a recipient skip has been a way to smuggle, and is refused.
use super::{Malformed, class};

/// Longest chunk-size line, extensions included, without its CRLF.
pub(crate) const MAX_LINE: usize = 256;
/// Longest sum of all extensions of one message: they cost the reader more than the sender.
pub(crate) const MAX_EXTENSIONS: usize = 4 * 1024;

/// What a chunk-size line says: bytes of data that follow, bytes of extensions seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) size: u64,
    pub(crate) extensions: usize,
}

/// Reads one line, without its CRLF.
#[inline]
pub(crate) fn parse(line: &[u8]) -> Result<Chunk, Malformed> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, extensions) = line.split_at_checked(digits).ok_or(Malformed::ChunkSize)?;
    let size = parse_size(size).ok_or(Malformed::ChunkSize)?;
    match extensions {
        [] => {}
        [b';', ..] if are_extensions(extensions) => {}
        [b';', ..] => return Err(Malformed::ChunkExtension),
        _ => return Err(Malformed::ChunkSize),
    }
    Ok(Chunk { size, extensions: extensions.len() })
}

/// Sizes end at `i64::MAX`: some reader behind us may count in signed numbers.
fn parse_size(digits: &[u8]) -> Option<u64> {
    if !matches!(digits.len(), 1..=16) {
        return None;
    }
    let size = digits
        .iter()
        .try_fold(0u64, |size, &digit| Some(size << 4 | u64::from(char::from(digit).to_digit(16)?)))?;
    (size <= i64::MAX as u64).then_some(size)
}

fn are_extensions(mut rest: &[u8]) -> bool {
    while let [b';', after @ ..] = rest {
        let Some(after) = skip_token(after) else { return false };
        rest = match after {
            [b'=', b'"', quoted @ ..] => match skip_quoted(quoted) {
                Some(after) => after,
                None => return false,
            },
            [b'=', value @ ..] => match skip_token(value) {
                Some(after) => after,
                None => return false,
            },
            after => after,
        };
    }
    rest.is_empty()
}

fn skip_token(bytes: &[u8]) -> Option<&[u8]> {
    let length = bytes.iter().take_while(|&&byte| class::is(byte, class::TOKEN)).count();
    if length == 0 { None } else { bytes.get(length..) }
}

/// What follows the closing quote.
fn skip_quoted(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        bytes = match bytes {
            [b'"', after @ ..] => return Some(after),
            [b'\\', escaped, after @ ..] if class::is(*escaped, class::VALUE) => after,
            [b'\\', ..] => return None,
            [byte, after @ ..] if class::is(*byte, class::VALUE) => after,
            _ => return None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sizes_and_measures_extensions() {
        for (line, size, extensions) in [
            ("0", 0, 0),
            ("fF", 255, 0),
            ("0000000000000005", 5, 0),
            ("7fffffffffffffff", i64::MAX as u64, 0),
            ("5;a", 5, 2),
            ("5;a=b;c=\"d\\\" ;\"", 5, 14),
        ] {
            assert_eq!(parse(line.as_bytes()), Ok(Chunk { size, extensions }), "{line}");
        }
    }

    #[test]
    fn refuses_sizes_that_readers_disagree_about() {
        for bad in [
            "",
            " 5",
            "5 ",
            "5\t",
            "0x5",
            "+5",
            "-5",
            "5,",
            "g",
            "5 ;a",
            "00000000000000005",
            "8000000000000000",
            "ffffffffffffffff",
            "5\0",
            "_5",
            "5_0",
        ] {
            assert_eq!(parse(bad.as_bytes()), Err(Malformed::ChunkSize), "{bad}");
        }
    }

    #[test]
    fn refuses_extensions_that_readers_disagree_about() {
        for bad in [
            "5;",
            "5;;",
            "5;a=",
            "5; a",
            "5;a =b",
            "5;a= b",
            "5;a=\"b",
            "5;a=\"b\"c",
            "5;a=\"\\",
            "5;a\0",
            "5;a=\"\0\"",
            "5;a=\"\x7f\"",
        ] {
            assert_eq!(parse(bad.as_bytes()), Err(Malformed::ChunkExtension), "{bad}");
        }
    }
}
