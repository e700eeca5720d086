//! The guard says the same however its bytes are cut, and an independent parser accepts the heads it accepts.
//! The first byte of the input chooses the cuts.
#![no_main]
use libfuzzer_sys::fuzz_target;
use outrigger_proxy::hygiene::guard::{Guard, HeadLimits, Verdict};

const LIMITS: HeadLimits = HeadLimits { max_bytes: 4096, max_headers: 32 };

fn feed(input: &[u8], step: usize) -> (usize, Verdict, u64) {
    let mut guard = Guard::new(LIMITS);
    let (mut released, mut seen, mut verdict) = (0, 0, Verdict::Continue);
    while seen < input.len() {
        seen = (seen + step).min(input.len());
        let inspected = guard.inspect(&input[released..seen]);
        assert!(released + inspected.release <= seen);
        released += inspected.release;
        verdict = inspected.verdict;
    }
    (released, verdict, guard.heads_verified())
}

fuzz_target!(|data: &[u8]| {
    let Some((&step, input)) = data.split_first() else { return };
    let whole = feed(input, input.len().max(1));
    assert_eq!(feed(input, usize::from(step) + 1), whole);
    assert_eq!(feed(input, 1), whole);
    if whole.2 > 0 {
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let head = httparse::Request::new(&mut fields).parse(&input[..whole.0]);
        assert!(matches!(head, Ok(httparse::Status::Complete(_))));
    }
});
