//! Prints rows as they come, a group's figures at its end, and writes all rows as JSON.
//!
//! A group's figures are the geometric mean of the ratios to the best peer of each row, the worst of
//! these, and the mean and the worst to each peer alone. Limits have no ratio; metrics that are
//! shown and not judged are summed up apart.

use crate::run::{Row, geometric_mean};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;

#[derive(Default)]
pub struct Report {
    /// Each group with its rows, in the order they were measured.
    groups: Vec<(&'static str, Vec<Row>)>,
}

impl Report {
    pub fn open(&mut self, group: &'static str) {
        println!("\n{group}");
        println!(
            "  {:<38} {:<15} {:>8}  {:>8} {:<26} {:>6} {:<12}  others",
            "workload", "metric", "ours", "best", "", "ratio", "quartiles"
        );
        self.groups.push((group, Vec::new()));
    }

    pub fn rows(&mut self, rows: Vec<Row>) {
        let (_, all) = self.groups.last_mut().expect("a group is open");
        for row in rows {
            println!("  {}", line(&row));
            all.push(row);
        }
    }

    /// Prints the group's figures.
    pub fn close(&self) {
        let (_, rows) = self.groups.last().expect("a group is open");
        summary(rows).iter().for_each(|line| println!("  {line}"));
    }

    pub fn write_json(&self, file: &Path) -> io::Result<()> {
        let rows: Vec<JsonRow<'_>> = self
            .groups
            .iter()
            .flat_map(|(group, rows)| rows.iter().map(|row| JsonRow::new(group, row)))
            .collect();
        serde_json::to_writer_pretty(File::create(file)?, &rows)?;
        Ok(())
    }
}

fn of_medians(row: &Row) -> Option<f64> {
    row.ratio.map(|ratio| ratio.of_medians)
}

/// The group's figures: of what is judged, and of each metric that is only shown.
fn summary(rows: &[Row]) -> Vec<String> {
    let judged: Vec<&Row> = rows.iter().filter(|row| row.is_judged).collect();
    let mut lines = match against(judged.iter().map(|row| (*row, of_medians(row)))) {
        Some(best) => vec![format!("judged: {best}")],
        None => vec!["nothing to compare".to_owned()],
    };
    lines.extend(against_each(&judged));

    let shown: Vec<&Row> = rows.iter().filter(|row| !row.is_judged).collect();
    let mut metrics: Vec<&str> = Vec::new();
    for row in &shown {
        if !metrics.contains(&row.metric) {
            metrics.push(row.metric);
        }
    }
    for metric in metrics {
        let rows: Vec<&Row> = shown
            .iter()
            .copied()
            .filter(|r| r.metric == metric)
            .collect();
        if let Some(best) = against(rows.iter().map(|row| (*row, of_medians(row)))) {
            lines.push(format!("shown, {metric}: {best}"));
            lines.extend(against_each(&rows));
        }
    }
    lines
}

/// A line for each peer, farthest behind us last.
fn against_each(rows: &[&Row]) -> Vec<String> {
    let mut peers: Vec<&str> = Vec::new();
    for (peer, _) in rows.iter().flat_map(|row| &row.ratios) {
        if !peers.contains(&peer.as_str()) {
            peers.push(peer);
        }
    }
    let to = |row: &Row, peer: &str| {
        let mut ratios = row.ratios.iter();
        ratios
            .find(|(name, _)| name == peer)
            .map(|&(_, ratio)| ratio)
    };
    let mut lines: Vec<(f64, String)> = peers
        .iter()
        .filter_map(|peer| {
            let figures = against(rows.iter().map(|row| (*row, to(row, peer))))?;
            Some((figures.mean, format!("  to {peer:<24} {figures}")))
        })
        .collect();
    lines.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    lines.into_iter().map(|(_, line)| line).collect()
}

/// Many rows in short.
struct Figures<'a> {
    mean: f64,
    rows: usize,
    worst: f64,
    worst_row: &'a Row,
}

/// The figures of those rows that have a ratio; `None` when none has.
fn against<'a>(rows: impl Iterator<Item = (&'a Row, Option<f64>)>) -> Option<Figures<'a>> {
    let compared: Vec<(&Row, f64)> = rows
        .filter_map(|(row, ratio)| Some((row, ratio?)))
        .collect();
    let ratios: Vec<f64> = compared.iter().map(|&(_, ratio)| ratio).collect();
    let worst = compared.iter().min_by(|(_, a), (_, b)| a.total_cmp(b));
    let &(worst_row, worst) = worst?;
    Some(Figures {
        mean: geometric_mean(&ratios)?,
        rows: ratios.len(),
        worst,
        worst_row,
    })
}

impl fmt::Display for Figures<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "geometric mean {:.2} over {} rows; worst {:.2}: {} ({})",
            self.mean, self.rows, self.worst, self.worst_row.workload, self.worst_row.metric
        )
    }
}

fn line(row: &Row) -> String {
    let (best, name) = match &row.best {
        Some((name, best)) => (short(*best), name.as_str()),
        None => ("-".to_owned(), ""),
    };
    let (ratio, spread) = match row.ratio {
        Some(ratio) => (
            format!("{:.2}", ratio.of_medians),
            format!("{:.2}..{:.2}", ratio.spread.0, ratio.spread.1),
        ),
        None => ("-".to_owned(), String::new()),
    };
    let others: Vec<String> = row
        .peers
        .iter()
        .filter(|(peer, _)| peer != name)
        .map(|(peer, figure)| format!("{peer} {}", short(*figure)))
        .collect();
    format!(
        "{:<38} {:<15} {:>8}  {best:>8} {name:<26} {ratio:>6} {spread:<12}  {}",
        row.workload,
        row.metric,
        row.ours.map_or_else(|| "-".to_owned(), short),
        others.join(", ")
    )
}

/// Three significant digits, with k and M.
fn short(figure: f64) -> String {
    let (scaled, suffix) = match figure.abs() {
        size if size >= 1e6 => (figure / 1e6, "M"),
        size if size >= 1e3 => (figure / 1e3, "k"),
        _ => (figure, ""),
    };
    let decimals = match scaled.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    format!("{scaled:.decimals$}{suffix}")
}

/// A row for machines; `null` where there is nobody to compare with.
#[derive(Serialize)]
struct JsonRow<'a> {
    group: &'a str,
    workload: &'a str,
    metric: &'a str,
    judged: bool,
    ours: Option<f64>,
    best_peer: Option<&'a str>,
    best: Option<f64>,
    ratio: Option<f64>,
    spread: Option<(f64, f64)>,
    peers: BTreeMap<&'a str, f64>,
}

impl<'a> JsonRow<'a> {
    fn new(group: &'a str, row: &'a Row) -> JsonRow<'a> {
        JsonRow {
            group,
            workload: &row.workload,
            metric: row.metric,
            judged: row.is_judged,
            ours: row.ours,
            best_peer: row.best.as_ref().map(|(name, _)| name.as_str()),
            best: row.best.as_ref().map(|(_, best)| *best),
            ratio: of_medians(row),
            spread: row.ratio.map(|ratio| ratio.spread),
            peers: row
                .peers
                .iter()
                .map(|(name, figure)| (name.as_str(), *figure))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Metric, Workload};

    #[test]
    fn figures_are_short() {
        let figures = [0.1234, 1.234, 12.34, 123.4, 1234.0, 1.2e7];
        assert_eq!(
            figures.map(short),
            ["0.123", "1.23", "12.3", "123", "1.23k", "12.0M"]
        );
    }

    #[test]
    fn json_rows_carry_the_agreed_names() {
        let rows = Workload::new("w", &[Metric::time("ns")])
            .ours(|| 1.0)
            .peer("p", || 2.0)
            .run(1);
        let json = serde_json::to_value(JsonRow::new("lock", &rows[0])).unwrap();
        for (name, value) in [
            ("group", serde_json::json!("lock")),
            ("workload", "w".into()),
            ("metric", "ns".into()),
            ("judged", true.into()),
            ("ours", 1.0.into()),
            ("best_peer", "p".into()),
            ("best", 2.0.into()),
            ("ratio", 2.0.into()),
        ] {
            assert_eq!(json[name], value, "{name}");
        }
    }
    #[test]
    fn a_group_is_summed_up_for_the_best_and_for_each_peer_without_what_is_only_shown() {
        let metrics = [Metric::rate("ops/s"), Metric::time("max us").shown()];
        let mut rows = Workload::new("a", &metrics)
            .ours(|| [4.0, 1.0])
            .peer("p", || [2.0, 9.0])
            .peer("q", || [1.0, 4.0])
            .limit("none", || [1000.0, 0.1])
            .run(1);
        rows.extend(
            Workload::new("b", &metrics)
                .ours(|| [1.0, 1.0])
                .peer("p", || [2.0, 9.0])
                .run(1),
        );
        assert_eq!(
            summary(&rows),
            [
                "judged: geometric mean 1.00 over 2 rows; worst 0.50: b (ops/s)",
                "  to p                        geometric mean 1.00 over 2 rows; worst 0.50: b (ops/s)",
                "  to q                        geometric mean 4.00 over 1 rows; worst 4.00: a (ops/s)",
                "shown, max us: geometric mean 6.00 over 2 rows; worst 4.00: a (max us)",
                "  to q                        geometric mean 4.00 over 1 rows; worst 4.00: a (max us)",
                "  to p                        geometric mean 9.00 over 2 rows; worst 9.00: a (max us)",
            ]
        );
    }
}
