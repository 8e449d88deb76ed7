//! The random driver: processes at work on one object, killed and stopped at any moment.

use crate::drive::Row;
use crate::scratch::scratch;
use crate::victim::{Victim, timed, wait_until};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Random kills and stops among processes at work on one kind of object.
pub struct Storm {
    pub name: &'static str,
    /// Goes on for so long.
    pub rage: fn(Duration) -> Row,
}

/// What processes do together.
pub trait Load {
    /// One operation, over and over. A panic is something lost.
    fn turn(&self);

    /// When all are dead: is the object what the turns must have made of it?
    fn audit(&self, audit: Audit) -> Result<(), String>;
}

/// What is known of a storm when it is over.
#[derive(Clone, Copy, Debug)]
pub struct Audit {
    /// Turns that were told. A process killed after a turn and before it told is not in it.
    pub turns: u64,
    /// Processes that were killed, each perhaps in such a moment.
    pub deaths: u64,
}

/// Whom a blow hits and when, the same on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Lets `processes` (eight at most) work for `length`, and strikes a random subset of them again and
/// again: some are killed and replaced, some stopped for a while.
pub fn run(name: &str, load: &impl Load, processes: usize, length: Duration) -> Row {
    let mut row = Row::new(format!("{name}, at random"));
    let told = scratch();
    let worker = |place: usize| {
        Victim::new(|| {
            loop {
                load.turn();
                told[place].fetch_add(1, Ordering::SeqCst);
            }
        })
    };
    let tally = || told.iter().map(|n| n.load(Ordering::SeqCst)).sum::<u64>();
    let mut workers: Vec<_> = (0..processes).map(worker).collect();
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let (began, mut deaths) = (Instant::now(), 0);
    while began.elapsed() < length && row.stuck == 0 {
        std::thread::sleep(Duration::from_micros(random.below(5000)));
        let hit = random.below(1 << processes);
        let killed = hit & random.below(1 << processes);
        let is_in = |set: u64, place: usize| set >> place & 1 == 1;
        for place in (0..processes).filter(|&place| is_in(hit & !killed, place)) {
            workers[place].stop();
        }
        let before_the_dead = tally();
        for place in (0..processes).filter(|&place| is_in(killed, place)) {
            let dead = std::mem::replace(&mut workers[place], worker(place));
            dead.kill();
            deaths += 1;
        }
        std::thread::sleep(Duration::from_micros(random.below(3000)));
        for place in (0..processes).filter(|&place| is_in(hit & !killed, place)) {
            workers[place].signal(libc::SIGCONT);
        }
        let give_up = Instant::now() + Duration::from_secs(10);
        let (_, took) = timed(|| {
            wait_until(|| tally() > before_the_dead || Instant::now() > give_up);
        });
        row.points += 1;
        // Wall clock: the workers may have had to wait for a processor as well.
        if took > Duration::from_secs(2) {
            row.stuck(format!("no turn for {took:?} after {deaths} deaths"));
        }
    }
    for worker in workers {
        if worker.has_ended() {
            row.lost("a worker found something wrong, see above".to_owned());
        }
        worker.kill();
        deaths += 1;
    }
    let turns = tally();
    if let Err(what) = load.audit(Audit { turns, deaths }) {
        row.lost(what);
    }
    if turns < row.points as u64 {
        row.lost(format!("only {turns} turns: that was no load"));
    }
    row.held = deaths as usize;
    row.took = began.elapsed();
    row
}
