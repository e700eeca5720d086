//! From what an operator wrote to filters in a chain.
//!
//! A [`Policy`] is the knobs of one feature as they stand in YAML. It checks itself and builds itself into a
//! chain; building is pure: it spawns nothing, opens nothing, registers nothing that others can see.

use std::hash::RandomState;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::chain::{Chain, Counts, Rule, Slot};
use crate::filter::{Filter, RuleId};
use crate::state::{State, StateKey, StateStore};

/// Whether a policy decides, only counts what it would have decided, or is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Decide.
    #[default]
    Enforce,
    /// Decide on state of its own, count the verdict, let the request pass.
    Shadow,
    /// As if the policy were not written.
    Disabled,
}

impl Mode {
    /// As it is written, and as the `mode` label of metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
            Self::Disabled => "disabled",
        }
    }
}

/// A value that parses but cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Where, from the mapping that holds the policies: `rate_limits[2].burst`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

impl Invalid {
    /// At `path`, relative to whoever is checked; see [`Invalid::under`].
    pub(crate) fn new(path: &str, message: String, hint: String) -> Self {
        Self { path: path.to_owned(), message, hint }
    }

    /// The same, one level up.
    pub(crate) fn under(self, parent: &str) -> Self {
        Self { path: format!("{parent}{}", self.path), ..self }
    }
}

/// The knobs of one feature, as written in YAML.
///
/// Serde says where a mistake of form is; `validate` says where one of meaning is.
pub trait Policy: Clone + PartialEq + Serialize + DeserializeOwned + JsonSchema {
    /// The key in YAML, the `filter` label of metrics, the field in logs.
    const NAME: &'static str;

    /// A sensible use of it; documentation, tests and benches are fed from here.
    fn example() -> Self;

    /// Reports what parses but cannot be meant, with paths relative to the policy: `[2].burst`.
    fn validate(&self, found: &mut Vec<Invalid>);

    /// Mounts the filters that enforce it. Pure, and total: what [`Policy::validate`] would report does not panic
    /// here, but neither is it promised to work.
    fn build(&self, build: &mut Build<'_>);
}

/// Any policy, for the list in [`crate::policies`].
pub(crate) trait AnyPolicy {
    fn name(&self) -> &'static str;
    fn check(&self, found: &mut Vec<Invalid>);
    fn mount(&self, build: &mut Build<'_>);
}

impl<P: Policy> AnyPolicy for P {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn check(&self, found: &mut Vec<Invalid>) {
        self.validate(found);
    }

    fn mount(&self, build: &mut Build<'_>) {
        self.build(build);
    }
}

/// A chain in the making: whose it is, what is remembered, what has been mounted.
pub struct Build<'a> {
    owner: &'a str,
    store: &'a StateStore,
    sequence: u64,
    slots: Vec<Slot>,
    rules: Vec<Rule>,
    mounted: usize,
}

impl<'a> Build<'a> {
    /// An empty chain for `owner`.
    #[must_use]
    pub fn new(owner: &'a str, store: &'a StateStore) -> Self {
        let sequence = store.next_sequence();
        Self { owner, store, sequence, slots: Vec::new(), rules: Vec::new(), mounted: 0 }
    }

    /// Greater than that of any chain built before.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The secret to hash keys with, the same for the life of the process.
    #[must_use]
    pub fn seed(&self) -> RandomState {
        self.store.seed()
    }

    /// Declares a rule of the filter that is mounted next. Its counters are found again by its name.
    pub fn rule(&mut self, filter: &'static str, name: &str, mode: Mode) -> RuleId {
        let workers = self.store.workers();
        let counts = self.state(filter, name, mode, "counts".into(), || Counts::new(workers));
        let id = RuleId(u16::try_from(self.rules.len()).unwrap_or(u16::MAX));
        self.rules.push(Rule::new(filter, name, mode, counts));
        id
    }

    /// The state of a rule: what is remembered under this name and shape, else what `make` makes.
    pub fn state<T: State>(
        &self,
        filter: &'static str,
        name: &str,
        mode: Mode,
        shape: String,
        make: impl FnOnce() -> T,
    ) -> Arc<T> {
        let key = StateKey { owner: self.owner.to_owned(), filter, name: name.to_owned(), mode, shape };
        self.store.adopt(key, make)
    }

    /// Adds a filter behind those before; the rules declared since the last one are its own.
    pub fn mount(&mut self, mode: Mode, filter: Box<dyn Filter>) {
        self.slots.push(Slot::new(filter, mode, self.mounted..self.rules.len()));
        self.mounted = self.rules.len();
    }

    /// The chain.
    #[must_use]
    pub fn finish(self) -> Chain {
        Chain::new(self.slots, self.rules)
    }
}
