/** Metrics of the environment: headline numbers, series over time and the breakdown of errors. */
import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { answered, api, type Schemas } from "./client";

export type Overview = Schemas["Overview"];
export type DeliveryStep = Schemas["DeliveryStep"];
export type DeliveryNumbers = Schemas["DeliveryNumbers"];
export type LatencyStep = Schemas["LatencyStep"];
export type LatencyNumbers = Schemas["LatencyNumbers"];
export type ErrorCount = Schemas["ErrorCount"];
export type Granularity = "minute" | "half_hour" | "hour" | "day";

/** Part of time that a question is about. */
export interface TimeWindow {
  after: string;
  before: string;
  granularity: Granularity;
}

/** Charts are asked again this often at most. */
const FRESH_MS = 10_000;

/** Numbers of today and of yesterday until the same time, and the sum of all deliveries that are kept. */
export const overviewQuery = queryOptions({
  queryKey: ["metrics", "overview"],
  queryFn: () => answered(api.GET("/v1/metrics/overview")),
});

/** Deliveries and attempts by step. */
export function deliveriesQuery(query: TimeWindow) {
  return queryOptions({
    queryKey: ["metrics", "deliveries", query],
    queryFn: () => answered(api.GET("/v1/metrics/deliveries", { params: { query } })),
    placeholderData: keepPreviousData,
    staleTime: FRESH_MS,
  });
}

/** Percentiles of the duration of attempts by step. */
export function latencyQuery(query: TimeWindow) {
  return queryOptions({
    queryKey: ["metrics", "latency", query],
    queryFn: () => answered(api.GET("/v1/metrics/latency", { params: { query } })),
    placeholderData: keepPreviousData,
    staleTime: FRESH_MS,
  });
}

/** Failed attempts by error and status code. */
export function errorsQuery(query: TimeWindow) {
  return queryOptions({
    queryKey: ["metrics", "errors", query],
    queryFn: () => answered(api.GET("/v1/metrics/errors", { params: { query } })),
    placeholderData: keepPreviousData,
    staleTime: FRESH_MS,
  });
}
