//! The operator's wish to stop.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Runs `work` until it is done, or until Ctrl-C or SIGTERM; then it is dropped, and `None` returned.
///
/// # Errors
/// When signals cannot be had from the system.
pub async fn until_told<T>(work: impl Future<Output = T>) -> io::Result<Option<T>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(tokio::select! {
        done = work => Some(done),
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
    })
}
