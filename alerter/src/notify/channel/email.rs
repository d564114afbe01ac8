//! E-mail: what is sent, and over which server.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use lettre::Message;
use lettre::address::Envelope;
use lettre::message::header::{Bcc, Cc, From, HeaderName, HeaderValue, ReplyTo, Sender, To};
use lettre::message::{Mailboxes, MessageBuilder, MultiPart, SinglePart};
use lettre::transport::smtp::client::{Certificate, CertificateStore, Identity, Tls, TlsParameters};
use ring::digest;
use serde::Deserialize;
use weir_service::config::Span;
use weir_service::telemetry::whole;

use super::super::group::Delivery;
use super::super::template::{Kind, Texts};
use super::text::{self, Language, Markup};
use super::{Common, Field};
use crate::client::{Secret, TlsConfig};

/// Where TLS begins with the connection.
const IMPLICIT_TLS_PORT: u16 = 465;
const MOST_HEADERS: usize = 50;

/// `email_configs`. Its texts are templates.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Raw")]
pub struct EmailConfig {
    /// To whom, separated by commas.
    pub to: String,
    /// From whom.
    pub from: String,
    /// The server's host, and its port.
    pub smarthost: (String, u16),
    /// As whom the server is greeted.
    pub hello: String,
    /// User and password.
    pub auth: Option<(String, Secret)>,
    /// Whether nothing is said before the connection is encrypted.
    pub require_tls: bool,
    /// Whether the connection begins with TLS, as at port 465.
    pub implicit_tls: bool,
    /// Whom to trust.
    pub tls_config: TlsConfig,
    /// The part that is HTML, or none where it is empty.
    pub html: Option<String>,
    /// The part that is text, or none where it is empty.
    pub text: Option<String>,
    /// Headers in place of those that are there, or beside them.
    pub headers: BTreeMap<String, String>,
    /// What messages are written in that no template writes.
    pub language: Language,
    /// What all kinds have.
    pub common: Common,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    to: String,
    from: String,
    smarthost: String,
    hello: String,
    auth_username: String,
    auth_password: Option<String>,
    auth_password_file: Option<PathBuf>,
    auth_secret: Option<serde::de::IgnoredAny>,
    auth_secret_file: Option<serde::de::IgnoredAny>,
    auth_identity: String,
    require_tls: bool,
    force_implicit_tls: Option<bool>,
    tls_config: TlsConfig,
    html: Option<String>,
    text: Option<String>,
    headers: BTreeMap<String, String>,
    send_resolved: bool,
    language: Language,
    timeout: Span,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            to: String::new(),
            from: String::new(),
            smarthost: String::new(),
            hello: "localhost".to_owned(),
            auth_username: String::new(),
            auth_password: None,
            auth_password_file: None,
            auth_secret: None,
            auth_secret_file: None,
            auth_identity: String::new(),
            require_tls: true,
            force_implicit_tls: None,
            tls_config: TlsConfig::default(),
            html: None,
            text: None,
            headers: BTreeMap::new(),
            // As in Alertmanager, whose mails tell of firing alerts alone.
            send_resolved: false,
            language: Language::English,
            timeout: Span(Duration::from_secs(30)),
        }
    }
}

impl TryFrom<Raw> for EmailConfig {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        for (key, text) in [("to", &raw.to), ("from", &raw.from), ("smarthost", &raw.smarthost)] {
            if text.trim().is_empty() {
                return Err(format!("`{key}` is missing"));
            }
        }
        let wrong = || format!("smarthost: «{}» is not a host and a port, such as smtp.example.com:587", raw.smarthost);
        let (host, port) = raw.smarthost.rsplit_once(':').ok_or_else(wrong)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = port.parse().ok().filter(|port| *port > 0 && !host.is_empty()).ok_or_else(wrong)?;
        if raw.auth_secret.is_some() || raw.auth_secret_file.is_some() {
            return Err(
                "`auth_secret` is for CRAM-MD5, which is not supported; with `auth_password` there are PLAIN and \
                LOGIN"
                    .to_owned(),
            );
        }
        if !raw.auth_identity.is_empty() && raw.auth_identity != raw.auth_username {
            return Err("`auth_identity` is not supported where it is not `auth_username`".to_owned());
        }
        let password = Secret::optional("auth_password", raw.auth_password, raw.auth_password_file)?;
        let auth = match (raw.auth_username, password) {
            (user, None) if user.is_empty() => None,
            (user, Some(_)) if user.is_empty() => return Err("`auth_password` goes with `auth_username`".to_owned()),
            (_, None) => return Err("`auth_password` or `auth_password_file` is missing".to_owned()),
            (user, Some(password)) => Some((user, password)),
        };
        if raw.html.as_deref() == Some("") && raw.text.as_deref() == Some("") {
            return Err("`html` and `text` are both empty, so there is nothing to send".to_owned());
        }
        if raw.headers.len() > MOST_HEADERS {
            return Err(format!("headers: more than {MOST_HEADERS}"));
        }
        for (at, (name, _)) in raw.headers.iter().enumerate() {
            HeaderName::new_from_ascii(name.clone())
                .map_err(|_| format!("headers: «{name}» is not a header's name"))?;
            if raw.headers.keys().skip(at + 1).any(|other| other.eq_ignore_ascii_case(name)) {
                return Err(format!("headers: there are two named `{name}`"));
            }
            let set_here = ["content-type", "content-transfer-encoding", "mime-version", "date"];
            if set_here.iter().any(|header| header.eq_ignore_ascii_case(name)) {
                return Err(format!("headers: `{name}` is that of the message's parts"));
            }
        }
        raw.tls_config.check_pair()?;
        Ok(Self {
            to: raw.to,
            from: raw.from,
            smarthost: (host.to_owned(), port),
            hello: raw.hello,
            auth,
            require_tls: raw.require_tls,
            implicit_tls: raw.force_implicit_tls.unwrap_or(port == IMPLICIT_TLS_PORT),
            tls_config: raw.tls_config,
            html: raw.html,
            text: raw.text,
            headers: raw.headers,
            language: raw.language,
            common: Common::new(raw.send_resolved, raw.timeout, None),
        })
    }
}

/// A mail, and the server that it goes over.
pub(in crate::notify) struct Mail {
    pub(in crate::notify) config: EmailConfig,
    /// Read from its file, where it is in one.
    pub(in crate::notify) password: Option<String>,
    pub(in crate::notify) message: Message,
}

impl EmailConfig {
    pub(super) fn texts(&self) -> Vec<Field<'_>> {
        let plain =
            [("to", &self.to), ("from", &self.from)].map(|(key, text)| (key.to_owned(), Kind::Text, text.as_str()));
        let html = self.html.as_deref().map(|text| ("html".to_owned(), Kind::Html, text));
        let text = self.text.as_deref().map(|text| ("text".to_owned(), Kind::Text, text));
        let headers = self.headers.iter().map(|(name, text)| (format!("headers.{name}"), Kind::Text, text.as_str()));
        plain.into_iter().chain(html).chain(text).chain(headers).collect()
    }

    /// Addresses that are no templates, and the files of `tls_config`.
    pub(super) fn check(&self) -> Result<(), String> {
        for (key, text) in [("to", &self.to), ("from", &self.from)] {
            if !text.contains("{{") {
                mailboxes(key, text)?;
            }
        }
        self.tls().map(drop)
    }

    /// How the connection is encrypted. Reads the files of `tls_config`: not for an async thread.
    pub(in crate::notify) fn tls(&self) -> Result<Tls, String> {
        // With TLS from the begin there is nothing to ask for.
        if !self.require_tls && !self.implicit_tls {
            return Ok(Tls::None);
        }
        let options = &self.tls_config;
        let read = |path: &std::path::Path| {
            std::fs::read(path).map_err(|error| format!("tls_config: cannot read {}: {error}", path.display()))
        };
        let domain = options.server_name.clone().unwrap_or_else(|| self.smarthost.0.clone());
        let mut parameters = TlsParameters::builder(domain)
            .dangerous_accept_invalid_certs(options.insecure_skip_verify)
            .dangerous_accept_invalid_hostnames(options.insecure_skip_verify);
        if let Some(path) = &options.ca_file {
            let no_certificate = || format!("tls_config: {} holds no certificate in PEM", path.display());
            let pem = read(path)?;
            if !String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
                return Err(no_certificate());
            }
            let authorities = Certificate::from_pem(&pem).map_err(|_| no_certificate())?;
            parameters = parameters.certificate_store(CertificateStore::None).add_root_certificate(authorities);
        }
        if let (Some(cert_file), Some(key_file)) = (&options.cert_file, &options.key_file) {
            let identity = Identity::from_pem(&read(cert_file)?, &read(key_file)?).map_err(|_| {
                format!("tls_config: {} holds no certificate that its key_file fits, in PEM", cert_file.display())
            })?;
            parameters = parameters.identify_with(identity);
        }
        let parameters = parameters.build().map_err(|error| format!("tls_config: {}", whole(&error)))?;
        Ok(if self.implicit_tls { Tls::Wrapper(parameters) } else { Tls::Required(parameters) })
    }
}

fn mailboxes(key: &str, text: &str) -> Result<Mailboxes, String> {
    let parsed = text.trim().trim_end_matches(',').parse::<Mailboxes>();
    let parsed = parsed.map_err(|error| format!("{key}: «{text}» is not a list of addresses: {error}"))?;
    if parsed.iter().next().is_some() { Ok(parsed) } else { Err(format!("{key}: there is no address")) }
}

const TEXT: Markup = Markup {
    bold: str::to_owned,
    link: |text, url| format!("{text}: {url}"),
    plain: str::to_owned,
    newline: "\n",
    most: 400_000,
};

const HTML: Markup = Markup {
    bold: |text| format!("<b>{text}</b>"),
    link: |text, url| format!("<a href=\"{}\">{text}</a>", escaped(url)),
    plain: escaped,
    newline: "<br>\n",
    most: 400_000,
};

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

pub(super) fn mail(config: &EmailConfig, delivery: &Delivery, texts: &Texts<'_>) -> Result<Mail, String> {
    // Without an address nothing can be sent, so there is no default.
    let address = |key: &str, text: &str| {
        let text = texts.of(key, Some(text), "").ok_or_else(|| texts.failed().unwrap_or_default())?;
        mailboxes(key, &text)
    };
    let (from, to) = (address("from", &config.from)?, address("to", &config.to)?);
    let sender = from.iter().next().map(|mailbox| mailbox.email.clone());
    let envelope = Envelope::new(sender, to.iter().map(|mailbox| mailbox.email.clone()).collect());
    let mut builder = Message::builder().envelope(envelope.map_err(|error| error.to_string())?).date_now();
    let title = text::title(delivery, config.language);
    let is_set = |name: &str| config.headers.keys().any(|header| header.eq_ignore_ascii_case(name));
    if !is_set("from") {
        builder = builder.header(From::from(from));
    }
    if !is_set("to") {
        builder = builder.header(To::from(to));
    }
    if !is_set("subject") {
        let subject = texts.of("headers.Subject", None, "email.default.subject").unwrap_or_else(|| title.clone());
        builder = builder.subject(one_line(&subject));
    }
    // Mails of one group are one conversation.
    let key = digest::digest(&digest::SHA256, delivery.group_key.as_bytes());
    let group = format!("<{}@weir>", hex::encode(&key.as_ref()[..16]));
    if !is_set("references") {
        builder = builder.references(group);
    }
    if !is_set("message-id") {
        builder = builder.message_id(Some(format!("<{}@weir>", hex::encode(rand::random::<[u8; 16]>()))));
    }
    for (name, template) in &config.headers {
        let by_default = if name.eq_ignore_ascii_case("subject") { title.clone() } else { String::new() };
        let text = texts.of(&format!("headers.{name}"), Some(template), "").unwrap_or(by_default);
        if !text.trim().is_empty() {
            builder = header(builder, name, &one_line(&text))?;
        }
    }
    let message = body(config, delivery, texts, &title, builder)?;
    let password = config.auth.as_ref().map(|(_, password)| password.read()).transpose()?;
    Ok(Mail { config: config.clone(), password, message })
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn header(builder: MessageBuilder, name: &str, text: &str) -> Result<MessageBuilder, String> {
    let mailboxes = || mailboxes(&format!("headers.{name}"), text);
    Ok(match name.to_ascii_lowercase().as_str() {
        "from" => builder.header(From::from(mailboxes()?)),
        "to" => builder.header(To::from(mailboxes()?)),
        "cc" => builder.header(Cc::from(mailboxes()?)),
        "bcc" => builder.header(Bcc::from(mailboxes()?)),
        "reply-to" => builder.header(ReplyTo::from(mailboxes()?)),
        "sender" => {
            let first =
                mailboxes()?.into_iter().next().ok_or_else(|| format!("headers.{name}: there is no address"))?;
            builder.header(Sender::from(first))
        }
        "subject" => builder.subject(text),
        "message-id" => builder.message_id(Some(text.to_owned())),
        _ => {
            let name = HeaderName::new_from_ascii(name.to_owned()).map_err(|error| error.to_string())?;
            builder.raw_header(HeaderValue::new(name, text.to_owned()))
        }
    })
}

fn body(
    config: &EmailConfig,
    delivery: &Delivery,
    texts: &Texts<'_>,
    title: &str,
    builder: MessageBuilder,
) -> Result<Message, String> {
    let html = texts.of_html("html", config.html.as_deref(), "email.default.html");
    let text = texts.of("text", config.text.as_deref(), "email.default.text");
    let text = text.unwrap_or_else(|| format!("{title}\n\n{}\n", text::alerts(delivery, config.language, TEXT)));
    let html = html.unwrap_or_else(|| {
        let alerts = text::alerts(delivery, config.language, HTML).replace("\n\n", "</p>\n<p>");
        format!("<!DOCTYPE html>\n<html><body><h3>{}</h3>\n<p>{alerts}</p></body></html>\n", escaped(title))
    });
    let noted = |text: String, markup| if text.is_empty() { text } else { text::noted(text, markup, texts) };
    let uncut = |markup| Markup { most: usize::MAX, ..markup };
    let (text, html) = (noted(text, uncut(TEXT)), noted(html, uncut(HTML)));
    let made = match (text.is_empty(), html.is_empty()) {
        (false, false) => builder
            .multipart(MultiPart::alternative().singlepart(SinglePart::plain(text)).singlepart(SinglePart::html(html))),
        (true, false) => builder.singlepart(SinglePart::html(html)),
        (_, true) => builder.singlepart(SinglePart::plain(text)),
    };
    made.map_err(|error: lettre::error::Error| error.to_string())
}
