//! What the process allows itself: connections, fields, connections of an endpoint, descriptors.

use std::process::Command;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::support::app::{ByHand, app};
use super::support::raw::Raw;
use super::support::run::{eventually, run, soon};
use super::support::sidecar::{Setup, Sidecar};
use super::watching::metric;

fn before(app: std::net::SocketAddr) -> String {
    format!("version: 1\ninbound: {{ app: \"http://{app}\" }}\n")
}

/// Whether a connection gets an answer.
async fn serves(sidecar: &Sidecar) -> Option<Raw> {
    let mut raw = Raw::try_connect(sidecar.inbound).await?;
    let asking = async {
        let sent =
            tokio::io::AsyncWriteExt::write_all(&mut raw.stream, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        sent.ok()?;
        raw.try_answer("GET").await
    };
    let answer = timeout(Duration::from_secs(2), asking).await.expect("neither served nor refused");
    answer.filter(|answer| answer.status == 200).map(|_| raw)
}

#[test]
fn refuses_connections_beyond_the_bound_at_once_and_serves_on() {
    run(async {
        let app = app();
        let sidecar = Setup::new(before(app.address())).line("limits: { max_connections: 8 }").start().await;
        let mut held = Vec::new();
        // The sidecar asks itself now and then, which takes one for a moment.
        let refused = loop {
            match serves(&sidecar).await {
                Some(raw) => held.push(raw),
                None => break held.len(),
            }
        };
        assert!((7..=8).contains(&refused), "{refused} were served");
        while held.len() < 8 {
            held.extend(serves(&sidecar).await);
        }
        assert!(serves(&sidecar).await.is_none());
        for raw in &mut held {
            assert_eq!(raw.get("/").await.status, 200, "those that are in go on");
        }
        assert_eq!(sidecar.admin_get("/healthz").await.unwrap().status, 200);
        assert!(
            metric(&sidecar, "outrigger_connections_refused_total", &[("reason", "max_connections")]).await
                >= 1.0
        );
        assert_eq!(metric(&sidecar, "outrigger_connections", &[("listener", "inbound")]).await, 8.0);
        held.clear();
        eventually("room again", async || serves(&sidecar).await).await;
    });
}

#[test]
fn allows_itself_no_more_connections_than_half_of_its_descriptors() {
    run(async {
        let app = app();
        let sidecar = Setup::new(before(app.address())).line("limits: { max_connections: 300 }");
        let dir = sidecar.dir().to_owned();
        // Under a limit of its own; the same program and files otherwise.
        let mut sidecar = sidecar.start().await;
        sidecar.child.kill().unwrap();
        sidecar.child.wait().unwrap();
        let log = std::fs::File::create(dir.join("stderr.log")).unwrap();
        let command =
            format!("ulimit -n 328; exec {} proxy --config sidecar.yaml", env!("CARGO_BIN_EXE_outrigger"));
        let mut shell = Command::new("sh");
        sidecar.child = shell.args(["-c", &command]).current_dir(&dir).stderr(log).spawn().unwrap();
        eventually("ready", async || {
            let answer = sidecar.admin_get("/readyz").await?;
            (answer.status == 200).then_some(())
        })
        .await;
        assert!(sidecar.log().contains("max_connections lowered"), "{}", sidecar.log());
        let mut held = Vec::new();
        while let Some(raw) = serves(&sidecar).await {
            held.push(raw);
            assert!(held.len() <= 100, "more than half of 200");
        }
        assert!(held.len() >= 99, "{}", held.len());
        assert_eq!(held[0].get("/").await.status, 200);
        assert_eq!(sidecar.admin_get("/metrics").await.unwrap().status, 200);
    });
}

#[test]
fn refuses_the_hundred_and_first_field_and_a_head_over_its_size() {
    run(async {
        let app = app();
        let sidecar = Setup::new(before(app.address()))
            .line("limits: { max_headers: 10, max_header_bytes: 2KiB }")
            .start()
            .await;
        let ask = async |fields: usize, size: usize| {
            let fields: String = (0..fields).map(|n| format!("x-{n}: {}\r\n", "v".repeat(size))).collect();
            let request = format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
            Raw::connect(sidecar.inbound).await.ask(request).await.status
        };
        assert_eq!(ask(9, 10).await, 200);
        assert_eq!(ask(10, 10).await, 431);
        assert_eq!(ask(1, 1_950).await, 200);
        assert_eq!(ask(1, 2_050).await, 431);
        assert_eq!(metric(&sidecar, "outrigger_malformed_total", &[]).await, 2.0);
    });
}

fn bounded(address: std::net::SocketAddr, connections: u32) -> String {
    format!(
        "version: 1\ninbound: {{ app: \"http://{address}\" }}\ndependencies:\n  dep:\n    hosts: [dep.test]\n    \
         endpoints: [{{ address: \"{address}\" }}]\n    timeouts: {{ total: 8s, connect: 6s }}\n    \
         isolation: {{ max_connections_per_endpoint: {connections}, queue_timeout: 5s }}\n"
    )
}

#[test]
fn whoever_waits_too_long_for_a_connection_is_told_that_there_are_no_more() {
    run(async {
        let upstream = ByHand::listen().await;
        let policy = bounded(upstream.address(), 1).replace("connect: 6s", "connect: 200ms");
        let sidecar = Sidecar::start(policy).await;
        let (done, _finished) = mpsc::channel(64);
        tokio::spawn(call(sidecar.outbound, "/first".to_owned(), done));
        let mut holder = upstream.accept().await;
        assert!(holder.request_head().await.starts_with("GET /first "));
        let answer =
            Raw::connect(sidecar.outbound).await.ask("GET /second HTTP/1.1\r\nhost: dep.test\r\n\r\n").await;
        assert_eq!(answer.status, 503);
        let said = answer.field("proxy-status").unwrap_or_default();
        assert!(said.contains("error=connection_limit_reached"), "{said}");
        assert!(answer.field("retry-after").is_some());
    });
}

async fn call(to: std::net::SocketAddr, path: String, done: mpsc::Sender<(String, u16)>) {
    let mut raw = Raw::connect(to).await;
    let answer = raw.ask(format!("GET {path} HTTP/1.1\r\nhost: dep.test\r\n\r\n")).await;
    done.send((path, answer.status)).await.unwrap();
}

#[test]
fn keeps_the_bound_on_connections_and_serves_who_waits_in_order() {
    run(async {
        let upstream = ByHand::listen().await;
        let sidecar = Sidecar::start(bounded(upstream.address(), 2)).await;
        let (done, mut finished) = mpsc::channel(64);
        for number in 0..8 {
            tokio::spawn(call(sidecar.outbound, format!("/{number}"), done.clone()));
            // One after another, so that there is an order.
            sleep(Duration::from_millis(40)).await;
        }
        let mut connections = [upstream.accept().await, upstream.accept().await];
        for turn in 0..8 {
            let raw = &mut connections[turn % 2];
            let head = raw.request_head().await;
            assert!(head.starts_with(&format!("GET /{turn} ")), "turn {turn}: {head}");
            raw.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            let (path, status) = soon("an answer", finished.recv()).await.unwrap();
            assert_eq!((path, status), (format!("/{turn}"), 200));
        }
        assert_eq!(metric(&sidecar, "outrigger_upstream_connections", &[("dependency", "dep")]).await, 2.0);
    });
}

#[test]
fn who_waits_takes_the_place_of_a_connection_that_ended() {
    run(async {
        let upstream = ByHand::listen().await;
        let sidecar = Sidecar::start(bounded(upstream.address(), 1)).await;
        let (done, mut finished) = mpsc::channel(64);
        for number in 0..5 {
            tokio::spawn(call(sidecar.outbound, format!("/{number}"), done.clone()));
            sleep(Duration::from_millis(40)).await;
        }
        for turn in 0..5 {
            let mut raw = upstream.accept().await;
            let head = raw.request_head().await;
            assert!(head.starts_with(&format!("GET /{turn} ")), "turn {turn}: {head}");
            raw.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
            let (path, status) = soon("an answer", finished.recv()).await.unwrap();
            assert_eq!((path, status), (format!("/{turn}"), 200));
        }
    });
}

#[test]
fn who_gives_up_waiting_leaves_the_others_their_turn() {
    run(async {
        let upstream = ByHand::listen().await;
        let sidecar = Sidecar::start(bounded(upstream.address(), 1)).await;
        let (done, mut finished) = mpsc::channel(64);
        tokio::spawn(call(sidecar.outbound, "/0".into(), done.clone()));
        let mut raw = upstream.accept().await;
        raw.request_head().await;
        let mut impatient = Vec::new();
        for number in 0..5 {
            let mut client = Raw::connect(sidecar.outbound).await;
            client.send(format!("GET /gone-{number} HTTP/1.1\r\nhost: dep.test\r\n\r\n")).await;
            impatient.push(client);
        }
        sleep(Duration::from_millis(100)).await;
        tokio::spawn(call(sidecar.outbound, "/last".into(), done));
        sleep(Duration::from_millis(100)).await;
        drop(impatient);
        sleep(Duration::from_millis(100)).await;
        raw.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        assert!(raw.request_head().await.starts_with("GET /last "));
        raw.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        for path in ["/0", "/last"] {
            assert_eq!(soon("an answer", finished.recv()).await.unwrap(), (path.to_owned(), 200));
        }
    });
}

#[test]
fn two_workers_share_connections_and_bounds() {
    run(async {
        let app = app();
        let sidecar = Setup::new(bounded(app.address(), 4)).line("workers: 2").start().await;
        let (done, mut finished) = mpsc::channel(64);
        for _ in 0..40 {
            tokio::spawn(call(sidecar.outbound, "/delay/20".into(), done.clone()));
        }
        for _ in 0..40 {
            assert_eq!(soon("an answer", finished.recv()).await.unwrap().1, 200);
        }
        assert!(app.connections() <= 4, "{} connections", app.connections());
        let mut clients = Vec::new();
        for _ in 0..10 {
            clients.push(Raw::connect(sidecar.inbound).await);
        }
        for client in &mut clients {
            assert_eq!(client.get("/").await.status, 200);
        }
        assert_eq!(metric(&sidecar, "outrigger_requests_total", &[]).await, 50.0);
    });
}

#[test]
fn a_slow_reader_costs_little_and_nobody_else_waits() {
    run(async {
        let app = app();
        let sidecar = Sidecar::start(before(app.address())).await;
        let before = sidecar.resident_kib();
        let mut held = Vec::new();
        for _ in 0..50 {
            let mut raw = Raw::connect(sidecar.inbound).await;
            raw.send("GET /bytes/50000000 HTTP/1.1\r\nhost: a\r\n\r\n").await;
            held.push(raw);
        }
        sleep(Duration::from_millis(500)).await;
        let mut good = Raw::connect(sidecar.inbound).await;
        assert_eq!(timeout(Duration::from_secs(1), good.get("/")).await.unwrap().status, 200);
        let each = sidecar.resident_kib().saturating_sub(before) / 50;
        assert!(each < 512, "{each} KiB for each client that does not read");
    });
}
