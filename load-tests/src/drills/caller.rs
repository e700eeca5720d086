//! A caller with a pool of kept-alive connections to the sidecar's outbound listener.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::bail;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HOST;
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Calls at once of one caller; more would measure the machine.
const MOST: usize = 4096;
/// How long a caller waits unless it is told to be patient.
const PATIENCE: Duration = Duration::from_secs(3);

/// What to ask for.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    /// The dependency, as the policy knows it.
    pub(crate) host: &'static str,
    pub(crate) path: String,
}

impl Ask {
    pub(crate) fn get(host: &'static str, path: &str) -> Self {
        Self { method: Method::GET, host, path: path.to_owned() }
    }

    pub(crate) fn post(host: &'static str, path: String) -> Self {
        Self { method: Method::POST, host, path }
    }
}

/// An answer read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// Which of the sidecar's stages answered; absent: the upstream did.
    pub(crate) stage: Option<String>,
}

/// Connections to one listener.
#[derive(Debug)]
pub(crate) struct Caller {
    address: SocketAddr,
    /// Whether each call has a connection of its own.
    fresh: bool,
    patience: Duration,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
    room: Semaphore,
}

impl Caller {
    /// Keeps connections from call to call.
    pub(crate) fn kept(address: SocketAddr) -> Self {
        let (idle, room) = (Mutex::default(), Semaphore::new(MOST));
        Self { address, fresh: false, patience: PATIENCE, idle, room }
    }

    /// Opens a connection for every call.
    pub(crate) fn fresh(address: SocketAddr) -> Self {
        Self { fresh: true, ..Self::kept(address) }
    }

    /// Waits so long for each answer.
    pub(crate) fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// One call. An error is a connection that broke, a body that broke off or came late, or too many calls at once.
    pub(crate) async fn call(&self, ask: &Ask) -> anyhow::Result<Answer> {
        let Ok(_room) = self.room.try_acquire() else { bail!("more than {MOST} calls at once") };
        match timeout(self.patience, self.exchange(ask)).await {
            Ok(answer) => answer,
            Err(_) => bail!("no whole answer within {:?}", self.patience),
        }
    }

    async fn exchange(&self, ask: &Ask) -> anyhow::Result<Answer> {
        let mut sender = match self.take() {
            Some(sender) => sender,
            None => self.open().await?,
        };
        let request = Request::builder().method(&ask.method).uri(&ask.path).header(HOST, ask.host);
        let response = sender.send_request(request.body(Full::default())?).await?;
        let answer = Answer { status: response.status(), stage: stage(response.headers()) };
        response.into_body().collect().await?;
        if !self.fresh {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        }
        Ok(answer)
    }

    /// A connection that can be used at once; those the sidecar has closed are let go.
    fn take(&self) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(sender) = idle.pop() {
            if sender.is_ready() {
                return Some(sender);
            }
        }
        None
    }

    async fn open(&self) -> anyhow::Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Its error is the sender's too.
        tokio::spawn(connection);
        Ok(sender)
    }
}

/// The stage in the details of our own `Proxy-Status`: `outrigger;error=…;details="stage:name:reason"`.
fn stage(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("proxy-status")?.to_str().ok()?;
    let details = value.strip_prefix("outrigger;")?.split_once("details=\"")?.1;
    Some(details.split(':').next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn tells_whose_answer_it_is_by_proxy_status() {
        let mut headers = HeaderMap::new();
        assert_eq!(stage(&headers), None);
        let ours = "outrigger;error=destination_unavailable;details=\"circuit_breaker:inventory:slow\"";
        headers.insert("proxy-status", HeaderValue::from_static(ours));
        assert_eq!(stage(&headers).as_deref(), Some("circuit_breaker"));
        headers.insert("proxy-status", HeaderValue::from_static("other;details=\"a:b:c\""));
        assert_eq!(stage(&headers), None);
    }
}
