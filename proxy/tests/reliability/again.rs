//! Ending a sidecar and starting its program again in the same directory.

use std::fs::File;
use std::process::{Command, ExitStatus, Stdio};

use super::support::run::eventually;
use super::support::sidecar::Sidecar;

/// Waits until the program has ended by itself.
pub(crate) async fn ended(sidecar: &mut Sidecar) -> ExitStatus {
    eventually("the program ends", async || sidecar.child.try_wait().unwrap()).await
}

/// Kills the program as a crash would.
pub(crate) fn crash(sidecar: &mut Sidecar) {
    sidecar.child.kill().unwrap();
    sidecar.child.wait().unwrap();
}

/// Asks the program to end, which it must do well.
pub(crate) async fn stop(sidecar: &mut Sidecar) {
    sidecar.signal("TERM");
    let status = ended(sidecar).await;
    assert_eq!(status.code(), Some(0), "{}", sidecar.log());
}

/// Starts the program again, with the same files and more arguments.
pub(crate) fn launch(sidecar: &mut Sidecar, args: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outrigger"));
    command.args(["proxy", "--config", "sidecar.yaml"]).args(args).current_dir(sidecar.dir());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(File::create(sidecar.dir().join("stderr.log")).unwrap());
    sidecar.child = command.spawn().unwrap();
}

/// The same, and waits until it is ready.
pub(crate) async fn start(sidecar: &mut Sidecar, args: &[&str]) {
    launch(sidecar, args);
    eventually("ready again", async || {
        if let Some(status) = sidecar.child.try_wait().unwrap() {
            panic!("ended with {status}:\n{}", sidecar.log());
        }
        let answer = sidecar.admin_get("/readyz").await?;
        (answer.status == 200).then_some(())
    })
    .await;
}
