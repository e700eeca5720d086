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
    if before.as_ref() == Some(&print) {
        return;
    }
    match reload() {
        // They may have changed after they were read and before this first look.
        Ok(()) if before.is_none() => {}
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn files_are_read_at_the_first_look_and_whenever_they_are_others() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("cert.pem");
        let (mut seen, mut reads) = (HashMap::new(), 0);
        let mut look = |contents: &str| {
            std::fs::write(&file, contents).unwrap();
            check(&mut seen, "a", &[&file], || {
                reads += 1;
                Ok(())
            });
            reads
        };
        // What was read before the first look may have been something else.
        assert_eq!([look("one"), look("one"), look("two"), look("two")], [1, 1, 2, 2]);
    }
}
