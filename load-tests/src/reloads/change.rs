//! One change of the policy file: what is written, how, and what must come of it.

use std::net::SocketAddr;
use std::path::Path;

/// The rate of change 0; no other number in a policy is as large, so a rate names its change.
const RATE: u32 = 7_000_000;

/// A policy document, the number-th of its kind.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    number: u32,
    pub(crate) text: String,
    /// The line of the mistake in a bad one.
    pub(crate) bad_line: Option<u64>,
}

impl Change {
    /// Every tenth is bad, each time in another way and on another line.
    pub(crate) fn new(number: u32, app: SocketAddr) -> Self {
        let rate = RATE + number;
        let mut text = format!("version: 1\nservice: load-test\n# change {number}\n");
        // Comments move the mistake, so that an old rejection is not taken for the new one.
        (0..number / 10 % 40).for_each(|_| text.push_str("# …\n"));
        text.push_str(&format!(
            "inbound:\n  app: http://{app}\n  routes:\n    - name: all\n      match: {{ path_prefix: / }}\n      \
             timeouts: {{ total: {}s }}\n      rate_limits:\n        \
             - {{ name: global, rate: {rate}/s, burst: {rate} }}\n        \
             - {{ name: per-client, rate: {rate}/s, burst: {rate}, key: [client_ip] }}\n",
            5 + number % 10
        ));
        let bad = number > 0 && number.is_multiple_of(10);
        let bad_line = bad.then(|| text.lines().count() as u64 + 1);
        if bad {
            text.push_str(match number / 10 % 4 {
                0 => "        - { name: third, raet: 5/s }\n",
                1 => "        - { name: third, rate: 5 parsecs }\n",
                2 => "        - { name: third, rate: [unclosed }\n",
                _ => "      retires: { attempts: 3 }\n",
            });
        }
        Self { number, text, bad_line }
    }

    /// Text that the effective policy holds once this change is in force, and no other.
    pub(crate) fn marker(&self) -> String {
        (RATE + self.number).to_string()
    }

    /// Writes the file as editors do: half of the changes in place, half beside it and renamed over it.
    pub(crate) fn write(&self, file: &Path) -> std::io::Result<()> {
        // By tens too, so that the bad ones, all even, are written both ways.
        if self.number / 10 % 2 == self.number % 2 {
            return std::fs::write(file, &self.text);
        }
        let beside = file.with_extension("yaml~");
        std::fs::write(&beside, &self.text)?;
        std::fs::rename(&beside, file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(number: u32) -> Change {
        Change::new(number, SocketAddr::from(([127, 0, 0, 1], 8080)))
    }

    #[test]
    fn a_tenth_is_bad_but_never_the_first() {
        let bad = (0..1000).filter(|number| change(*number).bad_line.is_some()).count();
        assert_eq!(bad, 99);
        assert_eq!(change(0).bad_line, None);
    }

    #[test]
    fn the_mistake_is_on_the_line_it_says_and_moves() {
        let (one, next) = (change(10), change(20));
        let line = usize::try_from(one.bad_line.unwrap()).unwrap();
        assert!(one.text.lines().nth(line - 1).unwrap().contains("parsecs"));
        assert_ne!(one.bad_line, next.bad_line);
    }

    #[test]
    fn both_ways_of_writing_leave_the_text() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("policy.yaml");
        for number in [0, 1, 10, 11, 20, 30] {
            change(number).write(&file).unwrap();
            assert_eq!(std::fs::read_to_string(&file).unwrap(), change(number).text);
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
