//! Files to policies.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::build;
use crate::codes;
use crate::decode::Context;
use crate::diagnostics::{Diagnostics, Problem, Problems};
use crate::document::Document;
use crate::index::Index;
use crate::node::{Node, Span};
use crate::plan::{Plan, Upstream};
use crate::{effective, merge, yaml};

/// Bytes of all files of a directory.
const MAX_TOTAL: usize = 16 << 20;

/// A text with its name, for messages, and the directory its relative paths begin at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// As the user knows it: `policy.yaml`.
    pub name: String,
    /// What it says.
    pub text: String,
    /// Where its relative paths begin.
    pub dir: PathBuf,
}

/// A policy that holds, and where it comes from.
#[derive(Clone, Debug)]
pub struct Policy {
    /// What it means.
    pub plan: Plan,
    /// The effective document: routes in order of precedence, everything inherited or left out written down.
    /// It is itself a policy, with the same plan.
    pub document: serde_json::Value,
    /// SHA-256 of the effective document with sorted keys, in hexadecimal. Comments and order of keys do
    /// not change it.
    pub hash: String,
    /// What is probably not meant.
    pub warnings: Diagnostics,
    /// The texts it was read from.
    pub sources: Vec<Source>,
}

impl Policy {
    /// The report of problems that only showed when the policy was to be put in force, such as a certificate
    /// that cannot be read: each with the keys that lead to its place and what is wrong.
    #[must_use]
    pub fn diagnose(&self, found: &[(Vec<String>, String)]) -> Diagnostics {
        let mut problems = Problems::default();
        if let Some(root) = tree(&self.sources, &mut Problems::default()) {
            let index = Index::new(&root);
            for (keys, message) in found {
                let spot = keys.iter().fold(index.root(), |spot, key| spot.key(key));
                problems
                    .push(Problem::new(codes::NOT_APPLICABLE, spot.span, message).path(index.path(spot.id)));
            }
        }
        problems.finish(&self.sources)
    }
}

/// Why there is no policy.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file or directory could not be read.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It was read, and is not a valid document.
    #[error("{0}")]
    Invalid(Diagnostics),
}

/// Reads a file, or all `*.yaml` and `*.yml` of a directory as one policy, in the order of their names:
/// dependencies are united, routes concatenated, everything else may be given once.
///
/// # Errors
/// If something cannot be read, or the policy does not hold; then with every problem.
pub fn load(path: &Path) -> Result<Policy, LoadError> {
    parse(sources(path)?).map_err(LoadError::Invalid)
}

/// Reads texts as one policy.
///
/// # Errors
/// If the policy does not hold; with every problem.
pub fn parse(sources: Vec<Source>) -> Result<Policy, Diagnostics> {
    let mut problems = Problems::default();
    let Some(root) = tree(&sources, &mut problems) else { return Err(problems.finish(&sources)) };
    let context = Context::new(&root, problems);
    let dirs: Vec<PathBuf> = sources.iter().map(|source| source.dir.clone()).collect();
    let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
    let document: Option<Document> = context.decode(&root);
    let plan = document.map(|document| build::plan(&context, &dirs, &names, &document));
    let problems = context.into_problems();
    let valid = !problems.has_errors();
    let diagnostics = problems.finish(&sources);
    match plan {
        Some(plan) if valid => {
            let document = effective::document(&plan);
            let hash = effective::hash(&document);
            Ok(Policy { plan, document, hash, warnings: diagnostics, sources })
        }
        _ => Err(diagnostics),
    }
}

/// The policy in force when there is no other: everything by default.
///
/// # Errors
/// If `app` is not an address an app can listen on.
pub fn builtin(app: Option<&str>) -> Result<Policy, Diagnostics> {
    // JSON is YAML, and quotes whatever the text holds.
    let text = match app {
        Some(app) => serde_json::json!({ "version": 1, "inbound": { "app": app } }).to_string(),
        None => "version: 1".to_owned(),
    };
    parse(vec![Source { name: "built-in".to_owned(), text, dir: PathBuf::new() }])
}

/// How to reach the app that `--app` names.
///
/// # Errors
/// If it is not an address an app can listen on.
pub fn app(text: &str) -> Result<Option<Upstream>, Diagnostics> {
    builtin(Some(text)).map(|policy| policy.plan.inbound.app)
}

/// The texts of a file or directory.
pub(crate) fn sources(path: &Path) -> Result<Vec<Source>, LoadError> {
    let unreadable = |error| LoadError::Unreadable { path: path.to_owned(), error };
    if !path.metadata().map_err(unreadable)?.is_dir() {
        return Ok(vec![source(path)?]);
    }
    let mut files = Vec::new();
    for entry in path.read_dir().map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if is_document(&file) {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        let message = "the directory holds no *.yaml or *.yml file";
        return Err(invalid(path, Problem::new(codes::NO_FILES, START, message)));
    }
    files.iter().map(|file| source(file)).collect()
}

/// One tree of all texts; `None` after a problem that leaves nothing to look at.
pub(crate) fn tree(sources: &[Source], problems: &mut Problems) -> Option<Node> {
    if sources.iter().map(|source| source.text.len()).sum::<usize>() > MAX_TOTAL {
        problems.push(Problem::new(codes::TOO_LARGE, START, "the files together have more than 16 MiB"));
        return None;
    }
    let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
    let mut trees = Vec::new();
    let mut first = 0;
    let mut whole = true;
    for (index, source) in sources.iter().enumerate() {
        let Ok(file) = u16::try_from(index) else {
            problems.push(Problem::new(codes::TOO_LARGE, START, "more than 65,535 files"));
            return None;
        };
        match yaml::read(file, first, &source.text, problems) {
            Some(tree) => trees.push(tree),
            None => whole = false,
        }
        first += yaml::MAX_NODES;
    }
    let tree = merge::merge(trees, &names, problems);
    tree.filter(|_| whole)
}

const START: Span = Span { file: 0, line: 1, column: 1, width: 1 };

fn is_document(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    (name.ends_with(".yaml") || name.ends_with(".yml")) && !name.starts_with('.') && path.is_file()
}

fn source(path: &Path) -> Result<Source, LoadError> {
    let mut bytes = Vec::new();
    File::open(path)
        // One more than is accepted, so that a device that never ends is refused like any other.
        .and_then(|file| file.take(yaml::MAX_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| LoadError::Unreadable { path: path.to_owned(), error })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let before = String::from_utf8_lossy(before);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let number = |value| u32::try_from(value).unwrap_or(u32::MAX);
        let span = Span { line: number(line), column: number(column), ..START };
        invalid(
            path,
            Problem::new(codes::NOT_TEXT, span, "this is not UTF-8 text").hint("save the file as UTF-8"),
        )
    })?;
    let dir = path.parent().unwrap_or_else(|| Path::new("")).to_owned();
    Ok(Source { name: path.display().to_string(), text, dir })
}

fn invalid(path: &Path, problem: Problem) -> LoadError {
    let mut problems = Problems::default();
    problems.push(problem);
    let source = Source { name: path.display().to_string(), ..Source::default() };
    LoadError::Invalid(problems.finish(&[source]))
}
