//! What is wrong with a document: every problem at once, each with its place.

use std::fmt;

use crate::Source;
use crate::codes::{self, Code};
use crate::node::Span;

/// As many problems are kept; what follows is usually the same mistake again.
pub(crate) const MAX_PROBLEMS: usize = 100;

/// Whether a problem refuses the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The document is refused.
    Error,
    /// The document is taken, and probably does not do what was meant.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether it refuses the document.
    pub severity: Severity,
    /// Its kind, stable over versions.
    pub code: Code,
    /// Name of the source it is in.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Where in the document: `inbound.routes[2].match`. Empty for the document itself.
    pub path: String,
    /// What was read and what is accepted.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The text around it, for people.
    pub(crate) excerpt: Excerpt,
    span: Span,
}

/// A piece of the line of a problem.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Excerpt {
    /// At most 160 characters.
    pub(crate) text: String,
    /// Characters of `text` before the place.
    pub(crate) before: usize,
    /// Characters to underline.
    pub(crate) width: usize,
}

impl Problem {
    pub(crate) fn new(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            file: String::new(),
            line: span.line,
            column: span.column,
            path: String::new(),
            message: message.into(),
            hint: None,
            excerpt: Excerpt::default(),
            span,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn path(mut self, path: String) -> Self {
        self.path = path;
        self
    }

    pub(crate) const fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    pub(crate) fn boxed(self) -> Box<Self> {
        Box::new(self)
    }
}

/// All problems of a load, in the order of the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    /// Sorted by file, line and column.
    pub problems: Vec<Problem>,
}

impl Diagnostics {
    /// Whether any of them refuses the document.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }
}

/// One line for each problem: `policy.yaml:3:5: error[E0202]: …`.
impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let Problem { severity, code, file, line, column, message, .. } = problem;
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{file}:{line}:{column}: {}[{code}]: {message}", severity.name())?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// Collects problems while a document is read.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    found: Vec<Problem>,
    errors: usize,
    more: bool,
}

impl Problems {
    pub(crate) fn push(&mut self, problem: Problem) {
        if self.found.len() >= MAX_PROBLEMS {
            self.more = true;
            self.errors += usize::from(problem.severity == Severity::Error);
            return;
        }
        self.errors += usize::from(problem.severity == Severity::Error);
        self.found.push(problem);
    }

    /// No further problem will be kept.
    pub(crate) const fn is_full(&self) -> bool {
        self.more
    }

    pub(crate) const fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Sorted, with the names of the files and the text around each.
    pub(crate) fn finish(mut self, sources: &[Source]) -> Diagnostics {
        self.found.sort_by_key(|problem| (problem.span.file, problem.line, problem.column));
        if let (true, Some(last)) = (self.more, self.found.last()) {
            let message = format!("…and more; the first {MAX_PROBLEMS} are shown");
            let severity = if self.errors > 0 { Severity::Error } else { Severity::Warning };
            self.found
                .push(Problem { severity, ..Problem::new(codes::TOO_MANY_PROBLEMS, last.span, message) });
        }
        for problem in &mut self.found {
            if let Some(source) = sources.get(usize::from(problem.span.file)) {
                problem.file.clone_from(&source.name);
                problem.excerpt = excerpt(&source.text, problem.span);
            }
        }
        Diagnostics { problems: self.found }
    }
}

fn excerpt(text: &str, span: Span) -> Excerpt {
    const SHOWN: usize = 160;
    const LEAD: usize = 100;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let line = text.lines().nth(span.line.saturating_sub(1) as usize).unwrap_or_default();
    let column = span.column.saturating_sub(1) as usize;
    let skipped = column.saturating_sub(LEAD);
    let shown: String = line.chars().skip(skipped).take(SHOWN).collect();
    let before = (column - skipped).min(shown.chars().count());
    let width = (span.width as usize).min(SHOWN - before).max(1);
    Excerpt { text: shown, before, width }
}
