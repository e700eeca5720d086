//! gRPC through the sidecar: with a bare HTTP/2 client, and with grpcio where Python has it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::process::{Command, Stdio};

use bytes::Bytes;
use http_body_util::BodyExt;
use outrigger_load_tests::upstream::Upstream;
use support::app::app;
use support::client::{Body, Whole, ask_h2, fed, full, h2, request, tcp};
use support::run::{becomes_true, eventually, run, soon};
use support::sidecar::{Sidecar, listen_port};

mod support;

fn message(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    [&[0][..], &length, text.as_bytes()].concat()
}

fn call(method: &str, body: Body) -> http::Request<Body> {
    let call = request("POST", &format!("/grpc.Echo/{method}")).header("content-type", "application/grpc");
    call.header("te", "trailers").body(body).unwrap()
}

/// Inbound to the app and outbound to a dependency with a port of its own, both the same server.
async fn both(app: &Upstream) -> (Sidecar, [std::net::SocketAddr; 2]) {
    let port = listen_port();
    let policy = format!(
        "version: 1
inbound:
  app: h2c://{0}
  routes:
    - name: limited
      match: {{ path: /grpc.Echo/Limited }}
      rate_limits: [{{ name: shut, rate: 1/h, burst: 1 }}]
dependencies:
  echo:
    listen: 127.0.0.1:{port}
    endpoints: [{{ address: \"{0}\" }}]
    protocol: h2
    routes:
      - name: limited
        match: {{ path: /grpc.Echo/Limited }}
        rate_limits: [{{ name: shut, rate: 1/h, burst: 1 }}]
",
        app.address()
    );
    let sidecar = Sidecar::start(policy).await;
    let inbound = sidecar.inbound;
    (sidecar, [inbound, ([127, 0, 0, 1], port).into()])
}

#[test]
fn carries_a_unary_call_and_its_status() {
    run(async {
        let app = app();
        let (sidecar, doors) = both(&app).await;
        for door in doors {
            let mut client = h2(tcp(door).await).await;
            let answer = ask_h2(&mut client, call("Unary", full(message("hello")))).await;
            assert_eq!((answer.status, answer.field("content-type")), (200, Some("application/grpc")));
            assert_eq!(answer.body, message("hello"));
            assert_eq!(answer.trailers.get("grpc-status").unwrap(), "0");
        }
        becomes_true("both are recorded as ok", || {
            let log = sidecar.access_log();
            log.len() == 2 && log.iter().all(|line| line["outcome"] == "ok")
        })
        .await;
    });
}

#[test]
fn carries_messages_of_a_stream_as_they_come() {
    run(async {
        let app = app();
        let (_sidecar, doors) = both(&app).await;
        for door in doors {
            let mut client = h2(tcp(door).await).await;
            let (mut sender, body) = fed();
            let response = soon("the head", client.send_request(call("Unary", body))).await.unwrap();
            let mut answers = response.into_body();
            for n in 0..5 {
                let sent = message(&format!("message {n}"));
                sender.send_data(sent.clone().into()).await.unwrap();
                let frame =
                    soon("the echo, before the next is sent", answers.frame()).await.unwrap().unwrap();
                assert_eq!(frame.into_data().unwrap(), Bytes::from(sent));
            }
            drop(sender);
            let rest = soon("the end", answers.collect()).await.unwrap();
            assert_eq!(rest.trailers().unwrap().get("grpc-status").unwrap(), "0");
        }
    });
}

fn is_trailers_only(answer: &Whole) -> bool {
    answer.trailers.is_empty() && answer.body.is_empty() && answer.headers.contains_key("grpc-status")
}

#[test]
fn keeps_a_trailers_only_answer_what_it_is() {
    run(async {
        let app = app();
        let (sidecar, doors) = both(&app).await;
        for door in doors {
            let mut client = h2(tcp(door).await).await;
            let response = client.send_request(call("Fail", full(message("x")))).await.unwrap();
            assert!(hyper::body::Body::is_end_stream(response.body()), "head and end of stream in one");
            let answer = support::client::whole(response).await;
            assert!(is_trailers_only(&answer), "{answer:?}");
            assert_eq!((answer.status, answer.field("grpc-status")), (200, Some("3")));
            assert_eq!(answer.field("grpc-message"), Some("failed as asked"));
        }
        becomes_true("an invalid argument is the caller's fault", || {
            let log = sidecar.access_log();
            log.len() == 2 && log.iter().all(|line| line["outcome"] == "client_error")
        })
        .await;
    });
}

#[test]
fn refuses_with_a_trailers_only_answer() {
    run(async {
        let app = app();
        let (_sidecar, doors) = both(&app).await;
        for door in doors {
            let mut client = h2(tcp(door).await).await;
            assert_eq!(
                ask_h2(&mut client, call("Limited", full(message("x")))).await.field("grpc-status"),
                Some("12")
            );
            let answer = ask_h2(&mut client, call("Limited", full(message("x")))).await;
            assert!(is_trailers_only(&answer), "{answer:?}");
            assert_eq!((answer.status, answer.field("grpc-status")), (200, Some("8")));
            assert_eq!(answer.field("content-type"), Some("application/grpc"));
            assert!(answer.field("grpc-retry-pushback-ms").unwrap().parse::<u64>().unwrap() >= 1000);
            assert_eq!(answer.field("outrigger-sent"), Some("0"));
        }
    });
}

#[test]
fn says_unavailable_when_the_app_is_gone() {
    run(async {
        let app = app();
        let (_sidecar, doors) = both(&app).await;
        drop(app);
        for door in doors {
            let mut client = h2(tcp(door).await).await;
            let answer = ask_h2(&mut client, call("Unary", full(message("x")))).await;
            assert!(is_trailers_only(&answer), "{answer:?}");
            assert_eq!(answer.field("grpc-status"), Some("14"));
        }
    });
}

#[test]
fn keeps_te_trailers_and_nothing_else_of_te() {
    run(async {
        let app = app();
        let (_sidecar, doors) = both(&app).await;
        for door in doors {
            let mut client = h2(tcp(door).await).await;
            let ask = request("POST", "/echo").header("te", "trailers").body(full("x")).unwrap();
            let seen = ask_h2(&mut client, ask).await.json();
            let te: Vec<_> =
                seen["headers"].as_array().unwrap().iter().filter(|field| field[0] == "te").collect();
            assert_eq!(te, [&serde_json::json!(["te", "trailers"])]);
        }
    });
}

const CLIENT: &str = r#"
import sys, grpc
raw = lambda data: data
for address in sys.argv[1:]:
    with grpc.insecure_channel(address) as channel:
        unary = channel.unary_unary("/grpc.Echo/Unary", request_serializer=raw, response_deserializer=raw)
        assert unary(b"hello", timeout=8) == b"hello"
        assert unary(b"x" * 300000, timeout=8) == b"x" * 300000
        stream = channel.stream_stream("/grpc.Echo/Unary", request_serializer=raw, response_deserializer=raw)
        assert list(stream(iter([b"a", b"b", b"c"]), timeout=8)) == [b"a", b"b", b"c"]
        def status(method):
            try:
                channel.unary_unary("/grpc.Echo/" + method, request_serializer=raw, response_deserializer=raw)(b"x", timeout=8)
            except grpc.RpcError as error:
                return error.code()
        assert status("Fail") == grpc.StatusCode.INVALID_ARGUMENT
        assert status("Limited") == grpc.StatusCode.UNIMPLEMENTED
        assert status("Limited") == grpc.StatusCode.RESOURCE_EXHAUSTED
print("passed")
"#;

#[test]
fn serves_grpcio() {
    let has = Command::new("python3").args(["-c", "import grpc"]).stderr(Stdio::null()).status();
    if !has.is_ok_and(|status| status.success()) {
        return eprintln!("skipped: python3 has no grpc");
    }
    run(async {
        let app = app();
        let (_sidecar, doors) = both(&app).await;
        let mut client = Command::new("python3")
            .arg("-c")
            .arg(CLIENT)
            .args(doors.map(|door| door.to_string()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let status = eventually("python ends", async || client.try_wait().unwrap()).await;
        let output = client.wait_with_output().unwrap();
        assert!(status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.stdout, b"passed\n");
    });
}
