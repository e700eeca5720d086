//! Every code a problem can carry. A code keeps its meaning for ever; new meanings get new codes.

use std::fmt;

/// A stable name for one kind of problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(&'static Entry);

/// What a code says.
#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Entry {
    name: &'static str,
    about: &'static str,
}

impl Code {
    /// `E0202`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0.name
    }

    /// One line for people who look the code up.
    #[must_use]
    pub const fn about(self) -> &'static str {
        self.0.about
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $constant:ident = $name:literal, $about:literal;)*) => {
        $(#[doc = $about] pub const $constant: Code = Code(&Entry { name: $name, about: $about });)*
        /// All of them, in order.
        pub const ALL: &[Code] = &[$($constant),*];
    };
}

codes! {
    SYNTAX = "E0101", "The text is not YAML.";
    BLANK = "E0102", "The document holds nothing, as a truncated file would.";
    SECOND_DOCUMENT = "E0103", "The file holds more than one YAML document.";
    TOO_LARGE = "E0104", "The document has more than 4 MiB.";
    TOO_DEEP = "E0105", "Lists and mappings are nested more than 64 deep.";
    ALIAS = "E0106", "Anchors, aliases, merge keys and tags are not read.";
    DUPLICATE_KEY = "E0107", "A mapping has the same key twice.";
    KEY = "E0108", "A key of a mapping is not text.";
    NOT_TEXT = "E0109", "The file is not UTF-8 text.";
    TOO_MANY_VALUES = "E0110", "The document has more than 500,000 values.";
    NO_FILES = "E0111", "The directory holds no *.yaml or *.yml file.";
    NOT_APPLICABLE = "E0112", "The policy holds, but cannot be put in force here: a file or port it names is not to be had.";
    WRONG_TYPE = "E0201", "A value has the wrong type: a list where a mapping is read, and so on.";
    UNKNOWN_KEY = "E0202", "A key the language does not have.";
    MISSING_KEY = "E0203", "A key that must be there is not.";
    UNKNOWN_VALUE = "E0204", "A word that is not one of those accepted.";
    BAD_VALUE = "E0205", "A value that cannot be read: a quantity without its unit, a number out of range.";
    GIVEN_TWICE = "E0206", "Two files of a directory give the same thing.";
    NO_VALUE = "E0207", "A key without a value.";
    TOO_MANY_PROBLEMS = "E0299", "There are more problems than are shown.";
    VERSION = "E0301", "The version of the language is not one this build reads.";
    NAME = "E0302", "A name has characters that names may not have, or is too long.";
    NAME_TAKEN = "E0303", "Two things of a kind have the same name.";
    DEFAULT_ROUTE = "E0304", "The route `default` must match everything.";
    UNREACHABLE_ROUTE = "E0305", "A route matches exactly what an earlier one does, so nothing reaches it.";
    APP = "E0306", "The address of the app is not one of http, h2c, https or unix.";
    ADDRESS = "E0307", "An address is not an IP address and a port, or a Unix socket.";
    ADDRESS_TAKEN = "E0308", "Two things listen on the same address, or an endpoint is written twice.";
    ENDPOINTS = "E0309", "A dependency needs either `endpoints` or `discover`.";
    UNREACHED = "E0310", "Nothing leads to a dependency: it has neither `hosts` nor `listen`.";
    HOST = "E0311", "A host is not a name, an IP address or `*.` and a suffix.";
    HOST_TAKEN = "E0312", "Two dependencies have the same host.";
    TLS = "E0313", "The TLS settings do not fit together.";
    PROTOCOL = "E0314", "The protocol does not fit how the upstream is reached.";
    PATH = "E0315", "A path that no request can have once it has passed the parser.";
    MATCH = "E0316", "The conditions of a match do not fit together.";
    REGEX = "E0317", "A regular expression is not valid, or costs too much.";
    METHOD = "E0318", "Not a method a route can match.";
    FIELD = "E0319", "Not a header or query parameter a route can match.";
    TIMEOUT = "E0320", "A timeout of zero, or one that contradicts another.";
    RANGE = "E0321", "A number is outside the range accepted.";
    PATH_PARAM = "E0322", "A key part names a capture that the path of the route does not have.";
    FILTER = "E0323", "A filter's settings contradict each other.";
    PORT_OPEN = "E0324", "A listener without authentication would be open to the network.";
    NETWORK = "E0325", "Not an IP network such as 10.0.0.0/8.";
    NOT_BUILT = "E0401", "A part of the language that is not in this version.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_unique_explained_and_in_order() {
        for pair in ALL.windows(2) {
            assert!(pair[0].name() < pair[1].name(), "{} before {}", pair[0], pair[1]);
        }
        for code in ALL {
            assert!(code.name().len() == 5 && code.about().ends_with('.') && !code.about().contains('\n'));
        }
    }
}
