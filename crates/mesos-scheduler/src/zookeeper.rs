//! The leading master in ZooKeeper.
//!
//! Every master makes an ephemeral node in one directory; the oldest leads. While ZooKeeper cannot
//! be reached the last answer stands: the master may well be there.

use std::time::Duration;

use mesos_executor::environment::Endpoint;
use tokio::sync::watch;
use tokio::time::sleep;
use zookeeper_client::{Client, Error, EventType};

use crate::master::{self, Ensemble};

/// Time without an answer after which a connection, and with it its watches, is given up.
const SESSION_TIMEOUT: Duration = Duration::from_secs(10);

/// Pause before a new connection.
const PAUSE: Duration = Duration::from_secs(1);

/// Tells, as long as anybody wants to know, where the leader is.
pub(crate) fn watch(ensemble: Ensemble) -> watch::Receiver<Vec<Endpoint>> {
    let (sender, receiver) = watch::channel(Vec::new());
    tokio::spawn(async move {
        tokio::select! {
            () = sender.closed() => {}
            () = look(&ensemble, &sender) => {}
        }
    });
    receiver
}

async fn look(ensemble: &Ensemble, sender: &watch::Sender<Vec<Endpoint>>) {
    let servers: Vec<String> = ensemble.servers.iter().map(Endpoint::to_string).collect();
    let servers = servers.join(",");
    loop {
        let mut connector = Client::connector().with_session_timeout(SESSION_TIMEOUT);
        if let Some(credentials) = &ensemble.credentials {
            connector = connector.with_auth("digest", credentials.expose().as_bytes());
        }
        if let Ok(client) = connector.connect(&servers).await {
            // Ends with the session.
            let _ = follow(&client, &ensemble.path, sender).await;
        }
        sleep(PAUSE).await;
    }
}

async fn follow(
    client: &Client,
    path: &str,
    sender: &watch::Sender<Vec<Endpoint>>,
) -> Result<(), Error> {
    loop {
        let (nodes, changed) = match client.list_and_watch_children(path).await {
            Ok(children) => children,
            Err(Error::NoNode) => {
                tell(sender, Vec::new());
                let (stat, made) = client.check_and_watch_stat(path).await?;
                if stat.is_none() {
                    let event = made.changed().await;
                    if event.event_type == EventType::Session {
                        // The session may be fine again, but the watch is gone.
                        sleep(PAUSE).await;
                    }
                }
                continue;
            }
            Err(error) => return Err(error),
        };
        let masters = match master::leader(nodes.iter().map(String::as_str)) {
            None => Vec::new(),
            Some(node) => match client.get_data(&format!("{path}/{node}")).await {
                Ok((data, _)) => master::endpoint(&data).into_iter().collect(),
                // It is gone since.
                Err(Error::NoNode) => continue,
                Err(error) => return Err(error),
            },
        };
        tell(sender, masters);
        let event = changed.changed().await;
        if event.event_type == EventType::Session {
            sleep(PAUSE).await;
        }
    }
}

fn tell(sender: &watch::Sender<Vec<Endpoint>>, masters: Vec<Endpoint>) {
    sender.send_if_modified(|known| {
        let news = *known != masters;
        *known = masters;
        news
    });
}
