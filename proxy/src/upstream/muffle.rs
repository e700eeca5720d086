//! A waker that knows when its task is awake anyway.
//!
//! An HTTP/1.1 connection is driven by the task that waits for its answer, so most of what hyper wakes it for
//! (a head handed over, a body wanted) happens while that very task is polling it. Each such call would have
//! the task run once more, for nothing. While muffled, this waker only takes a note.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use parking_lot::Mutex;

/// Wakes a task that may change, unless that task is at work.
#[derive(Debug)]
pub(crate) struct Muffled {
    shared: Arc<Muffle>,
    /// Made once: cloning it costs more than comparing it.
    waker: Waker,
}

#[derive(Debug)]
struct Muffle {
    task: Mutex<Waker>,
    muffled: AtomicBool,
    called: AtomicBool,
}

impl Muffled {
    pub(crate) fn new() -> Self {
        let shared = Arc::new(Muffle {
            task: Mutex::new(Waker::noop().clone()),
            muffled: AtomicBool::new(false),
            called: AtomicBool::new(false),
        });
        Self { waker: Waker::from(Arc::clone(&shared)), shared }
    }

    /// Runs `work` with a context whose waker calls for the task of `task`, but not while `work` runs. True if it
    /// was called meanwhile: there may be more to do at once.
    pub(crate) fn run<T>(&self, task: &Context<'_>, work: impl FnOnce(&mut Context<'_>) -> T) -> (T, bool) {
        {
            let mut known = self.shared.task.lock();
            if !known.will_wake(task.waker()) {
                known.clone_from(task.waker());
            }
        }
        // One thread both works and is called; the order of these matters to nobody else.
        self.shared.called.store(false, Ordering::Relaxed);
        self.shared.muffled.store(true, Ordering::Release);
        let done = work(&mut Context::from_waker(&self.waker));
        self.shared.muffled.store(false, Ordering::Release);
        (done, self.shared.called.load(Ordering::Relaxed))
    }
}

impl Wake for Muffle {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.muffled.load(Ordering::Acquire) {
            self.called.store(true, Ordering::Relaxed);
        } else {
            self.task.lock().wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn is_quiet_while_its_task_works_and_wakes_it_otherwise() {
        let count = Arc::new(Count::default());
        let task = Waker::from(Arc::clone(&count));
        let muffled = Muffled::new();
        let (waker, called) = muffled.run(&Context::from_waker(&task), |cx| {
            cx.waker().wake_by_ref();
            cx.waker().clone()
        });
        assert!(called && count.0.load(Ordering::Relaxed) == 0);
        waker.wake();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(!muffled.run(&Context::from_waker(&task), |_| ()).1);
    }
}
