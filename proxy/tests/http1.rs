//! HTTP/1.1 to the app: keep-alive, pipelining, HEAD, answers without a body, interim answers, old clients.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use support::app::{ByHand, app};
use support::raw::Raw;
use support::run::{becomes_true, run};
use support::sidecar::Sidecar;

mod support;

async fn before(address: std::net::SocketAddr) -> Sidecar {
    Sidecar::before(format_args!("http://{address}")).await
}

#[test]
fn answers_many_requests_on_one_connection_and_uses_one_to_the_app() {
    run(async {
        let app = app();
        let sidecar = before(app.address()).await;
        let mut client = Raw::connect(sidecar.inbound).await;
        for _ in 0..20 {
            let answer = client.get("/").await;
            assert_eq!((answer.status, answer.body.len()), (200, 128));
            assert_eq!(answer.field("connection"), None);
        }
        assert_eq!((app.requests(), app.connections()), (20, 1));
    });
}

#[test]
fn keeps_connections_to_the_app_from_one_client_to_the_next() {
    run(async {
        let app = app();
        let sidecar = before(app.address()).await;
        for _ in 0..5 {
            let mut client = Raw::connect(sidecar.inbound).await;
            let answer = client.ask("GET /16k HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
            assert_eq!((answer.body.len(), answer.field("connection")), (16 * 1024, Some("close")));
            assert!(client.until_end().await.is_empty());
        }
        assert_eq!(app.connections(), 1);
    });
}

#[test]
fn does_not_keep_a_connection_that_the_app_closes() {
    run(async {
        let app = app();
        let sidecar = before(app.address()).await;
        let mut client = Raw::connect(sidecar.inbound).await;
        for _ in 0..3 {
            let answer = client.get("/close").await;
            assert_eq!((answer.status, answer.text()), (200, "good-bye\n"));
            assert_eq!(answer.field("connection"), None, "the app's connection is not the client's");
        }
        assert_eq!(app.connections(), 3);
    });
}

#[test]
fn answers_pipelined_requests_in_order() {
    run(async {
        let app = app();
        let sidecar = before(app.address()).await;
        let mut client = Raw::connect(sidecar.inbound).await;
        let one = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        let post = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc";
        client.send([&one("/delay/50"), post, &one("/status/404"), &one("/bytes/7")].concat()).await;
        let answers = [
            client.answer("GET").await,
            client.answer("POST").await,
            client.answer("GET").await,
            client.answer("GET").await,
        ];
        assert_eq!(answers.each_ref().map(|answer| answer.status), [200, 200, 404, 200]);
        assert_eq!(answers[0].text(), "here at last\n");
        assert_eq!(answers[1].json()["body"], "abc");
        assert_eq!(answers[3].text(), "xxxxxxx");
    });
}

#[test]
fn passes_the_length_of_a_head_answer_and_no_body() {
    run(async {
        let app = app();
        let sidecar = before(app.address()).await;
        let mut client = Raw::connect(sidecar.inbound).await;
        let answer = client.ask("HEAD /bytes/1234 HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!((answer.status, answer.field("content-length")), (200, Some("1234")));
        assert_eq!(client.get("/bytes/5").await.text(), "xxxxx", "nothing of a body was left on the wire");
        assert_eq!(app.connections(), 1);
    });
}

#[test]
fn passes_answers_that_have_no_body_by_their_status() {
    run(async {
        let server = ByHand::listen().await;
        let sidecar = before(server.address()).await;
        let mut client = Raw::connect(sidecar.inbound).await;
        client.send("GET /a HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut app = server.accept().await;
        for (sent, status) in [
            ("HTTP/1.1 204 No Content\r\n\r\n", 204),
            ("HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n", 204),
            ("HTTP/1.1 304 Not Modified\r\netag: \"v\"\r\n\r\n", 304),
            ("HTTP/1.1 304 Not Modified\r\ncontent-length: 500\r\netag: \"v\"\r\n\r\n", 304),
            ("HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n", 205),
        ] {
            app.request_head().await;
            app.send(sent).await;
            let answer = client.answer("GET").await;
            assert_eq!((answer.status, answer.body.len()), (status, 0), "{sent}");
            if status == 204 {
                assert_eq!(answer.field("content-length"), None, "RFC 9110 §8.6: none on a 204");
            }
            if status == 304 {
                assert_eq!(answer.field("etag"), Some("\"v\""));
                assert!(matches!(answer.field("content-length"), None | Some("500")), "{answer:?}");
            }
            client.send("GET /next HTTP/1.1\r\nhost: a\r\n\r\n").await;
        }
    });
}

#[test]
fn is_not_confused_by_interim_answers() {
    run(async {
        let app = app();
        let sidecar = before(app.address()).await;
        let mut client = Raw::connect(sidecar.inbound).await;
        for _ in 0..3 {
            let answer = client.get("/early").await;
            assert_eq!((answer.status, answer.text()), (200, "hinted\n"));
        }
        assert_eq!(client.get("/").await.status, 200);
        assert_eq!(app.connections(), 1);
    });
}

#[test]
fn passes_on_what_comes_before_an_answer_as_it_comes() {
    run(async {
        let upstream = ByHand::listen().await;
        let sidecar = before(upstream.address()).await;
        let mut client = Raw::connect(sidecar.inbound).await;
        let mut app = None;
        for number in 0..3 {
            client.send(format!("GET /{number} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
            let app = match &mut app {
                Some(app) => app,
                none => none.insert(upstream.accept().await),
            };
            app.request_head().await;
            // 100 was never asked for here; hop-by-hop fields stay behind.
            app.send("HTTP/1.1 100 Continue\r\n\r\n").await;
            app.send("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\nconnection: x-b\r\nx-b: 1\r\n\r\n").await;
            let hints = client.head().await.unwrap();
            assert_eq!((hints.status, hints.field("link")), (103, Some("</a>")));
            assert!(hints.field("connection").is_none() && hints.field("x-b").is_none(), "{hints:?}");
            app.send("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </b>\r\n\r\n").await;
            assert_eq!(client.head().await.unwrap().status, 102);
            assert_eq!(client.head().await.unwrap().field("link"), Some("</b>"));
            app.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            let answer = client.answer("GET").await;
            assert_eq!((answer.status, answer.text(), answer.field("link")), (200, "ok", None));
        }
        // A client that does not know them gets none.
        client.send("GET /old HTTP/1.0\r\nhost: a\r\n\r\n").await;
        let app = app.as_mut().unwrap();
        app.request_head().await;
        app.send("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        assert_eq!(client.head().await.unwrap().status, 200);
    });
}

#[test]
fn invites_a_body_that_waits_for_it() {
    run(async {
        let app = app();
        let sidecar = before(app.address()).await;
        let mut client = Raw::connect(sidecar.inbound).await;
        client
            .send("POST /echo HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n")
            .await;
        assert_eq!(client.head().await.unwrap().status, 100);
        client.send("body").await;
        let seen = client.answer("POST").await.json();
        assert_eq!(seen["body"], "body");
        let expect = seen["headers"].as_array().unwrap().iter().any(|field| field[0] == "expect");
        assert!(!expect, "what was answered here is not asked again: {seen}");
        assert_eq!(client.get("/").await.status, 200);
    });
}

#[test]
fn refuses_a_body_that_waits_without_inviting_it() {
    run(async {
        let app = app();
        let policy = format!(
            "version: 1\ninbound:\n  app: http://{}\n  routes:\n    - name: closed\n      match: {{ path: /closed }}\n      rate_limits: [{{ name: shut, rate: 1/h, burst: 1 }}]\n",
            app.address()
        );
        let sidecar = Sidecar::start(policy).await;
        let mut client = Raw::connect(sidecar.inbound).await;
        assert_eq!(client.get("/closed").await.status, 404);
        client
            .send("POST /closed HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n")
            .await;
        let head = client.head().await.unwrap();
        assert_eq!(head.status, 429, "a refusal comes at once and no 100 before it");
        assert_eq!(
            head.field("connection"),
            Some("close"),
            "a body that may or may not come ends the connection"
        );
    });
}

#[test]
fn shows_an_early_answer_to_a_client_that_is_still_sending() {
    run(async {
        let app = app();
        let sidecar = before(app.address()).await;
        for (path, status) in [("/status/413", 413), ("/nothing-here", 404)] {
            for size in [10_000, 40_000, 100_000] {
                let mut client = Raw::connect(sidecar.inbound).await;
                client
                    .send(format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {size}\r\n\r\n"))
                    .await;
                for _ in 0..size / 10_000 {
                    client.send([b'x'; 10_000]).await;
                }
                assert_eq!(client.answer("POST").await.status, status, "{size} bytes");
            }
        }
    });
}

#[test]
fn shows_an_early_answer_over_a_body_that_does_not_come() {
    run(async {
        let app = app();
        let sidecar = before(app.address()).await;
        let mut client = Raw::connect(sidecar.inbound).await;
        client.send("POST /status/413 HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nxxxxx").await;
        assert_eq!(client.answer("POST").await.status, 413);
        assert!(client.until_end().await.is_empty());
    });
}

#[test]
fn says_what_is_wrong_with_a_malformed_head_and_closes() {
    run(async {
        let app = app();
        let sidecar = before(app.address()).await;
        let many = format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(200));
        let long = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(90_000));
        let cases = [
            ("GET / HTTP/1.1\r\n\r\n", 400, "host"),
            ("GET / HTTP/1.1\nhost: a\n\n", 400, "lf"),
            ("\u{1}garbage\r\n\r\n", 400, "method"),
            ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", 400, "length"),
            ("GET / HTTP/3.0\r\nhost: a\r\n\r\n", 505, "version"),
            (&many, 431, "fields"),
            (&long, 431, "large"),
        ];
        for (sent, status, reason) in cases {
            // By itself, and behind a good request that is answered first.
            for good in [0, 1] {
                let mut client = Raw::connect(sidecar.inbound).await;
                let before = "GET /delay/20 HTTP/1.1\r\nhost: a\r\n\r\n".repeat(good);
                client.send([&before, sent].concat()).await;
                for _ in 0..good {
                    assert_eq!(client.answer("GET").await.status, 200);
                }
                let answer = client.answer("GET").await;
                let name = &sent[..sent.len().min(60)];
                assert_eq!((answer.status, answer.field("connection")), (status, Some("close")), "{name:?}");
                let said = answer.field("proxy-status").unwrap();
                assert!(said.contains("error=http_request_error") && said.contains(reason), "{said}");
                assert!(client.until_end().await.is_empty());
            }
        }
        becomes_true("each is recorded", || {
            let log = sidecar.access_log();
            log.iter().filter(|line| line["outcome"] == "http_request_error").count() == 2 * 7
        })
        .await;
    });
}

#[test]
fn serves_clients_of_http_1_0() {
    run(async {
        let app = app();
        let sidecar = before(app.address()).await;
        // With a length, chunked by the app, and with neither at the client's wish to keep the connection.
        let mut client = Raw::connect(sidecar.inbound).await;
        client.send("GET /bytes/300 HTTP/1.0\r\nhost: a\r\n\r\n").await;
        let all = String::from_utf8(client.until_end().await).unwrap();
        assert!(all.starts_with("HTTP/1.0 200 ") && all.ends_with("xxx"), "{all}");

        let mut client = Raw::connect(sidecar.inbound).await;
        client.send("GET /bytes/300?chunked=1 HTTP/1.0\r\nhost: a\r\n\r\n").await;
        let all = String::from_utf8(client.until_end().await).unwrap();
        let (head, body) = all.split_once("\r\n\r\n").unwrap();
        assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{head}");
        assert_eq!(body, "x".repeat(300));

        let mut client = Raw::connect(sidecar.inbound).await;
        for _ in 0..2 {
            let answer =
                client.ask("GET /bytes/3 HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n").await;
            assert_eq!((answer.text(), answer.field("connection")), ("xxx", Some("keep-alive")));
        }
    });
}

#[test]
fn sends_the_app_a_host_when_an_old_client_gave_none() {
    run(async {
        let server = ByHand::listen().await;
        let sidecar = before(server.address()).await;
        let mut client = Raw::connect(sidecar.inbound).await;
        client.send("GET / HTTP/1.0\r\n\r\n").await;
        let mut app = server.accept().await;
        let head = app.request_head().await.to_ascii_lowercase();
        assert!(head.starts_with("get / http/1.1\r\n"), "{head}");
        assert_eq!(head.matches("\r\nhost:").count(), 1, "HTTP/1.1 must have a Host: {head}");
        app.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        assert_eq!(client.answer("GET").await.status, 200);
    });
}

#[test]
fn takes_a_target_in_absolute_form_to_the_app_too() {
    run(async {
        let app = app();
        let sidecar = before(app.address()).await;
        let mut client = Raw::connect(sidecar.inbound).await;
        let seen =
            client.ask("GET http://shop.test/echo?a=1 HTTP/1.1\r\nhost: shop.test\r\n\r\n").await.json();
        assert_eq!(
            (&seen["path"], &seen["query"], &seen["authority"]),
            (&"/echo".into(), &"a=1".into(), &serde_json::Value::Null)
        );
    });
}

#[test]
fn ends_the_exchange_with_the_app_when_the_client_leaves() {
    run(async {
        let server = ByHand::listen().await;
        let sidecar = before(server.address()).await;
        let mut client = Raw::connect(sidecar.inbound).await;
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut app = server.accept().await;
        app.request_head().await;
        drop(client);
        assert!(app.more().await.is_none(), "the app is told");
        becomes_true("the record says who left", || {
            sidecar.access_log().iter().any(|line| line["outcome"] == "client_cancelled")
        })
        .await;
    });
}

#[test]
fn says_that_the_answer_broke_off() {
    run(async {
        let app = app();
        let sidecar = before(app.address()).await;
        for path in ["/truncate", "/reset-body"] {
            let mut client = Raw::connect(sidecar.inbound).await;
            client.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
            let head = client.head().await.unwrap();
            assert_eq!((head.status, head.field("content-length")), (200, Some("1000")));
            assert!(client.exactly(1000).await.is_none(), "fewer bytes than were promised");
        }
        let mut client = Raw::connect(sidecar.inbound).await;
        let answer = client.get("/reset").await;
        assert_eq!(answer.status, 502);
        assert!(answer.field("proxy-status").unwrap().contains("error=connection_terminated"), "{answer:?}");
        assert_eq!(answer.field("outrigger-sent"), Some("1"));
        assert_eq!(client.get("/").await.status, 200, "the client's connection lives on");
    });
}

#[test]
fn keeps_the_frame_that_a_body_came_in() {
    run(async {
        let server = ByHand::listen().await;
        let sidecar = before(server.address()).await;
        let mut client = Raw::connect(sidecar.inbound).await;
        client.send("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi").await;
        let mut app = server.accept().await;
        // What is asked next, and what the app must see of what was asked before.
        for (next, frame, body) in [
            (
                "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
                "put / http/1.1\r\ncontent-length: 2",
                "hi",
            ),
            (
                "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi",
                "post / http/1.1\r\ntransfer-encoding: chunked",
                "2\r\nhi\r\n0\r\n\r\n",
            ),
            ("POST / HTTP/1.1\r\nhost: a\r\n\r\n", "get / http/1.1\r\ncontent-length: 2", "hi"),
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", "post / http/1.1\r\ncontent-length: 0", ""),
            ("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n", "get / http/1.1\r\n", ""),
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", "options * http/1.1\r\n", ""),
        ] {
            let head = app.request_head().await.to_ascii_lowercase();
            let (line, fields) = head.split_once("\r\n").unwrap();
            let frames = |field: &&str| {
                ["content-length:", "transfer-encoding:"].iter().any(|name| field.starts_with(name))
            };
            let framing: Vec<&str> = fields.split("\r\n").filter(frames).collect();
            assert_eq!(format!("{line}\r\n{}", framing.join(", ")), frame);
            assert_eq!(app.exactly(body.len()).await.unwrap(), body.as_bytes(), "{head}");
            app.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            assert_eq!(client.answer("GET").await.status, 200);
            client.send(next).await;
        }
    });
}

#[test]
fn refuses_a_head_request_without_a_body() {
    run(async {
        let app = app();
        let sidecar = before(app.address()).await;
        let mut client = Raw::connect(sidecar.outbound).await;
        for _ in 0..2 {
            let answer = client.ask("HEAD / HTTP/1.1\r\nhost: nobody.test\r\n\r\n").await;
            assert_eq!(
                (answer.status, answer.field("content-type")),
                (404, Some("application/problem+json"))
            );
        }
    });
}
