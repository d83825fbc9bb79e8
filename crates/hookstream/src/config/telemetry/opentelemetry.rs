//! Export to an OpenTelemetry collector: the standard variables `OTEL_*`, and no setting of our own.
//!
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/> and
//! <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>. Without an endpoint or an exporter named `otlp` everything is off.

use std::{path::PathBuf, str::FromStr, time::Duration};

use anyhow::{Context, bail};
use hookstream_destinations::{
    net::{ClientIdentity, Trust, certificates},
    services::collector::Collector,
};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use url::Url;

/// Address of a collector on the same machine.
const DEFAULT_ENDPOINT: &str = "http://localhost:4318";
/// Maximum size of a buffer, so that a typing error does not take the memory.
const QUEUE_MAX: u64 = 1_000_000;
/// Maximum length of a wait, in milliseconds: a day.
const WAIT_MAX: u64 = 24 * 3600 * 1000;

/// Complete and checked settings; a signal that is `None` is off.
#[derive(Debug, Clone, Default)]
pub(crate) struct OpenTelemetryConfig {
    pub(crate) traces: Option<TracesConfig>,
    pub(crate) metrics: Option<MetricsConfig>,
    pub(crate) logs: Option<LogsConfig>,
    /// Attributes of the resource that the variables give.
    pub(crate) resource: Vec<(String, String)>,
}

/// Export of traces.
#[derive(Debug, Clone)]
pub(crate) struct TracesConfig {
    pub(crate) target: TargetConfig,
    pub(crate) batches: Batches,
    pub(crate) sampler: Sampler,
}

/// Export of metrics.
#[derive(Debug, Clone)]
pub(crate) struct MetricsConfig {
    pub(crate) target: TargetConfig,
    pub(crate) interval: Duration,
}

/// Export of logs.
#[derive(Debug, Clone)]
pub(crate) struct LogsConfig {
    pub(crate) target: TargetConfig,
    pub(crate) batches: Batches,
}

/// Buffer of a signal and its batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Batches {
    /// Items that wait, at most; others are dropped.
    pub(crate) queue: usize,
    /// Items of a request, at most.
    pub(crate) size: usize,
    /// Time after which an incomplete batch is sent.
    pub(crate) delay: Duration,
}

/// Decision about the traces that are recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sampler {
    /// Whether the flag of the sender decides, if there is one.
    pub(crate) is_parent_based: bool,
    /// Part of the other traces that is recorded, from 0 to 1.
    pub(crate) ratio: f64,
}

/// Collector of one signal.
#[derive(Clone)]
pub(crate) struct TargetConfig {
    uri: Uri,
    headers: HeaderMap,
    pub(crate) timeout: Duration,
    pub(crate) is_compressed: bool,
    certificate: Option<PathBuf>,
    client: Option<(PathBuf, PathBuf)>,
}

impl std::fmt::Debug for TargetConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The headers may contain credentials.
        f.debug_struct("TargetConfig").field("uri", &self.uri).finish_non_exhaustive()
    }
}

impl TargetConfig {
    /// Reads the certificates and returns a client; opens no connection.
    ///
    /// # Errors
    /// Names the variable and the file that cannot be used.
    pub(crate) fn collector(&self) -> anyhow::Result<Collector> {
        let read = |name: &str, path: &PathBuf| {
            std::fs::read(path).with_context(|| format!("could not read {} (variable OTEL_EXPORTER_OTLP_{name})", path.display()))
        };
        let mut trust = Trust::default();
        if let Some(path) = &self.certificate {
            trust.extra_roots = certificates(&read("CERTIFICATE", path)?)
                .with_context(|| format!("{} (variable OTEL_EXPORTER_OTLP_CERTIFICATE) holds no certificates in PEM", path.display()))?;
        }
        if let Some((chain, key)) = &self.client {
            let identity = ClientIdentity::from_pem(&read("CLIENT_CERTIFICATE", chain)?, &read("CLIENT_KEY", key)?);
            trust.identity = Some(identity.with_context(|| {
                format!(
                    "{} and {} (variables OTEL_EXPORTER_OTLP_CLIENT_*) hold no certificate and key in PEM",
                    chain.display(),
                    key.display()
                )
            })?);
        }
        Ok(Collector::new(self.uri.clone(), self.headers.clone(), trust)?)
    }

    /// Address, for people.
    pub(crate) const fn uri(&self) -> &Uri {
        &self.uri
    }
}

/// Variables of the environment that are not empty.
struct Variables<'a>(&'a [(String, String)]);

impl OpenTelemetryConfig {
    /// Reads the variables.
    ///
    /// # Errors
    /// Names the variable whose value cannot be used, and what is allowed. Values that may contain credentials are not quoted.
    pub(crate) fn read(environment: &[(String, String)]) -> anyhow::Result<Self> {
        let variables = Variables(environment);
        if variables.get("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
            return Ok(Self::default());
        }
        let traces = variables.target("TRACES", "v1/traces")?;
        let metrics = variables.target("METRICS", "v1/metrics")?;
        let logs = variables.target("LOGS", "v1/logs")?;
        if traces.is_none() && metrics.is_none() && logs.is_none() {
            return Ok(Self::default());
        }
        let traces = match traces {
            Some(target) => {
                let (batches, sampler) = (variables.batches("BSP", 5_000)?, variables.sampler()?);
                // A sampler that records nothing is no tracing: the context of senders passes through unchanged.
                (sampler != Sampler { is_parent_based: false, ratio: 0.0 }).then_some(TracesConfig { target, batches, sampler })
            }
            None => None,
        };
        let metrics = match metrics {
            Some(target) => Some(MetricsConfig { target, interval: variables.interval()? }),
            None => None,
        };
        let logs = match logs {
            Some(target) => Some(LogsConfig { target, batches: variables.batches("BLRP", 1_000)? }),
            None => None,
        };
        Ok(Self { traces, metrics, logs, resource: variables.resource()? })
    }

    /// Returns the collectors, each with its signal.
    pub(crate) fn targets(&self) -> impl Iterator<Item = (&'static str, &TargetConfig)> {
        let traces = self.traces.as_ref().map(|traces| ("traces", &traces.target));
        let metrics = self.metrics.as_ref().map(|metrics| ("metrics", &metrics.target));
        let logs = self.logs.as_ref().map(|logs| ("logs", &logs.target));
        [traces, metrics, logs].into_iter().flatten()
    }
}

impl Variables<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(given, _)| given == name).map(|(_, text)| text.as_str())
    }

    /// Returns the variable of a signal, else that of all signals, with its name.
    fn of_signal(&self, signal: &str, name: &str) -> Option<(String, &str)> {
        let names = [format!("OTEL_EXPORTER_OTLP_{signal}_{name}"), format!("OTEL_EXPORTER_OTLP_{name}")];
        names.into_iter().find_map(|name| self.get(&name).map(|text| (name, text)))
    }

    /// Reads the collector of a signal; `None` if the signal is off.
    fn target(&self, signal: &str, path: &str) -> anyhow::Result<Option<TargetConfig>> {
        let exporter = format!("OTEL_{signal}_EXPORTER");
        let is_on = match self.get(&exporter) {
            Some("otlp") => true,
            Some("none") => false,
            Some(other) => bail!("{exporter} is {other:?}; it must be otlp or none"),
            None => self.of_signal(signal, "ENDPOINT").is_some(),
        };
        if !is_on {
            return Ok(None);
        }
        if let Some((name, text)) = self.of_signal(signal, "PROTOCOL").filter(|(_, text)| *text != "http/protobuf") {
            bail!("{name} is {text:?}; it must be http/protobuf, which collectors take on port 4318. Neither gRPC nor JSON is supported");
        }
        let (certificate, chain, key) =
            (self.of_signal(signal, "CERTIFICATE"), self.of_signal(signal, "CLIENT_CERTIFICATE"), self.of_signal(signal, "CLIENT_KEY"));
        let client = match (chain, key) {
            (Some((_, chain)), Some((_, key))) => Some((chain.into(), key.into())),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                bail!("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY belong together: set both or neither")
            }
        };
        let is_compressed = match self.of_signal(signal, "COMPRESSION") {
            Some((_, "gzip")) => true,
            Some((_, "none")) | None => false,
            Some((name, other)) => bail!("{name} is {other:?}; it must be gzip or none"),
        };
        Ok(Some(TargetConfig {
            uri: self.endpoint(signal, path)?,
            headers: self.headers(signal)?,
            timeout: match self.of_signal(signal, "TIMEOUT") {
                Some((name, text)) => Duration::from_millis(whole(&name, text, 1, WAIT_MAX)?),
                None => Duration::from_secs(10),
            },
            is_compressed,
            certificate: certificate.map(|(_, path)| path.into()),
            client,
        }))
    }

    /// Returns the URL of a signal: its own as it is, or the common one with the signal's path.
    fn endpoint(&self, signal: &str, path: &str) -> anyhow::Result<Uri> {
        let own = format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT");
        let (name, text) = match (self.get(&own), self.get("OTEL_EXPORTER_OTLP_ENDPOINT").unwrap_or(DEFAULT_ENDPOINT)) {
            (Some(url), _) => (own.as_str(), url.to_owned()),
            (None, base) => ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("{}/{path}", base.trim_end_matches('/'))),
        };
        let url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let url = url.with_context(|| format!("{name} must be an http or https URL such as {DEFAULT_ENDPOINT}"))?;
        if !url.username().is_empty() || url.password().is_some() {
            bail!("{name} must not contain credentials; set them as a header in OTEL_EXPORTER_OTLP_HEADERS");
        }
        Uri::from_str(url.as_str()).with_context(|| format!("{name} is no URL that a request can have"))
    }

    /// Reads headers in the form of W3C Baggage: `name=value,name=value`, percent-encoded.
    fn headers(&self, signal: &str) -> anyhow::Result<HeaderMap> {
        let Some((name, text)) = self.of_signal(signal, "HEADERS") else { return Ok(HeaderMap::new()) };
        let header = |(key, value): (String, String)| {
            let mut value = HeaderValue::from_str(&value).ok()?;
            value.set_sensitive(true);
            Some((HeaderName::from_str(&key).ok()?, value))
        };
        let pairs = pairs(text).and_then(|pairs| pairs.into_iter().map(header).collect::<Option<HeaderMap>>());
        pairs.with_context(|| format!("{name} must be a list such as api-key=secret,x-tenant=a, with percent-encoded values"))
    }

    fn batches(&self, prefix: &str, delay: u64) -> anyhow::Result<Batches> {
        let queue = self.whole(&format!("OTEL_{prefix}_MAX_QUEUE_SIZE"), 1, QUEUE_MAX, 2_048)?;
        let size = self.whole(&format!("OTEL_{prefix}_MAX_EXPORT_BATCH_SIZE"), 1, QUEUE_MAX, 512.min(queue))?;
        if size > queue {
            bail!("OTEL_{prefix}_MAX_EXPORT_BATCH_SIZE is {size}; it must be at most OTEL_{prefix}_MAX_QUEUE_SIZE, which is {queue}");
        }
        let delay = self.whole(&format!("OTEL_{prefix}_SCHEDULE_DELAY"), 1, WAIT_MAX, delay)?;
        let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Ok(Batches { queue: number(queue), size: number(size), delay: Duration::from_millis(delay) })
    }

    fn interval(&self) -> anyhow::Result<Duration> {
        // The counters of the server count from its start.
        let preference = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
        if let Some(other) = self.get(preference).filter(|text| !text.eq_ignore_ascii_case("cumulative")) {
            bail!("{preference} is {other:?}; it must be cumulative");
        }
        Ok(Duration::from_millis(self.whole("OTEL_METRIC_EXPORT_INTERVAL", 1, WAIT_MAX, 60_000)?))
    }

    fn sampler(&self) -> anyhow::Result<Sampler> {
        let name = self.get("OTEL_TRACES_SAMPLER").unwrap_or("parentbased_always_on");
        let (is_parent_based, root) = name.strip_prefix("parentbased_").map_or((false, name), |root| (true, root));
        let ratio = match root {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => match self.get("OTEL_TRACES_SAMPLER_ARG") {
                None => 1.0,
                Some(text) => text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio)).with_context(|| {
                    format!("OTEL_TRACES_SAMPLER_ARG is {text:?}; it must be a number from 0 to 1, the part of the traces that is recorded")
                })?,
            },
            _ => bail!(
                "OTEL_TRACES_SAMPLER is {name:?}; it must be always_on, always_off, traceidratio, parentbased_always_on, \
                 parentbased_always_off or parentbased_traceidratio"
            ),
        };
        Ok(Sampler { is_parent_based, ratio })
    }

    fn resource(&self) -> anyhow::Result<Vec<(String, String)>> {
        let name = "OTEL_RESOURCE_ATTRIBUTES";
        let given = self.get(name).map_or(Some(Vec::new()), pairs);
        let mut attributes =
            given.with_context(|| format!("{name} must be a list such as deployment.environment.name=production,team=core"))?;
        if let Some(service) = self.get("OTEL_SERVICE_NAME") {
            attributes.retain(|(key, _)| key != "service.name");
            attributes.push(("service.name".to_owned(), service.to_owned()));
        }
        Ok(attributes)
    }

    fn whole(&self, name: &str, least: u64, most: u64, default: u64) -> anyhow::Result<u64> {
        self.get(name).map_or(Ok(default), |text| whole(name, text, least, most))
    }
}

fn whole(name: &str, text: &str, least: u64, most: u64) -> anyhow::Result<u64> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.with_context(|| format!("{name} is {text:?}; it must be a whole number from {least} to {most}"))
}

/// Parses a list `key=value,key=value` with percent-encoded values.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=')?;
        let key = key.trim();
        Some((key.to_owned(), decoded(value.trim())?)).filter(|_| !key.is_empty())
    };
    text.split(',').filter(|part| !part.trim().is_empty()).map(pair).collect()
}

/// Decodes `%41`; other characters stay as they are, `+` too.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, encoded)) = rest.split_once('%') {
        bytes.extend_from_slice(plain.as_bytes());
        bytes.push(u8::from_str_radix(encoded.get(..2)?, 16).ok()?);
        rest = &encoded[2..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> anyhow::Result<OpenTelemetryConfig> {
        let environment: Vec<_> = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        OpenTelemetryConfig::read(&environment)
    }

    const ON: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");

    fn signals(variables: &[(&str, &str)]) -> Vec<String> {
        let config = read(variables).expect("settings");
        config.targets().map(|(signal, target)| format!("{signal} {}", target.uri())).collect()
    }

    #[test]
    fn signals_are_off_without_an_endpoint_or_an_exporter() {
        assert!(signals(&[]).is_empty());
        assert!(signals(&[("OTEL_SERVICE_NAME", "hooks"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).is_empty());
        assert!(signals(&[ON, ("OTEL_SDK_DISABLED", "True"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).is_empty());
        let all =
            ["traces http://collector:4318/v1/traces", "metrics http://collector:4318/v1/metrics", "logs http://collector:4318/v1/logs"];
        assert_eq!(signals(&[ON]), all);
        assert_eq!(signals(&[ON, ("OTEL_METRICS_EXPORTER", "none"), ("OTEL_LOGS_EXPORTER", "none")]), all[..1]);
        assert_eq!(signals(&[("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://logs.example/in")]), ["logs https://logs.example/in"]);
        assert_eq!(signals(&[("OTEL_TRACES_EXPORTER", "otlp")]), ["traces http://localhost:4318/v1/traces"]);
        assert!(signals(&[("OTEL_TRACES_EXPORTER", "otlp"), ("OTEL_TRACES_SAMPLER", "always_off")]).is_empty());
    }

    #[test]
    fn values_are_read_and_those_of_a_signal_win() {
        let config = read(&[
            ON,
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b, x-tenant = c"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "api-key=own"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
            ("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "gzip"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.1"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "250"),
            ("OTEL_SERVICE_NAME", "hooks"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,team=core%2Cplatform"),
        ])
        .expect("settings");
        let (traces, metrics, logs) = (config.traces.expect("on"), config.metrics.expect("on"), config.logs.expect("on"));
        assert_eq!((traces.target.headers["api-key"].as_bytes(), traces.target.headers.len()), (&b"own"[..], 1));
        assert_eq!((logs.target.headers["api-key"].as_bytes(), logs.target.headers["x-tenant"].as_bytes()), (&b"a b"[..], &b"c"[..]));
        assert_eq!((logs.target.timeout, metrics.interval), (Duration::from_millis(1_500), Duration::from_millis(250)));
        assert!(logs.target.is_compressed && !traces.target.is_compressed);
        assert_eq!(traces.sampler, Sampler { is_parent_based: true, ratio: 0.1 });
        assert_eq!(traces.batches, Batches { queue: 100, size: 100, delay: Duration::from_secs(5) });
        assert_eq!(logs.batches, Batches { queue: 2_048, size: 512, delay: Duration::from_secs(1) });
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(config.resource, [pair("team", "core,platform"), pair("service.name", "hooks")]);
    }

    #[test]
    fn value_that_cannot_be_used_is_refused_by_name() {
        let check = |name: &str, value: &str, expected: &str| {
            let error = format!("{:#}", read(&[ON, (name, value)]).expect_err(name));
            assert!(error.contains(name) && error.contains(expected), "{error}");
        };
        check("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "it must be http/protobuf");
        check("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/json", "it must be http/protobuf");
        check("OTEL_METRICS_EXPORTER", "prometheus", "it must be otlp or none");
        check("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "it must be gzip or none");
        check("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "it must be a whole number from 1 to");
        check("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector:4318", "must be an http or https URL");
        check("OTEL_TRACES_SAMPLER", "jaeger_remote", "it must be always_on");
        check("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4096", "it must be at most OTEL_BSP_MAX_QUEUE_SIZE, which is 2048");
        check("OTEL_METRIC_EXPORT_INTERVAL", "0", "it must be a whole number from 1 to");
        check("OTEL_RESOURCE_ATTRIBUTES", "team", "must be a list such as");
        check("OTEL_EXPORTER_OTLP_CLIENT_KEY", "key.pem", "belong together");
        check("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta", "it must be cumulative");
        let arg = [ON, ("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "10")];
        assert!(format!("{:#}", read(&arg).expect_err("no ratio")).contains("it must be a number from 0 to 1"));
    }

    #[test]
    fn credentials_are_in_no_error_and_no_debug_output() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=hunter2\n,x"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://ada:hunter2@collector"),
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "ftp://ada:hunter2@collector"),
        ] {
            let error = format!("{:?}", read(&[ON, (name, value)]).expect_err(name));
            assert!(error.contains(name) && !error.contains("hunter2"), "{error}");
        }
        let config = read(&[ON, ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=hunter2")]).expect("settings");
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
