//! Lower-case hexadecimal, for identifiers of fixed length: no branch a digit, no allocation.

const DIGITS: [u8; 16] = *b"0123456789abcdef";
/// What stands for "no digit": its high half is not empty.
const NONE: u8 = 0xff;
static VALUES: [u8; 256] = build();

/// The two digits of a byte.
#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "half a byte cannot leave a table of 16")]
pub(super) fn digits(byte: u8) -> [u8; 2] {
    [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 0x0f)]]
}

/// Writes bytes as digits to the front of `out`.
#[inline]
pub(super) fn write(bytes: &[u8], out: &mut [u8]) {
    let (words, rest) = bytes.as_chunks::<4>();
    let (places, _) = out.as_chunks_mut::<8>();
    for (place, word) in places.iter_mut().zip(words) {
        *place = eight_digits(u32::from_be_bytes(*word));
    }
    let (pairs, _) = out.get_mut(words.len().saturating_mul(8)..).unwrap_or_default().as_chunks_mut::<2>();
    for (pair, &byte) in pairs.iter_mut().zip(rest) {
        *pair = digits(byte);
    }
}

/// The digits of four bytes, all at once: each half byte is spread to a byte of its own, and those above nine are
/// moved on to the letters.
#[inline]
const fn eight_digits(word: u32) -> [u8; 8] {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let mut halves = word as u64;
    halves = (halves | halves << 16) & 0x0000_ffff_0000_ffff;
    halves = (halves | halves << 8) & 0x00ff_00ff_00ff_00ff;
    halves = (halves | halves << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    let letters = (halves.wrapping_add(6 * EACH) >> 4) & EACH;
    let to_letters = (b'a' - b'0' - 10) as u64;
    halves.wrapping_add(b'0' as u64 * EACH).wrapping_add(letters.wrapping_mul(to_letters)).to_be_bytes()
}

/// Reads `DIGITS` digits, upper case not among them, as `N` bytes.
#[inline]
#[expect(clippy::indexing_slicing, reason = "a u8 cannot leave a table of 256")]
pub(super) fn read<const N: usize, const DIGITS: usize>(text: &[u8; DIGITS]) -> Option<[u8; N]> {
    const { assert!(DIGITS == 2 * N) };
    let mut bytes = [0; N];
    let mut seen = 0;
    let (pairs, _) = text.as_chunks::<2>();
    for (byte, &[high, low]) in bytes.iter_mut().zip(pairs) {
        let (high, low) = (VALUES[usize::from(high)], VALUES[usize::from(low)]);
        seen |= high | low;
        *byte = (high << 4) | (low & 0x0f);
    }
    (seen < 16).then_some(bytes)
}

#[expect(clippy::indexing_slicing, reason = "evaluated at compile time")]
const fn build() -> [u8; 256] {
    let mut values = [NONE; 256];
    let mut value = 0;
    while value < 16 {
        values[DIGITS[value] as usize] = value as u8;
        value += 1;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for byte in 0..=255u8 {
            let mut text = [0; 2];
            write(&[byte], &mut text);
            assert_eq!(text, *format!("{byte:02x}").as_bytes());
            assert_eq!(read::<1, 2>(&text), Some([byte]));
        }
    }

    #[test]
    fn writes_many_bytes_as_one_by_one() {
        for length in 0..20 {
            let bytes: Vec<u8> = (0..length).map(|n| 0x9a_u8.wrapping_mul(n + 7)).collect();
            let mut text = vec![0; 2 * bytes.len()];
            write(&bytes, &mut text);
            let expected: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(text, expected.as_bytes());
        }
        assert_eq!(&eight_digits(0x0189_abef), b"0189abef");
    }

    #[test]
    fn refuses_everything_but_lower_case_digits() {
        for byte in (0..=255u8).filter(|byte| !matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            assert_eq!(read::<1, 2>(&[byte, b'0']), None, "{byte:#x}");
            assert_eq!(read::<1, 2>(&[b'0', byte]), None, "{byte:#x}");
        }
    }
}
