//! Sends notifications: makes what a channel is told, with the user's templates, and asks its server.

use std::sync::Arc;

use parking_lot::Mutex;
use weir_service::telemetry::whole;

use super::channel::{Answer, Post, Request};
use super::group::Delivery;
use super::options::{Options, OptionsError};
use super::smtp;
use super::template::{Templates, Texts};
use crate::client::{HttpClient, HttpConfig, header, retry_after};

/// Bytes of an answer that are read.
const ANSWER_BYTES: usize = 64 << 10;

/// Sends over HTTP and SMTP.
pub(super) struct Sender {
    external_url: String,
    templates: Mutex<Arc<Templates>>,
    /// One of each configuration that was used.
    clients: Mutex<Vec<(HttpConfig, Arc<HttpClient>)>>,
}

impl Sender {
    /// Reads the files of templates: not for an async thread.
    pub(super) fn new(options: &Options) -> Result<Self, OptionsError> {
        let templates = Mutex::new(Arc::new(Templates::load(&options.templates)?));
        Ok(Self { external_url: options.external_url.clone(), templates, clients: Mutex::default() })
    }

    /// Sends, and gives the answer with the pause that it asks for, in milliseconds.
    pub(super) async fn send(self: &Arc<Self>, delivery: Arc<Delivery>, now_ms: i64) -> (Answer, Option<i64>) {
        // Templates may take some time, and secrets may lie in files.
        let sender = self.clone();
        let prepared = {
            let delivery = delivery.clone();
            tokio::task::spawn_blocking(move || sender.prepare(&delivery, now_ms)).await
        };
        match prepared {
            Ok(Ok(Prepared::Post(post, client, credential))) => ask(&delivery, post, &client, credential).await,
            Ok(Ok(Prepared::Mail(mail))) => (smtp::send(*mail).await, None),
            Ok(Err(why)) => (Answer::Again(why), None),
            Err(error) => (Answer::Again(error.to_string()), None),
        }
    }

    fn prepare(&self, delivery: &Delivery, now_ms: i64) -> Result<Prepared, String> {
        let templates = self.templates.lock().clone();
        let texts = Texts::new(&templates, delivery, &self.external_url, now_ms);
        let request = delivery.channel.request(delivery, &texts)?;
        if let Some(why) = texts.failed() {
            let (receiver, channel) = (delivery.receiver.as_str(), delivery.channel.kind());
            tracing::warn!(receiver, channel, why, "a notification has the default text in place of a template's");
        }
        let http = &delivery.channel.common().http;
        Ok(match request {
            Request::Post(post) => {
                let credential = header(http.basic_auth.as_ref(), http.authorization.as_ref())?;
                Prepared::Post(post, self.client(http)?, credential)
            }
            Request::Mail(mail) => Prepared::Mail(mail),
        })
    }

    fn client(&self, config: &HttpConfig) -> Result<Arc<HttpClient>, String> {
        let known = |clients: &Vec<(HttpConfig, Arc<HttpClient>)>| {
            clients.iter().find(|(known, _)| known == config).map(|(_, client)| client.clone())
        };
        if let Some(client) = known(&self.clients.lock()) {
            return Ok(client);
        }
        let opened = HttpClient::open(config.clone(), false);
        let client = Arc::new(opened.map_err(|error| format!("http_config: {}", whole(&error)))?);
        let mut clients = self.clients.lock();
        if let Some(client) = known(&clients) {
            return Ok(client);
        }
        clients.push((config.clone(), client.clone()));
        Ok(client)
    }
}

enum Prepared {
    Post(Post, Arc<HttpClient>, Option<http::HeaderValue>),
    Mail(Box<super::channel::Mail>),
}

async fn ask(
    delivery: &Delivery,
    post: Post,
    client: &Arc<HttpClient>,
    credential: Option<http::HeaderValue>,
) -> (Answer, Option<i64>) {
    // Without the address: it may hold a secret.
    let unreached = |error: reqwest::Error| (Answer::Again(whole(&error.without_url()).to_string()), None);
    let timeout = delivery.channel.common().timeout.0;
    let mut request = client.get().post(&post.url).timeout(timeout).json(&post.body);
    if let Some(credential) = credential {
        request = request.header(http::header::AUTHORIZATION, credential);
    }
    let mut answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) => {
            let client = client.clone();
            let _ = tokio::task::spawn_blocking(move || client.reload()).await;
            return unreached(error);
        }
    };
    let after_ms = answer.headers().get(http::header::RETRY_AFTER).and_then(retry_after);
    let (status, mut body) = (answer.status().as_u16(), Vec::new());
    while body.len() < ANSWER_BYTES {
        match answer.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk[..chunk.len().min(ANSWER_BYTES - body.len())]),
            Ok(None) => break,
            Err(error) => return unreached(error),
        }
    }
    (delivery.channel.judge(status, &body), after_ms)
}

#[cfg(test)]
mod tests;
