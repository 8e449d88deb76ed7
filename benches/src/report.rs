//! Prints rows as they come, a group's figure at its end, and writes all rows as JSON.

use crate::run::{Row, geometric_mean};
use serde::Serialize;
use std::collections::BTreeMap;
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

    /// Prints the group's figure (the geometric mean) and its floor (the worst row).
    pub fn close(&self) {
        let (_, rows) = self.groups.last().expect("a group is open");
        let ratios: Vec<f64> = rows.iter().filter_map(of_medians).collect();
        let worst = rows
            .iter()
            .filter_map(|row| Some((of_medians(row)?, row)))
            .min_by(|(a, _), (b, _)| a.total_cmp(b));
        match (geometric_mean(&ratios), worst) {
            (Some(mean), Some((ratio, row))) => println!(
                "  geometric mean {mean:.2} over {} rows; worst {ratio:.2}: {} ({})",
                ratios.len(),
                row.workload,
                row.metric
            ),
            _ => println!("  nothing to compare"),
        }
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
            ("ours", 1.0.into()),
            ("best_peer", "p".into()),
            ("best", 2.0.into()),
            ("ratio", 2.0.into()),
        ] {
            assert_eq!(json[name], value, "{name}");
        }
    }
}
