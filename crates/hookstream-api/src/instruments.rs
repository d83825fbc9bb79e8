//! Instruments of the API: requests by route, quota refusals, and the client libraries in use.

use std::time::Duration;

use hookstream_model::base::time::Timestamp;
use http::{HeaderMap, Method, StatusCode, header};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Upper bounds of the durations of requests, in seconds.
const SECONDS: [f64; 14] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Label of a request to a path that is no route.
const NO_ROUTE: &str = "none";
/// Languages of the Svix client libraries, as their `User-Agent` names them.
const LANGUAGES: [&str; 9] = ["javascript", "python", "go", "ruby", "rust", "java", "kotlin", "csharp", "php"];
/// Greatest major version of a client library that has a label of its own.
const MAJORS: u32 = 99;

/// Instruments of the API. Clones count together.
#[derive(Debug, Clone)]
pub struct Instruments {
    requests: Family<Answered, Counter>,
    seconds: Family<Route, Histogram, fn() -> Histogram>,
    quota_refusals: Family<Refused, Counter>,
    libraries: Family<Library, Counter>,
    /// 1 if the last check of readiness succeeded.
    pub(crate) ready: Gauge,
    /// Time of the last backup, once there is one.
    last_backup: Family<[(&'static str, &'static str); 0], Gauge>,
    pub(crate) backup_failures: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    quota: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Library {
    sdk: &'static str,
    major: u32,
}

impl Default for Instruments {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            quota_refusals: Family::default(),
            libraries: Family::default(),
            ready: Gauge::default(),
            last_backup: Family::default(),
            backup_failures: Counter::default(),
        }
    }
}

impl Instruments {
    /// Adds the instruments to a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "http_requests",
            "Answered requests by method, route and status; the route is the pattern of the path, `none` for a path that is no route",
            self.requests.clone(),
        );
        registry.register_with_unit(
            "http_request",
            "Time from the head of a request to the head of its answer, by route",
            Unit::Seconds,
            self.seconds.clone(),
        );
        registry.register("quota_refusals", "Requests refused because a quota of the organization is used up", self.quota_refusals.clone());
        registry.register(
            "node_ready",
            "1 if this node is ready for requests, as `GET /v1/health/ready` answers; checked every 5 seconds",
            self.ready.clone(),
        );
        registry.register_with_unit(
            "backup_last_success_timestamp",
            "Time of the last backup that succeeded, since 1970; absent where the server makes none",
            Unit::Seconds,
            self.last_backup.clone(),
        );
        registry.register("backup_failures", "Backups that failed", self.backup_failures.clone());
        registry.register("sdk_requests", "Requests of known client libraries, by library and major version", self.libraries.clone());
    }

    /// Builds instruments that have a series of each metric, for the reference of the metrics.
    pub fn for_reference() -> Self {
        let all = Self::default();
        all.answered(&Method::GET, None, StatusCode::OK, Duration::ZERO);
        all.quota_refused("");
        all.backed_up(Timestamp::from_millis(0));
        all.libraries.get_or_create(&Library { sdk: "", major: 0 }).inc();
        all
    }

    /// Counts a request.
    pub(crate) fn answered(&self, method: &Method, route: Option<&str>, status: StatusCode, took: Duration) {
        let route = Route { route: route.unwrap_or(NO_ROUTE).to_owned() };
        self.seconds.get_or_create(&route).observe(took.as_secs_f64());
        self.requests.get_or_create(&Answered { method: method_label(method), route: route.route, status: status.as_u16() }).inc();
    }

    /// Notes a backup that succeeded.
    pub(crate) fn backed_up(&self, at: Timestamp) {
        self.last_backup.get_or_create(&[]).set(at.as_millis() / 1_000);
    }

    /// Counts a request refused by a quota.
    pub(crate) fn quota_refused(&self, quota: &str) {
        self.quota_refusals.get_or_create(&Refused { quota: quota.to_owned() }).inc();
    }

    /// Counts a request of a known client library.
    pub(crate) fn used(&self, headers: &HeaderMap) {
        let library = headers.get(header::USER_AGENT).and_then(|agent| Library::parse(agent.to_str().ok()?));
        if let Some(library) = library {
            self.libraries.get_or_create(&library).inc();
        }
    }
}

impl Library {
    /// Reads a `User-Agent` such as `svix-libs/1.84.1/python` or `hookstream/0.1.0`.
    fn parse(agent: &str) -> Option<Self> {
        let mut parts = agent.split('/');
        let (name, version, language) = (parts.next()?, parts.next()?, parts.next());
        let major = version.split('.').next()?.parse().ok().filter(|major| *major <= MAJORS)?;
        let sdk = match (name, language) {
            ("hookstream", None) => "hookstream",
            ("svix-libs", Some(language)) => LANGUAGES.into_iter().find(|known| *known == language)?,
            _ => return None,
        };
        Some(Self { sdk, major })
    }
}

/// Returns the label of a method. Methods are the client's words, so only the standard ones have labels.
fn method_label(method: &Method) -> &'static str {
    const STANDARD: [&str; 7] = ["GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS"];
    STANDARD.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_client_libraries_are_counted_by_major_version() {
        let check = |agent: &str, expected: Option<(&'static str, u32)>| {
            assert_eq!(Library::parse(agent), expected.map(|(sdk, major)| Library { sdk, major }), "{agent}");
        };
        check("svix-libs/1.84.1/python", Some(("python", 1)));
        check("svix-libs/1.84.1/javascript", Some(("javascript", 1)));
        check("hookstream/0.1.0", Some(("hookstream", 0)));
        for other in ["curl/8.5.0", "svix-libs/1.84.1", "svix-libs/1.84.1/cobol", "svix-libs/x/python", "svix-libs/100000/go", ""] {
            check(other, None);
        }
    }

    #[test]
    fn methods_of_clients_make_no_labels() {
        assert_eq!(method_label(&Method::GET), "GET");
        assert_eq!(method_label(&Method::from_bytes(b"BREW").expect("a method")), "other");
    }
}
