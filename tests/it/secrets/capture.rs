//! Everything that is logged or counted on this thread, in a text.

use std::io;
use std::sync::{Arc, Mutex};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use tracing::Level;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::util::SubscriberInitExt;

#[derive(Clone, Default)]
pub(super) struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// Logs into it, at every level and whoever logs, be it by `tracing` or by `log`. For this thread, on which every task
    /// of a test runs: those that fetch beside the requests, too.
    pub(super) fn log(&self) -> DefaultGuard {
        tracing_subscriber::fmt()
            .with_max_level(Level::TRACE)
            .with_span_events(FmtSpan::FULL)
            .with_ansi(false)
            .without_time()
            .with_writer(self.clone())
            .finish()
            .set_default()
    }

    fn line(&self, line: &str) {
        let mut text = self.0.lock().unwrap();
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
    }
}

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The names and labels of whatever is counted.
impl Recorder for Captured {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, text: SharedString) {
        self.line(&format!("{name:?} {text}"));
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, text: SharedString) {
        self.line(&format!("{name:?} {text}"));
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, text: SharedString) {
        self.line(&format!("{name:?} {text}"));
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.line(&format!("{key:?}"));
        Counter::noop()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.line(&format!("{key:?}"));
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.line(&format!("{key:?}"));
        Histogram::noop()
    }
}
