//! The crate's own runtime: one background thread, which runs calls and their timers.
//!
//! A caller may be on any executor: on a runtime that is busy, is not driven or is dropped, on one
//! without timers or I/O, or on none. Work that several callers share must not depend on any of
//! these, and a timer that bounds a wait must not either.

use std::future::Future;
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;
use std::{io, process, thread};

use tokio::runtime::{Builder, Handle};
use tokio::task::JoinHandle;
use tracing::dispatcher;
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;

const THREAD_NAME: &str = "clerk-mcp-tools";
/// Threads that look up the names of hosts. A look-up can block for half a minute.
const MAX_LOOKUP_THREADS: usize = 16;

static BACKGROUND: Background = Background::new();

/// Why a task has no output.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackgroundError {
    #[error("the background thread cannot be started")]
    NotStarted(#[from] io::Error),
    #[error("the task panicked")]
    Stopped,
}

/// Starts a task on the background thread. It runs to its end, whether its handle is kept or not.
///
/// Its log events have the subscriber of the caller, and not its span: a connection that the task opens
/// would keep the span open for as long as the connection is.
pub(crate) fn spawn<F>(future: F) -> Result<JoinHandle<F::Output>, BackgroundError>
where
    F: Future<Output: Send> + Send + 'static,
{
    // `NoSubscriber` is not passed on: while it is set, the macros of `tracing` do not fall back on
    // `log`.
    let has_subscriber = dispatcher::get_default(|current| !current.is::<NoSubscriber>());
    if has_subscriber {
        spawn_without_caller(future.with_current_subscriber())
    } else {
        spawn_without_caller(future)
    }
}

/// Starts a task that outlives who started it, and whose log events belong to nobody.
pub(super) fn spawn_without_caller<F>(future: F) -> Result<JoinHandle<F::Output>, BackgroundError>
where
    F: Future<Output: Send> + Send + 'static,
{
    Ok(BACKGROUND.handle(process::id())?.spawn(future))
}

/// Runs a future on the background thread, for a caller on any executor. It is stopped when the
/// caller is dropped.
pub(crate) async fn run<F>(future: F) -> Result<F::Output, BackgroundError>
where
    F: Future<Output: Send> + Send + 'static,
{
    let mut task = AbortOnDrop::new(spawn(future)?);
    (&mut task.0).await.map_err(|_| BackgroundError::Stopped)
}

/// Waits. The time counts from the call, and not from the first poll. Ends at once if the
/// background thread cannot be started: what it bounds must not wait for ever.
pub(crate) fn sleep(duration: Duration) -> impl Future<Output = ()> + Send + 'static {
    let timer = BACKGROUND.handle(process::id()).map(|runtime| {
        let _entered = runtime.enter();
        tokio::time::sleep(duration)
    });
    async {
        if let Ok(timer) = timer {
            timer.await;
        }
    }
}

/// Stops a task when it is dropped.
pub(crate) struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> AbortOnDrop<T> {
    pub(crate) fn new(task: JoinHandle<T>) -> Self {
        Self(task)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The thread, started when it is needed.
struct Background(Mutex<Option<Running>>);

struct Running {
    runtime: Handle,
    thread: thread::JoinHandle<()>,
    /// A fork has this memory and not the thread.
    process: u32,
}

impl Background {
    const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Returns the runtime of this process. A failed start is tried again by the next caller.
    fn handle(&self, process: u32) -> io::Result<Handle> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = running.as_ref().filter(|running| running.is_usable(process)) {
            return Ok(running.runtime.clone());
        }
        let started = Running::start(process)?;
        Ok(running.insert(started).runtime.clone())
    }
}

impl Running {
    fn start(process: u32) -> io::Result<Self> {
        let (sender, receiver) = mpsc::sync_channel(1);
        // The runtime is built and dropped on its own thread: to drop one inside another panics.
        let thread = thread::Builder::new().name(THREAD_NAME.to_owned()).spawn(move || {
            match Builder::new_current_thread()
                .enable_all()
                .thread_name(THREAD_NAME)
                .max_blocking_threads(MAX_LOOKUP_THREADS)
                .build()
            {
                Ok(runtime) => {
                    let _ = sender.send(Ok(runtime.handle().clone()));
                    runtime.block_on(std::future::pending::<()>());
                }
                Err(error) => {
                    let _ = sender.send(Err(error));
                }
            }
        })?;
        let runtime = receiver.recv().map_err(io::Error::other)??;
        Ok(Self { runtime, thread, process })
    }

    fn is_usable(&self, process: u32) -> bool {
        self.process == process && !self.thread.is_finished()
    }
}

#[cfg(test)]
mod tests {
    use std::thread::ThreadId;

    use super::*;
    use crate::clock::tests::block_on;

    async fn thread_id() -> ThreadId {
        thread::current().id()
    }

    #[test]
    fn tasks_and_timers_need_no_runtime_of_the_caller() {
        block_on(async {
            let first = run(thread_id()).await.unwrap();
            assert_ne!(first, thread::current().id());
            assert_eq!(run(thread_id()).await.unwrap(), first, "one thread for all");
            sleep(Duration::from_nanos(1)).await;
            let timer = async { tokio::time::sleep(Duration::from_nanos(1)).await };
            assert!(run(timer).await.is_ok());
            let socket = async { tokio::net::TcpListener::bind("127.0.0.1:0").await.is_ok() };
            assert!(run(socket).await.unwrap());
        });
    }

    #[test]
    fn a_task_that_panics_stops_only_itself() {
        block_on(async {
            let before = run(thread_id()).await.unwrap();
            let outcome = run(async { panic!("a panic that a test expects") }).await;
            assert!(matches!(outcome, Err(BackgroundError::Stopped)));
            assert_eq!(run(thread_id()).await.unwrap(), before);
        });
    }

    #[test]
    fn a_task_is_stopped_when_its_caller_is_dropped() {
        let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
        let mut caller = Box::pin(run(async move {
            let _dropped_at_the_end = sender;
            std::future::pending::<()>().await;
        }));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(caller.as_mut().poll(&mut context).is_pending());
        drop(caller);
        assert!(block_on(receiver).is_err());
    }

    #[test]
    fn another_process_starts_a_thread_of_its_own() {
        let background = Background::new();
        let thread_in = |process| {
            let runtime = background.handle(process).unwrap();
            block_on(runtime.spawn(thread_id())).unwrap()
        };
        let parent = thread_in(1);
        assert_eq!(thread_in(1), parent);
        assert_ne!(thread_in(2), parent);
    }

    #[test]
    fn the_thread_has_a_name() {
        let name = async { thread::current().name().map(str::to_owned) };
        assert_eq!(block_on(run(name)).unwrap().as_deref(), Some(THREAD_NAME));
    }
}
