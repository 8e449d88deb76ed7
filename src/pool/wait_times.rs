//! [`WaitTimes`]: how long callers have waited, as a histogram of fixed size.
//!
//! Keeps: every wait is in exactly one bucket, or in `at_once`. Filled by the pool's core under its lock; read by
//! users from a copy.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

/// Buckets for each doubling; those below so many microseconds are a microsecond wide.
const STEPS: usize = 4;
const STEP_BITS: u32 = STEPS.ilog2();
/// The last one begins at 62 minutes and has no end.
const BUCKETS: usize = 124;

/// How long callers had to wait until it was their turn: a histogram, exact to a quarter, or to a microsecond.
///
/// Its `Display` form is a table with bars.
///
/// ```
/// use latchwork::pool::ResourcePool;
/// use std::time::Duration;
///
/// let pool: ResourcePool<String> = ResourcePool::new(1, || Ok(String::new()));
/// drop(pool.get()?);
/// let waits = pool.stats().waits;
/// assert_eq!((waits.count(), waits.at_once()), (1, 1));
/// assert_eq!(waits.quantile(0.99), Duration::ZERO);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct WaitTimes {
    at_once: u64,
    counts: [u64; BUCKETS],
    total: Duration,
    longest: Duration,
}

impl WaitTimes {
    pub(super) fn new() -> WaitTimes {
        WaitTimes {
            at_once: 0,
            counts: [0; BUCKETS],
            total: Duration::ZERO,
            longest: Duration::ZERO,
        }
    }

    /// Adds one; `None`: it was served at once.
    pub(super) fn add(&mut self, waited: Option<Duration>) {
        let Some(waited) = waited else {
            self.at_once += 1;
            return;
        };
        let micros = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
        self.counts[bucket(micros)] += 1;
        self.total = self.total.saturating_add(waited);
        self.longest = self.longest.max(waited);
    }

    /// How many there were, those included that did not wait.
    pub fn count(&self) -> u64 {
        self.at_once + self.counts.iter().sum::<u64>()
    }

    /// How many were served at once.
    pub fn at_once(&self) -> u64 {
        self.at_once
    }

    /// The longest wait, exactly.
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// The mean wait; zero if there was none.
    pub fn mean(&self) -> Duration {
        let nanos = self.total.as_nanos() / u128::from(self.count().max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// A wait that a share of `quantile` did not exceed: 0.5 for the median, 0.99 for one in a hundred, 1.0 for
    /// the longest. It is at most a quarter, or a microsecond, too long. Zero if there was none.
    ///
    /// # Panics
    ///
    /// If `quantile` is not from 0 to 1.
    #[doc(alias = "percentile")]
    pub fn quantile(&self, quantile: f64) -> Duration {
        assert!((0.0..=1.0).contains(&quantile), "not from 0 to 1");
        let rank = (quantile * self.count() as f64).ceil() as u64;
        let mut seen = self.at_once;
        if rank <= seen {
            return Duration::ZERO;
        }
        for (range, count) in self.buckets() {
            seen += count;
            if rank <= seen {
                return range.end.min(self.longest);
            }
        }
        self.longest
    }

    /// The buckets in which there are any, shortest waits first: from, to, and how many. Those served at once are in none.
    pub fn buckets(&self) -> impl Iterator<Item = (Range<Duration>, u64)> + '_ {
        let counted = self.counts.iter().enumerate().filter(|(_, n)| **n > 0);
        counted.map(|(number, count)| (begin(number)..end(number), *count))
    }
}

fn bucket(micros: u64) -> usize {
    let octave = micros.max(1).ilog2();
    if octave < STEP_BITS {
        return micros as usize;
    }
    let step = micros >> (octave - STEP_BITS) & (STEPS as u64 - 1);
    let number = (octave - STEP_BITS + 1) as usize * STEPS + step as usize;
    number.min(BUCKETS - 1)
}

fn begin(number: usize) -> Duration {
    let (octave, step) = (number / STEPS, number % STEPS);
    let micros = match octave {
        0 => step as u64,
        _ => ((STEPS + step) as u64) << (octave - 1),
    };
    Duration::from_micros(micros)
}

fn end(number: usize) -> Duration {
    match number {
        last if last == BUCKETS - 1 => Duration::MAX,
        number => begin(number + 1),
    }
}

impl fmt::Display for WaitTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WIDTH: u64 = 40;
        let octaves: Vec<u64> = (self.counts.chunks(STEPS))
            .map(|octave| octave.iter().sum())
            .collect();
        let most = octaves.iter().copied().chain([self.at_once, 1]).max();
        let mut row = |label: String, count: u64| {
            let bar = "#".repeat((count * WIDTH).div_ceil(most.unwrap_or(1)) as usize);
            writeln!(f, "{}", format!("{label:>16} {count:>8}  {bar}").trim_end())
        };
        row("at once".to_owned(), self.at_once)?;
        let filled = |(_, count): &(usize, &u64)| **count > 0;
        let first = octaves.iter().enumerate().find(filled);
        let last = octaves.iter().enumerate().rfind(filled);
        if let (Some((first, _)), Some((last, _))) = (first, last) {
            for (octave, count) in octaves.iter().enumerate().take(last + 1).skip(first) {
                let label = match octave + 1 < octaves.len() {
                    true => format!("below {:?}", begin((octave + 1) * STEPS)),
                    false => "longer".to_owned(),
                };
                row(label, *count)?;
            }
        }
        let [half, most, longest] = [0.5, 0.99, 1.0].map(|share| self.quantile(share));
        write!(
            f,
            "{:>16} {half:?}, p99 {most:?}, longest {longest:?}",
            "median"
        )
    }
}

impl fmt::Debug for WaitTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitTimes")
            .field("count", &self.count())
            .field("at_once", &self.at_once)
            .field("mean", &self.mean())
            .field("median", &self.quantile(0.5))
            .field("p99", &self.quantile(0.99))
            .field("longest", &self.longest)
            .finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_microsecond_is_in_the_bucket_that_says_so() {
        let around = (2..64).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit, (1 << bit) + 1]);
        for micros in (0..5000).chain(around) {
            let (number, at) = (bucket(micros), Duration::from_micros(micros));
            assert!(begin(number) <= at && at < end(number), "{micros}");
        }
        for number in 1..BUCKETS {
            assert_eq!(end(number - 1), begin(number));
        }
    }

    #[test]
    fn a_quantile_is_never_short_and_at_most_a_quarter_too_long() {
        let mut waits = WaitTimes::new();
        for micros in 1..=1000 {
            waits.add(Some(Duration::from_micros(micros)));
        }
        for percent in 1..=100 {
            let told = waits.quantile(f64::from(percent) / 100.0);
            let exact = Duration::from_micros(u64::from(percent as u32) * 10);
            assert!(
                told >= exact && told <= exact * 5 / 4,
                "{percent}: {told:?}"
            );
        }
        assert_eq!(waits.quantile(1.0), Duration::from_millis(1));
        assert_eq!(waits.mean(), Duration::from_nanos(500_500));
        // As many again that did not wait push the median down.
        (0..1000).for_each(|_| waits.add(None));
        assert_eq!(waits.quantile(0.5), Duration::ZERO);
        assert!(waits.to_string().contains("at once     1000"), "{waits}");
    }
}
