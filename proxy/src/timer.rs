//! Timers that cost almost nothing until they matter.
//!
//! Every exchange has deadlines and almost none is ever reached. Registering a timer with the runtime takes a
//! lock and a slot in its wheel, so each worker keeps registered timers and lends them: a borrowed timer that
//! would fire too early is left alone and set again only when it does fire. One request then costs a push, a
//! pop and one poll; the wheel is touched about once per timeout period.

use std::cell::RefCell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use outrigger_filters::clock::{Clock, Nanos, SystemClock};
use tokio::task::coop::unconstrained;
use tokio::time::Sleep;

/// Idle timers kept by a worker; more than this and they are dropped.
const KEPT: usize = 1024;

/// One worker's timers.
#[derive(Debug)]
pub(crate) struct Timers {
    idle: RefCell<Vec<Pin<Box<Sleep>>>>,
    clock: SystemClock,
}

impl Timers {
    pub(crate) fn new(clock: SystemClock) -> Rc<Self> {
        Rc::new(Self { idle: RefCell::new(Vec::new()), clock })
    }

    /// A timer that is not yet set.
    pub(crate) fn timer(self: &Rc<Self>) -> Timer {
        Timer { alarm: Alarm::default(), home: Rc::clone(self) }
    }
}

/// A timer on loan. Belongs to one task.
#[derive(Debug)]
pub(crate) struct Timer {
    alarm: Alarm,
    home: Rc<Timers>,
}

impl Timer {
    /// Ready once `at` has come; otherwise the task is woken then, or earlier.
    pub(crate) fn poll_at(&mut self, cx: &mut Context<'_>, at: Nanos) -> Poll<()> {
        if self.alarm.sleep.is_none() {
            self.alarm.sleep = self.home.idle.borrow_mut().pop();
        }
        self.alarm.poll_at(cx, &self.home.clock, at)
    }

    /// Whether it has been asked for anything yet.
    pub(crate) const fn is_set(&self) -> bool {
        self.alarm.sleep.is_some()
    }

    /// Waits until `at`.
    pub(crate) async fn until(&mut self, at: Nanos) {
        std::future::poll_fn(|cx| self.poll_at(cx, at)).await;
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let Some(sleep) = self.alarm.sleep.take() else { return };
        let mut idle = self.home.idle.borrow_mut();
        if idle.len() < KEPT {
            idle.push(sleep);
        }
    }
}

/// A timer that is made when it is first polled.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    /// The task waits for it: it need not be polled before it fires.
    waiting: bool,
}

impl Alarm {
    /// Ready once `at` has come; otherwise the task is woken then, or earlier.
    pub(crate) fn poll_at(&mut self, cx: &mut Context<'_>, clock: &SystemClock, at: Nanos) -> Poll<()> {
        let deadline = tokio::time::Instant::from_std(clock.instant(at));
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        } else if self.waiting && !sleep.is_elapsed() {
            return Poll::Pending;
        }
        self.waiting = true;
        loop {
            // Whatever the task's budget: a timer that says `Pending` for want of it was never set, and is not asked again.
            ready!(pin!(unconstrained(sleep.as_mut())).poll(cx));
            if clock.now() >= at {
                self.waiting = false;
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}
