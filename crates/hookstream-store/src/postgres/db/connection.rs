//! Connections to PostgreSQL: the operator's options, TLS, the pools, and the meaning of errors.
//!
//! Statements are sent unnamed and with their types, each with its values in one message. This works through a pooler
//! in transaction mode, and each plan fits the current tables. Only the engine's own queries, which run all the time,
//! are prepared, and only without a pooler.

use std::{sync::Arc, time::Duration};

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, PoolError, RecyclingMethod, Runtime};
use hookstream_model::base::secret::Secret;
use rustls::{
    CertificateError, ClientConfig, RootCertStore,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};
use tokio_postgres::{
    Config,
    config::{Host, SslMode},
    error::SqlState,
    types::{ToSql, Type, WrongType},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::db::error::{Cause, Error};

/// Operator's options for the database.
#[derive(Debug, Clone)]
pub struct Options {
    /// Address `postgres://user:password@host:port/database?…`; several hosts are tried in turn.
    pub url: Secret,
    /// Maximum number of connections for requests; the engine has a few of its own.
    pub max_connections: usize,
    /// Whether connections go through a pooler in transaction mode. Then no session settings are made, and nodes do not listen.
    pub through_pooler: bool,
    /// Duration of a node's lease without renewal.
    pub lease: Duration,
}

impl Options {
    /// Returns the address of the database without secrets.
    ///
    /// # Errors
    /// Fails if the URL is invalid.
    pub fn address(&self) -> Result<String, Error> {
        let config = Connector::new(self)?.config;
        Ok(format!("postgres://{}/{}", hosts_of(&config), database_of(&config)))
    }

    /// Connects once, so that a start can report a problem with the database and its remedy.
    ///
    /// # Errors
    /// [`Error::Open`] with the host, the port, the database, the user and the remedy.
    pub async fn probe(&self) -> Result<(), Error> {
        let connector = Connector::new(self)?;
        let connecting = connector.config.connect(connector.tls.clone());
        let unavailable = |advice: String, cause: Cause| Error::Open {
            what: format!(
                "the database {} at {} as user {} ({advice})",
                database_of(&connector.config),
                hosts_of(&connector.config),
                connector.config.get_user().unwrap_or("(none)")
            ),
            cause,
        };
        match tokio::time::timeout(PROBE_WITHIN, connecting).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(unavailable(advice(&error, &connector.config), describe(&error).into())),
            Err(elapsed) => Err(unavailable("is it reachable from here? a firewall may drop the packets".to_owned(), elapsed.into())),
        }
    }
}

/// Returns the hosts and ports of a database.
fn hosts_of(config: &Config) -> String {
    let (hosts, ports) = (config.get_hosts(), config.get_ports());
    let host = |(index, host): (usize, &Host)| {
        let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
        match host {
            Host::Tcp(name) => format!("{name}:{port}"),
            Host::Unix(path) => format!("{}:{port}", path.display()),
        }
    };
    hosts.iter().enumerate().map(host).collect::<Vec<_>>().join(",")
}

fn database_of(config: &Config) -> &str {
    config.get_dbname().or(config.get_user()).unwrap_or_default()
}

/// Returns the remedy for a refused connection.
fn advice(error: &tokio_postgres::Error, config: &Config) -> String {
    let database = database_of(config);
    match error.code() {
        Some(code) if *code == SqlState::INVALID_CATALOG_NAME => {
            format!("create it: createdb --encoding=UTF8 --template=template0 {database}")
        }
        Some(code) if *code == SqlState::INVALID_PASSWORD || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            "check the user and the password in database_url, and pg_hba.conf on the server".to_owned()
        }
        Some(code) if *code == SqlState::TOO_MANY_CONNECTIONS => {
            "lower database_max_connections, or raise max_connections on the server".to_owned()
        }
        Some(code) if *code == SqlState::CANNOT_CONNECT_NOW => "the server is starting or stopping: wait, then start again".to_owned(),
        Some(_) => "the server answered as follows".to_owned(),
        None => match io_kind(error) {
            Some(std::io::ErrorKind::ConnectionRefused) => {
                "no PostgreSQL server listens there: start it, or correct the host and the port".to_owned()
            }
            Some(std::io::ErrorKind::NotFound) => "there is no such socket: start the server, or correct the path".to_owned(),
            Some(_) => "check the host and the port, and that it is reachable from here".to_owned(),
            None => "check database_url, its sslmode included".to_owned(),
        },
    }
}

fn io_kind(error: &tokio_postgres::Error) -> Option<std::io::ErrorKind> {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.filter_map(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind).next()
}

/// Time limit of the first connection at a start.
const PROBE_WITHIN: Duration = Duration::from_secs(15);
/// Connections reserved for the engine's work: publishing, settling, claiming, renewing.
const HOT_CONNECTIONS: usize = 5;
/// Time limit of a request's wait for a free connection, and of connecting to the server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time limit of a statement. Statements of requests read one page at most.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for which data may stay unacknowledged before a connection counts as broken.
const TCP_TIMEOUT: Duration = Duration::from_secs(10);

/// Settings of each session, without a pooler.
const SESSION: &str = "set statement_timeout = '30s'; set lock_timeout = '10s'; set idle_in_transaction_session_timeout = '60s'";

/// Settings for the engine's own statements. They are planned once, perhaps while a table is empty, and must use the
/// index when it is not. Without a usable index, `enable_seqscan = off` makes the planner consider them expensive, and
/// JIT compilation would take longer than a hundred runs.
const HOT_SESSION: &str = "set statement_timeout = '30s'; set lock_timeout = '10s'; set idle_in_transaction_session_timeout = '60s';
    set enable_seqscan = off;
    set jit = off";

/// Connections to the database.
#[derive(Clone)]
pub(crate) struct Pool {
    pool: deadpool_postgres::Pool,
    /// Whether statements are prepared, once per connection.
    prepares: bool,
}

impl Pool {
    /// Returns the numbers of connections: open, idle, and the limit.
    pub(crate) fn usage(&self) -> [(&'static str, usize); 3] {
        let status = self.pool.status();
        [("open", status.size), ("idle", status.available), ("limit", status.max_size)]
    }

    /// Closes the pool; callers that wait for a connection get an error.
    pub(crate) fn close(&self) {
        self.pool.close();
    }
}

/// Parsed URL and TLS settings for connecting.
#[derive(Clone)]
pub(crate) struct Connector {
    pub(crate) config: Config,
    pub(crate) tls: MakeRustlsConnect,
    through_pooler: bool,
}

impl Connector {
    /// Parses the URL.
    ///
    /// `sslmode` and `sslrootcert` have libpq's meaning. `verify-full` verifies the chain and the host's name;
    /// `verify-ca`, and `require` with a root certificate, verify the chain only. `require` without a root
    /// certificate, `prefer` and `allow` encrypt and verify nothing. Without `sslrootcert` (or with
    /// `sslrootcert=system`) the chain must lead to a public authority.
    pub(crate) fn new(options: &Options) -> Result<Self, Error> {
        let refuse = |cause: String| Error::Open { what: "the database (setting database_url)".to_owned(), cause: cause.into() };
        let url = options.url.expose().trim();
        let scheme = url.split_once("://").map(|(scheme, _)| scheme);
        if let Some(scheme) = scheme
            && !matches!(scheme, "postgres" | "postgresql")
        {
            let shown =
                if scheme.len() <= 16 && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+') { scheme } else { "…" };
            return Err(refuse(format!(
                "its scheme is {shown}://; it must be postgres://user@host/database. Without a database, leave database_url out and set data_dir"
            )));
        }
        // The driver also accepts `host=… dbname=…`, as libpq does.
        if scheme.is_none() && !url.contains('=') {
            return Err(refuse("it must be an address such as postgres://user@host/database".to_owned()));
        }
        let (url, ssl) = take_ssl(url);
        let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| refuse(describe(&error)))?;
        config.ssl_mode(match ssl.mode.as_deref() {
            None | Some("prefer" | "allow") => SslMode::Prefer,
            Some("disable") => SslMode::Disable,
            Some("require" | "verify-ca" | "verify-full") => SslMode::Require,
            Some(other) => {
                return Err(refuse(format!("sslmode is {other:?}; it must be disable, allow, prefer, require, verify-ca or verify-full")));
            }
        });
        config.application_name("hookstream");
        config.connect_timeout(CONNECT_TIMEOUT);
        config.keepalives_idle(TCP_TIMEOUT);
        config.tcp_user_timeout(TCP_TIMEOUT);
        let tls = tls(ssl.verified(), ssl.root.as_deref()).map_err(refuse)?;
        Ok(Self { config, tls: MakeRustlsConnect::new(tls), through_pooler: options.through_pooler })
    }

    /// Creates a pool of at most `size` connections for requests.
    pub(crate) fn pool(&self, size: usize) -> Result<Pool, Error> {
        self.build_pool(size, SESSION, false)
    }

    /// Creates a pool for the engine's frequent statements, which are prepared unless there is a pooler.
    pub(crate) fn hot_pool(&self) -> Result<Pool, Error> {
        self.build_pool(HOT_CONNECTIONS, HOT_SESSION, !self.through_pooler)
    }

    fn build_pool(&self, size: usize, session: &'static str, prepares: bool) -> Result<Pool, Error> {
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

    /// Returns whether this kind of connection can listen for notifications.
    pub(crate) const fn can_listen(&self) -> bool {
        !self.through_pooler
    }
}

/// Values of a statement, each with its type in the statement.
pub(crate) type Values<'a> = [(&'a (dyn ToSql + Sync), Type)];

/// Pooled connection for one operation.
pub(crate) struct Connection {
    object: Object,
    operation: &'static str,
    prepares: bool,
}

/// Takes a connection for `operation`.
pub(crate) async fn connect(pool: &Pool, operation: &'static str) -> Result<Connection, Error> {
    match pool.pool.get().await {
        Ok(object) => Ok(Connection { object, operation, prepares: pool.prepares }),
        Err(PoolError::Closed) => Err(Error::Closed),
        Err(PoolError::Backend(cause) | PoolError::PostCreateHook(HookError::Backend(cause))) => Err(failed(operation)(cause)),
        Err(cause) => Err(Error::Unavailable { operation, cause: cause.into() }),
    }
}

impl Connection {
    /// Runs one statement and returns its rows.
    pub(crate) async fn query(&self, sql: &str, values: &Values<'_>) -> Result<Vec<tokio_postgres::Row>, Error> {
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

    /// Runs one statement without a time limit and returns its rows.
    pub(crate) async fn query_without_timeout(&self, sql: &str, values: &Values<'_>) -> Result<Vec<tokio_postgres::Row>, Error> {
        self.object.query_typed(sql, values).await.map_err(failed(self.operation))
    }

    /// Runs one statement and returns the number of changed rows.
    pub(crate) async fn execute(&self, sql: &str, values: &Values<'_>) -> Result<u64, Error> {
        self.within(self.object.execute_typed(sql, values)).await
    }

    /// Runs statements without values, such as those that begin and end a transaction.
    pub(crate) async fn batch(&self, sql: &str) -> Result<(), Error> {
        self.within(self.object.batch_execute(sql)).await
    }

    /// Runs `work` in a transaction. Commits if `keep` accepts the result, and otherwise rolls back.
    pub(crate) async fn transaction<T>(
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

    /// Bounds the wait for a response, because a server may vanish silently.
    async fn within<T>(&self, response: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, Error> {
        match tokio::time::timeout(STATEMENT_TIMEOUT + CONNECT_TIMEOUT, response).await {
            Ok(answered) => answered.map_err(failed(self.operation)),
            Err(cause) => Err(Error::Unavailable { operation: self.operation, cause: cause.into() }),
        }
    }
}

/// Connection on which a transaction may be open. Dropping it closes the connection instead of returning it to its pool.
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

/// Returns a conversion from database errors that names the failed operation.
pub(crate) fn failed(operation: &'static str) -> impl Fn(tokio_postgres::Error) -> Error + Copy {
    move |cause| {
        let Some(code) = cause.code() else {
            let is_client_error = std::error::Error::source(&cause).is_some_and(<dyn std::error::Error>::is::<WrongType>);
            let cause = Box::new(cause);
            return if is_client_error { Error::Failed { operation, cause } } else { Error::Unavailable { operation, cause } };
        };
        match code {
            &SqlState::UNIQUE_VIOLATION => Error::Conflict { operation },
            &SqlState::DISK_FULL => Error::Full { operation },
            code if is_unavailable(code) => Error::Unavailable { operation, cause: cause.into() },
            _ => Error::Failed { operation, cause: cause.into() },
        }
    }
}

/// Shutdown or startup, too many connections, a standby, broken connections, timeouts.
fn is_unavailable(code: &SqlState) -> bool {
    let class = &code.code()[..2];
    matches!(class, "08" | "57" | "53") || *code == SqlState::READ_ONLY_SQL_TRANSACTION || *code == SqlState::LOCK_NOT_AVAILABLE
}

/// Returns whether the same transaction may succeed on a retry.
pub(crate) fn is_transient(error: &Error) -> bool {
    let Error::Failed { cause, .. } = error else { return false };
    let code = cause.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::code);
    matches!(code, Some(code) if *code == SqlState::T_R_DEADLOCK_DETECTED || *code == SqlState::T_R_SERIALIZATION_FAILURE)
}

/// Returns whether a row has no partition, which PostgreSQL reports as a check violation.
pub(crate) fn lacks_partition(error: &Error) -> bool {
    let Error::Failed { cause, .. } = error else { return false };
    cause.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::code) == Some(&SqlState::CHECK_VIOLATION)
}

/// Returns an error with its causes, which the driver's own text omits.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |error| error.source()).fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[derive(Default)]
struct Ssl {
    mode: Option<String>,
    root: Option<String>,
}

/// Extent of the verification of a server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verification {
    Nothing,
    Chain,
    ChainAndName,
}

impl Ssl {
    /// Returns the extent of verification, as libpq defines it.
    fn verified(&self) -> Verification {
        match self.mode.as_deref() {
            Some("verify-full") => Verification::ChainAndName,
            Some("verify-ca") => Verification::Chain,
            // "For backwards compatibility": require with a root certificate is verify-ca.
            Some("require") if self.root.is_some() => Verification::Chain,
            _ => Verification::Nothing,
        }
    }
}

/// Removes the parameters that the driver does not know from the URL's query.
fn take_ssl(url: &str) -> (String, Ssl) {
    let mut ssl = Ssl::default();
    let Some((base, query)) = url.split_once('?') else { return (url.to_owned(), ssl) };
    let mut rest = Vec::new();
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("sslmode", value)) => ssl.mode = Some(decoded(value)),
            Some(("sslrootcert", value)) => ssl.root = Some(decoded(value)).filter(|root| !root.is_empty()),
            _ => rest.push(pair),
        }
    }
    let separator = if rest.is_empty() { "" } else { "?" };
    (format!("{base}{separator}{}", rest.join("&")), ssl)
}

/// Percent-decodes a value of a URL's query. As in libpq, `+` is a plus sign and an invalid escape stays unchanged.
fn decoded(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%').then(|| tail.get(..2)).flatten();
        let digits = escaped.and_then(|digits| std::str::from_utf8(digits).ok()).filter(|digits| !digits.starts_with('+'));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn tls(verified: Verification, root: Option<&str>) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?.dangerous();
    if verified == Verification::Nothing {
        return Ok(builder.with_custom_certificate_verifier(Arc::new(NoVerification(provider))).with_no_client_auth());
    }
    let mut roots = RootCertStore::empty();
    let mut pinned = Vec::new();
    match root {
        None | Some("system") => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let unreadable = |error: String| format!("sslrootcert {path}: {error}");
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unreadable(error.to_string()))? {
                let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
                roots.add(certificate.clone()).map_err(|error| unreadable(error.to_string()))?;
                pinned.push(certificate);
            }
            if pinned.is_empty() {
                return Err(unreadable("it holds no certificates in PEM".to_owned()));
            }
        }
    }
    let verifier = ChainVerifier { provider, roots, pinned, names: verified == Verification::ChainAndName };
    Ok(builder.with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

/// Verifier for `sslmode=verify-ca`, `verify-full` and `require` with a root certificate.
#[derive(Debug)]
struct ChainVerifier {
    provider: Arc<rustls::crypto::CryptoProvider>,
    roots: RootCertStore,
    /// Root certificates themselves: a server may present one of them, which OpenSSL trusts too.
    pinned: Vec<CertificateDer<'static>>,
    /// Whether the certificate must match the host's name.
    names: bool,
}

impl ServerCertVerifier for ChainVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        match verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, algorithms) {
            // The validity period is checked before these errors occur.
            Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::Other(_)))
                if self.pinned.iter().any(|pinned| pinned.as_ref() == end_entity.as_ref()) => {}
            verified => verified?,
        }
        if self.names {
            verify_server_name(&certificate, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Verifier for `sslmode=prefer` and `require`, which promise encryption but not the identity of the server.
#[derive(Debug)]
struct NoVerification(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for NoVerification {
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
    fn url_names_hosts_and_tls_mode() {
        let connector = |url| connector(url).expect("a URL");
        let several = connector("postgres://u:p@one:5432,two:5433/db?target_session_attrs=read-write&sslmode=require");
        assert_eq!((several.config.get_hosts().len(), several.config.get_ssl_mode()), (2, SslMode::Require));
        assert_eq!(connector("postgres://u@h/db?sslmode=disable").config.get_ssl_mode(), SslMode::Disable);
        assert_eq!(connector("postgres://u@h/db").config.get_ssl_mode(), SslMode::Prefer);
        assert_eq!(connector("postgres://u@h/db?sslmode=verify-full").config.get_ssl_mode(), SslMode::Require);
    }

    #[test]
    fn invalid_url_error_omits_password() {
        for url in ["mysql://u:hunter2@h/db", "postgres://u:hunter2@h:port/db", "postgres://u:hunter2@h/db?sslmode=maybe"] {
            let Err(error) = connector(url) else { panic!("{url:?} is accepted") };
            let text = describe(&error);
            assert!(text.contains("database_url") && !text.contains("hunter2"), "{text}");
        }
        assert!(connector("postgres://h/db?sslmode=verify-full&sslrootcert=/nowhere.pem").is_err());
    }

    #[test]
    fn verification_follows_libpq() {
        let verified = |query: &str| take_ssl(&format!("postgres://h/d?{query}")).1.verified();
        assert_eq!(verified("sslmode=verify-full"), Verification::ChainAndName);
        assert_eq!(verified("sslmode=verify-ca"), Verification::Chain);
        assert_eq!(verified("sslmode=require&sslrootcert=/ca.pem"), Verification::Chain);
        for query in
            ["sslmode=require", "sslmode=prefer&sslrootcert=/ca.pem", "sslmode=allow", "sslmode=disable", "a=b", "sslrootcert=/ca.pem"]
        {
            assert_eq!(verified(query), Verification::Nothing, "{query}");
        }
    }

    #[test]
    fn query_values_are_decoded() {
        let (url, ssl) = take_ssl("postgres://h/d?sslmode=verify%2Dca&application_name=a%20b&sslrootcert=/a/my%20certs/c%C3%A4+b.crt");
        assert_eq!(url, "postgres://h/d?application_name=a%20b");
        assert_eq!((ssl.mode.as_deref(), ssl.root.as_deref()), (Some("verify-ca"), Some("/a/my certs/cä+b.crt")));
        assert_eq!(
            (decoded("100%"), decoded("%zz"), decoded("%+1"), decoded("%2")),
            ("100%".into(), "%zz".into(), "%+1".into(), "%2".into())
        );
    }

    fn shown_by(identity: &hookstream_testkit::tls::Identity) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(identity.pem().0.as_bytes()).expect("PEM")
    }

    #[test]
    fn certificate_verification_follows_sslmode() {
        use hookstream_testkit::tls::{Authority, Identity};
        let authority = Authority::new();
        let directory = tempfile::tempdir().expect("a directory");
        let verify = |verified: Verification, root: &str, identity: &Identity, name: &str| {
            let path = directory.path().join("root.pem");
            std::fs::write(&path, root).expect("written");
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let pinned: Vec<_> = CertificateDer::pem_file_iter(&path).expect("PEM").map(|found| found.expect("PEM")).collect();
            let mut roots = RootCertStore::empty();
            pinned.iter().for_each(|certificate| roots.add(certificate.clone()).expect("a certificate"));
            let verifier = ChainVerifier { provider, roots, pinned, names: verified == Verification::ChainAndName };
            let name = ServerName::try_from(name.to_owned()).expect("a name");
            verifier.verify_server_cert(&shown_by(identity), &[], &name, &[], UnixTime::now()).is_ok()
        };
        let server = authority.issue(&["db.internal.example"]);
        let (full, chain) = (Verification::ChainAndName, Verification::Chain);
        assert!(verify(full, &authority.pem(), &server, "db.internal.example"));
        assert!(!verify(full, &authority.pem(), &server, "127.0.0.1"));
        assert!(verify(chain, &authority.pem(), &server, "127.0.0.1"));
        assert!(!verify(chain, &Authority::new().pem(), &server, "127.0.0.1"));
        assert!(!verify(chain, &authority.pem(), &authority.issue_expired(&["127.0.0.1"]), "127.0.0.1"));
        for own in [Identity::self_signed(&["localhost"]), Identity::self_signed_authority(&["localhost"])] {
            assert!(verify(full, &own.pem().0, &own, "localhost") && verify(chain, &own.pem().0, &own, "127.0.0.1"));
            assert!(!verify(full, &own.pem().0, &own, "127.0.0.1") && !verify(chain, &authority.pem(), &own, "localhost"));
        }
        let expired = Identity::self_signed_authority_expired(&["localhost"]);
        assert!(!verify(chain, &expired.pem().0, &expired, "localhost"));
    }

    #[test]
    fn other_database_scheme_is_named_in_error() {
        for (url, expected) in
            [("mysql://a@b/c", "its scheme is mysql://"), ("sqlite:///x", "its scheme is sqlite://"), ("/var/lib", "it must be")]
        {
            let Err(error) = connector(url) else { panic!("{url:?} is accepted") };
            assert!(describe(&error).contains(expected), "{url}: {}", describe(&error));
        }
    }

    #[test]
    fn address_omits_password() {
        let address = |url: &str| {
            Options { url: Secret::new(url), max_connections: 1, through_pooler: false, lease: Duration::ZERO }.address().expect("a URL")
        };
        assert_eq!(address("postgres://u:hunter2@one,two:5433/db?sslmode=require"), "postgres://one:5432,two:5433/db");
        assert_eq!(address("postgres://u:hunter2@h/"), "postgres://h:5432/u");
    }
}
