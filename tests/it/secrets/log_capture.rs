//! Captures the logs of a test and the metrics of the process as text.

use std::io;
use std::sync::{Arc, Mutex};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use tracing::subscriber::DefaultGuard;
use tracing::{Dispatch, Level, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::util::SubscriberInitExt;

#[derive(Clone, Default)]
pub(crate) struct LogCapture(Arc<Mutex<Vec<u8>>>);

impl LogCapture {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// Captures all log lines of this thread, of `tracing` and of `log`, at every level. All tasks
    /// of a test run on its thread, and the calls to Clerk take its subscriber with them.
    ///
    /// While there is only one dispatcher, tracing disables a log call for the whole process if a
    /// thread without a subscriber reaches it first, as a test on another thread may. The second
    /// dispatcher prevents that.
    pub(crate) fn install(&self) -> (DefaultGuard, Dispatch) {
        let second = Dispatch::new(self.subscriber());
        (self.subscriber().set_default(), second)
    }

    fn subscriber(&self) -> impl Subscriber + Send + Sync + 'static {
        tracing_subscriber::fmt()
            .with_max_level(Level::TRACE)
            .with_span_events(FmtSpan::FULL)
            .with_ansi(false)
            .without_time()
            .with_writer(self.clone())
            .finish()
    }

    fn push_line(&self, line: &str) {
        let mut text = self.0.lock().unwrap();
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
    }
}

impl io::Write for LogCapture {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogCapture {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Records the names and labels of the metrics.
impl Recorder for LogCapture {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, text: SharedString) {
        self.push_line(&format!("{name:?} {text}"));
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, text: SharedString) {
        self.push_line(&format!("{name:?} {text}"));
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, text: SharedString) {
        self.push_line(&format!("{name:?} {text}"));
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.push_line(&format!("{key:?}"));
        Counter::noop()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.push_line(&format!("{key:?}"));
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.push_line(&format!("{key:?}"));
        Histogram::noop()
    }
}
