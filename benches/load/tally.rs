//! What came of it.

use std::collections::BTreeMap;
use std::time::Duration;

use clerk_mcp_tools::ClerkVerifier;
use clerk_mcp_tools::testing::{FakeClerk, Route};

use crate::clock::FASTER;
use crate::phases::Phases;
use crate::requests::Kind;

const MEBIBYTE: f64 = 1024.0 * 1024.0;
/// Of wrong answers, how many are told.
const MOST_TOLD: usize = 20;

#[derive(Default)]
pub(crate) struct Tally {
    /// By kind and status.
    answers: BTreeMap<(Kind, u16), u64>,
    slowest: BTreeMap<Kind, Duration>,
    pub(crate) dropped: u64,
    pub(crate) wrong: Vec<String>,
}

impl Tally {
    pub(crate) fn answered(&mut self, kind: Kind, status: u16, took: Duration) {
        *self.answers.entry((kind, status)).or_default() += 1;
        let slowest = self.slowest.entry(kind).or_default();
        *slowest = took.max(*slowest);
    }

    pub(crate) fn add(&mut self, other: Self) {
        for (key, count) in other.answers {
            *self.answers.entry(key).or_default() += count;
        }
        for (kind, took) in other.slowest {
            let slowest = self.slowest.entry(kind).or_default();
            *slowest = took.max(*slowest);
        }
        self.dropped += other.dropped;
        self.wrong.extend(other.wrong);
    }

    fn of(&self, kind: Kind) -> Vec<(u16, u64)> {
        let of_kind = self.answers.iter().filter(|((other, _), _)| *other == kind);
        of_kind.map(|((_, status), count)| (*status, *count)).collect()
    }
}

pub(crate) struct Report {
    tally: Tally,
    lines: Vec<String>,
    missed: Vec<String>,
}

impl Report {
    pub(crate) fn new(
        tally: Tally,
        took: Duration,
        phases: &Phases,
        clerk: &FakeClerk,
        verifier: &ClerkVerifier,
    ) -> Self {
        let all: u64 = tally.answers.values().sum();
        let stats = verifier.stats();
        let (faults, names) = phases.faults();
        let names = names.into_iter().collect::<Vec<_>>().join("; ");
        let seconds = took.as_secs_f64();
        let lines = vec![
            format!(
                "{all} answers in {seconds:.1} s, {:.0} a second; the clock went {FASTER} times as fast",
                all as f64 / seconds
            ),
            format!("{} clients dropped half way", tally.dropped),
            format!("{faults} faults of Clerk: {names}"),
            format!(
                "{} hits, {} misses, {} calls to Clerk, {} failed, {} fetches of the keys",
                stats.cache_hits,
                stats.cache_misses,
                stats.upstream_calls,
                stats.upstream_failures,
                clerk.calls(Route::Jwks),
            ),
        ];
        let mut missed: Vec<_> = tally.wrong.iter().take(MOST_TOLD).cloned().collect();
        if tally.wrong.len() > MOST_TOLD {
            missed.push(format!("and {} more wrong answers", tally.wrong.len() - MOST_TOLD));
        }
        let unseen = Kind::ALL.iter().filter(|kind| tally.of(**kind).is_empty());
        missed.extend(
            unseen.map(|kind| format!("no answer to a request of the kind: {}", kind.name())),
        );
        Self { tally, lines, missed }
    }

    /// The fault from which there was no recovery.
    pub(crate) fn lasting(&mut self, fault: Option<&'static str>) {
        self.missed.extend(fault.map(|name| format!("no recovery from: {name}")));
    }

    pub(crate) fn grown(&mut self, held: isize, most: isize, rss: isize, most_rss: isize) {
        let mebibytes = |bytes: isize| bytes as f64 / MEBIBYTE;
        for (what, grown, most) in [("the heap", held, most), ("the process", rss, most_rss)] {
            let line = format!(
                "{what} has grown by {:.1} MiB since the warm-up, at most {:.0}",
                mebibytes(grown),
                mebibytes(most)
            );
            if grown > most {
                self.missed.push(line.clone());
            }
            self.lines.push(line);
        }
    }

    pub(crate) fn left_behind(&mut self, tasks: usize) {
        self.lines.push(format!("{tasks} tasks left behind"));
        if tasks > 0 {
            self.missed.push(format!("{tasks} tasks left behind"));
        }
    }

    pub(crate) fn is_good(&self) -> bool {
        self.missed.is_empty()
    }

    pub(crate) fn print(&self) {
        println!("\n| request | answers | slowest |\n| --- | --- | --- |");
        for kind in Kind::ALL {
            let answers = self
                .tally
                .of(kind)
                .into_iter()
                .map(|(status, count)| format!("{count} of {status}"));
            let slowest = self.tally.slowest.get(&kind).copied().unwrap_or_default();
            let answers = answers.collect::<Vec<_>>().join(", ");
            println!("| {} | {answers} | {:.0} ms |", kind.name(), slowest.as_secs_f64() * 1e3);
        }
        println!();
        self.lines.iter().for_each(|line| println!("{line}"));
        self.missed.iter().for_each(|line| println!("MISSED: {line}"));
    }
}
