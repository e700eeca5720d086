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
    let (pairs, _) = out.as_chunks_mut::<2>();
    for (pair, &byte) in pairs.iter_mut().zip(bytes) {
        *pair = digits(byte);
    }
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
    fn refuses_everything_but_lower_case_digits() {
        for byte in (0..=255u8).filter(|byte| !matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            assert_eq!(read::<1, 2>(&[byte, b'0']), None, "{byte:#x}");
            assert_eq!(read::<1, 2>(&[b'0', byte]), None, "{byte:#x}");
        }
    }
}
