//! The drills against the sidecar built beside this test, with small counts; the programs take the large ones.
//!
//! `cargo test --workspace` builds the sidecar; where it is absent these tests say so and are skipped.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::path::PathBuf;
use std::process::Command;

use outrigger_load_tests::drills::{self, Drill};
use outrigger_load_tests::{idle, reloads};

/// The sidecar of this build: two directories above a test's own.
fn outrigger() -> Option<PathBuf> {
    let exe = std::env::current_exe().unwrap();
    let program = exe.ancestors().nth(2).unwrap().join("outrigger");
    let output = Command::new(&program).arg("--version").output().ok();
    let there = output.is_some_and(|output| output.stdout.starts_with(b"outrigger"));
    if !there {
        eprintln!("skipped: no sidecar at {}; run `cargo test --workspace`", program.display());
    }
    there.then_some(program)
}

fn run<T>(drill: impl Future<Output = anyhow::Result<T>>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(drill).unwrap()
}

#[test]
fn reloads_under_load_fail_no_request_and_name_every_mistake() {
    let Some(outrigger) = outrigger() else { return };
    let dir = tempfile::tempdir().unwrap();
    let options = reloads::Options { outrigger, count: 20, clients: 4, max_p99_ratio: None };
    let report = run(reloads::run(&options, dir.path()));
    assert_eq!(report.failures, 0, "{report}");
    assert_eq!((report.applied, report.rejected), (18, 2));
}

#[test]
fn idle_connections_stay_open_and_cost_no_buffers() {
    let Some(outrigger) = outrigger() else { return };
    let dir = tempfile::tempdir().unwrap();
    let report = run(idle::run(&idle::Options { outrigger, connections: 500 }, dir.path()));
    // This build is not optimised; `idle` holds the program that people get to the real bounds.
    assert!(report.idle_kib > 0 && report.connection_kib() < 64.0, "{report}");
}

#[test]
fn retries_keep_to_their_budget_and_writes_arrive_once_in_a_storm() {
    let Some(outrigger) = outrigger() else { return };
    let dir = tempfile::tempdir().unwrap();
    let options = drills::Options { outrigger, drills: vec![Drill::Storm], seconds: 3, rounds: 2 };
    let report = run(drills::run(&options, dir.path()));
    assert_eq!(report.failures(), 0, "{report}");
}
