//! Delivery over SMTP: one connection for each mail, with a deadline.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};

use super::channel::{Answer, Mail};

/// Sends a mail and judges the answer.
pub(super) async fn send(mail: Mail) -> Answer {
    let Mail { config, password, message } = mail;
    let timeout = config.common.timeout.0;
    // Files of certificates are read.
    let settings = {
        let config = config.clone();
        tokio::task::spawn_blocking(move || config.tls()).await
    };
    let tls = match settings {
        Ok(Ok(tls)) => tls,
        Ok(Err(why)) => return Answer::Again(why),
        Err(error) => return Answer::Again(error.to_string()),
    };
    let (host, port) = &config.smarthost;
    let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
        .port(*port)
        .tls(tls)
        .timeout(Some(timeout))
        .hello_name(ClientId::Domain(config.hello.clone()));
    if let (Some((user, _)), Some(password)) = (&config.auth, &password) {
        transport = transport
            .credentials(Credentials::new(user.clone(), password.clone()))
            .authentication(vec![Mechanism::Plain, Mechanism::Login]);
    }
    let transport = transport.build();
    let Ok(sent) = tokio::time::timeout(timeout, transport.send(message)).await else {
        return Answer::Again(format!("{host}:{port} did not answer in time"));
    };
    match sent {
        Ok(_) => Answer::Taken,
        Err(error) => {
            // Its causes are in its own text.
            let why = hidden(error.to_string(), password.as_deref());
            if error.is_permanent() { Answer::Refused(why) } else { Answer::Again(why) }
        }
    }
}

/// An error without what a server may have repeated of the password.
fn hidden(error: String, password: Option<&str>) -> String {
    let Some(password) = password.filter(|password| !password.is_empty()) else { return error };
    error.replace(password, "<secret>").replace(&STANDARD.encode(password), "<secret>")
}
