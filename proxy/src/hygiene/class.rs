//! Which bytes may stand where: one table of 256 flags (RFC 9110 §5.6, RFC 3986 §2-3).

/// `tchar`: methods, field names, extension names.
pub(crate) const TOKEN: u8 = 1;
/// Field values: visible, space, tab and obs-text.
pub(crate) const VALUE: u8 = 1 << 1;
/// `pchar` and `/`: the path of a target.
pub(crate) const PATH: u8 = 1 << 2;
/// The query of a target: RFC 3986 plus what browsers send unescaped (``[ ] \ ^ ` { | }``).
pub(crate) const QUERY: u8 = 1 << 3;
/// A registered name, without percent-encoding and commas.
pub(crate) const HOST: u8 = 1 << 4;
/// `unreserved`: what is the same with and without percent-encoding.
pub(crate) const UNRESERVED: u8 = 1 << 5;
/// Visible ASCII, 0x21 to 0x7e.
pub(crate) const VISIBLE: u8 = 1 << 6;
/// `pchar` that means nothing but itself in a path: no `%`, `;`, `.`.
pub(crate) const PLAIN: u8 = 1 << 7;

static CLASS: [u8; 256] = build();

/// Whether `byte` has any of the flags in `class`.
#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "a u8 cannot leave a table of 256")]
pub(crate) fn is(byte: u8, class: u8) -> bool {
    CLASS[byte as usize] & class != 0
}

/// How many bytes at the start have the class. Four at a time: the loads do not wait for each other.
#[inline]
#[expect(clippy::indexing_slicing, reason = "a u8 cannot leave a table of 256")]
pub(crate) fn span(bytes: &[u8], class: u8) -> usize {
    let (fours, _) = bytes.as_chunks::<4>();
    let hit = |[a, b, c, d]: &[u8; 4]| {
        CLASS[*a as usize] & CLASS[*b as usize] & CLASS[*c as usize] & CLASS[*d as usize] & class != 0
    };
    let mut length = 4 * fours.iter().take_while(|four| hit(four)).count();
    while bytes.get(length).is_some_and(|&byte| is(byte, class)) {
        length += 1;
    }
    length
}

/// Whether every byte has the class; true for nothing at all.
#[inline]
pub(crate) fn all(bytes: &[u8], class: u8) -> bool {
    span(bytes, class) == bytes.len()
}

/// Whether a field value is free of control characters other than tab. Eight bytes at a time, the last eight
/// perhaps twice.
#[inline]
pub(crate) fn is_field_value(value: &[u8]) -> bool {
    let Some(last) = value.last_chunk::<8>() else { return all(value, VALUE) };
    let (words, _) = value.as_chunks::<8>();
    words.iter().chain([last]).all(|word| is_plain(u64::from_le_bytes(*word)) || all(word, VALUE))
}

/// No byte of the word is below 0x20 or equal to 0x7f. (The usual "has a byte less than n" subtraction: the
/// borrow can only come from a byte that is itself a hit, so the answer is exact.)
#[inline(always)]
const fn is_plain(word: u64) -> bool {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * EACH;
    let below_space = word.wrapping_sub(0x20 * EACH) & !word;
    let from_del = word ^ (0x7f * EACH);
    let is_del = from_del.wrapping_sub(EACH) & !from_del;
    (below_space | is_del) & HIGH == 0
}

#[expect(clippy::indexing_slicing, reason = "evaluated at compile time")]
const fn build() -> [u8; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        table[index] = flags(index as u8);
        index += 1;
    }
    table
}

const fn flags(byte: u8) -> u8 {
    let unreserved = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let sub_delim =
        matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=');
    let path = unreserved || sub_delim || matches!(byte, b'%' | b':' | b'@' | b'/');
    let raw_query = matches!(byte, b'?' | b'[' | b']' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}');
    let token = byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        );
    let value = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
    let visible = byte > b' ' && byte < 0x7f;
    flag(token, TOKEN)
        | flag(value, VALUE)
        | flag(path, PATH)
        | flag(path || raw_query, QUERY)
        | flag(unreserved || (sub_delim && byte != b','), HOST)
        | flag(unreserved, UNRESERVED)
        | flag(visible, VISIBLE)
        | flag(path && !matches!(byte, b'%' | b';' | b'.' | b'/'), PLAIN)
}

const fn flag(set: bool, class: u8) -> u8 {
    if set { class } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_single_bytes_agree_about_every_byte_in_every_place() {
        for byte in 0..=255u8 {
            for place in 0..8 {
                for neighbour in [b'a', 0xff, 0x80, 0x20, 0x7e] {
                    let mut value = [neighbour; 8];
                    value[place] = byte;
                    assert_eq!(is_field_value(&value), all(&value, VALUE), "{byte:#x} at {place}");
                }
            }
        }
    }

    #[test]
    fn measures_the_longest_prefix_of_a_class() {
        for length in 0..20 {
            let mut text = vec![b'a'; length];
            assert_eq!(span(&text, TOKEN), length);
            for place in 0..length {
                text[place] = b':';
                assert_eq!(span(&text, TOKEN), place);
                text[place] = b'a';
            }
        }
    }

    #[test]
    fn looks_at_every_byte_of_a_value() {
        for length in 0..40 {
            let mut value = vec![b'a'; length];
            assert!(is_field_value(&value));
            for place in 0..length {
                value[place] = 0;
                assert!(!is_field_value(&value), "{place} of {length}");
                value[place] = b'\t';
                assert!(is_field_value(&value), "{place} of {length}");
                value[place] = b'a';
            }
        }
    }

    #[test]
    fn tokens_have_no_separators() {
        for byte in b"()<>@,;:\\\"/[]?={} \t\0\x7f\x80\xff" {
            assert!(!is(*byte, TOKEN), "{byte:#x}");
        }
        assert!(all(b"!#$%&'*+-.^_`|~09azAZ", TOKEN));
    }
}
