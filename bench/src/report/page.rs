//! The report as one HTML page that needs nothing from anywhere: figures, plots with their values as tables, and how it was measured.

use anyhow::Result;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::compare::{Pairs, Spread};
use crate::outcome::{Outcome, Used};
use crate::report::goals::{Goal, Verdict, goals};
use crate::report::plot::{self, Plot};
use crate::report::{Report, curves};
use crate::server::Kind;

/// The page.
///
/// # Errors
/// A plot cannot be drawn.
pub(crate) fn page(report: &Report) -> Result<String> {
    let plots = curves::all(report);
    let figures: Vec<Markup> = plots.iter().map(figure).collect::<Result<_>>()?;
    let title = "Ringkeeper beside Apache ZooKeeper";
    let style = format!("{}{}{}", plot::COLOURS, plot::STYLE, STYLE);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(style)) }
            }
            body {
                main {
                    h1 { (title) }
                    (summary(report))
                    h2 { "The figures that are asked for" }
                    (goals_table(&goals(report)))
                    h2 { "Pictures" }
                    @for figure in figures { (figure) }
                    h2 { "Every load" }
                    (rows_table(report))
                    (rest(report))
                    h2 { "How it was measured" }
                    (method(report))
                }
            }
        }
    };
    Ok(page.into_string())
}

const STYLE: &str = "body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}\
    main{max-width:62rem;margin:0 auto;padding:1.5rem}\
    h1{font-size:1.7rem}h2{margin-top:2.5rem;border-bottom:1px solid var(--grid)}\
    .wide{overflow-x:auto}table{border-collapse:collapse;font-size:.86rem;font-variant-numeric:tabular-nums}\
    th,td{padding:.25rem .6rem;border-bottom:1px solid var(--grid);text-align:left;vertical-align:top}\
    td.n{text-align:right;white-space:nowrap}caption{text-align:left;color:var(--soft)}\
    .good{color:var(--good)}.bad{color:var(--bad)}.soft{color:var(--soft)}\
    figure{margin:1.5rem 0}figure svg{width:100%;height:auto}figcaption{color:var(--soft)}\
    code,pre{font-size:.82rem}pre{white-space:pre-wrap;overflow-wrap:anywhere}dt{font-weight:600}";

fn summary(report: &Report) -> Markup {
    let goals = goals(report);
    let measured = goals.iter().filter(|it| it.verdict() != Verdict::NotMeasured).count();
    let reached = goals.iter().filter(|it| it.verdict() == Verdict::Reached).count();
    let machine = &report.machine;
    let errors: u64 = report
        .rows
        .iter()
        .flat_map(|row| row.runs.iter().map(|run| run.outcome.error_count()))
        .sum();
    html! {
        p {
            "Of " (goals.len()) " figures this run measured " (measured) " and reached " (reached) ". "
            "Servers ran on one core, the load on another, of " (machine.cpu) " (" (machine.cores) " cores, "
            (plot::short(machine.memory as f64)) "B of memory), " (machine.at) ". Each acknowledged write was forced to the disk, by every server."
        }
        p {
            "Ratios are medians over pairs of rounds, one on each server in turn, with the smallest and the largest ratio behind. "
            @if errors == 0 { "No request was answered with an error." }
            @else { strong class="bad" { (errors) " requests were answered with an error; the table of loads says which." } }
        }
        @if let Some(remark) = &report.remark { p { strong { "Circumstances: " } (remark) } }
    }
}

fn goals_table(goals: &[Goal]) -> Markup {
    html! {
        div class="wide" { table {
            thead { tr { th { "figure" } th { "against" } th { "asked" } th { "measured" } th { "" } } }
            tbody { @for goal in goals {
                tr {
                    td { (goal.figure) }
                    td { (goal.against) }
                    td { (goal.asked) (goal.unit.word()) }
                    td class="n" {
                        @match goal.reached { Some(spread) => (spread), None => "" }
                    }
                    td class=(class(goal.verdict())) { (goal.verdict()) }
                }
            } }
        } }
    }
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Reached => "good",
        Verdict::MissedBy(_) => "bad",
        Verdict::NotMeasured => "soft",
    }
}

/// A plot, and the same as a table for those who cannot see it or want the numbers.
fn figure(plot: &Plot) -> Result<Markup> {
    let svg = plot::svg(plot)?;
    Ok(html! {
        figure {
            (PreEscaped(svg))
            figcaption { (plot.title) }
            details {
                summary { "the values" }
                div class="wide" { table {
                    thead { tr { th { "server" } th { (plot.x.name) } th { (plot.y.name) } } }
                    tbody { @for line in &plot.lines { @for (x, y) in &line.points {
                        tr {
                            td { (line.label()) }
                            td class="n" { ((plot.x.text)(*x)) }
                            td class="n" { ((plot.y.text)(*y)) }
                        }
                    } } }
                } }
            }
        }
    })
}

fn rows_table(report: &Report) -> Markup {
    html! {
        div class="wide" { table {
            caption { "Medians of the rounds; times in microseconds; disk writes are the whole device's; others: the most that other processes used of the machine, cores." }
            thead { tr {
                th { "load" } th { "server" } th { "per second" } th { "p50" } th { "p99" } th { "p99.9" }
                th { "CPU each" } th { "disk writes each" } th { "switches each" } th { "errors" } th { "others" } th { "pairs (left out)" } th { "rate, ours / theirs" }
            } }
            tbody { @for row in &report.rows { @for kind in row.servers() { (row_line(row, kind)) } } }
        } }
    }
}

fn row_line(row: &Pairs, kind: Kind) -> Markup {
    let show = |figure: fn(&Outcome) -> f64, digits: usize| {
        row.spread(kind, figure).map_or_else(String::new, |it| format!("{:.digits$}", it.median))
    };
    let errors = row.errors(kind);
    let others = row.spread(kind, |it| it.others_cores.unwrap_or(f64::NAN));
    let late = row.runs.iter().any(|run| run.server == kind && !run.outcome.sustained);
    let ratio = (kind != Kind::Ringkeeper).then_some([Kind::Ringkeeper, kind]);
    let ratio = ratio.and_then(|pair| row.ratio(pair, main_figure(row)));
    html! {
        tr {
            td { (row.name) }
            td { (plot::name(kind)) }
            td class="n" {
                (row.spread(kind, main_figure(row)).map_or_else(String::new, |it| format!("{:.0}", it.median)))
                @if late { strong class="bad" { " rate not kept" } }
            }
            td class="n" { (show(|it| it.latency_us.p50, 0)) }
            td class="n" { (show(|it| it.latency_us.p99, 0)) }
            td class="n" { (show(|it| it.latency_us.p999, 0)) }
            td class="n" { (show(|it| used(it, |it| it.cpu_us), 2)) }
            td class="n" { (show(|it| used(it, |it| it.disk_writes), 4)) }
            td class="n" { (show(|it| used(it, |it| it.switches), 4)) }
            td class="n" { @if errors > 0 { strong class="bad" { (errors) } } @else { "0" } }
            td class="n" { (others.map_or_else(String::new, |it| format!("{:.2}", it.most))) }
            td class="n" { (row.runs.len() / row.servers().len()) @if row.left_out > 0 { " (" (row.left_out) ")" } }
            td class="n" { @match ratio { Some(ratio) => (ratio), None => "" } }
        }
    }
}

/// What a row's rate is: notifications where watches are watched, replies elsewhere.
fn main_figure(row: &Pairs) -> fn(&Outcome) -> f64 {
    if row.job.name.starts_with("fan-out") { |it| it.events_per_second } else { |it| it.per_second }
}

fn used(outcome: &Outcome, figure: impl Fn(Used) -> f64) -> f64 {
    outcome.server.map_or(f64::NAN, figure)
}

/// Memory, restarts, snapshots, idle sessions: as the commands print them.
fn rest(report: &Report) -> Markup {
    let disk = Spread::of(report.forced_writes.iter().map(|it| it.p50).collect());
    html! {
        @if !report.fills.is_empty() {
            h2 { "Memory and restart" }
            ul { @for it in &report.fills { li { (it) } } }
        }
        @if !report.snapshots.is_empty() {
            h2 { "Writes while a snapshot is written" }
            ul { @for it in &report.snapshots { li { (it) } } }
        }
        @if !report.held.is_empty() {
            h2 { "Idle sessions" }
            ul { @for it in &report.held { li { (it) } } }
        }
        @if !report.fail_overs.is_empty() {
            h2 { "Leaders killed, followers that come back" }
            ul { @for it in &report.fail_overs { li { (it) } } }
        }
        @if let Some(disk) = disk {
            h2 { "The disk alone" }
            p { "One write of 4 KiB with O_DIRECT and O_DSYNC over zeros that were there: p50 " (disk) " microseconds." }
        }
    }
}

fn method(report: &Report) -> Markup {
    let machine = &report.machine;
    html! {
        p {
            "All servers stay up; one at a time is under load. A round on one is followed by a round on the next, and again, so that what the machine does "
            "meanwhile meets all of them. The reference has had the same load before its first round, until its code is compiled. In an open loop requests are due "
            "at fixed moments and latency counts from then, so a stall is not hidden. Pairs in which other processes had more than 0.4 cores may be measured again; the most \
            disturbed are left out then, by that figure alone. Limits on connections and on outstanding requests are lifted for all."
        }
        p { "A load's name ends in connections x requests in flight on each; atc-N is N % reads; load-N is N % of the server's own mixed-16x16; half-load is half of what the reference reached." }
        dl {
            dt { "Machine" }
            dd {
                (machine.cpu) ", " (machine.cores) " cores, " (plot::short(machine.memory as f64)) "B, Linux " (machine.kernel) ", "
                (machine.file_system) " on " (machine.disk) ", write cache: " (machine.write_cache) ", load average at the begin "
                (machine.load_average)
            }
            @for server in &report.servers {
                dt { (plot::name(server.server)) }
                dd { (server.version) pre { (server.command) } }
            }
            dt { (report.program) }
            dd { @for call in &report.calls { pre { (call) } } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::page;
    use crate::report::Report;

    #[test]
    fn a_page_asks_nothing_of_the_network_and_escapes_what_it_shows() {
        let mut report = Report::new(&std::env::temp_dir());
        report.remark = Some("<script>alert(1)</script>".into());
        let page = page(&report).unwrap();
        assert!(!page.contains("<script>") && page.contains("&lt;script&gt;"));
        for reference in ["http-equiv", "src=", "href=", "url(", "@import"] {
            assert!(!page.contains(reference), "{reference}");
        }
    }
}
