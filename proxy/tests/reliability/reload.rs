//! Policy changes while traffic flows: every way files change, bad documents, state that stays, ports that move.

use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use outrigger_load_tests::reloads;
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::again;
use super::support::app::app;
use super::support::raw::Raw;
use super::support::run::{eventually, run};
use super::support::sidecar::{Setup, Sidecar, listen_port};
use super::watching::{generation, get, metric, policy, policy_until};

/// A policy under which every answer to `/` is the upstream's, and `/limited` may be asked for `burst` times.
fn limited(app: SocketAddr, burst: u32) -> String {
    format!(
        "version: 1\ninbound:\n  app: http://{app}\n  routes:\n    - name: limited\n      match: {{ path: /16k }}\n      \
         rate_limits: [{{ name: few, rate: {burst}/h, burst: {burst} }}]\n"
    )
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

#[test]
fn takes_an_edit_in_place_and_a_rename_over_the_file() {
    run(async {
        let app = app();
        let sidecar = Sidecar::start(limited(app.address(), 1)).await;
        write(&sidecar.policy(), &limited(app.address(), 2));
        let shown = generation(&sidecar, 2).await;
        assert_eq!(shown["source"], "file");
        let beside = sidecar.dir().join(".policy.yaml.swp");
        write(&beside, &limited(app.address(), 3));
        std::fs::rename(&beside, sidecar.policy()).unwrap();
        let shown = generation(&sidecar, 3).await;
        assert!(shown["document"].to_string().contains("3/h"), "{shown}");
        assert_eq!(metric(&sidecar, "outrigger_policy_reloads_total", &[("result", "applied")]).await, 3.0);
        assert_eq!(metric(&sidecar, "outrigger_policy_generation", &[("state", "applied")]).await, 3.0);
        assert_eq!(get(&sidecar, "/").await.status, 200);
    });
}

#[test]
fn takes_the_swap_of_a_config_map() {
    run(async {
        let app = app();
        let setup = Setup::new("version: 1\n");
        let root = setup.dir().join("mount");
        for (version, burst) in [("v1", 1), ("v2", 2)] {
            std::fs::create_dir_all(root.join(version)).unwrap();
            write(&root.join(version).join("policy.yaml"), &limited(app.address(), burst));
        }
        symlink("v1", root.join("..data")).unwrap();
        symlink("..data/policy.yaml", root.join("policy.yaml")).unwrap();
        let sidecar = start_with(setup, "mount/policy.yaml").await;
        assert!(policy(&sidecar).await["document"].to_string().contains("1/h"));
        symlink("v2", root.join("..data_tmp")).unwrap();
        std::fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        std::fs::remove_dir_all(root.join("v1")).unwrap();
        let shown = generation(&sidecar, 2).await;
        assert!(shown["document"].to_string().contains("2/h"), "{shown}");
    });
}

/// Starts with another policy file than the usual one.
async fn start_with(setup: Setup, file: &str) -> Sidecar {
    let (dir, file) = (setup.dir().to_owned(), file.to_owned());
    let mut sidecar = setup.spawn();
    again::crash(&mut sidecar);
    again::start(&mut sidecar, &["--policy", dir.join(file).to_str().unwrap()]).await;
    sidecar
}

#[test]
fn takes_files_that_come_and_go_in_a_directory() {
    run(async {
        let app = app();
        let setup = Setup::new("version: 1\n");
        let root = setup.dir().join("policies");
        std::fs::create_dir(&root).unwrap();
        write(&root.join("10-inbound.yaml"), &limited(app.address(), 1));
        write(&root.join("README"), "not a policy");
        let sidecar = start_with(setup, "policies").await;
        let dependency = format!(
            "version: 1\ndependencies:\n  dep:\n    hosts: [dep.test]\n    endpoints: [{{ address: \"{}\" }}]\n",
            app.address()
        );
        write(&root.join("20-dep.yaml"), &dependency);
        generation(&sidecar, 2).await;
        let mut raw = Raw::connect(sidecar.outbound).await;
        let request = "GET / HTTP/1.1\r\nhost: dep.test\r\n\r\n";
        assert_eq!(raw.ask(request).await.status, 200);
        std::fs::remove_file(root.join("20-dep.yaml")).unwrap();
        generation(&sidecar, 3).await;
        assert_eq!(raw.ask(request).await.status, 404);
    });
}

#[test]
fn looks_again_at_sighup_and_sees_that_nothing_changed() {
    run(async {
        let app = app();
        let sidecar = Sidecar::start(limited(app.address(), 1)).await;
        sidecar.signal("HUP");
        eventually("it has looked", async || {
            let unchanged =
                metric(&sidecar, "outrigger_policy_reloads_total", &[("result", "unchanged")]).await;
            (unchanged > 0.0).then_some(())
        })
        .await;
        assert_eq!(policy(&sidecar).await["generation"], 1);
    });
}

#[test]
fn a_bad_policy_changes_nothing_and_is_shown_with_its_place() {
    run(async {
        let app = app();
        let sidecar = Sidecar::start(limited(app.address(), 1)).await;
        let bad = limited(app.address(), 2).replace("rate:", "raet:");
        write(&sidecar.policy(), &bad);
        let shown = policy_until(&sidecar, "a rejection", |policy| !policy["rejected"].is_null()).await;
        assert_eq!(shown["generation"], 1);
        let problem = &shown["rejected"]["problems"][0];
        assert!(problem["file"].as_str().unwrap().ends_with("policy.yaml"), "{shown}");
        assert_eq!(
            (problem["line"].as_u64(), problem["severity"].as_str()),
            (Some(7), Some("error")),
            "{shown}"
        );
        let column = bad.lines().nth(6).unwrap().find("raet").unwrap() + 1;
        assert_eq!(problem["column"], column, "{shown}");
        assert!(problem["code"].as_str().unwrap().starts_with('E'), "{shown}");
        let log = sidecar.log();
        assert!(log.contains("policy refused") && log.contains(&format!("policy.yaml:7:{column}")), "{log}");
        assert_eq!(metric(&sidecar, "outrigger_policy_reloads_total", &[("result", "rejected")]).await, 1.0);
        assert_eq!(metric(&sidecar, "outrigger_policy_generation", &[("state", "rejected")]).await, 2.0);
        assert_eq!(metric(&sidecar, "outrigger_policy_generation", &[("state", "applied")]).await, 1.0);
        // The old limits hold, and what was is good again once it is written again.
        assert_eq!([get(&sidecar, "/16k").await.status, get(&sidecar, "/16k").await.status], [200, 429]);
        write(&sidecar.policy(), &limited(app.address(), 1));
        let shown = policy_until(&sidecar, "no rejection", |policy| policy["rejected"].is_null()).await;
        assert_eq!(shown["generation"], 1);
        assert_eq!(get(&sidecar, "/16k").await.status, 429);
    });
}

#[test]
fn a_file_that_goes_away_or_cannot_be_read_changes_nothing() {
    run(async {
        let app = app();
        let sidecar = Sidecar::start(limited(app.address(), 1)).await;
        std::fs::remove_file(sidecar.policy()).unwrap();
        let shown = policy_until(&sidecar, "a rejection", |policy| !policy["rejected"].is_null()).await;
        assert_eq!(shown["generation"], 1);
        assert_eq!(get(&sidecar, "/").await.status, 200);
        for hostile in [&b""[..], b"\0\0\0", b"\xff\xfe", b"[[[[[[[[[[[[", b"null"] {
            std::fs::write(sidecar.policy(), hostile).unwrap();
            sleep(Duration::from_millis(20)).await;
        }
        write(&sidecar.policy(), &limited(app.address(), 5));
        generation(&sidecar, 2).await;
        assert_eq!(get(&sidecar, "/").await.status, 200);
    });
}

#[test]
fn what_is_left_of_a_quota_survives_changes_of_the_policy_and_of_the_quota() {
    run(async {
        let app = app();
        let sidecar = Sidecar::start(limited(app.address(), 10)).await;
        let mut raw = Raw::connect(sidecar.inbound).await;
        for _ in 0..7 {
            assert_eq!(raw.get("/16k").await.status, 200);
        }
        // Three are left: min(left, new burst), whatever comes.
        for (at, burst) in [(2, 100), (3, 3), (4, 1_000)] {
            write(&sidecar.policy(), &limited(app.address(), burst));
            generation(&sidecar, at).await;
        }
        for _ in 0..3 {
            assert_eq!(raw.get("/16k").await.status, 200);
        }
        assert_eq!(raw.get("/16k").await.status, 429, "a reload refilled the bucket");
        // And no lock-up: a quick rate grants again at once.
        let quick = limited(app.address(), 5).replace("5/h", "50/s");
        write(&sidecar.policy(), &quick);
        generation(&sidecar, 5).await;
        eventually("a token", async || (raw.get("/16k").await.status == 200).then_some(())).await;
        let admitted =
            metric(&sidecar, "outrigger_decisions_total", &[("name", "few"), ("action", "admitted")]).await;
        assert!(admitted >= 11.0, "{admitted}");
    });
}

fn with_dependency(app: SocketAddr, name: &str, port: u16) -> String {
    format!(
        "version: 1\ninbound: {{ app: \"http://{app}\" }}\ndependencies:\n  {name}:\n    listen: 127.0.0.1:{port}\n    \
         endpoints: [{{ address: \"{app}\" }}]\n"
    )
}

fn without(app: SocketAddr) -> String {
    format!("version: 1\ninbound: {{ app: \"http://{app}\" }}\n")
}

#[test]
fn opens_and_closes_the_port_of_a_dependency() {
    run(async {
        let app = app();
        let sidecar = Sidecar::start(without(app.address())).await;
        let port = listen_port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        for round in 0..2 {
            write(&sidecar.policy(), &with_dependency(app.address(), "dep", port));
            generation(&sidecar, 2 + round * 2).await;
            let mut raw = Raw::connect(address).await;
            assert_eq!(raw.get("/").await.status, 200);
            write(&sidecar.policy(), &without(app.address()));
            generation(&sidecar, 3 + round * 2).await;
            eventually("the port is closed", async || {
                tokio::net::TcpStream::connect(address).await.is_err().then_some(())
            })
            .await;
            // A connection that is still there belongs to nobody.
            assert_eq!(raw.get("/").await.status, 404);
        }
    });
}

#[test]
fn a_port_that_is_taken_refuses_the_policy_whole() {
    run(async {
        let app = app();
        let sidecar = Sidecar::start(without(app.address())).await;
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = taken.local_addr().unwrap().port();
        write(&sidecar.policy(), &with_dependency(app.address(), "dep", port));
        let shown = policy_until(&sidecar, "a rejection", |policy| !policy["rejected"].is_null()).await;
        let problem = &shown["rejected"]["problems"][0];
        assert_eq!((shown["generation"].as_u64(), problem["line"].as_u64()), (Some(1), Some(5)), "{shown}");
        assert!(problem["message"].as_str().unwrap().contains("cannot listen"), "{shown}");
        let dependencies = sidecar.admin_get("/dependencies").await.unwrap().json();
        assert_eq!(dependencies["dependencies"].as_array().unwrap().len(), 0);
        // Once it is free, a look is enough.
        drop(taken);
        sidecar.signal("HUP");
        generation(&sidecar, 2).await;
    });
}

#[test]
fn a_dependency_may_be_renamed_while_its_port_is_in_use() {
    run(async {
        let app = app();
        let port = listen_port();
        let sidecar = Sidecar::start(with_dependency(app.address(), "before", port)).await;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut raw = Raw::connect(address).await;
        assert_eq!(raw.get("/").await.status, 200);
        write(&sidecar.policy(), &with_dependency(app.address(), "after", port));
        generation(&sidecar, 2).await;
        assert_eq!(raw.get("/").await.status, 200, "on the old connection");
        assert_eq!(Raw::connect(address).await.get("/").await.status, 200, "on a new one");
        assert_eq!(metric(&sidecar, "outrigger_requests_total", &[("dependency", "after")]).await, 2.0);
        assert_eq!(metric(&sidecar, "outrigger_requests_total", &[("dependency", "before")]).await, 1.0);
    });
}

#[test]
fn requests_in_flight_finish_under_the_policy_they_began_with() {
    run(async {
        let app = app();
        let sidecar = Sidecar::start(with_dependency(app.address(), "dep", listen_port())).await;
        let mut raw = Raw::connect(sidecar.inbound).await;
        raw.send("GET /slow-body?chunks=20&gap=50 HTTP/1.1\r\nhost: a\r\n\r\n").await;
        raw.head().await.unwrap();
        let nowhere = "version: 1\ninbound: { app: \"http://127.0.0.1:1\", defaults: { timeouts: { total: 100ms } } }\n";
        write(&sidecar.policy(), nowhere);
        generation(&sidecar, 2).await;
        raw.buffer.clear();
        let rest = eventually("the last chunk", async || {
            raw.more().await.expect("the answer was cut");
            raw.buffer.ends_with(b"0\r\n\r\n").then_some(())
        });
        rest.await;
        assert_eq!(get(&sidecar, "/").await.status, 502);
    });
}

#[test]
fn nobody_notices_changes_under_load() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let options = reloads::Options {
        outrigger: env!("CARGO_BIN_EXE_outrigger").into(),
        count: 50,
        clients: 4,
        max_p99_ratio: None,
    };
    // The drill looks for free ports and another test may take one before it starts.
    let mut tries = (0..3).map(|_| runtime.block_on(reloads::run(&options, dir.path())));
    let told = |tried: anyhow::Result<_>| tried.inspect_err(|error| eprintln!("{error:#}")).ok();
    let report = tries.find_map(told).expect("a drill that started");
    assert_eq!((report.failures, report.applied, report.rejected), (0, 45, 5), "{report}");
    assert!(report.requests > 1_000, "{report}");
}
