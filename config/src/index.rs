//! Finds the values of a tree by identity: their place, their path, what stands below them.

use std::fmt::Write as _;

use crate::node::{Node, NodeId, Span};

/// All values of one load.
pub(crate) struct Index<'t> {
    root: &'t Node,
    slots: Vec<Option<(&'t Node, NodeId)>>,
}

/// A value on the way to something to be reported.
#[derive(Clone, Copy)]
pub(crate) struct Spot<'t> {
    pub(crate) id: NodeId,
    pub(crate) span: Span,
    node: &'t Node,
}

impl<'t> Index<'t> {
    /// Looks at every value once.
    pub(crate) fn new(root: &'t Node) -> Self {
        let mut slots = Vec::new();
        let mut open = vec![(root, root.id)];
        while let Some((node, parent)) = open.pop() {
            let slot = node.id as usize;
            if slots.len() <= slot {
                slots.resize(slot + 1, None);
            }
            if let Some(place) = slots.get_mut(slot) {
                *place = Some((node, parent));
            }
            open.extend(node.children().map(|child| (child, node.id)));
        }
        Self { root, slots }
    }

    /// The value of this identity; the whole document if there is none.
    pub(crate) fn node(&self, id: NodeId) -> &'t Node {
        self.slots.get(id as usize).copied().flatten().map_or(self.root, |(node, _)| node)
    }

    /// The place of the whole document.
    pub(crate) const fn root(&self) -> Spot<'t> {
        Spot { id: self.root.id, span: self.root.span, node: self.root }
    }

    /// The place of the value of this identity.
    pub(crate) fn spot(&self, id: NodeId) -> Spot<'t> {
        let node = self.node(id);
        Spot { id: node.id, span: node.span, node }
    }

    /// The place of the key under which the value of this identity stands, or of the value.
    pub(crate) fn key_of(&self, id: NodeId) -> Spot<'t> {
        let spot = self.spot(id);
        let parent = self.parent(id).map_or(&[][..], Node::entries);
        let span = parent.iter().find(|(_, node)| node.id == id).map_or(spot.span, |(key, _)| key.span);
        Spot { span, ..spot }
    }

    /// `inbound.routes[2].match`; empty for the whole document.
    pub(crate) fn path(&self, id: NodeId) -> String {
        let mut steps = Vec::new();
        let mut at = self.node(id).id;
        while let Some(parent) = self.parent(at) {
            steps.push(step(parent, at));
            at = parent.id;
        }
        let mut path: String = steps.into_iter().rev().collect();
        if path.starts_with('.') {
            path.remove(0);
        }
        path
    }

    fn parent(&self, id: NodeId) -> Option<&'t Node> {
        let (_, parent) = self.slots.get(id as usize).copied().flatten()?;
        (parent != id).then(|| self.node(parent))
    }
}

impl Spot<'_> {
    /// The value under `key`, or this one if there is none.
    pub(crate) fn key(self, key: &str) -> Self {
        match self.node.entry(key) {
            Some((_, node)) => Self { id: node.id, span: node.span, node },
            None => self,
        }
    }

    /// The item at `index`, or this value if there is none.
    pub(crate) fn item(self, index: usize) -> Self {
        match self.node.items().get(index) {
            Some(node) => Self { id: node.id, span: node.span, node },
            None => self,
        }
    }

    /// The value at a path from here, such as `rate_limits[2].burst`, or the nearest there is.
    pub(crate) fn follow(self, path: &str) -> Self {
        let steps = path.split(['.', '[']).filter(|step| !step.is_empty());
        steps.fold(self, |at, step| match step.strip_suffix(']').and_then(|index| index.parse().ok()) {
            Some(index) => at.item(index),
            None => at.key(step),
        })
    }

    /// The place of the key itself, or this one if there is none.
    pub(crate) fn at_key(self, key: &str) -> Self {
        match self.node.entry(key) {
            Some((key, node)) => Self { id: node.id, span: key.span, node },
            None => self,
        }
    }
}

fn step(parent: &Node, id: NodeId) -> String {
    let mut text = String::new();
    if let Some((key, _)) = parent.entries().iter().find(|(_, node)| node.id == id) {
        text.push('.');
        text.push_str(&key.text.chars().take(80).flat_map(char::escape_debug).collect::<String>());
    } else if let Some(index) = parent.items().iter().position(|node| node.id == id) {
        // Writing to a String cannot fail.
        let _ = write!(text, "[{index}]");
    }
    text
}
