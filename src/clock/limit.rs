//! Limits of what strangers can make a server log.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long a window of a [`Limit`] is.
const INTERVAL: Duration = Duration::from_secs(10);

/// Admits a number of lines in ten seconds, and counts those that it leaves out.
#[derive(Debug)]
pub(crate) struct Limit {
    max: u32,
    window: Mutex<Window>,
}

#[derive(Debug)]
struct Window {
    /// When its first line was written, on the monotonic clock. `None` before the first line.
    began_at: Option<Duration>,
    written: u32,
    omitted: u64,
}

impl Limit {
    pub(crate) const fn per_ten_seconds(max: u32) -> Self {
        let window = Window { began_at: None, written: 0, omitted: 0 };
        Self { max, window: Mutex::new(window) }
    }

    /// Returns the number of lines that were left out since the last one, if a line may be written
    /// now. `now` is that of the monotonic clock.
    pub(crate) fn admit(&self, now: Duration) -> Option<u64> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if window.began_at.is_none_or(|at| now.saturating_sub(at) >= INTERVAL) {
            window.began_at = Some(now);
            window.written = 0;
        }
        if window.written >= self.max {
            window.omitted = window.omitted.saturating_add(1);
            return None;
        }
        window.written += 1;
        Some(std::mem::take(&mut window.omitted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admits_some_lines_per_interval_and_counts_the_others() {
        type Row = (u64, Option<u64>);
        let one: &[Row] = &[
            (5, Some(0)),
            (5, None),
            (14, None),
            (15, Some(2)),
            (24, None),
            (99, Some(1)),
            (109, Some(0)),
        ];
        let three: &[Row] = &[
            (5, Some(0)),
            (6, Some(0)),
            (14, Some(0)),
            (14, None),
            (15, Some(1)),
            (15, Some(0)),
            (24, Some(0)),
            (24, None),
            (25, Some(1)),
            // A monotonic clock that breaks its promise.
            (0, Some(0)),
        ];
        for (max, rows) in [(1, one), (3, three)] {
            let limit = Limit::per_ten_seconds(max);
            for (second, expected) in rows {
                let now = Duration::from_secs(*second);
                assert_eq!(limit.admit(now), *expected, "{max} per interval, second {second}");
            }
        }
    }
}
