//! Timers that cost almost nothing until they matter.
//!
//! Every exchange has deadlines and almost none is ever reached. Registering a timer with the runtime takes a
//! lock and a slot in its wheel, so each worker keeps registered timers and lends them: a borrowed timer that
//! would fire too early is left alone and set again only when it does fire. One request then costs a push, a
//! pop and one poll; the wheel is touched about once per timeout period.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use outrigger_filters::clock::{Clock, Nanos, SystemClock};
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
        if self.alarm.0.is_none() {
            self.alarm.0 = self.home.idle.borrow_mut().pop();
        }
        self.alarm.poll_at(cx, &self.home.clock, at)
    }

    /// Whether it has been asked for anything yet.
    pub(crate) const fn is_set(&self) -> bool {
        self.alarm.0.is_some()
    }

    /// Waits until `at`.
    pub(crate) async fn until(&mut self, at: Nanos) {
        std::future::poll_fn(|cx| self.poll_at(cx, at)).await;
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let Some(sleep) = self.alarm.0.take() else { return };
        let mut idle = self.home.idle.borrow_mut();
        if idle.len() < KEPT {
            idle.push(sleep);
        }
    }
}

/// A timer that is made when it is first polled.
#[derive(Debug, Default)]
pub(crate) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Ready once `at` has come; otherwise the task is woken then, or earlier.
    pub(crate) fn poll_at(&mut self, cx: &mut Context<'_>, clock: &SystemClock, at: Nanos) -> Poll<()> {
        let deadline = tokio::time::Instant::from_std(clock.instant(at));
        let sleep = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if clock.now() >= at {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}
