//! Regular expressions within a budget.
//!
//! The `regex` crate matches in linear time, so what is bounded here is memory: 4,096 bytes of pattern and
//! 256 KiB compiled for each, 1,000 of them in a policy. The router compiles the same pattern, anchored.

use regex::{Regex, RegexBuilder};

use super::Build;
use crate::codes;
use crate::index::Spot;

/// Bytes of a pattern.
const MAX_PATTERN: usize = 4096;
/// Bytes of a compiled pattern.
const MAX_COMPILED: usize = 256 << 10;
/// Patterns in a policy.
const MAX_PATTERNS: usize = 1000;
/// Groups inside each other.
const MAX_NESTING: u32 = 64;

impl Build<'_, '_> {
    /// Compiles a pattern as the router will; reports why not.
    pub(super) fn regex(&self, spot: Spot<'_>, pattern: &str) {
        let count = self.regexes.get() + 1;
        self.regexes.set(count);
        if count > MAX_PATTERNS {
            if count == MAX_PATTERNS + 1 {
                let message = format!("more than {MAX_PATTERNS} regular expressions in one policy");
                self.error(
                    spot,
                    codes::REGEX,
                    message,
                    "use `path` and `path_prefix` where they say the same",
                );
            }
            return;
        }
        if let Err(why) = anchored(pattern) {
            self.error(
                spot,
                codes::REGEX,
                why,
                "the syntax is that of Rust's regex crate, which matches in linear time",
            );
        }
    }
}

/// The pattern for the whole of a text, or why it cannot be had in one line.
///
/// # Errors
/// When it is too long, not a regular expression, or too large once compiled.
pub fn anchored(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > MAX_PATTERN {
        return Err(format!(
            "the regular expression has {} bytes; {MAX_PATTERN} are accepted",
            pattern.len()
        ));
    }
    // Alone first: `a)|(b` is not a pattern, though it would be one between the anchors.
    let alone = builder(pattern).build();
    alone.and_then(|_| builder(&format!("^(?:{pattern})$")).build()).map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => {
            format!("the regular expression takes more than {} KiB once compiled", MAX_COMPILED >> 10)
        }
        error => {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            format!("not a regular expression: {reason}")
        }
    })
}

fn builder(pattern: &str) -> RegexBuilder {
    let mut builder = RegexBuilder::new(pattern);
    builder.size_limit(MAX_COMPILED).dfa_size_limit(MAX_COMPILED).nest_limit(MAX_NESTING);
    builder
}
