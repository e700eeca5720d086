//! When to look at the policy again.
//!
//! Editors rename a new file over the old one, Kubernetes swaps a symlink two directories up, NFS says nothing
//! at all. So the directory of the file, and of whatever it really is, are watched, any event counts, and what is
//! there is compared every two seconds besides. The look itself comes after 200 ms of quiet, or one second.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::telemetry::log;

const QUIET: Duration = Duration::from_millis(200);
const AT_MOST: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_secs(2);

/// Tells when a file or directory may have changed.
pub(crate) struct Watch {
    path: PathBuf,
    events: mpsc::Receiver<()>,
    /// None where the system has no notification; polling goes on.
    watcher: Option<RecommendedWatcher>,
    watched: Vec<PathBuf>,
    seen: Vec<Print>,
}

/// What changes when a file does.
#[derive(Debug, PartialEq, Eq)]
struct Print {
    path: PathBuf,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Watch {
    pub(crate) fn new(path: &Path) -> Self {
        let (sender, events) = mpsc::channel(1);
        // A full channel already says that something happened.
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                let _ = sender.try_send(());
            }
        });
        let watcher = watcher.inspect_err(|error| {
            log::warn("no file notification; polling every two seconds", &[("error", error)]);
        });
        let mut watch = Self {
            path: path.to_owned(),
            events,
            watcher: watcher.ok(),
            watched: Vec::new(),
            seen: Vec::new(),
        };
        watch.follow();
        watch.seen = prints(&watch.path);
        watch
    }

    /// Returns when the policy may have changed and has been left alone for a moment.
    pub(crate) async fn changed(&mut self) {
        loop {
            let event = tokio::time::timeout(POLL, self.events.recv()).await;
            // Without notification the channel is closed: it must not be asked in a busy loop.
            if matches!(event, Ok(None)) {
                tokio::time::sleep(POLL).await;
            }
            let now = prints(&self.path);
            if now != self.seen {
                self.settle().await;
                self.follow();
                self.seen = prints(&self.path);
                return;
            }
        }
    }

    async fn settle(&mut self) {
        let deadline = tokio::time::Instant::now() + AT_MOST;
        let mut before = prints(&self.path);
        loop {
            while self.events.try_recv().is_ok() {}
            let quiet = tokio::time::timeout(QUIET, self.events.recv()).await;
            if matches!(quiet, Ok(None)) {
                tokio::time::sleep(QUIET).await;
            }
            let now = prints(&self.path);
            let still = now == before && !matches!(quiet, Ok(Some(())));
            if still || tokio::time::Instant::now() >= deadline {
                return;
            }
            before = now;
        }
    }

    /// Watches the directories the policy is in now.
    fn follow(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        let mut wanted = vec![directory(&self.path)];
        if let Ok(real) = self.path.canonicalize() {
            wanted.push(directory(&real));
        }
        wanted.dedup();
        for gone in self.watched.iter().filter(|watched| !wanted.contains(watched)) {
            let _ = watcher.unwatch(gone);
        }
        for new in wanted.iter().filter(|wanted| !self.watched.contains(wanted)) {
            if let Err(error) = watcher.watch(new, RecursiveMode::NonRecursive) {
                log::debug("cannot watch", &[("path", &new.display()), ("error", &error)]);
            }
        }
        self.watched = wanted;
    }
}

/// The directory whose entries change when `path` does.
fn directory(path: &Path) -> PathBuf {
    if path.is_dir() {
        return path.to_owned();
    }
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// The file, or every document of the directory.
fn prints(path: &Path) -> Vec<Print> {
    let mut files = vec![path.to_owned()];
    if let Ok(entries) = path.read_dir() {
        files.extend(entries.flatten().map(|entry| entry.path()).filter(|path| is_document(path)));
    }
    files.sort();
    files.into_iter().filter_map(|path| path.metadata().ok().map(|meta| print(path, &meta))).collect()
}

fn is_document(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

fn print(path: PathBuf, meta: &Metadata) -> Print {
    Print { path, inode: meta.ino(), size: meta.size(), modified: (meta.mtime(), meta.mtime_nsec()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a change is noticed in time.
    fn notices(path: &Path, change: impl FnOnce()) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut watch = Watch::new(path);
            change();
            tokio::time::timeout(Duration::from_secs(6), watch.changed()).await.is_ok()
        })
    }

    #[test]
    fn notices_a_write_in_place() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("policy.yaml");
        std::fs::write(&file, "version: 1").unwrap();
        assert!(notices(&file, || std::fs::write(&file, "version: 1\n").unwrap()));
    }

    #[test]
    fn notices_a_rename_over_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let (file, new) = (dir.path().join("policy.yaml"), dir.path().join(".policy.yaml.swp"));
        std::fs::write(&file, "a").unwrap();
        assert!(notices(&file, || {
            std::fs::write(&new, "b").unwrap();
            std::fs::rename(&new, &file).unwrap();
        }));
    }

    #[test]
    fn notices_the_symlink_swap_of_a_config_map() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for (version, text) in [("v1", "a"), ("v2", "b")] {
            std::fs::create_dir(root.join(version)).unwrap();
            std::fs::write(root.join(version).join("policy.yaml"), text).unwrap();
        }
        std::os::unix::fs::symlink("v1", root.join("..data")).unwrap();
        std::os::unix::fs::symlink("..data/policy.yaml", root.join("policy.yaml")).unwrap();
        assert!(notices(&root.join("policy.yaml"), || {
            std::os::unix::fs::symlink("v2", root.join("..new")).unwrap();
            std::fs::rename(root.join("..new"), root.join("..data")).unwrap();
        }));
    }

    #[test]
    fn notices_a_new_file_in_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.yaml"), "a").unwrap();
        assert!(notices(dir.path(), || std::fs::write(dir.path().join("b.yaml"), "b").unwrap()));
    }
}
