//! What the sidecar says of its policy and its counters.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::change::Change;
use crate::client;
use crate::metrics::{Series, counters, gone_back, sum};

/// How long a change may take to show; the debounce is a second at most.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);

/// Questions to the admin listener, and the answers so far.
#[derive(Debug)]
pub(crate) struct Watch {
    admin: SocketAddr,
    generation: u64,
    counters: Series,
}

impl Watch {
    pub(crate) async fn new(admin: SocketAddr) -> anyhow::Result<Self> {
        let mut watch = Self { admin, generation: 0, counters: Series::new() };
        watch.generation = generation(&watch.policy().await?)?;
        watch.counters = watch.scrape().await?;
        Ok(watch)
    }

    /// Waits until a change shows, and checks that it shows as it must.
    pub(crate) async fn effect(&mut self, change: &Change) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let policy = self.policy().await?;
            let shows = match change.bad_line {
                Some(line) => self.is_rejected(&policy, line)?,
                None => self.is_applied(&policy, change)?,
            };
            if shows {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!(
                    "no sign of it in /policy after {PATIENCE:?}: rejected is {}",
                    field(&policy, "rejected")
                );
            }
            sleep(POLL).await;
        }
    }

    /// Counters that went back since the last time.
    pub(crate) async fn counters(&mut self) -> anyhow::Result<Vec<String>> {
        let now = self.scrape().await?;
        let gone_back = gone_back(&self.counters, &now);
        self.counters = now;
        Ok(gone_back)
    }

    /// Inbound requests as the sidecar counts them, after a moment for the last record to land.
    pub(crate) async fn requests(&self) -> anyhow::Result<u64> {
        sleep(Duration::from_millis(200)).await;
        let total = sum(&self.scrape().await?, "outrigger_requests_total", "direction=\"inbound\"");
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        Ok(total as u64)
    }

    fn is_applied(&mut self, policy: &Value, change: &Change) -> anyhow::Result<bool> {
        let shows = field(policy, "document").to_string().contains(&change.marker());
        if shows {
            let generation = generation(policy)?;
            if generation <= self.generation {
                bail!("it is in force, but the generation stayed at {generation}");
            }
            self.generation = generation;
        }
        Ok(shows)
    }

    fn is_rejected(&self, policy: &Value, line: u64) -> anyhow::Result<bool> {
        let generation = generation(policy)?;
        if generation != self.generation {
            bail!("a bad policy made generation {generation}");
        }
        let problems = policy.pointer("/rejected/problems").and_then(Value::as_array);
        let named = |problem: &Value| {
            problem.get("line").and_then(Value::as_u64) == Some(line)
                && problem.get("column").and_then(Value::as_u64).is_some_and(|column| column > 0)
        };
        Ok(problems.is_some_and(|problems| problems.iter().any(named)))
    }

    async fn policy(&self) -> anyhow::Result<Value> {
        let body = client::get(self.admin, "/policy").await?;
        serde_json::from_slice(&body).context("/policy is not JSON")
    }

    async fn scrape(&self) -> anyhow::Result<Series> {
        let body = client::get(self.admin, "/metrics").await?;
        Ok(counters(std::str::from_utf8(&body).context("/metrics is not text")?))
    }
}

fn generation(policy: &Value) -> anyhow::Result<u64> {
    field(policy, "generation").as_u64().context("/policy has no generation")
}

fn field<'a>(policy: &'a Value, name: &str) -> &'a Value {
    policy.get(name).unwrap_or(&Value::Null)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn watch() -> Watch {
        Watch { admin: SocketAddr::from(([127, 0, 0, 1], 1)), generation: 7, counters: Series::new() }
    }

    fn change(number: u32) -> Change {
        Change::new(number, SocketAddr::from(([127, 0, 0, 1], 8080)))
    }

    #[test]
    fn a_good_change_needs_its_numbers_and_a_new_generation() {
        let document = json!({ "inbound": { "rate": format!("{}/s", change(3).marker()) } });
        let shows = json!({ "generation": 8, "document": document });
        assert!(watch().is_applied(&shows, &change(3)).unwrap());
        assert!(!watch().is_applied(&shows, &change(4)).unwrap());
        let stale = json!({ "generation": 7, "document": document });
        assert!(watch().is_applied(&stale, &change(3)).is_err());
    }

    #[test]
    fn a_bad_change_needs_its_line_and_the_old_generation() {
        let policy = json!({ "generation": 7, "rejected": { "problems": [{ "line": 12, "column": 3 }] } });
        assert!(watch().is_rejected(&policy, 12).unwrap());
        assert!(!watch().is_rejected(&policy, 13).unwrap());
        assert!(!watch().is_rejected(&json!({ "generation": 7, "rejected": null }), 12).unwrap());
        assert!(watch().is_rejected(&json!({ "generation": 8 }), 12).is_err());
    }
}
