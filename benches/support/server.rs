//! An HTTP server on the loopback interface.

use std::convert::Infallible;
use std::fs;
use std::future::{Future, pending};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::task::JoinHandle;
use tower::Service;

use super::measure::median;
use super::table::print_row;

/// Serves on a free port. Aborting the returned task stops accepting connections; open ones
/// continue.
pub(crate) async fn serve<S, B>(service: S) -> (u16, JoinHandle<()>)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: http_body::Body<Data = bytes::Bytes, Error: std::error::Error + Send + Sync>
        + Send
        + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let accepting = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    (port, accepting)
}

/// A server on a thread of its own.
pub(crate) struct ServerThread {
    pub(crate) port: u16,
    /// Where Linux says how long the thread has run.
    statistics: Option<PathBuf>,
}

impl ServerThread {
    /// Starts a server by a future that returns its port.
    pub(crate) fn start<F>(start: impl FnOnce() -> F + Send + 'static) -> Self
    where
        F: Future<Output = u16>,
    {
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let port = start().await;
                let thread = fs::read_link("/proc/thread-self").ok();
                let statistics = thread.map(|thread| PathBuf::from("/proc").join(thread));
                let statistics = statistics.map(|thread| thread.join("schedstat"));
                sender.send(Self { port, statistics }).unwrap();
                pending::<()>().await;
            });
        });
        receiver.recv().unwrap()
    }

    /// Returns the processor time that the thread has used. `None` if the system does not say.
    pub(crate) fn processor_time(&self) -> Option<Duration> {
        let statistics = fs::read_to_string(self.statistics.as_ref()?).ok()?;
        let nanoseconds = statistics.split(' ').next()?.parse().ok()?;
        Some(Duration::from_nanos(nanoseconds))
    }
}

/// What a server did in one round.
pub(crate) struct Round {
    pub(crate) per_second: f64,
    /// The processor time of the server, in nanoseconds for each response.
    pub(crate) cost: Option<f64>,
}

impl Round {
    pub(crate) fn new(responses: u64, took: Duration, processor_time: Option<Duration>) -> Self {
        let responses = responses as f64;
        Self {
            per_second: responses / took.as_secs_f64(),
            cost: processor_time.map(|time| time.as_nanos() as f64 / responses),
        }
    }

    /// Returns the medians of the rates and of the processor times.
    pub(crate) fn medians(rounds: &[Self]) -> (f64, Option<f64>) {
        let costs: Option<Vec<_>> = rounds.iter().map(|round| round.cost).collect();
        (median(rounds.iter().map(|round| round.per_second).collect()), costs.map(median))
    }
}

/// Prints the row of a guarded server beside the unguarded one. If the processor time of the server is
/// known, that is compared: clients on the same machine change the number of requests per second as
/// much as the server does.
pub(crate) fn print_guarded(case: &str, unguarded: &[Round], guarded: &[Round], goal: f64) {
    let ((before, cost_before), (after, cost)) =
        (Round::medians(unguarded), Round::medians(guarded));
    let rates = format!("{after:.0} of {before:.0} requests/s");
    let (percent, measured) = match (cost_before, cost) {
        (Some(before), Some(after)) => {
            let percent = 100.0 * before / after;
            let text = format!("{rates}; {after:.0} ns of the processor, before {before:.0} ns");
            (percent, text)
        }
        _ => (100.0 * after / before, rates),
    };
    let goal_text = format!("at least {goal} %");
    print_row(case, &format!("{measured}, {percent:.1} %"), &goal_text, percent >= goal);
}
