//! Whatever valid request is made up, the guard passes it byte for byte; whatever it passes, an independent
//! parser reads the same way.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]
use outrigger_proxy::hygiene::guard::{Guard, HeadLimits, Inspected, Verdict};
use proptest::collection::vec;
use proptest::prelude::*;

fn method() -> impl Strategy<Value = String> {
    // CONNECT has rules of its own.
    "[A-Z!#$%&'*+.^_`|~a-z0-9-]{1,12}".prop_filter("not CONNECT", |method| method != "CONNECT")
}

fn target() -> impl Strategy<Value = String> {
    "/[a-zA-Z0-9._~!$&'()*+,;=:@/%-]{0,40}(\\?[a-zA-Z0-9/?%&=\\[\\]{}|]{0,20})?"
}

fn fields() -> impl Strategy<Value = Vec<String>> {
    vec("x-[a-zA-Z0-9!#$%&'*+.^_`|~-]{0,12}:[ \t]{0,3}([!-~\u{80}-\u{ff}][ -~\t]{0,30})?", 0..6)
}

/// A body with the field that announces it, and how many bytes of content it carries.
fn body() -> impl Strategy<Value = (String, Vec<u8>)> {
    let length =
        vec(any::<u8>(), 0..80).prop_map(|body| (format!("Content-Length: {}\r\n", body.len()), body));
    let chunk = (vec(any::<u8>(), 1..40), "(;[a-z]{1,3}(=([a-z]{1,3}|\"[ -!#-\\[\\]-~]{0,5}\"))?){0,2}");
    let chunked = (vec(chunk, 0..4), vec("x-[a-z]{1,5}: [!-~]{0,9}", 0..3)).prop_map(|(chunks, trailers)| {
        let mut body = Vec::new();
        for (data, extension) in chunks {
            body.extend(format!("{:x}{extension}\r\n", data.len()).into_bytes());
            body.extend(data);
            body.extend(b"\r\n");
        }
        body.extend(b"0\r\n");
        for trailer in trailers {
            body.extend(format!("{trailer}\r\n").into_bytes());
        }
        body.extend(b"\r\n");
        ("transfer-encoding: CHUNKED\r\n".to_owned(), body)
    });
    prop_oneof![Just((String::new(), Vec::new())), length, chunked]
}

prop_compose! {
    fn request()(method in method(), target in target(), fields in fields(), (framing, body) in body()) -> Vec<u8> {
        let mut text = format!("{method} {target} HTTP/1.1\r\nHost: a.example\r\n{framing}");
        for field in fields {
            text.push_str(&field);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        [text.as_bytes(), &body].concat()
    }
}

/// A request with a few bytes changed, dropped, doubled or put in.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(b'\r'), Just(b'\n'), Just(b' '), Just(b':'), Just(0), any::<u8>()];
    (request(), vec((any::<prop::sample::Index>(), 0..4u8, byte), 1..4)).prop_map(|(mut text, changes)| {
        for (place, what, byte) in changes {
            if text.is_empty() {
                break;
            }
            let at = place.index(text.len());
            match what {
                0 => drop(text.splice(at..=at, [byte])),
                1 => drop(text.remove(at)),
                2 => text.insert(at, byte),
                _ => drop(text.splice(at..at, *b"\r\n")),
            }
        }
        text
    })
}

/// Reads everything released with an independent parser; true if it finds as many whole heads.
fn agrees(released: &[u8], heads: u64) -> bool {
    let mut rest = released;
    for _ in 0..heads {
        let mut fields = [httparse::EMPTY_HEADER; 100];
        let mut request = httparse::Request::new(&mut fields);
        let Ok(httparse::Status::Complete(length)) = request.parse(rest) else { return false };
        let length_field =
            request.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
        let body: u64 = length_field.map_or(0, |field| String::from_utf8_lossy(field.value).parse().unwrap());
        let chunked =
            request.headers.iter().any(|field| field.name.eq_ignore_ascii_case("transfer-encoding"));
        rest = rest.get(length..).unwrap_or_default();
        rest = if chunked { skip_chunks(rest) } else { rest.get(body as usize..).unwrap_or_default() };
    }
    rest.is_empty() || heads == 0
}

fn skip_chunks(mut rest: &[u8]) -> &[u8] {
    while let Ok(httparse::Status::Complete((start, size))) = httparse::parse_chunk_size(rest) {
        rest = rest.get(start..).unwrap_or_default();
        if size == 0 {
            let mut fields = [httparse::EMPTY_HEADER; 100];
            return match httparse::parse_headers(rest, &mut fields) {
                Ok(httparse::Status::Complete((length, _))) => rest.get(length..).unwrap_or_default(),
                _ => &[],
            };
        }
        rest = rest.get(size as usize + 2..).unwrap_or_default();
    }
    &[]
}

fn inspect_in_pieces(input: &[u8], pieces: &[usize]) -> (usize, Verdict) {
    let mut guard = Guard::new(HeadLimits::default());
    let (mut released, mut seen, mut verdict) = (0, 0, Verdict::Continue);
    for piece in pieces.iter().copied().chain([input.len()]) {
        seen = (seen + piece).min(input.len());
        let inspected = guard.inspect(input.get(released..seen).unwrap());
        released += inspected.release;
        verdict = inspected.verdict;
    }
    (released, verdict)
}

proptest! {
    #[test]
    fn passes_every_valid_request_byte_for_byte(requests in vec(request(), 1..4)) {
        let input = requests.concat();
        let mut guard = Guard::new(HeadLimits::default());
        let expected = Inspected { release: input.len(), verdict: Verdict::Continue };
        prop_assert_eq!(guard.inspect(&input), expected, "{}", input.escape_ascii());
        prop_assert_eq!(guard.heads_verified(), requests.len() as u64);
        prop_assert!(guard.between_messages());
    }

    #[test]
    fn an_independent_parser_reads_what_was_released_the_same_way(input in damaged()) {
        let mut guard = Guard::new(HeadLimits::default());
        let inspected = guard.inspect(&input);
        let released = input.get(..inspected.release).unwrap();
        prop_assert!(agrees(released, guard.heads_verified()), "{}", released.escape_ascii());
    }

    #[test]
    fn says_the_same_however_the_bytes_arrive(input in damaged(), pieces in vec(1..30usize, 0..20)) {
        prop_assert_eq!(inspect_in_pieces(&input, &pieces), inspect_in_pieces(&input, &[]), "{}", input.escape_ascii());
    }

    #[test]
    fn never_releases_more_than_it_was_shown(input in vec(any::<u8>(), 0..300)) {
        let inspected = Guard::new(HeadLimits::default()).inspect(&input);
        prop_assert!(inspected.release <= input.len());
    }
}
