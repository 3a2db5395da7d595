//! The one writer: a bounded queue, a thread that takes all that queued while the last sync ran, applies it as one
//! batch, and answers. That is the whole of group commit: no timer, no linger.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, ThreadId};

use crate::clock::Clock;
use crate::model::op::{Op, Outcome};
use crate::store::{Store, StoreError};

/// What is told to whoever submitted an operation: its outcome once it is durable, or why there is none.
pub type Answer = Result<Outcome, Arc<StoreError>>;

/// Called once with the answer, on the committer's thread: it must not block.
pub type Done = Box<dyn FnOnce(Answer) + Send>;

/// Told of every batch after it was applied: how many operations, how long in microseconds.
pub type Observer = Arc<dyn Fn(BatchStats) + Send + Sync>;

/// What one batch was like.
#[derive(Debug, Clone, Copy)]
pub struct BatchStats {
    /// Operations in it.
    pub ops: usize,
    /// Time spent in the store, sync included.
    pub took: std::time::Duration,
    /// Operations that queued meanwhile.
    pub queued: usize,
}

struct Job {
    op: Op,
    done: Done,
}

/// Queue and thread.
pub struct Committer {
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<()>>>,
    id: ThreadId,
}

struct Queue {
    inner: Mutex<Inner>,
    filled: Condvar,
    drained: Condvar,
    capacity: usize,
}

#[derive(Default)]
struct Inner {
    jobs: VecDeque<Job>,
    closing: bool,
    /// The thread waits for jobs: waking costs a system call, so only a sleeper is woken.
    idle: bool,
    /// The thread has answered all and is gone.
    ended: bool,
    /// Submitters that wait for room.
    blocked: usize,
}

impl fmt::Debug for Committer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Committer").field("capacity", &self.queue.capacity).finish_non_exhaustive()
    }
}

impl Committer {
    /// Starts the thread. At most `capacity` operations wait; then [`submit`](Self::submit) blocks.
    pub fn start(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        capacity: usize,
        observer: Option<Observer>,
    ) -> std::io::Result<Self> {
        let queue = Arc::new(Queue {
            inner: Mutex::default(),
            filled: Condvar::new(),
            drained: Condvar::new(),
            capacity: capacity.max(1),
        });
        let worker = queue.clone();
        let thread = std::thread::Builder::new().name("offsetd-commit".to_owned()).spawn(move || {
            while run_once(&worker, &*store, &*clock, observer.as_ref()) {}
            worker.lock().ended = true;
            worker.drained.notify_all();
        })?;
        let id = thread.thread().id();
        Ok(Self { queue, thread: Mutex::new(Some(thread)), id })
    }

    /// Queues an operation; `done` is called with its answer. Blocks while the queue is full, but for a callback: the
    /// thread it is on is the one that would make room.
    pub fn submit(&self, op: Op, done: Done) {
        let mut inner = self.queue.lock();
        while inner.jobs.len() >= self.queue.capacity && !inner.closing && !self.is_here() {
            inner.blocked += 1;
            inner = self.queue.drained.wait(inner).unwrap_or_else(PoisonError::into_inner);
            inner.blocked -= 1;
        }
        if inner.closing {
            drop(inner);
            return done(Err(Arc::new(StoreError::Closed { because: "closed".to_owned() })));
        }
        inner.jobs.push_back(Job { op, done });
        let wake = std::mem::take(&mut inner.idle);
        drop(inner);
        if wake {
            self.queue.filled.notify_one();
        }
    }

    /// Queues an operation and waits for its answer. From a callback that would be to wait for itself: an error.
    pub fn run(&self, op: Op) -> Answer {
        if self.is_here() {
            let because =
                "a call that waits, made from a commit's callback, would wait for itself".to_owned();
            return Err(Arc::new(StoreError::Closed { because }));
        }
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        self.submit(op, Box::new(move |answer| _ = sender.send(answer)));
        receiver.recv().unwrap_or_else(|_| {
            Err(Arc::new(StoreError::Closed { because: "the commit thread is gone".to_owned() }))
        })
    }

    /// How many operations wait for the next batch.
    pub fn queued(&self) -> usize {
        self.queue.lock().jobs.len()
    }

    /// Takes nothing more, answers all that is queued, ends the thread. All who close wait for that, but for a callback:
    /// its thread ends by itself.
    pub fn close(&self) {
        let mut inner = self.queue.lock();
        inner.closing = true;
        self.queue.filled.notify_all();
        self.queue.drained.notify_all();
        if self.is_here() {
            return;
        }
        while !inner.ended {
            inner = self.queue.drained.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        drop(inner);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // It catches what may panic in it.
            let _ = thread.join();
        }
    }

    /// Whether this is the commit thread.
    fn is_here(&self) -> bool {
        self.id == std::thread::current().id()
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.close();
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A callback that panics must not keep the others from their answers.
fn tell(done: Done, answer: Answer) {
    if catch_unwind(AssertUnwindSafe(|| done(answer))).is_err() {
        tracing::error!("a commit's callback panicked");
    }
}

/// One batch: waits until something is queued, takes it all, applies it, answers. `false` when there will be no more.
fn run_once(queue: &Queue, store: &dyn Store, clock: &dyn Clock, observer: Option<&Observer>) -> bool {
    let (jobs, blocked) = {
        let mut inner = queue.lock();
        while inner.jobs.is_empty() {
            if inner.closing {
                return false;
            }
            inner.idle = true;
            inner = queue.filled.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        inner.idle = false;
        (std::mem::take(&mut inner.jobs), inner.blocked > 0)
    };
    if blocked {
        queue.drained.notify_all();
    }
    let (ops, dones): (Vec<Op>, Vec<Done>) = jobs.into_iter().map(|job| (job.op, job.done)).unzip();
    let started = std::time::Instant::now();
    // A panic in the engine must not leave anybody waiting.
    let result = catch_unwind(AssertUnwindSafe(|| store.apply(&ops, clock.now_ms()))).unwrap_or_else(|_| {
        Err(StoreError::Closed { because: "the engine panicked; see the log".to_owned() })
    });
    let took = started.elapsed();
    match result {
        Ok(outcomes) => {
            debug_assert_eq!(outcomes.len(), dones.len(), "one outcome per operation");
            for (done, outcome) in dones.into_iter().zip(outcomes) {
                tell(done, Ok(outcome));
            }
        }
        Err(error) => {
            let error = Arc::new(error);
            for done in dones {
                tell(done, Err(error.clone()));
            }
        }
    }
    if let Some(observer) = observer {
        let queued = queue.lock().jobs.len();
        observer(BatchStats { ops: ops.len(), took, queued });
    }
    true
}
