//! Measures the time of code paths in interleaved rounds.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::util::ServiceFn;

pub(crate) type EmptyService = ServiceFn<fn(Request<Full<Bytes>>) -> EmptyFuture>;
type EmptyFuture = Ready<Result<Response<Full<Bytes>>, Infallible>>;

/// A service that responds immediately with an empty body.
pub(crate) fn empty_service() -> EmptyService {
    tower::service_fn(empty_response as fn(Request<Full<Bytes>>) -> EmptyFuture)
}

fn empty_response(_: Request<Full<Bytes>>) -> EmptyFuture {
    ready(Ok(Response::new(Full::default())))
}

/// Returns the output of a future that is ready at its first poll.
pub(crate) fn poll_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the measured path is pending"),
    }
}

/// A measured path, and its number of iterations per round.
pub(crate) struct Case<'a> {
    prepare: Box<dyn FnMut() + 'a>,
    run: Box<dyn FnMut(usize) + 'a>,
    iterations: usize,
}

impl<'a> Case<'a> {
    /// `run` gets the number of the iteration.
    pub(crate) fn new(iterations: usize, run: impl FnMut(usize) + 'a) -> Self {
        Self { prepare: Box::new(|| ()), run: Box::new(run), iterations }
    }

    /// Sets what is done before each round, without being measured.
    pub(crate) fn prepare(self, prepare: impl FnMut() + 'a) -> Self {
        Self { prepare: Box::new(prepare), ..self }
    }
}

/// Returns the median time of one iteration of each case, in nanoseconds.
pub(crate) fn measure(rounds: usize, mut cases: Vec<Case<'_>>) -> Vec<f64> {
    let mut times = vec![Vec::new(); cases.len()];
    for round in 0..=rounds {
        for (case, times) in cases.iter_mut().zip(&mut times) {
            (case.prepare)();
            let took = elapsed(|| (0..case.iterations).for_each(&mut case.run));
            // The first round is a warm-up.
            if round > 0 {
                times.push(took.as_nanos() as f64 / case.iterations as f64);
            }
        }
    }
    times.into_iter().map(median).collect()
}

pub(crate) fn elapsed(run: impl FnOnce()) -> Duration {
    let began = Instant::now();
    run();
    began.elapsed()
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
