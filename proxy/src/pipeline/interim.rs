//! Answers before the answer: 1xx, such as 103 with hints what to load (RFC 8297), on their way to the client.
//!
//! hyper's server has no way to send them, so they go past it: the layer that writes its bytes writes these while
//! nothing of an answer is on its way. That is only so on HTTP/1.1; on HTTP/2, and where earlier bytes still wait for the
//! client, an interim answer is passed over. 100 never passes: `Expect` is answered here.

use http::{Response, StatusCode};

use super::exchange::Exchange;
use crate::hygiene::hop;
use crate::telemetry::Proto;

impl Exchange {
    /// Passes on the interim head that has come.
    pub(super) fn pass_interim(&mut self) {
        let mut head = std::mem::take(&mut self.response);
        if head.status() != StatusCode::CONTINUE && self.record.proto == Proto::H11 {
            hop::strip_response(head.headers_mut(), false);
            self.connection.signals.say_first(&text(&head));
        }
    }
}

fn text(head: &Response<()>) -> Vec<u8> {
    let status = head.status();
    let reason = status.canonical_reason().unwrap_or_default();
    let mut text = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).into_bytes();
    for (name, value) in head.headers() {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            text.extend_from_slice(part);
        }
    }
    text.extend_from_slice(b"\r\n");
    text
}
