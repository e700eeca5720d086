//! Finds the values of a tree by identity: their place, their path, what stands below them.

use crate::node::{Node, NodeId, Span};

/// All values of one load.
pub(crate) struct Index<'t> {
    root: &'t Node,
    slots: Vec<Option<Slot<'t>>>,
}

/// A value, what it stands in, and at which position there.
#[derive(Clone, Copy)]
struct Slot<'t> {
    node: &'t Node,
    parent: NodeId,
    position: usize,
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
        let mut open = vec![Slot { node: root, parent: root.id, position: 0 }];
        while let Some(slot) = open.pop() {
            let index = slot.node.id as usize;
            if slots.len() <= index {
                slots.resize(index + 1, None);
            }
            if let Some(place) = slots.get_mut(index) {
                *place = Some(slot);
            }
            let parent = slot.node.id;
            let children = slot.node.children().enumerate();
            open.extend(children.map(|(position, node)| Slot { node, parent, position }));
        }
        Self { root, slots }
    }

    /// The value of this identity; the whole document if there is none.
    pub(crate) fn node(&self, id: NodeId) -> &'t Node {
        self.slots.get(id as usize).copied().flatten().map_or(self.root, |slot| slot.node)
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
        let span = match self.place(id) {
            Some((parent, position)) => parent.entries().get(position).map_or(spot.span, |(key, _)| key.span),
            None => spot.span,
        };
        Spot { span, ..spot }
    }

    /// `inbound.routes[2].match`; empty for the whole document.
    pub(crate) fn path(&self, id: NodeId) -> String {
        let mut steps = Vec::new();
        let mut at = self.node(id).id;
        while let Some((parent, position)) = self.place(at) {
            steps.push(step(parent, position));
            at = parent.id;
        }
        let mut path: String = steps.into_iter().rev().collect();
        if path.starts_with('.') {
            path.remove(0);
        }
        path
    }

    /// What the value stands in, and where there; nothing for the whole document.
    fn place(&self, id: NodeId) -> Option<(&'t Node, usize)> {
        let slot = self.slots.get(id as usize).copied().flatten()?;
        (slot.parent != id).then(|| (self.node(slot.parent), slot.position))
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

fn step(parent: &Node, position: usize) -> String {
    match parent.entries().get(position) {
        Some((key, _)) => {
            format!(".{}", key.text.chars().take(80).flat_map(char::escape_debug).collect::<String>())
        }
        None => format!("[{position}]"),
    }
}
