import { expect, test } from "vitest";
import { labelOf, parseMetrics, quantileOf, sumOf } from "./metrics-text";

const TEXT = `# HELP hookstream_attempts Recorded attempts.
# TYPE hookstream_attempts counter
hookstream_attempts_total{outcome="failed",error="http_status",trigger="initial"} 12
hookstream_attempts_total{outcome="failed",error="timeout",trigger="automatic"} 6
hookstream_attempts_total{outcome="success",error="",trigger="initial"} 19
hookstream_deliveries_unaccounted 0
hookstream_build_info{version="0.1.0",database="sqlite",role="all"} 1
hookstream_delivery_latency_seconds_bucket{le="0.1",until="arrival"} 80
hookstream_delivery_latency_seconds_bucket{le="0.5",until="arrival"} 90 # {message_id="0189"} 0.4 1795986968.68
hookstream_delivery_latency_seconds_bucket{le="1.0",until="arrival"} 100
hookstream_delivery_latency_seconds_bucket{le="+Inf",until="arrival"} 100
hookstream_delivery_latency_seconds_bucket{le="0.1",until="first_attempt"} 0
hookstream_delivery_latency_seconds_bucket{le="+Inf",until="first_attempt"} 4
odd{path="a\\"b}\\\\c"} 2.5
# EOF
`;
const SAMPLES = parseMetrics(TEXT);

test("samples are read with their labels, without comments and exemplars", () => {
  expect(SAMPLES).toHaveLength(12);
  expect(SAMPLES[6]).toEqual({
    name: "hookstream_delivery_latency_seconds_bucket",
    labels: { le: "0.5", until: "arrival" },
    value: 90,
  });
  expect(SAMPLES[11]).toEqual({ name: "odd", labels: { path: 'a"b}\\c' }, value: 2.5 });
});

test("sums count the samples that have all labels", () => {
  expect(sumOf(SAMPLES, "hookstream_attempts_total")).toBe(37);
  expect(sumOf(SAMPLES, "hookstream_attempts_total", { outcome: "failed" })).toBe(18);
  expect(sumOf(SAMPLES, "hookstream_deliveries_unaccounted")).toBe(0);
  expect(sumOf(SAMPLES, "hookstream_deliveries_pending")).toBe(null);
  expect(labelOf(SAMPLES, "hookstream_build_info", "database")).toBe("sqlite");
});

test("a quantile lies within its bucket", () => {
  const latency = "hookstream_delivery_latency_seconds";
  expect(quantileOf(SAMPLES, latency, 0.95, { until: "arrival" })).toBeCloseTo(0.75);
  expect(quantileOf(SAMPLES, latency, 0.5, { until: "arrival" })).toBeCloseTo(0.0625);
  expect(quantileOf(SAMPLES, latency, 0.5, { until: "first_attempt" })).toBe(Infinity);
  expect(quantileOf(SAMPLES, "absent", 0.5)).toBe(null);
});
