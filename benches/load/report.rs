//! The counts of all responses, and the report.

use std::collections::BTreeMap;
use std::time::Duration;

use clerk_mcp_tools::ClerkVerifier;
use clerk_mcp_tools::testing::{FakeClerk, Route};

use crate::fast_clock::SPEED;
use crate::phases::Phases;
use crate::requests::Kind;

const MEBIBYTE: f64 = 1024.0 * 1024.0;
/// The bound on the number of wrong responses that are printed.
const MAX_PRINTED: usize = 20;

/// The counts of one connection, or of all.
#[derive(Default)]
pub(crate) struct Tally {
    /// By kind and status.
    responses: BTreeMap<(Kind, u16), u64>,
    slowest: BTreeMap<Kind, Duration>,
    pub(crate) aborted: u64,
    pub(crate) wrong: Vec<String>,
}

impl Tally {
    pub(crate) fn record(&mut self, kind: Kind, status: u16, took: Duration) {
        *self.responses.entry((kind, status)).or_default() += 1;
        let slowest = self.slowest.entry(kind).or_default();
        *slowest = took.max(*slowest);
    }

    pub(crate) fn add(&mut self, other: Self) {
        for (key, count) in other.responses {
            *self.responses.entry(key).or_default() += count;
        }
        for (kind, took) in other.slowest {
            let slowest = self.slowest.entry(kind).or_default();
            *slowest = took.max(*slowest);
        }
        self.aborted += other.aborted;
        self.wrong.extend(other.wrong);
    }

    fn of(&self, kind: Kind) -> Vec<(u16, u64)> {
        let of_kind = self.responses.iter().filter(|((other, _), _)| *other == kind);
        of_kind.map(|((_, status), count)| (*status, *count)).collect()
    }
}

pub(crate) struct Report {
    tally: Tally,
    lines: Vec<String>,
    failures: Vec<String>,
}

impl Report {
    pub(crate) fn new(
        tally: Tally,
        took: Duration,
        phases: &Phases,
        clerk: &FakeClerk,
        verifier: &ClerkVerifier,
    ) -> Self {
        let all: u64 = tally.responses.values().sum();
        let stats = verifier.stats();
        let (failure_count, names) = phases.failures();
        let names = names.into_iter().collect::<Vec<_>>().join("; ");
        let seconds = took.as_secs_f64();
        let lines = vec![
            format!(
                "{all} responses in {seconds:.1} s, {:.0} per second; the clock ran at {SPEED} times the speed",
                all as f64 / seconds
            ),
            format!("{} requests aborted", tally.aborted),
            format!("{failure_count} failures of Clerk: {names}"),
            format!(
                "{} hits, {} misses, {} calls to Clerk, {} failed, {} fetches of the key set",
                stats.cache_hits,
                stats.cache_misses,
                stats.upstream_calls,
                stats.upstream_failures,
                clerk.calls(Route::Jwks),
            ),
        ];
        let mut failures: Vec<_> = tally.wrong.iter().take(MAX_PRINTED).cloned().collect();
        if tally.wrong.len() > MAX_PRINTED {
            failures.push(format!("and {} more wrong responses", tally.wrong.len() - MAX_PRINTED));
        }
        let missing = Kind::ALL.iter().filter(|kind| tally.of(**kind).is_empty());
        failures.extend(missing.map(|kind| format!("no response to: {}", kind.name())));
        Self { tally, lines, failures }
    }

    /// Reports a day without Clerk, and the bound on the fetches of the key set.
    pub(crate) fn add_day(
        &mut self,
        requests: u64,
        rejected: u64,
        fetches: u64,
        max_fetches: u64,
        took: Duration,
    ) {
        let line = format!(
            "a day without Clerk, in {:.1} s: {requests} requests, {rejected} rejected, {fetches} fetches of the key set, at most {max_fetches}",
            took.as_secs_f64()
        );
        if rejected > 0 || fetches > max_fetches {
            self.failures.push(line.clone());
        }
        self.lines.push(line);
    }

    /// Reports a flood of unknown tokens, and the bound on the calls in ten seconds.
    pub(crate) fn add_quota(
        &mut self,
        requests: u64,
        rejected: u64,
        limited: u64,
        calls: usize,
        max_calls: usize,
        took: Duration,
    ) {
        let line = format!(
            "ten minutes of unknown tokens, in {:.1} s: {requests} requests of users, {rejected} rejected, {limited} unknown tokens without a call, at most {calls} calls in 10 s, of {max_calls}",
            took.as_secs_f64()
        );
        if rejected > 0 || calls > max_calls {
            self.failures.push(line.clone());
        }
        self.lines.push(line);
    }

    /// Reports runtimes that ended in the middle of calls.
    pub(crate) fn add_runtimes(&mut self, ended: u64) {
        self.lines.push(format!("{ended} runtimes ended in the middle of their calls"));
        if ended == 0 {
            self.failures.push("no runtime has ended".to_owned());
        }
    }

    pub(crate) fn add_key_changes(&mut self, changes: usize) {
        self.lines.push(format!("{changes} changes of the key under the same id"));
    }

    /// Reports a failure that the verifier did not recover from.
    pub(crate) fn add_unrecovered(&mut self, fault: Option<&'static str>) {
        self.failures.extend(fault.map(|name| format!("no recovery from: {name}")));
    }

    /// Reports the growth of the heap and of the process, with their bounds.
    pub(crate) fn add_growth(&mut self, heap: isize, max: isize, rss: isize, max_rss: isize) {
        let mebibytes = |bytes: isize| bytes as f64 / MEBIBYTE;
        for (name, grown, max) in [("the heap", heap, max), ("the process", rss, max_rss)] {
            let line = format!(
                "{name} has grown by {:.1} MiB since the warm-up, at most {:.0}",
                mebibytes(grown),
                mebibytes(max)
            );
            if grown > max {
                self.failures.push(line.clone());
            }
            self.lines.push(line);
        }
    }

    pub(crate) fn add_remaining_tasks(&mut self, tasks: usize) {
        self.lines.push(format!("{tasks} tasks left behind"));
        if tasks > 0 {
            self.failures.push(format!("{tasks} tasks left behind"));
        }
    }

    pub(crate) fn is_good(&self) -> bool {
        self.failures.is_empty()
    }

    pub(crate) fn print(&self) {
        println!("\n| request | responses | slowest |\n| --- | --- | --- |");
        for kind in Kind::ALL {
            let responses = self
                .tally
                .of(kind)
                .into_iter()
                .map(|(status, count)| format!("{count} of {status}"));
            let slowest = self.tally.slowest.get(&kind).copied().unwrap_or_default();
            let responses = responses.collect::<Vec<_>>().join(", ");
            println!("| {} | {responses} | {:.0} ms |", kind.name(), slowest.as_secs_f64() * 1e3);
        }
        println!();
        self.lines.iter().for_each(|line| println!("{line}"));
        self.failures.iter().for_each(|line| println!("MISSED: {line}"));
    }
}
