//! Where the demo's programs and files are, and how the programs get there.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// Directories and programs of a demo.
#[derive(Debug)]
pub(crate) struct Places {
    /// Cargo's target directory.
    target: PathBuf,
    /// The demo's own directory.
    pub(crate) dir: PathBuf,
    /// The sidecar's program.
    pub(crate) outrigger: PathBuf,
    control: PathBuf,
}

impl Places {
    /// From where this program lies: `TARGET/PROFILE/demo`.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let exe = std::env::current_exe()?;
        let target = exe.ancestors().nth(2).context("run this with `cargo demo`")?.to_path_buf();
        let dir = target.join("demo");
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let [outrigger, control] =
            ["outrigger", "outrigger-control"].map(|name| target.join("quick").join(name));
        Ok(Self { target, dir, outrigger, control })
    }

    /// Builds the sidecar and control; cargo shows its progress.
    pub(crate) fn build(&self) -> anyhow::Result<()> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("Cargo.toml");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .args(["build", "--profile", "quick", "-p", "outrigger-proxy", "-p", "outrigger-control"])
            .arg("--manifest-path")
            .arg(manifest)
            .arg("--target-dir")
            .arg(&self.target)
            .status()
            .context("cannot run cargo")?;
        if !status.success() {
            bail!("the build failed; see above");
        }
        if !self.outrigger.is_file() {
            bail!("the build made no {}", self.outrigger.display());
        }
        Ok(())
    }

    /// Writes a file of the demo, keeping one that was edited beside it.
    pub(crate) fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let file = self.dir.join(name);
        if std::fs::read_to_string(&file).is_ok_and(|old| old != text) {
            std::fs::rename(&file, self.dir.join(format!("{name}.previous")))?;
        }
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    }

    /// What control says of itself in this version, on one line.
    pub(crate) fn control_says(&self) -> String {
        let said =
            Command::new(&self.control).output().ok().map(|output| [output.stdout, output.stderr].concat());
        let said = String::from_utf8_lossy(&said.unwrap_or_default()).into_owned();
        let line = said.lines().map(str::trim).find(|line| !line.is_empty());
        line.unwrap_or("outrigger-control is not in this version").to_owned()
    }
}
