//! A tree to typed values, with every problem at once.
//!
//! serde stops at the first error. Here an error is recorded, the value it lies in is *pruned*, and the
//! smallest enclosing list item or named entry is read again without it, until it reads or is gone. What
//! follows from pruning alone (a key that is now missing) is not reported. Unknown keys are reported and
//! pruned without a second reading. A reading ends after 100 problems.

mod access;
mod error;
mod reader;
mod shapes;

use std::cell::RefCell;
use std::collections::HashSet;

use serde::de::DeserializeOwned;

pub(crate) use shapes::{Each, Named, Policies, Written};

use crate::diagnostics::{Problem, Problems};
use crate::index::Index;
use crate::node::{Node, NodeId};
use error::Error;
use reader::{Reader, View};

/// What one load has found out so far.
pub(crate) struct Context<'t> {
    pub(crate) index: Index<'t>,
    problems: RefCell<Problems>,
    pruned: RefCell<HashSet<NodeId>>,
}

impl<'t> Context<'t> {
    pub(crate) fn new(root: &'t Node, problems: Problems) -> Self {
        Self { index: Index::new(root), problems: RefCell::new(problems), pruned: RefCell::default() }
    }

    pub(crate) fn into_problems(self) -> Problems {
        self.problems.into_inner()
    }

    pub(crate) fn report(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    /// Reads the whole document; `None` if nothing of it is left.
    pub(crate) fn decode<T: DeserializeOwned>(&self, root: &'t Node) -> Option<T> {
        self.attempt(root, |reader| T::deserialize(reader))
    }

    /// Reads the keys `keys` of the first of `nodes` that has each: a block there replaces those after it.
    /// For values that have been read on their own before, so problems are not reported again.
    pub(crate) fn decode_layers<T: DeserializeOwned>(
        &self,
        nodes: &[&'t Node],
        keys: &'static [&'static str],
    ) -> Option<T> {
        T::deserialize(reader::Layers { ctx: self, nodes, keys }).ok()
    }

    /// Whether something at or below `node` could not be read.
    pub(crate) fn is_damaged(&self, node: &Node) -> bool {
        let pruned = self.pruned.borrow();
        if pruned.is_empty() {
            return false;
        }
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            if pruned.contains(&node.id) {
                return true;
            }
            open.extend(node.children());
        }
        false
    }

    fn is_pruned(&self, node: &Node) -> bool {
        let pruned = self.pruned.borrow();
        !pruned.is_empty() && pruned.contains(&node.id)
    }

    fn prune(&self, node: &Node) {
        self.pruned.borrow_mut().insert(node.id);
    }

    fn is_full(&self) -> bool {
        self.problems.borrow().is_full()
    }

    /// Reads `node` until it reads, or is pruned itself.
    fn attempt<T>(
        &self,
        node: &'t Node,
        mut read: impl FnMut(Reader<'_, 't>) -> Result<T, Error>,
    ) -> Option<T> {
        loop {
            match read(Reader { ctx: self, node, view: View::All }) {
                Ok(value) => return Some(value),
                Err(error) => drop(self.recorded(node, error)),
            }
            if self.is_full() || self.is_pruned(node) {
                return None;
            }
        }
    }

    /// Reports an error met while reading `within`, unless it was reported or only follows from an earlier
    /// one, and prunes where it lies. Something below `within`, or it, is newly pruned for each new error, so
    /// whoever reads again comes to an end.
    fn recorded(&self, within: &Node, error: Error) -> Error {
        if error.recorded {
            return error;
        }
        let at = error.at.map_or(within, |id| self.index.node(id));
        if !self.is_damaged(at) {
            let span = error.span.unwrap_or(at.span);
            let problem = Problem::new(error.code, span, error.message.as_str()).path(self.index.path(at.id));
            self.report(match &error.hint {
                Some(hint) => problem.hint(hint),
                None => problem,
            });
        }
        self.prune(if self.is_pruned(at) { within } else { at });
        Error { recorded: true, ..error }
    }
}
