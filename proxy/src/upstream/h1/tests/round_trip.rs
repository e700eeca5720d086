//! What is written reads back as the same request, and what is read does not depend on how it was cut.

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::hygiene::hop::is_ambiguous;
use crate::upstream::h1::decode::{Framing, Step};
use crate::upstream::h1::encode::Output;
use crate::upstream::h1::pieces::{End, Read, read};

/// Fields that do not frame.
fn fields() -> impl Strategy<Value = HeaderMap> {
    let field = ("x-[a-z]{1,5}", option::of("[!-~]([ -~]{0,10}[!-~])?"));
    vec(field, 0..6).prop_map(|fields| {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let value = HeaderValue::from_str(&value.unwrap_or_default()).unwrap();
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
        }
        headers
    })
}

fn request() -> impl Strategy<Value = Request<()>> {
    let methods = select(&[Method::GET, Method::POST, Method::PUT, Method::OPTIONS][..]);
    (methods, "/[a-z/]{0,8}(\\?[a-z=&%]{0,8})?", fields()).prop_map(|(method, target, fields)| {
        let mut request = Request::builder().method(method).uri(target).body(()).unwrap();
        *request.headers_mut() = fields;
        request
    })
}

/// Everything in `output`, `size` bytes at a time.
fn drain(output: &mut Output, size: usize, wire: &mut Vec<u8>) {
    while !output.is_empty() {
        let slices = output.slices();
        let some: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).take(size).collect();
        output.advance(some.len());
        wire.extend(some);
    }
}

fn body(mut framing: Framing, wire: &[u8]) -> (Vec<u8>, Option<HeaderMap>) {
    let (mut input, mut body, mut trailers) = (BytesMut::from(wire), Vec::new(), None);
    loop {
        match framing.step(&mut input).unwrap() {
            Step::Data(data) => body.extend_from_slice(&data),
            Step::Trailers(fields) => trailers = Some(fields),
            Step::More => panic!("the end is missing"),
            Step::End => break,
        }
    }
    assert!(input.is_empty(), "more was written than the head says");
    (body, trailers)
}

/// Pieces of answers, good and bad, so that many of their sums are nearly right.
fn answer() -> impl Strategy<Value = Vec<u8>> {
    let part = select(
        &[
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.0 204 \r\n",
            "HTTP/1.1 304 a\n",
            "content-length: 5\r\n",
            "content-length: 0\r\n",
            "content-length: 5, 5\r\n",
            "a: b\r\n",
            "a: b\n",
            "transfer-encoding: chunked\r\n",
            "transfer-encoding: gzip, chunked\r\n",
            "connection: close\r\n",
            "a b: c\r\n",
            "\r\n",
            "\n",
            "hello",
            "5\r\nhello\r\n",
            "5;a=b\r\nhello\r\n",
            "5 \r\nhello\r\n",
            "0\r\n",
            "0\r\n\r\n",
            "t: 1\r\n",
            "\r",
            "\0",
        ][..],
    );
    let rest = vec(part, 0..10).prop_map(|parts| parts.concat());
    prop_oneof![
        3 => rest.clone().prop_map(|rest| format!("HTTP/1.1 200 OK\r\n{rest}")),
        3 => rest.clone().prop_map(|rest| format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{rest}")),
        1 => rest,
    ]
    .prop_map(String::into_bytes)
}

/// A head that is refused may be so only once it is whole: until then it is not looked at again.
fn same(whole: &Read, pieces: &Read) -> bool {
    whole == pieces || (whole.end == End::Refused && pieces.end == End::InHead && whole.heads == pieces.heads)
}

proptest! {
    #[test]
    fn a_request_reads_back_as_it_was(
        request in request(),
        frames in vec("[ -~]{0,20}", 0..4),
        says_length in any::<bool>(),
        trailers in option::of(fields()),
        added in "(y: [a-z]{1,5}\r\n)?",
        size in 1_usize..40,
    ) {
        let mut request = request;
        let whole = frames.concat();
        if says_length {
            request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(whole.len()));
        }
        let (mut output, mut wire) = (Output::default(), Vec::new());
        let more = |out: &mut Vec<u8>| out.extend_from_slice(added.as_bytes());
        let mut framing = output.head(&request, more, !frames.is_empty()).unwrap();
        for frame in &frames {
            output.data(&mut framing, Bytes::from(frame.clone())).unwrap();
            drain(&mut output, size, &mut wire);
        }
        output.end(&framing, trailers.as_ref()).unwrap();
        drain(&mut output, size, &mut wire);

        let mut found = [httparse::EMPTY_HEADER; 32];
        let mut parsed = httparse::Request::new(&mut found);
        let httparse::Status::Complete(length) = parsed.parse(&wire).unwrap() else { panic!("no end") };
        prop_assert_eq!(parsed.method.unwrap(), request.method().as_str());
        prop_assert_eq!(parsed.path.unwrap(), request.uri().to_string());
        prop_assert_eq!(parsed.version, Some(1));
        let mut expected = request.headers().clone();
        if let Some(value) = added.strip_prefix("y: ") {
            expected.append("y", value.trim_end().parse().unwrap());
        }
        let chunked = !says_length && !frames.is_empty();
        if chunked {
            expected.append("transfer-encoding", HeaderValue::from_static("chunked"));
        }
        let mut back = HeaderMap::new();
        for field in parsed.headers {
            let name = HeaderName::from_bytes(field.name.as_bytes()).unwrap();
            back.append(name, HeaderValue::from_bytes(field.value).unwrap());
        }
        prop_assert_eq!(&back, &expected);
        let framing = if chunked { Framing::CHUNKED } else { Framing::Length(whole.len() as u64) };
        let (sent, last) = body(framing, &wire[length..]);
        prop_assert_eq!(sent, whole.into_bytes());
        let trailers = trailers.filter(|fields| chunked && !fields.is_empty());
        prop_assert_eq!(last, trailers);
    }

    #[test]
    fn an_answer_reads_the_same_in_pieces_of_every_size(wire in answer(), to_head in any::<bool>()) {
        let whole = read(&wire, wire.len(), to_head);
        for size in 1..wire.len() {
            let pieces = read(&wire, size, to_head);
            prop_assert!(same(&whole, &pieces), "by {size}: {pieces:?}, not {whole:?}");
        }
        prop_assert!(whole.heads.iter().all(|(_, fields)| !is_ambiguous(fields)));
    }
}
