//! Takes the contenders of a workload in turn, and makes ratios of what they reach.
//!
//! Figures move with the machine's mood, from minute to minute by more than two good locks differ;
//! ratios within one round hardly do. So the contenders run A B C, then B C A, then C A B, ...:
//! nobody is always first, and a disturbance hits neighbours alike. The first round warms up and is
//! not counted.

use std::time::Duration;

/// How much is measured: counted rounds, and about how long one contender runs in each.
#[derive(Clone, Copy)]
pub struct Effort {
    pub rounds: usize,
    pub sample: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    Lower,
    Higher,
}

/// Whether a name contains a text in which each number is whole: `cap=1` is not in `cap=1024`.
pub fn picks(only: &str, name: &str) -> bool {
    let digit = |char: char| char.is_ascii_digit();
    let is_cut = |before: &str, after: &str| before.ends_with(digit) && after.starts_with(digit);
    name.match_indices(only).any(|(at, _)| {
        let (before, after) = (&name[..at], &name[at + only.len()..]);
        !is_cut(before, only) && !is_cut(only, after)
    })
}

/// What a figure counts, and which way is better.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    pub unit: &'static str,
    pub better: Better,
    /// Whether it counts in the group's figure and floor.
    pub is_judged: bool,
}

impl Metric {
    pub const fn time(unit: &'static str) -> Metric {
        Metric {
            unit,
            better: Better::Lower,
            is_judged: true,
        }
    }

    pub const fn rate(unit: &'static str) -> Metric {
        Metric {
            unit,
            better: Better::Higher,
            is_judged: true,
        }
    }

    /// Shown beside the peers', with a mean of its own, but not part of the group's figure: for what
    /// has a goal of its own (a longest wait), or would count one thing twice.
    pub const fn shown(self) -> Metric {
        Metric {
            is_judged: false,
            ..self
        }
    }

    /// Above 1 when `ours` is better than `theirs`, for times and for rates.
    fn ratio(self, ours: f64, theirs: f64) -> f64 {
        match self.better {
            Better::Lower => theirs / ours,
            Better::Higher => ours / theirs,
        }
    }
}

/// One sample: a figure for each metric of the workload.
pub struct Figures(Vec<f64>);

impl From<f64> for Figures {
    fn from(figure: f64) -> Figures {
        Figures(vec![figure])
    }
}

impl<const N: usize> From<[f64; N]> for Figures {
    fn from(figures: [f64; N]) -> Figures {
        Figures(figures.to_vec())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Ours,
    Peer,
    /// Not usable as what it is compared with, or not offering as much: shown, never counted.
    Limit,
}

struct Contender {
    name: String,
    role: Role,
    sample: Box<dyn FnMut() -> Figures>,
}

/// Something to be done, and everybody who can do it.
pub struct Workload {
    pub name: String,
    metrics: Vec<Metric>,
    contenders: Vec<Contender>,
}

impl Workload {
    pub fn new(name: impl Into<String>, metrics: &[Metric]) -> Workload {
        Workload {
            name: name.into(),
            metrics: metrics.to_vec(),
            contenders: Vec::new(),
        }
    }

    pub fn ours<F: Into<Figures>>(self, sample: impl FnMut() -> F + 'static) -> Workload {
        self.with("latchwork", Role::Ours, sample)
    }

    pub fn peer<F: Into<Figures>>(
        self,
        name: &str,
        sample: impl FnMut() -> F + 'static,
    ) -> Workload {
        self.with(name, Role::Peer, sample)
    }

    pub fn limit<F: Into<Figures>>(
        self,
        name: &str,
        sample: impl FnMut() -> F + 'static,
    ) -> Workload {
        self.with(&format!("(limit) {name}"), Role::Limit, sample)
    }

    fn with<F: Into<Figures>>(
        mut self,
        name: &str,
        role: Role,
        mut sample: impl FnMut() -> F + 'static,
    ) -> Workload {
        let sample = Box::new(move || sample().into());
        self.contenders.push(Contender {
            name: name.to_owned(),
            role,
            sample,
        });
        self
    }

    /// Runs everybody `rounds` times, and once before to warm up; one row a metric.
    pub fn run(mut self, rounds: usize) -> Vec<Row> {
        let mut samples: Vec<Vec<Figures>> = self.contenders.iter().map(|_| Vec::new()).collect();
        for round in 0..=rounds {
            for turn in order(round, self.contenders.len()) {
                let figures = (self.contenders[turn].sample)();
                assert_eq!(
                    figures.0.len(),
                    self.metrics.len(),
                    "a figure for each metric"
                );
                if round > 0 {
                    samples[turn].push(figures);
                }
            }
        }
        let figures_of = |metric: usize| -> Vec<Series<'_>> {
            let of_one = |samples: &[Figures]| samples.iter().map(|f| f.0[metric]).collect();
            let both = self.contenders.iter().zip(&samples);
            both.map(|(contender, samples)| (contender, of_one(samples)))
                .collect()
        };
        let metrics = self.metrics.iter().enumerate();
        metrics
            .map(|(i, &metric)| Row::new(&self.name, metric, &figures_of(i)))
            .collect()
    }
}

/// A contender and its figures, one a round.
type Series<'a> = (&'a Contender, Vec<f64>);

/// Who runs when: each round begins with the next contender.
fn order(round: usize, contenders: usize) -> impl Iterator<Item = usize> {
    (0..contenders).map(move |turn| (round + turn) % contenders)
}

/// What came out of a workload for one metric; figures are medians over the rounds.
pub struct Row {
    pub workload: String,
    pub metric: &'static str,
    /// Whether it counts in the group's figure and floor.
    pub is_judged: bool,
    pub ours: Option<f64>,
    /// The peer with the best median, and that.
    pub best: Option<(String, f64)>,
    pub ratio: Option<Ratio>,
    /// Everybody but us.
    pub peers: Vec<(String, f64)>,
    /// Ours to each peer's, by medians; no limits, and nothing without us.
    pub ratios: Vec<(String, f64)>,
}

/// Ours to the best peer's, above 1 when ours is better.
#[derive(Clone, Copy)]
pub struct Ratio {
    pub of_medians: f64,
    /// Quartiles of the ratios of the single rounds.
    pub spread: (f64, f64),
}

impl Row {
    fn new(workload: &str, metric: Metric, series: &[Series<'_>]) -> Row {
        let of_role = |role| {
            series
                .iter()
                .filter(move |(contender, _)| contender.role == role)
        };
        let ours = of_role(Role::Ours).next();
        let best = of_role(Role::Peer).reduce(|a, b| {
            if metric.ratio(median(&b.1), median(&a.1)) > 1.0 {
                b
            } else {
                a
            }
        });
        let ratio = ours.zip(best).map(|((_, ours), (_, theirs))| {
            let rounds = ours.iter().zip(theirs).map(|(&o, &t)| metric.ratio(o, t));
            let rounds: Vec<f64> = rounds.collect();
            Ratio {
                of_medians: metric.ratio(median(ours), median(theirs)),
                spread: (quantile(&rounds, 0.25), quantile(&rounds, 0.75)),
            }
        });
        let named = |(contender, figures): &Series<'_>| (contender.name.clone(), median(figures));
        let ratios = ours.map_or_else(Vec::new, |(_, ours)| {
            of_role(Role::Peer)
                .map(named)
                .map(|(peer, theirs)| (peer, metric.ratio(median(ours), theirs)))
                .collect()
        });
        Row {
            workload: workload.to_owned(),
            metric: metric.unit,
            is_judged: metric.is_judged,
            ours: ours.map(|(_, figures)| median(figures)),
            best: best.map(named),
            ratio,
            peers: of_role(Role::Peer)
                .chain(of_role(Role::Limit))
                .map(named)
                .collect(),
            ratios,
        }
    }
}

pub fn median(figures: &[f64]) -> f64 {
    quantile(figures, 0.5)
}

/// The value that the fraction `q` of the figures lies below, interpolated between neighbours.
pub fn quantile(figures: &[f64], q: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let position = q * (sorted.len() - 1) as f64;
    let below = sorted[position.floor() as usize];
    let above = sorted[position.ceil() as usize];
    below + (above - below) * position.fract()
}

/// `None` for no figures.
pub fn geometric_mean(figures: &[f64]) -> Option<f64> {
    let logarithms: f64 = figures.iter().map(|figure| figure.ln()).sum();
    (!figures.is_empty()).then(|| (logarithms / figures.len() as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn a_ratio_above_one_is_better_for_times_and_rates() {
        assert!(close(Metric::time("ns").ratio(5.0, 10.0), 2.0));
        assert!(close(Metric::rate("ops/s").ratio(5.0, 10.0), 0.5));
    }

    #[test]
    fn a_number_picks_itself_and_no_longer_one() {
        let name = "throughput cap=1024 4x4 256 B";
        for only in [
            "",
            "cap=1024",
            "cap=1024 4x4",
            "put",
            "cap=",
            "x4",
            "256 B",
            "4x",
        ] {
            assert!(picks(only, name), "{only}");
        }
        for only in ["cap=1", "24 4x4", "cap=64", "cap=10", "56 B"] {
            assert!(!picks(only, name), "{only}");
        }
        assert!(
            picks("1 core", "ping-pong cap=11 core 1 core"),
            "a later one does"
        );
    }

    #[test]
    fn quantiles_interpolate_and_need_no_order() {
        let figures = [4.0, 1.0, 3.0, 2.0];
        assert!(close(median(&figures), 2.5));
        assert!(close(quantile(&figures, 0.25), 1.75));
        assert!(close(quantile(&figures, 1.0), 4.0));
        assert!(close(median(&[7.0]), 7.0));
    }

    #[test]
    fn the_geometric_mean_lets_a_half_undo_a_double() {
        assert!(close(geometric_mean(&[0.5, 2.0, 1.0]).unwrap(), 1.0));
        assert_eq!(geometric_mean(&[]), None);
    }

    #[test]
    fn everybody_begins_a_round_in_turn() {
        let calls = Rc::new(RefCell::new(String::new()));
        let called = |letter: char| {
            let calls = Rc::clone(&calls);
            move || {
                calls.borrow_mut().push(letter);
                1.0
            }
        };
        Workload::new("turns", &[Metric::rate("1")])
            .ours(called('a'))
            .peer("b", called('b'))
            .limit("c", called('c'))
            .run(3);
        assert_eq!(*calls.borrow(), "abcbcacababc");
    }

    #[test]
    fn the_best_peer_is_the_one_with_the_best_median_and_never_a_limit() {
        let row = |metric: Metric| {
            let mut figure = 3.0;
            let growing = move || {
                figure += 1.0; // the uncounted round makes it 4, the counted 5, 6, 7
                figure
            };
            let mut rows = Workload::new("w", &[metric])
                .peer("slow", || 12.0)
                .ours(growing)
                .peer("quick", || 3.0)
                .limit("none", || 1.0)
                .limit("all", || 100.0)
                .run(3);
            rows.remove(0)
        };
        let time = row(Metric::time("ns"));
        assert_eq!(time.best, Some(("quick".to_owned(), 3.0)));
        assert!(close(time.ours.unwrap(), 6.0));
        let ratio = time.ratio.unwrap();
        assert!(close(ratio.of_medians, 0.5));
        assert!(ratio.spread.0 < 0.5 && ratio.spread.1 > 0.5);

        let rate = row(Metric::rate("ops/s"));
        assert_eq!(rate.best, Some(("slow".to_owned(), 12.0)));
        assert!(close(rate.ratio.unwrap().of_medians, 0.5));
        assert_eq!(rate.peers.len(), 4);
        let to_each = [("slow".to_owned(), 0.5), ("quick".to_owned(), 2.0)];
        assert_eq!(rate.ratios, to_each, "to each peer, to no limit");
    }

    #[test]
    fn a_row_without_us_or_without_peers_has_no_ratio() {
        let alone = Workload::new("alone", &[Metric::time("ns")])
            .ours(|| 1.0)
            .run(1);
        assert!(alone[0].ratio.is_none() && alone[0].best.is_none());
        let absent = Workload::new("absent", &[Metric::time("ns")])
            .peer("p", || 1.0)
            .run(1);
        assert!(absent[0].ratio.is_none() && absent[0].ours.is_none());
    }

    #[test]
    fn each_metric_gets_its_row() {
        let metrics = [Metric::time("us"), Metric::rate("ops/s")];
        let rows = Workload::new("w", &metrics)
            .ours(|| [1.0, 10.0])
            .peer("p", || [2.0, 5.0])
            .run(1);
        assert_eq!([rows[0].metric, rows[1].metric], ["us", "ops/s"]);
        assert!(
            rows.iter()
                .all(|row| close(row.ratio.unwrap().of_medians, 2.0))
        );
    }
}
