//! Connecting to PostgreSQL: what an operator sets, TLS, the pools, and what errors mean.
//!
//! Statements are sent unnamed and with their types, each with its values in one message: that works
//! through a pooler in transaction mode, and a plan is made for the tables as they are now. Only the
//! engine's own queries, which run all the time, are prepared where no pooler stands in between.

use std::{sync::Arc, time::Duration};

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, PoolError, RecyclingMethod, Runtime};
use hookstream_model::secret::Secret;
use rustls::{
    ClientConfig, RootCertStore,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use tokio_postgres::{
    Config,
    config::{Host, SslMode},
    error::SqlState,
    types::{ToSql, Type, WrongType},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::Error;

/// What an operator sets about the database.
#[derive(Debug, Clone)]
pub struct Options {
    /// `postgres://user:password@host:port/database?…`; several hosts are tried in turn.
    pub url: Secret,
    /// The most connections for requests; the engine has a few of its own besides.
    pub max_connections: usize,
    /// Whether a pooler in transaction mode stands in between: then nothing is set for a session, and
    /// nobody listens.
    pub through_pooler: bool,
    /// For how long a node stands without being renewed.
    pub lease: Duration,
}

impl Options {
    /// Where the database is, without what is secret about it.
    ///
    /// # Errors
    /// Where the URL is none.
    pub fn address(&self) -> Result<String, Error> {
        let config = Connector::new(self)?.config;
        let (hosts, ports) = (config.get_hosts(), config.get_ports());
        let host = |(index, host): (usize, &Host)| {
            let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
            match host {
                Host::Tcp(name) => format!("{name}:{port}"),
                Host::Unix(path) => format!("{}:{port}", path.display()),
            }
        };
        let hosts: Vec<_> = hosts.iter().enumerate().map(host).collect();
        Ok(format!("postgres://{}/{}", hosts.join(","), config.get_dbname().or(config.get_user()).unwrap_or_default()))
    }
}

/// Connections that the engine's work has for itself: publishing, settling, claiming, renewing.
const HOT_CONNECTIONS: usize = 5;
/// How long a request waits for a free connection, and a connection for the server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a statement may take. Those of requests read a page at the most.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long data may stay unacknowledged before a connection counts as broken.
const TCP_TIMEOUT: Duration = Duration::from_secs(10);

/// What is set for each session, where a session is ours.
const SESSION: &str = "set statement_timeout = '30s'; set lock_timeout = '10s'; set idle_in_transaction_session_timeout = '60s'";

/// The same for the engine's own statements. They are planned once, perhaps while a table is empty; they
/// must find their rows by the index when it is not. Where there is no index to use, that makes the planner
/// believe them expensive, and compiling one takes longer than a hundred of them.
const HOT_SESSION: &str = "set statement_timeout = '30s'; set lock_timeout = '10s'; set idle_in_transaction_session_timeout = '60s';
    set enable_seqscan = off;
    set jit = off";

/// Connections to the database.
#[derive(Clone)]
pub(super) struct Pool {
    pool: deadpool_postgres::Pool,
    /// Whether statements are prepared, each once a connection.
    prepares: bool,
}

impl Pool {
    /// Closes it; whoever waits for a connection is told.
    pub(super) fn close(&self) {
        self.pool.close();
    }
}

/// How to connect: the parsed URL and TLS.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) config: Config,
    pub(super) tls: MakeRustlsConnect,
    through_pooler: bool,
}

impl Connector {
    /// Reads the URL.
    ///
    /// Besides what the driver knows, `sslmode` may be `verify-ca` and `verify-full`, and `sslrootcert`
    /// names a file, as with libpq: `prefer` and `require` encrypt and verify nothing, the other two
    /// verify the chain and the host's name.
    pub(super) fn new(options: &Options) -> Result<Self, Error> {
        let refuse = |cause: String| Error::Open { what: "the database (setting database_url)".to_owned(), cause: cause.into() };
        let (url, ssl) = take_ssl(options.url.expose());
        let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| refuse(describe(&error)))?;
        config.ssl_mode(match ssl.mode.as_deref() {
            None | Some("prefer" | "allow") => SslMode::Prefer,
            Some("disable") => SslMode::Disable,
            Some("require" | "verify-ca" | "verify-full") => SslMode::Require,
            Some(other) => return Err(refuse(format!("sslmode is {other:?}; allowed are disable, prefer, require and verify-full"))),
        });
        config.application_name("hookstream");
        config.connect_timeout(CONNECT_TIMEOUT);
        config.keepalives_idle(TCP_TIMEOUT);
        config.tcp_user_timeout(TCP_TIMEOUT);
        let verifies = matches!(ssl.mode.as_deref(), Some("verify-ca" | "verify-full")) || ssl.root.is_some();
        let tls = MakeRustlsConnect::new(tls(verifies, ssl.root.as_deref()).map_err(refuse)?);
        Ok(Self { config, tls, through_pooler: options.through_pooler })
    }

    /// A pool of at most so many connections for requests.
    pub(super) fn pool(&self, size: usize) -> Result<Pool, Error> {
        self.make_pool(size, SESSION, false)
    }

    /// The same for the few statements that the engine runs all the time: they are prepared, where a
    /// session is ours.
    pub(super) fn hot_pool(&self) -> Result<Pool, Error> {
        self.make_pool(HOT_CONNECTIONS, HOT_SESSION, !self.through_pooler)
    }

    fn make_pool(&self, size: usize, session: &'static str, prepares: bool) -> Result<Pool, Error> {
        let manager =
            Manager::from_config(self.config.clone(), self.tls.clone(), ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let sets_session = !self.through_pooler;
        let begin = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
            Box::pin(async move {
                if sets_session {
                    client.batch_execute(session).await.map_err(HookError::Backend)?;
                }
                Ok(())
            })
        });
        let pool = deadpool_postgres::Pool::builder(manager)
            .max_size(size)
            .wait_timeout(Some(CONNECT_TIMEOUT))
            .create_timeout(Some(CONNECT_TIMEOUT))
            .recycle_timeout(Some(CONNECT_TIMEOUT))
            .post_create(begin)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|cause| Error::Open { what: "a pool of database connections".to_owned(), cause: cause.into() })?;
        Ok(Pool { pool, prepares })
    }

    /// Whether somebody can listen on a connection of this kind.
    pub(super) const fn can_listen(&self) -> bool {
        !self.through_pooler
    }
}

/// A statement's values, each with the type that the statement gives it.
pub(super) type Values<'a> = [(&'a (dyn ToSql + Sync), Type)];

/// A connection out of a pool, for one operation.
pub(super) struct Connection {
    object: Object,
    operation: &'static str,
    prepares: bool,
}

/// Takes a connection for `operation`.
pub(super) async fn connect(pool: &Pool, operation: &'static str) -> Result<Connection, Error> {
    match pool.pool.get().await {
        Ok(object) => Ok(Connection { object, operation, prepares: pool.prepares }),
        Err(PoolError::Closed) => Err(Error::Closed),
        Err(PoolError::Backend(cause) | PoolError::PostCreateHook(HookError::Backend(cause))) => Err(failed(operation)(cause)),
        Err(cause) => Err(Error::Unavailable { operation, cause: cause.into() }),
    }
}

impl Connection {
    /// Runs one statement and returns its rows.
    pub(super) async fn query(&self, sql: &str, values: &Values<'_>) -> Result<Vec<tokio_postgres::Row>, Error> {
        if !self.prepares {
            return self.within(self.object.query_typed(sql, values)).await;
        }
        let types: Vec<Type> = values.iter().map(|(_, of_type)| of_type.clone()).collect();
        let values: Vec<_> = values.iter().map(|(value, _)| *value).collect();
        let prepared = async {
            let statement = self.object.prepare_typed_cached(sql, &types).await?;
            self.object.query(&statement, &values).await
        };
        self.within(prepared).await
    }

    /// The same for one that takes as long as it takes; nobody waits for it but who asked.
    pub(super) async fn query_at_length(&self, sql: &str, values: &Values<'_>) -> Result<Vec<tokio_postgres::Row>, Error> {
        self.object.query_typed(sql, values).await.map_err(failed(self.operation))
    }

    /// Runs one statement and returns how many rows it changed.
    pub(super) async fn execute(&self, sql: &str, values: &Values<'_>) -> Result<u64, Error> {
        self.within(self.object.execute_typed(sql, values)).await
    }

    /// Runs statements without values, such as those that begin and end a transaction.
    pub(super) async fn batch(&self, sql: &str) -> Result<(), Error> {
        self.within(self.object.batch_execute(sql)).await
    }

    /// Does `work` in a transaction: commits where it says yes, else undoes it.
    pub(super) async fn transaction<T>(
        self,
        work: impl AsyncFnOnce(&Self) -> Result<T, Error>,
        keep: impl FnOnce(&T) -> bool,
    ) -> Result<T, Error> {
        let guard = UnfinishedTransaction(Some(self));
        let connection = guard.0.as_ref().expect("taken only below");
        connection.batch("begin").await?;
        let done = work(connection).await;
        let end = if done.as_ref().is_ok_and(keep) { "commit" } else { "rollback" };
        let ended = connection.batch(end).await;
        if ended.is_ok() {
            guard.finished();
        }
        let done = done?;
        ended?;
        Ok(done)
    }

    /// Bounds the wait for an answer: a server that is gone without a word must hold nobody.
    async fn within<T>(&self, answer: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, Error> {
        match tokio::time::timeout(STATEMENT_TIMEOUT + CONNECT_TIMEOUT, answer).await {
            Ok(answered) => answered.map_err(failed(self.operation)),
            Err(cause) => Err(Error::Unavailable { operation: self.operation, cause: cause.into() }),
        }
    }
}

/// A connection on which a transaction may be open. Dropped so, it goes, and does not return to its pool.
struct UnfinishedTransaction(Option<Connection>);

impl UnfinishedTransaction {
    fn finished(mut self) {
        self.0.take();
    }
}

impl Drop for UnfinishedTransaction {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(Object::take(connection.object));
        }
    }
}

/// Names the operation that an error of the database spoilt.
pub(super) fn failed(operation: &'static str) -> impl Fn(tokio_postgres::Error) -> Error + Copy {
    move |cause| {
        let Some(code) = cause.code() else {
            let is_ours = std::error::Error::source(&cause).is_some_and(<dyn std::error::Error>::is::<WrongType>);
            let cause = Box::new(cause);
            return if is_ours { Error::Failed { operation, cause } } else { Error::Unavailable { operation, cause } };
        };
        match code {
            &SqlState::UNIQUE_VIOLATION => Error::Conflict { operation },
            &SqlState::DISK_FULL => Error::Full { operation },
            code if is_unavailable(code) => Error::Unavailable { operation, cause: cause.into() },
            _ => Error::Failed { operation, cause: cause.into() },
        }
    }
}

/// Shutting down or starting up, too many connections, a standby, broken connections, timeouts.
fn is_unavailable(code: &SqlState) -> bool {
    let class = &code.code()[..2];
    matches!(class, "08" | "57" | "53") || *code == SqlState::READ_ONLY_SQL_TRANSACTION || *code == SqlState::LOCK_NOT_AVAILABLE
}

/// Whether the same transaction may well succeed when it is done again.
pub(super) fn is_passing(error: &Error) -> bool {
    let Error::Failed { cause, .. } = error else { return false };
    let code = cause.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::code);
    matches!(code, Some(code) if *code == SqlState::T_R_DEADLOCK_DETECTED || *code == SqlState::T_R_SERIALIZATION_FAILURE)
}

/// Whether there is no partition for a row: PostgreSQL calls it a violated check.
pub(super) fn is_without_day(error: &Error) -> bool {
    let Error::Failed { cause, .. } = error else { return false };
    cause.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::code) == Some(&SqlState::CHECK_VIOLATION)
}

/// An error with its causes: the driver's own text has none.
pub(super) fn describe(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |error| error.source()).fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[derive(Default)]
struct Ssl {
    mode: Option<String>,
    root: Option<String>,
}

/// Takes what the driver does not know out of the URL's query.
fn take_ssl(url: &str) -> (String, Ssl) {
    let mut ssl = Ssl::default();
    let Some((base, query)) = url.split_once('?') else { return (url.to_owned(), ssl) };
    let mut rest = Vec::new();
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("sslmode", value)) => ssl.mode = Some(value.to_owned()),
            Some(("sslrootcert", value)) => ssl.root = Some(value.to_owned()),
            _ => rest.push(pair),
        }
    }
    let separator = if rest.is_empty() { "" } else { "?" };
    (format!("{base}{separator}{}", rest.join("&")), ssl)
}

fn tls(verifies: bool, root: Option<&str>) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    if !verifies {
        let verifier = Arc::new(NothingVerified(provider));
        return Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth());
    }
    let mut roots = RootCertStore::empty();
    match root {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let unreadable = |error: String| format!("sslrootcert {path}: {error}");
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unreadable(error.to_string()))? {
                let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
                roots.add(certificate).map_err(|error| unreadable(error.to_string()))?;
            }
        }
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// For `sslmode=prefer` and `require`, which promise encryption and nothing about who is there.
#[derive(Debug)]
struct NothingVerified(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for NothingVerified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connector(url: &str) -> Result<Connector, Error> {
        Connector::new(&Options { url: Secret::new(url), max_connections: 1, through_pooler: false, lease: Duration::from_secs(10) })
    }

    #[test]
    fn a_url_may_name_hosts_and_how_tls_is_meant() {
        let connector = |url| connector(url).expect("a URL");
        let several = connector("postgres://u:p@one:5432,two:5433/db?target_session_attrs=read-write&sslmode=require");
        assert_eq!((several.config.get_hosts().len(), several.config.get_ssl_mode()), (2, SslMode::Require));
        assert_eq!(connector("postgres://u@h/db?sslmode=disable").config.get_ssl_mode(), SslMode::Disable);
        assert_eq!(connector("postgres://u@h/db").config.get_ssl_mode(), SslMode::Prefer);
        assert_eq!(connector("postgres://u@h/db?sslmode=verify-full").config.get_ssl_mode(), SslMode::Require);
    }

    #[test]
    fn a_url_that_is_none_is_refused_without_its_password() {
        for url in ["mysql://u:hunter2@h/db", "postgres://u:hunter2@h:port/db", "postgres://u:hunter2@h/db?sslmode=maybe"] {
            let Err(error) = connector(url) else { panic!("{url:?} is taken") };
            let told = describe(&error);
            assert!(told.contains("database_url") && !told.contains("hunter2"), "{told}");
        }
        assert!(connector("postgres://h/db?sslmode=verify-full&sslrootcert=/nowhere.pem").is_err());
    }

    #[test]
    fn an_address_has_no_password() {
        let address = |url: &str| {
            Options { url: Secret::new(url), max_connections: 1, through_pooler: false, lease: Duration::ZERO }.address().expect("a URL")
        };
        assert_eq!(address("postgres://u:hunter2@one,two:5433/db?sslmode=require"), "postgres://one:5432,two:5433/db");
        assert_eq!(address("postgres://u:hunter2@h/"), "postgres://h:5432/u");
    }
}
