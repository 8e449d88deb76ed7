//! A span for each task, with the feature `tracing`.

mod common;

use common::watchdog;
use latchwork::executor::{Rejection, ThreadPoolExecutor};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Mutex;
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber, info, info_span};
use tracing_core::span::Current;

const LIMIT: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Spans(Mutex<Vec<Span>>);

struct Span {
    metadata: &'static Metadata<'static>,
    parent: Option<Id>,
    fields: BTreeMap<&'static str, String>,
    events: usize,
}

std::thread_local! {
    static ENTERED: std::cell::RefCell<Vec<Id>> = const { std::cell::RefCell::new(Vec::new()) };
}

static SPANS: Spans = Spans(Mutex::new(Vec::new()));

struct Recorder;

struct Fields<'f>(&'f mut BTreeMap<&'static str, String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let parent = match attributes.is_contextual() {
            true => ENTERED.with_borrow(|entered| entered.last().cloned()),
            false => attributes.parent().cloned(),
        };
        let mut fields = BTreeMap::new();
        attributes.record(&mut Fields(&mut fields));
        let mut spans = SPANS.0.lock().unwrap();
        spans.push(Span {
            metadata: attributes.metadata(),
            parent,
            fields,
            events: 0,
        });
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, _event: &Event<'_>) {
        if let Some(id) = ENTERED.with_borrow(|entered| entered.last().cloned()) {
            SPANS.0.lock().unwrap()[id.into_u64() as usize - 1].events += 1;
        }
    }

    fn enter(&self, span: &Id) {
        ENTERED.with_borrow_mut(|entered| entered.push(span.clone()));
    }

    fn exit(&self, _span: &Id) {
        ENTERED.with_borrow_mut(|entered| drop(entered.pop()));
    }

    fn current_span(&self) -> Current {
        let Some(id) = ENTERED.with_borrow(|entered| entered.last().cloned()) else {
            return Current::none();
        };
        let metadata = SPANS.0.lock().unwrap()[id.into_u64() as usize - 1].metadata;
        Current::new(id, metadata)
    }
}

/// The span says which pool, worker and task, its parent is the submitter's, and what the task logs is in it.
#[test]
fn a_task_has_a_span_beneath_its_submitters() {
    watchdog(LIMIT, "a_task_has_a_span", || {
        tracing::subscriber::set_global_default(Recorder).unwrap();
        let pool = ThreadPoolExecutor::builder()
            .max_workers(1)
            .thread_name_prefix("traced")
            .queue_capacity(8, Rejection::Block)
            .build();
        let (named, plain) = info_span!("request").in_scope(|| {
            let named = pool.task().name("resize").spawn(|| info!("inside"));
            (named.unwrap(), pool.spawn(|| ()).unwrap())
        });
        let ids = [named.id(), plain.id()].map(|id| id.to_string());
        named.result().unwrap();
        plain.result().unwrap();
        let orphan = pool.spawn(|| ()).unwrap();
        orphan.result().unwrap();

        let spans = SPANS.0.lock().unwrap();
        let request = spans
            .iter()
            .position(|span| span.metadata.name() == "request");
        let request = Some(Id::from_u64(request.unwrap() as u64 + 1));
        let tasks: Vec<_> = (spans.iter())
            .filter(|span| span.metadata.name() == "task")
            .collect();
        assert_eq!(tasks.len(), 3);
        for (task, id) in tasks.iter().zip(ids) {
            assert_eq!(task.parent, request);
            assert_eq!(task.fields["pool"], "traced");
            assert_eq!(task.fields["worker"], "traced_0");
            assert_eq!(format!("task {}", task.fields["id"]), id);
        }
        assert_eq!(tasks[0].fields["name"], "resize");
        assert_eq!(tasks[0].events, 1);
        assert!(!tasks[1].fields.contains_key("name"));
        assert_eq!(tasks[2].parent, None);
    });
}
