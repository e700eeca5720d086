//! The guard's verdict and what it releases depend on the bytes alone, never on how they arrived.
#![expect(clippy::indexing_slicing, reason = "a test may fail by panicking")]
use outrigger_proxy::hygiene::Malformed;
use outrigger_proxy::hygiene::guard::{Guard, HeadLimits, Verdict};

const LIMITS: HeadLimits = HeadLimits { max_bytes: 256, max_headers: 8 };

/// Feeds `input` cut at the given places and returns how much was released, the verdict and the heads seen.
fn feed(input: &[u8], cuts: &[usize]) -> (usize, Verdict, u64) {
    let mut guard = Guard::new(LIMITS);
    let (mut released, mut verdict) = (0, Verdict::Continue);
    for &end in cuts.iter().chain([&input.len()]) {
        let inspected = guard.inspect(&input[released..end]);
        released += inspected.release;
        verdict = inspected.verdict;
    }
    (released, verdict, guard.heads_verified())
}

fn corpus() -> Vec<Vec<u8>> {
    let head = |rest: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{rest}\r\n").into_bytes();
    let mut all: Vec<Vec<u8>> = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: b\r\n\r\n",
        "\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=\"y\"\r\nabc\r\n0\r\nt: v\r\n\r\nGET / HTTP/1.0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nhost: b\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\nGARBAGE\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: http://b\r\nA\x01",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a:80/ HTTP/1.1\r\nHost: a\r\n\r\nGET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    all.push(head(&"a: b\r\n".repeat(7)));
    all.push(head(&"a: b\r\n".repeat(8)));
    for length in 240..262 {
        all.push(head(&format!("a: {}\r\n", "b".repeat(length - 33))));
        let mut with_blank = b"\r\n".to_vec();
        with_blank.extend(head(&format!("a: {}\r\n", "b".repeat(length - 33))));
        all.push(with_blank);
        all.push(format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "b".repeat(length - 16)).into_bytes());
        let chunk = format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(length));
        all.push([&head("Transfer-Encoding: chunked\r\n")[..], chunk.as_bytes()].concat());
        let trailer = format!("0\r\nt: {}\r\n\r\n", "v".repeat(length - 5));
        all.push([&head("Transfer-Encoding: chunked\r\n")[..], trailer.as_bytes()].concat());
    }
    all
}

#[test]
fn says_the_same_for_every_cut_in_two() {
    for input in corpus() {
        let whole = feed(&input, &[]);
        for cut in 0..=input.len() {
            assert_eq!(feed(&input, &[cut]), whole, "cut at {cut}: {}", input.escape_ascii());
        }
    }
}

#[test]
fn says_the_same_byte_by_byte() {
    for input in corpus() {
        let every: Vec<usize> = (0..input.len()).collect();
        assert_eq!(feed(&input, &every), feed(&input, &[]), "{}", input.escape_ascii());
    }
}

#[test]
fn says_the_same_for_every_cut_in_three_around_line_ends() {
    for input in corpus() {
        let whole = feed(&input, &[]);
        let near: Vec<usize> = (1..input.len())
            .filter(|&at| matches!(input[at - 1], b'\r' | b'\n') || matches!(input[at], b'\r' | b'\n'))
            .collect();
        for pair in near.windows(2) {
            assert_eq!(feed(&input, pair), whole, "cut at {pair:?}: {}", input.escape_ascii());
        }
    }
}

#[test]
fn stays_refused_and_releases_nothing_more() {
    let mut guard = Guard::new(LIMITS);
    let good = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let inspected = guard.inspect(&[&good[..], b"G\n"].concat());
    assert_eq!((inspected.release, inspected.verdict), (good.len(), Verdict::Malformed(Malformed::BareLf)));
    let again = guard.inspect(good);
    assert_eq!((again.release, again.verdict), (0, Verdict::Malformed(Malformed::BareLf)));
}
