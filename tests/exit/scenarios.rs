//! The programs that end.

use latchwork::debug;
use latchwork::executor::{Executor, ThreadPoolExecutor};
use latchwork::exit::{self, Guard};
use latchwork::queue::{DelayQueue, Delayed, Queue};
use latchwork::sync::{Event, Lock, Semaphore};
use latchwork::thread;
use latchwork::time::Timer;
use std::process::{ExitCode, Termination};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(20);

/// Called in `main`, and what it returns is what `main` returns.
pub fn play(scenario: &str) -> ExitCode {
    match scenario {
        "in_order" => in_order(),
        "long_task" => {
            let _guard = Guard::new();
            long_task();
        }
        "long_task_without_a_guard" => long_task(),
        "panic" => {
            let _guard = Guard::new();
            late_thread();
            say_at_end();
            panic!("on purpose");
        }
        "code_in_main" => {
            let _guard = Guard::new();
            late_thread();
            say_at_end();
            exit::exit(7);
        }
        "code_in_a_hook" => code_in_a_hook(),
        "code_in_a_thread" => {
            let _guard = Guard::new();
            say_at_end();
            late_thread();
            start(|| exit::exit(7));
        }
        "code_without_a_guard" => {
            say_at_end();
            late_thread();
            std::thread::spawn(|| exit::exit(7)).join().unwrap();
        }
        "code_in_a_task" => code_in_a_task(),
        "many_ask" => many_ask(),
        "a_hook_and_a_thread_ask" => a_hook_and_another_ask(start),
        "a_hook_and_a_task_ask" => a_hook_and_another_ask(|asks| {
            let pool = POOL.get_or_init(|| ThreadPoolExecutor::new(1));
            drop(pool.spawn(asks));
        }),
        "macro_unit" => by_macro::unit::main(),
        "macro_result" => return by_macro::result::main().report(),
        "macro_code" => return by_macro::code::main().report(),
        "generations" => {
            let _guard = Guard::new();
            generation(0);
        }
        "priorities" => priorities(),
        "two_guards" => {
            let _guard = Guard::new();
            println!("{}", Guard::try_new().unwrap_err());
            late_thread();
            drop(Guard::new());
        }
        "guard_elsewhere" => {
            let elsewhere = thread::spawn(|| {
                let guard = Guard::new();
                late_thread();
                say_at_end();
                drop(guard);
                println!("the guard's thread goes on");
            });
            elsewhere.join().unwrap();
        }
        "gives_up" => gives_up(),
        "guard_gives_up" => {
            let _guard = Guard::new().give_up_after(SHORT);
            say_at_end();
            endless(Arc::new(Event::new()));
        }
        "pools" => pools(),
        "pools_built_late" => pools_built_late(),
        "timers" => timers(),
        "join_a_daemon" => join_a_daemon(),
        "daemons" => daemons(),
        #[cfg(unix)]
        "fork" => fork(),
        other => panic!("there is no scenario {other}"),
    }
    ExitCode::SUCCESS
}

/// A thread that nobody has a handle of.
fn start<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) {
    drop(thread::spawn(f));
}

fn say_at_end() {
    exit::at_end(|| println!("the end")).unwrap();
}

/// A thread that says something when the end has begun.
fn late_thread() {
    start(|| {
        while !exit::is_exiting() {
            std::thread::yield_now();
        }
        println!("a thread");
    });
}

fn long_task() {
    start(|| {
        let done = (0..100)
            .inspect(|_| std::thread::sleep(Duration::from_millis(1)))
            .count();
        println!("step {done}");
    });
}

static STOP: Event = Event::new();
static TASKS_DONE: Event = Event::new();
static POOL: OnceLock<ThreadPoolExecutor> = OnceLock::new();

fn in_order() {
    let _guard = Guard::new();
    let pool = POOL.get_or_init(|| ThreadPoolExecutor::new(1));
    exit::at_end(|| println!("the first hook of the end")).unwrap();
    exit::at_end(|| {
        let refused = thread::Builder::new().spawn(|| ()).unwrap_err();
        println!("the end: {refused}");
        let refused = POOL.get().unwrap().spawn(|| ()).unwrap_err();
        println!("the end: {refused}");
        let refused = exit::at_exit(|| println!("the end: too late for a hook, which said 7"));
        (refused.unwrap_err().0)();
    })
    .unwrap();
    exit::at_exit(|| {
        println!("the first hook");
        STOP.set();
    })
    .unwrap();
    exit::at_exit(|| {
        println!("a hook that registers another");
        exit::at_exit(|| println!("the hook of a hook")).unwrap();
    })
    .unwrap();
    exit::at_exit(|| {
        println!("a hook that panics");
        panic!("on purpose");
    })
    .unwrap();
    exit::at_exit(|| println!("a hook: exiting: {}", exit::is_exiting())).unwrap();
    for n in 1..=3 {
        let task = pool.spawn(move || {
            STOP.wait();
            println!("task {n}");
            if n == 3 {
                TASKS_DONE.set();
            }
        });
        drop(task.unwrap());
    }
    start(|| {
        TASKS_DONE.wait();
        println!("a thread, after the tasks");
        start(|| println!("a thread that it has started"));
    });
    println!("main returns, exiting: {}", exit::is_exiting());
}

fn code_in_a_hook() {
    let _guard = Guard::new();
    say_at_end();
    exit::at_exit(|| {
        println!("the other hook");
        start(|| println!("a thread"));
    })
    .unwrap();
    exit::at_exit(|| {
        println!("a hook");
        exit::exit(7);
    })
    .unwrap();
}

fn code_in_a_task() {
    let _guard = Guard::new();
    say_at_end();
    let pool = POOL.get_or_init(|| ThreadPoolExecutor::new(1));
    let begin = Arc::new(Event::new());
    let begun = Arc::clone(&begin);
    drop(pool.spawn(move || {
        begun.wait();
        println!("a task");
        exit::exit(7);
    }));
    drop(pool.spawn(|| println!("another task")));
    begin.set();
}

fn many_ask() {
    let _guard = Guard::new();
    say_at_end();
    exit::at_exit(|| println!("a hook")).unwrap();
    let pool = POOL.get_or_init(|| ThreadPoolExecutor::new(2));
    let together = Arc::new(latchwork::sync::Barrier::new(5));
    for _ in 0..2 {
        let (here, there) = (Arc::clone(&together), Arc::clone(&together));
        start(move || {
            here.wait().unwrap();
            exit::exit(7);
        });
        drop(pool.spawn(move || {
            there.wait().unwrap();
            exit::exit(7);
        }));
    }
    together.wait().unwrap();
    exit::exit(7);
}

fn pools_built_late() {
    let has_ended = AtomicUsize::new(0);
    let building = Event::new();
    std::thread::scope(|s| {
        let builder = s.spawn(|| {
            let mut pools = Vec::new();
            while has_ended.load(Ordering::Acquire) == 0 {
                pools.push(ThreadPoolExecutor::new(1));
                building.set();
            }
            let accept = pools.iter().filter(|pool| pool.spawn(|| ()).is_ok());
            println!("{} pools accept", accept.count());
            let joined =
                |pool: &&ThreadPoolExecutor| pool.join_within(Duration::from_secs(1)).is_ok();
            let is_all = pools.iter().take_while(joined).count() == pools.len();
            println!("all have ended: {is_all}");
        });
        building.wait();
        exit::shutdown();
        has_ended.store(1, Ordering::Release);
        builder.join().unwrap();
    });
}

fn a_hook_and_another_ask(run: fn(fn())) {
    let _guard = Guard::new();
    say_at_end();
    exit::at_exit(move || {
        println!("a hook");
        run(|| exit::exit(7));
        // The other one waits for the hooks.
        while debug::waits().iter().all(|wait| wait.kind != "Lock") {
            thread::yield_now();
        }
        exit::exit(7);
    })
    .unwrap();
}

mod by_macro {
    pub mod unit {
        latchwork::main! {
            /// Attributes and visibility are kept.
            pub fn main() {
                super::super::late_thread();
            }
        }
    }
    pub mod result {
        latchwork::main! {
            pub fn main() -> Result<(), Box<dyn std::error::Error>> {
                super::super::late_thread();
                Err("no luck")?;
                Ok(())
            }
        }
    }
    pub mod code {
        latchwork::main! {
            pub fn main() -> std::process::ExitCode {
                super::super::late_thread();
                return std::process::ExitCode::from(9);
            }
        }
    }
}

fn generation(n: usize) {
    start(move || {
        // Not the first ones only: by then `main` waits.
        while !exit::is_exiting() {
            std::thread::yield_now();
        }
        println!("generation {n}");
        if n < 19 {
            generation(n + 1);
        }
    });
}

fn priorities() {
    let _guard = Guard::new();
    let say = |priority, text: &'static str| {
        exit::at_exit_priority(priority, move || println!("{text}")).unwrap()
    };
    say(0, "0");
    say(-5, "-5");
    say(10, "10");
    exit::at_exit(|| println!("0, the later")).unwrap();
    let cancelled = say(99, "never");
    assert!(cancelled.still_active());
    let in_time = cancelled.cancel() && !cancelled.still_active();
    let called = say(10, "10, the later");
    exit::at_end(move || {
        println!(
            "cancelled in time: {in_time}, too late: {}",
            called.cancel()
        );
    })
    .unwrap();
}

fn endless(stop: Arc<Event>) {
    let endless = thread::Builder::new().name("endless");
    drop(endless.spawn(move || stop.wait()).unwrap());
}

fn gives_up() {
    let stop = Arc::new(Event::new());
    say_at_end();
    let pool = ThreadPoolExecutor::builder();
    let pool = pool.max_workers(1).thread_name_prefix("stuck").build();
    let its = Arc::clone(&stop);
    let first = pool.spawn(move || its.wait()).unwrap();
    let second = pool.spawn(|| ()).unwrap();
    while !first.is_running() {
        std::thread::yield_now();
    }
    println!("{}", exit::shutdown_within(SHORT).unwrap_err());
    stop.set();
    second.result().unwrap();
    drop(pool);
    stop.clear();
    endless(Arc::clone(&stop));
    let remaining = exit::shutdown_within(SHORT).unwrap_err();
    let is_endless = |thread: &thread::ThreadInfo| &*thread.name() == "endless";
    println!("{:#}", remaining);
    assert!(remaining.threads.iter().any(is_endless));
    stop.set();
    exit::shutdown();
    println!("done");
}

fn pools() {
    static DONE: AtomicUsize = AtomicUsize::new(0);
    let _guard = Guard::new();
    let pool = POOL.get_or_init(|| ThreadPoolExecutor::new(3));
    for _ in 0..50 {
        let task = pool.spawn(|| {
            STOP.wait();
            DONE.fetch_add(1, Ordering::Relaxed);
        });
        drop(task.unwrap());
    }
    start(|| {
        // From the moment on at which pools are drained.
        let refused = loop {
            match POOL.get().unwrap().spawn(|| ()) {
                Ok(task) => drop(task),
                Err(refused) => break refused,
            }
            std::thread::yield_now();
        };
        println!("refused: {refused}");
        let late = ThreadPoolExecutor::new(1);
        println!("a late pool: {}", late.spawn(|| ()).unwrap_err());
        STOP.set();
    });
    exit::at_end(|| println!("{} tasks done", DONE.load(Ordering::Relaxed))).unwrap();
}

/// One that rings while threads are joined, one that is running then, and one that is too late.
fn timers() {
    let _guard = Guard::new();
    let (begun, go_on) = (Arc::new(Event::new()), Arc::new(Event::new()));
    let its = (Arc::clone(&begun), Arc::clone(&go_on));
    let early = Timer::after(SHORT, || println!("a timer"));
    drop(thread::spawn(move || early.join().unwrap()));
    drop(Timer::after(2 * SHORT, move || {
        its.0.set();
        its.1.wait();
        println!("a timer that was running");
    }));
    drop(thread::spawn(move || begun.wait()));
    let late = Timer::after(Duration::from_secs(3600), || println!("never"));
    exit::at_end(move || {
        println!("{}", late.join().unwrap_err());
        let refused = Timer::after(Duration::ZERO, || println!("never")).join();
        println!("{}", refused.unwrap_err());
    })
    .unwrap();
    // After the threads have ended, somebody of no concern lets it go on.
    std::thread::spawn(move || {
        while thread::Builder::new().spawn(|| ()).is_ok() {
            std::thread::yield_now();
        }
        go_on.set();
    });
}

fn join_a_daemon() {
    let _guard = Guard::new();
    let daemon = |f: fn() -> u8| thread::Builder::new().daemon(true).spawn(f).unwrap();
    let quick = daemon(|| {
        STOP.wait();
        7
    });
    let stuck = daemon(|| {
        loop {
            std::thread::park();
        }
    });
    exit::at_end(move || {
        STOP.set();
        println!("joined: {}", quick.join().unwrap());
        let alive = stuck.join_within(SHORT).unwrap_err();
        println!("still alive: {:?}", alive.why);
    })
    .unwrap();
}

/// Everything static that daemons may be in the middle of.
static COUNT: Lock<u64> = Lock::new(0);
static PLACES: Semaphore = Semaphore::new(1);
static NEVER: Event = Event::new();

fn daemons() {
    let _guard = Guard::new();
    let queue: Queue<u64> = Queue::bounded(2);
    let delayed: DelayQueue<u64> = DelayQueue::unbounded();
    for n in 0..6 {
        let (queue, delayed) = (queue.clone(), delayed.clone());
        let work = move || loop {
            *COUNT.lock() += 1;
            drop(PLACES.acquire());
            if n % 2 == 0 {
                let _ = queue.put_within(n, Duration::from_micros(100));
                let soon = Instant::now() + Duration::from_micros(50);
                let _ = delayed.put(Delayed::at(soon, n));
            } else {
                let _ = queue.get_within(Duration::from_micros(100));
                let _ = delayed.get_within(Duration::from_micros(100));
            }
            let _ = NEVER.wait_within(Duration::from_micros(20));
            let short = thread::Builder::new()
                .daemon(true)
                .spawn(|| drop(COUNT.lock()));
            drop(short);
        };
        drop(thread::Builder::new().daemon(true).spawn(work).unwrap());
    }
    while *COUNT.lock() < 20 {
        std::thread::yield_now();
    }
    exit::at_end(|| println!("the end")).unwrap();
}

#[cfg(unix)]
fn fork() {
    let _guard = Guard::new();
    exit::at_exit(|| println!("the parent's hook")).unwrap();
    start(|| {
        STOP.wait();
    });
    // SAFETY: what the child does then is what is tested here.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // Ends by the guard.
        exit::at_end(|| println!("the child's hook")).unwrap();
        start(|| println!("the child's thread"));
        return;
    }
    let mut status = 0;
    // SAFETY: the child, for which nobody else waits.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert_eq!(status, 0);
    println!("the parent's thread");
    STOP.set();
}
