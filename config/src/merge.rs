//! Several files as one document: dependencies united, routes concatenated, everything else given once.

use std::collections::HashMap;

use crate::codes;
use crate::diagnostics::{Problem, Problems};
use crate::node::{Key, Node, Value, quoted};

/// Mappings that files share, and within them the lists they add to.
const SHARED: &[(&str, &[&str])] = &[("inbound", &["routes"]), ("outbound", &[]), ("dependencies", &[])];

/// One tree of all. A single one stays as it is.
pub(crate) fn merge(trees: Vec<Node>, names: &[&str], problems: &mut Problems) -> Option<Node> {
    let mut trees = trees.into_iter();
    let mut root = trees.next()?;
    for tree in trees {
        let (Value::Map(into), Value::Map(entries)) = (&mut root.value, tree.value) else {
            let message = "a policy is a mapping in each file of its directory";
            problems.push(Problem::new(codes::WRONG_TYPE, tree.span, message));
            return None;
        };
        for (key, node) in entries {
            add(into, key, node, names, problems);
        }
    }
    Some(root)
}

/// Adds an entry of the whole document.
fn add(into: &mut Vec<(Key, Node)>, key: Key, node: Node, names: &[&str], problems: &mut Problems) {
    let Some((first, present)) = into.iter_mut().find(|(own, _)| own.text == key.text) else {
        into.push((key, node));
        return;
    };
    let shared = SHARED.iter().find(|(name, _)| *name == key.text);
    match (shared, &mut present.value, node.value) {
        (Some((_, lists)), Value::Map(present), Value::Map(entries)) => {
            let known = present.iter().enumerate().map(|(at, (key, _))| (key.text.clone(), at)).collect();
            for (key, node) in entries {
                add_within(present, &known, lists, key, node, names, problems);
            }
        }
        // Every file may say which language it speaks.
        (None, Value::Scalar { text, .. }, Value::Scalar { text: more, .. })
            if key.text == "version" && *text == more => {}
        _ => twice(&key, first, names, problems),
    }
}

/// Adds an entry of a shared mapping, of which `known` says where each key of the files before stands.
fn add_within(
    into: &mut Vec<(Key, Node)>,
    known: &HashMap<String, usize>,
    lists: &[&str],
    key: Key,
    node: Node,
    names: &[&str],
    problems: &mut Problems,
) {
    let Some((first, present)) = known.get(&key.text).and_then(|at| into.get_mut(*at)) else {
        into.push((key, node));
        return;
    };
    match (&mut present.value, node.value) {
        (Value::List(present), Value::List(items)) if lists.contains(&key.text.as_str()) => {
            present.extend(items)
        }
        _ => twice(&key, first, names, problems),
    }
}

fn twice(key: &Key, first: &Key, names: &[&str], problems: &mut Problems) {
    let file = names.get(usize::from(first.span.file)).copied().unwrap_or_default();
    let message = format!("{} is also given in {file} on line {}", quoted(&key.text), first.span.line);
    problems.push(
        Problem::new(codes::GIVEN_TWICE, key.span, message).hint("give it in one file of the directory"),
    );
}
