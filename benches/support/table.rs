//! The printed tables of results.

/// Prints the processor and its number of cores.
pub(crate) fn print_machine() {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("machine: {}, {cores} cores", model.map_or("unknown", |(_, name)| name));
}

/// Prints the head of a table.
pub(crate) fn print_head(title: &str) {
    println!("\n{title}\n\n| case | measured | goal | |\n| --- | --- | --- | --- |");
}

/// Prints one row.
pub(crate) fn print_row(case: &str, measured: &str, goal: &str, is_met: bool) {
    println!("| {case} | {measured} | {goal} | {} |", if is_met { "met" } else { "MISSED" });
}
