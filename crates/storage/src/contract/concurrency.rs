//! Helpers that run reads and writes concurrently.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::Barrier;
use tokio::task::JoinHandle;

/// Number of tasks that read concurrently with a write.
const READERS: usize = 3;

/// Runs `write` while concurrent readers repeat `read`, and returns after `write` has finished. Each reader completes
/// one read before the write begins.
pub(super) async fn while_reading<R: Future<Output = ()> + Send>(
    write: impl Future<Output = ()> + Send + 'static,
    read: impl Fn() -> R + Clone + Send + 'static,
) {
    let ready = Arc::new(Barrier::new(READERS + 1));
    let begun = Arc::clone(&ready);
    let writer = tokio::spawn(async move {
        begun.wait().await;
        write.await;
    });
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let (read, ready, writer) = (read.clone(), Arc::clone(&ready), writer.abort_handle());
            tokio::spawn(async move {
                read().await;
                ready.wait().await;
                while !writer.is_finished() {
                    read().await;
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    all(readers).await;
    writer.await.unwrap();
}

/// Waits for tasks and returns their outputs. If a task panics, this function panics too.
pub(super) async fn all<T>(tasks: impl IntoIterator<Item = JoinHandle<T>>) -> Vec<T> {
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.unwrap());
    }
    outcomes
}

/// Runs two futures concurrently and returns both outputs.
pub(super) async fn at_once<A: Send + 'static, B: Send + 'static>(
    one: impl Future<Output = A> + Send + 'static,
    other: impl Future<Output = B> + Send + 'static,
) -> (A, B) {
    let together = Arc::new(Barrier::new(2));
    let (first, second) = (Arc::clone(&together), together);
    let one = tokio::spawn(async move {
        first.wait().await;
        one.await
    });
    let other = tokio::spawn(async move {
        second.wait().await;
        other.await
    });
    (one.await.unwrap(), other.await.unwrap())
}
