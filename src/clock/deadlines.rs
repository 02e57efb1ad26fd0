//! One timer for many waits of the same length.
//!
//! A timer on the background thread wakes that thread when it is started, which takes longer than
//! all else that is done for a request. Most waits end long before their deadline, so here they only
//! have an entry in a list, and one timer waits for the first of the list.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use std::{fmt, mem, process};

use tokio::task::JoinHandle;

use super::{Clock, background};

/// How late a wait may end by a clock that is set while the timer starts to sleep.
const MAX_INACCURACY: Duration = Duration::from_millis(10);

type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Waits that end this long after their start, by the monotonic clock.
#[derive(Clone)]
pub(crate) struct Deadlines {
    shared: Arc<Shared>,
}

/// A wait that was started. Ends early when it is dropped.
pub(crate) struct Deadline {
    shared: Arc<Shared>,
    key: Key,
}

struct Shared {
    clock: Arc<dyn Clock>,
    after: Duration,
    waiting: Mutex<Waiting>,
}

/// The deadline, and a number that tells equal ones apart.
type Key = (Duration, u64);

#[derive(Default)]
struct Waiting {
    wakers: BTreeMap<Key, Waker>,
    started: u64,
    timer: Option<Timer>,
}

/// A task on the background thread.
struct Timer {
    task: JoinHandle<()>,
    /// A fork has this memory and not the thread.
    process: u32,
}

impl Timer {
    fn is_running(&self) -> bool {
        self.process == process::id() && !self.task.is_finished()
    }
}

impl Deadlines {
    pub(crate) fn new(clock: Arc<dyn Clock>, after: Duration) -> Self {
        Self { shared: Arc::new(Shared { clock, after, waiting: Mutex::default() }) }
    }

    /// Returns the same for waits of another length.
    pub(crate) fn with_length(&self, after: Duration) -> Self {
        Self::new(Arc::clone(&self.shared.clock), after)
    }

    /// Returns the same for another clock.
    pub(crate) fn with_clock(&self, clock: Arc<dyn Clock>) -> Self {
        Self::new(clock, self.shared.after)
    }

    /// Starts a wait. The task of this context is woken at the end.
    pub(crate) fn start(&self, context: &Context<'_>) -> Deadline {
        let shared = Arc::clone(&self.shared);
        let end = shared.clock.monotonic().saturating_add(shared.after);
        let mut waiting = shared.lock();
        waiting.started = waiting.started.wrapping_add(1);
        let key = (end, waiting.started);
        // Without a timer the wait is over at once: what it bounds must not wait for ever.
        if shared.has_timer(&mut waiting) {
            waiting.wakers.insert(key, context.waker().clone());
        }
        drop(waiting);
        Deadline { shared, key }
    }
}

impl Deadline {
    /// Returns whether the wait is over.
    pub(crate) fn poll(&mut self, context: &Context<'_>) -> Poll<()> {
        match self.shared.lock().wakers.get_mut(&self.key) {
            Some(waker) => {
                waker.clone_from(context.waker());
                Poll::Pending
            }
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        let waker = self.shared.lock().wakers.remove(&self.key);
        // Its destructor is code of the executor, and must not run while the list is locked.
        drop(waker);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the timer unless it runs. Returns whether it does.
    fn has_timer(self: &Arc<Self>, waiting: &mut Waiting) -> bool {
        if waiting.timer.as_ref().is_some_and(Timer::is_running) {
            return true;
        }
        let task = background::spawn_without_caller(run_timer(Arc::downgrade(self)));
        waiting.timer = task.ok().map(|task| Timer { task, process: process::id() });
        waiting.timer.is_some()
    }

    /// Wakes the tasks whose wait is over. Returns how long the timer sleeps, and `None` if it ends
    /// since nobody waits.
    fn next_sleep(&self) -> Option<Sleep> {
        loop {
            let now = self.clock.monotonic();
            let next = self.wake_until(now)?;
            let sleep = self.clock.sleep(next.saturating_sub(now));
            // A sleep counts from its call. The clock may have been set in between.
            if self.clock.monotonic().saturating_sub(now) < MAX_INACCURACY {
                return Some(sleep);
            }
        }
    }

    /// Wakes the tasks whose wait is over. Returns the next deadline.
    fn wake_until(&self, now: Duration) -> Option<Duration> {
        let mut waiting = self.lock();
        let later = waiting.wakers.split_off(&(now, u64::MAX));
        let over = mem::replace(&mut waiting.wakers, later);
        let next = waiting.wakers.first_key_value().map(|((end, _), _)| *end);
        if next.is_none() {
            waiting.timer = None;
        }
        drop(waiting);
        over.into_values().for_each(Waker::wake);
        next
    }
}

async fn run_timer(shared: Weak<Shared>) {
    while let Some(sleep) = shared.upgrade().and_then(|shared| shared.next_sleep()) {
        sleep.await;
    }
}

impl fmt::Debug for Deadlines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deadlines").field("after", &self.shared.after).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::sync::Notify;

    use super::*;
    use crate::clock::tests::block_on;

    /// A clock that a test sets, and whose sleeps end when the test says so.
    #[derive(Debug, Default)]
    struct TestClock {
        seconds: AtomicU64,
        sleeps: AtomicU64,
        wake: Notify,
    }

    #[derive(Clone, Debug, Default)]
    struct Handle(Arc<TestClock>);

    impl Handle {
        fn wait_for_sleep(&self, nth: u64) {
            while self.0.sleeps.load(Ordering::SeqCst) < nth {
                std::thread::yield_now();
            }
        }

        fn set(&self, seconds: u64) {
            self.0.seconds.store(seconds, Ordering::SeqCst);
            self.0.wake.notify_one();
        }

        /// Sets the time once the timer sleeps for the `nth` time.
        fn set_in_sleep(&self, nth: u64, seconds: u64) {
            self.wait_for_sleep(nth);
            self.set(seconds);
        }
    }

    impl Clock for Handle {
        fn unix_time(&self) -> Duration {
            self.monotonic()
        }

        fn monotonic(&self) -> Duration {
            Duration::from_secs(self.0.seconds.load(Ordering::SeqCst))
        }

        fn sleep(&self, _: Duration) -> Sleep {
            let clock = Arc::clone(&self.0);
            clock.sleeps.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move { clock.wake.notified().await })
        }
    }

    fn deadlines(clock: &Handle) -> Deadlines {
        Deadlines::new(Arc::new(clock.clone()), Duration::from_secs(30))
    }

    fn start(deadlines: &Deadlines) -> Deadline {
        deadlines.start(&Context::from_waker(Waker::noop()))
    }

    fn is_over(deadline: &mut Deadline) -> bool {
        deadline.poll(&Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn each_wait_ends_at_its_own_deadline() {
        let clock = Handle::default();
        let deadlines = deadlines(&clock);
        let (mut first, mut second) = (start(&deadlines), start(&deadlines));
        clock.set_in_sleep(1, 29);
        let mut later = start(&deadlines);
        clock.set_in_sleep(2, 30);
        block_on(poll_fn(|context| first.poll(context)));
        block_on(poll_fn(|context| second.poll(context)));
        assert!(!is_over(&mut later));
        clock.set_in_sleep(3, 59);
        block_on(poll_fn(|context| later.poll(context)));
    }

    #[test]
    fn a_wait_that_is_dropped_leaves_nothing_and_the_timer_ends() {
        let clock = Handle::default();
        let deadlines = deadlines(&clock);
        let wait = start(&deadlines);
        clock.wait_for_sleep(1);
        drop(wait);
        assert!(deadlines.shared.lock().wakers.is_empty());
        let task = deadlines.shared.lock().timer.take().unwrap().task;
        clock.set(0);
        block_on(task).unwrap();
        let mut next = start(&deadlines);
        assert!(!is_over(&mut next));
        clock.set_in_sleep(2, 30);
        block_on(poll_fn(|context| next.poll(context)));
    }

    #[test]
    fn one_timer_serves_all_waits() {
        let clock = Handle::default();
        let deadlines = deadlines(&clock);
        let waits: Vec<_> = (0..1000).map(|_| start(&deadlines)).collect();
        clock.set_in_sleep(1, 1);
        clock.wait_for_sleep(2);
        assert_eq!(deadlines.shared.lock().wakers.len(), waits.len());
    }

    #[test]
    fn a_fork_and_a_timer_that_panicked_start_another_timer() {
        let clock = Handle::default();
        let deadlines = deadlines(&clock);
        let _first = start(&deadlines);
        deadlines.shared.lock().timer.as_mut().unwrap().process = 0;
        let _second = start(&deadlines);
        assert_eq!(deadlines.shared.lock().timer.as_ref().unwrap().process, process::id());

        deadlines.shared.lock().timer.as_ref().unwrap().task.abort();
        while deadlines.shared.lock().timer.as_ref().unwrap().is_running() {
            std::thread::yield_now();
        }
        let _third = start(&deadlines);
        assert!(deadlines.shared.lock().timer.as_ref().unwrap().is_running());
    }

    #[test]
    fn the_timer_ends_with_the_last_who_could_start_a_wait() {
        let clock = Handle::default();
        let deadlines = deadlines(&clock);
        let wait = start(&deadlines);
        let task = deadlines.shared.lock().timer.take().unwrap().task;
        clock.wait_for_sleep(1);
        drop((wait, deadlines));
        clock.set(0);
        block_on(task).unwrap();
    }
}
