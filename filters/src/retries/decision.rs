//! The decision: by what is certain about the attempt, then by time, then by what it costs.

use std::sync::Arc;
use std::time::Duration;

use super::{Attempt, Call, Reason, Retries, Token, delay};
use crate::clock::Nanos;
use crate::outcome::Domain;
use crate::policy::Mode;

/// What to do after an attempt.
#[derive(Debug)]
#[must_use = "a retry that was decided has been paid for"]
pub enum Decision {
    /// Make another attempt.
    Retry {
        /// After this time.
        after: Duration,
        /// The price. Say `spent` when the attempt is sent; drop it if it is not.
        token: Token,
        /// Rather at another endpoint than the one that failed, if there is one.
        elsewhere: bool,
    },
    /// Let what came stand, and why.
    No(Reason),
}

impl Retries {
    /// An attempt ended: is there another? Ask after **every** attempt, well or badly ended, exactly once, as soon as
    /// its head has come or it has failed: the brake is fed from here. `remaining` is what is left of the deadline,
    /// `draw` a random number.
    pub fn decide(
        &self,
        call: &mut Call,
        attempt: &Attempt,
        remaining: Duration,
        now: Nanos,
        draw: u64,
    ) -> Decision {
        if let Some(failed) = attempt.failed() {
            self.ledger.ended(failed, now);
        }
        if self.is_free(call, attempt, remaining) {
            call.freed = true;
            self.counts.unsent();
            let (after, elsewhere) = (Duration::ZERO, !attempt.stale);
            return Decision::Retry { after, token: Token::free(), elsewhere };
        }
        call.attempts = call.attempts.saturating_add(1);
        match self.price(call, attempt, remaining, now, draw) {
            Ok((after, token)) => {
                self.counts.retried();
                Decision::Retry { after, token, elsewhere: true }
            }
            Err(Reason::Unneeded) => {
                if call.attempts > 1 {
                    self.counts.recovered();
                }
                Decision::No(Reason::Unneeded)
            }
            Err(reason) => {
                self.counts.refused(reason);
                Decision::No(reason)
            }
        }
    }

    /// What provably never left costs the dependency nothing: once, at once, somewhere else.
    fn is_free(&self, call: &Call, attempt: &Attempt, remaining: Duration) -> bool {
        let unsent = !attempt.sent && attempt.status.is_none() && attempt.replayable;
        let by_the_way = attempt.outcome.domain() == Domain::Network;
        let another_way = attempt.stale || attempt.elsewhere;
        let in_time = delay::room(attempt, remaining).is_some();
        !call.freed && unsent && by_the_way && another_way && in_time
    }

    fn price(
        &self,
        call: &Call,
        attempt: &Attempt,
        remaining: Duration,
        now: Nanos,
        draw: u64,
    ) -> Result<(Duration, Token), Reason> {
        self.may_retry(call, attempt)?;
        let room = delay::room(attempt, remaining).ok_or(Reason::Deadline)?;
        let wait = delay::wait(&self.knobs, attempt, call.attempts, room, draw);
        let after = wait.ok_or(Reason::Deadline)?;
        let paid = self.ledger.pay(self.knobs.price, now).ok_or(Reason::NoBudget)?;
        let token = Token::paid(Arc::clone(&self.ledger), paid);
        if self.ledger.is_braked(now) && !self.ledger.probe(now) {
            return Err(Reason::Brake);
        }
        if self.knobs.mode == Mode::Shadow {
            token.spent();
            return Err(Reason::Shadow);
        }
        Ok((after, token))
    }

    /// Whether a retry could help and would do no harm, whatever it costs.
    fn may_retry(&self, call: &Call, attempt: &Attempt) -> Result<(), Reason> {
        let named = attempt.condition().is_some_and(|condition| self.knobs.names(condition));
        let verdicts = [
            (!named && attempt.failed() == Some(false), Reason::Unneeded),
            (self.knobs.is_off(), Reason::Off),
            (attempt.no_retry, Reason::Forbidden),
            (!named, Reason::NotEligible),
            (call.is_retry, Reason::LayerAbove),
            (call.attempts >= self.knobs.attempts, Reason::Exhausted),
            (attempt.sent && !call.repeats, Reason::NotIdempotent),
            (!attempt.replayable, Reason::BodyTooLarge),
        ];
        verdicts.into_iter().find_map(|(holds, reason)| holds.then_some(reason)).map_or(Ok(()), Err)
    }
}
