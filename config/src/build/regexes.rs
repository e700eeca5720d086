//! Regular expressions within a budget.
//!
//! The `regex` crate matches in linear time, so what is bounded here is memory and the work of compiling: 4,096
//! bytes of pattern and 256 KiB compiled for each, 64 MiB for a whole policy, each counted at the smallest of
//! three sizes it fits. That is 4,096 ordinary patterns. The router compiles the same pattern, anchored.

use regex::{Regex, RegexBuilder};
use regex_syntax::ParserBuilder;

use super::Build;
use crate::codes;
use crate::index::Spot;

/// Bytes of a pattern.
const MAX_PATTERN: usize = 4096;
/// Bytes of a compiled pattern: what it is counted at. The last is the most there may be.
const SIZES: [usize; 3] = [16 << 10, 64 << 10, MAX_COMPILED];
const MAX_COMPILED: usize = 256 << 10;
/// Bytes of all compiled patterns of a policy.
const MAX_TOTAL: usize = 64 << 20;
/// Groups inside each other.
const MAX_NESTING: u32 = 64;

impl Build<'_, '_> {
    /// Compiles a pattern as the router will; reports why not.
    pub(super) fn regex(&self, spot: Spot<'_>, pattern: &str) {
        let before = self.compiled.get();
        if before > MAX_TOTAL {
            return;
        }
        match compile(pattern) {
            Ok((_, size)) => self.compiled.set(before + size),
            Err(why) => {
                let hint = "the syntax is that of Rust's regex crate, which matches in linear time";
                self.error(spot, codes::REGEX, why, hint);
            }
        }
        if self.compiled.get() > MAX_TOTAL {
            let message =
                format!("the regular expressions take more than {} MiB once compiled", MAX_TOTAL >> 20);
            self.error(spot, codes::REGEX, message, "use `path` and `path_prefix` where they say the same");
        }
    }
}

/// The pattern for the whole of a text, or in one line why it cannot be had.
///
/// # Errors
/// When it is too long, not a regular expression, or too large once compiled.
pub fn anchored(pattern: &str) -> Result<Regex, String> {
    compile(pattern).map(|(regex, _)| regex)
}

fn compile(pattern: &str) -> Result<(Regex, usize), String> {
    if pattern.len() > MAX_PATTERN {
        return Err(format!(
            "the regular expression has {} bytes; {MAX_PATTERN} are accepted",
            pattern.len()
        ));
    }
    // Alone first: `a)|(b` is not a pattern, though it would be one between the anchors.
    let syntax = ParserBuilder::new().nest_limit(MAX_NESTING).build().parse(pattern);
    syntax.map_err(|error| {
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("not a regular expression: {reason}")
    })?;
    let whole = format!("^(?:{pattern})$");
    for size in SIZES {
        let mut builder = RegexBuilder::new(&whole);
        builder.size_limit(size).dfa_size_limit(MAX_COMPILED).nest_limit(MAX_NESTING + 1);
        if let Ok(regex) = builder.build() {
            return Ok((regex, size));
        }
    }
    Err(format!("the regular expression takes more than {} KiB once compiled", MAX_COMPILED >> 10))
}
