//! Bytes that processes share, copied in under the lock and out under the lock.

use super::mutexes::{Mutex, Plain, Robust};
use super::value::PYTHON;
use crate::python;
use crate::run::{Metric, Workload};
use crate::shared::Shared;
use latchwork::ipc::Array;
use std::hint::black_box;
use std::time::{Duration, Instant};

trait Bytes: 'static {
    fn new(len: usize) -> Self;
    fn write(&self, from: &[u8]);
    fn read(&self, to: &mut [u8]);
}

impl Bytes for Array<u8> {
    fn new(len: usize) -> Self {
        Array::zeroed(len).expect("there is shared memory")
    }
    fn write(&self, from: &[u8]) {
        self.lock().expect("nobody dies").copy_from_slice(from);
    }
    fn read(&self, to: &mut [u8]) {
        to.copy_from_slice(&self.lock().expect("nobody dies"));
    }
}

/// Mapped memory, and a mutex for processes beside it.
struct Mapped<M> {
    mutex: M,
    bytes: Shared<[u8]>,
}

impl<M: Mutex> Bytes for Mapped<M> {
    fn new(len: usize) -> Self {
        Mapped {
            mutex: M::new(),
            bytes: Shared::bytes(len),
        }
    }
    fn write(&self, from: &[u8]) {
        let _guard = self.mutex.lock();
        // SAFETY: the mutex is ours, and whoever else uses the bytes has it locked.
        unsafe { &mut *self.bytes.as_ptr() }.copy_from_slice(from);
    }
    fn read(&self, to: &mut [u8]) {
        let _guard = self.mutex.lock();
        // SAFETY: as above.
        to.copy_from_slice(unsafe { &*self.bytes.as_ptr() });
    }
}

/// A sample that is published, and received by a subscriber of the same process.
#[cfg(feature = "iceoryx2")]
struct Iceoryx {
    publisher: iceoryx2::port::publisher::Publisher<iceoryx2::service::ipc::Service, [u8], ()>,
    subscriber: iceoryx2::port::subscriber::Subscriber<iceoryx2::service::ipc::Service, [u8], ()>,
    _node: iceoryx2::node::Node<iceoryx2::service::ipc::Service>,
}

#[cfg(feature = "iceoryx2")]
impl Bytes for Iceoryx {
    fn new(len: usize) -> Self {
        use iceoryx2::prelude::*;
        set_log_level(LogLevel::Error);
        let node = NodeBuilder::new().create::<ipc::Service>().expect("a node");
        let name = format!("latchwork-benches/{}", std::process::id());
        let name = name.as_str().try_into().expect("a name");
        let service = node.service_builder(&name).publish_subscribe::<[u8]>();
        let service = service
            .subscriber_max_buffer_size(1)
            .enable_safe_overflow(false)
            .create()
            .expect("a service of this name is new");
        let publisher = service.publisher_builder().initial_max_slice_len(len);
        Iceoryx {
            publisher: publisher.create().expect("a publisher"),
            subscriber: service.subscriber_builder().create().expect("a subscriber"),
            _node: node,
        }
    }
    fn write(&self, from: &[u8]) {
        let sample = self.publisher.loan_slice_uninit(from.len());
        let sample = sample.expect("one is free").write_from_slice(from);
        assert_eq!(sample.send().expect("it is sent"), 1);
    }
    fn read(&self, to: &mut [u8]) {
        let sample = self.subscriber.receive().expect("it is received");
        to.copy_from_slice(sample.expect("it was sent").payload());
    }
}

pub fn workloads(sample: Duration) -> Vec<Workload> {
    let sizes = [("64 KiB", 64 << 10), ("16 MiB", 16 << 20)];
    let sizes = sizes.into_iter().filter(|(name, len)| {
        let made = Array::<u8>::zeroed(*len);
        if let Err(problem) = &made {
            eprintln!("left out: {name} in and out, since {problem}");
        }
        made.is_ok()
    });
    sizes
        .map(|(name, len)| workload(sample, name, len))
        .collect()
}

fn workload(sample: Duration, name: &str, len: usize) -> Workload {
    let rate = [Metric::rate("bytes/s")];
    let workload = Workload::new(format!("{name} in and out"), &rate)
        .ours(move || in_and_out::<Array<u8>>(sample, len))
        .peer("pthread", move || in_and_out::<Mapped<Plain>>(sample, len))
        .peer("pthread robust", move || {
            in_and_out::<Mapped<Robust>>(sample, len)
        });
    #[cfg(feature = "iceoryx2")]
    let workload = workload.peer("iceoryx2", move || in_and_out::<Iceoryx>(sample, len));
    if !python::is_there() {
        return workload;
    }
    let what = format!("bytes-{len}");
    workload.peer("Python Array", move || PYTHON.sample::<1>(&what, sample))
}

fn in_and_out<B: Bytes>(sample: Duration, len: usize) -> f64 {
    let bytes = B::new(len);
    let mut from: Vec<u8> = (0..len).map(|at| at as u8).collect();
    let mut to = vec![0; len];
    // Every page is there before the clock starts.
    bytes.write(&from);
    bytes.read(&mut to);
    let mut copied = 0;
    let start = Instant::now();
    while start.elapsed() < sample {
        from[0] = from[0].wrapping_add(1);
        bytes.write(black_box(&from));
        bytes.read(black_box(&mut to));
        copied += 2 * len;
    }
    let took = start.elapsed();
    assert_eq!(from, to);
    copied as f64 / took.as_secs_f64()
}
