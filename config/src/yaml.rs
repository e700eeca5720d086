//! YAML text to [`Node`]s.
//!
//! The events come from `granit-parser`, the parser beneath `serde-saphyr`, taken directly: serde drops the
//! place of every key and value, and the events carry both as spans. Duplicate keys, the depth and the number
//! of values are then checked here, where the place is known.
//!
//! A policy is hostile input until proven. Refused: more than 4 MiB, nesting beyond 64, more than 500,000
//! values, a second document, directives, tags, and anchors, aliases and merge keys altogether. A policy gains
//! nothing from aliases that `defaults` do not give it, and without them no document grows when it is read.

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, StrInput, options};

use crate::codes;
use crate::diagnostics::{Problem, Problems};
use crate::node::{Key, Node, NodeId, Span, Value, quoted};

/// Bytes of one document.
pub(crate) const MAX_BYTES: usize = 4 << 20;
/// Lists and mappings inside each other.
pub(crate) const MAX_DEPTH: usize = 64;
/// Values in one document.
pub(crate) const MAX_NODES: u32 = 500_000;

/// Reads one document. `None` after a problem that leaves nothing to look at.
pub(crate) fn read(file: u16, first: NodeId, text: &str, problems: &mut Problems) -> Option<Node> {
    let start = Span { file, line: 1, column: 1, width: 1 };
    if text.len() > MAX_BYTES {
        problems.push(
            Problem::new(
                codes::TOO_LARGE,
                start,
                format!("the document has {} bytes; 4 MiB are read", text.len()),
            )
            .hint("split it into files of a directory"),
        );
        return None;
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let options = options! { disallow_directives: true, emit_anchor_events: true, emit_comments: false };
    let parser = Parser::new_from_str_with_options(text, options);
    let mut reader = Reader { parser, file, first, next: first, depth: 0, problems };
    match reader.document() {
        Ok(node) => Some(node),
        Err(problem) => {
            reader.problems.push(*problem);
            None
        }
    }
}

struct Reader<'i, 'p> {
    parser: Parser<'i, StrInput<'i>>,
    file: u16,
    first: NodeId,
    next: NodeId,
    depth: usize,
    problems: &'p mut Problems,
}

/// Boxed: a problem is large, and the way without one is the way taken.
type Read<T> = Result<T, Box<Problem>>;

impl<'i> Reader<'i, '_> {
    fn document(&mut self) -> Read<Node> {
        let mut span = Span { file: self.file, line: 1, column: 1, width: 1 };
        let mut root = None;
        while let Some((event, at)) = self.event()? {
            match event {
                Event::StreamStart | Event::DocumentEnd => {}
                Event::StreamEnd => break,
                Event::DocumentStart(..) if root.is_some() => {
                    return Err(Problem::new(
                        codes::SECOND_DOCUMENT,
                        at,
                        "a second document begins here; a file holds one",
                    )
                    .hint("remove the `---`, or make it a file of its own in a directory")
                    .boxed());
                }
                Event::DocumentStart(..) => span = at,
                other => root = Some(self.node(other, at)?),
            }
        }
        match root {
            Some(node) if !node.is_blank() => Ok(node),
            _ => Err(Problem::new(codes::BLANK, span, "the document is blank")
                .hint("the least is `version: 1`; a blank file is refused so that a truncated one is never applied")
                .boxed()),
        }
    }

    fn node(&mut self, event: Event<'i>, span: Span) -> Read<Node> {
        let id = self.identity(span)?;
        let value = match event {
            Event::Scalar(text, style, _, tag) => {
                self.refuse_tag(tag.is_some(), span);
                Value::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain }
            }
            Event::SequenceStart(_, _, tag) => {
                self.refuse_tag(tag.is_some(), span);
                Value::List(self.nested(span, Self::items)?)
            }
            Event::MappingStart(_, _, tag) => {
                self.refuse_tag(tag.is_some(), span);
                Value::Map(self.nested(span, Self::entries)?)
            }
            _ => return Err(alias(span)),
        };
        Ok(Node { id, span, value })
    }

    fn identity(&mut self, span: Span) -> Read<NodeId> {
        if self.next - self.first >= MAX_NODES {
            let message = format!("the document has more than {MAX_NODES} values");
            return Err(Problem::new(codes::TOO_MANY_VALUES, span, message).boxed());
        }
        let id = self.next;
        self.next += 1;
        Ok(id)
    }

    fn nested<T>(&mut self, span: Span, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        if self.depth == MAX_DEPTH {
            return Err(too_deep(span));
        }
        self.depth += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn items(&mut self) -> Read<Vec<Node>> {
        let mut items = Vec::new();
        loop {
            match self.expect()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, span)?),
            }
        }
    }

    fn entries(&mut self) -> Read<Vec<(Key, Node)>> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut seen = std::collections::HashMap::new();
        loop {
            let (text, span) = match self.expect()? {
                (Event::MappingEnd, _) => return Ok(entries),
                (Event::Scalar(text, ..), span) => (text.into_owned(), span),
                (Event::Alias(_) | Event::UnresolvedAlias(_), span) => return Err(alias(span)),
                (_, span) => {
                    return Err(
                        Problem::new(codes::KEY, span, "a key is text, not a list or a mapping").boxed()
                    );
                }
            };
            let (event, at) = self.expect()?;
            let node = self.node(event, at)?;
            if text == "<<" {
                self.problems.push(alias_problem(span, "merge keys are not read"));
            } else if let Some(first) = seen.insert(text.clone(), span.line) {
                let message = format!("{} is given twice; the first is on line {first}", quoted(&text));
                self.problems
                    .push(Problem::new(codes::DUPLICATE_KEY, span, message).hint("keep one of them"));
                seen.insert(text, first);
            } else {
                entries.push((Key { text, span }, node));
            }
        }
    }

    /// The next event that is not the end of everything.
    fn expect(&mut self) -> Read<(Event<'i>, Span)> {
        let end = Span { file: self.file, line: 1, column: 1, width: 1 };
        self.event()?.ok_or_else(|| Problem::new(codes::SYNTAX, end, "the document ends too early").boxed())
    }

    fn event(&mut self) -> Read<Option<(Event<'i>, Span)>> {
        loop {
            match self.parser.next_event() {
                None => return Ok(None),
                Some(Ok((Event::Anchor(..), at))) => {
                    let span = self.span(&at);
                    self.problems.push(alias_problem(span, "anchors are not read"));
                }
                Some(Ok((event, at))) => return Ok(Some((event, self.span(&at)))),
                Some(Err(error)) => return Err(self.syntax(&error)),
            }
        }
    }

    fn refuse_tag(&mut self, tagged: bool, span: Span) {
        if tagged {
            self.problems.push(
                Problem::new(codes::ALIAS, span, "tags such as `!!str` are not read")
                    .hint("remove the tag; quote a value to make it text"),
            );
        }
    }

    fn span(&self, span: &granit_parser::Span) -> Span {
        let one_line = span.start.line() == span.end.line();
        let width = if one_line { span.end.col().saturating_sub(span.start.col()).max(1) } else { 1 };
        Span {
            file: self.file,
            line: number(span.start.line()),
            column: number(span.start.col() + 1),
            width: number(width),
        }
    }

    fn syntax(&self, error: &granit_parser::ScanError) -> Box<Problem> {
        let marker = error.marker();
        let span =
            Span { file: self.file, line: number(marker.line()), column: number(marker.col() + 1), width: 1 };
        let problem = match error.kind() {
            ErrorKind::RecursionLimitExceeded => return too_deep(span),
            ErrorKind::UnknownAnchor => return alias(span),
            kind => Problem::new(
                codes::SYNTAX,
                span,
                format!("this is not YAML: {}", kind.to_string().to_lowercase()),
            ),
        };
        match error.kind() {
            ErrorKind::TabNotAllowed | ErrorKind::TabInBlockIndentation | ErrorKind::TabInIndentation => {
                problem.hint("indent with spaces")
            }
            ErrorKind::InvalidIndentation | ErrorKind::ExpectedBlockMappingKey => {
                problem.hint("keys of one block begin in the same column")
            }
            _ => problem,
        }
        .boxed()
    }
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn too_deep(span: Span) -> Box<Problem> {
    let message = format!("lists and mappings are nested more than {MAX_DEPTH} deep");
    Problem::new(codes::TOO_DEEP, span, message).boxed()
}

fn alias(span: Span) -> Box<Problem> {
    alias_problem(span, "aliases are not read").boxed()
}

fn alias_problem(span: Span, message: &str) -> Problem {
    Problem::new(codes::ALIAS, span, message)
        .hint("write the value out; what routes share belongs in `inbound.defaults`")
}
