//! An accepted path has nothing left to normalise: no dot segment, no empty segment, no separator or dot that
//! only decoding reveals, however often it is decoded.
#![no_main]
use libfuzzer_sys::fuzz_target;
use outrigger_proxy::hygiene::path::check;

fn decode(bytes: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let hex = bytes
            .get(at + 1..at + 3)
            .filter(|pair| bytes[at] == b'%' && pair.iter().all(u8::is_ascii_hexdigit));
        match hex.and_then(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    out
}

fuzz_target!(|text: &str| {
    if check(text, 4096).is_err() || text == "*" {
        return;
    }
    let path = text.split('?').next().unwrap_or_default();
    let decoded = decode(path.as_bytes());
    assert_eq!(decode(&decoded), decoded, "{path}");
    let slashes = |bytes: &[u8]| bytes.iter().filter(|byte| matches!(byte, b'/' | b'\\')).count();
    assert_eq!(slashes(&decoded), slashes(path.as_bytes()), "{path}");
    let decoded = String::from_utf8(decoded).expect("escapes are UTF-8");
    let mut segments = decoded.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let name = segment.split(';').next().unwrap_or_default();
        assert!(!matches!(name.trim(), "." | ".."), "{path}");
        assert!(!name.trim().is_empty() || (segments.peek().is_none() && segment.is_empty()), "{path}");
    }
});
