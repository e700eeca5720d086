//! Closed loops of requests that check every answer.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::bail;
use hyper::StatusCode;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::stats::Latencies;

/// Pause of each loop after each answer: load, not overload, which would hide what a reload costs.
const PAUSE: Duration = Duration::from_millis(1);
/// Failures kept in words; a client that cannot connect would make millions.
const KEPT: usize = 1000;

/// What the loops saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) requests: u64,
    pub(crate) latencies: Latencies,
    pub(crate) failures: Vec<String>,
}

/// Running loops; dropping them stops them.
#[derive(Debug)]
pub(crate) struct Clients {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    loops: JoinSet<()>,
}

impl Clients {
    pub(crate) fn start(address: SocketAddr, count: u32) -> Self {
        let (seen, stop) = (Arc::<Mutex<Seen>>::default(), Arc::new(AtomicBool::new(false)));
        let mut loops = JoinSet::new();
        for _ in 0..count {
            loops.spawn(run(address, Arc::clone(&seen), Arc::clone(&stop)));
        }
        Self { seen, stop, loops }
    }

    /// What was seen since the last time.
    pub(crate) fn take(&self) -> Seen {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets every loop finish its exchange.
    pub(crate) async fn stop(mut self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        while self.loops.join_next().await.is_some() {}
        self.take()
    }
}

async fn run(address: SocketAddr, seen: Arc<Mutex<Seen>>, stop: Arc<AtomicBool>) {
    let mut client = None;
    while !stop.load(Ordering::Relaxed) {
        let begin = Instant::now();
        let asked = ask(&mut client, address).await;
        let micros = u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX);
        {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            match asked {
                Ok(()) => {
                    seen.requests += 1;
                    seen.latencies.record(micros);
                }
                Err(error) if seen.failures.len() < KEPT => seen.failures.push(format!("{error:#}")),
                Err(_) => {}
            }
        }
        sleep(PAUSE).await;
    }
}

/// One request on the kept connection; a failure of any kind drops it.
async fn ask(kept: &mut Option<Client>, address: SocketAddr) -> anyhow::Result<()> {
    let mut client = match kept.take() {
        Some(client) => client,
        None => Client::connect(address).await?,
    };
    let (status, body) = client.get("/").await?;
    if status != StatusCode::OK {
        bail!("a request was answered {status}: {}", String::from_utf8_lossy(&body));
    }
    if body.len() != 128 || body.iter().any(|byte| *byte != b'x') {
        bail!("a body came back changed, {} bytes", body.len());
    }
    *kept = Some(client);
    Ok(())
}
