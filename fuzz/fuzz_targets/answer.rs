//! An upstream's answer reads the same however its bytes are cut, and what is accepted has one end only.
//! The first byte of the input chooses the cuts, and whether HEAD was asked.
#![no_main]
use libfuzzer_sys::fuzz_target;
use outrigger_proxy::hygiene::hop::is_ambiguous;
use outrigger_proxy::pieces::{End, Read, read};

/// A head that is refused may be so only once it is whole: until then it is not looked at again.
fn same(whole: &Read, pieces: &Read) -> bool {
    whole == pieces
        || (whole.end == End::Refused && pieces.end == End::InHead && whole.heads == pieces.heads)
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, wire)) = data.split_first() else { return };
    let (to_head, size) = (choice & 1 == 1, usize::from(choice >> 1) + 1);
    let whole = read(wire, wire.len(), to_head);
    for size in [1, size] {
        let pieces = read(wire, size, to_head);
        assert!(same(&whole, &pieces), "{whole:?}, by {size} {pieces:?}");
    }
    assert!(whole.heads.iter().all(|(_, fields)| !is_ambiguous(fields)));
    assert!(whole.body.len() + whole.left <= wire.len());
    let empty = whole.heads.last().is_some_and(|(status, _)| to_head || matches!(status, 204 | 304));
    assert!(!empty || (whole.body.is_empty() && whole.trailers.is_none()));
});
