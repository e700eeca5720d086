//! What a retry was paid with.

use std::fmt;
use std::sync::Arc;

use super::ledger::{Ledger, Paid};

/// The price of one retry, taken when it was decided. Say [`Token::spent`] when the retry is sent; dropped before, it
/// is paid back.
#[must_use = "dropping it pays the retry back"]
pub struct Token(Option<(Arc<Ledger>, Paid)>);

impl Token {
    /// For a retry that costs nothing.
    pub(super) const fn free() -> Self {
        Self(None)
    }

    pub(super) const fn paid(ledger: Arc<Ledger>, paid: Paid) -> Self {
        Self(Some((ledger, paid)))
    }

    /// The retry is being sent: the price stays paid.
    pub fn spent(mut self) {
        if let Some((ledger, paid)) = self.0.take() {
            ledger.keep(paid);
        }
    }

    /// Whether the retry costs nothing.
    #[must_use]
    pub const fn is_free(&self) -> bool {
        self.0.is_none()
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        if let Some((ledger, paid)) = self.0.take() {
            ledger.pay_back(paid);
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_free() { "Token(free)" } else { "Token(paid)" })
    }
}
