//! Callgrind's counts: which function cost what, and who called the allocator.
//!
//! Reads the "callgrind profile format" as written with `--compress-strings=no --compress-pos=no`: `fn=` names
//! the function that the cost lines below it belong to, `cfn=` and `calls=` a call, whose inclusive cost is the
//! line that follows. Events are instructions (`Ir`) and then, among the events of system time, system calls.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What callgrind is told, beside where its output goes.
pub(crate) const OPTIONS: [&str; 5] =
    ["--tool=callgrind", "--collect-systime=yes", "--compress-strings=no", "--compress-pos=no", "--quiet"];

/// Where valgrind is, by `PATH`.
#[must_use]
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// The counts of one dump.
#[derive(Debug, Default)]
pub struct Profile {
    /// Instructions.
    pub instructions: u64,
    /// Calls of functions that enter the kernel.
    pub syscalls: u64,
    /// Readings of a clock; the kernel is not entered for them, except under valgrind.
    pub clock_reads: u64,
    /// Calls to an allocator from outside it, reallocations included.
    pub allocations: u64,
    /// By function.
    pub functions: HashMap<String, Cost>,
    /// By caller and callee.
    pub edges: HashMap<(String, String), Edge>,
}

/// What one function called another for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Edge {
    /// How often.
    pub calls: u64,
    /// What it cost, with what that called.
    pub instructions: u64,
}

/// The cost of one function.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Instructions of its own.
    pub own: u64,
    /// With what it called. A recursive function counts more than once.
    pub inclusive: u64,
    /// How often it was called.
    pub calls: u64,
    /// How often it called the allocator.
    pub allocations: u64,
    /// Whether it enters the kernel itself.
    enters_kernel: bool,
}

impl Profile {
    /// Reads a dump.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn read(file: &Path) -> std::io::Result<Self> {
        // Names of C++ symbols may hold anything.
        Ok(Self::parse(&String::from_utf8_lossy(&std::fs::read(file)?)))
    }

    fn parse(text: &str) -> Self {
        let mut profile = Self::default();
        let (mut function, mut callee) = ("", "");
        let mut call = false;
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("fn=") {
                function = name;
            } else if let Some(name) = line.strip_prefix("cfn=") {
                callee = name;
            } else if let Some(rest) = line.strip_prefix("calls=") {
                profile.call(function, callee, first_number(rest));
                call = true;
            } else if line.starts_with(|first: char| first.is_ascii_digit()) {
                let cost = Self::numbers(line);
                match std::mem::take(&mut call) {
                    true => profile.called(function, callee, cost),
                    false => profile.spent(function, cost),
                }
            }
        }
        profile.count_kernel();
        profile
    }

    fn call(&mut self, caller: &str, callee: &str, calls: u64) {
        self.of(callee).calls += calls;
        self.edge(caller, callee).calls += calls;
        if allocates(callee) && !is_allocator(caller) {
            self.of(caller).allocations += calls;
            self.allocations += calls;
        }
    }

    /// A line of position, instructions, system calls; zeros at the end are left out.
    fn numbers(line: &str) -> (u64, u64) {
        let mut fields = line.split(' ').skip(1).map(first_number);
        (fields.next().unwrap_or(0), fields.next().unwrap_or(0))
    }

    fn called(&mut self, caller: &str, callee: &str, (instructions, _): (u64, u64)) {
        self.of(caller).inclusive += instructions;
        self.edge(caller, callee).instructions += instructions;
    }

    fn spent(&mut self, function: &str, (instructions, syscalls): (u64, u64)) {
        let cost = self.of(function);
        cost.own += instructions;
        cost.inclusive += instructions;
        cost.enters_kernel |= syscalls > 0;
        self.instructions += instructions;
    }

    fn edge(&mut self, caller: &str, callee: &str) -> &mut Edge {
        self.edges.entry((caller.to_owned(), callee.to_owned())).or_default()
    }

    /// By calls: callgrind counts a system call again when a signal or another thread comes in between.
    fn count_kernel(&mut self) {
        for (function, cost) in self.functions.iter().filter(|(_, cost)| cost.enters_kernel) {
            match function.contains("clock_gettime") || function.contains("gettimeofday") {
                true => self.clock_reads += cost.calls,
                false => self.syscalls += cost.calls,
            }
        }
    }

    fn of(&mut self, function: &str) -> &mut Cost {
        self.functions.entry(function.to_owned()).or_default()
    }
}

/// A call of it, seen from outside the allocator, is one allocation.
fn allocates(function: &str) -> bool {
    const NAMES: [&str; 6] = ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc", "memalign"];
    let name = without_cycle(function);
    NAMES.contains(&name) || (is_mimalloc(name) && name.contains("alloc"))
}

fn is_allocator(function: &str) -> bool {
    let name = without_cycle(function);
    is_mimalloc(name) || allocates(name) || name.starts_with("_int_")
}

fn is_mimalloc(name: &str) -> bool {
    name.trim_start_matches('_').starts_with("mi_")
}

/// Callgrind numbers the depths of a recursion: `name'2`.
fn without_cycle(function: &str) -> &str {
    function.split('\'').next().unwrap_or(function)
}

fn first_number(text: &str) -> u64 {
    let digits = text.split(' ').next().unwrap_or_default();
    digits.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "\
events: Ir sysCount sysTime
summary: 402173 328 1874

fl=a.rs
fn=serve
10 100
12 5 1 400
cfn=mi_malloc
calls=3 0
12 60
cfn=work
calls=2 7
13 50 2 100

fn=work
7 30
8 10
cfn=clock_gettime
calls=2 0
9 0 2
cfn=recv
calls=1 0
9 10 2

fn=clock_gettime
0 0 2

fn=recv
0 10 2

fn=mi_malloc
0 30
cfn=_mi_malloc_generic
calls=1 0
0 30

fn=_mi_malloc_generic
0 30

totals: 215 3
";

    #[test]
    fn own_costs_add_up_to_the_whole() {
        let profile = Profile::parse(DUMP);
        assert_eq!(profile.instructions, 215);
        assert_eq!(profile.functions.values().map(|cost| cost.own).sum::<u64>(), 215);
    }

    #[test]
    fn system_calls_are_told_from_looks_at_the_clock() {
        let profile = Profile::parse(DUMP);
        assert_eq!((profile.syscalls, profile.clock_reads), (1, 2));
    }

    #[test]
    fn calls_count_for_the_caller_as_a_whole_only() {
        let serve = Profile::parse(DUMP).functions["serve"];
        assert_eq!((serve.own, serve.inclusive), (105, 215));
    }

    #[test]
    fn counts_allocations_where_the_allocator_is_entered() {
        let profile = Profile::parse(DUMP);
        assert_eq!(profile.allocations, 3);
        assert_eq!(profile.functions["serve"].allocations, 3);
        assert_eq!(profile.functions["work"].calls, 2);
    }
}
