//! For people: what, where, the line itself, what to do.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar as _;

use crate::diagnostics::{Diagnostics, Excerpt, Problem, Severity};

const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[1;33m";
const BLUE: &str = "\x1b[1;34m";
const BOLD: &str = "\x1b[1m";
const RESET: &str = "\x1b[0m";

/// Every problem and, at the end, how many there are.
pub(super) fn render(diagnostics: &Diagnostics, colour: bool) -> String {
    let mut out = String::new();
    for problem in &diagnostics.problems {
        // Writing to a String cannot fail.
        let _ = one(&mut out, problem, colour);
    }
    let count = |severity| diagnostics.problems.iter().filter(|problem| problem.severity == severity).count();
    let counts = [(count(Severity::Error), "error"), (count(Severity::Warning), "warning")];
    let text: Vec<String> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}{}", if count == 1 { "" } else { "s" }))
        .collect();
    if !text.is_empty() {
        let _ = writeln!(out, "{}", text.join(", "));
    }
    out
}

fn one(out: &mut String, problem: &Problem, colour: bool) -> std::fmt::Result {
    let paint = |code: &'static str| if colour { code } else { "" };
    let (blue, bold, reset) = (paint(BLUE), paint(BOLD), paint(RESET));
    let mark = paint(if problem.severity == Severity::Error { RED } else { YELLOW });
    let Problem { severity, code, file, line, column, path, message, hint, excerpt, .. } = problem;
    let number = line.to_string();
    let gutter = " ".repeat(number.len());
    writeln!(out, "{mark}{}[{code}]{reset}{bold}: {}{reset}", severity.name(), safe(message))?;
    writeln!(out, "{gutter}{blue}-->{reset} {}:{line}:{column}", safe(file))?;
    if !excerpt.text.trim().is_empty() {
        let (text, before, width) = shown(excerpt);
        writeln!(out, "{gutter} {blue}|{reset}")?;
        writeln!(out, "{blue}{number} |{reset} {text}")?;
        writeln!(out, "{gutter} {blue}|{reset} {}{mark}{}{reset}", " ".repeat(before), "^".repeat(width))?;
    }
    if !path.is_empty() {
        writeln!(out, "{gutter} {blue}={reset} at: {}", safe(path))?;
    }
    if let Some(hint) = hint {
        writeln!(out, "{gutter} {blue}={reset} {bold}hint{reset}: {}", safe(hint))?;
    }
    writeln!(out)
}

/// The line as a terminal shows it, and the columns before and under the place.
fn shown(excerpt: &Excerpt) -> (String, usize, usize) {
    let (mut text, mut before, mut width) = (String::new(), 0, 0);
    for (index, character) in excerpt.text.chars().enumerate() {
        let piece = printable(character);
        let columns = piece.chars().map(|piece| piece.width().unwrap_or(0)).sum::<usize>();
        if index < excerpt.before {
            before += columns;
        } else if index < excerpt.before + excerpt.width {
            width += columns;
        }
        text.push_str(&piece);
    }
    (text, before, width.max(1))
}

fn safe(text: &str) -> String {
    text.chars().map(printable).collect()
}

/// Tabs as a space; what could steer a terminal or turn the line around, escaped.
fn printable(character: char) -> String {
    let bidirectional =
        matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    match character {
        '\t' => " ".to_owned(),
        _ if character.is_control() || bidirectional => character.escape_unicode().to_string(),
        _ => character.to_string(),
    }
}
