/** Jobs: recover and replay, with a dry run before they start. */
import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { answered, api, type Schemas } from "./client";
import type { OwnedPath } from "./endpoints";

export type Job = Schemas["Job"];
export type DryRun = Schemas["DryRun"];

/** Interval at which a running job is asked for its progress. */
export const JOB_POLL_MS = 1000;

export function jobsQuery(status: "" | Job["status"]) {
  return infiniteQueryOptions({
    queryKey: ["jobs", "list", status],
    queryFn: ({ pageParam }) =>
      answered(
        api.GET("/v1/jobs", {
          params: {
            query: { limit: 50, ...(status ? { status } : {}), ...(pageParam ? { cursor: pageParam } : {}) },
          },
        }),
      ),
    initialPageParam: "",
    getNextPageParam: (page) => (page.has_more ? (page.cursor ?? undefined) : undefined),
  });
}

/** Running jobs, for the count in the navigation. */
export const runningJobsQuery = queryOptions({
  queryKey: ["jobs", "running"],
  queryFn: () => answered(api.GET("/v1/jobs", { params: { query: { limit: 100, status: "running" } } })),
  select: (page) => page.jobs,
});

export function jobQuery(id: string) {
  return queryOptions({
    queryKey: ["jobs", "one", id],
    queryFn: () => answered(api.GET("/v1/jobs/{id}", { params: { path: { id } } })),
    select: (answer) => answer.job,
  });
}

export function cancelJob(id: string) {
  return answered(api.POST("/v1/jobs/{id}/cancel", { params: { path: { id } } }));
}

/** Job to start: recover what was missed, or replay what was sent. */
export type JobRequest =
  { kind: "recover"; body: Schemas["Recover"] } | { kind: "replay"; body: Schemas["Replay"] };

async function post(path: OwnedPath, request: JobRequest, isDryRun: boolean) {
  const params = { path, ...(isDryRun ? { query: { dry_run: "1" } } : {}) };
  if (request.kind === "recover") {
    return answered(
      api.POST("/v1/applications/{appId}/endpoints/{id}/recover", { params, body: request.body }),
    );
  }
  return answered(api.POST("/v1/applications/{appId}/endpoints/{id}/replay", { params, body: request.body }));
}

/** Counts what a job would send, without sending anything. */
export async function dryRun(path: OwnedPath, request: JobRequest): Promise<DryRun> {
  const answer = await post(path, request, true);
  if (!("dry_run" in answer) || !answer.dry_run) throw new Error("The server counted nothing.");
  return answer.dry_run as DryRun;
}

export async function startJob(path: OwnedPath, request: JobRequest): Promise<Job> {
  const answer = await post(path, request, false);
  if (!("job" in answer) || !answer.job) throw new Error("The server started no job.");
  return answer.job as Job;
}

export type RetryForecast = Schemas["RetryForecast"];

async function postRetry(body: Schemas["RetryMessages"], isDryRun: boolean) {
  const params = isDryRun ? { query: { dry_run: "1" } } : {};
  return answered(api.POST("/v1/messages/retry", { params, body }));
}

/** Counts what a retry of messages would send, without sending anything. */
export async function forecastRetry(body: Schemas["RetryMessages"]): Promise<RetryForecast> {
  const answer = await postRetry(body, true);
  if (!("dry_run" in answer)) throw new Error("The server counted nothing.");
  return answer.dry_run;
}

/** Starts the jobs of a retry, one for each endpoint. */
export async function startRetry(body: Schemas["RetryMessages"]): Promise<Job[]> {
  const answer = await postRetry(body, false);
  if (!("jobs" in answer)) throw new Error("The server started no jobs.");
  return answer.jobs;
}

const LIST_PAGE = 100;
const LIST_PAGES = 10;

/** Progress of several jobs, found in the list of jobs. Newest jobs are first, so the first pages have them. */
export function jobsByIdQuery(ids: string[]) {
  return queryOptions({
    queryKey: ["jobs", "several", ids],
    queryFn: async () => {
      const missing = new Set(ids);
      const found: Job[] = [];
      let cursor: string | null | undefined;
      for (let page = 0; page < LIST_PAGES && missing.size > 0; page += 1) {
        const query = { limit: LIST_PAGE, ...(cursor ? { cursor } : {}) };
        const answer = await answered(api.GET("/v1/jobs", { params: { query } }));
        found.push(...answer.jobs.filter((job) => missing.delete(job.id)));
        cursor = answer.cursor;
        if (!answer.has_more) break;
      }
      return found;
    },
  });
}
