//! Copies of policies that survive the process: the candidate and the last good one.
//!
//! Each is one file, written aside, synced and renamed into place: a line with the SHA-256 of the rest, then
//! JSON. A file that is torn, edited or not ours is as good as absent. A policy is a *candidate* from the moment
//! it is applied and *last good* once it has served through its probation.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use outrigger_config::{Policy, Source};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Which copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copy {
    Candidate,
    LastGood,
}

/// The directory of the copies.
#[derive(Clone, Debug)]
pub(crate) struct StateDir(PathBuf);

/// A copy, read back.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) sources: Vec<Source>,
    pub(crate) generation: u64,
    /// The process was alive some time after applying it.
    pub(crate) survived: bool,
}

impl StateDir {
    pub(crate) fn new(state_dir: &Path) -> Self {
        Self(state_dir.join("policy"))
    }

    /// Writes a copy of `policy`.
    ///
    /// # Errors
    /// The directory cannot be written; what was there before is still there.
    pub(crate) fn keep(
        &self,
        copy: Copy,
        policy: &Policy,
        generation: u64,
        survived: bool,
    ) -> std::io::Result<()> {
        let sources: Vec<Value> = policy.sources.iter().map(written).collect();
        let body = json!({ "generation": generation, "hash": policy.hash, "survived": survived, "sources": sources });
        self.write(copy, body.to_string().as_bytes())
    }

    /// Notes in a copy that the process lived on with it.
    ///
    /// # Errors
    /// As [`StateDir::keep`].
    pub(crate) fn survived(&self, copy: Copy) -> std::io::Result<()> {
        let Some(mut body) = self.body(copy) else { return Ok(()) };
        let Some(survived) = body.get_mut("survived") else { return Ok(()) };
        if *survived == Value::Bool(true) {
            return Ok(());
        }
        *survived = Value::Bool(true);
        self.write(copy, body.to_string().as_bytes())
    }

    /// Reads a copy back, if there is one and it is whole.
    pub(crate) fn read(&self, copy: Copy) -> Option<Kept> {
        let body = self.body(copy)?;
        let sources = body.get("sources")?.as_array()?.iter().map(read_source).collect::<Option<Vec<_>>>()?;
        let generation = body.get("generation")?.as_u64()?;
        let survived = body.get("survived")?.as_bool()?;
        Some(Kept { sources, generation, survived })
    }

    fn body(&self, copy: Copy) -> Option<Value> {
        let text = std::fs::read_to_string(self.path(copy)).ok()?;
        let (sum, body) = text.split_once('\n')?;
        if sum != checksum(body.as_bytes()) {
            return None;
        }
        serde_json::from_str(body).ok()
    }

    fn path(&self, copy: Copy) -> PathBuf {
        self.0.join(match copy {
            Copy::Candidate => "candidate.json",
            Copy::LastGood => "last_good.json",
        })
    }

    fn write(&self, copy: Copy, body: &[u8]) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.0)?;
        let path = self.path(copy);
        let aside = path.with_extension("new");
        let mut file = std::fs::File::create(&aside)?;
        file.write_all(checksum(body).as_bytes())?;
        file.write_all(b"\n")?;
        file.write_all(body)?;
        file.sync_all()?;
        std::fs::rename(&aside, &path)?;
        std::fs::File::open(&self.0)?.sync_all()
    }
}

fn written(source: &Source) -> Value {
    json!({ "name": source.name, "text": source.text, "dir": source.dir })
}

fn read_source(value: &Value) -> Option<Source> {
    let text = |key: &str| Some(value.get(key)?.as_str()?.to_owned());
    Some(Source { name: text("name")?, text: text("text")?, dir: PathBuf::from(text("dir")?) })
}

fn checksum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        outrigger_config::builtin(Some("http://127.0.0.1:8080")).unwrap()
    }

    #[test]
    fn reads_back_what_it_kept() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::new(dir.path());
        state.keep(Copy::LastGood, &policy(), 7, true).unwrap();
        let kept = state.read(Copy::LastGood).unwrap();
        assert_eq!((kept.generation, kept.survived), (7, true));
        assert_eq!(outrigger_config::parse(kept.sources).unwrap().hash, policy().hash);
        assert!(state.read(Copy::Candidate).is_none());
    }

    #[test]
    fn remembers_that_the_process_lived_on() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::new(dir.path());
        state.survived(Copy::Candidate).unwrap();
        state.keep(Copy::Candidate, &policy(), 3, false).unwrap();
        assert!(!state.read(Copy::Candidate).unwrap().survived);
        state.survived(Copy::Candidate).unwrap();
        let kept = state.read(Copy::Candidate).unwrap();
        assert_eq!((kept.generation, kept.survived), (3, true));
    }

    #[test]
    fn a_torn_or_edited_copy_is_no_copy() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::new(dir.path());
        state.keep(Copy::LastGood, &policy(), 7, true).unwrap();
        let path = state.path(Copy::LastGood);
        let whole = std::fs::read(&path).unwrap();
        for end in 0..whole.len() {
            std::fs::write(&path, &whole[..end]).unwrap();
            assert!(state.read(Copy::LastGood).is_none(), "cut at {end}");
        }
        std::fs::write(&path, String::from_utf8(whole).unwrap().replace("8080", "9090")).unwrap();
        assert!(state.read(Copy::LastGood).is_none());
    }
}
