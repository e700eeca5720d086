//! Names of routes, dependencies and rules as numbers, so that a record can carry them without owning text.
//!
//! A name keeps its number for the life of the process: a record, a series or a line in the ring means the same
//! after any number of reloads. Names come only from policies, never from requests, so the table grows with what
//! operators write. Looking a number up takes a read lock; the request path never does it unless it writes a line.

use std::sync::Arc;

use parking_lot::RwLock;
use std::collections::HashMap;

/// The number of a name. Zero is the empty name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameId(pub(super) u32);

impl NameId {
    /// The empty name: no dependency, no route.
    pub const NONE: Self = Self(0);
    /// Stands for all that found no room of its own; see [`super::series`].
    pub(super) const OVERFLOW: Self = Self(u32::MAX);

    /// Whether this is the empty name.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// The number of a list of rule names. Zero is the empty list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RuleSet(u32);

/// Both tables.
#[derive(Debug)]
pub struct Names {
    names: RwLock<Table<str>>,
    rules: RwLock<Table<[NameId]>>,
}

#[derive(Debug)]
struct Table<T: ?Sized> {
    by_id: Vec<Arc<T>>,
    ids: HashMap<Arc<T>, u32>,
}

impl<T: ?Sized + Eq + std::hash::Hash> Table<T> {
    fn starting_with(empty: Arc<T>) -> Self {
        let mut table = Self { by_id: Vec::new(), ids: HashMap::new() };
        table.intern(empty);
        table
    }

    fn intern(&mut self, value: Arc<T>) -> u32 {
        if let Some(id) = self.ids.get(&value) {
            return *id;
        }
        // The last number is kept for overflow. Four thousand million names do not fit in memory anyway.
        let id = u32::try_from(self.by_id.len()).unwrap_or(u32::MAX - 1);
        self.by_id.push(Arc::clone(&value));
        self.ids.insert(value, id);
        id
    }

    fn get(&self, id: u32) -> Option<Arc<T>> {
        self.by_id.get(usize::try_from(id).ok()?).cloned()
    }
}

impl Default for Names {
    fn default() -> Self {
        Self {
            names: RwLock::new(Table::starting_with("".into())),
            rules: RwLock::new(Table::starting_with(Vec::new().into())),
        }
    }
}

impl Names {
    /// The number of `name`, the same one every time.
    pub fn intern(&self, name: &str) -> NameId {
        if let Some(id) = self.names.read().ids.get(name) {
            return NameId(*id);
        }
        NameId(self.names.write().intern(name.into()))
    }

    /// The number of a list of rules, in the order of their bits in [`super::Record::shadow`].
    pub fn rule_set<'a>(&self, rules: impl IntoIterator<Item = &'a str>) -> RuleSet {
        let list: Vec<NameId> = rules.into_iter().map(|rule| self.intern(rule)).collect();
        RuleSet(self.rules.write().intern(list.into()))
    }

    /// The text of a name; empty for a number that was never given out.
    #[must_use]
    pub fn get(&self, id: NameId) -> Arc<str> {
        self.names.read().get(id.0).unwrap_or_else(|| "".into())
    }

    /// The name of rule `index` of a list.
    #[must_use]
    pub fn rule(&self, set: RuleSet, index: usize) -> Option<Arc<str>> {
        let rules = self.rules.read().get(set.0)?;
        rules.get(index).map(|id| self.get(*id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_number() {
        let names = Names::default();
        let (a, b) = (names.intern("orders"), names.intern("stock"));
        assert_ne!(a, b);
        assert_eq!(names.intern("orders"), a);
        assert_eq!(&*names.get(b), "stock");
    }

    #[test]
    fn the_empty_name_is_none() {
        let names = Names::default();
        assert!(names.intern("").is_none());
        assert_eq!(&*names.get(NameId::OVERFLOW), "");
    }

    #[test]
    fn rules_are_found_by_their_bit() {
        let names = Names::default();
        let set = names.rule_set(["rate_limit:global", "shed"]);
        assert_eq!(names.rule(set, 1).as_deref(), Some("shed"));
        assert_eq!(names.rule(set, 2), None);
        assert_eq!(names.rule_set(["rate_limit:global", "shed"]), set);
        assert_eq!(names.rule(RuleSet::default(), 0), None);
    }
}
