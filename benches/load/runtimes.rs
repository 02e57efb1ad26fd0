//! Runtimes with one thread that share the verifier of the server, and end in the middle of its
//! calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;

use clerk_mcp_tools::{ClerkVerifier, verify_clerk_token};

/// The threads, each with one runtime after another.
const THREADS: u64 = 2;
/// The calls that each runtime begins. Few enough to leave the connections to the clients.
const CALLS: usize = 4;
/// The lifetime of a runtime, which ends before most of its calls.
const LIFETIME: Duration = Duration::from_millis(20);

pub(crate) struct Runtimes {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    ended: Arc<AtomicU64>,
}

impl Runtimes {
    pub(crate) fn start(verifier: &ClerkVerifier) -> Self {
        let (stop, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let thread = |number| {
            let (stop, ended, verifier) = (Arc::clone(&stop), Arc::clone(&ended), verifier.clone());
            std::thread::spawn(move || {
                for round in 0_u64.. {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    begin_calls(&verifier, &format!("{number}_{round}"));
                    ended.fetch_add(1, Ordering::SeqCst);
                }
            })
        };
        let threads = (0..THREADS).map(thread).collect();
        Self { stop, threads, ended }
    }

    /// Returns the number of runtimes that have ended.
    pub(crate) fn finish(self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().expect("a call must not panic when its runtime ends");
        }
        self.ended.load(Ordering::SeqCst)
    }
}

/// Begins calls about tokens that nobody else presents. Every second runtime has neither timers nor
/// I/O, and none is driven any more once it has begun its calls.
fn begin_calls(verifier: &ClerkVerifier, name: &str) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    if name.ends_with(['0', '2', '4', '6', '8']) {
        builder.enable_all();
    }
    let runtime = builder.build().unwrap();
    for n in 0..CALLS {
        let (verifier, token) = (verifier.clone(), format!("oat_runtime_{name}_{n}"));
        runtime.spawn(async move { verify_clerk_token(&verifier, &token).await });
    }
    // Polls each call once.
    runtime.block_on(async {
        let mut polls = 0;
        std::future::poll_fn(|context| {
            polls += 1;
            context.waker().wake_by_ref();
            if polls > 2 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    });
    std::thread::sleep(LIFETIME);
}
