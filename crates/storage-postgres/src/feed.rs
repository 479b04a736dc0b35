//! Hearing of changes: a connection of its own that listens to the channel [`CHANGES`].

use std::time::Duration;

use async_trait::async_trait;
use iam_domain::CompanyId;
use iam_storage::{Beat, ChangeFeed, Heard, Notice, Result, Source, StorageError, Subscription, Target};
use sea_orm::sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sea_orm::{DbErr, RuntimeErr, sqlx};
use serde::Deserialize;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::error::from_db;
use crate::repository::statement;
use crate::{CHANGES, PostgresStorage};

/// How much a subscriber may leave unheard before it is lost.
const UNHEARD: usize = 1024;

/// How a listener connects.
#[derive(Debug, Clone)]
pub(crate) struct Listening {
    pub(crate) options: PgConnectOptions,
    pub(crate) timeout: Duration,
}

impl Listening {
    /// A connection that listens.
    async fn listen(&self) -> Result<PgListener> {
        // A pool of one is the way to give options to the listener.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(self.timeout)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(self.options.clone());
        let listen = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            // A new connection would hear nothing of what was told in between.
            listener.eager_reconnect(false);
            listener.listen(CHANGES).await?;
            Ok(listener)
        };
        match tokio::time::timeout(self.timeout, listen).await {
            Ok(outcome) => {
                outcome.map_err(|error: sqlx::Error| from_db(DbErr::Conn(RuntimeErr::SqlxError(error.into()))))
            }
            Err(timed_out) => Err(unavailable(timed_out)),
        }
    }
}

fn unavailable(source: impl Into<Source>) -> StorageError {
    StorageError::Unavailable { retryable: false, source: Some(source.into()) }
}

/// What is told on the channel.
#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Told {
    Changed {
        // Not to be left out: without a company it is the catalog.
        #[serde(deserialize_with = "Option::deserialize")]
        company: Option<CompanyId>,
        version: i64,
    },
    Credentials {
        credentials: i64,
    },
    Beat {
        beat: Uuid,
    },
}

fn heard(payload: &str) -> Option<Heard> {
    Some(match serde_json::from_str(payload).ok()? {
        Told::Changed { company, version } => Heard::Changed(Notice { target: Target::of_menu(company), version }),
        Told::Credentials { credentials: version } => Heard::Changed(Notice { target: Target::Credentials, version }),
        Told::Beat { beat } => Heard::Beat(Beat::from_uuid(beat)),
    })
}

/// Passes on what is told, until the connection is lost, or the subscriber leaves too much unheard, or leaves.
async fn pass_on(mut listener: PgListener, subscriber: Sender<Heard>) {
    let mut warned = false;
    loop {
        match listener.try_recv().await {
            Ok(Some(told)) => match heard(told.payload()) {
                Some(heard) if subscriber.try_send(heard).is_ok() => {}
                Some(_) => return,
                None if warned => {}
                None => {
                    warned = true;
                    log::warn!("something on the channel {CHANGES} is no notice of ours and is skipped, now and later");
                }
            },
            Ok(None) => return,
            Err(error) => return log::debug!("the listening connection is lost: {error}"),
        }
    }
}

#[async_trait]
impl ChangeFeed for PostgresStorage {
    async fn subscribe(&self) -> Result<Box<dyn Subscription>> {
        let listening = self.listening().clone();
        let (subscriber, heard) = mpsc::channel(UNHEARD);
        let (listens, subscribed) = oneshot::channel();
        // The connection lives and ends on the runtime that lives as long as the storage, whoever subscribes or leaves.
        let task = self.runtime().spawn(async move {
            match listening.listen().await {
                Ok(listener) => {
                    // Whoever has left meanwhile has ended this task.
                    let _ = listens.send(Ok(()));
                    pass_on(listener, subscriber).await;
                }
                Err(error) => {
                    let _ = listens.send(Err(error));
                }
            }
        });
        let subscription = Subscribed { heard, _task: AbortOnDropHandle::new(task) };
        subscribed.await.map_err(unavailable)??;
        Ok(Box::new(subscription))
    }

    async fn beat(&self, beat: Beat) -> Result<()> {
        let payload = serde_json::json!({ "beat": beat.as_uuid() }).to_string();
        let told = statement("SELECT pg_notify($1, $2)", [CHANGES.into(), payload.into()]);
        let (repository, timeout) = (self.repository(), self.listening().timeout);
        // A connection that is broken without anybody noticing would take it for ever.
        let tell = async { tokio::time::timeout(timeout, repository.execute(told)).await };
        repository.ask(tell).await.map_err(unavailable)?.map(drop)
    }
}

/// A place to hear from: its other end goes when the connection does.
struct Subscribed {
    heard: Receiver<Heard>,
    _task: AbortOnDropHandle<()>,
}

#[async_trait]
impl Subscription for Subscribed {
    async fn next(&mut self) -> Heard {
        self.heard.recv().await.unwrap_or(Heard::Lost)
    }
}
