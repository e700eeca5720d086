//! Certificate files, taken anew when they change.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::server::tls::ServerTls;
use crate::telemetry::log;
use crate::worker::Shared;

/// How soon a new certificate is in use.
const EVERY: Duration = Duration::from_secs(2);

/// Compares the files every two seconds, for good. Contents, not times: what matters is whether they are other
/// certificates, however they came there.
pub(super) async fn follow(shared: Arc<Shared>, inbound: Option<Arc<ServerTls>>) {
    let mut seen = std::collections::HashMap::<String, Vec<u8>>::new();
    loop {
        if let Some(tls) = &inbound {
            if let Some(expires) = tls.expires() {
                shared.resources.telemetry.process().tls_expiry.set("inbound", expires);
            }
            check(&mut seen, "inbound", &tls.files(), || tls.reload());
        }
        for cluster in shared.resources.clusters.all() {
            if let Some(tls) = &cluster.tls {
                check(&mut seen, &cluster.name, &tls.files(), || tls.reload());
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn check(
    seen: &mut std::collections::HashMap<String, Vec<u8>>,
    owner: &str,
    files: &[&Path],
    reload: impl FnOnce() -> Result<(), String>,
) {
    if files.is_empty() {
        return;
    }
    let print = fingerprint(files);
    let before = seen.insert(owner.to_owned(), print.clone());
    if before.is_none_or(|before| before == print) {
        return;
    }
    match reload() {
        Ok(()) => log::info("certificates reloaded", &[("owner", &owner)]),
        Err(error) => log::error(
            "new certificates cannot be used; the ones before are kept",
            &[("owner", &owner), ("error", &error)],
        ),
    }
}

fn fingerprint(files: &[&Path]) -> Vec<u8> {
    let mut digest = Sha256::new();
    for file in files {
        digest.update(std::fs::read(file).unwrap_or_default());
        digest.update([0]);
    }
    digest.finalize().to_vec()
}
