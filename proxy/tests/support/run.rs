//! Running a test with an end, and waiting for something to become true.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// No test may take longer.
const WHOLE: Duration = Duration::from_secs(20);
/// Nothing that a test waits for may take longer.
const PART: Duration = Duration::from_secs(8);

/// Runs a test on a runtime of its own; it fails if it has not ended after 20 seconds.
pub(crate) fn run<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(WHOLE, test).await.expect("the test took longer than 20 s") });
    runtime.shutdown_timeout(Duration::ZERO);
}

/// Asks until there is something to return.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PART;
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// The same for a condition.
pub(crate) async fn becomes_true(what: &str, mut holds: impl FnMut() -> bool) {
    eventually(what, async || holds().then_some(())).await;
}

/// `future`, which must not take longer than a part of a test may.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PART, future).await.unwrap_or_else(|_| panic!("took too long: {what}"))
}
