//! Hostile requests the guard must refuse, each a way in which two readers of the same bytes come to differ,
//! and plain ones it must let through. Each attack is followed by a request that a confused reader would see.
use outrigger_proxy::hygiene::Malformed as M;
use outrigger_proxy::hygiene::guard::{Guard, HeadLimits, Verdict};

fn verdict(input: &[u8]) -> (usize, Verdict) {
    let inspected = Guard::new(HeadLimits::default()).inspect(input);
    (inspected.release, inspected.verdict)
}

/// Refused for this reason, before a byte of it is released.
fn refused(input: &[u8], fault: M) {
    assert_eq!(verdict(input), (0, Verdict::Malformed(fault)), "{}", input.escape_ascii());
}

fn accepted(input: &[u8]) {
    assert_eq!(verdict(input), (input.len(), Verdict::Continue), "{}", input.escape_ascii());
}

#[test]
fn refuses_request_lines_that_are_not_three_words() {
    for (line, fault) in [
        ("GET /", M::RequestLine),
        ("GET", M::RequestLine),
        ("GET  / HTTP/1.1", M::RequestLine),
        ("GET /  HTTP/1.1", M::RequestLine),
        ("GET / HTTP/1.1 ", M::RequestLine),
        ("GET / x HTTP/1.1", M::RequestLine),
        ("GET /\tHTTP/1.1", M::RequestLine),
        ("GET\t/ HTTP/1.1", M::Method),
        ("GET / http/1.1", M::RequestLine),
        ("GET / HTTP/1.1x", M::RequestLine),
        ("GET / HTTP/1", M::RequestLine),
        ("GET / HTTP/11", M::RequestLine),
        ("GET / HTTP/1,1", M::RequestLine),
        ("GET / HTTP /1.1", M::RequestLine),
        ("GET / HTTP/01.1", M::RequestLine),
        ("GET / HTTP/1.\u{b2}", M::RequestLine),
        ("GET / ICY/1.1", M::RequestLine),
        ("GET / \u{a0}HTTP/1.1", M::RequestLine),
        ("GET / HTTP/0.9", M::Version),
        ("GET / HTTP/1.2", M::Version),
        ("GET / HTTP/2.0", M::Version),
        ("PRI * HTTP/2.0", M::Version),
        ("GET / HTTP/9.9", M::Version),
        (" GET / HTTP/1.1", M::Method),
        ("G(T / HTTP/1.1", M::Method),
        ("G\0T / HTTP/1.1", M::Method),
        ("GET: / HTTP/1.1", M::Method),
        ("G\u{e9}T / HTTP/1.1", M::Method),
        ("\"GET\" / HTTP/1.1", M::Method),
        ("\x16\x03\x01 / HTTP/1.1", M::Method),
        ("GET,POST / HTTP/1.1", M::Method),
    ] {
        refused(format!("{line}\r\nHost: a\r\n\r\n").as_bytes(), fault);
    }
}

#[test]
fn refuses_targets_of_no_known_form() {
    for target in [
        "a",
        "a/b",
        "?/admin",
        "\\admin",
        "/a\\b",
        "/a#x",
        "/#",
        "/a\"b",
        "/<b>",
        "/{a}",
        "/a|b",
        "/a^b",
        "/a`b",
        "/a[b]",
        "/\u{e9}",
        "/\0",
        "/\x01",
        "/\x7f",
        "/\x0b",
        "/?\0",
        "/?a#b",
        "/?<b>",
        "/?\u{e9}",
        "*",
        "*/",
        "a:80",
        "http:/a",
        "http:a",
        "http://",
        "http:///",
        "http://u@a/",
        "http://a,b/",
        "http://a:b/",
        "http://a:99999/",
        "http://a%2fb/",
        "http://[::1/",
        "http://[::g]/",
        "http://a/#b",
        "http://a\\b/",
        "ftp://a/",
        "ws://a/",
        "file:///etc/passwd",
        "javascript:x",
        "://a/",
        "//a:80#",
    ] {
        refused(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes(), M::Target);
    }
    for target in ["/", "*", "a", "a:", "a:b", "a:70000", "u@a:1", "http://a:1", "a,b:1", ":443"] {
        refused(format!("CONNECT {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes(), M::Target);
    }
}

#[test]
fn refuses_line_ends_that_some_readers_take_and_some_do_not() {
    for (input, fault) in [
        (&b"GET / HTTP/1.1\nHost: a\r\n\r\n"[..], M::BareLf),
        (b"GET / HTTP/1.1\r\nHost: a\n\r\n", M::BareLf),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\n", M::BareLf),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: b\nGET /s HTTP/1.1\r\n\r\n", M::BareLf),
        (b"GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", M::BareCr),
        (b"GET / HTTP/1.1\rHost: a\r\n\r\n", M::BareCr),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\rX\r\n\r\n", M::BareCr),
        (b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", M::BareCr),
        (b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", M::BareCr),
        (b"GET /\r/ HTTP/1.1\r\nHost: a\r\n\r\n", M::BareCr),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX\r: y\r\n\r\n", M::BareCr),
        (b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", M::BareLf),
        (b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", M::BareCr),
        (b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", M::EmptyLines),
    ] {
        refused(input, fault);
    }
}

#[test]
fn refuses_a_lone_line_end_before_the_head_is_over() {
    refused(b"GET / HTTP/1.1\r\nX: a\n", M::BareLf);
    refused(b"GET / HTTP/1.1\r\nX: a\rb", M::BareCr);
    refused(b"G\n", M::BareLf);
}

#[test]
fn refuses_malformed_fields() {
    for (field, fault) in [
        (" folded: x", M::Folded),
        ("\tfolded", M::Folded),
        ("X: y\r\n z", M::Folded),
        ("Transfer-Encoding:\r\n chunked", M::TransferEncoding),
        ("X:\r\n\tTransfer-Encoding: chunked", M::Folded),
        ("X : y", M::FieldName),
        ("X\t: y", M::FieldName),
        ("X", M::FieldName),
        ("X y", M::FieldName),
        (": y", M::FieldName),
        (":", M::FieldName),
        ("X y: z", M::FieldName),
        ("X\0: y", M::FieldName),
        ("\0X: y", M::FieldName),
        ("\u{a0}X: y", M::FieldName),
        ("X\u{e9}: y", M::FieldName),
        ("\"X\": y", M::FieldName),
        ("X(: y", M::FieldName),
        ("X/: y", M::FieldName),
        ("X;: y", M::FieldName),
        ("X{}: y", M::FieldName),
        ("GET /s HTTP/1.1", M::FieldName),
        ("X: a\0b", M::FieldValue),
        ("X: \0", M::FieldValue),
        ("X: a\x01b", M::FieldValue),
        ("X: a\x08b", M::FieldValue),
        ("X: a\x0bb", M::FieldValue),
        ("X: a\x0cb", M::FieldValue),
        ("X: a\x1bb", M::FieldValue),
        ("X: a\x7f", M::FieldValue),
        ("X:\x0b y", M::FieldValue),
        ("Content_Length: 5", M::Lookalike),
        ("content-length: 0\r\ncontent_length: 5", M::Lookalike),
        ("Transfer_Encoding: chunked", M::Lookalike),
        ("TRANSFER_ENCODING: chunked", M::Lookalike),
        ("Content-Type: a/b\r\nContent-Type: c/d", M::ContentTypeRepeated),
        ("Content-Type: a/b\r\ncontent-type: a/b", M::ContentTypeRepeated),
        ("Expect: 200-ok", M::Expectation),
        ("Expect: ", M::Expectation),
        ("Expect: 100-continue, x", M::Expectation),
        ("Expect: x 100-continue", M::Expectation),
        ("Expect: 100-continue\r\nExpect: 100-continue", M::Expectation),
    ] {
        refused(format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n").as_bytes(), fault);
    }
}

#[test]
fn refuses_hosts_that_could_be_read_as_another() {
    for host in [
        "",
        " ",
        "a b",
        "a,b",
        "a, b",
        "u@a",
        "u:p@a",
        "a@",
        "http://a",
        "a/",
        "a/b",
        "a?b",
        "a#b",
        "a\\b",
        "a:",
        "a:b",
        "a:80:80",
        "a:-1",
        "a:+80",
        "a: 80",
        "a :80",
        "a:65536",
        "a:000080",
        ":80",
        "a%00",
        "a%2eb",
        "a\u{e9}",
        "<a>",
        "\"a\"",
        "[::1",
        "::1",
        "[::1]a",
        "[::1]:",
        "[]",
        "[a]",
        "[fe80::1%25e]",
        "a\tb",
        "{a}",
        "a|b",
        "a^b",
    ] {
        refused(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes(), M::Host);
    }
    refused(b"GET / HTTP/1.1\r\n\r\n", M::HostMissing);
    refused(b"GET / HTTP/1.1\r\nX-Host: a\r\n\r\n", M::HostMissing);
    refused(b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", M::HostRepeated);
    refused(b"GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n", M::HostRepeated);
    refused(b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", M::HostRepeated);
    refused(b"GET / HTTP/1.0\r\nHost: a b\r\n\r\n", M::Host);
    refused(b"GET http://a/ HTTP/1.1\r\n\r\n", M::HostMissing);
    refused(b"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", M::HostMismatch);
    refused(b"GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n", M::HostMismatch);
    refused(b"GET https://a:80/ HTTP/1.1\r\nHost: a\r\n\r\n", M::HostMismatch);
}

#[test]
fn refuses_lengths_that_are_not_one_plain_number() {
    for length in [
        "",
        "+5",
        "-5",
        "-0",
        "5,5",
        "5, 5",
        "5;5",
        "5 5",
        "0x5",
        "5x",
        "x",
        "5.0",
        "5e0",
        "1_0",
        "\"5\"",
        "5\u{a0}",
        "18446744073709551615",
        "18446744073709551616",
        "9223372036854775808",
        "99999999999999999999999999",
        "00000000000000000005",
    ] {
        refused(
            format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\nabcde").as_bytes(),
            M::ContentLength,
        );
    }
    for (fields, fault) in [
        ("Content-Length: 5\r\nContent-Length: 5", M::ContentLengthRepeated),
        ("Content-Length: 5\r\ncontent-length: 6", M::ContentLengthRepeated),
        ("Content-Length: 0\r\nX: y\r\nContent-Length: 5", M::ContentLengthRepeated),
        ("Content-Length: 5\r\nContent-Length:", M::ContentLengthRepeated),
    ] {
        refused(format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\nabcde").as_bytes(), fault);
    }
}

#[test]
fn refuses_transfer_encodings_other_than_chunked_once() {
    for coding in [
        "",
        "identity",
        "gzip",
        "chunked, chunked",
        "chunked,",
        ",chunked",
        "gzip, chunked",
        "chunked, gzip",
        "chunked, identity",
        "xchunked",
        "chunkedx",
        "chunked;q=1",
        "\"chunked\"",
        "chunked\u{a0}",
        "x chunked",
        "chunked x",
        "chunk",
        "cow",
        "chun\tked",
        "trailers",
    ] {
        refused(
            format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\n").as_bytes(),
            M::TransferEncoding,
        );
    }
    for (fields, fault) in [
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", M::TransferEncoding),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", M::TransferEncoding),
        ("Transfer-Encoding: chunked\r\ntransfer-encoding: x", M::TransferEncoding),
        ("Transfer-Encoding : chunked", M::FieldName),
        ("Transfer-Encoding\t: chunked", M::FieldName),
        (" Transfer-Encoding: chunked", M::Folded),
        ("Transfer-Encoding:\x0bchunked", M::FieldValue),
        ("Transfer-Encoding: chunked\r\n , identity", M::Folded),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", M::LengthAndEncoding),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", M::LengthAndEncoding),
        ("Transfer-Encoding: chunked\r\nContent-Length: 0", M::LengthAndEncoding),
    ] {
        refused(format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n0\r\n\r\n").as_bytes(), fault);
    }
    refused(
        b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        M::TransferEncodingInOldVersion,
    );
}

#[test]
fn refuses_a_switch_of_protocol_with_a_body() {
    for (head, fault) in [
        ("POST / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nContent-Length: 5", M::UpgradeWithBody),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nUpgrade: websocket",
            M::UpgradeWithBody,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c, WebSocket\r\nContent-Length: 5",
            M::UpgradeWithBody,
        ),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\nContent-Length: 5", M::ConnectWithBody),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked", M::ConnectWithBody),
    ] {
        refused(format!("{head}\r\n\r\n0\r\n\r\n").as_bytes(), fault);
    }
}

/// The head is good; the body stops at the first bad line, of which nothing is released.
fn body_refused(good: &str, bad: &str, fault: M) {
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{good}");
    let input = format!("{head}{bad}\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(
        verdict(input.as_bytes()),
        (head.len(), Verdict::Malformed(fault)),
        "{}",
        input.escape_debug()
    );
}

#[test]
fn refuses_chunks_that_readers_measure_differently() {
    for (good, bad, fault) in [
        ("", "\r\n", M::ChunkSize),
        ("", "g\r\n", M::ChunkSize),
        ("", "0x5\r\nabcde\r\n0\r\n", M::ChunkSize),
        ("", "+5\r\nabcde\r\n0\r\n", M::ChunkSize),
        ("", "-1\r\n", M::ChunkSize),
        ("", " 5\r\nabcde\r\n0\r\n", M::ChunkSize),
        ("", "5 \r\nabcde\r\n0\r\n", M::ChunkSize),
        ("", "5\t\r\nabcde\r\n0\r\n", M::ChunkSize),
        ("", "5 ;a\r\nabcde\r\n0\r\n", M::ChunkSize),
        ("", "5,5\r\nabcde\r\n0\r\n", M::ChunkSize),
        ("", "5\0\r\nabcde\r\n0\r\n", M::ChunkSize),
        ("", "5\u{b}\r\nabcde\r\n0\r\n", M::ChunkSize),
        ("", "10000000000000005\r\nabcde\r\n0\r\n", M::ChunkSize),
        ("", "ffffffffffffffff\r\nabcde\r\n0\r\n", M::ChunkSize),
        ("", "8000000000000005\r\nabcde\r\n0\r\n", M::ChunkSize),
        ("", "00000000000000005\r\nabcde\r\n0\r\n", M::ChunkSize),
        ("", "5\nabcde\r\n0\r\n", M::BareLf),
        ("", "5\rabcde\r\n0\r\n", M::BareCr),
        ("", "5;a\nb\r\nabcde\r\n0\r\n", M::BareLf),
        ("", "5;a\rb\r\nabcde\r\n0\r\n", M::BareCr),
        ("", "5;\"\r\n\"\r\nabcde\r\n0\r\n", M::ChunkExtension),
        ("", "5;a=\"b\r\nGET\"\r\nabcde\r\n0\r\n", M::ChunkExtension),
        ("", "5;\r\nabcde\r\n0\r\n", M::ChunkExtension),
        ("", "5;;\r\nabcde\r\n0\r\n", M::ChunkExtension),
        ("", "5; a\r\nabcde\r\n0\r\n", M::ChunkExtension),
        ("", "5;a\0\r\nabcde\r\n0\r\n", M::ChunkExtension),
        ("", "5;a=b c\r\nabcde\r\n0\r\n", M::ChunkExtension),
        ("5\r\nabcde", "f\r\n0\r\n", M::ChunkEnd),
        ("5\r\nabcde", "\n0\r\n", M::ChunkEnd),
        ("5\r\nabcde", "\r0\r\n", M::ChunkEnd),
        ("5\r\nabcde", "0\r\n", M::ChunkEnd),
        ("5\r\nabcde", " \r\n0\r\n", M::ChunkEnd),
        ("5\r\nabcde\r\n", "\r\n0\r\n", M::ChunkSize),
        ("0\r\n", "GET /s HTTP/1.1\r\n", M::FieldName),
        ("0\r\n", "\n", M::BareLf),
        ("0\r\n", "x\r\n", M::FieldName),
    ] {
        body_refused(good, bad, fault);
    }
}

#[test]
fn refuses_trailers_that_would_change_the_request() {
    for (field, fault) in [
        ("Content-Length: 5", M::TrailerField),
        ("Transfer-Encoding: chunked", M::TrailerField),
        ("Host: b", M::TrailerField),
        ("Authorization: x", M::TrailerField),
        ("Cookie: a=b", M::TrailerField),
        ("Connection: close", M::TrailerField),
        ("Proxy-Authorization: x", M::TrailerField),
        ("X-Forwarded-For: 1.1.1.1", M::TrailerField),
        ("Content_Length: 5", M::Lookalike),
        (" x: y", M::Folded),
        ("x : y", M::FieldName),
        ("x: \0", M::FieldValue),
        ("x: y\nz: w", M::BareLf),
        ("x: y\rz: w", M::BareCr),
    ] {
        body_refused("1\r\na\r\n0\r\n", &format!("{field}\r\n"), fault);
    }
}

#[test]
fn refuses_extensions_that_cost_more_than_they_carry() {
    body_refused("", &format!("1;{}\r\na\r\n0\r\n", "e".repeat(300)), M::ChunkExtension);
    let chunk = format!("1;{}\r\na\r\n", "e".repeat(200));
    let good = chunk.repeat(20);
    body_refused(&good, &chunk, M::ChunkExtension);
}

#[test]
fn bounds_the_head_and_the_number_of_fields() {
    let limits = HeadLimits { max_bytes: 100, max_headers: 3 };
    let inspect = |input: &str| Guard::new(limits).inspect(input.as_bytes()).verdict;
    assert_eq!(inspect(&format!("GET /{}", "a".repeat(100))), Verdict::Malformed(M::TargetTooLong));
    assert_eq!(
        inspect(&format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(100))),
        Verdict::Malformed(M::HeadTooLarge)
    );
    let fields = "GET / HTTP/1.1\r\nHost: a\r\na: b\r\na: b\r\n";
    assert_eq!(inspect(&format!("{fields}\r\n")), Verdict::Continue);
    assert_eq!(inspect(&format!("{fields}a: b\r\n\r\n")), Verdict::Malformed(M::TooManyFields));
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
    assert_eq!(inspect(&format!("{chunked}x: {}", "a".repeat(100))), Verdict::Malformed(M::HeadTooLarge));
    assert_eq!(
        inspect(&format!("{chunked}{}\r\n", "a: b\r\n".repeat(4))),
        Verdict::Malformed(M::TooManyFields)
    );
}

#[test]
fn lets_plain_requests_through() {
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET /a/b;c=d/%20?e=[f]&g={h}|\\^` HTTP/1.1\r\nhost:\t a.example:8080 \t\r\n\r\n",
        "GET /?? HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
        "GET http://a.example/x HTTP/1.1\r\nHost: A.example:80\r\n\r\n",
        "GET https://a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a?q HTTP/1.0\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "M-SEARCH / HTTP/1.1\r\nHost: a\r\nX-Empty:\r\nX_Under: y\r\nX: \u{e9}\t\"z\"\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \t5 \r\n\r\nab\r\n\0",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0005\r\nExpect: 100-Continue\r\n\r\nabcde",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=\"b;\\\"\"\r\n\r\n\r\n\n\r\n00\r\nServer-Timing: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n",
        "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n",
    ] {
        accepted(request.as_bytes());
    }
}
