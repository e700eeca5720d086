//! The programs people reach for: curl, wrk, h2load. Each is skipped, saying so, where it is not installed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::process::{Command, Output, Stdio};

use support::app::app;
use support::run::{eventually, run};
use support::sidecar::{Setup, Sidecar};
use support::tls::Authority;

mod support;

fn installed(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_err() {
        eprintln!("skipped: {program} is not installed");
    }
    found.is_ok()
}

async fn output(command: &mut Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // What these print fits into a pipe.
    eventually("the program ends", async || child.try_wait().unwrap()).await;
    child.wait_with_output().unwrap()
}

async fn curl(arguments: &[&str]) -> String {
    let out = output(Command::new("curl").args(["-sS", "--max-time", "8"]).args(arguments)).await;
    assert!(out.status.success(), "curl {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn serves_curl_in_every_protocol() {
    if !installed("curl") {
        return;
    }
    run(async {
        let (app, authority) = (app(), Authority::new());
        let policy = format!("version: 1\ninbound: {{ app: \"http://{}\" }}\n", app.address());
        let plain = Sidecar::start(&policy).await;
        let setup = Setup::new(&policy);
        authority.issue(&["localhost"]).write(setup.dir(), "cert");
        let secure = setup.tls("{ cert: cert.pem, key: cert.key }").start().await;
        let (http, https) = (format!("http://{}", plain.inbound), format!("https://{}", secure.inbound));
        let written = ["-o", "/dev/null", "-w", "%{http_version} %{http_code} %{size_download}"];
        for (arguments, expected) in [
            (vec!["--http1.1", &http], "1.1 200 128"),
            (vec!["--http2", &http], "1.1 200 128"),
            (vec!["--http2-prior-knowledge", &http], "2 200 128"),
            (vec!["-k", "--http1.1", &https], "1.1 200 128"),
            (vec!["-k", "--http2", &https], "2 200 128"),
        ] {
            let said = curl(&[&arguments[..], &written].concat()).await;
            assert_eq!(said, expected, "{arguments:?}");
        }
        // A body large enough that curl waits to be invited, with an offer of h2c besides.
        let body = plain.dir().join("body");
        std::fs::write(&body, vec![b'x'; 2 << 20]).unwrap();
        let data = format!("@{}", body.display());
        for version in ["--http1.1", "--http2", "--http2-prior-knowledge"] {
            let said = curl(&[
                version,
                "-H",
                "expect: 100-continue",
                "--data-binary",
                &data,
                &format!("{http}/sink"),
            ])
            .await;
            assert_eq!(said, "{\"bytes\":2097152}", "{version}");
            let early = curl(&[
                version,
                "-H",
                "expect: 100-continue",
                "--data-binary",
                &data,
                "-o",
                "/dev/null",
                "-w",
                "%{http_code}",
                &format!("{http}/status/413"),
            ])
            .await;
            assert_eq!(early, "413", "{version}");
        }
    });
}

#[test]
fn serves_curl_as_a_forward_proxy() {
    if !installed("curl") {
        return;
    }
    run(async {
        let app = app();
        let sidecar = Sidecar::start(format!(
            "version: 1\ndependencies: {{ one: {{ hosts: [one.test], endpoints: [{{ address: \"{}\" }}] }} }}\n",
            app.address()
        ))
        .await;
        let proxy = format!("http://{}", sidecar.outbound);
        let said = curl(&["--noproxy", "", "-x", &proxy, "http://one.test/echo"]).await;
        let seen: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!((&seen["path"], &seen["authority"]), (&"/echo".into(), &serde_json::Value::Null));
        assert!(!said.contains("proxy-connection"), "{said}");
        let said = curl(&[
            "--noproxy",
            "",
            "-x",
            &proxy,
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "http://other.test/",
        ])
        .await;
        assert_eq!(said, "404");
    });
}

#[test]
fn serves_wrk_without_an_error() {
    if !installed("wrk") {
        return;
    }
    run(async {
        let app = app();
        let sidecar = Sidecar::before(format_args!("http://{}", app.address())).await;
        let url = format!("http://{}/", sidecar.inbound);
        let out = output(Command::new("wrk").args(["-t1", "-c16", "-d1s", &url])).await;
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(out.status.success() && said.contains("requests in"), "{said}");
        assert!(!said.contains("Non-2xx") && !said.contains("Socket errors"), "{said}");
        assert!(app.connections() <= 16 + 2, "{} connections for 16 clients", app.connections());
    });
}

#[test]
fn serves_h2load_without_an_error() {
    if !installed("h2load") {
        return;
    }
    run(async {
        let app = app();
        for scheme in ["http", "h2c"] {
            let sidecar = Sidecar::before(format_args!("{scheme}://{}", app.address())).await;
            let url = format!("http://{}/16k", sidecar.inbound);
            let out = output(Command::new("h2load").args(["-n2000", "-c4", "-m16", &url])).await;
            let said = String::from_utf8_lossy(&out.stdout).into_owned();
            assert!(said.contains("2000 succeeded, 0 failed, 0 errored"), "{said}");
        }
    });
}
