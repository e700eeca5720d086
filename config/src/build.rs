//! A document to a [`Plan`]: every reference resolved, every value in range, the routes in order.
//!
//! All problems are reported, not only the first. A block with values that could not be read is not judged
//! further: what it lacks may be what was wrong.

mod address;
mod circuit_breaker;
mod dependency;
mod fields;
mod hosts;
mod matches;
mod order;
mod paths;
mod regexes;
mod retries;
mod routes;
mod timeouts;
mod tls;

use std::cell::Cell;
use std::path::{Path, PathBuf};

use outrigger_filters::policies::RoutePolicies;

use crate::codes::{self, Code};
use crate::decode::Context;
use crate::diagnostics::Problem;
use crate::document::{Document, Inbound, UnknownHosts};
use crate::index::Spot;
use crate::plan::{self, Plan, Timeouts};

pub(crate) use address::socket_address;
pub use regexes::anchored;

/// The version of the language that is read.
pub(crate) const VERSION: u32 = 1;

/// The work on one document.
pub(crate) struct Build<'c, 't> {
    pub(crate) ctx: &'c Context<'t>,
    /// The directory of each source.
    pub(crate) dirs: &'c [PathBuf],
    /// The name of each source.
    pub(crate) names: &'c [&'c str],
    /// Bytes of the regular expressions compiled so far.
    compiled: Cell<usize>,
}

/// The plan, which is worth something only if no error was reported.
pub(crate) fn plan(ctx: &Context<'_>, dirs: &[PathBuf], names: &[&str], document: &Document) -> Plan {
    let build = Build::new(ctx, dirs, names);
    let root = ctx.index.root();
    if document.version != VERSION {
        let message =
            format!("version {} of the language; this build reads version {VERSION}", document.version);
        build.error(root.key("version"), codes::VERSION, message, "write `version: 1`, or use a later build");
    }
    if let Some(service) = &document.service {
        build.check_name(root.key("service"), service);
    }
    let empty = Inbound::default();
    let inbound = build.inbound(document.inbound.as_ref().unwrap_or(&empty), root.key("inbound"));
    let unknown_hosts = match document.outbound.as_ref().map(|outbound| outbound.unknown_hosts) {
        Some(UnknownHosts::Pass) => plan::UnknownHosts::Pass,
        Some(UnknownHosts::Refuse) | None => plan::UnknownHosts::Refuse,
    };
    let dependencies = build.dependencies(&document.dependencies.0);
    Plan { service: document.service.clone(), inbound, unknown_hosts, dependencies }
}

impl<'c, 't> Build<'c, 't> {
    pub(crate) const fn new(ctx: &'c Context<'t>, dirs: &'c [PathBuf], names: &'c [&'c str]) -> Self {
        Self { ctx, dirs, names, compiled: Cell::new(0) }
    }

    fn inbound(&self, inbound: &Inbound, spot: Spot<'_>) -> plan::Inbound {
        if let Some(path) = &inbound.readiness {
            self.check_path(spot.key("readiness"), path);
        }
        let defaults = inbound.defaults.as_ref();
        let blocks = defaults.map(|defaults| self.ctx.index.spot(defaults.id));
        let written = defaults.and_then(|defaults| defaults.block.timeouts.as_ref());
        let timeouts = match (written, blocks) {
            (Some(written), Some(blocks)) => self.timeouts(written, blocks.key("timeouts")),
            _ => Timeouts::default(),
        };
        if let Some(defaults) = defaults {
            self.check_policies(defaults.id, &defaults.policies, None);
        }
        let none = RoutePolicies::default();
        let policies = defaults.map_or(&none, |defaults| &defaults.policies);
        let circuit_breaker = defaults.and_then(|defaults| defaults.block.circuit_breaker.as_ref());
        if let (Some(written), Some(blocks)) = (circuit_breaker, blocks) {
            self.breaker(written, blocks.key("circuit_breaker"), timeouts.total);
        }
        let id = defaults.map(|defaults| defaults.id);
        let parent = routes::Parent { timeouts, retries: None, policies, circuit_breaker, id };
        plan::Inbound {
            app: inbound.app.as_deref().and_then(|app| self.app(spot.key("app"), app)),
            readiness: inbound.readiness.clone(),
            routes: self.routes(&inbound.routes.0, &parent),
        }
    }

    pub(crate) fn error(
        &self,
        spot: Spot<'_>,
        code: Code,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let hint = hint.into();
        let problem = Problem::new(code, spot.span, message).path(self.ctx.index.path(spot.id));
        self.ctx.report(if hint.is_empty() { problem } else { problem.hint(hint) });
    }

    pub(crate) fn warn(
        &self,
        spot: Spot<'_>,
        code: Code,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let problem = Problem::new(code, spot.span, message).hint(hint).path(self.ctx.index.path(spot.id));
        self.ctx.report(problem.warning());
    }

    /// A path of the document, relative to the file that names it.
    pub(crate) fn resolve(&self, spot: Spot<'_>, path: &Path) -> PathBuf {
        match self.dirs.get(usize::from(spot.span.file)) {
            Some(dir) => dir.join(path),
            None => path.to_owned(),
        }
    }

    pub(crate) fn check_name(&self, spot: Spot<'_>, name: &str) {
        let starts = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        let fits = name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
        if !(starts && fits && name.len() <= 63) {
            let message = format!("{} is not a name", crate::node::quoted(name));
            let hint = "1 to 63 letters, digits, `_`, `.` and `-`, the first a letter or digit";
            self.error(spot, codes::NAME, message, hint);
        }
    }
}
